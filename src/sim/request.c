#include "sim/log.h"
#include "sim/s3.h"
#include "sim/validate.h"

#include "seedancefs/base/json.h"
#include "seedancefs/base/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct request *request_new(struct sim *sim, enum port_kind port, const char *uri)
{
    struct request *q = mem_alloc(sizeof(*q));
    q->sim = sim;
    q->port = port;
    q->uri = mem_strdup(uri);
    q->body = SIM_BUF;
    return q;
}

void request_free(struct request *q)
{
    if (q == NULL)
        return;
    pthread_mutex_lock(&q->sim->lock);
    if (q->is_begun && !q->is_oracle && !q->is_logged) {
        q->is_aborted = true;
        log_request(q);
    } else if (q->is_logged && q->port == PORT_MEDIA) {
        log_sent(q);
    }
    scenario_unref(q->scenario);
    s3_call_free(q->s3);
    pthread_mutex_unlock(&q->sim->lock);
    create_request_fini(&q->create_request);
    inputs_fini(&q->inputs);
    response_fini(&q->response);
    buf_fini(&q->body);
    char *const owned[] = {q->uri,      q->method,  q->path,        q->range,
                           q->if_range, q->task_id, q->headers_json};
    for (size_t i = 0; i < ARRAY_COUNT(owned); i++)
        free(owned[i]);
    free(q);
}

/* Sets kind and task_id. */
static void request_classify(struct request *q)
{
    static const char collection[] = API_GENERATIONS;
    static const char media[] = "/media/";
    const char *path = q->path;
    q->kind = KIND_OTHER;
    if (q->port == PORT_API) {
        q->is_oracle = strncmp(path, "/oracle/", 8) == 0;
        if (!q->is_oracle)
            s3_classify(q);
        if (q->s3 != NULL)
            return;
        if (strncmp(path, collection, sizeof(collection) - 1) != 0)
            return;
        path += sizeof(collection) - 1;
        if (*path == '\0' && strcmp(q->method, "POST") == 0) {
            q->kind = KIND_CREATE;
        } else if (path[0] == '/' && path[1] != '\0' && strchr(path + 1, '/') == NULL &&
                   strcmp(q->method, "GET") == 0) {
            q->kind = KIND_POLL;
            q->task_id = mem_strdup(path + 1);
        }
        return;
    }
    size_t len = strlen(path);
    if (strncmp(path, media, sizeof(media) - 1) != 0 || len < sizeof(media) + 4)
        return;
    if (strcmp(path + len - 4, ".mp4") == 0)
        q->kind = KIND_VIDEO;
    else if (strcmp(path + len - 4, ".jpg") == 0)
        q->kind = KIND_COVER;
    else
        return;
    q->task_id = mem_dup(path + sizeof(media) - 1, len - (sizeof(media) - 1) - 4);
}

static bool is_authorized(const struct request *q, const char *value)
{
    static const char scheme[] = "Bearer ";
    const struct options *options = &q->sim->options;
    if (q->port == PORT_MEDIA || value == NULL || strncmp(value, scheme, sizeof(scheme) - 1) != 0)
        return false;
    value += sizeof(scheme) - 1;
    for (size_t i = 0; i < options->key_count; i++)
        if (strcmp(value, options->keys[i]) == 0)
            return true;
    return options->any_key && *value != '\0';
}

static char *header_dup(const struct request *q, const char *name)
{
    return mem_strdup(MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, name));
}

static enum MHD_Result collect_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    (void)kind;
    if (value == NULL || !text_is_utf8(name, strlen(name)) || !text_is_utf8(value, strlen(value)))
        return MHD_YES;
    json_write_member_string(cls, name,
                             strcasecmp(name, "Authorization") == 0 ? "(removed)" : value);
    return MHD_YES;
}

static void request_read_headers(struct request *q)
{
    const char *authorization =
        MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, "Authorization");
    q->has_authorization = authorization != NULL;
    q->is_authorized = is_authorized(q, authorization);
    q->range = header_dup(q, "Range");
    q->if_range = header_dup(q, "If-Range");
    if (q->s3 != NULL)
        s3_read_headers(q);
    if (!q->sim->options.log_headers)
        return;
    struct buf json = SIM_BUF;
    struct json_writer w;
    json_writer_init(&w, &json, JSON_COMPACT);
    json_write_object_begin(&w);
    (void)MHD_get_connection_values(q->connection, MHD_HEADER_KIND, collect_header, &w);
    json_write_object_end(&w);
    q->headers_json = text_take(&json);
}

/* Needs the lock. Returns true when a rule matches. */
static bool request_match(struct request *q, bool early)
{
    struct sim *sim = q->sim;
    if (q->task_id != NULL)
        q->task = task_find(&sim->tasks, q->task_id);
    struct subject subject = {
        .kind = q->kind,
        .port = q->port,
        .task_id = q->task_id,
        .task_number = q->task != NULL ? q->task->number : 0,
        .prompt = q->task != NULL ? q->task->prompt : NULL,
    };
    if (q->s3 != NULL)
        subject.key = s3_subject(q->s3);
    if (q->kind == KIND_CREATE) {
        subject.task_number = sim->tasks.count + 1;
        subject.prompt = q->is_parsed ? q->create_request.prompt : NULL;
    }
    const struct rule *rule = scenario_match(sim->scenario, &subject, early);
    if (rule == NULL)
        return false;
    q->scenario = scenario_ref(sim->scenario);
    q->rule = rule;
    q->change = &rule->change;
    return true;
}

static void request_count(struct request *q)
{
    q->sim->counts[kind_index(q->kind)]++;
    q->url_nonce = ++q->sim->url_nonce;
    if (q->kind == KIND_POLL && q->task != NULL)
        q->task->polls++;
}

bool request_begin(struct request *q)
{
    q->is_begun = true;
    q->response.is_head = strcmp(q->method, "HEAD") == 0;
    request_classify(q);
    request_read_headers(q);
    if (q->is_oracle)
        return false;
    pthread_mutex_lock(&q->sim->lock);
    bool ends = request_match(q, true);
    if (ends) {
        request_count(q);
        log_request(q);
    }
    pthread_mutex_unlock(&q->sim->lock);
    return ends;
}

static void change_status(struct request *q, int status)
{
    static const char *const of_files[] = {"Content-Range", "Accept-Ranges", "Last-Modified",
                                           "ETag"};
    if (status < 300 || q->change->body.data != NULL) {
        q->response.status = status;
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(of_files); i++)
        response_set_header(&q->response, of_files[i], NULL);
    if (q->s3 != NULL)
        s3_default_error(&q->response, status);
    else if (q->port == PORT_API)
        response_default_api_error(&q->response, status);
    else
        response_media_error(&q->response, status, "ScenarioError", response_reason(status));
}

/* Applies the rule's changes to an otherwise valid response. */
static void request_change(struct request *q)
{
    const struct change *change = q->change;
    if (change->status != 0)
        change_status(q, (int)change->status);
    if (change->body.data != NULL)
        response_set_body(&q->response, change->body.data, change->body.len, change->body.count);
    if (q->port == PORT_API)
        api_change_json(q);
    if (change->gzip)
        response_gzip(&q->response);
    for (size_t i = 0; i < change->header_count; i++) {
        const struct header_change *header = &change->headers[i];
        char *value = header->value != NULL ? request_expand(q, header->value) : NULL;
        if (header->further)
            response_add_header(&q->response, header->name, value);
        else
            response_set_header(&q->response, header->name, value);
        free(value);
    }
}

static void request_respond(struct request *q)
{
    if (q->port == PORT_API)
        api_response(q);
    else
        media_response(q);
}

void request_decide(struct request *q)
{
    if (q->is_oracle) {
        oracle_response(q);
        return;
    }
    api_parse(q);
    if (q->s3 != NULL)
        s3_prepare(q);
    pthread_mutex_lock(&q->sim->lock);
    (void)request_match(q, false);
    request_count(q);
    api_create(q);
    if (q->s3 != NULL)
        s3_perform(q);
    log_request(q);
    pthread_mutex_unlock(&q->sim->lock);
    if (q->s3 == NULL)
        request_respond(q);
    if (q->change != NULL)
        request_change(q);
}
