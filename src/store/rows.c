/*
 * Writes jobs, files and the history to the database and reads them back. For
 * attempts see attempts.c.
 */
#include "store_private.h"

#include <stdlib.h>

void store_problem_fini(struct store_problem *problem)
{
    free(problem->text);
    free(problem->code);
    free(problem->field);
    *problem = (struct store_problem){0};
}

void store_job_fini(struct store_job *row)
{
    free(row->name);
    free(row->state);
    store_problem_fini(&row->problem);
    *row = (struct store_job){0};
}

void store_file_fini(struct store_file *row)
{
    free(row->name);
    *row = (struct store_file){0};
}

int store_job_save(struct store *store, const struct store_job *row)
{
    return store_run(
        store, store_query(store, SQL_JOB_SAVE,
                           VALUES(AS_INTEGER(row->id), AS_TEXT(row->name), AS_TEXT(row->state),
                                  AS_TEXT(row->problem.text), AS_INTEGER(row->created_ms),
                                  AS_INTEGER(row->updated_ms), AS_INTEGER(row->attempt_id),
                                  AS_INTEGER(row->hold), AS_INTEGER(row->picked_id),
                                  AS_TEXT(row->problem.code), AS_TEXT(row->problem.field),
                                  AS_INTEGER(row->problem.line), AS_INTEGER(row->problem.column))));
}

int store_job_remove(struct store *store, int64_t id, int64_t now_ms)
{
    return store_run(
        store, store_query(store, SQL_JOB_REMOVE, VALUES(AS_INTEGER(id), AS_INTEGER(now_ms))));
}

static bool job_is_sound(const struct store_job *row)
{
    return store_is_within(row->id, 1, STORE_ID_MAX) &&
           store_is_within(row->created_ms, 0, STORE_TIME_MAX_MS) &&
           store_is_within(row->updated_ms, 0, STORE_TIME_MAX_MS) &&
           store_is_within(row->attempt_id, 0, STORE_ID_MAX);
}

/* *row belongs to the caller, also on failure. */
static int job_read(sqlite3_stmt *statement, struct store_job *row)
{
    *row = (struct store_job){
        .id = sqlite3_column_int64(statement, 0),
        .created_ms = sqlite3_column_int64(statement, 4),
        .updated_ms = sqlite3_column_int64(statement, 5),
        .attempt_id = sqlite3_column_int64(statement, 6),
        .has_problem = sqlite3_column_int(statement, 3) != 0,
        .has_response = sqlite3_column_int(statement, 7) != 0,
        .hold = sqlite3_column_int64(statement, 8),
    };
    int r = job_is_sound(row) ? 0 : -ERR_STORE_CORRUPT;
    row->name = store_column_text(statement, 1, &r);
    row->state = store_column_text(statement, 2, &r);
    return r;
}

int store_job_get(struct store *store, int64_t id, struct store_job *out)
{
    CLEANUP_RESET sqlite3_stmt *statement = store_query(store, SQL_JOB_GET, VALUES(AS_INTEGER(id)));
    struct store_job row;
    int r = store_step(store, statement);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    r = job_read(statement, &row);
    if (r < 0)
        store_job_fini(&row);
    else
        *out = row;
    return r;
}

int store_job_each(struct store *store, store_job_fn *fn, void *context)
{
    CLEANUP_RESET sqlite3_stmt *statement = store_statement(store, SQL_JOB_EACH);
    int r;
    while ((r = store_step(store, statement)) > 0) {
        struct store_job row;
        r = job_read(statement, &row);
        if (r == 0)
            r = fn(context, &row);
        store_job_fini(&row);
        if (r < 0)
            return r;
    }
    return r;
}

int store_job_problem_get(struct store *store, int64_t id, struct store_problem *out)
{
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, SQL_JOB_PROBLEM, VALUES(AS_INTEGER(id)));
    int r = store_step(store, statement);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    r = 0;
    struct store_problem problem = {.line = sqlite3_column_int64(statement, 3),
                                    .column = sqlite3_column_int64(statement, 4)};
    problem.text = store_column_text(statement, 0, &r);
    problem.code = store_column_text(statement, 1, &r);
    problem.field = store_column_text(statement, 2, &r);
    if (r < 0 || !store_is_within(problem.line, 0, UINT32_MAX) ||
        !store_is_within(problem.column, 0, UINT32_MAX)) {
        store_problem_fini(&problem);
        return r < 0 ? r : -ERR_STORE_CORRUPT;
    }
    *out = problem;
    return 0;
}

int store_file_save(struct store *store, const struct store_file *row)
{
    return store_run(
        store, store_query(store, SQL_FILE_SAVE,
                           VALUES(AS_INTEGER(row->id), AS_INTEGER(row->job_id), AS_TEXT(row->name),
                                  AS_INTEGER(row->mode), AS_INTEGER(row->is_note))));
}

int store_file_remove(struct store *store, int64_t id)
{
    return store_run(store, store_query(store, SQL_FILE_REMOVE, VALUES(AS_INTEGER(id))));
}

/* Reads one integer of the row with this id. */
static int row_integer_get(struct store *store, enum statement which, int64_t id, int64_t *out)
{
    int r = store_integer_get(store, store_query(store, which, VALUES(AS_INTEGER(id))), out);
    return r == 0 ? -ENOENT : r < 0 ? r : 0;
}

int store_number_get(struct store *store, const char *name, int64_t *out)
{
    int64_t value = 0;
    int r =
        store_integer_get(store, store_query(store, SQL_NUMBER_GET, VALUES(AS_TEXT(name))), &value);
    if (r < 0)
        return r;
    *out = value;
    return 0;
}

int store_number_set(struct store *store, const char *name, int64_t value)
{
    return store_run(store,
                     store_query(store, SQL_NUMBER_SET, VALUES(AS_TEXT(name), AS_INTEGER(value))));
}

int store_file_oldest_get(struct store *store, int64_t *id)
{
    return row_integer_get(store, SQL_FILE_OLDEST, 0, id);
}

int store_file_job_get(struct store *store, int64_t id, int64_t *job_id)
{
    return row_integer_get(store, SQL_FILE_JOB, id, job_id);
}

int store_attempt_job_get(struct store *store, int64_t id, int64_t *job_id)
{
    return row_integer_get(store, SQL_ATTEMPT_JOB, id, job_id);
}

int store_attempt_number_next(struct store *store, int64_t job_id, int64_t *out)
{
    return row_integer_get(store, SQL_ATTEMPT_NUMBER, job_id, out);
}

int store_file_each(struct store *store, int64_t job_id, store_file_fn *fn, void *context)
{
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, SQL_FILE_EACH, VALUES(AS_INTEGER(job_id)));
    int r;
    while ((r = store_step(store, statement)) > 0) {
        struct store_file row = {
            .id = sqlite3_column_int64(statement, 0),
            .job_id = sqlite3_column_int64(statement, 1),
            .mode = sqlite3_column_int64(statement, 3),
            .is_note = sqlite3_column_int64(statement, 4) != 0,
        };
        bool is_sound =
            store_is_within(row.id, 1, STORE_ID_MAX) && store_is_within(row.mode, 0, 07777);
        r = is_sound ? 0 : -ERR_STORE_CORRUPT;
        row.name = store_column_text(statement, 2, &r);
        if (r == 0)
            r = fn(context, &row);
        store_file_fini(&row);
        if (r < 0)
            return r;
    }
    return r;
}

int store_history_add(struct store *store, int64_t job_id, int64_t time_ms, const char *text)
{
    return store_run(store,
                     store_query(store, SQL_HISTORY_ADD,
                                 VALUES(AS_INTEGER(job_id), AS_INTEGER(time_ms), AS_TEXT(text))));
}

int store_history_each(struct store *store, int64_t job_id, store_history_fn *fn, void *context)
{
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, SQL_HISTORY_EACH, VALUES(AS_INTEGER(job_id)));
    int r;
    while ((r = store_step(store, statement)) > 0) {
        const unsigned char *text = sqlite3_column_text(statement, 1);
        fn(context, sqlite3_column_int64(statement, 0), text ? (const char *)text : "");
    }
    return r;
}
