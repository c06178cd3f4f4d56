#include "json_internal.h"

#include "seedancefs/base/err.h"
#include "seedancefs/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct json_limits json_limits_default = {
    .max_bytes = 1024 * 1024,
    .max_depth = 32,
    .max_nodes = 4096,
};

const char *json_library_version(void)
{
    return cJSON_Version();
}

struct json_document *json_document_free(struct json_document *document)
{
    if (document) {
        cJSON_Delete(document->tree);
        free(document->nodes);
        free(document->text);
        free(document);
    }
    return NULL;
}

static int limit_error(const struct json_limits *limits, struct json_error *error)
{
    *error = (struct json_error){.line = 1, .column = 1};
    (void)snprintf(error->sentence, sizeof(error->sentence),
                   "the text is longer than the limit of %zu bytes", limits->max_bytes);
    return -ERR_JSON_LIMIT;
}

static int document_fill(struct json_document *document, const char *text, size_t len,
                         const struct json_limits *limits, struct json_error *error)
{
    document->text = malloc(2 * (len + 1));
    if (!document->text)
        return -ENOMEM;
    document->strings = document->text + len + 1;
    if (len)
        memcpy(document->text, text, len);
    document->text[len] = '\0';
    int r = json_scan(document, len, limits, error);
    /* An incomplete text of the maximum length cannot become valid. */
    return r == -ERR_JSON_INCOMPLETE && len == limits->max_bytes ? limit_error(limits, error) : r;
}

int json_parse(const char *text, size_t len, const struct json_limits *limits,
               struct json_document **document, struct json_error *error)
{
    struct json_error unwanted;
    if (!error)
        error = &unwanted;
    if (!limits)
        limits = &json_limits_default;
    if (len > limits->max_bytes)
        return limit_error(limits, error);

    struct json_document *made = calloc(1, sizeof(*made));
    if (!made)
        return -ENOMEM;
    int r = document_fill(made, text, len, limits, error);
    if (r < 0) {
        json_document_free(made);
        return r;
    }
    *document = made;
    return 0;
}

const struct json *json_document_root(const struct json_document *document)
{
    return document->nodes;
}

enum json_type json_type_get(const struct json *node)
{
    if (!node)
        return JSON_NULL;
    switch (node->item->type & 0xff) {
    case cJSON_True:
    case cJSON_False:
        return JSON_BOOL;
    case cJSON_Number:
        return JSON_NUMBER;
    case cJSON_String:
        return JSON_STRING;
    case cJSON_Array:
        return JSON_ARRAY;
    case cJSON_Object:
        return JSON_OBJECT;
    default:
        return JSON_NULL;
    }
}

const char *json_type_name(enum json_type type)
{
    static const char *const names[] = {
        [JSON_NULL] = "null",       [JSON_BOOL] = "a boolean", [JSON_NUMBER] = "a number",
        [JSON_STRING] = "a string", [JSON_ARRAY] = "an array", [JSON_OBJECT] = "an object",
    };
    return names[type];
}

const struct json *json_member_get(const struct json *object, const char *key)
{
    if (json_type_get(object) != JSON_OBJECT)
        return NULL;
    JSON_FOR_EACH (member, object) {
        if (strcmp(member->item->string, key) == 0)
            return member;
    }
    return NULL;
}

const struct json *json_child_first(const struct json *container)
{
    return container && container->item->child ? container + 1 : NULL;
}

const struct json *json_child_next(const struct json *child)
{
    return child->item->next ? child + child->span : NULL;
}

size_t json_child_count(const struct json *container)
{
    size_t count = 0;
    JSON_FOR_EACH (child, container)
        count++;
    return count;
}

const char *json_key_get(const struct json *node)
{
    return node->item->string;
}

const char *json_text_get(const struct json *node)
{
    return json_type_get(node) == JSON_STRING ? node->item->valuestring : NULL;
}

bool json_bool_get(const struct json *node, bool *out)
{
    if (json_type_get(node) != JSON_BOOL)
        return false;
    *out = (node->item->type & 0xff) == cJSON_True;
    return true;
}

bool json_number_get(const struct json *node, double *out)
{
    if (json_type_get(node) != JSON_NUMBER)
        return false;
    *out = node->item->valuedouble;
    return true;
}

bool json_int64_get(const struct json *node, int64_t *out)
{
    if (json_type_get(node) != JSON_NUMBER)
        return false;
    char *end;
    errno = 0;
    long long value = strtoll(node->text + node->at, &end, 10);
    if (end == node->text + node->at + node->len) {
        if (errno == ERANGE)
            return false;
        *out = value;
        return true;
    }
    const double exact_max = 9007199254740992.0; /* 2^53 */
    double number = node->item->valuedouble;
    if (number < -exact_max || number > exact_max || (double)(int64_t)number != number)
        return false;
    *out = (int64_t)number;
    return true;
}

void json_position(const struct json *node, unsigned *line, unsigned *column)
{
    text_place_find(node->text, node->at, line, column);
}

void json_key_position(const struct json *node, unsigned *line, unsigned *column)
{
    text_place_find(node->text, node->key_at, line, column);
}
