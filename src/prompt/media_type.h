/*
 * What: finds out the type of a file from its first bytes, never from its name.
 * Lifetime: names are static.
 * Errors: as each function says.
 */
#ifndef SEEDANCEFS_PROMPT_MEDIA_TYPE_H
#define SEEDANCEFS_PROMPT_MEDIA_TYPE_H

#include "rules.h"

#include "seedancefs/base/attributes.h"

#include <stddef.h>

enum { MEDIA_MAGIC_BYTES = 12 };

struct media_type {
    enum reference_kind kind;
    const char *mime; /* in lower case, as the service's documentation spells the format */
};

/* NULL when the bytes are of no format in the service's documentation. */
const struct media_type *media_type_detect(const unsigned char *bytes, size_t len);

/* The formats of one kind, like "jpeg, png, …". Static storage. */
const char *media_type_list(enum reference_kind kind);

#endif
