/*
 * QUEUED, RUNNING -> the end: asking the service how a task is doing.
 *
 * When to ask is decided by poll_plan.c, from how long like tasks took; how many questions may be
 * asked at all, by poll_queue.c. A task that is still queued has not begun, so its age counts from
 * there.
 * --poll-interval replaces the plan by a constant.
 *
 * A job is `succeeded` for its user when its video can be opened: between the service's word and
 * that, the size is asked from the media host, and the job is still `running`. If the size cannot
 * be had for some time the job is shown as succeeded all the same, and says why output.mp4 is not
 * there yet.
 */
#include "job_private.h"

#include "poll_plan.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"
#include "seedancefs/prompt/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    POLL_MISSING_AGAIN_MS = 5 * 1000, /* the second look after a 404 */
    POLL_STALE_FAILURES = 2,          /* from so many failures in a row on the job says so */
};

static int64_t monotonic_ms(const struct job *job)
{
    return clock_monotonic_ms(job->jobs->settings.clock);
}

static int64_t job_poll_delay_ms(struct job *job)
{
    struct jobs *jobs = job->jobs;
    unsigned spread_permille = 900 + (unsigned)(jobs_random(jobs) % 200);
    int64_t interval_ms = jobs->settings.poll_interval_ms;
    if (interval_ms > 0)
        return (interval_ms * spread_permille + 500) / 1000;
    struct poll_learned learned;
    job_poll_learned_get(job, &learned);
    return poll_plan_delay_ms(&learned, monotonic_ms(job) - job->detail->start_ms, spread_permille);
}

static void job_poll_resume(struct job *job)
{
    job_poll_schedule(job, job_poll_delay_ms(job));
}

void job_poll_follow(struct job *job, int64_t delay_ms)
{
    const struct store_attempt *attempt = &job->detail->attempt;
    /* The wall clock may have been set since; whatever it says, the task is between new and
     * forgotten. */
    const int64_t oldest_ms = INT64_C(7) * 86400 * 1000;
    int64_t age_ms = jobs_wall_ms(job->jobs) - attempt->submitted_ms;
    age_ms = age_ms < 0 ? 0 : age_ms > oldest_ms ? oldest_ms : age_ms;
    job->detail->start_ms = monotonic_ms(job) - age_ms;
    job->detail->last_seen_active_ms = delay_ms < 0 ? monotonic_ms(job) : -1;
    job_poll_schedule(job, delay_ms < 0 ? job_poll_delay_ms(job) : delay_ms);
}

static int64_t attempt_cost(const struct store_attempt *attempt)
{
    if (attempt->output_ms < 0)
        return -1;
    int64_t cost = model_estimate_usd_micros(model_find(attempt->model), attempt->resolution,
                                             attempt->output_ms, attempt->input_video_ms);
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
    if (job_text_set(&attempt->error_message, message) < 0 ||
        job_text_set(&attempt->error_code, task->error_code[0] ? task->error_code : NULL) < 0 ||
        (task->error_request_id[0] &&
         job_text_set(&attempt->request_id, task->error_request_id) < 0))
        log_error("memory.refused", "job=%s", job->name);
    job_problem_set(job->detail,
                    "The service could not make the video (%s%s%s): %s\n"
                    "Whether a failed task is charged is not documented by the service. To try "
                    "again, change %s or write it once more: that is a new, paid attempt.\n",
                    job_state_to_text(state), task->error_code[0] ? ", " : "", task->error_code,
                    message, job_prompt_name(job->detail));
    job_to_ended(job, state);
}

static int job_urls_set(struct job *job, const struct api_task *task)
{
    struct store_attempt *attempt = &job->detail->attempt;
    int r = job_text_set(&attempt->video_url, task->video_url);
    if (r == 0)
        r = job_text_set(&attempt->cover_url, task->cover_image_url);
    int64_t expires_ms = api_url_expires_at_ms(task->video_url);
    attempt->url_expires_ms = expires_ms > 0 ? expires_ms : 0;
    job->url_expires_ms = attempt->video_url ? attempt->url_expires_ms : -1;
    return r;
}

static void task_succeeded(struct job *job, const struct api_task *task)
{
    struct job_detail *detail = job->detail;
    const struct job_hooks *hooks = &job->jobs->settings.hooks;
    if (!task->video_url) {
        log_warn("task.no_url", "job=%s", job->name);
        job_reason_set(detail, "The service says that the video is done, but names no address for "
                               "it; seedancefs asks again.");
        jobs_changed(job);
        job_poll_resume(job);
        return;
    }
    int r = job_urls_set(job, task);
    if (r < 0) {
        job_poll_resume(job);
        return;
    }
    if (task->video_duration_ms >= 0)
        detail->attempt.output_ms = task->video_duration_ms;
    detail->attempt.actual_usd_micros = attempt_cost(&detail->attempt);
    job_poll_learn(job);
    detail->is_sizing_video = true;
    job_text_clear(&detail->reason);
    job_persist(job, "the service has finished the video");
    if (hooks->on_video)
        hooks->on_video(hooks->context, job);
    else
        job_to_succeeded(job);
}

static void task_going_on(struct job *job, const struct api_task *task)
{
    struct job_detail *detail = job->detail;
    job_text_clear(&detail->reason);
    detail->last_seen_active_ms = monotonic_ms(job);
    if (task->status == API_TASK_QUEUED && job->state == JOB_QUEUED)
        detail->start_ms = detail->last_seen_active_ms;
    if (task->status == API_TASK_UNKNOWN) {
        if (!detail->has_logged_status_word)
            log_warn("task.status", "job=%s word=\"%s\"", job->name, task->status_word);
        detail->has_logged_status_word = true;
        if (task->status_word[0])
            job_reason_set(detail,
                           "The service says \"%s\", a word that is not documented; seedancefs "
                           "asks again.",
                           task->status_word);
        else
            job_reason_set(detail, "The service does not say how the task is doing; seedancefs "
                                   "asks again.");
        jobs_changed(job);
    } else if (task->status == API_TASK_RUNNING && job->state == JOB_QUEUED) {
        job_to_running(job);
    } else if (task->status == API_TASK_QUEUED && job->state == JOB_RUNNING) {
        /* A stale response of another server behind the same name: a status never goes back. */
        log_warn("task.backwards", "job=%s", job->name);
    }
    job_poll_resume(job);
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
    job_problem_set(detail,
                    "The service does not know the task %s, or no longer knows it; it keeps tasks "
                    "for 7 days. seedancefs asked twice (HTTP %d%s%s).\n"
                    "Writing %s again starts a new, paid attempt.\n",
                    detail->attempt.task_id, response->http_status,
                    response->message[0] ? ": " : "", response->message, job_prompt_name(detail));
    job_to_ended(job, JOB_LOST);
}

/* What a refusal said, until a poll is answered as it should be. */
static void attempt_response_set(struct store_attempt *attempt, const struct api_response *response)
{
    attempt->http_status = response->http_status;
    /* Without memory the texts are missing, the state is not. */
    (void)!job_text_set(&attempt->error_code, response->code[0] ? response->code : NULL);
    (void)!job_text_set(&attempt->request_id,
                        response->request_id[0] ? response->request_id : NULL);
}

static void refusal_show(struct job *job, const struct api_response *response)
{
    struct job_detail *detail = job->detail;
    const char *why = response->message[0] ? response->message : "it gave no reason";
    attempt_response_set(&detail->attempt, response);
    job_problem_set(detail,
                    "The service refuses to say how the task %s is doing (HTTP %d): %s%s\n%s\n",
                    detail->attempt.task_id, response->http_status, why, text_full_stop(why),
                    response->verdict == API_REFUSED
                        ? "seedancefs asks again every minute."
                        : "The task itself continues. Correct the API key (or the account) and "
                          "send SIGHUP to seedancefs (for another key a service has to be "
                          "restarted); until then seedancefs asks every minute.");
}

/* Nothing was learned: say so after a while, ask again later. */
static void task_not_learned(struct job *job, const struct api_response *response)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    int64_t delay_ms = job_retry_delay_ms(jobs, ++detail->failures, JOB_POLL_RETRY_CAP_MS);
    if (response->retry_after_ms > 0) {
        delay_ms = response->retry_after_ms + delay_ms % 500;
        jobs_poll_pause(jobs, response->retry_after_ms);
    }
    bool is_refused = response->verdict == API_KEY_REFUSED ||
                      response->verdict == API_ACCOUNT_REFUSED || response->verdict == API_REFUSED;
    if (is_refused) {
        delay_ms = JOB_POLL_RETRY_CAP_MS;
        refusal_show(job, response);
    }
    if (is_refused || detail->failures >= POLL_STALE_FAILURES) {
        char why[JOB_RESPONSE_SIZE];
        job_response_to_text(response, why);
        job_reason_set(detail, "stale: %s does not say how the task is doing: %s%s", jobs->api_name,
                       why, text_full_stop(why));
        jobs_changed(job);
    }
    job_poll_schedule(job, delay_ms);
}

static void refresh_response(struct job *job, const struct api_response *response)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    int r = response->result ? response->result : -ERR_MEDIA_EXPIRED;
    if (response->verdict == API_LOST)
        r = -ERR_MEDIA_GONE;
    if (response->verdict == API_TASK && response->task->status == API_TASK_SUCCEEDED &&
        response->task->video_url) {
        r = job_urls_set(job, response->task);
        /* A video that was gone is not, it seems. */
        if (job->state == JOB_SUCCEEDED && job->video_bytes >= 0 && !job->is_damage_shown)
            job_problem_clear(detail);
        if (r == 0)
            job_persist(job, NULL);
    }
    detail->is_refresh_wanted = false;
    if (jobs->settings.hooks.on_url)
        jobs->settings.hooks.on_url(jobs->settings.hooks.context, job, r);
}

void job_poll_done(void *context, const struct api_response *response)
{
    struct job *job = job_ref(context);
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    detail->call = NULL;
    jobs->polls--;
    if (response->verdict == API_TASK) {
        detail->failures = 0;
        detail->saw_404 = false;
        if (job->has_problem && job_is_following(job)) {
            attempt_response_set(&detail->attempt, response);
            job_problem_clear(detail);
            jobs_changed(job);
        }
        job_response_show(job, response);
    }
    if (job->is_removed)
        ;
    else if (detail->is_refresh_wanted)
        refresh_response(job, response);
    else if (!job_is_following(job) || detail->is_sizing_video)
        log_debug("poll.late", "job=%s", job->name);
    else if (response->verdict == API_TASK)
        task_apply(job, response->task);
    else if (response->verdict == API_LOST)
        task_missing(job, response);
    else
        task_not_learned(job, response);
    job_unref(job);
    jobs_poll_next(jobs);
}

void jobs_url_refresh(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail;
    int r = job_detail_get(job, &detail);
    /* Only a video that was finished has a URL; anything else is being followed, or has ended. */
    if (r == 0 && job->state != JOB_SUCCEEDED &&
        !(job_is_following(job) && detail->is_sizing_video))
        r = -ERR_MEDIA_GONE;
    if (r == 0 && jobs->is_stopping)
        r = -ECANCELED;
    if (r < 0) {
        if (jobs->settings.hooks.on_url)
            jobs->settings.hooks.on_url(jobs->settings.hooks.context, job, r);
        return;
    }
    detail->is_refresh_wanted = true;
    job_poll_ask(job);
}
