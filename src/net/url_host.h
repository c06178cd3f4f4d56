/* What: parses an address that curl gives as text, for two places in net/. */
#ifndef SEEDANCEFS_NET_URL_HOST_H
#define SEEDANCEFS_NET_URL_HOST_H

#include "seedancefs/base/attributes.h"

#include <sys/socket.h>

/* Parses an IPv4 or IPv6 address, the latter with or without brackets. -EINVAL for a name. */
int url_host_address(const char *host, struct sockaddr_storage *out) NODISCARD;

#endif
