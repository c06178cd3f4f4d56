/*
 * What: which requests have a consequence even when libfuse has no memory to pass them on.
 */
#ifndef SEEDANCEFS_FUSE_LOST_H
#define SEEDANCEFS_FUSE_LOST_H

#include <stddef.h>
#include <stdint.h>

enum lost_kind { LOST_NOTHING, LOST_WRITE, LOST_FLUSH, LOST_RELEASE };

/* What a request of the kernel is, and the handle that it is about. */
enum lost_kind lost_kind_get(const void *request, size_t len, uint64_t *handle);

#endif
