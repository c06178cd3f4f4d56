/*
 * Which file a prompt names: a path relative to the job's directory, as a program there would open
 * it. It leads to the user's files only, and never out of the mount.
 */
#include "job_private.h"

#include "seedancefs/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum place { PLACE_ROOT, PLACE_JOBS, PLACE_JOB, PLACE_ASSETS };

struct walk {
    struct jobs *jobs;
    enum place place;
    struct job *job; /* in PLACE_JOB */
};

static int walk_up(struct walk *walk)
{
    if (walk->place == PLACE_ROOT)
        return -EXDEV;
    walk->place = walk->place == PLACE_JOB ? PLACE_JOBS : PLACE_ROOT;
    return 0;
}

static int walk_down(struct walk *walk, const char *name)
{
    if (walk->place == PLACE_ROOT && strcmp(name, "jobs") == 0) {
        walk->place = PLACE_JOBS;
    } else if (walk->place == PLACE_ROOT && strcmp(name, "assets") == 0) {
        walk->place = PLACE_ASSETS;
    } else if (walk->place == PLACE_JOBS && jobs_find(walk->jobs, name)) {
        walk->job = jobs_find(walk->jobs, name);
        walk->place = PLACE_JOB;
    } else {
        return -ENOTDIR;
    }
    return 0;
}

static int walk_step(struct walk *walk, const char *name)
{
    if (*name == '\0' || strcmp(name, ".") == 0)
        return 0;
    return strcmp(name, "..") == 0 ? walk_up(walk) : walk_down(walk, name);
}

int job_path_resolve(struct job *job, const char *path, struct job_file **out)
{
    struct walk walk = {.jobs = job->jobs, .place = PLACE_JOB, .job = job};
    struct job_detail *detail;
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
    if (walk.place != PLACE_JOB && walk.place != PLACE_ASSETS)
        return -ENOENT;
    struct job *holder = walk.place == PLACE_JOB ? walk.job : jobs_assets(job->jobs);
    int r = holder ? job_detail_get(holder, &detail) : -ENOENT;
    if (r < 0)
        return r;
    *out = job_file_find(detail, path);
    return *out && !job_file_is_prompt(*out) ? 0 : -ENOENT;
}
