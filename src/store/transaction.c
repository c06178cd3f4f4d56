/*
 * Transactions, and how they become durable.
 *
 * One connection has two degrees of durability. In WAL mode `synchronous` only decides whether
 * fsync of the log follows a commit. It is set before each transaction: FULL for money; NORMAL for
 * names and drafts, which an ordinary filesystem would not sync either. A FULL commit syncs the
 * whole log, and so every earlier commit.
 *
 * A failed sync is reported only once: the kernel then marks the pages clean, and the next sync
 * succeeds without writing them. The log may then have a hole, and for the next program it would
 * end there, even if later parts were synced. So after a failed sync, and with a log that another
 * program left, the whole log is rewritten with the same bytes in the same places, before anything
 * is promised or copied from it. And a commit whose sync failed was refused, but is complete at the
 * end of the log. So another commit is written over it.
 */
#include "store_private.h"

enum { STORE_LOG_PAGES = 1000 };

/* A commit that writes nothing is not synced, so this writes something. */
static const char store_sync_sql[] = "UPDATE meta SET value = value + 1 WHERE key = 'syncs';";
/* Writes the first page again ("sdfs"). This works even if the last program died before it
 * created the tables. */
static const char store_touch_sql[] = "PRAGMA application_id = 1935959667;";

int store_exec(struct store *store, const char *sql)
{
    errno = 0;
    return store_result(store, sqlite3_exec(store->db, sql, NULL, NULL, NULL));
}

/* Outside transactions only: SQLite ignores the change within one. The change may take effect
 * although the call fails, so after a failure the value is unknown. */
static int store_synchronous_set(struct store *store, enum store_durability durability)
{
    if (store->synchronous == (int)durability)
        return 0;
    store->synchronous = -1;
    int r = store_exec(store, durability == STORE_DURABLE ? "PRAGMA synchronous=FULL"
                                                          : "PRAGMA synchronous=NORMAL");
    if (r == 0)
        store->synchronous = (int)durability;
    return r;
}

void store_rollback(struct store *store)
{
    store->is_in_transaction = false;
    store->outbox.has_news = false;
    outbox_forget(store);
    /* Nothing is lost: a rolled-back change was never reported as done. If this fails, the next
     * transaction or the next id tries again. */
    if (!sqlite3_get_autocommit(store->db))
        (void)!store_run(store, store_statement(store, SQL_ROLLBACK));
}

static int store_log_write_again(sqlite3_file *log, sqlite3_int64 len)
{
    char bytes[16384];
    int rc = SQLITE_OK;
    for (sqlite3_int64 at = 0; rc == SQLITE_OK && at < len; at += (sqlite3_int64)sizeof(bytes)) {
        sqlite3_int64 left = len - at;
        int n = left < (sqlite3_int64)sizeof(bytes) ? (int)left : (int)sizeof(bytes);
        rc = log->pMethods->xRead(log, bytes, n, at);
        /* Overwrites only bytes that were read completely, with the same bytes. A failed or short
         * read ends the loop. */
        if (rc == SQLITE_OK)
            rc = log->pMethods->xWrite(log, bytes, n, at);
    }
    return rc == SQLITE_OK ? log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) : rc;
}

/* See above. Outside transactions only. Nobody else writes the log, because this is
 * the only connection. */
int store_wal_rewrite(struct store *store)
{
    sqlite3_file *log = NULL;
    sqlite3_int64 len = 0;
    if (!store->wal_maybe_unsynced)
        return 0;
    int rc = sqlite3_file_control(store->db, NULL, SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (rc == SQLITE_OK && log && log->pMethods)
        rc = log->pMethods->xFileSize(log, &len);
    if (rc == SQLITE_OK && len > 0)
        rc = store_log_write_again(log, len);
    if (rc != SQLITE_OK)
        return (rc & 0xff) == SQLITE_FULL ? -ENOSPC : -EIO;
    /* This commit replaces the refused one, which the next program would find complete. */
    int r = len > 0 ? store_synchronous_set(store, STORE_DURABLE) : 0;
    if (r == 0 && len > 0)
        r = store_exec(store, store_touch_sql);
    if (r == 0)
        store->wal_maybe_unsynced = false;
    else
        store_rollback(store);
    return r;
}

/* Like SQLite's own hook, which does not report a failed sync. */
static int store_log_grown(void *context, sqlite3 *db, const char *name, int pages)
{
    struct store *store = context;
    if (pages >= store->log_pages_max && !store->wal_maybe_unsynced &&
        sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) != SQLITE_OK)
        store->wal_maybe_unsynced = true;
    return SQLITE_OK;
}

void store_log_watch(struct store *store)
{
    store->log_pages_max = STORE_LOG_PAGES;
    store->wal_maybe_unsynced = true;
    (void)sqlite3_wal_hook(store->db, store_log_grown, store);
}

void store_log_empty(struct store *store)
{
    /* Runs at the start, because a program that is killed again and again before it copies its
     * log would leave an ever longer one. If the disk fails, the log is rewritten before the
     * first promise. Proof: SQLite truncates the log only after all of it was copied to the
     * database and synced there. */
    if (store_wal_rewrite(store) == 0 &&
        sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
            SQLITE_OK)
        store->wal_maybe_unsynced = true;
}

int store_begin(struct store *store, enum store_durability durability)
{
    if (store->is_in_transaction)
        return -EIO; /* a bug in the caller */
    int writable = store_write_check(store);
    if (writable < 0)
        return writable;
    /* If the end of the last transaction failed, it must not include what comes next. */
    store_rollback(store);
    int r = durability == STORE_DURABLE ? store_wal_rewrite(store) : 0;
    if (r == 0)
        r = store_synchronous_set(store, durability);
    if (r == 0)
        r = store_run(store, store_statement(store, SQL_BEGIN));
    store->is_in_transaction = r == 0;
    return r;
}

int store_commit(struct store *store)
{
    int r = outbox_write(store);
    if (r == 0)
        r = store_run(store, store_statement(store, SQL_COMMIT));
    if (r == 0)
        store_reserve_fill(store); /* there may be space again */
    bool is_sync = r < 0 && sqlite3_extended_errcode(store->db) == SQLITE_IOERR_FSYNC;
    if (r < 0)
        store_rollback(store);
    store->is_in_transaction = false;
    if (is_sync) {
        store->wal_maybe_unsynced = true;
        (void)!store_wal_rewrite(store); /* now, or else before the next promise */
    }
    if (r == 0)
        outbox_announce(store);
    return r;
}

int store_end(struct store *store, int r)
{
    if (r == 0)
        return store_commit(store);
    store_rollback(store);
    return r;
}

int store_sync(struct store *store)
{
    int r = store_begin(store, STORE_DURABLE);
    if (r < 0)
        return r;
    return store_end(store, store_exec(store, store_sync_sql));
}
