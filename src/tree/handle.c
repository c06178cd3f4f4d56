/*
 * Open files. A generated file is rendered when it is opened, and the handle reads that snapshot,
 * so that a reader never sees half of one state and half of the next. Equal snapshots are shared. A
 * user's file reads and writes its file on disk. A video reads its media item, and a read whose
 * bytes are not there yet is parked.
 */
#include "handle.h"

#include "guest.h"

#include "seedancefs/base/descriptor.h"
#include "seedancefs/base/number.h"
#include "seedancefs/job/ctl.h"
#include "seedancefs/job/defaults.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static bool is_writing(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY;
}

static int file_open(struct tree_handle *handle, int flags)
{
    struct job_file *file = handle->node.file;
    handle->is_writer = is_writing(flags);
    int r = job_file_open(file, handle->is_writer, (flags & O_TRUNC) != 0);
    if (r == 0 && handle->is_writer && (flags & O_APPEND))
        job_file_begin(file);
    return r;
}

static int file_read(struct tree_handle *handle, size_t size, int64_t offset,
                     struct tree_bytes *out)
{
    const struct job_file *file = handle->node.file;
    struct stat st;
    if (fstat(file->fd, &st) < 0)
        return -errno;
    size_t left = offset < st.st_size ? (size_t)(st.st_size - offset) : 0;
    *out = (struct tree_bytes){.fd = file->fd, .offset = offset, .len = min_size(left, size)};
    return 0;
}

static int file_write(struct tree_handle *handle, const void *bytes, size_t size, int64_t offset)
{
    return handle->is_writer ? job_file_write(handle->node.file, bytes, size, offset) : -EBADF;
}

static int file_truncate(struct tree_handle *handle, int64_t size)
{
    return handle->is_writer ? job_file_truncate(handle->node.file, size) : -EINVAL;
}

static int file_flush(struct tree_handle *handle)
{
    return job_file_flush(handle->node.file);
}

static int file_sync(struct tree_handle *handle)
{
    return job_file_sync(handle->node.file);
}

static void file_write_dropped(struct tree_handle *handle, bool is_flush)
{
    if (handle->is_writer)
        job_file_write_dropped(handle->node.file, is_flush);
}

static void file_close(struct tree_handle *handle, bool is_abandoned)
{
    (is_abandoned ? job_file_abandon : job_file_close)(handle->node.file, handle->is_writer);
}

const struct handle_ops file_handles = {
    .open = file_open,
    .read = file_read,
    .write = file_write,
    .truncate = file_truncate,
    .flush = file_flush,
    .sync = file_sync,
    .write_dropped = file_write_dropped,
    .close = file_close,
};

static int media_open(struct tree_handle *handle, int flags UNUSED)
{
    return output_open(handle->tree, handle->node.take, output_kind(&handle->node), &handle->item);
}

static void media_response(void *context, int result, const struct media_bytes *bytes)
{
    struct tree_bytes response = {.fd = -1};
    if (bytes)
        response = (struct tree_bytes){bytes->fd, bytes->offset, bytes->memory, bytes->len};
    read_reply(context, result, bytes ? &response : NULL);
}

static void media_start(struct tree_read_state *read)
{
    read->media = (struct media_read){
        .offset = read->offset, .size = read->size, .fn = media_response, .context = read};
    media_read_start(read->handle->item, &read->media);
}

static void media_cancel(struct tree_read_state *read)
{
    media_read_cancel(&read->media);
}

static void media_close(struct tree_handle *handle, bool is_abandoned UNUSED)
{
    media_item_close(handle->item);
}

const struct handle_ops media_handles = {
    .is_kept = true,
    .open = media_open,
    .read_start = media_start,
    .read_cancel = media_cancel,
    .close = media_close,
};

/* Its bytes never change, so the page cache may keep them. */
static int picture_open(struct tree_handle *handle, int flags UNUSED)
{
    const struct node *node = &handle->node;
    int fd = frame_open(handle->tree, node->take->id, node_frame(node));
    if (fd < 0)
        return fd;
    handle->picture_fd = descriptor_ordinary(fd);
    return handle->picture_fd < 0 ? -errno : 0;
}

static int picture_read(struct tree_handle *handle, size_t size, int64_t offset,
                        struct tree_bytes *out)
{
    struct stat st;
    if (fstat(handle->picture_fd, &st) < 0)
        return -errno;
    size_t left = offset < st.st_size ? (size_t)(st.st_size - offset) : 0;
    *out = (struct tree_bytes){
        .fd = handle->picture_fd, .offset = offset, .len = min_size(left, size)};
    return 0;
}

static void picture_close(struct tree_handle *handle, bool is_abandoned UNUSED)
{
    (void)close(handle->picture_fd);
}

const struct handle_ops frame_handles = {
    .is_kept = true,
    .open = picture_open,
    .read = picture_read,
    .close = picture_close,
};

static int ctl_write(struct tree_handle *handle, const void *bytes, size_t size,
                     int64_t offset UNUSED)
{
    return job_ctl_run(handle->node.job, bytes, size);
}

const struct handle_ops ctl_handles = {.write = ctl_write};

static struct jobs *jobs_of(const struct tree_handle *handle)
{
    return handle->tree->settings.jobs;
}

static int defaults_open(struct tree_handle *handle, int flags)
{
    handle->is_writer = true;
    return jobs_defaults_open(jobs_of(handle), (flags & O_TRUNC) != 0);
}

static int defaults_read(struct tree_handle *handle, size_t size, int64_t offset,
                         struct tree_bytes *out)
{
    *out = text_part(jobs_defaults_text(jobs_of(handle)), size, offset);
    return 0;
}

static int defaults_write(struct tree_handle *handle, const void *bytes, size_t size,
                          int64_t offset)
{
    return jobs_defaults_write(jobs_of(handle), bytes, size, offset);
}

static int defaults_truncate(struct tree_handle *handle, int64_t size)
{
    return jobs_defaults_truncate(jobs_of(handle), size);
}

static int defaults_flush(struct tree_handle *handle)
{
    return jobs_defaults_flush(jobs_of(handle));
}

static void defaults_write_dropped(struct tree_handle *handle, bool is_flush UNUSED)
{
    jobs_defaults_write_dropped(jobs_of(handle));
}

static void defaults_close(struct tree_handle *handle, bool is_abandoned)
{
    (is_abandoned ? jobs_defaults_abandon : jobs_defaults_close)(jobs_of(handle));
}

const struct handle_ops defaults_handles = {
    .open = defaults_open,
    .read = defaults_read,
    .write = defaults_write,
    .truncate = defaults_truncate,
    .flush = defaults_flush,
    .write_dropped = defaults_write_dropped,
    .close = defaults_close,
};

const struct handle_ops snapshot_handles = {.open = snapshot_open, .read = snapshot_read};

static int metrics_open(struct tree_handle *handle, int flags)
{
    handle->tree->metrics_opened_ms = clock_wall_ms(handle->tree->settings.clock);
    return snapshot_open(handle, flags);
}

const struct handle_ops metrics_handles = {.open = metrics_open, .read = snapshot_read};

static const struct handle_ops *ops_choose(const struct node_ops *ops, int flags)
{
    bool is_written =
        is_writing(flags) || ((flags & O_TRUNC) && ops->writer && ops->writer->truncate);
    if (ops->writer && is_written)
        return ops->writer;
    return ops->reader ? ops->reader : &snapshot_handles;
}

int handle_open(struct tree *tree, const struct node *node, int flags,
                const struct tree_caller *caller, struct tree_open_result *out)
{
    struct tree_handle *handle = calloc(1, sizeof(*handle));
    if (!handle)
        return -ENOMEM;
    handle->ops = ops_choose(node->ops, flags);
    handle->tree = tree;
    handle->node = *node;
    int r = guest_enter(tree, caller, &handle->guest);
    if (r == 0 && handle->ops->open)
        r = handle->ops->open(handle, flags);
    if (r < 0) {
        guest_leave(tree, handle->guest);
        free(handle);
        return r;
    }
    if (node->job)
        job_ref(node->job);
    DL_APPEND(tree->handles, handle);
    tree->handles_count++;
    *out = (struct tree_open_result){.handle = handle,
                                     .is_direct = node->ops->is_direct,
                                     .is_kept = handle->ops->is_kept,
                                     .is_flush_void = !handle->is_writer};
    return 0;
}

void tree_read(struct tree_handle *handle, size_t size, int64_t offset, tree_read_fn *fn,
               void *context, struct tree_read_state **parked)
{
    *parked = NULL;
    if (!handle->ops->read_start) {
        struct tree_bytes bytes = {.fd = -1};
        int r = handle->ops->read ? handle->ops->read(handle, size, offset, &bytes) : 0;
        fn(context, r < 0 ? r : (int)bytes.len, r == 0 && bytes.len ? &bytes : NULL);
        return;
    }
    struct tree_read_state *read = calloc(1, sizeof(*read));
    if (!read) {
        fn(context, -ENOMEM, NULL);
        return;
    }
    *read = (struct tree_read_state){.handle = handle,
                                     .size = size,
                                     .offset = offset,
                                     .fn = fn,
                                     .context = context,
                                     .place = parked};
    /* Set first: the reply may come from within read_start, and then `read` no longer exists. */
    *parked = read;
    handle->ops->read_start(read);
}

void tree_read_cancel(struct tree_read_state *parked)
{
    parked->handle->ops->read_cancel(parked);
    free(parked);
}

bool tree_read_is_interruptible(const struct tree_read_state *parked)
{
    return parked->handle->ops->is_interruptible;
}

void tree_read_nonblocking_set(struct tree_handle *handle, bool is_nonblocking)
{
    handle->is_nonblocking = is_nonblocking;
}

int tree_write(struct tree_handle *handle, const void *bytes, size_t size, int64_t offset)
{
    return handle->ops->write ? handle->ops->write(handle, bytes, size, offset) : -EBADF;
}

int tree_truncate(struct tree_handle *handle, int64_t size)
{
    return handle->ops->truncate ? handle->ops->truncate(handle, size) : -EINVAL;
}

int tree_flush(struct tree_handle *handle)
{
    return handle->is_writer ? handle->ops->flush(handle) : 0;
}

const char *tree_handle_name(const struct tree_handle *handle)
{
    return handle->node.file ? handle->node.file->name : DEFAULTS_NAME;
}

void tree_write_dropped(struct tree_handle *handle, bool is_flush)
{
    if (handle->ops->write_dropped)
        handle->ops->write_dropped(handle, is_flush);
}

int tree_fsync(struct tree_handle *handle)
{
    return handle->ops->sync ? handle->ops->sync(handle) : 0;
}

static void handle_end(struct tree_handle *handle, bool is_abandoned)
{
    struct tree *tree = handle->tree;
    if (handle->ops->close)
        handle->ops->close(handle, is_abandoned);
    watch_end(handle);
    snapshot_release(tree, handle->snapshot, handle->guest);
    guest_leave(tree, handle->guest);
    DL_DELETE(tree->handles, handle);
    tree->handles_count--;
    job_unref(handle->node.job);
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
