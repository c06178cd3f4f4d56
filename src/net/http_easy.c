/* How a transfer sets up libcurl, and how libcurl's reports become results. */
#include "net/http_internal.h"

#include "net/url_host.h"
#include "seedancefs/base/descriptor.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/number.h"
#include "seedancefs/net/url.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef SEEDANCEFS_VERSION
#define SEEDANCEFS_VERSION "dev"
#endif

#if LIBCURL_VERSION_NUM >= 0x080600
#define CODE_TOO_LARGE CURLE_TOO_LARGE
#else
#define CODE_TOO_LARGE CURLE_OUT_OF_MEMORY
#endif

/* The minimum buffer of an active transfer. It is as large as the coalescing buffer if that is
 * larger, since that would fill it four times or more. */
enum { BUFFER_BYTES = 64 * 1024 };

/* How much of a body one pass of the loop takes. libcurl (7.88) fills up to a hundred
 * buffers while there is something to read; meanwhile nobody else is served, not even the
 * reader of these bytes. */
enum { PASS_BYTES = 1024 * 1024 };

/* True when a callback of curl must not go on with this transfer. */
static bool is_over(const struct http_transfer *transfer)
{
    return transfer->is_cancelled || transfer->failure != 0;
}

/* Records the first failure only; later ones follow from it. */
static void fail(struct http_transfer *transfer, int r)
{
    if (transfer->failure == 0)
        transfer->failure = r;
}

static void touch(struct http_transfer *transfer)
{
    transfer->last_byte_ms = clock_monotonic_ms(loop_clock(transfer->http->loop));
}

static curl_socket_t on_socket_open(void *context, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct http_transfer *transfer = context;
    (void)purpose;
    if (is_over(transfer))
        return CURL_SOCKET_BAD;
    if (!transfer->request.is_private_address_allowed && url_is_forbidden_address(&to->addr)) {
        transfer->has_refused_address = true;
        return CURL_SOCKET_BAD;
    }
    int fd = socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    return transfer->request.is_for_reader ? descriptor_ordinary(fd) : fd;
}

/* libcurl is connected, TLS is up, and no byte of the request has been written. */
static int on_request_ready(void *context, char *remote_ip, char *local_ip, int remote_port,
                            int local_port)
{
    struct http_transfer *transfer = context;
    const struct http_request *request = &transfer->request;
    (void)local_ip, (void)remote_port, (void)local_port;
    if (is_over(transfer))
        return CURL_PREREQFUNC_ABORT;
    /* A reused connection may have been opened for a request that may use private addresses. */
    struct sockaddr_storage remote;
    if (!request->is_private_address_allowed &&
        (url_host_address(remote_ip, &remote) < 0 ||
         url_is_forbidden_address((const struct sockaddr *)&remote))) {
        fail(transfer, -ERR_URL_REFUSED);
        return CURL_PREREQFUNC_ABORT;
    }
    if (transfer->response.is_sent) {
        /* curl repeats the request because the connection died without a response. */
        if (request->is_single_attempt) {
            fail(transfer, -ERR_HTTP_REPEATED);
            return CURL_PREREQFUNC_ABORT;
        }
    } else if (request->on_send) {
        int r = request->on_send(request->context);
        if (r < 0)
            fail(transfer, r);
        if (is_over(transfer))
            return CURL_PREREQFUNC_ABORT;
    }
    transfer->response.is_sent = true;
    transfer->on_sending(transfer);
    return transfer->failure ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static ssize_t body_part_get(const struct http_request *request, int64_t offset, void *out,
                             size_t size)
{
    if (size == 0)
        return 0;
    if (request->on_body_wanted)
        return request->on_body_wanted(request->context, offset, out, size);
    memcpy(out, (const char *)request->body + offset, size);
    return (ssize_t)size;
}

/* This callback hands out the body instead of CURLOPT_POSTFIELDS, so that nobody reads the lent
 * bytes once the transfer is cancelled. */
static size_t on_body_wanted(char *out, size_t size, size_t count, void *context)
{
    struct http_transfer *transfer = context;
    if (is_over(transfer))
        return CURL_READFUNC_ABORT;
    touch(transfer);
    size_t left = transfer->request.body_len - transfer->body_sent_bytes;
    ssize_t n = body_part_get(&transfer->request, (int64_t)transfer->body_sent_bytes, out,
                              min_size(left, size * count));
    if (n < 0) {
        fail(transfer, (int)n);
        return CURL_READFUNC_ABORT;
    }
    transfer->body_sent_bytes += (size_t)n;
    return (size_t)n;
}

/* curl calls this only when it repeats a POST or PUT on another connection. */
static int on_body_rewind(void *context, curl_off_t offset, int origin)
{
    struct http_transfer *transfer = context;
    if (transfer->request.is_single_attempt || origin != SEEK_SET || offset != 0)
        return CURL_SEEKFUNC_FAIL;
    transfer->body_sent_bytes = 0;
    return CURL_SEEKFUNC_OK;
}

/*
 * libcurl cuts a response that is longer than its Content-Length and reports success. Since 8.x it
 * does not even read the rest, so nothing reveals it. Such a response must not pass for the
 * intended one (is_single_attempt). So libcurl is told to ignore the length and hands out all
 * bytes; we count them, and end the transfer ourselves when the declared bytes are there. This
 * costs the connection, which such a transfer does not share anyway.
 */
bool http_easy_is_counted(const struct http_transfer *transfer)
{
    return transfer->request.is_single_attempt;
}

static void body_counted(struct http_transfer *transfer)
{
    const struct http_response *response = &transfer->response;
    if (transfer->is_complete || is_over(transfer) || !http_easy_is_counted(transfer) ||
        transfer->head.place != HTTP_HEAD_BODY || response->body_bytes != response->content_length)
        return;
    transfer->is_complete = true;
    transfer->http->complete++;
}

static size_t on_head_line(char *line, size_t size, size_t count, void *context)
{
    struct http_transfer *transfer = context;
    const struct http_request *request = &transfer->request;
    size_t len = size * count;
    if (is_over(transfer))
        return 0;
    touch(transfer);
    int r = http_head_line(&transfer->head, line, len, &transfer->response);
    if (r > 0 && request->on_headers)
        r = request->on_headers(request->context, &transfer->response);
    if (r >= 0 && transfer->response.content_length > 0 &&
        (uint64_t)transfer->response.content_length > request->body_limit &&
        transfer->head.place == HTTP_HEAD_BODY)
        r = -ERR_HTTP_TOO_LARGE;
    if (r < 0)
        fail(transfer, r);
    body_counted(transfer);
    return is_over(transfer) ? 0 : len;
}

static void coalesced_end(struct http_transfer *transfer)
{
    transfer->http->coalescing -= transfer->coalesced_len > 0;
    transfer->coalesced_len = 0;
}

static void body_deliver(struct http_transfer *transfer, const void *bytes, size_t len)
{
    int r = transfer->request.on_body
                ? transfer->request.on_body(transfer->request.context, bytes, len)
                : 0;
    if (r < 0)
        fail(transfer, r);
}

void http_easy_flush_body(struct http_transfer *transfer)
{
    size_t len = transfer->coalesced_len;
    coalesced_end(transfer);
    if (len > 0 && !is_over(transfer))
        body_deliver(transfer, transfer->coalesced, len);
}

static void body_coalesce(struct http_transfer *transfer, const char *bytes, size_t len)
{
    while (len > 0 && !is_over(transfer)) {
        size_t room = transfer->request.coalesce_bytes - transfer->coalesced_len;
        size_t part = min_size(len, room);
        transfer->http->coalescing += transfer->coalesced_len == 0;
        memcpy(transfer->coalesced + transfer->coalesced_len, bytes, part);
        transfer->coalesced_len += part;
        bytes += part;
        len -= part;
        if (part == room)
            http_easy_flush_body(transfer);
    }
}

static size_t on_body_bytes(char *bytes, size_t size, size_t count, void *context)
{
    struct http_transfer *transfer = context;
    struct http_response *response = &transfer->response;
    size_t len = size * count;
    if (is_over(transfer))
        return 0;
    if (transfer->is_paused || transfer->pass_bytes >= PASS_BYTES) {
        transfer->is_held = true;
        if (!transfer->is_paused)
            http_wake(transfer->http);
        return CURL_WRITEFUNC_PAUSE; /* libcurl delivers the same bytes again */
    }
    transfer->pass_bytes += len;
    touch(transfer);
    uint64_t total = (uint64_t)response->body_bytes + len;
    if (transfer->head.place != HTTP_HEAD_BODY ||
        (response->content_length >= 0 && total > (uint64_t)response->content_length))
        fail(transfer, -ERR_HTTP_MALFORMED);
    else if (total > transfer->request.body_limit)
        fail(transfer, -ERR_HTTP_TOO_LARGE);
    if (transfer->failure)
        return 0;
    response->body_bytes = (int64_t)total;
    if (!transfer->coalesced && transfer->request.coalesce_bytes > 0)
        transfer->coalesced = malloc(transfer->request.coalesce_bytes);
    if (transfer->coalesced)
        body_coalesce(transfer, bytes, len);
    else /* coalescing is off, or there is no memory */
        body_deliver(transfer, bytes, len);
    body_counted(transfer);
    return is_over(transfer) ? 0 : len;
}

static int header_add(struct http_transfer *transfer, const char *line)
{
    struct curl_slist *longer = curl_slist_append(transfer->headers, line);
    if (!longer)
        return -ENOMEM;
    transfer->headers = longer;
    return 0;
}

static int header_add_bearer(struct http_transfer *transfer, const struct secret *bearer)
{
    static const char prefix[] = "Authorization: Bearer ";
    char *line = malloc(sizeof(prefix) + bearer->len);
    if (!line)
        return -ENOMEM;
    memcpy(line, prefix, sizeof(prefix) - 1);
    memcpy(line + sizeof(prefix) - 1, bearer->text, bearer->len + 1);
    int r = header_add(transfer, line);
    explicit_bzero(line, sizeof(prefix) + bearer->len);
    free(line);
    return r;
}

static int headers_add(struct http_transfer *transfer)
{
    const struct http_request *request = &transfer->request;
    char line[256];
    /* Some relays break compressed responses. "Expect:" keeps curl from waiting
     * for 100 Continue. */
    int r = header_add(transfer, "Accept-Encoding: identity");
    if (r == 0)
        r = header_add(transfer, "Expect:");
    if (r == 0 && request->content_type) {
        int n = snprintf(line, sizeof(line), "Content-Type: %s", request->content_type);
        r = n < 0 || (size_t)n >= sizeof(line) ? -EINVAL : header_add(transfer, line);
    }
    if (r == 0 && request->range_first >= 0) {
        char last[24] = "";
        if (request->range_last >= 0)
            (void)snprintf(last, sizeof(last), "%" PRId64, request->range_last);
        (void)snprintf(line, sizeof(line), "Range: bytes=%" PRId64 "-%s", request->range_first,
                       last);
        r = header_add(transfer, line);
    }
    for (const char *const *more = request->headers; r == 0 && more && *more; more++)
        r = header_add(transfer, *more);
    if (r == 0 && request->bearer && secret_is_set(request->bearer))
        r = header_add_bearer(transfer, request->bearer);
    return r;
}

static int set_long(CURL *easy, CURLoption option, int64_t value)
{
    return curl_easy_setopt(easy, option, (long)value) == CURLE_OK ? 0 : -EINVAL;
}

static int set_pointer(CURL *easy, CURLoption option, const void *value)
{
    return curl_easy_setopt(easy, option, value) == CURLE_OK ? 0 : -ENOMEM;
}

static int set_numbers(struct http_transfer *transfer)
{
    const struct http_request *request = &transfer->request;
    /* Several polls share one HTTP/2 connection. A range must not wait for another range on its
     * connection, and a create must have a connection of its own. */
    bool is_http2 =
        request->method == HTTP_GET && !request->is_single_attempt && request->range_first < 0;
    int64_t buffer_bytes = max_int64((int64_t)request->coalesce_bytes, BUFFER_BYTES);
    /* Passing 0 would mean curl's own default. */
    int64_t connect_ms =
        request->connect_ms > 0 ? min_int64(request->connect_ms, INT_MAX) : INT_MAX;
    const struct {
        CURLoption option;
        int64_t value;
    } rows[] = {
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_FOLLOWLOCATION, 0},
        {CURLOPT_HTTP09_ALLOWED, 0},
        {CURLOPT_PATH_AS_IS, 1},
        {CURLOPT_NETRC, CURL_NETRC_IGNORED},
        {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
        {CURLOPT_BUFFERSIZE, buffer_bytes},
        {CURLOPT_TCP_KEEPALIVE, 1},
        {CURLOPT_IGNORE_CONTENT_LENGTH, http_easy_is_counted(transfer)},
        {CURLOPT_CONNECTTIMEOUT_MS, connect_ms},
        {CURLOPT_HTTP_VERSION, is_http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1},
        {CURLOPT_PIPEWAIT, is_http2},
        {CURLOPT_FRESH_CONNECT, request->is_single_attempt},
        {CURLOPT_FORBID_REUSE, request->is_single_attempt},
        {CURLOPT_HTTPGET, request->method == HTTP_GET},
#if LIBCURL_VERSION_NUM >= 0x075700
        /* Ending a transfer must not wait for the resolver's thread, which ends by itself: a dead
         * name server would block the whole mount. */
        {CURLOPT_QUICK_EXIT, 1},
#endif
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int r = set_long(transfer->easy, rows[i].option, rows[i].value);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_pointers(struct http_transfer *transfer)
{
    const struct {
        CURLoption option;
        const void *value;
    } rows[] = {
        {CURLOPT_PRIVATE, transfer},
        {CURLOPT_URL, transfer->url},
        {CURLOPT_HTTPHEADER, transfer->headers},
        {CURLOPT_USERAGENT, "seedancefs/" SEEDANCEFS_VERSION},
        {CURLOPT_PROXY, ""}, /* even against the environment */
        {CURLOPT_NOPROXY, "*"},
#if LIBCURL_VERSION_NUM >= 0x075500
        {CURLOPT_PROTOCOLS_STR, "http,https"},
#endif
        {CURLOPT_PREREQDATA, transfer},
        {CURLOPT_OPENSOCKETDATA, transfer},
        {CURLOPT_HEADERDATA, transfer},
        {CURLOPT_WRITEDATA, transfer},
        {CURLOPT_READDATA, transfer},
        {CURLOPT_SEEKDATA, transfer},
        {CURLOPT_ERRORBUFFER, transfer->response.failure},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int r = set_pointer(transfer->easy, rows[i].option, rows[i].value);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_functions(CURL *easy)
{
    if (curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request_ready) ||
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket_open) ||
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head_line) ||
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body_bytes) ||
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_body_wanted) ||
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_body_rewind))
        return -EINVAL;
#if LIBCURL_VERSION_NUM < 0x075500
    return set_long(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#else
    return 0;
#endif
}

static int set_method(CURL *easy, const struct http_request *request)
{
    curl_off_t len = (curl_off_t)request->body_len;
    switch (request->method) {
    case HTTP_GET:
        return 0;
    case HTTP_POST:
        return curl_easy_setopt(easy, CURLOPT_POST, 1L) ||
                       curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, len)
                   ? -EINVAL
                   : 0;
    case HTTP_PUT:
        return curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L) ||
                       curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, len)
                   ? -EINVAL
                   : 0;
    case HTTP_DELETE:
        return set_pointer(easy, CURLOPT_CUSTOMREQUEST, "DELETE");
    }
    return -EINVAL;
}

_Static_assert(sizeof(((struct http_response *)0)->failure) >= CURL_ERROR_SIZE,
               "libcurl writes up to that much there");

int http_easy_open(struct http_transfer *transfer)
{
    transfer->easy = curl_easy_init();
    if (!transfer->easy)
        return -ENOMEM;
    int r = headers_add(transfer);
    if (r == 0)
        r = set_numbers(transfer);
    if (r == 0)
        r = set_pointers(transfer);
    if (r == 0)
        r = set_functions(transfer->easy);
    return r < 0 ? r : set_method(transfer->easy, &transfer->request);
}

void http_easy_close(struct http_transfer *transfer)
{
    if (transfer->easy)
        curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
    transfer->http->complete -= transfer->is_complete;
    transfer->is_complete = false;
    for (struct curl_slist *header = transfer->headers; header; header = header->next)
        explicit_bzero(header->data, strlen(header->data));
    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
    coalesced_end(transfer);
    free(transfer->coalesced);
    transfer->coalesced = NULL;
}

struct code_row {
    CURLcode code;
    int unsent; /* result when no byte of the request can have been written */
    int sent;
};

/* Any other code is HTTP_CONNECT before the request and HTTP_BROKEN after it. */
static const struct code_row code_rows[] = {
    {CURLE_COULDNT_RESOLVE_HOST, -ERR_HTTP_RESOLVE, -ERR_HTTP_RESOLVE},
    {CURLE_COULDNT_CONNECT, -ERR_HTTP_CONNECT, -ERR_HTTP_CONNECT},
    /* curl has only the connect deadline; the others are our timers. */
    {CURLE_OPERATION_TIMEDOUT, -ERR_HTTP_CONNECT, -ERR_HTTP_DEADLINE},
    {CURLE_SSL_CONNECT_ERROR, -ERR_HTTP_CONNECT, -ERR_HTTP_BROKEN},
    {CURLE_PEER_FAILED_VERIFICATION, -ERR_HTTP_TLS, -ERR_HTTP_TLS},
    {CURLE_SSL_CERTPROBLEM, -ERR_HTTP_TLS, -ERR_HTTP_TLS},
    {CURLE_SSL_CIPHER, -ERR_HTTP_TLS, -ERR_HTTP_TLS},
    {CURLE_SSL_CACERT_BADFILE, -ERR_HTTP_TLS, -ERR_HTTP_TLS},
    {CURLE_SSL_CRL_BADFILE, -ERR_HTTP_TLS, -ERR_HTTP_TLS},
    {CURLE_SSL_ISSUER_ERROR, -ERR_HTTP_TLS, -ERR_HTTP_TLS},
    {CURLE_SSL_INVALIDCERTSTATUS, -ERR_HTTP_TLS, -ERR_HTTP_TLS},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, -ERR_HTTP_TLS, -ERR_HTTP_TLS},
    {CURLE_URL_MALFORMAT, -ERR_URL_REFUSED, -ERR_URL_REFUSED},
    {CURLE_UNSUPPORTED_PROTOCOL, -ERR_URL_REFUSED, -ERR_HTTP_MALFORMED}, /* sent: HTTP/0.9 */
    {CURLE_WEIRD_SERVER_REPLY, -ERR_HTTP_CONNECT, -ERR_HTTP_MALFORMED},
    {CURLE_BAD_CONTENT_ENCODING, -ERR_HTTP_CONNECT, -ERR_HTTP_MALFORMED},
    {CURLE_FILESIZE_EXCEEDED, -ERR_HTTP_TOO_LARGE, -ERR_HTTP_TOO_LARGE},
    {CURLE_PARTIAL_FILE, -ERR_HTTP_BROKEN, -ERR_HTTP_BROKEN},
    {CURLE_OUT_OF_MEMORY, -ENOMEM, -ENOMEM},
};

int http_easy_result(const struct http_transfer *transfer, CURLcode code)
{
    const struct http_response *response = &transfer->response;
    if (transfer->failure)
        return transfer->failure;
    if (code == CURLE_OK) {
        if (transfer->head.place != HTTP_HEAD_BODY)
            return -ERR_HTTP_BROKEN; /* curl reports success when a response ends within its head */
        bool has_body = response->status != 204 && response->status != 304;
        bool is_short =
            response->content_length >= 0 && response->body_bytes != response->content_length;
        return has_body && is_short ? -ERR_HTTP_BROKEN : 0;
    }
    if (transfer->has_refused_address && !response->is_sent)
        return -ERR_URL_REFUSED;
    /* A header line exceeds curl's own limit of 100 KiB; since 8.6 the code is CURLE_TOO_LARGE. */
    if ((code == CURLE_OUT_OF_MEMORY || code == CODE_TOO_LARGE) && response->is_sent &&
        transfer->head.place != HTTP_HEAD_BODY)
        return -ERR_HTTP_MALFORMED;
    for (size_t i = 0; i < ARRAY_COUNT(code_rows); i++) {
        if (code_rows[i].code == code)
            return response->is_sent ? code_rows[i].sent : code_rows[i].unsent;
    }
    return response->is_sent ? -ERR_HTTP_BROKEN : -ERR_HTTP_CONNECT;
}
