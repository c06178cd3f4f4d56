/*
 * What: wipes libcurl's memory when libcurl frees it. Its copies of the request head hold the
 * bearer token, and its buffers hold what was sent and received. libcurl does not wipe them, and
 * freed memory keeps its content.
 */
#ifndef SEEDANCEFS_NET_CURL_MEMORY_H
#define SEEDANCEFS_NET_CURL_MEMORY_H

#include "seedancefs/base/attributes.h"

/* Call this instead of curl_global_init(). -ENOMEM. */
int curl_memory_init(void) NODISCARD;

#endif
