/*
 * Views: the same jobs in another order.
 *
 *   videos/NAME.mp4        -> ../jobs/NAME/output.mp4, of each job whose output.mp4 is there
 *   by-status/STATUS/NAME  -> ../../jobs/NAME, one directory for each status word
 *
 * Nothing is kept for them: a name is looked up among the jobs, a listing walks the jobs in the
 * order of their ids and passes over those that do not belong. What is kept is when a name came or
 * went last, one time for each directory, and how many jobs each status has; for that each job
 * remembers in one byte (view_mark) which views it stands in.
 *
 * A link has the inode of its job, whatever directory it is found in. Names of links come and go by
 * themselves, so the kernel may not keep them.
 */
#include "tree_private.h"

#include "seedancefs/base/text.h"

#include <stdio.h>
#include <string.h>

static const char video_ending[] = ".mp4";

enum { MARK_KNOWN = 0x80, MARK_VIDEO = 0x40, MARK_STATE = 0x3f };
_Static_assert((int)JOB_STATE_COUNT <= (int)MARK_STATE, "a state fits into the mark");

bool view_has_kind(enum node_kind kind)
{
    return kind == NODE_VIDEOS || kind == NODE_BY_STATUS || kind == NODE_STATUS ||
           kind == NODE_VIDEO_LINK || kind == NODE_JOB_LINK;
}

bool view_is_link(const struct node *node)
{
    return node->kind == NODE_VIDEO_LINK || node->kind == NODE_JOB_LINK;
}

/* Whether this job stands in the view. */
static bool view_has(const struct node *view, const struct job *job)
{
    if (view->kind == NODE_VIDEOS)
        return node_has_video(job);
    return view->kind == NODE_STATUS && (int64_t)job->state == view->id;
}

static struct node view_link(const struct node *view, struct job *job)
{
    enum node_kind kind = view->kind == NODE_VIDEOS ? NODE_VIDEO_LINK : NODE_JOB_LINK;
    return (struct node){.kind = kind, .id = job->id, .job = job};
}

int view_get(struct tree *tree, struct node *node)
{
    if (node->kind == NODE_STATUS)
        return node->id < JOB_STATE_COUNT ? 0 : -ESTALE;
    if (!view_is_link(node))
        return node->id == 0 ? 0 : -ESTALE;
    node->job = jobs_get(tree->settings.jobs, node->id);
    bool is_there = node->job && !node->job->is_provisional &&
                    (node->kind == NODE_JOB_LINK || node_has_video(node->job));
    return is_there ? 0 : -ESTALE;
}

struct node view_parent(const struct node *node)
{
    return (struct node){.kind = node->kind == NODE_STATUS ? NODE_BY_STATUS : NODE_ROOT};
}

int view_find(struct tree *tree, const struct node *view, const char *name, struct node *out)
{
    char job_name[TEXT_NAME_MAX + 1];
    size_t len = strlen(name);
    size_t ending = view->kind == NODE_VIDEOS ? sizeof(video_ending) - 1 : 0;
    if (view->kind == NODE_BY_STATUS) {
        enum job_state state;
        if (job_state_parse(name, &state) < 0)
            return -ENOENT;
        *out = (struct node){.kind = NODE_STATUS, .id = (int64_t)state};
        return 0;
    }
    if (len > TEXT_NAME_MAX + ending)
        return -ENAMETOOLONG;
    if (len <= ending || strcmp(name + len - ending, ending ? video_ending : "") != 0)
        return -ENOENT;
    memcpy(job_name, name, len - ending);
    job_name[len - ending] = '\0';
    struct job *job = jobs_find(tree->settings.jobs, job_name);
    if (!job || !view_has(view, job))
        return -ENOENT;
    *out = view_link(view, job);
    return 0;
}

int view_readlink(const struct node *node, struct buf *out)
{
    if (node->kind == NODE_VIDEO_LINK)
        return buf_addf(out, "../jobs/%s/output.mp4", node->job->name);
    return buf_addf(out, "../../jobs/%s", node->job->name);
}

int64_t view_changed_ms(const struct tree *tree, const struct node *view)
{
    if (view->kind == NODE_VIDEOS)
        return tree->videos_changed_ms;
    return view->kind == NODE_STATUS ? tree->status_changed_ms[view->id] : tree->born_ms;
}

static bool list_states(struct tree *tree, int64_t offset, tree_list_fn *fn, void *context)
{
    for (int64_t i = offset; i < JOB_STATE_COUNT; i++) {
        struct node node = {.kind = NODE_STATUS, .id = i};
        if (!tree_list_add(tree, &node, job_state_to_text((enum job_state)i), i + 3, fn, context))
            return false;
    }
    return true;
}

bool view_list(struct tree *tree, const struct node *view, int64_t offset, tree_list_fn *fn,
               void *context)
{
    char name[TEXT_NAME_MAX + sizeof(video_ending)];
    if (view->kind == NODE_BY_STATUS)
        return list_states(tree, offset - 2, fn, context);
    for (struct job *job = jobs_next(tree->settings.jobs, offset - 2); job;
         job = jobs_next(tree->settings.jobs, job->id)) {
        if (!view_has(view, job))
            continue;
        struct node node = view_link(view, job);
        (void)snprintf(name, sizeof(name), "%s%s", job->name,
                       view->kind == NODE_VIDEOS ? video_ending : "");
        if (!tree_list_add(tree, &node, name, job->id + 2, fn, context))
            return false;
    }
    return true;
}

static unsigned char mark_of(const struct job *job)
{
    return (unsigned char)(MARK_KNOWN | (unsigned)job->state |
                           (node_has_video(job) ? MARK_VIDEO : 0));
}

/* The name in the views that a mark stands for has come or gone, now. */
static void mark_note_activity(struct tree *tree, unsigned char mark)
{
    int64_t now_ms = clock_wall_ms(tree->settings.clock);
    if (!(mark & MARK_KNOWN))
        return;
    tree->status_changed_ms[mark & MARK_STATE] = now_ms;
    if (mark & MARK_VIDEO)
        tree->videos_changed_ms = now_ms;
}

void views_begin(struct tree *tree)
{
    tree->videos_changed_ms = tree->born_ms;
    for (size_t i = 0; i < JOB_STATE_COUNT; i++)
        tree->status_changed_ms[i] = tree->born_ms;
    for (struct job *job = jobs_next(tree->settings.jobs, 0); job;
         job = jobs_next(tree->settings.jobs, job->id)) {
        job->view_mark = mark_of(job);
        tree->status_counts[job->state]++;
    }
}

void views_job_changed(struct tree *tree, struct job *job)
{
    unsigned char before = job->view_mark;
    unsigned char now = mark_of(job);
    if (before == now)
        return;
    job->view_mark = now;
    if ((before & ~MARK_VIDEO) == (now & ~MARK_VIDEO)) { /* only the video has come or gone */
        tree->videos_changed_ms = clock_wall_ms(tree->settings.clock);
        return;
    }
    if (before & MARK_KNOWN)
        tree->status_counts[before & MARK_STATE]--;
    else /* it was made */
        tree->jobs_changed_ms = clock_wall_ms(tree->settings.clock);
    tree->status_counts[now & MARK_STATE]++;
    mark_note_activity(tree, before);
    mark_note_activity(tree, now);
}

void views_job_gone(struct tree *tree, struct job *job)
{
    if (job->view_mark & MARK_KNOWN)
        tree->status_counts[job->view_mark & MARK_STATE]--;
    mark_note_activity(tree, job->view_mark);
    job->view_mark = 0;
}

void views_name_changed(struct tree *tree, const struct job *job)
{
    mark_note_activity(tree, job->view_mark);
}
