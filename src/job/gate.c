/*
 * What keeps a waiting job from its create, and how the job says so. Gates that the user has to
 * open (key, account, quota) close for all jobs at once. A Retry-After passes by itself. Places and
 * money are given to jobs in the order in which they ask.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"

#include <string.h>

static const char *const gate_sentences[] = {
    [JOB_GATE_OPEN] = "",
    [JOB_GATE_KEY_MISSING] =
        "There is no API key, so nothing is sent. Give one with --api-key-file FILE or in the "
        "environment variable TOKENHUB_API_KEY and start seedancefs again, or write the key into "
        "the key file and send SIGHUP to seedancefs.",
    [JOB_GATE_KEY_REFUSED] =
        "The service refused the API key, so nothing is sent. Correct the key file and send "
        "SIGHUP to seedancefs, or start it again with the right key (a service has to be "
        "restarted); the job then continues by itself.",
    [JOB_GATE_ACCOUNT] =
        "The service refuses this account (balance used up, overdue, or not opened), so nothing "
        "is sent. Settle that with the service, then send SIGHUP to seedancefs or start it again; "
        "the job then continues by itself.",
    [JOB_GATE_QUOTA] = "A quota of this account is used up, so nothing is sent. Raise it at the "
                       "service, then send SIGHUP to seedancefs or start it again; the job then "
                       "continues by itself.",
};

static const int gate_codes[] = {
    [JOB_GATE_KEY_MISSING] = -ERR_KEY_MISSING,
    [JOB_GATE_KEY_REFUSED] = -ERR_KEY_REFUSED,
    [JOB_GATE_ACCOUNT] = -ERR_ACCOUNT_REFUSED,
    [JOB_GATE_QUOTA] = -ERR_QUOTA,
};

static void job_gate_show(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    const char *sentence = gate_sentences[jobs->gate];
    const char *message = jobs->gate_message ? jobs->gate_message : "";
    job_reason_set(detail, gate_codes[jobs->gate], "%s", sentence);
    job_problem_set(detail, gate_codes[jobs->gate],
                    "%s\n%s%s%sNothing was charged, and nothing is lost.\n", sentence,
                    *message ? "The service said: " : "", message, *message ? "\n" : "");
    jobs_changed(job);
}

void jobs_gate_close(struct jobs *jobs, enum job_gate gate, const char *message)
{
    jobs->gate = gate;
    if (job_text_set(&jobs->gate_message, message && *message ? message : NULL) < 0)
        job_text_clear(&jobs->gate_message);
    log_warn("gate.closed", "why=\"%s\"", gate_sentences[gate]);
    struct job_detail *detail;
    DL_FOREACH (jobs->details, detail) {
        if (detail->job->state == JOB_WAITING && !detail->job->is_removed) {
            timer_cancel(jobs->settings.timers, &detail->timer);
            job_gate_show(detail->job);
        }
    }
}

/* Stored in wall time, because only that clock goes on while the program does not run. If that
 * clock was set meanwhile, the wait is at most the longest that a service may ask for. */
static const char throttle_name[] = "throttled_until_ms";
enum { THROTTLE_MAX_MS = 3600 * 1000 };

void jobs_throttle(struct jobs *jobs, int64_t delay_ms)
{
    int64_t until_ms = clock_monotonic_ms(jobs->settings.clock) + delay_ms;
    if (until_ms <= jobs->throttled_until_ms) /* the longest wait that was asked for holds */
        return;
    jobs->throttled_until_ms = until_ms;
    struct store *store = jobs->settings.store;
    int r = store_begin(store, STORE_LAZY);
    if (r == 0)
        r = store_end(store, store_number_set(store, throttle_name, jobs_wall_ms(jobs) + delay_ms));
    if (r < 0)
        log_warn("store.refused", "what=throttle error=%s", err_name(r));
}

void jobs_throttle_resume(struct jobs *jobs)
{
    int64_t until_ms = 0;
    int r = store_number_get(jobs->settings.store, throttle_name, &until_ms);
    int64_t left_ms = until_ms - jobs_wall_ms(jobs);
    if (r < 0)
        log_warn("store.refused", "what=throttle error=%s", err_name(r));
    else if (until_ms > 0 && left_ms > 0)
        jobs->throttled_until_ms =
            clock_monotonic_ms(jobs->settings.clock) + min_int64(left_ms, THROTTLE_MAX_MS);
}

static bool is_throttled(struct job *job, int64_t *again_ms)
{
    struct jobs *jobs = job->jobs;
    int64_t left_ms = jobs->throttled_until_ms - clock_monotonic_ms(jobs->settings.clock);
    if (left_ms <= 0)
        return false;
    char until[TEXT_TIME_SIZE];
    text_time_rfc3339(jobs_wall_ms(jobs) + left_ms, until);
    job_reason_set(job->detail, -ERR_THROTTLED,
                   "The service asked to wait: nothing more is sent until %s.", until);
    jobs_changed(job);
    *again_ms = left_ms + (int64_t)(jobs_random(jobs) % 500);
    return true;
}

static bool is_without_place(struct job *job)
{
    struct jobs *jobs = job->jobs;
    unsigned most = jobs->settings.active_max;
    if (most == 0 || jobs->following + jobs->creates < most)
        return false;
    job_reason_set(job->detail, -ERR_MAX_ACTIVE,
                   "Waits for a free place: %u jobs are under way (--max-active %u).",
                   jobs->following + jobs->creates, most);
    jobs_changed(job);
    return true;
}

static void budget_show(struct job *job, const struct job_budget_state *state)
{
    struct job_detail *detail = job->detail;
    const char *period = job_budget_period_to_text(state->budget.period);
    char limit[TEXT_MONEY_SIZE];
    char used[TEXT_MONEY_SIZE];
    char cost[TEXT_MONEY_SIZE];
    char until[TEXT_TIME_SIZE] = "";
    text_usd(state->budget.limit_usd_micros, limit);
    text_usd(state->used_usd_micros, used);
    text_usd(detail->attempt.estimated_usd_micros, cost);
    bool is_ending = state->until_ms != INT64_MAX;
    if (is_ending)
        text_time_rfc3339(state->until_ms, until);
    job_reason_set(detail, -ERR_BUDGET,
                   "The budget of %s USD%s does not allow it: %s USD are used, it needs %s "
                   "USD.%s%s",
                   limit, period, used, cost, is_ending ? " seedancefs tries again at " : "",
                   until);
    job_problem_set(detail, -ERR_BUDGET,
                    "The budget of %s USD%s does not allow this request: %s USD are used or "
                    "reserved, and it needs about %s USD.\n"
                    "%s%s%sNothing was sent and nothing was charged. A larger --budget lets it "
                    "continue at once.\n",
                    limit, period, used, cost, is_ending ? "seedancefs tries again at " : "", until,
                    is_ending ? ".\n" : "");
    jobs_changed(job);
}

static bool is_without_money(struct job *job, int64_t *again_ms)
{
    struct jobs *jobs = job->jobs;
    struct job_budget_state state;
    int r = job_budget_check(job, &state);
    if (r == 0)
        return false;
    if (r != -ERR_BUDGET) {
        job_reason_set(job->detail, r, "What has been spent cannot be read: %s.", err_sentence(r));
        jobs_changed(job);
        *again_ms = JOB_SAVE_AGAIN_MS;
        return true;
    }
    budget_show(job, &state);
    /* The wall clock may be set meanwhile: look at least every hour. */
    if (state.until_ms != INT64_MAX)
        *again_ms = min_int64(state.until_ms - jobs_wall_ms(jobs), 3600 * 1000);
    return true;
}

int job_gate_pass(struct job *job, int64_t *again_ms)
{
    struct jobs *jobs = job->jobs;
    if (!api_has_key(jobs->settings.api) && jobs->gate == JOB_GATE_OPEN)
        jobs->gate = JOB_GATE_KEY_MISSING;
    if (jobs->gate != JOB_GATE_OPEN) {
        job_gate_show(job);
        return -EAGAIN;
    }
    if (is_throttled(job, again_ms))
        return -EAGAIN;
    return is_without_place(job) || is_without_money(job, again_ms) ? -EBUSY : 0;
}
