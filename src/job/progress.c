/*
 * How far a job is. The service says only that a task is active, so this is an estimate from how
 * long similar tasks took (poll_plan.c). The estimate may change while the task runs, but the
 * progress shown never goes back.
 */
#include "job_private.h"

#include "poll_plan.h"

enum { PERMILLE_MAX = 990 }; /* until the job has succeeded */

int64_t job_start_ms(const struct job *job)
{
    /* The wall clock may have been set since. Whatever it says, the task is between new and
     * forgotten. */
    const int64_t oldest_ms = INT64_C(7) * 86400 * 1000;
    int64_t age_ms = jobs_wall_ms(job->jobs) - job->detail->attempt.submitted_ms;
    return clock_monotonic_ms(job->jobs->settings.clock) - clamp_int64(age_ms, 0, oldest_ms);
}

static void progress_of_running(struct job *job, struct job_progress *out)
{
    struct job_detail *detail = job->detail;
    struct poll_learned learned;
    /* start_ms is 0 until somebody here follows the task. */
    int64_t age_ms = clock_monotonic_ms(job->jobs->settings.clock) -
                     (detail->start_ms ? detail->start_ms : job_start_ms(job));
    if (age_ms < 0)
        age_ms = 0;
    job_poll_learned_get(job, &learned);
    out->eta_ms = job->sizing ? 0 : poll_plan_left_ms(&learned, age_ms);
    if (job->state == JOB_QUEUED && !job->sizing)
        return; /* it has not begun */
    int64_t permille = job->sizing ? PERMILLE_MAX : age_ms * 1000 / (age_ms + out->eta_ms + 1);
    out->permille = permille < PERMILLE_MAX ? (int)permille : PERMILLE_MAX;
    if (out->permille < detail->progress_permille)
        out->permille = detail->progress_permille;
    detail->progress_permille = out->permille;
}

int job_progress_get(struct job *job, struct job_progress *out)
{
    struct job_detail *detail;
    int r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    *out = (struct job_progress){.permille = -1, .eta_ms = -1};
    if (job->state == JOB_SUCCEEDED)
        *out = (struct job_progress){.permille = 1000, .eta_ms = 0};
    else if (job->attempt_id == 0 || job_state_class(job->state) == JOB_CLASS_ACTIVE)
        out->permille = 0;
    if (job_is_following(job))
        progress_of_running(job, out);
    return 0;
}
