/*
 * WAITING -> create. One create per attempt, whatever happens:
 *
 * - A job is sent when nothing stands in its way: a key, an open gate, no Retry-After that still
 *   runs,
 *   a free place among the creates. What stands in its way is its `reason`.
 * - The state `submitting` is made durable in on_send, which the api floor calls immediately
 *   before the
 *   first byte of the request. If that fails nothing is sent.
 * - The raw answer is made durable in on_received, before anything looks at it.
 * - What the answer means is the api floor's verdict; here stands only what follows from it. A
 *   verdict
 *   that does not prove that no task was made leads to `unknown`, and nothing leads out of that.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"
#include "seedancefs/prompt/prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUBMIT_RETRY_FIRST_MS = 500, SUBMIT_RETRY_CAP_MS = 60 * 1000 };

/* Full jitter: anything from half a second to 0.5 s x 2^failures, at most `cap_ms`. */
int64_t job_retry_delay_ms(struct jobs *jobs, unsigned failures, int64_t cap_ms)
{
    int64_t most = SUBMIT_RETRY_FIRST_MS;
    for (unsigned i = 0; i < failures && most < cap_ms; i++)
        most *= 2;
    if (most > cap_ms)
        most = cap_ms;
    int64_t spread = most - SUBMIT_RETRY_FIRST_MS;
    return SUBMIT_RETRY_FIRST_MS +
           (spread > 0 ? (int64_t)(jobs_random(jobs) % (uint64_t)spread) : 0);
}

static const char *const gate_sentences[] = {
    [JOB_GATE_OPEN] = "",
    [JOB_GATE_KEY_MISSING] =
        "There is no API key, so nothing is sent. Give one with --api-key-file FILE or in the "
        "environment variable TOKENHUB_API_KEY and start seedancefs again, or write the key into "
        "the key file and send SIGHUP to seedancefs.",
    [JOB_GATE_KEY_REFUSED] =
        "The service refused the API key, so nothing is sent. Correct the key file and send SIGHUP "
        "to seedancefs, or start it again with the right key; the job then goes on by itself.",
    [JOB_GATE_ACCOUNT] =
        "The service refuses this account (balance used up, overdue, or not opened), so nothing is "
        "sent. Settle that with the service, then send SIGHUP to seedancefs or start it again; the "
        "job then goes on by itself.",
    [JOB_GATE_QUOTA] = "A quota of this account is used up, so nothing is sent. Raise it at the "
                       "service, then send "
                       "SIGHUP to seedancefs or start it again; the job then goes on by itself.",
};

static void job_gate_show(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    const char *sentence = gate_sentences[jobs->gate];
    const char *message = jobs->gate_message ? jobs->gate_message : "";
    job_reason_set(detail, "%s", sentence);
    job_problem_set(detail, "%s\n%s%s%sNothing was charged, and nothing is lost.\n", sentence,
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

static void job_submit_due(void *context);

void job_submit_schedule(struct job *job, int64_t delay_ms)
{
    if (timer_set(job->jobs->settings.timers, &job->detail->timer, delay_ms, job_submit_due, job) <
        0)
        log_error("timer.refused", "job=%s", job->name);
}

static int create_send(void *context)
{
    struct job *job = context;
    return job->jobs->is_stopping ? -ECANCELED : job_to_submitting(job);
}

/* Money has been spent: if the disk refuses the answer it is kept in memory and written later,
 * rather than thrown away. */
static int create_received(void *context, int http_status, const char *body, size_t len)
{
    struct job *job = context;
    struct job_detail *detail = job->detail;
    struct store *store = job->jobs->settings.store;
    detail->attempt.http_status = http_status;
    int r = store_begin(store, STORE_DURABLE);
    if (r == 0)
        r = store_end(store, store_attempt_response_set(store, job->attempt_id, body, len));
    if (r == 0)
        return 0;
    log_error("store.unsaved", "job=%s what=answer error=%s", job->name, err_name(r));
    char *copy = malloc(len + 1);
    if (copy) {
        memcpy(copy, body, len);
        copy[len] = '\0';
        free(detail->unsaved_response);
        detail->unsaved_response = copy;
        detail->unsaved_response_len = len;
    }
    return 0;
}

static void create_accepted(struct job *job, const struct api_answer *answer)
{
    job_to_queued(job, answer->task);
    if (job->state == JOB_QUEUED && !job->is_removed)
        job_poll_resume(job);
}

static void create_unsent(struct job *job, const struct api_answer *answer)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    if (job->state == JOB_SUBMITTING)
        job_to_waiting(job, "nothing was sent");
    int64_t delay_ms = job_retry_delay_ms(jobs, ++detail->failures, SUBMIT_RETRY_CAP_MS);
    detail->wait_until_ms = jobs_wall_ms(jobs) + delay_ms;
    const char *why = answer->message[0] ? answer->message : err_sentence(answer->result);
    job_reason_set(detail, "%s cannot be reached: %s. Nothing was sent; it is tried again.",
                   jobs->api_name, why);
    job_problem_set(detail,
                    "%s cannot be reached: %s.\nNothing was sent and nothing was charged. It is "
                    "tried again by itself; check the network and --api-url if this lasts.\n",
                    jobs->api_name, why);
    jobs_changed(job);
    job_submit_schedule(job, delay_ms);
}

static void create_throttled(struct job *job, const struct api_answer *answer)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    int64_t told_ms = answer->retry_after_ms;
    int64_t delay_ms = job_retry_delay_ms(jobs, ++detail->failures, SUBMIT_RETRY_CAP_MS);
    if (told_ms > 0)
        delay_ms = told_ms + delay_ms % 500; /* never earlier than told, not all at once */
    job_to_waiting(job, "the service asked to wait");
    detail->wait_until_ms = jobs->throttled_until_ms = jobs_wall_ms(jobs) + delay_ms;
    char until[TEXT_TIME_SIZE];
    text_time_rfc3339(detail->wait_until_ms, until);
    job_reason_set(detail, "The service asked to wait (HTTP 429%s%s); tried again at %s.",
                   answer->message[0] ? ": " : "", answer->message, until);
    jobs_changed(job);
    job_submit_schedule(job, delay_ms);
}

static void create_gated(struct job *job, const struct api_answer *answer)
{
    enum job_gate gate = answer->verdict == API_QUOTA         ? JOB_GATE_QUOTA
                         : answer->verdict == API_KEY_REFUSED ? JOB_GATE_KEY_REFUSED
                                                              : JOB_GATE_ACCOUNT;
    job_to_waiting(job, "the service refused the key or the account");
    jobs_gate_close(job->jobs, gate, answer->message);
}

static void create_unknown(struct job *job, const struct api_answer *answer)
{
    char evidence[API_MESSAGE_SIZE + 256];
    if (answer->http_status)
        (void)snprintf(evidence, sizeof(evidence), "the answer was HTTP %d%s%s%s%s",
                       answer->http_status, answer->result ? ", and " : "",
                       answer->result ? err_sentence(answer->result) : "",
                       answer->message[0] ? ": " : "", answer->message);
    else
        (void)snprintf(evidence, sizeof(evidence), "there was no answer (%s)",
                       err_sentence(answer->result));
    (void)!job_text_set(&job->detail->attempt.request_id,
                        answer->request_id[0] ? answer->request_id : NULL);
    job->detail->attempt.http_status = answer->http_status;
    job_to_unknown(job, evidence);
}

typedef void create_outcome_fn(struct job *job, const struct api_answer *answer);

static create_outcome_fn *const create_outcomes[] = {
    [API_ACCEPTED] = create_accepted,   [API_UNSENT] = create_unsent,
    [API_AMBIGUOUS] = create_unknown,   [API_REJECTED] = job_to_rejected,
    [API_THROTTLED] = create_throttled, [API_QUOTA] = create_gated,
    [API_KEY_REFUSED] = create_gated,   [API_ACCOUNT_REFUSED] = create_gated,
};

static void create_done(void *context, const struct api_answer *answer)
{
    struct job *job = job_ref(context);
    struct jobs *jobs = job->jobs;
    job->detail->call = NULL;
    jobs->creates--;
    size_t index = (size_t)answer->verdict;
    create_outcome_fn *outcome =
        index < ARRAY_COUNT(create_outcomes) ? create_outcomes[index] : create_unknown;
    if (job->state == JOB_WAITING)
        outcome = create_unsent; /* on_send was never called, or refused */
    /* A removed job that was not sent after all is not sent any more. */
    if (job->is_removed && job->state == JOB_WAITING)
        outcome = NULL;
    if (outcome)
        outcome(job, answer);
    /* A 2xx was kept before it was looked at. A refusal comes after the state that it led to: found with
     * `submitting` after a crash it could be taken for a task. */
    if ((job->state == JOB_REJECTED || job->state == JOB_UNKNOWN) && answer->body_len > 0 &&
        (answer->http_status < 200 || answer->http_status > 299))
        job_answer_keep(job, answer);
    if (job->is_removed)
        timer_cancel(jobs->settings.timers, &job->detail->timer);
    job_unref(job);
    jobs_submit_next(jobs);
}

static void job_create_start(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    char *body = NULL;
    size_t len = 0;
    int r = store_attempt_blob_get(jobs->settings.store, job->attempt_id, STORE_BODY, &body, &len);
    if (r == 0 && !body)
        r = -ERR_STORE_CORRUPT;
    if (r == 0) {
        struct api_create_callbacks callbacks = {job, create_send, create_received, create_done};
        r = api_create(jobs->settings.api, body, len, &callbacks, &detail->call);
    }
    free(body);
    if (r == 0) {
        jobs->creates++;
        return;
    }
    log_warn("create.refused", "job=%s error=%s", job->name, err_name(r));
    job_reason_set(detail, "It could not be sent: %s. It is tried again.", err_sentence(r));
    jobs_changed(job);
    job_submit_schedule(job, job_retry_delay_ms(jobs, ++detail->failures, SUBMIT_RETRY_CAP_MS));
}

/* True when the job may be sent at this moment; else its reason is set and it will be looked at
 * again. */
static bool job_may_be_sent(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    if (!api_has_key(jobs->settings.api) && jobs->gate == JOB_GATE_OPEN)
        jobs->gate = JOB_GATE_KEY_MISSING;
    if (jobs->gate != JOB_GATE_OPEN) {
        job_gate_show(job);
        return false;
    }
    int64_t left_ms = jobs->throttled_until_ms - jobs_wall_ms(jobs);
    if (left_ms > 0) {
        if (left_ms > 3600 * 1000) { /* the wall clock jumped back */
            left_ms = 3600 * 1000;
            jobs->throttled_until_ms = jobs_wall_ms(jobs) + left_ms;
        }
        job_reason_set(detail, "The service asked to wait before anything more is sent.");
        jobs_changed(job);
        job_submit_schedule(job, left_ms + (int64_t)(jobs_random(jobs) % 500));
        return false;
    }
    return true;
}

static void job_submit_now(struct job *job)
{
    if (job_may_be_sent(job))
        job_create_start(job);
}

static void job_submit_due(void *context)
{
    struct job *job = context;
    struct job_detail *detail = job->detail;
    struct jobs *jobs = job->jobs;
    if (!jobs->is_started || jobs->is_stopping || detail->call || detail->is_queued)
        return;
    if (jobs->creates >= JOB_CREATES_MAX) {
        detail->is_queued = true;
        DL_APPEND2(jobs->submit_queue, detail, queue_prev, queue_next);
        return;
    }
    job_submit_now(job);
}

void jobs_submit_next(struct jobs *jobs)
{
    while (jobs->submit_queue && jobs->creates < JOB_CREATES_MAX && !jobs->is_stopping) {
        struct job_detail *detail = jobs->submit_queue;
        DL_DELETE2(jobs->submit_queue, detail, queue_prev, queue_next);
        detail->is_queued = false;
        job_submit_now(detail->job);
    }
}
