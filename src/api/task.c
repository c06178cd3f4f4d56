#include "seedancefs/api/task.h"

#include "api/decode.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/json.h"
#include "seedancefs/net/url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DURATION_MAX_S = 24 * 3600 }; /* a larger number is not the length of a clip */

static const char *const status_words[] = {
    [API_TASK_QUEUED] = "queued",       [API_TASK_RUNNING] = "running",
    [API_TASK_SUCCEEDED] = "succeeded", [API_TASK_FAILED] = "failed",
    [API_TASK_CANCELLED] = "cancelled", [API_TASK_EXPIRED] = "expired",
    [API_TASK_UNKNOWN] = "unknown",
};

const char *api_task_status_to_text(enum api_task_status status)
{
    return status_words[status];
}

bool api_task_status_is_final(enum api_task_status status)
{
    return status == API_TASK_SUCCEEDED || status == API_TASK_FAILED ||
           status == API_TASK_CANCELLED || status == API_TASK_EXPIRED;
}

int64_t api_url_expires_at_ms(const char *url)
{
    return url ? url_expires_at_ms(url) : -1;
}

void api_task_init(struct api_task *task)
{
    *task = (struct api_task){.status = API_TASK_UNKNOWN, .created_s = -1, .video_duration_ms = -1};
}

void api_task_fini(struct api_task *task)
{
    free(task->id);
    free(task->model);
    free(task->video_url);
    free(task->cover_image_url);
    api_task_init(task);
}

int api_task_id_check(const char *id)
{
    size_t len = strlen(id);
    if (len == 0 || len > API_ID_MAX || strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        if (id[i] <= 0x20 || id[i] >= 0x7f || strchr("/?#%\\\"'<>", id[i]))
            return -EINVAL;
    }
    return 0;
}

static enum api_task_status status_parse(const char *word)
{
    for (size_t i = 0; i < ARRAY_COUNT(status_words); i++) {
        if (strcmp(word, status_words[i]) == 0)
            return (enum api_task_status)i;
    }
    return API_TASK_UNKNOWN;
}

/* Copies a text member that may be absent, null or empty. Any other type is -EINVAL. */
static int take_text(const struct json *object, const char *key, char **out)
{
    const struct json *node = json_member_get(object, key);
    if (json_type_get(node) == JSON_NULL)
        return 0;
    const char *text = json_text_get(node);
    if (!text)
        return -EINVAL;
    if (text[0] == '\0' || *out)
        return 0;
    *out = strdup(text);
    return *out ? 0 : -ENOMEM;
}

/* Finds the URLs: in data[0] as documented, or in `content` as upstream does. */
static int take_urls(const struct json *root, struct api_task *task)
{
    const struct json *data = json_member_get(root, "data");
    const struct json *places[] = {
        json_type_get(data) == JSON_ARRAY ? json_child_first(data) : data,
        json_member_get(root, "content"),
    };
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        int r = take_text(places[i], "video_url", &task->video_url);
        if (r < 0)
            return r;
        /* A cover is optional. One that is not a text is ignored, and does not spoil the video. */
        r = take_text(places[i], "cover_image_url", &task->cover_image_url);
        if (r == -ENOMEM)
            return r;
    }
    return 0;
}

static void take_numbers(const struct json *root, struct api_task *task)
{
    static const char *const created_keys[] = {"created", "created_at"};
    int64_t created_s = 0;
    for (size_t i = 0; i < ARRAY_COUNT(created_keys) && task->created_s < 0; i++) {
        if (json_int64_get(json_member_get(root, created_keys[i]), &created_s) && created_s > 0)
            task->created_s = created_s;
    }
    /* Seconds, perhaps with a fraction. This is the only double that is read; it becomes a whole
     * number of milliseconds at once. */
    double seconds = 0;
    const struct json *usage = json_member_get(root, "usage");
    if (json_number_get(json_member_get(usage, "video_duration"), &seconds) && seconds > 0 &&
        seconds <= DURATION_MAX_S)
        task->video_duration_ms = (int64_t)(seconds * 1000 + 0.5);
}

static void take_error(const struct json *root, struct api_task *task)
{
    struct api_error error = {0};
    /* Only inside `error`: a top-level message of a healthy task is not an error. */
    const struct json *inner = json_member_get(root, "error");
    if (json_type_get(inner) != JSON_NULL)
        api_error_from_json(root, &error);
    memcpy(task->error_code, error.code, sizeof(error.code));
    memcpy(task->error_message, error.message, sizeof(error.message));
    memcpy(task->error_request_id, error.request_id, sizeof(error.request_id));
}

static int task_from_json(const struct json *root, struct api_task *task)
{
    int r = take_text(root, "id", &task->id);
    if (r == 0)
        r = task->id ? api_task_id_check(task->id) : -EINVAL;
    if (r == 0)
        r = take_urls(root, task);
    if (r < 0)
        return r;
    r = take_text(root, "model", &task->model);
    if (r == -ENOMEM)
        return r;
    const char *word = json_text_get(json_member_get(root, "status"));
    if (word) {
        task->status = status_parse(word);
        api_text_copy(task->status_word, sizeof(task->status_word), word);
    }
    take_numbers(root, task);
    take_error(root, task);
    return 0;
}

int api_task_decode(const char *body, size_t len, struct api_task *task)
{
    struct json_document *document = NULL;
    struct api_task decoded;
    int r = json_parse(body, len, &api_json_limits, &document, NULL);
    if (r < 0)
        return r;
    api_task_init(&decoded);
    r = task_from_json(json_document_root(document), &decoded);
    json_document_free(document);
    if (r < 0) {
        api_task_fini(&decoded);
        return r;
    }
    api_task_fini(task);
    *task = decoded;
    return 0;
}
