/*
 * The content array: media with roles. What may be used together is in mode.c.
 */
#include "check.h"

#include "seedancefs/base/nearest.h"

#include <stdio.h>
#include <string.h>

static const enum reference_kind role_kinds[ROLES] = {
    [ROLE_NONE] = MEDIA_IMAGE,  [ROLE_FIRST] = MEDIA_IMAGE, [ROLE_LAST] = MEDIA_IMAGE,
    [ROLE_IMAGE] = MEDIA_IMAGE, [ROLE_VIDEO] = MEDIA_VIDEO, [ROLE_AUDIO] = MEDIA_AUDIO,
};

static const char *const role_names[] = {
    "first_frame", "last_frame", "reference_image", "reference_video", "reference_audio", NULL,
};

static const char *const item_fields[] = {
    "type", "image_url", "video_url", "audio_url", "role", NULL,
};

static const char *const address_fields[] = {"url", NULL};

static bool is_known(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

static void check_address(struct check *c, enum reference_kind kind, const struct json *holder,
                          const char *path)
{
    char inner[PATH_SIZE];
    if (json_type_get(holder) == JSON_STRING) {
        problem_add(c, SEVERITY_ERROR, holder, path, "type",
                    "must be an object that holds the address: {\"url\": \"https://…\"}.");
        return;
    }
    if (!expect_type(c, holder, path, JSON_OBJECT))
        return;
    JSON_FOR_EACH (member, holder) {
        if (is_known(json_key_get(member), address_fields))
            continue;
        path_join(inner, path, json_key_get(member));
        check_unknown(c, member, inner, address_fields);
    }
    path_join(inner, path, "url");
    const struct json *url = json_member_get(holder, "url");
    if (url)
        check_media(c, kind, url, inner);
    else
        problem_add(c, SEVERITY_ERROR, holder, inner, "missing", "the address is missing.");
}

/* False when the item's type is missing or unusable. */
static bool type_get(struct check *c, const struct json *item, const char *path,
                     enum reference_kind *kind)
{
    char inner[PATH_SIZE];
    path_join(inner, path, "type");
    const struct json *type = json_member_get(item, "type");
    if (!type) {
        problem_add(c, SEVERITY_ERROR, item, inner, "missing",
                    "is missing; \"image_url\", \"video_url\" or \"audio_url\".");
        return false;
    }
    if (!expect_type(c, type, inner, JSON_STRING))
        return false;
    const char *name = json_text_get(type);
    for (size_t i = 0; i < MEDIA_KINDS; i++) {
        if (strcmp(media_rules[i].one, name) == 0) {
            *kind = (enum reference_kind)i;
            return true;
        }
    }
    char text[SHOWN_SIZE];
    if (strcmp(name, "text") == 0)
        problem_add(c, SEVERITY_ERROR, type, inner, "value",
                    "text does not belong in content here. Put it in \"prompt\".");
    else
        problem_add(c, SEVERITY_ERROR, type, inner, "value",
                    "must be \"image_url\", \"video_url\" or \"audio_url\", but is \"%s\".",
                    shown(name, text));
    return false;
}

static enum role role_get(struct check *c, enum reference_kind kind, const struct json *node,
                          const char *path)
{
    if (!node || !expect_type(c, node, path, JSON_STRING))
        return ROLE_NONE;
    const char *name = json_text_get(node);
    for (size_t i = ROLE_FIRST; i < ROLES; i++) {
        if (strcmp(role_words[i], name) != 0)
            continue;
        if (role_kinds[i] == kind)
            return (enum role)i;
        problem_add(c, SEVERITY_ERROR, node, path, "role", "an item of type \"%s\" cannot be a %s.",
                    media_rules[kind].one, name);
        return ROLE_NONE;
    }
    char text[SHOWN_SIZE];
    const char *nearest = nearest_name(name, role_names);
    problem_add(c, SEVERITY_ERROR, node, path, "value",
                "must be first_frame, last_frame, reference_image, reference_video or "
                "reference_audio, but is \"%s\"%s%s%s",
                shown(name, text), nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                nearest ? "\"?" : ".");
    return ROLE_NONE;
}

static void check_item_fields(struct check *c, const struct json *item, const char *path,
                              enum reference_kind kind)
{
    JSON_FOR_EACH (member, item) {
        const char *key = json_key_get(member);
        char inner[PATH_SIZE];
        path_join(inner, path, key);
        if (!is_known(key, item_fields))
            check_unknown(c, member, inner, item_fields);
        else if (strcmp(key, "type") != 0 && strcmp(key, "role") != 0 &&
                 strcmp(key, media_rules[kind].one) != 0)
            problem_add_at_key(c, SEVERITY_ERROR, member, inner, "exclusive",
                               "does not fit the item's type, which is \"%s\".",
                               media_rules[kind].one);
    }
}

static void check_item(struct check *c, const struct json *item, const char *path)
{
    enum reference_kind kind;
    char inner[PATH_SIZE];
    if (!expect_type(c, item, path, JSON_OBJECT) || !type_get(c, item, path, &kind))
        return;
    check_item_fields(c, item, path, kind);
    path_join(inner, path, media_rules[kind].one);
    const struct json *holder = json_member_get(item, media_rules[kind].one);
    if (holder)
        check_address(c, kind, holder, inner);
    else
        problem_add(c, SEVERITY_ERROR, item, inner, "missing", "is missing: {\"url\": \"…\"}.");

    const struct json *role_node = json_member_get(item, "role");
    path_join(inner, path, "role");
    enum role role = role_get(c, kind, role_node, inner);
    c->counts[kind]++;
    c->modes.items++;
    mode_add(c, role, kind, role_node ? role_node : item,
             role_node || kind == MEDIA_IMAGE ? inner : path);
}

void check_content(struct check *c, const struct field *field, const struct json *node)
{
    if (!expect_type(c, node, field->name, JSON_ARRAY))
        return;
    size_t index = 0;
    JSON_FOR_EACH (item, node) {
        char path[PATH_SIZE];
        (void)snprintf(path, sizeof(path), "content[%zu]", index++);
        check_item(c, item, path);
    }
    if (index == 0)
        problem_add(c, SEVERITY_ERROR, node, field->name, "count",
                    "is empty. Put media into it, or leave the field out.");
    for (size_t i = 0; i < MEDIA_KINDS; i++) {
        int64_t max_count = c->rules->media[i].max_count;
        if (c->counts[i] > (size_t)max_count)
            problem_add(c, SEVERITY_ERROR, node, field->name, "count",
                        "has %zu items of type %s; the service accepts at most %lld.", c->counts[i],
                        media_rules[i].one, (long long)max_count);
    }
}
