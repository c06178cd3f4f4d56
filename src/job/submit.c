/*
 * WAITING -> create. One create per attempt, whatever happens:
 *
 * - A job is sent when nothing stands in its way: there is a key, the gate is open, no Retry-After
 *   still runs, and a create may start. Otherwise the job's `reason` says what it waits for
 *   (gate.c).
 * - The state `submitting` is made durable in on_send, which the api layer calls immediately before
 *   the first byte of the request. If that fails, nothing is sent.
 * - The raw response is made durable in on_received, before anything reads it. It is read again if
 *   there was no memory to read it, or if the program ended before it did.
 * - The api layer judges what the response means; this file only acts on the verdict. A verdict
 *   that does not prove that no task was made leads to `unknown`, and nothing leads out of that.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUBMIT_RETRY_CAP_MS = 60 * 1000,
    RESPONSE_AGAIN_MS = 500, /* if there was no memory to read it */
};

static void submit_next(void *context);

void job_submit_schedule(struct job *job, int64_t delay_ms)
{
    timer_set(job->jobs->settings.timers, &job->detail->timer, delay_ms, job_submit_due, job);
}

int job_hold(struct job *job, enum job_hold hold, const char *note, const char *problem)
{
    bool was_queued = job->detail->is_queued;
    timer_cancel(job->jobs->settings.timers, &job->detail->timer);
    job_unqueue(job);
    job_quiet_end(job); /* the order that ends it is not made to wait */
    int r = job_to_held(job, hold, note, problem);
    if (was_queued)
        jobs_submit_soon(job->jobs);
    return r;
}

void job_copy_hold(struct job *job)
{
    if (job_hold(job, JOB_HOLD_COPY, "this looks like a copy of a job", NULL) == 0)
        return;
    job->hold = JOB_HOLD_COPY; /* it is not sent, but tried again */
    job_submit_schedule(job, JOB_SAVE_AGAIN_MS);
}

static int create_send(void *context)
{
    struct job *job = context;
    struct job_budget_state state;
    if (job->jobs->is_stopping)
        return -ECANCELED;
    if (job_needs_get(job) != JOB_NEEDS_MET)
        return -ECANCELED;
    int r = job_budget_check(job, &state);
    return r < 0 ? r : job_to_submitting(job);
}

static int create_received(void *context, int http_status, const char *body, size_t len)
{
    job_response_received(context, http_status, body, len);
    return 0;
}

static void submit_enqueue(struct job *job);

static void create_unknown(struct job *job, const struct api_response *response)
{
    char why[JOB_RESPONSE_SIZE];
    char evidence[JOB_RESPONSE_SIZE + 128];
    job_response_to_text(response, why);
    (void)snprintf(evidence, sizeof(evidence),
                   "%s (%zu of %zu bytes of the request were sent, %zu bytes of a response came)",
                   why, response->request_sent, response->request_len, response->body_len);
    job_text_keep(&job->detail->attempt.request_id, response->request_id);
    job->detail->attempt.http_status = response->http_status;
    job_to_unknown(job, evidence);
}

/* 0 and the task; -ENODATA: there is no response; else why the response names no task, or cannot be
 * read now. */
static int response_task_get(struct job *job, struct api_task *task)
{
    const struct job_detail *detail = job->detail;
    if (detail->unsaved_response)
        return api_task_decode(detail->unsaved_response, detail->unsaved_response_len, task);
    CLEANUP_FREE char *body = NULL;
    size_t len = 0;
    int r = store_attempt_blob_get(job->jobs->settings.store, job->attempt_id, STORE_RESPONSE,
                                   &body, &len);
    if (r < 0)
        return r;
    return body ? api_task_decode(body, len, task) : -ENODATA;
}

static void response_read_due(void *context)
{
    struct job *job = context;
    job_response_read(job);
    job_unref(job);
}

static void response_read_later(struct job *job)
{
    struct job_detail *detail = job->detail;
    log_warn("response.unread", "job=%s error=ENOMEM", job->name);
    if (detail->unsaved_response) {
        detail->is_unsaved = true;
        jobs_save_later(job->jobs);
    }
    timer_set(job->jobs->settings.timers, &detail->timer, RESPONSE_AGAIN_MS, response_read_due,
              job_ref(job));
}

void job_response_read(struct job *job)
{
    CLEANUP(api_task_fini) struct api_task task;
    api_task_init(&task);
    int r = response_task_get(job, &task);
    if (r == 0)
        r = job_to_queued(job, &task);
    if (r == 0) {
        log_info("job.recovered", "job=%s task=%s", job->name, task.id);
        if (!job->is_removed)
            job_poll_follow(job, 0);
    } else if (r == -ENOMEM) {
        response_read_later(job);
    } else {
        job_to_unknown(job, r == -ENODATA
                                ? "the program ended after it began to send the request and before "
                                  "a response was on disk"
                                : "the program ended before it could read the service's response, "
                                  "which has no usable task id (see response.json)");
    }
}

/* There is a response, but no memory to read it. It is read again, if it could be kept. */
static void create_unread(struct job *job, const struct api_response *response)
{
    if (job->detail->is_response_kept)
        response_read_later(job);
    else
        create_unknown(job, response);
}

static void create_accepted(struct job *job, const struct api_response *response)
{
    if (job_to_queued(job, response->task) < 0)
        create_unread(job, response);
    else if (!job->is_removed)
        job_poll_follow(job, -1);
}

static void unsent_explain(struct job *job, const struct api_response *response)
{
    struct job_detail *detail = job->detail;
    const char *why = response->message[0] ? response->message : err_sentence(response->result);
    const char *name = job->jobs->api_name;
    /* on_send has refused because of the disk; the network is not to blame. */
    if (!err_is_network(response->result) && response->result != 0) {
        job_reason_set(detail, response->result,
                       "The request could not be written down: %s. Nothing was sent; seedancefs "
                       "tries again.",
                       why);
        job_problem_set(detail, response->result,
                        "The request could not be written down before sending it: %s.\n"
                        "Nothing was sent and nothing was charged. seedancefs tries again by "
                        "itself; check the disk of the data directory.\n",
                        why);
        return;
    }
    if (response->result == -ERR_HTTP_CONNECT)
        why = "no connection could be made";
    int code = response->result ? response->result : -ERR_HTTP_CONNECT;
    job_reason_set(detail, code,
                   "%s cannot be reached: %s. Nothing was sent; seedancefs tries again.", name,
                   why);
    job_problem_set(detail, code,
                    "%s cannot be reached: %s.\n"
                    "Nothing was sent and nothing was charged. seedancefs tries again by itself; "
                    "check %s if this lasts.\n",
                    name, why,
                    response->result == -ERR_HTTP_TLS
                        ? "--api-url, this machine's clock and its package ca-certificates"
                        : "the network and --api-url");
}

static int64_t create_delay_ms(struct job *job)
{
    return job_retry_delay_ms(job->jobs, ++job->detail->failures, SUBMIT_RETRY_CAP_MS);
}

static void create_unsent(struct job *job, const struct api_response *response)
{
    if (response->result == -ERR_BUDGET && job->state == JOB_WAITING) {
        /* Another job took the rest of the budget while this one was being connected. */
        submit_enqueue(job);
        return;
    }
    if (response->result == -ECANCELED && job->state == JOB_WAITING) {
        job_submit_schedule(job, 0); /* what it needs has changed: it says so then */
        return;
    }
    if (job->state == JOB_SUBMITTING)
        job_to_waiting(job, "nothing was sent");
    unsent_explain(job, response);
    jobs_changed(job);
    job_submit_schedule(job, create_delay_ms(job));
}

static void create_throttled(struct job *job, const struct api_response *response)
{
    struct jobs *jobs = job->jobs;
    int64_t retry_after_ms = response->retry_after_ms;
    int64_t delay_ms = create_delay_ms(job);
    if (retry_after_ms > 0)
        delay_ms = retry_after_ms + delay_ms % 500; /* never earlier than told, not all at once */
    job_to_waiting(job, "the service asked to wait");
    jobs_throttle(jobs, delay_ms);
    char until[TEXT_TIME_SIZE];
    text_time_rfc3339(jobs_wall_ms(jobs) + delay_ms, until);
    job_reason_set(job->detail, -ERR_THROTTLED,
                   "The service asked to wait (HTTP 429%s%s); seedancefs tries again at %s.",
                   response->message[0] ? ": " : "", response->message, until);
    jobs_changed(job);
    job_submit_schedule(job, delay_ms);
}

static void create_gated(struct job *job, const struct api_response *response)
{
    enum job_gate gate = response->verdict == API_QUOTA         ? JOB_GATE_QUOTA
                         : response->verdict == API_KEY_REFUSED ? JOB_GATE_KEY_REFUSED
                                                                : JOB_GATE_ACCOUNT;
    job_to_waiting(job, "the service refused the key or the account");
    /* A new key came meanwhile, so the refusal is out of date. */
    if (job->detail->key_generation != job->jobs->key_generation) {
        job_submit_schedule(job, 0);
        return;
    }
    jobs_gate_close(job->jobs, gate, response->message);
}

typedef void create_outcome_fn(struct job *job, const struct api_response *response);

static create_outcome_fn *const create_outcomes[] = {
    [API_ACCEPTED] = create_accepted,   [API_UNSENT] = create_unsent,
    [API_AMBIGUOUS] = create_unknown,   [API_REJECTED] = job_to_rejected,
    [API_THROTTLED] = create_throttled, [API_QUOTA] = create_gated,
    [API_KEY_REFUSED] = create_gated,   [API_ACCOUNT_REFUSED] = create_gated,
};

static void create_done(void *context, const struct api_response *response)
{
    struct job *job = job_ref(context);
    struct jobs *jobs = job->jobs;
    job->detail->call = NULL;
    jobs->creates--;
    size_t index = (size_t)response->verdict;
    create_outcome_fn *outcome =
        index < ARRAY_COUNT(create_outcomes) ? create_outcomes[index] : create_unknown;
    if (response->verdict == API_AMBIGUOUS && response->result == -ENOMEM)
        outcome = create_unread;
    if (job->state == JOB_WAITING)
        outcome = create_unsent; /* on_send was never called, or has refused */
    /* A removed job that was not sent is never sent. */
    if (job->is_removed && job->state == JOB_WAITING)
        outcome = NULL;
    if (outcome)
        outcome(job, response);
    /* A 2xx was kept before it was read. Any other response is kept only after the state that it
     * led to: if a crash left it with `submitting`, it could be taken for a task. */
    if ((job->state == JOB_REJECTED || job->state == JOB_UNKNOWN) && response->body_len > 0 &&
        (response->http_status < 200 || response->http_status > 299))
        job_response_show(job, response);
    if (job->is_removed && job->state != JOB_SUBMITTING)
        timer_cancel(jobs->settings.timers, &job->detail->timer);
    job_response_unreserve(job->detail);
    job_outgoing_drop(job->detail);
    job_unref(job);
    submit_next(jobs);
}

static int create_start(struct job *job, struct buf *why)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    const struct api_create_callbacks callbacks = {job, create_send, create_received, create_done};
    CLEANUP(outgoing_fini) struct outgoing made = {0};
    job_outgoing_drop(detail);
    int r = job_request_make(job, &made, why);
    detail->outgoing = r == 0 ? calloc(1, sizeof(*detail->outgoing)) : NULL;
    if (r == 0 && !detail->outgoing)
        r = -ENOMEM;
    if (r == 0) {
        *detail->outgoing = made;
        made = (struct outgoing){0};
        r = job_response_reserve(detail);
    }
    if (r == 0)
        r = api_create(jobs->settings.api, detail->outgoing->body, detail->outgoing->len,
                       &callbacks, &detail->call);
    if (r < 0) {
        job_outgoing_drop(detail);
        return r;
    }
    detail->key_generation = jobs->key_generation;
    jobs->creates++;
    return 0;
}

/* What the request needs is gone, or it costs more than what was accepted: the user decides. */
static int create_hold(struct job *job, enum job_hold hold, const char *why)
{
    char problem[JOB_SENTENCE_MAX + 256];
    (void)snprintf(problem, sizeof(problem),
                   "%s\nNothing was sent and nothing was charged. `echo submit > ctl` orders it as "
                   "it is now; or write %s anew.\n",
                   why, job_prompt_name(job->detail));
    /* `events` is for everybody, so the note has no word of the prompt. */
    int r = job_hold(job, hold,
                     hold == JOB_HOLD_PRICE ? "held: it costs more than what was accepted"
                                            : "held: what it needs is not there, or another one",
                     problem);
    if (r < 0)
        job_submit_schedule(job, JOB_SAVE_AGAIN_MS);
    return r;
}

static void job_create(struct job *job)
{
    struct job_detail *detail = job->detail;
    CLEANUP(buf_fini) struct buf why = {.limit = JOB_SENTENCE_MAX};
    const int64_t accepted = detail->attempt.estimated_usd_micros;
    const int64_t accepted_input_ms = detail->attempt.input_video_ms;
    int r = create_start(job, &why);
    if (r != -EINPROGRESS)
        detail->preparing = (struct preparation_key){0};
    if (r == 0)
        return;
    if (r == -ERR_PROMPT_INVALID || (r == -ERR_BUDGET && why.len > 0)) {
        /* What was accepted stays what was accepted until the user is asked. */
        if (create_hold(job, r == -ERR_PROMPT_INVALID ? JOB_HOLD_INPUT : JOB_HOLD_PRICE,
                        buf_text(&why)) < 0) {
            detail->attempt.estimated_usd_micros = accepted;
            detail->attempt.input_video_ms = accepted_input_ms;
        }
        return;
    }
    if (r == -EINPROGRESS) { /* look_again follows; should it be lost, this does */
        job_reason_set(detail, -ERR_WAITS_FOR_INPUT, "%s", buf_text(&why));
        jobs_changed(job);
        job_submit_schedule(job, PREPARED_MS);
        return;
    }
    if (why.len > 0)
        job_reason_set(detail, r, "%s seedancefs tries again.", buf_text(&why));
    else
        job_reason_set(detail, r, "The request could not be sent: %s. seedancefs tries again.",
                       err_sentence(r));
    jobs_changed(job);
    log_warn("create.refused", "job=%s error=%s", job->name, err_name(r));
    job_submit_schedule(job, create_delay_ms(job));
}

static void submit_enqueue(struct job *job)
{
    job->detail->is_queued = true;
    DL_APPEND2(job->jobs->submit_queue, job->detail, queue_prev, queue_next);
}

/* Whether what other jobs make for this one is there. If not, the job waits, and look_again follows;
 * or it is held, because nothing is ordered by somebody else's word. */
static bool needs_pass(struct job *job)
{
    struct job_detail *detail = job->detail;
    enum job_needs needs = job_needs_get(job);
    if (needs == JOB_NEEDS_MET) {
        if (detail->is_waiting_for_input) {
            detail->is_waiting_for_input = false;
            job_text_clear(&detail->reason);
            jobs_changed(job);
        }
        return true;
    }
    CLEANUP(buf_fini) struct buf why = {.limit = JOB_SENTENCE_MAX};
    detail->is_waiting_for_input = needs == JOB_NEEDS_WAIT;
    if (needs == JOB_NEEDS_WAIT) {
        job_problem_clear(detail); /* of a gate that was closed meanwhile */
        jobs_changed(job);
    } else if (needs == JOB_NEEDS_UNREAD) {
        job_submit_schedule(job, JOB_SAVE_AGAIN_MS);
    } else if (job_needs_to_text(job, &why) == needs) {
        (void)create_hold(job, JOB_HOLD_INPUT, buf_text(&why));
    }
    return false;
}

bool job_connect_cancel(struct job *job)
{
    struct job_detail *detail = job->detail;
    if (!detail || !detail->call || job->state != JOB_WAITING)
        return false;
    job_call_cancel(job);
    job_response_unreserve(detail);
    job_outgoing_drop(detail);
    return true;
}

void job_look_again(struct job *job)
{
    struct job_detail *detail = job->detail;
    if (!detail || job->is_removed || job->state != JOB_WAITING || job->jobs->is_stopping)
        return;
    bool is_met = job_needs_get(job) == JOB_NEEDS_MET;
    if (is_met && (detail->is_queued || detail->call))
        return;
    if (job_connect_cancel(job)) /* it must not be sent */
        jobs_submit_soon(job->jobs);
    job_unqueue(job);
    job_submit_schedule(job, 0);
}

void job_submit_due(void *context)
{
    struct job *job = context;
    struct jobs *jobs = job->jobs;
    if (!jobs->is_started || jobs->is_stopping || job->detail->call || job->detail->is_queued)
        return;
    if (job->is_resume_due) /* perhaps it is to be held, and that could not be stored yet */
        return;
    if (job->hold != JOB_HOLD_NONE) { /* the same */
        job_copy_hold(job);
        return;
    }
    if (!needs_pass(job))
        return;
    int r = job_media_check(job);
    if (r == -EINPROGRESS)
        return;
    if (r < 0) {
        job_submit_schedule(job, JOB_SAVE_AGAIN_MS);
        return;
    }
    int64_t quiet_ms = job_quiet_left_ms(job);
    if (quiet_ms > 0) {
        job_submit_schedule(job, quiet_ms);
        return;
    }
    submit_enqueue(job);
    submit_next(jobs);
}

static void submit_at(struct jobs *jobs, int64_t delay_ms)
{
    timer_set(jobs->settings.timers, &jobs->submit_timer, delay_ms, submit_next, jobs);
}

/* If the obstacle passes by itself, the job, or the queue that it holds up, is looked at again
 * then. */
static int submit_gate_pass(struct job *job)
{
    int64_t again_ms = -1;
    int r = job_gate_pass(job, &again_ms);
    if (again_ms >= 0 && r == -EBUSY)
        submit_at(job->jobs, again_ms);
    else if (again_ms >= 0)
        job_submit_schedule(job, again_ms);
    return r;
}

/* Jobs that joined the queue behind a waiting one say why they wait, too. The youngest stand at its
 * end. */
static void submit_queue_explain(struct jobs *jobs)
{
    struct job_detail *head = jobs->submit_queue;
    for (struct job_detail *detail = head->queue_prev; detail != head && !detail->reason;
         detail = detail->queue_prev) {
        if (submit_gate_pass(detail->job) == 0)
            job_reason_set(detail, -ERR_WAITS_FOR_TURN, "Waits for its turn.");
    }
}

/* Jobs are sent in the order in which they became due. The first one that waits for a place or for
 * money holds up those behind it, so that cheap jobs do not overtake an expensive one for ever. */
static void submit_next(void *context)
{
    struct jobs *jobs = context;
    while (jobs->submit_queue && jobs->creates < JOB_CREATES_MAX && !jobs->is_stopping) {
        struct job_detail *detail = jobs->submit_queue;
        int r = submit_gate_pass(detail->job);
        if (r == -EBUSY) {
            submit_queue_explain(jobs);
            return;
        }
        job_unqueue(detail->job);
        if (r == 0)
            job_create(detail->job);
    }
}

void jobs_submit_soon(struct jobs *jobs)
{
    if (jobs->submit_queue)
        submit_at(jobs, 0);
}
