/*
 * url: signed URLs in the manner of Volcano TOS.
 *
 * What: url_sign() makes /media/ID.mp4?X-Tos-…; url_check() checks such a URL. The signature covers
 * method, path, credential, date and expiry. X-Tos-Date has whole seconds. The exact deadline in
 * milliseconds is the first part of the credential, so a short life is the same at any moment of a
 * second. X-Tos-Expires is rounded up: Date + Expires is at most a second away from the deadline.
 * url_own_task() and url_check_address() look at such a URL where it is an input of a create:
 * whatever its scheme, host and port are, for the simulator may be reached in several ways.
 * Lifetime: the caller frees the results of url_sign() and url_own_task().
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

/* The id of the task whose video (or cover) a full address names, if its path is one of the media
 * host and its query has an X-Tos-* parameter; otherwise NULL. */
char *url_own_task(const char *address, bool *is_cover);
/* url_check() of a GET of such an address. */
enum url_verdict url_check_address(const char *address, int64_t now_ms);

#endif
