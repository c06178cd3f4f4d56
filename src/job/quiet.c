/*
 * A job's first request is sent only when nothing has been done in its directory for a while. A
 * tool that copies a job goes on writing into the copy, and shows by what it writes that it is one
 * (copy.c). The wait has an end, whatever goes on there.
 */
#include "job_private.h"

enum { QUIET_END_MS = 30 * 1000 };

void job_quiet_begin(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    if (jobs->settings.settle_ms == 0 || detail->attempt.number > 1)
        return;
    int64_t now_ms = clock_monotonic_ms(jobs->settings.clock);
    detail->quiet_end_ms = now_ms + QUIET_END_MS;
    detail->quiet_from_ms = now_ms + jobs->settings.settle_ms;
    job_reason_set(detail, -ERR_WAITS_FOR_QUIET,
                   "Is sent when nothing has been done in its directory for %g s.",
                   (double)jobs->settings.settle_ms / 1000);
}

void job_quiet_touch(struct job *job)
{
    if (job->detail && job->detail->quiet_end_ms)
        job->detail->quiet_from_ms =
            clock_monotonic_ms(job->jobs->settings.clock) + job->jobs->settings.settle_ms;
}

void job_quiet_end(struct job *job)
{
    struct job_detail *detail = job->detail;
    if (!detail->quiet_end_ms)
        return;
    detail->quiet_end_ms = 0;
    job_text_clear(&detail->reason);
}

static bool is_written_into(const struct job_detail *detail)
{
    const struct job_file *file;
    DL_FOREACH (detail->files, file) {
        if (file->draft.writers > 0)
            return true;
    }
    return false;
}

int64_t job_quiet_left_ms(struct job *job)
{
    const struct job_detail *detail = job->detail;
    if (!detail->quiet_end_ms)
        return 0;
    int64_t now_ms = clock_monotonic_ms(job->jobs->settings.clock);
    int64_t from_ms =
        is_written_into(detail) ? now_ms + job->jobs->settings.settle_ms : detail->quiet_from_ms;
    int64_t left_ms = min_int64(from_ms, detail->quiet_end_ms) - now_ms;
    if (left_ms > 0)
        return left_ms;
    job_quiet_end(job);
    return 0;
}
