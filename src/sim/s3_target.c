#include "sim/s3_target.h"

#include "seedancefs/base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* NULL: see s3_target_parse(). In a query '+' is a blank. */
static char *uri_decode(const char *text, size_t len, bool is_query)
{
    char *out = mem_dup(text, len);
    char *to = out;
    bool is_good = true;
    for (const char *s = out; *s != '\0'; s++) {
        if (*s != '%') {
            *to++ = is_query && *s == '+' ? ' ' : *s;
            continue;
        }
        int high = text_hex_value(s[1]);
        int low = high >= 0 ? text_hex_value(s[2]) : -1;
        is_good = low >= 0 && (high | low) != 0;
        if (!is_good)
            break;
        *to++ = (char)(high << 4 | low);
        s += 2;
    }
    *to = '\0';
    if (is_good && text_is_utf8(out, (size_t)(to - out)))
        return out;
    free(out);
    return NULL;
}

static int parameter_parse(struct s3_parameter *out, const char *text, size_t len)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals != NULL ? (size_t)(equals - text) : len;
    size_t value_at = equals != NULL ? name_len + 1 : len;
    out->name = uri_decode(text, name_len, true);
    out->value = uri_decode(text + value_at, len - value_at, true);
    return out->name != NULL && out->value != NULL ? 0 : -EINVAL;
}

static int query_parse(const char *query, struct s3_target *out)
{
    size_t max = 1;
    for (const char *s = query; *s != '\0'; s++)
        max += *s == '&';
    out->parameters = mem_alloc(max * sizeof(*out->parameters));
    while (*query != '\0') {
        size_t len = strcspn(query, "&");
        if (len > 0 && parameter_parse(&out->parameters[out->parameter_count++], query, len) < 0)
            return -EINVAL;
        query += len + (query[len] == '&' ? 1 : 0);
    }
    return 0;
}

int s3_target_parse(const char *uri, struct s3_target *out)
{
    *out = (struct s3_target){0};
    size_t path_len = strcspn(uri, "?");
    const char *query = uri + path_len + (uri[path_len] == '?' ? 1 : 0);
    out->path = uri_decode(uri, path_len, false);
    if (out->path != NULL && query_parse(query, out) == 0)
        return 0;
    s3_target_fini(out);
    return -EINVAL;
}

void s3_target_fini(struct s3_target *target)
{
    for (size_t i = 0; i < target->parameter_count; i++) {
        free(target->parameters[i].name);
        free(target->parameters[i].value);
    }
    free(target->parameters);
    free(target->path);
    *target = (struct s3_target){0};
}

const char *s3_target_get(const struct s3_target *target, const char *name)
{
    for (size_t i = 0; i < target->parameter_count; i++)
        if (strcmp(target->parameters[i].name, name) == 0)
            return target->parameters[i].value;
    return NULL;
}

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void uri_encode(struct buf *out, const char *text, bool is_path)
{
    for (; *text != '\0'; text++) {
        if (is_unreserved(*text) || (is_path && *text == '/'))
            (void)buf_add_char(out, *text);
        else
            (void)buf_addf(out, "%%%02X", (unsigned)(unsigned char)*text);
    }
}
