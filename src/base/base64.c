#include "seedancefs/base/base64.h"

#include "seedancefs/base/buf.h"

#include <errno.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *out, const void *bytes, size_t len)
{
    const unsigned char *from = bytes;
    size_t encoded = (len + 2) / 3 * 4;
    if (buf_reserve(out, encoded) < 0)
        return;
    char *to = out->data + out->len;
    for (size_t i = 0; i < len; i += 3) {
        unsigned group = (unsigned)from[i] << 16;
        if (i + 1 < len)
            group |= (unsigned)from[i + 1] << 8;
        if (i + 2 < len)
            group |= from[i + 2];
        *to++ = alphabet[group >> 18];
        *to++ = alphabet[group >> 12 & 63];
        *to++ = i + 1 < len ? alphabet[group >> 6 & 63] : '=';
        *to++ = i + 2 < len ? alphabet[group & 63] : '=';
    }
    *to = '\0';
    out->len += encoded;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int64_t base64_decode(const char *text, size_t len, void *out, size_t size)
{
    if (len == 0 || len % 4 != 0)
        return -EINVAL;
    size_t padding = text[len - 1] != '=' ? 0 : text[len - 2] != '=' ? 1 : 2;
    size_t bytes = len / 4 * 3 - padding;
    uint32_t bits = 0;
    size_t done = 0;
    for (size_t i = 0; i < len - padding; i++) {
        int value = base64_value(text[i]);
        if (value < 0)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 == 0)
            continue;
        if (done < size)
            ((unsigned char *)out)[done] = (unsigned char)(bits >> (6 - i % 4 * 2));
        done++;
    }
    return (int64_t)bytes;
}
