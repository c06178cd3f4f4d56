/*
 * What: the inside of the store: the connection, its cached statements, and how they are bound.
 * Lifetime: statements are prepared at first use; store_close() finalises them.
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
    SQL_NAME_GIVE_UP,
    SQL_FILE_NAME_GIVE_UP,
    SQL_ID_NEXT_RAISE,
    SQL_ATTEMPT_INSERT,
    SQL_EXCHANGE_INSERT,
    SQL_ATTEMPT_UPDATE,
    SQL_ATTEMPT_GET,
    SQL_ATTEMPT_JOB,
    SQL_ATTEMPT_UID,
    SQL_ATTEMPT_NUMBER,
    SQL_EXCHANGE_COPY,
    SQL_PROMPT_COPY,
    SQL_ATTEMPT_MOVE,
    SQL_TAKE_EACH,
    SQL_PROMPT_KEEP,
    SQL_PROMPT_DEFAULT,
    SQL_READERS_KEEP,
    SQL_REMOVED_EACH,
    SQL_SPENT,
    SQL_HELD,
    SQL_WAITING,
    SQL_INPUT_SAVE,
    SQL_INPUTS_GET,
    SQL_INPUT_EACH,
    SQL_SENT_SAVE,
    SQL_SENT_FORGET,
    SQL_INPUT_SEEN,
    SQL_KEPT_EACH,
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
    SQL_PROMPT_GET,
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

enum { STORE_SCHEMA_VERSION = 10 };

struct store {
    sqlite3 *db;
    sqlite3 *backup_db;     /* see backup.c; NULL: none is being made */
    sqlite3_backup *backup; /* the same */
    sqlite3_stmt *statements[SQL_COUNT];
    struct sqlite3_session *session; /* see changes.c; NULL: nothing is recorded */
    char *directory;
    int directory_fd; /* lent */
    int lock_fd;
    int reserve_fd;        /* see reserve.c; -1: none */
    int64_t reserve_bytes; /* allocated bytes of the reserve */
    int64_t id_next;
    int64_t id_end;         /* ids below it are reserved on disk */
    int synchronous;        /* value of the PRAGMA; -1: unknown after a failed change */
    bool is_in_transaction; /* a caller's, since store_begin() */
    /* A sync has failed, or may have: the disk may lack parts of the log that reads still show. */
    bool wal_maybe_unsynced;
    int log_pages_max; /* when the log has this many pages it is copied to the database */
};

/* Turns SQLite's result into ours. 0 for SQLITE_OK, SQLITE_ROW and SQLITE_DONE. */
int store_result(struct store *store, int rc) NODISCARD;

/* Lends a reset statement without bindings. NULL on failure; store_result() of
 * errcode tells why. */
sqlite3_stmt *store_statement(struct store *store, enum statement which);

/* Resets a statement at the end of a scope, so that no read stays open. Accepts NULL. */
static inline void store_statement_end(sqlite3_stmt **statement)
{
    (void)sqlite3_reset(*statement);
}
#define CLEANUP_RESET CLEANUP(store_statement_end)

/* A value for a parameter. Texts (NULL is NULL) and blobs are lent until the statement has run. */
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

/* store_statement() with values for its first parameters:
 * store_query(store, SQL_X, VALUES(AS_INTEGER(id))). */
sqlite3_stmt *store_query(struct store *store, enum statement which,
                          const struct store_value *values, size_t count);

/* Reads the integer in the first column of the only row. Returns 1, 0 when there is no row (out is
 * unchanged), or an error. */
int store_integer_get(struct store *store, sqlite3_stmt *statement, int64_t *out) NODISCARD;

/* Runs a statement without result rows, and resets it. Accepts NULL (a failed store_query). */
int store_run(struct store *store, sqlite3_stmt *statement) NODISCARD;

/* Steps to the next row. Returns 1, 0 at the end, or an error. */
int store_step(struct store *store, sqlite3_stmt *statement) NODISCARD;

/* Runs SQL that is not worth caching. */
int store_exec(struct store *store, const char *sql) NODISCARD;
/* Reads the number that a PRAGMA returns. */
int store_pragma_get(struct store *store, const char *sql, int64_t *out) NODISCARD;

/* reserve.c: opens the reserve and allocates as much as fits; does so again after a use. */
void store_reserve_open(struct store *store);
void store_reserve_fill(struct store *store);
/* Frees the reserve and returns how many bytes that is. */
int64_t store_reserve_cut(struct store *store);

/* transaction.c: from now on a log that grows is copied into the database, and a log whose sync
 * failed is rewritten before the next promise. */
void store_log_watch(struct store *store);
int store_wal_rewrite(struct store *store) NODISCARD;
/* Copies the log into the database, then truncates the log. Outside transactions only. */
void store_log_empty(struct store *store);

/* Returns an owned copy of a column, NULL for NULL. On failure sets *r: -ENOMEM, or
 * -ERR_STORE_CORRUPT for a text with a NUL in it, which would be cut there. */
char *store_column_text(sqlite3_stmt *statement, int index, int *r);

static inline bool store_is_within(int64_t value, int64_t least, int64_t most)
{
    return value >= least && value <= most;
}

#endif
