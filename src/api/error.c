#include "api/decode.h"

#include "seedancefs/api/task.h"
#include "seedancefs/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A task has some twenty values. Relays wrap it, so the limit is higher. */
const struct json_limits api_json_limits = {
    .max_bytes = API_BODY_MAX, .max_depth = 32, .max_nodes = 4096};

void api_text_copy(char *out, size_t size, const char *text)
{
    size_t len = 0;
    for (const char *s = text; *s;) {
        size_t n = (size_t)text_utf8_step(s, strlen(s));
        bool is_blank = text_is_control(s);
        size_t need = is_blank ? 1 : n;
        if (len + need >= size)
            break;
        if (is_blank)
            out[len] = ' ';
        else
            memcpy(out + len, s, n);
        len += need;
        s += n;
    }
    out[len] = '\0';
}

/* Copies texts as they are, and whole numbers as digits: codes come in both forms. */
static void copy_if_absent(char *out, size_t size, const struct json *node)
{
    int64_t number = 0;
    if (out[0] != '\0')
        return;
    if (json_text_get(node))
        api_text_copy(out, size, json_text_get(node));
    else if (json_int64_get(node, &number))
        (void)snprintf(out, size, "%" PRId64, number);
}

/* Finds "… Request id: 0217…", mostly at the end of a message that may be longer than we keep. */
static void find_request_id(const char *message, struct api_error *error)
{
    static const char *const labels[] = {"request id:", "request_id:", "requestid:", "request-id:"};
    for (size_t i = 0; message && i < ARRAY_COUNT(labels) && !error->request_id[0]; i++) {
        const char *at = strcasestr(message, labels[i]);
        if (!at)
            continue;
        at += strlen(labels[i]);
        at += strspn(at, " ");
        size_t len = strspn(at, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_");
        if (len < sizeof(error->request_id)) {
            memcpy(error->request_id, at, len);
            error->request_id[len] = '\0';
        }
    }
}

/* Relays use different keys for the same thing; the first that is present counts. */
static const char *const code_keys[] = {"code", "type"};
static const char *const message_keys[] = {"message", "msg", "detail"};
static const char *const id_keys[] = {"request_id", "requestId", "RequestId"};

static void take_members(const struct json *object, struct api_error *error)
{
    for (size_t i = 0; i < ARRAY_COUNT(code_keys); i++)
        copy_if_absent(error->code, sizeof(error->code), json_member_get(object, code_keys[i]));
    for (size_t i = 0; i < ARRAY_COUNT(id_keys); i++)
        copy_if_absent(error->request_id, sizeof(error->request_id),
                       json_member_get(object, id_keys[i]));
    for (size_t i = 0; i < ARRAY_COUNT(message_keys); i++) {
        const struct json *message = json_member_get(object, message_keys[i]);
        copy_if_absent(error->message, sizeof(error->message), message);
        find_request_id(json_text_get(message), error);
    }
}

void api_error_from_json(const struct json *root, struct api_error *error)
{
    const struct json *inner = json_member_get(root, "error");
    take_members(inner, error);
    copy_if_absent(error->message, sizeof(error->message), inner);
    find_request_id(json_text_get(inner), error);
    take_members(root, error);
}

void api_error_decode(const char *body, size_t len, struct api_error *error)
{
    struct json_document *document = NULL;
    *error = (struct api_error){0};
    if (json_parse(body, len, &api_json_limits, &document, NULL) == 0)
        api_error_from_json(json_document_root(document), error);
    json_document_free(document);
}
