/*
 * Extended attributes: the kernel asks for a value or a list with room for so many bytes, or with
 * none to learn how many there are.
 */
#include "fuse_private.h"

#include "seedancefs/base/buf.h"

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
    struct buf value;
    buf_init(&value, XATTR_BYTES_MAX);
    struct tree_caller caller = caller_of(req);
    int r = tree_xattr_get(session_of(req)->settings.tree, ino, name, &caller, &value);
    reply(req, "getxattr", r, &value, size);
    buf_fini(&value);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    struct buf list;
    buf_init(&list, XATTR_BYTES_MAX);
    struct tree_caller caller = caller_of(req);
    int r = tree_xattr_list(session_of(req)->settings.tree, ino, &caller, &list);
    reply(req, "listxattr", r, &list, size);
    buf_fini(&list);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value UNUSED,
                 size_t size UNUSED, int flags UNUSED)
{
    struct tree_caller caller = caller_of(req);
    reply_error(req, "setxattr",
                tree_xattr_set(session_of(req)->settings.tree, ino, name, &caller));
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct tree_caller caller = caller_of(req);
    reply_error(req, "removexattr",
                tree_xattr_set(session_of(req)->settings.tree, ino, name, &caller));
}
