/*
 * jobs/ and the directory of a job: generated files, its video and cover, and the user's files. The
 * job layer decides what may be done with a job and with a user's file.
 */
#include "handle.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* The names that takes have here, in the order of a listing. */
static const char *const take_names[] = {[MEDIA_VIDEO] = "output.mp4",
                                         [MEDIA_COVER] = "cover.jpg",
                                         "first_frame.png",
                                         "last_frame.png",
                                         TAKES_NAME};
enum { FIRST_FRAME_NAME = MEDIA_COVER + 1 }; /* then in the order of enum job_frame */

static const struct node_ops wait_ops;
static const struct node_ops ctl_ops;

static bool is_name_reserved(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(take_names); i++) {
        if (strcmp(take_names[i], name) == 0)
            return true;
    }
    return generated_find(name) != NULL;
}

/* Every name of ours but `ctl` shows that somebody copies a job. */
static void copy_seen(struct job *job, const char *name)
{
    if (strcmp(name, "ctl") != 0)
        job_copy_seen(job);
}

static struct node job_node(struct job *job)
{
    return (struct node){.ops = &job_ops, .kind = NODE_JOB, .id = job->id, .job = job};
}

static struct node file_node(struct job *job, struct job_file *file)
{
    return (struct node){
        .ops = &file_ops, .kind = NODE_FILE, .id = file->id, .job = job, .file = file};
}

static struct node generated_node(struct job *job, const struct generated *generated)
{
    return (struct node){.ops = generated->flags & GENERATED_UNLISTED ? &wait_ops
                                : generated->mode & 0222              ? &ctl_ops
                                                                      : &generated_ops,
                         .kind = (enum node_kind)(NODE_GENERATED + (generated - generated_table)),
                         .id = job->id,
                         .job = job,
                         .generated = generated};
}

static void names_changed(struct tree *tree)
{
    tree->jobs_changed_ms = clock_wall_ms(tree->settings.clock);
    index_changed(tree);
}

static int64_t jobs_changed_ms(const struct tree *tree, const struct node *node UNUSED)
{
    return tree->jobs_changed_ms;
}

static int jobs_lookup(struct tree *tree, const struct node *directory UNUSED, const char *name,
                       struct node *out)
{
    struct job *job = jobs_find(tree->settings.jobs, name);
    if (!job)
        return strlen(name) > TEXT_NAME_MAX ? -ENAMETOOLONG : -ENOENT;
    *out = job_node(job);
    return 0;
}

static int jobs_step(struct tree *tree, const struct node *directory UNUSED,
                     struct node_child *child)
{
    struct job *job = jobs_next(tree->settings.jobs, child->next - 2);
    if (!job)
        return 0;
    child->node = job_node(job);
    child->next = job->id + 2;
    (void)snprintf(child->name, sizeof(child->name), "%s", job->name);
    return 1;
}

static int jobs_mkdir(struct tree *tree, const struct node *directory UNUSED, const char *name,
                      struct node *out)
{
    struct job *job = jobs_find_provisional(tree->settings.jobs, name);
    if (job)
        change_event_directory_made(job);
    int r = jobs_create(tree->settings.jobs, name, &job);
    if (r == 0)
        *out = job_node(job);
    return r;
}

const struct node_ops jobs_ops = {
    DIRECTORY_OPS,         .gone_type = S_IFDIR, .changed_ms = jobs_changed_ms,
    .lookup = jobs_lookup, .next = jobs_step,    .mkdir = jobs_mkdir};

static int job_get(struct tree *tree, struct node *node)
{
    node->job = jobs_get(tree->settings.jobs, node->id);
    return node->job && !node->job->is_assets ? 0 : -ESTALE;
}

static int job_getattr(struct tree *tree UNUSED, const struct node *node, struct tree_entry *out)
{
    const struct job *job = node->job;
    if (job->is_provisional)
        out->entry_s = 0;
    /* The times of an active job change by themselves. */
    if (job->is_provisional || job_state_class(job->state) == JOB_CLASS_ACTIVE)
        out->attr_s = 0;
    return 0;
}

static int file_lookup(struct job *job, const char *name, struct node *out)
{
    struct job_detail *detail;
    int r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    struct job_file *file = job_file_find(detail, name);
    if (!file || job_file_is_hidden(file))
        return -ENOENT;
    *out = file_node(job, file);
    return 0;
}

/* A file of the user's from the time before these pictures goes first. */
static int frame_lookup(struct tree *tree, struct job *job, const char *name, struct node *out)
{
    int r = file_lookup(job, name, out);
    for (int frame = JOB_FIRST_FRAME; r == -ENOENT && frame <= JOB_LAST_FRAME; frame++) {
        if (strcmp(name, take_names[FIRST_FRAME_NAME + frame]) != 0 ||
            !frame_is_found(tree, job, (enum job_frame)frame))
            continue;
        *out = frame_node(output_take(job), (enum job_frame)frame);
        return 0;
    }
    return r;
}

static bool is_frame_made(const struct tree *tree, const struct node *node)
{
    int64_t size;
    return frame_size_get(tree, node->id, node_frame(node), &size) == 0;
}

static int job_lookup(struct tree *tree, const struct node *directory, const char *name,
                      struct node *out)
{
    struct job *job = directory->job;
    if (job->is_provisional)
        return -ENOENT; /* it contains nothing yet */
    const struct generated *generated = generated_find(name);
    if (generated) {
        *out = generated_node(job, generated);
        return generated_is_there(job, generated) ? 0 : -ENOENT;
    }
    for (int kind = MEDIA_VIDEO; kind <= MEDIA_COVER; kind++) {
        if (strcmp(name, take_names[kind]) != 0)
            continue;
        if (!output_is_there(job, (enum media_kind)kind))
            return -ENOENT;
        *out = media_node(output_take(job), (enum media_kind)kind);
        return 0;
    }
    if (strcmp(name, TAKES_NAME) == 0 && takes_are_there(job)) {
        *out = takes_node(job);
        return 0;
    }
    return frame_lookup(tree, job, name, out);
}

/* Steps through the user's files, whose offsets are behind `first`. */
static int files_next(struct job *job, int64_t first, struct node_child *child)
{
    struct job_detail *detail;
    struct job_file *file;
    int r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    DL_FOREACH (job_files_get(detail), file) {
        int64_t next = first + file->id;
        if (file->is_unlinked || job_file_is_hidden(file) || next <= child->next)
            continue;
        child->node = file_node(job, file);
        child->next = next;
        child->is_unlisted = false;
        (void)snprintf(child->name, sizeof(child->name), "%s", file->name);
        return 1;
    }
    return 0;
}

/* Generated files and those of takes come in the order of their tables, then the user's by id. */
static int job_next(struct tree *tree, const struct node *directory, struct node_child *child)
{
    const int64_t fixed = GENERATED_COUNT + (int64_t)ARRAY_COUNT(take_names);
    for (int64_t i = child->next - 2; i < fixed; i++) {
        const struct generated *generated = i < GENERATED_COUNT ? &generated_table[i] : NULL;
        const char *name = generated ? generated->name : take_names[i - GENERATED_COUNT];
        if (job_lookup(tree, directory, name, &child->node) < 0 || child->node.file)
            continue;
        child->next = i + 3;
        child->is_unlisted = generated ? (generated->flags & GENERATED_UNLISTED) != 0
                             : node_is_frame(&child->node) ? !is_frame_made(tree, &child->node)
                                                           : child->node.kind == NODE_TAKES &&
                                                                 takes_are_hidden(directory->job);
        (void)snprintf(child->name, sizeof(child->name), "%s", name);
        return 1;
    }
    return files_next(directory->job, fixed + 3, child);
}

static int file_create(struct job *job, const char *name, mode_t mode, int *flags, struct node *out)
{
    struct job_file *file;
    int r = job_file_create(job, name, mode, &file);
    if (r < 0)
        return r;
    *flags = (*flags & ~O_TRUNC) | O_APPEND; /* it is empty, so writes begin at its end */
    *out = file_node(job, file);
    return 0;
}

static int job_create(struct tree *tree UNUSED, const struct node *directory, const char *name,
                      mode_t mode, int *flags, struct node *out)
{
    if (is_name_reserved(name)) {
        copy_seen(directory->job, name);
        return -ERR_NAME_RESERVED;
    }
    return file_create(directory->job, name, mode, flags, out);
}

static int job_mkdir(struct tree *tree UNUSED, const struct node *directory, const char *name,
                     struct node *out UNUSED)
{
    if (is_name_reserved(name))
        copy_seen(directory->job, name);
    return -EPERM;
}

static bool job_has_files(struct job *job)
{
    struct job_detail *detail;
    if (job_detail_get(job, &detail) < 0)
        return true; /* not known, so the job is not removed */
    const struct job_file *file;
    DL_FOREACH (job_files_get(detail), file) {
        if (!job_file_is_removed(file))
            return true;
    }
    return false;
}

void job_was_removed(struct tree *tree, struct job *job)
{
    names_changed(tree);
    views_job_gone(tree, job);
    change_event_job_gone(tree, job);
    watch_changed(tree, job);
}

void job_was_renamed(struct tree *tree, struct job *job, const char *old_name)
{
    names_changed(tree);
    views_name_changed(tree, job);
    change_event_job_renamed(tree, job, old_name);
}

static int job_rmdir(struct tree *tree, const struct node *node)
{
    if (job_has_files(node->job))
        return -ENOTEMPTY;
    CLEANUP(job_drop) struct job *job = job_ref(node->job);
    int r = jobs_remove(job);
    if (r == 0)
        job_was_removed(tree, job);
    return r;
}

static int job_rename(struct tree *tree, const struct node *node, const struct node *directory,
                      const char *name, unsigned flags)
{
    if (directory->kind != NODE_JOBS)
        return -EPERM;
    struct job *found = jobs_find(tree->settings.jobs, name);
    CLEANUP(job_drop) struct job *target = found && found != node->job ? job_ref(found) : NULL;
    char old_name[TEXT_NAME_MAX + 1];
    (void)snprintf(old_name, sizeof(old_name), "%s", node->job->name);
    int r = jobs_rename(node->job, name, (flags & RENAME_NOREPLACE) == 0);
    if (r < 0)
        return r;
    if (target)
        job_was_removed(tree, target);
    job_was_renamed(tree, node->job, old_name);
    watch_changed(tree, NULL); /* `events` */
    return 0;
}

const struct node_ops job_ops = {
    DIRECTORY_OPS,      .parent = NODE_JOBS,  .attr_s = KEEP_SHORT_S, .has_xattrs = true,
    .is_users = true,   .gone_type = S_IFREG, .get = job_get,         .getattr = job_getattr,
    .rmdir = job_rmdir, .rename = job_rename, .lookup = job_lookup,   .next = job_next,
    .mkdir = job_mkdir, .create = job_create};

static int generated_get(struct tree *tree, struct node *node)
{
    size_t index = (size_t)node->kind - NODE_GENERATED;
    int r = job_get(tree, node);
    if (r < 0 || index >= GENERATED_COUNT)
        return -ESTALE;
    *node = generated_node(node->job, &generated_table[index]);
    return 0;
}

static mode_t generated_permissions(const struct node *node)
{
    const struct generated *generated = node->generated;
    return generated->flags & GENERATED_WORDS
               ? 0400 | (generated->mode & job_readers_get(node->job))
               : generated->mode;
}

static int generated_getattr(struct tree *tree UNUSED, const struct node *node,
                             struct tree_entry *out)
{
    out->entry_s = node->generated->flags & GENERATED_PERMANENT ? KEEP_LONG_S : 0;
    return 0;
}

static int generated_unlink(struct tree *tree, const struct node *node)
{
    return job_hide(tree, node->job, node->generated - generated_table);
}

#define GENERATED_OPS                                                                              \
    .mode = S_IFREG, .parent = NODE_JOB, .is_direct = true, .get = generated_get,                  \
    .permissions = generated_permissions, .getattr = generated_getattr,                            \
    .render = generated_render, .unlink = generated_unlink

const struct node_ops generated_ops = {GENERATED_OPS, .is_made = true,
                                       .reader = &generated_handles};
static const struct node_ops wait_ops = {GENERATED_OPS, .is_made = true, .reader = &wait_handles};

/* `>` truncates, but ctl has no content that could be cut off. */
static int ctl_setattr(struct tree *tree UNUSED, const struct node *node UNUSED,
                       const struct tree_change *change UNUSED)
{
    return 0;
}

static const struct node_ops ctl_ops = {GENERATED_OPS, .reader = &generated_handles,
                                        .writer = &ctl_handles, .setattr = ctl_setattr};

static int file_get(struct tree *tree, struct node *node)
{
    struct job_detail *detail;
    node->job = jobs_get_by_file(tree->settings.jobs, node->id);
    int r = node->job ? job_detail_get(node->job, &detail) : -ESTALE;
    if (r < 0)
        return r;
    node->file = job_file_get(detail, node->id);
    return node->file ? 0 : -ESTALE;
}

static mode_t file_permissions(const struct node *node)
{
    return job_file_mode_get(node->file);
}

static int file_getattr(struct tree *tree, const struct node *node, struct tree_entry *out)
{
    mode_t mode = out->st.st_mode;
    int r = job_file_stat(node->file, &out->st);
    if (r < 0)
        return r;
    out->st.st_mode = mode;
    out->st.st_uid = tree->uid;
    out->st.st_gid = tree->gid;
    out->st.st_nlink = node->file->is_unlinked ? 0 : 1;
    out->st.st_rdev = 0;
    /* The mode of the prompt changes by itself when the prompt is accepted. */
    if (job_file_is_prompt(node->file))
        out->attr_s = 0;
    return 0;
}

static int file_setattr(struct tree *tree, const struct node *node,
                        const struct tree_change *change)
{
    int r = 0;
    if (change->has_size)
        r = job_file_truncate(node->file, change->size);
    if (r == 0 && change->has_mode)
        r = job_file_mode_set(node->file, change->mode);
    /* The mode of a prompt says who may see its words. */
    if (r == 0 && change->has_mode && job_file_is_prompt(node->file))
        index_changed(tree);
    if (r == 0 && change->has_times)
        r = job_file_times_set(node->file, change->times);
    return r;
}

static int file_unlink(struct tree *tree, const struct node *node)
{
    index_changed(tree); /* if it is a prompt, its mode says who may see its words */
    return job_file_unlink(node->file);
}

static int file_rename(struct tree *tree, const struct node *node, const struct node *directory,
                       const char *name, unsigned flags)
{
    if (directory->kind == NODE_ROOT && strcmp(name, DEFAULTS_NAME) == 0)
        return defaults_rename(tree, node->file, flags);
    struct job *job = directory->job;
    int r = directory->kind == NODE_ASSETS ? jobs_assets_make(tree->settings.jobs, &job)
            : directory->kind == NODE_JOB  ? 0
                                           : -EPERM;
    if (r < 0)
        return r;
    if (!job->is_assets && is_name_reserved(name)) {
        copy_seen(job, name);
        return -ERR_NAME_RESERVED;
    }
    return job_file_rename(node->file, job, name, (flags & RENAME_NOREPLACE) == 0);
}

const struct node_ops file_ops = {.mode = S_IFREG,
                                  .parent = NODE_JOB,
                                  .entry_s = KEEP_LONG_S,
                                  .attr_s = KEEP_SHORT_S,
                                  .is_users = true,
                                  .reader = &file_handles,
                                  .get = file_get,
                                  .permissions = file_permissions,
                                  .getattr = file_getattr,
                                  .setattr = file_setattr,
                                  .unlink = file_unlink,
                                  .rename = file_rename};

/* assets/: users' files and nothing else. It is there always, and kept in the store from the first
 * file on. */
static int assets_lookup(struct tree *tree, const struct node *directory UNUSED, const char *name,
                         struct node *out)
{
    struct job *assets = jobs_assets(tree->settings.jobs);
    if (strlen(name) > TEXT_NAME_MAX)
        return -ENAMETOOLONG;
    return assets ? file_lookup(assets, name, out) : -ENOENT;
}

static int assets_next(struct tree *tree, const struct node *directory UNUSED,
                       struct node_child *child)
{
    struct job *assets = jobs_assets(tree->settings.jobs);
    return assets ? files_next(assets, 2, child) : 0;
}

static int assets_create(struct tree *tree, const struct node *directory UNUSED, const char *name,
                         mode_t mode, int *flags, struct node *out)
{
    struct job *assets;
    int r = jobs_assets_make(tree->settings.jobs, &assets);
    return r < 0 ? r : file_create(assets, name, mode, flags, out);
}

const struct node_ops assets_ops = {DIRECTORY_OPS,        .attr_s = KEEP_SHORT_S,
                                    .gone_type = S_IFREG, .lookup = assets_lookup,
                                    .next = assets_next,  .create = assets_create};
