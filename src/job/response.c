/*
 * The service's raw response to a create: it was paid for, so it is kept before anything looks at
 * it, and read again when there was no memory to read it.
 *
 * Memory for a response of the usual size is set aside before the request is sent, because money
 * must not depend on an allocation that comes after it has been spent.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"

#include <stdlib.h>
#include <string.h>

enum {
    RESERVED_RESPONSE_BYTES = 4096, /* the service's responses have some hundred bytes */
    RESPONSE_AGAIN_MS = 500,
};

int job_response_reserve(struct job_detail *detail)
{
    detail->is_response_kept = false;
    if (!detail->reserved_response)
        detail->reserved_response = malloc(RESERVED_RESPONSE_BYTES);
    return detail->reserved_response ? 0 : -ENOMEM;
}

void job_response_unreserve(struct job_detail *detail)
{
    free(detail->reserved_response);
    detail->reserved_response = NULL;
}

static int response_save(struct job *job, enum store_durability durability, const char *body,
                         size_t len)
{
    struct store *store = job->jobs->settings.store;
    int r = store_begin(store, durability);
    return r < 0 ? r
                 : store_end(store, store_attempt_response_set(store, job->attempt_id, body, len));
}

/* Written later rather than thrown away. */
static void response_hold_in_memory(struct job_detail *detail, const char *body, size_t len)
{
    char *copy = detail->reserved_response;
    if (copy && len < RESERVED_RESPONSE_BYTES)
        detail->reserved_response = NULL;
    else
        copy = malloc(len + 1);
    if (!copy)
        return;
    memcpy(copy, body, len);
    copy[len] = '\0';
    free(detail->unsaved_response);
    detail->unsaved_response = copy;
    detail->unsaved_response_len = len;
    detail->is_response_kept = true;
}

void job_response_received(struct job *job, int http_status, const char *body, size_t len)
{
    struct job_detail *detail = job->detail;
    detail->attempt.http_status = http_status;
    int r = response_save(job, STORE_DURABLE, body, len);
    detail->is_response_kept = r == 0;
    if (r == 0)
        return;
    log_error("store.unsaved", "job=%s what=response error=%s", job->name, err_name(r));
    response_hold_in_memory(detail, body, len);
}

void job_response_show(struct job *job, const struct api_response *response)
{
    int r = response_save(job, STORE_LAZY, response->body, response->body_len);
    if (r < 0)
        log_warn("store.refused", "job=%s what=response error=%s", job->name, err_name(r));
}

/* 0 and the task; -ENODATA: there is no response; else why it names none, or cannot be read now. */
static int response_task_get(struct job *job, struct api_task *task)
{
    const struct job_detail *detail = job->detail;
    if (detail->unsaved_response)
        return api_task_decode(detail->unsaved_response, detail->unsaved_response_len, task);
    char *body = NULL;
    size_t len = 0;
    int r = store_attempt_blob_get(job->jobs->settings.store, job->attempt_id, STORE_RESPONSE,
                                   &body, &len);
    if (r == 0)
        r = body ? api_task_decode(body, len, task) : -ENODATA;
    free(body);
    return r;
}

static void response_read_due(void *context)
{
    struct job *job = context;
    job_response_read(job);
    job_unref(job);
}

void job_response_read_later(struct job *job)
{
    struct job_detail *detail = job->detail;
    log_warn("response.unread", "job=%s error=ENOMEM", job->name);
    if (detail->unsaved_response) {
        detail->is_unsaved = true;
        jobs_save_later(job->jobs);
    }
    timer_set(job->jobs->settings.timers, &detail->timer, RESPONSE_AGAIN_MS, response_read_due,
              job_ref(job));
}

void job_response_read(struct job *job)
{
    struct api_task task;
    api_task_init(&task);
    int r = response_task_get(job, &task);
    if (r == 0)
        r = job_to_queued(job, &task);
    if (r == 0) {
        log_info("job.recovered", "job=%s task=%s", job->name, task.id);
        if (!job->is_removed)
            job_poll_follow(job, 0);
    } else if (r == -ENOMEM) {
        job_response_read_later(job);
    } else {
        job_to_unknown(job, r == -ENODATA
                                ? "the program ended after it began to send the request and before "
                                  "a response was on disk"
                                : "the program ended before it could read the service's response, "
                                  "which has no usable task id (see response.json)");
    }
    api_task_fini(&task);
}
