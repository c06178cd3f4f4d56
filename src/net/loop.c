/*
 * Design. The watches live in an epoll set, which is itself one extra descriptor of
 * curl_multi_poll(): curl (7.88) does not report POLLERR and POLLHUP of extra descriptors, and
 * /dev/fuse says POLLERR when it is unmounted. While there are no transfers, epoll_wait() alone is
 * called and curl not at all, so that a busy mount does not pay for an idle network.
 *
 * Timers wake the loop through a timerfd on CLOCK_BOOTTIME, because the timeout of epoll_wait()
 * stands still while the machine sleeps, and a deadline met while asleep is met. It is only moved
 * forward: a timer that was cancelled costs one idle turn at most, and setting and cancelling one
 * per request costs no system call.
 */
#include "net/loop_internal.h"

#include "net/curl_memory.h"
#include "seedancefs/base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR &&
                   EPOLLHUP == POLLHUP,
               "the events of poll() are handed to epoll as they are");

enum {
    READY_MAX = 16, /* watches served per turn; the others raise their event again */
    IDLE_CONNECTIONS_MAX = 16,
    CONNECTIONS_MAX = 64,
    OUT_OF_MEMORY_REST_MS = 10,
};

struct loop {
    struct timers timers;
    const struct clock *clock;
    CURLM *multi;
    int epoll_fd;
    struct loop_watch *watches;
    struct loop_watch timer_watch;
    int64_t armed_due_ms; /* the timerfd fires then; -1: it does not */
    struct epoll_event ready[READY_MAX];
    int ready_count; /* not yet dispatched ones have a data.ptr */
    struct loop_transfer_hooks hooks;
    bool has_hooks;
    int transfer_count; /* handles in the multi */
    bool is_prepare_due;
    bool is_perform_due;
    bool is_in_curl;
    bool is_stopped;
    uint64_t pass_count;
    uint64_t perform_count;
};

static void loop_timer_expired(void *context, short revents)
{
    struct loop *loop = context;
    uint64_t expirations;
    (void)revents;
    /* Nothing is lost if there is nothing to read: timers_run() looks at the clock itself. */
    if (read(loop->timer_watch.fd, &expirations, sizeof(expirations)) > 0)
        loop->armed_due_ms = -1;
}

static int loop_open(struct loop *loop)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return -errno;
    int timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (timer_fd < 0)
        return -errno;
    loop->timer_watch = (struct loop_watch){
        .fd = timer_fd, .events = POLLIN, .fn = loop_timer_expired, .context = loop};
    int r = loop_watch_add(loop, &loop->timer_watch);
    if (r < 0)
        return r;
    loop->multi = curl_multi_init();
    if (!loop->multi)
        return -ENOMEM;
    if (curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX) ||
        curl_multi_setopt(loop->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS_MAX) ||
        curl_multi_setopt(loop->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX))
        return -EINVAL;
    return 0;
}

int loop_new(const struct clock *clock, struct loop **out)
{
    /* OpenSSL writes to sockets without MSG_NOSIGNAL, and curl is told to leave signals alone. */
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return -errno;
    int r = curl_memory_init();
    if (r < 0)
        return r;
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop) {
        curl_global_cleanup();
        return -ENOMEM;
    }
    loop->clock = clock;
    loop->epoll_fd = -1;
    loop->timer_watch.fd = -1;
    loop->armed_due_ms = -1;
    timers_init(&loop->timers, clock);
    r = loop_open(loop);
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
    if (loop->multi)
        (void)curl_multi_cleanup(loop->multi);
    if (loop->timer_watch.fd >= 0)
        (void)close(loop->timer_watch.fd);
    if (loop->epoll_fd >= 0)
        (void)close(loop->epoll_fd);
    timers_fini(&loop->timers);
    free(loop);
    curl_global_cleanup();
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
    watch->previous = NULL;
    watch->next = loop->watches;
    if (watch->next)
        watch->next->previous = watch;
    loop->watches = watch;
    return 0;
}

void loop_watch_remove(struct loop *loop, struct loop_watch *watch)
{
    if (loop->watches != watch && !watch->previous)
        return; /* not linked */
    if (watch->previous)
        watch->previous->next = watch->next;
    else
        loop->watches = watch->next;
    if (watch->next)
        watch->next->previous = watch->previous;
    watch->next = NULL;
    watch->previous = NULL;
    /* Fails only when the descriptor was closed before, which has removed it as well. */
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    for (int i = 0; i < loop->ready_count; i++) {
        if (loop->ready[i].data.ptr == watch)
            loop->ready[i].data.ptr = NULL;
    }
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
        return wait_ms < 0 || wait_ms > next_ms ? next_ms : wait_ms;
    loop->armed_due_ms = due_ms;
    return wait_ms;
}

static int loop_wait_for_curl(struct loop *loop, int wait_ms)
{
    struct curl_waitfd watches = {.fd = loop->epoll_fd, .events = CURL_WAIT_POLLIN};
    int raised = 0;
    /* It waits no longer than curl's own timers allow. */
    CURLMcode code =
        curl_multi_poll(loop->multi, &watches, 1, wait_ms < 0 ? INT_MAX : wait_ms, &raised);
    if (code != CURLM_OK)
        return code == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EIO;
    if (raised > (watches.revents != 0))
        loop->is_perform_due = true;
    return 0;
}

static int loop_wait(struct loop *loop, int64_t wait_ms)
{
    wait_ms = loop_timer_arm(loop, wait_ms);
    if (loop->is_prepare_due || loop->is_perform_due)
        wait_ms = 0;
    int max_ms = wait_ms < 0 ? -1 : wait_ms > INT_MAX ? INT_MAX : (int)wait_ms;
    if (loop->transfer_count > 0) {
        int r = loop_wait_for_curl(loop, max_ms);
        if (r < 0)
            return r;
        max_ms = 0;
    }
    int n = epoll_wait(loop->epoll_fd, loop->ready, READY_MAX, max_ms);
    loop->pass_count++;
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

static bool loop_has_curl_timeout(struct loop *loop)
{
    long timeout_ms = -1;
    return curl_multi_timeout(loop->multi, &timeout_ms) == CURLM_OK && timeout_ms == 0;
}

static int loop_perform(struct loop *loop)
{
    if (loop->transfer_count == 0 || !(loop->is_perform_due || loop_has_curl_timeout(loop)))
        return 0;
    loop->is_perform_due = false;
    int running = 0;
    loop->is_in_curl = true;
    CURLMcode code = curl_multi_perform(loop->multi, &running);
    loop->is_in_curl = false;
    loop->perform_count++;
    if (loop->has_hooks)
        loop->hooks.performed(loop->hooks.context);
    if (code != CURLM_OK)
        return code == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EIO;
    int left = 0;
    const CURLMsg *message;
    while ((message = curl_multi_info_read(loop->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE && loop->has_hooks)
            loop->hooks.completed(loop->hooks.context, message->easy_handle, message->data.result);
    }
    return 0;
}

int loop_run_once(struct loop *loop, int64_t wait_ms)
{
    if (loop->is_prepare_due && loop->has_hooks) {
        loop->is_prepare_due = false;
        loop->is_perform_due = true;
        loop->hooks.prepare(loop->hooks.context);
    }
    if (loop->transfer_count == 0)
        loop->is_perform_due = false;
    int r = loop_wait(loop, loop->is_stopped ? 0 : wait_ms);
    if (r < 0)
        return r;
    loop_dispatch(loop);
    r = loop_perform(loop);
    timers_run(&loop->timers);
    return r;
}

int loop_run(struct loop *loop)
{
    while (!loop->is_stopped) {
        int r = loop_run_once(loop, -1);
        if (r == -ENOMEM) {
            /* libcurl found no memory in this turn. What it was about is done in a later one. */
            log_error("loop.memory", "error=ENOMEM");
            (void)poll(NULL, 0, OUT_OF_MEMORY_REST_MS);
        } else if (r < 0) {
            return r;
        }
    }
    loop->is_stopped = false;
    return 0;
}

void loop_stop(struct loop *loop)
{
    loop->is_stopped = true;
}

int loop_transfer_hooks_set(struct loop *loop, const struct loop_transfer_hooks *hooks)
{
    if (hooks && loop->has_hooks)
        return -EBUSY;
    loop->has_hooks = hooks != NULL;
    loop->hooks = hooks ? *hooks : (struct loop_transfer_hooks){0};
    return 0;
}

CURLM *loop_multi(struct loop *loop)
{
    return loop->multi;
}

void loop_transfer_count_add(struct loop *loop, int delta)
{
    loop->transfer_count += delta;
}

void loop_transfers_wake(struct loop *loop)
{
    loop->is_prepare_due = true;
}

bool loop_is_in_curl(const struct loop *loop)
{
    return loop->is_in_curl;
}

void loop_is_in_curl_set(struct loop *loop, bool is_in_curl)
{
    loop->is_in_curl = is_in_curl;
}

uint64_t loop_pass_count(const struct loop *loop)
{
    return loop->pass_count;
}

uint64_t loop_perform_count(const struct loop *loop)
{
    return loop->perform_count;
}
