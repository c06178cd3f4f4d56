/*
 * spend.json: the ledger. It is summed up from the attempts in the store whenever it is opened;
 * attempts of removed jobs are among them, with the task ids by which they can be adopted again.
 *
 *   settled   the cost by the length of a finished video
 *   reserved  the estimate of what is under way
 *   at_risk   the estimate of what may or may not have been charged: unknown, and tasks that failed
 */
#include "tree_private.h"

#include "seedancefs/base/json.h"
#include "seedancefs/base/table.h"
#include "seedancefs/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum spend_class { SPEND_NOTHING, SPEND_SETTLED, SPEND_RESERVED, SPEND_AT_RISK, SPEND_CLASSES };

static const char *const spend_words[SPEND_CLASSES] = {"nothing", "settled", "reserved", "at_risk"};

struct spend_sum {
    char key[TEXT_NAME_MAX + 1];
    int64_t usd_micros[SPEND_CLASSES];
    UT_hash_handle hh;
};

struct spend {
    struct spend_sum total;
    struct spend_sum *by_day;
    struct spend_sum *by_month;
    struct spend_sum *by_model;
    struct spend_sum *by_job;
    struct buf jobs; /* the attempts, rendered as they come */
    struct json_writer writer;
    int error;
};

static enum spend_class spend_class_of(const struct store_spending *row)
{
    if (row->submitted_ms == 0 || row->is_taken_over)
        return SPEND_NOTHING;
    if (row->actual_usd_micros >= 0)
        return SPEND_SETTLED;
    if (!row->task_id)
        return row->finished_ms                                      ? SPEND_NOTHING /* refused */
               : row->state && strcmp(row->state, "submitting") == 0 ? SPEND_RESERVED
                                                                     : SPEND_AT_RISK;
    return row->finished_ms || !row->state ? SPEND_AT_RISK : SPEND_RESERVED;
}

static int64_t spend_amount(const struct store_spending *row)
{
    return row->actual_usd_micros >= 0 ? row->actual_usd_micros : row->estimated_usd_micros;
}

static void sum_add(struct spend *spend, struct spend_sum **table, const char *key, size_t len,
                    enum spend_class class, int64_t usd_micros)
{
    struct spend_sum *sum;
    if (len > TEXT_NAME_MAX)
        len = TEXT_NAME_MAX;
    HASH_FIND(hh, *table, key, len, sum);
    if (!sum) {
        sum = calloc(1, sizeof(*sum));
        if (!sum) {
            spend->error = -ENOMEM;
            return;
        }
        memcpy(sum->key, key, len);
        HASH_ADD_KEYPTR(hh, *table, sum->key, len, sum);
        if (!TABLE_HAS(sum, hh)) {
            free(sum);
            spend->error = -ENOMEM;
            return;
        }
    }
    sum->usd_micros[class] += usd_micros;
}

static void write_usd(struct json_writer *w, const char *key, int64_t usd_micros)
{
    char text[TEXT_MONEY_SIZE];
    text_usd(usd_micros, text);
    json_write_member_string(w, key, text);
}

static void write_when(struct json_writer *w, const char *key, int64_t wall_ms)
{
    char text[TEXT_TIME_SIZE];
    if (wall_ms > 0)
        text_time_rfc3339(wall_ms, text);
    json_write_member_string(w, key, wall_ms > 0 ? text : NULL);
}

static void attempt_add(void *context, const struct store_spending *row)
{
    struct spend *spend = context;
    enum spend_class class = spend_class_of(row);
    int64_t amount = class == SPEND_NOTHING ? 0 : spend_amount(row);
    spend->total.usd_micros[class] += amount;
    if (class != SPEND_NOTHING) {
        char when[TEXT_TIME_SIZE];
        text_time_rfc3339(row->submitted_ms, when);
        sum_add(spend, &spend->by_day, when, 10, class, amount);
        sum_add(spend, &spend->by_month, when, 7, class, amount);
        sum_add(spend, &spend->by_model, row->model, strlen(row->model), class, amount);
        const char *job = row->job_name ? row->job_name : "";
        sum_add(spend, &spend->by_job, job, strlen(job), class, amount);
    }
    struct json_writer *w = &spend->writer;
    json_write_object_begin(w);
    json_write_member_string(w, "job", row->job_name);
    json_write_member_bool(w, "removed", row->is_removed);
    json_write_member_int64(w, "attempt", row->number);
    json_write_member_string(w, "state", row->state);
    json_write_member_string(w, "task_id", row->task_id);
    json_write_member_string(w, "model", row->model);
    write_when(w, "submitted_at", row->submitted_ms);
    write_when(w, "finished_at", row->finished_ms);
    write_usd(w, "estimated", row->estimated_usd_micros);
    json_write_key(w, "actual");
    if (row->actual_usd_micros < 0) {
        json_write_null(w);
    } else {
        char text[TEXT_MONEY_SIZE];
        text_usd(row->actual_usd_micros, text);
        json_write_string(w, text);
    }
    json_write_member_string(w, "counts_as", spend_words[class]);
    json_write_object_end(w);
}

static void write_sums(struct json_writer *w, const struct spend_sum *sum)
{
    for (int class = SPEND_SETTLED; class < SPEND_CLASSES; class ++)
        write_usd(w, spend_words[class], sum->usd_micros[class]);
}

static void write_table(struct json_writer *w, const char *key, struct spend_sum *table)
{
    json_write_key(w, key);
    json_write_object_begin(w);
    for (struct spend_sum *sum = table; sum; sum = sum->hh.next) {
        json_write_key(w, sum->key);
        json_write_object_begin(w);
        write_sums(w, sum);
        json_write_object_end(w);
    }
    json_write_object_end(w);
}

static int write_budget(struct tree *tree, struct json_writer *w)
{
    struct job_budget_state state;
    int r = jobs_budget_get(tree->settings.jobs, &state);
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
    int64_t left = state.budget.limit_usd_micros - state.used_usd_micros;
    write_usd(w, "left", left > 0 ? left : 0);
    write_when(w, "until", state.until_ms == INT64_MAX ? 0 : state.until_ms);
    json_write_object_end(w);
    return 0;
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

static void sums_add(void *context, const struct store_spending *row)
{
    int64_t *sums = context;
    enum spend_class class = spend_class_of(row);
    if (class != SPEND_NOTHING)
        sums[class - SPEND_SETTLED] += spend_amount(row);
}

int spend_sums_get(struct tree *tree, int64_t usd_micros[static SPEND_SUMS])
{
    uint64_t changes = jobs_counts_get(tree->settings.jobs)->changes;
    if (!tree->has_spend_sums || tree->spend_changes != changes) {
        int64_t sums[SPEND_SUMS] = {0};
        int r = jobs_spending_each(tree->settings.jobs, sums_add, sums);
        if (r < 0)
            return r;
        memcpy(tree->spend_sums, sums, sizeof(sums));
        tree->spend_changes = changes;
        tree->has_spend_sums = true;
    }
    memcpy(usd_micros, tree->spend_sums, sizeof(tree->spend_sums));
    return 0;
}

int spend_render(struct tree *tree, struct buf *out)
{
    struct spend spend = {0};
    struct json_writer w;
    buf_init(&spend.jobs, out->limit);
    json_writer_init(&spend.writer, &spend.jobs, JSON_PRETTY);
    json_write_array_begin(&spend.writer);
    int r = jobs_spending_each(tree->settings.jobs, attempt_add, &spend);
    json_write_array_end(&spend.writer);
    if (r == 0)
        r = spend.error ? spend.error : spend.jobs.error;
    json_writer_init(&w, out, JSON_PRETTY);
    json_write_object_begin(&w);
    json_write_member_string(&w, "currency", "USD");
    if (r == 0)
        r = write_budget(tree, &w);
    write_sums(&w, &spend.total);
    write_table(&w, "by_day", spend.by_day);
    write_table(&w, "by_month", spend.by_month);
    write_table(&w, "by_model", spend.by_model);
    write_table(&w, "by_job", spend.by_job);
    json_write_key(&w, "attempts");
    json_write_raw(&w, buf_text(&spend.jobs));
    json_write_object_end(&w);
    buf_add_char(out, '\n');
    table_free(&spend.by_day);
    table_free(&spend.by_month);
    table_free(&spend.by_model);
    table_free(&spend.by_job);
    buf_fini(&spend.jobs);
    return r < 0 ? r : out->error;
}
