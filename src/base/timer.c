#include "seedancefs/base/timer.h"

#include <errno.h>
#include <stdlib.h>

void timers_init(struct timers *timers, const struct clock *clock)
{
    *timers = (struct timers){.clock = clock};
}

void timers_fini(struct timers *timers)
{
    free(timers->heap);
    *timers = (struct timers){0};
}

static void timers_put(struct timers *timers, size_t index, struct timer *timer)
{
    timers->heap[index] = timer;
    timer->place = index + 1;
}

static void timers_sift_up(struct timers *timers, size_t index, struct timer *timer)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (timers->heap[parent]->due_ms <= timer->due_ms)
            break;
        timers_put(timers, index, timers->heap[parent]);
        index = parent;
    }
    timers_put(timers, index, timer);
}

static void timers_sift_down(struct timers *timers, size_t index, struct timer *timer)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= timers->count)
            break;
        if (child + 1 < timers->count &&
            timers->heap[child + 1]->due_ms < timers->heap[child]->due_ms)
            child++;
        if (timers->heap[child]->due_ms >= timer->due_ms)
            break;
        timers_put(timers, index, timers->heap[child]);
        index = child;
    }
    timers_put(timers, index, timer);
}

int timer_set(struct timers *timers, struct timer *timer, int64_t delay_ms, timer_fn *fn,
              void *context)
{
    timer_cancel(timers, timer);
    if (timers->count == timers->capacity) {
        size_t capacity = timers->capacity ? timers->capacity * 2 : 16;
        struct timer **heap = realloc(timers->heap, capacity * sizeof(struct timer *));
        if (!heap)
            return -ENOMEM;
        timers->heap = heap;
        timers->capacity = capacity;
    }
    timer->due_ms = clock_monotonic_ms(timers->clock) + (delay_ms > 0 ? delay_ms : 0);
    timer->fn = fn;
    timer->context = context;
    timers_sift_up(timers, timers->count++, timer);
    return 0;
}

void timer_cancel(struct timers *timers, struct timer *timer)
{
    if (!timer->place)
        return;
    size_t index = timer->place - 1;
    timer->place = 0;
    struct timer *last = timers->heap[--timers->count];
    if (last == timer)
        return;
    if (index > 0 && timers->heap[(index - 1) / 2]->due_ms > last->due_ms)
        timers_sift_up(timers, index, last);
    else
        timers_sift_down(timers, index, last);
}

int64_t timers_next_ms(const struct timers *timers)
{
    if (timers->count == 0)
        return -1;
    int64_t wait_ms = timers->heap[0]->due_ms - clock_monotonic_ms(timers->clock);
    return wait_ms > 0 ? wait_ms : 0;
}

void timers_run(struct timers *timers)
{
    /* A callback that sets its own timer to 0 ms must not keep the loop here for ever. */
    size_t most = timers->count;
    int64_t now_ms = clock_monotonic_ms(timers->clock);
    while (most-- > 0 && timers->count > 0 && timers->heap[0]->due_ms <= now_ms) {
        struct timer *timer = timers->heap[0];
        timer_cancel(timers, timer);
        timer->fn(timer->context);
    }
}
