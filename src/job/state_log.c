#include "seedancefs/job/state_log.h"

#include "job_private.h"

#include "seedancefs/base/log.h"
#include "seedancefs/base/number.h"

enum { JOBS_SHOWN_MAX = 1000 };

static void call_log(const struct job *job)
{
    struct api_call_state state = api_call_state_get(job->detail->call);
    log_info("state.transfer", "kind=%s job=%s id=%lld bytes=%zu held=0 age_ms=%lld",
             state.is_create ? "create" : "poll", job->name, (long long)job->id,
             state.received_bytes, (long long)state.age_ms);
}

static void job_log(const struct job *job)
{
    const struct job_detail *detail = job->detail;
    int64_t timer_ms = -1;
    if (detail && timer_is_set(&detail->timer))
        timer_ms =
            max_int64(detail->timer.due_ms - clock_monotonic_ms(job->jobs->settings.clock), 0);
    log_info("state.job", "job=%s id=%lld state=%s attempt=%lld timer_ms=%lld queued=%d", job->name,
             (long long)job->id, job_state_to_text(job->state),
             detail ? (long long)detail->attempt.number : -1, (long long)timer_ms,
             detail && detail->is_queued);
    if (detail && detail->call)
        call_log(job);
}

static void counts_log(const size_t *counts)
{
    struct buf text;
    buf_init(&text, 1024);
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        (void)buf_addf(&text, " %s=%zu", job_state_to_text((enum job_state)i), counts[i]);
    log_info("state.jobs", "%s", buf_text(&text) + (text.len > 0));
    buf_fini(&text);
}

void jobs_state_log(struct jobs *jobs)
{
    size_t counts[JOB_STATE_COUNT] = {0};
    size_t active = 0;
    struct job *job;
    JOBS_FOREACH (jobs, job)
        counts[job->state]++;
    counts_log(counts);
    JOBS_FOREACH (jobs, job) {
        bool is_active = job_state_class(job->state) == JOB_CLASS_ACTIVE;
        if (is_active && active++ < JOBS_SHOWN_MAX)
            job_log(job);
    }
    if (active > JOBS_SHOWN_MAX)
        log_info("state.jobs", "not_shown=%zu", active - JOBS_SHOWN_MAX);
}
