/*
 * What: a collection on a loop against the test server, its hooks recorded, and reads that check
 * each byte they get.
 */
#ifndef TESTS_UNIT_MEDIA_MEDIA_HARNESS_H
#define TESTS_UNIT_MEDIA_MEDIA_HARNESS_H

#include "media_server.h"
#include "seedancefs/base/clock.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"
#include "seedancefs/media/media.h"
#include "seedancefs/net/http.h"
#include "seedancefs/net/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

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
    uint64_t version; /* of the bytes that reads expect */
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
    (void)snprintf(url, size, "http://127.0.0.1:%d/v.mp4?token=%d", h->server.port, h->token);
}

static void harness_give_url(struct harness *h)
{
    char url[128];
    h->is_url_due = false;
    h->token = h->server.state->token;
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
    server_stop(&h->server);
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
                                  .etag = etag};
    assert_int_equal(media_item_open(h->media, &record, &item), 0);
    return item;
}

static inline struct media_item *harness_item(struct harness *h, int64_t size, const char *etag)
{
    return harness_item_of(h, 7, size, etag);
}

static inline struct media_item *harness_known(struct harness *h)
{
    return harness_item(h, h->server.state->size, "\"v1\"");
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

/* Reads and expects this result: what the file has there, or a failure. */
static inline void read_expect(struct harness *h, struct media_item *item, int64_t offset,
                               size_t size, int result)
{
    struct checked_read r;
    read_start(h, item, &r, offset, size);
    read_wait(&r);
    assert_int_equal(r.result, result);
}

#endif
