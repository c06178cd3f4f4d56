/*
 * The connection: lock, schema, statements, ids. transaction.c has the transactions; rows.c and
 * attempts.c have the rows.
 *
 * The lock is a separate file, locked by flock(2). The lock goes with the process, however that
 * dies. It is taken before SQLite opens the database.
 */
#include "store_private.h"

#include "seedancefs/base/err.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STORE_ID_BATCH = 1024 };

/* The file `events`, one row per line. A line that has been read never moves. Lines about the time
 * before this table existed say less, but none is missing. */
#define STORE_EVENTS_SCHEMA                                                                        \
    "CREATE TABLE event (end_bytes INTEGER PRIMARY KEY, line TEXT NOT NULL) STRICT;"               \
    "INSERT INTO event SELECT sum(length(CAST(line AS BLOB))) OVER (ORDER BY id), line FROM ("     \
    "  SELECT id, '{\"schema\":1,\"time\":\"' || strftime('%Y-%m-%dT%H:%M:%S', time_ms / 1000, "   \
    "'unixepoch') ||"                                                                              \
    "    printf('.%03dZ', time_ms % 1000) || '\",\"id\":' || job_id || ',\"job\":\"' ||"           \
    "    replace(replace(name, '\\', '\\\\'), '\"', '\\\"') || '\",\"state\":' ||"                 \
    "    CASE text WHEN 'created' THEN '\"draft\",\"previous\":null' ELSE '\"' ||"                 \
    "      substr(after, 1, instr(after || ':', ':') - 1) || '\",\"previous\":\"' ||"              \
    "      substr(text, 1, instr(text, ' -> ') - 1) || '\"' END ||"                                \
    "    ',\"attempt\":null,\"task_id\":null,\"reason\":null}' || char(10) AS line FROM ("         \
    "    SELECT history.id, time_ms, job_id, text, ifnull(name, ifnull(removed_name, '')) AS "     \
    "name,"                                                                                        \
    "      substr(text, instr(text, ' -> ') + 4) AS after"                                         \
    "      FROM history JOIN job ON job.id = job_id"                                               \
    "      WHERE text = 'created' OR (instr(text, ' -> ') > 0 AND"                                 \
    "        instr(substr(text, 1, instr(text, ' -> ') - 1), ' ') = 0)));"

/* The kind (class) and amount (usd_micros) of an attempt's money: free ('released'), spent
 * ('settled'), promised ('reserved'), or perhaps spent ('at_risk'). A task is charged once, however
 * many attempts name it: to the attempt that knows its cost, or else to the one with the highest
 * estimate; if several, to the latest, which took over both when it adopted the task. A refused
 * attempt has an end, but neither a task nor a cost. */
#define STORE_MONEY_SCHEMA                                                                         \
    "DROP VIEW IF EXISTS attempt_money;"                                                           \
    "CREATE VIEW attempt_money AS SELECT *, CASE class WHEN 'settled' THEN actual_usd_micros "     \
    "  WHEN 'released' THEN 0 ELSE estimated_usd_micros END AS usd_micros FROM ("                  \
    "  SELECT attempt.*, CASE WHEN submitted_ms = 0 OR EXISTS ("                                   \
    "      SELECT 1 FROM attempt AS other WHERE other.task_id = attempt.task_id AND "              \
    "      (other.actual_usd_micros, other.estimated_usd_micros, other.id) > "                     \
    "      (attempt.actual_usd_micros, attempt.estimated_usd_micros, attempt.id)) "                \
    "      THEN 'released' "                                                                       \
    "    WHEN actual_usd_micros >= 0 THEN 'settled' "                                              \
    "    WHEN task_id IS NULL AND finished_ms != 0 THEN 'released' "                               \
    "    WHEN finished_ms = 0 AND job.attempt_id = attempt.id AND job.state != 'unknown' "         \
    "      THEN 'reserved' ELSE 'at_risk' END AS class "                                           \
    "    FROM attempt JOIN job ON job.id = attempt.job_id);"

static const char store_schema[] =
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;"
    "CREATE TABLE job (id INTEGER PRIMARY KEY, name TEXT UNIQUE, removed_name TEXT,"
    "  removed_ms INTEGER, state TEXT NOT NULL, problem TEXT, created_ms INTEGER NOT NULL,"
    "  updated_ms INTEGER NOT NULL, attempt_id INTEGER NOT NULL) STRICT;"
    "CREATE TABLE attempt (id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL REFERENCES job(id),"
    "  number INTEGER NOT NULL, model TEXT NOT NULL, resolution TEXT NOT NULL,"
    "  duration_ms INTEGER NOT NULL, input_video_ms INTEGER NOT NULL,"
    "  estimated_usd_micros INTEGER NOT NULL, actual_usd_micros INTEGER NOT NULL,"
    "  intent_ms INTEGER NOT NULL, submitted_ms INTEGER NOT NULL, finished_ms INTEGER NOT NULL,"
    "  task_id TEXT, http_status INTEGER NOT NULL, request_id TEXT, error_code TEXT,"
    "  error_message TEXT, video_url TEXT, cover_url TEXT, url_expires_ms INTEGER NOT NULL,"
    "  output_ms INTEGER NOT NULL, video_bytes INTEGER NOT NULL, video_etag TEXT,"
    "  cover_bytes INTEGER NOT NULL, cover_etag TEXT, UNIQUE (job_id, number)) STRICT;"
    /* A table of its own, so that listing attempts never reads megabytes of inline images. */
    "CREATE TABLE exchange (attempt_id INTEGER PRIMARY KEY REFERENCES attempt(id),"
    "  body BLOB NOT NULL, display BLOB NOT NULL, response BLOB) STRICT;"
    "CREATE TABLE file (id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL REFERENCES job(id),"
    "  name TEXT NOT NULL, mode INTEGER NOT NULL, UNIQUE (job_id, name)) STRICT;"
    "CREATE TABLE history (id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL REFERENCES job(id),"
    "  time_ms INTEGER NOT NULL, text TEXT NOT NULL) STRICT;"
    "CREATE INDEX history_of_job ON history (job_id, id);"
    "INSERT INTO meta VALUES ('id_next', 1), ('syncs', 0);";

/* What each version added. Opening a database runs all migrations that it lacks. */
static const char *const store_migrations[STORE_SCHEMA_VERSION] = {
    store_schema,
    "CREATE INDEX attempt_by_time ON attempt (submitted_ms);"
    "CREATE INDEX attempt_by_task ON attempt (task_id) WHERE task_id IS NOT NULL;",
    "ALTER TABLE attempt ADD COLUMN generation_ms INTEGER NOT NULL DEFAULT -1;"
    "CREATE INDEX attempt_by_kind ON attempt (model, resolution, duration_ms, id)"
    "  WHERE generation_ms >= 0;"
    /* All changes of money, entry by entry. No program ever changes or deletes an entry or the
     * attempt that it names. */
    "CREATE TABLE ledger (id INTEGER PRIMARY KEY, attempt_id INTEGER NOT NULL REFERENCES "
    "attempt(id),"
    "  time_ms INTEGER NOT NULL, kind TEXT NOT NULL, usd_micros INTEGER NOT NULL, task_id TEXT) "
    "STRICT;"
    "CREATE INDEX ledger_of_attempt ON ledger (attempt_id, id);"
    "CREATE TRIGGER ledger_stays_as_it_is BEFORE UPDATE ON ledger"
    "  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
    "CREATE TRIGGER ledger_is_kept BEFORE DELETE ON ledger"
    "  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
    "CREATE TRIGGER attempt_is_kept BEFORE DELETE ON attempt"
    "  BEGIN SELECT RAISE(ABORT, 'an attempt is never deleted'); END;",
    STORE_EVENTS_SCHEMA,
    STORE_MONEY_SCHEMA,
    "ALTER TABLE job ADD COLUMN hold INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX job_held ON job (attempt_id) WHERE state = 'held';",
    /* Each job that has succeeded has one take so far. */
    "ALTER TABLE attempt ADD COLUMN take INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE attempt ADD COLUMN take_hidden INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE attempt ADD COLUMN take_problem TEXT;"
    "ALTER TABLE attempt ADD COLUMN take_readers INTEGER NOT NULL DEFAULT 36;" /* 044 */
    /* A table of its own: changing a row of `exchange` writes its megabytes again. */
    "CREATE TABLE take_prompt (attempt_id INTEGER PRIMARY KEY REFERENCES attempt(id),"
    "  text BLOB NOT NULL) STRICT;"
    "ALTER TABLE job ADD COLUMN picked_id INTEGER NOT NULL DEFAULT 0;"
    "UPDATE attempt SET take = 1 WHERE id IN"
    "  (SELECT attempt_id FROM job WHERE state = 'succeeded');"
    "UPDATE job SET picked_id = attempt_id WHERE state = 'succeeded';"
    "CREATE UNIQUE INDEX take_of_job ON attempt (job_id, take) WHERE take > 0;"
    "CREATE INDEX job_removed ON job (removed_ms) WHERE name IS NULL;",
    /* What a request needs of the mount; see struct store_input. */
    "CREATE TABLE input (attempt_id INTEGER NOT NULL REFERENCES attempt(id),"
    "  number INTEGER NOT NULL, form INTEGER NOT NULL, media INTEGER NOT NULL,"
    "  body_offset INTEGER NOT NULL, job_id INTEGER NOT NULL, take_id INTEGER NOT NULL,"
    "  kept_id INTEGER NOT NULL, length_ms INTEGER NOT NULL, is_seen INTEGER NOT NULL,"
    "  field TEXT NOT NULL, path TEXT NOT NULL, PRIMARY KEY (attempt_id, number)) STRICT,"
    "  WITHOUT ROWID;"
    "CREATE TABLE sent (attempt_id INTEGER PRIMARY KEY REFERENCES attempt(id),"
    "  body BLOB NOT NULL) STRICT;"
    "CREATE INDEX job_waiting ON job (attempt_id) WHERE state = 'waiting';",
    /* What programs read of a problem; NULL and 0: an earlier version wrote the text alone. */
    "ALTER TABLE job ADD COLUMN problem_code TEXT;"
    "ALTER TABLE job ADD COLUMN problem_field TEXT;"
    "ALTER TABLE job ADD COLUMN problem_line INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE job ADD COLUMN problem_column INTEGER NOT NULL DEFAULT 0;"
    /* Until then prompt.md was a file like any other: what there is stays what it was. */
    "ALTER TABLE file ADD COLUMN is_note INTEGER NOT NULL DEFAULT 0;"
    "UPDATE file SET is_note = 1 WHERE name = 'prompt.md';",
    /* Ids are drawn again after a database was put back; these are not. */
    "ALTER TABLE attempt ADD COLUMN uid TEXT;"
    "UPDATE attempt SET uid = lower(hex(randomblob(16)));"
    "ALTER TABLE attempt ADD COLUMN stored_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE attempt ADD COLUMN stored_in TEXT;",
    /* Several hosts: see outbox.c. The rows of every shared table have numbers. */
    "CREATE TABLE share (id INTEGER PRIMARY KEY, role INTEGER NOT NULL, seq INTEGER NOT NULL,"
    "  cluster TEXT NOT NULL, incarnation TEXT NOT NULL, incarnation_next TEXT NOT NULL,"
    "  tag TEXT NOT NULL) STRICT;"
    "INSERT INTO share VALUES (1, 0, 0, '', '', '', '');"
    /* AUTOINCREMENT: no number comes again, so that what is done is never taken for another one. */
    "CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT,"
    "  file_id INTEGER NOT NULL DEFAULT 0, tag TEXT NOT NULL) STRICT;"
    "CREATE INDEX outbox_of_entries ON outbox (number) WHERE entry IS NOT NULL;"
    "ALTER TABLE input RENAME TO input_before;"
    "CREATE TABLE input (id INTEGER PRIMARY KEY, attempt_id INTEGER NOT NULL REFERENCES"
    "  attempt(id), number INTEGER NOT NULL, form INTEGER NOT NULL, media INTEGER NOT NULL,"
    "  body_offset INTEGER NOT NULL, job_id INTEGER NOT NULL, take_id INTEGER NOT NULL,"
    "  kept_id INTEGER NOT NULL, length_ms INTEGER NOT NULL, is_seen INTEGER NOT NULL,"
    "  field TEXT NOT NULL, path TEXT NOT NULL, UNIQUE (attempt_id, number)) STRICT;"
    "INSERT INTO input SELECT NULL, * FROM input_before;"
    "DROP TABLE input_before;",
};

static int store_id_next(struct store *store, int64_t *next)
{
    int r = store_integer_get(store, store_query(store, SQL_ID_NEXT, VALUES_NONE), next);
    if (r <= 0)
        return r < 0 ? r : -ERR_STORE_CORRUPT;
    return store_is_within(*next, 1, STORE_ID_MAX - STORE_ID_BATCH) ? 0 : -ERR_STORE_CORRUPT;
}

/* Ids are reserved in batches, so that taking one costs nothing. A crash wastes the rest
 * of a batch. */
int store_id_take(struct store *store, int64_t *out)
{
    int writable = store_write_check(store);
    if (writable < 0)
        return writable;
    if (!store->is_in_transaction)
        store_rollback(store); /* an earlier transaction whose end failed */
    if (store->id_next == store->id_end) {
        int64_t next;
        int r = store_id_next(store, &next);
        if (r < 0)
            return r;
        /* If the caller's transaction is rolled back, so is this, and nobody has used the ids. */
        r = store_run(store,
                      store_query(store, SQL_META_SET,
                                  VALUES(AS_TEXT("id_next"), AS_INTEGER(next + STORE_ID_BATCH))));
        if (r < 0)
            return r;
        if (!sqlite3_get_autocommit(store->db)) {
            *out = next;
            return 0;
        }
        store->id_next = next;
        store->id_end = next + STORE_ID_BATCH;
    }
    *out = store->id_next++;
    return 0;
}

enum { LOCK_LOOKS = 40, LOCK_LOOK_MS = 50 };

static int store_lock(struct store *store)
{
    store->lock_fd =
        openat(store->directory_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->lock_fd < 0)
        return -errno;
    int r = flock(store->lock_fd, LOCK_EX | LOCK_NB);
    /* A program that was killed a moment ago may still hold the lock, until the kernel or a process
     * that it forked closes the file. */
    for (int i = 0; r < 0 && errno == EWOULDBLOCK && i < LOCK_LOOKS; i++) {
        (void)poll(NULL, 0, LOCK_LOOK_MS);
        r = flock(store->lock_fd, LOCK_EX | LOCK_NB);
    }
    if (r == 0)
        return 0;
    return errno == EWOULDBLOCK ? -ERR_STORE_LOCKED : -errno;
}

/* Checks that the path still leads to the directory that is held. */
static int directory_place_check(const struct store *store)
{
    struct stat held;
    struct stat there;
    if (fstat(store->directory_fd, &held) < 0)
        return -errno;
    if (stat(store->directory, &there) < 0)
        return errno == ENOENT || errno == ENOTDIR ? -ERR_STORE_MOVED : -errno;
    return held.st_dev == there.st_dev && held.st_ino == there.st_ino ? 0 : -ERR_STORE_MOVED;
}

int store_place_check(struct store *store)
{
    int is_moved = 0;
    int r = directory_place_check(store);
    if (r < 0)
        return r;
    int rc = sqlite3_file_control(store->db, NULL, SQLITE_FCNTL_HAS_MOVED, &is_moved);
    if (rc == SQLITE_NOTFOUND)
        return 0; /* a VFS without directories, as in the simulation */
    r = store_result(store, rc);
    return r == 0 && is_moved ? -ERR_STORE_MOVED : r;
}

static int store_migrate(struct store *store)
{
    int64_t version = 0;
    int r = store_pragma_get(store, "PRAGMA user_version", &version);
    if (r < 0)
        return r;
    if (version > STORE_SCHEMA_VERSION)
        return -ERR_STORE_VERSION;
    if (version == STORE_SCHEMA_VERSION)
        return 0;
    r = store_begin(store, STORE_DURABLE);
    if (r < 0)
        return r;
    for (; version < STORE_SCHEMA_VERSION && r == 0; version++)
        r = store_exec(store, store_migrations[version]);
    char set_version[64];
    (void)snprintf(set_version, sizeof(set_version), "PRAGMA user_version = %d",
                   (int)STORE_SCHEMA_VERSION);
    return store_end(store, r == 0 ? store_exec(store, set_version) : r);
}

/* SQLite opens only by path. realpath() resolves links first, because SQLite follows none, anywhere
 * in the path. A path through /proc/self/fd would always lead to the held directory, and SQLite
 * could no longer notice that the database was moved. */
static int store_open_database(struct store *store)
{
    char real[PATH_MAX];
    char path[PATH_MAX + sizeof("/jobs.sqlite")];
    if (!realpath(store->directory, real))
        return errno == ENOENT || errno == ENOTDIR ? -ERR_STORE_MOVED : -errno;
    (void)snprintf(path, sizeof(path), "%s/jobs.sqlite", real);
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    int r = store_result(store, sqlite3_open_v2(path, &store->db, flags, NULL));
    /* The file that SQLite found by path must be the one in the held and locked directory. */
    return r == 0 ? store_place_check(store) : r;
}

static int store_connect(struct store *store)
{
    int r = store_open_database(store);
    if (r == 0)
        r = store_exec(store, "PRAGMA journal_mode=WAL; PRAGMA locking_mode=EXCLUSIVE;"
                              "PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
                              "PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY;"
                              "PRAGMA trusted_schema=OFF; PRAGMA journal_size_limit=4194304;");
    if (store->db)
        store_log_watch(store);
    if (r == 0)
        r = store_migrate(store);
    if (r == 0)
        store_log_empty(store);
    struct store_share share = {.role = STORE_ALONE};
    if (r == 0)
        r = store_share_get(store, &share);
    store->role = share.role;
    if (r == 0 && share.role == STORE_LEADER)
        outbox_begin(store);
    /* Comes last, because the steps before may have freed space. */
    if (r == 0)
        store_reserve_open(store);
    /* Ending a transaction must not need memory for preparing a statement. */
    if (r == 0 && (!store_statement(store, SQL_BEGIN) || !store_statement(store, SQL_COMMIT) ||
                   !store_statement(store, SQL_ROLLBACK)))
        r = store_result(store, sqlite3_errcode(store->db));
    return r;
}

int store_open(int directory_fd, const char *directory, struct store **out)
{
    struct store *store = calloc(1, sizeof(*store));
    if (!store)
        return -ENOMEM;
    store->directory_fd = directory_fd;
    store->directory = strdup(directory);
    store->lock_fd = store->reserve_fd = -1;
    store->synchronous = -1;
    int r = store->directory ? store_lock(store) : -ENOMEM;
    if (r == 0)
        r = store_connect(store);
    if (r < 0) {
        store_close(store);
        return r;
    }
    *out = store;
    return 0;
}

const char *store_library_version(void)
{
    return sqlite3_libversion();
}

struct store *store_close(struct store *store)
{
    if (!store)
        return NULL;
    /* Closing copies the log into the database. A log that may have a hole must not be copied. */
    if (store->db && store_wal_rewrite(store) < 0)
        (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    outbox_end(store);
    shared_statements_end(store);
    for (size_t i = 0; i < SQL_COUNT; i++)
        (void)sqlite3_finalize(store->statements[i]);
    (void)sqlite3_close(store->db);
    if (store->reserve_fd >= 0)
        (void)close(store->reserve_fd);
    if (store->lock_fd >= 0)
        (void)close(store->lock_fd);
    free(store->directory);
    free(store);
    return NULL;
}
