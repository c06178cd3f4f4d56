/*
 * Asks the service for new URLs of a finished video, by asking for its task once more. It goes by
 * take, in every state of the job: a reader of an earlier take is not made to wait for the one that
 * is being made.
 *
 * Such a request goes before all polls (poll.c) and waits only for a place: the deadline of the
 * reader that needs it is near, and there is one per video and day.
 */
#include "job_private.h"

#include <stdlib.h>

enum {
    POLLS_PER_S = 10,
    POLLS_PER_INTERVAL = 20, /* --poll-interval raises the rate for up to this many jobs */
};

struct job_refresh {
    struct job_take *take;
    struct api_call *call; /* NULL: it waits for a place */
    struct job_refresh *next;
    struct job_refresh *prev;
};

/* Whole milliseconds, like the clock; the short fixed intervals of tests come down to 0. */
int64_t jobs_poll_spacing_ms(const struct jobs *jobs)
{
    int64_t spacing_ms = 1000 / POLLS_PER_S;
    int64_t wanted_ms = jobs->settings.poll_interval_ms / POLLS_PER_INTERVAL;
    return jobs->settings.poll_interval_ms > 0 && wanted_ms < spacing_ms ? wanted_ms : spacing_ms;
}

void jobs_poll_began(struct jobs *jobs)
{
    int64_t now_ms = clock_monotonic_ms(jobs->settings.clock);
    jobs->polls++;
    jobs->counts.polls++;
    jobs->poll_next_ms = max_int64(jobs->poll_next_ms, now_ms) + jobs_poll_spacing_ms(jobs);
}

static void url_answer(struct job_take *take, int result)
{
    const struct job_hooks *hooks = &take->job->jobs->settings.hooks;
    if (hooks->on_url)
        hooks->on_url(hooks->context, take, result);
    jobs_prepared(take->job->jobs, PREPARE_URL, take->id, result);
}

static void refresh_end(struct job_refresh *refresh, int result)
{
    struct job_take *take = refresh->take;
    DL_DELETE(take->job->jobs->refreshes, refresh);
    free(refresh);
    url_answer(take, result);
}

static int urls_take(struct job_take *take, const struct api_response *response)
{
    struct store_attempt *attempt;
    if (response->verdict == API_LOST)
        return -ERR_MEDIA_GONE;
    if (response->verdict != API_TASK || response->task->status != API_TASK_SUCCEEDED ||
        !response->task->video_url)
        return response->result ? response->result : -ERR_MEDIA_EXPIRED;
    int r = job_take_attempt_get(take, &attempt);
    if (r == 0)
        r = job_take_urls_set(take, attempt, response->task);
    if (r == 0)
        job_take_persist(take, NULL);
    return r;
}

static void refresh_done(void *context, const struct api_response *response)
{
    struct job_refresh *refresh = context;
    struct job_take *take = refresh->take;
    CLEANUP(job_drop) struct job *job = job_ref(take->job);
    job->jobs->polls--;
    job->jobs->counts.polls_failed +=
        response->verdict != API_TASK && response->verdict != API_LOST;
    if (response->verdict == API_TASK && take->id == job->attempt_id)
        job_response_show(job, response);
    refresh_end(refresh, urls_take(take, response));
    job->jobs->wake(job->jobs);
}

static int refresh_start(struct job_refresh *refresh)
{
    struct store_attempt *attempt;
    struct jobs *jobs = refresh->take->job->jobs;
    int r = job_take_attempt_get(refresh->take, &attempt);
    if (r == 0)
        r = attempt->task_id ? 0 : -ERR_MEDIA_GONE;
    if (r == 0)
        r = api_get_task(jobs->settings.api, attempt->task_id, refresh, refresh_done,
                         &refresh->call);
    if (r == 0)
        jobs_poll_began(jobs);
    return r;
}

void jobs_refresh_next(struct jobs *jobs)
{
    struct job_refresh *refresh;
    struct job_refresh *next;
    DL_FOREACH_SAFE (jobs->refreshes, refresh, next) {
        if (jobs->polls >= JOB_POLLS_MAX || jobs->is_stopping)
            return;
        int r = refresh->call ? 0 : refresh_start(refresh);
        if (r < 0)
            refresh_end(refresh, r);
    }
}

void job_refreshes_cancel(struct job *job)
{
    struct job_refresh *refresh;
    struct job_refresh *next;
    DL_FOREACH_SAFE (job->jobs->refreshes, refresh, next) {
        if (refresh->take->job != job)
            continue;
        if (refresh->call) {
            api_cancel(refresh->call);
            job->jobs->polls--;
        }
        DL_DELETE(job->jobs->refreshes, refresh);
        free(refresh);
    }
}

void jobs_url_refresh(struct job_take *take)
{
    struct jobs *jobs = take->job->jobs;
    struct job_refresh *refresh;
    DL_SEARCH_SCALAR(jobs->refreshes, refresh, take, take);
    if (refresh)
        return;
    if (store_write_check(jobs->settings.store) < 0) { /* the host that leads renews it */
        url_answer(take, -ERR_MEDIA_EXPIRED);
        return;
    }
    refresh = jobs->is_stopping ? NULL : calloc(1, sizeof(*refresh));
    if (!refresh) {
        url_answer(take, jobs->is_stopping ? -ECANCELED : -ENOMEM);
        return;
    }
    refresh->take = take;
    DL_APPEND(jobs->refreshes, refresh);
    jobs_refresh_next(jobs);
}
