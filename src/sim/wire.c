#include "sim/wire.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
    SILENCE_MAX_MS = 600000,
    WRITE_STALL_MAX_MS = 600000,
    LINGER_MAX_MS = 2000,
    BLOCK_BYTES = 65536,
};

void pacer_init(struct pacer *pacer, uint64_t rate)
{
    *pacer = (struct pacer){.rate = rate, .started_us = clock_monotonic_us()};
}

size_t pacer_take(struct pacer *pacer, size_t want)
{
    if (pacer->rate == 0)
        return want;
    double due = (double)pacer->passed / (double)pacer->rate * 1e6;
    clock_sleep_us(pacer->started_us + (int64_t)due - clock_monotonic_us());
    uint64_t slice = pacer->rate / 20 > 0 ? pacer->rate / 20 : 1; /* 20 slices per second */
    size_t n = slice < want ? (size_t)slice : want;
    pacer->passed += n;
    return n;
}

/* Returns false when the peer is gone, or reads nothing for minutes. */
static bool wire_write(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n >= 0) {
            p += n;
            len -= (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        if (errno != EAGAIN || poll(&ready, 1, WRITE_STALL_MAX_MS) <= 0)
            return false;
    }
    return true;
}

static bool wire_write_paced(int fd, const char *data, size_t len, struct pacer *pacer)
{
    while (len > 0) {
        size_t n = pacer_take(pacer, len);
        if (!wire_write(fd, data, n))
            return false;
        data += n;
        len -= n;
    }
    return true;
}

bool wire_wait(int fd, int64_t ms)
{
    int64_t until_us = clock_monotonic_us() + ms * 1000;
    for (;;) {
        int64_t left_ms = (until_us - clock_monotonic_us() + 999) / 1000;
        if (left_ms <= 0)
            return true;
        struct pollfd gone = {.fd = fd, .events = POLLRDHUP};
        int r = poll(&gone, 1, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
        if (r > 0)
            return false;
    }
}

/* A reset discards what the kernel has not delivered yet, so this waits briefly for it. */
static void wire_drain_output(int fd)
{
    int unsent = 0;
    for (int i = 0; i < LINGER_MAX_MS && ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent > 0; i++)
        clock_sleep_us(1000);
}

/*
 * Closing a socket with unread bytes sends a reset. For an orderly end the peer must see FIN, so
 * this reads the peer's remaining bytes until it closes, too.
 */
static void wire_close_orderly(int fd)
{
    char *waste = mem_alloc(BLOCK_BYTES);
    int64_t until_us = clock_monotonic_us() + (int64_t)LINGER_MAX_MS * 1000;
    (void)shutdown(fd, SHUT_WR);
    while (clock_monotonic_us() < until_us) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, LINGER_MAX_MS) <= 0)
            break;
        ssize_t n = recv(fd, waste, BLOCK_BYTES, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            break;
    }
    free(waste);
}

void wire_end(int fd, enum fault fault)
{
    switch (fault) {
    case FAULT_RESET: {
        /* The HTTP library calls shutdown(2) before it closes, which would send FIN first.
         * connect(2) to AF_UNSPEC aborts the connection at once, with RST. */
        struct linger none = {.l_onoff = 1, .l_linger = 0};
        struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
        wire_drain_output(fd);
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
        (void)connect(fd, &nowhere, sizeof(nowhere));
        return;
    }
    case FAULT_SILENCE:
        (void)wire_wait(fd, SILENCE_MAX_MS);
        return;
    case FAULT_NONE:
    case FAULT_CUT:
        wire_close_orderly(fd);
        return;
    }
}

static void wire_send_at_once(int fd)
{
    int on = 1;
    int off = 0;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void wire_raw(int fd, const struct change *change, struct pacer *pacer)
{
    unsigned char *block = mem_alloc(BLOCK_BYTES);
    wire_send_at_once(fd);
    for (size_t i = 0; i < ARRAY_COUNT(change->raw); i++) {
        const struct bytes *raw = &change->raw[i];
        struct body body = {.kind = BODY_TEXT,
                            .data = raw->data,
                            .data_len = raw->len,
                            .size = raw->len * raw->count,
                            .flip_at = -1};
        for (uint64_t at = 0; at < body.size;) {
            uint64_t left = body.size - at;
            size_t n = pacer_take(pacer, left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES);
            body_read(&body, at, block, n);
            if (!wire_write(fd, block, n))
                break;
            at += n;
        }
    }
    free(block);
    wire_end(fd, change->fault);
}

static bool is_plain(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
            return false;
    return true;
}

/* Headers that the HTTP library writes itself, or refuses. */
static bool header_is_special(const struct header_change *header)
{
    static const char *const names[] = {"Content-Length", "Transfer-Encoding", "Connection",
                                        "Date"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcasecmp(header->name, names[i]) == 0)
            return true;
    return header->name[0] == '\0' || !is_plain(header->name) || strpbrk(header->name, " :") ||
           (header->value != NULL && (header->value[0] == '\0' || !is_plain(header->value)));
}

bool wire_is_needed(const struct response *response, const struct change *change)
{
    bool has_no_body = response->status == 204 || response->status == 304;
    if (response->status < 200)
        return true;
    if (change == NULL)
        return false;
    for (size_t i = 0; i < change->header_count; i++)
        if (header_is_special(&change->headers[i]))
            return true;
    return has_no_body || change->reason != NULL || change->fault != FAULT_NONE ||
           change->header_rate > 0 || change->content_length != NULL ||
           change->chunked != CHUNKED_NO;
}

static const struct header *header_find(const struct response *response, const char *name)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (strcasecmp(response->headers[i].name, name) == 0)
            return &response->headers[i];
    return NULL;
}

static bool change_mentions(const struct change *change, const char *name)
{
    for (size_t i = 0; change != NULL && i < change->header_count; i++)
        if (strcasecmp(change->headers[i].name, name) == 0)
            return true;
    return false;
}

static void wire_header(struct buf *t, const struct response *response, const struct change *change)
{
    const char *reason = change != NULL ? change->reason : NULL;
    const char *length = change != NULL ? change->content_length : NULL;
    buf_addf(t, "HTTP/1.1 %d %s\r\n", response->status,
             reason != NULL ? reason : response_reason(response->status));
    char date[64];
    clock_http_date(clock_now_ms(), date);
    if (!change_mentions(change, "Date"))
        buf_addf(t, "Date: %s\r\n", date);
    for (size_t i = 0; i < response->header_count; i++)
        buf_addf(t, "%s: %s\r\n", response->headers[i].name, response->headers[i].value);
    if (change != NULL && change->chunked != CHUNKED_NO)
        buf_add_text(t, "Transfer-Encoding: chunked\r\n");
    else if (length != NULL)
        buf_addf(t, "Content-Length: %s\r\n", length);
    else if (!change_mentions(change, "Content-Length") &&
             header_find(response, "Transfer-Encoding") == NULL)
        buf_addf(t, "Content-Length: %llu\r\n", (unsigned long long)response->body.size);
    if (!change_mentions(change, "Connection"))
        buf_add_text(t, "Connection: close\r\n");
    buf_add_text(t, "\r\n");
}

static bool wire_body(int fd, const struct body *body, uint64_t limit, enum chunked chunked,
                      struct pacer *pacer, uint64_t *sent)
{
    unsigned char *block = mem_alloc(BLOCK_BYTES);
    bool good = true;
    for (uint64_t at = 0; good && at < limit;) {
        uint64_t left = limit - at;
        size_t n = pacer_take(pacer, left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES);
        body_read(body, at, block, n);
        if (chunked != CHUNKED_NO) {
            char *head = mem_format("%zx\r\n", n);
            good = wire_write(fd, head, strlen(head));
            free(head);
        }
        good = good && wire_write(fd, block, n);
        if (good && chunked != CHUNKED_NO)
            good = wire_write(fd, "\r\n", 2);
        if (good) {
            at += n;
            *sent += n;
        }
        if (good && chunked == CHUNKED_BAD) {
            (void)wire_write(fd, "zz\r\n?\r\n", 7);
            good = false;
        }
    }
    if (good && chunked == CHUNKED_GOOD && limit == body->size)
        good = wire_write(fd, "0\r\n\r\n", 5);
    free(block);
    return good;
}

void wire_response(int fd, const struct response *response, const struct change *change,
                   struct pacer *pacer, uint64_t *sent)
{
    enum fault fault = change != NULL ? change->fault : FAULT_NONE;
    enum stage stage = change != NULL ? change->stage : STAGE_NONE;
    struct buf header = SIM_BUF;
    struct pacer header_pacer;
    wire_header(&header, response, change);
    wire_send_at_once(fd);
    pacer_init(&header_pacer, change != NULL ? (uint64_t)change->header_rate : 0);
    size_t header_len = fault != FAULT_NONE && stage == STAGE_HEADERS ? header.len / 2 : header.len;
    bool good = wire_write_paced(fd, header.data, header_len, &header_pacer);
    buf_fini(&header);
    if (good && stage != STAGE_HEADERS) {
        uint64_t limit = response->is_head ? 0 : response->body.size;
        if (fault != FAULT_NONE && stage == STAGE_BODY) {
            uint64_t cut =
                change->cut_after_bytes >= 0 ? (uint64_t)change->cut_after_bytes : limit / 2;
            limit = cut < limit ? cut : limit;
        }
        enum chunked chunked = change != NULL ? change->chunked : CHUNKED_NO;
        (void)wire_body(fd, &response->body, limit, chunked, pacer, sent);
    }
    wire_end(fd, fault);
}
