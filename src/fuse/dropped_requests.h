/*
 * What: which requests have an effect even when libfuse has no memory to pass them on.
 */
#ifndef SEEDANCEFS_FUSE_DROPPED_REQUESTS_H
#define SEEDANCEFS_FUSE_DROPPED_REQUESTS_H

#include <stddef.h>
#include <stdint.h>

enum dropped_kind { DROPPED_NOTHING, DROPPED_WRITE, DROPPED_FLUSH, DROPPED_RELEASE };

/* What a request of the kernel is, and the handle that it is about. */
enum dropped_kind dropped_request_kind(const void *request, size_t len, uint64_t *handle);

#endif
