/*
 * Parses a rule's "response". One table lists each field, its type and its place. Any other field
 * is an error, because a test with a misspelt fault proves nothing.
 */
#include "sim/scenario.h"

#include "seedancefs/base/base64.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 256 << 20, COUNT_MAX_BITS = 40 };

static bool set_string(struct change *change UNUSED, void *target, const cJSON *item)
{
    char **text = target;
    if (!cJSON_IsString(item))
        return false;
    free(*text);
    *text = mem_strdup(item->valuestring);
    return true;
}

static bool set_bounded(int64_t *target, const cJSON *item, double min)
{
    if (!cJSON_IsNumber(item) || item->valuedouble < min || item->valuedouble > 1e15)
        return false;
    *target = (int64_t)item->valuedouble;
    return true;
}

static bool set_int(struct change *change UNUSED, void *target, const cJSON *item)
{
    return set_bounded(target, item, -1e15);
}

static bool set_count(struct change *change UNUSED, void *target, const cJSON *item)
{
    return set_bounded(target, item, 0);
}

static bool set_bool(struct change *change UNUSED, void *target, const cJSON *item)
{
    *(bool *)target = cJSON_IsTrue(item);
    return cJSON_IsBool(item);
}

static bool set_bytes(struct bytes *target, char *data, size_t len)
{
    free(target->data);
    *target = (struct bytes){data, len, 1};
    return true;
}

static bool set_text(struct change *change UNUSED, void *target, const cJSON *item)
{
    const char *s = cJSON_GetStringValue(item);
    return s != NULL && set_bytes(target, mem_strdup(s), strlen(s));
}

static bool set_base64(struct change *change UNUSED, void *target, const cJSON *item)
{
    const char *s = cJSON_GetStringValue(item);
    size_t size = s != NULL ? strlen(s) : 0;
    char *data = mem_alloc(size + 1);
    int64_t len = size > 0 ? base64_decode(s, size, data, size) : 0;
    if (s != NULL && len >= 0)
        return set_bytes(target, data, (size_t)len);
    free(data);
    return false;
}

static bool set_json(struct change *change UNUSED, void *target, const cJSON *item)
{
    char *data = cJSON_PrintUnformatted(item);
    return data != NULL && set_bytes(target, data, strlen(data));
}

static bool set_file(struct change *change UNUSED, void *target, const cJSON *item)
{
    char *data = NULL;
    size_t len = 0;
    return cJSON_IsString(item) && file_read(item->valuestring, FILE_MAX, &data, &len) == 0 &&
           set_bytes(target, data, len);
}

static bool set_repeat(struct change *change, void *target, const cJSON *item)
{
    struct bytes *bytes = target;
    int64_t count = 0;
    if (!set_bounded(&count, cJSON_GetObjectItemCaseSensitive(item, "count"), 0) ||
        count >> COUNT_MAX_BITS > 0)
        return false;
    if (!set_text(change, bytes, cJSON_GetObjectItemCaseSensitive(item, "text")) ||
        (bytes->len > 0 && (uint64_t)count > INT64_MAX / bytes->len))
        return false;
    bytes->count = (uint64_t)count;
    return true;
}

static bool set_number_or_string(struct change *change, void *target, const cJSON *item)
{
    char **text = target;
    if (!cJSON_IsNumber(item))
        return set_string(change, target, item);
    free(*text);
    *text = mem_format("%.0f", item->valuedouble);
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

static bool set_reset(struct change *change, void *target UNUSED, const cJSON *item)
{
    return set_fault(change, FAULT_RESET, item);
}

static bool set_cut(struct change *change, void *target UNUSED, const cJSON *item)
{
    return set_fault(change, FAULT_CUT, item);
}

static bool set_silence(struct change *change, void *target UNUSED, const cJSON *item)
{
    return set_fault(change, FAULT_SILENCE, item);
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

static bool set_headers(struct change *change, void *target UNUSED, const cJSON *object)
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

static bool set_chunked(struct change *change, void *target UNUSED, const cJSON *item)
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

/* Duplicates what it keeps: the parsed scenario is freed. */
static bool set_task_member(struct change *change, const char *name, const cJSON *value)
{
    if (change->task == NULL)
        change->task = cJSON_CreateObject();
    cJSON_DeleteItemFromObjectCaseSensitive(change->task, name);
    return cJSON_AddItemToObject(change->task, name, cJSON_Duplicate(value, true));
}

static bool set_task(struct change *change, void *target UNUSED, const cJSON *object)
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

static bool set_task_status(struct change *change, void *target UNUSED, const cJSON *item)
{
    return set_task_member(change, "status", item);
}

static bool set_task_id(struct change *change, void *target UNUSED, const cJSON *item)
{
    return set_task_member(change, "id", item);
}

static bool set_conflict(struct change *change, void *target UNUSED, const cJSON *item)
{
    if (cJSON_IsTrue(item))
        change->status = 409;
    return cJSON_IsBool(item);
}

#define AT(member) offsetof(struct change, member)

/* A setter checks the value; `target` is the row's place in the change. */
static const struct {
    const char *name;
    bool (*set)(struct change *change, void *target, const cJSON *item);
    size_t offset;
} fields[] = {
    {"delay_ms", set_count, AT(delay_ms)},
    {"status", set_count, AT(status)},
    {"reason", set_string, AT(reason)},
    {"headers", set_headers, 0},
    {"body", set_text, AT(body)},
    {"body_json", set_json, AT(body)},
    {"body_file", set_file, AT(body)},
    {"body_base64", set_base64, AT(body)},
    {"body_repeat", set_repeat, AT(body)},
    {"rate", set_count, AT(rate)},
    {"header_rate", set_count, AT(header_rate)},
    {"cut_after_bytes", set_count, AT(cut_after_bytes)},
    {"reset_at", set_reset, 0},
    {"cut_at", set_cut, 0},
    {"silence_at", set_silence, 0},
    {"raw", set_text, AT(raw[0])},
    {"raw_base64", set_base64, AT(raw[0])},
    {"raw_repeat", set_repeat, AT(raw[1])},
    {"raw_end", set_text, AT(raw[2])},
    {"content_length", set_number_or_string, AT(content_length)},
    {"chunked", set_chunked, 0},
    {"ignore_range", set_bool, AT(ignore_range)},
    {"shift", set_int, AT(shift)},
    {"short", set_int, AT(shorter)},
    {"content_range", set_string, AT(content_range)},
    {"no_content_range", set_bool, AT(no_content_range)},
    {"etag", set_string, AT(etag)},
    {"size_delta", set_int, AT(size_delta)},
    {"flip_byte", set_count, AT(flip_byte_at)},
    {"task", set_task, 0},
    {"task_status", set_task_status, 0},
    {"id", set_task_id, 0},
    {"video_url", set_string, AT(video_url)},
    {"cover_image_url", set_string, AT(cover_image_url)},
    {"gzip", set_bool, AT(gzip)},
    {"lost", set_bool, AT(lost)},
    {"ignore_condition", set_bool, AT(ignore_condition)},
    {"versioned", set_bool, AT(ignore_condition)},
    {"conflict", set_conflict, 0},
};

/* A task is created if the response, or its beginning, says so; otherwise with accept:true. */
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
        if (strcmp(item->string, "accept") == 0 || strcmp(item->string, "keep") == 0) {
            accept = item;
            continue;
        }
        size_t i = 0;
        while (i < ARRAY_COUNT(fields) && strcmp(fields[i].name, item->string) != 0)
            i++;
        if (i == ARRAY_COUNT(fields))
            return mem_format("unknown field \"%s\" in response", item->string);
        if (!fields[i].set(change, (char *)change + fields[i].offset, item))
            return mem_format("wrong value of \"%s\" in response", item->string);
    }
    if (change->status != 0 && (change->status < 100 || change->status > 999))
        return mem_strdup("status: 100 to 999");
    if (change->cut_after_bytes >= 0 && change->fault == FAULT_NONE) {
        change->fault = FAULT_CUT;
        change->stage = STAGE_BODY;
    }
    if (accept != NULL && !cJSON_IsBool(accept))
        return mem_format("wrong value of \"%s\" in response", accept->string);
    if (change->stage == STAGE_REQUEST && accept != NULL && strcmp(accept->string, "keep") == 0)
        return mem_strdup("at \"request\" there is nothing to keep yet");
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
