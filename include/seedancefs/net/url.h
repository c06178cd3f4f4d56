/*
 * What: the URL policy, pure: which addresses the program may connect to, and how a URL is shown to
 * people.
 * Errors: -ERR_URL_REFUSED, -ENAMETOOLONG.
 */
#ifndef SEEDANCEFS_NET_URL_H
#define SEEDANCEFS_NET_URL_H

#include "seedancefs/base/attributes.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { URL_MAX = 8192 };

/* https with a host and without user info, or http when the host is a loopback address written as
 * such (127.0.0.0/8, [::1], localhost) and `is_loopback_allowed`. */
int url_check(const char *url, bool is_loopback_allowed) NODISCARD;
bool url_is_loopback(const char *url);

/* True for an address that a public service cannot have: private, loopback, link-local, multicast,
 * unspecified, documentation, carrier-grade NAT, mapped and translated forms of those, … (IANA
 * special purpose registries). */
bool url_is_forbidden_address(const struct sockaddr *address);

/* Writes the URL without query, fragment and user info, for logs and messages. */
void url_redact(const char *url, char *out, size_t size);

/* Resolves a redirect's Location against the URL it came from. -ERR_URL_REFUSED, -ENAMETOOLONG. */
int url_resolve(const char *base, const char *location, char *out, size_t size) NODISCARD;

/* X-Tos-Date + X-Tos-Expires in Unix milliseconds (also X-Amz-…); -1 when the URL does not say. */
int64_t url_expires_at_ms(const char *url);

#endif
