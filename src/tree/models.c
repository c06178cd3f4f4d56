/*
 * models/MODEL.json: what each model accepts and costs. The files never change while the program
 * runs.
 */
#include "handle.h"

#include "seedancefs/job/models.h"

#include <stdio.h>

static int models_next(struct tree *tree UNUSED, const struct node *directory UNUSED,
                       struct node_child *child)
{
    int64_t index = child->next - 2;
    if ((size_t)index >= jobs_model_count())
        return 0;
    child->node = (struct node){.ops = &model_ops, .kind = NODE_MODEL, .id = index};
    child->next++;
    (void)snprintf(child->name, sizeof(child->name), "%s.json", jobs_model_name((size_t)index));
    return 1;
}

static int model_get(struct tree *tree UNUSED, struct node *node)
{
    return (uint64_t)node->id < jobs_model_count() ? 0 : -ESTALE;
}

static int model_render(struct tree *tree UNUSED, const struct node *node, struct buf *out)
{
    return jobs_model_render((size_t)node->id, out);
}

const struct node_ops models_ops = {DIRECTORY_OPS, .next = models_next};

const struct node_ops model_ops = {.mode = S_IFREG | 0444,
                                   .parent = NODE_MODELS,
                                   .entry_s = KEEP_LONG_S,
                                   .attr_s = KEEP_LONG_S,
                                   .get = model_get,
                                   .render = model_render};
