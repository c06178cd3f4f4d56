/*
 * models/MODEL.json: what each model takes and costs. They never change while the program runs.
 */
#include "handle.h"

#include "seedancefs/job/models.h"

#include <stdio.h>
#include <string.h>

static const char ending[] = ".json";

enum { MODEL_NAME_SIZE = 128 };

static void file_name(size_t index, char out[static MODEL_NAME_SIZE])
{
    (void)snprintf(out, MODEL_NAME_SIZE, "%s%s", jobs_model_name(index), ending);
}

static struct node model_node(size_t index)
{
    return (struct node){.ops = &model_ops, .kind = NODE_MODEL, .id = (int64_t)index};
}

static int models_lookup(struct tree *tree UNUSED, const struct node *directory UNUSED,
                         const char *name, struct node *out)
{
    char found[MODEL_NAME_SIZE];
    for (size_t i = 0; i < jobs_model_count(); i++) {
        file_name(i, found);
        if (strcmp(found, name) == 0) {
            *out = model_node(i);
            return 0;
        }
    }
    return -ENOENT;
}

static int models_list(struct tree *tree, const struct node *directory UNUSED, int64_t offset,
                       tree_list_fn *fn, void *context)
{
    char name[MODEL_NAME_SIZE];
    for (size_t i = (size_t)(offset - 2); i < jobs_model_count(); i++) {
        struct node node = model_node(i);
        file_name(i, name);
        if (!node_list_add(tree, &node, name, (int64_t)i + 3, fn, context))
            break;
    }
    return 0;
}

static int model_get(struct tree *tree UNUSED, struct node *node)
{
    return (uint64_t)node->id < jobs_model_count() ? 0 : -ESTALE;
}

static int model_render(struct tree *tree UNUSED, const struct node *node, struct buf *out)
{
    return jobs_model_render((size_t)node->id, out);
}

const struct node_ops models_ops = {
    .mode = S_IFDIR | 0755,
    .parent = NODE_ROOT,
    .entry_s = KEEP_LONG_S,
    .lookup = models_lookup,
    .list = models_list,
};

const struct node_ops model_ops = {
    .mode = S_IFREG | 0444,
    .parent = NODE_MODELS,
    .entry_s = KEEP_LONG_S,
    .attr_s = KEEP_LONG_S,
    .reader = &snapshot_handles,
    .get = model_get,
    .size = node_rendered_size,
    .render = model_render,
};
