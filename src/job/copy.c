/*
 * Whether a job is a copy of another one. Nobody who copies a finished job wants to pay for it once
 * more, and no order of writing protects against that: cp and file managers copy in the order of
 * inodes, rsync sorts, tar follows readdir. But copies give themselves away: an accepted prompt
 * has the mode 0444, and so has its copy; and who copies a directory tries to write `status`,
 * `cost` and the other files that the program makes, which nobody else does.
 *
 * A job that looks like a copy is held (or will be, once its prompt is there) until the user orders
 * it. Only its first request is: what was sent once is no copy.
 */
#include "job_private.h"

/* A copy whose prompt was refused because its pictures came after it. */
void job_copy_check_again(struct job *job)
{
    struct job_file *prompt = job->detail ? job_file_find_prompt(job->detail) : NULL;
    if (job->state != JOB_INVALID || !prompt || prompt->draft.writers > 0)
        return;
    if (job->hold == JOB_HOLD_COPY || !(prompt->mode & 0200))
        (void)job_prompt_commit(prompt, false); /* `error` says why it is refused */
}

/* Nothing of a waiting job has been sent, also while a connection is made for it. */
static void waiting_hold(struct job *job)
{
    if (job->detail->attempt.number > 1)
        return;
    if (job->detail->call) {
        job_call_cancel(job);
        job_response_unreserve(job->detail);
        jobs_submit_soon(job->jobs);
    }
    job_copy_hold(job);
}

void job_copy_seen(struct job *job)
{
    struct job_detail *detail;
    if (job->is_removed)
        return;
    /* tar and unzip remove the file that they cannot open, before they try to make it anew. */
    job->hidden = 0;
    if (job_detail_get(job, &detail) < 0) {
        if (job_state_has_hold(job->state))
            job->hold = JOB_HOLD_COPY; /* its row will say so when it is saved next */
        return;
    }
    if (job->state == JOB_WAITING) {
        waiting_hold(job);
        return;
    }
    if (!job_state_has_hold(job->state) || job->hold == JOB_HOLD_COPY)
        return;
    job->hold = JOB_HOLD_COPY;
    job_text_clear(&detail->reason);
    if (job->is_provisional)
        return; /* its row will say so */
    job_persist(job,
                "this looks like a copy of a job: it is held until `submit` is written to ctl");
    job_copy_check_again(job);
}
