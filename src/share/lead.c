/*
 * The leader: pushes what its store has written down, and renews its lease when there is nothing. First come
 * the entries, in their order; the bytes of users' files follow when no entry waits, so that a large file,
 * or one that cannot be read, holds nothing up. A file that is being written waits until it is closed.
 *
 * Each entry has a tag that it keeps. What is in the log after the place that this host knows of must have
 * the tags of what waits here: then an answer was lost, and it is not pushed again. If it has others, this
 * data directory is older than the log, and must not lead.
 */
#include "share_private.h"

#include "seedancefs/base/clock.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    PUSH_ENTRIES_MAX = 100,
    FILE_AGAIN_MS = 60 * 1000,
    PUSH_BYTES = 1024 * 1024,
    PUSH_BYTES_MAX = 600 * 1024 * 1024,
    TAG_DIGITS = STORE_UID_SIZE - 1,
    TAG_FILE_DIGITS = TAG_DIGITS - 4, /* of a part: those of its file, and its number */
};

static const char push_sql[] = "SELECT seedance.push($1, $2, $3, $4)";
static const char last_part[] = "ffff";

static void on_timer(void *context)
{
    lead_push(context);
}

static void push_later(struct share *share, int64_t delay_ms)
{
    timer_set(loop_timers(share->settings.loop), &share->timer, delay_ms, on_timer, share);
}

/* `{"tag":"…",` and the entry without its `{`. */
static int entry_add(struct share *share, const struct store_entry *entry, struct buf *out)
{
    memcpy(share->pushing_tag, entry->tag, sizeof(share->pushing_tag));
    share->pushing.number = entry->number;
    if (share->pushing_count++ > 0)
        (void)buf_add_char(out, ',');
    (void)buf_addf(out, "{\"tag\":\"%s\",", share->pushing_tag);
    return buf_add(out, entry->text + 1, entry->len - 1);
}

static int entries_add(struct share *share, struct buf *out)
{
    struct store_entry entry;
    int r = 0;
    while (r == 0 && share->pushing_count < PUSH_ENTRIES_MAX && out->len < PUSH_BYTES &&
           (r = store_outbox_next(share->settings.store, share->pushing.number, &entry)) > 0) {
        r = entry_add(share, &entry, out);
        free(entry.text);
    }
    return r;
}

static int64_t now_ms(const struct share *share)
{
    return clock_monotonic_ms(loop_clock(share->settings.loop));
}

/* The next part of the file whose bytes are being pushed. */
static int part_add(struct share *share, struct buf *out)
{
    struct reading *reading = &share->reading;
    bool is_last = bytes_reader_is_at_last(reading->reader);
    memcpy(share->pushing_tag, reading->tag, sizeof(share->pushing_tag));
    (void)snprintf(share->pushing_tag + TAG_FILE_DIGITS, 5, "%s", last_part);
    if (!is_last)
        (void)snprintf(share->pushing_tag + TAG_FILE_DIGITS, 5, "%04x", reading->parts++ & 0xfff);
    int r = bytes_part_write(reading->reader, share->pushing_tag, out);
    if (r < 0 || is_last)
        reading->reader = bytes_reader_free(reading->reader);
    if (r < 0) { /* the others go first */
        share->failed_file_id = reading->file_id;
        share->failed_until_ms = now_ms(share) + FILE_AGAIN_MS;
        return r;
    }
    share->pushing_count++;
    if (is_last) {
        share->pushing.file_id = reading->file_id;
        share->pushing.file_number = reading->number;
    }
    return 0;
}

static int file_open(struct share *share, const struct store_entry *entry)
{
    const struct share_hooks *hooks = &share->settings.hooks;
    struct reading *reading = &share->reading;
    *reading = (struct reading){.file_id = entry->file_id};
    memcpy(reading->tag, entry->tag, sizeof(reading->tag));
    bool is_failed =
        entry->file_id == share->failed_file_id && now_ms(share) < share->failed_until_ms;
    if (is_failed || (hooks->is_file_busy && hooks->is_file_busy(hooks->context, entry->file_id)))
        return -EBUSY;
    int r = store_outbox_file_last(share->settings.store, entry->file_id, &reading->number);
    if (r == 0)
        r = bytes_reader_new(share->settings.files_fd, entry->file_id, &reading->reader);
    if (r != -ENOENT)
        return r;
    /* A file without bytes was removed, which is an entry of its own. */
    const struct store_progress progress = {.file_id = entry->file_id,
                                            .file_number = reading->number};
    r = store_outbox_done(share->settings.store, &progress, &share->row);
    return r < 0 ? r : -ENOENT;
}

/* The next file that can be read now. The others are tried again later. */
static int file_find(struct share *share)
{
    struct store_entry entry = {.number = 0};
    int r;
    while ((r = store_outbox_file_next(share->settings.store, entry.number, &entry)) > 0) {
        r = file_open(share, &entry);
        if (r == 0)
            return 0;
        if (r != -ENOENT && r != -EBUSY)
            log_warn("share.file", "file=%lld error=%s", (long long)entry.file_id, err_name(r));
    }
    return r;
}

/* Parts of two versions make none: a file that has changed, or was removed, is begun anew. */
static void reading_check(struct share *share)
{
    const struct share_hooks *hooks = &share->settings.hooks;
    struct reading *reading = &share->reading;
    if (reading->reader &&
        (!bytes_reader_is_current(reading->reader) ||
         (hooks->is_file_busy && hooks->is_file_busy(hooks->context, reading->file_id))))
        reading->reader = bytes_reader_free(reading->reader);
}

static int collect(struct share *share, struct buf *out)
{
    share->pushing = (struct store_progress){.number = 0};
    share->pushing_count = 0;
    reading_check(share);
    bool is_part_due = share->reading.reader && share->was_entry;
    int r = is_part_due ? 0 : entries_add(share, out);
    share->was_entry = share->pushing_count > 0;
    if (r == 0 && share->pushing_count == 0 && !share->reading.reader)
        r = file_find(share);
    if (r == 0 && share->pushing_count == 0 && share->reading.reader)
        r = part_add(share, out);
    /* What is in the log must be here as well after a power cut: see the head of this file. */
    if (r == 0 && share->pushing_count > 0)
        r = store_sync(share->settings.store);
    return r;
}

static int on_pushed(void *context, const struct link_row *row)
{
    struct share *share = context;
    share->log_seq = link_number(row, 0);
    return 0;
}

static int confirmed(struct share *share, const struct store_progress *progress)
{
    struct store_share row = share->row;
    row.seq = share->log_seq;
    memcpy(row.tag, share->pushing_tag, sizeof(row.tag));
    int r = store_outbox_done(share->settings.store, progress, &row);
    if (r == 0)
        share->row = row;
    else
        log_error("share.outbox", "error=%s", err_name(r));
    return r;
}

static void on_push_end(void *context, const struct link_end *end)
{
    struct share *share = context;
    share->is_querying = false;
    if (end->result == -ENOTCONN)
        return; /* share.c begins anew */
    if (end->result < 0) {
        log_error("share.push", "state=%s why=\"%s\"", end->state, end->message);
        /* The database lacks a row of which a part was changed, or does not take an entry as it is. */
        share->is_refill_wanted =
            strcmp(end->state, "SD025") == 0 || strcmp(end->state, "SD024") == 0;
        /* It may not lead any more, or another entry is there: the greeting tells. */
        link_reset(share->link, end->message);
        return;
    }
    share->seen_ms = now_ms(share);
    link_settle(share->link);
    bool has_pushed = share->pushing_count > 0;
    share->pushed += share->pushing_count;
    if (has_pushed && confirmed(share, &share->pushing) < 0) {
        /* It is in the log, and waits here: that is recognised at the next greeting. */
        link_reset(share->link, "this host's disk does not take what was pushed");
        return;
    }
    push_later(share, has_pushed || share->is_wanted ? 0 : PUSH_EVERY_MS);
    share->is_wanted = false;
}

void lead_push(struct share *share)
{
    char epoch[24];
    char seq[24];
    CLEANUP(buf_fini) struct buf entries = {.limit = PUSH_BYTES_MAX};
    if (share->is_querying) {
        share->is_wanted = true;
        return;
    }
    (void)buf_add_char(&entries, '[');
    int r = collect(share, &entries);
    (void)buf_add_char(&entries, ']');
    if (r == 0)
        r = entries.error;
    (void)snprintf(epoch, sizeof(epoch), "%lld", (long long)share->epoch);
    (void)snprintf(seq, sizeof(seq), "%lld", (long long)share->log_seq);
    const char *const parameters[] = {share->incarnation, epoch, seq, buf_text(&entries)};
    const struct link_query query = {.sql = push_sql,
                                     .parameters = parameters,
                                     .count = 4,
                                     .on_row = on_pushed,
                                     .on_end = on_push_end,
                                     .context = share,
                                     .deadline_ms = PUSH_DEADLINE_MS};
    if (r == 0)
        r = link_query(share->link, &query);
    share->is_querying = r == 0;
    if (r < 0 && r != -ENOTCONN) {
        log_error("share.push", "error=%s", err_name(r));
        share->reading.reader = bytes_reader_free(share->reading.reader);
        push_later(share, PUSH_EVERY_MS);
    }
}

void lead_begin(struct share *share)
{
    share->is_querying = share->is_wanted = false;
    push_later(share, 0);
}

void lead_end(struct share *share)
{
    timer_cancel(loop_timers(share->settings.loop), &share->timer);
    share->reading.reader = bytes_reader_free(share->reading.reader);
    share->is_querying = share->is_wanted = false;
}

/* seq, tag: is it the next entry that waits here, or a part of a file that waits? */
static int on_tag(void *context, const struct link_row *row)
{
    struct share *share = context;
    struct store_entry entry;
    const char *tag = link_text(row, 1);
    share->log_seq = link_number(row, 0);
    (void)snprintf(share->pushing_tag, sizeof(share->pushing_tag), "%s", tag);
    int r = store_outbox_next(share->settings.store, share->pushing.number, &entry);
    if (r > 0) {
        bool is_it = strcmp(entry.tag, tag) == 0;
        int64_t number = entry.number;
        free(entry.text);
        if (is_it) {
            share->pushing.number = number;
            return 0;
        }
    }
    entry.number = 0;
    while (r >= 0 &&
           (r = store_outbox_file_next(share->settings.store, entry.number, &entry)) > 0) {
        if (strncmp(entry.tag, tag, TAG_FILE_DIGITS) != 0)
            continue;
        if (strcmp(tag + TAG_FILE_DIGITS, last_part) != 0)
            return 0;
        const struct store_progress progress = {
            .number = share->pushing.number, .file_id = entry.file_id, .file_number = entry.number};
        return confirmed(share, &progress);
    }
    return r < 0 ? r : -ESTALE;
}

static void on_tags_end(void *context, const struct link_end *end)
{
    struct share *share = context;
    share->is_querying = false;
    int r = end->result;
    if (r == 0)
        r = confirmed(share, &share->pushing);
    if (end->result != -ENOTCONN)
        share->on_recognised(share, r);
}

void lead_recognise(struct share *share, void (*fn)(struct share *share, int result))
{
    char seq[24];
    (void)snprintf(seq, sizeof(seq), "%lld", (long long)share->row.seq);
    const char *const parameters[] = {seq};
    const struct link_query query = {
        .sql = "SELECT seq, tag FROM seedance.change WHERE seq > $1 ORDER BY seq",
        .parameters = parameters,
        .count = 1,
        .on_row = on_tag,
        .on_end = on_tags_end,
        .context = share};
    share->on_recognised = fn;
    share->pushing = (struct store_progress){.number = 0};
    memcpy(share->pushing_tag, share->row.tag, sizeof(share->pushing_tag));
    share->is_querying = link_query(share->link, &query) == 0;
}
