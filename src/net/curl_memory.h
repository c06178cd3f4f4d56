/*
 * What: wipes libcurl's memory when libcurl frees it. Its copies of the request head have the
 * bearer token, and its buffers what was sent and received. libcurl does not wipe them, and freed
 * memory keeps its content.
 */
#ifndef SEEDANCEFS_NET_CURL_MEMORY_H
#define SEEDANCEFS_NET_CURL_MEMORY_H

#include "seedancefs/base/attributes.h"

/* Call it instead of curl_global_init(). -ENOMEM. */
int curl_memory_init(void) NODISCARD;

#endif
