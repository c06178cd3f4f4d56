/*
 * The collection of jobs: two tables (by id, by name), and what is asked of it.
 *
 * Ids only grow, and jobs enter the table of ids in their order, so that the table's own order is
 * the order of ids: a listing goes on after the last id it gave, whatever was made or removed
 * meanwhile.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"
#include "seedancefs/base/random.h"
#include "seedancefs/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t jobs_random(struct jobs *jobs)
{
    return random_next(&jobs->random_state);
}

void jobs_changed(struct job *job)
{
    const struct job_hooks *hooks = &job->jobs->settings.hooks;
    if (hooks->on_change && !job->is_removed)
        hooks->on_change(hooks->context, job);
}

void job_to_text(const struct job *job, char *out, size_t size)
{
    (void)snprintf(out, size, "job=%s id=%lld state=%s attempt=%lld", job->name, (long long)job->id,
                   job_state_to_text(job->state), (long long)job->attempt_id);
}

void job_free(struct job *job)
{
    job_detail_drop(job);
    free(job->name);
    free(job);
}

struct job *job_ref(struct job *job)
{
    job->references++;
    return job;
}

struct job *job_unref(struct job *job)
{
    if (job && --job->references == 0 && job->is_removed &&
        !(job->detail && (job->detail->call || job->detail->is_unsaved)))
        job_free(job);
    return NULL;
}

void job_unlink(struct job *job)
{
    struct jobs *jobs = job->jobs;
    HASH_DELETE(by_id, jobs->by_id, job);
    HASH_DELETE(by_name, jobs->by_name, job);
}

static int job_link(struct job *job)
{
    struct jobs *jobs = job->jobs;
    HASH_ADD(by_id, jobs->by_id, id, sizeof(job->id), job);
    if (!TABLE_HAS(job, by_id))
        return -ENOMEM;
    HASH_ADD_KEYPTR(by_name, jobs->by_name, job->name, strlen(job->name), job);
    if (TABLE_HAS(job, by_name))
        return 0;
    HASH_DELETE(by_id, jobs->by_id, job);
    return -ENOMEM;
}

int job_new(struct jobs *jobs, int64_t id, char *name, struct job **out)
{
    struct job *job = calloc(1, sizeof(*job));
    if (!job)
        return -ENOMEM;
    *job = (struct job){.id = id,
                        .name = name,
                        .jobs = jobs,
                        .state = JOB_DRAFT,
                        .video_bytes = -1,
                        .url_expires_ms = -1,
                        .cover_bytes = -1};
    int r = job_link(job);
    if (r < 0) {
        free(job);
        return r;
    }
    *out = job;
    return 0;
}

int job_name_check(const char *name)
{
    int r = text_name_check(name);
    if (r < 0)
        return r;
    return name[0] == '.' ? -EPERM : 0;
}

static int job_load(void *context, struct store_job *row)
{
    struct jobs *jobs = context;
    struct job *job;
    enum job_state state;
    int r = job_state_parse(row->state, &state);
    if (r < 0) {
        log_error("store.state", "job=%s word=%s", row->name, row->state);
        return -ERR_STORE_CORRUPT;
    }
    if (job_name_check(row->name) < 0) {
        log_error("store.name", "id=%lld name=\"%s\"", (long long)row->id, row->name);
        return -ERR_STORE_CORRUPT;
    }
    r = job_new(jobs, row->id, row->name, &job);
    if (r < 0)
        return r;
    row->name = NULL;
    job->state = state;
    job->created_ms = row->created_ms;
    job->updated_ms = row->updated_ms;
    job->attempt_id = row->attempt_id;
    job->video_bytes = state == JOB_SUCCEEDED ? row->video_bytes : -1;
    job->cover_bytes = state == JOB_SUCCEEDED ? row->cover_bytes : -1;
    job->url_expires_ms = row->url_expires_ms;
    job->has_problem = row->has_problem;
    job->had_response = row->has_response;
    if (job_is_following(job))
        jobs->following++;
    return 0;
}

int jobs_new(const struct jobs_settings *settings, struct jobs **out)
{
    struct jobs *jobs = calloc(1, sizeof(*jobs));
    if (!jobs)
        return -ENOMEM;
    jobs->settings = *settings;
    jobs->random_state = settings->random_seed;
    int r = job_text_set(&jobs->default_model, settings->default_model);
    if (r == 0)
        r = job_text_set(&jobs->api_name, settings->api_name);
    if (r == 0)
        r = jobs_defaults_begin(jobs);
    if (r == 0)
        r = store_job_each(settings->store, job_load, jobs);
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
    struct job *job;
    struct job *next;
    jobs_save_last(jobs);
    timer_cancel(jobs->settings.timers, &jobs->submit_timer);
    timer_cancel(jobs->settings.timers, &jobs->poll_timer);
    jobs_poll_kinds_free(jobs);
    timer_cancel(jobs->settings.timers, &jobs->resume_timer);
    HASH_ITER (by_id, jobs->by_id, job, next) {
        job_unlink(job);
        job_free(job);
    }
    /* What is left are removed jobs that somebody still points to. */
    while (jobs->details)
        job_free(jobs->details->job);
    free(jobs->default_model);
    jobs_defaults_end(jobs);
    free(jobs->api_name);
    free(jobs->gate_message);
    free(jobs);
    return NULL;
}

struct job *jobs_find_any(struct jobs *jobs, const char *name)
{
    struct job *job;
    HASH_FIND(by_name, jobs->by_name, name, strlen(name), job);
    return job;
}

struct job *jobs_find(struct jobs *jobs, const char *name)
{
    struct job *job = jobs_find_any(jobs, name);
    return job && !job->is_provisional ? job : NULL;
}

struct job *jobs_find_provisional(struct jobs *jobs, const char *name)
{
    struct job *job = jobs_find_any(jobs, name);
    return job && job->is_provisional ? job : NULL;
}

struct job *jobs_get(struct jobs *jobs, int64_t id)
{
    struct job *job;
    HASH_FIND(by_id, jobs->by_id, &id, sizeof(id), job);
    return job;
}

struct job *jobs_get_by_attempt(struct jobs *jobs, int64_t attempt_id)
{
    struct job *job;
    return jobs_find_attempt(jobs, attempt_id, &job) == 0 ? job : NULL;
}

int jobs_find_attempt(struct jobs *jobs, int64_t attempt_id, struct job **out)
{
    int64_t job_id;
    int r = store_attempt_job_get(jobs->settings.store, attempt_id, &job_id);
    if (r < 0)
        return r;
    struct job *job = jobs_get(jobs, job_id);
    *out = job && job->attempt_id == attempt_id ? job : NULL;
    return 0;
}

struct job *jobs_get_by_file(struct jobs *jobs, int64_t file_id)
{
    int64_t job_id;
    if (store_file_job_get(jobs->settings.store, file_id, &job_id) < 0) {
        /* Unlinked, but perhaps still open. */
        struct job_detail *detail;
        DL_FOREACH (jobs->details, detail) {
            if (job_file_get(detail, file_id))
                return detail->job;
        }
        return NULL;
    }
    return jobs_get(jobs, job_id);
}

struct job *jobs_next(struct jobs *jobs, int64_t id)
{
    struct job *job = jobs_get(jobs, id);
    if (job) {
        job = job->by_id.next;
    } else {
        /* The job that the listing stood at is gone (or it is the beginning). */
        job = jobs->by_id;
        while (job && job->id <= id)
            job = job->by_id.next;
    }
    while (job && job->is_provisional)
        job = job->by_id.next;
    return job;
}

const struct jobs_counts *jobs_counts_get(struct jobs *jobs)
{
    jobs->counts.creates_active = jobs->creates;
    jobs->counts.polls_active = jobs->polls;
    jobs->counts.is_gate_closed = jobs->gate != JOB_GATE_OPEN;
    return &jobs->counts;
}

size_t jobs_count(const struct jobs *jobs)
{
    return HASH_CNT(by_id, jobs->by_id);
}

int jobs_blob_get(struct jobs *jobs, const struct job *job, enum store_blob which, struct buf *out)
{
    char *blob = NULL;
    size_t len = 0;
    int r = store_attempt_blob_get(jobs->settings.store, job->attempt_id, which, &blob, &len);
    if (r == 0 && blob)
        r = buf_add(out, blob, len);
    free(blob);
    return r;
}

int jobs_spending_each(struct jobs *jobs, int64_t after_id, int64_t last_id, store_spending_fn *fn,
                       void *context)
{
    return store_spending_each(jobs->settings.store, after_id, last_id, fn, context);
}

int jobs_spending_removed(struct jobs *jobs, int64_t last_id, int64_t most, store_spending_fn *fn,
                          void *context)
{
    return store_spending_removed(jobs->settings.store, last_id, most, fn, context);
}

int jobs_spending_before(struct jobs *jobs, int64_t latest, int64_t *attempt_id)
{
    return store_spending_before(jobs->settings.store, latest, attempt_id);
}

int jobs_ledger_since(struct jobs *jobs, int64_t *entry_id, int64_t *attempt_id)
{
    return store_ledger_since(jobs->settings.store, entry_id, attempt_id);
}

int jobs_history_each(struct jobs *jobs, const struct job *job, store_history_fn *fn, void *context)
{
    return store_history_each(jobs->settings.store, job->id, fn, context);
}
