/*
 * util: memory, growing text, time, hashing and files for the simulator.
 *
 * What:     the few things that every other file of the simulator needs.
 * Lifetime: a zeroed struct text is empty and valid; text_fini() frees it. Memory is freed by
 * free().
 * Errors:   out of memory ends the program with a message: the simulator is a test tool, and a test
 *           must not go on with an oracle that forgot something. Everything else returns -errno.
 */
#ifndef SIM_UTIL_H
#define SIM_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((__format__(__printf__, text, first)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Zeroed memory; never NULL. */
void *mem_alloc(size_t size);
char *mem_dup(const void *data, size_t len); /* a copy with a NUL behind it */
char *mem_strdup(const char *s);             /* NULL stays NULL */
char *mem_format(const char *format, ...) PRINTF_LIKE(1, 2);

/* A growing byte string, always NUL-terminated once something was appended. */
struct text {
    char *data;
    size_t len;
    size_t cap;
};

void text_append(struct text *t, const void *data, size_t len);
void text_add(struct text *t, const char *s);
void text_format(struct text *t, const char *format, ...) PRINTF_LIKE(2, 3);
/* Appends s as a quoted JSON string; s must be UTF-8. */
void text_add_json(struct text *t, const char *s, size_t len);
/* As above, or `null` for NULL. */
void text_add_json_or_null(struct text *t, const char *s);
void text_fini(struct text *t);

bool utf8_is_valid(const char *s, size_t len);
/* Returns NULL when text is not base64. *len_out without the NUL that follows. */
char *base64_decode(const char *text, size_t *len_out);
char *base64_encode(const void *data, size_t len);

int64_t clock_now_ms(void);       /* wall clock: it goes into answers and survives a restart */
int64_t clock_monotonic_us(void); /* for pacing */
void clock_sleep_us(int64_t us);
/* "Mon, 23 Nov 2026 08:00:00 GMT" (RFC 9110, 5.6.7). */
void clock_http_date(int64_t time_ms, char out[static 64]);
/* "20261123T080000Z" */
void clock_tos_date(int64_t time_ms, char out[static 32]);

/* The finalizer of splitmix64: a bijection that spreads every bit. */
static inline uint64_t mix64(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t hash_bytes(uint64_t seed, const void *data, size_t len);
/* Uniform in [0, 1), a pure function of its arguments. */
double random_unit(uint64_t seed, uint64_t number, uint64_t purpose);

/* "10", "4K", "3M", "5G" (powers of 1024). -EINVAL for anything else. */
int size_parse(const char *s, uint64_t *bytes_out) NODISCARD;
/* The whole file, NUL behind it; -EFBIG above max_bytes. */
int file_read(const char *path, size_t max_bytes, char **data_out, size_t *len_out) NODISCARD;
/* One write(2) per call for an O_APPEND descriptor; goes on only if the kernel took less. */
int file_append(int fd, const void *data, size_t len) NODISCARD;
/* Writes a temporary file next to path and renames it onto path. */
int file_replace(const char *path, const char *content) NODISCARD;

#endif
