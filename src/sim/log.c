#include "sim/log.h"
#include "sim/s3.h"

#include "seedancefs/base/base64.h"
#include "seedancefs/base/json.h"
#include "seedancefs/base/text.h"

#include <stdlib.h>
#include <string.h>

static const char *const kind_names[KIND_COUNT] = {
    "create",     "poll",       "video",      "cover",         "other",
    "connection", "object_put", "object_get", "object_delete", "object_list"};

size_t kind_index(enum kind kind)
{
    size_t i = 0;
    while (i + 1 < KIND_COUNT && (1u << i) != (unsigned)kind)
        i++;
    return i;
}

const char *kind_name(enum kind kind)
{
    return kind_names[kind_index(kind)];
}

static void log_begin(struct json_writer *w, struct buf *line)
{
    *line = SIM_BUF;
    json_writer_init(w, line, JSON_COMPACT);
    json_write_object_begin(w);
}

static void log_end(const struct sim *sim, struct json_writer *w)
{
    json_write_object_end(w);
    (void)buf_add_char(w->out, '\n');
    int r = file_append(sim->log_fd, text_whole(w->out), w->out->len);
    if (r < 0)
        sim_die("cannot write the log", -r);
    buf_fini(w->out);
}

/* Header fields and paths from clients may not be UTF-8. */
static void log_outside_text(struct json_writer *w, const char *key, const char *text)
{
    json_write_member_string(w, key, text && text_is_utf8(text, strlen(text)) ? text : NULL);
}

/* Logs the URI without the value of the signature. */
static void log_uri(struct json_writer *w, const char *uri)
{
    const char *name = strstr(uri, "X-Tos-Signature=");
    if (name == NULL)
        name = strstr(uri, "X-Amz-Signature=");
    const char *at = name != NULL ? strchr(name, '=') : NULL;
    size_t head = at != NULL ? (size_t)(at - uri) + 1 : strlen(uri);
    char *clean = mem_format("%.*s%s", (int)head, uri,
                             at != NULL ? uri + head + strcspn(uri + head, "&") : "");
    log_outside_text(w, "path", clean);
    free(clean);
}

static void log_body(struct json_writer *w, const struct request *q)
{
    const struct buf *body = &q->body;
    bool is_known = q->kind == KIND_CREATE && body->data != NULL;
    bool is_text = is_known && text_is_utf8(body->data, body->len);
    json_write_key(w, "body");
    if (is_text) /* NUL bytes included */
        json_write_text(w, body->data, body->len);
    else
        json_write_null(w);
    if (!is_known || is_text)
        return;
    struct buf base64 = SIM_BUF;
    base64_encode(&base64, body->data, body->len);
    json_write_member_string(w, "body_base64", text_whole(&base64));
    buf_fini(&base64);
}

/* The status that the client gets. */
static void log_status(struct json_writer *w, const struct request *q)
{
    const struct change *change = q->change;
    int64_t status = q->response.status;
    if (change != NULL && change->status != 0)
        status = change->status;
    bool is_raw = change != NULL && (change->raw[0].data != NULL || change->raw[1].data != NULL);
    bool is_begun = change == NULL || change->fault == FAULT_NONE || change->stage >= STAGE_HEADERS;
    json_write_key(w, "status");
    if (is_begun && !is_raw && status != 0)
        json_write_int64(w, status);
    else
        json_write_null(w);
}

static void log_s3(struct json_writer *w, const struct request *q)
{
    const struct s3_call *call = q->s3;
    json_write_member_string(w, "key", *call->key != '\0' ? call->key : NULL);
    log_status(w, q);
    json_write_member_string(w, "signature", s3_verdict_name(call->verdict));
    json_write_member_bool(w, "conditional", call->is_conditional);
    json_write_member_int64(w, "bytes",
                            (int64_t)(q->body.len > 0 ? q->body.len : call->body_bytes));
}

void log_request(struct request *q)
{
    struct sim *sim = q->sim;
    q->is_logged = true;
    q->sequence = ++sim->sequence;
    if (sim->log_fd < 0)
        return;
    struct buf line;
    struct json_writer w;
    log_begin(&w, &line);
    json_write_member_int64(&w, "time_ms", clock_now_ms());
    json_write_member_int64(&w, "seq", (int64_t)q->sequence);
    json_write_member_string(&w, "kind", kind_name(q->kind));
    log_outside_text(&w, "method", q->method);
    log_uri(&w, q->uri);
    log_outside_text(&w, "task", q->task_id);
    log_outside_text(&w, "range", q->range);
    json_write_member_bool(&w, "authorization", q->has_authorization);
    json_write_member_bool(&w, "authorized", q->is_authorized);
    json_write_member_int64(&w, "connection", (int64_t)q->connection_number);
    log_body(&w, q);
    if (q->kind == KIND_CREATE)
        inputs_log(&w, &q->inputs);
    if (q->s3 != NULL)
        log_s3(&w, q);
    json_write_member_string(&w, "created", q->created != NULL ? q->created->id : NULL);
    json_write_key(&w, "rule");
    if (q->rule != NULL)
        json_write_int64(&w, q->rule - q->scenario->rules);
    else
        json_write_null(&w);
    if (q->is_aborted)
        json_write_member_bool(&w, "aborted", true);
    if (q->headers_json != NULL) {
        json_write_key(&w, "headers");
        json_write_raw(&w, q->headers_json);
    }
    log_end(sim, &w);
}

void log_sent(struct request *q)
{
    if (q->sim->log_fd < 0)
        return;
    struct buf line;
    struct json_writer w;
    log_begin(&w, &line);
    json_write_member_string(&w, "kind", "sent");
    json_write_member_int64(&w, "seq", (int64_t)q->sequence);
    json_write_member_int64(&w, "status", q->response.status);
    json_write_member_int64(&w, "bytes", (int64_t)q->sent);
    log_end(q->sim, &w);
}

void log_connection(struct sim *sim, enum port_kind port, uint64_t number, size_t rule)
{
    uint64_t sequence = ++sim->sequence;
    if (sim->log_fd < 0)
        return;
    struct buf line;
    struct json_writer w;
    log_begin(&w, &line);
    json_write_member_int64(&w, "time_ms", clock_now_ms());
    json_write_member_int64(&w, "seq", (int64_t)sequence);
    json_write_member_string(&w, "kind", "connection");
    json_write_member_string(&w, "port", port == PORT_API ? "api" : "media");
    json_write_member_int64(&w, "connection", (int64_t)number);
    json_write_member_int64(&w, "rule", (int64_t)rule);
    log_end(sim, &w);
}
