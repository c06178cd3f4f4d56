/*
 * What must always hold, judged from outside:
 *
 *   1. No attempt makes a second task, and none is sent while an earlier send may have made one.
 *   2. When the first byte of a create may go out, the request and `submitting` are on the durable
 *      disk.
 *   3. A raw response is on the durable disk before any code reads it (or the disk has failed, and
 *      memory keeps it), and its task id is never lost again.
 *   4. States change along the arrows of src/job/state.c.
 *   5. A crash leaves each job in a state that it had since it was last durable; a kill leaves the
 *      last one committed. `submitting` becomes `unknown`, or `queued` if there is a response.
 *   6. At no send does the money that is spent or perhaps spent exceed the budget, by the service's
 *      own books.
 *   7. A job that was unknown is not sent again as the same attempt.
 *   8. A held job, and what looks like a copy, is sent only after the user has ordered it.
 *   9. A take stays a take while its job exists. Another one is picked by the user, or when it has
 *      just been made. With a take, only a command leads to a new attempt.
 *  10. In the end a job waits only for money, or for another job that waits for its user.
 *  11. What is sent has no gap. The takes that it uses are picked, and were so when the user ordered
 *      it; or each is the first one of a job that had none then.
 *  12. A job becomes held by itself only when an input has changed or will not come, or the price
 *      is another one.
 */
#include "disk.h"
#include "world.h"

#include "job/job_private.h"
#include "store/store_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { VERSIONS_MAX = 24 };

struct version {
    enum job_state state;
    int64_t attempt_id;
};

/* A job as it was last seen. */
struct seen {
    int64_t id;
    struct version memory;
    struct version versions[VERSIONS_MAX]; /* committed ones; the first is certain to be durable */
    unsigned count;
    unsigned takes;    /* that are durable */
    int64_t picked_id; /* 0: none */
    bool is_copied;    /* it looks like a copy, and nobody has ordered it */
    bool is_durable;   /* the job's existence is durable */
    bool is_removed;
    UT_hash_handle by_id;
};

static struct seen *jobs_seen;
static struct attempt *attempts;
static struct {
    enum ending ending;
    bool is_inside; /* a write to the disk may have been under way */
} last_end;
static unsigned failures_at_start;

#define A(state) (1u << JOB_##state)
static const unsigned arrows[JOB_STATE_COUNT] = {
    [JOB_DRAFT] = A(WAITING) | A(HELD) | A(INVALID) | A(QUEUED) | A(SUCCEEDED),
    [JOB_INVALID] = A(DRAFT) | A(WAITING) | A(HELD) | A(QUEUED) | A(SUCCEEDED),
    [JOB_HELD] = A(DRAFT) | A(WAITING) | A(QUEUED) | A(SUCCEEDED),
    [JOB_WAITING] = A(SUBMITTING) | A(HELD),
    [JOB_SUBMITTING] = A(WAITING) | A(QUEUED) | A(REJECTED) | A(UNKNOWN),
    [JOB_UNKNOWN] = A(WAITING) | A(QUEUED) | A(SUCCEEDED),
    [JOB_REJECTED] = A(DRAFT) | A(WAITING) | A(QUEUED) | A(SUCCEEDED),
    [JOB_QUEUED] = A(RUNNING) | A(SUCCEEDED) | A(FAILED) | A(CANCELLED) | A(EXPIRED) | A(LOST),
    [JOB_RUNNING] = A(SUCCEEDED) | A(FAILED) | A(CANCELLED) | A(EXPIRED) | A(LOST),
    [JOB_SUCCEEDED] = A(DRAFT) | A(WAITING) | A(QUEUED),
    [JOB_FAILED] = A(DRAFT) | A(WAITING) | A(QUEUED) | A(SUCCEEDED),
    [JOB_CANCELLED] = A(DRAFT) | A(WAITING) | A(QUEUED) | A(SUCCEEDED),
    [JOB_EXPIRED] = A(DRAFT) | A(WAITING) | A(QUEUED) | A(SUCCEEDED),
    [JOB_LOST] = A(DRAFT) | A(WAITING) | A(QUEUED) | A(SUCCEEDED),
};
/* Only a user can move a job on from these. */
#define USERS_ALONE                                                                                \
    (A(DRAFT) | A(INVALID) | A(HELD) | A(UNKNOWN) | A(REJECTED) | A(SUCCEEDED) | A(FAILED) |       \
     A(CANCELLED) | A(EXPIRED) | A(LOST))
/* From these a job with a take goes on only by a command. */
#define FROZEN_BY_TAKE                                                                             \
    (A(UNKNOWN) | A(REJECTED) | A(SUCCEEDED) | A(FAILED) | A(CANCELLED) | A(EXPIRED) | A(LOST))

void oracle_reset(void)
{
    last_end.ending = ENDING_CLEAN;
    last_end.is_inside = false;
    struct seen *seen;
    struct seen *next_seen;
    struct attempt *attempt;
    struct attempt *next_attempt;
    HASH_ITER (by_id, jobs_seen, seen, next_seen) {
        HASH_DELETE(by_id, jobs_seen, seen);
        free(seen);
    }
    HASH_ITER (by_id, attempts, attempt, next_attempt) {
        HASH_DELETE(by_id, attempts, attempt);
        free(attempt->body);
        free(attempt);
    }
}

struct attempt *oracle_attempt(int64_t id)
{
    struct attempt *attempt;
    HASH_FIND(by_id, attempts, &id, sizeof(id), attempt);
    if (attempt)
        return attempt;
    attempt = calloc(1, sizeof(*attempt));
    if (!attempt)
        abort();
    attempt->id = id;
    HASH_ADD(by_id, attempts, id, sizeof(attempt->id), attempt);
    return attempt;
}

static struct seen *seen_get(int64_t id, bool is_made)
{
    struct seen *seen;
    HASH_FIND(by_id, jobs_seen, &id, sizeof(id), seen);
    if (seen || !is_made)
        return seen;
    seen = calloc(1, sizeof(*seen));
    if (!seen)
        abort();
    seen->id = id;
    HASH_ADD(by_id, jobs_seen, id, sizeof(seen->id), seen);
    return seen;
}

static struct version version_of(const struct job *job)
{
    return (struct version){job->state, job->attempt_id};
}

static bool version_is(const struct version *version, const struct job *job)
{
    return version->state == job->state && version->attempt_id == job->attempt_id;
}

static void version_push(struct seen *seen, struct version version)
{
    const struct version *last = seen->count > 0 ? &seen->versions[seen->count - 1] : NULL;
    if (last && last->state == version.state && last->attempt_id == version.attempt_id)
        return;
    if (seen->count == VERSIONS_MAX) {
        /* The oldest version stays: it is the durable one. */
        memmove(&seen->versions[1], &seen->versions[2],
                (VERSIONS_MAX - 2) * sizeof(seen->versions[0]));
        seen->count--;
    }
    seen->versions[seen->count++] = version;
}

/* --- while it runs --- */

static void accepted(const struct job *job)
{
    struct attempt *attempt = oracle_attempt(job->attempt_id);
    figure_add(FIGURE_ACCEPTED);
    if (attempt->sends > 0)
        world_fail("attempt %" PRId64 " is accepted, and was sent before", attempt->id);
    attempt->job_id = job->id;
    attempt->is_unknown = false;
}

/* --- inputs --- */

static void ordered_forget(struct attempt *attempt)
{
    attempt->ordered_count = 0;
}

/* What the user has ordered the attempt with: the picked takes at that time. */
static void ordered_note(const struct job *job)
{
    struct attempt *attempt = oracle_attempt(job->attempt_id);
    CLEANUP(job_inputs_fini) struct job_inputs inputs = {0};
    ordered_forget(attempt);
    if (job_inputs_get(job, job->attempt_id, &inputs) < 0)
        return;
    for (size_t i = 0; i < inputs.count && attempt->ordered_count < INPUTS_MAX; i++) {
        const struct store_input *row = &inputs.rows[i];
        const struct job *on = row->job_id ? jobs_get(world.program.jobs, row->job_id) : NULL;
        if (row->job_id == 0)
            continue;
        attempt->ordered[attempt->ordered_count++] = (struct ordered){
            .job_id = row->job_id, .take_id = on && on->picked ? on->picked->id : 0};
    }
}

static int64_t first_take(const struct job *job)
{
    return job->takes ? job->takes->id : 0;
}

/* Whether the user's order does not fit what is there now, so that it must not be sent. */
static bool is_changed(const struct ordered *ordered)
{
    const struct job *on = jobs_get(world.program.jobs, ordered->job_id);
    if (!on)
        return true;
    if (!on->picked)
        return on->state == JOB_REJECTED || on->state >= JOB_FAILED;
    return on->picked->id != (ordered->take_id ? ordered->take_id : first_take(on));
}

/* By the service's books. */
static int64_t take_length_s(const struct job_take *take)
{
    CLEANUP(store_attempt_fini) struct store_attempt attempt = {0};
    if (store_attempt_get(world.program.store, take->id, &attempt) < 0 || !attempt.task_id)
        return 0;
    return max_int64(service_actual_s(attempt.task_id), 0);
}

static bool inputs_have_changed(const struct job *job)
{
    const struct attempt *attempt = oracle_attempt(job->attempt_id);
    for (unsigned i = 0; i < attempt->ordered_count; i++) {
        if (is_changed(&attempt->ordered[i]))
            return true;
    }
    /* A take whose job was removed; or videos that turn out to be too long together. */
    CLEANUP(job_inputs_fini) struct job_inputs inputs = {0};
    int64_t length_s = 0;
    bool is_gone = job_inputs_get(job, job->attempt_id, &inputs) < 0;
    for (size_t i = 0; i < inputs.count && !is_gone; i++) {
        const struct store_input *row = &inputs.rows[i];
        const struct job *on = row->job_id ? jobs_get(world.program.jobs, row->job_id) : NULL;
        struct job_take *take = on ? on->picked : NULL;
        if (row->form == JOB_INPUT_TAKE)
            is_gone = jobs_take_find(world.program.jobs, row->take_id, &take) == 0 && !take;
        if (row->media == PROMPT_VIDEO && take)
            length_s += take_length_s(take);
    }
    return is_gone || length_s > 15;
}

static void inputs_verify(const struct job *job, const struct attempt *attempt, const char *body)
{
    static const char *const gaps[] = {"_url\":\"\"", "[\"\"", ",\"\"", "\"url\":\"\"",
                                       "_durations\":\"\""};
    for (size_t i = 0; i < ARRAY_COUNT(gaps); i++) {
        if (strstr(body, gaps[i]))
            world_fail("attempt %" PRId64 " is sent with a gap: %s", attempt->id, body);
    }
    CLEANUP(job_inputs_fini) struct job_inputs inputs = {0};
    if (job_inputs_get(job, attempt->id, &inputs) < 0)
        world_fail("the inputs of attempt %" PRId64 " are unreadable", attempt->id);
    for (size_t i = 0; i < inputs.count; i++) {
        const struct store_input *row = &inputs.rows[i];
        const struct job *on = row->job_id ? jobs_get(world.program.jobs, row->job_id) : NULL;
        if (row->job_id == 0)
            continue;
        figure_add(FIGURE_INPUTS);
        if (!on || !on->picked || on->picked->id != row->take_id)
            world_fail("attempt %" PRId64 " is sent before job %" PRId64 " has its take %" PRId64,
                       attempt->id, row->job_id, row->take_id);
    }
    for (unsigned i = 0; i < attempt->ordered_count; i++) {
        if (is_changed(&attempt->ordered[i]))
            world_fail("attempt %" PRId64 " is sent with another take of job %" PRId64
                       " than its user has ordered",
                       attempt->id, attempt->ordered[i].job_id);
    }
}

static void transition(const struct job *job, enum job_state from)
{
    world_say("job %" PRId64 " attempt %" PRId64 ": %s -> %s", job->id, job->attempt_id,
              job_state_to_text(from), job_state_to_text(job->state));
    figures->states[job->state]++;
    if (!(arrows[from] & 1u << job->state))
        world_fail("job %" PRId64 ": no arrow from %s to %s", job->id, job_state_to_text(from),
                   job_state_to_text(job->state));
    if ((USERS_ALONE & 1u << from) && !world.is_user_acting)
        world_fail("job %" PRId64 " goes from %s to %s, and no user has asked for it", job->id,
                   job_state_to_text(from), job_state_to_text(job->state));
    struct seen *seen = seen_get(job->id, true);
    /* A start that the disk delays comes to some of its jobs later. */
    bool is_start = world.program.is_hold_wanted && job->hold == JOB_HOLD_USER;
    bool is_held_by_itself =
        job->hold == JOB_HOLD_PRICE || (job->hold == JOB_HOLD_INPUT && inputs_have_changed(job));
    if (from == JOB_WAITING && job->state == JOB_HELD && !world.is_user_acting &&
        !seen->is_copied && !is_start && !is_held_by_itself)
        world_fail("job %" PRId64 " is held, and nobody has asked for it", job->id);
    if (job->takes && (FROZEN_BY_TAKE & 1u << from) && !world.is_commanding)
        world_fail("job %" PRId64 " has a take, and no command has led it from %s to %s", job->id,
                   job_state_to_text(from), job_state_to_text(job->state));
    if (!(job_state_has_hold(job->state) || job->state == JOB_WAITING))
        seen->is_copied = false;
    bool is_same_attempt = from == JOB_SUBMITTING || from == JOB_WAITING || from == JOB_HELD;
    if ((job->state == JOB_WAITING || job->state == JOB_HELD) && !is_same_attempt)
        accepted(job);
    if (job->state == JOB_WAITING && from != JOB_SUBMITTING)
        ordered_note(job);
    if (job->state == JOB_QUEUED && from == JOB_SUBMITTING && world.is_resuming)
        figure_add(FIGURE_ANSWERS_RECOVERED);
    if (job->state == JOB_UNKNOWN)
        oracle_attempt(job->attempt_id)->is_unknown = true;
}

static unsigned takes_count(const struct job *job)
{
    const struct job_take *take;
    unsigned count = 0;
    LL_COUNT(job->takes, take, count);
    return count;
}

static void takes_verify(const struct job *job, struct seen *seen)
{
    int64_t picked_id = job->picked ? job->picked->id : 0;
    if (takes_count(job) < seen->takes || !job->takes != !job->picked)
        world_fail("job %" PRId64 " has lost a take", job->id);
    if (picked_id != seen->picked_id && !world.is_commanding &&
        (job->state != JOB_SUCCEEDED || picked_id != job->attempt_id))
        world_fail("job %" PRId64 " has another take, and nobody has picked it", job->id);
    seen->picked_id = picked_id;
}

void oracle_job_changed(const struct job *job)
{
    if (job->is_provisional)
        return;
    struct seen *seen = seen_get(job->id, true);
    bool is_unsaved = job->detail && job->detail->is_unsaved;
    takes_verify(job, seen);
    if (seen->memory.state != job->state)
        transition(job, seen->memory.state);
    if (!is_unsaved)
        seen->takes = takes_count(job);
    /* What was only in memory is written before an attempt is left. */
    if (!is_unsaved && seen->count > 0)
        version_push(seen, seen->memory);
    seen->memory = version_of(job);
    if (!is_unsaved)
        version_push(seen, seen->memory);
}

void oracle_adopted(const struct job *job, const char *task_id)
{
    struct attempt *attempt = oracle_attempt(job->attempt_id);
    figure_add(FIGURE_ADOPTED);
    if (strcmp(attempt->task_id, task_id) != 0)
        attempt->is_written_off = true;
}

/* A mark that the disk has refused is written again, but a crash may come before. */
void oracle_copied(const struct job *job)
{
    bool is_marked = job->hold == JOB_HOLD_COPY && !(job->detail && job->detail->is_unsaved);
    if (is_marked && !job->is_provisional && !disk_is_dead())
        seen_get(job->id, true)->is_copied = true;
}

void oracle_ordered(const struct job *job)
{
    seen_get(job->id, true)->is_copied = false;
}

/* --- the durable disk --- */

static bool has_row(sqlite3 *db, const char *sql, int64_t id, int64_t attempt_id, const void *body,
                    size_t len)
{
    sqlite3_stmt *statement = NULL;
    bool has = false;
    if (db && sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK) {
        (void)sqlite3_bind_int64(statement, 1, id);
        (void)sqlite3_bind_int64(statement, 2, attempt_id);
        (void)sqlite3_bind_blob(statement, 3, body, (int)len, SQLITE_STATIC);
        has = sqlite3_step(statement) == SQLITE_ROW;
    }
    (void)sqlite3_finalize(statement);
    return has;
}

/* Reads the disk itself if anything on it is unsynced. */
static bool is_on_durable_disk(const char *sql, int64_t id, int64_t attempt_id, const void *body,
                               size_t len)
{
    if (disk_is_clean() && world_pick(16) > 0)
        return has_row(world.program.store->db, sql, id, attempt_id, body, len);
    figure_add(FIGURE_INSPECTIONS);
    sqlite3 *db = disk_inspect_open();
    bool has = has_row(db, sql, id, attempt_id, body, len);
    disk_inspect_close(db);
    return has;
}

static const char submitting_sql[] =
    "SELECT 1 FROM job JOIN attempt ON attempt.id = job.attempt_id "
    "JOIN exchange ON exchange.attempt_id = attempt.id WHERE job.id = ?1 AND attempt.id = ?2 "
    "AND state = 'submitting' AND submitted_ms != 0 AND (body = ?3 OR EXISTS (SELECT 1 FROM sent "
    "WHERE sent.attempt_id = ?2 AND sent.body = ?3))";
static const char response_sql[] =
    "SELECT 1 FROM attempt JOIN exchange ON exchange.attempt_id = attempt.id "
    "WHERE job_id = ?1 AND attempt.id = ?2 AND response = ?3";

/* --- money --- */

/* What was or may be charged for an attempt, by the service's books. */
static int64_t attempt_cost(const struct attempt *attempt)
{
    if (attempt->is_written_off || (attempt->possible == 0 && attempt->tasks == 0))
        return 0;
    return service_price_usd_micros(attempt->body, service_actual_s(attempt->task_id));
}

static void budget_check(const struct attempt *sent)
{
    const struct job_budget *budget = &world.program.budget;
    int64_t start_ms;
    int64_t end_ms;
    int64_t sum = 0;
    if (budget->limit_usd_micros == 0)
        return;
    job_budget_period_get(budget->period, world.clock.wall_ms, &start_ms, &end_ms);
    struct attempt *attempt;
    struct attempt *next;
    HASH_ITER (by_id, attempts, attempt, next) {
        if (attempt->sent_wall_ms >= start_ms && attempt->sent_wall_ms < end_ms)
            sum += attempt_cost(attempt);
    }
    if (sum > budget->limit_usd_micros)
        world_fail("attempt %" PRId64 " is sent: that makes %" PRId64
                   " micro-dollars of a budget of %" PRId64,
                   sent->id, sum, budget->limit_usd_micros);
}

void oracle_sent(struct job *job, struct attempt *attempt, const char *body, size_t len)
{
    figure_add(FIGURE_SENT);
    if (world.program.is_ending)
        world_fail("attempt %" PRId64 " is sent while the program ends", attempt->id);
    if (attempt->is_unknown)
        world_fail("attempt %" PRId64 " was unknown, and is sent again", attempt->id);
    if (attempt->possible > 0)
        world_fail("attempt %" PRId64 " is sent a second time", attempt->id);
    if (seen_get(job->id, true)->is_copied)
        world_fail("attempt %" PRId64 " is sent, and looks like a copy", attempt->id);
    attempt->sends++;
    attempt->possible = 1;
    attempt->sent_wall_ms = world.clock.wall_ms;
    free(attempt->body);
    attempt->body = strndup(body, len);
    inputs_verify(job, attempt, attempt->body);
    if (!is_on_durable_disk(submitting_sql, job->id, attempt->id, body, len))
        world_fail("attempt %" PRId64 " is sent, and a power cut now would forget it", attempt->id);
    budget_check(attempt);
}

void oracle_received(struct job *job, struct attempt *attempt, const char *body, size_t len,
                     unsigned failures_before)
{
    const struct job_detail *detail = job->detail;
    if (is_on_durable_disk(response_sql, job->id, attempt->id, body, len)) {
        /* If the disk has failed, the response may be there by chance, and memory
         * is what counts. */
        attempt->is_response_kept = attempt->is_answered_well && disk_failures() == failures_before;
        return;
    }
    bool is_in_memory = detail->unsaved_response && detail->unsaved_response_len == len &&
                        memcmp(detail->unsaved_response, body, len) == 0;
    if (!is_in_memory || disk_failures() == failures_before)
        world_fail("attempt %" PRId64 ": the response is looked at before it is durable",
                   attempt->id);
}

void oracle_answering(struct attempt *attempt, enum meaning meaning)
{
    if (meaning == MEANS_UNSENT || meaning == MEANS_REFUSED || meaning == MEANS_AGAIN)
        attempt->possible = 0;
}

void oracle_answered(int64_t job_id, struct attempt *attempt, enum meaning meaning)
{
    static const enum job_state states[] = {[MEANS_UNSENT] = JOB_WAITING,
                                            [MEANS_TASK] = JOB_QUEUED,
                                            [MEANS_REFUSED] = JOB_REJECTED,
                                            [MEANS_AGAIN] = JOB_WAITING,
                                            [MEANS_NOT_KNOWN] = JOB_UNKNOWN};
    const struct job *job = jobs_get(world.program.jobs, job_id);
    if (!job)
        return; /* removed */
    if (job->attempt_id != attempt->id || job->state != states[meaning])
        world_fail("job %" PRId64 " is %s after a response that makes it %s", job_id,
                   job_state_to_text(job->state), job_state_to_text(states[meaning]));
    if (meaning == MEANS_TASK && strcmp(job->detail->attempt.task_id, attempt->task_id) != 0)
        world_fail("job %" PRId64 " has the task %s instead of %s", job_id,
                   job->detail->attempt.task_id, attempt->task_id);
}

/* --- after every event --- */

/* Checks the invariants of state.c again: the release build has no job_check(). */
static void job_verify(const struct job *job)
{
    job_check(job);
    unsigned bit = 1u << job->state;
    bool is_right = (job->state <= JOB_INVALID) == (job->attempt_id == 0);
    if (is_right && job->detail) {
        const struct store_attempt *attempt = &job->detail->attempt;
        is_right = attempt->id == job->attempt_id;
        if (bit & (A(WAITING) | A(HELD) | A(SUBMITTING) | A(UNKNOWN)))
            is_right = is_right && !attempt->task_id;
        if (bit & (A(WAITING) | A(HELD)))
            is_right = is_right && attempt->submitted_ms == 0;
        if (bit & (A(SUBMITTING) | A(UNKNOWN)))
            is_right = is_right && attempt->submitted_ms != 0;
        if (bit & (A(QUEUED) | A(RUNNING) | A(SUCCEEDED)))
            is_right = is_right && attempt->task_id;
        if (bit & (A(SUCCEEDED) | A(FAILED) | A(CANCELLED) | A(EXPIRED) | A(LOST)))
            is_right = is_right && attempt->finished_ms != 0;
    }
    if (!is_right)
        world_fail("job %" PRId64 ": what it knows does not fit its state %s", job->id,
                   job_state_to_text(job->state));
    const struct seen *seen = seen_get(job->id, false);
    if (!seen || !version_is(&seen->memory, job))
        world_fail("job %" PRId64 " is %s, and nobody was told", job->id,
                   job_state_to_text(job->state));
}

static void seen_settle(struct seen *seen)
{
    seen->versions[0] = seen->versions[seen->count - 1];
    seen->count = 1;
    seen->is_durable = true;
}

void oracle_event_end(void)
{
    struct jobs *jobs = world.program.jobs;
    struct seen *seen;
    struct seen *next;
    bool is_clean = disk_is_clean();
    if (jobs->creates != network_transfers(true) || jobs->polls != network_transfers(false) ||
        jobs->creates > JOB_CREATES_MAX || jobs->polls > JOB_POLLS_MAX)
        world_fail("%u creates and %u polls are under way, the program counts %u and %u",
                   network_transfers(true), network_transfers(false), jobs->creates, jobs->polls);
    for (struct job *job = jobs_next(jobs, 0); job; job = jobs_next(jobs, job->id)) {
        job_verify(job);
        if (!job->detail || !job->detail->is_unsaved)
            version_push(seen_get(job->id, true), version_of(job));
    }
    HASH_ITER (by_id, jobs_seen, seen, next) {
        seen->is_removed = jobs_get(jobs, seen->id) == NULL;
        if (is_clean && seen->is_removed) {
            HASH_DELETE(by_id, jobs_seen, seen);
            free(seen);
        } else if (is_clean && seen->count > 0) {
            seen_settle(seen);
        }
    }
}

/* --- ends and starts --- */

void oracle_ended(enum ending ending, bool is_inside)
{
    if (ending > last_end.ending)
        last_end.ending = ending;
    /* If the disk fails even for the repair of a failed commit, that commit may
     * be found complete. */
    const struct store *store = world.program.store;
    bool is_refused = store && store->wal_maybe_unsynced && disk_failures() > failures_at_start;
    last_end.is_inside = last_end.is_inside || is_inside || is_refused;
}

static bool is_possible(const struct seen *seen, const struct job *job)
{
    unsigned first = last_end.ending == ENDING_POWER_CUT ? 0 : seen->count - 1;
    unsigned reach = arrows[seen->memory.state];
    for (unsigned i = first; i < seen->count; i++) {
        if (version_is(&seen->versions[i], job))
            return true;
        reach |= arrows[seen->versions[i].state];
    }
    if (last_end.ending == ENDING_CLEAN || last_end.is_inside) {
        if (version_is(&seen->memory, job))
            return true; /* until then it may have been only in memory */
    }
    return last_end.is_inside && (reach & 1u << job->state);
}

static void loaded_verify(struct job *job)
{
    struct seen *seen = seen_get(job->id, false);
    bool is_new = !seen || seen->count == 0;
    if (is_new ? !last_end.is_inside : !is_possible(seen, job))
        world_fail("job %" PRId64 " attempt %" PRId64
                   " is %s on disk, which it was not when that could be forgotten",
                   job->id, job->attempt_id, job_state_to_text(job->state));
    if (seen && seen->is_removed && last_end.ending != ENDING_POWER_CUT)
        world_fail("job %" PRId64 " was removed and is there again", job->id);
    seen = seen_get(job->id, true);
    /* Which one is picked is as durable as the attempt that the job has. */
    seen->picked_id = job->picked ? job->picked->id : 0;
    takes_verify(job, seen);
    seen->takes = takes_count(job);
    seen->memory = version_of(job);
    version_push(seen, seen->memory);
    if (job->attempt_id)
        oracle_attempt(job->attempt_id)->job_id = job->id;
}

/* A response that was once durable stays for ever, whatever happened to its job. */
static void responses_verify(void)
{
    struct attempt *attempt;
    struct attempt *next;
    HASH_ITER (by_id, attempts, attempt, next) {
        struct store_attempt row;
        char *response = NULL;
        size_t len = 0;
        if (!attempt->is_response_kept)
            continue;
        if (store_attempt_get(world.program.store, attempt->id, &row) < 0)
            world_fail("attempt %" PRId64 " has gone, and with it a task", attempt->id);
        if (store_attempt_blob_get(world.program.store, attempt->id, STORE_RESPONSE, &response,
                                   &len) < 0)
            world_fail("the response of attempt %" PRId64 " is unreadable", attempt->id);
        bool is_known = row.task_id && strcmp(row.task_id, attempt->task_id) == 0;
        if (!is_known && !(response && strstr(response, attempt->task_id)))
            world_fail("the task id of attempt %" PRId64 " is lost", attempt->id);
        free(response);
        store_attempt_fini(&row);
    }
}

void oracle_loaded(void)
{
    struct jobs *jobs = world.program.jobs;
    bool is_power_cut = last_end.ending == ENDING_POWER_CUT;
    struct seen *seen;
    struct seen *next;
    for (struct job *job = jobs_next(jobs, 0); job; job = jobs_next(jobs, job->id))
        loaded_verify(job);
    HASH_ITER (by_id, jobs_seen, seen, next) {
        bool is_there = jobs_get(jobs, seen->id) != NULL;
        bool may_be_missing =
            seen->is_removed || last_end.is_inside || (is_power_cut && !seen->is_durable);
        if (!is_there && !may_be_missing)
            world_fail("job %" PRId64 " has gone", seen->id);
        seen->is_removed = !is_there;
        /* On any other system, too, what was not synced may be gone then. */
        seen->is_copied = seen->is_copied && !is_power_cut && !last_end.is_inside;
        if (is_power_cut && is_there)
            seen_settle(seen);
        if (is_power_cut && !is_there) {
            HASH_DELETE(by_id, jobs_seen, seen);
            free(seen);
        }
    }
    last_end.ending = ENDING_CLEAN;
    last_end.is_inside = false;
    failures_at_start = disk_failures();
    responses_verify();
}

void oracle_resumed(void)
{
    struct jobs *jobs = world.program.jobs;
    for (struct job *job = jobs_next(jobs, 0); job; job = jobs_next(jobs, job->id)) {
        const struct attempt *attempt = job->attempt_id ? oracle_attempt(job->attempt_id) : NULL;
        if (job->state == JOB_SUBMITTING)
            world_fail("job %" PRId64 " is submitting after a start", job->id);
        if (job->state == JOB_WAITING && attempt->possible > 0)
            world_fail("job %" PRId64 " waits after a start, and may have made a task", job->id);
        if (job->state == JOB_UNKNOWN && attempt->is_response_kept)
            world_fail("job %" PRId64 " is unknown after a start, and its response is on disk",
                       job->id);
    }
}

/* --- the end --- */

bool oracle_is_money_missing(void)
{
    struct jobs *jobs = world.program.jobs;
    struct job_budget_state state;
    if (world.program.budget.limit_usd_micros == 0)
        return false;
    if (jobs_budget_get(jobs, &state) < 0)
        return false;
    int64_t left = state.budget.limit_usd_micros - state.used_usd_micros;
    for (struct job *job = jobs_next(jobs, 0); job; job = jobs_next(jobs, job->id)) {
        if (job->state == JOB_WAITING && job->detail->attempt.estimated_usd_micros > left)
            return true;
    }
    return false;
}

/* It needs another job, which is judged by itself. */
static bool is_waiting_for_user(struct job *job)
{
    return job_needs_get(job) == JOB_NEEDS_WAIT;
}

void oracle_end(void)
{
    struct jobs *jobs = world.program.jobs;
    if (!jobs)
        world_fail("the program does not start any more");
    oracle_event_end();
    for (struct job *job = jobs_next(jobs, 0); job; job = jobs_next(jobs, job->id)) {
        if (job_state_class(job->state) != JOB_CLASS_ACTIVE)
            continue;
        if (job->state == JOB_WAITING && is_waiting_for_user(job)) {
            figure_add(FIGURE_INPUT_WAITS);
            continue;
        }
        if (job->state == JOB_WAITING && oracle_is_money_missing()) {
            figure_add(FIGURE_BUDGET_WAITS);
            continue;
        }
        world_fail("job %" PRId64 " is still %s: %s", job->id, job_state_to_text(job->state),
                   job->detail->reason ? job->detail->reason : "it does not say why");
    }
    struct job_detail *detail;
    DL_FOREACH (jobs->details, detail) {
        if (detail->is_unsaved)
            world_fail("job %" PRId64 " is not written down", detail->job->id);
    }
    responses_verify();
}
