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
 * Invariants, checked by job_check() after every transition in test builds:
 *   1. DRAFT and INVALID have no attempt; every other state has one.
 *   2. WAITING: the request is durable, no byte of it has been sent (or the service has said that
 *      it made no task of it): submitted_ms is 0, there is no task id.
 *   3. SUBMITTING is durable before the first byte of the request is sent. submitted_ms is set,
 *      there is no task id. Found at the start of the program, it means UNKNOWN, unless the
 *      service's answer with a task id is on disk already.
 *   4. QUEUED, RUNNING and SUCCEEDED have a task id; it was durable, as part of the raw answer,
 *      before the answer was looked at.
 *   5. UNKNOWN: submitted_ms is set, there is no task id. No arrow leads out of it without the
 *      user.
 *   6. SUCCEEDED, FAILED, CANCELLED, EXPIRED and LOST have finished_ms.
 *   7. A timer or a call goes on only in an ACTIVE state (a timer also in a provisional directory,
 *      a call also to renew the URL of a SUCCEEDED job).
 *
 * Two kinds of transitions: an intent (accepted, submitting, draft, invalid) fails when the store
 * refuses it, and nothing has changed. A fact (whatever the service said) is true no matter what
 * the disk says: it changes the job in memory, is logged as not yet written, and is written again
 * and again until it is.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"
#include "seedancefs/prompt/model.h"
#include "seedancefs/prompt/prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct state_row {
    const char *word;
    enum job_class class;
};

static const struct state_row state_rows[JOB_STATE_COUNT] = {
#define X(name, word, class) {word, JOB_CLASS_##class},
    JOB_STATE_TABLE(X)
#undef X
};

const char *job_state_to_text(enum job_state state)
{
    return state_rows[state].word;
}

enum job_class job_state_class(enum job_state state)
{
    return state_rows[state].class;
}

int job_state_parse(const char *word, enum job_state *out)
{
    for (size_t i = 0; i < JOB_STATE_COUNT; i++) {
        if (strcmp(word, state_rows[i].word) == 0) {
            *out = (enum job_state)i;
            return 0;
        }
    }
    return -EINVAL;
}

#ifdef SEEDANCEFS_CHECKS
static void job_require(bool is_kept, int invariant, const struct job *job)
{
    if (is_kept)
        return;
    char text[256];
    job_to_text(job, text, sizeof(text));
    (void)fprintf(stderr, "job_check: invariant %d is broken: %s\n", invariant, text);
    abort();
}

void job_check(const struct job *job)
{
    const struct job_detail *detail = job->detail;
    enum job_state state = job->state;
    bool is_unstarted = state == JOB_DRAFT || state == JOB_INVALID;
    job_require(is_unstarted == (job->attempt_id == 0), 1, job);
    if (!detail)
        return;
    const struct store_attempt *attempt = &detail->attempt;
    job_require(attempt->id == job->attempt_id, 1, job);
    if (state == JOB_WAITING)
        job_require(attempt->submitted_ms == 0 && !attempt->task_id, 2, job);
    if (state == JOB_SUBMITTING)
        job_require(attempt->submitted_ms != 0 && !attempt->task_id, 3, job);
    if (state == JOB_QUEUED || state == JOB_RUNNING || state == JOB_SUCCEEDED)
        job_require(attempt->task_id != NULL, 4, job);
    if (state == JOB_UNKNOWN)
        job_require(attempt->submitted_ms != 0 && !attempt->task_id, 5, job);
    if (state == JOB_SUCCEEDED || state >= JOB_FAILED)
        job_require(attempt->finished_ms != 0, 6, job);
    if (timer_is_set(&detail->timer))
        job_require(job->is_provisional || job_state_class(state) == JOB_CLASS_ACTIVE, 7, job);
}
#else
void job_check(const struct job *job UNUSED)
{
}
#endif

/* What a transition writes beside the new state. */
struct job_change {
    enum job_state to;
    enum store_durability durability;
    const char *note;            /* for the log, after the states; NULL: none */
    const struct prompt *prompt; /* of a new attempt; NULL: none */
};

static int change_attempt_save(struct job *job, const struct job_change *change)
{
    struct store *store = job->jobs->settings.store;
    struct job_detail *detail = job->detail;
    if (job->attempt_id == 0)
        return 0;
    if (change->prompt)
        return store_attempt_insert(store, &detail->attempt, change->prompt->body,
                                    change->prompt->body_len, change->prompt->display,
                                    change->prompt->display_len);
    int r = 0;
    if (detail->unsaved_response)
        r = store_attempt_response_set(store, job->attempt_id, detail->unsaved_response,
                                       detail->unsaved_response_len);
    return r < 0 ? r : store_attempt_update(store, &detail->attempt);
}

static int change_job_save(struct job *job, const struct job_change *change, int64_t now_ms)
{
    char *name = strdup(job->name);
    char *state = strdup(job_state_to_text(change->to));
    struct store_job row = {.id = job->id,
                            .name = job->is_removed ? NULL : name,
                            .state = state,
                            .problem = job->detail ? job->detail->problem : NULL,
                            .created_ms = job->created_ms,
                            .updated_ms = now_ms,
                            .attempt_id = job->attempt_id};
    int r = name && state ? store_job_save(job->jobs->settings.store, &row) : -ENOMEM;
    free(name);
    free(state);
    return r;
}

static int change_history_save(struct job *job, const struct job_change *change, int64_t now_ms)
{
    struct buf text;
    buf_init(&text, 64 * 1024);
    if (change->to != job->state)
        buf_addf(&text, "%s -> %s%s", job_state_to_text(job->state), job_state_to_text(change->to),
                 change->note ? ": " : "");
    if (change->note)
        buf_add_text(&text, change->note);
    int r = text.error;
    if (r == 0 && text.len)
        r = store_history_add(job->jobs->settings.store, job->id, now_ms, buf_text(&text));
    buf_fini(&text);
    return r;
}

static int change_save(struct job *job, const struct job_change *change, int64_t now_ms)
{
    struct store *store = job->jobs->settings.store;
    int r = store_begin(store, change->durability);
    if (r < 0)
        return r;
    r = change_attempt_save(job, change);
    if (r == 0)
        r = change_job_save(job, change, now_ms);
    if (r == 0)
        r = change_history_save(job, change, now_ms);
    return store_end(store, r);
}

static void change_apply(struct job *job, const struct job_change *change, int64_t now_ms)
{
    if (job->state != change->to)
        log_info("job.transition", "job=%s id=%lld from=%s to=%s", job->name, (long long)job->id,
                 job_state_to_text(job->state), job_state_to_text(change->to));
    if (job->state != change->to)
        job->hidden = 0; /* what was unlinked was the rendering of another state */
    job->state = change->to;
    job->updated_ms = now_ms;
    job_check(job);
    jobs_changed(job);
}

/* An intent: all or nothing. */
static int job_change(struct job *job, const struct job_change *change)
{
    int64_t now_ms = jobs_wall_ms(job->jobs);
    int r = change_save(job, change, now_ms);
    if (r < 0)
        log_warn("store.refused", "job=%s to=%s error=%s", job->name, job_state_to_text(change->to),
                 err_name(r));
    else
        change_apply(job, change, now_ms);
    return r;
}

int job_save_again(struct job *job)
{
    if (!job->detail || !job->detail->is_unsaved)
        return 0;
    struct job_change change = {job->state, STORE_DURABLE, "written late", NULL};
    int r = change_save(job, &change, job->updated_ms);
    if (r < 0)
        return r;
    job->detail->is_unsaved = false;
    job_text_clear(&job->detail->unsaved_response);
    log_info("store.recovered", "job=%s", job->name);
    return 0;
}

static void jobs_save_again(void *context)
{
    struct jobs *jobs = context;
    struct job_detail *detail;
    struct job_detail *next;
    bool is_more = false;
    DL_FOREACH_SAFE (jobs->details, detail, next) {
        struct job *job = job_ref(detail->job);
        is_more = job_save_again(job) < 0 || is_more;
        job_unref(job); /* a removed one was kept for this alone */
    }
    if (is_more)
        jobs_save_later(jobs);
}

void jobs_save_last(struct jobs *jobs)
{
    if (timer_is_set(&jobs->save_timer))
        jobs_save_again(jobs);
    timer_cancel(jobs->settings.timers, &jobs->save_timer);
}

void jobs_save_later(struct jobs *jobs)
{
    if (timer_is_set(&jobs->save_timer))
        return;
    if (timer_set(jobs->settings.timers, &jobs->save_timer, JOB_SAVE_AGAIN_MS, jobs_save_again,
                  jobs) < 0)
        log_error("store.unsaved", "error=ENOMEM");
}

/* A fact: true whatever the store says. */
static void job_fact(struct job *job, const struct job_change *change)
{
    /* The time that `ls -t` sorts by is that of the last transition: a renewed URL is none. */
    bool is_event = change->to != job->state || change->note;
    int64_t now_ms = is_event ? jobs_wall_ms(job->jobs) : job->updated_ms;
    int r = change_save(job, change, now_ms);
    struct job_detail *detail = job->detail;
    if (r < 0) {
        log_error("store.unsaved", "job=%s to=%s error=%s", job->name,
                  job_state_to_text(change->to), err_name(r));
        detail->is_unsaved = true;
        jobs_save_later(job->jobs);
    } else {
        detail->is_unsaved = false;
        free(detail->unsaved_response);
        detail->unsaved_response = NULL;
    }
    change_apply(job, change, now_ms);
}

int job_save_new(struct job *job)
{
    struct job_change change = {JOB_DRAFT, STORE_LAZY, "created", NULL};
    return change_save(job, &change, job->created_ms);
}

void job_keep(struct job *job, const char *note)
{
    struct job_change change = {job->state, STORE_LAZY, note, NULL};
    job_fact(job, &change);
}

/* DRAFT, INVALID, REJECTED, FAILED, CANCELLED, EXPIRED, LOST -> DRAFT: prompt.json is being
 * rewritten. The attempt before stays in the store. */
int job_to_draft(struct job *job)
{
    struct job_detail *detail;
    int r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    if (job->state == JOB_DRAFT && !job->has_problem)
        return 0;
    /* The attempt is about to leave the memory: what is known of it is written down first. */
    r = job_save_again(job);
    if (r < 0)
        return r;
    int64_t attempt_id = job->attempt_id;
    char *problem = detail->problem;
    detail->problem = NULL;
    job->attempt_id = 0;
    struct store_attempt attempt = detail->attempt;
    detail->attempt = (struct store_attempt){0};
    struct job_change change = {JOB_DRAFT, STORE_LAZY, NULL, NULL};
    bool had_problem = job->has_problem;
    job->has_problem = false;
    r = job_change(job, &change);
    if (r < 0) {
        detail->problem = problem;
        detail->attempt = attempt;
        job->attempt_id = attempt_id;
        job->has_problem = had_problem;
        return r;
    }
    free(problem);
    store_attempt_fini(&attempt);
    job_text_clear(&detail->reason);
    job->video_bytes = -1;
    job->cover_bytes = -1;
    return 0;
}

/* DRAFT, INVALID -> INVALID: complete and closed, but not acceptable. */
int job_to_invalid(struct job *job, const char *problem)
{
    struct job_detail *detail;
    int r = job_to_draft(job);
    if (r == 0)
        r = job_detail_get(job, &detail);
    if (r == 0)
        r = job_text_set(&detail->problem, problem);
    if (r < 0)
        return r;
    job->has_problem = true;
    struct job_change change = {JOB_INVALID, STORE_LAZY, NULL, NULL};
    return job_change(job, &change);
}

static int attempt_init(struct store_attempt *attempt, struct job *job, const struct prompt *prompt)
{
    struct store *store = job->jobs->settings.store;
    *attempt = (struct store_attempt){.job_id = job->id,
                                      .duration_ms = prompt->duration_s * 1000,
                                      .input_video_ms = prompt->input_video_ms,
                                      .estimated_usd_micros = prompt->estimate_usd_micros,
                                      .actual_usd_micros = -1,
                                      .intent_ms = jobs_wall_ms(job->jobs),
                                      .output_ms = -1,
                                      .video_bytes = -1,
                                      .cover_bytes = -1};
    int r = store_id_take(store, &attempt->id);
    if (r == 0)
        r = store_attempt_number_next(store, job->id, &attempt->number);
    if (r == 0)
        r = job_text_set(&attempt->model, prompt->model);
    if (r == 0)
        r = job_text_set(&attempt->resolution, prompt->resolution);
    if (r < 0)
        store_attempt_fini(attempt);
    return r;
}

/* DRAFT, INVALID -> WAITING: the user's intent, durable with the exact bytes that will be sent. */
int job_to_accepted(struct job *job, const struct prompt *prompt)
{
    struct job_detail *detail;
    struct store_attempt attempt;
    int r = job_to_draft(job);
    if (r == 0)
        r = job_detail_get(job, &detail);
    if (r == 0)
        r = attempt_init(&attempt, job, prompt);
    if (r < 0)
        return r;
    detail->attempt = attempt;
    job->attempt_id = attempt.id;
    char note[128];
    char usd[TEXT_MONEY_SIZE];
    text_usd(attempt.estimated_usd_micros, usd);
    (void)snprintf(note, sizeof(note), "attempt %lld, estimated %s USD", (long long)attempt.number,
                   usd);
    struct job_change change = {JOB_WAITING, STORE_DURABLE, note, prompt};
    r = job_change(job, &change);
    if (r < 0) {
        job->attempt_id = 0;
        store_attempt_fini(&detail->attempt);
        return r;
    }
    detail->failures = 0;
    detail->polls = 0;
    detail->wait_until_ms = 0;
    detail->is_missing_once = false;
    detail->is_result_kept = false;
    return 0;
}

/* WAITING -> SUBMITTING: durable on return, immediately before the first byte is sent. */
int job_to_submitting(struct job *job)
{
    struct job_detail *detail = job->detail;
    /* What stood in the way does not any more. */
    job_problem_clear(detail);
    job_text_clear(&detail->reason);
    detail->attempt.submitted_ms = jobs_wall_ms(job->jobs);
    struct job_change change = {JOB_SUBMITTING, STORE_DURABLE, NULL, NULL};
    int r = job_change(job, &change);
    if (r < 0)
        detail->attempt.submitted_ms = 0;
    return r;
}

/* SUBMITTING -> WAITING: the service said that it made no task and that it may be asked again. */
void job_to_waiting(struct job *job, const char *note)
{
    job->detail->attempt.submitted_ms = 0;
    struct job_change change = {JOB_WAITING, STORE_DURABLE, note, NULL};
    job_fact(job, &change);
}

/* SUBMITTING -> QUEUED: the service made a task. */
void job_to_queued(struct job *job, const struct api_task *task)
{
    struct job_detail *detail = job->detail;
    /* A task id that cannot be copied is still in the raw answer, which is on disk. */
    if (job_text_set(&detail->attempt.task_id, task->id) < 0) {
        job_to_unknown(job, "the program ran out of memory; the answer is in response.json");
        return;
    }
    job_text_clear(&detail->reason);
    job_problem_clear(detail);
    detail->failures = 0;
    struct job_change change = {JOB_QUEUED, STORE_DURABLE, task->id, NULL};
    job_fact(job, &change);
}

static void attempt_error_set(struct store_attempt *attempt, int http_status, const char *code,
                              const char *message, const char *request_id)
{
    /* Without memory the texts are missing, the state is not. */
    (void)!job_text_set(&attempt->error_code, code && *code ? code : NULL);
    (void)!job_text_set(&attempt->error_message, message && *message ? message : NULL);
    (void)!job_text_set(&attempt->request_id, request_id && *request_id ? request_id : NULL);
    attempt->http_status = http_status;
}

/* SUBMITTING -> REJECTED: the service refused the request; no task exists. */
void job_to_rejected(struct job *job, const struct api_answer *answer)
{
    struct job_detail *detail = job->detail;
    attempt_error_set(&detail->attempt, answer->http_status, answer->code, answer->message,
                      answer->request_id);
    detail->attempt.finished_ms = jobs_wall_ms(job->jobs);
    job_problem_set(detail,
                    "The service refused the request (HTTP %d%s%s): %s\n"
                    "No task was created and nothing was charged. Change prompt.json and write it "
                    "again to start a new attempt.\n%s%s%s",
                    answer->http_status, answer->code[0] ? ", " : "", answer->code,
                    answer->message[0] ? answer->message : "it gave no reason",
                    answer->request_id[0] ? "Request id: " : "", answer->request_id,
                    answer->request_id[0] ? "\n" : "");
    struct job_change change = {JOB_REJECTED, STORE_DURABLE, answer->message, NULL};
    job_fact(job, &change);
}

/* SUBMITTING -> UNKNOWN: a task may exist. The user decides, never the program. */
void job_to_unknown(struct job *job, const char *evidence)
{
    struct job_detail *detail = job->detail;
    char usd[TEXT_MONEY_SIZE];
    char when[TEXT_TIME_SIZE];
    text_usd(detail->attempt.estimated_usd_micros, usd);
    text_time_rfc3339(detail->attempt.submitted_ms, when);
    (void)!job_text_set(&detail->attempt.error_message, evidence);
    job_problem_set(detail,
                    "It is not known whether the service created a task: %s.\n"
                    "The request was sent at %s; about %s USD may have been charged for it.\n"
                    "Nothing is sent again by itself. Look at your account's task list or bill. To "
                    "try again, write the same prompt.json in a new job, knowing that it may be "
                    "charged a second time.\n",
                    evidence, when, usd);
    struct job_change change = {JOB_UNKNOWN, STORE_DURABLE, evidence, NULL};
    job_fact(job, &change);
}

/* QUEUED -> RUNNING. */
void job_to_running(struct job *job)
{
    struct job_change change = {JOB_RUNNING, STORE_LAZY, NULL, NULL};
    job_fact(job, &change);
}

/* QUEUED, RUNNING -> SUCCEEDED: the video's URL and, if it could be had, its size are known. */
void job_to_succeeded(struct job *job)
{
    struct job_detail *detail = job->detail;
    detail->attempt.finished_ms = jobs_wall_ms(job->jobs);
    job->video_bytes = detail->attempt.video_bytes;
    job->cover_bytes = detail->attempt.cover_bytes;
    struct job_change change = {JOB_SUCCEEDED, STORE_DURABLE, NULL, NULL};
    job_fact(job, &change);
}

/* QUEUED, RUNNING -> FAILED, CANCELLED, EXPIRED, LOST: the caller has set the problem. */
void job_to_ended(struct job *job, enum job_state state)
{
    struct job_detail *detail = job->detail;
    detail->attempt.finished_ms = jobs_wall_ms(job->jobs);
    struct job_change change = {state, STORE_DURABLE, detail->attempt.error_message, NULL};
    job_fact(job, &change);
}
