/*
 * When cached bytes become durable: a second after a byte arrives, at once after the last one, and
 * again half a minute after a failure. The syncer waits for the disk.
 */
#include "media/item.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"

#include <errno.h>
#include <inttypes.h>

void item_report_progress(struct media_item *item)
{
    const struct media_hooks *hooks = &item->media->settings.hooks;
    evict_size_set(item);
    if (item->cache.durable_bytes == item->reported_bytes)
        return;
    item->reported_bytes = item->cache.durable_bytes;
    if (hooks->on_progress && item->is_listed)
        hooks->on_progress(hooks->context, item->key.id, (enum media_kind)item->key.kind,
                           item->reported_bytes);
}

static void item_persist_report(struct media_item *item, int r)
{
    item->has_persist_failed = r < 0;
    if (r < 0)
        log_warn("media.persist", "id=%" PRId64 " kind=%" PRId64 " result=%s", item->key.id,
                 item->key.kind, err_name(r));
    item_report_progress(item);
}

void item_persist(struct media_item *item)
{
    item_persist_report(item, cache_persist(&item->cache, media_now_ms(item->media)));
}

static void item_persisted(void *context, struct cache_sync_result result)
{
    struct media_item *item = context;
    int64_t now_ms = media_now_ms(item->media);
    item->is_syncing = false;
    item_persist_report(item, result.result == -EPIPE
                                  ? cache_persist(&item->cache, now_ms)
                                  : cache_persist_end(&item->cache, now_ms, result));
    if (item->is_fetching)
        item_schedule(item); /* the fetch may wait for it */
    item_persist_soon(item);
    evict_request(item->media, 0);
    media_item_unref(item);
}

static void item_persist_due(void *context);

static void item_persist_in(struct media_item *item, int64_t delay_ms)
{
    struct timers *timers = media_timers(item->media);
    if (!timer_is_set(&item->timer) || item->timer.due_ms > media_now_ms(item->media) + delay_ms)
        timer_set(timers, &item->timer, delay_ms, item_persist_due, item);
}

void item_persist_start(struct media_item *item)
{
    struct media *media = item->media;
    if (item->is_syncing)
        return; /* the end of that sync tries again */
    if (syncer_has(media->syncer, &item->key)) {
        item_persist_in(item, ITEM_PERSIST_MS); /* an ended item of the same name is being synced */
        return;
    }
    int r = cache_persist_begin(&item->cache);
    if (r <= 0) {
        item_persist_report(item, r);
        return;
    }
    if (syncer_start(media->syncer, &item->key, item->cache.fd, item_persisted, item) < 0) {
        item_persist(item);
        return;
    }
    item->is_syncing = true;
    media_item_ref(item);
}

static void item_persist_due(void *context)
{
    struct media_item *item = context;
    media_item_ref(item);
    item_persist_start(item);
    evict_request(item->media, 0);
    media_item_unref(item);
}

static int64_t item_persist_delay_ms(const struct media_item *item)
{
    if (item->has_persist_failed)
        return ITEM_PERSIST_AGAIN_MS;
    return cache_is_complete(&item->cache) ? 0 : ITEM_PERSIST_MS;
}

void item_persist_soon(struct media_item *item)
{
    if (item->cache.dirty_bytes > 0)
        item_persist_in(item, item_persist_delay_ms(item));
}
