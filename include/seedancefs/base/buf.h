/*
 * What: a growing byte buffer with a limit from the start, so that nothing from outside can make
 * the program allocate without bound.
 * Lifetime: buf_init() .. buf_fini(); a zeroed struct is a valid empty buffer with limit 0.
 * Errors: the first failure (-ENOMEM, -EFBIG at the limit) stays in `error`; later adds do nothing
 * and return it, so that a long rendering needs only one check at the end.
 * The bytes are always followed by a NUL that does not count, so that text can be used as a string.
 */
#ifndef SEEDANCEFS_BASE_BUF_H
#define SEEDANCEFS_BASE_BUF_H

#include "seedancefs/base/attributes.h"

#include <stdarg.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t len;
    size_t capacity;
    size_t limit; /* most bytes it may ever hold */
    int error;
};

void buf_init(struct buf *b, size_t limit);
void buf_fini(struct buf *b);

/* Empties the buffer and clears its error; keeps the memory. */
void buf_clear(struct buf *b);

int buf_add(struct buf *b, const void *bytes, size_t len);
int buf_add_text(struct buf *b, const char *text);
int buf_add_char(struct buf *b, char c);
int buf_addf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
int buf_addv(struct buf *b, const char *format, va_list arguments) PRINTF_LIKE(2, 0);

/* Makes room for `len` more bytes and lends the place; the caller then adds to b->len. */
int buf_reserve(struct buf *b, size_t len) NODISCARD;

/* Gives the bytes away (free() them); the buffer is empty afterwards. Never NULL without error. */
char *buf_take(struct buf *b) NODISCARD;

/* Lends the text; "" for an empty buffer. */
const char *buf_text(const struct buf *b);

#endif
