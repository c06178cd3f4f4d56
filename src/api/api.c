/*
 * Design. One table says what each HTTP status means for a create and for a poll. For a create,
 * two cases are ambiguous: a status without a row, and a transfer that broke after its first
 * byte may have gone out. Only a definite refusal may lead to another request, because a
 * request costs money.
 */
#include "seedancefs/api/api.h"

#include "seedancefs/base/backoff.h"
#include "seedancefs/base/buf.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/table.h"
#include "seedancefs/net/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECT_MS = 10 * 1000,
    STALL_MS = 30 * 1000,
    TOTAL_MS = 60 * 1000,
    BREAKER_FAILURES = 5, /* in a row; then the service is left alone */
    BREAKER_REST_MS = 5 * 1000,
    PROBE_REST_MS = 1000, /* between checks whether the probe has ended */
};

enum {
    RESERVED_RESPONSE_BYTES = 4095
}; /* allocated before a create is sent: its response must not be lost */

static const size_t request_max = (size_t)64 << 20; /* the limit in the service's documentation */
static const char generations[] = "/videos/generations";

struct api {
    struct http *http;
    const struct clock *clock;
    char *base_url;
    bool is_loopback;
    struct secret key;
    struct api_call *calls;
    struct breaker breaker; /* for polls; each create has its own back-off */
};

struct api_call {
    struct api *api;
    struct api_call *next;
    struct api_call *prev;
    struct http_transfer *transfer;
    struct api_create_callbacks callbacks; /* a poll has only on_done */
    char *task_id;                         /* the task of a poll; NULL for a create */
    void *request_body;
    size_t request_len;
    struct buf body;
    struct api_task task;
    int64_t began_ms;  /* monotonic */
    bool is_probe;     /* tests whether the service is back; other polls wait for it */
    bool is_ending;    /* the transfer is over, a last callback is running */
    bool is_cancelled; /* cancelled in that callback */
};

struct status_row {
    int first, last;
    enum api_verdict create, poll;
};

static const struct status_row status_rows[] = {
    {200, 299, API_ACCEPTED, API_TASK},
    {300, 399, API_AMBIGUOUS, API_REFUSED}, /* never followed: it would send a create again */
    {400, 400, API_REJECTED, API_REFUSED},
    {401, 401, API_KEY_REFUSED, API_KEY_REFUSED},
    {402, 403, API_ACCOUNT_REFUSED, API_ACCOUNT_REFUSED},
    {404, 404, API_REJECTED, API_LOST},
    {405, 405, API_REJECTED, API_REFUSED},
    {408, 408, API_AMBIGUOUS, API_RETRY},
    {410, 410, API_REJECTED, API_LOST},
    {413, 413, API_REJECTED, API_REFUSED},
    {415, 415, API_REJECTED, API_REFUSED},
    {422, 422, API_REJECTED, API_REFUSED},
    {429, 429, API_THROTTLED, API_THROTTLED},
    {500, 599, API_AMBIGUOUS, API_RETRY},
};

const char *api_verdict_to_text(enum api_verdict verdict)
{
    static const char *const texts[] = {
#define X(name, text, meaning) [API_##name] = text,
        API_VERDICT_TABLE(X)
#undef X
    };
    return texts[verdict];
}

static void call_free(struct api_call *call)
{
    if (call->is_probe)
        breaker_abandon(&call->api->breaker);
    DL_DELETE(call->api->calls, call);
    free(call->task_id);
    free(call->request_body);
    buf_fini(&call->body);
    api_task_fini(&call->task);
    free(call);
}

static bool is_create(const struct api_call *call)
{
    return call->task_id == NULL;
}

/* Whether a quota is used up; a rate limit would pass. Relays change the codes, so
 * this matches inside. */
static bool is_quota(const struct api_response *response)
{
    static const char *const marks[] = {"QuotaExceeded", "SetLimitExceeded", "insufficient_quota"};
    for (size_t i = 0; i < ARRAY_COUNT(marks); i++) {
        if (strcasestr(response->code, marks[i]) || strcasestr(response->message, marks[i]))
            return true;
    }
    return false;
}

static enum api_verdict verdict_of_status(const struct api_call *call,
                                          const struct api_response *response)
{
    for (size_t i = 0; i < ARRAY_COUNT(status_rows); i++) {
        const struct status_row *row = &status_rows[i];
        if (response->http_status < row->first || response->http_status > row->last)
            continue;
        if (!is_create(call))
            return row->poll;
        return row->create == API_THROTTLED && is_quota(response) ? API_QUOTA : row->create;
    }
    return is_create(call) ? API_AMBIGUOUS : API_REFUSED;
}

static enum api_verdict verdict_of_failure(const struct api_call *call, bool is_sent)
{
    if (!is_create(call))
        return API_RETRY;
    return is_sent ? API_AMBIGUOUS : API_UNSENT;
}

/* Handles the body of a 2xx: first makes it durable, then parses it. */
static void take_task(struct api_call *call, struct api_response *response)
{
    int r = 0;
    if (call->callbacks.on_received)
        r = call->callbacks.on_received(call->callbacks.context, response->http_status,
                                        response->body, response->body_len);
    if (r >= 0)
        r = api_task_decode(response->body, response->body_len, &call->task);
    if (r == -EINVAL)
        r = -ERR_TASK_UNUSABLE;
    if (r == 0 && !is_create(call) && strcmp(call->task.id, call->task_id) != 0)
        r = -ERR_TASK_OTHER;
    response->result = r;
    if (r == 0)
        response->task = &call->task;
    else
        response->verdict = is_create(call) ? API_AMBIGUOUS : API_UNUSABLE;
}

static void take_error_texts(const struct secret *key, const struct http_response *head,
                             struct api_response *response)
{
    struct api_error error;
    api_error_decode(response->body, response->body_len, &error);
    memcpy(response->code, error.code, sizeof(error.code));
    memcpy(response->message, error.message, sizeof(error.message));
    memcpy(response->request_id, error.request_id, sizeof(error.request_id));
    /* Replaces the redirect's own message by what a redirect means here. */
    if (response->result == 0 && response->http_status >= 300 && response->http_status <= 399)
        (void)snprintf(response->message, sizeof(response->message),
                       "a redirect to another address, which is never followed");
    if (response->request_id[0])
        return;
    size_t len = 0;
    for (; len < sizeof(response->request_id) - 1 && head->request_id[len]; len++) {
        char c = head->request_id[len];
        response->request_id[len] = c > 0x20 && c < 0x7f ? c : '?';
    }
    response->request_id[len] = '\0';
    secret_mask(key, response->request_id, len);
}

/* A service that responds is up, whatever the response. Only 5xx and silence are failures
 * (FAULTS: GETs only). */
static void breaker_feed(struct api_call *call, int result, int http_status)
{
    struct breaker *breaker = &call->api->breaker;
    if (is_create(call))
        return;
    if (result == 0 && http_status < 500)
        breaker_success(breaker);
    else
        breaker_failure(breaker, clock_monotonic_ms(call->api->clock));
}

static int call_send(void *context)
{
    struct api_call *call = context;
    return call->callbacks.on_send ? call->callbacks.on_send(call->callbacks.context) : 0;
}

static int call_body(void *context, const void *bytes, size_t len)
{
    struct api_call *call = context;
    return buf_add(&call->body, bytes, len);
}

static void call_done(void *context, int result, const struct http_response *head)
{
    struct api_call *call = context;
    struct api_response response = {
        .result = result,
        .http_status = head->status,
        .is_sent = head->is_sent,
        .request_len = call->request_len,
        .request_sent = head->sent_body_bytes > 0 ? (size_t)head->sent_body_bytes : 0,
        .retry_after_ms = http_retry_after_ms(head, clock_wall_ms(call->api->clock)),
        .body = buf_text(&call->body),
        .body_len = call->body.len,
    };
    call->transfer = NULL;
    call->is_ending = true;
    /* A service that echoes the key must not get it stored. */
    if (call->body.len > 0)
        secret_mask(&call->api->key, call->body.data, call->body.len);
    breaker_feed(call, result, head->status);
    call->is_probe = false;
    bool is_success = result == 0 && head->status >= 200 && head->status <= 299;
    if (!is_success)
        take_error_texts(&call->api->key, head, &response);
    response.verdict =
        result < 0 ? verdict_of_failure(call, head->is_sent) : verdict_of_status(call, &response);
    if (is_success)
        take_task(call, &response);
    /* The response is stored, so an error in a 2xx without a task may be shown now. */
    if (is_success && !response.task)
        take_error_texts(&call->api->key, head, &response);
    if (!call->is_cancelled)
        call->callbacks.on_done(call->callbacks.context, &response);
    call_free(call);
}

static int base_url_copy(const char *base_url, char **out)
{
    int r = url_check(base_url, true);
    if (r < 0)
        return r;
    size_t len = strlen(base_url);
    while (len > 0 && base_url[len - 1] == '/')
        len--;
    if (strpbrk(base_url, "?#"))
        return -ERR_URL_REFUSED;
    *out = strndup(base_url, len);
    return *out ? 0 : -ENOMEM;
}

int api_new(struct http *http, const struct clock *clock, const char *base_url, struct api **out)
{
    struct api *api = calloc(1, sizeof(*api));
    if (!api)
        return -ENOMEM;
    api->http = http;
    api->clock = clock;
    int r = base_url_copy(base_url, &api->base_url);
    if (r < 0) {
        api_free(api);
        return r;
    }
    api->is_loopback = url_is_loopback(base_url);
    breaker_init(&api->breaker, BREAKER_FAILURES, BREAKER_REST_MS);
    *out = api;
    return 0;
}

struct api *api_free(struct api *api)
{
    if (!api)
        return NULL;
    while (api->calls)
        api_cancel(api->calls);
    secret_fini(&api->key);
    free(api->base_url);
    free(api);
    return NULL;
}

int api_key_set(struct api *api, const struct secret *key)
{
    struct secret copy = {0};
    if (key && secret_is_set(key)) {
        int r = secret_init(&copy, key->text, key->len);
        if (r < 0)
            return r;
    }
    secret_fini(&api->key);
    api->key = copy;
    return 0;
}

bool api_has_key(const struct api *api)
{
    return secret_is_set(&api->key);
}

int64_t api_rest_ms(const struct api *api)
{
    int64_t left_ms = api->breaker.open_until_ms - clock_monotonic_ms(api->clock);
    if (api->breaker.is_probing)
        return PROBE_REST_MS;
    return api->breaker.state == BREAKER_OPEN && left_ms > 0 ? left_ms : 0;
}

const char *api_base_url(const struct api *api)
{
    return api->base_url;
}

static int call_new(struct api *api, const struct api_create_callbacks *callbacks,
                    struct api_call **out)
{
    if (!api_has_key(api))
        return -ERR_KEY_MISSING;
    struct api_call *call = calloc(1, sizeof(*call));
    if (!call)
        return -ENOMEM;
    call->api = api;
    call->callbacks = *callbacks;
    call->began_ms = clock_monotonic_ms(api->clock);
    buf_init(&call->body, API_BODY_MAX);
    api_task_init(&call->task);
    DL_APPEND(api->calls, call);
    *out = call;
    return 0;
}

/* Fills in what all calls share and starts the transfer. Frees the call if that fails. */
static int call_start(struct api_call *call, struct http_request *request, struct api_call **out)
{
    struct api *api = call->api;
    struct buf url;
    buf_init(&url, URL_MAX);
    (void)buf_addf(&url, "%s%s", api->base_url, generations);
    if (!is_create(call))
        (void)buf_addf(&url, "/%s", call->task_id);
    request->url = buf_text(&url);
    request->bearer = &api->key;
    request->range_first = -1;
    request->range_last = -1;
    request->connect_ms = CONNECT_MS;
    request->stall_ms = STALL_MS;
    request->total_ms = TOTAL_MS;
    request->body_limit = API_BODY_MAX;
    request->is_private_address_allowed = api->is_loopback;
    request->context = call;
    request->on_send = call_send;
    request->on_body = call_body;
    request->on_done = call_done;
    int r = url.error ? url.error : http_start(api->http, request, &call->transfer);
    buf_fini(&url);
    if (r < 0) {
        call_free(call);
        return r;
    }
    *out = call;
    return 0;
}

int api_create(struct api *api, const void *body, size_t len,
               const struct api_create_callbacks *callbacks, struct api_call **out)
{
    struct api_call *call = NULL;
    if (len > request_max)
        return -EFBIG;
    int r = call_new(api, callbacks, &call);
    if (r < 0)
        return r;
    call->request_body = malloc(len ? len : 1);
    if (!call->request_body) {
        call_free(call);
        return -ENOMEM;
    }
    memcpy(call->request_body, body, len);
    call->request_len = len;
    r = buf_reserve(&call->body, RESERVED_RESPONSE_BYTES);
    if (r < 0) {
        call_free(call);
        return r;
    }
    struct http_request request = {
        .method = HTTP_POST,
        .content_type = "application/json",
        .body = call->request_body,
        .body_len = len,
        .is_single_attempt = true,
    };
    return call_start(call, &request, out);
}

int api_get_task(struct api *api, const char *task_id, void *context, api_done_fn *on_done,
                 struct api_call **out)
{
    struct api_call *call = NULL;
    int r = api_task_id_check(task_id);
    if (r < 0)
        return r;
    const struct api_create_callbacks callbacks = {.context = context, .on_done = on_done};
    r = call_new(api, &callbacks, &call);
    if (r < 0)
        return r;
    call->task_id = strdup(task_id);
    if (!call->task_id) {
        call_free(call);
        return -ENOMEM;
    }
    /* A caller that ignores api_rest_ms() has a reason. */
    call->is_probe =
        breaker_admit(&api->breaker, clock_monotonic_ms(api->clock)) && api->breaker.is_probing;
    struct http_request request = {.method = HTTP_GET};
    return call_start(call, &request, out);
}

struct api_call_state api_call_state_get(const struct api_call *call)
{
    return (struct api_call_state){
        .is_create = is_create(call),
        .received_bytes = call->body.len,
        .age_ms = clock_monotonic_ms(call->api->clock) - call->began_ms,
    };
}

void api_cancel(struct api_call *call)
{
    if (!call)
        return;
    if (call->is_ending) {
        call->is_cancelled = true; /* call_done() frees it */
        return;
    }
    http_cancel(call->transfer);
    call_free(call);
}
