/*
 * models/MODEL.json: what each model takes and costs. They never change while the program runs.
 */
#include "tree_private.h"

#include "seedancefs/job/models.h"

#include <stdio.h>
#include <string.h>

static const char ending[] = ".json";

enum { MODEL_NAME_SIZE = 128 };

static void file_name(size_t index, char out[static MODEL_NAME_SIZE])
{
    (void)snprintf(out, MODEL_NAME_SIZE, "%s%s", jobs_model_name(index), ending);
}

bool models_has_kind(enum node_kind kind)
{
    return kind == NODE_MODELS || kind == NODE_MODEL;
}

int models_get(const struct node *node)
{
    bool is_there =
        node->kind == NODE_MODEL ? (uint64_t)node->id < jobs_model_count() : node->id == 0;
    return is_there ? 0 : -ESTALE;
}

int models_find(const char *name, struct node *out)
{
    char found[MODEL_NAME_SIZE];
    for (size_t i = 0; i < jobs_model_count(); i++) {
        file_name(i, found);
        if (strcmp(found, name) == 0) {
            *out = (struct node){.kind = NODE_MODEL, .id = (int64_t)i};
            return 0;
        }
    }
    return -ENOENT;
}

bool models_list(struct tree *tree, int64_t offset, tree_list_fn *fn, void *context)
{
    char name[MODEL_NAME_SIZE];
    for (int64_t i = offset - 2; i < (int64_t)jobs_model_count(); i++) {
        struct node node = {.kind = NODE_MODEL, .id = i};
        file_name((size_t)i, name);
        if (!tree_list_add(tree, &node, name, i + 3, fn, context))
            return false;
    }
    return true;
}

int models_render(const struct node *node, struct buf *out)
{
    return jobs_model_render((size_t)node->id, out);
}
