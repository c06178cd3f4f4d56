/*
 * AWS Signature Version 4 by query (docs.aws.amazon.com, "Authenticating Requests: Using Query
 * Parameters"): the signature covers the method, the path, the query and some headers, but not the
 * body. What goes into it is written with the names of the documentation.
 */
#include "objects_private.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/number.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { HASH_BYTES = 32, HEX_SIZE = 2 * HASH_BYTES + 1, DATE_SIZE = 17, TEXT_MAX = 16 * 1024 };

struct hash {
    unsigned char bytes[HASH_BYTES];
};

/* What a signature is good for: the day, the region and the service. */
struct scope {
    char date[DATE_SIZE]; /* 20130524T000000Z */
    char text[256];       /* 20130524/us-east-1/s3/aws4_request */
};

static void encoded_add(struct buf *out, const char *text, const char *kept)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
    for (const char *p = text; *p; p++) {
        if (strchr(plain, *p) || strchr(kept, *p))
            buf_add_char(out, *p);
        else
            buf_addf(out, "%%%02X", (unsigned)(unsigned char)*p);
    }
}

int sign_path_add(struct buf *out, const char *text)
{
    encoded_add(out, text, "/");
    return out->error;
}

static int hmac(const void *key, size_t key_len, const char *text, struct hash *out)
{
    unsigned len = HASH_BYTES;
    return HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text),
                out->bytes, &len)
               ? 0
               : -EINVAL;
}

static int scope_make(const struct objects_place *place, int64_t wall_ms, struct scope *out)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    if (!gmtime_r(&seconds, &utc) ||
        strftime(out->date, sizeof(out->date), "%Y%m%dT%H%M%SZ", &utc) != sizeof(out->date) - 1)
        return -EINVAL;
    int n =
        snprintf(out->text, sizeof(out->text), "%.8s/%s/s3/aws4_request", out->date, place->region);
    return n > 0 && (size_t)n < sizeof(out->text) ? 0 : -EINVAL;
}

/* The key that the secret gives for this day, region and service. */
static int signing_key(const struct secret *secret, const struct scope *scope,
                       const struct objects_place *place, struct hash *out)
{
    char day[9];
    CLEANUP(buf_fini) struct buf first = {.limit = secret->len + 8};
    (void)snprintf(day, sizeof(day), "%.8s", scope->date);
    int r = buf_addf(&first, "AWS4%s", secret->text);
    if (r == 0)
        r = hmac(buf_text(&first), first.len, day, out);
    if (r == 0)
        r = hmac(out->bytes, HASH_BYTES, place->region, out);
    if (r == 0)
        r = hmac(out->bytes, HASH_BYTES, "s3", out);
    if (r == 0)
        r = hmac(out->bytes, HASH_BYTES, "aws4_request", out);
    if (first.data)
        explicit_bzero(first.data, first.len);
    return r;
}

static void header_names_add(struct buf *out, const struct sign_request *request,
                             const char *separator)
{
    for (size_t i = 0; i < request->header_count; i++)
        buf_addf(out, "%s%s", i ? separator : "", request->headers[i].name);
}

/* In the order of their names, which is that of the signature. */
static void query_add(struct buf *out, const struct objects_credentials *credentials,
                      const struct sign_request *request, const struct scope *scope)
{
    int64_t life_s = clamp_int64(request->life_ms, 1000, OBJECTS_URL_LIFE_MAX_MS) / 1000;
    buf_add_text(out, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=");
    encoded_add(out, credentials->key_id.text, "");
    buf_add_text(out, "%2F");
    encoded_add(out, scope->text, "");
    buf_addf(out, "&X-Amz-Date=%s&X-Amz-Expires=%" PRId64, scope->date, life_s);
    if (secret_is_set(&credentials->token)) {
        buf_add_text(out, "&X-Amz-Security-Token=");
        encoded_add(out, credentials->token.text, "");
    }
    buf_add_text(out, "&X-Amz-SignedHeaders=");
    header_names_add(out, request, "%3B");
}

static int canonical_request_hash(const struct sign_request *request, const char *query,
                                  char out[static HEX_SIZE])
{
    CLEANUP(buf_fini) struct buf text = {.limit = TEXT_MAX};
    struct hash hash;
    buf_addf(&text, "%s\n%s\n%s\n", request->method, request->path, query);
    for (size_t i = 0; i < request->header_count; i++)
        buf_addf(&text, "%s:%s\n", request->headers[i].name, request->headers[i].value);
    buf_add_char(&text, '\n');
    header_names_add(&text, request, ";");
    buf_add_text(&text, "\nUNSIGNED-PAYLOAD");
    if (text.error)
        return text.error;
    if (!EVP_Digest(buf_text(&text), text.len, hash.bytes, NULL, EVP_sha256(), NULL))
        return -EINVAL;
    hex_write(hash.bytes, HASH_BYTES, out);
    return 0;
}

static int signature_make(const struct objects_place *place,
                          const struct objects_credentials *credentials, const struct scope *scope,
                          const char *request_hash, char out[static HEX_SIZE])
{
    CLEANUP(buf_fini) struct buf to_sign = {.limit = 1024};
    struct hash key;
    struct hash signature;
    buf_addf(&to_sign, "AWS4-HMAC-SHA256\n%s\n%s\n%s", scope->date, scope->text, request_hash);
    int r = to_sign.error;
    if (r == 0)
        r = signing_key(&credentials->secret, scope, place, &key);
    if (r == 0)
        r = hmac(key.bytes, HASH_BYTES, buf_text(&to_sign), &signature);
    explicit_bzero(&key, sizeof(key));
    if (r == 0)
        hex_write(signature.bytes, HASH_BYTES, out);
    return r;
}

int sign_url_add(struct buf *out, const struct objects_place *place,
                 const struct objects_credentials *credentials, const struct sign_request *request)
{
    CLEANUP(buf_fini) struct buf query = {.limit = TEXT_MAX};
    struct scope scope;
    char request_hash[HEX_SIZE];
    char signature[HEX_SIZE];
    int r = scope_make(place, request->wall_ms, &scope);
    if (r == 0) {
        query_add(&query, credentials, request, &scope);
        r = query.error;
    }
    if (r == 0)
        r = canonical_request_hash(request, buf_text(&query), request_hash);
    if (r == 0)
        r = signature_make(place, credentials, &scope, request_hash, signature);
    if (r == 0)
        r = buf_addf(out, "%s%s?%s&X-Amz-Signature=%s", place->endpoint, request->path,
                     buf_text(&query), signature);
    return r;
}
