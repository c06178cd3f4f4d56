/*
 * The collection: its items, how they come and go, and the planning pass.
 *
 * An item is listed under (id, kind) until it is removed, or until it ends because its file
 * changed. After that its handles still hold it, but its file names belong to the next item listed
 * under that key. When the last reference goes, its transfers stop. One second later the bytes
 * written since the last map are made durable, so that the reader's close() does not wait for the
 * disk. If that fails it is tried again. An item that is opened before that is found unchanged.
 *
 * The planning pass calls item_pass() for each item that needs it, at most once per pass. A hook
 * may do anything, so the pass starts its search from the head of the list each time.
 */
#include "media/item.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* The size has just become known, or was requested again: tells the owner. */
static void item_pass_record(struct media_item *item)
{
    bool is_new = item->needs_record;
    item->needs_record = false;
    if (item->is_probing)
        item_probe_end(item, 0);
    else
        item_report_record(item);
    if (is_new && !item->end_result)
        reads_clip(item);
}

static void item_pass_url(struct media_item *item)
{
    struct media *media = item->media;
    if (item->is_url_wanted) {
        const struct media_hooks *hooks = &media->settings.hooks;
        item->is_url_wanted = false;
        if (item->is_listed)
            hooks->request_url(hooks->context, item->key.id, (enum media_kind)item->key.kind);
        else
            item_url_received(item, -ERR_MEDIA_GONE); /* the owner no longer knows the file */
    }
    if (!item->is_url_received)
        return;
    item->is_url_asked = item->is_url_received = false;
    /* This call may end any transfer, so the search starts at the head again. */
    struct transfer *transfer;
    do {
        DL_FOREACH (media->transfers, transfer)
            if (transfer->item == item && transfer->state == TRANSFER_HELD)
                break;
        if (transfer)
            transfer_url_received(transfer, item->url_result);
    } while (transfer && !item->is_url_asked);
}

static void item_pass(struct media_item *item)
{
    item->needs_plan = false;
    item->is_starved = false;
    item_pass_url(item);
    item_pass_damage(item);
    if (item->end_result)
        return;
    if (item->size < 0 && (item->is_probing || item->is_fetching)) {
        int r = item_start_probe(item);
        if (r < 0) {
            item_probe_end(item, r);
            item_fetch_end(item, r);
        }
    }
    if (item->size >= 0 && (item->is_probing || item->needs_record))
        item_pass_record(item);
    reads_plan(item);
    if (item->size >= 0 && !item->end_result)
        item_pass_background(item);
}

static void plan_pass(void *context)
{
    struct media *media = context;
    struct media_item *item;
    media->plan_pass_count++;
    do {
        DL_FOREACH (media->items, item)
            if (item->needs_plan && item->planned_pass != media->plan_pass_count)
                break;
        if (item) {
            item->planned_pass = media->plan_pass_count;
            media_item_ref(item);
            item_pass(item);
            media_item_unref(item);
        }
    } while (item);
    evict_run(media);
}

static void item_free(struct media_item *item)
{
    struct media *media = item->media;
    item_stop_transfers(item);
    evict_note_use(item);
    if (item->is_listed)
        cache_index_requests_set(&media->index, &item->key, item->requests);
    evict_request(media, 0);
    item_unlist(item);
    timer_cancel(media_timers(media), &item->timer);
    DL_DELETE(media->items, item);
    cache_fini(&item->cache);
    free(item->etag);
    free(item->url);
    free(item);
}

/* Frees the item. If it has unwritten bytes, it is persisted first, and then comes back here. */
static void item_unused(struct media_item *item)
{
    item_stop_transfers(item);
    if (item->is_listed && item->cache.dirty_bytes > 0)
        item_persist_soon(item);
    else
        item_free(item);
}

int media_new(const struct media_settings *settings, struct media **out)
{
    struct media *media = calloc(1, sizeof(*media));
    if (!media)
        return -ENOMEM;
    media->settings = *settings;
    media->plan_pass = plan_pass;
    media->on_unused = item_unused;
    if (media->settings.read_deadline_ms <= 0)
        media->settings.read_deadline_ms = MEDIA_READ_DEADLINE_MS;
    media->directory_fd = settings->directory_fd;
    retry_bucket_init(&media->retry_bucket, MEDIA_RETRIES_MAX);
    if (getrandom(&media->random_state, sizeof(media->random_state), GRND_NONBLOCK) < 0)
        media->random_state = (uint64_t)media_now_ms(media);
    int r = cache_index_scan(&media->index, media->directory_fd);
    if (r < 0) /* never evict what is not listed */
        log_warn("media.index", "result=%s", err_name(r));
    r = syncer_new(settings->loop, media->directory_fd, &media->syncer);
    if (r < 0)
        log_warn("media.syncer", "result=%s", err_name(r));
    log_info("media.index", "bytes=%" PRId64 " files=%u", media->index.bytes,
             HASH_COUNT(media->index.table));
    media_schedule(media);
    *out = media;
    return 0;
}

struct media *media_free(struct media *media)
{
    if (!media)
        return NULL;
    struct media_item *item;
    media->is_closing = true;
    timer_cancel(media_timers(media), &media->plan_timer);
    while (media->transfers)
        transfer_end(media->transfers);
    media->syncer = syncer_free(media->syncer);
    DL_FOREACH (media->items, item) {
        reads_fail(item, 0, INT64_MAX, -ENOTCONN);
        item_persist(item);
    }
    while (media->items)
        item_free(media->items);
    cache_index_fini(&media->index);
    free(media);
    return NULL;
}

void media_counts_get(const struct media *media, struct media_counts *out)
{
    *out = media->counts;
    out->transfers_active = media->transfer_count;
    out->cache_bytes = media->index.bytes;
}

static bool is_text(const char *text)
{
    return text && text[0] != '\0';
}

static int item_set_url(struct media_item *item, const char *url, int64_t url_expires_ms)
{
    char *copy = strdup(url);
    if (!copy)
        return -ENOMEM;
    free(item->url);
    item->url = copy;
    item->url_expires_ms = url_expires_ms;
    item->url_generation++;
    return 0;
}

static int media_make(struct media *media, const struct media_record *record,
                      struct media_item **out)
{
    struct media_item *item = calloc(1, sizeof(*item));
    if (!item)
        return -ENOMEM;
    item->media = media;
    item->key = (struct cache_key){.id = record->id, .kind = (int64_t)record->kind};
    item->size = record->size;
    item->url_expires_ms = -1;
    item->etag = strdup(record->etag ? record->etag : "");
    int r = item->etag ? 0 : -ENOMEM;
    if (r == 0 && is_text(record->url))
        r = item_set_url(item, record->url, record->url_expires_ms);
    /* Two items must never write the same files. The new item is in the table, or it
     * is not created. */
    if (r == 0)
        HASH_ADD(hh, media->table, key, sizeof(item->key), item);
    if (r == 0 && !TABLE_HAS(item, hh))
        r = -ENOMEM;
    if (r < 0) {
        free(item->url);
        free(item->etag);
        free(item);
        return r;
    }
    DL_APPEND(media->items, item);
    item->is_listed = true;
    cache_init(&item->cache, media->directory_fd, record->id, record->kind);
    item->cache.spill_pool = &media->spill_pool;
    item->requests = cache_index_requests(&media->index, &item->key); /* 0 after a restart */
    if (item->size >= 0)
        (void)item_load(item); /* the reads get the error */
    *out = item;
    return 0;
}

int media_item_open(struct media *media, const struct media_record *record, struct media_item **out)
{
    if (record->size == 0 || record->size < -1 || record->size > MEDIA_SIZE_MAX)
        return -EINVAL;
    struct media_item *item = media_find(media, record->id, record->kind);
    int r = 0;
    if (!item)
        r = media_make(media, record, &item);
    else if (item->refs == 0)
        item->plan = (struct range_plan){0}; /* the earlier readers are gone */
    if (r == 0 && is_text(record->url) && (!item->url || strcmp(item->url, record->url) != 0))
        r = item_set_url(item, record->url, record->url_expires_ms);
    if (r < 0)
        return r;
    item->has_copy = item->has_copy || record->has_copy;
    media_item_ref(item);
    if (item->cache.load_error)
        (void)item_load(item);
    *out = item;
    return 0;
}

struct media_item *media_item_close(struct media_item *item)
{
    if (item)
        media_item_unref(item);
    return NULL;
}

void media_remove(struct media *media, int64_t id, enum media_kind kind)
{
    struct media_item *item = media_find(media, id, kind);
    if (item) {
        media_item_ref(item);
        item_unlist(item);
        media_item_unref(item);
    }
    const struct cache_key key = {id, (int64_t)kind};
    const struct cache_names names = cache_names_of(id, (int32_t)kind);
    evict_forget(media, &key);
    /* Proof: the user has removed the job, and that is durable. */
    cache_kept_delete(media->directory_fd, &names);
    int r = cache_files_delete(media->directory_fd, &names);
    if (r < 0)
        log_warn("media.remove", "id=%" PRId64 " result=%s", id, err_name(r));
}

void media_release(struct media *media, int64_t id, enum media_kind kind)
{
    const struct cache_key key = {id, (int64_t)kind};
    const struct cache_names names = cache_names_of(id, (int32_t)kind);
    /* Proof: the user has removed the job, which is durable, and the whole file is there. */
    cache_kept_delete(media->directory_fd, &names);
    cache_index_age(&media->index, &key);
    cache_used_set(media->directory_fd, id, kind, 1); /* the order after a restart */
}

void media_url_set(struct media *media, int64_t id, enum media_kind kind, const char *url,
                   int64_t url_expires_ms)
{
    struct media_item *item = media_find(media, id, kind);
    if (!item)
        return;
    /* If a new URL seems expired, our clock is wrong. The server decides. */
    if (url_expires_ms >= 0 && url_expires_ms <= media_wall_ms(media))
        url_expires_ms = -1;
    int r = is_text(url) ? item_set_url(item, url, url_expires_ms) : -ERR_MEDIA_GONE;
    if (r < 0) {
        media_url_failed(media, id, kind, r);
        return;
    }
    item->refused_until_ms = 0;
    item_url_received(item, 0);
}

void media_copy_made(struct media *media, int64_t id, enum media_kind kind)
{
    struct media_item *item = media_find(media, id, kind);
    if (item)
        item->has_copy = true;
}

void media_url_failed(struct media *media, int64_t id, enum media_kind kind, int result)
{
    struct media_item *item = media_find(media, id, kind);
    if (!item)
        return;
    result = result < 0 ? result : -ERR_MEDIA_EXPIRED;
    item_url_refused(item, result);
    item_url_received(item, result);
}

int media_item_probe(struct media_item *item)
{
    if (item->end_result)
        return item->end_result;
    if (!item->is_probing)
        media_item_ref(item);
    item->is_probing = true;
    if (item->size < 0)
        item_ends_begin(item);
    item_schedule(item);
    return 0;
}

int media_item_evict(struct media_item *item)
{
    const struct transfer *transfer;
    if (item->parked || item->ready || item->is_fetching || item->is_fetching_ends)
        return -EBUSY;
    DL_FOREACH (item->media->transfers, transfer)
        if (transfer->item == item)
            return -EBUSY;
    item->is_completing = false;
    /* Proof: the user asked for it, and the caller knows that it can be fetched again. */
    int r = cache_drop(&item->cache);
    item_persist(item); /* reports 0 bytes */
    return r;
}

int64_t media_item_size(const struct media_item *item)
{
    return item->end_result ? -1 : item->size;
}

int64_t media_item_cached_bytes(const struct media_item *item)
{
    return item->cache.load_error ? -1 : item->cache.present.bytes;
}

bool media_item_is_complete(const struct media_item *item)
{
    return !item->end_result && cache_is_complete(&item->cache);
}

bool media_item_is_durable(const struct media_item *item)
{
    return media_item_is_complete(item) && item->cache.durable_bytes == item->size;
}
