/*
 * Views: the same jobs in another order.
 *
 *   videos/NAME.mp4        the file jobs/NAME/output.mp4 once more, of each job that has one
 *   videos/NAME.json       what it was made from; see video_facts.c. A long NAME is cut: see
 *                          jobs_stem_get()
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

#include "seedancefs/base/number.h"
#include "seedancefs/base/text.h"

#include <stdio.h>
#include <string.h>

/* The names of a job in a view: in by-status its own. */
static const char *const video_endings[] = {".mp4", ".json"};
static const char *const link_endings[] = {""};

static bool is_videos(const struct node *view)
{
    return view->kind == NODE_VIDEOS;
}

static const char *const *endings(const struct node *view)
{
    return is_videos(view) ? video_endings : link_endings;
}

static size_t endings_count(const struct node *view)
{
    return is_videos(view) ? ARRAY_COUNT(video_endings) : ARRAY_COUNT(link_endings);
}

/* Whether this job stands in the view. */
static bool view_has(const struct node *view, const struct job *job)
{
    return is_videos(view) ? output_is_there(job, MEDIA_VIDEO) : (int64_t)job->state == view->id;
}

static struct node view_node(const struct node *view, struct job *job, size_t ending)
{
    if (is_videos(view))
        return ending == 0 ? media_node(output_take(job), MEDIA_VIDEO)
                           : video_facts_node(output_take(job));
    return (struct node){.ops = &job_link_ops, .kind = NODE_JOB_LINK, .id = job->id, .job = job};
}

static int view_lookup(struct tree *tree, const struct node *view, const char *name,
                       struct node *out)
{
    char job_name[TEXT_NAME_MAX + 1];
    size_t len = strlen(name);
    if (len > TEXT_NAME_MAX)
        return -ENAMETOOLONG;
    for (size_t i = 0; i < endings_count(view); i++) {
        const char *ending = endings(view)[i];
        size_t stem = len - min_size(len, strlen(ending));
        if (stem == 0 || strcmp(name + stem, ending) != 0)
            continue;
        (void)snprintf(job_name, sizeof(job_name), "%.*s", (int)stem, name);
        struct job *job = is_videos(view) ? jobs_find_by_stem(tree->settings.jobs, job_name)
                                          : jobs_find(tree->settings.jobs, job_name);
        if (!job || !view_has(view, job))
            return -ENOENT;
        *out = view_node(view, job, i);
        return 0;
    }
    return -ENOENT;
}

/* Each job has as many offsets as names: job n has those from 2 + n * names on. */
static int view_next(struct tree *tree, const struct node *view, struct node_child *child)
{
    int64_t names = (int64_t)endings_count(view);
    int64_t at = child->next - 2;
    int64_t id = at / names;
    struct job *job = jobs_next(tree->settings.jobs, id - 1);
    while (job && !view_has(view, job))
        job = jobs_next(tree->settings.jobs, job->id);
    if (!job)
        return 0;
    size_t ending = job->id == id ? (size_t)(at % names) : 0;
    child->node = view_node(view, job, ending);
    child->next = job->id * names + (int64_t)ending + 3;
    char stem[JOB_STEM_MAX + 1];
    jobs_stem_get(tree->settings.jobs, job->id, job->name, stem);
    (void)snprintf(child->name, sizeof(child->name), "%s%s", is_videos(view) ? stem : job->name,
                   endings(view)[ending]);
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
