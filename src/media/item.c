/*
 * One file: what is known about it, and the work of each planning pass.
 *
 * A read whose bytes are missing is planned for at once. Everything else waits for item_pass(),
 * which the collection calls from a timer: the hooks (request_url, on_record), resuming after a URL
 * renewal, planning again when a transfer has ended, and the background. So no hook and no second
 * planning ever runs inside a callback of http.
 *
 * Slots: four transfers per item, 32 in all. When none is free, a transfer that nobody waits for is
 * ended. If there is no such transfer, the item is starved, and planned again when a slot is free.
 */
#include "media/item.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

size_t item_transfer_count(const struct media_item *item)
{
    const struct transfer *transfer;
    size_t count = 0;
    DL_FOREACH (item->media->transfers, transfer)
        count += transfer->item == item;
    return count;
}

bool item_has_transfer(const struct media_item *item, enum transfer_purpose purpose)
{
    const struct transfer *transfer;
    DL_FOREACH (item->media->transfers, transfer)
        if (transfer->item == item && transfer->purpose == purpose)
            return true;
    return false;
}

void item_stop_transfers(struct media_item *item)
{
    struct transfer *transfer;
    struct transfer *next;
    DL_FOREACH_SAFE (item->media->transfers, transfer, next)
        if (transfer->item == item)
            transfer_end(transfer);
}

void item_view_make(const struct media_item *item, struct item_view *view)
{
    const struct cache_file *cache = &item->cache;
    struct transfer *transfer;
    size_t count = 0;
    bool is_clip = item->size <= RANGE_CLIP_BYTES_MAX && !cache->disk_error &&
                   !cache->is_detached && !item->is_whole_only;
    DL_FOREACH (item->media->transfers, transfer) {
        if (transfer->item != item || transfer->position >= transfer->end)
            continue;
        view->flights[count] = (struct range_flight){transfer->position, transfer->end};
        view->transfers[count++] = transfer;
    }
    view->range = (struct range_view){
        .size = item->size,
        .window_max = cache->disk_error ? SPILL_WINDOW_BYTES : RANGE_WINDOW_MAX_BYTES,
        .cached = &cache->present,
        .cached_too = cache->spill ? &cache->spill->present : NULL,
        .flights = view->flights,
        .flight_count = count,
        .is_whole_only = item->is_whole_only,
        .is_clip = is_clip,
        .is_sparing = is_clip && item->requests >= ITEM_REQUESTS_FREE,
        .is_far_spared = item->is_fetching,
    };
}

/* Ends a transfer that nobody waits for, of this item or of any other. */
static bool preempt_transfer(struct media *media, const struct media_item *item)
{
    struct transfer *transfer;
    DL_FOREACH (media->transfers, transfer)
        if ((!item || transfer->item == item) && transfer->item->size >= 0 &&
            !reads_want(transfer->item, transfer->position, transfer->end)) {
            transfer_end(transfer);
            return true;
        }
    return false;
}

static bool item_acquire_slot(struct media_item *item)
{
    struct media *media = item->media;
    bool has_slot = item_transfer_count(item) < ITEM_TRANSFERS_MAX || preempt_transfer(media, item);
    if (has_slot && media->transfer_count >= MEDIA_TRANSFERS_MAX)
        has_slot = preempt_transfer(media, NULL);
    item->is_starved = item->is_starved || !has_slot;
    return has_slot;
}

/* Starts a transfer of [first, end). Another transfer that would pass `first` is too far away; it
 * is cut off there. The exception is the rest of a clip that goes on beyond `end`: another request
 * costs more than fetching some bytes twice. */
int item_start(struct media_item *item, enum transfer_purpose purpose, int64_t first, int64_t end,
               int64_t allowed)
{
    struct transfer *transfer;
    if (item->cache.load_error)
        return cache_error(item->cache.load_error); /* the disk may have the bytes */
    if (media_now_ms(item->media) < item->refused_until_ms && !item_copy_is_usable(item))
        return item->refused_result;
    DL_FOREACH (item->media->transfers, transfer) {
        bool is_over = item->size > RANGE_CLIP_BYTES_MAX || transfer->end <= end;
        if (transfer->item == item && transfer->position < first && first < transfer->end &&
            is_over) {
            transfer->end = first;
            item_schedule(item); /* a read may wait for bytes beyond both */
        }
    }
    return transfer_start(item, purpose, first, end, allowed);
}

void item_allow_all(struct media_item *item)
{
    struct transfer *transfer;
    DL_FOREACH (item->media->transfers, transfer)
        if (transfer->item == item)
            transfer_allow(transfer, INT64_MAX);
}

int media_item_fetch(struct media_item *item)
{
    if (item->end_result)
        return item->end_result;
    if (!item->is_fetching)
        media_item_ref(item);
    item->is_fetching = true;
    item_allow_all(item);
    item_schedule(item);
    return 0;
}

/* Starts a transfer for a reader. After a certain number of requests it runs to the end of the
 * file, because each transfer that starts later would cost another request. */
static int item_start_step(struct media_item *item, const struct range_step *step, bool is_sparing)
{
    if (is_sparing && !item->is_fetching) {
        int r = media_item_fetch(item);
        if (r < 0)
            return r;
        log_info("media.sparing", "id=%" PRId64 " kind=%" PRId64 " requests=%" PRId64, item->key.id,
                 item->key.kind, item->requests);
        item_allow_all(item);
    }
    bool is_all = item->is_fetching || item->is_completing;
    return item_start(item, TRANSFER_READ, step->first, step->end,
                      is_all ? INT64_MAX : step->allowed);
}

int item_start_probe(struct media_item *item)
{
    if (item_has_transfer(item, TRANSFER_PROBE) || !item_acquire_slot(item))
        return 0;
    return item_start(item, TRANSFER_PROBE, 0, RANGE_END_BYTES, INT64_MAX);
}

/* Lets the read wait for a transfer, unless its next attempt comes after the read's deadline. */
static int item_join(struct transfer *transfer, const struct media_read *read, int64_t allowed)
{
    transfer_allow(transfer, allowed);
    bool is_too_late = transfer->state == TRANSFER_WAITING && transfer->timer.due_ms > read->due_ms;
    return is_too_late ? transfer->result : 0;
}

static int item_plan_range(struct media_item *item, const struct media_read *read,
                           struct range_stream *stream)
{
    int64_t position = read->offset;
    int64_t end = read->offset + (int64_t)read->size;
    int r = 0;
    while (r == 0 && position < end) {
        struct item_view view;
        item_view_make(item, &view);
        struct range_step step = range_plan_step(&view.range, stream, position, end);
        if (step.action == RANGE_JOIN)
            r = item_join(view.transfers[step.flight], read, step.allowed);
        else if (step.action == RANGE_START && !item_acquire_slot(item))
            break;
        else if (step.action == RANGE_START)
            r = item_start_step(item, &step, view.range.is_sparing);
        position = step.end;
    }
    return r;
}

int item_plan_read(struct media_item *item, struct media_read *read)
{
    if (item->size < 0)
        return item_start_probe(item);
    return item_plan_range(item, read, range_plan_find(&item->plan, read->offset));
}

void item_plan_ahead(struct media_item *item, struct range_stream *stream)
{
    struct item_view view;
    if (item->end_result || cache_is_complete(&item->cache))
        return;
    item_view_make(item, &view);
    struct range_step step = range_plan_ahead(&view.range, stream);
    if (step.action == RANGE_JOIN)
        transfer_allow(view.transfers[step.flight], step.allowed);
    if (step.action != RANGE_START || item_transfer_count(item) >= ITEM_AHEAD_MAX ||
        item->media->transfer_count >= MEDIA_TRANSFERS_MAX)
        return;
    /* No read waits for these bytes yet; one that needs them will get the error. */
    int r = item_start_step(item, &step, false);
    if (r < 0)
        log_debug("media.ahead", "id=%" PRId64 " result=%s", item->key.id, err_name(r));
}

int item_size_known(struct media_item *item, int64_t size, const char *etag)
{
    char *copy = strdup(etag);
    if (!copy)
        return -ENOMEM;
    free(item->etag);
    item->etag = copy;
    item->size = size;
    (void)item_load(item); /* the reads get the error */
    item->needs_record = true;
    item_schedule(item);
    return 0;
}

void item_unlist(struct media_item *item)
{
    if (!item->is_listed)
        return;
    item->is_listed = false;
    HASH_DELETE(hh, item->media->table, item);
    cache_detach(&item->cache);
}

/* The server has another version of the file, so this item ends. */
void item_changed(struct media_item *item)
{
    media_item_ref(item);
    item->end_result = -ERR_MEDIA_CHANGED;
    item_stop_transfers(item);
    int r = item_discard_version(item);
    log_warn("media.changed", "id=%" PRId64 " kind=%" PRId64 " result=%s kept=%s", item->key.id,
             item->key.kind, r < 0 ? err_name(r) : "ok", item->kept);
    evict_size_set(item);
    item_unlist(item);
    item_report_record(item);
    item_notify_kept(item);
    reads_fail(item, 0, INT64_MAX, item->end_result);
    item_probe_end(item, item->end_result);
    item_fetch_end(item, item->end_result);
    item_ends_end(item, item->end_result);
    media_item_unref(item);
}

/* There is no valid URL. For a moment the owner is not asked for one again. */
void item_url_refused(struct media_item *item, int result)
{
    item->refused_until_ms = media_now_ms(item->media) + ITEM_REFUSED_MS;
    item->refused_result = item_loss(item, result);
}

bool item_copy_is_usable(const struct media_item *item)
{
    return item->has_copy && item->size >= 0 && item->is_listed &&
           media_now_ms(item->media) >= item->copy_refused_until_ms;
}

void item_copy_failed(struct media_item *item, int result)
{
    item->copy_refused_until_ms = media_now_ms(item->media) + ITEM_COPY_REFUSED_MS;
    item->copy_result = result;
    log_warn("media.copy", "id=%" PRId64 " kind=%" PRId64 " result=%s", item->key.id,
             item->key.kind, err_name(result));
}

int item_loss(const struct media_item *item, int result)
{
    bool is_url_lost = result == -ERR_MEDIA_EXPIRED || result == -ERR_MEDIA_GONE;
    return is_url_lost && item->copy_result < 0 ? item->copy_result : result;
}

/* The renewal has succeeded or failed. The next planning pass resumes or fails
 * the held transfers. */
void item_url_received(struct media_item *item, int result)
{
    if (!item->is_url_asked)
        return;
    item->is_url_wanted = false;
    item->is_url_received = true;
    item->url_result = result;
    item_schedule(item);
}
