/*
 * A pairing heap whose nodes are the timers themselves. So setting a timer needs no memory, and no
 * deadline is lost for lack of it. (An array would be faster by a constant, but has to grow.)
 *
 * The children of a node are a list. Each child knows what points to it: its left sibling, or the
 * parent for the first child.
 */
#include "seedancefs/base/timer.h"

void timers_init(struct timers *timers, const struct clock *clock)
{
    *timers = (struct timers){.clock = clock};
}

void timers_fini(struct timers *timers)
{
    *timers = (struct timers){0};
}

/* Merges two heaps: the later root becomes the first child of the earlier one. Either
 * may be NULL. */
static struct timer *heap_meld(struct timer *a, struct timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->due_ms < a->due_ms) {
        struct timer *later = a;
        a = b;
        b = later;
    }
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    b->prev = a;
    a->child = b;
    return a;
}

/* Merges a list of siblings into one heap: first in pairs, then from the last pair back. This keeps
 * the heap flat. */
static struct timer *heap_meld_siblings(struct timer *first)
{
    struct timer *pairs = NULL;
    while (first) {
        struct timer *a = first;
        struct timer *b = a->next;
        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        struct timer *pair = heap_meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    struct timer *root = NULL;
    while (pairs) {
        struct timer *next = pairs->next;
        pairs->next = NULL;
        root = heap_meld(root, pairs);
        pairs = next;
    }
    return root;
}

void timer_set(struct timers *timers, struct timer *timer, int64_t delay_ms, timer_fn *fn,
               void *context)
{
    timer_cancel(timers, timer);
    timer->due_ms = clock_monotonic_ms(timers->clock) + (delay_ms > 0 ? delay_ms : 0);
    timer->fn = fn;
    timer->context = context;
    timer->is_set = true;
    timers->count++;
    timers->root = heap_meld(timers->root, timer);
}

void timer_cancel(struct timers *timers, struct timer *timer)
{
    if (!timer->is_set)
        return;
    struct timer *children = heap_meld_siblings(timer->child);
    if (timer == timers->root) {
        timers->root = children;
    } else {
        if (timer->prev->child == timer)
            timer->prev->child = timer->next;
        else
            timer->prev->next = timer->next;
        if (timer->next)
            timer->next->prev = timer->prev;
        timers->root = heap_meld(timers->root, children);
    }
    timer->child = timer->next = timer->prev = NULL;
    timer->is_set = false;
    timers->count--;
}

int64_t timers_next_ms(const struct timers *timers)
{
    if (!timers->root)
        return -1;
    int64_t wait_ms = timers->root->due_ms - clock_monotonic_ms(timers->clock);
    return wait_ms > 0 ? wait_ms : 0;
}

void timers_run(struct timers *timers)
{
    /* A callback that sets its own timer to 0 ms must not keep this loop running for ever. */
    size_t most = timers->count;
    int64_t now_ms = clock_monotonic_ms(timers->clock);
    while (most-- > 0 && timers->root && timers->root->due_ms <= now_ms) {
        struct timer *timer = timers->root;
        timer_cancel(timers, timer);
        timer->fn(timer->context);
    }
}
