#include "seedancefs/base/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int secret_init(struct secret *secret, const char *text, size_t len)
{
    while (len > 0 && is_blank(text[len - 1]))
        len--;
    while (len > 0 && is_blank(text[0])) {
        text++;
        len--;
    }
    if (len == 0 || len > 4096)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f)
            return -EINVAL;
    }
    char *copy = malloc(len + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *secret = (struct secret){copy, len};
    return 0;
}

void secret_mask(const struct secret *secret, char *bytes, size_t len)
{
    enum { SHORTEST = 8 };
    if (!secret_is_set(secret) || secret->len < SHORTEST)
        return;
    char *at;
    while ((at = memmem(bytes, len, secret->text, secret->len)) != NULL) {
        memset(at, '*', secret->len);
        len -= (size_t)(at - bytes) + secret->len;
        bytes = at + secret->len;
    }
}

void secret_fini(struct secret *secret)
{
    if (secret->text)
        explicit_bzero(secret->text, secret->len);
    free(secret->text);
    *secret = (struct secret){0};
}
