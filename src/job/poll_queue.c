/*
 * How much is asked: the queue of jobs that are due, and what holds it up.
 *
 *   places       JOB_POLLS_MAX questions are under way at once
 *   rate         POLLS_PER_S in the long run, POLL_BURST at once (the virtual scheduling form of
 *                the leaky bucket, ITU-T I.371: one time stamp instead of a count of tokens)
 *   Retry-After  what one response says holds for all
 *   breaker      the api layer's word on a service that does not answer at all (not with
 *                --poll-interval)
 *
 * The queue is first come, first served, and a job stands in it once: with more jobs than the rate
 * allows each is asked in its turn, none more often than another. A reader that waits for a fresh
 * URL goes first, and past everything but the places: its own deadline is near, and there is one
 * such question per video and day. So does a user's `refresh`.
 */
#include "job_private.h"

enum {
    POLLS_PER_S = 10,
    POLL_BURST = 10,
    POLLS_PER_INTERVAL = 20, /* --poll-interval asks for more: so many jobs have it as they wish */
};

static int64_t monotonic_ms(const struct jobs *jobs)
{
    return clock_monotonic_ms(jobs->settings.clock);
}

/* Microseconds would be finer than the clock; the fixed intervals of tests come down to this. */
static int64_t poll_spacing_ms(const struct jobs *jobs)
{
    int64_t spacing_ms = 1000 / POLLS_PER_S;
    int64_t wanted_ms = jobs->settings.poll_interval_ms / POLLS_PER_INTERVAL;
    return jobs->settings.poll_interval_ms > 0 && wanted_ms < spacing_ms ? wanted_ms : spacing_ms;
}

/* Who wants a fixed interval wants to be told as soon as the service is back. */
static int64_t poll_rest_ms(const struct jobs *jobs)
{
    return jobs->settings.poll_interval_ms > 0 ? 0 : api_rest_ms(jobs->settings.api);
}

static int64_t poll_wait_ms(const struct jobs *jobs)
{
    int64_t now_ms = monotonic_ms(jobs);
    int64_t rate_ms = jobs->poll_next_ms - (POLL_BURST - 1) * poll_spacing_ms(jobs) - now_ms;
    int64_t pause_ms = jobs->poll_paused_until_ms - now_ms;
    int64_t rest_ms = poll_rest_ms(jobs);
    int64_t wait_ms = rate_ms > pause_ms ? rate_ms : pause_ms;
    return wait_ms > rest_ms ? wait_ms : rest_ms;
}

static void job_poll_now(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    int64_t now_ms = monotonic_ms(jobs);
    int r = api_get_task(jobs->settings.api, detail->attempt.task_id, job, job_poll_done,
                         &detail->call);
    if (r == 0) {
        jobs->polls++;
        jobs->counts.polls++;
        jobs->poll_next_ms =
            (jobs->poll_next_ms > now_ms ? jobs->poll_next_ms : now_ms) + poll_spacing_ms(jobs);
        return;
    }
    if (detail->is_refresh_wanted) {
        detail->is_refresh_wanted = false;
        if (jobs->settings.hooks.on_url)
            jobs->settings.hooks.on_url(jobs->settings.hooks.context, job, r);
        return;
    }
    job_reason_set(detail, "stale: the service cannot be asked: %s.", err_sentence(r));
    jobs_changed(job);
    job_poll_schedule(job, job_retry_delay_ms(jobs, ++detail->failures, JOB_POLL_RETRY_CAP_MS));
}

/* A job that is due and is not asked about because the others got no response is as stale as they
 * are: the youngest stand at the end. */
static void poll_queue_explain(struct jobs *jobs)
{
    struct job_detail *head = jobs->poll_queue;
    struct job_detail *detail = head->queue_prev;
    while (!detail->reason) {
        job_reason_set(detail,
                       "stale: %s has not responded for some time; seedancefs asks again by "
                       "itself.",
                       jobs->api_name);
        jobs_changed(detail->job);
        if (detail == head || !detail->reason)
            return;
        detail = detail->queue_prev;
    }
}

static void jobs_poll_due(void *context)
{
    jobs_poll_next(context);
}

void jobs_poll_next(struct jobs *jobs)
{
    while (jobs->poll_queue && jobs->polls < JOB_POLLS_MAX && !jobs->is_stopping) {
        struct job_detail *detail = jobs->poll_queue;
        bool is_waited_for = detail->is_refresh_wanted || detail->is_poll_wanted;
        int64_t wait_ms = is_waited_for ? 0 : poll_wait_ms(jobs);
        if (wait_ms > 0) {
            timer_set(jobs->settings.timers, &jobs->poll_timer, wait_ms, jobs_poll_due, jobs);
            if (poll_rest_ms(jobs) > 0)
                poll_queue_explain(jobs);
            return;
        }
        DL_DELETE2(jobs->poll_queue, detail, queue_prev, queue_next);
        detail->is_queued = detail->is_poll_wanted = false;
        job_poll_now(detail->job);
    }
}

static void job_poll_due(void *context)
{
    struct job *job = context;
    struct job_detail *detail = job->detail;
    if (job->jobs->is_stopping || detail->call || detail->is_queued)
        return;
    detail->is_queued = true;
    DL_APPEND2(job->jobs->poll_queue, detail, queue_prev, queue_next);
    jobs_poll_next(job->jobs);
}

void job_poll_schedule(struct job *job, int64_t delay_ms)
{
    timer_set(job->jobs->settings.timers, &job->detail->timer, delay_ms, job_poll_due, job);
}

void job_poll_ask(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    if (jobs->is_stopping || detail->call)
        return;
    if (detail->is_queued)
        DL_DELETE2(jobs->poll_queue, detail, queue_prev, queue_next);
    detail->is_queued = true;
    DL_PREPEND2(jobs->poll_queue, detail, queue_prev, queue_next);
    jobs_poll_next(jobs);
}

void jobs_poll_pause(struct jobs *jobs, int64_t delay_ms)
{
    int64_t until_ms = monotonic_ms(jobs) + delay_ms;
    if (until_ms > jobs->poll_paused_until_ms)
        jobs->poll_paused_until_ms = until_ms;
}
