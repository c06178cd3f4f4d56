#include "seedancefs/base/text.h"

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
    /* Cents are always shown; the four digits behind them only when they say something. */
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

/* Length of the valid UTF-8 sequence at `s` (RFC 3629, section 4), or 0. */
static size_t utf8_sequence_length(const unsigned char *s, size_t len)
{
    unsigned char lead = s[0];
    if (lead < 0x80)
        return 1;
    size_t need = lead >= 0xC2 && lead <= 0xDF ? 2 : (lead & 0xF0) == 0xE0 ? 3 : 0;
    if (lead >= 0xF0 && lead <= 0xF4)
        need = 4;
    if (need == 0 || need > len)
        return 0;
    for (size_t i = 1; i < need; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    }
    if ((lead == 0xE0 && s[1] < 0xA0) || (lead == 0xED && s[1] > 0x9F) ||
        (lead == 0xF0 && s[1] < 0x90) || (lead == 0xF4 && s[1] > 0x8F))
        return 0;
    return need;
}

bool text_is_utf8(const char *bytes, size_t len)
{
    const unsigned char *s = (const unsigned char *)bytes;
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence_length(s + i, len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
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
        /* U+0080..U+009F are control characters as well. */
        if (c == 0xC2 && (unsigned char)name[i + 1] < 0xA0)
            return -EINVAL;
    }
    return 0;
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
