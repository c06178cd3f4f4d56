/*
 * What somebody who looks at the mount should be told of: which files of a job have changed, and which have come and
 * gone without anybody's doing there. Each job remembers in two bytes (news_mark) what was told of it.
 *
 * What a user makes or removes the kernel tells by itself; what follows from it in another directory, such as a name in
 * by-status, is told here.
 */
#include "tree_private.h"

#include "seedancefs/base/text.h"

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
    MARK_IMPLIED = 0x4000, /* nobody has made the directory: see news_directory_implied() */
    MARK_KNOWN = 0x8000,
};
_Static_assert((int)JOB_STATE_COUNT <= (int)MARK_STATE, "a state fits into the mark");

/* The files of a job that come with a mark, and go with it. */
static const struct {
    unsigned mark;
    const char *name;
} news_files[] = {{MARK_VIDEO, "output.mp4"},       {MARK_COVER, "cover.jpg"},
                  {MARK_PROBLEM, "error"},          {MARK_ATTEMPT, "request.json"},
                  {MARK_RESPONSE, "response.json"}, {MARK_URL, "output.url"}};

/* What changes with every transition; without one, something in these; and while a video is fetched. */
static const char *const news_moved[] = {"status", "status.json", "progress", "log", "cost", NULL};
static const char *const news_same[] = {"status.json", "log", NULL};
static const char *const news_fetched[] = {"status.json", "progress", NULL};

/* While the attempt is not in memory nothing has changed in it. */
static bool has_response(const struct job *job)
{
    if (job->detail)
        return generated_has_response(job, job->detail);
    return job->news_mark & MARK_KNOWN ? (job->news_mark & MARK_RESPONSE) != 0 : job->was_answered;
}

static bool has_url(const struct tree *tree, const struct job *job)
{
    return job->state == JOB_SUCCEEDED && job->url_expires_ms >= 0 &&
           (job->url_expires_ms == 0 || job->url_expires_ms > clock_wall_ms(tree->settings.clock));
}

static unsigned mark_of(const struct tree *tree, const struct job *job)
{
    unsigned mark = MARK_KNOWN | (unsigned)job->state;
    mark |= node_has_video(job) ? (unsigned)MARK_VIDEO : 0;
    mark |= node_has_cover(job) ? (unsigned)MARK_COVER : 0;
    mark |= generated_has_problem(job, job->detail) ? (unsigned)MARK_PROBLEM : 0;
    mark |= job->attempt_id ? (unsigned)MARK_ATTEMPT : 0;
    mark |= job->attempt_id && has_response(job) ? (unsigned)MARK_RESPONSE : 0;
    mark |= has_url(tree, job) ? (unsigned)MARK_URL : 0;
    for (size_t i = 0; job->hidden && i < ARRAY_COUNT(news_files); i++)
        mark &= node_is_unlinked(job, news_files[i].name) ? ~news_files[i].mark : ~0U;
    return mark;
}

static void tell(const struct tree *tree, enum tree_news kind, const char *directory,
                 const char *name, const char *ending)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s%s%s%s", directory, *directory ? "/" : "", name, ending);
    tree->settings.on_news(tree->settings.news_context, kind, path);
}

static void tell_files(const struct tree *tree, const struct job *job, unsigned before,
                       unsigned now)
{
    char directory[TEXT_NAME_MAX + 32];
    (void)snprintf(directory, sizeof(directory), "jobs/%s", job->name);
    for (size_t i = 0; i < ARRAY_COUNT(news_files); i++) {
        if ((now ^ before) & news_files[i].mark)
            tell(tree, now & news_files[i].mark ? TREE_NEWS_FILE : TREE_NEWS_GONE, directory,
                 news_files[i].name, "");
    }
}

static void tell_changes(const struct tree *tree, const struct job *job, const char *const *names)
{
    char directory[TEXT_NAME_MAX + 32];
    (void)snprintf(directory, sizeof(directory), "jobs/%s", job->name);
    for (; *names; names++)
        tell(tree, TREE_NEWS_CHANGED, directory, *names, "");
}

static void tell_same(const struct tree *tree, const struct job *job, unsigned mark)
{
    static const char *const problem[] = {"error", NULL};
    tell_changes(tree, job, news_same);
    if (mark & MARK_PROBLEM)
        tell_changes(tree, job, problem);
}

/* The name that the mark stands for in by-status; nothing for 0. */
static void tell_status(const struct tree *tree, enum tree_news kind, unsigned mark,
                        const char *name)
{
    char directory[64];
    if (!(mark & MARK_KNOWN))
        return;
    (void)snprintf(directory, sizeof(directory), "by-status/%s",
                   job_state_to_text((enum job_state)(mark & MARK_STATE)));
    tell(tree, kind, directory, name, "");
}

static void tell_video(const struct tree *tree, enum tree_news kind, unsigned mark,
                       const char *name)
{
    if (mark & MARK_VIDEO)
        tell(tree, kind, "videos", name, ".mp4");
}

static void tell_root(const struct tree *tree, bool is_event)
{
    tell(tree, TREE_NEWS_CHANGED, "", "index.html", "");
    if (!is_event)
        return;
    tell(tree, TREE_NEWS_CHANGED, "", "events", "");
    tell(tree, TREE_NEWS_CHANGED, "", "spend.json", "");
}

/* What has become different beside the job's own directory; true when its state or name has. */
static bool tell_views(const struct tree *tree, unsigned before, const char *old_name, unsigned now,
                       const char *name)
{
    bool is_renamed = strcmp(old_name, name) != 0;
    bool is_moved = is_renamed || ((before ^ now) & (MARK_STATE | MARK_KNOWN)) != 0;
    bool is_video_moved = is_renamed || ((before ^ now) & MARK_VIDEO) != 0;
    if (is_video_moved)
        tell_video(tree, TREE_NEWS_GONE, before, old_name);
    if (is_moved)
        tell_status(tree, TREE_NEWS_GONE, before, old_name);
    if (is_video_moved)
        tell_video(tree, TREE_NEWS_LINK, now, name);
    if (is_moved)
        tell_status(tree, TREE_NEWS_LINK, now, name);
    return is_moved;
}

void news_begin(struct tree *tree)
{
    for (struct job *job = jobs_next(tree->settings.jobs, 0); job;
         job = jobs_next(tree->settings.jobs, job->id))
        job->news_mark = (unsigned short)mark_of(tree, job);
}

void news_job_changed(struct tree *tree, struct job *job)
{
    bool is_implied = job->news_mark == MARK_IMPLIED;
    unsigned before = is_implied ? 0 : job->news_mark;
    unsigned now = mark_of(tree, job);
    if (!tree->settings.on_news)
        return;
    if (before == now) {
        tell_same(tree, job, now);
        return;
    }
    job->news_mark = (unsigned short)now;
    if (is_implied)
        tell(tree, TREE_NEWS_JOB, "jobs", job->name, "");
    /* Files first: who is told that `status` has changed looks for the video. */
    tell_files(tree, job, before, now);
    bool is_moved = tell_views(tree, before, job->name, now, job->name);
    tell_changes(tree, job, news_moved);
    tell_root(tree, is_moved);
}

void news_media_fetched(struct tree *tree, struct job *job)
{
    if (tree->settings.on_news)
        tell_changes(tree, job, news_fetched);
}

void news_file_unlinked(struct tree *tree, struct job *job)
{
    unsigned before = job->news_mark;
    unsigned now = before & mark_of(tree, job);
    if (!(before & MARK_KNOWN) || !tree->settings.on_news)
        return;
    job->news_mark = (unsigned short)now;
    (void)tell_views(tree, before, job->name, now, job->name);
    tell_root(tree, false);
}

void news_job_gone(struct tree *tree, struct job *job)
{
    if (!tree->settings.on_news)
        return;
    (void)tell_views(tree, job->news_mark, job->name, 0, job->name);
    job->news_mark = 0;
    tell_root(tree, true);
}

void news_job_renamed(struct tree *tree, struct job *job, const char *old_name)
{
    if (!tree->settings.on_news)
        return;
    (void)tell_views(tree, job->news_mark, old_name, job->news_mark, job->name);
    tell_root(tree, true);
}

void news_directory_implied(struct job *job)
{
    if (!job->news_mark)
        job->news_mark = MARK_IMPLIED;
}

void news_directory_made(struct job *job)
{
    job->news_mark &= (unsigned short)~MARK_IMPLIED;
}
