/*
 * Transfers that no read waits for, most important first:
 *
 *   ends        the head and the tail of a finished video, once. Who opens it first need not wait.
 *   fetch       the whole file, because its owner asked for it. At most two such transfers run at a
 *               time, and none starts while half of the slots are in use.
 *   completion  the rest of a file of up to 64 MiB, once somebody has read more than 1 MiB in one
 *               go: who only looks at a header does not want the rest. Its priority is as low. A
 *               transfer that was held back for its readers (range_plan.c) is then released.
 *
 * When the last reference goes (no open handle, no parked read, no fetch), all transfers of the
 * item stop at once. When a handle is open but nothing was read for 30 s, the transfers started for
 * readers (windows ahead and completion) stop within another 30 s, which is how often a transfer
 * checks itself. Ends and fetch go on, and while there is a fetch, so do the transfers that readers
 * started. The next read starts new ones. A clip that has cost many requests is fetched to its end
 * (item_start_step), because few requests may be left.
 */
#include "media/item.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"

#include <inttypes.h>

static void item_pass_ends(struct media_item *item)
{
    struct media *media = item->media;
    struct item_view view;
    struct interval range;
    /* A server that ignores Range would send the whole file instead of the ends. */
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
