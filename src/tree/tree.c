/*
 * Names: finding, listing, making, removing and renaming. What a name means is node.c's matter;
 * what may be done with a job is the job layer's.
 */
#include "tree_private.h"

#include "seedancefs/base/text.h"
#include "seedancefs/job/defaults.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int tree_new(const struct tree_settings *settings, struct tree **out)
{
    struct tree *tree = calloc(1, sizeof(*tree));
    if (!tree)
        return -ENOMEM;
    tree->settings = *settings;
    tree->uid = getuid();
    tree->gid = getgid();
    tree->metrics_opened_ms = tree->born_ms = tree->jobs_changed_ms = tree->changed_ms =
        clock_wall_ms(settings->clock);
    buf_init(&tree->scratch, 128 * 1024 * 1024);
    views_begin(tree);
    change_events_begin(tree);
    index_init(tree);
    *out = tree;
    return 0;
}

struct tree *tree_free(struct tree *tree)
{
    if (!tree)
        return NULL;
    timer_cancel(tree->settings.timers, &tree->probe_timer);
    archive_end(tree);
    watches_end(tree);
    buf_fini(&tree->scratch);
    index_fini(tree);
    spend_forget(tree);
    free(tree);
    return NULL;
}

void tree_start(struct tree *tree)
{
    tree->is_started = true;
    archive_soon(tree);
}

static struct node node_parent(const struct node *node)
{
    if (node->kind == NODE_JOB)
        return (struct node){.kind = NODE_JOBS};
    if (view_has_kind(node->kind))
        return view_parent(node);
    if (node->kind == NODE_MODELS || node->kind == NODE_EVENTS)
        return (struct node){.kind = NODE_ROOT};
    if (node->kind <= NODE_JOBS)
        return (struct node){.kind = NODE_ROOT};
    return (struct node){.kind = NODE_JOB, .id = node->job->id, .job = node->job};
}

int tree_lookup(struct tree *tree, uint64_t parent, const char *name, struct tree_entry *out)
{
    struct node directory;
    struct node node;
    int r = node_get(tree, parent, &directory);
    if (r < 0)
        return r;
    /* An NFS server asks for these when it has nothing but an inode number. */
    if (strcmp(name, ".") == 0)
        return node_entry(tree, &directory, out);
    if (strcmp(name, "..") == 0) {
        node = node_parent(&directory);
        return node_entry(tree, &node, out);
    }
    r = node_find(tree, &directory, name, &node);
    return r < 0 ? r : node_entry(tree, &node, out);
}

int tree_provisional_check(struct tree *tree, uint64_t parent, const struct tree_caller *caller)
{
    return parent == node_ino(NODE_JOBS, 0) ? tree_access(tree, parent, W_OK | X_OK, caller)
                                            : -ENOENT;
}

int tree_lookup_provisional(struct tree *tree, uint64_t parent, const char *name,
                            struct tree_entry *out)
{
    if (parent != node_ino(NODE_JOBS, 0))
        return -ENOENT;
    struct job *job;
    int r = jobs_create_provisional(tree->settings.jobs, name, &job);
    if (r < 0)
        return r;
    change_event_directory_implied(job);
    struct node node = {.kind = NODE_JOB, .id = job->id, .job = job};
    return node_entry(tree, &node, out);
}

const char *tree_path_split(struct tree *tree, const char *path, uint64_t *parent)
{
    struct node directory = {.kind = NODE_ROOT};
    const char *slash;
    while ((slash = strchr(path, '/'))) {
        char name[TEXT_NAME_MAX + 1];
        struct node node;
        size_t len = (size_t)(slash - path);
        if (len > TEXT_NAME_MAX)
            return NULL;
        memcpy(name, path, len);
        name[len] = '\0';
        if (node_find(tree, &directory, name, &node) < 0 || !node_is_directory(&node))
            return NULL;
        directory = node;
        path = slash + 1;
    }
    *parent = node_ino(directory.kind, directory.id);
    return path;
}

int tree_lookup_gone(struct tree *tree, uint64_t parent, const char *name, struct tree_entry *out)
{
    struct node directory;
    struct node node;
    int r = node_get(tree, parent, &directory);
    if (r < 0)
        return r;
    bool is_link = view_has_kind(directory.kind);
    if ((!is_link && directory.kind != NODE_JOB) ||
        node_find(tree, &directory, name, &node) != -ENOENT)
        return -ENOENT;
    node_ghost_entry(tree, is_link, out);
    return 0;
}

int tree_getattr(struct tree *tree, uint64_t ino, struct tree_entry *out)
{
    struct node node;
    int r = node_get(tree, ino, &node);
    return r < 0 ? r : node_entry(tree, &node, out);
}

int tree_readlink(struct tree *tree, uint64_t ino, struct buf *out)
{
    struct node node;
    int r = node_get(tree, ino, &node);
    if (r == 0 && !view_is_link(&node))
        r = -EINVAL;
    return r < 0 ? r : view_readlink(&node, out);
}

int tree_access(struct tree *tree, uint64_t ino, int mask, const struct tree_caller *caller)
{
    struct node node;
    int r = node_get(tree, ino, &node);
    return r < 0 ? r : node_access(tree, &node, mask, caller);
}

/* That of a prompt says who may see its words. */
static int mode_change(struct tree *tree, const struct node *node, mode_t mode)
{
    int r = job_file_mode_set(node->file, mode);
    if (r == 0 && job_file_is_prompt(node->file))
        index_changed(tree);
    return r;
}

static int file_change(struct tree *tree, const struct node *node, const struct tree_change *change)
{
    int r = 0;
    if (change->has_size)
        r = job_file_truncate(node->file, change->size);
    if (r == 0 && change->has_mode)
        r = mode_change(tree, node, change->mode);
    if (r == 0 && change->has_times)
        r = job_file_times_set(node->file, change->times);
    return r;
}

int tree_setattr(struct tree *tree, uint64_t ino, const struct tree_change *change,
                 const struct tree_caller *caller, struct tree_entry *out)
{
    struct node node;
    int r = node_get(tree, ino, &node);
    if (r < 0)
        return r;
    if (caller->uid != 0 && caller->uid != tree->uid)
        return -EPERM;
    /* Everything belongs to who runs the program; giving it to the same again is no change. */
    if (change->has_owner && ((change->uid != (uid_t)-1 && change->uid != tree->uid) ||
                              (change->gid != (gid_t)-1 && change->gid != tree->gid)))
        return -EPERM;
    /* ctl has nothing that could be cut off, but `>` asks for it. */
    bool is_ctl = node.generated && (node.generated->mode & 0222);
    bool is_defaults = node.kind == NODE_DEFAULTS;
    if (change->has_size && node.kind != NODE_FILE && !is_ctl && !is_defaults)
        return node_is_directory(&node) ? -EISDIR : -EACCES;
    if (change->has_size && is_defaults)
        r = jobs_defaults_truncate(tree->settings.jobs, change->size);
    if (node.kind == NODE_FILE)
        r = file_change(tree, &node, change);
    /* Modes and times of what the program makes are its own: cp -p and rsync need not fail for it.
     * Times are set for inotify with every transition (TREE_EVENT_CONTENT), so that is quick. */
    return r < 0 ? r : node_entry_quick(tree, &node, out);
}

static void names_changed(struct tree *tree)
{
    tree->jobs_changed_ms = clock_wall_ms(tree->settings.clock);
    index_changed(tree);
}

static int directory_for_change(struct tree *tree, uint64_t ino, const struct tree_caller *caller,
                                struct node *out)
{
    int r = node_get(tree, ino, out);
    if (r == 0 && !node_is_directory(out))
        r = -ENOTDIR;
    return r < 0 ? r : node_access(tree, out, W_OK | X_OK, caller);
}

/* A name that is going to be removed or renamed, and the directory that it stands in. */
static int child_for_change(struct tree *tree, uint64_t parent, const char *name,
                            const struct tree_caller *caller, struct node *directory,
                            struct node *out)
{
    int r = directory_for_change(tree, parent, caller, directory);
    return r < 0 ? r : node_find(tree, directory, name, out);
}

int tree_mkdir(struct tree *tree, uint64_t parent, const char *name,
               const struct tree_caller *caller, struct tree_entry *out)
{
    struct node directory;
    struct node node;
    int r = directory_for_change(tree, parent, caller, &directory);
    if (r < 0)
        return r;
    if (node_find(tree, &directory, name, &node) == 0)
        return -EEXIST;
    if (directory.kind != NODE_JOBS)
        return -EPERM;
    struct job *job = jobs_find_provisional(tree->settings.jobs, name);
    if (job)
        change_event_directory_made(job);
    r = jobs_create(tree->settings.jobs, name, &job);
    if (r < 0)
        return r;
    node = (struct node){.kind = NODE_JOB, .id = job->id, .job = job};
    return node_entry(tree, &node, out);
}

int tree_unlink(struct tree *tree, uint64_t parent, const char *name,
                const struct tree_caller *caller)
{
    struct node directory;
    struct node node;
    int r = child_for_change(tree, parent, name, caller, &directory, &node);
    if (r < 0)
        return r;
    if (node_is_directory(&node))
        return -EISDIR;
    if (node.kind == NODE_DEFAULTS)
        return jobs_defaults_remove(tree->settings.jobs);
    if (directory.kind != NODE_JOB)
        return -EPERM;
    if (node.kind == NODE_FILE) {
        index_changed(tree); /* it may be a prompt, whose mode is that of its words */
        return job_file_unlink(node.file);
    }
    unsigned bit = node.kind == NODE_VIDEO   ? GENERATED_HIDDEN_VIDEO
                   : node.kind == NODE_COVER ? GENERATED_HIDDEN_COVER
                                             : (unsigned)node.kind - NODE_GENERATED;
    node.job->hidden |= UINT32_C(1) << bit;
    views_job_changed(tree, node.job);
    change_event_file_unlinked(tree, node.job);
    index_changed(tree);
    return 0;
}

static bool job_has_files(struct job *job)
{
    struct job_detail *detail;
    if (job_detail_get(job, &detail) < 0)
        return true; /* not known: then the job is not removed */
    const struct job_file *file;
    DL_FOREACH (job_files_get(detail), file) {
        if (!job_file_is_removed(file))
            return true;
    }
    return false;
}

int tree_rmdir(struct tree *tree, uint64_t parent, const char *name,
               const struct tree_caller *caller)
{
    struct node directory;
    struct node node;
    int r = child_for_change(tree, parent, name, caller, &directory, &node);
    if (r < 0)
        return r;
    if (!node_is_directory(&node))
        return -ENOTDIR;
    if (node.kind != NODE_JOB)
        return -EPERM;
    if (job_has_files(node.job))
        return -ENOTEMPTY;
    struct job *job = job_ref(node.job);
    r = jobs_remove(job);
    if (r == 0) {
        names_changed(tree);
        views_job_gone(tree, job);
        change_event_job_gone(tree, job);
        watch_changed(tree, job);
    }
    job_unref(job);
    return r;
}

static int rename_job(struct tree *tree, const struct node *node, const struct node *target_parent,
                      const char *new_name, unsigned flags)
{
    if (target_parent->kind != NODE_JOBS)
        return -EPERM;
    struct job *target = jobs_find(tree->settings.jobs, new_name);
    target = target && target != node->job ? job_ref(target) : NULL;
    char *old_name = strdup(node->job->name);
    int r = old_name ? 0 : -ENOMEM;
    if (r == 0)
        r = jobs_rename(node->job, new_name, (flags & RENAME_NOREPLACE) == 0);
    if (r == 0) {
        names_changed(tree);
        views_name_changed(tree, node->job);
        if (target) {
            views_job_gone(tree, target);
            change_event_job_gone(tree, target);
        }
        change_event_job_renamed(tree, node->job, old_name);
        watch_changed(tree, target);
    }
    free(old_name);
    job_unref(target);
    return r;
}

static int rename_to_defaults(struct tree *tree, struct job_file *file, unsigned flags)
{
    struct jobs *jobs = tree->settings.jobs;
    if ((flags & RENAME_NOREPLACE) && jobs_defaults_is_there(jobs))
        return -EEXIST;
    int r = jobs_defaults_take(jobs, file);
    return r < 0 ? r : job_file_unlink(file);
}

int tree_rename(struct tree *tree, uint64_t parent, const char *name, uint64_t new_parent,
                const char *new_name, unsigned flags, const struct tree_caller *caller)
{
    struct node directory;
    struct node new_directory;
    struct node node;
    if (flags & ~(unsigned)RENAME_NOREPLACE)
        return -EINVAL;
    int r = child_for_change(tree, parent, name, caller, &directory, &node);
    if (r < 0)
        return r;
    /* Finding the second directory may not make the first one's detail go. */
    struct job *held = node.job ? job_ref(node.job) : NULL;
    r = directory_for_change(tree, new_parent, caller, &new_directory);
    if (r == 0 && node.kind == NODE_JOB)
        r = rename_job(tree, &node, &new_directory, new_name, flags);
    else if (r == 0 && node.kind == NODE_FILE && defaults_has_name(&new_directory, new_name))
        r = rename_to_defaults(tree, node.file, flags);
    else if (r == 0 && (node.kind != NODE_FILE || new_directory.kind != NODE_JOB))
        r = -EPERM;
    else if (r == 0 && node_name_is_reserved(new_name))
        r = -ERR_NAME_RESERVED;
    else if (r == 0)
        r = job_file_rename(node.file, new_directory.job, new_name,
                            (flags & RENAME_NOREPLACE) == 0);
    if (held)
        job_unref(held);
    return r;
}

bool tree_list_add(struct tree *tree, const struct node *node, const char *name, int64_t next,
                   tree_list_fn *fn, void *context)
{
    struct tree_entry entry;
    int r = node_entry(tree, node, &entry);
    if (r == -ENOENT)
        return true;
    /* A name that was left out would say that there is no such file, as to `rsync --delete`. */
    if (r < 0)
        entry = (struct tree_entry){.st.st_ino = node_ino(node->kind, node->id), .is_bare = true};
    return fn(context, name, &entry, next);
}

static bool list_jobs(struct tree *tree, int64_t offset, tree_list_fn *fn, void *context)
{
    for (struct job *job = jobs_next(tree->settings.jobs, offset); job;
         job = jobs_next(tree->settings.jobs, job->id)) {
        struct node node = {.kind = NODE_JOB, .id = job->id, .job = job};
        if (!tree_list_add(tree, &node, job->name, job->id + 2, fn, context))
            return false;
    }
    return true;
}

/* Offsets in a job: 3.. generated files and media by their place, then user files by their id. */
static int list_job(struct tree *tree, struct job *job, int64_t offset, tree_list_fn *fn,
                    void *context)
{
    static const char *const media_names[] = {"output.mp4", "cover.jpg"};
    const struct node parent = {.kind = NODE_JOB, .id = job->id, .job = job};
    const int64_t generated = (int64_t)generated_count();
    const int64_t fixed = generated + (int64_t)ARRAY_COUNT(media_names);
    struct node node;
    for (int64_t i = offset - 2; i < fixed; i++) {
        const char *name =
            i < generated ? generated_at((size_t)i)->name : media_names[i - generated];
        if (i < generated && generated_is_unlisted(generated_at((size_t)i)))
            continue;
        if (node_find(tree, &parent, name, &node) == 0 &&
            !tree_list_add(tree, &node, name, i + 3, fn, context))
            return 0;
    }
    struct job_detail *detail;
    int r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    struct job_file *file;
    DL_FOREACH (job_files_get(detail), file) {
        int64_t next = fixed + 3 + file->id;
        node = (struct node){.kind = NODE_FILE, .id = file->id, .job = job, .file = file};
        if (!file->is_unlinked && !job_file_is_hidden(file) && next > offset &&
            !tree_list_add(tree, &node, file->name, next, fn, context))
            return 0;
    }
    return 0;
}

int tree_list(struct tree *tree, uint64_t ino, int64_t offset, tree_list_fn *fn, void *context)
{
    struct node node;
    int r = node_get(tree, ino, &node);
    if (r < 0)
        return r;
    if (!node_is_directory(&node))
        return -ENOTDIR;
    struct node up = node_parent(&node);
    if (offset < 1 && !tree_list_add(tree, &node, ".", 1, fn, context))
        return 0;
    if (offset < 2 && !tree_list_add(tree, &up, "..", 2, fn, context))
        return 0;
    if (offset < 2)
        offset = 2;
    if (node.kind == NODE_JOBS) {
        (void)list_jobs(tree, offset - 2, fn, context);
        return 0;
    }
    if (view_has_kind(node.kind)) {
        (void)view_list(tree, &node, offset, fn, context);
        return 0;
    }
    if (node.kind == NODE_MODELS) {
        (void)models_list(tree, offset, fn, context);
        return 0;
    }
    if (node.kind == NODE_JOB) {
        struct job *job = job_ref(node.job);
        r = list_job(tree, job, offset, fn, context);
        job_unref(job);
        return r;
    }
    for (int64_t i = offset - 2; i < NODE_ROOT_ENTRIES; i++) {
        if (node_root_entries[i].kind == NODE_EVENTS) /* see watch.c */
            continue;
        node = (struct node){.kind = node_root_entries[i].kind};
        if (defaults_is_there(tree, node.kind) &&
            !tree_list_add(tree, &node, node_root_entries[i].name, i + 3, fn, context))
            break;
    }
    return 0;
}

int tree_statfs(struct tree *tree, struct statvfs *out)
{
    if (fstatvfs(tree->settings.directory_fd, out) < 0)
        return -errno;
    out->f_namemax = TEXT_NAME_MAX;
    out->f_fsid = 0;
    return 0;
}
