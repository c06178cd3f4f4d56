/*
 * util: what the simulator needs beyond base/: memory that never fails, text without a cap, pacing,
 * and numbers drawn from a seed.
 *
 * Lifetime: a struct buf that starts as SIM_BUF needs buf_fini() or text_take(). The caller frees
 * all other memory with free().
 * Errors: without memory the program ends with a message: the simulator is a test tool, and a test
 * must not go on with an oracle that forgot something. Everything else returns -errno.
 */
#ifndef SIM_UTIL_H
#define SIM_UTIL_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/buf.h"
#include "seedancefs/base/clock.h"
#include "seedancefs/base/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_BUF ((struct buf){.limit = (size_t)2 << 30})

/* Prints what failed and why (an errno), and ends the program at once. */
_Noreturn void sim_die(const char *what, int error);

/* Zeroed memory; never NULL. */
void *mem_alloc(size_t size);
char *mem_dup(const void *data, size_t len); /* a copy with a NUL after it */
char *mem_strdup(const char *s);             /* NULL stays NULL */
char *mem_format(const char *format, ...) PRINTF_LIKE(1, 2);

/* The whole text, or the end of the program. text_take() gives it away, text_whole() lends it. */
char *text_take(struct buf *text) NODISCARD;
const char *text_whole(const struct buf *text);

int64_t clock_now_ms(void);       /* wall clock: used in responses, and valid after a restart */
int64_t clock_monotonic_us(void); /* for pacing */
void clock_sleep_us(int64_t us);
/* "Mon, 23 Nov 2026 08:00:00 GMT" (RFC 9110, 5.6.7). */
void clock_http_date(int64_t time_ms, char out[static 64]);
/* "20261123T080000Z" */
void clock_tos_date(int64_t time_ms, char out[static 32]);

/* The finalizer of splitmix64: a bijection that mixes all bits. */
static inline uint64_t mix64(uint64_t x)
{
    return random_next(&x);
}

/* Uniform in [0, 1), a pure function of its arguments. */
double random_unit(uint64_t seed, uint64_t number, uint64_t purpose);

/* Reads the whole file and adds a NUL; the caller frees it. -EFBIG above max_bytes. */
int file_read(const char *path, size_t max_bytes, char **data_out, size_t *len_out) NODISCARD;
/* One write(2) per call to an O_APPEND descriptor; repeats only if the kernel took less. */
int file_append(int fd, const void *data, size_t len) NODISCARD;

#endif
