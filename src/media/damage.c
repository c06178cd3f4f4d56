/*
 * Examines what the disk holds for an item, and handles what is proven wrong:
 *
 *   cannot be examined    nothing changes; reads fail, and the next open or read looks again.
 *   a block is damaged    it is not read, and fetched again if possible. The file stays unchanged
 *                         until then, so that the rest can be read. The next map marks the block.
 *   all is unusable       the map is damaged, missing or of another version. The files are dropped
 *                         when they can be fetched again, else kept under another name.
 *
 * The owner says whether a file can be fetched again; if that is unknown, it cannot. Damage that
 * could not be repaired is reported to the owner in the next planning pass, because the owner's
 * hook may do anything.
 */
#include "media/item.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"

#include <errno.h>
#include <inttypes.h>

static bool item_is_refetchable(const struct media_item *item)
{
    const struct media_hooks *hooks = &item->media->settings.hooks;
    return hooks->is_refetchable &&
           hooks->is_refetchable(hooks->context, item->key.id, (enum media_kind)item->key.kind);
}

static void item_notify_later(struct media_item *item)
{
    if (item->is_damage_unreported)
        return;
    item->is_damage_unreported = true;
    media_item_ref(item);
    item_schedule(item);
}

static int item_keep(struct media_item *item)
{
    int r = cache_keep(&item->cache, item->kept);
    if (r < 0)
        item->kept[0] = '\0';
    return r;
}

/* Handles cached files that are proven unusable. */
static int item_discard(struct media_item *item)
{
    bool is_dropped = item_is_refetchable(item);
    int r = is_dropped ? cache_drop(&item->cache) : item_keep(item);
    log_warn("media.unusable", "id=%" PRId64 " kind=%" PRId64 " result=%s kept=%s", item->key.id,
             item->key.kind,
             r < 0        ? err_name(r)
             : is_dropped ? "dropped"
                          : "kept",
             item->kept);
    item_notify_later(item);
    return r;
}

int item_load(struct media_item *item)
{
    struct cache_file *cache = &item->cache;
    /* Another item may own the names now; and a map that is being renamed is about to change. */
    if (cache->is_detached || item->is_syncing)
        return cache_error(cache->load_error);
    int r = cache_load(cache, item->size, item->etag);
    if (r == -EBADMSG)
        r = item_discard(item);
    if (cache->damaged.count > 0)
        item_notify_later(item);
    if (r == 0)
        evict_size_set(item);
    /* Each run of bytes has cost at least one request, in this run of the program or
     * an earlier one. */
    if (r == 0 && item->requests < (int64_t)cache->present.count)
        item->requests = (int64_t)cache->present.count;
    item->reported_bytes = item->is_damage_unreported ? -1 : cache->durable_bytes;
    return cache_error(cache->load_error);
}

int item_check(struct media_item *item, int64_t first, int64_t end)
{
    int r = cache_check(&item->cache, first, end);
    if (item->cache.damaged.bytes != item->damage_reported_bytes)
        item_notify_later(item);
    return cache_error(r);
}

/* When the server no longer has this version, a complete copy is the last one. A part may be the
 * last one too, if the server is about to refuse further requests. */
int item_discard_version(struct media_item *item)
{
    const struct cache_file *cache = &item->cache;
    int64_t bytes = cache->present.bytes + cache->damaged.bytes;
    bool is_kept =
        cache->load_error || bytes >= item->size || (bytes > 0 && !item_is_refetchable(item));
    return is_kept ? item_keep(item) : cache_drop(&item->cache);
}

static void item_notify(struct media_item *item, const char *kept)
{
    const struct media_hooks *hooks = &item->media->settings.hooks;
    const struct cache_file *cache = &item->cache;
    struct media_damage damage = {
        .id = item->key.id,
        .kind = (enum media_kind)item->key.kind,
        .offset = kept ? 0 : cache->damaged.list[0].first,
        .bytes = kept ? 0 : cache->damaged.bytes,
        .kept = kept,
    };
    if (hooks->on_damage)
        hooks->on_damage(hooks->context, &damage);
}

void item_notify_kept(struct media_item *item)
{
    if (item->kept[0])
        item_notify(item, item->kept);
    item->kept[0] = '\0';
}

void item_pass_damage(struct media_item *item)
{
    const struct cache_file *cache = &item->cache;
    if (!item->is_damage_unreported)
        return;
    item->is_damage_unreported = false;
    item_notify_kept(item);
    if (cache->damaged.count > 0 && !item->end_result && !item_is_refetchable(item))
        item_notify(item, NULL);
    item->damage_reported_bytes = cache->damaged.bytes;
    item_persist_soon(item);
    item_report_progress(item); /* it is no longer complete */
    media_item_unref(item);
}
