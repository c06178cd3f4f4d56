/*
 * What transactions have changed, as bytes that make the same of another database that was the same
 * before: SQLite's session extension (https://www.sqlite.org/sessionintro.html). It keeps the rows that
 * were changed as they were, and compares them with what is there when it is asked. So what was rolled
 * back leaves no trace, and what was changed twice is there once.
 *
 * The table `meta` is left out: its numbers are about this database (how often it was synced, which ids
 * are reserved), or are derived from the others.
 *
 * SQLite trusts such bytes: what is cut off makes it loop for ever. So a checksum stands before them.
 *
 * The extension is not in every build of SQLite. Its functions are weak symbols: without them nothing
 * can be recorded, and everything else works.
 */
#define SQLITE_ENABLE_SESSION
#define SQLITE_ENABLE_PREUPDATE_HOOK
#include "store_private.h"

#include "seedancefs/base/checksum.h"
#include "seedancefs/base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#pragma weak sqlite3session_create
#pragma weak sqlite3session_delete
#pragma weak sqlite3session_attach
#pragma weak sqlite3session_table_filter
#pragma weak sqlite3session_changeset
#pragma weak sqlite3changeset_start
#pragma weak sqlite3changeset_next
#pragma weak sqlite3changeset_op
#pragma weak sqlite3changeset_old
#pragma weak sqlite3changeset_new
#pragma weak sqlite3changeset_finalize
#pragma weak sqlite3changeset_apply

bool store_changes_can_be_recorded(void)
{
    return sqlite3session_create != NULL;
}

static int is_recorded(void *context UNUSED, const char *table)
{
    return strcmp(table, "meta") != 0;
}

void store_changes_end(struct store *store)
{
    if (store->session)
        sqlite3session_delete(store->session);
    store->session = NULL;
}

static int session_new(struct store *store, sqlite3_session **out)
{
    sqlite3_session *session = NULL;
    if (!store_changes_can_be_recorded())
        return -ENOTSUP;
    if (!sqlite3_get_autocommit(store->db))
        return -EBUSY; /* the beginning of a transaction would be missing */
    int rc = sqlite3session_create(store->db, "main", &session);
    if (rc == SQLITE_OK) {
        sqlite3session_table_filter(session, is_recorded, NULL);
        rc = sqlite3session_attach(session, NULL);
    }
    if (rc == SQLITE_OK)
        *out = session;
    else if (session)
        sqlite3session_delete(session);
    return store_result(store, rc);
}

int store_changes_begin(struct store *store)
{
    sqlite3_session *session;
    int r = session_new(store, &session);
    if (r < 0)
        return r;
    store_changes_end(store);
    store->session = session;
    return 0;
}

/* Puts the checksum before them. */
static int changes_seal(const void *bytes, size_t len, struct store_changes *out)
{
    uint64_t sum = checksum_64(bytes, len);
    char *sealed = malloc(sizeof(sum) + len);
    if (!sealed)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof(sum); i++)
        sealed[i] = (char)(sum >> 8 * i);
    memcpy(sealed + sizeof(sum), bytes, len);
    *out = (struct store_changes){.bytes = sealed, .len = sizeof(sum) + len};
    return 0;
}

static bool changes_are_whole(const struct store_changes *changes)
{
    const unsigned char *bytes = changes->bytes;
    uint64_t sum = 0;
    if (changes->len <= sizeof(sum))
        return false;
    for (size_t i = 0; i < sizeof(sum); i++)
        sum |= (uint64_t)bytes[i] << 8 * i;
    return checksum_64(bytes + sizeof(sum), changes->len - sizeof(sum)) == sum;
}

/* Either the changes are handed out and a new record is begun, or neither. */
int store_changes_take(struct store *store, struct store_changes *out)
{
    int len = 0;
    void *bytes = NULL;
    sqlite3_session *next;
    struct store_changes changes = {0};
    if (!store->session)
        return -EINVAL;
    int r = session_new(store, &next);
    if (r < 0)
        return r;
    r = store_result(store, sqlite3session_changeset(store->session, &len, &bytes));
    if (r == 0 && len > 0)
        r = changes_seal(bytes, (size_t)len, &changes);
    sqlite3_free(bytes);
    if (r < 0) {
        sqlite3session_delete(next);
        return r;
    }
    store_changes_end(store);
    store->session = next;
    *out = changes;
    return 0;
}

void store_changes_fini(struct store_changes *changes)
{
    free(changes->bytes);
    *changes = (struct store_changes){0};
}

/* Names are unique at every moment, and two jobs may have changed theirs for each other's. So a job that
 * gets another name first gives its own up. */
static int name_give_up(struct store *store, sqlite3_changeset_iter *change)
{
    sqlite3_value *id = NULL;
    sqlite3_value *before = NULL;
    sqlite3_value *after = NULL;
    if (sqlite3changeset_old(change, 0, &id) != SQLITE_OK ||
        sqlite3changeset_old(change, 1, &before) != SQLITE_OK ||
        sqlite3changeset_new(change, 1, &after) != SQLITE_OK)
        return -ERR_STORE_CORRUPT;
    if (!after) /* it keeps its name */
        return 0;
    sqlite3_stmt *statement = store_statement(store, SQL_NAME_GIVE_UP);
    if (!statement)
        return -ENOMEM;
    if (sqlite3_bind_value(statement, 1, id) != SQLITE_OK ||
        sqlite3_bind_value(statement, 2, before) != SQLITE_OK)
        return -ENOMEM;
    int r = store_run(store, statement);
    return r < 0 ? r : sqlite3_changes(store->db) == 1 ? 0 : -ERR_STORE_CORRUPT;
}

static int names_give_up(struct store *store, void *bytes, int len)
{
    sqlite3_changeset_iter *iter = NULL;
    int rc = sqlite3changeset_start(&iter, len, bytes);
    int r = rc == SQLITE_OK ? 0 : -ERR_STORE_CORRUPT;
    while (r == 0 && (rc = sqlite3changeset_next(iter)) == SQLITE_ROW) {
        const char *table;
        int columns;
        int operation;
        int is_indirect;
        if (sqlite3changeset_op(iter, &table, &columns, &operation, &is_indirect) != SQLITE_OK)
            r = -ERR_STORE_CORRUPT;
        else if (operation == SQLITE_UPDATE && strcmp(table, "job") == 0)
            r = name_give_up(store, iter);
    }
    if (r == 0 && rc != SQLITE_DONE)
        r = -ERR_STORE_CORRUPT;
    if (iter)
        (void)sqlite3changeset_finalize(iter);
    return r;
}

/* A row is not as it was: this database is no copy of the other one. The exception is a job that has
 * just given its name up. */
static int on_conflict(void *context UNUSED, int kind, sqlite3_changeset_iter *change)
{
    const char *table;
    int columns;
    int operation;
    int is_indirect;
    sqlite3_value *name = NULL;
    if (kind != SQLITE_CHANGESET_DATA ||
        sqlite3changeset_op(change, &table, &columns, &operation, &is_indirect) != SQLITE_OK ||
        operation != SQLITE_UPDATE || strcmp(table, "job") != 0 ||
        sqlite3changeset_new(change, 1, &name) != SQLITE_OK || !name)
        return SQLITE_CHANGESET_ABORT;
    return SQLITE_CHANGESET_REPLACE;
}

int store_changes_apply(struct store *store, const struct store_changes *changes)
{
    if (!store_changes_can_be_recorded())
        return -ENOTSUP;
    if (changes->len == 0)
        return 0;
    if (changes->len > INT32_MAX)
        return -EFBIG;
    if (!changes_are_whole(changes))
        return -ERR_STORE_CORRUPT;
    void *bytes = (char *)changes->bytes + sizeof(uint64_t);
    int len = (int)(changes->len - sizeof(uint64_t));
    int r = store_begin(store, STORE_LAZY);
    if (r < 0)
        return r;
    r = names_give_up(store, bytes, len);
    if (r == 0) {
        int rc = sqlite3changeset_apply(store->db, len, bytes, NULL, on_conflict, NULL);
        bool is_other = rc == SQLITE_ABORT || rc == SQLITE_CONSTRAINT;
        r = is_other ? -ERR_STORE_CORRUPT : store_result(store, rc);
    }
    return store_end(store, r);
}
