#include "sim/util.h"

#include "seedancefs/base/file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void sim_die(const char *what, int error)
{
    fprintf(stderr, "seedance-sim: %s: %s\n", what, strerror(error));
    _exit(1);
}

static void *or_die(void *p)
{
    if (p == NULL)
        sim_die("memory", ENOMEM);
    return p;
}

void *mem_alloc(size_t size)
{
    return or_die(calloc(1, size > 0 ? size : 1));
}

char *mem_dup(const void *data, size_t len)
{
    char *copy = or_die(malloc(len + 1));
    if (len > 0)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

char *mem_strdup(const char *s)
{
    return s == NULL ? NULL : mem_dup(s, strlen(s));
}

const char *text_whole(const struct buf *text)
{
    if (text->error)
        sim_die("cannot keep a text", -text->error);
    return buf_text(text);
}

char *text_take(struct buf *text)
{
    (void)text_whole(text);
    return or_die(buf_take(text));
}

char *mem_format(const char *format, ...)
{
    struct buf text = SIM_BUF;
    va_list arguments;
    va_start(arguments, format);
    (void)buf_addv(&text, format, arguments);
    va_end(arguments);
    return text_take(&text);
}

int64_t clock_now_ms(void)
{
    return clock_wall_ms(clock_system());
}

int64_t clock_monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void clock_sleep_us(int64_t us)
{
    if (us <= 0)
        return;
    struct timespec left = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

/* strftime() follows the locale, which is "C" because the simulator never calls setlocale(). */
static void clock_format(int64_t time_ms, const char *format, char *out, size_t size)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (strftime(out, size, format, &tm) == 0)
        out[0] = '\0';
#pragma GCC diagnostic pop
}

void clock_http_date(int64_t time_ms, char out[static 64])
{
    clock_format(time_ms, "%a, %d %b %Y %H:%M:%S GMT", out, 64);
}

void clock_tos_date(int64_t time_ms, char out[static 32])
{
    clock_format(time_ms, "%Y%m%dT%H%M%SZ", out, 32);
}

double random_unit(uint64_t seed, uint64_t number, uint64_t purpose)
{
    uint64_t bits = mix64(mix64(mix64(seed) ^ number) ^ purpose);
    return (double)(bits >> 11) / 9007199254740992.0;
}

int file_read(const char *path, size_t max_bytes, char **data_out, size_t *len_out)
{
    struct buf bytes;
    buf_init(&bytes, max_bytes);
    int r = file_read_all(path, &bytes);
    if (r == 0) {
        *len_out = bytes.len;
        *data_out = text_take(&bytes);
    }
    buf_fini(&bytes);
    return r;
}

int file_append(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}
