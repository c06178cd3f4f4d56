/*
 * Parked reads. A read waits in item->parked until all of its bytes are present, its deadline comes
 * or its transfer fails. Then it moves to item->ready with its result, and reads_reply() empties
 * that list.
 *
 * There are two lists because fn may do anything: start and cancel reads, or close the item. So no
 * list is walked across a call of fn. reads_reply() takes ready reads from the head until there are
 * none; a cancelled read has left its list; and a call from within fn continues with the same list.
 * Every function here that replies holds a reference to the item meanwhile.
 */
#include "media/item.h"
#include "seedancefs/base/err.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

static int64_t read_end(const struct media_read *read)
{
    return read->offset + (int64_t)read->size;
}

static void read_unlink(struct media_item *item, struct media_read *read)
{
    if (read->queue == READ_PARKED)
        DL_DELETE(item->parked, read);
    else if (read->queue == READ_READY)
        DL_DELETE(item->ready, read);
    read->queue = READ_IDLE;
    timer_cancel(media_timers(item->media), &read->timer);
}

static void read_make_ready(struct media_item *item, struct media_read *read, int result)
{
    read_unlink(item, read);
    read->result = result;
    read->queue = READ_READY;
    DL_APPEND(item->ready, read);
}

/* Calls fn with the bytes, which must be present, or with the error. Then the caller
 * owns the read. */
static void read_finish(struct media_item *item, struct media_read *read, int result)
{
    struct media_bytes bytes;
    void *scratch = NULL;
    read->item = NULL;
    if (result >= 0 && read->size > 0) {
        result =
            cache_error(cache_locate(&item->cache, read->offset, read->size, &bytes, &scratch));
        if (result == 0)
            result = (int)read->size;
    }
    struct media_counts *counts = &item->media->counts;
    counts->served_bytes += result > 0 ? result : 0;
    counts->reads_failed += result < 0;
    read->fn(read->context, result, result > 0 ? &bytes : NULL);
    free(scratch);
}

static void reads_reply(struct media_item *item)
{
    media_item_ref(item);
    while (item->ready) {
        struct media_read *read = item->ready;
        int result = read->result;
        read_unlink(item, read);
        read_finish(item, read, result);
        media_item_unref(item); /* of the read */
    }
    media_item_unref(item);
}

static bool read_meets(const struct media_read *read, int64_t first, int64_t end)
{
    return read->offset < end && read_end(read) > first;
}

bool reads_want(const struct media_item *item, int64_t first, int64_t end)
{
    const struct media_read *read;
    DL_FOREACH (item->parked, read)
        if (read_meets(read, first, end))
            return true;
    return false;
}

/* True when all bytes are present and valid, or when *result says why they cannot be examined. */
static bool read_is_satisfiable(struct media_item *item, const struct media_read *read, int *result)
{
    *result = item_check(item, read->offset, read_end(read));
    return *result < 0 || cache_has(&item->cache, read->offset, read_end(read));
}

void reads_wake(struct media_item *item, int64_t first, int64_t end)
{
    struct media_read *read;
    struct media_read *next;
    int result;
    DL_FOREACH_SAFE (item->parked, read, next)
        if (read_meets(read, first, end) && read_is_satisfiable(item, read, &result))
            read_make_ready(item, read, result);
    if (item->ready)
        reads_reply(item);
}

void reads_fail_late(struct media_item *item, int64_t first, int64_t end, int64_t due_ms,
                     int result)
{
    struct media_read *read;
    struct media_read *next;
    DL_FOREACH_SAFE (item->parked, read, next)
        if (read->due_ms < due_ms && (item->size < 0 || read_meets(read, first, end)))
            read_make_ready(item, read, result);
    if (item->ready)
        reads_reply(item);
}

void reads_fail(struct media_item *item, int64_t first, int64_t end, int result)
{
    reads_fail_late(item, first, end, INT64_MAX, result);
}

/* Plans for all parked reads. A read whose bytes cannot be requested fails. */
void reads_plan(struct media_item *item)
{
    struct media_read *read;
    struct media_read *next;
    DL_FOREACH_SAFE (item->parked, read, next) {
        int r = item_plan_read(item, read);
        if (r < 0)
            read_make_ready(item, read, r);
    }
    if (item->ready)
        reads_reply(item);
}

static void read_clip(const struct media_item *item, struct media_read *read)
{
    int64_t left = read->offset < item->size ? item->size - read->offset : 0;
    if ((uint64_t)left < read->size)
        read->size = (size_t)left;
}

void reads_clip(struct media_item *item)
{
    struct media_read *read;
    struct media_read *next;
    int result;
    DL_FOREACH_SAFE (item->parked, read, next) {
        read_clip(item, read);
        if (read_is_satisfiable(item, read, &result))
            read_make_ready(item, read, result);
    }
    if (item->ready)
        reads_reply(item);
}

static void read_is_late(void *context)
{
    struct media_read *read = context;
    struct media_item *item = read->item;
    /* EIO, as for a stalled response. Programs that read files do not expect ETIMEDOUT. */
    read_make_ready(item, read, -ERR_HTTP_STALLED);
    reads_reply(item);
}

/* Whether the read can be replied to at once; *result is then 0 or its error. */
static bool read_is_decided(struct media_item *item, struct media_read *read, int *result)
{
    *result = item->end_result;
    if (*result == 0 && item->media->is_closing)
        *result = -ENOTCONN;
    if (*result == 0 && read->offset < 0)
        *result = -EINVAL;
    if (*result < 0)
        return true;
    if (item->size < 0)
        return false;
    read_clip(item, read);
    if (item->cache.load_error)
        *result = item_load(item);
    return *result < 0 || read_is_satisfiable(item, read, result);
}

static void item_was_read(struct media_item *item, const struct range_stream *stream)
{
    item->read_ms = media_now_ms(item->media);
    if (item->is_completing || stream->consumed <= ITEM_COMPLETED_FROM_BYTES ||
        item->size > RANGE_CLIP_BYTES_MAX || cache_is_complete(&item->cache))
        return;
    item->is_completing = true;
    item_allow_all(item);
    item_schedule(item);
}

static int read_park(struct media_item *item, struct media_read *read)
{
    struct media *media = item->media;
    int64_t deadline_ms = media->settings.read_deadline_ms;
    timer_set(media_timers(media), &read->timer, deadline_ms, read_is_late, read);
    media_item_ref(item); /* of the read */
    read->due_ms = media_now_ms(media) + deadline_ms;
    read->queue = READ_PARKED;
    DL_APPEND(item->parked, read);
    int r = item_plan_read(item, read);
    if (r < 0) {
        read_unlink(item, read);
        media_item_unref(item);
    }
    return r;
}

void media_read_start(struct media_item *item, struct media_read *read)
{
    int result;
    struct range_stream *stream = NULL;
    media_item_ref(item);
    read->item = item;
    read->queue = READ_IDLE;
    if (read->size > INT_MAX)
        read->size = INT_MAX;
    bool is_decided = read_is_decided(item, read, &result);
    if (result == 0 && item->size >= 0 && read->size > 0)
        stream = range_plan_read(&item->plan, read->offset, read_end(read));
    if (stream)
        item_was_read(item, stream);
    if (!is_decided) {
        result = read_park(item, read);
        is_decided = result < 0;
    }
    if (is_decided)
        read_finish(item, read, result);
    /* From here on the read may be freed. */
    if (result == 0 && stream)
        item_plan_ahead(item, stream);
    media_item_unref(item);
}

void media_read_cancel(struct media_read *read)
{
    struct media_item *item = read->item;
    if (!item || read->queue == READ_IDLE)
        return;
    read_unlink(item, read);
    read->item = NULL;
    media_item_unref(item);
}
