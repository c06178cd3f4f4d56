/*
 * What: small renderings and checks of text that several layers need: times, money, names, UTF-8,
 * and texts from outside in the form in which they may be shown. These functions allocate only in
 * the caller's buf, and keep no state.
 */
#ifndef SEEDANCEFS_BASE_TEXT_H
#define SEEDANCEFS_BASE_TEXT_H

#include "seedancefs/base/attributes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

enum {
    TEXT_TIME_SIZE = 32,  /* fits "2026-11-23T08:00:00.123Z" and its NUL */
    TEXT_MONEY_SIZE = 32, /* fits any int64 of micro-dollars */
    TEXT_NAME_MAX = 255,  /* bytes of a job's or file's name, as on other filesystems */
};

/* RFC 3339 in UTC with milliseconds. */
void text_time_rfc3339(int64_t wall_ms, char out[static TEXT_TIME_SIZE]);

/* "1.5" micro-dollars 1500000; always at least two decimals ("1.50"), no more than needed. */
void text_usd(int64_t usd_micros, char out[static TEXT_MONEY_SIZE]);

/* "12.50" -> 12500000. At most six decimals, no sign, no exponent. -EINVAL or -ERANGE. */
int text_usd_parse(const char *text, int64_t *usd_micros) NODISCARD;

/* "64M", "1.5G" is not accepted: whole numbers with K, M, G or T (binary). -EINVAL or -ERANGE. */
int text_size_parse(const char *text, int64_t *bytes) NODISCARD;

/* Bytes of the valid UTF-8 sequence at `p` (1 to 4; RFC 3629), 0 when it is invalid, -1 when it is the
 * beginning of a valid one that the text cuts off. `len` >= 1. */
int text_utf8_step(const char *p, size_t len);

/* The length of the text, or if that is longer than `max` bytes, of its longest part of whole
 * characters. */
size_t text_cut(const char *text, size_t max);

/* 0 to 15, or -1. */
int text_hex_value(char c);

/* Line and column, from 1 and in code points, of the place with `offset` bytes of a text before it. */
void text_place_find(const char *text, size_t offset, unsigned *line, unsigned *column);

/* True when `bytes` are valid UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool text_is_utf8(const char *bytes, size_t len);

/*
 * Checks a name for a job or a file in it: 1 to 255 bytes of valid UTF-8, no control characters,
 * no '/', not "." or "..". 0, -EINVAL, -EILSEQ or -ENAMETOOLONG.
 */
int text_name_check(const char *name) NODISCARD;

/* True for C0, DEL, C1 and what breaks lines or turns the direction of writing (U+2028..202E,
 * U+2066..2069). The sequence is valid UTF-8. */
bool text_is_control(const char *sequence);

/*
 * Texts that come from outside (a request, a response, a message) and are shown to people.
 *
 * Control characters could be commands to a terminal. They are shown as the escape sequence of
 * JSON and most languages, \u001b, so that JSON keeps its meaning; newline and tab stay. Bytes that
 * are not UTF-8 are shown as \x9b. A carriage return before a newline is left out.
 *
 * Some parts of a URL are secrets: the query and fragment may be a signature, and there may be a
 * password before the host. Each is shown as "…". A URL begins with "://" and ends at a blank, a
 * quotation mark or the end of the text. The text may be JSON, in which everything but the
 * quotation mark may be escaped.
 */
int text_add_escaped(struct buf *out, const char *text, size_t len); /* control characters alone */
int text_add_shown(struct buf *out, const char *text, size_t len);   /* and without such secrets */

/* True when a URL in the text has one of them. */
bool text_has_url_secret(const char *text, size_t len);

/* Replaces each of their bytes by '*', for a text whose length must stay. */
void text_mask_url_secrets(char *text, size_t len);

/* What a sentence that ends with `text` still needs: ".", or "" after ".", "!" or "?". */
const char *text_full_stop(const char *text);

/* FNV-1a, for tables and checks of identity; not for protection against an attacker. */
uint64_t text_hash(const void *bytes, size_t len);

#endif
