/*
 * Writes the fields of a request: the user's value, or the default.
 */
#include "check.h"

#include "seedancefs/base/table.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { SHORTENED_CHARACTERS = 8 };

void write_value(const struct check *c, const struct field *field, struct json_writer *w,
                 const struct json *node UNUSED, bool is_display UNUSED)
{
    const void *place = (const char *)c + field->offset;
    if (field->type == VALUE_TEXT)
        json_write_string(w, *(const char *const *)place);
    else if (field->type == VALUE_INTEGER)
        json_write_int64(w, *(const int64_t *)place);
    else
        json_write_bool(w, *(const bool *)place);
}

void write_plain(const struct check *c UNUSED, const struct field *field UNUSED,
                 struct json_writer *w, const struct json *node, bool is_display UNUSED)
{
    json_write_node(w, node);
}

/* For example: data:image/png;base64,iVBORw0… (123456 bytes) */
static void write_shortened(struct json_writer *w, const char *url)
{
    const char *comma = strchr(url, ',');
    size_t prefix = comma ? (size_t)(comma + 1 - url) : 0;
    size_t len = strlen(url + prefix);
    if (!comma || len <= SHORTENED_CHARACTERS || prefix > 64) {
        json_write_string(w, url);
        return;
    }
    size_t padding = url[prefix + len - 1] != '=' ? 0 : url[prefix + len - 2] != '=' ? 1 : 2;
    char text[128];
    (void)snprintf(text, sizeof(text), "%.*s… (%zu bytes)", (int)(prefix + SHORTENED_CHARACTERS),
                   url, len / 4 * 3 - padding);
    json_write_string(w, text);
}

/* The content of a file, or an empty string that is replaced later, and where it stands. */
static bool write_file(const struct check *c, struct json_writer *w, const struct json *node)
{
    struct local_file *file;
    LL_SEARCH_SCALAR(c->files, file, node, node);
    if (!file)
        return false;
    const char *url = file->data_url ? file->data_url : "";
    json_write_string(w, url);
    file->body_offset = w->out->len - strlen(url) - strlen("\"\"");
    return true;
}

void write_durations(const struct check *c, const struct field *field UNUSED, struct json_writer *w,
                     const struct json *node, bool is_display UNUSED)
{
    if (node)
        json_write_node(w, node);
    else
        (void)write_file(c, w, NULL);
}

static void write_address(const struct check *c, struct json_writer *w, const struct json *node,
                          bool is_display)
{
    const char *url = json_text_get(node);
    /* People see the path that they wrote. */
    if (!is_display && write_file(c, w, node))
        return;
    if (is_display && strncasecmp(url, "data:", strlen("data:")) == 0)
        write_shortened(w, url);
    else
        json_write_string(w, url);
}

void write_media(const struct check *c, const struct field *field UNUSED, struct json_writer *w,
                 const struct json *node, bool is_display)
{
    if (json_type_get(node) == JSON_STRING) {
        write_address(c, w, node, is_display);
        return;
    }
    json_write_array_begin(w);
    JSON_FOR_EACH (item, node)
        write_address(c, w, item, is_display);
    json_write_array_end(w);
}

/* Writes {"url": …} and the user's other members of it. */
static void write_holder(const struct check *c, struct json_writer *w, const struct json *holder,
                         bool is_display)
{
    json_write_object_begin(w);
    json_write_key(w, "url");
    write_address(c, w, json_member_get(holder, "url"), is_display);
    JSON_FOR_EACH (member, holder) {
        if (strcmp(json_key_get(member), "url") == 0)
            continue;
        json_write_key(w, json_key_get(member));
        json_write_node(w, member);
    }
    json_write_object_end(w);
}

static void write_item(const struct check *c, struct json_writer *w, const struct json *item,
                       bool is_display)
{
    const char *type = json_text_get(json_member_get(item, "type"));
    const char *role = json_text_get(json_member_get(item, "role"));
    json_write_object_begin(w);
    json_write_member_string(w, "type", type);
    json_write_key(w, type);
    write_holder(c, w, json_member_get(item, type), is_display);
    if (role)
        json_write_member_string(w, "role", role);
    JSON_FOR_EACH (member, item) {
        const char *key = json_key_get(member);
        if (strcmp(key, "type") == 0 || strcmp(key, "role") == 0 || strcmp(key, type) == 0)
            continue;
        json_write_key(w, key);
        json_write_node(w, member);
    }
    json_write_object_end(w);
}

/* {"type": "image_url", "image_url": {"url": …}, "role": "first_frame"} */
static void write_frame(const struct check *c, enum role role, struct json_writer *w,
                        bool is_display)
{
    const struct json *node = json_member_get(c->root, role_words[role]);
    const char *type = media_rules[MEDIA_IMAGE].one;
    if (!node)
        return;
    json_write_object_begin(w);
    json_write_member_string(w, "type", type);
    json_write_key(w, type);
    json_write_object_begin(w);
    json_write_key(w, "url");
    write_address(c, w, node, is_display);
    json_write_object_end(w);
    json_write_member_string(w, "role", role_words[role]);
    json_write_object_end(w);
}

void write_content(const struct check *c, const struct field *field UNUSED, struct json_writer *w,
                   const struct json *node, bool is_display)
{
    json_write_array_begin(w);
    write_frame(c, ROLE_FIRST, w, is_display);
    write_frame(c, ROLE_LAST, w, is_display);
    if (node)
        JSON_FOR_EACH (item, node)
            write_item(c, w, item, is_display);
    json_write_array_end(w);
}
