/*
 * What: waiting for changes: reads of `wait` and at the end of `events`, and poll(2) on generated
 * files. A read that must wait is parked; a poll leaves a waker. When jobs have changed, a timer
 * without delay checks all of them, so that this is done once in a pass of the loop.
 * Lifetime: a `struct watch` is part of each handle, which fills it; watch_fini() before the handle
 * is freed.
 * Errors: a parked read ends with -ENOENT when its job is removed.
 */
#ifndef SEEDANCEFS_TREE_WATCH_H
#define SEEDANCEFS_TREE_WATCH_H

#include "tree_private.h"

/* READY: always readable. SNAPSHOT: readable until it was read to its end, and when another reading
 * would give something else. */
enum watch_kind { WATCH_READY, WATCH_SNAPSHOT, WATCH_WAIT, WATCH_EVENTS };

struct watch {
    enum watch_kind kind;
    struct tree *tree;
    struct node node;    /* its job (NULL for WATCH_EVENTS) is held by the handle */
    struct guest *guest; /* of the handle */
    struct snapshot
        *snapshot;       /* of a generated file; of `wait` once its word is known; else NULL */
    int64_t end;         /* of the last read */
    bool is_nonblocking; /* the read under way must not wait */
    bool is_touched;     /* what it is about may have changed since its waker was set */
    void *waker;         /* NULL: nobody waits; else linked */
    struct watch *next;
    struct watch *prev;
};

struct watch_read {
    struct watch *watch;
    size_t size;
    int64_t offset;
    tree_read_fn *fn;
    void *context;
    struct tree_read_state **place; /* of the caller: NULL from the moment that fn is called */
    struct watch_read *next;
    struct watch_read *prev;
};

/* Answers now, or parks `read` and sets *read->place to `state`, whose part it is. True when it was
 * answered. */
bool watch_read_start(struct watch_read *read, struct tree_read_state *state);
void watch_read_cancel(struct watch_read *read);

/* A read of a snapshot: renders it anew when it was read to its end and is read from its beginning
 * again. */
int watch_snapshot_read(struct watch *watch, size_t size, int64_t offset) NODISCARD;

/* See tree_poll(). */
short watch_poll(struct watch *watch, void *waker);
void watch_fini(struct watch *watch);

#endif
