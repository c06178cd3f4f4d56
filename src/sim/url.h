/*
 * url: signed URLs in the manner of Volcano TOS.
 *
 * What: url_sign() makes /media/ID.mp4?X-Tos-…; url_check() checks such a URL. The signature covers
 * method, path, credential, date and expiry. X-Tos-Date has whole seconds. The exact deadline in
 * milliseconds is the first part of the credential, so a short life is the same at any moment of a
 * second. X-Tos-Expires is rounded up: Date + Expires is at most a second away from the deadline.
 * Lifetime: the caller frees the result of url_sign().
 * Errors: a verdict, see url_verdict.
 */
#ifndef SIM_URL_H
#define SIM_URL_H

#include "sim/util.h"

enum url_verdict { URL_GOOD, URL_UNSIGNED, URL_FORGED, URL_EXPIRED };

struct url_query {
    const char *algorithm, *credential, *date, *expires, *signature, *signed_headers;
};

/* nonce makes any two URLs of one path different. */
char *url_sign(const char *path, double expires_s, uint64_t nonce);
enum url_verdict url_check(const char *method, const char *path, const struct url_query *query,
                           int64_t now_ms);

#endif
