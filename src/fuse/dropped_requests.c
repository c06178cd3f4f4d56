/*
 * libfuse allocates a little memory for each request. Without memory it replies ENOMEM by itself,
 * and nobody else hears of the request. That is right for most requests. But a release does not
 * come again: its handle would stay open, and its prompt.json would never be submitted. And if a
 * writer was told of an error, half a prompt.json must not be submitted. So the session looks at
 * these requests before libfuse does.
 */
#include "fuse_private.h"

#include <linux/fuse.h>
#include <stddef.h>
#include <string.h>

_Static_assert(offsetof(struct fuse_release_in, fh) == 0 &&
                   offsetof(struct fuse_flush_in, fh) == 0 &&
                   offsetof(struct fuse_write_in, fh) == 0,
               "the handle stands first (linux/fuse.h, which is an ABI)");

enum dropped_kind dropped_request_kind(const void *request, size_t len, uint64_t *handle)
{
    struct fuse_in_header head;
    if (!request || len < sizeof(head) + sizeof(*handle))
        return DROPPED_NOTHING;
    memcpy(&head, request, sizeof(head));
    memcpy(handle, (const char *)request + sizeof(head), sizeof(*handle));
    switch (head.opcode) {
    case FUSE_WRITE:
        return DROPPED_WRITE;
    case FUSE_FLUSH:
        return DROPPED_FLUSH;
    case FUSE_RELEASE:
        return DROPPED_RELEASE;
    default:
        return DROPPED_NOTHING;
    }
}
