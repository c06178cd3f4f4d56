/*
 * What: the program's one event loop. One thread waits for watched descriptors and the next timer,
 * and does nothing at all while none of them has something.
 * Lifetime: one per program; watches and timers are removed by their owners before loop_free().
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_NET_LOOP_H
#define SEEDANCEFS_NET_LOOP_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/timer.h"

#include <poll.h>
#include <stdbool.h>

struct loop;

/* Called when `revents` (POLLIN, POLLOUT, POLLERR, POLLHUP) of the descriptor are raised. Must not
 * block, and must return after a bounded amount of work; unfinished work raises the event again. */
typedef void loop_watch_fn(void *context, short revents);

/* A member of its owner; linked while watched. */
struct loop_watch {
    int fd;
    short events;
    loop_watch_fn *fn;
    void *context;
    bool is_added;
};

int loop_new(const struct clock *clock, struct loop **out) NODISCARD;
struct loop *loop_free(struct loop *loop);

/* Lends the loop's timers and clock. */
struct timers *loop_timers(struct loop *loop);
const struct clock *loop_clock(const struct loop *loop);

/* Fill in fd, events, fn and context first. Removing is allowed at any time, inside callbacks too,
 * and does nothing when the watch is not added. */
int loop_watch_add(struct loop *loop, struct loop_watch *watch) NODISCARD;
void loop_watch_remove(struct loop *loop, struct loop_watch *watch);

/* Forgets when the loop would wake up for a timer; the next pass sets it for the timers that are
 * left. So a timer that was cancelled wakes nobody. Costs a system call. */
void loop_alarm_clear(struct loop *loop);

/* Runs until loop_stop(). loop_run_once() makes one pass that waits at most `wait_ms` (-1: without
 * a limit), for tests and for a clean shutdown. */
int loop_run(struct loop *loop) NODISCARD;
int loop_run_once(struct loop *loop, int64_t wait_ms) NODISCARD;
void loop_stop(struct loop *loop);

#endif
