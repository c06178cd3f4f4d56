/*
 * Computes what was spent from the attempts, which are never deleted and which are durable before
 * they are sent. The ledger itself has one entry for each change of an attempt's money, written in
 * the transaction of that change.
 */
#include "store_private.h"

#include <string.h>

int store_spent_get(struct store *store, int64_t since_ms, int64_t *usd_micros)
{
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, SQL_SPENT, VALUES(AS_INTEGER(since_ms)));
    int r = store_step(store, statement);
    if (r <= 0)
        return r < 0 ? r : -ERR_STORE_CORRUPT;
    *usd_micros = sqlite3_column_int64(statement, 0);
    /* A negative cost would add money that nobody has. */
    bool is_negative = sqlite3_column_int(statement, 1) != 0;
    return is_negative ? -ERR_STORE_CORRUPT : 0;
}

static int sum_get(struct store *store, enum statement which, int64_t *usd_micros)
{
    int r = store_integer_get(store, store_query(store, which, VALUES_NONE), usd_micros);
    return r == 0 ? -ERR_STORE_CORRUPT : r < 0 ? r : 0;
}

int store_held_get(struct store *store, int64_t *usd_micros)
{
    return sum_get(store, SQL_HELD, usd_micros);
}

int store_waiting_get(struct store *store, int64_t *usd_micros)
{
    return sum_get(store, SQL_WAITING, usd_micros);
}

int store_ledger_add(struct store *store, int64_t attempt_id, int64_t now_ms)
{
    return store_run(store, store_query(store, SQL_LEDGER_ADD,
                                        VALUES(AS_INTEGER(attempt_id), AS_INTEGER(now_ms))));
}

int store_generation_each(struct store *store, const struct store_attempt *like, int64_t most,
                          store_generation_fn *fn, void *context)
{
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, SQL_GENERATION_EACH,
                    VALUES(AS_TEXT(like->model), AS_TEXT(like->resolution),
                           AS_INTEGER(like->duration_ms), AS_INTEGER(most)));
    int r;
    while ((r = store_step(store, statement)) > 0)
        fn(context, sqlite3_column_int64(statement, 0));
    return r;
}

int store_task_find(struct store *store, const char *task_id, struct store_attempt *out)
{
    int64_t id;
    int r =
        store_integer_get(store, store_query(store, SQL_TASK_FIND, VALUES(AS_TEXT(task_id))), &id);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    return store_attempt_get(store, id, out);
}

static const char *column_text(sqlite3_stmt *statement, int index)
{
    return (const char *)sqlite3_column_text(statement, index);
}

static const char *const money_words[STORE_MONEY_CLASSES] = {
    [STORE_RELEASED] = "released",
    [STORE_SETTLED] = "settled",
    [STORE_RESERVED] = "reserved",
    [STORE_AT_RISK] = "at_risk",
};

/* Returns STORE_MONEY_CLASSES for an unknown word. */
static enum store_money money_parse(const char *word)
{
    int i = 0;
    while (i < STORE_MONEY_CLASSES && (!word || strcmp(word, money_words[i]) != 0))
        i++;
    return (enum store_money)i;
}

static bool spending_is_sound(const struct store_spending *row)
{
    return row->job_name && row->class < STORE_MONEY_CLASSES &&
           store_is_within(row->attempt_id, 1, STORE_ID_MAX) &&
           store_is_within(row->estimated_usd_micros, 0, STORE_USD_MICROS_MAX) &&
           store_is_within(row->actual_usd_micros, -1, STORE_USD_MICROS_MAX) &&
           store_is_within(row->submitted_ms, 0, STORE_TIME_MAX_MS) &&
           store_is_within(row->finished_ms, 0, STORE_TIME_MAX_MS);
}

int store_spending_before(struct store *store, int64_t latest, int64_t *attempt_id)
{
    int64_t id = 0;
    int r = store_integer_get(
        store, store_query(store, SQL_SPENDING_BEFORE, VALUES(AS_INTEGER(latest))), &id);
    if (r < 0)
        return r;
    *attempt_id = id;
    return 0;
}

int store_ledger_since(struct store *store, int64_t *entry_id, int64_t *attempt_id)
{
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, SQL_LEDGER_SINCE, VALUES(AS_INTEGER(*entry_id)));
    int r = store_step(store, statement);
    if (r <= 0)
        return r < 0 ? r : -ERR_STORE_CORRUPT;
    *attempt_id = sqlite3_column_int64(statement, 0);
    if (sqlite3_column_int64(statement, 1) > *entry_id)
        *entry_id = sqlite3_column_int64(statement, 1);
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
            .class = money_parse(column_text(statement, 11)),
            .usd_micros = sqlite3_column_int64(statement, 12),
        };
        if (!spending_is_sound(&row))
            return -ERR_STORE_CORRUPT;
        fn(context, &row);
    }
    return r;
}

int store_spending_each(struct store *store, int64_t after_id, int64_t last_id,
                        store_spending_fn *fn, void *context)
{
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, SQL_SPENDING, VALUES(AS_INTEGER(after_id), AS_INTEGER(last_id)));
    return spending_rows(store, statement, fn, context);
}

int store_spending_removed(struct store *store, int64_t last_id, int64_t most,
                           store_spending_fn *fn, void *context)
{
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, SQL_SPENDING_REMOVED, VALUES(AS_INTEGER(last_id), AS_INTEGER(most)));
    return spending_rows(store, statement, fn, context);
}
