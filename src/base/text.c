#include "seedancefs/base/text.h"

#include "seedancefs/base/buf.h"
#include "seedancefs/base/number.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void text_time_rfc3339(int64_t wall_ms, char out[static TEXT_TIME_SIZE])
{
    int64_t ms = wall_ms % 1000;
    time_t seconds = (time_t)(wall_ms / 1000);
    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    struct tm utc;
    if (!gmtime_r(&seconds, &utc))
        utc = (struct tm){.tm_mday = 1, .tm_year = 70};
    char date[24];
    if (strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc) == 0)
        date[0] = '\0';
    (void)snprintf(out, TEXT_TIME_SIZE, "%s.%03dZ", date, (int)ms);
}

void text_usd(int64_t usd_micros, char out[static TEXT_MONEY_SIZE])
{
    uint64_t absolute = usd_micros < 0 ? 0 - (uint64_t)usd_micros : (uint64_t)usd_micros;
    int n = snprintf(out, TEXT_MONEY_SIZE, "%s%" PRIu64 ".%06" PRIu64, usd_micros < 0 ? "-" : "",
                     absolute / 1000000, absolute % 1000000);
    /* Cents are always shown; the four digits after them only if they are not zero. */
    for (int zeros = 0; zeros < 4 && out[n - 1] == '0'; zeros++)
        out[--n] = '\0';
}

int text_usd_parse(const char *text, int64_t *usd_micros)
{
    int64_t value = 0;
    int digits = 0;
    int decimals = -1;
    for (const char *p = text; *p; p++) {
        if (*p == '.' && decimals < 0) {
            decimals = 0;
            continue;
        }
        if (*p < '0' || *p > '9' || decimals == 6)
            return -EINVAL;
        int digit = *p - '0';
        if (value > (INT64_MAX - digit) / 10)
            return -ERANGE;
        value = value * 10 + digit;
        digits++;
        if (decimals >= 0)
            decimals++;
    }
    if (digits == 0 || decimals == 0)
        return -EINVAL;
    for (int i = decimals < 0 ? 0 : decimals; i < 6; i++) {
        if (value > INT64_MAX / 10)
            return -ERANGE;
        value *= 10;
    }
    *usd_micros = value;
    return 0;
}

int text_size_parse(const char *text, int64_t *bytes)
{
    static const char units[] = "KMGT";
    int64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (value > (INT64_MAX - 9) / 10)
            return -ERANGE;
        value = value * 10 + (*p - '0');
    }
    if (p == text)
        return -EINVAL;
    if (*p) {
        const char *unit = strchr(units, *p >= 'a' ? *p - 'a' + 'A' : *p);
        if (!unit || p[1])
            return -EINVAL;
        for (const char *u = units; u <= unit; u++) {
            if (value > INT64_MAX / 1024)
                return -ERANGE;
            value *= 1024;
        }
    }
    *bytes = value;
    return 0;
}

int text_utf8_step(const char *p, size_t len)
{
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x80)
        return 1;
    int need = u[0] >= 0xc2 && u[0] <= 0xdf ? 2 : (u[0] & 0xf0) == 0xe0 ? 3 : 4;
    if (u[0] < 0xc2 || u[0] > 0xf4)
        return 0;
    /* The second byte alone reveals overlong forms, surrogates and code points above U+10FFFF. */
    unsigned char low = u[0] == 0xe0 ? 0xa0 : u[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = u[0] == 0xed ? 0x9f : u[0] == 0xf4 ? 0x8f : 0xbf;
    for (int i = 1; i < need; i++) {
        if ((size_t)i == len)
            return -1;
        if (u[i] < low || u[i] > high)
            return 0;
        low = 0x80;
        high = 0xbf;
    }
    return need;
}

int text_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool text_is_utf8(const char *bytes, size_t len)
{
    int n;
    for (size_t i = 0; i < len; i += (size_t)n) {
        n = text_utf8_step(bytes + i, len - i);
        if (n <= 0)
            return false;
    }
    return true;
}

void text_place_find(const char *text, size_t offset, unsigned *line, unsigned *column)
{
    *line = *column = 1;
    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
            ++*column;
        }
    }
}

size_t text_cut(const char *text, size_t max)
{
    size_t len = strlen(text);
    if (len <= max)
        return len;
    len = max;
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    return len;
}

int text_name_check(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -EINVAL;
    if (len > TEXT_NAME_MAX)
        return -ENAMETOOLONG;
    if (!text_is_utf8(name, len))
        return -EILSEQ;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c < 0x20 || c == 0x7f || c == '/')
            return -EINVAL;
        /* U+0080..U+009F are control characters, too. */
        if (c == 0xC2 && (unsigned char)name[i + 1] < 0xA0)
            return -EINVAL;
    }
    return 0;
}

bool text_is_control(const char *sequence)
{
    const unsigned char *s = (const unsigned char *)sequence;
    if (s[0] < 0x20 || s[0] == 0x7f)
        return true;
    if (s[0] == 0xC2)
        return s[1] < 0xA0;
    return s[0] == 0xE2 && ((s[1] == 0x80 && s[2] >= 0xA8 && s[2] <= 0xAE) ||
                            (s[1] == 0x81 && s[2] >= 0xA6 && s[2] <= 0xA9));
}

/* Decodes a control character of `n` bytes: C0 and DEL, C1, or one of U+2000..2FFF. */
static unsigned code_point_of(const unsigned char *s, size_t n)
{
    return n == 1 ? s[0] : n == 2 ? s[1] : 0x2000u | (s[1] & 0x3Fu) << 6 | (s[2] & 0x3Fu);
}

int text_add_escaped(struct buf *out, const char *text, size_t len)
{
    size_t from = 0; /* the first byte not added yet */
    size_t n;
    for (size_t i = 0; i < len; i += n) {
        const unsigned char *s = (const unsigned char *)text + i;
        int step = text_utf8_step(text + i, len - i);
        bool valid = step > 0;
        n = valid ? (size_t)step : 1;
        if (s[0] == '\n' || s[0] == '\t' || (valid && !text_is_control(text + i)))
            continue;
        (void)buf_add(out, text + from, i - from);
        from = i + n;
        if (!valid)
            (void)buf_addf(out, "\\x%02x", s[0]);
        else if (s[0] != '\r' || i + 1 == len || s[1] != '\n')
            (void)buf_addf(out, "\\u%04x", code_point_of(s, n));
    }
    return buf_add(out, text + from, len - from);
}

/* One character of a text that may be JSON, possibly written as an escape sequence. */
struct character {
    size_t len;
    char c; /* '\0': not ASCII */
};

static struct character character_at(const char *text, size_t len)
{
    if (text[0] != '\\' || len < 2 || (unsigned char)text[1] <= ' ')
        return (struct character){1, (signed char)text[0] > 0 ? text[0] : '\0'};
    if (text[1] != 'u' || len < 6) {
        static const char blanks[] = "nrt";
        return (struct character){2, strchr(blanks, text[1]) ? ' ' : text[1]};
    }
    unsigned value = 0;
    for (size_t i = 2; i < 6; i++)
        value = value << 4 | (unsigned)max_int64(text_hex_value(text[i]), 0);
    return (struct character){6, value < 0x80 ? (char)value : '\0'};
}

/* A URL does not end at '<' or an escaped quote: they do not belong there, but a
 * signature may follow. */
static bool is_url_end(struct character at)
{
    return at.c && (strchr(" \t\r\n", at.c) || (at.len == 1 && at.c == '"'));
}

/* The secrets of one URL, as offsets into the text. Equal offsets: no secret of that kind. */
struct url_secrets {
    size_t user_begin; /* user and password */
    size_t user_end;
    size_t query_begin; /* from '?' or '#' on */
    size_t end;
};

/* The offset just after the next "://"; `len` if there is none. */
static size_t url_authority_find(const char *text, size_t len, size_t from)
{
    unsigned matched = 0;
    while (from < len && matched < 3) {
        struct character at = character_at(text + from, len - from);
        matched = at.c == ':' ? 1 : at.c == '/' && matched > 0 ? matched + 1 : 0;
        from += at.len;
    }
    return matched == 3 ? from : len;
}

/* Finds the next URL at or after `from` that has a secret; false if there is none. */
static bool url_secrets_find(const char *text, size_t len, size_t from, struct url_secrets *out)
{
    struct character at;
    while ((from = url_authority_find(text, len, from)) < len) {
        bool is_authority = true;
        *out = (struct url_secrets){from, from, len, len};
        for (; from < len; from += at.len) {
            at = character_at(text + from, len - from);
            if (is_url_end(at))
                break;
            bool is_query = at.c == '?' || at.c == '#';
            is_authority = is_authority && !is_query && at.c != '/';
            if (is_authority && at.c == '@')
                out->user_end = from;
            if (is_query && out->query_begin == len)
                out->query_begin = from;
        }
        out->end = from;
        if (out->query_begin > from)
            out->query_begin = from;
        if (out->user_end > out->user_begin || out->query_begin < out->end)
            return true;
    }
    return false;
}

bool text_has_url_secret(const char *text, size_t len)
{
    struct url_secrets url;
    return url_secrets_find(text, len, 0, &url);
}

int text_add_shown(struct buf *out, const char *text, size_t len)
{
    static const char mark[] = "…";
    struct url_secrets url;
    size_t from = 0;
    while (url_secrets_find(text, len, from, &url)) {
        (void)text_add_escaped(out, text + from, url.user_begin - from);
        if (url.user_end > url.user_begin)
            (void)buf_add_text(out, mark);
        (void)text_add_escaped(out, text + url.user_end, url.query_begin - url.user_end);
        if (url.end > url.query_begin)
            (void)buf_add_text(out, mark);
        from = url.end;
    }
    return text_add_escaped(out, text + from, len - from);
}

void text_mask_url_secrets(char *text, size_t len)
{
    struct url_secrets url;
    for (size_t from = 0; url_secrets_find(text, len, from, &url); from = url.end) {
        memset(text + url.user_begin, '*', url.user_end - url.user_begin);
        memset(text + url.query_begin, '*', url.end - url.query_begin);
    }
}

const char *text_full_stop(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && strchr(".!?", text[len - 1]) ? "" : ".";
}

uint64_t text_hash(const void *bytes, size_t len)
{
    const unsigned char *s = bytes;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ s[i]) * UINT64_C(1099511628211);
    return hash;
}
