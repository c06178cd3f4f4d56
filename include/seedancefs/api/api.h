/*
 * What: the calls of the paid service. Each ends with a verdict, which says what may be done next;
 * the layers above never look at a curl code or an HTTP status to decide whether money was spent.
 * This layer never repeats a call: a create is one attempt, and the caller schedules the next poll
 * (see base/backoff.h).
 * Lifetime: on_done is called exactly once for each started call, never from within the function
 * that started it; after it, or after api_cancel(), the call is freed. `api` outlives its calls:
 * api_free() cancels those under way, without on_done; it is not called inside a callback.
 * Errors: a start that fails (-ENOMEM, -ERR_KEY_MISSING, -ERR_URL_REFUSED, -EINVAL for a task id
 * that is not allowed in a path, -EFBIG) has sent nothing and calls no callback.
 */
#ifndef SEEDANCEFS_API_API_H
#define SEEDANCEFS_API_API_H

#include "seedancefs/api/task.h"
#include "seedancefs/base/attributes.h"
#include "seedancefs/base/clock.h"
#include "seedancefs/base/secret.h"
#include "seedancefs/net/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api;
struct api_call;

/* X(NAME, text, meaning): one verdict per outcome of a create (C) or a poll (P). */
#define API_VERDICT_TABLE(X)                                                                       \
    X(ACCEPTED, "accepted", "C: a task exists; response->task->id names it")                       \
    X(UNSENT, "unsent", "C: provably nothing was sent; try again with back-off")                   \
    X(AMBIGUOUS, "ambiguous", "C: a task may exist; never send again without the user")            \
    X(REJECTED, "rejected", "C: definitely no task; the message says what to change")              \
    X(THROTTLED, "throttled", "C, P: no task was made; wait retry_after_ms")                       \
    X(QUOTA, "quota", "C: no task; a quota is used up; stop until the user acts")                  \
    X(KEY_REFUSED, "key refused", "C, P: 401; pause every submission until the key changes")       \
    X(ACCOUNT_REFUSED, "account refused", "C, P: 402, 403; pause every submission")                \
    X(TASK, "task", "P: response->task is the task that was asked for")                            \
    X(RETRY, "retry", "P: transient; ask again with back-off")                                     \
    X(LOST, "lost", "P: 404, 410; look a second time before believing it")                         \
    X(UNUSABLE, "unusable", "P: 2xx that makes no sense; keep the last good state, ask again")     \
    X(REFUSED, "refused", "P: any other refusal; show it, keep the state")

enum api_verdict {
#define X(name, text, meaning) API_##name,
    API_VERDICT_TABLE(X)
#undef X
};

/* Lent for the duration of on_done. */
struct api_response {
    enum api_verdict verdict;
    int result;             /* 0, or the code of base/err that ended the transfer or the decoding */
    int http_status;        /* 0: no status line came */
    bool is_sent;           /* a byte of the request may have been written */
    size_t request_len;     /* of the body of a create */
    size_t request_sent;    /* and how much of it the system took, before the transfer ended */
    int64_t retry_after_ms; /* as told, at most one hour; -1: not told, use the default back-off */
    char code[API_CODE_SIZE]; /* of the body's error; "" when it has none */
    char message[API_MESSAGE_SIZE];
    char request_id[API_REQUEST_ID_SIZE]; /* from the body or the head */
    const char *body; /* raw, NUL-terminated, what arrived of it; "" when nothing did */
    size_t body_len;
    const struct api_task *task; /* decoded; NULL but for API_ACCEPTED and API_TASK */
};

typedef void api_done_fn(void *context, const struct api_response *response);

struct api_create_callbacks {
    void *context;
    /* Right before the first request byte: make the intent durable here. A negative result ends the
     * call with API_UNSENT and that result. */
    int (*on_send)(void *context);
    /* The complete raw 2xx body, before it is parsed: make it durable here. A negative
     * result ends the call with API_AMBIGUOUS and that result. */
    int (*on_received)(void *context, int http_status, const char *body, size_t len);
    api_done_fn *on_done;
};

/*
 * `base_url` is copied; a trailing slash is tolerated. It is https, or http to a loopback address
 * written as such; only then may a call connect to an address that is not public.
 * `http` and `clock` are lent and outlive the api. -ERR_URL_REFUSED, -ENAMETOOLONG, -ENOMEM.
 */
int api_new(struct http *http, const struct clock *clock, const char *base_url,
            struct api **out) NODISCARD;
struct api *api_free(struct api *api);

/* Copies the key, or wipes it for NULL or an unset secret. Calls under way keep the old one.
 * On failure (-ENOMEM) the old key stays. */
int api_key_set(struct api *api, const struct secret *key) NODISCARD;
bool api_has_key(const struct api *api);

/* Lends the base URL without its trailing slash. */
const char *api_base_url(const struct api *api);

/* POST /videos/generations with exactly `body` (copied, at most 64 MiB). All callbacks but on_send
 * and on_received are required. */
int api_create(struct api *api, const void *body, size_t len,
               const struct api_create_callbacks *callbacks, struct api_call **out) NODISCARD;

/* GET /videos/generations/{task_id}. A response with another task id is API_UNUSABLE. */
int api_get_task(struct api *api, const char *task_id, void *context, api_done_fn *on_done,
                 struct api_call **out) NODISCARD;

/* Milliseconds for which the service should not be asked, because many requests in a row failed;
 * 0: it may be asked. */
int64_t api_rest_ms(const struct api *api);

/* Ends a call without on_done; allowed inside on_send and on_received. A create that was cancelled
 * after on_send is as ambiguous as one whose response was lost: the caller knows whether it was. */
void api_cancel(struct api_call *call);

struct api_call_state {
    bool is_create;
    size_t received_bytes;
    int64_t age_ms;
};

/* Of a call under way. */
struct api_call_state api_call_state_get(const struct api_call *call);

/* Static storage. */
const char *api_verdict_to_text(enum api_verdict verdict);

#endif
