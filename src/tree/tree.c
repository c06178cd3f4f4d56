/*
 * The contract: each function finds the node, checks the caller's rights and calls the operation of
 * its kind (see node.h). An operation that the kind does not have is EPERM, unless another errno
 * says it better.
 */
#include "handle.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/text.h"

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
    tree->gid = settings->group ? *settings->group : getgid();
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
    removed_end(tree);
    frames_end(tree);
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
    frames_begin(tree);
    archive_soon(tree);
    if (store_write_check(tree->settings.store) == 0) /* else the host that leads tidies up */
        removed_begin(tree);
}

void tree_options_changed(struct tree *tree, enum tree_archive archive)
{
    archive_policy_set(tree, archive);
    index_changed(tree);
}

void tree_stop(struct tree *tree)
{
    tree->is_started = false;
    timer_cancel(tree->settings.timers, &tree->archive_timer);
    uploads_end(tree);
    frames_end(tree);
}

/* The node of ".." in a directory. */
static int node_parent(struct tree *tree, const struct node *node, struct node *out)
{
    enum node_kind kind = node->ops->parent ? node->ops->parent : NODE_ROOT;
    return node_get(tree, node_ino(kind, kind == NODE_JOB ? node->job->id : 0), out);
}

int tree_lookup(struct tree *tree, uint64_t parent, const char *name, struct tree_entry *out)
{
    struct node directory;
    struct node node;
    int r = node_get(tree, parent, &directory);
    if (r < 0)
        return r;
    /* An NFS server asks for these when it has only an inode number. */
    if (strcmp(name, ".") == 0)
        return node_entry(tree, &directory, out);
    r = strcmp(name, "..") == 0 ? node_parent(tree, &directory, &node)
                                : node_find(tree, &directory, name, &node);
    if (r == 0)
        r = node_entry(tree, &node, out);
    if (r == 0 && directory.ops->is_view)
        out->entry_s = 0;
    return r;
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
    return tree_getattr(tree, node_ino(NODE_JOB, job->id), out);
}

const char *tree_path_split(struct tree *tree, const char *path, uint64_t *parent)
{
    struct node directory;
    const char *slash;
    if (node_get(tree, TREE_ROOT_INO, &directory) < 0)
        return NULL;
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
    if (!directory.ops->gone_type || node_find(tree, &directory, name, &node) != -ENOENT)
        return -ENOENT;
    node_ghost_entry(tree, directory.ops->gone_type, out);
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
    if (r == 0 && !node_is_link(&node))
        r = -EINVAL;
    return r < 0 ? r : node_render(tree, &node, out);
}

int tree_access(struct tree *tree, uint64_t ino, int mask, const struct tree_caller *caller)
{
    struct node node;
    int r = node_get(tree, ino, &node);
    return r < 0 ? r : node_access(tree, &node, mask, caller);
}

int tree_setattr(struct tree *tree, uint64_t ino, const struct tree_change *change,
                 const struct tree_caller *caller, struct tree_entry *out)
{
    struct node node;
    int r = node_get(tree, ino, &node);
    if (r < 0)
        return r;
    if (caller->uid != 0 && !node_is_owner(tree, caller))
        return -EPERM;
    /* Everything belongs to the user who runs the program. Giving it to the same user again is no
     * change. */
    if (change->has_owner && ((change->uid != (uid_t)-1 && change->uid != tree->uid) ||
                              (change->gid != (gid_t)-1 && change->gid != tree->gid)))
        return -EPERM;
    if (change->has_size && node.ops->is_made)
        job_copy_seen(node.job);
    if (change->has_size && !node.ops->setattr)
        return node_is_directory(&node) ? -EISDIR : -EACCES;
    /* The program keeps the modes and times of the files that it makes, and cp -p and rsync need
     * not fail because of that. The inotify emitter sets a time with every transition
     * (TREE_EVENT_CONTENT), so the reply must be quick. */
    r = node.ops->setattr ? node.ops->setattr(tree, &node, change) : 0;
    return r < 0 ? r : node_entry_quick(tree, &node, out);
}

static int directory_for_change(struct tree *tree, uint64_t ino, const struct tree_caller *caller,
                                struct node *out)
{
    int r = node_get(tree, ino, out);
    if (r == 0 && !node_is_directory(out))
        r = -ENOTDIR;
    return r < 0 ? r : node_access(tree, out, W_OK | X_OK, caller);
}

/* Finds a name that is going to be removed or renamed. */
static int child_for_change(struct tree *tree, uint64_t parent, const char *name,
                            const struct tree_caller *caller, struct node *out)
{
    struct node directory;
    int r = directory_for_change(tree, parent, caller, &directory);
    if (r == 0)
        r = node_find(tree, &directory, name, out);
    return r == 0 && directory.ops->is_view ? -EPERM : r;
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
    r = directory.ops->mkdir ? directory.ops->mkdir(tree, &directory, name, &node) : -EPERM;
    return r < 0 ? r : node_entry(tree, &node, out);
}

int tree_unlink(struct tree *tree, uint64_t parent, const char *name,
                const struct tree_caller *caller)
{
    struct node node;
    int r = child_for_change(tree, parent, name, caller, &node);
    if (r < 0)
        return r;
    if (node_is_directory(&node))
        return -EISDIR;
    return node.ops->unlink ? node.ops->unlink(tree, &node) : -EPERM;
}

int tree_rmdir(struct tree *tree, uint64_t parent, const char *name,
               const struct tree_caller *caller)
{
    struct node node;
    int r = child_for_change(tree, parent, name, caller, &node);
    if (r < 0)
        return r;
    if (!node_is_directory(&node))
        return -ENOTDIR;
    return node.ops->rmdir ? node.ops->rmdir(tree, &node) : -EPERM;
}

int tree_rename(struct tree *tree, uint64_t parent, const char *name, uint64_t new_parent,
                const char *new_name, unsigned flags, const struct tree_caller *caller)
{
    struct node new_directory;
    struct node node;
    if (flags & ~(unsigned)RENAME_NOREPLACE)
        return -EINVAL;
    int r = child_for_change(tree, parent, name, caller, &node);
    if (r < 0)
        return r;
    /* Finding the second directory must not drop the first one's detail. */
    CLEANUP(job_drop) struct job *held UNUSED = node.job ? job_ref(node.job) : NULL;
    r = directory_for_change(tree, new_parent, caller, &new_directory);
    if (r < 0)
        return r;
    return node.ops->rename ? node.ops->rename(tree, &node, &new_directory, new_name, flags)
                            : -EPERM;
}

int tree_list(struct tree *tree, uint64_t ino, int64_t offset, tree_list_fn *fn, void *context)
{
    struct node node;
    struct node up;
    int r = node_get(tree, ino, &node);
    if (r < 0)
        return r;
    if (!node_is_directory(&node))
        return -ENOTDIR;
    if (offset < 1 && !node_list_add(tree, &node, ".", 1, fn, context))
        return 0;
    if (offset < 2 && node_parent(tree, &node, &up) == 0 &&
        !node_list_add(tree, &up, "..", 2, fn, context))
        return 0;
    struct node_child child = {.next = max_int64(offset, 2)};
    CLEANUP(job_drop) struct job *held UNUSED = node.job ? job_ref(node.job) : NULL;
    while ((r = node.ops->next(tree, &node, &child)) > 0) {
        if (!child.is_unlisted &&
            !node_list_add(tree, &child.node, child.name, child.next, fn, context))
            return 0;
    }
    return r;
}

int tree_open_prepare(struct tree *tree, uint64_t ino, int flags, const struct tree_caller *caller,
                      tree_open_wait_fn *fn, void *context, struct tree_open_wait **parked)
{
    struct node node;
    if (node_get(tree, ino, &node) < 0 || !node_is_frame(&node) ||
        (flags & O_ACCMODE) != O_RDONLY || node_access(tree, &node, R_OK, caller) < 0)
        return 0; /* tree_open() says what is wrong */
    return frame_wait(tree, node.take, node_frame(&node), fn, context, parked);
}

void tree_open_wait_cancel(struct tree_open_wait *parked)
{
    frame_wait_cancel(parked);
}

int tree_open(struct tree *tree, uint64_t ino, int flags, const struct tree_caller *caller,
              struct tree_open_result *out)
{
    struct node node;
    int r = node_get(tree, ino, &node);
    if (r < 0)
        return r;
    if (node_is_directory(&node))
        return -EISDIR;
    if (node_is_link(&node))
        return -ELOOP;
    int access = flags & O_ACCMODE;
    int mask = access == O_RDONLY ? R_OK : access == O_WRONLY ? W_OK : R_OK | W_OK;
    if (flags & O_TRUNC)
        mask |= W_OK;
    if ((mask & W_OK) && node.ops->is_made)
        job_copy_seen(node.job);
    r = node_access(tree, &node, mask, caller);
    return r < 0 ? r : handle_open(tree, &node, flags, caller, out);
}

int tree_create(struct tree *tree, uint64_t parent, const char *name, mode_t mode, int flags,
                const struct tree_caller *caller, struct tree_entry *entry,
                struct tree_open_result *out)
{
    struct node directory;
    struct node node;
    int r = directory_for_change(tree, parent, caller, &directory);
    if (r < 0)
        return r;
    if (!directory.ops->create)
        return -EPERM;
    r = node_find(tree, &directory, name, &node);
    if (r < 0 && r != -ENOENT)
        return r; /* whether there is one is not known: a create could truncate it */
    if (r == 0) {
        /* Somebody else has created it since the kernel's lookup. */
        if (flags & O_EXCL)
            return -EEXIST;
        r = node_entry(tree, &node, entry);
        return r < 0 ? r : tree_open(tree, node_ino(node.kind, node.id), flags, caller, out);
    }
    r = directory.ops->create(tree, &directory, name, mode, &flags, &node);
    if (r == 0)
        r = handle_open(tree, &node, flags, caller, out);
    if (r < 0)
        return r;
    r = node_entry(tree, &node, entry);
    if (r < 0)
        tree_release(out->handle);
    return r;
}

int tree_statfs(struct tree *tree, struct statvfs *out)
{
    if (fstatvfs(tree->settings.directory_fd, out) < 0)
        return -errno;
    out->f_namemax = TEXT_NAME_MAX;
    out->f_fsid = 0;
    return 0;
}
