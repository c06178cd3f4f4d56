/*
 * The three ways to use media, which exclude each other (the service's documentation, "Modes"): a
 * first frame; a first and a last frame; references. A frame is written as a field of its own or as
 * an item of "content". Whatever the spelling, the same rules hold, and a message names the fields.
 */
#include "check.h"

#include <stdio.h>
#include <string.h>

const char *const role_words[ROLES] = {
    [ROLE_NONE] = "",
    [ROLE_FIRST] = "first_frame",
    [ROLE_LAST] = "last_frame",
    [ROLE_IMAGE] = "reference_image",
    [ROLE_VIDEO] = "reference_video",
    [ROLE_AUDIO] = "reference_audio",
};

static void place_note(struct mode_place *place, const struct json *node, const char *path)
{
    if (place->node)
        return;
    place->node = node;
    (void)snprintf(place->path, sizeof(place->path), "%s", path);
}

void mode_add(struct check *c, enum role role, enum reference_kind kind, const struct json *node,
              const char *path)
{
    struct modes *modes = &c->modes;
    bool is_bare_image = role == ROLE_NONE && kind == MEDIA_IMAGE;
    modes->by_role[role]++;
    place_note(role == ROLE_FIRST  ? &modes->first_frame
               : role == ROLE_LAST ? &modes->last_frame
               : is_bare_image     ? &modes->bare_image
                                   : &modes->reference,
               node, path);
}

void check_frame(struct check *c, const struct field *field, const struct json *node)
{
    enum role role = strcmp(field->name, role_words[ROLE_FIRST]) == 0 ? ROLE_FIRST : ROLE_LAST;
    c->counts[MEDIA_IMAGE]++;
    mode_add(c, role, MEDIA_IMAGE, node, field->name);
    if (json_type_get(node) == JSON_ARRAY)
        problem_add(c, SEVERITY_ERROR, node, field->name, "type", "takes one image.");
    else
        check_media(c, MEDIA_IMAGE, node, field->name);
}

void check_modes(struct check *c)
{
    const struct modes *modes = &c->modes;
    const struct mode_place *first = &modes->first_frame;
    const struct mode_place *last = &modes->last_frame;
    const struct mode_place *bare = &modes->bare_image;
    const struct mode_place *frame = first->node ? first : last;
    for (size_t i = ROLE_FIRST; i <= ROLE_LAST; i++) {
        if (modes->by_role[i] > 1)
            problem_add(c, SEVERITY_ERROR, (i == ROLE_FIRST ? first : last)->node,
                        (i == ROLE_FIRST ? first : last)->path, "count",
                        "is one of %zu images with the role %s; at most one is allowed.",
                        modes->by_role[i], role_words[i]);
    }
    if (last->node && !first->node)
        problem_add(c, SEVERITY_ERROR, last->node, last->path, "missing",
                    "a last_frame needs a first_frame as well.");
    if (frame->node && modes->reference.node)
        problem_add(c, SEVERITY_ERROR, frame->node, frame->path, "exclusive",
                    "first_frame and last_frame cannot be combined with references, video or "
                    "audio, as in %s. Use either frames or references.",
                    modes->reference.path);
    if (!bare->node)
        return;
    if (frame->node || modes->items > 1)
        problem_add(c, SEVERITY_ERROR, bare->node, bare->path, "missing",
                    "is missing; with several items each image needs one: first_frame, last_frame "
                    "or reference_image.");
    else if (!modes->reference.node)
        problem_add(c, SEVERITY_WARNING, bare->node, bare->path, "role",
                    "a single image without role counts as the first frame. Write \"first_frame\" "
                    "or \"reference_image\" to be sure.");
}
