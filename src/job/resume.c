/*
 * What goes on by itself: resuming it when the program starts, ending it when it stops.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"

#include <stdlib.h>

/* SUBMITTING found at the start. The service's answer may be on disk already: then the task is
 * known. */
static void resume_submitting(struct job *job)
{
    struct api_task task;
    char *body = NULL;
    size_t len = 0;
    int r = store_attempt_blob_get(job->jobs->settings.store, job->attempt_id, STORE_RESPONSE,
                                   &body, &len);
    api_task_init(&task);
    if (r == 0 && body && api_task_decode(body, len, &task) == 0) {
        log_info("job.recovered", "job=%s task=%s", job->name, task.id);
        job_to_queued(job, &task);
    } else {
        job_to_unknown(job, body
                                ? "the program ended before it could read the service's answer, "
                                  "which has no usable task id (see response.json)"
                                : "the program ended after it began to send the request and before "
                                  "an answer was on disk");
    }
    api_task_fini(&task);
    free(body);
    if (job->state == JOB_QUEUED)
        job_poll_follow(job, 0);
}

/* DRAFT found at the start with something in prompt.json: whoever wrote it may believe that it was
 * submitted, because the program ended between the close and the commit. It is not sent now: it
 * cannot be told from a writer that was killed halfway. */
static void resume_draft(struct job *job)
{
    struct job_detail *detail;
    struct stat st;
    if (job->has_problem || job_detail_get(job, &detail) < 0)
        return;
    const struct job_file *file = job_file_find(detail, JOB_PROMPT_NAME);
    if (!file || job_file_stat(file, &st) < 0 || st.st_size == 0)
        return;
    job_problem_set(detail, "seedancefs ended before prompt.json was submitted.\nNothing was sent "
                            "and nothing was charged. Write prompt.json again to submit it.\n");
    job_keep(job, "not submitted: seedancefs ended before");
}

static void job_resume(struct job *job)
{
    struct job_detail *detail;
    if (job->state == JOB_DRAFT) {
        resume_draft(job);
        return;
    }
    bool is_video_missing = job->state == JOB_SUCCEEDED && job->video_bytes < 0;
    if (job_state_class(job->state) != JOB_CLASS_ACTIVE && !is_video_missing)
        return;
    int r = job_detail_get(job, &detail);
    if (r < 0) {
        log_error("job.unreadable", "job=%s error=%s", job->name, err_name(r));
        return;
    }
    const struct job_hooks *hooks = &job->jobs->settings.hooks;
    if (job->state == JOB_WAITING)
        job_submit_schedule(job, 0);
    else if (job->state == JOB_SUBMITTING)
        resume_submitting(job);
    else if (job->state != JOB_SUCCEEDED)
        job_poll_follow(job, (int64_t)(jobs_random(job->jobs) % 1000));
    else if (hooks->on_video)
        hooks->on_video(hooks->context, job);
}

void jobs_start(struct jobs *jobs)
{
    struct job *job;
    struct job *next;
    jobs->is_started = true;
    HASH_ITER (by_id, jobs->by_id, job, next) {
        job_resume(job);
    }
}

bool jobs_is_submitting(const struct jobs *jobs)
{
    return jobs->creates > 0;
}

void jobs_stop(struct jobs *jobs)
{
    jobs->is_stopping = true;
}

void jobs_key_changed(struct jobs *jobs)
{
    struct job *job;
    struct job *next;
    jobs->gate = JOB_GATE_OPEN;
    job_text_clear(&jobs->gate_message);
    jobs_submit_soon(jobs);
    HASH_ITER (by_id, jobs->by_id, job, next) {
        if (!job->detail || job->detail->call || job->detail->is_queued)
            continue;
        if (job->state == JOB_WAITING)
            job_submit_schedule(job, 0);
        else if (job->has_problem && (job->state == JOB_QUEUED || job->state == JOB_RUNNING))
            job_poll_schedule(job, 0);
    }
}
