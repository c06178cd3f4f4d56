/*
 * When libcurl runs. libcurl names the sockets it waits for and its next deadline
 * (curl_multi_socket_action(3)). They become watches and a timer of the loop, so an idle network
 * costs nothing. http.c does the work outside of libcurl in a timer of 0 ms.
 *
 * libcurl reports each change once. If memory is missing at that moment, a socket stays unwatched.
 * Then libcurl is told every 10 ms to look at all sockets, until the last transfer has ended.
 */
#include "net/curl_memory.h"
#include "net/http_internal.h"

#include "seedancefs/base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

enum {
    IDLE_CONNECTIONS_MAX = 16,
    CONNECTIONS_MAX = 64,
    POLL_MS = 10,
};

struct http_socket {
    struct http *http;
    struct loop_watch watch;
};

static void on_poll_due(void *context)
{
    struct http *http = context;
    int running;
    if (!http->transfers)
        return;
    timer_set(loop_timers(http->loop), &http->poll_timer, POLL_MS, on_poll_due, http);
    http->is_in_curl = true;
    (void)curl_multi_perform(http->multi, &running); /* called again in 10 ms */
    http->is_in_curl = false;
    http->on_ran(http);
}

static void poll_begin(struct http *http)
{
    if (timer_is_set(&http->poll_timer))
        return;
    log_error("http.memory", "error=ENOMEM");
    timer_set(loop_timers(http->loop), &http->poll_timer, POLL_MS, on_poll_due, http);
}

void http_multi_run(struct http *http, curl_socket_t fd)
{
    int running;
    http->is_in_curl = true;
    /* With 0 for the events, libcurl polls the socket itself, also for a hang-up or an error. */
    CURLMcode code = curl_multi_socket_action(http->multi, fd, 0, &running);
    http->is_in_curl = false;
    if (code != CURLM_OK)
        poll_begin(http);
    http->on_ran(http);
}

static void on_socket_ready(void *context, short revents)
{
    const struct http_socket *socket = context; /* may be freed by the next call */
    (void)revents;
    http_multi_run(socket->http, socket->watch.fd);
}

/* libcurl asks to watch a socket for other events, or not at all. */
static int on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *context, void *assigned)
{
    struct http *http = context;
    struct http_socket *socket = assigned;
    (void)easy;
    if (socket)
        loop_watch_remove(http->loop, &socket->watch);
    if (what == CURL_POLL_REMOVE) {
        free(socket);
        return 0;
    }
    if (!socket) {
        socket = calloc(1, sizeof(*socket));
        if (!socket || curl_multi_assign(http->multi, fd, socket) != CURLM_OK) {
            free(socket);
            poll_begin(http);
            return 0; /* after an error libcurl would stop working */
        }
    }
    short events =
        (short)((what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0));
    *socket = (struct http_socket){
        http, {.fd = fd, .events = events, .fn = on_socket_ready, .context = socket}};
    /* Added again instead of changed: the number may belong to another socket now. */
    if (loop_watch_add(http->loop, &socket->watch) < 0)
        poll_begin(http);
    return 0;
}

static void on_curl_due(void *context)
{
    http_multi_run(context, CURL_SOCKET_TIMEOUT);
}

static int on_timeout_wanted(CURLM *multi, long timeout_ms, void *context)
{
    struct http *http = context;
    (void)multi;
    if (timeout_ms >= 0) {
        timer_set(loop_timers(http->loop), &http->curl_timer, timeout_ms, on_curl_due, http);
    } else if (timer_is_set(&http->curl_timer)) { /* the last transfer has ended */
        timer_cancel(loop_timers(http->loop), &http->curl_timer);
        loop_alarm_clear(http->loop);
    }
    return 0;
}

void http_wake(struct http *http)
{
    if (!timer_is_set(&http->work_timer))
        timer_set(loop_timers(http->loop), &http->work_timer, 0, http->on_work, http);
}

int http_multi_open(struct http *http)
{
    /* OpenSSL writes to sockets without MSG_NOSIGNAL, and curl must not touch signals. */
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return -errno;
    int r = curl_memory_init();
    if (r < 0)
        return r;
    http->multi = curl_multi_init();
    if (!http->multi) {
        curl_global_cleanup();
        return -ENOMEM;
    }
    if (curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX) ||
        curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS_MAX) ||
        curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX) ||
        curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted) ||
        curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http) ||
        curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timeout_wanted) ||
        curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http)) {
        http_multi_close(http);
        return -EINVAL;
    }
    return 0;
}

void http_multi_close(struct http *http)
{
    (void)curl_multi_cleanup(http->multi);
    timer_cancel(loop_timers(http->loop), &http->work_timer);
    timer_cancel(loop_timers(http->loop), &http->curl_timer);
    timer_cancel(loop_timers(http->loop), &http->poll_timer);
    curl_global_cleanup();
}
