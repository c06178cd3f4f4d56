/*
 * What this database is among several hosts: it stands alone, leads, or is a replica; where in the log
 * that is; and the entries that wait for the log.
 */
#include "store_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One row, id 1. */
int store_share_get(struct store *store, struct store_share *out)
{
    CLEANUP_RESET sqlite3_stmt *statement = store_statement(store, SQL_SHARE_GET);
    int r = store_step(store, statement);
    if (r <= 0)
        return r < 0 ? r : -ERR_STORE_CORRUPT;
    *out = (struct store_share){.seq = sqlite3_column_int64(statement, 1)};
    int64_t role = sqlite3_column_int64(statement, 0);
    char *const texts[] = {out->cluster, out->incarnation, out->incarnation_next, out->tag};
    for (int i = 0; i < 4; i++) {
        const char *text = (const char *)sqlite3_column_text(statement, i + 2);
        (void)snprintf(texts[i], STORE_UID_SIZE, "%s", text ? text : "");
    }
    if (!store_is_within(role, STORE_ALONE, STORE_REPLICA) || out->seq < 0)
        return -ERR_STORE_CORRUPT;
    out->role = (enum store_role)role;
    return 0;
}

int share_row_set(struct store *store, const struct store_share *share)
{
    return store_run(store,
                     store_query(store, SQL_SHARE_SET,
                                 VALUES(AS_INTEGER(share->role), AS_INTEGER(share->seq),
                                        AS_TEXT(share->cluster), AS_TEXT(share->incarnation),
                                        AS_TEXT(share->incarnation_next), AS_TEXT(share->tag))));
}

static int emptiness_check(struct store *store)
{
    int64_t has_rows = 0;
    int r = store_pragma_get(
        store, "SELECT EXISTS (SELECT 1 FROM job) OR EXISTS (SELECT 1 FROM attempt)", &has_rows);
    return r < 0 ? r : has_rows ? -EEXIST : 0;
}

static int share_set(struct store *store, const struct store_share *share, bool is_fill)
{
    bool is_new = store->role == STORE_ALONE && share->role == STORE_REPLICA;
    int r = is_new ? emptiness_check(store) : 0;
    if (r < 0)
        return r;
    store->is_applying = true;
    r = store_begin(store, STORE_DURABLE);
    if (r == 0) {
        r = share_row_set(store, share);
        if (r == 0 && is_fill)
            r = outbox_fill(store);
        r = store_end(store, r);
    }
    store->is_applying = false;
    if (r < 0)
        return r;
    store->role = share->role;
    store->is_undecided = store->is_undecided && store->role == STORE_ALONE;
    if (store->role == STORE_LEADER)
        outbox_begin(store);
    return 0;
}

int store_share_set(struct store *store, const struct store_share *share)
{
    return share_set(store, share, false);
}

int store_share_begin(struct store *store, const struct store_share *share)
{
    return share_set(store, share, true);
}

void store_share_await(struct store *store)
{
    store->is_undecided = store->role == STORE_ALONE;
}

static int entry_get(struct store *store, enum statement which, int64_t after,
                     struct store_entry *out)
{
    CLEANUP_RESET sqlite3_stmt *statement = store_query(store, which, VALUES(AS_INTEGER(after)));
    int r = store_step(store, statement);
    if (r <= 0)
        return r;
    r = 0;
    *out = (struct store_entry){.number = sqlite3_column_int64(statement, 0),
                                .file_id = sqlite3_column_int64(statement, 2)};
    const char *tag = (const char *)sqlite3_column_text(statement, 3);
    (void)snprintf(out->tag, sizeof(out->tag), "%s", tag ? tag : "");
    out->text = store_column_text(statement, 1, &r);
    if (r == 0 && out->text)
        out->len = strlen(out->text);
    return r < 0 ? r : 1;
}

int store_outbox_next(struct store *store, int64_t after, struct store_entry *out)
{
    return entry_get(store, SQL_OUTBOX_NEXT, after, out);
}

int store_outbox_file_next(struct store *store, int64_t after, struct store_entry *out)
{
    return entry_get(store, SQL_OUTBOX_FILE_NEXT, after, out);
}

int store_outbox_file_last(struct store *store, int64_t file_id, int64_t *number)
{
    int r = store_integer_get(
        store, store_query(store, SQL_OUTBOX_FILE_LAST, VALUES(AS_INTEGER(file_id))), number);
    return r < 0 ? r : 0;
}

int store_outbox_done(struct store *store, const struct store_progress *progress,
                      const struct store_share *share)
{
    int r = store_begin(store, STORE_LAZY);
    if (r < 0)
        return r;
    /* Proof: the database has confirmed that these are committed there. */
    r = store_run(store, store_query(store, SQL_OUTBOX_DONE, VALUES(AS_INTEGER(progress->number))));
    if (r == 0 && progress->file_id)
        r = store_run(store, store_query(store, SQL_OUTBOX_FILE_DONE,
                                         VALUES(AS_INTEGER(progress->file_id),
                                                AS_INTEGER(progress->file_number))));
    if (r == 0)
        r = share_row_set(store, share);
    return store_end(store, r);
}

int store_file_touch(struct store *store, int64_t file_id)
{
    bool is_own = !store->is_in_transaction;
    if (store->role != STORE_LEADER)
        return 0;
    int r = is_own ? store_begin(store, STORE_LAZY) : 0;
    if (r < 0)
        return r;
    r = store_run(store,
                  store_query(store, SQL_OUTBOX_ADD, VALUES(AS_TEXT(NULL), AS_INTEGER(file_id))));
    store->outbox.has_news = true;
    return is_own ? store_end(store, r) : r;
}
