/*
 * mkdir, rename and rmdir of jobs.
 *
 * When a program creates jobs/NAME/FILE, the kernel first looks NAME up, and does not say what for.
 * A job that is created for such a lookup is provisional: the store has nothing of it until
 * something is created in it.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROMPT_KEPT_BYTES = 64 * 1024 };

/* Creates a provisional job of this name, which is known to be free. */
static int job_make(struct jobs *jobs, const char *name, struct job **out)
{
    int64_t id;
    int r = store_id_take(jobs->settings.store, &id);
    if (r < 0)
        return r;
    CLEANUP_FREE char *copy = strdup(name);
    r = copy ? job_new(jobs, id, copy, out) : -ENOMEM;
    if (r < 0)
        return r;
    (void)TAKE_POINTER(copy);
    (*out)->created_ms = (*out)->updated_ms = jobs_wall_ms(jobs);
    (*out)->is_provisional = true;
    return 0;
}

struct job *jobs_assets(const struct jobs *jobs)
{
    return jobs->assets;
}

/* Without a line in `events`: it is no job. */
static int assets_save(struct job *job)
{
    struct store *store = job->jobs->settings.store;
    int r = store_begin(store, STORE_LAZY);
    return r < 0 ? r : store_end(store, job_row_save(job, job->name, job->state, job->updated_ms));
}

static void job_unmake(struct job *job)
{
    job_unlink(job);
    job_free(job);
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
    if (!job)
        r = job_make(jobs, name, &job);
    if (r < 0)
        return r;
    r = job_settle(job);
    if (r < 0)
        job_unmake(job);
    else
        *out = job;
    return r;
}

int jobs_assets_make(struct jobs *jobs, struct job **out)
{
    int r = jobs->assets ? 0 : job_make(jobs, JOB_ASSETS_NAME, &jobs->assets);
    if (r < 0)
        return r;
    jobs->assets->is_assets = true;
    if (jobs->assets->is_provisional) {
        r = assets_save(jobs->assets);
        if (r < 0) {
            job_unmake(TAKE_POINTER(jobs->assets));
            return r;
        }
        jobs->assets->is_provisional = false;
    }
    *out = jobs->assets;
    return 0;
}

static void provisional_expire(void *context)
{
    struct job *job = context;
    if (job->references) /* somebody uses it: look again later */
        timer_set(job->jobs->settings.timers, &job->detail->timer, JOB_PROVISIONAL_MS,
                  provisional_expire, job);
    else
        job_unmake(job);
}

int jobs_create_provisional(struct jobs *jobs, const char *name, struct job **out)
{
    struct job_detail *detail;
    int r = job_name_check(name);
    if (r < 0)
        return r;
    struct job *job = jobs_find_provisional(jobs, name);
    if (!job)
        r = job_make(jobs, name, &job);
    if (r < 0)
        return r;
    r = job_detail_get(job, &detail);
    if (r < 0) {
        job_unmake(job);
        return r;
    }
    timer_set(jobs->settings.timers, &detail->timer, JOB_PROVISIONAL_MS, provisional_expire, job);
    *out = job;
    return 0;
}

static bool job_is_empty_draft(struct job *job)
{
    struct job_detail *detail;
    return job->state == JOB_DRAFT && job->attempt_id == 0 && !job->takes &&
           job_detail_get(job, &detail) == 0 && !detail->files;
}

/* The part that the store decides: both jobs change, or none. `target` is replaced; NULL: none. */
static int rename_save(struct job *job, const char *name, const struct job *target)
{
    struct store *store = job->jobs->settings.store;
    int64_t now_ms = jobs_wall_ms(job->jobs);
    int r = store_begin(store, STORE_LAZY);
    if (r < 0)
        return r;
    if (target)
        r = store_job_remove(store, target->id, now_ms);
    if (r == 0 && target)
        r = job_event_removed(target);
    if (r == 0)
        r = job_row_save(job, name, job->state, job->updated_ms);
    if (r == 0)
        r = store_history_add(store, job->id, now_ms, "renamed");
    if (r == 0)
        r = job_event_renamed(job, name);
    return store_end(store, r);
}

int jobs_rename(struct job *job, const char *name, bool is_replace_allowed)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail;
    int r = job_name_check(name);
    if (r < 0)
        return r;
    struct job *target = jobs_find_any(jobs, name);
    if (target == job)
        return 0;
    struct job *replaced = target && !target->is_provisional ? target : NULL;
    if (replaced && !is_replace_allowed)
        return -EEXIST;
    if (replaced && !job_is_empty_draft(replaced))
        return -ENOTEMPTY;
    /* Everything after the commit must work without memory, so memory is allocated before it. */
    CLEANUP_FREE char *copy = strdup(name);
    CLEANUP(job_drop) struct job *held = copy ? job_ref(job) : NULL;
    if (!held)
        return -ENOMEM;
    r = job_save_again(job); /* the row is saved with the name: its attempt must be on disk first */
    if (r == 0)
        r = job_detail_get(job, &detail);
    if (r == 0)
        r = rename_save(job, name, replaced);
    if (r < 0)
        return r;
    jobs->counts.changes++;
    if (target) {
        job_unlink(target);
        target->is_removed = true;
        job_source_changed(target);
        job_unref(job_ref(target));
    }
    table_key_set(&job->by_name, copy, strlen(copy));
    free(job->name);
    job->name = TAKE_POINTER(copy);
    jobs_changed(job);
    return 0;
}

/* If the video is brought back, so is its prompt; without it, what was sent says it, too. A
 * transaction of its own, because removing must not fail with it. */
static void prompt_keep(struct job *job)
{
    struct store *store = job->jobs->settings.store;
    if (!job->takes || store_begin(store, STORE_LAZY) < 0)
        return;
    int r = store_end(store, job_takes_prompt_keep(job, PROMPT_KEPT_BYTES));
    if (r < 0)
        log_warn("prompt.unkept", "job=%s error=%s", job->name, err_name(r));
}

/* A store_remove_fn: removes the rows of the job and of its files, all or none. */
static int job_rows_remove(void *context)
{
    struct job *job = context;
    struct store *store = job->jobs->settings.store;
    const struct job_file *file;
    int64_t now_ms = jobs_wall_ms(job->jobs);
    /* Durable if it was going to be sent: a job that came back after a power cut would be sent. */
    int r = store_begin(store, job->state == JOB_WAITING ? STORE_DURABLE : STORE_LAZY);
    if (r < 0)
        return r;
    /* Proof: the user has removed the job by rmdir(2). */
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

static void media_unwanted(const struct job *job)
{
    const struct job_hooks *hooks = &job->jobs->settings.hooks;
    const struct job_take *take;
    if (!hooks->on_media_unwanted)
        return;
    LL_FOREACH (job->takes, take) {
        hooks->on_media_unwanted(hooks->context, take->id);
        /* Nobody ends these any more, and `adopt` may bring the take back. */
        for (int kind = PREPARE_URL; kind <= PREPARE_LAST_FRAME; kind++)
            jobs_prepared(job->jobs, (enum preparation_kind)kind, take->id, -ECANCELED);
    }
    if (job->attempt_id && !job_take_of_attempt(job))
        hooks->on_media_unwanted(hooks->context, job->attempt_id);
}

static void kept_file_unlink(void *context, int64_t kept_id)
{
    const struct jobs *jobs = context;
    (void)unlinkat(jobs->settings.files_fd, job_bytes_name(kept_id).text, 0);
}

/* Proof: the user has removed the job for which the files were kept. */
static void kept_unlink(struct job *job)
{
    int r = store_kept_each(job->jobs->settings.store, job->id, kept_file_unlink, job->jobs);
    if (r < 0)
        log_warn("input.left", "job=%s error=%s", job->name, err_name(r));
}

void job_leave(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    if (job_is_following(job))
        jobs->following--;
    job->is_removed = true;
    if (detail)
        job_unqueue(job);
    /* A create goes on until its response is written down. Any other call is of no use any more. */
    if (detail && job->state != JOB_SUBMITTING) {
        timer_cancel(jobs->settings.timers, &detail->timer);
        if (detail->call)
            job_call_cancel(job);
    }
    job_refreshes_cancel(job);
    (void)job_links_read(job); /* it needs nothing any more */
    job_source_changed(job);
    jobs->wake(jobs); /* it may have had a place, or held up the queue behind it */
    media_unwanted(job);
}

void job_give_way(struct job *job)
{
    job_unlink(job);
    job->is_removed = true;
    if (job->detail)
        timer_cancel(job->jobs->settings.timers, &job->detail->timer);
    job_unref(job_ref(job));
}

int jobs_remove(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail;
    int r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    CLEANUP(job_drop) struct job *held = job_ref(job);
    prompt_keep(job);
    r = store_remove(jobs->settings.store, job_rows_remove, held);
    if (r < 0)
        return r;
    job_files_detach(detail);
    log_info("job.removed", "job=%s id=%lld state=%s", job->name, (long long)job->id,
             job_state_to_text(job->state));
    job_unlink(job);
    jobs->counts.changes++;
    kept_unlink(job);
    job_leave(job);
    return 0;
}
