/*
 * The state machine of a job: the only code that changes job->state.
 *
 *              job_to_accepted          job_to_submitting           job_to_queued
 *     DRAFT ─────────────────▶ WAITING ─────────────────▶ SUBMITTING ─────────────▶ QUEUED
 *      ▲ │ job_to_invalid         ▲      job_to_waiting    │   │   │                  │ job_to_running
 *      │ ▼                        └────────────────────────┘   │   │                  ▼
 *     INVALID ─ job_to_accepted ─▶ WAITING    job_to_rejected  │   │ job_to_unknown  RUNNING
 *      ▲                                           REJECTED ◀──┘   └──▶ UNKNOWN       │
 *      │ job_to_draft                                     job_to_succeeded,           │
 *      └─ REJECTED, FAILED, CANCELLED, EXPIRED, LOST      job_to_ended                │
 *                                SUCCEEDED, FAILED, CANCELLED, EXPIRED, LOST ◀────────┘
 *
 * HELD is WAITING for the user's word: job_to_accepted leads to either, job_to_ordered from HELD to
 * WAITING, job_to_held back, and job_to_draft out of it as out of REJECTED.
 *
 * A job that has succeeded once has a take, and keeps it. Its prompt is frozen: from SUCCEEDED, and
 * from the states after REJECTED, job_to_take leads to WAITING and job_to_edit to DRAFT, by the
 * user's command. job_to_picked leads back to SUCCEEDED from every state but the active ones.
 *
 * Invariants, checked by job_check() after every transition in test builds, and whenever a job is
 * read from the store:
 *   1. DRAFT and INVALID have no attempt; every other state has one.
 *   2. WAITING and HELD: the request is durable, no byte of it has been sent (or the service has
 *      said that it made no task of it): submitted_ms is 0, there is no task id.
 *   3. SUBMITTING is durable before the first byte of the request is sent. submitted_ms is set,
 *      there is no task id. Found at the start of the program, it means UNKNOWN, unless the
 *      service's response with a task id is on disk already.
 *   4. QUEUED, RUNNING and SUCCEEDED have a task id; it was durable, as part of the raw response,
 *      before the response was read.
 *   5. UNKNOWN: submitted_ms is set, there is no task id. No arrow leads out of it without the
 *      user (job_to_retried, job_to_adopted).
 *   6. SUCCEEDED, FAILED, CANCELLED, EXPIRED and LOST have finished_ms.
 *   7. A timer or a call goes on only in an ACTIVE state (a timer also in a provisional directory).
 *   8. A job with takes has picked one. SUCCEEDED: its attempt is the one that made it.
 *
 * There are two kinds of transitions. An intent (accepted, submitting, draft, invalid) fails when
 * the store refuses it, and nothing has changed. A fact (what the service said) is true whatever
 * the disk says: it changes the job in memory, is logged as not yet written, and is written again
 * until the store takes it.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"
#include "seedancefs/prompt/prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int job_save_new(struct job *job)
{
    struct job_change change = {
        .to = JOB_DRAFT, .durability = STORE_LAZY, .note = "created", .is_new = true};
    return change_save(job, &change, job->created_ms);
}

void job_persist(struct job *job, const char *note)
{
    struct job_change change = {.to = job->state, .durability = STORE_LAZY, .note = note};
    job_fact(job, &change);
}

/* Puts `attempt` (taken on success) in the place of the present one, and what is wrong with its
 * video in the place of the present problem. If the change is refused, the present one stays. */
static int attempt_replace(struct job *job, struct store_attempt *attempt,
                           const struct job_change *change)
{
    /* The present attempt is about to leave the memory: what the store has refused of it is written
     * first. */
    int r = job_save_again(job);
    if (r < 0)
        return r;
    struct job_detail *detail = job->detail;
    struct store_attempt before = detail->attempt;
    CLEANUP_FREE char *taken = attempt->take_problem ? strdup(attempt->take_problem) : NULL;
    if (attempt->take_problem && !taken)
        return -ENOMEM;
    char *problem = detail->problem;
    const struct job_cause cause = detail->cause;
    bool had_problem = job->has_problem;
    detail->cause = (struct job_cause){.code = taken ? job_take_problem_code(attempt) : 0};
    detail->problem = TAKE_POINTER(taken);
    detail->attempt = *attempt;
    job->has_problem = detail->problem != NULL;
    job->attempt_id = attempt->id;
    r = job_change(job, change);
    if (r < 0) {
        detail->attempt = before;
        free(detail->problem);
        detail->problem = problem;
        detail->cause = cause;
        job->has_problem = had_problem;
        job->attempt_id = before.id;
        return r;
    }
    *attempt = (struct store_attempt){0};
    (void)job_links_read(job);
    store_attempt_fini(&before);
    free(problem);
    job_text_clear(&detail->reason);
    detail->failures = 0;
    detail->saw_404 = false;
    detail->progress_permille = 0;
    detail->is_waiting_for_input = detail->is_media_seen = false;
    detail->preparing = (struct preparation_key){0};
    return 0;
}

/* DRAFT, INVALID, HELD, REJECTED, FAILED, CANCELLED, EXPIRED, LOST -> DRAFT: prompt.json is being
 * rewritten. The store keeps the earlier attempt. */
int job_to_draft(struct job *job)
{
    struct job_detail *detail;
    struct store_attempt none = {0};
    const struct job_change change = {.to = JOB_DRAFT, .durability = STORE_LAZY};
    int r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    if (job->state == JOB_DRAFT && !job->has_problem)
        return 0;
    return attempt_replace(job, &none, &change);
}

/* DRAFT, INVALID -> INVALID: complete and closed, but not acceptable. */
int job_to_invalid(struct job *job, const struct job_cause *cause, const char *problem)
{
    int r = job_to_draft(job);
    if (r < 0)
        return r;
    job_problem_take(job->detail, cause, problem ? strdup(problem) : NULL);
    struct job_change change = {.to = JOB_INVALID, .durability = STORE_LAZY};
    return job_change(job, &change);
}

/* Starts a new attempt of the job: its number, its time, and what it is going to ask for. The
 * caller frees it, also on failure. */
static int attempt_init(struct store_attempt *attempt, struct job *job, const char *model,
                        const char *resolution)
{
    struct store *store = job->jobs->settings.store;
    *attempt = (struct store_attempt){.job_id = job->id,
                                      .actual_usd_micros = -1,
                                      .intent_ms = jobs_wall_ms(job->jobs),
                                      .output_ms = -1,
                                      .generation_ms = -1,
                                      .video_bytes = -1,
                                      .cover_bytes = -1,
                                      .take_readers = 044};
    int r = store_id_take(store, &attempt->id);
    if (r == 0)
        r = store_attempt_number_next(store, job->id, &attempt->number);
    if (r == 0)
        r = job_text_set(&attempt->model, model);
    return r < 0 ? r : job_text_set(&attempt->resolution, resolution);
}

/* The request is the same as that of another attempt, so it costs the same. */
static void attempt_copy_cost(struct store_attempt *to, const struct store_attempt *from)
{
    to->duration_ms = from->duration_ms;
    to->input_video_ms = from->input_video_ms;
    to->estimated_usd_micros = from->estimated_usd_micros;
}

/* DRAFT, INVALID -> WAITING or HELD: the user's intent, durable with the exact bytes that will be
 * sent. */
int job_to_accepted(struct job *job, const struct prompt *prompt, struct job_inputs *inputs,
                    enum job_hold hold)
{
    CLEANUP(store_attempt_fini) struct store_attempt attempt = {0};
    int r = job_to_draft(job);
    if (r == 0)
        r = attempt_init(&attempt, job, prompt->model, prompt->resolution);
    if (r < 0)
        return r;
    attempt.duration_ms = job_length_ms(prompt);
    attempt.input_video_ms = prompt->input_video_ms;
    attempt.estimated_usd_micros = prompt->estimate_usd_micros;
    for (size_t i = 0; i < inputs->count; i++)
        inputs->rows[i].attempt_id = attempt.id;
    char note[128];
    char usd[TEXT_MONEY_SIZE];
    text_usd(attempt.estimated_usd_micros, usd);
    (void)snprintf(note, sizeof(note), "attempt %lld, estimated %s USD", (long long)attempt.number,
                   usd);
    struct job_change change = {.to = hold == JOB_HOLD_NONE ? JOB_WAITING : JOB_HELD,
                                .durability = STORE_DURABLE,
                                .note = note,
                                .prompt = prompt,
                                .inputs = inputs};
    enum job_hold before = job->hold;
    job->hold = hold;
    r = attempt_replace(job, &attempt, &change);
    if (r < 0)
        job->hold = before;
    return r;
}

/* HELD -> WAITING: the user orders what is held. */
/* The inputs of an attempt as they are now, for one that is ordered now: the picked takes. Where
 * there is none yet, the first one that there will be. */
static int inputs_renew(const struct job *job, int64_t from_id, int64_t to_id,
                        struct job_inputs *out)
{
    int r = job_inputs_get(job, from_id, out);
    for (size_t i = 0; i < out->count && r == 0; i++) {
        struct store_input *row = &out->rows[i];
        const struct job *on = row->job_id ? jobs_get(job->jobs, row->job_id) : NULL;
        row->attempt_id = to_id;
        if (row->job_id)
            row->take_id = on && on->picked ? on->picked->id : 0;
    }
    return r;
}

int job_to_ordered(struct job *job)
{
    job_text_clear(&job->detail->reason);
    job_problem_clear(job->detail);
    CLEANUP(job_inputs_fini) struct job_inputs inputs = {0};
    int r = inputs_renew(job, job->attempt_id, job->attempt_id, &inputs);
    const struct job_change change = {.to = JOB_WAITING,
                                      .durability = STORE_DURABLE,
                                      .note = "ordered by the user",
                                      .inputs = &inputs};
    if (r == 0)
        r = job_change(job, &change);
    if (r == 0)
        (void)job_links_read(job);
    return r;
}

/* WAITING -> HELD: nothing has been sent, and nothing will be before the user says so. The job has
 * no call, and stands in no queue. */
int job_to_held(struct job *job, enum job_hold hold, const char *note, const char *problem)
{
    struct job_detail *detail = job->detail;
    job_problem_clear(detail);
    if (problem)
        job_problem_set(detail,
                        hold == JOB_HOLD_PRICE      ? -ERR_PRICE_RISEN
                        : hold == JOB_HOLD_RESTORED ? -ERR_HELD_RESTORED
                                                    : -ERR_INPUT_CHANGED,
                        "%s", problem);
    job_text_clear(&detail->reason);
    detail->is_waiting_for_input = false;
    detail->preparing = (struct preparation_key){0};
    job->hold = hold;
    const struct job_change change = {.to = JOB_HELD, .durability = STORE_DURABLE, .note = note};
    int r = job_change(job, &change);
    if (r < 0)
        job->hold = JOB_HOLD_NONE;
    return r;
}

/* -> WAITING: the user orders the request of this attempt once more, as a new one. */
static int request_again(struct job *job, const struct store_attempt *from,
                         const struct job_change *wanted)
{
    CLEANUP(store_attempt_fini) struct store_attempt attempt = {0};
    CLEANUP(job_inputs_fini) struct job_inputs inputs = {0};
    struct job_change change = *wanted;
    CLEANUP_FREE char *body = NULL;
    size_t len = 0;
    int r = store_attempt_blob_get(job->jobs->settings.store, from->id, STORE_BODY, &body, &len);
    if (r == 0 && len == 0)
        r = -ENODATA;
    if (r == 0)
        r = attempt_init(&attempt, job, from->model, from->resolution);
    if (r == 0)
        r = inputs_renew(job, from->id, attempt.id, &inputs);
    if (r < 0)
        return r;
    attempt_copy_cost(&attempt, from);
    /* The price may be another one than when the request was accepted. */
    int64_t cost =
        job_attempt_cost(job->jobs, from, from->duration_ms / 1000 * 1000, from->input_video_ms);
    if (cost > 0)
        attempt.estimated_usd_micros = cost;
    change.inputs = &inputs;
    change.to = JOB_WAITING;
    change.durability = STORE_DURABLE;
    change.copied_id = from->id;
    return attempt_replace(job, &attempt, &change);
}

/* UNKNOWN, REJECTED, FAILED, CANCELLED, EXPIRED, LOST -> WAITING. */
int job_to_retried(struct job *job)
{
    const struct job_change change = {.note = "retried by the user"};
    return request_again(job, &job->detail->attempt, &change);
}

/* SUCCEEDED, REJECTED, FAILED, CANCELLED, EXPIRED, LOST -> WAITING. */
int job_to_take(struct job *job)
{
    const struct job_change change = {.note = "another take, ordered by the user",
                                      .is_prompt_kept = true};
    struct store_attempt *from;
    int r = job_take_attempt_get(job->picked, &from);
    return r < 0 ? r : request_again(job, from, &change);
}

/* SUCCEEDED, REJECTED, FAILED, CANCELLED, EXPIRED, LOST -> DRAFT: durable, because the bytes of the
 * prompt are going to change. */
int job_to_edit(struct job *job)
{
    struct store_attempt none = {0};
    const struct job_change change = {.to = JOB_DRAFT,
                                      .durability = STORE_DURABLE,
                                      .note = "the prompt may be written anew",
                                      .is_prompt_kept = true};
    return attempt_replace(job, &none, &change);
}

/* Any state except ACTIVE -> SUCCEEDED, with a take that the job's attempt has not made. */
int job_to_picked(struct job *job, struct job_take *take)
{
    CLEANUP(store_attempt_fini) struct store_attempt attempt = {0};
    struct job_take *before = job->picked;
    char note[64];
    int r = job_take_attempt_take(take, &attempt);
    if (r < 0)
        return r;
    (void)snprintf(note, sizeof(note), "take %lld picked by the user", (long long)take->number);
    const struct job_change change = {
        .to = JOB_SUCCEEDED, .durability = STORE_DURABLE, .note = note, .is_told = true};
    attempt.take_hidden = 0;
    job->picked = take;
    r = attempt_replace(job, &attempt, &change);
    if (r < 0)
        job->picked = before;
    else
        take->hidden = 0;
    return r;
}

/* DRAFT, INVALID, HELD, REJECTED, SUCCEEDED, FAILED, CANCELLED, EXPIRED, LOST -> QUEUED, in an
 * attempt without a request. */
static int adopt_anew(struct job *job, const char *task_id, const struct store_attempt *known)
{
    CLEANUP(store_attempt_fini) struct store_attempt attempt = {0};
    const struct model *rules = models_rules(job->jobs->settings.models, MODEL_DEFAULT_NAME);
    int r = attempt_init(&attempt, job, known ? known->model : rules->name,
                         known ? known->resolution : rules->resolution);
    if (r == 0)
        r = job_text_set(&attempt.task_id, task_id);
    if (r < 0)
        return r;
    attempt.submitted_ms = known ? known->submitted_ms : attempt.intent_ms;
    attempt.generation_ms = STORE_GENERATION_UNSEEN;
    if (known)
        attempt_copy_cost(&attempt, known);
    struct job_change change = {.to = JOB_QUEUED,
                                .durability = STORE_DURABLE,
                                .note = "task adopted by the user",
                                .is_adopted = true};
    return attempt_replace(job, &attempt, &change);
}

/* UNKNOWN -> QUEUED: the user has found the task that this attempt made. */
static int adopt_unknown(struct job *job, const char *task_id)
{
    struct job_detail *detail = job->detail;
    int r = job_text_set(&detail->attempt.task_id, task_id);
    if (r < 0)
        return r;
    struct job_change change = {
        .to = JOB_QUEUED, .durability = STORE_DURABLE, .note = "task adopted by the user"};
    CLEANUP_FREE char *problem = TAKE_POINTER(detail->problem);
    job->has_problem = false;
    r = job_change(job, &change);
    if (r < 0) {
        job_text_clear(&detail->attempt.task_id);
        job->has_problem = problem != NULL;
        detail->problem = TAKE_POINTER(problem);
        return r;
    }
    detail->failures = 0;
    return 0;
}

int job_to_adopted(struct job *job, const char *task_id, const struct store_attempt *known)
{
    return job->state == JOB_UNKNOWN ? adopt_unknown(job, task_id)
                                     : adopt_anew(job, task_id, known);
}

/* Any state except ACTIVE -> SUCCEEDED, with a take of a removed job: the attempt moves to this
 * one, with all that is known of it, and its video keeps its place on the disk. */
int job_to_regained(struct job *job, struct store_attempt *attempt)
{
    struct job_take *before = job->picked;
    struct job_take *take;
    int64_t number;
    int r = store_attempt_number_next(job->jobs->settings.store, job->id, &number);
    if (r == 0)
        r = job_take_new(job, attempt->id, &take);
    if (r < 0)
        return r;
    attempt->job_id = job->id;
    attempt->number = number;
    attempt->take_hidden = 0;
    attempt->take = take->number = job_take_number_next(job);
    take->finished_ms = attempt->finished_ms;
    take->video_bytes = attempt->video_bytes;
    take->cover_bytes = attempt->cover_bytes;
    take->url_expires_ms = attempt->video_url ? attempt->url_expires_ms : -1;
    take->is_stored = jobs_attempt_is_stored(job->jobs, attempt);
    take->readers = (unsigned char)(attempt->take_readers & 044);
    CLEANUP_FREE char *prompt = NULL;
    size_t len = 0;
    /* Who may read what was not kept is not known. */
    if (store_attempt_blob_get(job->jobs->settings.store, attempt->id, STORE_PROMPT, &prompt,
                               &len) < 0 ||
        !prompt)
        attempt->take_readers = take->readers = 0;
    const struct job_change change = {.to = JOB_SUCCEEDED,
                                      .durability = STORE_DURABLE,
                                      .note = "a video of a removed job, brought back by the user",
                                      .is_prompt_kept = job->takes != NULL,
                                      .is_regained = true,
                                      .is_told = true};
    job_takes_append(take);
    job->picked = take;
    r = attempt_replace(job, attempt, &change);
    if (r < 0) {
        LL_DELETE(job->takes, take);
        free(take);
        job->picked = before;
    }
    return r;
}

/* WAITING -> SUBMITTING: durable on return, immediately before the first byte is sent. */
int job_to_submitting(struct job *job)
{
    struct job_detail *detail = job->detail;
    /* Durable means: where the next run of the program finds it. */
    int r = store_place_check(job->jobs->settings.store);
    if (r < 0)
        return r;
    /* The obstacle that the job waited for is gone. */
    job_problem_clear(detail);
    job_text_clear(&detail->reason);
    detail->attempt.submitted_ms = jobs_wall_ms(job->jobs);
    struct job_change change = {.to = JOB_SUBMITTING,
                                .durability = STORE_DURABLE,
                                .inputs = detail->outgoing ? &detail->outgoing->inputs : NULL};
    r = job_change(job, &change);
    if (r < 0)
        detail->attempt.submitted_ms = 0;
    return r;
}

static void durable_fact(struct job *job, enum job_state to, const char *note)
{
    const struct job_change change = {.to = to, .durability = STORE_DURABLE, .note = note};
    job_fact(job, &change);
}

/* SUBMITTING -> WAITING: the service said that it made no task and may be asked again. */
void job_to_waiting(struct job *job, const char *note)
{
    job->detail->attempt.submitted_ms = 0;
    durable_fact(job, JOB_WAITING, note);
}

/* SUBMITTING -> QUEUED: the service made a task. Without memory for its id nothing changes: the raw
 * response has the id, and is read again (see submit.c). */
int job_to_queued(struct job *job, const struct api_task *task)
{
    struct job_detail *detail = job->detail;
    int r = job_text_set(&detail->attempt.task_id, task->id);
    if (r < 0)
        return r;
    job_text_clear(&detail->reason);
    job_problem_clear(detail);
    detail->failures = 0;
    durable_fact(job, JOB_QUEUED, task->id);
    return 0;
}

/* SUBMITTING -> REJECTED: the service refused the request; no task exists. */
void job_to_rejected(struct job *job, const struct api_response *response)
{
    struct job_detail *detail = job->detail;
    job_response_note(&detail->attempt, response);
    job_text_keep(&detail->attempt.error_message, response->message);
    detail->attempt.finished_ms = jobs_wall_ms(job->jobs);
    char again[JOB_AGAIN_SIZE];
    job_again_to_text(detail, again);
    job_problem_set(detail, 0,
                    "The service refused the request (HTTP %d%s%s): %s\n"
                    "No task was created and nothing was charged. %s\n%s%s%s",
                    response->http_status, response->code[0] ? ", " : "", response->code,
                    response->message[0] ? response->message : "it gave no reason", again,
                    response->request_id[0] ? "Request id: " : "", response->request_id,
                    response->request_id[0] ? "\n" : "");
    durable_fact(job, JOB_REJECTED, response->message);
}

/* SUBMITTING -> UNKNOWN: a task may exist. The user decides, never the program. */
void job_to_unknown(struct job *job, const char *evidence)
{
    struct job_detail *detail = job->detail;
    const char *request_id = detail->attempt.request_id;
    char usd[TEXT_MONEY_SIZE];
    char when[TEXT_TIME_SIZE];
    text_usd(detail->attempt.estimated_usd_micros, usd);
    text_time_rfc3339(detail->attempt.submitted_ms, when);
    (void)!job_text_set(&detail->attempt.error_message, evidence);
    job_problem_set(
        detail, -ERR_OUTCOME_UNKNOWN,
        "It is not known whether the service created a task: %s%s\n"
        "The request was sent at %s; about %s USD may have been charged for it.\n"
        "Nothing is sent again by itself. Look at your account's task list or bill. To follow a "
        "task that you find there: echo 'adopt TASK_ID' > ctl. To send the request again, which "
        "may be charged a second time: echo retry > ctl.\n"
        "%s%s%s",
        evidence, text_full_stop(evidence), when, usd,
        request_id ? "The service can be asked about it by its request id: " : "",
        request_id ? request_id : "", request_id ? "\n" : "");
    durable_fact(job, JOB_UNKNOWN, evidence);
}

/* QUEUED -> RUNNING. */
void job_to_running(struct job *job)
{
    struct job_change change = {.to = JOB_RUNNING, .durability = STORE_LAZY};
    job_fact(job, &change);
}

/* QUEUED, RUNNING -> SUCCEEDED: the video's URL is known, and its size unless it could not be
 * had. The newest take is picked. */
void job_to_succeeded(struct job *job)
{
    struct store_attempt *attempt = &job->detail->attempt;
    struct job_take *take = TAKE_POINTER(job->sizing);
    attempt->finished_ms = take->finished_ms = jobs_wall_ms(job->jobs);
    attempt->take = take->number = job_take_number_next(job);
    take->video_bytes = attempt->video_bytes;
    take->cover_bytes = attempt->cover_bytes;
    job_takes_append(take);
    job->picked = take;
    durable_fact(job, JOB_SUCCEEDED, NULL);
}

/* QUEUED, RUNNING -> FAILED, CANCELLED, EXPIRED, LOST: the caller has set the problem. */
void job_to_ended(struct job *job, enum job_state state)
{
    struct job_detail *detail = job->detail;
    detail->attempt.finished_ms = jobs_wall_ms(job->jobs);
    durable_fact(job, state, detail->attempt.error_message);
}
