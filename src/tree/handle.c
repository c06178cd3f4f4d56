/*
 * Open files. A generated file is rendered when it is opened and the handle reads that snapshot, so
 * that a reader never sees half of one state and half of the next; equal ones are one. A user's
 * file reads and writes its file on disk. A video reads its media item, and a read whose bytes are
 * not there yet is parked.
 */
#include "tree_private.h"

#include "guest.h"
#include "snapshot.h"
#include "watch.h"

#include "seedancefs/job/ctl.h"
#include "seedancefs/job/defaults.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum handle_kind {
    HANDLE_SNAPSHOT,
    HANDLE_FILE,
    HANDLE_MEDIA,
    HANDLE_CTL,
    HANDLE_DEFAULTS,
    HANDLE_WATCH
};

struct tree_handle {
    enum handle_kind kind;
    bool is_writer;
    struct job *job; /* referenced; NULL for files at the root */
    struct tree *tree;
    struct tree_handle *next;
    struct tree_handle *prev;
    struct guest *guest; /* NULL: of one who is not limited */
    struct watch watch;  /* with the snapshot */
    union {
        struct job_file *file;
        struct media_item *item;
    };
};

struct tree_read_state {
    bool is_watch;
    union {
        struct media_read media;
        struct watch_read watch;
    };
    struct tree_read_state **place; /* of the caller, valid until fn is called */
    tree_read_fn *fn;
    void *context;
};

static bool is_writing(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY;
}

static bool is_watched(const struct node *node)
{
    return node->kind == NODE_EVENTS || (node->generated && generated_is_unlisted(node->generated));
}

static int open_node(struct tree *tree, const struct node *node, int flags,
                     struct tree_handle *handle)
{
    if (node->kind == NODE_FILE) {
        handle->kind = HANDLE_FILE;
        handle->file = node->file;
        handle->is_writer = is_writing(flags);
        int r = job_file_open(node->file, handle->is_writer, (flags & O_TRUNC) != 0);
        if (r == 0 && handle->is_writer && (flags & O_APPEND))
            job_file_begin(node->file);
        return r;
    }
    if (node->kind == NODE_VIDEO || node->kind == NODE_COVER) {
        handle->kind = HANDLE_MEDIA;
        return output_open(tree, node->job, node->kind == NODE_VIDEO ? MEDIA_VIDEO : MEDIA_COVER,
                           &handle->item);
    }
    if (node->generated && is_writing(flags)) {
        handle->kind = HANDLE_CTL;
        return 0;
    }
    if (node->kind == NODE_DEFAULTS && (is_writing(flags) || (flags & O_TRUNC))) {
        handle->kind = HANDLE_DEFAULTS;
        handle->is_writer = true;
        return jobs_defaults_open(tree->settings.jobs, (flags & O_TRUNC) != 0);
    }
    if (is_watched(node)) {
        handle->kind = HANDLE_WATCH;
        return 0;
    }
    handle->kind = HANDLE_SNAPSHOT;
    if (node->kind == NODE_METRICS)
        tree->metrics_opened_ms = clock_wall_ms(tree->settings.clock);
    return snapshot_take(tree, node, handle->guest, &handle->watch.snapshot);
}

static void watch_init(struct tree_handle *handle, const struct node *node)
{
    enum watch_kind kind = WATCH_READY;
    if (handle->kind == HANDLE_WATCH)
        kind = node->kind == NODE_EVENTS ? WATCH_EVENTS : WATCH_WAIT;
    else if (handle->kind == HANDLE_SNAPSHOT && node->generated)
        kind = WATCH_SNAPSHOT;
    handle->watch = (struct watch){.kind = kind,
                                   .tree = handle->tree,
                                   .node = *node,
                                   .guest = handle->guest,
                                   .snapshot = handle->watch.snapshot};
}

static int handle_new(struct tree *tree, const struct node *node, int flags,
                      const struct tree_caller *caller, struct tree_open_result *out)
{
    struct tree_handle *handle = calloc(1, sizeof(*handle));
    if (!handle)
        return -ENOMEM;
    int r = guest_enter(tree, caller, &handle->guest);
    if (r == 0)
        r = open_node(tree, node, flags, handle);
    if (r < 0) {
        guest_leave(tree, handle->guest);
        free(handle);
        return r;
    }
    handle->job = node->job ? job_ref(node->job) : NULL;
    handle->tree = tree;
    watch_init(handle, node);
    DL_APPEND(tree->handles, handle);
    tree->handles_count++;
    const struct node_root_entry *root_file = node_root_file(node);
    *out = (struct tree_open_result){.handle = handle,
                                     .is_direct = node->generated != NULL || is_watched(node) ||
                                                  (root_file && !root_file->is_constant),
                                     .is_kept = handle->kind == HANDLE_MEDIA,
                                     .is_flush_void = !handle->is_writer};
    return 0;
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
    if (view_is_link(&node))
        return -ELOOP;
    int access = flags & O_ACCMODE;
    int mask = access == O_RDONLY ? R_OK : access == O_WRONLY ? W_OK : R_OK | W_OK;
    if (flags & O_TRUNC)
        mask |= W_OK;
    r = node_access(tree, &node, mask, caller);
    return r < 0 ? r : handle_new(tree, &node, flags, caller, out);
}

int tree_create(struct tree *tree, uint64_t parent, const char *name, mode_t mode, int flags,
                const struct tree_caller *caller, struct tree_entry *entry,
                struct tree_open_result *out)
{
    struct node directory;
    struct node node;
    int r = node_get(tree, parent, &directory);
    if (r == 0 && !node_is_directory(&directory))
        r = -ENOTDIR;
    if (r == 0)
        r = node_access(tree, &directory, W_OK | X_OK, caller);
    if (r < 0)
        return r;
    bool is_defaults = defaults_has_name(&directory, name);
    if (directory.kind != NODE_JOB && !is_defaults)
        return -EPERM;
    if (node_find(tree, &directory, name, &node) == 0) {
        /* Made by somebody else between the kernel's lookup and now. */
        if (flags & O_EXCL)
            return -EEXIST;
        r = node_entry(tree, &node, entry);
        return r < 0 ? r : tree_open(tree, node_ino(node.kind, node.id), flags, caller, out);
    }
    if (is_defaults) { /* it was removed */
        node = (struct node){.kind = NODE_DEFAULTS};
        r = handle_new(tree, &node, flags | O_TRUNC, caller, out);
        return r < 0 ? r : node_entry(tree, &node, entry);
    }
    if (node_name_is_reserved(name))
        return -ERR_NAME_RESERVED;
    node = (struct node){.kind = NODE_FILE, .job = directory.job};
    r = job_file_create(directory.job, name, mode, &node.file);
    if (r < 0)
        return r;
    node.id = node.file->id;
    r = handle_new(tree, &node, flags & ~O_TRUNC, caller, out);
    if (r == 0) {
        job_file_begin(node.file);
        r = node_entry(tree, &node, entry);
        if (r < 0)
            tree_release(out->handle);
    }
    return r;
}

static void media_response(void *context, int result, const struct media_bytes *bytes)
{
    struct tree_read_state *state = context;
    tree_read_fn *fn = state->fn;
    void *fn_context = state->context;
    struct tree_bytes response = {.fd = -1};
    if (bytes)
        response = (struct tree_bytes){bytes->fd, bytes->offset, bytes->memory, bytes->len};
    *state->place = NULL;
    fn(fn_context, result, bytes ? &response : NULL);
    free(state);
}

static void read_media(struct tree_handle *handle, size_t size, int64_t offset, tree_read_fn *fn,
                       void *context, struct tree_read_state **parked)
{
    struct tree_read_state *state = calloc(1, sizeof(*state));
    if (!state) {
        fn(context, -ENOMEM, NULL);
        return;
    }
    state->place = parked;
    state->fn = fn;
    state->context = context;
    state->media =
        (struct media_read){.offset = offset, .size = size, .fn = media_response, .context = state};
    /* Set first: the response may come from within the start, and then nothing of this is left. */
    *parked = state;
    media_read_start(handle->item, &state->media);
}

static void read_watch(struct tree_handle *handle, size_t size, int64_t offset, tree_read_fn *fn,
                       void *context, struct tree_read_state **parked)
{
    struct tree_read_state *state = calloc(1, sizeof(*state));
    if (!state) {
        fn(context, -ENOMEM, NULL);
        return;
    }
    state->is_watch = true;
    state->watch = (struct watch_read){.watch = &handle->watch,
                                       .size = size,
                                       .offset = offset,
                                       .fn = fn,
                                       .context = context,
                                       .place = parked};
    if (watch_read_start(&state->watch, state))
        free(state);
}

static void read_file(struct tree_handle *handle, size_t size, int64_t offset, tree_read_fn *fn,
                      void *context)
{
    struct stat st;
    if (fstat(handle->file->fd, &st) < 0) {
        fn(context, -errno, NULL);
        return;
    }
    int64_t left = offset < st.st_size ? st.st_size - offset : 0;
    size_t len = (uint64_t)left < size ? (size_t)left : size;
    struct tree_bytes bytes = {.fd = handle->file->fd, .offset = offset, .len = len};
    fn(context, (int)len, len ? &bytes : NULL);
}

void tree_read(struct tree_handle *handle, size_t size, int64_t offset, tree_read_fn *fn,
               void *context, struct tree_read_state **parked)
{
    *parked = NULL;
    if (handle->kind == HANDLE_MEDIA) {
        read_media(handle, size, offset, fn, context, parked);
        return;
    }
    if (handle->kind == HANDLE_WATCH) {
        read_watch(handle, size, offset, fn, context, parked);
        return;
    }
    if (handle->kind == HANDLE_FILE) {
        read_file(handle, size, offset, fn, context);
        return;
    }
    if (handle->kind == HANDLE_SNAPSHOT) {
        int r = watch_snapshot_read(&handle->watch, size, offset);
        if (r < 0) {
            fn(context, r, NULL);
            return;
        }
    }
    static const struct buf nothing;
    const struct buf *text = handle->kind == HANDLE_DEFAULTS
                                 ? jobs_defaults_text(handle->tree->settings.jobs)
                             : handle->kind == HANDLE_SNAPSHOT ? &handle->watch.snapshot->content
                                                               : &nothing;
    size_t start = offset < 0 || (uint64_t)offset > text->len ? text->len : (size_t)offset;
    size_t left = text->len - start;
    struct tree_bytes bytes = {
        .fd = -1, .memory = buf_text(text) + start, .len = left < size ? left : size};
    fn(context, (int)bytes.len, bytes.len ? &bytes : NULL);
}

void tree_read_cancel(struct tree_read_state *parked)
{
    if (parked->is_watch)
        watch_read_cancel(&parked->watch);
    else
        media_read_cancel(&parked->media);
    free(parked);
}

bool tree_read_is_interruptible(const struct tree_read_state *parked)
{
    return parked->is_watch;
}

void tree_read_nonblocking_set(struct tree_handle *handle, bool is_nonblocking)
{
    handle->watch.is_nonblocking = is_nonblocking;
}

short tree_poll(struct tree_handle *handle, void *waker)
{
    return watch_poll(&handle->watch, waker);
}

int tree_write(struct tree_handle *handle, const void *bytes, size_t size, int64_t offset)
{
    if (handle->kind == HANDLE_CTL)
        return job_ctl_run(handle->job, bytes, size);
    if (handle->kind == HANDLE_DEFAULTS)
        return jobs_defaults_write(handle->tree->settings.jobs, bytes, size, offset);
    if (handle->kind != HANDLE_FILE || !handle->is_writer)
        return -EBADF;
    return job_file_write(handle->file, bytes, size, offset);
}

int tree_truncate(struct tree_handle *handle, int64_t size)
{
    if (handle->kind == HANDLE_DEFAULTS)
        return jobs_defaults_truncate(handle->tree->settings.jobs, size);
    if (handle->kind != HANDLE_FILE || !handle->is_writer)
        return -EINVAL;
    return job_file_truncate(handle->file, size);
}

int tree_flush(struct tree_handle *handle)
{
    if (handle->kind == HANDLE_DEFAULTS)
        return jobs_defaults_flush(handle->tree->settings.jobs);
    return handle->is_writer ? job_file_flush(handle->file) : 0;
}

void tree_write_dropped(struct tree_handle *handle, bool is_flush)
{
    if (handle->kind == HANDLE_FILE && handle->is_writer)
        job_file_write_dropped(handle->file, is_flush);
    else if (handle->kind == HANDLE_DEFAULTS)
        jobs_defaults_write_dropped(handle->tree->settings.jobs);
}

int tree_fsync(struct tree_handle *handle)
{
    return handle->kind == HANDLE_FILE ? job_file_sync(handle->file) : 0;
}

static void handle_end(struct tree_handle *handle, bool is_abandoned)
{
    if (handle->kind == HANDLE_FILE && is_abandoned)
        job_file_abandon(handle->file, handle->is_writer);
    else if (handle->kind == HANDLE_FILE)
        job_file_close(handle->file, handle->is_writer);
    else if (handle->kind == HANDLE_DEFAULTS && is_abandoned)
        jobs_defaults_abandon(handle->tree->settings.jobs);
    else if (handle->kind == HANDLE_DEFAULTS)
        jobs_defaults_close(handle->tree->settings.jobs);
    else if (handle->kind == HANDLE_MEDIA)
        media_item_close(handle->item);
    watch_fini(&handle->watch);
    guest_leave(handle->tree, handle->guest);
    DL_DELETE(handle->tree->handles, handle);
    handle->tree->handles_count--;
    job_unref(handle->job);
    free(handle);
}

void tree_release(struct tree_handle *handle)
{
    handle_end(handle, false);
}

void tree_abandon(struct tree *tree)
{
    while (tree->handles)
        handle_end(tree->handles, true);
}
