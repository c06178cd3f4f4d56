/*
 * Keeps the cache directory within its limit. With a limit (--cache-size), or when the disk is
 * full, the least recently read files are evicted. A file is never evicted while it is open, and
 * only if its owner says that it can be fetched again. So the limit is a goal: files that are being
 * read or have to be kept may exceed it.
 *
 * Eviction runs in the planning pass. Asking the owner costs a database query, so after a "no" the
 * owner is not asked about the file again for some minutes: the reason rarely goes so soon.
 */
#include "media/item.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"

#include <inttypes.h>

enum { EVICT_ASK_AGAIN_MS = 10 * 60 * 1000 };

void evict_size_set(struct media_item *item)
{
    const struct cache_key key = {item->key.id, item->key.kind};
    if (!item->is_listed || item->cache.load_error)
        return;
    int r = cache_index_set(&item->media->index, &key, item->cache.present.bytes);
    if (r < 0)
        log_warn("media.index", "id=%" PRId64 " result=%s", key.id, err_name(r));
}

void evict_note_use(struct media_item *item)
{
    const struct cache_key key = {item->key.id, item->key.kind};
    if (!item->is_listed || item->read_ms == 0)
        return;
    cache_index_touch(&item->media->index, &key);
    cache_used_set(item->media->directory_fd, key.id, (enum media_kind)key.kind,
                   media_wall_ms(item->media));
}

void evict_forget(struct media *media, const struct cache_key *key)
{
    (void)!cache_index_set(&media->index, key, 0); /* forgetting needs no memory */
}

static bool is_evictable_now(struct media *media, struct cache_entry *entry)
{
    const struct media_hooks *hooks = &media->settings.hooks;
    enum media_kind kind = (enum media_kind)entry->key.kind;
    if (!hooks->is_evictable || media_now_ms(media) < entry->ask_again_ms ||
        media_find(media, entry->key.id, kind))
        return false;
    if (hooks->is_evictable(hooks->context, entry->key.id, kind))
        return true;
    entry->ask_again_ms = media_now_ms(media) + EVICT_ASK_AGAIN_MS;
    return false;
}

/* Proof: the owner has just said that the file can be fetched again (is_evictable_now). */
static int evict_file(struct media *media, const struct cache_key *key, int64_t bytes)
{
    const struct media_hooks *hooks = &media->settings.hooks;
    const struct cache_names names = cache_names_of(key->id, (int32_t)key->kind);
    enum media_kind kind = (enum media_kind)key->kind;
    int r = cache_files_delete(media->directory_fd, &names);
    log_event(r < 0 ? LOG_WARN : LOG_INFO, "media.evicted",
              "id=%" PRId64 " kind=%" PRId64 " bytes=%" PRId64 " result=%s", key->id, key->kind,
              bytes, r < 0 ? err_name(r) : "ok");
    if (r < 0)
        return r;
    evict_forget(media, key);
    if (hooks->on_progress)
        hooks->on_progress(hooks->context, key->id, kind, 0);
    return 0;
}

/* Evicts files until at most `max_bytes` are left. */
static void evict_until(struct media *media, int64_t max_bytes)
{
    struct cache_entry *entry;
    struct cache_entry *next;
    /* The hooks neither add nor remove files of other videos, so `next` stays valid. */
    DL_FOREACH_SAFE (media->index.oldest, entry, next) {
        const struct cache_key key = entry->key;
        if (media->index.bytes <= max_bytes)
            return;
        if (is_evictable_now(media, entry) && evict_file(media, &key, entry->bytes) < 0)
            return;
    }
}

/* A crash can leave data without a map, and then no byte of it can be trusted. Such a file is
 * evicted when it can be fetched again or its job was removed. Otherwise it is kept until its video
 * is opened. */
static void evict_unmapped(struct media *media)
{
    struct cache_entry *entry;
    struct cache_entry *next;
    DL_FOREACH_SAFE (media->index.oldest, entry, next) {
        const struct cache_key key = entry->key;
        const struct cache_names names = cache_names_of(key.id, (int32_t)key.kind);
        if (entry->is_unmapped && is_evictable_now(media, entry) &&
            cache_name_is_absent(media->directory_fd, names.map) > 0)
            (void)evict_file(media, &key, entry->bytes);
    }
}

void evict_request(struct media *media, int64_t bytes)
{
    int64_t limit = media->settings.cache_bytes_max;
    if (bytes > media->evict_wanted_bytes)
        media->evict_wanted_bytes = bytes;
    if (media->evict_wanted_bytes > 0 || (limit > 0 && media->index.bytes > limit))
        media_schedule(media);
}

void evict_run(struct media *media)
{
    int64_t limit = media->settings.cache_bytes_max;
    int64_t max_bytes = limit > 0 ? limit : INT64_MAX;
    int64_t wanted = media->evict_wanted_bytes;
    if (!media->is_swept) {
        media->is_swept = true;
        evict_unmapped(media);
    }
    media->evict_wanted_bytes = 0;
    if (wanted > 0 && max_bytes > media->index.bytes - wanted)
        max_bytes = wanted < media->index.bytes ? media->index.bytes - wanted : 0;
    evict_until(media, max_bytes);
}
