/*
 * What: the fields of a transfer, shared by http.c (its lifetime) and http_easy.c (its calls of
 * curl).
 *
 * http_start() only links the transfer; the loop's prepare hook adds it to curl. So it can be
 * called from any callback, and on_done never comes from within it. In the same way cancelling
 * inside curl's callbacks only marks, and prepare cleans up.
 */
#ifndef SEEDANCEFS_NET_HTTP_INTERNAL_H
#define SEEDANCEFS_NET_HTTP_INTERNAL_H

#include "net/http_head.h"
#include "net/loop_internal.h"
#include "seedancefs/net/http.h"

struct http {
    struct loop *loop;
    struct http_transfer *transfers;
    unsigned coalescing;    /* transfers that hold bytes of a body which on_body has not seen */
    unsigned complete;      /* transfers that we end, because libcurl would wait for more */
    int64_t quiet_until_ms; /* monotonic: failures before that are not worth a line of their own */
};

struct http_transfer {
    struct http *http;
    struct http_transfer *next;
    struct http_transfer *previous;
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
    bool is_cancelled; /* nothing is called back any more; prepare frees it */
    bool is_finished;  /* on_done is being called */
    bool is_paused;    /* the body is held back, as soon as there is more of it: */
    /* libcurl is paused, by its owner or to let other transfers go on; it keeps what came. */
    bool is_held;
    bool has_refused_address;
    bool is_complete; /* all that Content-Length declares has come, and libcurl does not know it */
};

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
