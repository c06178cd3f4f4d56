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
#pragma weak sqlite3changeset_conflict

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
    if (!store->is_in_transaction)
        store_rollback(store); /* an earlier transaction whose end failed */
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

/* What stands before the changes, as eight bytes each: the sum of all that follows, the version of the
 * schema, and the next id. */
enum { SEAL_SUM, SEAL_VERSION, SEAL_ID_NEXT, SEAL_NUMBERS, SEAL_BYTES = SEAL_NUMBERS * 8 };

static void number_write(unsigned char *out, uint64_t number)
{
    for (size_t i = 0; i < 8; i++)
        out[i] = (unsigned char)(number >> 8 * i);
}

static uint64_t seal_number(const struct store_changes *changes, size_t which)
{
    const unsigned char *bytes = (const unsigned char *)changes->bytes + which * 8;
    uint64_t number = 0;
    for (size_t i = 0; i < 8; i++)
        number |= (uint64_t)bytes[i] << 8 * i;
    return number;
}

static int changes_seal(struct store *store, const void *bytes, size_t len,
                        struct store_changes *out)
{
    int64_t id_next;
    int r = store_number_get(store, "id_next", &id_next);
    unsigned char *sealed = r < 0 ? NULL : malloc(SEAL_BYTES + len);
    if (!sealed)
        return r < 0 ? r : -ENOMEM;
    number_write(sealed + SEAL_VERSION * 8, STORE_SCHEMA_VERSION);
    number_write(sealed + SEAL_ID_NEXT * 8, (uint64_t)id_next);
    memcpy(sealed + SEAL_BYTES, bytes, len);
    number_write(sealed, checksum_64(sealed + 8, SEAL_BYTES - 8 + len));
    *out = (struct store_changes){.bytes = sealed, .len = SEAL_BYTES + len};
    return 0;
}

static int changes_check(const struct store_changes *changes)
{
    if (changes->len > INT32_MAX)
        return -EFBIG;
    if (changes->len <= SEAL_BYTES ||
        seal_number(changes, SEAL_SUM) !=
            checksum_64((const char *)changes->bytes + 8, changes->len - 8) ||
        seal_number(changes, SEAL_ID_NEXT) > STORE_ID_MAX)
        return -ERR_STORE_CORRUPT;
    return seal_number(changes, SEAL_VERSION) == STORE_SCHEMA_VERSION ? 0 : -ERR_STORE_VERSION;
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
    if (r < 0) /* without memory it may have missed a change, and will not say so again */
        store_changes_end(store);
    if (r == 0 && len > 0)
        r = changes_seal(store, bytes, (size_t)len, &changes);
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

/* Tables in which names are unique. */
static const struct named_table {
    const char *table;
    enum statement give_up;
    int name; /* its column */
} named_tables[] = {
    {"job", SQL_NAME_GIVE_UP, 1},
    {"file", SQL_FILE_NAME_GIVE_UP, 2},
};

/* That of an update of such a table; NULL: it is another change. */
static const struct named_table *named_table_find(sqlite3_changeset_iter *change)
{
    const char *table;
    int columns;
    int operation;
    int is_indirect;
    if (sqlite3changeset_op(change, &table, &columns, &operation, &is_indirect) != SQLITE_OK ||
        operation != SQLITE_UPDATE)
        return NULL;
    for (size_t i = 0; i < ARRAY_COUNT(named_tables); i++) {
        if (strcmp(table, named_tables[i].table) == 0)
            return &named_tables[i];
    }
    return NULL;
}

static bool is_changed(sqlite3_changeset_iter *change, int column)
{
    sqlite3_value *value = NULL;
    return sqlite3changeset_new(change, column, &value) == SQLITE_OK && value;
}

/* Names are unique at every moment, and two rows may have changed theirs for each other's. So a row that
 * gets another name first gives its own up. (Two files of one name that change places between jobs, within
 * one record, are refused; then a new copy is made.) */
static int name_give_up(struct store *store, const struct named_table *table,
                        sqlite3_changeset_iter *change)
{
    sqlite3_value *id = NULL;
    sqlite3_value *before = NULL;
    if (!is_changed(change, table->name))
        return 0;
    if (sqlite3changeset_old(change, 0, &id) != SQLITE_OK ||
        sqlite3changeset_old(change, table->name, &before) != SQLITE_OK)
        return -ERR_STORE_CORRUPT;
    sqlite3_stmt *statement = store_statement(store, table->give_up);
    if (!statement || sqlite3_bind_value(statement, 1, id) != SQLITE_OK ||
        (before && sqlite3_bind_value(statement, 2, before) != SQLITE_OK))
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
        const struct named_table *table = named_table_find(iter);
        r = table ? name_give_up(store, table, iter) : 0;
    }
    if (r == 0 && rc != SQLITE_DONE)
        r = -ERR_STORE_CORRUPT;
    if (iter)
        (void)sqlite3changeset_finalize(iter);
    return r;
}

static bool is_equal(sqlite3_value *a, sqlite3_value *b)
{
    int len = sqlite3_value_bytes(a);
    const void *a_bytes = sqlite3_value_blob(a);
    const void *b_bytes = sqlite3_value_blob(b);
    return sqlite3_value_type(a) == sqlite3_value_type(b) && len == sqlite3_value_bytes(b) &&
           (len == 0 || (a_bytes && b_bytes && memcmp(a_bytes, b_bytes, (size_t)len) == 0));
}

/* A row is not as it was: this database is no copy of the other one. The exception is one that has just
 * given its name up, and is the same otherwise. */
static int on_conflict(void *context UNUSED, int kind, sqlite3_changeset_iter *change)
{
    const struct named_table *table = named_table_find(change);
    const char *name;
    int columns = 0;
    int operation;
    int is_indirect;
    if (kind != SQLITE_CHANGESET_DATA || !table || !is_changed(change, table->name) ||
        sqlite3changeset_op(change, &name, &columns, &operation, &is_indirect) != SQLITE_OK)
        return SQLITE_CHANGESET_ABORT;
    for (int i = 0; i < columns; i++) {
        sqlite3_value *before = NULL;
        sqlite3_value *here = NULL;
        if (i == table->name)
            continue;
        if (sqlite3changeset_old(change, i, &before) != SQLITE_OK ||
            (before && (sqlite3changeset_conflict(change, i, &here) != SQLITE_OK || !here ||
                        !is_equal(before, here))))
            return SQLITE_CHANGESET_ABORT;
    }
    return SQLITE_CHANGESET_REPLACE;
}

/* Ids that are used there are not used here again, should this copy go on one day. */
static int id_next_raise(struct store *store, const struct store_changes *changes)
{
    store->id_next = store->id_end = 0;
    return store_run(store,
                     store_query(store, SQL_ID_NEXT_RAISE,
                                 VALUES(AS_INTEGER((int64_t)seal_number(changes, SEAL_ID_NEXT)))));
}

int store_changes_apply(struct store *store, const struct store_changes *changes)
{
    if (!store_changes_can_be_recorded())
        return -ENOTSUP;
    if (changes->len == 0)
        return 0;
    int r = changes_check(changes);
    if (r < 0)
        return r;
    void *bytes = (char *)changes->bytes + SEAL_BYTES;
    int len = (int)(changes->len - SEAL_BYTES);
    r = store_begin(store, STORE_LAZY);
    if (r < 0)
        return r;
    r = names_give_up(store, bytes, len);
    if (r == 0) {
        int rc = sqlite3changeset_apply(store->db, len, bytes, NULL, on_conflict, NULL);
        bool is_other = rc == SQLITE_ABORT || rc == SQLITE_CONSTRAINT;
        r = is_other ? -ERR_STORE_CORRUPT : store_result(store, rc);
    }
    if (r == 0)
        r = id_next_raise(store, changes);
    return store_end(store, r);
}
