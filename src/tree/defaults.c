/*
 * defaults.json and defaults.error at the root: the names, attributes and handles of what the job
 * layer keeps. They are the only files there that come and go, and the first is the only one that
 * can be written.
 */
#include "tree_private.h"

#include "seedancefs/job/defaults.h"

#include <string.h>

int defaults_render(struct tree *tree, struct buf *out)
{
    const struct buf *text = jobs_defaults_text(tree->settings.jobs);
    return buf_add(out, buf_text(text), text->len);
}

int defaults_error_render(struct tree *tree, struct buf *out)
{
    const char *problem = jobs_defaults_problem(tree->settings.jobs);
    return text_add_shown(out, problem ? problem : "", problem ? strlen(problem) : 0);
}

bool defaults_has_kind(enum node_kind kind)
{
    return kind == NODE_DEFAULTS || kind == NODE_DEFAULTS_ERROR;
}

bool defaults_is_there(const struct tree *tree, enum node_kind kind)
{
    if (kind == NODE_DEFAULTS)
        return jobs_defaults_is_there(tree->settings.jobs);
    return kind != NODE_DEFAULTS_ERROR || jobs_defaults_problem(tree->settings.jobs) != NULL;
}

bool defaults_has_name(const struct node *directory, const char *name)
{
    return directory->kind == NODE_ROOT && strcmp(name, DEFAULTS_NAME) == 0;
}

int64_t defaults_changed_ms(const struct tree *tree)
{
    return jobs_defaults_changed_ms(tree->settings.jobs);
}

int64_t root_changed_ms(const struct tree *tree)
{
    int64_t named_ms = jobs_defaults_named_ms(tree->settings.jobs);
    return named_ms > tree->born_ms ? named_ms : tree->born_ms;
}
