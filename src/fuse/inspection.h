/*
 * What: one question to the inspector, see seedancefs/fuse/inspector.h.
 * Lifetime: a member of its owner, zeroed at the start; its fn is called exactly once, from the
 * loop, unless it is cancelled first.
 */
#ifndef SEEDANCEFS_FUSE_INSPECTION_H
#define SEEDANCEFS_FUSE_INSPECTION_H

#include "seedancefs/base/timer.h"
#include "seedancefs/fuse/inspector.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What is asked about a thread. */
struct inspection_question {
    pid_t tid;
    const char *name; /* lent */
    /* 0: is it about to create something below that name? Else: has it just closed the last
     * descriptor of the file with that name and this number? See caller_file_is_open(). */
    uint64_t ino;
};

typedef void inspection_fn(void *context, bool is_so);

struct inspection {
    struct inspector *inspector; /* NULL: not under way */
    uint64_t id;
    struct inspection_question question;
    bool is_asked; /* the question was sent to the process */
    inspection_fn *fn;
    void *context;
    struct timer deadline;
    struct inspection *next;
    struct inspection *prev;
};

/* The name is lent until the result comes. On failure (also if `inspector` is NULL) the answer cannot
 * be known, and fn is not called. An answer that does not come in time is no. */
int inspection_start(struct inspection *inspection, struct inspector *inspector,
                     const struct inspection_question *question, inspection_fn *fn,
                     void *context) NODISCARD;

/* Does nothing when it is not under way. */
void inspection_cancel(struct inspection *inspection);

#endif
