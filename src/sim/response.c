#include "sim/response.h"

#include "seedancefs/base/json.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { GZIP_MAX = 256 << 20, STORED_BLOCK_MAX = 65535 };

void response_fini(struct response *a)
{
    for (size_t i = 0; i < a->header_count; i++) {
        free(a->headers[i].name);
        free(a->headers[i].value);
    }
    free(a->body.data);
    *a = (struct response){0};
}

void response_add_header(struct response *a, const char *name, const char *value)
{
    if (a->header_count == RESPONSE_HEADERS_MAX)
        return;
    a->headers[a->header_count++] = (struct header){mem_strdup(name), mem_strdup(value)};
}

void response_set_header(struct response *a, const char *name, const char *value)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->header_count; i++) {
        if (strcasecmp(a->headers[i].name, name) != 0) {
            a->headers[kept++] = a->headers[i];
            continue;
        }
        free(a->headers[i].name);
        free(a->headers[i].value);
    }
    a->header_count = kept;
    if (value != NULL)
        response_add_header(a, name, value);
}

void response_set_body(struct response *a, const void *data, size_t len, uint64_t count)
{
    char *copy = mem_dup(data, len);
    free(a->body.data);
    a->body = (struct body){
        .kind = BODY_TEXT, .data = copy, .data_len = len, .size = len * count, .flip_at = -1};
}

void response_lend_body(struct response *a, const void *data, size_t len)
{
    free(a->body.data);
    a->body = (struct body){.kind = BODY_LENT, .lent = data, .size = len, .flip_at = -1};
}

void response_json(struct response *a, int status, const char *json)
{
    a->status = status;
    response_set_header(a, "Content-Type", "application/json");
    response_set_body(a, json, strlen(json), 1);
}

/* The API puts this id only at the end of the message. */
char *response_request_id(void)
{
    static atomic_uint counter;
    return mem_format("0217%010lld%06x", (long long)(clock_now_ms() / 1000),
                      atomic_fetch_add(&counter, 1) & 0xffffffu);
}

void response_api_error(struct response *a, int status, const char *code, const char *message,
                        const char *param)
{
    char *id = response_request_id();
    char *whole = mem_format("%s Request id: %s", message, id);
    struct buf json = SIM_BUF;
    struct json_writer w;
    json_writer_init(&w, &json, JSON_COMPACT);
    json_write_object_begin(&w);
    json_write_key(&w, "error");
    json_write_object_begin(&w);
    json_write_member_string(&w, "code", code);
    json_write_member_string(&w, "message", whole);
    json_write_member_string(&w, "param", param != NULL ? param : "");
    json_write_member_string(&w, "type", response_reason(status));
    json_write_object_end(&w);
    json_write_object_end(&w);
    response_json(a, status, text_whole(&json));
    buf_fini(&json);
    free(whole);
    free(id);
}

static const struct known_status {
    int status;
    const char *reason;
    const char *code;
    const char *message;
} known_statuses[] = {
    {200, "OK", NULL, NULL},
    {201, "Created", NULL, NULL},
    {202, "Accepted", NULL, NULL},
    {204, "No Content", NULL, NULL},
    {206, "Partial Content", NULL, NULL},
    {301, "Moved Permanently", NULL, NULL},
    {302, "Found", NULL, NULL},
    {303, "See Other", NULL, NULL},
    {304, "Not Modified", NULL, NULL},
    {307, "Temporary Redirect", NULL, NULL},
    {308, "Permanent Redirect", NULL, NULL},
    {400, "Bad Request", "InvalidParameter", "The request is not valid."},
    {401, "Unauthorized", "AuthenticationError", "The API key in the request is not valid."},
    {402, "Payment Required", "InsufficientBalance", "The balance of the account is too low."},
    {403, "Forbidden", "AccountOverdueError", "The account has an overdue balance."},
    {404, "Not Found", "ResourceNotFound", "The specified resource is not found."},
    {405, "Method Not Allowed", "MethodNotAllowed", "The method is not allowed here."},
    {408, "Request Timeout", "RequestTimeout", "The request took too long."},
    {409, "Conflict", "Conflict", "The request conflicts with another."},
    {410, "Gone", "ResourceGone", "The specified resource is gone."},
    {411, "Length Required", NULL, NULL},
    {412, "Precondition Failed", NULL, NULL},
    {413, "Content Too Large", "RequestTooLarge", "The request body is larger than 64 MB."},
    {415, "Unsupported Media Type", "UnsupportedMediaType", "The body must be JSON."},
    {416, "Range Not Satisfiable", "InvalidRange", "The range is not satisfiable."},
    {422, "Unprocessable Content", "InvalidParameter", "The request cannot be processed."},
    {429, "Too Many Requests", "RateLimitExceeded.EndpointRPMExceeded",
     "The requests per minute exceed the limit."},
    {500, "Internal Server Error", "InternalServiceError", "The service failed unexpectedly."},
    {501, "Not Implemented", NULL, NULL},
    {502, "Bad Gateway", "InternalServiceError", "A gateway could not reach the service."},
    {503, "Service Unavailable", "ServerOverloaded", "The service is overloaded."},
    {504, "Gateway Timeout", "InternalServiceError", "The service did not answer in time."},
};

static const struct known_status *status_find(int status)
{
    for (size_t i = 0; i < ARRAY_COUNT(known_statuses); i++)
        if (known_statuses[i].status == status)
            return &known_statuses[i];
    return NULL;
}

const char *response_reason(int status)
{
    const struct known_status *known = status_find(status);
    return known != NULL ? known->reason : "Unknown";
}

void response_default_api_error(struct response *a, int status)
{
    const struct known_status *known = status_find(status);
    if (known == NULL || known->code == NULL)
        response_api_error(a, status, "UnknownError", "Something went wrong.", NULL);
    else
        response_api_error(a, status, known->code, known->message, NULL);
}

static const char *header_value(const struct response *a, const char *name)
{
    for (size_t i = 0; i < a->header_count; i++)
        if (strcasecmp(a->headers[i].name, name) == 0)
            return a->headers[i].value;
    return NULL;
}

void response_media_error(struct response *a, int status, const char *code, const char *message)
{
    const char *known = header_value(a, "x-amz-request-id");
    char *id = known != NULL ? mem_strdup(known) : response_request_id();
    char *xml = mem_format("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                           "<Error><Code>%s</Code><Message>%s</Message>"
                           "<RequestId>%s</RequestId><HostId>simulator</HostId></Error>\n",
                           code, message, id);
    a->status = status;
    response_set_header(a, "Content-Type", "application/xml");
    response_set_body(a, xml, strlen(xml), 1);
    free(xml);
    free(id);
}

void body_read(const struct body *body, uint64_t at, unsigned char *buf, size_t len)
{
    uint64_t from = body->offset + at;
    if (body->kind == BODY_VIDEO) {
        video_read(&body->video, from, buf, len);
    } else if (body->kind == BODY_LENT) {
        memcpy(buf, body->lent + from, len);
    } else {
        for (size_t done = 0; done < len;) {
            size_t in = (size_t)((from + done) % body->data_len);
            size_t n = body->data_len - in < len - done ? body->data_len - in : len - done;
            memcpy(buf + done, body->data + in, n);
            done += n;
        }
    }
    if (body->flip_at >= 0 && (uint64_t)body->flip_at >= from &&
        (uint64_t)body->flip_at - from < len)
        buf[(uint64_t)body->flip_at - from] ^= 1;
}

static uint32_t crc32_of(const unsigned char *data, size_t len)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
    }
    return ~crc;
}

static void append_little_endian(struct buf *t, uint32_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        char c = (char)(v >> (8 * i) & 0xff);
        buf_add(t, &c, 1);
    }
}

void response_gzip(struct response *a)
{
    if (a->body.size > GZIP_MAX)
        return;
    size_t len = (size_t)a->body.size;
    unsigned char *plain = mem_alloc(len);
    body_read(&a->body, 0, plain, len);
    struct buf t = SIM_BUF;
    buf_add(&t, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
    size_t at = 0;
    do {
        size_t n = len - at < STORED_BLOCK_MAX ? len - at : STORED_BLOCK_MAX;
        append_little_endian(&t, at + n == len, 1);
        append_little_endian(&t, (uint32_t)n, 2);
        append_little_endian(&t, ~(uint32_t)n & 0xffff, 2);
        buf_add(&t, plain + at, n);
        at += n;
    } while (at < len);
    append_little_endian(&t, crc32_of(plain, len), 4);
    append_little_endian(&t, (uint32_t)len, 4);
    response_set_body(a, text_whole(&t), t.len, 1);
    response_set_header(a, "Content-Encoding", "gzip");
    buf_fini(&t);
    free(plain);
}
