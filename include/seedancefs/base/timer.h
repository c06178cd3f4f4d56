/*
 * What: deadlines of one thread, kept in a heap of the timers themselves: setting needs no memory
 * and cannot fail, and costs O(1), cancelling O(log n), the next due time O(1), so that thousands
 * of jobs may each have one.
 * Lifetime: a `struct timer` lives inside its owner, zeroed at birth, and must be cancelled before
 * its owner dies. `struct timers` outlives all of its timers.
 * Units: monotonic milliseconds of the clock given to timers_init().
 */
#ifndef SEEDANCEFS_BASE_TIMER_H
#define SEEDANCEFS_BASE_TIMER_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void timer_fn(void *context);

struct timer {
    int64_t due_ms;
    timer_fn *fn;
    void *context;
    bool is_set;
    struct timer *child; /* see timer.c */
    struct timer *next;
    struct timer *prev;
};

struct timers {
    const struct clock *clock;
    struct timer *root; /* the one that is due first; NULL: none is set */
    size_t count;
};

void timers_init(struct timers *timers, const struct clock *clock);
void timers_fini(struct timers *timers);

/* Sets or moves `timer` to fire `delay_ms` (>= 0) from now. */
void timer_set(struct timers *timers, struct timer *timer, int64_t delay_ms, timer_fn *fn,
               void *context);

/* Does nothing when the timer is not set. */
void timer_cancel(struct timers *timers, struct timer *timer);

static inline bool timer_is_set(const struct timer *timer)
{
    return timer->is_set;
}

/* Milliseconds until the next timer is due (0 when one is overdue), or -1 when none is set. */
int64_t timers_next_ms(const struct timers *timers);

/* Fires what is due, each at most once per call; a callback may set and cancel any timer. */
void timers_run(struct timers *timers);

#endif
