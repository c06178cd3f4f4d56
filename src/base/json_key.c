#include "json_internal.h"

#include <string.h>

int json_utf8_step(const char *p, size_t len)
{
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x80)
        return 1;
    int need = u[0] >= 0xc2 && u[0] <= 0xdf ? 2 : (u[0] & 0xf0) == 0xe0 ? 3 : 4;
    if (u[0] < 0xc2 || u[0] > 0xf4)
        return 0;
    /* The second byte alone tells overlong forms, surrogates and what lies beyond U+10FFFF. */
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

int json_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static unsigned hex4(const char *digits)
{
    unsigned unit = 0;
    for (int i = 0; i < 4; i++)
        unit = unit << 4 | (unsigned)json_hex_value(digits[i]);
    return unit;
}

static long escape_decode(const char **p)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    const char *from = *p + 1;
    if (*from != 'u') {
        *p = from + 1;
        return meanings[strchr(letters, *from) - letters];
    }
    unsigned unit = hex4(from + 1);
    *p = from + 5;
    if (unit < 0xd800 || unit > 0xdbff)
        return (long)unit;
    *p = from + 11; /* the low half was checked to follow */
    return 0x10000 + (long)((unit - 0xd800) << 10 | (hex4(from + 7) - 0xdc00));
}

/* Decodes one code point of a string that was scanned already and steps over it; -1 at the closing
 * quote. Escapes are resolved, so that "a" and "\u0061" are one key. */
static long key_next(const char **p)
{
    if (**p == '"')
        return -1;
    if (**p == '\\')
        return escape_decode(p);
    unsigned char lead = (unsigned char)**p;
    int step = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    long value = step == 1 ? lead : lead & (0x7f >> step);
    for (int i = 1; i < step; i++)
        value = value << 6 | ((unsigned char)(*p)[i] & 0x3f);
    *p += step;
    return value;
}

/* FNV-1a over code points. */
uint64_t json_key_hash(const char *spelling)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (long c = key_next(&spelling); c >= 0; c = key_next(&spelling))
        hash = (hash ^ (uint64_t)c) * 0x100000001b3u;
    return hash;
}

bool json_key_is_same(const char *a, const char *b)
{
    long c;
    do {
        c = key_next(&a);
        if (c != key_next(&b))
            return false;
    } while (c >= 0);
    return true;
}
