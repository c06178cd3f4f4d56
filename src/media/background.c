/*
 * What is fetched although nobody waits for it, in the order of importance:
 *
 *   ends        of a finished video, once: head and tail, so that whoever opens it first need not
 *               wait.
 *   fetch       the whole file, because the owner said so. Two such transfers run at a time, and
 *               none is started while half of the slots are in use.
 *   completion  the rest of a file of up to 64 MiB that somebody reads (more than 1 MiB in one go:
 *               who looks at a header does not mean the whole). At the same low priority. What was
 *               asked for and held back for its readers (range_plan.c) is so no more.
 *
 * What stops when: with the last reference (the last handle closed, no read parked, no fetch) all
 * transfers of the item stop at once. While a handle is open and nothing was read for 30 s, what
 * was started for readers stops, windows ahead and completion alike, within another 30 s (the
 * interval at which transfers look at themselves); ends and fetch go on, and so does what readers
 * began while there is a fetch. The next read begins anew. A clip that has cost many requests is
 * fetched to its end (item_start_step), because there may be no more of them.
 */
#include "media/item.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"

#include <inttypes.h>

void item_ends_begin(struct media_item *item)
{
    if (item->is_fetching_ends)
        return;
    media_item_ref(item);
    item->is_fetching_ends = true;
}

void item_ends_end(struct media_item *item, int result)
{
    if (!item->is_fetching_ends)
        return;
    item->is_fetching_ends = false;
    log_event(result < 0 ? LOG_INFO : LOG_DEBUG, "media.ends",
              "id=%" PRId64 " kind=%" PRId64 " result=%s", item->key.id, item->key.kind,
              result < 0 ? err_name(result) : "ok");
    item_persist_soon(item);
    media_item_unref(item);
}

void item_fetch_end(struct media_item *item, int result)
{
    const struct media_hooks *hooks = &item->media->settings.hooks;
    enum media_kind kind = (enum media_kind)item->key.kind;
    if (!item->is_fetching)
        return;
    item->is_fetching = false;
    if (result < 0 && hooks->on_fetch_failed)
        hooks->on_fetch_failed(hooks->context, item->key.id, kind, result);
    else if (result == 0 && hooks->on_progress)
        hooks->on_progress(hooks->context, item->key.id, kind, item->cache.durable_bytes);
    media_item_unref(item);
}

/* A transfer that nobody waited for was given up: nobody is in a hurry to try again. */
void item_background_failed(struct media_item *item, int result)
{
    item->is_completing = false;
    item_ends_end(item, result);
    item_fetch_end(item, result);
}

bool item_is_idle(const struct media_item *item)
{
    return !item->parked && media_now_ms(item->media) - item->read_ms >= ITEM_IDLE_MS;
}

void item_was_read(struct media_item *item, const struct range_stream *stream)
{
    item->read_ms = media_now_ms(item->media);
    if (item->is_completing || stream->consumed <= ITEM_COMPLETED_FROM_BYTES ||
        item->size > RANGE_CLIP_BYTES_MAX || cache_is_complete(&item->cache))
        return;
    item->is_completing = true;
    item_allow_all(item);
    item_schedule(item);
}

static void item_pass_ends(struct media_item *item)
{
    struct media *media = item->media;
    struct item_view view;
    struct interval range;
    /* A server that sends everything for any range would send everything. */
    if (item->is_whole_only || item->cache.disk_error || item->cache.is_detached) {
        item_ends_end(item, item->cache.disk_error);
        return;
    }
    item_view_make(item, &view);
    if (!range_plan_ends(&view.range, &range)) {
        if (!item_has_transfer(item, TRANSFER_ENDS) && !item_has_transfer(item, TRANSFER_PROBE))
            item_ends_end(item, 0);
        return;
    }
    if (media->transfer_count >= MEDIA_BACKGROUND_BELOW ||
        item_transfer_count(item) >= ITEM_AHEAD_MAX)
        return;
    int r = item_start(item, TRANSFER_ENDS, range.first, range.end, INT64_MAX);
    if (r < 0)
        item_ends_end(item, r);
}

static void item_start_background(struct media_item *item)
{
    struct media *media = item->media;
    struct item_view view;
    struct interval range;
    if (media->background_count >= MEDIA_BACKGROUND_MAX ||
        media->transfer_count >= MEDIA_BACKGROUND_BELOW ||
        item_transfer_count(item) >= ITEM_AHEAD_MAX || item_has_transfer(item, TRANSFER_BACKGROUND))
        return;
    item_view_make(item, &view);
    if (!range_plan_background(&view.range, &range))
        return;
    int r = item_start(item, TRANSFER_BACKGROUND, range.first, range.end, INT64_MAX);
    if (r < 0)
        item_background_failed(item, r);
}

static void item_pass_fetch(struct media_item *item)
{
    struct cache_file *cache = &item->cache;
    if (cache_is_complete(cache))
        item_persist_start(item);
    int result = cache->disk_error;
    if (cache->is_detached)
        result = -ERR_MEDIA_GONE;
    if (result < 0 || cache->durable_bytes == item->size)
        item_fetch_end(item, result);
    else if (!cache_is_complete(cache))
        item_start_background(item);
}

static void item_pass_completion(struct media_item *item)
{
    if (item->cache.disk_error || item->cache.is_detached || item->is_whole_only ||
        item_is_idle(item) || cache_is_complete(&item->cache))
        item->is_completing = false;
    else
        item_start_background(item);
}

void item_pass_background(struct media_item *item)
{
    if (item->is_fetching_ends)
        item_pass_ends(item);
    if (item->is_fetching)
        item_pass_fetch(item);
    else if (item->is_completing)
        item_pass_completion(item);
}
