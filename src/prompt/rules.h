/*
 * What: the numbers and words of the service's documentation ("Request", "Models and rates"), each
 * in one place.
 * Lifetime: static.
 */
#ifndef SEEDANCEFS_PROMPT_RULES_H
#define SEEDANCEFS_PROMPT_RULES_H

#include <stdbool.h>

enum {
    DURATION_MIN_S = 4,
    DURATION_MAX_S = 15,
    DURATION_DEFAULT_S = 5,
    INPUT_MIN_S = 2,      /* for each reference video and audio */
    INPUT_ALL_MAX_S = 15, /* for all reference videos together */
    PROMPT_WORDS_MAX = 1000,
    PROMPT_CJK_MAX = 500, /* characters: what upstream advises for languages without spaces */
    IMAGE_BYTES_MAX = 30 * 1024 * 1024 - 1, /* "< 30 MB", read as the larger MiB */
    AUDIO_BYTES_MAX = 15 * 1024 * 1024,
    VIDEO_BYTES_MAX = 200 * 1024 * 1024, /* 50 MB in an older documentation */
};

#define ASPECT_RATIO_DEFAULT "adaptive"

/* In the order of enum prompt_media. */
enum reference_kind { MEDIA_IMAGE, MEDIA_VIDEO, MEDIA_AUDIO, MEDIA_KINDS };

struct media_rule {
    const char *noun;   /* "image" */
    const char *one;    /* field, and the type of a content item: "image_url" */
    const char *many;   /* "image_urls" */
    unsigned max_count; /* of references */
    int max_bytes;      /* of a file */
    bool is_inline;     /* it may be sent in the request; else only by address */
};

extern const struct media_rule media_rules[MEDIA_KINDS];

/* NULL ends each list. */
extern const char *const aspect_ratios[];
extern const char *const resolutions[];

#endif
