/*
 * The connection: lock, schema, statements, ids. Transactions are in transaction.c, rows in rows.c and
 * attempts.c.
 *
 * The lock is a file of its own, held by flock(2): it dies with the process, whatever kills it, and
 * is taken before SQLite looks at the database.
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

enum { STORE_SCHEMA_VERSION = 4, STORE_ID_BATCH = 1024 };

/* The file `events`, line by line as it was written: what has been read once never moves. The lines of what
 * happened before there was this table say less, but all of it. */
#define STORE_EVENTS_SCHEMA                                                                        \
    "CREATE TABLE event (end_bytes INTEGER PRIMARY KEY, line TEXT NOT NULL) STRICT;"               \
    "INSERT INTO event SELECT sum(length(CAST(line AS BLOB))) OVER (ORDER BY id), line FROM ("     \
    "  SELECT id, '{\"time\":\"' || strftime('%Y-%m-%dT%H:%M:%S', time_ms / 1000, 'unixepoch') ||" \
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
    /* Apart from the attempt, so that listing attempts never reads megabytes of inline images. */
    "CREATE TABLE exchange (attempt_id INTEGER PRIMARY KEY REFERENCES attempt(id),"
    "  body BLOB NOT NULL, display BLOB NOT NULL, response BLOB) STRICT;"
    "CREATE TABLE file (id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL REFERENCES job(id),"
    "  name TEXT NOT NULL, mode INTEGER NOT NULL, UNIQUE (job_id, name)) STRICT;"
    "CREATE TABLE history (id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL REFERENCES job(id),"
    "  time_ms INTEGER NOT NULL, text TEXT NOT NULL) STRICT;"
    "CREATE INDEX history_of_job ON history (job_id, id);"
    "INSERT INTO meta VALUES ('id_next', 1), ('syncs', 0);";

/* What each version added; all that a database lacks is run at its next opening. */
static const char *const store_migrations[STORE_SCHEMA_VERSION] = {
    store_schema,
    "CREATE INDEX attempt_by_time ON attempt (submitted_ms);"
    "CREATE INDEX attempt_by_task ON attempt (task_id) WHERE task_id IS NOT NULL;",
    "ALTER TABLE attempt ADD COLUMN generation_ms INTEGER NOT NULL DEFAULT -1;"
    "CREATE INDEX attempt_by_kind ON attempt (model, resolution, duration_ms, id)"
    "  WHERE generation_ms >= 0;"
    /* What happened to money, entry by entry. Neither it nor what it speaks of is ever changed back or
     * deleted, by whatever program. */
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
};

#define JOB_COLUMNS "id, name, state, problem, created_ms, updated_ms, attempt_id"
#define ATTEMPT_COLUMNS                                                                            \
    "id, job_id, number, model, resolution, duration_ms, input_video_ms, estimated_usd_micros, "   \
    "actual_usd_micros, intent_ms, submitted_ms, finished_ms, task_id, http_status, request_id, "  \
    "error_code, error_message, video_url, cover_url, url_expires_ms, output_ms, video_bytes, "    \
    "video_etag, cover_bytes, cover_etag, generation_ms"

/* A task is charged once, in however many attempts it stands: in the one that knows its cost, or else has the
 * dearest estimate; the latest of those, which took both over when it adopted the task. */
#define IS_TAKEN_OVER                                                                              \
    "EXISTS (SELECT 1 FROM attempt AS other WHERE other.task_id = attempt.task_id AND "            \
    "(other.actual_usd_micros, other.estimated_usd_micros, other.id) > "                           \
    "(attempt.actual_usd_micros, attempt.estimated_usd_micros, attempt.id))"

/* What the money of an attempt is: free, spent, promised, or perhaps spent. */
#define LEDGER_KIND                                                                                \
    "CASE WHEN submitted_ms = 0 OR " IS_TAKEN_OVER " THEN 'released' "                             \
    "WHEN actual_usd_micros >= 0 THEN 'settled' "                                                  \
    "WHEN task_id IS NULL AND finished_ms != 0 THEN 'released' "                                   \
    "WHEN finished_ms = 0 AND job.attempt_id = attempt.id AND job.state != 'unknown' "             \
    "THEN 'reserved' ELSE 'at_risk' END"

static const char *const store_sql[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    /* Above every id there is, should the counter ever be behind: ids are not given out twice. */
    [SQL_ID_NEXT] = "SELECT max(value, 1 + ifnull((SELECT max(id) FROM job), 0), "
                    "1 + ifnull((SELECT max(id) FROM attempt), 0), "
                    "1 + ifnull((SELECT max(id) FROM file), 0)) FROM meta WHERE key = 'id_next'",
    [SQL_NUMBER_GET] = "SELECT value FROM meta WHERE key = ?1",
    [SQL_NUMBER_SET] =
        "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
    [SQL_META_SET] = "UPDATE meta SET value = ?2 WHERE key = ?1",
    [SQL_JOB_SAVE] = "INSERT INTO job (" JOB_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
                     "ON CONFLICT (id) DO UPDATE SET name = ?2, state = ?3, problem = ?4, "
                     "updated_ms = ?6, attempt_id = ?7",
    [SQL_JOB_REMOVE] = "UPDATE job SET removed_name = name, name = NULL, removed_ms = ?2 "
                       "WHERE id = ?1",
    /* Without the problem's text: it is read when somebody looks. */
    [SQL_JOB_EACH] = "SELECT job.id, name, state, problem IS NOT NULL, created_ms, updated_ms, "
                     "attempt_id, ifnull(video_bytes, -1), ifnull(cover_bytes, -1), "
                     "CASE WHEN video_url IS NULL THEN -1 ELSE url_expires_ms END, "
                     "ifnull(http_status, 0) <> 0 OR task_id IS NOT NULL FROM job "
                     "LEFT JOIN attempt ON attempt.id = attempt_id "
                     "WHERE name IS NOT NULL ORDER BY job.id",
    [SQL_JOB_PROBLEM] = "SELECT problem FROM job WHERE id = ?1",
    [SQL_ATTEMPT_INSERT] = "INSERT INTO attempt (" ATTEMPT_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, "
                           "?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, "
                           "?20, ?21, ?22, ?23, ?24, ?25, ?26)",
    [SQL_EXCHANGE_INSERT] = "INSERT INTO exchange (attempt_id, body, display) VALUES (?1, ?2, ?3)",
    [SQL_ATTEMPT_UPDATE] =
        "UPDATE attempt SET job_id = ?2, number = ?3, model = ?4, resolution = ?5, "
        "duration_ms = ?6, input_video_ms = ?7, estimated_usd_micros = ?8, "
        "actual_usd_micros = ?9, intent_ms = ?10, submitted_ms = ?11, finished_ms = ?12, "
        "task_id = ?13, http_status = ?14, request_id = ?15, error_code = ?16, "
        "error_message = ?17, video_url = ?18, cover_url = ?19, url_expires_ms = ?20, "
        "output_ms = ?21, video_bytes = ?22, video_etag = ?23, cover_bytes = ?24, "
        "cover_etag = ?25, generation_ms = ?26 WHERE id = ?1",
    [SQL_ATTEMPT_GET] = "SELECT " ATTEMPT_COLUMNS " FROM attempt WHERE id = ?1",
    [SQL_ATTEMPT_JOB] = "SELECT job_id FROM attempt WHERE id = ?1",
    [SQL_ATTEMPT_NUMBER] = "SELECT ifnull(max(number), 0) + 1 FROM attempt WHERE job_id = ?1",
    [SQL_EXCHANGE_COPY] = "INSERT INTO exchange (attempt_id, body, display) "
                          "SELECT ?1, body, display FROM exchange WHERE attempt_id = ?2",
    /* A refusal has an end and neither a task nor a cost. */
    /* An entry only where something has changed; also of the attempt whose task is taken over. */
    [SQL_LEDGER_ADD] =
        "INSERT INTO ledger (attempt_id, time_ms, kind, usd_micros, task_id) "
        "SELECT now.id, ?2, now.kind, now.usd_micros, now.task_id FROM "
        "(SELECT attempt.id AS id, task_id, " LEDGER_KIND " AS kind, CASE " LEDGER_KIND
        " WHEN 'settled' THEN actual_usd_micros WHEN 'released' THEN 0 "
        "ELSE estimated_usd_micros END AS usd_micros "
        "FROM attempt JOIN job ON job.id = attempt.job_id WHERE attempt.id = ?1 OR "
        "task_id = (SELECT task_id FROM attempt WHERE id = ?1)) AS now "
        "LEFT JOIN ledger AS last ON last.id = "
        "(SELECT max(id) FROM ledger WHERE attempt_id = now.id) "
        "WHERE now.kind != ifnull(last.kind, 'released') OR (last.id IS NOT NULL AND "
        "(now.usd_micros != last.usd_micros OR now.task_id IS NOT last.task_id))",
    [SQL_GENERATION_EACH] =
        "SELECT generation_ms FROM (SELECT id, generation_ms FROM attempt WHERE model = ?1 AND "
        "resolution = ?2 AND duration_ms = ?3 AND generation_ms >= 0 ORDER BY id DESC LIMIT ?4) "
        "ORDER BY id",
    [SQL_SPENT] =
        "SELECT ifnull(sum(CASE WHEN actual_usd_micros >= 0 THEN actual_usd_micros "
        "WHEN task_id IS NULL AND finished_ms != 0 THEN 0 "
        "ELSE estimated_usd_micros END), 0), "
        "ifnull(min(min(estimated_usd_micros, actual_usd_micros + 1)), 0) < 0 FROM attempt "
        "WHERE submitted_ms != 0 AND submitted_ms >= ?1 AND NOT " IS_TAKEN_OVER,
    [SQL_TASK_FIND] = "SELECT id FROM attempt WHERE task_id = ?1 ORDER BY id DESC LIMIT 1",
    [SQL_SPENDING] =
        "SELECT ifnull(job.name, job.removed_name), job.name IS NULL, "
        "CASE WHEN job.attempt_id = attempt.id THEN job.state END, attempt.id, number, task_id, "
        "model, estimated_usd_micros, actual_usd_micros, submitted_ms, finished_ms, " IS_TAKEN_OVER
        " "
        "FROM attempt JOIN job ON job.id = attempt.job_id "
        "WHERE attempt.id > ?1 AND attempt.id <= ?2 ORDER BY attempt.id",
    [SQL_SPENDING_REMOVED] =
        "SELECT removed_name, 1, NULL, attempt.id, number, task_id, model, "
        "estimated_usd_micros, actual_usd_micros, submitted_ms, finished_ms, 0 "
        /* CROSS: from the few removed jobs to their attempts, not the other way round. */
        "FROM job CROSS JOIN attempt ON attempt.job_id = job.id "
        "WHERE name IS NULL AND attempt.id <= ?1 AND task_id IS NOT NULL "
        "ORDER BY attempt.id DESC LIMIT ?2",
    [SQL_SPENDING_BEFORE] = "SELECT id FROM attempt ORDER BY id DESC LIMIT 1 OFFSET ?1",
    [SQL_LEDGER_SINCE] = "SELECT ifnull(min(attempt_id), 0), ifnull(max(id), 0) FROM ledger "
                         "WHERE id > ?1",
    [SQL_RESPONSE_SET] = "UPDATE exchange SET response = ?2 WHERE attempt_id = ?1",
    [SQL_BODY_GET] = "SELECT body FROM exchange WHERE attempt_id = ?1",
    [SQL_DISPLAY_GET] = "SELECT display FROM exchange WHERE attempt_id = ?1",
    [SQL_RESPONSE_GET] = "SELECT response FROM exchange WHERE attempt_id = ?1",
    [SQL_FILE_SAVE] = "INSERT INTO file (id, job_id, name, mode) VALUES (?1, ?2, ?3, ?4) "
                      "ON CONFLICT (id) DO UPDATE SET job_id = ?2, name = ?3, mode = ?4",
    [SQL_FILE_REMOVE] = "DELETE FROM file WHERE id = ?1",
    [SQL_FILE_OLDEST] = "SELECT id FROM file WHERE id > ?1 ORDER BY id LIMIT 1",
    [SQL_FILE_JOB] = "SELECT job_id FROM file WHERE id = ?1",
    [SQL_FILE_EACH] = "SELECT id, job_id, name, mode FROM file WHERE job_id = ?1 ORDER BY id",
    [SQL_EVENT_ADD] = "INSERT INTO event VALUES "
                      "(ifnull((SELECT max(end_bytes) FROM event), 0) + ?2, ?1)",
    [SQL_EVENTS_SIZE] = "SELECT ifnull(max(end_bytes), 0) FROM event",
    [SQL_EVENTS_EACH] = "SELECT end_bytes, line FROM event WHERE end_bytes > ?1 ORDER BY end_bytes",
    [SQL_HISTORY_ADD] = "INSERT INTO history (job_id, time_ms, text) VALUES (?1, ?2, ?3)",
    [SQL_HISTORY_EACH] = "SELECT time_ms, text FROM history WHERE job_id = ?1 ORDER BY id",
};

struct store_result_row {
    int rc;
    int result;
};

static const struct store_result_row store_results[] = {
    {SQLITE_OK, 0},
    {SQLITE_ROW, 0},
    {SQLITE_DONE, 0},
    {SQLITE_FULL, -ENOSPC},
    {SQLITE_NOMEM, -ENOMEM},
    {SQLITE_READONLY, -EROFS},
    {SQLITE_CANTOPEN, -EACCES},
    {SQLITE_PERM, -EACCES},
    {SQLITE_CORRUPT, -ERR_STORE_CORRUPT},
    {SQLITE_NOTADB, -ERR_STORE_CORRUPT},
    {SQLITE_BUSY, -ERR_STORE_LOCKED},
    {SQLITE_TOOBIG, -EFBIG},
};

int store_result(struct store *store, int rc)
{
    if (rc == SQLITE_IOERR || (rc & 0xff) == SQLITE_IOERR) {
        int system_errno = store->db ? sqlite3_system_errno(store->db) : 0;
        return system_errno == ENOSPC || system_errno == EDQUOT ? -ENOSPC : -EIO;
    }
    for (size_t i = 0; i < ARRAY_COUNT(store_results); i++) {
        if (store_results[i].rc == (rc & 0xff))
            return store_results[i].result;
    }
    return -EIO;
}

sqlite3_stmt *store_statement(struct store *store, enum statement which)
{
    sqlite3_stmt **statement = &store->statements[which];
    if (!*statement && sqlite3_prepare_v3(store->db, store_sql[which], -1,
                                          SQLITE_PREPARE_PERSISTENT, statement, NULL) != SQLITE_OK)
        return NULL;
    (void)sqlite3_reset(*statement);
    (void)sqlite3_clear_bindings(*statement);
    return *statement;
}

int store_step(struct store *store, sqlite3_stmt *statement)
{
    if (!statement)
        return store_result(store, sqlite3_errcode(store->db));
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        return 1;
    int r = store_result(store, rc);
    (void)sqlite3_reset(statement);
    return r;
}

int store_run(struct store *store, sqlite3_stmt *statement)
{
    int r = store_step(store, statement);
    if (r > 0)
        (void)sqlite3_reset(statement);
    return r < 0 ? r : 0;
}

void store_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    /* Out of memory shows when the statement runs with the binding missing in a NOT NULL column, or
     * as a NULL text, which every reader takes for "not known". */
    (void)sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

char *store_column_text(sqlite3_stmt *statement, int index, int *r)
{
    bool is_null = sqlite3_column_type(statement, index) == SQLITE_NULL;
    const unsigned char *text = is_null ? NULL : sqlite3_column_text(statement, index);
    if (is_null)
        return NULL;
    char *copy = text ? strdup((const char *)text) : NULL;
    if (!copy)
        *r = -ENOMEM;
    else if (strlen(copy) != (size_t)sqlite3_column_bytes(statement, index))
        *r = -ERR_STORE_CORRUPT;
    return copy;
}

static int store_id_next(struct store *store, int64_t *next)
{
    sqlite3_stmt *statement = store_statement(store, SQL_ID_NEXT);
    int r = store_step(store, statement);
    if (r <= 0)
        return r < 0 ? r : -ERR_STORE_CORRUPT;
    *next = sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement);
    return store_is_within(*next, 1, STORE_ID_MAX - STORE_ID_BATCH) ? 0 : -ERR_STORE_CORRUPT;
}

/* Ids are reserved in batches, so that taking one costs nothing; a crash wastes what is left. */
int store_id_take(struct store *store, int64_t *out)
{
    if (!store->is_in_transaction)
        store_rollback(store); /* that of others, whose end failed */
    if (store->id_next == store->id_end) {
        int64_t next;
        int r = store_id_next(store, &next);
        sqlite3_stmt *statement = r == 0 ? store_statement(store, SQL_META_SET) : NULL;
        if (r < 0)
            return r;
        if (statement) {
            store_bind_text(statement, 1, "id_next");
            (void)sqlite3_bind_int64(statement, 2, next + STORE_ID_BATCH);
        }
        /* Inside the caller's transaction this is rolled back with it: then nobody has used them.
         * */
        r = store_run(store, statement);
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
    /* A program that was killed a moment ago may still have it: the kernel, or a process that it forked, has
     * to close it first. */
    for (int i = 0; r < 0 && errno == EWOULDBLOCK && i < LOCK_LOOKS; i++) {
        (void)poll(NULL, 0, LOCK_LOOK_MS);
        r = flock(store->lock_fd, LOCK_EX | LOCK_NB);
    }
    if (r == 0)
        return 0;
    return errno == EWOULDBLOCK ? -ERR_STORE_LOCKED : -errno;
}

/* The path leads to the directory that is held: not to nothing, nor to another one. */
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
        return 0; /* a VFS without directories, as that of the simulation */
    r = store_result(store, rc);
    return r == 0 && is_moved ? -ERR_STORE_MOVED : r;
}

static int store_version_get(struct store *store, int *version)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store->db, "PRAGMA user_version", -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *version = sqlite3_column_int(statement, 0);
    int r = store_result(store, rc);
    (void)sqlite3_finalize(statement);
    return r;
}

static int store_migrate(struct store *store)
{
    int version = 0;
    int r = store_version_get(store, &version);
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

/* SQLite opens by path alone. Links in the path to the directory are resolved before, because it follows none then,
 * anywhere in the path. One by /proc/self/fd would always lead to the directory that is held, so that SQLite could
 * not tell any more that the database was moved. */
static int store_open_database(struct store *store)
{
    char path[PATH_MAX + sizeof("/jobs.sqlite")];
    char *real = realpath(store->directory, NULL);
    if (!real)
        return errno == ENOENT || errno == ENOTDIR ? -ERR_STORE_MOVED : -errno;
    (void)snprintf(path, sizeof(path), "%s/jobs.sqlite", real);
    free(real);
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    int r = store_result(store, sqlite3_open_v2(path, &store->db, flags, NULL));
    /* What SQLite found by path is what lies in the directory that is held and locked. */
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
    store_log_watch(store);
    if (r == 0)
        r = store_migrate(store);
    if (r == 0)
        store_log_begin(store);
    /* Ending a transaction must not need memory to be prepared. */
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
    store->lock_fd = -1;
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

struct store *store_close(struct store *store)
{
    if (!store)
        return NULL;
    /* Closing copies the log into the database: not one that may have a hole. */
    if (store->db && store_log_heal(store) < 0)
        (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    for (size_t i = 0; i < SQL_COUNT; i++)
        (void)sqlite3_finalize(store->statements[i]);
    (void)sqlite3_close(store->db);
    if (store->lock_fd >= 0)
        (void)close(store->lock_fd);
    free(store->directory);
    free(store);
    return NULL;
}
