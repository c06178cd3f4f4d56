#include "check.h"

#include "seedancefs/base/nearest.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The name looks like a field, but is the role of one. */
#define ROLE(role, type)                                                                           \
    {                                                                                              \
        role, "\"" role "\" is a role in \"content\": {\"type\": \"" type "\", \"" type            \
              "\": {\"url\": \"…\"}, \"role\": \"" role "\"}."                                     \
    }

/* Fields that other services or older models of this one have, and what to do here instead. */
static const struct {
    const char *name;
    const char *sentence;
} foreign_fields[] = {
    {"seed", "Seedance 2.0 has no seed; every run is different. Remove it."},
    {"camera_fixed",
     "Seedance 2.0 no longer has it. Say in the prompt that the camera stands still."},
    {"camerafixed",
     "Seedance 2.0 no longer has it. Say in the prompt that the camera stands still."},
    {"cf", "Seedance 2.0 no longer has it. Say in the prompt that the camera stands still."},
    {"frames", "Seedance 2.0 counts seconds, not frames. Use \"duration\"."},
    {"service_tier", "Seedance 2.0 has one tier only. Remove it."},
    {"return_last_frame", "the service does not return the last frame. Remove it."},
    {"fps", "Seedance 2.0 always makes 24 frames per second. Remove it."},
    {"framespersecond", "Seedance 2.0 always makes 24 frames per second. Remove it."},
    {"ratio", "did you mean \"aspect_ratio\"?"},
    {"rt", "did you mean \"aspect_ratio\"?"},
    {"dur", "did you mean \"duration\"?"},
    {"seconds", "did you mean \"duration\"?"},
    {"rs", "did you mean \"resolution\"?"},
    {"size", "did you mean \"resolution\" or \"aspect_ratio\"?"},
    {"wm", "did you mean \"watermark\"?"},
    {"text", "did you mean \"prompt\"?"},
    {"image", "did you mean \"image_url\"?"},
    {"images", "did you mean \"image_urls\"?"},
    {"video", "did you mean \"video_url\"?"},
    {"videos", "did you mean \"video_urls\"?"},
    {"audio", "did you mean \"audio_url\" or \"generate_audio\"?"},
    {"audios", "did you mean \"audio_urls\"?"},
    {"negative_prompt", "the service has none. Say in the prompt what to avoid."},
    {"n", "one request makes one video. Make one job for each."},
    {"callback_url", "seedancefs asks for the state itself. Remove it."},
    {"execution_expires_after", "the service's documentation does not name it. Remove it."},
    {"draft", "the service's documentation does not name it. Remove it."},
    ROLE("reference_image", "image_url"),
    ROLE("reference_video", "video_url"),
    ROLE("reference_audio", "audio_url"),
};

static const char *foreign_sentence(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(foreign_fields); i++) {
        if (strcasecmp(foreign_fields[i].name, name) == 0)
            return foreign_fields[i].sentence;
    }
    return NULL;
}

void check_unknown(struct check *c, const struct json *member, const char *path,
                   const char *const *known)
{
    const char *key = json_key_get(member);
    const char *sentence = foreign_sentence(key);
    const char *nearest = sentence ? NULL : nearest_name(key, known);
    char guess[96] = "the service's documentation does not name it.";
    if (nearest)
        (void)snprintf(guess, sizeof(guess), "did you mean \"%s\"?", nearest);
    if (c->settings->allow_unknown)
        problem_add_at_key(c, SEVERITY_WARNING, member, path, "unknown-field",
                           "unknown field; %s It is sent unchanged, because unknown fields are "
                           "allowed.",
                           sentence ? sentence : guess);
    else
        problem_add_at_key(c, SEVERITY_ERROR, member, path, "unknown-field", "unknown field; %s%s",
                           sentence ? sentence : guess, sentence || nearest ? "" : " Remove it.");
}
