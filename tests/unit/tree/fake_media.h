/*
 * What: a fake of the media layer: the functions of media/media.h that the tree layer calls. A read
 * is replied to from memory at once, or parked until the test decides what happens to it.
 */
#ifndef TESTS_UNIT_TREE_FAKE_MEDIA_H
#define TESTS_UNIT_TREE_FAKE_MEDIA_H

#include "seedancefs/base/table.h"
#include "seedancefs/media/media.h"

#include <stdlib.h>
#include <string.h>

struct media_item {
    struct media *media;
    int64_t size;
};

struct media {
    bool is_parking;
    bool is_durable;
    int probe_result, fetch_result, evict_result;
    unsigned fetched, evicted;
    int64_t cached_bytes;
    unsigned opened, closed, probed, removed, urls_set, urls_failed, cancelled;
    int64_t record_id;
    enum media_kind record_kind;
    char record_url[256];
    int64_t record_expires_ms;
    int64_t record_size;
    char set_url[256];
    int failed_result;
    struct media_read *parked;
};

int media_item_open(struct media *media, const struct media_record *record, struct media_item **out)
{
    struct media_item *item = calloc(1, sizeof(*item));
    if (!item)
        return -ENOMEM;
    media->opened++;
    media->record_id = record->id;
    media->record_kind = record->kind;
    media->record_expires_ms = record->url_expires_ms;
    media->record_size = record->size;
    (void)snprintf(media->record_url, sizeof(media->record_url), "%s",
                   record->url ? record->url : "");
    *item = (struct media_item){media, record->size};
    *out = item;
    return 0;
}

struct media_item *media_item_close(struct media_item *item)
{
    if (item)
        item->media->closed++;
    free(item);
    return NULL;
}

int media_item_probe(struct media_item *item)
{
    item->media->probed++;
    return item->media->probe_result;
}

int media_item_fetch(struct media_item *item)
{
    item->media->fetched++;
    return item->media->fetch_result;
}

int media_item_evict(struct media_item *item)
{
    item->media->evicted++;
    item->media->is_durable = false;
    return item->media->evict_result;
}

bool media_item_is_durable(const struct media_item *item)
{
    return item->media->is_durable;
}

int64_t media_item_size(const struct media_item *item)
{
    return item->size;
}

bool media_item_is_complete(const struct media_item *item)
{
    return item->media->cached_bytes >= item->size;
}

int64_t media_item_cached_bytes(const struct media_item *item)
{
    return item->media->cached_bytes;
}

void media_copy_made(struct media *media UNUSED, int64_t id UNUSED, enum media_kind kind UNUSED)
{
}

void media_counts_get(const struct media *media UNUSED, struct media_counts *out)
{
    *out = (struct media_counts){.fetched_bytes = 1, .served_bytes = 2, .cache_bytes = 3};
}

void media_release(struct media *media UNUSED, int64_t id UNUSED, enum media_kind kind UNUSED)
{
}

void media_remove(struct media *media, int64_t id UNUSED, enum media_kind kind UNUSED)
{
    media->removed++;
}

void media_url_set(struct media *media, int64_t id UNUSED, enum media_kind kind UNUSED,
                   const char *url, int64_t url_expires_ms UNUSED)
{
    media->urls_set++;
    (void)snprintf(media->set_url, sizeof(media->set_url), "%s", url);
}

void media_url_failed(struct media *media, int64_t id UNUSED, enum media_kind kind UNUSED,
                      int result)
{
    media->urls_failed++;
    media->failed_result = result;
}

static inline void media_response(struct media_read *read, int64_t size)
{
    static const char bytes[] = "0123456789";
    int64_t left = read->offset < size ? size - read->offset : 0;
    size_t len = (size_t)left < read->size ? (size_t)left : read->size;
    struct media_bytes response = {.fd = -1, .memory = bytes + read->offset, .len = len};
    read->fn(read->context, (int)len, len ? &response : NULL);
}

void media_read_start(struct media_item *item, struct media_read *read)
{
    if (item->media->is_parking) {
        read->item = item;
        item->media->parked = read;
        return;
    }
    media_response(read, item->size);
}

void media_read_cancel(struct media_read *read)
{
    struct media *media = read->item->media;
    assert_ptr_equal(media->parked, read);
    media->parked = NULL;
    media->cancelled++;
}

#endif
