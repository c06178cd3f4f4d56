/*
 * What somebody who looks at the mount should be told of: which files of a job have changed, and which have come to
 * be there. Each job remembers in two bytes (news_mark) what was told of it.
 *
 * Left out: telling that a file is gone. A name can only be seen to go by removing it, and the kernel
 * would drop the link count of an inode that is still there in another directory.
 */
#include "tree_private.h"

#include "seedancefs/base/text.h"

#include <stdio.h>

enum {
    MARK_KNOWN = 0x8000,
    MARK_VIDEO = 0x100,
    MARK_COVER = 0x200,
    MARK_PROBLEM = 0x400,
    MARK_ATTEMPT = 0x800,
    MARK_STATE = 0xff,
};

static unsigned short mark_of(const struct job *job)
{
    bool is_done = job->state == JOB_SUCCEEDED;
    unsigned mark = MARK_KNOWN | (unsigned)job->state;
    mark |= is_done && job->video_bytes >= 0 ? (unsigned)MARK_VIDEO : 0;
    mark |= is_done && job->cover_bytes >= 0 ? (unsigned)MARK_COVER : 0;
    mark |= job->has_problem ? (unsigned)MARK_PROBLEM : 0;
    mark |= job->attempt_id ? (unsigned)MARK_ATTEMPT : 0;
    return (unsigned short)mark;
}

static void tell(struct tree *tree, enum tree_news kind, const char *directory, const char *name,
                 const char *ending)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s%s", directory, name, ending);
    tree->settings.on_news(tree->settings.news_context, kind, path);
}

void news_begin(struct tree *tree)
{
    for (struct job *job = jobs_next(tree->settings.jobs, 0); job;
         job = jobs_next(tree->settings.jobs, job->id))
        job->news_mark = mark_of(job);
}

/* The files of a job that come with a mark. */
static const struct {
    unsigned mark;
    const char *name;
} news_files[] = {{MARK_VIDEO, "output.mp4"},
                  {MARK_COVER, "cover.jpg"},
                  {MARK_PROBLEM, "error"},
                  {MARK_ATTEMPT, "request.json"}};

/* What changes with every transition. */
static const char *const news_changed[] = {"status", "status.json", "progress", "log", "cost"};

void news_job_changed(struct tree *tree, struct job *job)
{
    unsigned before = job->news_mark;
    unsigned now = mark_of(job);
    char directory[TEXT_NAME_MAX + 32];
    if (before == now || !tree->settings.on_news)
        return;
    job->news_mark = (unsigned short)now;
    (void)snprintf(directory, sizeof(directory), "jobs/%s", job->name);
    /* Files first: who is told that `status` has changed looks for the video. */
    for (size_t i = 0; i < ARRAY_COUNT(news_files); i++) {
        if (now & ~before & news_files[i].mark)
            tell(tree, TREE_NEWS_FILE, directory, news_files[i].name, "");
    }
    if (now & ~before & MARK_VIDEO)
        tell(tree, TREE_NEWS_LINK, "videos", job->name, ".mp4");
    for (size_t i = 0; i < ARRAY_COUNT(news_changed); i++)
        tell(tree, TREE_NEWS_CHANGED, directory, news_changed[i], "");
    if ((now & MARK_STATE) == (before & MARK_STATE) && (before & MARK_KNOWN))
        return;
    (void)snprintf(directory, sizeof(directory), "by-status/%s", job_state_to_text(job->state));
    tell(tree, TREE_NEWS_LINK, directory, job->name, "");
    tree->settings.on_news(tree->settings.news_context, TREE_NEWS_CHANGED, "events");
    tree->settings.on_news(tree->settings.news_context, TREE_NEWS_CHANGED, "index.html");
    tree->settings.on_news(tree->settings.news_context, TREE_NEWS_CHANGED, "spend.json");
}
