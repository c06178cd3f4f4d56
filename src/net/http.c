#include "net/http_internal.h"

#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"
#include "seedancefs/net/url.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HTTP_LOG_QUIET_MS = 60 * 1000 };

void http_library_version(char out[static HTTP_VERSION_SIZE])
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    (void)snprintf(out, HTTP_VERSION_SIZE, "libcurl %s with %s", info->version,
                   info->ssl_version ? info->ssl_version : "no TLS");
}

const char *http_method_name(enum http_method method)
{
    static const char *const names[] = {
        [HTTP_GET] = "GET", [HTTP_POST] = "POST", [HTTP_PUT] = "PUT", [HTTP_DELETE] = "DELETE"};
    return names[method];
}

static int64_t now_ms(const struct http_transfer *transfer)
{
    return clock_monotonic_ms(loop_clock(transfer->http->loop));
}

static struct timers *timers_of(const struct http_transfer *transfer)
{
    return loop_timers(transfer->http->loop);
}

/* A transfer that on_body cancels is only marked; http_work() frees it. */
static void transfer_flush(struct http_transfer *transfer)
{
    struct http *http = transfer->http;
    http->is_in_curl = true;
    http_easy_flush_body(transfer);
    http->is_in_curl = false;
}

/* Removes the transfer from curl, the timers and the list, so that nothing can call it back. */
static void transfer_detach(struct http_transfer *transfer)
{
    struct http *http = transfer->http;
    timer_cancel(timers_of(transfer), &transfer->total_timer);
    timer_cancel(timers_of(transfer), &transfer->stall_timer);
    if (transfer->is_added)
        (void)curl_multi_remove_handle(http->multi, transfer->easy);
    transfer->is_added = false;
    DL_DELETE(http->transfers, transfer);
}

static void transfer_free(struct http_transfer *transfer)
{
    http_easy_close(transfer);
    if (transfer->url)
        explicit_bzero(transfer->url, strlen(transfer->url)); /* a signed query is a secret */
    free(transfer->url);
    free(transfer);
}

/* While a host is down every transfer fails, for hours. One line per minute is enough. */
static enum log_level transfer_log_level(const struct http_transfer *transfer, int result)
{
    struct http *http = transfer->http;
    int64_t now = now_ms(transfer);
    if (result == 0 || transfer->response.failure[0] == '\0' || now < http->quiet_until_ms)
        return LOG_DEBUG;
    http->quiet_until_ms = now + HTTP_LOG_QUIET_MS;
    return LOG_INFO;
}

static void transfer_log(const struct http_transfer *transfer, int result)
{
    char url[256];
    enum log_level level = transfer_log_level(transfer, result);
    if (!log_is_enabled(level))
        return;
    url_redact(transfer->url, url, sizeof(url));
    log_event(level, "http.done",
              "method=%s url=%s result=%s status=%d sent=%d bytes=%" PRId64 " ms=%" PRId64
              " curl=\"%s\"",
              http_method_name(transfer->request.method), url, err_name(result),
              transfer->response.status, transfer->response.is_sent, transfer->response.body_bytes,
              now_ms(transfer) - transfer->started_ms, transfer->response.failure);
}

static void transfer_finish(struct http_transfer *transfer, int result)
{
    curl_off_t sent_bytes = 0;
    transfer->is_finished = true;
    if (transfer->easy &&
        curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &sent_bytes) == CURLE_OK)
        transfer->response.sent_body_bytes = sent_bytes;
    /* When our own callback ends a transfer, libcurl reports a write error; that is
     * not the cause. */
    if (result == 0 || transfer->failure)
        transfer->response.failure[0] = '\0';
    transfer_detach(transfer);
    transfer_log(transfer, result);
    transfer->request.on_done(transfer->request.context, result, &transfer->response);
    transfer_free(transfer);
}

static void on_total_deadline(void *context)
{
    transfer_finish(context, -ERR_HTTP_DEADLINE);
}

/* The timer is not moved with every byte. When it fires, it checks the age of the last byte. */
static void on_stall_deadline(void *context)
{
    struct http_transfer *transfer = context;
    if (transfer->is_paused)
        transfer->last_byte_ms = now_ms(transfer);
    int64_t left_ms = transfer->last_byte_ms + transfer->request.stall_ms - now_ms(transfer);
    if (left_ms <= 0)
        transfer_finish(transfer, -ERR_HTTP_STALLED);
    else
        timer_set(timers_of(transfer), &transfer->stall_timer, left_ms, on_stall_deadline,
                  transfer);
}

/* Restarts the stall deadline, unless the transfer is not connected yet. */
static void stall_restart(struct http_transfer *transfer)
{
    if (transfer->request.stall_ms <= 0 || !transfer->response.is_sent)
        return;
    transfer->last_byte_ms = now_ms(transfer);
    timer_set(timers_of(transfer), &transfer->stall_timer, transfer->request.stall_ms,
              on_stall_deadline, transfer);
}

static void transfer_add(struct http_transfer *transfer)
{
    if (curl_multi_add_handle(transfer->http->multi, transfer->easy) == CURLM_OK)
        transfer->is_added = true;
    else
        transfer_finish(transfer, -ENOMEM);
}

/* libcurl may deliver the bytes it has kept from within this call. A transfer that on_body cancels
 * meanwhile is only marked. */
static void transfer_go_on(struct http_transfer *transfer)
{
    struct http *http = transfer->http;
    transfer->is_held = false;
    transfer->pass_bytes = 0;
    transfer->last_byte_ms = now_ms(transfer);
    http->is_in_curl = true;
    CURLcode code = curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
    http->is_in_curl = false;
    if (code != CURLE_OK && !transfer->is_cancelled)
        transfer_finish(transfer, http_easy_result(transfer, code));
}

/* Does one thing that is due. Returns false when there is none. */
static bool http_work_one(struct http *http)
{
    struct http_transfer *transfer;
    DL_FOREACH (http->transfers, transfer) {
        if (transfer->is_cancelled) {
            transfer_detach(transfer);
            transfer_free(transfer);
            return true;
        }
        if (!transfer->is_added) {
            transfer_add(transfer);
            return true;
        }
        if (transfer->is_held && !transfer->is_paused) {
            transfer_go_on(transfer);
            return true;
        }
    }
    return false;
}

/* A callback may start and cancel any transfer, so each step searches the list from its head. */
static void http_work(void *context)
{
    while (http_work_one(context))
        continue;
    /* Added or resumed transfers are due at once, and bytes received meanwhile have
     * to be flushed. */
    http_multi_run(context, CURL_SOCKET_TIMEOUT);
}

static struct http_transfer *http_coalescing(const struct http *http)
{
    struct http_transfer *transfer = http->coalescing > 0 ? http->transfers : NULL;
    while (transfer && transfer->coalesced_len == 0)
        transfer = transfer->next;
    return transfer;
}

/* If a transfer failed after its last byte, curl reports it. */
static struct http_transfer *http_complete(const struct http *http)
{
    struct http_transfer *transfer = http->complete > 0 ? http->transfers : NULL;
    while (transfer && (!transfer->is_complete || transfer->is_cancelled || transfer->failure))
        transfer = transfer->next;
    return transfer;
}

/* libcurl's next report of a transfer that has ended; NULL: none. */
static struct http_transfer *http_reported(const struct http *http, CURLcode *code)
{
    const CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        struct http_transfer *transfer = NULL;
        if (message->msg != CURLMSG_DONE ||
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer) !=
                CURLE_OK ||
            !transfer || transfer->is_cancelled)
            continue;
        *code = message->data.result;
        return transfer;
    }
    return NULL;
}

/* This order matters: a complete transfer must have flushed all of its bytes. */
static void http_ran(struct http *http)
{
    struct http_transfer *transfer;
    CURLcode code;
    while ((transfer = http_coalescing(http)) != NULL) {
        transfer_flush(transfer);
        if (!transfer->is_cancelled && transfer->failure)
            transfer_finish(transfer, transfer->failure);
    }
    while ((transfer = http_complete(http)) != NULL)
        transfer_finish(transfer, http_easy_result(transfer, CURLE_OK));
    while ((transfer = http_reported(http, &code)) != NULL)
        transfer_finish(transfer, http_easy_result(transfer, code));
}

int http_new(struct loop *loop, struct http **out)
{
    struct http *http = calloc(1, sizeof(*http));
    if (!http)
        return -ENOMEM;
    http->loop = loop;
    http->on_work = http_work;
    http->on_ran = http_ran;
    int r = http_multi_open(http);
    if (r < 0) {
        free(http);
        return r;
    }
    *out = http;
    return 0;
}

struct http *http_free(struct http *http)
{
    if (!http)
        return NULL;
    while (http->transfers) {
        struct http_transfer *transfer = http->transfers;
        transfer_detach(transfer);
        transfer_free(transfer);
    }
    http_multi_close(http);
    free(http);
    return NULL;
}

int http_start(struct http *http, const struct http_request *request, struct http_transfer **out)
{
    int r = url_check(request->url, request->is_private_address_allowed);
    if (r < 0)
        return r;
    struct http_transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        return -ENOMEM;
    transfer->http = http;
    transfer->request = *request;
    transfer->on_sending = stall_restart;
    transfer->response.content_length = -1;
    transfer->started_ms = now_ms(transfer);
    transfer->url = strdup(request->url);
    r = transfer->url ? http_easy_open(transfer) : -ENOMEM;
    if (r < 0) {
        transfer_free(transfer);
        return r;
    }
    if (request->total_ms > 0)
        timer_set(timers_of(transfer), &transfer->total_timer, request->total_ms, on_total_deadline,
                  transfer);
    transfer->request.url = transfer->url;
    transfer->request.bearer = NULL;
    transfer->request.content_type = NULL;
    transfer->request.headers = NULL;
    DL_PREPEND(http->transfers, transfer);
    http_wake(http);
    *out = transfer;
    return 0;
}

void http_pause(struct http_transfer *transfer, bool is_paused)
{
    if (!transfer || transfer->is_finished || transfer->is_cancelled)
        return;
    transfer->is_paused = is_paused;
    if (transfer->is_held && !is_paused)
        http_wake(transfer->http);
}

void http_cancel(struct http_transfer *transfer)
{
    if (!transfer || transfer->is_finished || transfer->is_cancelled)
        return;
    if (transfer->http->is_in_curl) {
        transfer->is_cancelled = true;
        /* No deadline may end a transfer that http_work() is about to free. */
        timer_cancel(timers_of(transfer), &transfer->total_timer);
        timer_cancel(timers_of(transfer), &transfer->stall_timer);
        http_wake(transfer->http);
        return;
    }
    transfer_detach(transfer);
    transfer_free(transfer);
}
