#include "sim/url.h"

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
