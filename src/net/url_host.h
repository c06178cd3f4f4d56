/* What: parses an address, for the two places in net/ that get one from curl as text. */
#ifndef SEEDANCEFS_NET_URL_HOST_H
#define SEEDANCEFS_NET_URL_HOST_H

#include "seedancefs/base/attributes.h"

#include <sys/socket.h>

/* An IPv4 or IPv6 address, the latter with or without brackets. -EINVAL for a name. */
int url_host_address(const char *host, struct sockaddr_storage *out) NODISCARD;

#endif
