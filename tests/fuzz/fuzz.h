/*
 * What: what the fuzz targets share: the oracle's voice, texts out of raw bytes, a reader that
 * takes an input apart, and checks of texts that are written again here, so that they cannot share
 * a mistake with the program.
 * Lifetime: texts of fuzz_text() are owned by the caller.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "seedancefs/base/attributes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* An oracle: what must hold for every input. libFuzzer keeps the input of an abort(). */
#define FUZZ_REQUIRE(is_kept, ...)                                                                 \
    do {                                                                                           \
        if (!(is_kept)) {                                                                          \
            (void)fprintf(stderr, "%s:%d: oracle: %s: ", __FILE__, __LINE__, #is_kept);            \
            (void)fprintf(stderr, __VA_ARGS__);                                                    \
            (void)fputc('\n', stderr);                                                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A copy of its exact size, so that the address sanitizer sees the first byte behind it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    FUZZ_REQUIRE(text, "no memory");
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* The same bytes without a NUL behind them. */
static inline char *fuzz_bytes(const uint8_t *data, size_t size)
{
    char *bytes = malloc(size ? size : 1);
    FUZZ_REQUIRE(bytes, "no memory");
    if (size > 0)
        memcpy(bytes, data, size);
    return bytes;
}

/* Takes an input apart from its front; behind its end there are only zeros. */
struct fuzz_reader {
    const uint8_t *at;
    size_t left;
};

static inline uint8_t fuzz_take_byte(struct fuzz_reader *reader)
{
    if (reader->left == 0)
        return 0;
    reader->left--;
    return *reader->at++;
}

/* Little endian. */
static inline uint64_t fuzz_take_number(struct fuzz_reader *reader, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)fuzz_take_byte(reader) << (8 * i);
    return value;
}

/* At most `most` bytes; lent. */
static inline const uint8_t *fuzz_take_span(struct fuzz_reader *reader, size_t most, size_t *len)
{
    const uint8_t *span = reader->at;
    *len = most < reader->left ? most : reader->left;
    reader->at += *len;
    reader->left -= *len;
    return span;
}

/* RFC 3629 by its own grammar (section 4): decode, then compare with the range of each length. */
static inline bool fuzz_is_utf8(const char *text, size_t len)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < len;) {
        unsigned char lead = (unsigned char)text[i++];
        unsigned more = lead < 0x80 ? 0 : lead < 0xc0 ? 4 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        if (more == 4 || lead >= 0xf8 || more > len - i)
            return false;
        uint32_t point = more == 0 ? lead : lead & (0x3fu >> more);
        for (unsigned k = 0; k < more; k++, i++) {
            if (((unsigned char)text[i] & 0xc0) != 0x80)
                return false;
            point = point << 6 | ((unsigned char)text[i] & 0x3fu);
        }
        if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
            return false;
    }
    return true;
}

static inline bool fuzz_has_control(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    }
    return false;
}

/* One line that can be shown: UTF-8, no control characters. */
static inline void fuzz_require_line(const char *text, const char *what)
{
    FUZZ_REQUIRE(fuzz_is_utf8(text, strlen(text)), "%s is not UTF-8", what);
    FUZZ_REQUIRE(!fuzz_has_control(text), "%s has a control character", what);
}

/* What must hold for every text that the strict reader of JSON has accepted, without a parser:
 * UTF-8, no NUL, brackets that match, nested at most `depth_max` deep. */
static inline void fuzz_require_strict_json(const char *text, size_t len, size_t depth_max)
{
    char open[256];
    size_t depth = 0;
    bool is_in_string = false;
    FUZZ_REQUIRE(depth_max <= sizeof(open), "raise the size");
    FUZZ_REQUIRE(!memchr(text, '\0', len) && fuzz_is_utf8(text, len), "bytes of no JSON accepted");
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (is_in_string && c == '\\') {
            i++;
        } else if (c == '"') {
            is_in_string = !is_in_string;
        } else if (!is_in_string && (c == '{' || c == '[')) {
            FUZZ_REQUIRE(depth < depth_max, "nested deeper than %zu", depth_max);
            open[depth++] = c;
        } else if (!is_in_string && (c == '}' || c == ']')) {
            FUZZ_REQUIRE(depth > 0 && open[depth - 1] == (c == '}' ? '{' : '['), "unbalanced");
            depth--;
        }
    }
    FUZZ_REQUIRE(depth == 0 && !is_in_string, "open at its end");
}

#endif
