#include "sim/log.h"

#include <stdlib.h>
#include <string.h>

static const char *const kind_names[KIND_COUNT] = {"create", "poll",  "video",
                                                   "cover",  "other", "connection"};

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

static void log_write(const struct sim *sim, struct text *line)
{
    int r = file_append(sim->log_fd, line->data, line->len);
    if (r < 0)
        sim_die("cannot write the log", -r);
    text_fini(line);
}

/* The URI, but for the value of the signature. */
static void log_uri(struct text *line, const char *uri)
{
    static const char secret[] = "X-Tos-Signature=";
    const char *at = strstr(uri, secret);
    struct text clean = {0};
    size_t head = at != NULL ? (size_t)(at - uri) + sizeof(secret) - 1 : strlen(uri);
    text_append(&clean, uri, head);
    if (at != NULL)
        text_add(&clean, uri + head + strcspn(uri + head, "&"));
    if (utf8_is_valid(clean.data, clean.len))
        text_add_json(line, clean.data, clean.len);
    else
        text_add(line, "null");
    text_fini(&clean);
}

static void log_body(struct text *line, const struct request *q)
{
    bool is_known = q->kind == KIND_CREATE && q->body.data != NULL;
    if (is_known && !utf8_is_valid(q->body.data, q->body.len)) {
        char *base64 = base64_encode(q->body.data, q->body.len);
        text_format(line, "null,\"body_base64\":\"%s\"", base64);
        free(base64);
    } else if (is_known) {
        text_add_json(line, q->body.data, q->body.len);
    } else {
        text_add(line, "null");
    }
}

static const char *json_bool(bool b)
{
    return b ? "true" : "false";
}

/* Header fields from outside need not be UTF-8. */
static void log_outside_text(struct text *line, const char *s)
{
    text_add_json_or_null(line, s != NULL && utf8_is_valid(s, strlen(s)) ? s : NULL);
}

void log_request(struct request *q)
{
    struct sim *sim = q->sim;
    q->is_logged = true;
    q->sequence = ++sim->sequence;
    if (sim->log_fd < 0)
        return;
    struct text line = {0};
    text_format(&line, "{\"time_ms\":%lld,\"seq\":%llu,\"kind\":\"%s\",\"method\":",
                (long long)clock_now_ms(), (unsigned long long)q->sequence, kind_name(q->kind));
    log_outside_text(&line, q->method);
    text_add(&line, ",\"path\":");
    log_uri(&line, q->uri);
    text_add(&line, ",\"task\":");
    log_outside_text(&line, q->task_id);
    text_add(&line, ",\"range\":");
    log_outside_text(&line, q->range);
    text_format(&line, ",\"authorization\":%s,\"authorized\":%s,\"connection\":%llu,\"body\":",
                json_bool(q->has_authorization), json_bool(q->is_authorized),
                (unsigned long long)q->connection_number);
    log_body(&line, q);
    text_add(&line, ",\"created\":");
    text_add_json_or_null(&line, q->created != NULL ? q->created->id : NULL);
    if (q->rule != NULL)
        text_format(&line, ",\"rule\":%zu", (size_t)(q->rule - q->scenario->rules));
    else
        text_add(&line, ",\"rule\":null");
    if (q->is_aborted)
        text_add(&line, ",\"aborted\":true");
    if (q->headers_json != NULL)
        text_format(&line, ",\"headers\":%s", q->headers_json);
    text_add(&line, "}\n");
    log_write(sim, &line);
}

void log_sent(struct request *q)
{
    if (q->sim->log_fd < 0)
        return;
    struct text line = {0};
    text_format(&line, "{\"kind\":\"sent\",\"seq\":%llu,\"status\":%d,\"bytes\":%llu}\n",
                (unsigned long long)q->sequence, q->answer.status, (unsigned long long)q->sent);
    log_write(q->sim, &line);
}

void log_connection(struct sim *sim, enum port_kind port, uint64_t number, size_t rule)
{
    uint64_t sequence = ++sim->sequence;
    if (sim->log_fd < 0)
        return;
    struct text line = {0};
    text_format(&line,
                "{\"time_ms\":%lld,\"seq\":%llu,\"kind\":\"connection\",\"port\":\"%s\","
                "\"connection\":%llu,\"rule\":%zu}\n",
                (long long)clock_now_ms(), (unsigned long long)sequence,
                port == PORT_API ? "api" : "media", (unsigned long long)number, rule);
    log_write(sim, &line);
}
