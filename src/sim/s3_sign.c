/*
 * The signature is HMAC(HMAC(HMAC(HMAC(HMAC("AWS4" + secret, day), region), "s3"), "aws4_request"),
 * text), where the text names the time, the scope and the hash of the canonical request: method,
 * path, sorted query without the signature, signed headers and their names, UNSIGNED-PAYLOAD.
 */
#include "sim/s3_sign.h"
#include "sim/digest.h"

#include "seedancefs/base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

/* What the query says of the signature. */
struct signature {
    const char *credential, *date, *expires, *signed_headers, *signature;
    char *key; /* of "KEY/DAY/REGION/s3/aws4_request" */
    char *day;
    char *region;
    int64_t date_ms;
    int64_t expires_ms;
};

static void signature_fini(struct signature *s)
{
    free(s->key);
    free(s->day);
    free(s->region);
}

/* "20130524T000000Z"; -1: something else. */
static int64_t date_parse(const char *text)
{
    struct tm tm = {0};
    if (strlen(text) != 16 || strspn(text, "0123456789TZ") != 16)
        return -1;
    const char *end = strptime(text, "%Y%m%dT%H%M%SZ", &tm);
    return end != NULL && *end == '\0' ? (int64_t)timegm(&tm) * 1000 : -1;
}

/* "86400"; -1: not a number from 1 to S3_EXPIRES_MAX_S. */
static int64_t expires_parse(const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len > 6 || strspn(text, "0123456789") != len)
        return -1;
    int64_t seconds = strtoll(text, NULL, 10);
    return seconds >= 1 && seconds <= S3_EXPIRES_MAX_S ? seconds * 1000 : -1;
}

/* A key may have slashes; the four parts behind it may not. */
static bool credential_parse(const char *text, struct signature *out)
{
    static const char end[] = "/s3/aws4_request";
    size_t len = strlen(text);
    if (len < sizeof(end) || strcmp(text + len - (sizeof(end) - 1), end) != 0)
        return false;
    CLEANUP_FREE char *head = mem_dup(text, len - (sizeof(end) - 1));
    char *region = strrchr(head, '/');
    if (region == NULL)
        return false;
    *region++ = '\0';
    char *day = strrchr(head, '/');
    if (day == NULL)
        return false;
    *day++ = '\0';
    out->key = mem_strdup(head);
    out->day = mem_strdup(day);
    out->region = mem_strdup(region);
    return true;
}

static enum s3_verdict signature_parse(const struct s3_target *target, struct signature *out)
{
    const char *algorithm = s3_target_get(target, "X-Amz-Algorithm");
    out->credential = s3_target_get(target, "X-Amz-Credential");
    out->date = s3_target_get(target, "X-Amz-Date");
    out->expires = s3_target_get(target, "X-Amz-Expires");
    out->signed_headers = s3_target_get(target, "X-Amz-SignedHeaders");
    out->signature = s3_target_get(target, "X-Amz-Signature");
    if (algorithm == NULL || out->credential == NULL || out->date == NULL || out->expires == NULL ||
        out->signed_headers == NULL || out->signature == NULL)
        return S3_UNSIGNED;
    out->date_ms = date_parse(out->date);
    out->expires_ms = expires_parse(out->expires);
    bool is_good = strcmp(algorithm, ALGORITHM) == 0 && out->date_ms >= 0 && out->expires_ms >= 0 &&
                   credential_parse(out->credential, out) && strlen(out->day) == 8 &&
                   strncmp(out->day, out->date, 8) == 0;
    return is_good ? S3_GOOD : S3_MALFORMED;
}

/* names: "host;range" */
static bool names_have(const char *names, const char *name)
{
    size_t name_len = strlen(name);
    for (const char *s = names; *s != '\0';) {
        size_t len = strcspn(s, ";");
        if (len == name_len && strncasecmp(s, name, len) == 0)
            return true;
        s += len + (s[len] == ';' ? 1 : 0);
    }
    return false;
}

static bool are_headers_signed(const struct s3_request *request, const char *names)
{
    for (size_t i = 0; i < request->header_count; i++) {
        const char *name = request->headers[i].name;
        bool needs = strcasecmp(name, "If-None-Match") == 0 ||
                     strcasecmp(name, "Content-MD5") == 0 || strncasecmp(name, "x-amz-", 6) == 0;
        if (needs && !names_have(names, name))
            return false;
    }
    return names_have(names, "host");
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_query(struct buf *out, const struct s3_target *target)
{
    size_t count = 0;
    char **parts = mem_alloc(target->parameter_count * sizeof(*parts));
    for (size_t i = 0; i < target->parameter_count; i++) {
        struct buf part = SIM_BUF;
        if (strcmp(target->parameters[i].name, "X-Amz-Signature") == 0)
            continue;
        uri_encode(&part, target->parameters[i].name, false);
        /* Sorted by name, then by value: nothing that is encoded sorts before this. */
        (void)buf_add_char(&part, '\x01');
        uri_encode(&part, target->parameters[i].value, false);
        parts[count++] = text_take(&part);
    }
    qsort(parts, count, sizeof(*parts), compare_texts);
    for (size_t i = 0; i < count; i++) {
        *strchr(parts[i], '\x01') = '=';
        (void)buf_addf(out, "%s%s", i > 0 ? "&" : "", parts[i]);
        free(parts[i]);
    }
    free(parts);
}

/* Without blanks at both ends, and one blank for several. */
static void add_trimmed(struct buf *out, const char *value)
{
    for (value += strspn(value, " \t"); *value != '\0'; value += strspn(value, " \t")) {
        size_t len = strcspn(value, " \t");
        (void)buf_add(out, value, len);
        value += len;
        if (value[strspn(value, " \t")] != '\0')
            (void)buf_add_char(out, ' ');
    }
}

/* One line for each name; several headers of a name are joined with commas. */
static void add_headers(struct buf *out, const struct s3_request *request, const char *names)
{
    for (const char *s = names; *s != '\0';) {
        size_t len = strcspn(s, ";");
        bool is_first = true;
        (void)buf_add(out, s, len);
        (void)buf_add_char(out, ':');
        for (size_t i = 0; i < request->header_count; i++) {
            const struct header *header = &request->headers[i];
            if (strlen(header->name) != len || strncasecmp(header->name, s, len) != 0)
                continue;
            if (!is_first)
                (void)buf_add_char(out, ',');
            is_first = false;
            add_trimmed(out, header->value);
        }
        (void)buf_add_char(out, '\n');
        s += len + (s[len] == ';' ? 1 : 0);
    }
}

static void canonical_hash(const struct s3_request *request, const struct signature *s,
                           char out[static SHA256_HEX_SIZE])
{
    CLEANUP(buf_fini) struct buf text = SIM_BUF;
    unsigned char hash[SHA256_SIZE];
    (void)buf_addf(&text, "%s\n", request->method);
    uri_encode(&text, request->target->path, true);
    (void)buf_add_char(&text, '\n');
    add_query(&text, request->target);
    (void)buf_add_char(&text, '\n');
    add_headers(&text, request, s->signed_headers);
    (void)buf_addf(&text, "\n%s\nUNSIGNED-PAYLOAD", s->signed_headers);
    digest_sha256(text_whole(&text), text.len, hash);
    digest_hex(hash, sizeof(hash), out);
}

static bool signature_is_right(const struct s3_request *request, const struct signature *s,
                               const char *secret)
{
    char hash[SHA256_HEX_SIZE];
    char hex[SHA256_HEX_SIZE];
    unsigned char mac[SHA256_SIZE];
    canonical_hash(request, s, hash);
    CLEANUP_FREE char *seed = mem_format("AWS4%s", secret);
    CLEANUP_FREE char *text =
        mem_format(ALGORITHM "\n%s\n%s/%s/s3/aws4_request\n%s", s->date, s->day, s->region, hash);
    digest_hmac(seed, strlen(seed), s->day, mac);
    digest_hmac(mac, sizeof(mac), s->region, mac);
    digest_hmac(mac, sizeof(mac), "s3", mac);
    digest_hmac(mac, sizeof(mac), "aws4_request", mac);
    digest_hmac(mac, sizeof(mac), text, mac);
    digest_hex(mac, sizeof(mac), hex);
    return strcmp(hex, s->signature) == 0;
}

enum s3_verdict s3_verify(const struct s3_request *request,
                          const struct s3_credentials *credentials, int64_t now_ms)
{
    CLEANUP(signature_fini) struct signature s = {0};
    enum s3_verdict verdict = signature_parse(request->target, &s);
    if (verdict != S3_GOOD)
        return verdict;
    if (strcmp(s.key, credentials->key) != 0)
        return S3_UNKNOWN_KEY;
    if (s.date_ms > now_ms + S3_SKEW_MAX_MS)
        return S3_SKEWED;
    if (now_ms >= s.date_ms + s.expires_ms)
        return S3_EXPIRED;
    if (!are_headers_signed(request, s.signed_headers))
        return S3_HEADER_UNSIGNED;
    return signature_is_right(request, &s, credentials->secret) ? S3_GOOD : S3_FORGED;
}

static const struct {
    const char *name;
    int status;
    const char *code;
    const char *message;
} verdicts[] = {
    [S3_GOOD] = {"good", 200, "", ""},
    [S3_UNSIGNED] = {"unsigned", 403, "AccessDenied", "Access Denied"},
    [S3_MALFORMED] =
        {"malformed", 400, "AuthorizationQueryParametersError",
         "X-Amz-Algorithm, X-Amz-Credential, X-Amz-Date or X-Amz-Expires is not valid."},
    [S3_UNKNOWN_KEY] = {"unknown_key", 403, "InvalidAccessKeyId",
                        "The AWS Access Key Id you provided does not exist in our records."},
    [S3_SKEWED] = {"skewed", 403, "RequestTimeTooSkewed",
                   "The difference between the request time and the current time is too large."},
    [S3_EXPIRED] = {"expired", 403, "AccessDenied", "Request has expired"},
    [S3_HEADER_UNSIGNED] = {"header_unsigned", 403, "AccessDenied",
                            "There were headers present in the request which were not signed"},
    [S3_FORGED] = {"forged", 403, "SignatureDoesNotMatch",
                   "The request signature we calculated does not match the signature you provided. "
                   "Check your key and signing method."},
};

const char *s3_verdict_name(enum s3_verdict verdict)
{
    return verdicts[verdict].name;
}

void s3_verdict_response(enum s3_verdict verdict, struct response *out)
{
    if (verdict != S3_GOOD)
        response_media_error(out, verdicts[verdict].status, verdicts[verdict].code,
                             verdicts[verdict].message);
}
