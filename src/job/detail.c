/*
 * The detail of a job: loaded when somebody looks, kept while the job is active or referenced, and
 * dropped oldest first beyond JOB_DETAILS_RESTING, so that a hundred thousand finished jobs cost
 * little more than their names.
 */
#include "job_private.h"

#include "seedancefs/base/json.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int job_text_set(char **place, const char *text)
{
    char *copy = NULL;
    if (text) {
        copy = strdup(text);
        if (!copy)
            return -ENOMEM;
    }
    free(*place);
    *place = copy;
    return 0;
}

void job_text_clear(char **place)
{
    free(*place);
    *place = NULL;
}

static void text_format(char **place, const char *format, va_list arguments) PRINTF_LIKE(2, 0);
static void text_format(char **place, const char *format, va_list arguments)
{
    struct buf text;
    buf_init(&text, 64 * 1024);
    int r = buf_addv(&text, format, arguments);
    free(*place);
    *place = r == 0 ? buf_take(&text) : NULL;
    buf_fini(&text);
}

void job_reason_set(struct job_detail *detail, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_format(&detail->reason, format, arguments);
    va_end(arguments);
}

void job_problem_set(struct job_detail *detail, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_format(&detail->problem, format, arguments);
    va_end(arguments);
    detail->job->has_problem = true; /* also without memory for the text */
    detail->job->is_damage_shown = false;
}

/* In the place of a text that there was no memory for. */
static const char *problem_without_text(enum job_state state)
{
    switch (state) {
    case JOB_UNKNOWN:
        return "It is not known whether the service created a task: the program ran out of "
               "memory.\n"
               "Nothing is sent again by itself. Look at your account's task list or bill.\n"
               "To follow a task that you find there: echo 'adopt TASK_ID' > ctl\n"
               "To send the request again, which may be charged once more: echo retry > ctl\n";
    case JOB_DRAFT:
        return "The prompt could not be submitted: the program ran out of memory.\n"
               "Nothing was sent and nothing was charged. Write it again.\n";
    case JOB_INVALID:
        return "The prompt is not acceptable; there was no memory to say why.\n"
               "Nothing was sent. Write it again to have it checked.\n";
    case JOB_WAITING:
    case JOB_SUBMITTING:
    case JOB_REJECTED:
    case JOB_QUEUED:
    case JOB_RUNNING:
    case JOB_SUCCEEDED:
    case JOB_FAILED:
    case JOB_CANCELLED:
    case JOB_EXPIRED:
    case JOB_LOST:
    case JOB_STATE_COUNT:
        break;
    }
    return "Something went wrong, and the program ran out of memory before it could say what; "
           "`status` and `log` are right.\n";
}

const char *job_problem_get(const struct job *job)
{
    if (!job->has_problem || !job->detail)
        return NULL;
    return job->detail->problem ? job->detail->problem : problem_without_text(job->state);
}

void job_problem_clear(struct job_detail *detail)
{
    free(detail->problem);
    detail->problem = NULL;
    detail->job->has_problem = false;
    detail->job->is_damage_shown = false;
}

static void detail_free(struct job_detail *detail)
{
    struct job_file *file;
    struct job_file *next;
    DL_FOREACH_SAFE (detail->files, file, next) {
        if (file->fd >= 0)
            (void)close(file->fd);
        free(file->name);
        free(file);
    }
    timer_cancel(detail->job->jobs->settings.timers, &detail->timer);
    store_attempt_fini(&detail->attempt);
    free(detail->problem);
    free(detail->reason);
    free(detail->ctl_problem);
    free(detail->prompt_problem);
    free(detail->unsaved_response);
    job_response_unreserve(detail);
    free(detail);
}

/* How both texts of jobs_video_damaged() begin: after a restart nothing else tells what the problem
 * is about. */
static const char damage_opening[] = "The video on disk ";

static int file_load(void *context, struct store_file *row)
{
    struct job_detail *detail = context;
    if (text_name_check(row->name) < 0)
        return -ERR_STORE_CORRUPT;
    struct job_file *file = calloc(1, sizeof(*file));
    if (!file)
        return -ENOMEM;
    *file = (struct job_file){
        .id = row->id, .job = detail->job, .name = row->name, .mode = (mode_t)row->mode, .fd = -1};
    row->name = NULL;
    DL_APPEND(detail->files, file);
    return 0;
}

/* A file's bytes are unlinked as soon as its row is, but only the unlinking may have reached the
 * disk before a power cut. Such a row is finished off, where that is proven. Where it is not, the
 * row stays, and opening the file fails until its bytes can be had. */
static void files_without_bytes_drop(struct job_detail *detail)
{
    struct job_file *file;
    struct job_file *next;
    DL_FOREACH_SAFE (detail->files, file, next) {
        if (!job_file_is_gone(file))
            continue;
        int r = store_file_remove(detail->job->jobs->settings.store, file->id);
        log_warn("file.gone", "job=%s name=%s result=%s", detail->job->name, file->name,
                 r < 0 ? err_name(r) : "removed");
        if (r < 0)
            continue;
        DL_DELETE(detail->files, file);
        free(file->name);
        free(file);
    }
}

/* Rows that no transition can have left: nothing may be sent or asked because of them. An attempt
 * of another job would even be sent twice. */
static bool detail_is_sound(const struct job_detail *detail)
{
    const struct job *job = detail->job;
    const struct store_attempt *attempt = &detail->attempt;
    return (!job->attempt_id || attempt->job_id == job->id) &&
           (!attempt->task_id || api_task_id_check(attempt->task_id) == 0) &&
           job_broken_invariant(job, detail) == 0;
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
        r = store_job_problem_get(store, job->id, &detail->problem);
    if (r == 0 && detail->problem)
        job->is_damage_shown =
            strncmp(detail->problem, damage_opening, strlen(damage_opening)) == 0;
    if (r == 0)
        r = store_file_each(store, job->id, file_load, detail);
    if (r == 0)
        files_without_bytes_drop(detail);
    return r;
}

void job_detail_note_activity(struct job_detail *detail)
{
    struct jobs *jobs = detail->job->jobs;
    if (jobs->details == detail)
        return;
    DL_DELETE(jobs->details, detail);
    DL_PREPEND(jobs->details, detail);
}

int job_detail_get(struct job *job, struct job_detail **out)
{
    if (!job->detail) {
        struct job_detail *detail = calloc(1, sizeof(*detail));
        if (!detail)
            return -ENOMEM;
        detail->job = job;
        int r = detail_load(detail);
        if (r < 0) {
            detail_free(detail);
            return r;
        }
        job->detail = detail;
        DL_PREPEND(job->jobs->details, detail);
        job->jobs->details_count++;
        job->references++; /* not by the trimming that makes room for it */
        jobs_details_trim(job->jobs);
        job->references--;
    }
    job_detail_note_activity(job->detail);
    *out = job->detail;
    return 0;
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
    detail_free(detail);
}

/* Nothing in it that the store does not have, and nobody who points into it. */
static bool detail_is_droppable(const struct job_detail *detail)
{
    const struct job *job = detail->job;
    return job->references == 0 && !detail->call && !detail->is_queued && !detail->is_unsaved &&
           !timer_is_set(&detail->timer) && !job->is_provisional && !detail->ctl_problem &&
           !detail->prompt_problem && job_state_class(job->state) != JOB_CLASS_ACTIVE;
}

void jobs_details_trim(struct jobs *jobs)
{
    if (jobs->details_count <= JOB_DETAILS_RESTING)
        return;
    /* From the oldest on; active ones are passed over, a bounded number at a time. */
    struct job_detail *detail = jobs->details->prev;
    for (size_t looked = 0; looked < 16 && jobs->details_count > JOB_DETAILS_RESTING; looked++) {
        bool is_head = detail == jobs->details;
        struct job_detail *newer = detail->prev;
        if (detail_is_droppable(detail))
            job_detail_drop(detail->job);
        else if (!is_head)
            job_detail_note_activity(
                detail); /* so that the active ones do not hide the droppable */
        if (is_head)
            break;
        detail = newer;
    }
}

int jobs_prompt_get(struct jobs *jobs, const struct job *job, struct buf *out)
{
    /* Bounds of what was accepted, with room for its indentation. */
    static const struct json_limits limits = {
        .max_bytes = 128 * 1024 * 1024, .max_depth = 40, .max_nodes = 8192};
    struct json_document *document = NULL;
    struct buf request;
    buf_init(&request, limits.max_bytes);
    int r = jobs_blob_get(jobs, job, STORE_DISPLAY, &request);
    if (r == 0 && request.len == 0) /* the task was adopted */
        r = -ENODATA;
    if (r == 0)
        r = json_parse(buf_text(&request), request.len, &limits, &document, NULL);
    const char *text =
        r == 0 ? json_text_get(json_member_get(json_document_root(document), "prompt")) : NULL;
    if (r == 0)
        r = text ? buf_add_text(out, text) : -ENODATA;
    json_document_free(document);
    buf_fini(&request);
    return r;
}
