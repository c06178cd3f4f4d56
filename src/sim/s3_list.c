#include "sim/s3_list.h"

#include "seedancefs/base/base64.h"
#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/text.h"

#include <stdlib.h>
#include <string.h>

enum { KEYS_PER_LIST_MAX = 1000 };

struct list_request {
    const char *prefix;
    const char *start_after; /* NULL: none */
    const char *token;       /* NULL: none */
    char *token_key;         /* the list goes on behind this key */
    size_t keys_max;
    bool is_encoded; /* encoding-type=url */
};

static const char *parameter_or(const struct s3_target *target, const char *name, const char *other)
{
    const char *value = s3_target_get(target, name);
    return value != NULL ? value : other;
}

/* The token is the last key in base64. NULL: it is none. */
static char *token_decode(const char *token)
{
    size_t len = strlen(token);
    char *key = mem_alloc(len + 1);
    int64_t size = base64_decode(token, len, key, len);
    if (size > 0 && strlen(key) == (size_t)size)
        return key;
    free(key);
    return NULL;
}

static void refuse(struct response *out, const char *message)
{
    response_media_error(out, 400, "InvalidArgument", message);
}

/* False: refused. */
static bool list_parse(const struct s3_target *target, struct list_request *list,
                       struct response *out)
{
    const char *keys_max = parameter_or(target, "max-keys", "1000");
    size_t digits = strspn(keys_max, "0123456789");
    list->prefix = parameter_or(target, "prefix", "");
    list->start_after = s3_target_get(target, "start-after");
    list->token = s3_target_get(target, "continuation-token");
    list->is_encoded = strcmp(parameter_or(target, "encoding-type", ""), "url") == 0;
    if (strcmp(parameter_or(target, "list-type", ""), "2") != 0) {
        refuse(out, "The simulator knows list-type=2 alone.");
    } else if (*parameter_or(target, "delimiter", "") != '\0') {
        response_media_error(out, 501, "NotImplemented", "The simulator knows no delimiter.");
    } else if (digits == 0 || digits > 9 || keys_max[digits] != '\0') {
        refuse(out, "Provided max-keys not an integer or within integer range");
    } else if (list->token != NULL && (list->token_key = token_decode(list->token)) == NULL) {
        refuse(out, "The continuation token provided is incorrect");
    } else {
        size_t wanted = (size_t)strtoul(keys_max, NULL, 10);
        list->keys_max = wanted < KEYS_PER_LIST_MAX ? wanted : KEYS_PER_LIST_MAX;
        return true;
    }
    return false;
}

static void add_escaped(struct buf *xml, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("&<>\"'", *text) != NULL || (unsigned char)*text < 0x20)
            (void)buf_addf(xml, "&#x%X;", (unsigned)*text);
        else
            (void)buf_add_char(xml, *text);
    }
}

static void add_element(struct buf *xml, const char *name, const char *value, bool is_encoded)
{
    if (value == NULL)
        return;
    (void)buf_addf(xml, "<%s>", name);
    if (is_encoded)
        uri_encode(xml, value, true);
    else
        add_escaped(xml, value);
    (void)buf_addf(xml, "</%s>", name);
}

static void add_object(struct buf *xml, const struct object *object, bool is_encoded)
{
    char modified[TEXT_TIME_SIZE];
    text_time_rfc3339(object->modified_ms, modified);
    (void)buf_add_text(xml, "<Contents>");
    add_element(xml, "Key", object->key, is_encoded);
    add_element(xml, "LastModified", modified, false);
    (void)buf_addf(xml, "<ETag>&quot;%s&quot;</ETag><Size>%zu</Size>", object->md5_hex,
                   object->len);
    (void)buf_add_text(xml, "<StorageClass>STANDARD</StorageClass></Contents>");
}

static size_t list_first(const struct object_table *table, const struct list_request *list)
{
    const char *behind = list->token_key != NULL ? list->token_key : list->start_after;
    size_t at = object_index(table, list->prefix, false);
    size_t after = behind != NULL ? object_index(table, behind, true) : 0;
    return after > at ? after : at;
}

/* Adds objects to `contents`, and gives the key of the last one if there are more. */
static size_t list_collect(const struct object_table *table, const struct list_request *list,
                           struct buf *contents, const char **last_out)
{
    size_t prefix_len = strlen(list->prefix);
    size_t count = 0;
    for (size_t i = list_first(table, list); i < table->count && list->keys_max > 0; i++) {
        const struct object *object = table->sorted[i];
        if (strncmp(object->key, list->prefix, prefix_len) != 0)
            break;
        if (count == list->keys_max) {
            *last_out = table->sorted[i - 1]->key;
            break;
        }
        add_object(contents, object, list->is_encoded);
        count++;
    }
    return count;
}

static void list_response(const struct object_table *table, const char *bucket,
                          const struct list_request *list, struct response *out)
{
    CLEANUP(buf_fini) struct buf xml = SIM_BUF;
    CLEANUP(buf_fini) struct buf contents = SIM_BUF;
    CLEANUP(buf_fini) struct buf next = SIM_BUF;
    const char *last = NULL;
    size_t count = list_collect(table, list, &contents, &last);
    if (last != NULL)
        base64_encode(&next, last, strlen(last));
    (void)buf_add_text(&xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult "
                             "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    add_element(&xml, "Name", bucket, false);
    add_element(&xml, "Prefix", list->prefix, list->is_encoded);
    add_element(&xml, "StartAfter", list->start_after, list->is_encoded);
    add_element(&xml, "ContinuationToken", list->token, false);
    add_element(&xml, "NextContinuationToken", last != NULL ? text_whole(&next) : NULL, false);
    add_element(&xml, "EncodingType", list->is_encoded ? "url" : NULL, false);
    (void)buf_addf(&xml, "<KeyCount>%zu</KeyCount><MaxKeys>%zu</MaxKeys>", count, list->keys_max);
    (void)buf_addf(&xml, "<IsTruncated>%s</IsTruncated>%s</ListBucketResult>\n",
                   last != NULL ? "true" : "false", text_whole(&contents));
    out->status = 200;
    response_set_header(out, "Content-Type", "application/xml");
    response_set_body(out, text_whole(&xml), xml.len, 1);
}

void s3_list(const struct object_table *table, const char *bucket, const struct s3_target *target,
             struct response *out)
{
    struct list_request list = {0};
    if (list_parse(target, &list, out))
        list_response(table, bucket, &list, out);
    free(list.token_key);
}
