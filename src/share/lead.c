/*
 * The leader: pushes the entries that its store has written down, in their order, and renews its lease when
 * there are none. An entry leaves the store when the database has confirmed it. So after a lost answer, or
 * after the end of the program, some are pushed again; they say how rows are, so that this changes nothing.
 */
#include "share_private.h"

#include "seedancefs/base/clock.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PUSH_ENTRIES_MAX = 100, PUSH_BYTES = 1024 * 1024, PUSH_BYTES_MAX = 600 * 1024 * 1024 };

static const char push_sql[] = "SELECT seedance.push($1, $2, $3, $4)";

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
    tag_draw(share->pushing_tag);
    share->pushing = entry->number;
    share->pushing_count++;
    if (out->len > 1)
        (void)buf_add_char(out, ',');
    (void)buf_addf(out, "{\"tag\":\"%s\",", share->pushing_tag);
    return buf_add(out, entry->text + 1, entry->len - 1);
}

/* The next part of the file whose bytes are being pushed: 1, or 0 when there is none. */
static int part_add(struct share *share, struct buf *out)
{
    tag_draw(share->pushing_tag);
    int r = bytes_part_write(share->reader, share->pushing_tag, out);
    if (r > 0)
        share->pushing_count++;
    else
        share->reader = bytes_reader_free(share->reader);
    return r;
}

/* A file that has no bytes any more was removed, which is an entry of its own; one that cannot be read is
 * tried again. */
static int file_add(struct share *share, const struct store_entry *entry, struct buf *out)
{
    share->pushing = entry->number;
    int r = bytes_reader_new(share->settings.files_fd, entry->file_id, &share->reader);
    return r == -ENOENT ? 0 : r < 0 ? r : part_add(share, out);
}

/* Entries, up to one with bytes of a file: what is pushed at once is small, unless one is large. */
static int entries_collect(struct share *share, struct buf *out)
{
    struct store_entry entry;
    int64_t last = share->pushing;
    int r = share->reader ? part_add(share, out) : 0;
    while (r == 0 && share->pushing_count < PUSH_ENTRIES_MAX && out->len < PUSH_BYTES) {
        r = store_outbox_next(share->settings.store, last, &entry);
        if (r <= 0)
            break;
        last = entry.number;
        bool is_alone = entry.file_id != 0;
        if (is_alone && share->pushing_count > 0)
            break;
        r = is_alone ? file_add(share, &entry, out) : entry_add(share, &entry, out);
        free(entry.text);
        if (is_alone && r != 0)
            break;
    }
    return r < 0 ? r : 0;
}

static int on_pushed(void *context, const struct link_row *row)
{
    struct share *share = context;
    share->log_seq = link_number(row, 0);
    return 0;
}

/* The file's entry leaves the store with its last part. */
static int confirmed(struct share *share)
{
    struct store_share row = share->row;
    row.seq = share->log_seq;
    if (share->pushing_count > 0)
        memcpy(row.tag, share->pushing_tag, sizeof(row.tag));
    int64_t number = share->reader ? share->pushing - 1 : share->pushing;
    int r = store_outbox_done(share->settings.store, number, &row);
    if (r == 0)
        share->row = row;
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
        share->reader = bytes_reader_free(share->reader);
        /* It may not lead any more, or another entry is there: the greeting tells. */
        link_reset(share->link, end->message);
        return;
    }
    share->seen_ms = clock_monotonic_ms(loop_clock(share->settings.loop));
    bool has_pushed = share->pushing_count > 0 || share->pushing > 0;
    share->pushed += share->pushing_count;
    int r = has_pushed ? confirmed(share) : 0;
    if (r < 0) /* what was pushed is pushed again */
        log_error("share.outbox", "error=%s", err_name(r));
    push_later(share, r < 0 ? PUSH_EVERY_MS : has_pushed || share->is_wanted ? 0 : PUSH_EVERY_MS);
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
    share->pushing_count = 0;
    if (!share->reader)
        share->pushing = 0;
    (void)buf_add_char(&entries, '[');
    int r = entries_collect(share, &entries);
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
                                     .context = share};
    if (r == 0)
        r = link_query(share->link, &query);
    share->is_querying = r == 0;
    if (r < 0 && r != -ENOTCONN) {
        log_error("share.push", "error=%s", err_name(r));
        share->reader = bytes_reader_free(share->reader);
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
    share->reader = bytes_reader_free(share->reader);
    share->is_querying = share->is_wanted = false;
}
