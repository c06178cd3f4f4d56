/*
 * Waiting for a change: reads of `wait` and at the end of `events`, and poll(2) on generated files.
 * A read that must wait is parked; a poller leaves a waker. When a job has changed, a timer without
 * delay looks at both, so that one pass of the loop looks once.
 *
 * A read of `wait` waits until the program has done with the job everything that it can do by
 * itself, and then gives the word that `status` shows. It also waits for a draft, because the
 * release of a prompt.json comes a moment after close(2) has returned. A read ends with ENOENT when
 * the job is removed.
 *
 * A program that merely looks through the tree must not get stuck, so neither file is listed: grep
 * -r, cp -r, rsync, tar and zip do not find them, but a person can open them by name.
 * Left out: telling tools apart by their names; an end of file for readers that have not polled,
 * which would make `cat` useless; a fifo, whose reads the kernel handles itself.
 */
#include "handle.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/number.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 1000, READ_MAX = 1024 * 1024, READABLE = POLLIN | POLLRDNORM };

void read_reply(struct tree_read_state *read, int result, const struct tree_bytes *bytes)
{
    *read->place = NULL;
    read->fn(read->context, result, bytes);
    free(read);
}

static int wait_fill(const struct tree_read_state *read, struct buf *out, bool *is_end)
{
    struct tree_handle *handle = read->handle;
    if (!handle->snapshot && handle->node.job->is_removed)
        return -ENOENT;
    if (!handle->snapshot && generated_is_wait_over(handle->node.job)) {
        int r = snapshot_take(handle, &handle->snapshot);
        if (r < 0)
            return r;
    }
    if (!handle->snapshot)
        return 0;
    struct tree_bytes word = text_part(&handle->snapshot->content, read->size, read->offset);
    *is_end = true;
    return buf_add(out, word.memory, word.len);
}

static int events_fill(const struct tree_read_state *read, struct buf *out, bool *is_end UNUSED)
{
    return jobs_events_read(read->handle->tree->settings.jobs, read->offset,
                            min_size(read->size, READ_MAX), out);
}

/* Replies to the read if it can. False when the read has to wait. */
static bool read_try(struct tree_read_state *read, bool is_parked)
{
    struct tree_handle *handle = read->handle;
    CLEANUP(buf_fini) struct buf out = {.limit = READ_MAX};
    bool is_end = false;
    int r = handle->ops->fill(read, &out, &is_end);
    if (r == 0 && out.len == 0 && !is_end) {
        if (!handle->is_nonblocking || is_parked)
            return false;
        r = -EAGAIN;
    }
    if (is_parked)
        DL_DELETE(handle->tree->watch_reads, read);
    if (r == 0)
        handle->end = read->offset + (int64_t)out.len;
    struct tree_bytes bytes = {.fd = -1, .memory = buf_text(&out), .len = out.len};
    read_reply(read, r < 0 ? r : (int)out.len, r == 0 && out.len ? &bytes : NULL);
    return true;
}

static void watch_read_start(struct tree_read_state *read)
{
    if (!read_try(read, false))
        DL_APPEND(read->handle->tree->watch_reads, read);
}

static void watch_read_cancel(struct tree_read_state *read)
{
    DL_DELETE(read->handle->tree->watch_reads, read);
}

/* A read from the beginning, after the file was read to its end, renders the file anew. */
static int generated_read(struct tree_handle *handle, size_t size, int64_t offset,
                          struct tree_bytes *out)
{
    int64_t len = (int64_t)handle->snapshot->content.len;
    if (offset == 0 && handle->end > 0 && handle->end >= len && !handle->node.job->is_removed) {
        struct snapshot *anew;
        int r = snapshot_take(handle, &anew);
        if (r < 0)
            return r;
        snapshot_release(handle->tree, handle->snapshot, handle->guest);
        handle->snapshot = anew;
        len = (int64_t)anew->content.len;
    }
    uint64_t end = (uint64_t)offset + size;
    handle->end = end < (uint64_t)len ? (int64_t)end : len;
    return snapshot_read(handle, size, offset, out);
}

static bool is_snapshot_old(const struct tree_handle *handle)
{
    struct buf *scratch = &handle->tree->scratch;
    const struct buf *content = &handle->snapshot->content;
    buf_clear(scratch);
    if (node_render(handle->tree, &handle->node, scratch) < 0)
        return true; /* a read will say why */
    return scratch->len != content->len ||
           memcmp(buf_text(scratch), buf_text(content), content->len) != 0;
}

static short generated_poll(struct tree_handle *handle)
{
    if (handle->node.job->is_removed)
        return READABLE | POLLHUP;
    if (handle->end == 0 || handle->end < (int64_t)handle->snapshot->content.len)
        return READABLE;
    return is_snapshot_old(handle) ? READABLE | POLLPRI : 0;
}

static short wait_poll(struct tree_handle *handle)
{
    const struct job *job = handle->node.job;
    if (job->is_removed)
        return READABLE | POLLHUP;
    return handle->snapshot || generated_is_wait_over(job) ? READABLE : 0;
}

static short events_poll(struct tree_handle *handle)
{
    int64_t size;
    bool is_readable =
        jobs_events_size(handle->tree->settings.jobs, &size) < 0 || size > handle->end;
    return is_readable ? READABLE : 0;
}

const struct handle_ops generated_handles = {
    .open = snapshot_open,
    .read = generated_read,
    .poll = generated_poll,
};

const struct handle_ops wait_handles = {
    .is_interruptible = true,
    .read_start = watch_read_start,
    .read_cancel = watch_read_cancel,
    .fill = wait_fill,
    .poll = wait_poll,
};

const struct handle_ops events_handles = {
    .is_interruptible = true,
    .read_start = watch_read_start,
    .read_cancel = watch_read_cancel,
    .fill = events_fill,
    .poll = events_poll,
};

/* Gives back the waker, when it has woken its poller or the poller closes its file. It is the
 * kernel's handle, without data. */
void watch_end(struct tree_handle *handle)
{
    if (!handle->waker)
        return;
    DL_DELETE2(handle->tree->watches, handle, watch_prev, watch_next);
    handle->tree->waker_drop(handle->waker);
    handle->waker = NULL;
}

static void watches_wake(void *context)
{
    struct tree *tree = context;
    struct tree_read_state *read;
    struct tree_read_state *read_next;
    struct tree_handle *handle;
    struct tree_handle *next;
    DL_FOREACH_SAFE (tree->watch_reads, read, read_next) {
        (void)read_try(read, true);
    }
    DL_FOREACH_SAFE2(tree->watches, handle, next, watch_next)
    {
        if (!handle->is_touched)
            continue;
        tree->waker_wake(handle->waker);
        watch_end(handle);
    }
}

static bool is_going_on(const struct tree_handle *handle)
{
    const struct node *node = &handle->node;
    return node->generated && (node->generated->flags & GENERATED_TIME) &&
           (node->job->state == JOB_QUEUED || node->job->state == JOB_RUNNING);
}

/* While somebody polls the progress of a task, a tick lets the progress be seen. Otherwise there is
 * no tick. */
static void watches_tick(void *context)
{
    struct tree *tree = context;
    struct tree_handle *handle;
    DL_FOREACH2 (tree->watches, handle, watch_next) {
        handle->is_touched = handle->is_touched || is_going_on(handle);
    }
    watches_wake(tree);
}

void watch_changed(struct tree *tree, const struct job *job)
{
    struct tree_handle *handle;
    if (!tree->watch_reads && !tree->watches)
        return;
    DL_FOREACH2 (tree->watches, handle, watch_next) {
        if (!handle->node.job || handle->node.job == job) /* without a job: `events` */
            handle->is_touched = true;
    }
    timer_set(tree->settings.timers, &tree->watch_timer, 0, watches_wake, tree);
}

short tree_poll(struct tree_handle *handle, void *waker)
{
    struct tree *tree = handle->tree;
    watch_end(handle); /* the kernel asks anew and brings another waker */
    if (!handle->ops->poll) {
        if (waker)
            tree->waker_drop(waker);
        return READABLE | POLLOUT | POLLWRNORM;
    }
    short ready = handle->ops->poll(handle);
    if (waker) {
        handle->waker = waker;
        handle->is_touched = false;
        DL_APPEND2(tree->watches, handle, watch_prev, watch_next);
        if (is_going_on(handle) && !timer_is_set(&tree->tick_timer))
            timer_set(tree->settings.timers, &tree->tick_timer, TICK_MS, watches_tick, tree);
    }
    return ready;
}

void tree_waker_set(struct tree *tree, tree_waker_fn *wake, tree_waker_fn *drop)
{
    tree->waker_wake = wake;
    tree->waker_drop = drop;
}

void watches_end(struct tree *tree)
{
    timer_cancel(tree->settings.timers, &tree->watch_timer);
    timer_cancel(tree->settings.timers, &tree->tick_timer);
}
