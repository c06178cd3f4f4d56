/*
 * Extended attributes: the kernel asks for a value or a list with room for a number of bytes, or
 * without room to learn the size.
 */
#include "fuse_private.h"

#include "seedancefs/base/buf.h"
#include "seedancefs/base/cleanup.h"

#include <errno.h>

enum { XATTR_BYTES_MAX = 64 * 1024 }; /* XATTR_SIZE_MAX of the kernel */

static void reply(fuse_req_t req, const char *operation, int r, const struct buf *value,
                  size_t size)
{
    if (r == 0 && size > 0 && value->len > size)
        r = -ERANGE;
    if (r < 0)
        reply_error(req, operation, r);
    else if (size == 0)
        fuse_reply_xattr(req, value->len);
    else
        fuse_reply_buf(req, buf_text(value), value->len);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    CLEANUP(buf_fini) struct buf value = {.limit = XATTR_BYTES_MAX};
    int r = tree_xattr_get(tree_of(req), ino, name, CALLER(req), &value);
    reply(req, "getxattr", r, &value, size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    CLEANUP(buf_fini) struct buf list = {.limit = XATTR_BYTES_MAX};
    int r = tree_xattr_list(tree_of(req), ino, CALLER(req), &list);
    reply(req, "listxattr", r, &list, size);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value UNUSED,
                 size_t size UNUSED, int flags UNUSED)
{
    reply_error(req, "setxattr", tree_xattr_set(tree_of(req), ino, name, CALLER(req)));
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    reply_error(req, "removexattr", tree_xattr_set(tree_of(req), ino, name, CALLER(req)));
}
