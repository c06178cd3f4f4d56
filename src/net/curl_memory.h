/*
 * What: libcurl's memory, wiped when it gives it back: its copies of the request head hold the
 * bearer, and its buffers what came and went. libcurl does not wipe them, and freed memory keeps
 * what was in it.
 */
#ifndef SEEDANCEFS_NET_CURL_MEMORY_H
#define SEEDANCEFS_NET_CURL_MEMORY_H

#include "seedancefs/base/attributes.h"

/* In the place of curl_global_init(). -ENOMEM. */
int curl_memory_init(void) NODISCARD;

#endif
