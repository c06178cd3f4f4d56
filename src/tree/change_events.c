/*
 * Tells those who watch the mount which files of a job have changed, and which have come and gone
 * by themselves. Four bytes of each job (event_mark) remember what was told of it.
 *
 * When a user creates or removes a file, the kernel tells of it. When a name in another directory
 * follows, such as one in by-status, this file tells of that.
 */
#include "tree_private.h"

#include "seedancefs/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    MARK_STATE = 0x1f,
    MARK_VIDEO = 0x100,
    MARK_COVER = 0x200,
    MARK_PROBLEM = 0x400,
    MARK_ATTEMPT = 0x800,
    MARK_RESPONSE = 0x1000,
    MARK_URL = 0x2000,
    MARK_IMPLIED = 0x4000, /* nobody has called mkdir(2): see change_event_directory_implied() */
    MARK_KNOWN = 0x8000,
    MARK_TAKE_SHIFT = 16, /* the number of the picked take */
};
#define MARK_TAKE 0xffff0000u
_Static_assert((int)JOB_STATE_COUNT <= (int)MARK_STATE, "a state fits into the mark");

/* The files of a job that come and go with a mark. */
static const struct {
    unsigned mark;
    const char *name;
} event_files[] = {{MARK_VIDEO, "output.mp4"},       {MARK_COVER, "cover.jpg"},
                   {MARK_PROBLEM, "error"},          {MARK_ATTEMPT, "request.json"},
                   {MARK_RESPONSE, "response.json"}, {MARK_URL, "output.url"}};

/* Files that change with every transition; files that may change without one; files that change
 * while a video is fetched. */
static const char *const names_moved[] = {"status", "status.json", "progress", "log", "cost", NULL};
static const char *const names_same[] = {"status.json", "log", NULL};
static const char *const names_fetched[] = {"status.json", "progress", NULL};

static bool has_response(const struct job *job)
{
    return job->detail ? generated_has_response(job, job->detail) : job->had_response;
}

static bool has_url(const struct tree *tree, const struct job *job)
{
    int64_t expires_ms = job->picked ? job->picked->url_expires_ms : -1;
    return expires_ms >= 0 && (expires_ms == 0 || expires_ms > clock_wall_ms(tree->settings.clock));
}

static unsigned mark_of(const struct tree *tree, const struct job *job)
{
    unsigned mark = MARK_KNOWN | (unsigned)job->state;
    if (job->picked)
        mark |= (unsigned)output_take(job)->number << MARK_TAKE_SHIFT;
    mark |= output_is_there(job, MEDIA_VIDEO) ? (unsigned)MARK_VIDEO : 0;
    mark |= output_is_there(job, MEDIA_COVER) ? (unsigned)MARK_COVER : 0;
    mark |= generated_has_problem(job, job->detail) ? (unsigned)MARK_PROBLEM : 0;
    mark |= job->attempt_id ? (unsigned)MARK_ATTEMPT : 0;
    mark |= job->attempt_id && has_response(job) ? (unsigned)MARK_RESPONSE : 0;
    mark |= has_url(tree, job) ? (unsigned)MARK_URL : 0;
    for (size_t i = 0; job->hidden && i < ARRAY_COUNT(event_files); i++) {
        const struct generated *generated = generated_find(event_files[i].name);
        if (generated && job_hides(job, generated - generated_table))
            mark &= ~event_files[i].mark;
    }
    return mark;
}

PRINTF_LIKE(3, 4)
static void emit(const struct tree *tree, enum tree_event kind, const char *format, ...)
{
    char path[1024]; /* of two names, and what the program calls itself */
    va_list arguments;
    if (!tree->settings.on_tree_event)
        return;
    va_start(arguments, format);
    (void)vsnprintf(path, sizeof(path), format, arguments);
    va_end(arguments);
    tree->settings.on_tree_event(tree->settings.event_context, kind, path);
}

static void emit_files(const struct tree *tree, const struct job *job, unsigned before,
                       unsigned now)
{
    for (size_t i = 0; i < ARRAY_COUNT(event_files); i++) {
        if ((now ^ before) & event_files[i].mark)
            emit(tree, now & event_files[i].mark ? TREE_EVENT_FILE : TREE_EVENT_GONE, "jobs/%s/%s",
                 job->name, event_files[i].name);
    }
}

/* Tells of the names in videos/, if the mark says that there is a video. */
static void emit_video(const struct tree *tree, enum tree_event kind, unsigned mark, int64_t id,
                       const char *name)
{
    char stem[JOB_STEM_MAX + 1];
    if (!(mark & MARK_VIDEO))
        return;
    jobs_stem_get(tree->settings.jobs, id, name, stem);
    emit(tree, kind, "videos/%s.mp4", stem);
    emit(tree, kind, "videos/%s.json", stem);
}

/* A name that was there and is there now stands for another take. */
static void emit_take(const struct tree *tree, const struct job *job, unsigned before, unsigned now)
{
    if (!((before ^ now) & MARK_TAKE))
        return;
    for (size_t i = 0; i < ARRAY_COUNT(event_files); i++) {
        if (before & now & event_files[i].mark & (MARK_VIDEO | MARK_COVER))
            emit(tree, TREE_EVENT_CONTENT, "jobs/%s/%s", job->name, event_files[i].name);
    }
    emit_video(tree, TREE_EVENT_CONTENT, before & now, job->id, job->name);
}

/* What stands in takes/ of a job that has just succeeded. */
static void emit_new_take(const struct tree *tree, struct job *job, unsigned before)
{
    unsigned state = before & MARK_STATE;
    bool is_new = job->state == JOB_SUCCEEDED && (state == JOB_QUEUED || state == JOB_RUNNING);
    if (!is_new || !takes_are_there(job))
        return;
    bool is_first = job->takes->next == job->picked;
    if (is_first)
        emit(tree, TREE_EVENT_DIRECTORY, "jobs/%s/" TAKES_NAME, job->name);
    const struct job_take *take;
    LL_FOREACH (job->takes, take) {
        if (!is_first && take != job->picked)
            continue;
        emit(tree, TREE_EVENT_FILE, "jobs/%s/" TAKES_NAME "/%lld.mp4", job->name,
             (long long)take->number);
        emit(tree, TREE_EVENT_FILE, "jobs/%s/" TAKES_NAME "/%lld.json", job->name,
             (long long)take->number);
    }
}

static void emit_changes(const struct tree *tree, const struct job *job, const char *const *names)
{
    for (; *names; names++)
        emit(tree, TREE_EVENT_CONTENT, "jobs/%s/%s", job->name, *names);
}

/* Tells of the name in by-status that the mark stands for; of nothing if the mark is 0. */
static void emit_status(const struct tree *tree, enum tree_event kind, unsigned mark,
                        const char *name)
{
    if (mark & MARK_KNOWN)
        emit(tree, kind, "by-status/%s/%s", job_state_to_text((enum job_state)(mark & MARK_STATE)),
             name);
}

static void emit_root(const struct tree *tree, bool is_event)
{
    emit(tree, TREE_EVENT_CONTENT, "index.html");
    if (!is_event)
        return;
    emit(tree, TREE_EVENT_CONTENT, "events");
    emit(tree, TREE_EVENT_CONTENT, "spend.json");
}

/* Tells of the names in the views. True when the job's state or name has changed. */
static bool emit_views(const struct tree *tree, const struct job *job, unsigned before,
                       const char *old_name, unsigned now)
{
    const char *name = job->name;
    bool is_renamed = strcmp(old_name, name) != 0;
    bool is_moved = is_renamed || ((before ^ now) & (MARK_STATE | MARK_KNOWN)) != 0;
    bool is_video_moved = is_renamed || ((before ^ now) & MARK_VIDEO) != 0;
    if (is_video_moved)
        emit_video(tree, TREE_EVENT_GONE, before, job->id, old_name);
    if (is_moved)
        emit_status(tree, TREE_EVENT_GONE, before, old_name);
    if (is_video_moved)
        emit_video(tree, TREE_EVENT_FILE, now, job->id, name);
    if (is_moved)
        emit_status(tree, TREE_EVENT_LINK, now, name);
    return is_moved;
}

void change_events_begin(struct tree *tree)
{
    for (struct job *job = jobs_next(tree->settings.jobs, 0); job;
         job = jobs_next(tree->settings.jobs, job->id))
        job->event_mark = mark_of(tree, job);
}

void change_event_job_changed(struct tree *tree, struct job *job)
{
    bool is_implied = job->event_mark == MARK_IMPLIED;
    unsigned before = is_implied ? 0 : job->event_mark;
    unsigned now = mark_of(tree, job);
    if (before == now) {
        emit_changes(tree, job, names_same);
        if (now & MARK_PROBLEM)
            emit(tree, TREE_EVENT_CONTENT, "jobs/%s/error", job->name);
        return;
    }
    job->event_mark = now;
    if (is_implied)
        emit(tree, TREE_EVENT_DIRECTORY, "jobs/%s", job->name);
    /* Files first: a program that hears that `status` has changed looks for the video. */
    emit_files(tree, job, before, now);
    emit_take(tree, job, before, now);
    emit_new_take(tree, job, before);
    bool is_moved = emit_views(tree, job, before, job->name, now);
    emit_changes(tree, job, names_moved);
    emit_root(tree, is_moved);
}

void change_event_media_fetched(struct tree *tree, struct job *job)
{
    emit_changes(tree, job, names_fetched);
}

void change_event_frame_made(const struct tree *tree, const struct job *job, const char *which)
{
    emit(tree, TREE_EVENT_FILE, "jobs/%s/%s_frame.png", job->name, which);
}

void change_event_file_unlinked(struct tree *tree, struct job *job)
{
    unsigned before = job->event_mark;
    unsigned now = before & mark_of(tree, job);
    if (!(before & MARK_KNOWN))
        return;
    job->event_mark = now;
    (void)emit_views(tree, job, before, job->name, now);
    emit_root(tree, false);
}

void change_event_job_gone(struct tree *tree, struct job *job)
{
    (void)emit_views(tree, job, job->event_mark, job->name, 0);
    job->event_mark = 0;
    emit_root(tree, true);
}

void change_event_job_renamed(struct tree *tree, struct job *job, const char *old_name)
{
    (void)emit_views(tree, job, job->event_mark, old_name, job->event_mark);
    emit_root(tree, true);
}

void change_event_directory_gone(const struct tree *tree, const char *name)
{
    emit(tree, TREE_EVENT_DIRECTORY_GONE, "jobs/%s", name);
}

void change_event_directory_made_elsewhere(const struct tree *tree, const struct job *job)
{
    emit(tree, TREE_EVENT_DIRECTORY, "jobs/%s", job->name);
}

void change_event_file(const struct tree *tree, const struct job *job, const char *name,
                       enum job_file_change change)
{
    static const enum tree_event kinds[] = {[JOB_FILE_MADE] = TREE_EVENT_FILE,
                                            [JOB_FILE_WRITTEN] = TREE_EVENT_CONTENT,
                                            [JOB_FILE_GONE] = TREE_EVENT_GONE};
    if (job->is_assets)
        emit(tree, kinds[change], ASSETS_NAME "/%s", name);
    else
        emit(tree, kinds[change], "jobs/%s/%s", job->name, name);
}

void change_event_directory_implied(struct job *job)
{
    if (!job->event_mark)
        job->event_mark = MARK_IMPLIED;
}

void change_event_directory_made(struct job *job)
{
    job->event_mark &= ~(unsigned)MARK_IMPLIED;
}
