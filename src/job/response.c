/*
 * What comes back from the service: the raw response to a create, which is kept before anything
 * reads it, because it was paid for; the words for a useless response; and how long to wait after
 * one.
 *
 * Memory for a response of the usual size is reserved before the request is sent, so that no money
 * depends on an allocation after it was spent.
 */
#include "job_private.h"

#include "seedancefs/base/backoff.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESERVED_RESPONSE_BYTES = 4096 }; /* a usual response has a few hundred bytes */

uint64_t jobs_random(struct jobs *jobs)
{
    return random_next(&jobs->random_state);
}

/* Never 0, so that a service that refuses at once is not asked in a tight loop. */
int64_t job_retry_delay_ms(struct jobs *jobs, unsigned failures, int64_t cap_ms)
{
    return BACKOFF_BASE_MS +
           backoff_delay_ms(failures, cap_ms - BACKOFF_BASE_MS, &jobs->random_state);
}

void job_response_to_text(const struct api_response *response, char out[static JOB_RESPONSE_SIZE])
{
    if (response->http_status)
        (void)snprintf(out, JOB_RESPONSE_SIZE, "the response was HTTP %d%s%s%s%s",
                       response->http_status, response->result ? ", but " : "",
                       response->result ? err_sentence(response->result) : "",
                       response->message[0] ? ": " : "", response->message);
    else
        (void)snprintf(out, JOB_RESPONSE_SIZE, "%s", err_sentence(response->result));
}

void job_response_note(struct store_attempt *attempt, const struct api_response *response)
{
    attempt->http_status = response->http_status;
    job_text_keep(&attempt->error_code, response->code);
    job_text_keep(&attempt->request_id, response->request_id);
}

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

/* The response is kept in memory and written later, rather than lost. */
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
