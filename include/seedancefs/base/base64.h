/*
 * What: base64 (RFC 4648, section 4), the form in which files travel in a request.
 * Errors: base64_encode()'s stick in the buf.
 */
#ifndef SEEDANCEFS_BASE_BASE64_H
#define SEEDANCEFS_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

struct buf;

void base64_encode(struct buf *out, const void *bytes, size_t len);

/* Bytes that `text` stands for, or -EINVAL if it is not padded base64. The first `size` of them are
 * written to `out`. */
int64_t base64_decode(const char *text, size_t len, void *out, size_t size);

#endif
