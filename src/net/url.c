/*
 * Design. curl's parser decides where a request goes, so we ask it for the host. The text as
 * written is checked too, because curl turns 0x7f.1, 2130706433 and %31 into plain addresses: the
 * user must be able to read what is allowed. An odd URL is refused, not repaired.
 */
#include "seedancefs/net/url.h"

#include "net/url_host.h"
#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/err.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* The parts of a URL that the policy looks at. */
struct url_parts {
    bool is_https;
    char written_host[256]; /* as in the text; IPv6 with its brackets */
    char host[256];         /* as curl reads it */
};

/* Only printable ASCII without blanks is accepted: curl would skip or encode anything else. */
static int check_text(const char *url)
{
    size_t len = strlen(url);
    if (len > URL_MAX)
        return -ENAMETOOLONG;
    for (size_t i = 0; i < len; i++) {
        if (url[i] <= 0x20 || url[i] >= 0x7f || url[i] == '\\')
            return -ERR_URL_REFUSED;
    }
    return len ? 0 : -ERR_URL_REFUSED;
}

/* Copies the host as written; refuses a text that may hide another host. */
static int copy_written_host(const char *url, char *out, size_t size)
{
    /* "://" must follow the scheme directly: curl repairs "https:/a/://b" to the host a. */
    const char *start = strchr(url, ':');
    if (!start || strncmp(start, "://", 3) != 0)
        return -ERR_URL_REFUSED;
    start += 3;
    size_t len = strcspn(start, "/?#");
    if (memchr(start, '@', len) || memchr(start, '%', len))
        return -ERR_URL_REFUSED;
    if (start[0] == '[') {
        const char *end = memchr(start, ']', len);
        if (!end)
            return -ERR_URL_REFUSED;
        len = (size_t)(end - start) + 1;
    } else {
        const char *colon = memchr(start, ':', len);
        if (colon)
            len = (size_t)(colon - start);
    }
    if (len == 0 || len >= size)
        return -ERR_URL_REFUSED;
    memcpy(out, start, len);
    out[len] = '\0';
    return 0;
}

static void curl_text_free(char **text)
{
    curl_free(*text);
}

static void parser_free(CURLU **parser)
{
    curl_url_cleanup(*parser);
}

/* Copies one part that curl has found; a missing part is -ERR_URL_REFUSED. */
static int copy_part(CURLU *parser, CURLUPart what, char *out, size_t size)
{
    CLEANUP(curl_text_free) char *text = NULL;
    if (curl_url_get(parser, what, &text, 0) != CURLUE_OK)
        return -ERR_URL_REFUSED;
    size_t len = strlen(text);
    if (len == 0 || len >= size)
        return -ERR_URL_REFUSED;
    memcpy(out, text, len + 1);
    return 0;
}

static int parse_with_curl(const char *url, struct url_parts *parts)
{
    char scheme[16];
    CLEANUP(parser_free) CURLU *parser = curl_url();
    if (!parser)
        return -ENOMEM;
    if (curl_url_set(parser, CURLUPART_URL, url, CURLU_DISALLOW_USER | CURLU_PATH_AS_IS) ||
        copy_part(parser, CURLUPART_SCHEME, scheme, sizeof(scheme)) < 0 ||
        copy_part(parser, CURLUPART_HOST, parts->host, sizeof(parts->host)) < 0)
        return -ERR_URL_REFUSED;
    parts->is_https = strcasecmp(scheme, "https") == 0;
    return parts->is_https || strcasecmp(scheme, "http") == 0 ? 0 : -ERR_URL_REFUSED;
}

static int url_parse(const char *url, struct url_parts *parts)
{
    int r = check_text(url);
    if (r == 0)
        r = copy_written_host(url, parts->written_host, sizeof(parts->written_host));
    if (r == 0)
        r = parse_with_curl(url, parts);
    return r;
}

int url_host_address(const char *host, struct sockaddr_storage *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    char text[INET6_ADDRSTRLEN];
    size_t len = strlen(host);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len >= sizeof(text))
        return -EINVAL;
    memcpy(text, host, len);
    text[len] = '\0';
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        memcpy(out, &v4, sizeof(v4));
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        memcpy(out, &v6, sizeof(v6));
    else
        return -EINVAL;
    return 0;
}

static bool is_localhost_name(const char *host)
{
    size_t len = strlen(host);
    if (len > 0 && host[len - 1] == '.')
        len--;
    static const char name[] = "localhost";
    const size_t name_len = sizeof(name) - 1;
    return len >= name_len && strncasecmp(host + len - name_len, name, name_len) == 0 &&
           (len == name_len || host[len - name_len - 1] == '.');
}

/* Written as a loopback address: [::1], localhost, or a plain dotted 127.x.x.x. */
static bool is_loopback_text(const char *host)
{
    struct in_addr v4;
    if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return strncmp(host, "127.", 4) == 0 && inet_pton(AF_INET, host, &v4) == 1;
}

/* A host that curl reads as an IPv4 address but that is not written as one. */
static bool is_odd_spelling(const struct url_parts *parts)
{
    struct in_addr v4;
    return inet_pton(AF_INET, parts->host, &v4) == 1 &&
           strcmp(parts->host, parts->written_host) != 0;
}

int url_check(const char *url, bool is_loopback_allowed)
{
    struct url_parts parts;
    int r = url_parse(url, &parts);
    if (r < 0)
        return r;
    if (is_loopback_text(parts.written_host))
        return is_loopback_allowed ? 0 : -ERR_URL_REFUSED;
    if (!parts.is_https || is_odd_spelling(&parts) || is_localhost_name(parts.host))
        return -ERR_URL_REFUSED;
    struct sockaddr_storage address;
    if (url_host_address(parts.host, &address) == 0 &&
        url_is_forbidden_address((const struct sockaddr *)&address))
        return -ERR_URL_REFUSED;
    return 0;
}

bool url_is_loopback(const char *url)
{
    struct url_parts parts;
    return url_parse(url, &parts) == 0 && is_loopback_text(parts.written_host);
}

void url_redact(const char *url, char *out, size_t size)
{
    if (size == 0)
        return;
    size_t end = strcspn(url, "?#");
    const char *mark = strstr(url, "://");
    size_t host = mark && (size_t)(mark - url) < end ? (size_t)(mark - url) + 3 : 0;
    size_t host_end = host;
    size_t user_end = host; /* just after the last '@' of the authority */
    for (; host_end < end && url[host_end] != '/' && url[host_end] != '\\'; host_end++) {
        if (url[host_end] == '@')
            user_end = host_end + 1;
    }
    size_t len = 0;
    for (size_t i = 0; i < end && len < size - 1; i++) {
        if (i >= host && i < user_end)
            continue;
        out[len++] = url[i] > 0x20 && url[i] < 0x7f ? url[i] : '?';
    }
    out[len] = '\0';
}

/* True when `text` begins with a scheme (RFC 3986, section 3.1). */
static bool has_scheme(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    return n > 0 && text[n] == ':';
}

/* Gives a text that the caller frees with curl_free(). */
static int resolve_once(const char *base, const char *location, char **text)
{
    CLEANUP(parser_free) CURLU *parser = curl_url();
    if (!parser)
        return -ENOMEM;
    /* Dots of a relative path must be resolved. The signed path of an absolute URL stays
     * as it is. */
    unsigned flags = has_scheme(location) ? CURLU_PATH_AS_IS : 0;
    bool is_good =
        curl_url_set(parser, CURLUPART_URL, base, CURLU_PATH_AS_IS) == CURLUE_OK &&
        curl_url_set(parser, CURLUPART_URL, location, flags | CURLU_DISALLOW_USER) == CURLUE_OK &&
        curl_url_set(parser, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK &&
        curl_url_get(parser, CURLUPART_URL, text, 0) == CURLUE_OK;
    return is_good ? 0 : -ERR_URL_REFUSED;
}

int url_resolve(const char *base, const char *location, char *out, size_t size)
{
    struct url_parts from, to;
    CLEANUP(curl_text_free) char *text = NULL;
    CLEANUP(curl_text_free) char *again = NULL;
    int r = url_parse(base, &from);
    if (r < 0 || (r = check_text(location)) < 0 || (r = resolve_once(base, location, &text)) < 0 ||
        (r = url_parse(text, &to)) < 0)
        return r;
    if (from.is_https && !to.is_https)
        return -ERR_URL_REFUSED;
    /* curl decodes a host like %38 and takes it for a name; parsed again, the result
     * is an address. */
    r = resolve_once(base, text, &again);
    if (r < 0)
        return r;
    if (strcmp(text, again) != 0)
        return -ERR_URL_REFUSED;
    size_t len = strlen(text);
    if (len >= size)
        return -ENAMETOOLONG;
    memcpy(out, text, len + 1);
    return 0;
}

/* The value of a query parameter, up to its '&'; NULL when there is none. */
static const char *query_value_get(const char *url, const char *vendor, const char *name,
                                   size_t *len)
{
    char key[32];
    size_t key_len = (size_t)snprintf(key, sizeof(key), "X-%s-%s=", vendor, name);
    const char *query = strpbrk(url, "?#");
    while (query && query[0] != '#') {
        query++; /* skip '?' or '&' */
        size_t n = strcspn(query, "&#");
        if (n >= key_len && strncasecmp(query, key, key_len) == 0) {
            *len = n - key_len;
            return query + key_len;
        }
        query = query[n] == '&' ? query + n : NULL;
    }
    return NULL;
}

/* Parses at most 9 digits; -1 for anything else. */
static int digits_parse(const char *text, size_t len)
{
    int value = 0;
    if (len == 0 || len > 9)
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

/* Turns YYYYMMDDTHHMMSSZ into Unix seconds; -1 for anything else. */
static int64_t basic_date_parse(const char *text, size_t len)
{
    if (len != 16 || text[8] != 'T' || text[15] != 'Z')
        return -1;
    int year = digits_parse(text, 4);
    struct tm utc = {.tm_year = year - 1900,
                     .tm_mon = digits_parse(text + 4, 2) - 1,
                     .tm_mday = digits_parse(text + 6, 2),
                     .tm_hour = digits_parse(text + 9, 2),
                     .tm_min = digits_parse(text + 11, 2),
                     .tm_sec = digits_parse(text + 13, 2)};
    if (year < 1970 || utc.tm_mon < 0 || utc.tm_mday < 1 || utc.tm_hour < 0 || utc.tm_min < 0 ||
        utc.tm_sec < 0)
        return -1;
    struct tm given = utc;
    time_t seconds = timegm(&utc);
    /* timegm() turns the 31st of February into a day of March. A changed date was not valid. */
    bool is_same = utc.tm_mon == given.tm_mon && utc.tm_mday == given.tm_mday &&
                   utc.tm_hour == given.tm_hour && utc.tm_min == given.tm_min;
    return is_same ? (int64_t)seconds : -1;
}

int64_t url_expires_at_ms(const char *url)
{
    static const char *const vendors[] = {"Tos", "Amz"};
    for (size_t i = 0; i < ARRAY_COUNT(vendors); i++) {
        size_t date_len = 0, expires_len = 0;
        const char *date = query_value_get(url, vendors[i], "Date", &date_len);
        const char *expires = query_value_get(url, vendors[i], "Expires", &expires_len);
        if (!date || !expires)
            continue;
        int64_t from_s = basic_date_parse(date, date_len);
        int64_t for_s = digits_parse(expires, expires_len);
        /* No overflow: a year of four digits and nine digits of seconds are far below
         * the int64 limit. */
        return from_s < 0 || for_s < 0 ? -1 : (from_s + for_s) * 1000;
    }
    return -1;
}
