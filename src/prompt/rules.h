/*
 * What: the words for media in requests. The numbers and words that differ from model to model are
 * in seedancefs/prompt/model.h.
 * Lifetime: static.
 */
#ifndef SEEDANCEFS_PROMPT_RULES_H
#define SEEDANCEFS_PROMPT_RULES_H

#include <stdbool.h>

/* Characters of languages without spaces between words: what upstream advises. */
enum { PROMPT_CJK_MAX = 500 };

/* In the order of enum prompt_media. */
enum reference_kind { MEDIA_IMAGE, MEDIA_VIDEO, MEDIA_AUDIO, MEDIA_KINDS };

struct media_rule {
    const char *noun; /* "image" */
    const char *one;  /* field, and the type of a content item: "image_url" */
    const char *many; /* "image_urls" */
    bool is_inline;   /* it may be sent in the request; else only by address */
};

extern const struct media_rule media_rules[MEDIA_KINDS];

#endif
