/* What: what must hold for a task and an error that were read out of a hostile response. */
#ifndef TESTS_FUZZ_RESPONSE_H
#define TESTS_FUZZ_RESPONSE_H

#include "fuzz.h"

#include "seedancefs/api/task.h"
#include "seedancefs/base/err.h"

enum { RESPONSE_DEPTH_MAX = 32, RESPONSE_DURATION_MAX_MS = 24 * 3600 * 1000 };

static inline void require_id(const char *id)
{
    size_t len = strlen(id);
    FUZZ_REQUIRE(api_task_id_check(id) == 0, "an id that its own check refuses");
    FUZZ_REQUIRE(len >= 1 && len <= API_ID_MAX, "an id of %zu bytes", len);
    FUZZ_REQUIRE(!strpbrk(id, "/?#%\\\"'<> ") && strcmp(id, ".") != 0 && strcmp(id, "..") != 0,
                 "an id that leaves its segment of the path: %s", id);
    for (const char *p = id; *p; p++)
        FUZZ_REQUIRE((unsigned char)*p > 0x20 && (unsigned char)*p < 0x7f, "not printable: %s", id);
}

static inline void require_task(const struct api_task *task, const char *body, size_t len)
{
    FUZZ_REQUIRE(len <= API_BODY_MAX, "%zu bytes", len);
    fuzz_require_strict_json(body, len, RESPONSE_DEPTH_MAX);
    require_id(task->id);
    FUZZ_REQUIRE(task->status >= API_TASK_QUEUED && task->status <= API_TASK_UNKNOWN, "status %d",
                 (int)task->status);
    FUZZ_REQUIRE(task->status == API_TASK_UNKNOWN ||
                     strcmp(task->status_word, api_task_status_to_text(task->status)) == 0,
                 "\"%s\" is no %d", task->status_word, (int)task->status);
    fuzz_require_line(task->status_word, "status_word");
    fuzz_require_line(task->error_code, "error_code");
    fuzz_require_line(task->error_message, "error_message");
    fuzz_require_line(task->error_request_id, "error_request_id");
    FUZZ_REQUIRE(task->created_s == -1 || task->created_s > 0, "created %lld",
                 (long long)task->created_s);
    FUZZ_REQUIRE(task->video_duration_ms >= -1 &&
                     task->video_duration_ms <= RESPONSE_DURATION_MAX_MS,
                 "lasts %lld ms", (long long)task->video_duration_ms);
    const char *texts[] = {task->model, task->video_url, task->cover_image_url};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        FUZZ_REQUIRE(!texts[i] || (texts[i][0] && fuzz_is_utf8(texts[i], strlen(texts[i]))),
                     "text %zu is empty or not UTF-8", i);
}

static inline void require_same_text(const char *a, const char *b)
{
    FUZZ_REQUIRE((!a && !b) || (a && b && strcmp(a, b) == 0), "read twice, two texts");
}

/* Decodes as the api layer does. The task is initialised here; what a failure leaves is looked
 * at. */
static inline int response_decode(const char *body, size_t len, struct api_task *task)
{
    api_task_init(task);
    task->created_s = 77;
    int r = api_task_decode(body, len, task);
    FUZZ_REQUIRE(r == 0 || r == -EINVAL || r == -ERR_JSON_SYNTAX || r == -ERR_JSON_INCOMPLETE ||
                     r == -ERR_JSON_LIMIT,
                 "result %d", r);
    if (r == 0)
        require_task(task, body, len);
    else
        FUZZ_REQUIRE(!task->id && !task->video_url && task->created_s == 77, "touched on failure");
    return r;
}

static inline void response_error_check(const char *body, size_t len)
{
    struct api_error error;
    memset(&error, 'x', sizeof(error));
    api_error_decode(body, len, &error);
    FUZZ_REQUIRE(memchr(error.code, '\0', sizeof(error.code)) &&
                     memchr(error.message, '\0', sizeof(error.message)) &&
                     memchr(error.request_id, '\0', sizeof(error.request_id)),
                 "a text without end");
    fuzz_require_line(error.code, "code");
    fuzz_require_line(error.message, "message");
    fuzz_require_line(error.request_id, "request_id");
}

#endif
