/*
 * What: HTTP transfers on the event loop; the sole includer of libcurl. A transfer is started with
 * a description of the request and reports by callbacks from the loop: on_send (nothing has been
 * sent yet), on_headers (the final response's head), on_body (bytes as they arrive), on_done
 * (once). It also refuses what libcurl accepts: a response shorter than its Content-Length, two
 * different Content-Lengths, a Content-Encoding that was not requested, heads over 64 KiB; and with
 * `is_single_attempt` also a response longer than its Content-Length. In other transfers libcurl
 * delivers the declared length and drops the connection with the rest (RFC 9112, section 6.3). It
 * never follows redirects, never uses a proxy or .netrc from the environment, never sends cookies,
 * and uses only http and https.
 * Lifetime: on_done is called exactly once for each started transfer, never from within
 * http_start(); after it, or after http_cancel(), the transfer is freed. `http` outlives its
 * transfers.
 * Errors: on_done's `result` is 0 for a complete response of any status, else a code of base/err:
 * HTTP_CONNECT, HTTP_RESOLVE, HTTP_TLS, HTTP_BROKEN, HTTP_MALFORMED, HTTP_TOO_LARGE, HTTP_STALLED,
 * HTTP_DEADLINE, HTTP_REPEATED, URL_REFUSED, or the negative code by which a callback ended the
 * transfer.
 */
#ifndef SEEDANCEFS_NET_HTTP_H
#define SEEDANCEFS_NET_HTTP_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/secret.h"
#include "seedancefs/net/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct http;
struct http_transfer;

enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_DELETE };

const char *http_method_name(enum http_method method);

/* What is known of the response. Texts are NUL-terminated, empty when the header is absent. */
struct http_response {
    int status;   /* 0 until the status line came */
    bool is_sent; /* the first request byte may have been written (PREREQ was called) */
    /* Of the request's body, as far as the system took them; at the end only. */
    int64_t sent_body_bytes;
    int64_t content_length; /* -1: unknown */
    int64_t body_bytes;     /* received so far */
    bool has_content_range;
    char content_range[128];
    char content_type[128];
    char etag[256];
    char location[4096];
    char retry_after[128]; /* verbatim; see http_retry_after_ms() */
    char date[64];
    char request_id[128]; /* X-Request-Id, X-Tt-Logid or X-Tos-Request-Id, the first there is */
    char failure[256];    /* libcurl's words for what went wrong, for logs; at the end only */
};

struct http_request {
    enum http_method method;
    const char *url;             /* copied */
    const struct secret *bearer; /* NULL: no Authorization header. Copied */
    const char *content_type;    /* of the body; NULL without one */
    const char *const *headers;  /* more lines, "Name: value", then NULL; NULL: none. Copied */
    const void *body;            /* of POST and PUT; lent until on_done or http_cancel() */
    size_t body_len;
    int64_t range_first; /* Range: bytes=first-last; -1: no Range header */
    int64_t range_last;  /* inclusive; -1: open end */
    int64_t connect_ms;  /* deadlines; 0: none. Connect includes TLS */
    int64_t stall_ms;    /* longest time without a byte once connected */
    int64_t total_ms;
    size_t body_limit; /* HTTP_TOO_LARGE beyond */
    /* A create: own fresh connection that is not reused, HTTP/1.1, and a second on_send ends it
     * with HTTP_REPEATED before anything is sent again. */
    bool is_single_attempt;
    /* Bytes of the body are coalesced until there are so many, or no more have arrived for now, and
     * on_body is called once for them. 0: it is called for all bytes as they arrive. */
    size_t coalesce_bytes;
    /* If false, every address that is not public is refused at the socket. */
    bool is_private_address_allowed;
    /* Its socket must not use the reserved descriptors: see base/descriptor.h. */
    bool is_for_reader;
    void *context;
    int (*on_send)(void *context); /* may be NULL; < 0 ends it, unsent */
    /* Gives bytes of the body from `offset` on, instead of `body`, and returns how many; at least
     * one. NULL: there is `body`; < 0 ends the transfer. */
    ssize_t (*on_body_wanted)(void *context, int64_t offset, void *out, size_t size);
    int (*on_headers)(void *context,
                      const struct http_response *response);      /* may be NULL; < 0 ends it */
    int (*on_body)(void *context, const void *bytes, size_t len); /* < 0 ends it */
    void (*on_done)(void *context, int result, const struct http_response *response);
};

enum { HTTP_VERSION_SIZE = 128 };

/* "libcurl 7.88.1 with OpenSSL/3.0.17" */
void http_library_version(char out[static HTTP_VERSION_SIZE]);

int http_new(struct loop *loop, struct http **out) NODISCARD;
struct http *http_free(struct http *http); /* cancels what is under way */

/* Starts a transfer. On failure (-ENOMEM, -ERR_URL_REFUSED, …) no callback is called. */
int http_start(struct http *http, const struct http_request *request,
               struct http_transfer **out) NODISCARD;

/* Ends a transfer without on_done. Allowed inside its own callbacks except on_done. */
void http_cancel(struct http_transfer *transfer);

/* Pauses or resumes the body. While it is paused, on_body gets at most what has been coalesced
 * already, the system's buffers fill, and then the host can send no more; stall_ms does not count.
 * The caller who pauses a transfer must also end the pause. Allowed inside its own callbacks except
 * on_done. */
void http_pause(struct http_transfer *transfer, bool is_paused);

/* Milliseconds to wait according to Retry-After (seconds or HTTP date, RFC 9110 section 10.2.3), at
 * least 0, at most one hour; -1 when it is absent or invalid. */
int64_t http_retry_after_ms(const struct http_response *response, int64_t wall_ms);

/* The server's clock: its Date (RFC 9110, section 6.6.1) as Unix milliseconds; -1 when it is absent
 * or invalid. */
int64_t http_date_ms(const struct http_response *response);

#endif
