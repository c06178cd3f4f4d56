/*
 * fetch: one file from a server on this machine, for inputs that are addresses.
 *
 * What: a GET in HTTP/1.0 on a plain socket, so that the response is neither chunked nor kept
 * alive. `https` is fetched without TLS, too: a test may name its plain server as the service wants
 * addresses to be. Redirects are not followed. Only the caller's thread waits.
 * Lifetime: none; the caller owns the body.
 * Errors: see fetch_file().
 */
#ifndef SIM_FETCH_H
#define SIM_FETCH_H

#include "sim/util.h"

/* True for http(s) on 127.0.0.1, localhost or [::1]. Nothing else is ever fetched. */
bool fetch_is_local(const char *url);

/* Returns the HTTP status; only for 200 *body is filled, which must be empty. Or -EINVAL (not such
 * an address), -ETIMEDOUT (at until_us of clock_monotonic_us()), -EFBIG (above max_bytes), -EPROTO
 * (no HTTP, or it ended early), or the socket's -errno. */
int fetch_file(const char *url, size_t max_bytes, int64_t until_us, struct buf *body) NODISCARD;

#endif
