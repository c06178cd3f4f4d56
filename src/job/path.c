/*
 * What a prompt names: a path relative to the job's directory, as a program there would open it. It
 * leads to the user's files, and to videos and frames of jobs, and never out of the mount.
 */
#include "job_private.h"

#include "seedancefs/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum place { PLACE_ROOT, PLACE_JOBS, PLACE_JOB, PLACE_TAKES, PLACE_ASSETS, PLACE_VIDEOS };

struct walk {
    struct jobs *jobs;
    enum place place;
    struct job *job; /* in PLACE_JOB and PLACE_TAKES */
};

static int walk_up(struct walk *walk)
{
    static const enum place parents[] = {
        [PLACE_JOBS] = PLACE_ROOT,   [PLACE_JOB] = PLACE_JOBS,    [PLACE_TAKES] = PLACE_JOB,
        [PLACE_ASSETS] = PLACE_ROOT, [PLACE_VIDEOS] = PLACE_ROOT,
    };
    if (walk->place == PLACE_ROOT)
        return -EXDEV;
    walk->place = parents[walk->place];
    return 0;
}

static int walk_down(struct walk *walk, const char *name)
{
    static const struct {
        enum place from;
        const char *name;
        enum place to;
    } steps[] = {
        {PLACE_ROOT, "jobs", PLACE_JOBS},
        {PLACE_ROOT, "assets", PLACE_ASSETS},
        {PLACE_ROOT, "videos", PLACE_VIDEOS},
        {PLACE_JOB, "takes", PLACE_TAKES},
    };
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        if (walk->place == steps[i].from && strcmp(name, steps[i].name) == 0) {
            walk->place = steps[i].to;
            return 0;
        }
    }
    struct job *job = walk->place == PLACE_JOBS ? jobs_find(walk->jobs, name) : NULL;
    if (!job)
        return -ENOTDIR;
    walk->job = job;
    walk->place = PLACE_JOB;
    return 0;
}

static int walk_step(struct walk *walk, const char *name)
{
    if (*name == '\0' || strcmp(name, ".") == 0)
        return 0;
    return strcmp(name, "..") == 0 ? walk_up(walk) : walk_down(walk, name);
}

/* The name without ".mp4"; false: it does not end so. */
static bool stem_get(const char *name, char out[static TEXT_NAME_MAX + 1])
{
    size_t len = strlen(name);
    if (len <= strlen(".mp4") || len > TEXT_NAME_MAX ||
        strcmp(name + len - strlen(".mp4"), ".mp4") != 0)
        return false;
    (void)snprintf(out, TEXT_NAME_MAX + 1, "%.*s", (int)(len - strlen(".mp4")), name);
    return true;
}

static int take_find(struct job *job, const char *name, struct job_path *out)
{
    char stem[TEXT_NAME_MAX + 1];
    char *end;
    long long number = stem_get(name, stem) ? strtoll(stem, &end, 10) : 0;
    struct job_take *take = number > 0 && !*end ? job_take_get(job, number) : NULL;
    *out = (struct job_path){.form = JOB_INPUT_TAKE, .job = job, .take = take};
    return take ? 0 : -ENOENT;
}

static int video_find(struct jobs *jobs, const char *name, struct job_path *out)
{
    char stem[TEXT_NAME_MAX + 1];
    struct job *job = stem_get(name, stem) ? jobs_find_by_stem(jobs, stem) : NULL;
    *out = (struct job_path){.form = JOB_INPUT_VIDEO, .job = job};
    return job ? 0 : -ENOENT;
}

/* What the program makes in a job's directory. A file of the user's with such a name goes first: it
 * is from the time before. */
static int made_find(struct job *job, const char *name, struct job_path *out)
{
    static const struct {
        const char *name;
        enum job_input_form form;
    } names[] = {
        {"output.mp4", JOB_INPUT_VIDEO},
        {"first_frame.png", JOB_INPUT_FIRST_FRAME},
        {"last_frame.png", JOB_INPUT_LAST_FRAME},
    };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(name, names[i].name) == 0) {
            *out = (struct job_path){.form = names[i].form, .job = job};
            return 0;
        }
    }
    return strcmp(name, "cover.jpg") == 0 ? -EACCES : -ENOENT;
}

static int file_find(struct job *holder, const char *name, struct job_path *out)
{
    struct job_detail *detail;
    int r = holder ? job_detail_get(holder, &detail) : -ENOENT;
    if (r < 0)
        return r;
    struct job_file *file = job_file_find(detail, name);
    *out = (struct job_path){.form = JOB_INPUT_INLINE, .job = holder, .file = file};
    return file && !job_file_is_prompt(file) ? 0 : -ENOENT;
}

static int leaf_find(const struct walk *walk, const char *name, struct job_path *out)
{
    int r;
    switch (walk->place) {
    case PLACE_JOB:
        r = file_find(walk->job, name, out);
        return r == -ENOENT ? made_find(walk->job, name, out) : r;
    case PLACE_ASSETS:
        return file_find(jobs_assets(walk->jobs), name, out);
    case PLACE_TAKES:
        return take_find(walk->job, name, out);
    case PLACE_VIDEOS:
        return video_find(walk->jobs, name, out);
    case PLACE_ROOT:
    case PLACE_JOBS:
        break;
    }
    return -ENOENT;
}

int job_path_resolve(struct job *job, const char *path, struct job_path *out)
{
    struct walk walk = {.jobs = job->jobs, .place = PLACE_JOB, .job = job};
    const char *slash;
    if (path[0] == '/')
        return -EXDEV;
    for (; (slash = strchr(path, '/')); path = slash + 1) {
        char name[TEXT_NAME_MAX + 1];
        if (slash - path > TEXT_NAME_MAX)
            return -ENOTDIR;
        (void)snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
        int r = walk_step(&walk, name);
        if (r < 0)
            return r;
    }
    return leaf_find(&walk, path, out);
}
