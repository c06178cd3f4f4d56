/*
 * The collection of jobs: an array by id, a table by name, queries, and the cache of details.
 *
 * Ids only grow, so a new job comes to the end of the array that is in the order of ids. A listing
 * continues after the last id that it returned, whatever was created or removed meanwhile.
 *
 * The detail of a job is loaded on demand and kept while the job is active or referenced. Beyond
 * JOB_DETAILS_RESTING the least recently used details are dropped, so that a hundred thousand
 * finished jobs cost little more than their names.
 */
#include "job_private.h"

#include "seedancefs/base/json.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void jobs_changed(struct job *job)
{
    const struct job_hooks *hooks = &job->jobs->settings.hooks;
    if (hooks->on_change && !job->is_removed && !job->is_assets)
        hooks->on_change(hooks->context, job);
}

void outgoing_fini(struct outgoing *outgoing)
{
    free(outgoing->body);
    job_inputs_fini(&outgoing->inputs);
    *outgoing = (struct outgoing){0};
}

void job_outgoing_drop(struct job_detail *detail)
{
    if (!detail->outgoing)
        return;
    outgoing_fini(detail->outgoing);
    free(detail->outgoing);
    detail->outgoing = NULL;
}

void job_detail_free(struct job_detail *detail)
{
    if (!detail)
        return;
    struct job_file *file;
    struct job_file *next;
    struct take_row *row;
    struct take_row *next_row;
    DL_FOREACH_SAFE (detail->files, file, next) {
        job_file_free(file);
    }
    LL_FOREACH_SAFE (detail->take_rows, row, next_row) {
        store_attempt_fini(&row->attempt);
        free(row);
    }
    timer_cancel(detail->job->jobs->settings.timers, &detail->timer);
    store_attempt_fini(&detail->attempt);
    free(detail->problem);
    free(detail->reason);
    free(detail->ctl_problem);
    free(detail->prompt_problem);
    free(detail->unsaved_response);
    free(detail->reserved_response);
    job_outgoing_drop(detail);
    free(detail);
}

void job_detail_drop(struct job *job)
{
    struct job_detail *detail = job->detail;
    if (!detail)
        return;
    if (detail->call)
        api_cancel(detail->call);
    DL_DELETE(job->jobs->details, detail);
    job->jobs->details_count--;
    job->detail = NULL;
    job->had_response =
        job->attempt_id && (detail->attempt.http_status != 0 || detail->attempt.task_id);
    job_detail_free(detail);
}

void job_free(struct job *job)
{
    struct job_take *take;
    struct job_take *next;
    job_detail_drop(job);
    LL_FOREACH_SAFE (job->takes, take, next) {
        free(take);
    }
    free(job->sizing);
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

/* The place of the first job with a larger id. Listings ask for one id after the other. */
static size_t index_after(struct jobs *jobs, int64_t id)
{
    size_t low = 0;
    size_t high = jobs->count;
    if (jobs->cursor < jobs->count && jobs->by_id[jobs->cursor]->id == id)
        return jobs->cursor + 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (jobs->by_id[middle]->id <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void job_unlink(struct job *job)
{
    struct jobs *jobs = job->jobs;
    size_t at = index_after(jobs, job->id) - 1;
    memmove(&jobs->by_id[at], &jobs->by_id[at + 1], (--jobs->count - at) * sizeof(jobs->by_id[0]));
    HASH_DELETE(by_name, jobs->by_name, job);
}

int job_link(struct job *job)
{
    struct jobs *jobs = job->jobs;
    if (jobs->count == jobs->room) {
        size_t room = jobs->room ? jobs->room + jobs->room / 4 : 64;
        struct job **more = realloc(jobs->by_id, room * sizeof(jobs->by_id[0]));
        if (!more)
            return -ENOMEM;
        jobs->by_id = more;
        jobs->room = room;
    }
    HASH_ADD_KEYPTR(by_name, jobs->by_name, job->name, strlen(job->name), job);
    if (!TABLE_HAS(job, by_name))
        return -ENOMEM;
    size_t at = index_after(jobs, job->id); /* the end: ids only grow */
    memmove(&jobs->by_id[at + 1], &jobs->by_id[at], (jobs->count - at) * sizeof(jobs->by_id[0]));
    jobs->by_id[at] = job;
    jobs->count++;
    return 0;
}

int job_new(struct jobs *jobs, int64_t id, char *name, struct job **out)
{
    struct job *job = calloc(1, sizeof(*job));
    if (!job)
        return -ENOMEM;
    *job = (struct job){.id = id, .name = name, .jobs = jobs, .state = JOB_DRAFT};
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

struct job *jobs_find_any(struct jobs *jobs, const char *name)
{
    struct job *job;
    HASH_FIND(by_name, jobs->by_name, name, strlen(name), job);
    return job;
}

struct job *jobs_find(struct jobs *jobs, const char *name)
{
    struct job *job = jobs_find_any(jobs, name);
    return job && !job->is_provisional && !job->is_assets ? job : NULL;
}

struct job *jobs_find_provisional(struct jobs *jobs, const char *name)
{
    struct job *job = jobs_find_any(jobs, name);
    return job && job->is_provisional ? job : NULL;
}

struct job *jobs_get(struct jobs *jobs, int64_t id)
{
    size_t after = index_after(jobs, id);
    struct job *job = after > 0 ? jobs->by_id[after - 1] : NULL;
    return job && job->id == id ? job : NULL;
}

/* If a job has just that name, one more tilde makes another one of it. */
enum { STEM_TILDES_MAX = 100 };

void jobs_stem_get(struct jobs *jobs, int64_t id, const char *name,
                   char out[static JOB_STEM_MAX + 1])
{
    char end[JOB_STEM_MAX / 2] = "";
    bool is_long = strlen(name) > JOB_STEM_MAX;
    size_t tildes = 0;
    do {
        if (is_long) {
            memset(end, '~', ++tildes);
            (void)snprintf(end + tildes, sizeof(end) - tildes, "%lld", (long long)id);
        }
        (void)snprintf(out, JOB_STEM_MAX + 1, "%.*s%s",
                       (int)text_cut(name, JOB_STEM_MAX - strlen(end)), name, end);
    } while (is_long && tildes < STEM_TILDES_MAX && jobs_find(jobs, out));
}

struct job *jobs_find_by_stem(struct jobs *jobs, const char *stem)
{
    char canonical[JOB_STEM_MAX + 1];
    const char *tilde = strrchr(stem, '~');
    if (strlen(stem) > JOB_STEM_MAX)
        return NULL;
    struct job *job = jobs_find(jobs, stem);
    if (job || !tilde)
        return job;
    job = jobs_get(jobs, strtoll(tilde + 1, NULL, 10));
    if (!job || job->is_provisional || job->is_assets)
        return NULL;
    jobs_stem_get(jobs, job->id, job->name, canonical);
    return strcmp(stem, canonical) == 0 ? job : NULL;
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
    size_t at = index_after(jobs, id);
    while (at < jobs->count && (jobs->by_id[at]->is_provisional || jobs->by_id[at]->is_assets))
        at++;
    jobs->cursor = at;
    return at < jobs->count ? jobs->by_id[at] : NULL;
}

size_t jobs_count(const struct jobs *jobs)
{
    return jobs->count - (jobs->assets != NULL);
}

/* In a transaction of its own: a host that does not decide refuses it. */
static int file_row_drop(struct store *store, int64_t id)
{
    int r = store_begin(store, STORE_LAZY);
    return r < 0 ? r : store_end(store, store_file_remove(store, id));
}

/* A file's bytes are unlinked right after its row is removed, but after a power cut perhaps only
 * the unlinking has reached the disk. Such a row is removed now, if it is proven that the bytes are
 * gone. Otherwise the row stays, and opening the file fails until its bytes are found. */
static void files_without_bytes_drop(struct job_detail *detail)
{
    struct job_file *file;
    struct job_file *next;
    DL_FOREACH_SAFE (detail->files, file, next) {
        if (!job_file_is_gone(file))
            continue;
        int r = file_row_drop(detail->job->jobs->settings.store, file->id);
        log_warn("file.gone", "job=%s name=%s result=%s", detail->job->name, file->name,
                 r < 0 ? err_name(r) : "removed");
        if (r < 0)
            continue;
        DL_DELETE(detail->files, file);
        job_file_free(file);
    }
}

/* False for rows that no transition can have written: nothing may be sent or asked because of them.
 * An attempt of another job would even be sent twice. */
static bool detail_is_sound(const struct job_detail *detail)
{
    const struct job *job = detail->job;
    const struct store_attempt *attempt = &detail->attempt;
    return (!job->attempt_id || attempt->job_id == job->id) &&
           (!attempt->task_id || api_task_id_check(attempt->task_id) == 0) &&
           job_broken_invariant(job, detail) == 0;
}

static int problem_load(struct store *store, struct job_detail *detail)
{
    CLEANUP(store_problem_fini) struct store_problem row = {0};
    int r = store_job_problem_get(store, detail->job->id, &row);
    if (r < 0)
        return r;
    detail->problem = TAKE_POINTER(row.text);
    detail->cause = (struct job_cause){.code = row.code ? err_parse(row.code) : 0,
                                       .line = (unsigned)row.line,
                                       .column = (unsigned)row.column};
    (void)snprintf(detail->cause.field, sizeof(detail->cause.field), "%s",
                   row.field ? row.field : "");
    return 0;
}

static int detail_load(struct job_detail *detail)
{
    struct job *job = detail->job;
    struct store *store = job->jobs->settings.store;
    if (job->is_provisional)
        return 0;
    int r = job->attempt_id ? store_attempt_get(store, job->attempt_id, &detail->attempt) : 0;
    if (r == -ENOENT || (r == 0 && !detail_is_sound(detail)))
        r = -ERR_STORE_CORRUPT;
    if (r == 0 && job->has_problem)
        r = problem_load(store, detail);
    if (r == 0)
        r = store_file_each(store, job->id, job_file_load, detail);
    if (r < 0)
        return r;
    files_without_bytes_drop(detail);
    return 0;
}

static void detail_note_activity(struct job_detail *detail)
{
    struct jobs *jobs = detail->job->jobs;
    if (jobs->details == detail)
        return;
    DL_DELETE(jobs->details, detail);
    DL_PREPEND(jobs->details, detail);
}

/* True when the store has everything in it, and nobody points into it. */
static bool detail_is_droppable(const struct job_detail *detail)
{
    const struct job *job = detail->job;
    return job->references == 0 && !detail->call && !detail->is_queued && !detail->is_unsaved &&
           !timer_is_set(&detail->timer) && !job->is_provisional && !detail->ctl_problem &&
           !detail->prompt_problem && job_state_class(job->state) != JOB_CLASS_ACTIVE;
}

static void details_trim(struct jobs *jobs)
{
    if (jobs->details_count <= JOB_DETAILS_RESTING)
        return;
    /* From the least recently used on. Active ones are skipped, a bounded number at a time. */
    struct job_detail *detail = jobs->details->prev;
    for (size_t looked = 0; looked < 16 && jobs->details_count > JOB_DETAILS_RESTING; looked++) {
        bool is_head = detail == jobs->details;
        struct job_detail *newer = detail->prev;
        if (detail_is_droppable(detail))
            job_detail_drop(detail->job);
        else if (!is_head)
            detail_note_activity(detail); /* so that active ones do not hide the droppable ones */
        if (is_head)
            break;
        detail = newer;
    }
}

int job_detail_read(struct job *job, struct job_detail **out)
{
    struct job_detail *detail = calloc(1, sizeof(*detail));
    if (!detail)
        return -ENOMEM;
    detail->job = job;
    int r = detail_load(detail);
    if (r < 0)
        job_detail_free(detail);
    else
        *out = detail;
    return r;
}

void job_detail_adopt(struct job *job, struct job_detail *detail)
{
    struct jobs *jobs = job->jobs;
    detail->job = job;
    job->detail = detail;
    DL_PREPEND(jobs->details, detail);
    jobs->details_count++;
    job->references++; /* so that the trimming that makes room for it does not drop it */
    details_trim(jobs);
    job->references--;
}

static int detail_make(struct job *job)
{
    struct job_detail *detail;
    int r = job_detail_read(job, &detail);
    if (r == 0)
        job_detail_adopt(job, detail);
    return r;
}

int job_detail_get(struct job *job, struct job_detail **out)
{
    int r = job->detail ? 0 : detail_make(job);
    if (r < 0)
        return r;
    detail_note_activity(job->detail);
    *out = job->detail;
    return 0;
}

const struct store_attempt *job_attempt_get(const struct job_detail *detail)
{
    static const struct store_attempt none = {.output_ms = -1};
    return detail ? &detail->attempt : &none;
}

void job_inputs_fini(struct job_inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++)
        store_input_fini(&inputs->rows[i]);
    free(inputs->rows);
    *inputs = (struct job_inputs){0};
}

int job_inputs_get(const struct job *job, int64_t attempt_id, struct job_inputs *out)
{
    return store_inputs_get(job->jobs->settings.store, attempt_id, &out->rows, &out->count);
}

const struct store_input *job_inputs_find(const struct job_inputs *inputs, enum job_input_form form)
{
    for (size_t i = 0; i < inputs->count; i++) {
        if (inputs->rows[i].form == (int64_t)form)
            return &inputs->rows[i];
    }
    return NULL;
}

void job_unqueue(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail = job->detail;
    if (detail->is_queued && job->state == JOB_WAITING)
        DL_DELETE2(jobs->submit_queue, detail, queue_prev, queue_next);
    else if (detail->is_queued)
        DL_DELETE2(jobs->poll_queue, detail, queue_prev, queue_next);
    detail->is_queued = false;
}

void job_call_cancel(struct job *job)
{
    api_cancel(job->detail->call);
    job->detail->call = NULL;
    if (job->state == JOB_WAITING)
        job->jobs->creates--;
    else
        job->jobs->polls--;
}

int jobs_blob_get(struct jobs *jobs, int64_t attempt_id, enum store_blob which, struct buf *out)
{
    CLEANUP_FREE char *blob = NULL;
    size_t len = 0;
    int r = store_attempt_blob_get(jobs->settings.store, attempt_id, which, &blob, &len);
    return r == 0 && blob ? buf_add(out, blob, len) : r;
}

int jobs_request_get(struct jobs *jobs, const struct job *job, struct buf *out)
{
    return jobs_blob_get(jobs, job->attempt_id, STORE_DISPLAY, out);
}

int jobs_response_get(struct jobs *jobs, const struct job *job, struct buf *out)
{
    return jobs_blob_get(jobs, job->attempt_id, STORE_RESPONSE, out);
}

static void document_drop(struct json_document **document)
{
    json_document_free(*document);
}

int jobs_prompt_get(struct jobs *jobs, int64_t attempt_id, struct buf *out)
{
    /* The limits of an accepted prompt, plus room for its indentation. */
    static const struct json_limits limits = {
        .max_bytes = 128 * 1024 * 1024, .max_depth = 40, .max_nodes = 8192};
    CLEANUP(document_drop) struct json_document *document = NULL;
    CLEANUP(buf_fini) struct buf request = {.limit = limits.max_bytes};
    int r = jobs_blob_get(jobs, attempt_id, STORE_DISPLAY, &request);
    if (r == 0 && request.len == 0) /* an adopted task has no request here */
        r = -ENODATA;
    if (r == 0)
        r = json_parse(buf_text(&request), request.len, &limits, &document, NULL);
    if (r < 0)
        return r;
    const char *text = json_text_get(json_member_get(json_document_root(document), "prompt"));
    return text ? buf_add_text(out, text) : -ENODATA;
}
