/*
 * The nodes of defaults.json and defaults.error at the root; the job layer keeps their content. No
 * other files there come and go, and defaults.json is the only one that can be written.
 */
#include "handle.h"

#include "seedancefs/job/defaults.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int defaults_get(struct tree *tree, struct node *node)
{
    return node->id == 0 && jobs_defaults_is_there(tree->settings.jobs) ? 0 : -ESTALE;
}

static int defaults_render(struct tree *tree, const struct node *node UNUSED, struct buf *out)
{
    const struct buf *text = jobs_defaults_text(tree->settings.jobs);
    return buf_add(out, buf_text(text), text->len);
}

static int64_t defaults_changed_ms(const struct tree *tree, const struct node *node UNUSED)
{
    return jobs_defaults_changed_ms(tree->settings.jobs);
}

static int defaults_setattr(struct tree *tree, const struct node *node UNUSED,
                            const struct tree_change *change)
{
    return change->has_size ? jobs_defaults_truncate(tree->settings.jobs, change->size) : 0;
}

static int defaults_unlink(struct tree *tree, const struct node *node UNUSED)
{
    return jobs_defaults_remove(tree->settings.jobs);
}

int defaults_rename(struct tree *tree, struct job_file *file, unsigned flags)
{
    struct jobs *jobs = tree->settings.jobs;
    if ((flags & RENAME_NOREPLACE) && jobs_defaults_is_there(jobs))
        return -EEXIST;
    int r = jobs_defaults_take(jobs, file);
    return r < 0 ? r : job_file_unlink(file);
}

const struct node_ops defaults_ops = {.mode = S_IFREG | 0644,
                                      .is_direct = true,
                                      .writer = &defaults_handles,
                                      .get = defaults_get,
                                      .changed_ms = defaults_changed_ms,
                                      .setattr = defaults_setattr,
                                      .render = defaults_render,
                                      .unlink = defaults_unlink};

static int defaults_error_get(struct tree *tree, struct node *node)
{
    return node->id == 0 && jobs_defaults_problem(tree->settings.jobs) ? 0 : -ESTALE;
}

static int defaults_error_render(struct tree *tree, const struct node *node UNUSED, struct buf *out)
{
    const char *problem = jobs_defaults_problem(tree->settings.jobs);
    return text_add_shown(out, problem ? problem : "", problem ? strlen(problem) : 0);
}

const struct node_ops defaults_error_ops = {.mode = S_IFREG | 0444,
                                            .is_direct = true,
                                            .get = defaults_error_get,
                                            .changed_ms = defaults_changed_ms,
                                            .render = defaults_error_render};
