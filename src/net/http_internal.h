/*
 * What: the fields of a transfer, shared by http.c (its lifetime), http_easy.c (its calls of
 * libcurl) and http_multi.c (when libcurl runs).
 *
 * http_start() only links the transfer, and http.c gives it to libcurl in the work timer. So it can
 * be called from any callback, and on_done never comes from within it. In the same way cancelling
 * inside libcurl's callbacks only marks, and the work timer cleans up.
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
    struct timer work_timer;       /* set by http_wake(): */
    timer_fn *on_work;             /* there is something to do outside of libcurl */
    void (*on_ran)(struct http *); /* libcurl has done what there was to do for now */
    struct timer poll_timer;       /* set while there may be sockets that nobody watches */
    bool is_in_curl;               /* on the stack: curl_multi_* must not be called */
    struct http_transfer *transfers;
    unsigned coalescing;    /* transfers that hold bytes of a body which on_body has not seen */
    unsigned complete;      /* transfers that we end, because libcurl would wait for more */
    int64_t quiet_until_ms; /* monotonic: failures before that are not worth a line of their own */
};

struct http_transfer {
    struct http *http;
    struct http_transfer *next;
    struct http_transfer *prev;
    struct http_request request; /* its texts are dead after http_start() */
    char *url;
    CURL *easy;
    /* The connection is there, and the first byte of the request is about to go out. */
    void (*on_sending)(struct http_transfer *transfer);
    struct curl_slist *headers; /* holds the bearer */
    struct http_response response;
    struct http_head head;
    struct timer total_timer;
    struct timer stall_timer;
    int64_t started_ms;
    int64_t last_byte_ms;
    size_t body_sent_bytes;
    size_t pass_bytes; /* of the body, since it was held last */
    char *coalesced;   /* coalesce_bytes of memory, from the first byte of a body on */
    size_t coalesced_len;
    int failure;       /* what ended it before curl did; 0 */
    bool is_added;     /* in curl's multi handle */
    bool is_cancelled; /* nothing is called back any more; the work timer frees it */
    bool is_finished;  /* on_done is being called */
    bool is_paused;    /* the body is held back, as soon as there is more of it: */
    /* libcurl is paused, by its owner or to let other transfers go on; it keeps what came. */
    bool is_held;
    bool has_refused_address;
    bool is_complete; /* all that Content-Length declares has come, and libcurl does not know it */
};

/* Makes what belongs to all transfers; loop, on_work and on_ran are filled in. */
int http_multi_open(struct http *http) NODISCARD;
void http_multi_close(struct http *http);

/* Tells libcurl that something can be done with a socket, or that its deadline has come
 * (CURL_SOCKET_TIMEOUT). Calls on_ran. */
void http_multi_run(struct http *http, curl_socket_t fd);

/* Asks for on_work, from the loop. */
void http_wake(struct http *http);

/* Makes the curl handle and its headers. On failure both are left to http_easy_close(). */
int http_easy_open(struct http_transfer *transfer) NODISCARD;

/* Frees them and wipes the bearer. The handle is in no multi handle any more. */
void http_easy_close(struct http_transfer *transfer);

/* Hands out what has been coalesced. To be called while curl is said to be on the stack, so that
 * what on_body cancels is only marked. */
void http_easy_flush_body(struct http_transfer *transfer);

/* The code of base/err for what curl reported, 0 for a complete and sane response. */
int http_easy_result(const struct http_transfer *transfer, CURLcode code);

/* Whether libcurl leaves the end of the body to us: see http_easy.c. */
bool http_easy_is_counted(const struct http_transfer *transfer);

#endif
