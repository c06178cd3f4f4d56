/*
 * How a transition is written down and takes effect. One transaction saves the attempt, the job's
 * row, a line of history and a line of `events`. Then the job changes in memory.
 *
 * An intent is all or nothing. A fact is true whatever the store says: if the store refuses it, the
 * job changes in memory, and the whole is written again until it is stored.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"

#include <stdlib.h>
#include <string.h>

static int inputs_save(struct store *store, const struct job_inputs *inputs)
{
    int r = 0;
    for (size_t i = 0; inputs && i < inputs->count && r == 0; i++)
        r = store_input_save(store, &inputs->rows[i]);
    return r;
}

static int change_attempt_save(struct job *job, const struct job_change *change)
{
    struct store *store = job->jobs->settings.store;
    struct job_detail *detail = job->detail;
    if (job->attempt_id == 0)
        return 0;
    if (change->prompt) {
        int r = store_attempt_insert(store, &detail->attempt, change->prompt->body,
                                     change->prompt->body_len, change->prompt->display,
                                     change->prompt->display_len);
        return r < 0 ? r : inputs_save(store, change->inputs);
    }
    if (change->copied_id) {
        int r = store_attempt_copy(store, &detail->attempt, change->copied_id);
        return r < 0 ? r : inputs_save(store, change->inputs);
    }
    if (change->is_adopted)
        return store_attempt_insert(store, &detail->attempt, "", 0, "", 0);
    int r = 0;
    if (detail->unsaved_response)
        r = store_attempt_response_set(store, job->attempt_id, detail->unsaved_response,
                                       detail->unsaved_response_len);
    if (r == 0)
        r = store_attempt_update(store, &detail->attempt);
    if (r == 0)
        r = inputs_save(store, change->inputs);
    if (r == 0 && change->to == JOB_SUBMITTING && detail->outgoing &&
        detail->outgoing->is_filled_in)
        r = store_sent_save(store, job->attempt_id, detail->outgoing->body, detail->outgoing->len);
    if (r == 0 && (change->to == JOB_QUEUED || change->to == JOB_REJECTED))
        r = store_sent_forget(store, job->attempt_id);
    return r;
}

static int problem_copy(const struct job *job, const char *text, struct store_problem *out)
{
    const struct job_cause *cause = &job->detail->cause;
    out->text = strdup(text);
    out->code = cause->code ? strdup(err_name(cause->code)) : NULL;
    out->field = cause->field[0] ? strdup(cause->field) : NULL;
    out->line = cause->line;
    out->column = cause->column;
    return out->text && !out->code == !cause->code && !out->field == !cause->field[0] ? 0 : -ENOMEM;
}

int job_row_save(struct job *job, const char *name, enum job_state state, int64_t updated_ms)
{
    const char *shown = job_problem_get(job);
    CLEANUP_FREE char *name_copy = strdup(name);
    CLEANUP_FREE char *word = strdup(job_state_to_text(state));
    CLEANUP(store_problem_fini) struct store_problem problem = {0};
    int r = shown ? problem_copy(job, shown, &problem) : 0;
    struct store_job row = {.id = job->id,
                            .name = job->is_removed ? NULL : name_copy,
                            .state = word,
                            .problem = problem,
                            .created_ms = job->created_ms,
                            .updated_ms = updated_ms,
                            .attempt_id = job->attempt_id,
                            .picked_id = job->picked ? job->picked->id : 0,
                            .hold = job_state_has_hold(state) ? job->hold : JOB_HOLD_NONE};
    return name_copy && word && r == 0 ? store_job_save(job->jobs->settings.store, &row) : -ENOMEM;
}

static int change_history_save(struct job *job, const struct job_change *change, int64_t now_ms)
{
    CLEANUP(buf_fini) struct buf text = {.limit = 64 * 1024};
    if (change->to != job->state)
        buf_addf(&text, "%s -> %s%s", job_state_to_text(job->state), job_state_to_text(change->to),
                 change->note ? ": " : "");
    if (change->note)
        buf_add_text(&text, change->note);
    if (text.error || !text.len)
        return text.error;
    return store_history_add(job->jobs->settings.store, job->id, now_ms, buf_text(&text));
}

int change_save(struct job *job, const struct job_change *change, int64_t now_ms)
{
    struct store *store = job->jobs->settings.store;
    int r = store_begin(store, change->durability);
    if (r < 0)
        return r;
    r = change->is_prompt_kept ? job_takes_prompt_keep(job, PROMPT_BYTES_MAX) : 0;
    if (r == 0 && change->is_regained)
        r = store_attempt_move(store, &job->detail->attempt);
    if (r == 0)
        r = change_attempt_save(job, change);
    if (r == 0 && change->is_regained)
        r = store_prompt_default(store, job->attempt_id);
    if (r == 0)
        r = job_row_save(job, job->name, change->to, now_ms);
    if (r == 0)
        r = change_history_save(job, change, now_ms);
    if (r == 0 && job->attempt_id)
        r = store_ledger_add(store, job->attempt_id, now_ms);
    if (r == 0)
        r = job_event_save_change(job, change, now_ms);
    r = store_end(store, r);
    struct jobs_counts *counts = &job->jobs->counts;
    counts->changes++;
    if (r == 0 && (change->prompt || change->copied_id))
        counts->accepted++;
    return r;
}

static void change_apply(struct job *job, const struct job_change *change, int64_t now_ms)
{
    struct jobs *jobs = job->jobs;
    bool was_following = job_is_following(job);
    if (job->state != change->to) {
        log_info("job.transition", "job=%s id=%lld from=%s to=%s", job->name, (long long)job->id,
                 job_state_to_text(job->state), job_state_to_text(change->to));
        jobs->counts.transitions[change->to]++;
        job->hidden = 0; /* the unlinked file showed another state */
        if (job_is_editable(job))
            job->hidden_prompt_id = 0; /* and the prompt was that of another attempt */
    }
    job->state = change->to;
    if (!job_state_has_hold(job->state))
        job->hold = JOB_HOLD_NONE;
    job->is_resume_due = false; /* it is active already */
    job->updated_ms = now_ms;
    if (job_is_following(job) && !was_following)
        jobs->following++;
    if (was_following && !job_is_following(job)) {
        jobs->following--;
        jobs->wake(jobs);
    }
    job_check(job);
    jobs_changed(job);
    job_source_changed(job);
}

int job_change(struct job *job, const struct job_change *change)
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
    struct job_change change = {
        .to = job->state, .durability = STORE_DURABLE, .note = "written late"};
    int r = change_save(job, &change, job->updated_ms);
    if (r < 0)
        return r;
    job->detail->is_unsaved = false;
    job_text_clear(&job->detail->unsaved_response);
    log_info("store.recovered", "job=%s", job->name);
    jobs_changed(job);          /* there is one more event */
    job->jobs->wake(job->jobs); /* money that it had reserved may be free now */
    return 0;
}

static void jobs_save_again(void *context)
{
    struct jobs *jobs = context;
    struct job_detail *detail;
    struct job_detail *next;
    bool is_more = false;
    DL_FOREACH_SAFE (jobs->details, detail, next) {
        /* If the job was removed, writing it may drop the last reference. */
        CLEANUP(job_drop) struct job *job = job_ref(detail->job);
        is_more = job_save_again(job) < 0 || is_more;
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
    if (!timer_is_set(&jobs->save_timer))
        timer_set(jobs->settings.timers, &jobs->save_timer, JOB_SAVE_AGAIN_MS, jobs_save_again,
                  jobs);
}

void job_fact(struct job *job, const struct job_change *change)
{
    /* `ls -t` sorts by the time of the last transition, and a renewed URL is no transition. */
    bool is_event = change->to != job->state || change->note;
    /* What this host finds out about its own disk is no fact about the job, which another host has. */
    if (store_write_check(job->jobs->settings.store) < 0)
        return;
    int64_t now_ms = is_event ? jobs_wall_ms(job->jobs) : job->updated_ms;
    int r = change_save(job, change, now_ms);
    struct job_detail *detail = job->detail;
    if (r < 0) {
        log_error("store.unsaved", "job=%s to=%s error=%s", job->name,
                  job_state_to_text(change->to), err_name(r));
        if (!detail->is_unsaved)
            detail->stored_state = (int)job->state;
        detail->is_unsaved = true;
        jobs_save_later(job->jobs);
    } else {
        detail->is_unsaved = false;
        job_text_clear(&detail->unsaved_response);
    }
    change_apply(job, change, now_ms);
}
