#include "seedancefs/base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit};
}

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->error = 0;
    if (b->data)
        b->data[0] = '\0';
}

int buf_reserve(struct buf *b, size_t len)
{
    if (b->error)
        return b->error;
    if (len > b->limit || b->len > b->limit - len)
        return b->error = -EFBIG;
    size_t need = b->len + len + 1;
    if (need <= b->capacity)
        return 0;
    size_t capacity = b->capacity ? b->capacity : 64;
    while (capacity < need)
        capacity *= 2;
    if (capacity > b->limit + 1)
        capacity = b->limit + 1;
    char *data = realloc(b->data, capacity);
    if (!data)
        return b->error = -ENOMEM;
    b->data = data;
    b->capacity = capacity;
    b->data[b->len] = '\0';
    return 0;
}

int buf_add(struct buf *b, const void *bytes, size_t len)
{
    int r = buf_reserve(b, len);
    if (r < 0)
        return r;
    if (len)
        memcpy(b->data + b->len, bytes, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

int buf_add_text(struct buf *b, const char *text)
{
    return buf_add(b, text, strlen(text));
}

int buf_add_char(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

int buf_addv(struct buf *b, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    int r = len < 0 ? -EINVAL : buf_reserve(b, (size_t)len);
    if (r == 0) {
        (void)vsnprintf(b->data + b->len, (size_t)len + 1, format, again);
        b->len += (size_t)len;
    }
    va_end(again);
    return r;
}

int buf_addf(struct buf *b, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int r = buf_addv(b, format, arguments);
    va_end(arguments);
    return r;
}

char *buf_take(struct buf *b)
{
    char *data = b->data;
    if (!data && !b->error)
        data = calloc(1, 1);
    *b = (struct buf){.limit = b->limit};
    return data;
}

const char *buf_text(const struct buf *b)
{
    return b->data ? b->data : "";
}
