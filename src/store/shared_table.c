/*
 * The tables that copies of the database on other hosts have as well. `meta` is about this database
 * alone, as are `outbox` and `share`.
 */
#include "store_private.h"

#include <stdio.h>
#include <string.h>

enum { SHARED_SQL_SIZE = 256 };

/* In the order in which the rows of one table refer to those of another. */
const struct shared_table shared_tables[SHARED_TABLE_COUNT] = {
    {"job", .owner = "SELECT id FROM job WHERE id = ?1",
     .give_up = "UPDATE job SET name = '/' || id WHERE id = ?1"},
    {"attempt", .owner = "SELECT job_id FROM attempt WHERE id = ?1",
     .give_up = "UPDATE attempt SET number = -id, take = 0 WHERE id = ?1"},
    {"exchange", .owner = "SELECT job_id FROM attempt WHERE id = ?1", .changing = "response"},
    {"file", .owner = "SELECT job_id FROM file WHERE id = ?1",
     .give_up = "UPDATE file SET name = '/' || id WHERE id = ?1"},
    {"input", .owner = "SELECT attempt.job_id FROM input JOIN attempt "
                       "ON attempt.id = attempt_id WHERE input.id = ?1"},
    {"sent", .owner = "SELECT job_id FROM attempt WHERE id = ?1"},
    {"take_prompt", .owner = "SELECT job_id FROM attempt WHERE id = ?1"},
    {"history", .owner = NULL},
    {"ledger", .owner = NULL, .is_append_only = true},
    {"event", .owner = NULL},
};

int shared_table_find(const char *name)
{
    for (int i = 0; i < SHARED_TABLE_COUNT; i++) {
        if (strcmp(shared_tables[i].name, name) == 0)
            return i;
    }
    return -1;
}

static void sql_write(const struct shared_table *table, enum shared_statement which,
                      char sql[static SHARED_SQL_SIZE])
{
    static const char *const forms[] = {
        [SHARED_ROW_GET] = "SELECT * FROM ? WHERE rowid = ?1",
        /* Proof: the leader's entry says that there is no such row any more. */
        [SHARED_ROW_DELETE] = "DELETE FROM ? WHERE rowid = ?1",
        [SHARED_ROW_AFTER] = "SELECT rowid FROM ? WHERE rowid > ?1 ORDER BY rowid LIMIT 1",
    };
    if (which == SHARED_OWNER || which == SHARED_GIVE_UP) {
        (void)snprintf(sql, SHARED_SQL_SIZE, "%s",
                       which == SHARED_OWNER ? table->owner : table->give_up);
        return;
    }
    const char *place = strchr(forms[which], '?');
    (void)snprintf(sql, SHARED_SQL_SIZE, "%.*s%s%s", (int)(place - forms[which]), forms[which],
                   table->name, place + 1);
}

sqlite3_stmt *shared_statement(struct store *store, int table, enum shared_statement which)
{
    sqlite3_stmt **statement = &store->shared[table][which];
    char sql[SHARED_SQL_SIZE];
    if (!*statement) {
        sql_write(&shared_tables[table], which, sql);
        if (sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) !=
            SQLITE_OK)
            return NULL;
    }
    (void)sqlite3_reset(*statement);
    (void)sqlite3_clear_bindings(*statement);
    return *statement;
}

sqlite3_stmt *shared_query(struct store *store, int table, enum shared_statement which, int64_t id)
{
    sqlite3_stmt *statement = shared_statement(store, table, which);
    if (statement)
        (void)sqlite3_bind_int64(statement, 1, id);
    return statement;
}

void shared_statements_end(struct store *store)
{
    for (int table = 0; table < SHARED_TABLE_COUNT; table++) {
        for (int which = 0; which < SHARED_STATEMENT_COUNT; which++)
            (void)sqlite3_finalize(store->shared[table][which]);
    }
    (void)sqlite3_finalize(store->shared_put);
}

enum store_role store_role_get(const struct store *store)
{
    return store->role;
}

int store_write_check(const struct store *store)
{
    bool is_ours = store->role != STORE_REPLICA && !store->is_undecided;
    return is_ours || store->is_applying ? 0 : -EROFS;
}
