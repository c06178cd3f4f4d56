/*
 * models/MODEL.json: what each model accepts and costs. The files never change while the program
 * runs.
 */
#include "handle.h"

#include "seedancefs/base/text.h"
#include "seedancefs/job/models.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* By its name, because other models may be there after the next start. The inode has 56 bits for
 * it. */
static int64_t model_id(const struct jobs *jobs, size_t index)
{
    const char *name = jobs_model_name(jobs, index);
    return (int64_t)(text_hash(name, strlen(name)) >> 9);
}

static size_t model_find(const struct tree *tree, const struct node *node)
{
    const struct jobs *jobs = tree->settings.jobs;
    size_t index = 0;
    while (index < jobs_model_count(jobs) && model_id(jobs, index) != node->id)
        index++;
    return index;
}

static int models_next(struct tree *tree, const struct node *directory UNUSED,
                       struct node_child *child)
{
    const struct jobs *jobs = tree->settings.jobs;
    size_t index = (size_t)child->next - 2;
    if (index >= jobs_model_count(jobs))
        return 0;
    child->node = (struct node){.ops = &model_ops, .kind = NODE_MODEL, .id = model_id(jobs, index)};
    child->next++;
    (void)snprintf(child->name, sizeof(child->name), "%s.json", jobs_model_name(jobs, index));
    return 1;
}

static int model_get(struct tree *tree, struct node *node)
{
    return model_find(tree, node) < jobs_model_count(tree->settings.jobs) ? 0 : -ESTALE;
}

static int model_render(struct tree *tree, const struct node *node, struct buf *out)
{
    return jobs_model_render(tree->settings.jobs, model_find(tree, node), out);
}

const struct node_ops models_ops = {DIRECTORY_OPS, .next = models_next};

const struct node_ops model_ops = {.mode = S_IFREG | 0444,
                                   .parent = NODE_MODELS,
                                   .entry_s = KEEP_LONG_S,
                                   .attr_s = KEEP_LONG_S,
                                   .get = model_get,
                                   .render = model_render};
