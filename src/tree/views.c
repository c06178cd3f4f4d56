/*
 * Views: the same jobs in another order.
 *
 *   videos/NAME.mp4        the file jobs/NAME/output.mp4 once more, of each job that has one
 *   by-status/STATUS/NAME  -> ../../jobs/NAME, one directory for each status word
 *
 * A lookup finds a name among the jobs. A listing walks all jobs in the order of their ids and
 * skips those that do not belong. When names came and went is in view_marks.c.
 *
 * Videos are no links, because what copies links would have none of the videos. A link has the
 * inode of its job, in whichever directory it is found. The names come and go by themselves, so the
 * kernel may not keep them (is_view).
 */
#include "tree_private.h"

#include "seedancefs/base/text.h"

#include <stdio.h>
#include <string.h>

static const char video_ending[] = ".mp4";

static bool is_videos(const struct node *view)
{
    return view->kind == NODE_VIDEOS;
}

/* Whether this job stands in the view. */
static bool view_has(const struct node *view, const struct job *job)
{
    return is_videos(view) ? output_is_there(job, MEDIA_VIDEO) : (int64_t)job->state == view->id;
}

static struct node view_node(const struct node *view, struct job *job)
{
    if (is_videos(view))
        return media_node(output_take(job), MEDIA_VIDEO);
    return (struct node){.ops = &job_link_ops, .kind = NODE_JOB_LINK, .id = job->id, .job = job};
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
    *out = view_node(view, job);
    return 0;
}

static int view_next(struct tree *tree, const struct node *view, struct node_child *child)
{
    struct job *job = jobs_next(tree->settings.jobs, child->next - 2);
    while (job && !view_has(view, job))
        job = jobs_next(tree->settings.jobs, job->id);
    if (!job)
        return 0;
    child->node = view_node(view, job);
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
    return node->job && !node->job->is_provisional && !node->job->is_assets ? 0 : -ESTALE;
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

const struct node_ops videos_ops = {DIRECTORY_OPS,         .is_view = true,
                                    .gone_type = S_IFREG,  .changed_ms = videos_changed_ms,
                                    .lookup = view_lookup, .next = view_next};

const struct node_ops by_status_ops = {DIRECTORY_OPS, .next = by_status_next};

const struct node_ops status_ops = {
    DIRECTORY_OPS,     .parent = NODE_BY_STATUS,        .is_view = true,       .gone_type = S_IFLNK,
    .get = status_get, .changed_ms = status_changed_ms, .lookup = view_lookup, .next = view_next};

const struct node_ops job_link_ops = {
    .mode = S_IFLNK | 0777, .get = link_get, .render = job_link_render};
