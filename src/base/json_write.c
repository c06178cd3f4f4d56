#include "json_internal.h"

#include "seedancefs/base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

static void escape_byte(struct buf *out, unsigned char c)
{
    static const char letters[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',  ['\f'] = 'f',
        ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\',
    };
    if (c < sizeof(letters) && letters[c])
        (void)buf_addf(out, "\\%c", letters[c]);
    else if (c == 0) /* our own parser accepts no \u0000 */
        (void)buf_add_text(out, replacement);
    else
        (void)buf_addf(out, "\\u%04x", c);
}

void json_escape(struct buf *out, const char *text, size_t len)
{
    (void)buf_add_char(out, '"');
    size_t run = 0; /* bytes before `i` that need no escape and are added in one go */
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        int step = text_utf8_step(text + i, len - i);
        if (step > 0 && c >= 0x20 && c != '"' && c != '\\') {
            i += (size_t)step;
            run += (size_t)step;
            continue;
        }
        (void)buf_add(out, text + i - run, run);
        run = 0;
        if (step > 0)
            escape_byte(out, c);
        else
            (void)buf_add_text(out, replacement);
        i++;
    }
    (void)buf_add(out, text + len - run, run);
    (void)buf_add_char(out, '"');
}

void json_writer_init(struct json_writer *w, struct buf *out, enum json_style style)
{
    *w = (struct json_writer){.out = out, .style = style};
}

static uint64_t level_bit(const struct json_writer *w)
{
    return (uint64_t)1 << (w->depth - 1);
}

static bool is_in_object(const struct json_writer *w)
{
    return w->depth > 0 && (w->is_object & level_bit(w)) != 0;
}

static bool misused(struct json_writer *w)
{
    if (!w->out->error)
        w->out->error = -EINVAL;
    return false;
}

static void new_line(struct json_writer *w)
{
    if (w->style == JSON_PRETTY)
        (void)buf_addf(w->out, "\n%*s", (int)w->depth * 2, "");
}

/* Adds the comma and the line break before a member or item. */
static void separate(struct json_writer *w)
{
    if (w->depth == 0)
        return;
    if (w->has_child & level_bit(w))
        (void)buf_add_char(w->out, ',');
    w->has_child |= level_bit(w);
    new_line(w);
}

/* Returns false when no value is allowed here. */
static bool value_begin(struct json_writer *w)
{
    if (w->out->error || is_in_object(w) != w->has_key)
        return misused(w);
    if (!w->has_key)
        separate(w);
    w->has_key = false;
    return true;
}

static void container_begin(struct json_writer *w, bool is_object)
{
    if (w->depth == JSON_WRITER_DEPTH_MAX) {
        (void)misused(w);
        return;
    }
    if (!value_begin(w))
        return;
    (void)buf_add_char(w->out, is_object ? '{' : '[');
    w->depth++;
    w->has_child &= ~level_bit(w);
    if (is_object)
        w->is_object |= level_bit(w);
    else
        w->is_object &= ~level_bit(w);
}

static void container_end(struct json_writer *w, bool is_object)
{
    if (w->out->error || w->depth == 0 || w->has_key || is_in_object(w) != is_object) {
        (void)misused(w);
        return;
    }
    bool has_child = (w->has_child & level_bit(w)) != 0;
    w->depth--;
    if (has_child)
        new_line(w);
    (void)buf_add_char(w->out, is_object ? '}' : ']');
}

void json_write_object_begin(struct json_writer *w)
{
    container_begin(w, true);
}

void json_write_object_end(struct json_writer *w)
{
    container_end(w, true);
}

void json_write_array_begin(struct json_writer *w)
{
    container_begin(w, false);
}

void json_write_array_end(struct json_writer *w)
{
    container_end(w, false);
}

void json_write_key(struct json_writer *w, const char *key)
{
    if (w->out->error || !is_in_object(w) || w->has_key) {
        (void)misused(w);
        return;
    }
    separate(w);
    json_escape(w->out, key, strlen(key));
    (void)buf_add_text(w->out, w->style == JSON_PRETTY ? ": " : ":");
    w->has_key = true;
}

void json_write_text(struct json_writer *w, const char *text, size_t len)
{
    if (value_begin(w))
        json_escape(w->out, text, len);
}

void json_write_string(struct json_writer *w, const char *text)
{
    if (text)
        json_write_text(w, text, strlen(text));
    else
        json_write_null(w);
}

void json_write_int64(struct json_writer *w, int64_t value)
{
    if (value_begin(w))
        (void)buf_addf(w->out, "%" PRId64, value);
}

void json_write_raw(struct json_writer *w, const char *json)
{
    if (value_begin(w))
        (void)buf_add_text(w->out, json);
}

void json_write_bool(struct json_writer *w, bool value)
{
    json_write_raw(w, value ? "true" : "false");
}

void json_write_null(struct json_writer *w)
{
    json_write_raw(w, "null");
}

static void write_container(struct json_writer *w, const struct json *node, bool is_object)
{
    container_begin(w, is_object);
    JSON_FOR_EACH (child, node) {
        if (is_object)
            json_write_key(w, json_key_get(child));
        json_write_node(w, child);
    }
    container_end(w, is_object);
}

void json_write_node(struct json_writer *w, const struct json *node)
{
    if (!node) {
        json_write_null(w);
        return;
    }
    switch (json_type_get(node)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        write_container(w, node, json_type_get(node) == JSON_OBJECT);
        break;
    case JSON_STRING:
        json_write_string(w, json_text_get(node));
        break;
    case JSON_NULL:
    case JSON_BOOL:
    case JSON_NUMBER:
        if (value_begin(w))
            (void)buf_add(w->out, node->text + node->at, node->len);
        break;
    }
}

void json_write_member_string(struct json_writer *w, const char *key, const char *text)
{
    json_write_key(w, key);
    json_write_string(w, text);
}

void json_write_member_int64(struct json_writer *w, const char *key, int64_t value)
{
    json_write_key(w, key);
    json_write_int64(w, value);
}

void json_write_member_bool(struct json_writer *w, const char *key, bool value)
{
    json_write_key(w, key);
    json_write_bool(w, value);
}
