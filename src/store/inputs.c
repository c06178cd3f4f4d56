/*
 * Writes to the database what requests need of the mount, and the bytes that are sent once it is
 * there.
 */
#include "store_private.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void store_input_fini(struct store_input *row)
{
    free(row->field);
    free(row->path);
    *row = (struct store_input){0};
}

int store_input_save(struct store *store, const struct store_input *row)
{
    return store_run(store,
                     store_query(store, SQL_INPUT_SAVE,
                                 VALUES(AS_INTEGER(row->attempt_id), AS_INTEGER(row->number),
                                        AS_INTEGER(row->form), AS_INTEGER(row->media),
                                        AS_INTEGER(row->body_offset), AS_INTEGER(row->job_id),
                                        AS_INTEGER(row->take_id), AS_INTEGER(row->kept_id),
                                        AS_INTEGER(row->length_ms), AS_INTEGER(row->is_seen),
                                        AS_TEXT(row->field), AS_TEXT(row->path))));
}

int store_input_seen(struct store *store, const struct store_input *row)
{
    return store_run(store, store_query(store, SQL_INPUT_SEEN,
                                        VALUES(AS_INTEGER(row->attempt_id), AS_INTEGER(row->number),
                                               AS_INTEGER(row->length_ms))));
}

static int input_read(sqlite3_stmt *statement, struct store_input *row)
{
    static const struct {
        size_t offset;
        int64_t least;
        int64_t most;
    } columns[] = {
        {offsetof(struct store_input, attempt_id), 1, STORE_ID_MAX},
        {offsetof(struct store_input, number), 0, INT32_MAX},
        {offsetof(struct store_input, form), 0, INT32_MAX},
        {offsetof(struct store_input, media), 0, INT32_MAX},
        {offsetof(struct store_input, body_offset), 0, STORE_BYTES_MAX},
        {offsetof(struct store_input, job_id), 0, STORE_ID_MAX},
        {offsetof(struct store_input, take_id), 0, STORE_ID_MAX},
        {offsetof(struct store_input, kept_id), 0, STORE_ID_MAX},
        {offsetof(struct store_input, length_ms), -1, STORE_LENGTH_MAX_MS},
        {offsetof(struct store_input, is_seen), 0, 1},
    };
    int r = 0;
    for (size_t i = 0; i < ARRAY_COUNT(columns); i++) {
        int64_t value = sqlite3_column_int64(statement, (int)i);
        if (!store_is_within(value, columns[i].least, columns[i].most))
            r = -ERR_STORE_CORRUPT;
        memcpy((char *)row + columns[i].offset, &value, sizeof(value));
    }
    row->field = store_column_text(statement, (int)ARRAY_COUNT(columns), &r);
    row->path = store_column_text(statement, (int)ARRAY_COUNT(columns) + 1, &r);
    return r;
}

int store_inputs_get(struct store *store, int64_t attempt_id, struct store_input **out,
                     size_t *count)
{
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, SQL_INPUTS_GET, VALUES(AS_INTEGER(attempt_id)));
    struct store_input *rows = NULL;
    size_t n = 0;
    int r;
    while ((r = store_step(store, statement)) > 0) {
        struct store_input *more = realloc(rows, (n + 1) * sizeof(*rows));
        r = more ? 0 : -ENOMEM;
        if (r < 0)
            break;
        rows = more;
        rows[n] = (struct store_input){0};
        r = input_read(statement, &rows[n++]);
        if (r < 0)
            break;
    }
    if (r == 0) {
        *out = rows;
        *count = n;
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        store_input_fini(&rows[i]);
    free(rows);
    return r;
}

int store_input_each(struct store *store, store_input_fn *fn, void *context)
{
    CLEANUP_RESET sqlite3_stmt *statement = store_statement(store, SQL_INPUT_EACH);
    int r;
    while ((r = store_step(store, statement)) > 0) {
        r = fn(context, sqlite3_column_int64(statement, 0));
        if (r < 0)
            return r;
    }
    return r;
}

int store_sent_save(struct store *store, int64_t attempt_id, const void *body, size_t len)
{
    return store_run(store, store_query(store, SQL_SENT_SAVE,
                                        VALUES(AS_INTEGER(attempt_id), AS_BLOB(body, len))));
}

int store_sent_forget(struct store *store, int64_t attempt_id)
{
    return store_run(store, store_query(store, SQL_SENT_FORGET, VALUES(AS_INTEGER(attempt_id))));
}

int store_kept_each(struct store *store, int64_t job_id, store_kept_fn *fn, void *context)
{
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, SQL_KEPT_EACH, VALUES(AS_INTEGER(job_id)));
    int r;
    while ((r = store_step(store, statement)) > 0)
        fn(context, sqlite3_column_int64(statement, 0));
    return r;
}
