/*
 * Reads a rule's "response". One table names every field, its type and where it goes; what is not
 * in the table is an error, because a test with a misspelt fault proves nothing.
 */
#include "sim/scenario.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 256 << 20, COUNT_MAX_BITS = 40 };

enum field_type {
    FIELD_INT,
    FIELD_COUNT, /* an int that is not negative */
    FIELD_BOOL,
    FIELD_STRING,
    FIELD_NUMBER_OR_STRING, /* kept as a string */
    FIELD_HEADERS,
    FIELD_TEXT,   /* struct bytes from a string */
    FIELD_BASE64, /* struct bytes */
    FIELD_JSON,
    FIELD_FILE,
    FIELD_REPEAT, /* struct bytes from {"text","count"} */
    FIELD_RESET,
    FIELD_CUT,
    FIELD_SILENCE,
    FIELD_CHUNKED,
    FIELD_TASK,        /* an object that is merged into the task */
    FIELD_TASK_MEMBER, /* one string of it */
};

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    const char *member;
};

#define AT(member) offsetof(struct change, member)

static const struct field fields[] = {
    {"delay_ms", FIELD_COUNT, AT(delay_ms), NULL},
    {"status", FIELD_COUNT, AT(status), NULL},
    {"reason", FIELD_STRING, AT(reason), NULL},
    {"headers", FIELD_HEADERS, 0, NULL},
    {"body", FIELD_TEXT, AT(body), NULL},
    {"body_json", FIELD_JSON, AT(body), NULL},
    {"body_file", FIELD_FILE, AT(body), NULL},
    {"body_base64", FIELD_BASE64, AT(body), NULL},
    {"body_repeat", FIELD_REPEAT, AT(body), NULL},
    {"rate", FIELD_COUNT, AT(rate), NULL},
    {"header_rate", FIELD_COUNT, AT(header_rate), NULL},
    {"cut_after_bytes", FIELD_COUNT, AT(cut_after_bytes), NULL},
    {"reset_at", FIELD_RESET, 0, NULL},
    {"cut_at", FIELD_CUT, 0, NULL},
    {"silence_at", FIELD_SILENCE, 0, NULL},
    {"raw", FIELD_TEXT, AT(raw[0]), NULL},
    {"raw_base64", FIELD_BASE64, AT(raw[0]), NULL},
    {"raw_repeat", FIELD_REPEAT, AT(raw[1]), NULL},
    {"raw_end", FIELD_TEXT, AT(raw[2]), NULL},
    {"content_length", FIELD_NUMBER_OR_STRING, AT(content_length), NULL},
    {"chunked", FIELD_CHUNKED, 0, NULL},
    {"ignore_range", FIELD_BOOL, AT(ignore_range), NULL},
    {"shift", FIELD_INT, AT(shift), NULL},
    {"short", FIELD_INT, AT(shorter), NULL},
    {"content_range", FIELD_STRING, AT(content_range), NULL},
    {"no_content_range", FIELD_BOOL, AT(no_content_range), NULL},
    {"etag", FIELD_STRING, AT(etag), NULL},
    {"size_delta", FIELD_INT, AT(size_delta), NULL},
    {"flip_byte", FIELD_COUNT, AT(flip_byte_at), NULL},
    {"task", FIELD_TASK, 0, NULL},
    {"task_status", FIELD_TASK_MEMBER, 0, "status"},
    {"id", FIELD_TASK_MEMBER, 0, "id"},
    {"video_url", FIELD_STRING, AT(video_url), NULL},
    {"cover_image_url", FIELD_STRING, AT(cover_image_url), NULL},
    {"gzip", FIELD_BOOL, AT(gzip), NULL},
};

static bool set_string(char **target, const cJSON *item)
{
    if (!cJSON_IsString(item))
        return false;
    free(*target);
    *target = mem_strdup(item->valuestring);
    return true;
}

static bool set_int(int64_t *target, const cJSON *item, double least)
{
    if (!cJSON_IsNumber(item) || item->valuedouble < least || item->valuedouble > 1e15)
        return false;
    *target = (int64_t)item->valuedouble;
    return true;
}

static bool set_bytes(struct bytes *target, char *data, size_t len, uint64_t count)
{
    if (data == NULL)
        return false;
    free(target->data);
    *target = (struct bytes){data, len, count};
    return true;
}

static bool set_text(struct bytes *target, const cJSON *item)
{
    const char *s = cJSON_GetStringValue(item);
    return s != NULL && set_bytes(target, mem_strdup(s), strlen(s), 1);
}

static bool set_base64(struct bytes *target, const cJSON *item)
{
    const char *s = cJSON_GetStringValue(item);
    size_t len = 0;
    char *data = s != NULL ? base64_decode(s, &len) : NULL;
    return set_bytes(target, data, len, 1);
}

static bool set_json(struct bytes *target, const cJSON *item)
{
    char *data = cJSON_PrintUnformatted(item);
    return data != NULL && set_bytes(target, data, strlen(data), 1);
}

static bool set_file(struct bytes *target, const cJSON *item)
{
    char *data = NULL;
    size_t len = 0;
    if (!cJSON_IsString(item) || file_read(item->valuestring, FILE_MAX, &data, &len) < 0)
        return false;
    return set_bytes(target, data, len, 1);
}

static bool set_repeat(struct bytes *target, const cJSON *item)
{
    int64_t count = 0;
    if (!set_int(&count, cJSON_GetObjectItemCaseSensitive(item, "count"), 0) ||
        count >> COUNT_MAX_BITS > 0)
        return false;
    if (!set_text(target, cJSON_GetObjectItemCaseSensitive(item, "text")) ||
        (target->len > 0 && (uint64_t)count > INT64_MAX / target->len))
        return false;
    target->count = (uint64_t)count;
    return true;
}

static bool set_number_or_string(char **target, const cJSON *item)
{
    if (!cJSON_IsNumber(item))
        return set_string(target, item);
    free(*target);
    *target = mem_format("%.0f", item->valuedouble);
    return true;
}

static bool set_fault(struct change *change, enum fault fault, const cJSON *item)
{
    static const struct {
        const char *name;
        enum stage stage;
    } stages[] = {
        {"connect", STAGE_CONNECT},
        {"request", STAGE_REQUEST},
        {"request_body", STAGE_REQUEST_BODY},
        {"headers", STAGE_HEADERS},
        {"body", STAGE_BODY},
    };
    const char *name = cJSON_GetStringValue(item);
    for (size_t i = 0; name != NULL && i < ARRAY_COUNT(stages); i++) {
        if (strcmp(stages[i].name, name) == 0) {
            change->stage = stages[i].stage;
            change->fault = fault;
            return true;
        }
    }
    return false;
}

static void add_header(struct change *change, const char *name, const char *value, bool further)
{
    size_t n = change->header_count;
    struct header_change *grown = mem_alloc((n + 1) * sizeof(*grown));
    if (n > 0)
        memcpy(grown, change->headers, n * sizeof(*grown));
    grown[n] = (struct header_change){mem_strdup(name), mem_strdup(value), further};
    free(change->headers);
    change->headers = grown;
    change->header_count = n + 1;
}

static bool set_headers(struct change *change, const cJSON *object)
{
    if (!cJSON_IsObject(object))
        return false;
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        if (cJSON_IsString(item) || cJSON_IsNull(item)) {
            add_header(change, item->string, cJSON_GetStringValue(item), false);
            continue;
        }
        if (!cJSON_IsArray(item))
            return false;
        bool further = false;
        const cJSON *value;
        cJSON_ArrayForEach(value, item)
        {
            if (!cJSON_IsString(value))
                return false;
            add_header(change, item->string, value->valuestring, further);
            further = true;
        }
    }
    return true;
}

static bool set_chunked(struct change *change, const cJSON *item)
{
    const char *name = cJSON_GetStringValue(item);
    if (name != NULL && strcmp(name, "bad") == 0)
        change->chunked = CHUNKED_BAD;
    else if (cJSON_IsBool(item))
        change->chunked = cJSON_IsTrue(item) ? CHUNKED_GOOD : CHUNKED_NO;
    else
        return false;
    return true;
}

/* Duplicates what is handed in: the parsed scenario is thrown away. */
static bool set_task_member(struct change *change, const char *name, const cJSON *value)
{
    if (change->task == NULL)
        change->task = cJSON_CreateObject();
    cJSON_DeleteItemFromObjectCaseSensitive(change->task, name);
    return cJSON_AddItemToObject(change->task, name, cJSON_Duplicate(value, true));
}

static bool set_task(struct change *change, const cJSON *object)
{
    if (!cJSON_IsObject(object))
        return false;
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        if (!set_task_member(change, item->string, item))
            return false;
    }
    return true;
}

static bool field_set(const struct field *field, struct change *change, const cJSON *item)
{
    void *target = (char *)change + field->offset;
    switch (field->type) {
    case FIELD_INT:
        return set_int(target, item, -1e15);
    case FIELD_COUNT:
        return set_int(target, item, 0);
    case FIELD_BOOL:
        *(bool *)target = cJSON_IsTrue(item);
        return cJSON_IsBool(item);
    case FIELD_STRING:
        return set_string(target, item);
    case FIELD_NUMBER_OR_STRING:
        return set_number_or_string(target, item);
    case FIELD_HEADERS:
        return set_headers(change, item);
    case FIELD_TEXT:
        return set_text(target, item);
    case FIELD_BASE64:
        return set_base64(target, item);
    case FIELD_JSON:
        return set_json(target, item);
    case FIELD_FILE:
        return set_file(target, item);
    case FIELD_REPEAT:
        return set_repeat(target, item);
    case FIELD_RESET:
        return set_fault(change, FAULT_RESET, item);
    case FIELD_CUT:
        return set_fault(change, FAULT_CUT, item);
    case FIELD_SILENCE:
        return set_fault(change, FAULT_SILENCE, item);
    case FIELD_CHUNKED:
        return set_chunked(change, item);
    case FIELD_TASK:
        return set_task(change, item);
    case FIELD_TASK_MEMBER:
        return set_task_member(change, field->member, item);
    }
    return false;
}

/* A task is made when the response says so, or begins to; everything else needs accept:true. */
static bool accepts_by_default(const struct change *change)
{
    bool starts_response = change->fault == FAULT_NONE || change->stage >= STAGE_HEADERS;
    bool says_yes = change->status == 0 || (change->status >= 200 && change->status < 300);
    return starts_response && says_yes && change->raw[0].data == NULL &&
           change->raw[1].data == NULL;
}

char *change_parse(const cJSON *response, struct change *change)
{
    if (!cJSON_IsObject(response))
        return mem_strdup("response: an object is needed");
    const cJSON *accept = NULL;
    const cJSON *item;
    cJSON_ArrayForEach(item, response)
    {
        if (strcmp(item->string, "accept") == 0) {
            accept = item;
            continue;
        }
        size_t i = 0;
        while (i < ARRAY_COUNT(fields) && strcmp(fields[i].name, item->string) != 0)
            i++;
        if (i == ARRAY_COUNT(fields))
            return mem_format("unknown field \"%s\" in response", item->string);
        if (!field_set(&fields[i], change, item))
            return mem_format("wrong value of \"%s\" in response", item->string);
    }
    if (change->status != 0 && (change->status < 100 || change->status > 999))
        return mem_strdup("status: 100 to 999");
    if (change->cut_after_bytes >= 0 && change->fault == FAULT_NONE) {
        change->fault = FAULT_CUT;
        change->stage = STAGE_BODY;
    }
    change->accept = accept != NULL ? cJSON_IsTrue(accept) : accepts_by_default(change);
    return NULL;
}

void change_fini(struct change *change)
{
    for (size_t i = 0; i < change->header_count; i++) {
        free(change->headers[i].name);
        free(change->headers[i].value);
    }
    free(change->headers);
    free(change->reason);
    free(change->body.data);
    for (size_t i = 0; i < ARRAY_COUNT(change->raw); i++)
        free(change->raw[i].data);
    free(change->content_length);
    free(change->content_range);
    free(change->etag);
    cJSON_Delete(change->task);
    free(change->video_url);
    free(change->cover_image_url);
}
