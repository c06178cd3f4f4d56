#include "objects_private.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/text.h"
#include "seedancefs/net/url.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REGION_DEFAULT "us-east-1"

enum { PREFIX_MAX = 256, REGION_MAX = 64 };

void objects_place_fini(struct objects_place *place)
{
    free(place->bucket);
    free(place->prefix);
    free(place->endpoint);
    free(place->host);
    free(place->region);
    *place = (struct objects_place){0};
}

static int refuse(char why[static OBJECTS_WHY_SIZE], const char *sentence)
{
    (void)snprintf(why, OBJECTS_WHY_SIZE, "%s", sentence);
    return -EINVAL;
}

/* Bucket naming rules of the S3 user guide; underscores and capitals are old buckets'. */
static bool is_bucket(const char *name)
{
    size_t len = strlen(name);
    if (len < 3 || len > 63 || !isalnum((unsigned char)name[0]))
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == len;
}

static bool is_word(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len <= REGION_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == len;
}

/* Replaces %XX by its byte. */
static int decode(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        char c = *from;
        if (c == '%') {
            int high = text_hex_value(from[1]);
            int low = high < 0 ? -1 : text_hex_value(from[2]);
            if (low < 0 || high * 16 + low == 0)
                return -EINVAL;
            c = (char)(high * 16 + low);
            from += 2;
        }
        *to++ = c;
    }
    *to = '\0';
    return 0;
}

/* "a/b" and "/a/b/" are the prefix "a/b/". */
static int prefix_take(const char *text, struct objects_place *out,
                       char why[static OBJECTS_WHY_SIZE])
{
    text += strspn(text, "/");
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == '/')
        len--;
    if (asprintf(&out->prefix, "%.*s%s", (int)len, text, len ? "/" : "") < 0) {
        out->prefix = NULL;
        return -ENOMEM;
    }
    if (len > PREFIX_MAX || !text_is_utf8(text, len) || strstr(out->prefix, "//") ||
        strstr(out->prefix, "./") == out->prefix || strstr(out->prefix, "/./") ||
        strstr(out->prefix, "../"))
        return refuse(why, "the path behind the bucket must be plain names between slashes, of at "
                           "most 256 bytes");
    for (const char *p = out->prefix; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return refuse(why, "the path behind the bucket has a control character");
    }
    return 0;
}

/* The scheme and the host in small letters, without the scheme's own port, as libcurl sends it. */
static int endpoint_take(const char *text, struct objects_place *out,
                         char why[static OBJECTS_WHY_SIZE])
{
    static const char rule[] =
        "endpoint must be https://HOST[:PORT] without a path (a host of your own network by its "
        "name, not its number; http:// for this machine's own loopback addresses only)";
    if (url_check(text, true) < 0)
        return refuse(why, rule);
    out->endpoint = strdup(text);
    if (!out->endpoint)
        return -ENOMEM;
    for (char *p = out->endpoint; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    size_t len = strlen(out->endpoint);
    char *host = strstr(out->endpoint, "://") + strlen("://");
    if (out->endpoint[len - 1] == '/')
        out->endpoint[--len] = '\0';
    if (strpbrk(host, "/?#"))
        return refuse(why, rule);
    const char *port = strncmp(out->endpoint, "https", 5) == 0 ? ":443" : ":80";
    size_t port_len = strlen(port);
    if (len > port_len && strcmp(out->endpoint + len - port_len, port) == 0)
        out->endpoint[len - port_len] = '\0';
    out->host = strdup(host);
    return out->host ? 0 : -ENOMEM;
}

static int endpoint_default(struct objects_place *out, char why[static OBJECTS_WHY_SIZE])
{
    char text[128];
    (void)snprintf(text, sizeof(text), "https://s3.%s.amazonaws.com", out->region);
    return endpoint_take(text, out, why);
}

/* One "name=value" behind the question mark. */
static int parameter_take(char *parameter, struct objects_place *out, char **endpoint,
                          char why[static OBJECTS_WHY_SIZE])
{
    char *value = strchr(parameter, '=');
    if (!value)
        return refuse(why, "behind the question mark endpoint=URL and region=REGION are expected");
    *value++ = '\0';
    if (decode(value) < 0)
        return refuse(why, "a % is not followed by two hexadecimal digits");
    if (strcmp(parameter, "endpoint") == 0 && !*endpoint) {
        *endpoint = value;
        return 0;
    }
    if (strcmp(parameter, "region") == 0 && !out->region) {
        if (!is_word(value))
            return refuse(why, "a region is letters, digits and hyphens, as in eu-west-1");
        out->region = strdup(value);
        return out->region ? 0 : -ENOMEM;
    }
    (void)snprintf(why, OBJECTS_WHY_SIZE,
                   "\"%.64s\" is not known, or there twice; endpoint=URL and region=REGION are",
                   parameter);
    return -EINVAL;
}

static int query_take(char *query, struct objects_place *out, char why[static OBJECTS_WHY_SIZE])
{
    char *endpoint = NULL;
    char *parameter;
    int r = 0;
    while (r == 0 && (parameter = strsep(&query, "&")) != NULL)
        r = *parameter ? parameter_take(parameter, out, &endpoint, why) : 0;
    if (r == 0 && !out->region && !(out->region = strdup(REGION_DEFAULT)))
        r = -ENOMEM;
    if (r == 0)
        r = endpoint ? endpoint_take(endpoint, out, why) : endpoint_default(out, why);
    return r;
}

static int place_take(char *text, struct objects_place *out, char why[static OBJECTS_WHY_SIZE])
{
    static const char scheme[] = "s3://";
    if (strncmp(text, scheme, strlen(scheme)) != 0)
        return refuse(why, "s3://BUCKET/PREFIX?endpoint=URL&region=REGION is expected");
    char *rest = text + strlen(scheme);
    bool has_path = rest[strcspn(rest, "/?")] == '/';
    char *bucket = strsep(&rest, "/?");
    if (strchr(bucket, '@'))
        return refuse(why, "the address has no place for a key: give AWS_ACCESS_KEY_ID and "
                           "AWS_SECRET_ACCESS_KEY, or --objects-credentials FILE");
    if (!is_bucket(bucket))
        return refuse(why, "a bucket's name is 3 to 63 letters, digits, hyphens and dots");
    char *query = has_path ? strchr(rest, '?') : rest;
    if (query && has_path)
        *query++ = '\0';
    out->bucket = strdup(bucket);
    if (!out->bucket)
        return -ENOMEM;
    if (has_path && decode(rest) < 0)
        return refuse(why, "a % is not followed by two hexadecimal digits");
    int r = prefix_take(has_path ? rest : "", out, why);
    return r < 0 ? r : query_take(query, out, why);
}

int objects_place_parse(const char *text, struct objects_place *out,
                        char why[static OBJECTS_WHY_SIZE])
{
    CLEANUP_FREE char *copy = strdup(text);
    CLEANUP(objects_place_fini) struct objects_place place = {0};
    why[0] = '\0';
    int r = copy ? place_take(copy, &place, why) : -ENOMEM;
    if (r < 0)
        return r;
    *out = place;
    place = (struct objects_place){0};
    return 0;
}

int place_path_add(struct buf *out, const struct objects_place *place, const char *key)
{
    buf_add_char(out, '/');
    sign_path_add(out, place->bucket);
    buf_add_char(out, '/');
    sign_path_add(out, place->prefix);
    return sign_path_add(out, key);
}

void objects_credentials_fini(struct objects_credentials *credentials)
{
    secret_fini(&credentials->key_id);
    secret_fini(&credentials->secret);
    secret_fini(&credentials->token);
}

/* "name = value", "name=value" or "export name=value". The first one of each name counts. */
static int credential_take(const char *line, size_t len, struct objects_credentials *out)
{
    struct {
        const char *name;
        struct secret *place;
    } const names[] = {{"aws_access_key_id", &out->key_id},
                       {"aws_secret_access_key", &out->secret},
                       {"aws_session_token", &out->token}};
    static const char export[] = "export ";
    if (len > strlen(export) && strncmp(line, export, strlen(export)) == 0) {
        line += strlen(export);
        len -= strlen(export);
    }
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        size_t name_len = strlen(names[i].name);
        if (len <= name_len || strncasecmp(line, names[i].name, name_len) != 0)
            continue;
        const char *value = line + name_len;
        const char *end = line + len;
        while (value < end && (*value == ' ' || *value == '\t'))
            value++;
        if (value == end || *value != '=' || secret_is_set(names[i].place))
            continue;
        return secret_init(names[i].place, value + 1, (size_t)(end - value - 1));
    }
    return 0;
}

int objects_credentials_parse(const char *text, size_t len, struct objects_credentials *out)
{
    CLEANUP(objects_credentials_fini) struct objects_credentials found = {0};
    const char *end = text + len;
    bool is_other_section = false;
    int r = 0;
    while (r == 0 && text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline ? newline : end;
        while (text < line_end && (*text == ' ' || *text == '\t'))
            text++;
        size_t line_len = (size_t)(line_end - text);
        if (line_len > 0 && *text == '[')
            is_other_section = line_len < 9 || strncmp(text, "[default]", 9) != 0;
        else if (!is_other_section)
            r = credential_take(text, line_len, &found);
        text = newline ? newline + 1 : end;
    }
    if (r == 0 && (!secret_is_set(&found.key_id) || !secret_is_set(&found.secret)))
        r = -EINVAL;
    if (r < 0)
        return r;
    *out = found;
    found = (struct objects_credentials){0};
    return 0;
}
