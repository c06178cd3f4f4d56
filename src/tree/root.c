/*
 * The root directory: one row for each of its files, and the way from an inode number to the row of
 * its kind.
 */
#include "handle.h"

#include "seedancefs/base/number.h"
#include "seedancefs/job/defaults.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* These files contain names of jobs, too. */
static int64_t all_changed_ms(const struct tree *tree, const struct node *node UNUSED)
{
    return max_int64(tree->changed_ms, tree->jobs_changed_ms);
}

static int64_t metrics_changed_ms(const struct tree *tree, const struct node *node UNUSED)
{
    return tree->metrics_opened_ms;
}

static int64_t events_changed_ms(const struct tree *tree, const struct node *node UNUSED)
{
    return tree->changed_ms;
}

static int events_size(struct tree *tree, const struct node *node UNUSED, int64_t *size)
{
    return jobs_events_size(tree->settings.jobs, size);
}

static const struct node_ops spend_ops = {ROOT_FILE_OPS, .is_size_slow = true, .size = spend_size,
                                          .changed_ms = all_changed_ms, .render = spend_render};

static const struct node_ops index_ops = {ROOT_FILE_OPS, .is_size_slow = true,
                                          .changed_ms = all_changed_ms, .render = index_render};

static const struct node_ops metrics_ops = {ROOT_FILE_OPS, .reader = &metrics_handles,
                                            .changed_ms = metrics_changed_ms,
                                            .render = metrics_render};

static const struct node_ops events_ops = {ROOT_FILE_OPS, .reader = &events_handles,
                                           .size = events_size, .changed_ms = events_changed_ms};

static const struct root_entry {
    const char *name;
    enum node_kind kind;
    const struct node_ops *ops;
} entries[] = {
    {"README.txt", NODE_README, &text_ops},
    {"AGENTS.md", NODE_AGENTS, &text_ops},
    {"jobs", NODE_JOBS, &jobs_ops},
    {ASSETS_NAME, NODE_ASSETS, &assets_ops},
    {"spend.json", NODE_SPEND, &spend_ops},
    {"metrics", NODE_METRICS, &metrics_ops},
    {"videos", NODE_VIDEOS, &videos_ops},
    {"by-status", NODE_BY_STATUS, &by_status_ops},
    {"models", NODE_MODELS, &models_ops},
    {"schema", NODE_SCHEMAS, &schemas_ops},
    {DEFAULTS_NAME, NODE_DEFAULTS, &defaults_ops},
    {"defaults.error", NODE_DEFAULTS_ERROR, &defaults_error_ops},
    {"index.html", NODE_INDEX, &index_ops},
    {"events", NODE_EVENTS, &events_ops},
};

/* -ESTALE: there is no such node now. */
static int node_complete(struct tree *tree, struct node *node)
{
    if (node->ops->get)
        return node->ops->get(tree, node);
    return node->id == 0 ? 0 : -ESTALE;
}

static int root_next(struct tree *tree, const struct node *directory UNUSED,
                     struct node_child *child)
{
    for (size_t i = (size_t)(child->next - 2); i < ARRAY_COUNT(entries); i++) {
        child->node = (struct node){.ops = entries[i].ops, .kind = entries[i].kind};
        if (node_complete(tree, &child->node) < 0)
            continue;
        child->next = (int64_t)i + 3;
        child->is_unlisted = entries[i].kind == NODE_EVENTS;
        (void)snprintf(child->name, sizeof(child->name), "%s", entries[i].name);
        return 1;
    }
    return 0;
}

/* Creates defaults.json after it was removed. */
static int root_create(struct tree *tree UNUSED, const struct node *directory UNUSED,
                       const char *name, mode_t mode UNUSED, int *flags, struct node *out)
{
    if (strcmp(name, DEFAULTS_NAME) != 0)
        return -EPERM;
    *flags |= O_TRUNC;
    *out = (struct node){.ops = &defaults_ops, .kind = NODE_DEFAULTS};
    return 0;
}

/* The time when a name last came or went. */
static int64_t root_changed_ms(const struct tree *tree, const struct node *node UNUSED)
{
    return max_int64(jobs_defaults_named_ms(tree->settings.jobs), tree->born_ms);
}

static const struct node_ops root_ops = {DIRECTORY_OPS, .changed_ms = root_changed_ms,
                                         .next = root_next, .create = root_create};

static const struct node_ops *kind_ops(enum node_kind kind)
{
    static const struct node_ops *const others[] = {
        [NODE_ROOT] = &root_ops,         [NODE_STATUS] = &status_ops,
        [NODE_MODEL] = &model_ops,       [NODE_JOB] = &job_ops,
        [NODE_SCHEMA] = &schema_ops,     [NODE_VIDEO_FACTS] = &video_facts_ops,
        [NODE_FILE] = &file_ops,         [NODE_VIDEO] = &video_ops,
        [NODE_COVER] = &cover_ops,       [NODE_JOB_LINK] = &job_link_ops,
        [NODE_TAKES] = &takes_ops,       [NODE_TAKE_PROMPT] = &take_prompt_ops,
        [NODE_FIRST_FRAME] = &frame_ops, [NODE_LAST_FRAME] = &frame_ops,
    };
    for (size_t i = 0; i < ARRAY_COUNT(entries); i++) {
        if (entries[i].kind == kind)
            return entries[i].ops;
    }
    if (kind >= NODE_GENERATED && kind < NODE_FILE)
        return &generated_ops;
    return kind < ARRAY_COUNT(others) ? others[kind] : NULL;
}

int node_get(struct tree *tree, uint64_t ino, struct node *out)
{
    enum node_kind kind = (enum node_kind)(ino & 0xff);
    *out = (struct node){.ops = kind_ops(kind), .kind = kind, .id = (int64_t)(ino >> 8)};
    return out->ops ? node_complete(tree, out) : -ESTALE;
}
