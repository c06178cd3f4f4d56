/*
 * spend.json: the ledger, the sum of all attempts in the store, also of those of removed jobs.
 *
 * The sums cover all attempts. The file lists the latest SPEND_LISTED attempts, and the earlier
 * attempts of removed jobs, with the task ids by which they can be adopted again. Not more, because
 * every `ls` of the root needs the size of the file.
 *
 * For the same reason the earlier attempts are read once, and their sums are kept. They hardly ever
 * change. If one does, the store's ledger shows it, because each change of an attempt's money adds
 * an entry there in the same transaction. Then all of them are read again.
 */
#include "tree_private.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/json.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/table.h"
#include "seedancefs/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPEND_BYTES_MAX = 16 * 1024 * 1024 };

static const char *const money_words[STORE_MONEY_CLASSES] = {"nothing", "settled", "reserved",
                                                             "at_risk"};

/* `past`: of the attempts that are not listed; `now`: of those that are. */
struct spend_amounts {
    int64_t past[STORE_MONEY_CLASSES];
    int64_t now[STORE_MONEY_CLASSES];
    bool is_past;
    bool is_now;
};

struct spend_sum {
    char key[TEXT_NAME_MAX + 1];
    struct spend_amounts amounts;
    UT_hash_handle hh;
};

enum spend_table { SPEND_BY_DAY, SPEND_BY_MONTH, SPEND_BY_MODEL, SPEND_BY_JOB, SPEND_TABLES };

static const char *const table_words[SPEND_TABLES] = {"by_day", "by_month", "by_model", "by_job"};

struct spend {
    struct spend_amounts total;
    int64_t held_usd_micros;    /* what the held jobs would cost */
    int64_t waiting_usd_micros; /* what the waiting ones will */
    int64_t restored_ms;        /* what was spent before is perhaps not known; 0: never */
    struct spend_sum *tables[SPEND_TABLES]; /* by_job has only listed attempts */
    int64_t past_id;                        /* the last attempt that is not listed */
    int64_t past_count;
    int64_t entry_id; /* of the ledger: entries up to this one are included */
    uint64_t changes; /* jobs_counts.changes at the last reading */
    bool is_known;
    int64_t size; /* of the file; -1: not known since the last change */
    struct job_budget_state budget;
    int64_t budget_ms; /* wall time of the last reading of the budget */
    uint64_t budget_changes;
    bool has_budget;
};

/* One reading of attempts. */
struct spend_reading {
    struct spend *spend;
    struct json_writer *writer; /* of the list; NULL: only sums */
    bool is_past;
    int error;
};

static void amounts_add(struct spend_amounts *amounts, bool is_past, enum store_money class,
                        int64_t usd_micros)
{
    *(is_past ? &amounts->is_past : &amounts->is_now) = true;
    (is_past ? amounts->past : amounts->now)[class] += usd_micros;
}

static void sum_add(struct spend_reading *reading, enum spend_table which, const char *key,
                    size_t len, enum store_money class, int64_t usd_micros)
{
    struct spend_sum **table = &reading->spend->tables[which];
    struct spend_sum *sum;
    len = min_size(len, TEXT_NAME_MAX);
    HASH_FIND(hh, *table, key, len, sum);
    if (!sum) {
        sum = calloc(1, sizeof(*sum));
        if (!sum) {
            reading->error = -ENOMEM;
            return;
        }
        memcpy(sum->key, key, len);
        HASH_ADD_KEYPTR(hh, *table, sum->key, len, sum);
        if (!TABLE_HAS(sum, hh)) {
            free(sum);
            reading->error = -ENOMEM;
            return;
        }
    }
    amounts_add(&sum->amounts, reading->is_past, class, usd_micros);
}

static void table_free(struct spend_sum **table)
{
    struct spend_sum *sum;
    struct spend_sum *next;
    HASH_ITER (hh, *table, sum, next) {
        HASH_DELETE(hh, *table, sum);
        free(sum);
    }
}

static void amounts_now_clear(struct spend_amounts *amounts)
{
    memset(amounts->now, 0, sizeof(amounts->now));
    amounts->is_now = false;
}

static void spend_now_clear(struct spend *spend)
{
    table_free(&spend->tables[SPEND_BY_JOB]);
    amounts_now_clear(&spend->total);
    for (int i = 0; i < SPEND_TABLES; i++) {
        for (struct spend_sum *sum = spend->tables[i]; sum; sum = sum->hh.next)
            amounts_now_clear(&sum->amounts);
    }
}

static void spend_past_clear(struct spend *spend)
{
    for (int i = 0; i < SPEND_TABLES; i++)
        table_free(&spend->tables[i]);
    spend->total = (struct spend_amounts){.is_now = false};
    spend->past_id = 0;
    spend->past_count = 0;
}

/* Drops the sums in memory; the next reader sums up the store again. */
void spend_forget(struct tree *tree)
{
    if (tree->spend)
        spend_past_clear(tree->spend);
    free(tree->spend);
    tree->spend = NULL;
}

static int spend_get(struct tree *tree, struct spend **out)
{
    if (!tree->spend) {
        tree->spend = calloc(1, sizeof(*tree->spend));
        if (!tree->spend)
            return -ENOMEM;
        tree->spend->size = -1;
    }
    *out = tree->spend;
    return 0;
}

static void write_attempt(struct json_writer *w, const struct store_spending *row)
{
    json_write_object_begin(w);
    json_write_member_string(w, "job", row->job_name);
    json_write_member_bool(w, "removed", row->is_removed);
    json_write_member_int64(w, "attempt", row->number);
    json_write_member_string(w, "state", row->state);
    json_write_member_string(w, "task_id", row->task_id);
    json_write_member_string(w, "model", row->model);
    write_time(w, "submitted_at", row->submitted_ms);
    write_time(w, "finished_at", row->finished_ms);
    write_usd(w, "estimated", row->estimated_usd_micros);
    write_usd(w, "actual", row->actual_usd_micros);
    json_write_member_string(w, "counts_as", money_words[row->class]);
    json_write_object_end(w);
}

static void attempt_add(void *context, const struct store_spending *row)
{
    struct spend_reading *reading = context;
    enum store_money class = row->class;
    int64_t amount = row->usd_micros;
    amounts_add(&reading->spend->total, reading->is_past, class, amount);
    reading->spend->past_count += reading->is_past;
    if (class != STORE_RELEASED) {
        char when[TEXT_TIME_SIZE];
        text_time_rfc3339(row->submitted_ms, when);
        sum_add(reading, SPEND_BY_DAY, when, 10, class, amount);
        sum_add(reading, SPEND_BY_MONTH, when, 7, class, amount);
        sum_add(reading, SPEND_BY_MODEL, row->model, strlen(row->model), class, amount);
        if (reading->writer)
            sum_add(reading, SPEND_BY_JOB, row->job_name, strlen(row->job_name), class, amount);
    }
    if (reading->writer)
        write_attempt(reading->writer, row);
}

static void write_sums(struct json_writer *w, const struct spend_amounts *amounts)
{
    for (int class = STORE_SETTLED; class < STORE_MONEY_CLASSES; class ++)
        write_usd(w, money_words[class], amounts->past[class] + amounts->now[class]);
}

static void write_table(struct json_writer *w, const char *key, struct spend_sum *table)
{
    json_write_key(w, key);
    json_write_object_begin(w);
    for (struct spend_sum *sum = table; sum; sum = sum->hh.next) {
        if (!sum->amounts.is_past && !sum->amounts.is_now)
            continue;
        json_write_key(w, sum->key);
        json_write_object_begin(w);
        write_sums(w, &sum->amounts);
        json_write_object_end(w);
    }
    json_write_object_end(w);
}

int spend_budget_get(struct tree *tree, struct job_budget_state *out)
{
    struct spend *spend;
    int64_t now_ms = clock_wall_ms(tree->settings.clock);
    uint64_t changes = jobs_counts_get(tree->settings.jobs)->changes;
    int r = spend_get(tree, &spend);
    if (r < 0)
        return r;
    /* The budget's state changes with the store, and with the period. */
    if (!spend->has_budget || spend->budget_changes != changes || now_ms < spend->budget_ms ||
        now_ms >= spend->budget.until_ms) {
        spend->has_budget = false;
        spend->size = -1;
        r = jobs_budget_get(tree->settings.jobs, &spend->budget);
        if (r < 0)
            return r;
        spend->has_budget = true;
        spend->budget_changes = changes;
        spend->budget_ms = now_ms;
    }
    *out = spend->budget;
    return 0;
}

static int write_budget(struct tree *tree, struct json_writer *w)
{
    struct job_budget_state state;
    int r = spend_budget_get(tree, &state);
    if (r < 0)
        return r;
    json_write_key(w, "budget");
    if (state.budget.limit_usd_micros == 0) {
        json_write_null(w);
        return 0;
    }
    static const char *const periods[] = {"total", "day", "month"};
    json_write_object_begin(w);
    write_usd(w, "limit", state.budget.limit_usd_micros);
    json_write_member_string(w, "period", periods[state.budget.period]);
    write_usd(w, "used", state.used_usd_micros);
    write_usd(w, "left", max_int64(state.budget.limit_usd_micros - state.used_usd_micros, 0));
    write_time(w, "until", state.until_ms == INT64_MAX ? 0 : state.until_ms);
    json_write_object_end(w);
    return 0;
}

/* Reads the attempts: the listed ones, into `list` unless it is NULL, and the others if their sums
 * are not known. */
static int spend_read(struct tree *tree, struct spend *spend, struct json_writer *list)
{
    struct store *store = tree->settings.store;
    struct spend_reading reading = {.spend = spend, .is_past = true};
    int64_t changed_id;
    int64_t past_id;
    spend->is_known = false;
    spend->size = -1;
    spend_now_clear(spend);
    int r = store_ledger_since(store, &spend->entry_id, &changed_id);
    if (r == 0 && changed_id > 0 && changed_id <= spend->past_id)
        spend_past_clear(spend);
    if (r == 0)
        r = store_spending_before(store, SPEND_LISTED, &past_id);
    if (r == 0 && past_id > spend->past_id) {
        r = store_spending_each(store, spend->past_id, past_id, attempt_add, &reading);
        spend->past_id = past_id;
    }
    reading.is_past = false;
    reading.writer = list;
    if (r == 0)
        r = store_spending_each(store, spend->past_id, INT64_MAX, attempt_add, &reading);
    if (r == 0)
        r = reading.error;
    if (r == 0)
        r = store_held_get(store, &spend->held_usd_micros);
    if (r == 0)
        r = store_waiting_get(store, &spend->waiting_usd_micros);
    if (r == 0)
        r = store_number_get(store, "restored_ms", &spend->restored_ms);
    if (r < 0) {
        spend_past_clear(spend); /* drop incomplete sums */
        return r;
    }
    spend->changes = jobs_counts_get(tree->settings.jobs)->changes;
    spend->is_known = true;
    return 0;
}

static bool spend_is_known(const struct tree *tree, const struct spend *spend)
{
    return spend->is_known && spend->changes == jobs_counts_get(tree->settings.jobs)->changes;
}

int spend_sums_get(struct tree *tree, int64_t usd_micros[static SPEND_SUMS])
{
    struct spend *spend;
    int r = spend_get(tree, &spend);
    if (r == 0 && !spend_is_known(tree, spend))
        r = spend_read(tree, spend, NULL);
    for (int i = 0; r == 0 && i < SPEND_HELD; i++)
        usd_micros[i] = spend->total.past[STORE_SETTLED + i] + spend->total.now[STORE_SETTLED + i];
    if (r == 0)
        usd_micros[SPEND_HELD] = spend->held_usd_micros;
    if (r == 0)
        usd_micros[SPEND_WAITING] = spend->waiting_usd_micros;
    return r;
}

static void write_removed_one(void *context, const struct store_spending *row)
{
    struct json_writer *w = context;
    json_write_object_begin(w);
    json_write_member_string(w, "job", row->job_name);
    json_write_member_int64(w, "attempt", row->number);
    json_write_member_string(w, "task_id", row->task_id);
    json_write_object_end(w);
}

static int write_removed(struct tree *tree, const struct spend *spend, struct json_writer *w)
{
    int r = 0;
    json_write_key(w, "earlier_removed");
    json_write_array_begin(w);
    if (spend->past_id > 0)
        r = store_spending_removed(tree->settings.store, spend->past_id, SPEND_REMOVED_LISTED,
                                   write_removed_one, w);
    json_write_array_end(w);
    return r;
}

static int write_file(struct tree *tree, const struct spend *spend, struct json_writer *w,
                      const char *list)
{
    write_sums(w, &spend->total);
    write_usd(w, "held", spend->held_usd_micros);
    write_usd(w, "waiting", spend->waiting_usd_micros);
    write_time(w, "restored_at", spend->restored_ms);
    for (int i = 0; i < SPEND_TABLES; i++)
        write_table(w, table_words[i], spend->tables[i]);
    json_write_member_int64(w, "earlier_attempts", spend->past_count);
    int r = write_removed(tree, spend, w);
    json_write_key(w, "attempts");
    json_write_raw(w, list);
    json_write_object_end(w);
    return r;
}

int spend_render(struct tree *tree, const struct node *node UNUSED, struct buf *out)
{
    struct spend *spend;
    struct json_writer w;
    size_t before = out->len;
    int r = spend_get(tree, &spend);
    if (r < 0)
        return r;
    /* The list is rendered while the attempts are read. */
    CLEANUP(buf_fini) struct buf list = {.limit = SPEND_BYTES_MAX};
    json_writer_init(&w, &list, JSON_PRETTY);
    json_write_array_begin(&w);
    r = spend_read(tree, spend, &w);
    json_write_array_end(&w);
    if (r == 0)
        r = list.error;
    json_writer_init(&w, out, JSON_PRETTY);
    json_write_object_begin(&w);
    json_write_member_int64(&w, "schema", JOB_JSON_SCHEMA);
    json_write_member_string(&w, "currency", "USD");
    if (r == 0)
        r = write_budget(tree, &w);
    if (r == 0)
        r = write_file(tree, spend, &w, buf_text(&list));
    buf_add_char(out, '\n');
    if (r == 0)
        r = out->error;
    if (r == 0)
        spend->size = (int64_t)(out->len - before);
    return r;
}

int spend_size(struct tree *tree, const struct node *node, int64_t *size)
{
    struct spend *spend;
    struct job_budget_state budget; /* first, because a change of it changes the file */
    int r = spend_get(tree, &spend);
    if (r == 0)
        r = spend_budget_get(tree, &budget);
    if (r == 0 && (spend->size < 0 || !spend_is_known(tree, spend))) {
        CLEANUP(buf_fini) struct buf text = {.limit = SPEND_BYTES_MAX};
        r = spend_render(tree, node, &text);
    }
    if (r == 0)
        *size = spend->size;
    return r;
}
