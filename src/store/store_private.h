/*
 * What: the inside of the store: the connection, its cached statements, and how they are bound.
 * Lifetime: statements are prepared at first use and finalised by store_close().
 */
#ifndef SEEDANCEFS_STORE_PRIVATE_H
#define SEEDANCEFS_STORE_PRIVATE_H

#include "seedancefs/store/store.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/err.h"

#include <sqlite3.h>

enum statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_ID_NEXT,
    SQL_META_SET,
    SQL_NUMBER_GET,
    SQL_NUMBER_SET,
    SQL_JOB_SAVE,
    SQL_JOB_REMOVE,
    SQL_JOB_EACH,
    SQL_JOB_PROBLEM,
    SQL_ATTEMPT_INSERT,
    SQL_EXCHANGE_INSERT,
    SQL_ATTEMPT_UPDATE,
    SQL_ATTEMPT_GET,
    SQL_ATTEMPT_JOB,
    SQL_ATTEMPT_NUMBER,
    SQL_EXCHANGE_COPY,
    SQL_SPENT,
    SQL_LEDGER_ADD,
    SQL_LEDGER_SINCE,
    SQL_GENERATION_EACH,
    SQL_TASK_FIND,
    SQL_SPENDING,
    SQL_SPENDING_REMOVED,
    SQL_SPENDING_BEFORE,
    SQL_RESPONSE_SET,
    SQL_BODY_GET,
    SQL_DISPLAY_GET,
    SQL_RESPONSE_GET,
    SQL_FILE_SAVE,
    SQL_FILE_REMOVE,
    SQL_FILE_OLDEST,
    SQL_FILE_JOB,
    SQL_FILE_EACH,
    SQL_EVENT_ADD,
    SQL_EVENTS_SIZE,
    SQL_EVENTS_EACH,
    SQL_HISTORY_ADD,
    SQL_HISTORY_EACH,
    SQL_COUNT,
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT];
    char *directory;
    int directory_fd; /* lent */
    int lock_fd;
    int reserve_fd;        /* see reserve.c; -1: there is none */
    int64_t reserve_bytes; /* of it that are allocated */
    int64_t id_next;
    int64_t id_end;         /* ids below it are reserved on disk */
    int synchronous;        /* the value of that PRAGMA; -1: not known, setting it failed halfway */
    bool is_in_transaction; /* of a caller, from store_begin() on */
    /* A sync has failed, or may have: the log may lack on disk what reads of it still show. */
    bool wal_maybe_unsynced;
    int log_pages_max; /* from so many pages on the log is copied into the database */
};

/* Turns SQLite's result into ours. 0 for SQLITE_OK, SQLITE_ROW and SQLITE_DONE. */
int store_result(struct store *store, int rc) NODISCARD;

/* Lends a reset statement without bindings; NULL on failure, then store_result() of errcode says.
 * */
sqlite3_stmt *store_statement(struct store *store, enum statement which);

/* The same for the end of a scope: no row stays under a read that is over. Accepts NULL. */
static inline void store_statement_end(sqlite3_stmt **statement)
{
    (void)sqlite3_reset(*statement);
}
#define CLEANUP_RESET CLEANUP(store_statement_end)

/* A value for a parameter; texts (NULL is NULL) and blobs are lent until the statement has run. */
enum store_value_kind { STORE_INTEGER, STORE_TEXT, STORE_BLOB };
struct store_value {
    enum store_value_kind kind;
    int64_t integer;
    const void *bytes;
    size_t len;
};
#define AS_INTEGER(number) ((struct store_value){.kind = STORE_INTEGER, .integer = (number)})
#define AS_TEXT(text) ((struct store_value){.kind = STORE_TEXT, .bytes = (text)})
#define AS_BLOB(start, size)                                                                       \
    ((struct store_value){.kind = STORE_BLOB, .bytes = (start), .len = (size)})
#define VALUES(...)                                                                                \
    (const struct store_value[]){__VA_ARGS__},                                                     \
        sizeof((const struct store_value[]){__VA_ARGS__}) / sizeof(struct store_value)
#define VALUES_NONE NULL, 0

/* store_statement() with values for its first parameters: store_query(store, SQL_X,
 * VALUES(AS_INTEGER(id))). */
sqlite3_stmt *store_query(struct store *store, enum statement which,
                          const struct store_value *values, size_t count);

/* The integer in the first column of the only row: 1, or 0 when there is no row (out untouched), or
 * an error. */
int store_integer_get(struct store *store, sqlite3_stmt *statement, int64_t *out) NODISCARD;

/* Runs a statement that gives no rows, and resets it. Accepts NULL (the failure of the above). */
int store_run(struct store *store, sqlite3_stmt *statement) NODISCARD;

/* Steps to the next row: 1, or 0 at the end, or an error. */
int store_step(struct store *store, sqlite3_stmt *statement) NODISCARD;

/* Runs statements that are not worth keeping. */
int store_exec(struct store *store, const char *sql) NODISCARD;
/* The number that a PRAGMA gives. */
int store_pragma_get(struct store *store, const char *sql, int64_t *out) NODISCARD;

/* reserve.c: opens the reserve and allocates what there is room for; again after it was needed. */
void store_reserve_open(struct store *store);
void store_reserve_fill(struct store *store);
/* Gives it to the disk; the bytes that are free now. */
int64_t store_reserve_cut(struct store *store);

/* transaction.c: from now on a log that grows is copied into the database, and one whose sync
 * failed is written again before anything is promised. */
void store_log_watch(struct store *store);
int store_wal_rewrite(struct store *store) NODISCARD;
/* What is in the log goes into the database, and the log gives its room back. Outside transactions
 * only. */
void store_log_empty(struct store *store);

/* An owned copy of a column, NULL for NULL; sets *r when it cannot be made: -ENOMEM, or
 * -ERR_STORE_CORRUPT for a text with a NUL in it, which would be another one when it is cut
 * there. */
char *store_column_text(sqlite3_stmt *statement, int index, int *r);

static inline bool store_is_within(int64_t value, int64_t least, int64_t most)
{
    return value >= least && value <= most;
}

#endif
