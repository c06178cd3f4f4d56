/*
 * What: defaults.json: the values that a prompt leaves out. It is checked by the same rules as a
 * prompt, but has only fields that every request has, and not the prompt itself.
 * Lifetime: a zeroed struct is "no defaults"; prompt_defaults_fini() frees and zeroes it.
 * Errors: as in prompt.h.
 */
#ifndef SEEDANCEFS_PROMPT_DEFAULTS_H
#define SEEDANCEFS_PROMPT_DEFAULTS_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/prompt/prompt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prompt_defaults {
    char *model; /* NULL: none, as for the other texts */
    char *resolution;
    char *aspect_ratio;
    int64_t duration_s; /* 0: none; -1: the model chooses */
    bool has_generate_audio;
    bool generate_audio;
    bool has_watermark;
    bool watermark;
    bool hold; /* see enum prompt_hold */
};

/*
 * Checks the content of defaults.json, as prompt_check() does that of a prompt. A blank text is not
 * a mistake, and means no defaults. `out` is zeroed by the caller, and untouched on failure. The
 * media and defaults of the settings are not used.
 */
int prompt_defaults_check(const char *bytes, size_t len, const struct prompt_settings *settings,
                          struct prompt_defaults *out, struct prompt_report *report) NODISCARD;

void prompt_defaults_fini(struct prompt_defaults *defaults);

#endif
