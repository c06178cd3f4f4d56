/*
 * The budget: what attempts cost or may cost, against --budget. Nothing is counted in memory. The
 * sum is asked from the store each time, and every attempt is durable there before its request is
 * sent. So the sum stays right after a restart, and for any number of writers at once.
 *
 * It is asked twice. First before a create starts, so that a job can say why it waits. Then
 * immediately before the first byte is sent, when no other create can come in between.
 */
#include "job_private.h"

#include "seedancefs/base/text.h"

#include <time.h>

static const char *const period_words[] = {
    [JOB_BUDGET_TOTAL] = "", [JOB_BUDGET_DAY] = " per day", [JOB_BUDGET_MONTH] = " per month"};

const char *job_budget_period_to_text(enum job_budget_period period)
{
    return period_words[period];
}

/* Days and months are in UTC, like those of the service's bill. */
void job_budget_period_get(enum job_budget_period period, int64_t wall_ms, int64_t *start_ms,
                           int64_t *end_ms)
{
    const int64_t day_ms = INT64_C(86400) * 1000;
    *start_ms = 0;
    *end_ms = INT64_MAX;
    if (period == JOB_BUDGET_DAY) {
        *start_ms = wall_ms / day_ms * day_ms;
        *end_ms = *start_ms + day_ms;
    } else if (period == JOB_BUDGET_MONTH) {
        struct tm utc;
        time_t seconds = (time_t)(wall_ms / 1000);
        if (!gmtime_r(&seconds, &utc))
            return;
        struct tm first = {.tm_year = utc.tm_year, .tm_mon = utc.tm_mon, .tm_mday = 1};
        *start_ms = (int64_t)timegm(&first) * 1000;
        first = (struct tm){.tm_year = utc.tm_year, .tm_mon = utc.tm_mon + 1, .tm_mday = 1};
        *end_ms = (int64_t)timegm(&first) * 1000;
    }
}

int jobs_budget_get(struct jobs *jobs, struct job_budget_state *out)
{
    *out = (struct job_budget_state){.budget = jobs->settings.budget};
    int64_t start_ms;
    if (out->budget.limit_usd_micros == 0) {
        out->until_ms = INT64_MAX;
        return 0; /* the sum over all attempts would take time for nothing */
    }
    job_budget_period_get(out->budget.period, jobs_wall_ms(jobs), &start_ms, &out->until_ms);
    return store_spent_get(jobs->settings.store, start_ms, &out->used_usd_micros);
}

int job_budget_check(struct job *job, struct job_budget_state *state)
{
    struct jobs *jobs = job->jobs;
    if (jobs->settings.budget.limit_usd_micros == 0)
        return 0;
    int r = jobs_budget_get(jobs, state);
    if (r < 0)
        return r;
    int64_t left = state->budget.limit_usd_micros - state->used_usd_micros;
    return job->detail->attempt.estimated_usd_micros <= left ? 0 : -ERR_BUDGET;
}
