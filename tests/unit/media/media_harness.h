/*
 * What: a collection on a loop, with a media host that fails on demand, recorded hooks, and reads
 * that check each byte they get.
 */
#ifndef TESTS_UNIT_MEDIA_MEDIA_HARNESS_H
#define TESTS_UNIT_MEDIA_MEDIA_HARNESS_H

#include "../net/raw_server.h"
#include "seedancefs/base/buf.h"
#include "seedancefs/base/clock.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/number.h"
#include "seedancefs/media/media.h"
#include "seedancefs/net/http.h"
#include "seedancefs/net/loop.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum server_fault {
    SERVER_FINE,
    SERVER_CUT,         /* closes after half the body */
    SERVER_CUT_EXPIRE,  /* also expires the token */
    SERVER_NO_RESPONSE, /* closes before the head */
    SERVER_WHOLE,       /* 200 and the whole file */
    SERVER_SHIFTED,     /* 206 with another range, and says so */
    SERVER_UNSAID,      /* 206 without Content-Range */
    SERVER_SHORT,       /* 206 with a shorter range */
    SERVER_STAR,        /* total "*" */
    SERVER_MULTIPART,   /* as it says */
    SERVER_UNSATISFIED, /* 416 */
    SERVER_BUSY,        /* 503 */
    SERVER_LATER,       /* 429, Retry-After: 1000 */
    SERVER_FORBIDDEN,   /* 403 whatever the token */
    SERVER_GONE,        /* 404 */
    SERVER_HTML,        /* 200 and an HTML page */
    SERVER_HANG,        /* no response for a minute */
    SERVER_TRICKLE,     /* a byte every 50 ms */
    SERVER_REDIRECT,    /* once, to the same path with hop=1 */
    SERVER_LOOP,        /* redirects for ever */
    SERVER_FILE_URL,    /* to file:///etc/passwd */
    SERVER_LARGER,      /* another total, but the same ETag */
    SERVER_FAULTS,
};

enum { SERVER_REQUESTS_MAX = 4096 };

/* The media host, on raw_server.h: known bytes at any offset, ranges, faults on demand. */
struct server {
    struct raw_server raw;
    int64_t size;
    uint64_t version; /* of the bytes; part of the ETag */
    bool has_etag;
    int token; /* ?token= below this gets 403 */
    enum server_fault fault;
    int fault_count;   /* how many requests get the fault; -1: all */
    int fault_percent; /* or this percentage gets a random fault that heals */
    int delay_ms;
    int delays_ms[4]; /* extra delay of the first requests, in order */
    int request_count;
    int64_t bytes_sent;
    struct {
        int64_t first;
        int64_t last;
    } requests[SERVER_REQUESTS_MAX];
};

static inline unsigned char server_byte(uint64_t version, int64_t offset)
{
    uint64_t x = (uint64_t)offset + version * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 17) * 0xff51afd7ed558ccdu;
    return (unsigned char)(x >> 56);
}

static bool server_send_body(struct server *server, int fd, int64_t first, int64_t end,
                             bool is_slow)
{
    unsigned char block[65536];
    while (first < end) {
        int64_t part = min_int64(is_slow ? 1 : (int64_t)sizeof(block), end - first);
        for (int64_t i = 0; i < part; i++)
            block[i] = server_byte(server->version, first + i);
        if (!raw_send(fd, block, (size_t)part, sizeof(block)))
            return false;
        __atomic_add_fetch(&server->bytes_sent, part, __ATOMIC_SEQ_CST);
        first += part;
        if (is_slow)
            usleep(50000);
    }
    return true;
}

/* A block is counted after it was sent: who reads it may be earlier. */
static inline void assert_bytes_sent(struct server *server, int64_t bytes)
{
    for (int i = 0; i < 5000 && __atomic_load_n(&server->bytes_sent, __ATOMIC_SEQ_CST) < bytes; i++)
        usleep(1000);
    assert_int_equal(__atomic_load_n(&server->bytes_sent, __ATOMIC_SEQ_CST), bytes);
}

static enum server_fault server_pick(struct server *server, int number)
{
    static const enum server_fault heal[] = {
        SERVER_CUT,      SERVER_NO_RESPONSE, SERVER_SHIFTED, SERVER_UNSAID, SERVER_SHORT,
        SERVER_STAR,     SERVER_MULTIPART,   SERVER_BUSY,    SERVER_HTML,   SERVER_CUT,
        SERVER_REDIRECT, SERVER_WHOLE,       SERVER_LARGER};
    uint32_t dice = (uint32_t)number * 2654435761u;
    dice ^= dice >> 15;
    if (server->fault_percent > (int)(dice % 100))
        return heal[dice / 100 % (sizeof(heal) / sizeof(heal[0]))];
    if (server->fault == SERVER_FINE || server->fault_count == 0)
        return SERVER_FINE;
    if (server->fault_count > 0)
        __atomic_sub_fetch(&server->fault_count, 1, __ATOMIC_SEQ_CST);
    return server->fault;
}

static bool server_simple(int fd, const char *status, const char *headers)
{
    char head[1024];
    int n = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\n%sContent-Length: 5\r\n\r\nhello", status,
                     headers);
    return raw_send(fd, head, (size_t)n, sizeof(head));
}

/* The status and body that a fault sends instead of bytes. */
static const struct {
    const char *status;
    const char *headers;
} server_refusals[SERVER_FAULTS] = {
    [SERVER_BUSY] = {"503 Busy", ""},
    [SERVER_LATER] = {"429 Later", "Retry-After: 1000\r\n"},
    [SERVER_GONE] = {"404 Gone", ""},
    [SERVER_UNSATISFIED] = {"416 No", "Content-Range: bytes */7\r\n"},
    [SERVER_HTML] = {"200 OK", "Content-Type: text/html\r\n"},
    [SERVER_FILE_URL] = {"302 Found", "Location: file:///etc/passwd\r\n"},
    [SERVER_FORBIDDEN] = {"403 Forbidden", ""},
};

/* Returns true if this request gets no bytes; `is_open` tells whether the connection stays open. */
static bool server_refuse(struct server *server, int fd, enum server_fault fault,
                          const char *request, bool *is_open)
{
    char headers[256];
    const char *token = strstr(request, "token=");
    const char *hop = strstr(request, "hop=");
    *is_open = false;
    if (fault == SERVER_HANG)
        raw_hang(fd);
    if (fault == SERVER_HANG || fault == SERVER_NO_RESPONSE)
        return true;
    if (!server_refusals[fault].status && (!token || atoi(token + 6) < server->token))
        fault = SERVER_FORBIDDEN;
    if (server_refusals[fault].status) {
        *is_open = server_simple(fd, server_refusals[fault].status, server_refusals[fault].headers);
        return true;
    }
    if (fault != SERVER_LOOP && (fault != SERVER_REDIRECT || hop))
        return false;
    (void)snprintf(headers, sizeof(headers),
                   "Location: http://127.0.0.1:%d/moved?token=%d&hop=1\r\n", server->raw.port,
                   atoi(token + 6));
    *is_open = server_simple(fd, "302 Found", headers);
    return true;
}

static bool server_respond(void *context, int fd, const char *request)
{
    struct server *server = context;
    bool is_open;
    int64_t first = 0;
    int64_t last = server->size - 1;
    const char *range = strstr(request, "Range: bytes=");
    int number = __atomic_fetch_add(&server->request_count, 1, __ATOMIC_SEQ_CST);
    if (range)
        (void)sscanf(range, "Range: bytes=%ld-%ld", &first, &last);
    if (last >= server->size)
        last = server->size - 1; /* RFC 9110, 14.1.2 */
    if (number < SERVER_REQUESTS_MAX) {
        server->requests[number].first = first;
        server->requests[number].last = last;
    }
    if (server->delay_ms)
        usleep((useconds_t)server->delay_ms * 1000);
    if (number < 4 && server->delays_ms[number])
        usleep((useconds_t)server->delays_ms[number] * 1000);
    enum server_fault fault = server_pick(server, number);
    if (server_refuse(server, fd, fault, request, &is_open))
        return is_open;
    if (fault == SERVER_SHIFTED && first > 0)
        first--;
    if ((fault == SERVER_SHORT || fault == SERVER_SHIFTED) && last > first)
        last--;
    if (fault == SERVER_WHOLE) {
        first = 0;
        last = server->size - 1;
    }
    char head[1024];
    char total[32];
    (void)snprintf(total, sizeof(total), "%ld", (long)server->size + (fault == SERVER_LARGER));
    int n =
        snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %ld\r\nContent-Type: %s\r\n",
                 fault == SERVER_WHOLE ? "200 OK" : "206 Partial", (long)(last - first + 1),
                 fault == SERVER_MULTIPART ? "multipart/byteranges; boundary=x" : "video/mp4");
    if (fault != SERVER_WHOLE && fault != SERVER_UNSAID)
        n += snprintf(head + n, sizeof(head) - (size_t)n, "Content-Range: bytes %ld-%ld/%s\r\n",
                      (long)first, (long)last, fault == SERVER_STAR ? "*" : total);
    if (server->has_etag)
        n += snprintf(head + n, sizeof(head) - (size_t)n, "ETag: \"v%lu\"\r\n",
                      (unsigned long)server->version);
    n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
    if (!raw_send(fd, head, (size_t)n, sizeof(head)))
        return false;
    bool is_cut = fault == SERVER_CUT || fault == SERVER_CUT_EXPIRE;
    int64_t end = is_cut ? first + (last - first) / 2 : last + 1;
    server->token += fault == SERVER_CUT_EXPIRE;
    return server_send_body(server, fd, first, end, fault == SERVER_TRICKLE) && !is_cut;
}

static void server_start(struct server *server, int64_t size)
{
    *server = (struct server){.size = size, .version = 1, .has_etag = true};
    server->raw.respond = server_respond;
    server->raw.context = server;
    raw_server_listen(&server->raw);
}

enum url_policy { URL_RENEW, URL_RENEW_AT_ONCE, URL_FAIL, URL_SILENT };

struct harness {
    struct server server;
    struct loop *loop;
    struct http *http;
    struct media *media;
    char directory[64];
    int directory_fd;
    int64_t read_deadline_ms;
    enum url_policy url_policy;
    int url_asked;
    bool is_url_due;
    int token;
    int record_count;
    int64_t record_size;
    char record_etag[64];
    int64_t progress_bytes;
    int64_t cache_bytes_max;
    int64_t kept_id; /* cannot be fetched again */
    int damage_count;
    int64_t damage_bytes;
    char damage_kept[64];
    int probe_result;
    int fetch_result;
    uint64_t version;    /* of the bytes that reads expect */
    struct server *copy; /* NULL: there are no copies */
};

struct checked_read {
    struct media_read read;
    struct harness *harness;
    int64_t offset;
    size_t size;
    int result;
    int calls;
    int wrong;
    int from_memory;
};

static void harness_url(struct harness *h, char *url, size_t size)
{
    (void)snprintf(url, size, "http://127.0.0.1:%d/v.mp4?token=%d", h->server.raw.port, h->token);
}

static void harness_give_url(struct harness *h)
{
    char url[128];
    h->is_url_due = false;
    h->token = h->server.token;
    harness_url(h, url, sizeof(url));
    if (h->url_policy == URL_FAIL)
        media_url_failed(h->media, 7, MEDIA_VIDEO, -ERR_MEDIA_GONE);
    else
        media_url_set(h->media, 7, MEDIA_VIDEO, url, -1);
}

static void on_request_url(void *context, int64_t id, enum media_kind kind)
{
    struct harness *h = context;
    assert_int_equal(id, 7);
    assert_int_equal(kind, MEDIA_VIDEO);
    assert_false(h->is_url_due); /* single flight */
    h->url_asked++;
    if (h->url_policy == URL_RENEW_AT_ONCE)
        harness_give_url(h);
    else if (h->url_policy != URL_SILENT)
        h->is_url_due = true;
}

static void on_record(void *context, const struct media_record *record)
{
    struct harness *h = context;
    h->record_count++;
    h->record_size = record->size;
    (void)snprintf(h->record_etag, sizeof(h->record_etag), "%s", record->etag ? record->etag : "");
}

static void on_progress(void *context, int64_t id, enum media_kind kind, int64_t cached_bytes)
{
    struct harness *h = context;
    (void)id, (void)kind;
    h->progress_bytes = cached_bytes;
}

static bool is_refetchable(void *context, int64_t id, enum media_kind kind)
{
    (void)kind;
    return ((struct harness *)context)->kept_id != id;
}

static void on_damage(void *context, const struct media_damage *damage)
{
    struct harness *h = context;
    h->damage_count++;
    h->damage_bytes = damage->bytes;
    (void)snprintf(h->damage_kept, sizeof(h->damage_kept), "%s", damage->kept ? damage->kept : "");
}

static void on_probe_failed(void *context, int64_t id, enum media_kind kind, int result)
{
    (void)id, (void)kind;
    ((struct harness *)context)->probe_result = result;
}

static void on_fetch_failed(void *context, int64_t id, enum media_kind kind, int result)
{
    (void)id, (void)kind;
    ((struct harness *)context)->fetch_result = result;
}

static int copy_url(void *context, int64_t id, enum media_kind kind, struct buf *out)
{
    const struct harness *h = context;
    (void)id, (void)kind;
    return h->copy ? buf_addf(out, "http://127.0.0.1:%d/copy?token=0", h->copy->raw.port) : -ENOENT;
}

static void harness_open_media(struct harness *h)
{
    struct media_settings settings = {
        .loop = h->loop,
        .http = h->http,
        .directory_fd = h->directory_fd,
        .is_loopback_allowed = true,
        .read_deadline_ms = h->read_deadline_ms,
        .cache_bytes_max = h->cache_bytes_max,
        .hooks = {.context = h,
                  .request_url = on_request_url,
                  .copy_url = copy_url,
                  .on_record = on_record,
                  .on_progress = on_progress,
                  .is_evictable = is_refetchable,
                  .is_refetchable = is_refetchable,
                  .on_damage = on_damage,
                  .on_probe_failed = on_probe_failed,
                  .on_fetch_failed = on_fetch_failed},
    };
    assert_int_equal(media_new(&settings, &h->media), 0);
}

static void harness_init(struct harness *h, int64_t size)
{
    *h = (struct harness){.version = 1, .read_deadline_ms = 8000};
    (void)snprintf(h->directory, sizeof(h->directory), "/tmp/test-media-XXXXXX");
    assert_non_null(mkdtemp(h->directory));
    h->directory_fd = open(h->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(h->directory_fd >= 0);
    log_configure(LOG_ERROR, 2);
    server_start(&h->server, size);
    assert_int_equal(loop_new(clock_system(), &h->loop), 0);
    assert_int_equal(http_new(h->loop, &h->http), 0);
    harness_open_media(h);
}

static void harness_fini(struct harness *h)
{
    char command[128];
    h->media = media_free(h->media);
    h->http = http_free(h->http);
    h->loop = loop_free(h->loop);
    raw_server_stop(&h->server.raw);
    (void)close(h->directory_fd);
    (void)snprintf(command, sizeof(command), "rm -rf %s", h->directory);
    assert_int_equal(system(command), 0);
}

static inline struct media_item *harness_item_of(struct harness *h, int64_t id, int64_t size,
                                                 const char *etag)
{
    char url[128];
    struct media_item *item = NULL;
    harness_url(h, url, sizeof(url));
    struct media_record record = {.id = id,
                                  .kind = MEDIA_VIDEO,
                                  .url = url,
                                  .url_expires_ms = -1,
                                  .size = size,
                                  .etag = etag,
                                  .has_copy = h->copy != NULL};
    assert_int_equal(media_item_open(h->media, &record, &item), 0);
    return item;
}

static inline struct media_item *harness_item(struct harness *h, int64_t size, const char *etag)
{
    return harness_item_of(h, 7, size, etag);
}

static inline struct media_item *harness_known(struct harness *h)
{
    return harness_item(h, h->server.size, "\"v1\"");
}

static void harness_turn(struct harness *h)
{
    assert_int_equal(loop_run_once(h->loop, 20), 0);
    if (h->is_url_due)
        harness_give_url(h);
}

static inline void harness_spend(struct harness *h, int64_t ms)
{
    int64_t end_ms = clock_monotonic_ms(clock_system()) + ms;
    while (clock_monotonic_ms(clock_system()) < end_ms)
        harness_turn(h);
}

static void on_read(void *context, int result, const struct media_bytes *bytes)
{
    struct checked_read *r = context;
    r->calls++;
    r->result = result;
    if (result <= 0)
        return;
    unsigned char *copy = malloc((size_t)result);
    assert_int_equal(bytes->len, result);
    if (bytes->fd >= 0)
        assert_int_equal(pread(bytes->fd, copy, (size_t)result, bytes->offset), result);
    else
        memcpy(copy, bytes->memory, (size_t)result);
    r->from_memory += bytes->fd < 0;
    for (int i = 0; i < result; i++)
        r->wrong += copy[i] != server_byte(r->harness->version, r->offset + i);
    free(copy);
}

static void read_start(struct harness *h, struct media_item *item, struct checked_read *r,
                       int64_t offset, size_t size)
{
    *r = (struct checked_read){.harness = h, .offset = offset, .size = size};
    r->read = (struct media_read){.offset = offset, .size = size, .fn = on_read, .context = r};
    media_read_start(item, &r->read);
}

static void read_wait(struct checked_read *r)
{
    int64_t end_ms = clock_monotonic_ms(clock_system()) + r->harness->read_deadline_ms + 3000;
    while (r->calls == 0 && clock_monotonic_ms(clock_system()) < end_ms)
        harness_turn(r->harness);
    assert_int_equal(r->calls, 1);
    assert_int_equal(r->wrong, 0);
}

/* Reads and expects this result: the file's bytes, or an error. */
static inline void read_expect(struct harness *h, struct media_item *item, int64_t offset,
                               size_t size, int result)
{
    struct checked_read r;
    read_start(h, item, &r, offset, size);
    read_wait(&r);
    assert_int_equal(r.result, result);
}

#endif
