/*
 * Rows of the store as a damaged disk or a stranger may have left them: sound rows of any state, in
 * which columns are changed to anything that the tables take. The program starts on them, is asked
 * for everything it shows, plays on with the fake service, and starts once more.
 *
 * Whatever the rows say: no crash, no broken invariant (job_check), an error or a sane job; and a
 * create only for what was sound and `waiting`, once for each attempt (the fake counts).
 *
 * Input: a byte of settings, then for each job its state, a number of changes, and the changes: a
 * byte for the column, then a value. What is left when there are enough jobs is how the service
 * answers.
 */
#include "../unit/job/job_harness.h"

#include "directory.h"
#include "fuzz.h"
#include "walk.h"

#include "../unit/tree/fake_media.h"
#include "store/store_private.h"

enum { ROWS_MAX = 4, CHANGES_MAX = 8, TEXT_MAX = 300, JOB_ID_FIRST = 10, ATTEMPT_ID_FIRST = 20 };

static struct world w = {.api = {.has_key = true}, .random_seed = 1};

static const char sound_rows[] =
    "INSERT INTO job (id, name, state, problem, created_ms, updated_ms, attempt_id)"
    "  VALUES (?1, 'job' || ?1, ?3, iif(?5, 'It failed.', NULL), 1795420800000, 1795420800000,"
    "  iif(?4, ?2, 0));"
    "INSERT INTO attempt (id, job_id, number, model, resolution, duration_ms, input_video_ms,"
    "  estimated_usd_micros, actual_usd_micros, intent_ms, submitted_ms, finished_ms, task_id,"
    "  http_status, url_expires_ms, output_ms, video_bytes, cover_bytes, video_url)"
    "  VALUES (?2, ?1, 1, 'doubao-seedance-2.0', '720p', 5000, 0, 1000000, -1, 1795420800000,"
    "  iif(?6, 1795420801000, 0), iif(?5, 1795420900000, 0), iif(?7, 'cgt-' || ?1, NULL), 0, 0, -1,"
    "  iif(?3 = 'succeeded', 1000, -1), -1, iif(?3 = 'succeeded', 'https://m.example/a?b', NULL));"
    "INSERT INTO exchange (attempt_id, body, display, response)"
    "  VALUES (?2, x'7b7d', x'7b7d0a', NULL);"
    "INSERT INTO file (id, job_id, name, mode) VALUES (?2 + 10, ?1, 'prompt.json', 420);"
    "INSERT INTO history (job_id, time_ms, text) VALUES (?1, 1795420800000, 'created');";

struct column {
    const char *sql; /* ?1 the value; ?2 the job, ?3 its attempt, ?4 its file */
};

#define OF_JOB(name)                                                                               \
    {                                                                                              \
        "UPDATE job SET " name " = ?1 WHERE id = ?2"                                               \
    }
#define OF_ATTEMPT(name)                                                                           \
    {                                                                                              \
        "UPDATE attempt SET " name " = ?1 WHERE id = ?3"                                           \
    }
#define OF_EXCHANGE(name)                                                                          \
    {                                                                                              \
        "UPDATE exchange SET " name " = ?1 WHERE attempt_id = ?3"                                  \
    }
#define OF_FILE(name)                                                                              \
    {                                                                                              \
        "UPDATE file SET " name " = ?1 WHERE id = ?4"                                              \
    }
#define OF_HISTORY(name)                                                                           \
    {                                                                                              \
        "UPDATE history SET " name " = ?1 WHERE job_id = ?2"                                       \
    }

static const struct column columns[] = {
    OF_JOB("id"),
    OF_JOB("name"),
    OF_JOB("state"),
    OF_JOB("problem"),
    OF_JOB("created_ms"),
    OF_JOB("updated_ms"),
    OF_JOB("attempt_id"),
    OF_JOB("removed_name"),
    OF_ATTEMPT("id"),
    OF_ATTEMPT("job_id"),
    OF_ATTEMPT("number"),
    OF_ATTEMPT("model"),
    OF_ATTEMPT("resolution"),
    OF_ATTEMPT("duration_ms"),
    OF_ATTEMPT("input_video_ms"),
    OF_ATTEMPT("estimated_usd_micros"),
    OF_ATTEMPT("actual_usd_micros"),
    OF_ATTEMPT("intent_ms"),
    OF_ATTEMPT("submitted_ms"),
    OF_ATTEMPT("finished_ms"),
    OF_ATTEMPT("task_id"),
    OF_ATTEMPT("http_status"),
    OF_ATTEMPT("request_id"),
    OF_ATTEMPT("error_code"),
    OF_ATTEMPT("error_message"),
    OF_ATTEMPT("video_url"),
    OF_ATTEMPT("cover_url"),
    OF_ATTEMPT("url_expires_ms"),
    OF_ATTEMPT("output_ms"),
    OF_ATTEMPT("video_bytes"),
    OF_ATTEMPT("video_etag"),
    OF_ATTEMPT("cover_bytes"),
    OF_ATTEMPT("cover_etag"),
    OF_EXCHANGE("body"),
    OF_EXCHANGE("display"),
    OF_EXCHANGE("response"),
    OF_EXCHANGE("attempt_id"),
    OF_FILE("id"),
    OF_FILE("job_id"),
    OF_FILE("name"),
    OF_FILE("mode"),
    OF_HISTORY("time_ms"),
    OF_HISTORY("text"),
    {"UPDATE meta SET value = ?1 WHERE key = 'id_next'"},
    {"DELETE FROM attempt WHERE id = ?3 OR id = ?1"},
    {"DELETE FROM meta WHERE value = ?1 OR ?1 IS NULL"},
};

static sqlite3_stmt *changes[ARRAY_COUNT(columns)];

static void sql_run(const char *sql)
{
    int rc = sqlite3_exec(w.store->db, sql, NULL, NULL, NULL);
    FUZZ_REQUIRE(rc == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(w.store->db));
}

int LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
    char path[FUZZ_PATH_SIZE];
    fuzz_directory_make(path);
    FUZZ_REQUIRE(strlen(path) < sizeof(w.directory), "too long: %s", path);
    memcpy(w.directory, path, strlen(path) + 1);
    log_configure(LOG_ERROR, -1);
    (void)setenv("CMOCKA_TEST_ABORT", "1", 1); /* the fake's assertions are oracles, too */
    w.directory_fd = file_open_directory(AT_FDCWD, path);
    w.files_fd = file_open_directory(w.directory_fd, JOB_FILES_DIRECTORY);
    FUZZ_REQUIRE(w.files_fd >= 0 && store_open(w.directory_fd, path, &w.store) == 0,
                 "cannot make %s", path);
    return 0;
}

/* Sound rows for one job. */
static void row_insert(int64_t job_id, int64_t attempt_id, enum job_state state)
{
    static sqlite3_stmt *statements[8];
    const char *sql = sound_rows;
    bool has_attempt = state != JOB_DRAFT && state != JOB_INVALID;
    bool is_ended = state == JOB_REJECTED || state == JOB_SUCCEEDED || state >= JOB_FAILED;
    bool is_sent = has_attempt && state != JOB_WAITING;
    bool has_task =
        is_sent && state != JOB_SUBMITTING && state != JOB_UNKNOWN && state != JOB_REJECTED;
    for (size_t i = 0; *sql; i++) {
        const char *end = strchr(sql, ';') + 1;
        if (!statements[i])
            (void)sqlite3_prepare_v2(w.store->db, sql, (int)(end - sql), &statements[i], NULL);
        sqlite3_stmt *statement = statements[i];
        (void)sqlite3_reset(statement);
        (void)sqlite3_bind_int64(statement, 1, job_id);
        (void)sqlite3_bind_int64(statement, 2, attempt_id);
        (void)sqlite3_bind_text(statement, 3, job_state_to_text(state), -1, SQLITE_STATIC);
        (void)sqlite3_bind_int(statement, 4, has_attempt);
        (void)sqlite3_bind_int(statement, 5, is_ended);
        (void)sqlite3_bind_int(statement, 6, is_sent);
        (void)sqlite3_bind_int(statement, 7, has_task);
        FUZZ_REQUIRE(sqlite3_step(statement) == SQLITE_DONE, "%s", sqlite3_errmsg(w.store->db));
        (void)sqlite3_reset(statement);
        sql = end;
    }
}

static const int64_t numbers[] = {0,
                                  1,
                                  -1,
                                  2,
                                  INT64_MAX,
                                  INT64_MIN,
                                  INT64_C(1) << 55,
                                  INT64_C(1) << 32,
                                  INT64_C(9007199254740993),
                                  INT64_C(253402300799999),
                                  INT64_C(253402300800000),
                                  JOB_ID_FIRST,
                                  ATTEMPT_ID_FIRST,
                                  JOB_ID_FIRST + 1,
                                  ATTEMPT_ID_FIRST + 1,
                                  -2};

/* Binds the next value: a number, a text or bytes of any length, a state's word, or NULL. */
static void value_bind(sqlite3_stmt *statement, struct fuzz_reader *reader)
{
    uint8_t kind = fuzz_take_byte(reader);
    size_t len = 0;
    const uint8_t *span;
    switch (kind % 6) {
    case 0:
        (void)sqlite3_bind_int64(statement, 1, numbers[kind / 6 % ARRAY_COUNT(numbers)]);
        break;
    case 1:
        (void)sqlite3_bind_int64(statement, 1, (int64_t)fuzz_take_number(reader, 8));
        break;
    case 2:
        span = fuzz_take_span(reader, kind == 254 ? TEXT_MAX : kind / 6, &len);
        (void)sqlite3_bind_text(statement, 1, (const char *)span, (int)len, SQLITE_TRANSIENT);
        break;
    case 3:
        span = fuzz_take_span(reader, kind == 255 ? TEXT_MAX : kind / 6, &len);
        (void)sqlite3_bind_blob(statement, 1, len ? (const void *)span : "", (int)len,
                                SQLITE_TRANSIENT);
        break;
    case 4:
        (void)sqlite3_bind_text(statement, 1,
                                job_state_to_text((enum job_state)(kind / 6 % JOB_STATE_COUNT)), -1,
                                SQLITE_STATIC);
        break;
    default:
        (void)sqlite3_bind_null(statement, 1);
        break;
    }
}

/* What the tables do not take is not done. */
static void row_change(struct fuzz_reader *reader, int64_t job_id, int64_t attempt_id)
{
    size_t which = fuzz_take_byte(reader) % ARRAY_COUNT(columns);
    if (!changes[which])
        (void)sqlite3_prepare_v2(w.store->db, columns[which].sql, -1, &changes[which], NULL);
    sqlite3_stmt *statement = changes[which];
    FUZZ_REQUIRE(statement, "%s", columns[which].sql);
    (void)sqlite3_clear_bindings(statement);
    value_bind(statement, reader);
    (void)sqlite3_bind_int64(statement, 2, job_id);
    (void)sqlite3_bind_int64(statement, 3, attempt_id);
    (void)sqlite3_bind_int64(statement, 4, attempt_id + 10);
    (void)sqlite3_step(statement);
    (void)sqlite3_reset(statement);
}

static void rows_make(struct fuzz_reader *reader)
{
    /* What no program may do: empty the ledger, and forget attempts. */
    sql_run("PRAGMA foreign_keys=OFF; BEGIN; DROP TRIGGER IF EXISTS attempt_is_kept;"
            "DROP TRIGGER IF EXISTS ledger_is_kept; DELETE FROM ledger; DELETE FROM history;"
            "DELETE FROM file; DELETE FROM exchange; DELETE FROM attempt; DELETE FROM job; DELETE "
            "FROM meta;"
            "INSERT INTO meta VALUES ('id_next', 100), ('syncs', 0);");
    for (int row = 0; row < ROWS_MAX && reader->left > 0; row++)
        row_insert(JOB_ID_FIRST + row, ATTEMPT_ID_FIRST + row,
                   (enum job_state)(fuzz_take_byte(reader) % JOB_STATE_COUNT));
    for (int i = fuzz_take_byte(reader) % CHANGES_MAX; i > 0; i--) {
        int row = fuzz_take_byte(reader) % ROWS_MAX;
        row_change(reader, JOB_ID_FIRST + row, ATTEMPT_ID_FIRST + row);
    }
    sql_run("COMMIT; PRAGMA foreign_keys=ON;");
    w.store->id_next = w.store->id_end = 0;
}

/* The only attempts that may be sent. */
struct sendable {
    int64_t job_id;
    int64_t attempt_id;
};
static struct sendable sendables[ROWS_MAX];
static size_t sendables_count;

static void sendables_read(void)
{
    static sqlite3_stmt *statement;
    sendables_count = 0;
    if (!statement)
        (void)sqlite3_prepare_v2(
            w.store->db,
            "SELECT job.id, attempt.id FROM job JOIN attempt ON attempt.id = attempt_id "
            "WHERE attempt.job_id = job.id AND name IS NOT NULL AND state = 'waiting' "
            "AND submitted_ms = 0 AND task_id IS NULL AND estimated_usd_micros >= 0",
            -1, &statement, NULL);
    while (sqlite3_step(statement) == SQLITE_ROW && sendables_count < ROWS_MAX)
        sendables[sendables_count++] = (struct sendable){sqlite3_column_int64(statement, 0),
                                                         sqlite3_column_int64(statement, 1)};
    (void)sqlite3_reset(statement);
}

static void require_sendable(const struct api_call *call)
{
    for (size_t i = 0; i < sendables_count; i++) {
        if (sendables[i].job_id == call->job_id && sendables[i].attempt_id == call->attempt_id)
            return;
    }
    FUZZ_REQUIRE(false, "a create for job %lld, attempt %lld, which was not waiting",
                 (long long)call->job_id, (long long)call->attempt_id);
}

/* Answers the oldest call in one of the ways of the service. */
static void call_play(struct api_call *call, uint8_t choice)
{
    static const enum api_verdict ends[] = {API_RETRY, API_LOST, API_UNUSABLE, API_REFUSED};
    if (!call->task_id) {
        require_sendable(call);
        if (choice % 4 == 0)
            create_accept(call, "cgt-new");
        else if (choice % 4 == 1 || call_send(call) == 0)
            create_end(call, choice % 4 == 2 ? API_AMBIGUOUS : API_REJECTED,
                       choice % 4 == 1 ? 0 : 500, -1, "no");
    } else if (choice % 4 == 0) {
        poll_succeeded(call);
    } else if (choice % 4 == 1) {
        poll_status(call, choice & 4 ? "failed" : "running");
    } else {
        poll_end(call, ends[choice / 4 % ARRAY_COUNT(ends)], 404, -1);
    }
}

static void play(struct fuzz_reader *reader)
{
    struct api_call *call;
    for (int turn = 0; turn < 6; turn++) {
        world_run(&w, 15 * 1000);
        DL_FOREACH (w.api.calls, call) {
            if (!call->task_id)
                require_sendable(call);
        }
        if (w.api.calls && reader->left > 0)
            call_play(w.api.calls, fuzz_take_byte(reader));
    }
}

/* Ids never come back, whatever the counter on the disk says. */
static void require_new_id(void)
{
    struct job *job;
    int64_t last = 0;
    for (struct job *each = jobs_next(w.jobs, INT64_MIN); each; each = jobs_next(w.jobs, each->id))
        last = each->id;
    if (jobs_create(w.jobs, "a new one", &job) == 0)
        FUZZ_REQUIRE(job->id > last, "id %lld after %lld", (long long)job->id, (long long)last);
}

/* How many jobs can be read. */
static size_t readable_count(void)
{
    size_t count = 0;
    struct job_detail *detail;
    for (struct job *job = jobs_next(w.jobs, INT64_MIN); job; job = jobs_next(w.jobs, job->id))
        count += job_detail_get(job, &detail) == 0;
    return count;
}

static int start(uint8_t settings)
{
    sendables_read();
    int r = world_open_jobs(&w);
    if (r < 0) {
        FUZZ_REQUIRE(r == -ERR_STORE_CORRUPT, "the start fails with %d", r);
        timers_fini(&w.timers);
        return r;
    }
    if (settings & 1)
        w.jobs->settings.budget.limit_usd_micros = 2500000;
    if (settings & 2)
        w.jobs->settings.active_max = 1;
    jobs_start(w.jobs);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_reader reader = {data, size};
    struct media media = {.is_parking = true};
    uint8_t settings = fuzz_take_byte(&reader);
    fake_clock_init(&w.clock, WALL_START_MS);
    rows_make(&reader);
    if (start(settings) == 0) {
        walk_tree(&w, &media);
        play(&reader);
        require_new_id();
        size_t readable = readable_count();
        world_close_jobs(&w);

        /* What the program itself has written it can read. */
        FUZZ_REQUIRE(start(settings) == 0, "the second start fails");
        FUZZ_REQUIRE(readable_count() >= readable, "fewer than %zu jobs are left", readable);
        play(&reader);
        walk_tree(&w, &media);
        world_close_jobs(&w);
    }
    api_fini(&w.api);
    w.api.attempts = NULL;
    return 0;
}
