/*
 * The life of the collection. It is loaded from the store. Jobs that were active when the program
 * ended are resumed, at the start or with a new key. Then the collection stops, and is freed.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"

#include <stdlib.h>
#include <string.h>

static int job_load(void *context, struct store_job *row)
{
    struct job *job;
    int r = job_from_row(context, row, &job);
    if (r < 0)
        return r;
    r = job_enter(job);
    if (r < 0)
        job_free(job);
    return r;
}

/* Something has ended, or was written at last: there may be a place or money for a waiting job. */
static void jobs_wake(struct jobs *jobs)
{
    jobs_submit_soon(jobs);
    jobs_poll_soon(jobs);
}

int jobs_new(const struct jobs_settings *settings, struct jobs **out)
{
    struct jobs *jobs = calloc(1, sizeof(*jobs));
    if (!jobs)
        return -ENOMEM;
    jobs->settings = *settings;
    jobs->random_state = settings->random_seed;
    jobs->wake = jobs_wake;
    jobs->look_again = job_look_again;
    jobs->submit_due = job_submit_due;
    int r = job_text_set(&jobs->default_model, settings->default_model);
    if (r == 0)
        r = job_text_set(&jobs->api_name, settings->api_name);
    if (r == 0)
        r = jobs_defaults_begin(jobs);
    if (r == 0)
        r = store_job_each(settings->store, job_load, jobs);
    if (r == 0)
        r = store_take_each(settings->store, job_take_load, jobs);
    if (r == 0)
        r = jobs_links_load(jobs);
    if (r < 0) {
        jobs_free(jobs);
        return r;
    }
    *out = jobs;
    return 0;
}

struct jobs *jobs_free(struct jobs *jobs)
{
    if (!jobs)
        return NULL;
    jobs_save_last(jobs);
    timer_cancel(jobs->settings.timers, &jobs->submit_timer);
    timer_cancel(jobs->settings.timers, &jobs->poll_timer);
    jobs_poll_kinds_free(jobs);
    jobs_media_checks_free(jobs);
    jobs_preparations_free(jobs);
    jobs_links_free(jobs);
    timer_cancel(jobs->settings.timers, &jobs->resume_timer);
    while (jobs->count > 0) {
        struct job *job = jobs->by_id[jobs->count - 1];
        job_refreshes_cancel(job);
        job_unlink(job);
        job_free(job);
    }
    /* What is left now are removed jobs that somebody still refers to. */
    while (jobs->details)
        job_free(jobs->details->job);
    free(jobs->by_id);
    free(jobs->default_model);
    jobs_defaults_end(jobs);
    free(jobs->api_name);
    free(jobs->gate_message);
    free(jobs);
    return NULL;
}

const struct jobs_counts *jobs_counts_get(struct jobs *jobs)
{
    jobs->counts.creates_active = jobs->creates;
    jobs->counts.polls_active = jobs->polls;
    jobs->counts.is_gate_closed = jobs->gate != JOB_GATE_OPEN;
    return &jobs->counts;
}

static void job_wait_add(struct job_detail *detail, struct jobs_waits *out)
{
    const struct job *job = detail->job;
    int64_t *oldest_ms = &out->intent_ms[job->state];
    int64_t job_ms = detail->attempt.intent_ms;
    if (job_state_class(job->state) != JOB_CLASS_ACTIVE || job->is_removed)
        return;
    if (job_ms > 0 && (*oldest_ms == 0 || job_ms < *oldest_ms))
        *oldest_ms = job_ms;
    out->for_budget += job->state == JOB_WAITING && job_reason_code_get(detail) == -ERR_BUDGET;
}

/* Once the work has been resumed, jobs of these states have their detail all the time. Where others
 * do it, those that nobody has looked at get it here. */
void jobs_waits_get(struct jobs *jobs, struct jobs_waits *out)
{
    struct job *job;
    struct job_detail *detail;
    *out = (struct jobs_waits){.for_budget = 0};
    if (jobs->is_started) {
        DL_FOREACH (jobs->details, detail) {
            job_wait_add(detail, out);
        }
        return;
    }
    JOBS_FOREACH (jobs, job) {
        if (job_state_class(job->state) == JOB_CLASS_ACTIVE && job_detail_get(job, &detail) == 0)
            job_wait_add(detail, out);
    }
}

/* A DRAFT that has a non-empty prompt at the start of the program. Its writer may believe that it
 * was submitted, because the program ended between the close and the commit. It is not sent now,
 * because it looks the same as one whose writer was killed halfway. */
static int resume_draft(struct job *job)
{
    struct job_detail *detail;
    struct stat st;
    /* After `edit` the prompt is the one from which a take was made, or a newer one. */
    bool is_explained = job->has_problem || job->takes;
    int r = is_explained ? 0 : job_detail_get(job, &detail);
    if (r < 0 || is_explained)
        return r;
    const struct job_file *file = job_file_find_prompt(detail);
    if (!file || file->draft.writers > 0 || job_file_stat(file, &st) < 0 || st.st_size == 0)
        return 0;
    job_problem_set(detail, -ERR_NOT_SUBMITTED,
                    "seedancefs ended before %s was submitted.\nNothing was sent and nothing was "
                    "charged. Write %s again to submit it.\n",
                    file->name, file->name);
    job_persist(job, "not submitted: seedancefs ended before");
    return 0;
}

/* A WAITING job of a data directory that is a copy. */
static int resume_restored(struct job *job)
{
    return job_hold(job, JOB_HOLD_RESTORED, "held: the data directory is a copy",
                    "This data directory is a restored backup or another copy, so what waited in "
                    "it was not sent: it may have been sent since the copy was made.\n"
                    "Nothing was charged now. If it was not sent elsewhere, order it: echo submit "
                    "> ctl\n");
}

/* The sizes of some videos are not known yet. */
static void resume_takes(struct job *job)
{
    const struct job_hooks *hooks = &job->jobs->settings.hooks;
    struct job_take *take;
    LL_FOREACH (job->takes, take) {
        if (take->video_bytes < 0 && hooks->on_video)
            hooks->on_video(hooks->context, take);
    }
}

static int job_resume(struct job *job)
{
    struct job_detail *detail;
    if (job->is_assets)
        return 0;
    resume_takes(job);
    if (job->state == JOB_DRAFT)
        return resume_draft(job);
    if (job_state_class(job->state) != JOB_CLASS_ACTIVE)
        return 0;
    int r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    if (job->state == JOB_WAITING && job->jobs->settings.is_restored)
        return resume_restored(job);
    if (job->state == JOB_WAITING && job->jobs->settings.is_hold_wanted)
        return job_hold(job, JOB_HOLD_USER, "held: seedancefs was started with --hold", NULL);
    if (job->state == JOB_WAITING)
        job_submit_schedule(job, 0);
    else if (job->state == JOB_SUBMITTING)
        job_response_read(job); /* if it is on disk already, the task is known */
    else
        job_poll_follow(job, (int64_t)(jobs_random(job->jobs) % 1000));
    return 0;
}

/* A job that cannot be loaded now (no memory, a disk error) is tried again later. */
static void jobs_resume(void *context)
{
    struct jobs *jobs = context;
    struct job *job;
    bool is_more = false;
    JOBS_FOREACH (jobs, job) {
        if (!job->is_resume_due)
            continue;
        int r = job_resume(job);
        job->is_resume_due = r < 0;
        is_more = is_more || r < 0;
        if (r < 0)
            log_error("job.unreadable", "job=%s error=%s", job->name, err_name(r));
    }
    if (!is_more && jobs->settings.is_restored) {
        is_more = store_witness_heeded(jobs->settings.store) < 0;
        jobs->settings.is_restored = is_more;
    }
    if (is_more)
        timer_set(jobs->settings.timers, &jobs->resume_timer, JOB_SAVE_AGAIN_MS, jobs_resume, jobs);
}

void jobs_start(struct jobs *jobs)
{
    struct job *job;
    jobs->is_started = true;
    jobs_throttle_resume(jobs);
    JOBS_FOREACH (jobs, job) {
        job->is_resume_due = true;
    }
    jobs_resume(jobs);
}

void jobs_limits_set(struct jobs *jobs, const struct job_budget *budget, unsigned active_max)
{
    struct job *job;
    bool is_same = budget->limit_usd_micros == jobs->settings.budget.limit_usd_micros &&
                   budget->period == jobs->settings.budget.period &&
                   active_max == jobs->settings.active_max;
    if (is_same)
        return;
    jobs->settings.budget = *budget;
    jobs->settings.active_max = active_max;
    jobs->counts.changes++; /* of what is left of the budget */
    jobs_submit_soon(jobs);
    JOBS_FOREACH (jobs, job) {
        if (job->state == JOB_WAITING)
            jobs_changed(job); /* its reason names the limits */
    }
}

/* Nothing of it was sent. If that cannot be stored now, it is tried again, and the job is not sent
 * before. */
static void unsent_hold(struct job *job)
{
    struct job_detail *detail;
    int r = job_detail_get(job, &detail);
    (void)job_connect_cancel(job);
    if (r == 0)
        r = job_hold(job, JOB_HOLD_USER, "held: --hold was turned on", NULL);
    job->is_resume_due = job->is_resume_due || r < 0;
}

void jobs_hold_set(struct jobs *jobs, bool is_hold_wanted)
{
    struct job *job;
    bool is_new = is_hold_wanted && !jobs->settings.is_hold_wanted;
    jobs->settings.is_hold_wanted = is_hold_wanted;
    if (!is_new || !jobs->is_started)
        return;
    JOBS_FOREACH (jobs, job) {
        if (job->state == JOB_WAITING && !job->is_removed && !job->is_provisional)
            unsent_hold(job);
    }
    timer_set(jobs->settings.timers, &jobs->resume_timer, JOB_SAVE_AGAIN_MS, jobs_resume, jobs);
}

bool jobs_is_submitting(const struct jobs *jobs)
{
    return jobs->creates > 0;
}

void jobs_stop(struct jobs *jobs)
{
    struct job_detail *detail;
    jobs->is_stopping = true;
    /* A create that is still being connected would be refused at its first byte, so nobody needs to
     * wait for it. */
    DL_FOREACH (jobs->details, detail) {
        if (detail->call && detail->job->state == JOB_WAITING) {
            job_call_cancel(detail->job);
        }
    }
}

void jobs_key_changed(struct jobs *jobs)
{
    struct job *job;
    jobs->gate = JOB_GATE_OPEN;
    jobs->key_generation++;
    job_text_clear(&jobs->gate_message);
    jobs_submit_soon(jobs);
    JOBS_FOREACH (jobs, job) {
        if (!job->detail || job->detail->call || job->detail->is_queued)
            continue;
        if (job->state == JOB_WAITING)
            job_submit_schedule(job, 0);
        else if (job->has_problem && (job->state == JOB_QUEUED || job->state == JOB_RUNNING))
            job_poll_schedule(job, 0);
    }
}
