/*
 * The states of a job: the word and the class of each, and what must be true of a job in it. The
 * transitions are in state.c, with the diagram and the invariants in words.
 */
#include "job_private.h"

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

bool job_is_editable(const struct job *job)
{
    return job_state_is_editable(job->state) && (!job->takes || job_state_has_hold(job->state));
}

bool job_state_has_hold(enum job_state state)
{
    return state == JOB_DRAFT || state == JOB_INVALID || state == JOB_HELD;
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

int job_broken_invariant(const struct job *job, const struct job_detail *detail)
{
    const struct store_attempt *attempt = &detail->attempt;
    enum job_state state = job->state;
    bool is_unstarted = state == JOB_DRAFT || state == JOB_INVALID;
    bool is_sent = attempt->submitted_ms != 0;
    bool has_task = attempt->task_id != NULL;
    if (is_unstarted != (job->attempt_id == 0) || attempt->id != job->attempt_id)
        return 1;
    if ((state == JOB_WAITING || state == JOB_HELD) && (is_sent || has_task))
        return 2;
    if (state == JOB_SUBMITTING && (!is_sent || has_task))
        return 3;
    if ((state == JOB_QUEUED || state == JOB_RUNNING || state == JOB_SUCCEEDED) && !has_task)
        return 4;
    if (state == JOB_UNKNOWN && (!is_sent || has_task))
        return 5;
    if ((state == JOB_SUCCEEDED || state >= JOB_FAILED) && attempt->finished_ms == 0)
        return 6;
    if (state == JOB_SUCCEEDED && (!job->picked || job->picked->id != job->attempt_id))
        return 8;
    return 0;
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
    bool is_unstarted = job->state == JOB_DRAFT || job->state == JOB_INVALID;
    job_require(is_unstarted == (job->attempt_id == 0), 1, job);
    job_require(!job->takes == !job->picked, 8, job);
    if (!detail)
        return;
    int broken = job_broken_invariant(job, detail);
    job_require(broken == 0, broken, job);
    if (timer_is_set(&detail->timer))
        job_require(job->is_provisional || job_state_class(job->state) == JOB_CLASS_ACTIVE, 7, job);
}
#else
void job_check(const struct job *job UNUSED)
{
}
#endif

void job_to_text(const struct job *job, char *out, size_t size)
{
    (void)snprintf(out, size, "job=%s id=%lld state=%s attempt=%lld", job->name, (long long)job->id,
                   job_state_to_text(job->state), (long long)job->attempt_id);
}
