/*
 * What: the memory that libcurl uses. It is wiped when libcurl frees it: its copies of the request
 * head hold the bearer token, and its buffers hold what was sent and received. libcurl does not
 * wipe them, and freed memory keeps its content.
 *
 * When there is no memory, small allocations are served from a reserve, which is filled again by
 * what libcurl frees. For libcurl 7.88 (multi.c, singlesocket()) does not survive that the table of
 * a socket's transfers cannot be allocated: it destroys the table, keeps the entry, and divides by
 * the table's size, which is 0, at the next event.
 */
#ifndef SEEDANCEFS_NET_CURL_MEMORY_H
#define SEEDANCEFS_NET_CURL_MEMORY_H

#include "seedancefs/base/attributes.h"

/* Call this instead of curl_global_init(). -ENOMEM. */
int curl_memory_init(void) NODISCARD;

#endif
