/*
 * What: finds out the type of a file from its first bytes, never from its name; and base64
 * (RFC 4648, section 4), the form in which a request contains files.
 * Lifetime: names are static.
 * Errors: as each function says.
 */
#ifndef SEEDANCEFS_PROMPT_MEDIA_TYPE_H
#define SEEDANCEFS_PROMPT_MEDIA_TYPE_H

#include "rules.h"

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/buf.h"

#include <stdint.h>

enum { MEDIA_MAGIC_BYTES = 12 };

struct media_type {
    enum reference_kind kind;
    const char *mime; /* as the service's documentation spells it: the format in lower case */
};

/* NULL when the bytes are none of the formats of the service's documentation. */
const struct media_type *media_type_detect(const unsigned char *bytes, size_t len);

/* "jpeg, png, …" of one kind. Static storage. */
const char *media_type_list(enum reference_kind kind);

void base64_encode(struct buf *out, const char *bytes, size_t len);

/* Bytes that `text` stands for, or -EINVAL if it is not padded base64. The first ones are
 * written to `head`. */
int64_t base64_check(const char *text, size_t len, unsigned char head[static MEDIA_MAGIC_BYTES]);

#endif
