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
