/*
 * The ledger's questions, answered from the attempts, which are never deleted: what was spent follows from
 * what was durable before it was sent. Beside them stands the ledger proper, an entry for each change of an
 * attempt's money, in the same transaction as that change.
 */
#include "store_private.h"

int store_spent_get(struct store *store, int64_t since_ms, int64_t *usd_micros)
{
    sqlite3_stmt *statement = store_statement(store, SQL_SPENT);
    if (statement)
        (void)sqlite3_bind_int64(statement, 1, since_ms);
    int r = store_step(store, statement);
    if (r <= 0)
        return r < 0 ? r : -ERR_STORE_CORRUPT;
    *usd_micros = sqlite3_column_int64(statement, 0);
    /* A cost below zero would give money that nobody has. */
    bool is_negative = sqlite3_column_int(statement, 1) != 0;
    (void)sqlite3_reset(statement);
    return is_negative ? -ERR_STORE_CORRUPT : 0;
}

int store_ledger_add(struct store *store, int64_t attempt_id, int64_t now_ms)
{
    sqlite3_stmt *statement = store_statement(store, SQL_LEDGER_ADD);
    if (statement) {
        (void)sqlite3_bind_int64(statement, 1, attempt_id);
        (void)sqlite3_bind_int64(statement, 2, now_ms);
    }
    return store_run(store, statement);
}

int store_generation_each(struct store *store, const struct store_attempt *like, int64_t most,
                          store_generation_fn *fn, void *context)
{
    sqlite3_stmt *statement = store_statement(store, SQL_GENERATION_EACH);
    if (statement) {
        store_bind_text(statement, 1, like->model);
        store_bind_text(statement, 2, like->resolution);
        (void)sqlite3_bind_int64(statement, 3, like->duration_ms);
        (void)sqlite3_bind_int64(statement, 4, most);
    }
    int r;
    while ((r = store_step(store, statement)) > 0)
        fn(context, sqlite3_column_int64(statement, 0));
    return r;
}

int store_task_find(struct store *store, const char *task_id, struct store_attempt *out)
{
    sqlite3_stmt *statement = store_statement(store, SQL_TASK_FIND);
    if (statement)
        store_bind_text(statement, 1, task_id);
    int r = store_step(store, statement);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    int64_t id = sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement);
    return store_attempt_get(store, id, out);
}

static const char *column_text(sqlite3_stmt *statement, int index)
{
    return (const char *)sqlite3_column_text(statement, index);
}

static bool spending_is_sound(const struct store_spending *row)
{
    return row->job_name && store_is_within(row->attempt_id, 1, STORE_ID_MAX) &&
           store_is_within(row->estimated_usd_micros, 0, STORE_USD_MICROS_MAX) &&
           store_is_within(row->actual_usd_micros, -1, STORE_USD_MICROS_MAX) &&
           store_is_within(row->submitted_ms, 0, STORE_TIME_MAX_MS) &&
           store_is_within(row->finished_ms, 0, STORE_TIME_MAX_MS);
}

int store_spending_before(struct store *store, int64_t latest, int64_t *attempt_id)
{
    sqlite3_stmt *statement = store_statement(store, SQL_SPENDING_BEFORE);
    if (statement)
        (void)sqlite3_bind_int64(statement, 1, latest);
    int r = store_step(store, statement);
    if (r < 0)
        return r;
    *attempt_id = r > 0 ? sqlite3_column_int64(statement, 0) : 0;
    if (r > 0)
        (void)sqlite3_reset(statement);
    return 0;
}

int store_ledger_since(struct store *store, int64_t *entry_id, int64_t *attempt_id)
{
    sqlite3_stmt *statement = store_statement(store, SQL_LEDGER_SINCE);
    if (statement)
        (void)sqlite3_bind_int64(statement, 1, *entry_id);
    int r = store_step(store, statement);
    if (r <= 0)
        return r < 0 ? r : -ERR_STORE_CORRUPT;
    *attempt_id = sqlite3_column_int64(statement, 0);
    if (sqlite3_column_int64(statement, 1) > *entry_id)
        *entry_id = sqlite3_column_int64(statement, 1);
    (void)sqlite3_reset(statement);
    return 0;
}

static int spending_rows(struct store *store, sqlite3_stmt *statement, store_spending_fn *fn,
                         void *context)
{
    int r;
    while ((r = store_step(store, statement)) > 0) {
        struct store_spending row = {
            .job_name = column_text(statement, 0),
            .is_removed = sqlite3_column_int(statement, 1) != 0,
            .state = column_text(statement, 2),
            .attempt_id = sqlite3_column_int64(statement, 3),
            .number = sqlite3_column_int64(statement, 4),
            .task_id = column_text(statement, 5),
            .model = column_text(statement, 6),
            .estimated_usd_micros = sqlite3_column_int64(statement, 7),
            .actual_usd_micros = sqlite3_column_int64(statement, 8),
            .submitted_ms = sqlite3_column_int64(statement, 9),
            .finished_ms = sqlite3_column_int64(statement, 10),
            .is_taken_over = sqlite3_column_int(statement, 11) != 0,
        };
        if (!spending_is_sound(&row)) {
            (void)sqlite3_reset(statement);
            return -ERR_STORE_CORRUPT;
        }
        fn(context, &row);
    }
    return r;
}

int store_spending_each(struct store *store, int64_t after_id, int64_t last_id,
                        store_spending_fn *fn, void *context)
{
    sqlite3_stmt *statement = store_statement(store, SQL_SPENDING);
    if (statement) {
        (void)sqlite3_bind_int64(statement, 1, after_id);
        (void)sqlite3_bind_int64(statement, 2, last_id);
    }
    return spending_rows(store, statement, fn, context);
}

int store_spending_removed(struct store *store, int64_t last_id, int64_t most,
                           store_spending_fn *fn, void *context)
{
    sqlite3_stmt *statement = store_statement(store, SQL_SPENDING_REMOVED);
    if (statement) {
        (void)sqlite3_bind_int64(statement, 1, last_id);
        (void)sqlite3_bind_int64(statement, 2, most);
    }
    return spending_rows(store, statement, fn, context);
}
