/*
 * `wait`, `events` and poll(2).
 *
 * `wait` is for who has nothing else to do: a read waits until the program has done with the job
 * what it can do by itself, and gives the word that `status` shows. A draft is waited for, too:
 * closing a prompt.json comes to its release a moment after close(2) has returned.
 *
 * Nobody who merely looks through the tree may come to wait, so neither is listed (see list_job()
 * and tree_list()): grep -r, cp -r, rsync, tar and zip do not find what a person opens by its name.
 * Left out: telling tools apart by their names; an end of the file for who has not polled, which
 * would make `cat` useless; a fifo, whose reads the kernel answers itself.
 */
#include "watch.h"

#include "snapshot.h"

#include "seedancefs/base/table.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 1000, READ_MAX = 1024 * 1024 };

/* Nothing is going to happen by itself any more. */
static bool is_waited_for(const struct job *job)
{
    return job->state != JOB_DRAFT && job_state_class(job->state) != JOB_CLASS_ACTIVE;
}

int wait_render(struct tree *tree UNUSED, struct job *job, struct job_detail *detail UNUSED,
                struct buf *out)
{
    return is_waited_for(job) ? buf_addf(out, "%s\n", job_state_to_text(job->state)) : 0;
}

static int events_size(const struct watch *watch, int64_t *size)
{
    return jobs_events_size(watch->tree->settings.jobs, size);
}

/* Adds what can be read; none of it when there is something to wait for. */
static int content_get(const struct watch_read *read, struct buf *out)
{
    struct watch *watch = read->watch;
    struct tree *tree = watch->tree;
    size_t size = read->size < READ_MAX ? read->size : READ_MAX;
    if (watch->kind == WATCH_EVENTS)
        return jobs_events_read(tree->settings.jobs, read->offset, size, out);
    if (!watch->snapshot && watch->node.job->is_removed)
        return -ENOENT;
    if (!watch->snapshot && is_waited_for(watch->node.job)) {
        int r = snapshot_take(tree, &watch->node, watch->guest, &watch->snapshot);
        if (r < 0)
            return r;
    }
    if (!watch->snapshot)
        return 0;
    const struct buf *word = &watch->snapshot->content;
    size_t start = (uint64_t)read->offset < word->len ? (size_t)read->offset : word->len;
    size_t left = word->len - start;
    return buf_add(out, buf_text(word) + start, left < size ? left : size);
}

static bool is_at_end(const struct watch_read *read)
{
    return read->watch->kind == WATCH_WAIT && read->watch->snapshot;
}

/* True when the read was answered; it is then gone, if it was parked. */
static bool read_try(struct watch_read *read, bool is_parked)
{
    struct buf out;
    buf_init(&out, READ_MAX);
    int r = content_get(read, &out);
    if (r == 0 && out.len == 0 && !is_at_end(read)) {
        buf_fini(&out);
        if (!read->watch->is_nonblocking || is_parked)
            return false;
        r = -EAGAIN;
    }
    struct watch *watch = read->watch;
    if (is_parked)
        DL_DELETE(watch->tree->watch_reads, read);
    if (r == 0)
        watch->end = read->offset + (int64_t)out.len;
    struct tree_bytes bytes = {.fd = -1, .memory = buf_text(&out), .len = out.len};
    *read->place = NULL;
    read->fn(read->context, r < 0 ? r : (int)out.len, r == 0 && out.len ? &bytes : NULL);
    buf_fini(&out);
    return true;
}

bool watch_read_start(struct watch_read *read, struct tree_read_state *state)
{
    if (read_try(read, false))
        return true;
    *read->place = state;
    DL_APPEND(read->watch->tree->watch_reads, read);
    return false;
}

void watch_read_cancel(struct watch_read *read)
{
    DL_DELETE(read->watch->tree->watch_reads, read);
}

int watch_snapshot_read(struct watch *watch, size_t size, int64_t offset)
{
    int64_t len = (int64_t)watch->snapshot->content.len;
    if (watch->node.generated && offset == 0 && watch->end > 0 && watch->end >= len &&
        !watch->node.job->is_removed) {
        struct snapshot *anew;
        int r = snapshot_take(watch->tree, &watch->node, watch->guest, &anew);
        if (r < 0)
            return r;
        snapshot_release(watch->tree, watch->snapshot, watch->guest);
        watch->snapshot = anew;
        len = (int64_t)anew->content.len;
    }
    uint64_t end = (uint64_t)offset + size;
    watch->end = end < (uint64_t)len ? (int64_t)end : len;
    return 0;
}

static bool is_snapshot_old(struct watch *watch)
{
    struct buf *scratch = &watch->tree->scratch;
    const struct buf *content = &watch->snapshot->content;
    buf_clear(scratch);
    if (node_render(watch->tree, &watch->node, scratch) < 0)
        return true; /* a read will say why */
    return scratch->len != content->len ||
           memcmp(buf_text(scratch), buf_text(content), content->len) != 0;
}

static short readiness(struct watch *watch)
{
    const short readable = POLLIN | POLLRDNORM;
    int64_t size;
    if (watch->kind == WATCH_READY)
        return readable | POLLOUT | POLLWRNORM;
    if (watch->kind == WATCH_EVENTS)
        return events_size(watch, &size) < 0 || size > watch->end ? readable : 0;
    if (watch->node.job->is_removed)
        return readable | POLLHUP;
    if (watch->kind == WATCH_WAIT)
        return watch->snapshot || is_waited_for(watch->node.job) ? readable : 0;
    if (watch->end == 0 || watch->end < (int64_t)watch->snapshot->content.len)
        return readable;
    return is_snapshot_old(watch) ? (short)(readable | POLLPRI) : 0;
}

/* The kernel's handle for waking one poller, no data: given back when it has been woken, or closes
 * its file. */
static void waker_drop(struct watch *watch)
{
    if (!watch->waker)
        return;
    DL_DELETE(watch->tree->watches, watch);
    watch->tree->waker_drop(watch->waker);
    watch->waker = NULL;
}

static void watches_wake(void *context)
{
    struct tree *tree = context;
    struct watch_read *read;
    struct watch_read *read_next;
    struct watch *watch;
    struct watch *next;
    DL_FOREACH_SAFE (tree->watch_reads, read, read_next) {
        struct tree_read_state *state = *read->place;
        if (read_try(read, true))
            free(state); /* the read is part of it */
    }
    DL_FOREACH_SAFE (tree->watches, watch, next) {
        if (!watch->is_touched)
            continue;
        tree->waker_wake(watch->waker);
        waker_drop(watch);
    }
}

static bool is_going_on(const struct watch *watch)
{
    return watch->node.generated && generated_has_time(watch->node.generated) &&
           (watch->node.job->state == JOB_QUEUED || watch->node.job->state == JOB_RUNNING);
}

/* Who polls the progress of a task gets to see it go on; while nobody does there is no tick. */
static void watches_tick(void *context)
{
    struct tree *tree = context;
    struct watch *watch;
    DL_FOREACH (tree->watches, watch) {
        watch->is_touched = watch->is_touched || is_going_on(watch);
    }
    watches_wake(tree);
}

void watch_changed(struct tree *tree, const struct job *job)
{
    struct watch *watch;
    if (!tree->watch_reads && !tree->watches)
        return;
    DL_FOREACH (tree->watches, watch) {
        if (watch->node.job == job || watch->kind == WATCH_EVENTS)
            watch->is_touched = true;
    }
    timer_set(tree->settings.timers, &tree->watch_timer, 0, watches_wake, tree);
}

short watch_poll(struct watch *watch, void *waker)
{
    struct tree *tree = watch->tree;
    waker_drop(watch); /* the kernel asks anew: the one before is of no use */
    short ready = readiness(watch);
    if (waker && watch->kind == WATCH_READY) {
        tree->waker_drop(waker);
    } else if (waker) {
        watch->waker = waker;
        watch->is_touched = false;
        DL_APPEND(tree->watches, watch);
        if (is_going_on(watch) && !timer_is_set(&tree->tick_timer))
            timer_set(tree->settings.timers, &tree->tick_timer, TICK_MS, watches_tick, tree);
    }
    return ready;
}

void watch_fini(struct watch *watch)
{
    waker_drop(watch);
    snapshot_release(watch->tree, watch->snapshot, watch->guest);
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
