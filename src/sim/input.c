#include "sim/input.h"

#include "sim/media_file.h"
#include "sim/url.h"

#include "seedancefs/base/base64.h"
#include "seedancefs/base/checksum.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {"image", "video", "audio"};

const char *input_kind_name(enum input_kind kind)
{
    return kind_names[kind];
}

void input_set_content(struct input *input, char *content, size_t len)
{
    free(input->content);
    input->content = content;
    input->has_bytes = true;
    input->bytes = len;
    input->hash = checksum_64(content, len);
    (void)media_file_sides((const unsigned char *)content, len, &input->width, &input->height);
}

/* What is no base64 stays without bytes. */
static void input_decode(struct input *input)
{
    const char *comma = strchr(input->url, ',');
    if (comma == NULL || comma - input->url < 7 || strncmp(comma - 7, ";base64", 7) != 0)
        return;
    size_t len = strlen(comma + 1);
    char *bytes = mem_alloc(len / 4 * 3 + 1);
    int64_t n = base64_decode(comma + 1, len, bytes, len / 4 * 3);
    if (n < 0)
        free(bytes);
    else
        input_set_content(input, bytes, (size_t)n);
}

static void inputs_add(struct inputs *inputs, char *field, enum input_kind kind, const cJSON *url,
                       const char *role)
{
    if (!cJSON_IsString(url) || inputs->count == INPUTS_MAX) {
        free(field);
        return;
    }
    if (inputs->items == NULL)
        inputs->items = mem_alloc(INPUTS_MAX * sizeof(struct input));
    struct input *input = &inputs->items[inputs->count++];
    *input = (struct input){
        .field = field, .role = mem_strdup(role), .kind = kind, .url = url->valuestring};
    if (strncmp(input->url, "data:", 5) == 0) {
        input->form = INPUT_DATA;
        input_decode(input);
        return;
    }
    input->task_id = url_own_task(input->url, &input->is_cover);
    input->form = input->task_id != NULL ? INPUT_OWN : INPUT_ADDRESS;
}

static void collect_content(struct inputs *inputs, const cJSON *list)
{
    size_t n = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "type"));
        for (size_t i = 0; type != NULL && i < ARRAY_COUNT(kind_names); i++) {
            size_t len = strlen(kind_names[i]);
            if (strncmp(type, kind_names[i], len) != 0 || strcmp(type + len, "_url") != 0)
                continue;
            const cJSON *nested = cJSON_GetObjectItemCaseSensitive(item, type);
            inputs_add(inputs, mem_format("content[%zu]", n), (enum input_kind)i,
                       cJSON_GetObjectItemCaseSensitive(nested, "url"),
                       cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "role")));
        }
        n++;
    }
}

/* "image_url" or "image_urls": a text, or an array of texts. */
static void collect_field(struct inputs *inputs, const cJSON *field, enum input_kind kind)
{
    if (!cJSON_IsArray(field)) {
        inputs_add(inputs, mem_strdup(field->string), kind, field, NULL);
        return;
    }
    size_t n = 0;
    const cJSON *url;
    cJSON_ArrayForEach(url, field)
    {
        inputs_add(inputs, mem_format("%s[%zu]", field->string, n++), kind, url, NULL);
    }
}

void inputs_collect(struct inputs *inputs, const cJSON *root)
{
    const cJSON *field;
    cJSON_ArrayForEach(field, root)
    {
        const char *name = field->string;
        if (name == NULL || cJSON_GetObjectItemCaseSensitive(root, name) != field)
            continue; /* the first of several equal names counts */
        if (strcmp(name, "content") == 0)
            collect_content(inputs, field);
        for (size_t i = 0; i < ARRAY_COUNT(kind_names); i++) {
            size_t len = strlen(kind_names[i]);
            if (strncmp(name, kind_names[i], len) == 0 &&
                (strcmp(name + len, "_url") == 0 || strcmp(name + len, "_urls") == 0))
                collect_field(inputs, field, (enum input_kind)i);
        }
    }
}

void inputs_seal(struct inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++) {
        free(inputs->items[i].content);
        inputs->items[i].content = NULL;
        inputs->items[i].url = NULL;
    }
}

void inputs_fini(struct inputs *inputs)
{
    inputs_seal(inputs);
    for (size_t i = 0; i < inputs->count; i++) {
        free(inputs->items[i].field);
        free(inputs->items[i].role);
        free(inputs->items[i].task_id);
    }
    free(inputs->items);
    *inputs = (struct inputs){0};
}

static void input_log(struct json_writer *w, const struct input *input)
{
    static const char *const forms[] = {"address", "data", "own", "fetched"};
    json_write_object_begin(w);
    json_write_member_string(w, "field", input->field);
    json_write_member_string(w, "kind", input_kind_name(input->kind));
    if (input->role != NULL)
        json_write_member_string(w, "role", input->role);
    json_write_member_string(w, "form", forms[input->form]);
    if (input->task_id != NULL)
        json_write_member_string(w, "task", input->task_id);
    if (input->has_bytes) {
        char hash[17];
        (void)snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)input->hash);
        json_write_member_int64(w, "bytes", (int64_t)input->bytes);
        json_write_member_string(w, "hash", hash);
    }
    if (input->width > 0) {
        json_write_member_int64(w, "width", (int64_t)input->width);
        json_write_member_int64(w, "height", (int64_t)input->height);
    }
    json_write_object_end(w);
}

void inputs_log(struct json_writer *w, const struct inputs *inputs)
{
    json_write_key(w, "inputs");
    json_write_array_begin(w);
    for (size_t i = 0; i < inputs->count; i++)
        input_log(w, &inputs->items[i]);
    json_write_array_end(w);
}
