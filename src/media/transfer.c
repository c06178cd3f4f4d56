/*
 * A transfer brings the bytes [position, end) of an item, through redirects, renewed URLs and new
 * attempts from the verified position. For the plan it stays one transfer all the while.
 *
 *     begin ──URL known──▶ RUNNING ──head fits──▶ bytes ... ──▶ finished
 *       │                   │  │ └─redirect (≤ 3)─▶ RUNNING at the new place
 *       └─no URL──▶ HELD ◀──┘  └─may succeed later─▶ WAITING ─timer─▶ begin
 *                    │  URL refused, once                 │
 *                    └─response▶ begin       given up: those who wait for its bytes fail
 *
 * Where there is a copy (media.h), it is asked when the URL is not known, has expired, or was refused,
 * and when the media host has brought nothing. When the copy brings nothing either, a URL is asked for
 * as if there were none, and the copy is left alone for a while.
 *
 * A transfer may make three attempts in a row that bring no byte, and only while the collection's
 * budget of retries lasts. A transfer that broke off after many bytes goes on at once. Each attempt
 * starts from the item's URL: the target of a redirect may be as short-lived as the connection.
 *
 * The low-speed timer ends a transfer below 1 byte per ms: 1 byte per second would never stall.
 *
 * Callbacks of http and timers run between transfer_enter() and transfer_leave(). The code they
 * call may end this very transfer, which is then freed in transfer_leave().
 */
#include "media/item.h"
#include "seedancefs/base/buf.h"
#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"
#include "seedancefs/net/url.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    TRANSFER_CONNECT_MS = 10 * 1000,
    TRANSFER_STALL_MS = 30 * 1000,
    TRANSFER_PAUSE_MS = 10 * 1000, /* held back for so long, it is ended: nobody reads on */
    TRANSFER_HOPS = 3,
    TRANSFER_MUCH_BYTES = 64 * 1024,
    TRANSFER_DRAIN_BYTES = 256 * 1024,      /* cheaper to read than a new connection */
    TRANSFER_ROOM_BYTES = 64 * 1024 * 1024, /* evicted at once when the disk is full */
    TRANSFER_PAGE_BYTES = 16 * 1024,        /* the same for the body of an error */
    TRANSFER_COALESCE_BYTES = 256 * 1024,   /* written to the cache in one go */
};

static int transfer_begin(struct transfer *transfer) NODISCARD;

static void transfer_free(struct transfer *transfer)
{
    free(transfer->location);
    free(transfer);
}

void transfer_end(struct transfer *transfer)
{
    struct media *media = transfer->item->media;
    if (transfer->is_ended)
        return;
    transfer->is_ended = true;
    DL_DELETE(media->transfers, transfer);
    media->transfer_count--;
    media->background_count -= transfer->purpose == TRANSFER_BACKGROUND;
    timer_cancel(media_timers(media), &transfer->timer);
    if (transfer->http)
        http_cancel(transfer->http);
    transfer->http = NULL;
    /* A slot is free, and a read may have waited for bytes that this transfer will not bring. */
    struct media_item *item;
    item_schedule(transfer->item);
    DL_FOREACH (media->items, item)
        if (item->is_starved || item->is_fetching || item->is_fetching_ends || item->is_completing)
            item_schedule(item);
    if (!transfer->is_busy)
        transfer_free(transfer);
}

static void transfer_enter(struct transfer *transfer)
{
    transfer->is_busy = true;
    media_item_ref(transfer->item);
}

static void transfer_leave(struct transfer *transfer)
{
    struct media_item *item = transfer->item;
    transfer->is_busy = false;
    if (transfer->is_ended)
        transfer_free(transfer);
    media_item_unref(item);
}

static void transfer_log(const struct transfer *transfer, int result)
{
    const struct media_item *item = transfer->item;
    log_event(result < 0 ? LOG_WARN : LOG_DEBUG, "media.transfer",
              "id=%" PRId64 " kind=%" PRId64 " position=%" PRId64 " end=%" PRId64
              " attempts=%d result=%s curl=\"%s\"",
              item->key.id, item->key.kind, transfer->position, transfer->end, transfer->attempts,
              result < 0 ? err_name(result) : "ok", transfer->words ? transfer->words : "");
}

static void transfer_abandon(struct transfer *transfer, int result)
{
    struct media_item *item = transfer->item;
    result = item_loss(item, result);
    enum transfer_purpose purpose = transfer->purpose;
    int64_t first = transfer->position;
    int64_t end = transfer->end;
    media_item_ref(item);
    transfer_log(transfer, result);
    transfer_end(transfer);
    reads_fail(item, first, end, result);
    if (item->size < 0)
        item_probe_end(item, result);
    if (purpose != TRANSFER_READ)
        item_background_failed(item, result);
    media_item_unref(item);
}

static void transfer_finish(struct transfer *transfer)
{
    struct media_item *item = transfer->item;
    struct media *media = item->media;
    transfer_log(transfer, 0);
    transfer_end(transfer);
    retry_bucket_earn(&media->retry_bucket);
    item_persist_soon(item);
    item_schedule(item);
}

static void transfer_forget_redirects(struct transfer *transfer)
{
    free(transfer->location);
    transfer->location = NULL;
    transfer->hops = 0;
}

static bool transfer_is_wanted(const struct transfer *transfer)
{
    const struct media_item *item = transfer->item;
    return transfer->purpose != TRANSFER_READ || item->is_fetching || item->is_completing ||
           reads_want(item, transfer->position, transfer->end);
}

static void transfer_attempt_again(void *context)
{
    struct transfer *transfer = context;
    transfer_enter(transfer);
    int r = transfer_is_wanted(transfer) ? transfer_begin(transfer) : -ERR_HTTP_CANCELLED;
    if (r < 0)
        transfer_abandon(transfer, r);
    transfer_leave(transfer);
}

static void transfer_begin_again(struct transfer *transfer)
{
    transfer_forget_redirects(transfer);
    int r = transfer_begin(transfer);
    if (r < 0)
        transfer_abandon(transfer, r);
}

/* The copy has brought nothing. */
static void transfer_copy_failed(struct transfer *transfer, int result)
{
    transfer->is_copy_wanted = false;
    transfer->result = result;
    item_copy_failed(transfer->item, result);
    if (++transfer->attempts >= TRANSFER_ATTEMPTS_MAX)
        transfer_abandon(transfer, result);
    else
        transfer_begin_again(transfer);
}

static void transfer_failed(struct transfer *transfer, int result, bool is_retryable)
{
    struct media_item *item = transfer->item;
    struct media *media = item->media;
    int64_t gained = transfer->gained;
    if (transfer->is_from_copy && gained == 0) {
        transfer_copy_failed(transfer, result);
        return;
    }
    transfer->attempts = gained > 0 ? 1 : transfer->attempts + 1;
    transfer->result = result;
    if (gained == 0 && item_copy_is_usable(item) && transfer->attempts < TRANSFER_ATTEMPTS_MAX &&
        transfer_is_wanted(transfer)) {
        transfer->is_copy_wanted = true;
        transfer_begin_again(transfer);
        return;
    }
    transfer_forget_redirects(transfer);
    if (!is_retryable || transfer->attempts >= TRANSFER_ATTEMPTS_MAX ||
        !transfer_is_wanted(transfer) ||
        (gained == 0 && !retry_bucket_take(&media->retry_bucket))) {
        transfer_abandon(transfer, result);
        return;
    }
    int64_t delay_ms = 0;
    if (gained < TRANSFER_MUCH_BYTES)
        delay_ms =
            backoff_delay_ms((unsigned)transfer->attempts, BACKOFF_CAP_MS, &media->random_state);
    if (transfer->retry_after_ms > delay_ms)
        delay_ms = transfer->retry_after_ms;
    /* A job is done only after its probe, which must not take an hour. */
    if (transfer->purpose == TRANSFER_PROBE && delay_ms > media->settings.read_deadline_ms) {
        transfer_abandon(transfer, result);
        return;
    }
    transfer_log(transfer, result);
    transfer->state = TRANSFER_WAITING;
    timer_set(media_timers(media), &transfer->timer, delay_ms, transfer_attempt_again, transfer);
    if (transfer->retry_after_ms >= 0)
        /* A read fails now if its deadline comes before the next attempt. */
        reads_fail_late(item, transfer->position, transfer->end, media_now_ms(media) + delay_ms,
                        result);
}

/* The URL was renewed, and the first transfer that uses it has no response yet. */
static bool is_url_on_trial(const struct media_item *item)
{
    const struct transfer *transfer;
    DL_FOREACH (item->media->transfers, transfer) {
        if (transfer->item == item && transfer->is_renewed && transfer->state == TRANSFER_RUNNING &&
            transfer->url_generation == item->url_generation)
            return true;
    }
    return false;
}

/* The URL was refused, or has expired. */
static void transfer_refused(struct transfer *transfer, int result)
{
    struct media_item *item = transfer->item;
    bool is_outdated = transfer->url_generation != item->url_generation;
    if (!is_outdated && item_copy_is_usable(item)) {
        item->dead_generation = item->url_generation;
        transfer->result = result;
        transfer_begin_again(transfer);
        return;
    }
    if (!is_outdated && (transfer->is_renewed || is_url_on_trial(item))) {
        item_url_refused(item, result);
        transfer_abandon(transfer, result);
        return;
    }
    /* Responses may come late and in any order, so the start of the request decides. */
    if (transfer->began_ms < item->refused_until_ms) {
        transfer_abandon(transfer, item->refused_result);
        return;
    }
    transfer->is_renewed = true;
    transfer->result = result;
    transfer_forget_redirects(transfer);
    if (is_outdated && !item->is_url_asked) {
        int r = transfer_begin(transfer);
        if (r < 0)
            transfer_abandon(transfer, r);
        return;
    }
    transfer->state = TRANSFER_HELD;
    if (!item->is_url_asked) {
        item->is_url_asked = item->is_url_wanted = true;
        item_schedule(item);
    }
}

void transfer_url_received(struct transfer *transfer, int result)
{
    transfer_enter(transfer);
    transfer->is_renewed = true;
    int r = result < 0 ? result : transfer_begin(transfer);
    if (r < 0)
        transfer_abandon(transfer, r);
    transfer_leave(transfer);
}

static int64_t low_speed_ms(const struct transfer *transfer)
{
    int64_t half_ms = transfer->item->media->settings.read_deadline_ms / 2;
    return half_ms < TRANSFER_STALL_MS ? half_ms : TRANSFER_STALL_MS;
}

static void transfer_watch(void *context);

static void transfer_watch_set(struct transfer *transfer)
{
    transfer->watched = transfer->position;
    timer_set(media_timers(transfer->item->media), &transfer->timer, low_speed_ms(transfer),
              transfer_watch, transfer);
}

/* The transfer was started for readers, and they are gone or have stopped reading. */
static bool transfer_is_idle(const struct transfer *transfer)
{
    const struct media_item *item = transfer->item;
    bool is_for_readers =
        transfer->purpose == TRANSFER_READ || transfer->purpose == TRANSFER_BACKGROUND;
    return is_for_readers && !item->is_fetching && item_is_idle(item);
}

static void transfer_watch(void *context)
{
    struct transfer *transfer = context;
    transfer_enter(transfer);
    bool is_slow = transfer->position - transfer->watched < low_speed_ms(transfer);
    if (transfer->is_paused || transfer_is_idle(transfer)) {
        transfer_log(transfer, 0);
        transfer_end(transfer);
    } else if (is_slow) {
        http_cancel(transfer->http);
        transfer->http = NULL;
        transfer_failed(transfer, -ERR_HTTP_STALLED, true);
    } else {
        transfer_watch_set(transfer);
    }
    transfer_leave(transfer);
}

static void transfer_pause(struct transfer *transfer)
{
    transfer->is_paused = true;
    http_pause(transfer->http, true);
    timer_set(media_timers(transfer->item->media), &transfer->timer, TRANSFER_PAUSE_MS,
              transfer_watch, transfer);
}

void transfer_allow(struct transfer *transfer, int64_t allowed)
{
    if (allowed > transfer->allowed)
        transfer->allowed = allowed;
    if (!transfer->is_paused || transfer->allowed <= transfer->position)
        return;
    transfer->is_paused = false;
    http_pause(transfer->http, false);
    transfer_watch_set(transfer);
}

/* Follows Location here, not in libcurl: the media host gets no credentials, and each hop is
 * checked against the URL policy when it is requested. */
static int transfer_redirect(struct transfer *transfer, const char *location)
{
    const char *base = transfer->location ? transfer->location : transfer->item->url;
    if (++transfer->hops > TRANSFER_HOPS || !base)
        return -ERR_URL_REFUSED;
    char *target = malloc(URL_MAX + 1);
    if (!target)
        return -ENOMEM;
    int r = url_resolve(base, location, target, URL_MAX + 1);
    if (r < 0) {
        free(target);
        return r;
    }
    free(transfer->location);
    transfer->location = target;
    return 0;
}

/* The server sends the whole file for a range. One such transfer serves all reads. */
static bool transfer_accept_whole(struct transfer *transfer)
{
    struct media_item *item = transfer->item;
    const struct transfer *other;
    DL_FOREACH (item->media->transfers, other)
        if (other->item == item && other != transfer && other->is_whole)
            return false;
    item->is_whole_only = true;
    bool is_wanted = transfer->purpose == TRANSFER_BACKGROUND ||
                     item->size <= 2 * RANGE_END_BYTES || reads_want(item, 0, INT64_MAX);
    if (!is_wanted)
        return false;
    transfer->is_whole = true;
    transfer->position = transfer->watched = 0;
    transfer->end = transfer->request_end = item->size;
    transfer->allowed = INT64_MAX;
    return true;
}

/* The response to a probe tells the size. The bytes that follow are the head of the file. */
static int transfer_learn_size(struct transfer *transfer, const struct http_response *response)
{
    int r = item_size_known(transfer->item, transfer->finding.size, range_etag(response));
    if (r == 0 && transfer->end > transfer->item->size)
        transfer->end = transfer->request_end = transfer->item->size;
    return r;
}

/* What a response about the copy means: as long as it is not the bytes, the copy has failed. */
static struct range_check copy_finding(struct range_check found)
{
    int result = found.result;
    switch (found.verdict) {
    case RANGE_PART:
    case RANGE_WHOLE:
        return found;
    case RANGE_REDIRECT:
        result = -ERR_OBJECT_REFUSED;
        break;
    case RANGE_REFUSED:
        result = result == -ERR_MEDIA_GONE ? -ERR_OBJECT_MISSING : -ERR_OBJECT_REFUSED;
        break;
    case RANGE_CHANGED:
        result = -ERR_OBJECT_DIFFERS;
        break;
    case RANGE_RETRY:
    case RANGE_FAILED:
        result = -ERR_OBJECT_STATUS;
        break;
    }
    return (struct range_check){.verdict = RANGE_FAILED, .result = result, .size = -1};
}

static int transfer_on_headers(void *context, const struct http_response *response)
{
    struct transfer *transfer = context;
    struct media_item *item = transfer->item;
    struct range_request wish = {
        .first = transfer->position,
        .last = transfer->request_end - 1,
        .size = item->size,
        .etag =
            transfer->is_from_copy ? "" : item->etag, /* the object store has ETags of its own */
    };
    transfer_enter(transfer);
    transfer->finding = range_check_response(&wish, response);
    transfer->is_judged = true;
    transfer->retry_after_ms = http_retry_after_ms(response, media_wall_ms(item->media));
    int r = 0;
    if (transfer->finding.verdict == RANGE_PART)
        item->is_whole_only = false;
    if (transfer->is_from_copy) {
        transfer->finding = copy_finding(transfer->finding);
    } else if (transfer->finding.verdict == RANGE_REDIRECT) {
        int redirected = transfer_redirect(transfer, response->location);
        if (redirected < 0)
            transfer->finding = (struct range_check){.verdict = RANGE_FAILED, .result = redirected};
    }
    bool is_fit =
        transfer->finding.verdict == RANGE_PART || transfer->finding.verdict == RANGE_WHOLE;
    if (is_fit && item->size < 0)
        r = transfer_learn_size(transfer, response);
    if (r < 0)
        transfer->finding = (struct range_check){.verdict = RANGE_FAILED, .result = r};
    else if (transfer->finding.verdict == RANGE_WHOLE) {
        if (!transfer_accept_whole(transfer)) {
            transfer->is_trimmed = true;
            r = -ECANCELED;
        }
    } else if (transfer->finding.verdict != RANGE_PART &&
               (response->content_length < 0 || response->content_length > TRANSFER_PAGE_BYTES)) {
        r = -ECANCELED;
    }
    transfer_leave(transfer);
    return r;
}

static bool is_wanted_for_read(const void *context, int64_t first, int64_t end)
{
    return reads_want(context, first, end);
}

static int transfer_take(struct transfer *transfer, const void *bytes, size_t len)
{
    struct media_item *item = transfer->item;
    int64_t first = transfer->position;
    int64_t end = first + (int64_t)len;
    bool was_full = item->cache.disk_error == -ENOSPC;
    struct interval gap = {.end = first};
    if ((int64_t)len > transfer->request_end - first)
        return -ERR_MEDIA_RESPONSE;
    /* Writes only the missing bytes. */
    while (cache_gap(&item->cache, gap.end, end, &gap)) {
        int r = cache_write(&item->cache, media_now_ms(item->media), gap.first,
                            (const char *)bytes + (gap.first - first),
                            (size_t)(gap.end - gap.first), is_wanted_for_read, item);
        if (item->cache.disk_error == -ENOSPC && !was_full)
            evict_request(item->media, TRANSFER_ROOM_BYTES);
        if (r < 0)
            return r;
        transfer->gained += gap.end - gap.first;
    }
    transfer->position = end;
    transfer->is_renewed = false;
    if (transfer->is_from_copy)
        item->copy_result = 0;
    if (item->cache.dirty_bytes >= ITEM_PERSIST_BYTES || cache_is_complete(&item->cache))
        item_persist_soon(item);
    reads_wake(item, first, end);
    return 0;
}

static int transfer_on_body(void *context, const void *bytes, size_t len)
{
    struct transfer *transfer = context;
    transfer->item->media->counts.fetched_bytes += (int64_t)len;
    if (transfer->finding.verdict != RANGE_PART && transfer->finding.verdict != RANGE_WHOLE)
        return 0;
    transfer_enter(transfer);
    int r = transfer_take(transfer, bytes, len);
    if (r == 0 && transfer->is_ended)
        r = -ECANCELED;
    if (r == 0 && transfer->position >= transfer->end &&
        transfer->request_end - transfer->position > TRANSFER_DRAIN_BYTES) {
        transfer->is_trimmed = true;
        r = -ECANCELED;
    }
    if (r == 0 && transfer->position >= transfer->allowed && transfer->position < transfer->end)
        transfer_pause(transfer);
    transfer_leave(transfer);
    return r;
}

/* The response was as requested; `result` tells how it ended. */
static void transfer_came(struct transfer *transfer, int result)
{
    if (transfer->position >= transfer->end)
        transfer_finish(transfer);
    else if (result < 0)
        transfer_failed(transfer, result,
                        err_is_retryable(result) || result == -ERR_HTTP_TOO_LARGE);
    else
        transfer_failed(transfer, -ERR_HTTP_BROKEN, true);
}

/* The URL shows another version. A file that has a copy stays what it is. */
static void transfer_changed(struct transfer *transfer)
{
    struct media_item *item = transfer->item;
    if (!item->has_copy) {
        item_changed(item);
        return;
    }
    item->dead_generation = item->url_generation;
    transfer_begin_again(transfer);
}

static void transfer_judged(struct transfer *transfer, int result)
{
    int r;
    switch (transfer->finding.verdict) {
    case RANGE_PART:
    case RANGE_WHOLE:
        transfer_came(transfer, result);
        break;
    case RANGE_REDIRECT:
        r = transfer_begin(transfer);
        if (r < 0)
            transfer_abandon(transfer, r);
        break;
    case RANGE_REFUSED:
        transfer_refused(transfer, transfer->finding.result);
        break;
    case RANGE_RETRY:
        transfer_failed(transfer, transfer->finding.result, true);
        break;
    case RANGE_CHANGED:
        transfer_changed(transfer);
        break;
    case RANGE_FAILED:
        if (transfer->is_from_copy)
            transfer_copy_failed(transfer, transfer->finding.result);
        else
            transfer_abandon(transfer, transfer->finding.result);
        break;
    }
}

static void transfer_on_done(void *context, int result, const struct http_response *response)
{
    struct transfer *transfer = context;
    transfer_enter(transfer);
    transfer->http = NULL;
    transfer->is_paused = false;
    transfer->words = response->failure;
    timer_cancel(media_timers(transfer->item->media), &transfer->timer);
    if (transfer->is_trimmed)
        transfer_finish(transfer);
    else if (transfer->is_judged)
        transfer_judged(transfer, result);
    else
        transfer_failed(transfer, result < 0 ? result : -ERR_HTTP_MALFORMED,
                        result >= 0 || err_is_retryable(result));
    transfer->words = NULL;
    transfer_leave(transfer);
}

static int transfer_request(struct transfer *transfer, const char *url)
{
    struct media_item *item = transfer->item;
    struct media *media = item->media;
    /* The user has named the host of the copies. */
    bool is_loopback_allowed = media->settings.is_loopback_allowed || transfer->is_from_copy;
    int64_t body_limit = item->size >= 0 ? item->size : 2 * RANGE_END_BYTES;
    int r = url_check(url, is_loopback_allowed);
    if (r < 0)
        return r;
    struct http_request request = {
        .method = HTTP_GET,
        .url = url,
        .range_first = transfer->position,
        .range_last = transfer->end - 1,
        .coalesce_bytes = TRANSFER_COALESCE_BYTES,
        .connect_ms = TRANSFER_CONNECT_MS,
        .stall_ms = TRANSFER_STALL_MS,
        .body_limit = body_limit > TRANSFER_PAGE_BYTES ? (size_t)body_limit : TRANSFER_PAGE_BYTES,
        .is_private_address_allowed = is_loopback_allowed,
        .is_for_reader = true,
        .context = transfer,
        .on_headers = transfer_on_headers,
        .on_body = transfer_on_body,
        .on_done = transfer_on_done,
    };
    transfer->state = TRANSFER_RUNNING;
    transfer->request_end = transfer->end;
    transfer->url_generation = item->url_generation;
    transfer->began_ms = media_now_ms(media);
    transfer->gained = 0;
    transfer->is_paused = false;
    transfer->is_judged = false;
    transfer->is_whole = false;
    transfer->retry_after_ms = -1;
    transfer_watch_set(transfer);
    r = http_start(media->settings.http, &request, &transfer->http);
    item->requests += r == 0 && !transfer->is_from_copy; /* of the signed URL */
    media->counts.requests += r == 0;
    return r;
}

static bool url_is_usable(const struct transfer *transfer)
{
    const struct media_item *item = transfer->item;
    if (item->dead_generation != 0 && item->dead_generation == item->url_generation)
        return false;
    return item->url && (transfer->is_renewed || item->url_expires_ms < 0 ||
                         media_wall_ms(item->media) < item->url_expires_ms);
}

static int transfer_request_copy(struct transfer *transfer)
{
    const struct media_hooks *hooks = &transfer->item->media->settings.hooks;
    const struct cache_key *key = &transfer->item->key;
    CLEANUP(buf_fini) struct buf url = {.limit = URL_MAX};
    int r = hooks->copy_url
                ? hooks->copy_url(hooks->context, key->id, (enum media_kind)key->kind, &url)
                : -ENOENT;
    if (r == 0) {
        transfer->is_from_copy = true;
        r = transfer_request(transfer, buf_text(&url));
    }
    if (url.data)
        explicit_bzero(url.data, url.len);
    return r;
}

/* Starts the request, or holds the transfer until there is a URL. On failure nothing
 * is under way. */
static int transfer_begin(struct transfer *transfer)
{
    struct media_item *item = transfer->item;
    if (transfer->position >= transfer->end) {
        transfer_finish(transfer);
        return 0;
    }
    transfer->is_from_copy = false;
    if (transfer->location)
        return transfer_request(transfer, transfer->location);
    bool is_usable = !item->is_url_asked && url_is_usable(transfer);
    if (item_copy_is_usable(item) && (transfer->is_copy_wanted || !is_usable)) {
        int r = transfer_request_copy(transfer);
        if (r == 0)
            return 0;
        transfer->is_from_copy = transfer->is_copy_wanted = false;
        timer_cancel(media_timers(item->media), &transfer->timer);
        item_copy_failed(item, r);
    }
    if (is_usable)
        return transfer_request(transfer, item->url);
    if (!item->is_url_asked && transfer->is_renewed)
        return -ERR_MEDIA_EXPIRED;
    transfer->is_renewed = true;
    transfer->state = TRANSFER_HELD;
    if (!item->is_url_asked) {
        item->is_url_asked = item->is_url_wanted = true;
        item_schedule(item);
    }
    return 0;
}

int transfer_start(struct media_item *item, enum transfer_purpose purpose, int64_t first,
                   int64_t end, int64_t allowed)
{
    struct media *media = item->media;
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        return -ENOMEM;
    *transfer = (struct transfer){.item = item,
                                  .purpose = purpose,
                                  .position = first,
                                  .end = end,
                                  .allowed = allowed,
                                  .retry_after_ms = -1};
    DL_APPEND(media->transfers, transfer);
    media->transfer_count++;
    media->background_count += purpose == TRANSFER_BACKGROUND;
    int r = transfer_begin(transfer);
    if (r < 0)
        transfer_end(transfer);
    return r;
}
