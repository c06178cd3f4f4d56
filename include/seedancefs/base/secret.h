/*
 * What: the API key as a type of its own, so that no format string can print it: only net/ reads
 * the text, when it builds the Authorization header.
 * Lifetime: secret_init() .. secret_fini(), which wipes the memory.
 */
#ifndef SEEDANCEFS_BASE_SECRET_H
#define SEEDANCEFS_BASE_SECRET_H

#include "seedancefs/base/attributes.h"

#include <stdbool.h>
#include <stddef.h>

struct secret {
    char *text;
    size_t len;
};

/* Copies `text` without blanks around it. -EINVAL when it is empty, longer than 4,096 bytes, or
 * has a byte that is not allowed in an HTTP header (RFC 9110, section 5.5). */
int secret_init(struct secret *secret, const char *text, size_t len) NODISCARD;
void secret_fini(struct secret *secret);

/* Replaces the secret by asterisks wherever it is in these bytes; the length stays. A secret of
 * less than eight bytes could be a part of any text, and is not replaced. */
void secret_mask(const struct secret *secret, char *bytes, size_t len);

static inline bool secret_is_set(const struct secret *secret)
{
    return secret->text != NULL;
}

#endif
