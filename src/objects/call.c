/*
 * One request: it is signed when it begins. If the store refuses it and its clock is not as ours, it
 * is signed once more, by the store's clock.
 */
#include "objects_private.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/table.h"
#include "seedancefs/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CALL_CONNECT_MS = 10 * 1000,
    CALL_STALL_MS = 30 * 1000,
    CALL_TOTAL_MS = 60 * 1000,
    CALL_SLOWEST = 32,            /* bytes per millisecond */
    CALL_SIGNED_MS = 3600 * 1000, /* the signature is looked at when the request begins */
    CLOCK_SLACK_MS = 60 * 1000,   /* a Date has whole seconds, and travels */
    CODE_SIZE = 64,
    MESSAGE_SIZE = 256,
    URL_LIMIT = 8 * 1024,
};

struct objects_call *call_free(struct objects_call *call)
{
    if (!call)
        return NULL;
    if (call->transfer)
        http_cancel(call->transfer);
    DL_DELETE(call->objects->calls, call);
    objects_digest_free(call->digest);
    buf_fini(&call->body);
    free(call->key);
    free(call->content_type);
    free(call->md5);
    free(call);
    return NULL;
}

int call_new(struct objects *objects, enum http_method method, const char *key,
             struct objects_call **out)
{
    struct objects_call *call = calloc(1, sizeof(*call));
    if (!call)
        return -ENOMEM;
    call->objects = objects;
    call->method = method;
    buf_init(&call->body, OBJECTS_ANSWER_MAX);
    DL_APPEND(objects->calls, call);
    call->key = strdup(key);
    if (!call->key) {
        call_free(call);
        return -ENOMEM;
    }
    *out = call;
    return 0;
}

/* Copies the text between <tag> and </tag> of an S3 error (S3 API reference, "Error responses"). */
static void element_copy(const char *body, const char *tag, char *out, size_t size)
{
    char open[16];
    CLEANUP(buf_fini) struct buf shown = {.limit = size - 1};
    (void)snprintf(open, sizeof(open), "<%s>", tag);
    const char *start = strstr(body, open);
    out[0] = '\0';
    if (!start)
        return;
    start += strlen(open);
    size_t len = strcspn(start, "<\r\n");
    (void)text_add_shown(&shown, start, text_cut(start, len < size / 2 ? len : size / 2));
    (void)snprintf(out, size, "%s", buf_text(&shown));
}

int64_t call_clock_ms(const struct objects *objects)
{
    const struct clock *clock = loop_clock(objects->loop);
    return objects->clock_ahead_ms ? clock_monotonic_ms(clock) + objects->clock_ahead_ms
                                   : clock_wall_ms(clock);
}

static bool is_about(int64_t a_ms, int64_t b_ms)
{
    return a_ms - b_ms <= CLOCK_SLACK_MS && b_ms - a_ms <= CLOCK_SLACK_MS;
}

/* From the head of a response: its body may take hours. */
static void clock_learn(struct objects *objects, const struct http_response *response)
{
    const struct clock *clock = loop_clock(objects->loop);
    int64_t theirs_ms = http_date_ms(response);
    if (theirs_ms < 0 || (objects->clock_ahead_ms && is_about(theirs_ms, call_clock_ms(objects))))
        return;
    if (!is_about(theirs_ms, clock_wall_ms(clock)))
        log_warn("objects.clock", "ahead_s=%lld",
                 (long long)(theirs_ms - clock_wall_ms(clock)) / 1000);
    objects->clock_ahead_ms = theirs_ms - clock_monotonic_ms(clock);
}

/* The request was signed by another time than is known now. */
static bool is_signed_wrongly(const struct objects_call *call)
{
    const struct clock *clock = loop_clock(call->objects->loop);
    int64_t since_ms = clock_monotonic_ms(clock) - call->begun_ms;
    return !is_about(call->signed_ms + since_ms, call_clock_ms(call->objects));
}

/* Of a compare the head is enough where the size is wrong, or is all that counts. */
static int on_headers(void *context, const struct http_response *response)
{
    struct objects_call *call = context;
    call->status = response->status;
    clock_learn(call->objects, response);
    if (!call->digest || response->status != 200 || response->content_length < 0)
        return 0;
    call->is_size_right = response->content_length == call->compare.bytes;
    if (!call->is_size_right)
        return -ERR_OBJECT_DIFFERS;
    return call->md5 ? 0 : -ECANCELED;
}

static int on_body(void *context, const void *bytes, size_t len)
{
    struct objects_call *call = context;
    if (call->digest && call->status == 200)
        return objects_digest_add(call->digest, bytes, len);
    return buf_add(&call->body, bytes, len);
}

static ssize_t on_body_wanted(void *context, int64_t offset, void *out, size_t size)
{
    const struct objects_call *call = context;
    return call->put.on_body_wanted(call->put.context, offset, out, size);
}

static void on_done(void *context, int result, const struct http_response *response)
{
    struct objects_call *call = context;
    char code[CODE_SIZE];
    char message[MESSAGE_SIZE];
    call->transfer = NULL;
    if (response->status == 403 && !call->is_signed_again && is_signed_wrongly(call)) {
        call->is_signed_again = true;
        result = call_begin(call);
        if (result == 0)
            return;
    }
    element_copy(buf_text(&call->body), "Code", code, sizeof(code));
    element_copy(buf_text(&call->body), "Message", message, sizeof(message));
    const struct call_answer answer = {result, response->status, code, message,
                                       response->body_bytes};
    call->end(call, &answer);
}

static size_t headers_make(const struct objects_call *call, struct sign_header *out)
{
    size_t count = 0;
    if (call->method == HTTP_PUT && call->md5)
        out[count++] = (struct sign_header){"content-md5", call->md5};
    out[count++] = (struct sign_header){"host", call->objects->place.host};
    if (call->method == HTTP_PUT)
        out[count++] = (struct sign_header){"if-none-match", "*"};
    return count;
}

/* The headers as libcurl takes them; it sends Host by itself. */
struct header_lines {
    char lines[SIGN_HEADERS_MAX][64];
    const char *pointers[SIGN_HEADERS_MAX + 1];
};

static void header_lines_make(const struct sign_header *headers, size_t count,
                              struct header_lines *out)
{
    size_t lines = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(headers[i].name, "host") == 0)
            continue;
        (void)snprintf(out->lines[lines], sizeof(out->lines[lines]), "%s: %s", headers[i].name,
                       headers[i].value);
        out->pointers[lines] = out->lines[lines];
        lines++;
    }
    out->pointers[lines] = NULL;
}

static int url_make(const struct objects_call *call, const struct sign_header *headers,
                    size_t count, struct buf *out)
{
    const struct objects *objects = call->objects;
    CLEANUP(buf_fini) struct buf path = {.limit = URL_LIMIT};
    int r = place_path_add(&path, &objects->place, call->key);
    const struct sign_request request = {
        .method = http_method_name(call->method),
        .path = buf_text(&path),
        .headers = headers,
        .header_count = count,
        .wall_ms = call->signed_ms,
        .life_ms = CALL_SIGNED_MS,
    };
    return r < 0 ? r : sign_url_add(out, &objects->place, &objects->credentials, &request);
}

int call_begin(struct objects_call *call)
{
    struct sign_header headers[SIGN_HEADERS_MAX];
    struct header_lines lines;
    size_t count = headers_make(call, headers);
    CLEANUP(buf_fini) struct buf url = {.limit = URL_LIMIT};
    header_lines_make(headers, count, &lines);
    buf_clear(&call->body);
    call->status = 0;
    call->begun_ms = clock_monotonic_ms(loop_clock(call->objects->loop));
    call->signed_ms = call_clock_ms(call->objects);
    int r = url_make(call, headers, count, &url);
    if (r < 0)
        return r;
    const struct http_request request = {
        .method = call->method,
        .url = buf_text(&url),
        .content_type = call->content_type,
        .headers = lines.pointers,
        .body = call->put.body,
        .body_len = (size_t)call->put.bytes,
        .range_first = -1,
        .range_last = -1,
        .connect_ms = CALL_CONNECT_MS,
        .stall_ms = CALL_STALL_MS,
        .total_ms = CALL_TOTAL_MS + max_int64(call->put.bytes, call->compare.bytes) / CALL_SLOWEST,
        .body_limit = call->digest ? (size_t)OBJECTS_BYTES_MAX : OBJECTS_ANSWER_MAX,
        .is_private_address_allowed = true, /* the user has named the endpoint */
        .context = call,
        .on_headers = on_headers,
        .on_body = on_body,
        .on_body_wanted = call->put.on_body_wanted ? on_body_wanted : NULL,
        .on_done = on_done,
    };
    r = http_start(call->objects->http, &request, &call->transfer);
    explicit_bzero(url.data, url.len);
    return r;
}

/* What a status means; 0: it is done. */
static int status_result(const struct call_answer *answer)
{
    switch (answer->status) {
    case 200:
    case 204:
        return 0;
    case 404:
        /* Only the store itself knows what it does not have. */
        return strcmp(answer->code, "NoSuchKey") == 0      ? -ENOENT
               : strcmp(answer->code, "NoSuchBucket") == 0 ? -ERR_OBJECT_REFUSED
                                                           : -ERR_OBJECT_STATUS;
    case 412:
        return -EEXIST;
    case 501:
        return -ERR_OBJECT_UNFIT;
    case 408:
    case 409:
    case 425:
    case 429:
        return -ERR_OBJECT_STATUS;
    default:
        break;
    }
    /* The bytes were damaged on their way, so that they are sent again. */
    if (strcmp(answer->code, "BadDigest") == 0)
        return -ERR_OBJECT_STATUS;
    /* Whatever stands between us and the store may have said it, unless it is in the store's words. */
    return answer->status >= 500 || !answer->code[0] ? -ERR_OBJECT_STATUS : -ERR_OBJECT_REFUSED;
}

int call_result(const struct objects_call *call, const struct call_answer *answer,
                char why[static OBJECTS_WHY_SIZE])
{
    const char *host = call->objects->place.host;
    int r = answer->result < 0 ? answer->result : status_result(answer);
    why[0] = '\0';
    if (answer->result < 0)
        (void)snprintf(why, OBJECTS_WHY_SIZE, "%.128s: %s", host, err_sentence(r));
    else if (r < 0)
        (void)snprintf(why, OBJECTS_WHY_SIZE, "%.128s: %s (%d %s%s%s)", host, err_sentence(r),
                       answer->status, answer->code, answer->message[0] ? ": " : "",
                       answer->message);
    return r;
}
