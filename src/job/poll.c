/*
 * QUEUED, RUNNING -> the end: polling the service for how a task is doing.
 *
 * poll_plan.c decides when to poll, from how long similar tasks took. A task that is still queued
 * has not begun, so its age counts from the last response that says so. --poll-interval replaces
 * the plan by a constant.
 *
 * A queue limits how many polls are made. It is held up by
 *   places       JOB_POLLS_MAX polls are under way at once
 *   rate         POLLS_PER_S in the long run, POLL_BURST at once (the virtual scheduling form of
 *                the leaky bucket, ITU-T I.371: one time stamp instead of a count of tokens)
 *   Retry-After  what one response says holds for all polls
 *   breaker      the api layer's verdict on a service that does not respond at all (not with
 *                --poll-interval)
 * The queue is first come, first served, and a job stands in it once. So if more jobs are due than
 * the rate allows, each is polled in its turn, and none more often than another. A poll that the
 * user has asked for goes first, and waits only for a place; requests for new URLs (refresh.c) go
 * even before that.
 *
 * The user sees a job as `succeeded` when its video can be opened. Between the service's word and
 * that, the program asks the media host for the size, and the job stays `running`. If the size
 * cannot be had for some time, the job is shown as succeeded all the same, and says why output.mp4
 * is not there yet.
 */
#include "job_private.h"

#include "poll_plan.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    POLL_MISSING_AGAIN_MS = 5 * 1000, /* the second look after a 404 */
    POLL_STALE_FAILURES = 2,          /* from this many failures in a row on, the job says so */
    POLL_RETRY_CAP_MS = 60 * 1000,
    POLL_BURST = 10,
};

static int64_t monotonic_ms(const struct jobs *jobs)
{
    return clock_monotonic_ms(jobs->settings.clock);
}

static void poll_done(void *context, const struct api_response *response);
static void poll_next(void *context);

/* A user who sets a fixed interval wants to know at once when the service is back. */
static int64_t poll_rest_ms(const struct jobs *jobs)
{
    return jobs->settings.poll_interval_ms > 0 ? 0 : api_rest_ms(jobs->settings.api);
}

static int64_t poll_wait_ms(const struct jobs *jobs)
{
    int64_t now_ms = monotonic_ms(jobs);
    int64_t rate_ms = jobs->poll_next_ms - (POLL_BURST - 1) * jobs_poll_spacing_ms(jobs) - now_ms;
    int64_t pause_ms = jobs->poll_paused_until_ms - now_ms;
    int64_t rest_ms = poll_rest_ms(jobs);
    return max_int64(max_int64(rate_ms, pause_ms), rest_ms);
}

static void poll_now(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    int r =
        api_get_task(jobs->settings.api, detail->attempt.task_id, job, poll_done, &detail->call);
    if (r == 0) {
        jobs_poll_began(jobs);
        return;
    }
    job_reason_set(detail, -ERR_STALE, "stale: the service cannot be asked: %s.", err_sentence(r));
    jobs_changed(job);
    job_poll_schedule(job, job_retry_delay_ms(jobs, ++detail->failures, POLL_RETRY_CAP_MS));
}

/* If the others get no response, a job that is due and still unpolled is as stale as they are. The
 * youngest stand at the end of the queue. */
static void poll_queue_explain(struct jobs *jobs)
{
    struct job_detail *head = jobs->poll_queue;
    struct job_detail *detail = head->queue_prev;
    while (!detail->reason) {
        job_reason_set(
            detail, -ERR_STALE,
            "stale: %s has not responded for some time; seedancefs asks again by itself.",
            jobs->api_name);
        jobs_changed(detail->job);
        if (detail == head || !detail->reason)
            return;
        detail = detail->queue_prev;
    }
}

static void poll_next(void *context)
{
    struct jobs *jobs = context;
    jobs_refresh_next(jobs);
    while (jobs->poll_queue && jobs->polls < JOB_POLLS_MAX && !jobs->is_stopping) {
        struct job_detail *detail = jobs->poll_queue;
        int64_t wait_ms = detail->is_poll_wanted ? 0 : poll_wait_ms(jobs);
        if (wait_ms > 0) {
            timer_set(jobs->settings.timers, &jobs->poll_timer, wait_ms, poll_next, jobs);
            if (poll_rest_ms(jobs) > 0)
                poll_queue_explain(jobs);
            return;
        }
        job_unqueue(detail->job);
        detail->is_poll_wanted = false;
        poll_now(detail->job);
    }
}

static void poll_due(void *context)
{
    struct job *job = context;
    struct job_detail *detail = job->detail;
    if (job->jobs->is_stopping || detail->call || detail->is_queued)
        return;
    detail->is_queued = true;
    DL_APPEND2(job->jobs->poll_queue, detail, queue_prev, queue_next);
    poll_next(job->jobs);
}

void job_poll_schedule(struct job *job, int64_t delay_ms)
{
    timer_set(job->jobs->settings.timers, &job->detail->timer, delay_ms, poll_due, job);
}

void job_poll_ask(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    if (jobs->is_stopping || detail->call)
        return;
    job_unqueue(job);
    detail->is_queued = true;
    DL_PREPEND2(jobs->poll_queue, detail, queue_prev, queue_next);
    poll_next(jobs);
}

static void poll_pause(struct jobs *jobs, int64_t delay_ms)
{
    jobs->poll_paused_until_ms =
        max_int64(jobs->poll_paused_until_ms, monotonic_ms(jobs) + delay_ms);
}

void jobs_poll_soon(struct jobs *jobs)
{
    if (jobs->poll_queue || jobs->refreshes)
        timer_set(jobs->settings.timers, &jobs->poll_timer, 0, poll_next, jobs);
}

static int64_t poll_delay_ms(struct job *job)
{
    struct jobs *jobs = job->jobs;
    unsigned spread_permille = 900 + (unsigned)(jobs_random(jobs) % 200);
    int64_t interval_ms = jobs->settings.poll_interval_ms;
    if (interval_ms > 0)
        return (interval_ms * spread_permille + 500) / 1000;
    struct poll_learned learned;
    job_poll_learned_get(job, &learned);
    return poll_plan_delay_ms(&learned, monotonic_ms(job->jobs) - job->detail->start_ms,
                              spread_permille);
}

static void poll_resume(struct job *job)
{
    job_poll_schedule(job, poll_delay_ms(job));
}

void job_poll_follow(struct job *job, int64_t delay_ms)
{
    job->detail->start_ms = job_start_ms(job);
    job->detail->last_seen_active_ms = delay_ms < 0 ? monotonic_ms(job->jobs) : -1;
    job_poll_schedule(job, delay_ms < 0 ? poll_delay_ms(job) : delay_ms);
}

static int64_t actual_cost(const struct job *job)
{
    const struct store_attempt *attempt = &job->detail->attempt;
    if (attempt->output_ms < 0)
        return -1;
    int64_t cost =
        job_attempt_cost(job->jobs, attempt, attempt->output_ms, attempt->input_video_ms);
    return cost < 0 ? -1 : cost;
}

static void task_failed(struct job *job, const struct api_task *task)
{
    struct store_attempt *attempt = &job->detail->attempt;
    enum job_state state = task->status == API_TASK_CANCELLED ? JOB_CANCELLED
                           : task->status == API_TASK_EXPIRED ? JOB_EXPIRED
                                                              : JOB_FAILED;
    const char *message =
        task->error_message[0] ? task->error_message : "the service gave no reason";
    job_text_keep(&attempt->error_message, message);
    job_text_keep(&attempt->error_code, task->error_code);
    if (task->error_request_id[0])
        job_text_keep(&attempt->request_id, task->error_request_id);
    char again[JOB_AGAIN_SIZE];
    job_again_to_text(job->detail, again);
    job_problem_set(job->detail, 0,
                    "The service could not make the video (%s%s%s): %s\n"
                    "Whether a failed task is charged is not documented by the service. %s\n",
                    job_state_to_text(state), task->error_code[0] ? ", " : "", task->error_code,
                    message, again);
    job_to_ended(job, state);
}

static void task_succeeded(struct job *job, const struct api_task *task)
{
    struct job_detail *detail = job->detail;
    const struct job_hooks *hooks = &job->jobs->settings.hooks;
    if (!task->video_url) {
        log_warn("task.no_url", "job=%s", job->name);
        job_reason_set(detail, -ERR_TASK_UNUSABLE,
                       "The service says that the video is done, but names no address for "
                       "it; seedancefs asks again.");
        jobs_changed(job);
        poll_resume(job);
        return;
    }
    int r = job->sizing ? 0 : job_take_new(job, job->attempt_id, &job->sizing);
    if (r == 0)
        r = job_take_urls_set(job->sizing, &detail->attempt, task);
    if (r < 0) {
        free(TAKE_POINTER(job->sizing));
        poll_resume(job);
        return;
    }
    if (task->video_duration_ms >= 0)
        detail->attempt.output_ms = task->video_duration_ms;
    detail->attempt.actual_usd_micros = actual_cost(job);
    job_poll_learn(job);
    job_text_clear(&detail->reason);
    job_persist(job, "the service has finished the video");
    if (hooks->on_video)
        hooks->on_video(hooks->context, job->sizing);
    else
        job_to_succeeded(job);
}

static void task_going_on(struct job *job, const struct api_task *task)
{
    struct job_detail *detail = job->detail;
    job_text_clear(&detail->reason);
    detail->last_seen_active_ms = monotonic_ms(job->jobs);
    if (task->status == API_TASK_QUEUED && job->state == JOB_QUEUED)
        detail->start_ms = detail->last_seen_active_ms;
    if (task->status == API_TASK_UNKNOWN) {
        if (!detail->has_logged_status_word)
            log_warn("task.status", "job=%s word=\"%s\"", job->name, task->status_word);
        detail->has_logged_status_word = true;
        if (task->status_word[0])
            job_reason_set(detail, -ERR_TASK_UNUSABLE,
                           "The service says \"%s\", a word that is not documented; seedancefs "
                           "asks again.",
                           task->status_word);
        else
            job_reason_set(detail, -ERR_TASK_UNUSABLE,
                           "The service does not say how the task is doing; seedancefs "
                           "asks again.");
        jobs_changed(job);
    } else if (task->status == API_TASK_RUNNING && job->state == JOB_QUEUED) {
        job_to_running(job);
    } else if (task->status == API_TASK_QUEUED && job->state == JOB_RUNNING) {
        /* A stale response, from another server behind the same name: a status never goes back. */
        log_warn("task.backwards", "job=%s", job->name);
    }
    poll_resume(job);
}

static void task_apply(struct job *job, const struct api_task *task)
{
    if (task->status == API_TASK_SUCCEEDED)
        task_succeeded(job, task);
    else if (api_task_status_is_final(task->status))
        task_failed(job, task);
    else
        task_going_on(job, task);
}

static void task_missing(struct job *job, const struct api_response *response)
{
    struct job_detail *detail = job->detail;
    if (!detail->saw_404) {
        detail->saw_404 = true;
        job_poll_schedule(job, POLL_MISSING_AGAIN_MS);
        return;
    }
    if (job_text_set(&detail->attempt.error_message, response->message) < 0)
        log_error("memory.refused", "job=%s", job->name);
    detail->attempt.http_status = response->http_status;
    char again[JOB_AGAIN_SIZE];
    job_again_to_text(detail, again);
    job_problem_set(detail, -ERR_TASK_LOST,
                    "The service does not know the task %s, or no longer knows it; it keeps tasks "
                    "for 7 days. seedancefs asked twice (HTTP %d%s%s).\n%s\n",
                    detail->attempt.task_id, response->http_status,
                    response->message[0] ? ": " : "", response->message, again);
    job_to_ended(job, JOB_LOST);
}

static void refusal_show(struct job *job, const struct api_response *response)
{
    struct job_detail *detail = job->detail;
    const char *why = response->message[0] ? response->message : "it gave no reason";
    job_response_note(&detail->attempt, response);
    job_problem_set(detail,
                    response->verdict == API_KEY_REFUSED       ? -ERR_KEY_REFUSED
                    : response->verdict == API_ACCOUNT_REFUSED ? -ERR_ACCOUNT_REFUSED
                                                               : -ERR_STALE,
                    "The service refuses to say how the task %s is doing (HTTP %d): %s%s\n%s\n",
                    detail->attempt.task_id, response->http_status, why, text_full_stop(why),
                    response->verdict == API_REFUSED
                        ? "seedancefs asks again every minute."
                        : "The task itself continues. Correct the API key (or the account) and "
                          "send SIGHUP to seedancefs (for another key a service has to be "
                          "restarted); until then seedancefs asks every minute.");
}

/* The response does not say how the task is doing: say so after a while, and poll again later. */
static void task_not_learned(struct job *job, const struct api_response *response)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    int64_t delay_ms = job_retry_delay_ms(jobs, ++detail->failures, POLL_RETRY_CAP_MS);
    if (response->retry_after_ms > 0) {
        delay_ms = response->retry_after_ms + delay_ms % 500;
        poll_pause(jobs, response->retry_after_ms);
    }
    bool is_refused = response->verdict == API_KEY_REFUSED ||
                      response->verdict == API_ACCOUNT_REFUSED || response->verdict == API_REFUSED;
    if (is_refused) {
        delay_ms = POLL_RETRY_CAP_MS;
        refusal_show(job, response);
    }
    if (is_refused || detail->failures >= POLL_STALE_FAILURES) {
        char why[JOB_RESPONSE_SIZE];
        job_response_to_text(response, why);
        job_reason_set(detail, -ERR_STALE, "stale: %s does not say how the task is doing: %s%s",
                       jobs->api_name, why, text_full_stop(why));
        jobs_changed(job);
    }
    job_poll_schedule(job, delay_ms);
}

static void poll_done(void *context, const struct api_response *response)
{
    struct job *job = job_ref(context);
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    detail->call = NULL;
    jobs->polls--;
    jobs->counts.polls_failed += response->verdict != API_TASK && response->verdict != API_LOST;
    if (response->verdict == API_TASK) {
        detail->failures = 0;
        detail->saw_404 = false;
        if (job->has_problem && job_is_following(job)) {
            job_response_note(&detail->attempt, response);
            job_problem_clear(detail);
            jobs_changed(job);
        }
        job_response_show(job, response);
    }
    if (job->is_removed)
        ;
    else if (!job_is_following(job) || job->sizing)
        log_debug("poll.late", "job=%s", job->name);
    else if (response->verdict == API_TASK)
        task_apply(job, response->task);
    else if (response->verdict == API_LOST)
        task_missing(job, response);
    else
        task_not_learned(job, response);
    job_unref(job);
    poll_next(jobs);
}
