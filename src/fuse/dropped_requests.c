/*
 * libfuse allocates a little for each request. Without memory it answers ENOMEM by itself and
 * nobody else hears of the request. For most that is as it should be; but a release does not come
 * again, and its handle would stand open for ever, with a prompt.json that is never submitted and
 * never can be; and a writer that was told of an error must not have its half of a prompt.json
 * submitted. So these requests are known before libfuse sees them.
 */
#include "dropped_requests.h"

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
