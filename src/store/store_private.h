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
    SQL_JOB_GET,
    SQL_JOB_PROBLEM,
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
    SQL_JOB_TAKES,
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
    SQL_SHARE_GET,
    SQL_SHARE_SET,
    SQL_OUTBOX_ADD,
    SQL_OUTBOX_NEXT,
    SQL_OUTBOX_FILE_NEXT,
    SQL_OUTBOX_FILE_LAST,
    SQL_OUTBOX_DONE,
    SQL_OUTBOX_FILE_DONE,
    SQL_OUTBOX_CLEAR,
    SQL_OUTBOX_FILES,
    SQL_COUNT,
};

enum { STORE_SCHEMA_VERSION = 11 };

/* A table that copies have as well; see shared_table.c. */
struct shared_table {
    const char *name;
    const char *owner;   /* SQL: the job that a row belongs to; NULL: nobody shows it with one */
    const char *give_up; /* SQL: a row is about to get other unique names; NULL: it has none */
    const char *
        changing; /* the only column that ever changes, of rows with megabytes; NULL: several may */
    bool is_append_only;
};
enum { SHARED_TABLE_COUNT = 10 };
enum shared_statement {
    SHARED_ROW_GET,
    SHARED_ROW_DELETE,
    SHARED_ROW_AFTER,
    SHARED_OWNER,
    SHARED_GIVE_UP,
    SHARED_STATEMENT_COUNT
};

/* What the present transaction has changed; see outbox.c. */
struct changed_row {
    int table;
    int64_t id;
    bool is_inserted;
};
struct outbox {
    struct changed_row *rows;
    size_t count;
    size_t room;
    bool is_incomplete; /* there was no memory for one */
    bool has_news;      /* this transaction leaves an entry */
    store_entry_fn *on_entry;
    void *context;
};

struct store {
    sqlite3 *db;
    sqlite3 *backup_db;     /* see backup.c; NULL: none is being made */
    sqlite3_backup *backup; /* the same */
    sqlite3_stmt *statements[SQL_COUNT];
    enum store_role role;
    bool is_undecided; /* it may become a replica: see store_share_await() */
    bool is_applying;  /* a replica may be written to now */
    struct outbox outbox;
    sqlite3_stmt *shared[SHARED_TABLE_COUNT][SHARED_STATEMENT_COUNT];
    sqlite3_stmt *shared_put; /* see replica.c */
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

/* shared_table.c: the tables that copies have, by their number; -1: it is none of them. */
extern const struct shared_table shared_tables[SHARED_TABLE_COUNT];
int shared_table_find(const char *name);
/* As store_statement(), store_query() with one integer. */
sqlite3_stmt *shared_statement(struct store *store, int table, enum shared_statement which);
sqlite3_stmt *shared_query(struct store *store, int table, enum shared_statement which, int64_t id);
void shared_statements_end(struct store *store);
/* share.c: within a transaction. */
int share_row_set(struct store *store, const struct store_share *share) NODISCARD;

/* outbox.c: from now on it is written down what each transaction changes; until outbox_end(). */
void outbox_begin(struct store *store);
void outbox_end(struct store *store);
/* The end of a transaction: writes the entry, within it; tells of it, once it is committed; forgets what
 * was changed, once it is rolled back. */
int outbox_write(struct store *store) NODISCARD;
void outbox_announce(struct store *store);
void outbox_forget(struct store *store);
/* Within a transaction: everything that there is, as entries, in place of those that wait. */
int outbox_fill(struct store *store) NODISCARD;

/* Returns an owned copy of a column, NULL for NULL. On failure sets *r: -ENOMEM, or
 * -ERR_STORE_CORRUPT for a text with a NUL in it, which would be cut there. */
char *store_column_text(sqlite3_stmt *statement, int index, int *r);

static inline bool store_is_within(int64_t value, int64_t least, int64_t most)
{
    return value >= least && value <= most;
}

#endif
