/*
 * Views: the same jobs in another order.
 *
 *   videos/NAME.mp4        -> ../jobs/NAME/output.mp4, of each job whose output.mp4 exists
 *   by-status/STATUS/NAME  -> ../../jobs/NAME, one directory for each status word
 *
 * A lookup finds a name among the jobs. A listing walks all jobs in the order of their ids and
 * skips those that do not belong. For each directory the views keep only when a name last came or
 * went, and how many jobs there are. To follow that, one byte of each job (view_mark) remembers in
 * which views it stands.
 *
 * A link has the inode of its job, in whichever directory it is found. Names of links come and go
 * by themselves, so the kernel may not keep them.
 */
#include "tree_private.h"

#include "seedancefs/base/text.h"

#include <stdio.h>
#include <string.h>

static const char video_ending[] = ".mp4";

enum { MARK_KNOWN = 0x80, MARK_VIDEO = 0x40, MARK_STATE = 0x3f };
_Static_assert((int)JOB_STATE_COUNT <= (int)MARK_STATE, "a state fits into the mark");

static bool is_videos(const struct node *view)
{
    return view->kind == NODE_VIDEOS;
}

/* Whether this job stands in the view. */
static bool view_has(const struct node *view, const struct job *job)
{
    return is_videos(view) ? output_is_there(job, MEDIA_VIDEO) : (int64_t)job->state == view->id;
}

static struct node view_link(const struct node *view, struct job *job)
{
    return (struct node){.ops = is_videos(view) ? &video_link_ops : &job_link_ops,
                         .kind = is_videos(view) ? NODE_VIDEO_LINK : NODE_JOB_LINK,
                         .id = job->id,
                         .job = job};
}

static int view_lookup(struct tree *tree, const struct node *view, const char *name,
                       struct node *out)
{
    char job_name[TEXT_NAME_MAX + 1];
    const char *ending = is_videos(view) ? video_ending : "";
    size_t len = strlen(name);
    if (len > TEXT_NAME_MAX + strlen(ending))
        return -ENAMETOOLONG;
    if (len <= strlen(ending) || strcmp(name + len - strlen(ending), ending) != 0)
        return -ENOENT;
    (void)snprintf(job_name, sizeof(job_name), "%.*s", (int)(len - strlen(ending)), name);
    struct job *job = jobs_find(tree->settings.jobs, job_name);
    if (!job || !view_has(view, job))
        return -ENOENT;
    *out = view_link(view, job);
    return 0;
}

static int view_next(struct tree *tree, const struct node *view, struct node_child *child)
{
    struct job *job = jobs_next(tree->settings.jobs, child->next - 2);
    while (job && !view_has(view, job))
        job = jobs_next(tree->settings.jobs, job->id);
    if (!job)
        return 0;
    child->node = view_link(view, job);
    child->next = job->id + 2;
    (void)snprintf(child->name, sizeof(child->name), "%s%s", job->name,
                   is_videos(view) ? video_ending : "");
    return 1;
}

static int64_t videos_changed_ms(const struct tree *tree, const struct node *view UNUSED)
{
    return tree->videos_changed_ms;
}

static int link_get(struct tree *tree, struct node *node)
{
    node->job = jobs_get(tree->settings.jobs, node->id);
    return node->job && !node->job->is_provisional ? 0 : -ESTALE;
}

static int video_link_get(struct tree *tree, struct node *node)
{
    int r = link_get(tree, node);
    return r == 0 && !output_is_there(node->job, MEDIA_VIDEO) ? -ESTALE : r;
}

static int video_link_render(struct tree *tree UNUSED, const struct node *node, struct buf *out)
{
    return buf_addf(out, "../jobs/%s/output.mp4", node->job->name);
}

static int job_link_render(struct tree *tree UNUSED, const struct node *node, struct buf *out)
{
    return buf_addf(out, "../../jobs/%s", node->job->name);
}

static int status_get(struct tree *tree UNUSED, struct node *node)
{
    return node->id < JOB_STATE_COUNT ? 0 : -ESTALE;
}

static int64_t status_changed_ms(const struct tree *tree, const struct node *view)
{
    return tree->status_changed_ms[view->id];
}

static int by_status_next(struct tree *tree UNUSED, const struct node *view UNUSED,
                          struct node_child *child)
{
    int64_t state = child->next - 2;
    if (state >= JOB_STATE_COUNT)
        return 0;
    child->node = (struct node){.ops = &status_ops, .kind = NODE_STATUS, .id = state};
    child->next++;
    (void)snprintf(child->name, sizeof(child->name), "%s",
                   job_state_to_text((enum job_state)state));
    return 1;
}

const struct node_ops videos_ops = {DIRECTORY_OPS, .gone_type = S_IFLNK,
                                    .changed_ms = videos_changed_ms, .lookup = view_lookup,
                                    .next = view_next};

const struct node_ops by_status_ops = {DIRECTORY_OPS, .next = by_status_next};

const struct node_ops status_ops = {
    DIRECTORY_OPS,     .parent = NODE_BY_STATUS,        .gone_type = S_IFLNK,
    .get = status_get, .changed_ms = status_changed_ms, .lookup = view_lookup,
    .next = view_next};

const struct node_ops video_link_ops = {
    .mode = S_IFLNK | 0777, .get = video_link_get, .render = video_link_render};

const struct node_ops job_link_ops = {
    .mode = S_IFLNK | 0777, .get = link_get, .render = job_link_render};

static unsigned char mark_of(const struct job *job)
{
    return (unsigned char)(MARK_KNOWN | (unsigned)job->state |
                           (output_is_there(job, MEDIA_VIDEO) ? MARK_VIDEO : 0));
}

/* Notes the time: the names that the mark stands for come or go now. */
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
    else /* the job was created */
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
