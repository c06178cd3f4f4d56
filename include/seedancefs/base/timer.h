/*
 * What: deadlines of one thread, in a heap that is linked through the timers themselves. Setting a
 * timer allocates nothing, cannot fail, and takes O(1); cancelling takes O(log n), the next due
 * time O(1). So thousands of jobs can each have one.
 * Lifetime: a `struct timer` is a member of its owner, starts zeroed, and must be cancelled before
 * its owner is freed. `struct timers` outlives all of its timers.
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

/* Fires the timers that are due, each at most once per call; a callback may set and cancel any
 * timer. */
void timers_run(struct timers *timers);

#endif
