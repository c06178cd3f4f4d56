/*
 * What the owner of an item is told, and how its requests end: a probe, a fetch, and the fetching
 * of the ends. Each of them holds a reference.
 */
#include "media/item.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"

#include <inttypes.h>

void item_report_record(struct media_item *item)
{
    struct media *media = item->media;
    struct media_record record = {
        .id = item->key.id,
        .kind = (enum media_kind)item->key.kind,
        .url = item->url,
        .url_expires_ms = item->url_expires_ms,
        .size = item->end_result ? -1 : item->size,
        .etag = item->end_result ? NULL : item->etag,
    };
    media->settings.hooks.on_record(media->settings.hooks.context, &record);
}

void item_probe_end(struct media_item *item, int result)
{
    const struct media_hooks *hooks = &item->media->settings.hooks;
    if (!item->is_probing)
        return;
    item->is_probing = false;
    if (result == 0)
        item_report_record(item);
    else if (hooks->on_probe_failed)
        hooks->on_probe_failed(hooks->context, item->key.id, (enum media_kind)item->key.kind,
                               result);
    media_item_unref(item);
}

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

/* A transfer that nobody waited for has failed; it is tried again without haste. */
void item_background_failed(struct media_item *item, int result)
{
    item->is_completing = false;
    item_ends_end(item, result);
    item_fetch_end(item, result);
}
