/*
 * What: a fake of the service: the functions of api/api.h that the job layer calls. Because the
 * test's own object defines them, the linker leaves out the archive's api.o; the codec of tasks is
 * the real one. The fake is the oracle of money: for each attempt it counts the requests that may
 * have made a task, and a second one ends the test at once.
 */
#ifndef TESTS_UNIT_JOB_FAKE_API_H
#define TESTS_UNIT_JOB_FAKE_API_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "seedancefs/api/api.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/table.h"
#include "seedancefs/job/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A test that makes allocations fail exempts the fake's own, except one that stands for
 * all of them. */
#ifndef FAKE_API_ENTER
#define FAKE_API_ENTER() ((void)0)
#define FAKE_API_LEAVE() ((void)0)
#endif

struct api_call {
    struct api *api;
    struct api_create_callbacks create; /* of a create; a poll has only context and on_done */
    char *task_id;                      /* NULL: a create */
    char *body;
    size_t body_len;
    int64_t attempt_id;
    int64_t job_id;
    bool is_sent;
    struct api_call *next;
    struct api_call *prev;
};

/* What the service has seen of one attempt. */
struct api_attempt {
    int64_t id;
    unsigned sends;    /* requests whose first byte may have been written */
    unsigned possible; /* sends that may have made a task */
    char task_id[64];  /* "": certainly none was made */
    bool is_response_stored;
    UT_hash_handle by_id;
};

struct api {
    bool has_key;
    int start_result;       /* result of the next starts; 0: they succeed */
    struct api_call *calls; /* oldest first */
    unsigned creates;       /* api_create() calls that started */
    unsigned polls;
    unsigned tasks_made;
    int64_t rest_ms; /* how long the breaker leaves the service alone */
    struct api_attempt *attempts;
};

bool api_has_key(const struct api *api)
{
    return api->has_key;
}

int64_t api_rest_ms(const struct api *api)
{
    return api->rest_ms;
}

static inline struct api_attempt *api_attempt_get(struct api *api, int64_t id)
{
    struct api_attempt *attempt;
    HASH_FIND(by_id, api->attempts, &id, sizeof(id), attempt);
    if (attempt)
        return attempt;
    attempt = calloc(1, sizeof(*attempt));
    assert_non_null(attempt);
    attempt->id = id;
    HASH_ADD(by_id, api->attempts, id, sizeof(attempt->id), attempt);
    return attempt;
}

static inline bool api_has_memory(void)
{
    void *memory = malloc(1);
    free(memory);
    return memory != NULL;
}

static inline struct api_call *call_new(struct api *api)
{
    struct api_call *call = calloc(1, sizeof(*call));
    assert_non_null(call);
    call->api = api;
    DL_APPEND(api->calls, call);
    return call;
}

static inline void call_free(struct api_call *call)
{
    free(call->task_id);
    free(call->body);
    free(call);
}

int api_create(struct api *api, const void *body, size_t len,
               const struct api_create_callbacks *callbacks, struct api_call **out)
{
    struct job *job = callbacks->context;
    if (!api->has_key)
        return -ERR_KEY_MISSING;
    if (api->start_result < 0)
        return api->start_result;
    if (!api_has_memory())
        return -ENOMEM;
    FAKE_API_ENTER();
    assert_int_equal(api_attempt_get(api, job->attempt_id)->possible, 0);
    struct api_call *call = call_new(api);
    call->attempt_id = job->attempt_id;
    call->job_id = job->id;
    call->create = *callbacks;
    call->body = strndup(body, len);
    call->body_len = len;
    FAKE_API_LEAVE();
    api->creates++;
    *out = call;
    return 0;
}

int api_get_task(struct api *api, const char *task_id, void *context, api_done_fn *on_done,
                 struct api_call **out)
{
    if (!api->has_key)
        return -ERR_KEY_MISSING;
    if (api->start_result < 0)
        return api->start_result;
    if (!api_has_memory())
        return -ENOMEM;
    assert_int_equal(api_task_id_check(task_id), 0);
    FAKE_API_ENTER();
    struct api_call *call = call_new(api);
    call->create = (struct api_create_callbacks){.context = context, .on_done = on_done};
    call->task_id = strdup(task_id);
    FAKE_API_LEAVE();
    api->polls++;
    *out = call;
    return 0;
}

void api_cancel(struct api_call *call)
{
    DL_DELETE(call->api->calls, call);
    call_free(call);
}

/* The calls of a dead program get no more callbacks, but what was sent stays sent. */
static inline void api_fini(struct api *api)
{
    assert_null(api->calls);
    struct api_attempt *attempt;
    struct api_attempt *next;
    HASH_ITER (by_id, api->attempts, attempt, next) {
        HASH_DELETE(by_id, api->attempts, attempt);
        free(attempt);
    }
}

static inline void call_end(struct api_call *call, const struct api_response *response)
{
    DL_DELETE(call->api->calls, call);
    call->create.on_done(call->create.context, response);
    call_free(call);
}

/* Like the api layer: if on_send refuses, nothing is written and the call ends as unsent. */
static inline int call_send(struct api_call *call)
{
    int r = call->create.on_send(call->create.context);
    if (r < 0) {
        struct api_response response = {
            .verdict = API_UNSENT, .result = r, .retry_after_ms = -1, .body = ""};
        call_end(call, &response);
        return r;
    }
    struct api_attempt *attempt = api_attempt_get(call->api, call->attempt_id);
    call->is_sent = true;
    attempt->sends++;
    attempt->possible++;
    assert_int_equal(attempt->possible, 1); /* no second paid request for one attempt */
    return 0;
}

/* Delivers the complete 2xx body; its meaning follows later. */
static inline int call_receive(struct api_call *call, const char *body)
{
    return call->create.on_received(call->create.context, 200, body, strlen(body));
}

static inline bool verdict_is_harmless(enum api_verdict verdict)
{
    return verdict == API_UNSENT || verdict == API_REJECTED || verdict == API_THROTTLED ||
           verdict == API_QUOTA || verdict == API_KEY_REFUSED || verdict == API_ACCOUNT_REFUSED;
}

/* Ends a create that certainly or perhaps made no task; `is_sent` only if the request went out. */
static inline void create_end(struct api_call *call, enum api_verdict verdict, int http_status,
                              int64_t retry_after_ms, const char *message)
{
    struct api_response response = {.verdict = verdict,
                                    .http_status = http_status,
                                    .result = http_status ? 0 : -ERR_HTTP_BROKEN,
                                    .is_sent = call->is_sent,
                                    .retry_after_ms = retry_after_ms,
                                    .body = ""};
    strncat(response.message, message, sizeof(response.message) - 1);
    if (call->is_sent && verdict_is_harmless(verdict))
        api_attempt_get(call->api, call->attempt_id)->possible = 0;
    call_end(call, &response);
}

static inline void create_accept(struct api_call *call, const char *task_id)
{
    struct api_task task;
    char body[256];
    (void)snprintf(body, sizeof(body), "{\"id\":\"%s\",\"status\":\"queued\"}", task_id);
    if (!call->is_sent && call_send(call) < 0)
        return;
    struct api_attempt *attempt = api_attempt_get(call->api, call->attempt_id);
    (void)snprintf(attempt->task_id, sizeof(attempt->task_id), "%s", task_id);
    call->api->tasks_made++;
    struct api_response response = {.verdict = API_ACCEPTED,
                                    .http_status = 200,
                                    .is_sent = true,
                                    .retry_after_ms = -1,
                                    .body = body,
                                    .body_len = strlen(body)};
    int r = call_receive(call, body);
    api_task_init(&task);
    if (r == 0)
        assert_int_equal(api_task_decode(body, strlen(body), &task), 0);
    response.result = r;
    response.task = r == 0 ? &task : NULL;
    if (r < 0)
        response.verdict = API_AMBIGUOUS;
    call_end(call, &response);
    api_task_fini(&task);
}

/* Ends a poll with this body, which must be the whole task. */
static inline void poll_response(struct api_call *call, const char *body)
{
    struct api_task task;
    struct api_response response = {.verdict = API_TASK,
                                    .http_status = 200,
                                    .is_sent = true,
                                    .retry_after_ms = -1,
                                    .body = body,
                                    .body_len = strlen(body)};
    api_task_init(&task);
    assert_int_equal(api_task_decode(body, strlen(body), &task), 0);
    response.task = &task;
    call_end(call, &response);
    api_task_fini(&task);
}

static inline void poll_status(struct api_call *call, const char *word)
{
    char body[256];
    (void)snprintf(body, sizeof(body), "{\"id\":\"%s\",\"status\":\"%s\"}", call->task_id, word);
    poll_response(call, body);
}

static inline void poll_succeeded(struct api_call *call)
{
    char body[512];
    (void)snprintf(body, sizeof(body),
                   "{\"id\":\"%s\",\"status\":\"succeeded\",\"content\":{\"video_url\":"
                   "\"https://media.example/v.mp4?X-Tos-Date=20261123T080000Z&X-Tos-Expires="
                   "86400&sig=s3cret\"},\"usage\":{\"video_duration\":5}}",
                   call->task_id);
    poll_response(call, body);
}

static inline void poll_end(struct api_call *call, enum api_verdict verdict, int http_status,
                            int64_t retry_after_ms)
{
    struct api_response response = {.verdict = verdict,
                                    .http_status = http_status,
                                    .result = verdict == API_RETRY && !http_status
                                                  ? -ERR_HTTP_BROKEN
                                              : verdict == API_UNUSABLE ? -EINVAL
                                                                        : 0,
                                    .is_sent = true,
                                    .retry_after_ms = retry_after_ms,
                                    .message = "so it said",
                                    .body = ""};
    call_end(call, &response);
}

#endif
