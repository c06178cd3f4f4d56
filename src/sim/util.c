#include "sim/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void *or_die(void *p)
{
    if (p == NULL) {
        fputs("seedance-sim: out of memory\n", stderr);
        _exit(1);
    }
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

static void text_reserve(struct text *t, size_t more)
{
    if (t->len + more + 1 <= t->cap)
        return;
    size_t cap = t->cap > 0 ? t->cap : 256;
    while (cap < t->len + more + 1)
        cap *= 2;
    t->data = or_die(realloc(t->data, cap));
    t->cap = cap;
}

void text_append(struct text *t, const void *data, size_t len)
{
    text_reserve(t, len);
    if (len > 0)
        memcpy(t->data + t->len, data, len);
    t->len += len;
    t->data[t->len] = '\0';
}

void text_add(struct text *t, const char *s)
{
    text_append(t, s, strlen(s));
}

PRINTF_LIKE(2, 0) static void text_vformat(struct text *t, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    if (n > 0) {
        text_reserve(t, (size_t)n);
        (void)vsnprintf(t->data + t->len, (size_t)n + 1, format, again);
        t->len += (size_t)n;
    }
    va_end(again);
}

void text_format(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_vformat(t, format, args);
    va_end(args);
}

char *mem_format(const char *format, ...)
{
    struct text t = {0};
    text_add(&t, "");
    va_list args;
    va_start(args, format);
    text_vformat(&t, format, args);
    va_end(args);
    return t.data;
}

void text_add_json(struct text *t, const char *s, size_t len)
{
    text_reserve(t, len + 2);
    text_add(t, "\"");
    size_t done = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        text_append(t, s + done, i - done);
        if (c == '"' || c == '\\')
            text_format(t, "\\%c", c);
        else
            text_format(t, "\\u%04x", (unsigned)c);
        done = i + 1;
    }
    text_append(t, s + done, len - done);
    text_add(t, "\"");
}

void text_add_json_or_null(struct text *t, const char *s)
{
    if (s == NULL)
        text_add(t, "null");
    else
        text_add_json(t, s, strlen(s));
}

void text_fini(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}

/* Bytes that follow the lead byte c, or -1. Overlong forms and surrogates: see utf8_is_valid(). */
static int utf8_tail_len(unsigned char c)
{
    if (c < 0x80)
        return 0;
    if (c >= 0xc2 && c <= 0xdf)
        return 1;
    if (c >= 0xe0 && c <= 0xef)
        return 2;
    return c >= 0xf0 && c <= 0xf4 ? 3 : -1;
}

bool utf8_is_valid(const char *s, size_t len)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)s[i++];
        int tail = utf8_tail_len(c);
        if (tail < 0 || (size_t)tail > len - i)
            return false;
        uint32_t code = tail == 0 ? c : c & (0x3fu >> tail);
        for (int k = 0; k < tail; k++) {
            unsigned char next = (unsigned char)s[i++];
            if ((next & 0xc0) != 0x80)
                return false;
            code = code << 6 | (next & 0x3fu);
        }
        if (code < least[tail] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return false;
    }
    return true;
}

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t len)
{
    const unsigned char *in = data;
    char *out = mem_alloc((len + 2) / 3 * 4 + 1);
    size_t o = 0;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t v = (uint32_t)in[i] << 16;
        v |= left > 1 ? (uint32_t)in[i + 1] << 8 : 0;
        v |= left > 2 ? in[i + 2] : 0;
        out[o++] = base64_alphabet[v >> 18];
        out[o++] = base64_alphabet[v >> 12 & 63];
        out[o++] = left > 1 ? base64_alphabet[v >> 6 & 63] : '=';
        out[o++] = left > 2 ? base64_alphabet[v & 63] : '=';
    }
    return out;
}

char *base64_decode(const char *text, size_t *len_out)
{
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == '=')
        len--;
    char *out = mem_alloc(len + 1);
    size_t o = 0;
    uint32_t v = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < len; i++) {
        const char *at = strchr(base64_alphabet, text[i]);
        if (at == NULL) {
            free(out);
            return NULL;
        }
        v = v << 6 | (uint32_t)(at - base64_alphabet);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[o++] = (char)(v >> bits & 0xff);
        }
    }
    *len_out = o;
    return out;
}

int64_t clock_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
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

/* strftime() would follow the locale; the simulator never calls setlocale(), so it is "C". */
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

uint64_t hash_bytes(uint64_t seed, const void *data, size_t len)
{
    const unsigned char *p = data;
    uint64_t h = mix64(seed ^ len);
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return mix64(h);
}

double random_unit(uint64_t seed, uint64_t number, uint64_t purpose)
{
    uint64_t bits = mix64(mix64(mix64(seed) ^ number) ^ purpose);
    return (double)(bits >> 11) / 9007199254740992.0;
}

int size_parse(const char *s, uint64_t *bytes_out)
{
    char *end = NULL;
    if (*s < '0' || *s > '9')
        return -EINVAL;
    errno = 0;
    unsigned long long n = strtoull(s, &end, 10);
    static const char units[] = "KMG";
    const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
    unsigned shift = unit != NULL ? 10u * (unsigned)(unit - units + 1) : 0;
    if (unit != NULL)
        end++;
    if (errno != 0 || *end != '\0' || n > (UINT64_MAX >> 2) >> shift)
        return -EINVAL;
    *bytes_out = (uint64_t)n << shift;
    return 0;
}

int file_read(const char *path, size_t max_bytes, char **data_out, size_t *len_out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct text t = {0};
    int r = 0;
    text_add(&t, "");
    for (;;) {
        text_reserve(&t, 65536);
        ssize_t n = read(fd, t.data + t.len, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            r = n < 0 ? -errno : 0;
            break;
        }
        t.len += (size_t)n;
        t.data[t.len] = '\0';
        if (t.len > max_bytes) {
            r = -EFBIG;
            break;
        }
    }
    close(fd);
    if (r < 0) {
        text_fini(&t);
        return r;
    }
    *data_out = t.data;
    *len_out = t.len;
    return 0;
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

int file_replace(const char *path, const char *content)
{
    char *temporary = mem_format("%s.%ld.tmp", path, (long)getpid());
    int r = 0;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        r = -errno;
    } else {
        r = file_append(fd, content, strlen(content));
        if (close(fd) != 0 && r == 0)
            r = -errno;
        if (r == 0 && rename(temporary, path) != 0)
            r = -errno;
        if (r < 0)
            (void)unlink(temporary);
    }
    free(temporary);
    return r;
}
