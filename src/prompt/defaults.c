#include "seedancefs/prompt/defaults.h"

#include "check.h"

#include "seedancefs/base/err.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 32 };

void prompt_defaults_fini(struct prompt_defaults *defaults)
{
    free(defaults->model);
    free(defaults->resolution);
    free(defaults->aspect_ratio);
    *defaults = (struct prompt_defaults){0};
}

/* Every value that is always sent can have a default, as well as our own flags, except the prompt: a default prompt would be
 * paid for when somebody forgot to write one. Media belong to one job, and a default video would
 * make every request more expensive. */
static bool has_default(const struct field *field)
{
    return field->type != VALUE_NONE && strcmp(field->name, "prompt") != 0;
}

static void check_member(struct check *c, const struct json *member, const char *const *names)
{
    const char *key = json_key_get(member);
    const struct field *field = field_find(key);
    char path[PATH_SIZE];
    path_join(path, "", key);
    if (field && has_default(field)) {
        field->check(c, field, member);
    } else if (field) {
        problem_add_at_key(c, SEVERITY_ERROR, member, path, "no-default",
                           "has no default. It belongs in the prompt.json of the job that it is "
                           "for.");
    } else {
        /* Unknown fields are not allowed in the defaults; a request that has one passes it on. */
        struct prompt_settings strict = *c->settings;
        const struct prompt_settings *settings = c->settings;
        strict.allow_unknown = false;
        c->settings = &strict;
        check_unknown(c, member, path, names);
        c->settings = settings;
    }
}

static void check_all(struct check *c)
{
    const char *names[NAMES_MAX] = {NULL};
    size_t count = 0;
    for (size_t i = 0; i < field_count && count < NAMES_MAX - 1; i++) {
        if (has_default(&fields[i]))
            names[count++] = fields[i].name;
    }
    JSON_FOR_EACH (member, c->root)
        check_member(c, member, names);
    if (json_member_get(c->root, "model"))
        check_model_known(c);
}

static int text_take(const struct check *c, const char *name, const char *value, char **out)
{
    if (!json_member_get(c->root, name))
        return 0;
    *out = strdup(value);
    return *out ? 0 : -ENOMEM;
}

static int defaults_fill(struct prompt_defaults *out, const struct check *c)
{
    int r = text_take(c, "model", c->model_name, &out->model);
    if (r == 0)
        r = text_take(c, "resolution", c->resolution, &out->resolution);
    if (r == 0)
        r = text_take(c, "aspect_ratio", c->aspect_ratio, &out->aspect_ratio);
    if (json_member_get(c->root, "duration"))
        out->duration_s = c->duration_s;
    out->has_generate_audio = json_member_get(c->root, "generate_audio") != NULL;
    out->generate_audio = c->generate_audio;
    out->has_watermark = json_member_get(c->root, "watermark") != NULL;
    out->watermark = c->watermark;
    out->hold = c->hold;
    return r;
}

static bool is_blank(const char *bytes, size_t len)
{
    size_t i = 0;
    while (i < len && memchr(" \t\r\n", bytes[i], 4))
        i++;
    return i == len;
}

int prompt_defaults_check(const char *bytes, size_t len, const struct prompt_settings *settings,
                          struct prompt_defaults *out, struct prompt_report *report)
{
    struct json_document *document;
    struct prompt_settings own = *settings;
    own.defaults = NULL;
    report_clear(report);
    if (is_blank(bytes, len))
        return 0;
    int r = document_parse(bytes, len, "{\"duration\": 8}", &document, report);
    if (r < 0)
        return r;
    struct check c;
    struct prompt_defaults made = {0};
    check_init(&c, json_document_root(document), &own, report);
    check_all(&c);
    r = c.error ? c.error : report->errors > 0 ? -ERR_PROMPT_INVALID : defaults_fill(&made, &c);
    report_sort(report);
    check_fini(&c);
    json_document_free(document);
    if (r < 0)
        prompt_defaults_fini(&made);
    else
        *out = made;
    return r;
}
