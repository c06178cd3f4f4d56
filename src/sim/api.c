#include "sim/sim.h"
#include "sim/validate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double task_seconds(void *context, const char *task_id, bool is_cover)
{
    struct sim *sim = context;
    pthread_mutex_lock(&sim->lock);
    const struct task *task = task_find(&sim->tasks, task_id);
    pthread_mutex_unlock(&sim->lock);
    return task == NULL || (is_cover && !task->has_cover) ? -1 : task->duration_s;
}

void api_parse(struct request *q)
{
    const struct input_source source = {.is_strict = q->sim->options.strict_inputs,
                                        .context = q->sim,
                                        .task_seconds = task_seconds};
    if (q->kind != KIND_CREATE || !q->is_authorized)
        return;
    if (q->is_too_long)
        response_default_api_error(&q->response, 413);
    else
        q->is_parsed = create_request_parse(&q->body, &source, &q->create_request, &q->inputs,
                                            &q->response) == 0;
}

void api_create(struct request *q)
{
    if (!q->is_parsed || (q->change != NULL && !q->change->accept))
        return;
    int r = task_create(&q->sim->tasks, &q->create_request, &q->created);
    if (r == 0) {
        q->task = q->created;
        return;
    }
    if (r != -ERANGE)
        sim_die("cannot write the data file", -r);
    if (q->create_request.video_bytes > 0)
        response_api_error(
            &q->response, 400, "InvalidParameter",
            "The parameter `prompt` specified in the request is not valid: the video "
            "cannot be that small.",
            "prompt");
    else
        response_api_error(&q->response, 429, "QuotaExceeded", "There are too many tasks.", NULL);
}

static cJSON *task_to_json(const struct request *q, const char *status)
{
    const struct task *task = q->task;
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "id", task->id);
    cJSON_AddStringToObject(root, "object", "video.generation.task");
    cJSON_AddStringToObject(root, "model", task->model);
    cJSON_AddStringToObject(root, "status", status);
    cJSON_AddNumberToObject(root, "created", (double)(task->created_ms / 1000));
    return root;
}

static void add_result(const struct request *q, cJSON *root)
{
    char *video = request_media_url(q, "mp4");
    char *cover = request_media_url(q, "jpg");
    cJSON *data = cJSON_AddArrayToObject(root, "data");
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddItemToArray(data, entry);
    cJSON_AddStringToObject(entry, "video_url", video);
    if (q->task->has_cover)
        cJSON_AddStringToObject(entry, "cover_image_url", cover);
    cJSON *usage = cJSON_AddObjectToObject(root, "usage");
    cJSON_AddNumberToObject(usage, "video_duration", q->task->duration_s);
    free(cover);
    free(video);
}

static void response_task(struct request *q, const char *status)
{
    cJSON *root = task_to_json(q, status);
    if (strcmp(status, "succeeded") == 0) {
        add_result(q, root);
    } else if (strcmp(status, "failed") == 0) {
        char *message = mem_format("The request failed because the output video may contain "
                                   "sensitive information. Request id: 0217%016llx",
                                   (unsigned long long)mix64(q->task->number));
        cJSON *error = cJSON_AddObjectToObject(root, "error");
        cJSON_AddStringToObject(error, "code", "OutputVideoSensitiveContentDetected");
        cJSON_AddStringToObject(error, "message", message);
        free(message);
    }
    char *json = cJSON_PrintUnformatted(root);
    response_json(&q->response, 200, json);
    free(json);
    cJSON_Delete(root);
}

void api_response(struct request *q)
{
    if (!q->is_authorized) {
        response_default_api_error(&q->response, 401);
    } else if (q->kind == KIND_POLL && q->task != NULL) {
        response_task(q, task_status(q->task, clock_now_ms()));
    } else if (q->kind != KIND_CREATE) {
        bool is_known = strncmp(q->path, API_GENERATIONS, sizeof(API_GENERATIONS) - 1) == 0;
        response_default_api_error(&q->response, is_known && q->kind != KIND_POLL ? 405 : 404);
    } else if (q->created != NULL) {
        response_task(q, "queued");
    } else if (q->response.status == 0) { /* a valid request, but a rule says not to accept it */
        response_default_api_error(&q->response, 500);
    }
}

static void set_data_url(cJSON *root, const char *name, const char *url)
{
    cJSON *data = cJSON_GetObjectItemCaseSensitive(root, "data");
    if (data == NULL)
        data = cJSON_AddArrayToObject(root, "data");
    cJSON *entry = cJSON_GetArrayItem(data, 0);
    if (entry == NULL) {
        entry = cJSON_CreateObject();
        cJSON_AddItemToArray(data, entry);
    }
    cJSON_DeleteItemFromObjectCaseSensitive(entry, name);
    cJSON_AddStringToObject(entry, name, url);
}

static void replace_member(cJSON *root, const cJSON *value)
{
    if (cJSON_IsNull(value))
        cJSON_DeleteItemFromObjectCaseSensitive(root, value->string);
    else if (cJSON_HasObjectItem(root, value->string))
        cJSON_ReplaceItemInObjectCaseSensitive(root, value->string, cJSON_Duplicate(value, true));
    else
        cJSON_AddItemToObject(root, value->string, cJSON_Duplicate(value, true));
}

void api_change_json(struct request *q)
{
    const struct change *change = q->change;
    if (change->task == NULL && change->video_url == NULL && change->cover_image_url == NULL)
        return;
    cJSON *root = q->response.body.kind == BODY_TEXT ? cJSON_Parse(q->response.body.data) : NULL;
    if (!cJSON_IsObject(root)) {
        cJSON_Delete(root);
        return;
    }
    const cJSON *item;
    cJSON_ArrayForEach(item, change->task)
    {
        replace_member(root, item);
    }
    const char *const names[] = {"video_url", "cover_image_url"};
    const char *const urls[] = {change->video_url, change->cover_image_url};
    for (size_t i = 0; i < ARRAY_COUNT(urls); i++) {
        if (urls[i] == NULL)
            continue;
        char *url = request_expand(q, urls[i]);
        set_data_url(root, names[i], url);
        free(url);
    }
    char *json = cJSON_PrintUnformatted(root);
    response_json(&q->response, q->response.status, json);
    free(json);
    cJSON_Delete(root);
}
