/*
 * The request body. Fields come in the order of the table in fields.c, whatever order the user
 * chose. Defaults are filled in. Unknown fields that are allowed come last, in the user's order. So
 * the same prompt always gives the same bytes.
 */
#include "check.h"

#include "seedancefs/base/table.h"

static bool frames_are_there(const struct check *c)
{
    return json_member_get(c->root, role_words[ROLE_FIRST]) ||
           json_member_get(c->root, role_words[ROLE_LAST]);
}

static bool lengths_are_filled_in(const struct check *c)
{
    const struct local_file *file;
    LL_SEARCH_SCALAR(c->files, file, number, PROMPT_DURATIONS);
    return file != NULL;
}

void body_render(const struct check *c, struct buf *out, bool is_display)
{
    struct json_writer w;
    json_writer_init(&w, out, is_display ? JSON_PRETTY : JSON_COMPACT);
    json_write_object_begin(&w);
    for (size_t i = 0; i < field_count; i++) {
        const struct json *node = json_member_get(c->root, fields[i].name);
        /* Frames are items of content. People see no lengths that they did not write. */
        bool is_sent =
            node || fields[i].type != VALUE_NONE ||
            (fields[i].write == write_content && frames_are_there(c)) ||
            (fields[i].write == write_durations && lengths_are_filled_in(c) && !is_display);
        if (!fields[i].write || !is_sent)
            continue;
        json_write_key(&w, fields[i].name);
        fields[i].write(c, &fields[i], &w, node, is_display);
    }
    JSON_FOR_EACH (member, c->root) {
        if (field_find(json_key_get(member)))
            continue;
        json_write_key(&w, json_key_get(member));
        json_write_node(&w, member);
    }
    json_write_object_end(&w);
    if (is_display)
        (void)buf_add_char(out, '\n');
}
