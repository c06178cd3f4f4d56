/*
 * Design. The watches are in an epoll set. Timers wake the loop through a timerfd on
 * CLOCK_BOOTTIME: the timeout of epoll_wait() stops while the machine sleeps, but a deadline must
 * also pass during sleep. The timerfd is only moved to an earlier time. So a cancelled timer costs
 * one idle pass at most, and a timer per request costs no system call. When the network becomes
 * idle the timerfd is cleared (loop_alarm_clear), so that an idle program does not wake up.
 */
#include "seedancefs/net/loop.h"

#include "seedancefs/base/number.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR &&
                   EPOLLHUP == POLLHUP,
               "the events of poll() are handed to epoll as they are");

enum { READY_MAX = 16 }; /* watches served per pass; the others fire again */

struct loop {
    struct timers timers;
    const struct clock *clock;
    int epoll_fd;
    struct loop_watch timer_watch;
    int64_t armed_due_ms; /* the timerfd fires then; -1: it does not */
    struct epoll_event ready[READY_MAX];
    int ready_count; /* those not yet dispatched have a data.ptr */
    bool is_stopped;
};

static void loop_timer_expired(void *context, short revents)
{
    struct loop *loop = context;
    uint64_t expirations;
    (void)revents;
    /* If there is nothing to read, nothing is lost: timers_run() reads the clock itself. */
    if (read(loop->timer_watch.fd, &expirations, sizeof(expirations)) > 0)
        loop->armed_due_ms = -1;
}

static int loop_open(struct loop *loop)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return -errno;
    loop->timer_watch.fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop->timer_watch.fd < 0)
        return -errno;
    return loop_watch_add(loop, &loop->timer_watch);
}

int loop_new(const struct clock *clock, struct loop **out)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return -ENOMEM;
    loop->clock = clock;
    loop->epoll_fd = -1;
    loop->timer_watch =
        (struct loop_watch){.fd = -1, .events = POLLIN, .fn = loop_timer_expired, .context = loop};
    loop->armed_due_ms = -1;
    timers_init(&loop->timers, clock);
    int r = loop_open(loop);
    if (r < 0) {
        loop_free(loop);
        return r;
    }
    *out = loop;
    return 0;
}

struct loop *loop_free(struct loop *loop)
{
    if (!loop)
        return NULL;
    if (loop->timer_watch.fd >= 0)
        (void)close(loop->timer_watch.fd);
    if (loop->epoll_fd >= 0)
        (void)close(loop->epoll_fd);
    timers_fini(&loop->timers);
    free(loop);
    return NULL;
}

struct timers *loop_timers(struct loop *loop)
{
    return &loop->timers;
}

const struct clock *loop_clock(const struct loop *loop)
{
    return loop->clock;
}

int loop_watch_add(struct loop *loop, struct loop_watch *watch)
{
    struct epoll_event event = {.events = (uint32_t)(unsigned short)watch->events,
                                .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) < 0)
        return -errno;
    watch->is_added = true;
    return 0;
}

void loop_watch_remove(struct loop *loop, struct loop_watch *watch)
{
    if (!watch->is_added)
        return;
    watch->is_added = false;
    /* Fails only when the descriptor is already closed, which has removed it too. */
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    for (int i = 0; i < loop->ready_count; i++) {
        if (loop->ready[i].data.ptr == watch)
            loop->ready[i].data.ptr = NULL;
    }
}

void loop_alarm_clear(struct loop *loop)
{
    const struct itimerspec never = {0};
    if (loop->armed_due_ms >= 0 && timerfd_settime(loop->timer_watch.fd, 0, &never, NULL) == 0)
        loop->armed_due_ms = -1;
}

/* Makes the timerfd fire no later than the next timer. Returns how long the loop may wait. */
static int64_t loop_timer_arm(struct loop *loop, int64_t wait_ms)
{
    int64_t next_ms = timers_next_ms(&loop->timers);
    if (next_ms < 0)
        return wait_ms;
    if (next_ms == 0)
        return 0;
    int64_t due_ms = loop->timers.root->due_ms;
    if (loop->armed_due_ms >= 0 && loop->armed_due_ms <= due_ms)
        return wait_ms;
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(next_ms / 1000),
                                         .tv_nsec = (long)(next_ms % 1000) * 1000000L}};
    if (timerfd_settime(loop->timer_watch.fd, 0, &at, NULL) < 0)
        return wait_ms < 0 ? next_ms : min_int64(wait_ms, next_ms);
    loop->armed_due_ms = due_ms;
    return wait_ms;
}

static int loop_wait(struct loop *loop, int64_t wait_ms)
{
    wait_ms = clamp_int64(loop_timer_arm(loop, wait_ms), -1, INT_MAX);
    int n = epoll_wait(loop->epoll_fd, loop->ready, READY_MAX, (int)wait_ms);
    loop->ready_count = n > 0 ? n : 0;
    return n < 0 && errno != EINTR ? -errno : 0;
}

static void loop_dispatch(struct loop *loop)
{
    for (int i = 0; i < loop->ready_count; i++) {
        struct loop_watch *watch = loop->ready[i].data.ptr;
        if (watch)
            watch->fn(watch->context, (short)loop->ready[i].events);
    }
    loop->ready_count = 0;
}

int loop_run_once(struct loop *loop, int64_t wait_ms)
{
    int r = loop_wait(loop, loop->is_stopped ? 0 : wait_ms);
    if (r < 0)
        return r;
    loop_dispatch(loop);
    timers_run(&loop->timers);
    return 0;
}

int loop_run(struct loop *loop)
{
    while (!loop->is_stopped) {
        int r = loop_run_once(loop, -1);
        if (r < 0)
            return r;
    }
    loop->is_stopped = false;
    return 0;
}

void loop_stop(struct loop *loop)
{
    loop->is_stopped = true;
}
