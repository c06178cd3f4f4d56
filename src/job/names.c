/*
 * mkdir, rename and rmdir of jobs: how they come to be there, get another name, and go.
 *
 * A job that a path is only passing through is provisional: the kernel looks a directory up without
 * saying what for, and nothing is in the store before something is created in it.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"

#include <stdlib.h>
#include <string.h>

static int job_make(struct jobs *jobs, const char *name, struct job **out)
{
    int64_t id;
    int r = store_id_take(jobs->settings.store, &id);
    char *copy = r == 0 ? strdup(name) : NULL;
    if (r == 0 && !copy)
        r = -ENOMEM;
    if (r == 0)
        r = job_new(jobs, id, copy, out);
    if (r < 0) {
        free(copy);
        return r;
    }
    (*out)->created_ms = (*out)->updated_ms = jobs_wall_ms(jobs);
    return 0;
}

int job_settle(struct job *job)
{
    if (!job->is_provisional)
        return 0;
    int r = job_save_new(job);
    if (r < 0)
        return r;
    job->is_provisional = false;
    if (job->detail)
        timer_cancel(job->jobs->settings.timers, &job->detail->timer);
    jobs_changed(job);
    return 0;
}

int jobs_create(struct jobs *jobs, const char *name, struct job **out)
{
    int r = job_name_check(name);
    if (r < 0)
        return r;
    struct job *job = jobs_find_any(jobs, name);
    if (job && !job->is_provisional)
        return -EEXIST;
    if (!job) {
        r = job_make(jobs, name, &job);
        if (r < 0)
            return r;
        job->is_provisional = true;
    }
    r = job_settle(job);
    if (r < 0) {
        job_unlink(job);
        job_free(job);
        return r;
    }
    *out = job;
    return 0;
}

static void provisional_expire(void *context)
{
    struct job *job = context;
    if (job->references) {
        struct job_detail *detail = job->detail;
        /* Somebody is at it: look again later. */
        timer_set(job->jobs->settings.timers, &detail->timer, JOB_PROVISIONAL_MS,
                  provisional_expire, job);
        return;
    }
    job_unlink(job);
    job_free(job);
}

int jobs_create_provisional(struct jobs *jobs, const char *name, struct job **out)
{
    int r = job_name_check(name);
    if (r < 0)
        return r;
    struct job *job = jobs_find_provisional(jobs, name);
    if (!job) {
        r = job_make(jobs, name, &job);
        if (r < 0)
            return r;
        job->is_provisional = true;
    }
    struct job_detail *detail;
    r = job_detail_get(job, &detail);
    if (r < 0) {
        job_unlink(job);
        job_free(job);
        return r;
    }
    timer_set(jobs->settings.timers, &detail->timer, JOB_PROVISIONAL_MS, provisional_expire, job);
    *out = job;
    return 0;
}

static bool job_is_empty_draft(struct job *job)
{
    struct job_detail *detail;
    return job->state == JOB_DRAFT && job->attempt_id == 0 && job_detail_get(job, &detail) == 0 &&
           !detail->files;
}

static int job_save_row(struct job *job, const char *name)
{
    struct job_detail *detail;
    int r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    char *state = strdup(job_state_to_text(job->state));
    char *new_name = strdup(name);
    const char *shown = job_problem_get(job);
    char *problem = shown ? strdup(shown) : NULL;
    struct store_job row = {.id = job->id,
                            .name = new_name,
                            .state = state,
                            .problem = problem,
                            .created_ms = job->created_ms,
                            .updated_ms = job->updated_ms,
                            .attempt_id = job->attempt_id};
    r = state && new_name && !problem == !shown ? store_job_save(job->jobs->settings.store, &row)
                                                : -ENOMEM;
    free(state);
    free(new_name);
    free(problem);
    return r;
}

int jobs_rename(struct job *job, const char *name, bool is_replace_allowed)
{
    struct jobs *jobs = job->jobs;
    struct store *store = jobs->settings.store;
    int r = job_name_check(name);
    if (r < 0)
        return r;
    struct job *target = jobs_find_any(jobs, name);
    if (target == job)
        return 0;
    if (target && !target->is_provisional && !is_replace_allowed)
        return -EEXIST;
    if (target && !target->is_provisional && !job_is_empty_draft(target))
        return -ENOTEMPTY;
    /* What comes after the commit needs no memory. */
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    job_ref(job);
    r = job_save_again(job); /* the new name must not carry a state whose attempt is not on disk */
    if (r == 0)
        r = store_begin(store, STORE_LAZY);
    if (r == 0) {
        if (target && !target->is_provisional)
            r = store_job_remove(store, target->id, jobs_wall_ms(jobs));
        if (r == 0 && target && !target->is_provisional)
            r = job_event_removed(target);
        if (r == 0)
            r = job_save_row(job, name);
        if (r == 0)
            r = store_history_add(store, job->id, jobs_wall_ms(jobs), "renamed");
        if (r == 0)
            r = job_event_renamed(job, name);
        r = store_end(store, r);
    }
    job_unref(job);
    if (r < 0) {
        free(copy);
        return r;
    }
    jobs->counts.changes++;
    if (target) {
        job_unlink(target);
        target->is_removed = true;
        job_unref(job_ref(target));
    }
    table_key_set(&job->by_name, copy, strlen(copy));
    free(job->name);
    job->name = copy;
    jobs_changed(job);
    return 0;
}

/* A store_remove_fn: the rows of the job and of its files, all or none. */
static int job_rows_remove(void *context)
{
    struct job *job = context;
    struct store *store = job->jobs->settings.store;
    const struct job_file *file;
    int64_t now_ms = jobs_wall_ms(job->jobs);
    /* One that comes back after a power cut would be sent, if it was going to be. */
    int r = store_begin(store, job->state == JOB_WAITING ? STORE_DURABLE : STORE_LAZY);
    if (r < 0)
        return r;
    /* What the user has removed, says rmdir(2). */
    DL_FOREACH (job->detail->files, file) {
        if (r == 0)
            r = store_file_remove(store, file->id);
    }
    if (r == 0)
        r = store_history_add(store, job->id, now_ms, "removed by the user");
    if (r == 0)
        r = store_job_remove(store, job->id, now_ms);
    if (r == 0)
        r = job_event_removed(job);
    return store_end(store, r);
}

int jobs_remove(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail;
    int r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    job_ref(job);
    r = store_remove(jobs->settings.store, job_rows_remove, job);
    if (r < 0) {
        job_unref(job);
        return r;
    }
    job_files_detach(detail);
    log_info("job.removed", "job=%s id=%lld state=%s", job->name, (long long)job->id,
             job_state_to_text(job->state));
    job_unlink(job);
    jobs->counts.changes++;
    if (job_is_following(job))
        jobs->following--;
    job->is_removed = true;
    if (job->state != JOB_SUBMITTING) /* else for the response that came */
        timer_cancel(jobs->settings.timers, &detail->timer);
    if (detail->is_queued && job->state == JOB_WAITING)
        DL_DELETE2(jobs->submit_queue, detail, queue_prev, queue_next);
    else if (detail->is_queued)
        DL_DELETE2(jobs->poll_queue, detail, queue_prev, queue_next);
    detail->is_queued = false;
    jobs_submit_soon(jobs); /* it may have held a place, or up those behind it */
    /* A create goes on to its response, which is written down; anything else is of no use any more.
     * */
    if (detail->call && job->state != JOB_SUBMITTING) {
        api_cancel(detail->call);
        detail->call = NULL;
        if (job->state == JOB_WAITING)
            jobs->creates--;
        else
            jobs->polls--;
    }
    jobs_poll_next(jobs); /* another one may have its place */
    if (job->attempt_id && jobs->settings.hooks.on_media_unwanted)
        jobs->settings.hooks.on_media_unwanted(jobs->settings.hooks.context, job->attempt_id);
    job_unref(job);
    return 0;
}
