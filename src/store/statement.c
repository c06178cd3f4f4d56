/*
 * The statements: their SQL, prepared at first use and cached; how values are bound and read.
 */
#include "store_private.h"

#include <stdlib.h>
#include <string.h>

#define JOB_COLUMNS                                                                                \
    "id, name, state, problem, created_ms, updated_ms, attempt_id, hold, picked_id, "              \
    "problem_code, problem_field, problem_line, problem_column"
#define ATTEMPT_COLUMNS                                                                            \
    "id, job_id, number, model, resolution, duration_ms, input_video_ms, estimated_usd_micros, "   \
    "actual_usd_micros, intent_ms, submitted_ms, finished_ms, task_id, http_status, request_id, "  \
    "error_code, error_message, video_url, cover_url, url_expires_ms, output_ms, video_bytes, "    \
    "video_etag, cover_bytes, cover_etag, generation_ms, take, take_hidden, "                      \
    "take_problem, take_readers, stored_ms, stored_in"

#define INPUT_COLUMNS                                                                              \
    "attempt_id, number, form, media, body_offset, job_id, take_id, kept_id, length_ms, is_seen, " \
    "field, path"

/* Without the text of the problem. */
#define JOB_SELECT                                                                                 \
    "SELECT job.id, name, state, problem IS NOT NULL, created_ms, updated_ms, attempt_id, "        \
    "ifnull(http_status, 0) <> 0 OR task_id IS NOT NULL, hold FROM job "                           \
    "LEFT JOIN attempt ON attempt.id = attempt_id "
#define TAKE_SELECT                                                                                \
    "SELECT attempt.id, job_id, take, take_hidden, finished_ms, video_bytes, cover_bytes, "        \
    "CASE WHEN video_url IS NULL THEN -1 ELSE url_expires_ms END, picked_id = attempt.id, "        \
    "take_readers, stored_in FROM attempt JOIN job ON job.id = job_id "

static const char *const store_sql[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    /* Above every existing id, even if the counter is behind: no id is used twice. */
    [SQL_ID_NEXT] = "SELECT max(value, 1 + ifnull((SELECT max(id) FROM job), 0), "
                    "1 + ifnull((SELECT max(id) FROM attempt), 0), "
                    "1 + ifnull((SELECT max(id) FROM file), 0), "
                    "1 + ifnull((SELECT max(kept_id) FROM input), 0)) "
                    "FROM meta WHERE key = 'id_next'",
    [SQL_NUMBER_GET] = "SELECT value FROM meta WHERE key = ?1",
    [SQL_NUMBER_SET] =
        "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
    [SQL_META_SET] = "UPDATE meta SET value = ?2 WHERE key = ?1",
    [SQL_JOB_SAVE] =
        "INSERT INTO job (" JOB_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
        "?10, ?11, ?12, ?13) ON CONFLICT (id) DO UPDATE SET name = ?2, state = ?3, problem = ?4, "
        "updated_ms = ?6, attempt_id = ?7, hold = ?8, picked_id = ?9, problem_code = ?10, "
        "problem_field = ?11, problem_line = ?12, problem_column = ?13",
    /* The row stays, with all that was paid for it. Proof: the user's rmdir, or a rename
     * onto the job. */
    [SQL_JOB_REMOVE] = "UPDATE job SET removed_name = name, name = NULL, removed_ms = ?2 "
                       "WHERE id = ?1",
    /* Leaves out the text of the problem, which is read on demand. */
    [SQL_JOB_EACH] = JOB_SELECT "WHERE name IS NOT NULL ORDER BY job.id",
    [SQL_JOB_GET] = JOB_SELECT "WHERE job.id = ?1",
    [SQL_JOB_PROBLEM] = "SELECT problem, problem_code, problem_field, problem_line, "
                        "problem_column FROM job WHERE id = ?1",
    /* Within the transaction that gives the job its new name. No job can have such a name. */
    [SQL_ATTEMPT_INSERT] =
        "INSERT INTO attempt (" ATTEMPT_COLUMNS ", uid) VALUES (?1, ?2, ?3, ?4, ?5, "
        "?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, "
        "?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, "
        "lower(hex(randomblob(16))))",
    [SQL_EXCHANGE_INSERT] = "INSERT INTO exchange (attempt_id, body, display) VALUES (?1, ?2, ?3)",
    [SQL_ATTEMPT_UPDATE] =
        "UPDATE attempt SET model = ?4, resolution = ?5, "
        "duration_ms = ?6, input_video_ms = ?7, estimated_usd_micros = ?8, "
        "actual_usd_micros = ?9, intent_ms = ?10, submitted_ms = ?11, finished_ms = ?12, "
        "task_id = ?13, http_status = ?14, request_id = ?15, error_code = ?16, "
        "error_message = ?17, video_url = ?18, cover_url = ?19, url_expires_ms = ?20, "
        "output_ms = ?21, video_bytes = ?22, video_etag = ?23, cover_bytes = ?24, "
        "cover_etag = ?25, generation_ms = ?26, take = ?27, take_hidden = ?28, take_problem = ?29, "
        "take_readers = ?30, stored_ms = ?31, stored_in = ?32 WHERE id = ?1",
    [SQL_ATTEMPT_GET] = "SELECT " ATTEMPT_COLUMNS " FROM attempt WHERE id = ?1",
    [SQL_ATTEMPT_JOB] = "SELECT job_id FROM attempt WHERE id = ?1",
    [SQL_ATTEMPT_UID] = "SELECT uid FROM attempt WHERE id = ?1",
    [SQL_ATTEMPT_NUMBER] = "SELECT ifnull(max(number), 0) + 1 FROM attempt WHERE job_id = ?1",
    [SQL_EXCHANGE_COPY] = "INSERT INTO exchange (attempt_id, body, display) "
                          "SELECT ?1, body, display FROM exchange WHERE attempt_id = ?2",
    [SQL_PROMPT_COPY] = "INSERT INTO take_prompt SELECT ?1, text FROM take_prompt "
                        "WHERE attempt_id = ?2",
    [SQL_ATTEMPT_MOVE] = "UPDATE attempt SET job_id = ?2, number = ?3, take = ?4 WHERE id = ?1",
    [SQL_TAKE_EACH] = TAKE_SELECT "WHERE take > 0 AND name IS NOT NULL ORDER BY job_id, take",
    [SQL_JOB_TAKES] = TAKE_SELECT "WHERE job_id = ?1 AND take > 0 ORDER BY take",
    [SQL_REMOVED_EACH] =
        "SELECT attempt.id, removed_ms FROM job CROSS JOIN attempt ON attempt.job_id = job.id "
        "WHERE name IS NULL AND removed_ms > ?1 AND removed_ms <= ?2 AND take > 0 "
        "ORDER BY removed_ms",
    [SQL_PROMPT_DEFAULT] = "INSERT OR IGNORE INTO take_prompt SELECT attempt_id, display "
                           "FROM exchange WHERE attempt_id = ?1 AND length(body) > 0",
    [SQL_READERS_KEEP] =
        "UPDATE attempt SET take_readers = take_readers & ?2 WHERE job_id = ?1 AND take > 0 AND "
        "id NOT IN (SELECT attempt_id FROM take_prompt)",
    [SQL_PROMPT_KEEP] = "INSERT OR IGNORE INTO take_prompt SELECT attempt.id, ifnull(?2, display) "
                        "FROM attempt JOIN exchange ON exchange.attempt_id = attempt.id "
                        "WHERE job_id = ?1 AND take > 0 AND length(body) > 0",
    [SQL_LEDGER_ADD] =
        "INSERT INTO ledger (attempt_id, time_ms, kind, usd_micros, task_id) "
        "SELECT now.id, ?2, now.class, now.usd_micros, now.task_id FROM attempt_money AS now "
        "LEFT JOIN ledger AS last ON last.id = "
        "(SELECT max(id) FROM ledger WHERE attempt_id = now.id) "
        "WHERE (now.id = ?1 OR now.task_id = (SELECT task_id FROM attempt WHERE id = ?1)) AND "
        "(now.class != ifnull(last.kind, 'released') OR (last.id IS NOT NULL AND "
        "(now.usd_micros != last.usd_micros OR now.task_id IS NOT last.task_id)))",
    [SQL_GENERATION_EACH] =
        "SELECT generation_ms FROM (SELECT id, generation_ms FROM attempt WHERE model = ?1 AND "
        "resolution = ?2 AND duration_ms = ?3 AND generation_ms >= 0 ORDER BY id DESC LIMIT ?4) "
        "ORDER BY id",
    [SQL_SPENT] = "SELECT ifnull(sum(usd_micros), 0), "
                  "ifnull(min(min(estimated_usd_micros, actual_usd_micros + 1)), 0) < 0 "
                  "FROM attempt_money WHERE submitted_ms != 0 AND submitted_ms >= ?1",
    [SQL_HELD] = "SELECT ifnull(sum(estimated_usd_micros), 0) FROM job "
                 "JOIN attempt ON attempt.id = job.attempt_id "
                 "WHERE state = 'held' AND name IS NOT NULL",
    [SQL_WAITING] = "SELECT ifnull(sum(estimated_usd_micros), 0) FROM job "
                    "JOIN attempt ON attempt.id = job.attempt_id "
                    "WHERE state = 'waiting' AND name IS NOT NULL",
    [SQL_INPUT_SAVE] =
        "INSERT INTO input (" INPUT_COLUMNS ") VALUES "
        "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (attempt_id, number) "
        "DO UPDATE SET form = ?3, media = ?4, body_offset = ?5, job_id = ?6, take_id = ?7, "
        "kept_id = ?8, length_ms = ?9, is_seen = ?10, field = ?11, path = ?12",
    [SQL_INPUTS_GET] = "SELECT " INPUT_COLUMNS " FROM input WHERE attempt_id = ?1 ORDER BY number",
    [SQL_INPUT_EACH] = "SELECT job.id FROM input JOIN job ON job.attempt_id = input.attempt_id "
                       "WHERE name IS NOT NULL GROUP BY job.id ORDER BY job.id",
    [SQL_INPUT_SEEN] =
        "UPDATE input SET length_ms = ?3, is_seen = 1 WHERE attempt_id = ?1 AND number = ?2",
    /* Proof: the task's id, or the refusal, is written in the same transaction. */
    [SQL_SENT_FORGET] = "DELETE FROM sent WHERE attempt_id = ?1",
    [SQL_SENT_SAVE] = "INSERT INTO sent (attempt_id, body) VALUES (?1, ?2) "
                      "ON CONFLICT (attempt_id) DO UPDATE SET body = ?2",
    [SQL_KEPT_EACH] = "SELECT DISTINCT kept_id FROM attempt CROSS JOIN input "
                      "ON attempt_id = attempt.id WHERE attempt.job_id = ?1 AND kept_id != 0",
    [SQL_TASK_FIND] = "SELECT id FROM attempt WHERE task_id = ?1 ORDER BY id DESC LIMIT 1",
    [SQL_SPENDING] =
        "SELECT ifnull(job.name, job.removed_name), job.name IS NULL, "
        "CASE WHEN job.attempt_id = money.id THEN job.state END, money.id, number, task_id, "
        "model, estimated_usd_micros, actual_usd_micros, submitted_ms, finished_ms, class, "
        "usd_micros FROM attempt_money AS money JOIN job ON job.id = money.job_id "
        "WHERE money.id > ?1 AND money.id <= ?2 ORDER BY money.id",
    [SQL_SPENDING_REMOVED] =
        "SELECT removed_name, 1, NULL, attempt.id, number, task_id, model, "
        "estimated_usd_micros, actual_usd_micros, submitted_ms, finished_ms, 'released', 0 "
        /* CROSS makes SQLite go from the few removed jobs to their attempts, not the
         * other way round. */
        "FROM job CROSS JOIN attempt ON attempt.job_id = job.id "
        "WHERE name IS NULL AND attempt.id <= ?1 AND task_id IS NOT NULL "
        "ORDER BY attempt.id DESC LIMIT ?2",
    [SQL_SPENDING_BEFORE] = "SELECT id FROM attempt ORDER BY id DESC LIMIT 1 OFFSET ?1",
    [SQL_LEDGER_SINCE] = "SELECT ifnull(min(attempt_id), 0), ifnull(max(id), 0) FROM ledger "
                         "WHERE id > ?1",
    [SQL_RESPONSE_SET] = "UPDATE exchange SET response = ?2 WHERE attempt_id = ?1",
    [SQL_BODY_GET] = "SELECT body FROM exchange WHERE attempt_id = ?1",
    [SQL_DISPLAY_GET] = "SELECT display FROM exchange WHERE attempt_id = ?1",
    [SQL_PROMPT_GET] = "SELECT text FROM take_prompt WHERE attempt_id = ?1",
    [SQL_RESPONSE_GET] = "SELECT response FROM exchange WHERE attempt_id = ?1",
    [SQL_FILE_SAVE] =
        "INSERT INTO file (id, job_id, name, mode, is_note) VALUES (?1, ?2, ?3, ?4, ?5) "
        "ON CONFLICT (id) DO UPDATE SET job_id = ?2, name = ?3, mode = ?4, is_note = ?5",
    /* Proof: the caller of store_file_remove() has it. */
    [SQL_FILE_REMOVE] = "DELETE FROM file WHERE id = ?1",
    [SQL_FILE_OLDEST] = "SELECT id FROM file WHERE id > ?1 ORDER BY id LIMIT 1",
    [SQL_FILE_JOB] = "SELECT job_id FROM file WHERE id = ?1",
    [SQL_FILE_EACH] =
        "SELECT id, job_id, name, mode, is_note FROM file WHERE job_id = ?1 ORDER BY id",
    [SQL_EVENT_ADD] = "INSERT INTO event VALUES "
                      "(ifnull((SELECT max(end_bytes) FROM event), 0) + ?2, ?1)",
    [SQL_EVENTS_SIZE] = "SELECT ifnull(max(end_bytes), 0) FROM event",
    [SQL_EVENTS_EACH] = "SELECT end_bytes, line FROM event WHERE end_bytes > ?1 ORDER BY end_bytes",
    [SQL_HISTORY_ADD] = "INSERT INTO history (job_id, time_ms, text) VALUES (?1, ?2, ?3)",
    [SQL_HISTORY_EACH] = "SELECT time_ms, text FROM history WHERE job_id = ?1 ORDER BY id",
    [SQL_SHARE_GET] = "SELECT role, seq, cluster, incarnation, incarnation_next, tag FROM share "
                      "WHERE id = 1",
    [SQL_SHARE_SET] = "UPDATE share SET role = ?1, seq = ?2, cluster = ?3, incarnation = ?4, "
                      "incarnation_next = ?5, "
                      "tag = ?6 WHERE id = 1",
    [SQL_OUTBOX_ADD] = "INSERT INTO outbox (entry, file_id, tag) "
                       "VALUES (?1, ?2, lower(hex(randomblob(16))))",
    [SQL_OUTBOX_NEXT] = "SELECT number, entry, file_id, tag FROM outbox "
                        "WHERE number > ?1 AND entry IS NOT NULL ORDER BY number LIMIT 1",
    [SQL_OUTBOX_FILE_NEXT] = "SELECT number, entry, file_id, tag FROM outbox "
                             "WHERE number > ?1 AND entry IS NULL ORDER BY number LIMIT 1",
    [SQL_OUTBOX_FILE_LAST] = "SELECT max(number) FROM outbox WHERE file_id = ?1",
    /* Proof: the caller of store_outbox_done() has it. */
    [SQL_OUTBOX_DONE] = "DELETE FROM outbox WHERE number <= ?1 AND entry IS NOT NULL",
    [SQL_OUTBOX_FILE_DONE] = "DELETE FROM outbox WHERE file_id = ?1 AND number <= ?2",
    /* Proof: entries of everything that there is follow in the same transaction. */
    [SQL_OUTBOX_CLEAR] = "DELETE FROM outbox",
    [SQL_OUTBOX_FILES] = "INSERT INTO outbox (file_id, tag) "
                         "SELECT id, lower(hex(randomblob(16))) FROM file",
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
    if ((rc & 0xff) == SQLITE_IOERR) {
        /* SQLite knows only ENOSPC, and keeps no error number at all when a COMMIT fails. */
        int known = store->db ? sqlite3_system_errno(store->db) : 0;
        bool is_full = errno == ENOSPC || errno == EDQUOT || known == ENOSPC || known == EDQUOT;
        return is_full ? -ENOSPC : -EIO;
    }
    /* A row that another one refers to is missing, or two have one name: this is no copy. */
    if ((rc & 0xff) == SQLITE_CONSTRAINT && store->is_applying)
        return -ERR_STORE_CORRUPT;
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

sqlite3_stmt *store_query(struct store *store, enum statement which,
                          const struct store_value *values, size_t count)
{
    sqlite3_stmt *statement = store_statement(store, which);
    for (size_t i = 0; statement && i < count; i++) {
        const struct store_value *value = &values[i];
        int index = (int)i + 1;
        /* Without memory the binding stays NULL. A NOT NULL column then fails when the statement
         * runs, and every reader takes a NULL text for "not known". */
        if (value->kind == STORE_INTEGER)
            (void)sqlite3_bind_int64(statement, index, value->integer);
        else if (value->kind == STORE_TEXT)
            (void)sqlite3_bind_text(statement, index, value->bytes, -1, SQLITE_STATIC);
        else
            (void)sqlite3_bind_blob64(statement, index, value->bytes, value->len, SQLITE_STATIC);
    }
    return statement;
}

int store_step(struct store *store, sqlite3_stmt *statement)
{
    if (!statement)
        return store_result(store, sqlite3_errcode(store->db));
    errno = 0;
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        return 1;
    int r = store_result(store, rc);
    (void)sqlite3_reset(statement);
    return r;
}

int store_run(struct store *store, sqlite3_stmt *statement)
{
    /* SQLite has ended the transaction by itself, after an error that somebody has ignored: what
     * comes now would be no part of it. */
    if (store->is_in_transaction && sqlite3_get_autocommit(store->db))
        return -EIO;
    int r = store_step(store, statement);
    if (r > 0)
        (void)sqlite3_reset(statement);
    return r < 0 ? r : 0;
}

int store_integer_get(struct store *store, sqlite3_stmt *statement, int64_t *out)
{
    int r = store_step(store, statement);
    if (r > 0)
        *out = sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement);
    return r;
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

int store_pragma_get(struct store *store, const char *sql, int64_t *out)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    int r = store_result(store, rc);
    (void)sqlite3_finalize(statement);
    return r;
}
