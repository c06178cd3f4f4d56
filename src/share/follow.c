/*
 * A follower: fetches the entries after the last one that it has applied, whenever the database tells of
 * one, and every few seconds without being told. A replica that is new, or that the log does not continue,
 * is made of the rows as they are now: table by table, in pages, within one transaction of the database that
 * sees one moment. Until that is complete the replica has no place in the log, so that it begins anew
 * after an interruption.
 */
#include "share_private.h"

#include "seedancefs/base/clock.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum {
    ENTRIES_AT_ONCE = 200,
    PAGE_ROWS = 2000,
    PAGE_BYTES = 4 * 1024 * 1024,
    PAGE_BYTES_MAX = 600 * 1024 * 1024
};

/* In the order in which rows refer to each other. */
static const char *const kinds[] = {"job",         "attempt", "exchange", "file",  "input", "sent",
                                    "take_prompt", "history", "ledger",   "event", "bytes"};

static void on_timer(void *context)
{
    follow_look(context);
}

static void look_later(struct share *share, int64_t delay_ms)
{
    timer_set(loop_timers(share->settings.loop), &share->timer, delay_ms, on_timer, share);
}

static int job_note(struct share *share, int64_t job_id)
{
    const struct ids *jobs = &share->jobs;
    if (job_id == 0 || (jobs->count > 0 && jobs->ids[jobs->count - 1] == job_id))
        return 0;
    return ids_add(&share->jobs, job_id);
}

static void jobs_tell(struct share *share)
{
    const struct share_hooks *hooks = &share->settings.hooks;
    ids_sort(&share->jobs);
    if (share->jobs.count > 0 && hooks->on_jobs)
        hooks->on_jobs(hooks->context, share->jobs.ids, share->jobs.count);
    share->jobs.count = 0;
}

/* A file has bytes as long as it has a row: none yet, when it was made. */
static int file_row_apply(struct share *share, const struct store_row *row)
{
    int files_fd = share->settings.files_fd;
    return row->is_gone ? bytes_remove(files_fd, row->id) : bytes_make(files_fd, row->id);
}

static int on_row_told(void *context, const struct store_row *row)
{
    struct share *share = context;
    int r = job_note(share, row->job_id);
    return r == 0 && !row->is_before && strcmp(row->kind, "file") == 0 ? file_row_apply(share, row)
                                                                       : r;
}

static int bytes_row_apply(struct share *share, const char *data, size_t len)
{
    int64_t file_id;
    int64_t job_id = 0;
    int r = bytes_apply(share->settings.files_fd, &share->collecting, data, len, &file_id);
    if (r == -ESTALE) { /* some parts are of another version, or came while this host was away */
        share->missing_file = share->state == SHARE_FOLLOWS ? file_id : 0;
        return 0;
    }
    if (r == -ERR_STORE_CORRUPT) { /* nothing else must wait for it */
        log_error("share.bytes", "why=\"a part of a file cannot be read, and is left out\"");
        return 0;
    }
    if (r < 0 || file_id == 0)
        return r;
    r = store_file_job_get(share->settings.store, file_id, &job_id);
    return r == -ENOENT ? 0 : r < 0 ? r : job_note(share, job_id);
}

static void apply_failed(struct share *share, int r)
{
    log_error("share.apply", "seq=%lld error=%s", (long long)share->row.seq, err_name(r));
    (void)snprintf(share->why, sizeof(share->why),
                   "what came from the database cannot be applied: %s.", err_sentence(r));
}

/* seq, tag, kind of the first row, the data of a row of bytes, the entry */
static int on_entry(void *context, const struct link_row *row)
{
    struct share *share = context;
    struct store_share next = share->row;
    next.seq = link_number(row, 0);
    (void)snprintf(next.tag, sizeof(next.tag), "%s", link_text(row, 1));
    if (next.seq == share->row.seq && strcmp(next.tag, share->row.tag) == 0) {
        share->is_place_seen = true;
        return 0;
    }
    if (next.seq != share->row.seq + 1 || !share->is_place_seen)
        return -ESTALE; /* the log went back, or was trimmed: the greeting tells */
    bool is_bytes = strcmp(link_text(row, 2), "bytes") == 0;
    int r = is_bytes ? bytes_row_apply(share, link_text(row, 3), link_text_len(row, 3)) : 0;
    static const char nothing[] = "{\"rows\":[]}";
    if (r == 0)
        r = is_bytes ? store_replica_apply(share->settings.store, nothing, strlen(nothing), &next,
                                           NULL, NULL)
                     : store_replica_apply(share->settings.store, link_text(row, 4),
                                           link_text_len(row, 4), &next, on_row_told, share);
    if (r < 0) {
        apply_failed(share, r);
        return r;
    }
    share->row = next;
    share->applied++;
    share->page_rows++;
    return share->missing_file ? -EAGAIN : 0; /* it is fetched before what follows */
}

static void copy_begin(struct share *share);
static int query_start(struct share *share, const struct link_query *query);

/* id, data */
static int on_part(void *context, const struct link_row *row)
{
    return bytes_row_apply(context, link_text(row, 1), link_text_len(row, 1));
}

static void on_parts_end(void *context, const struct link_end *end)
{
    struct share *share = context;
    share->is_querying = false;
    share->missing_file = 0; /* if it is not whole now, its last part is still to come */
    jobs_tell(share);
    if (end->result == -ENOTCONN)
        return;
    if (end->result < 0)
        link_reset(share->link, end->result == -EPROTO ? end->message : err_sentence(end->result));
    else
        follow_look(share);
}

/* The file as it is now. */
static void file_fetch(struct share *share)
{
    char id[24];
    (void)snprintf(id, sizeof(id), "%lld", (long long)share->missing_file);
    const char *const parameters[] = {id};
    const struct link_query query = {
        .sql = "SELECT id, data FROM seedance.mirror WHERE kind = 'bytes' AND id BETWEEN "
               "$1::bigint * 4096 AND $1::bigint * 4096 + 4095 ORDER BY id",
        .parameters = parameters,
        .count = 1,
        .on_row = on_part,
        .on_end = on_parts_end,
        .context = share};
    (void)query_start(share, &query);
}

static void on_entries_end(void *context, const struct link_end *end)
{
    struct share *share = context;
    share->is_querying = false;
    jobs_tell(share);
    if (end->result == -ENOTCONN)
        return;
    if (end->result == -ERR_STORE_CORRUPT) {
        copy_begin(share); /* it is no copy any more */
        return;
    }
    if (end->result == -EAGAIN) {
        file_fetch(share);
        return;
    }
    bool is_gone_back = end->result == 0 && !share->is_place_seen;
    if (end->result == -ESTALE || end->result == -EPROTO || is_gone_back) {
        log_error("share.fetch", "state=%s why=\"%s\"", end->state, end->message);
        link_reset(share->link, end->message);
        return;
    }
    share->seen_ms = clock_monotonic_ms(loop_clock(share->settings.loop));
    if (end->result == 0) {
        share->why[0] = '\0';
        link_settle(share->link);
    }
    bool is_more = end->result == 0 && (share->page_rows >= ENTRIES_AT_ONCE || share->is_wanted);
    look_later(share, is_more ? 0 : LOOK_EVERY_MS);
    share->is_wanted = false;
}

static int query_start(struct share *share, const struct link_query *query)
{
    int r = link_query(share->link, query);
    share->is_querying = r == 0;
    if (r < 0 && r != -ENOTCONN)
        log_error("share.query", "error=%s", err_name(r));
    return r;
}

void follow_look(struct share *share)
{
    static const char sql[] =
        "SELECT seq, tag, entry #>> '{rows,0,0}', "
        "CASE WHEN entry #>> '{rows,0,0}' = 'bytes' THEN entry #> '{rows,0,2}' END, "
        "CASE WHEN entry #>> '{rows,0,0}' = 'bytes' THEN NULL ELSE entry END "
        "FROM seedance.change WHERE seq >= $1 ORDER BY seq LIMIT 201";
    char seq[24];
    if (share->is_querying || share->state != SHARE_FOLLOWS) {
        share->is_wanted = true;
        return;
    }
    (void)snprintf(seq, sizeof(seq), "%lld", (long long)share->row.seq);
    const char *const parameters[] = {seq};
    const struct link_query query = {.sql = sql,
                                     .parameters = parameters,
                                     .count = 1,
                                     .on_row = on_entry,
                                     .on_end = on_entries_end,
                                     .context = share};
    share->page_rows = 0;
    share->is_place_seen = share->row.seq == 0;
    share->is_wanted = false;
    (void)query_start(share, &query);
}

static void listening(void *context, const struct link_end *end)
{
    struct share *share = context;
    const struct share_hooks *hooks = &share->settings.hooks;
    share->is_querying = false;
    if (end->result == -ENOTCONN)
        return;
    if (end->result < 0) {
        link_reset(share->link, end->message);
        return;
    }
    share->state = SHARE_FOLLOWS;
    follow_look(share);
    if (!share->is_ready && hooks->on_ready) {
        share->is_ready = true;
        hooks->on_ready(hooks->context);
    }
}

/* Before the first look, so that nothing is missed in between. */
static void listen_begin(struct share *share)
{
    const struct link_query query = {
        .sql = "LISTEN seedance", .on_end = listening, .context = share};
    (void)query_start(share, &query);
}

/* The copy: BEGIN, the place, pages, COMMIT. What fails begins anew with the next connection. */
static bool copy_is_broken(struct share *share, const struct link_end *end)
{
    share->is_querying = false;
    if (end->result == -ENOTCONN)
        return true;
    if (end->result < 0) {
        log_error("share.copy", "state=%s why=\"%s\" error=%s", end->state, end->message,
                  err_name(end->result));
        link_reset(share->link, end->message);
    }
    return end->result < 0;
}

static void copy_committed(void *context, const struct link_end *end)
{
    struct share *share = context;
    const struct share_hooks *hooks = &share->settings.hooks;
    if (copy_is_broken(share, end))
        return;
    struct store_share row = share->row;
    row.seq = share->copy_seq;
    memcpy(row.tag, share->copy_tag, sizeof(row.tag));
    static const char nothing[] = "{\"rows\":[]}";
    int r = store_replica_apply(share->settings.store, nothing, strlen(nothing), &row, NULL, NULL);
    if (r < 0) {
        apply_failed(share, r);
        link_reset(share->link, share->why);
        return;
    }
    share->row = row;
    share->jobs.count = 0;
    link_settle(share->link);
    log_info("share.copied", "seq=%lld", (long long)row.seq);
    if (hooks->on_all)
        hooks->on_all(hooks->context);
    listen_begin(share);
}

static void page_fetch(struct share *share);

static void page_begin(struct share *share)
{
    buf_fini(&share->page);
    share->page = (struct buf){.limit = PAGE_BYTES_MAX};
    share->is_page_empty = true;
    (void)buf_add_text(&share->page, "{\"rows\":[");
}

static int page_apply(struct share *share)
{
    (void)buf_add_text(&share->page, "]}");
    int r = share->page.error;
    if (r == 0 && !share->is_page_empty)
        r = store_replica_apply(share->settings.store, buf_text(&share->page), share->page.len,
                                NULL, on_row_told, share);
    share->jobs.count = 0; /* all are told of at the end */
    page_begin(share);
    return r;
}

static void page_end(void *context, const struct link_end *end)
{
    struct share *share = context;
    if (copy_is_broken(share, end))
        return;
    int r = page_apply(share);
    if (r < 0) {
        apply_failed(share, r);
        link_reset(share->link, share->why);
        return;
    }
    if (share->page_rows < PAGE_ROWS) {
        share->table++;
        share->after = -1;
    }
    page_fetch(share);
}

/* id, data */
static int page_row(void *context, const struct link_row *row)
{
    struct share *share = context;
    const char *kind = kinds[share->table];
    share->after = link_number(row, 0);
    share->page_rows++;
    if (strcmp(kind, "bytes") == 0)
        return bytes_row_apply(share, link_text(row, 1), link_text_len(row, 1));
    (void)buf_addf(&share->page, "%s[\"%s\",%lld,", share->is_page_empty ? "" : ",", kind,
                   (long long)share->after);
    (void)buf_add(&share->page, link_text(row, 1), link_text_len(row, 1));
    int r = buf_add_char(&share->page, ']');
    share->is_page_empty = false;
    return r == 0 && share->page.len >= PAGE_BYTES ? page_apply(share) : r;
}

static void page_fetch(struct share *share)
{
    static const char sql[] = "SELECT id, data FROM seedance.mirror WHERE kind = $1 AND id > $2 "
                              "ORDER BY id LIMIT 2000";
    char after[24];
    if (share->table == (int)ARRAY_COUNT(kinds)) {
        const struct link_query commit = {
            .sql = "COMMIT", .on_end = copy_committed, .context = share};
        (void)query_start(share, &commit);
        return;
    }
    (void)snprintf(after, sizeof(after), "%lld", (long long)share->after);
    const char *const parameters[] = {kinds[share->table], after};
    const struct link_query query = {.sql = sql,
                                     .parameters = parameters,
                                     .count = 2,
                                     .on_row = page_row,
                                     .on_end = page_end,
                                     .context = share};
    page_begin(share);
    share->page_rows = 0;
    (void)query_start(share, &query);
}

static int copy_place(void *context, const struct link_row *row)
{
    struct share *share = context;
    share->copy_seq = link_number(row, 0);
    (void)snprintf(share->copy_tag, sizeof(share->copy_tag), "%s", link_text(row, 1));
    return 0;
}

static void copy_placed(void *context, const struct link_end *end)
{
    struct share *share = context;
    if (copy_is_broken(share, end))
        return;
    /* Proof: all that is thrown away is a copy of what the database has, another one of which is on
     * its way. */
    struct store_share row = share->row;
    row.seq = 0;
    row.tag[0] = '\0';
    int r = store_replica_clear(share->settings.store, &row);
    if (r < 0) {
        apply_failed(share, r);
        link_reset(share->link, share->why);
        return;
    }
    share->row = row;
    share->table = 0;
    share->after = -1;
    page_fetch(share);
}

static void copy_begun(void *context, const struct link_end *end)
{
    struct share *share = context;
    if (copy_is_broken(share, end))
        return;
    const struct link_query query = {
        .sql = "SELECT seq, tag FROM seedance.change ORDER BY seq DESC LIMIT 1",
        .on_row = copy_place,
        .on_end = copy_placed,
        .context = share};
    share->copy_seq = 0;
    share->copy_tag[0] = '\0';
    (void)query_start(share, &query);
}

static void copy_begin(struct share *share)
{
    const struct link_query query = {.sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                                     .on_end = copy_begun,
                                     .context = share};
    log_info("share.copying", "seq=%lld", (long long)share->log_seq);
    share->state = SHARE_COPYING;
    (void)query_start(share, &query);
}

void follow_begin(struct share *share)
{
    bool is_continued = strcmp(share->log_place, "same") == 0;
    share->is_querying = share->is_wanted = false;
    share->missing_file = 0;
    if (is_continued && (share->row.seq > 0 || share->log_seq == 0))
        listen_begin(share);
    else
        copy_begin(share);
}

void follow_end(struct share *share)
{
    timer_cancel(loop_timers(share->settings.loop), &share->timer);
    share->is_querying = share->is_wanted = false;
    share->jobs.count = 0;
    buf_fini(&share->page);
    share->page = (struct buf){.limit = PAGE_BYTES_MAX};
}
