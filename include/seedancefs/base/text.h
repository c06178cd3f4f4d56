/*
 * What: small renderings and checks of text that several floors need: times, money, names, UTF-8.
 * Nothing here allocates, and nothing keeps state.
 */
#ifndef SEEDANCEFS_BASE_TEXT_H
#define SEEDANCEFS_BASE_TEXT_H

#include "seedancefs/base/attributes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TEXT_TIME_SIZE = 32,  /* fits "2026-11-23T08:00:00.123Z" and its NUL */
    TEXT_MONEY_SIZE = 32, /* fits any int64 of micro-dollars */
    TEXT_NAME_MAX = 128,  /* bytes of a job's or file's name */
};

/* RFC 3339 in UTC with milliseconds. */
void text_time_rfc3339(int64_t wall_ms, char out[static TEXT_TIME_SIZE]);

/* "1.5" micro-dollars 1500000; always at least two decimals ("1.50"), no more than needed. */
void text_usd(int64_t usd_micros, char out[static TEXT_MONEY_SIZE]);

/* "12.50" -> 12500000. At most six decimals, no sign, no exponent. -EINVAL or -ERANGE. */
int text_usd_parse(const char *text, int64_t *usd_micros) NODISCARD;

/* "64M", "1.5G" is not accepted: whole numbers with K, M, G or T (binary). -EINVAL or -ERANGE. */
int text_size_parse(const char *text, int64_t *bytes) NODISCARD;

/* True when `bytes` are valid UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool text_is_utf8(const char *bytes, size_t len);

/*
 * Checks a name for a job or a file in it: 1 to 128 bytes of valid UTF-8, no control characters,
 * no '/', not "." or "..". 0, -EINVAL, -EILSEQ or -ENAMETOOLONG.
 */
int text_name_check(const char *name) NODISCARD;

/* What a sentence that ends with `text` still needs: "." or, behind ".", "!" or "?", "". */
const char *text_full_stop(const char *text);

/* SHA-like strength is not needed here: FNV-1a, for tables and checks of identity. */
uint64_t text_hash(const void *bytes, size_t len);

#endif
