#include "sim/log.h"

#include <stdlib.h>
#include <string.h>

static void response_object(struct request *q, cJSON *root)
{
    char *json = cJSON_PrintUnformatted(root);
    response_json(&q->response, 200, json);
    free(json);
    cJSON_Delete(root);
}

static void oracle_tasks(struct request *q)
{
    struct sim *sim = q->sim;
    cJSON *root = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(root, "tasks");
    int64_t now_ms = clock_now_ms();
    pthread_mutex_lock(&sim->lock);
    size_t count = sim->tasks.count;
    for (size_t i = 0; i < count; i++) {
        const struct task *task = sim->tasks.by_number[i];
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddItemToArray(list, entry);
        cJSON_AddNumberToObject(entry, "number", (double)task->number);
        cJSON_AddStringToObject(entry, "id", task->id);
        cJSON_AddStringToObject(entry, "model", task->model);
        cJSON_AddStringToObject(entry, "prompt", task->prompt);
        cJSON_AddStringToObject(entry, "status", task_status(task, now_ms));
        cJSON_AddNumberToObject(entry, "video_bytes", (double)task->video.size);
        cJSON_AddNumberToObject(entry, "polls", (double)task->polls);
        cJSON_AddNumberToObject(entry, "creates", (double)task->same_prompt->count);
    }
    pthread_mutex_unlock(&sim->lock);
    cJSON_AddNumberToObject(root, "creates", (double)count);
    response_object(q, root);
}

static void oracle_counters(struct request *q)
{
    struct sim *sim = q->sim;
    cJSON *root = cJSON_CreateObject();
    pthread_mutex_lock(&sim->lock);
    for (size_t i = 0; i < KIND_COUNT; i++)
        cJSON_AddNumberToObject(root, kind_name((enum kind)(1u << i)), (double)sim->counts[i]);
    cJSON_AddNumberToObject(root, "created", (double)sim->tasks.count);
    cJSON *rules = cJSON_AddArrayToObject(root, "rules");
    for (size_t i = 0; i < sim->scenario->rule_count; i++) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddNumberToObject(entry, "seen", (double)sim->scenario->rules[i].seen);
        cJSON_AddNumberToObject(entry, "fired", (double)sim->scenario->rules[i].fired);
        cJSON_AddItemToArray(rules, entry);
    }
    pthread_mutex_unlock(&sim->lock);
    response_object(q, root);
}

static void oracle_scenario(struct request *q)
{
    char *problem = sim_set_scenario(q->sim, q->body.data != NULL ? q->body.data : "");
    if (problem != NULL)
        response_api_error(&q->response, 400, "InvalidScenario", problem, NULL);
    else
        response_json(&q->response, 200, "{}");
    free(problem);
}

static void oracle_video(struct request *q, const char *id)
{
    pthread_mutex_lock(&q->sim->lock);
    struct task *task = task_find(&q->sim->tasks, id);
    pthread_mutex_unlock(&q->sim->lock);
    if (task == NULL) {
        response_default_api_error(&q->response, 404);
        return;
    }
    response_set_body(&q->response, "", 0, 1);
    response_set_header(&q->response, "Content-Type", "video/mp4");
    q->response.status = 200;
    q->response.body.kind = BODY_VIDEO;
    q->response.body.video = task->video;
    q->response.body.size = task->video.size;
}

static void oracle_objects(struct request *q)
{
    struct sim *sim = q->sim;
    cJSON *list = cJSON_CreateArray();
    pthread_mutex_lock(&sim->lock);
    for (size_t i = 0; i < sim->objects.count; i++) {
        const struct object *object = sim->objects.sorted[i];
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddItemToArray(list, entry);
        cJSON_AddStringToObject(entry, "key", object->key);
        cJSON_AddNumberToObject(entry, "bytes", (double)object->len);
        cJSON_AddStringToObject(entry, "md5", object->md5_hex);
        cJSON_AddNumberToObject(entry, "puts", (double)object->puts);
        cJSON_AddStringToObject(entry, "content_type", object->content_type);
    }
    pthread_mutex_unlock(&sim->lock);
    response_object(q, list);
}

static void oracle_object(struct request *q, const char *key)
{
    pthread_mutex_lock(&q->sim->lock);
    const struct object *object = object_find(&q->sim->objects, key);
    if (object != NULL)
        response_set_body(&q->response, object->data, object->len, 1);
    pthread_mutex_unlock(&q->sim->lock);
    if (object == NULL) {
        response_default_api_error(&q->response, 404);
        return;
    }
    response_set_header(&q->response, "Content-Type", "application/octet-stream");
    q->response.status = 200;
}

/* Behind the client's back. key NULL: all objects. */
static void oracle_forget(struct request *q, const char *key)
{
    bool is_known = true;
    pthread_mutex_lock(&q->sim->lock);
    if (key == NULL)
        object_remove_all(&q->sim->objects);
    else
        is_known = object_remove(&q->sim->objects, key);
    pthread_mutex_unlock(&q->sim->lock);
    if (is_known)
        response_json(&q->response, 200, "{}");
    else
        response_default_api_error(&q->response, 404);
}

void oracle_response(struct request *q)
{
    static const char video[] = "/oracle/video/";
    static const char objects[] = "/oracle/objects";
    const char *key = strncmp(q->path, "/oracle/objects/", sizeof(objects)) == 0
                          ? q->path + sizeof(objects)
                          : NULL;
    bool deletes = strcmp(q->method, "DELETE") == 0;
    bool gets = strcmp(q->method, "GET") == 0;
    if (gets && strcmp(q->path, "/oracle/tasks") == 0)
        oracle_tasks(q);
    else if (gets && strcmp(q->path, "/oracle/counters") == 0)
        oracle_counters(q);
    else if (gets && strncmp(q->path, video, sizeof(video) - 1) == 0)
        oracle_video(q, q->path + sizeof(video) - 1);
    else if (gets && strcmp(q->path, objects) == 0)
        oracle_objects(q);
    else if (gets && key != NULL)
        oracle_object(q, key);
    else if (deletes && (key != NULL || strcmp(q->path, objects) == 0))
        oracle_forget(q, key);
    else if (strcmp(q->method, "PUT") == 0 && strcmp(q->path, "/oracle/scenario") == 0)
        oracle_scenario(q);
    else
        response_default_api_error(&q->response, 404);
}
