#include "sim/url.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALGORITHM "TOS4-HMAC-SHA256"
#define SIGNED_HEADERS "host"

enum { SIGNATURE_SIZE = 65 };

/* Four lanes of a keyed 64-bit hash: as long as a real signature. It is not a secure MAC and
 * need not be. */
static void url_signature(const char *method, const char *path, const char *credential,
                          const char *date, const char *expires, char out[static SIGNATURE_SIZE])
{
    char *covered = mem_format("%s\n%s\n%s\n%s\n%s\n", method, path, credential, date, expires);
    uint64_t hash = text_hash(covered, strlen(covered));
    for (unsigned lane = 0; lane < 4; lane++)
        (void)snprintf(out + 16 * (size_t)lane, 17, "%016llx",
                       (unsigned long long)mix64(hash ^ (0x5eeda9ce + lane)));
    free(covered);
}

char *url_sign(const char *path, double expires_s, uint64_t nonce)
{
    int64_t now_ms = clock_now_ms();
    char date[32];
    clock_tos_date(now_ms, date);
    char *expires = mem_format("%.0f", ceil(expires_s));
    char *who = mem_format("%lld.%llu", (long long)(now_ms + (int64_t)(expires_s * 1000)),
                           (unsigned long long)nonce);
    char *credential = mem_format("AKLTsim.%s/%.8s/cn-beijing/tos/request", who, date);
    char signature[SIGNATURE_SIZE];
    url_signature("GET", path, credential, date, expires, signature);
    char *url = mem_format("%s?X-Tos-Algorithm=" ALGORITHM
                           "&X-Tos-Credential=AKLTsim.%s%%2F%.8s%%2Fcn-beijing%%2Ftos%%2Frequest"
                           "&X-Tos-Date=%s&X-Tos-Expires=%s&X-Tos-Signature=%s"
                           "&X-Tos-SignedHeaders=" SIGNED_HEADERS,
                           path, who, date, date, expires, signature);
    free(credential);
    free(who);
    free(expires);
    return url;
}

enum url_verdict url_check(const char *method, const char *path, const struct url_query *query,
                           int64_t now_ms)
{
    if (query->algorithm == NULL || query->credential == NULL || query->date == NULL ||
        query->expires == NULL || query->signature == NULL || query->signed_headers == NULL)
        return URL_UNSIGNED;
    char signature[SIGNATURE_SIZE];
    url_signature(method, path, query->credential, query->date, query->expires, signature);
    if (strcmp(signature, query->signature) != 0 || strcmp(query->algorithm, ALGORITHM) != 0 ||
        strcmp(query->signed_headers, SIGNED_HEADERS) != 0)
        return URL_FORGED;
    const char *dot = strchr(query->credential, '.');
    return dot != NULL && now_ms < strtoll(dot + 1, NULL, 10) ? URL_GOOD : URL_EXPIRED;
}

/* Behind scheme, host and port: "/media/…?…". NULL: no http(s) address with a path. */
static const char *address_target(const char *address)
{
    const char *host = strstr(address, "://");
    if (host == NULL || strncmp(address, "http", 4) != 0)
        return NULL;
    host += strlen("://");
    host += strcspn(host, "/?#");
    return *host == '/' ? host : NULL;
}

char *url_own_task(const char *address, bool *is_cover)
{
    static const char media[] = "/media/";
    const char *path = address_target(address);
    if (path == NULL || strncmp(path, media, sizeof(media) - 1) != 0)
        return NULL;
    const char *id = path + sizeof(media) - 1;
    size_t len = strcspn(id, "/?#");
    const char *query = id + len;
    if (len <= 4 || *query != '?' ||
        (strncmp(query, "?X-Tos-", 7) != 0 && strstr(query, "&X-Tos-") == NULL))
        return NULL;
    *is_cover = strncmp(query - 4, ".jpg", 4) == 0;
    return *is_cover || strncmp(query - 4, ".mp4", 4) == 0 ? mem_dup(id, len - 4) : NULL;
}

/* In place; a '%' without two digits stays. */
static void percent_decode(char *s)
{
    char *to = s;
    for (; *s != '\0'; s++) {
        int high = *s == '%' ? text_hex_value(s[1]) : -1;
        int low = high >= 0 ? text_hex_value(s[2]) : -1;
        if (low < 0) {
            *to++ = *s;
            continue;
        }
        *to++ = (char)(high << 4 | low);
        s += 2;
    }
    *to = '\0';
}

/* Takes "name=value&…" apart, in place; the first of several equal names counts. */
static void query_parse(char *text, struct url_query *out)
{
    const struct {
        const char *name;
        const char **value;
    } names[] = {
        {"X-Tos-Algorithm", &out->algorithm}, {"X-Tos-Credential", &out->credential},
        {"X-Tos-Date", &out->date},           {"X-Tos-Expires", &out->expires},
        {"X-Tos-Signature", &out->signature}, {"X-Tos-SignedHeaders", &out->signed_headers},
    };
    for (char *part = strtok_r(text, "&", &text); part != NULL; part = strtok_r(NULL, "&", &text)) {
        char *value = strchr(part, '=');
        if (value == NULL)
            continue;
        *value++ = '\0';
        percent_decode(value);
        for (size_t i = 0; i < ARRAY_COUNT(names); i++)
            if (strcmp(part, names[i].name) == 0 && *names[i].value == NULL)
                *names[i].value = value;
    }
}

enum url_verdict url_check_address(const char *address, int64_t now_ms)
{
    const char *target = address_target(address);
    if (target == NULL)
        return URL_UNSIGNED;
    size_t path_len = strcspn(target, "?#");
    CLEANUP_FREE char *path = mem_dup(target, path_len);
    const char *query = target + path_len + (target[path_len] == '?' ? 1 : 0);
    CLEANUP_FREE char *text = mem_dup(query, strcspn(query, "#"));
    struct url_query parts = {0};
    query_parse(text, &parts);
    return url_check("GET", path, &parts, now_ms);
}
