/*
 * Writes attempts to the database and reads them back. Two tables list each column's place in the
 * statement and in the struct, so that writing and reading cannot drift apart.
 */
#include "store_private.h"

#include <stdlib.h>
#include <string.h>

struct column {
    int index; /* of the parameter, from 1; the result column is one less */
    size_t offset;
    int64_t least; /* allowed minimum of an integer read back */
    int64_t most;
};

/* The end of the URL is the maximum of a date plus the maximum of a number of seconds. */
static const struct column integer_columns[] = {
    {1, offsetof(struct store_attempt, id), 1, STORE_ID_MAX},
    {2, offsetof(struct store_attempt, job_id), 1, STORE_ID_MAX},
    {3, offsetof(struct store_attempt, number), 1, INT32_MAX},
    {6, offsetof(struct store_attempt, duration_ms), 0, STORE_LENGTH_MAX_MS},
    {7, offsetof(struct store_attempt, input_video_ms), 0, STORE_LENGTH_MAX_MS},
    {8, offsetof(struct store_attempt, estimated_usd_micros), 0, STORE_USD_MICROS_MAX},
    {9, offsetof(struct store_attempt, actual_usd_micros), -1, STORE_USD_MICROS_MAX},
    {10, offsetof(struct store_attempt, intent_ms), 0, STORE_TIME_MAX_MS},
    {11, offsetof(struct store_attempt, submitted_ms), 0, STORE_TIME_MAX_MS},
    {12, offsetof(struct store_attempt, finished_ms), 0, STORE_TIME_MAX_MS},
    {14, offsetof(struct store_attempt, http_status), 0, INT32_MAX},
    {20, offsetof(struct store_attempt, url_expires_ms), 0, 2 * STORE_TIME_MAX_MS},
    {21, offsetof(struct store_attempt, output_ms), -1, STORE_LENGTH_MAX_MS},
    {22, offsetof(struct store_attempt, video_bytes), -1, STORE_BYTES_MAX},
    {24, offsetof(struct store_attempt, cover_bytes), -1, STORE_BYTES_MAX},
    {26, offsetof(struct store_attempt, generation_ms), STORE_GENERATION_UNSEEN, STORE_TIME_MAX_MS},
    {27, offsetof(struct store_attempt, take), 0, INT32_MAX},
    {28, offsetof(struct store_attempt, take_hidden), 0, INT32_MAX},
    {30, offsetof(struct store_attempt, take_readers), 0, 0777},
    {31, offsetof(struct store_attempt, stored_ms), 0, STORE_TIME_MAX_MS},
};

static const struct column text_columns[] = {
    {4, offsetof(struct store_attempt, model), 0, 0},
    {5, offsetof(struct store_attempt, resolution), 0, 0},
    {13, offsetof(struct store_attempt, task_id), 0, 0},
    {15, offsetof(struct store_attempt, request_id), 0, 0},
    {16, offsetof(struct store_attempt, error_code), 0, 0},
    {17, offsetof(struct store_attempt, error_message), 0, 0},
    {18, offsetof(struct store_attempt, video_url), 0, 0},
    {19, offsetof(struct store_attempt, cover_url), 0, 0},
    {23, offsetof(struct store_attempt, video_etag), 0, 0},
    {25, offsetof(struct store_attempt, cover_etag), 0, 0},
    {29, offsetof(struct store_attempt, take_problem), 0, 0},
    {32, offsetof(struct store_attempt, stored_in), 0, 0},
};

/* memcpy, because the tables know no types: casts would break aliasing and drop qualifiers. */
static int64_t integer_at(const struct store_attempt *row, size_t offset)
{
    int64_t value;
    memcpy(&value, (const char *)row + offset, sizeof(value));
    return value;
}

static char *text_at(const struct store_attempt *row, size_t offset)
{
    char *text;
    memcpy(&text, (const char *)row + offset, sizeof(text));
    return text;
}

void store_attempt_fini(struct store_attempt *row)
{
    for (size_t i = 0; i < ARRAY_COUNT(text_columns); i++)
        free(text_at(row, text_columns[i].offset));
    *row = (struct store_attempt){0};
}

/* Inserts or updates: both statements number the columns like the tables. */
static int attempt_write(struct store *store, enum statement which, const struct store_attempt *row)
{
    struct store_value values[ARRAY_COUNT(integer_columns) + ARRAY_COUNT(text_columns)];
    for (size_t i = 0; i < ARRAY_COUNT(integer_columns); i++)
        values[integer_columns[i].index - 1] =
            AS_INTEGER(integer_at(row, integer_columns[i].offset));
    for (size_t i = 0; i < ARRAY_COUNT(text_columns); i++)
        values[text_columns[i].index - 1] = AS_TEXT(text_at(row, text_columns[i].offset));
    return store_run(store, store_query(store, which, values, ARRAY_COUNT(values)));
}

int store_attempt_insert(struct store *store, const struct store_attempt *row, const void *body,
                         size_t body_len, const void *display, size_t display_len)
{
    int r = attempt_write(store, SQL_ATTEMPT_INSERT, row);
    return r < 0 ? r
                 : store_run(store, store_query(store, SQL_EXCHANGE_INSERT,
                                                VALUES(AS_INTEGER(row->id), AS_BLOB(body, body_len),
                                                       AS_BLOB(display, display_len))));
}

int store_attempt_copy(struct store *store, const struct store_attempt *row, int64_t from_id)
{
    int r = attempt_write(store, SQL_ATTEMPT_INSERT, row);
    if (r == 0)
        r = store_run(store, store_query(store, SQL_EXCHANGE_COPY,
                                         VALUES(AS_INTEGER(row->id), AS_INTEGER(from_id))));
    return r < 0 ? r
                 : store_run(store, store_query(store, SQL_PROMPT_COPY,
                                                VALUES(AS_INTEGER(row->id), AS_INTEGER(from_id))));
}

int store_attempt_update(struct store *store, const struct store_attempt *row)
{
    return attempt_write(store, SQL_ATTEMPT_UPDATE, row);
}

int store_attempt_uid_get(struct store *store, int64_t id, char out[static STORE_UID_SIZE])
{
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, SQL_ATTEMPT_UID, VALUES(AS_INTEGER(id)));
    int r = store_step(store, statement);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    r = 0;
    CLEANUP_FREE char *uid = store_column_text(statement, 0, &r);
    if (r < 0)
        return r;
    if (!uid || strlen(uid) != STORE_UID_SIZE - 1 ||
        strspn(uid, "0123456789abcdef") != STORE_UID_SIZE - 1)
        return -ERR_STORE_CORRUPT;
    memcpy(out, uid, STORE_UID_SIZE);
    return 0;
}

int store_attempt_get(struct store *store, int64_t id, struct store_attempt *out)
{
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, SQL_ATTEMPT_GET, VALUES(AS_INTEGER(id)));
    int r = store_step(store, statement);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    r = 0;
    struct store_attempt row = {0};
    for (size_t i = 0; i < ARRAY_COUNT(integer_columns); i++) {
        const struct column *column = &integer_columns[i];
        int64_t value = sqlite3_column_int64(statement, column->index - 1);
        if (!store_is_within(value, column->least, column->most))
            r = -ERR_STORE_CORRUPT;
        memcpy((char *)&row + column->offset, &value, sizeof(value));
    }
    for (size_t i = 0; i < ARRAY_COUNT(text_columns); i++) {
        char *text = store_column_text(statement, text_columns[i].index - 1, &r);
        memcpy((char *)&row + text_columns[i].offset, &text, sizeof(text));
    }
    if (r < 0)
        store_attempt_fini(&row);
    else
        *out = row;
    return r;
}

static bool take_is_sound(const struct store_take *row)
{
    return store_is_within(row->id, 1, STORE_ID_MAX) &&
           store_is_within(row->job_id, 1, STORE_ID_MAX) &&
           store_is_within(row->number, 1, INT32_MAX) &&
           store_is_within(row->hidden, 0, INT32_MAX) && store_is_within(row->readers, 0, 0777) &&
           store_is_within(row->finished_ms, 0, STORE_TIME_MAX_MS) &&
           store_is_within(row->video_bytes, -1, STORE_BYTES_MAX) &&
           store_is_within(row->cover_bytes, -1, STORE_BYTES_MAX) &&
           store_is_within(row->url_expires_ms, -1, 2 * STORE_TIME_MAX_MS);
}

static int takes_read(struct store *store, sqlite3_stmt *statement, store_take_fn *fn,
                      void *context)
{
    int r;
    while ((r = store_step(store, statement)) > 0) {
        struct store_take row = {
            .id = sqlite3_column_int64(statement, 0),
            .job_id = sqlite3_column_int64(statement, 1),
            .number = sqlite3_column_int64(statement, 2),
            .hidden = sqlite3_column_int64(statement, 3),
            .finished_ms = sqlite3_column_int64(statement, 4),
            .video_bytes = sqlite3_column_int64(statement, 5),
            .cover_bytes = sqlite3_column_int64(statement, 6),
            .url_expires_ms = sqlite3_column_int64(statement, 7),
            .is_picked = sqlite3_column_int(statement, 8) != 0,
            .readers = sqlite3_column_int64(statement, 9),
            .stored_in = (const char *)sqlite3_column_text(statement, 10),
        };
        r = take_is_sound(&row) ? fn(context, &row) : -ERR_STORE_CORRUPT;
        if (r < 0)
            return r;
    }
    return r;
}

int store_take_each(struct store *store, store_take_fn *fn, void *context)
{
    CLEANUP_RESET sqlite3_stmt *statement = store_statement(store, SQL_TAKE_EACH);
    return takes_read(store, statement, fn, context);
}

int store_job_takes(struct store *store, int64_t job_id, store_take_fn *fn, void *context)
{
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, SQL_JOB_TAKES, VALUES(AS_INTEGER(job_id)));
    return takes_read(store, statement, fn, context);
}

int store_removed_each(struct store *store, int64_t after_ms, int64_t until_ms,
                       store_removed_fn *fn, void *context)
{
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, SQL_REMOVED_EACH, VALUES(AS_INTEGER(after_ms), AS_INTEGER(until_ms)));
    int r;
    while ((r = store_step(store, statement)) > 0) {
        if (!fn(context, sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1)))
            return 0;
    }
    return r;
}

int store_prompt_default(struct store *store, int64_t attempt_id)
{
    return store_run(store, store_query(store, SQL_PROMPT_DEFAULT, VALUES(AS_INTEGER(attempt_id))));
}

int store_readers_keep(struct store *store, int64_t job_id, int64_t readers)
{
    return store_run(store, store_query(store, SQL_READERS_KEEP,
                                        VALUES(AS_INTEGER(job_id), AS_INTEGER(readers))));
}

int store_prompt_keep(struct store *store, int64_t job_id, const void *text, size_t len)
{
    struct store_value value = text ? AS_BLOB(text, len) : AS_TEXT(NULL);
    return store_run(store, store_query(store, SQL_PROMPT_KEEP, VALUES(AS_INTEGER(job_id), value)));
}

int store_attempt_move(struct store *store, const struct store_attempt *row)
{
    return store_run(store, store_query(store, SQL_ATTEMPT_MOVE,
                                        VALUES(AS_INTEGER(row->id), AS_INTEGER(row->job_id),
                                               AS_INTEGER(row->number), AS_INTEGER(row->take))));
}

int store_attempt_response_set(struct store *store, int64_t id, const void *body, size_t len)
{
    return store_run(
        store, store_query(store, SQL_RESPONSE_SET, VALUES(AS_INTEGER(id), AS_BLOB(body, len))));
}

int store_attempt_blob_get(struct store *store, int64_t id, enum store_blob which, char **out,
                           size_t *len)
{
    static const enum statement statements[] = {
        [STORE_BODY] = SQL_BODY_GET,
        [STORE_DISPLAY] = SQL_DISPLAY_GET,
        [STORE_RESPONSE] = SQL_RESPONSE_GET,
        [STORE_PROMPT] = SQL_PROMPT_GET,
    };
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, statements[which], VALUES(AS_INTEGER(id)));
    int r = store_step(store, statement);
    if (r < 0)
        return r;
    const void *blob = r > 0 ? sqlite3_column_blob(statement, 0) : NULL;
    size_t size = blob ? (size_t)sqlite3_column_bytes(statement, 0) : 0;
    char *copy = NULL;
    if (blob && (copy = malloc(size + 1)) != NULL) {
        memcpy(copy, blob, size);
        copy[size] = '\0';
    }
    if (blob && !copy)
        return -ENOMEM;
    *out = copy;
    *len = size;
    return 0;
}
