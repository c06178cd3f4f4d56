/*
 * What: the fields of a transfer, shared by http.c (its lifetime), http_easy.c (its calls of
 * libcurl) and http_multi.c (when libcurl runs).
 *
 * http_start() only links the transfer; the work timer gives it to libcurl. So any callback may
 * call http_start(), and on_done never comes from within it. In the same way, cancelling inside
 * libcurl's callbacks only marks the transfer, and the work timer cleans up.
 */
#ifndef SEEDANCEFS_NET_HTTP_INTERNAL_H
#define SEEDANCEFS_NET_HTTP_INTERNAL_H

#include "net/http_head.h"
#include "seedancefs/base/table.h"
#include "seedancefs/net/http.h"

#include <curl/curl.h>

struct http {
    struct loop *loop;
    CURLM *multi;
    struct timer curl_timer;       /* libcurl's next deadline */
    struct timer work_timer;       /* set by http_wake(), calls on_work */
    timer_fn *on_work;             /* does the work outside of libcurl */
    void (*on_ran)(struct http *); /* libcurl has no more work for now */
    struct timer poll_timer;       /* set while there may be unwatched sockets */
    bool is_in_curl;               /* libcurl is on the stack: curl_multi_* must not be called */
    struct http_transfer *transfers;
    unsigned coalescing;    /* transfers with body bytes that on_body has not seen */
    unsigned complete;      /* transfers that we end, because libcurl would wait for more */
    int64_t quiet_until_ms; /* monotonic: until then, failures are logged at debug level */
};

struct http_transfer {
    struct http *http;
    struct http_transfer *next;
    struct http_transfer *prev;
    struct http_request request; /* its texts are invalid after http_start() */
    char *url;
    CURL *easy;
    /* The connection is up, and the first byte of the request is about to be sent. */
    void (*on_sending)(struct http_transfer *transfer);
    struct curl_slist *headers; /* holds the bearer */
    struct http_response response;
    struct http_head head;
    struct timer total_timer;
    struct timer stall_timer;
    int64_t started_ms;
    int64_t last_byte_ms;
    size_t body_sent_bytes;
    size_t pass_bytes; /* of the body, since libcurl was last paused */
    char *coalesced;   /* buffer of coalesce_bytes, from the first byte of a body on */
    size_t coalesced_len;
    int failure;       /* the error that ended it before curl did; 0: none */
    bool is_added;     /* in curl's multi handle */
    bool is_cancelled; /* gets no more callbacks; the work timer frees it */
    bool is_finished;  /* on_done is running */
    bool is_paused;    /* pause the body as soon as more of it arrives */
    /* libcurl is paused, by the owner or to let other transfers run. It keeps received bytes. */
    bool is_held;
    bool has_refused_address;
    bool is_complete; /* all bytes of Content-Length are here, but libcurl does not know it */
};

/* Creates what all transfers share; the caller has set loop, on_work and on_ran. */
int http_multi_open(struct http *http) NODISCARD;
void http_multi_close(struct http *http);

/* Tells libcurl that a socket is ready, or that its deadline has come (CURL_SOCKET_TIMEOUT).
 * Then calls on_ran. */
void http_multi_run(struct http *http, curl_socket_t fd);

/* Makes the loop call on_work. */
void http_wake(struct http *http);

/* Creates the curl handle and its headers. On failure http_easy_close() frees them. */
int http_easy_open(struct http_transfer *transfer) NODISCARD;

/* Frees them and wipes the bearer. The handle must not be in a multi handle. */
void http_easy_close(struct http_transfer *transfer);

/* Flushes the coalesced bytes. Call it while `is_in_curl` is set, so that a transfer that on_body
 * cancels is only marked. */
void http_easy_flush_body(struct http_transfer *transfer);

/* Turns curl's code into one of base/err; 0 for a complete and valid response. */
int http_easy_result(const struct http_transfer *transfer, CURLcode code);

/* Whether libcurl leaves it to us to find the end of the body: see http_easy.c. */
bool http_easy_is_counted(const struct http_transfer *transfer);

#endif
