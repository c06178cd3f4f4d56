/*
 * What lies on the disk for an item: looking at it, and what is proven not to be right.
 *
 *   cannot be looked at   nothing changes; reads fail, and the next open or read looks again.
 *   a block is damaged    it is not read, and fetched again if it can be; the file stays as it is
 *                         until then, so that the rest can be read, and the next map says which
 *                         block it is.
 *   all is unusable       the map is damaged, missing or of another version: dropped when it can be
 *                         fetched again, else kept under another name.
 *
 * Whether it can be fetched again its owner says; where that cannot be known, it cannot. The owner
 * is told of what could not be repaired in the next planning pass, because anything may happen
 * inside that.
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

/* It is proven that the cached bytes cannot be used. */
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
    /* The names may be another's by now; and a map that is being renamed is about to be another
     * one. */
    if (cache->is_detached || item->is_syncing)
        return cache_error(cache->load_error);
    int r = cache_load(cache, item->size, item->etag);
    if (r == -EBADMSG)
        r = item_discard(item);
    if (cache->damaged.count > 0)
        item_notify_later(item);
    if (r == 0)
        evict_size_set(item);
    /* Each run of bytes has cost at least one request, whoever made it. */
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

/* A whole copy of a version that is not at the server any more is the last one, and so may be a
 * part when the server is about to give no more. */
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
    item_report_progress(item); /* it is not complete any more */
    media_item_unref(item);
}
