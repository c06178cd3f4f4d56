/*
 * The operations: one thin function per request. They do not check what the tree checks. Every path
 * of a function ends in exactly one reply.
 */
#include "fuse_private.h"

#include "seedancefs/base/buf.h"
#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* Stalled readahead counts against max_background. With the default of 12, a dozen stalled
     * readers stop every buffered read of the mount. */
    BACKGROUND_MAX = 4096,
    WRITE_MAX = 128 * 1024,
};

static void reply_attr(fuse_req_t req, const char *operation, int r, const struct tree_entry *entry)
{
    if (r < 0)
        reply_error(req, operation, r);
    else
        fuse_reply_attr(req, &entry->st, entry->attr_s);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    struct session *session = userdata;
    conn->max_background = BACKGROUND_MAX;
    conn->congestion_threshold = BACKGROUND_MAX / 4 * 3;
    conn->max_write = WRITE_MAX;
    /* Requests are small, so they are copied; splicing them in would cost a pipe and two more
     * calls. */
    conn->want &= ~(unsigned)FUSE_CAP_SPLICE_READ;
    /* Moving takes the pages away from the cache file, and waits until they have been written
     * back. */
    conn->want &= ~(unsigned)FUSE_CAP_SPLICE_MOVE;
    /* The kernel waits for asynchronous O_DIRECT reads without handling signals, so a stalled
     * reader could not even be killed (fuse_direct_IO() in fs/fuse/file.c). */
    conn->want &= ~(unsigned)FUSE_CAP_ASYNC_DIO;
    conn->want |=
        conn->capable & (FUSE_CAP_SPLICE_WRITE | FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
                         FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_READDIRPLUS |
                         FUSE_CAP_READDIRPLUS_AUTO);
    log_info("mount.ready", "kernel=%u.%u", conn->proto_major, conn->proto_minor);
    if (session->settings.on_ready)
        session->settings.on_ready(session->settings.context);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino UNUSED, uint64_t count UNUSED)
{
    fuse_reply_none(req); /* inode numbers are computed, so there is nothing to forget */
}

static void op_forget_multi(fuse_req_t req, size_t count UNUSED,
                            struct fuse_forget_data *forgets UNUSED)
{
    fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi UNUSED)
{
    struct tree_entry entry;
    int r = tree_getattr(tree_of(req), ino, &entry);
    reply_attr(req, "getattr", r, &entry);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    CLEANUP(buf_fini) struct buf target = {.limit = 4096};
    int r = tree_readlink(tree_of(req), ino, &target);
    if (r < 0)
        reply_error(req, "readlink", r);
    else
        fuse_reply_readlink(req, buf_text(&target));
}

static struct timespec change_time(const struct stat *st, int to_set, bool is_access)
{
    struct timespec time = {.tv_nsec = UTIME_OMIT};
    if (to_set & (is_access ? FUSE_SET_ATTR_ATIME_NOW : FUSE_SET_ATTR_MTIME_NOW))
        time.tv_nsec = UTIME_NOW;
    else if (to_set & (is_access ? FUSE_SET_ATTR_ATIME : FUSE_SET_ATTR_MTIME))
        time = is_access ? st->st_atim : st->st_mtim;
    return time;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
                       struct fuse_file_info *fi)
{
    struct tree_change change = {
        .has_mode = (to_set & FUSE_SET_ATTR_MODE) != 0,
        .has_owner = (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0,
        .has_size = (to_set & FUSE_SET_ATTR_SIZE) != 0,
        .has_times = (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME |
                                FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW)) != 0,
        .mode = st->st_mode,
        .uid = to_set & FUSE_SET_ATTR_UID ? st->st_uid : (uid_t)-1,
        .gid = to_set & FUSE_SET_ATTR_GID ? st->st_gid : (gid_t)-1,
        .size = st->st_size,
        .times = {change_time(st, to_set, true), change_time(st, to_set, false)},
    };
    struct tree_entry entry;
    int r = 0;
    if (is_emitter(req)) { /* it sets a time, which is another one than that of a user's file */
        change = (struct tree_change){.has_times = false};
    } else if (change.has_size && fi) { /* ftruncate(2): the handle's right counts */
        r = tree_truncate(handle_of(fi), change.size);
        change.has_size = false;
    } else if (change.has_size) {
        r = tree_access(tree_of(req), ino, W_OK, CALLER(req));
    }
    if (r == 0)
        r = tree_setattr(tree_of(req), ino, &change, CALLER(req), &entry);
    reply_attr(req, "setattr", r, &entry);
}

static void op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
    reply_error(req, "access", tree_access(tree_of(req), ino, mask, CALLER(req)));
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode UNUSED)
{
    struct tree_entry entry;
    int r = is_emitter(req) ? tree_lookup(tree_of(req), parent, name, &entry)
                            : tree_mkdir(tree_of(req), parent, name, CALLER(req), &entry);
    reply_entry(req, "mkdir", r, &entry);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    /* The emitter never removes anything. */
    int r = is_emitter(req) ? 0 : tree_unlink(tree_of(req), parent, name, CALLER(req));
    reply_error(req, "unlink", r);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    /* The same. */
    int r = is_emitter(req) ? 0 : tree_rmdir(tree_of(req), parent, name, CALLER(req));
    reply_error(req, "rmdir", r);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                      const char *new_name, unsigned flags)
{
    reply_error(req, "rename",
                tree_rename(tree_of(req), parent, name, new_parent, new_name, flags, CALLER(req)));
}

/* mknod(2): NFS and some archivers create regular files this way. */
static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                     dev_t device UNUSED)
{
    struct tree_entry entry;
    struct tree_open_result opened;
    int r = -EPERM;
    if (is_emitter(req)) {
        r = tree_lookup(tree_of(req), parent, name, &entry);
    } else if (S_ISREG(mode)) {
        r = tree_create(tree_of(req), parent, name, mode, O_RDONLY | O_EXCL, CALLER(req), &entry,
                        &opened);
        if (r == 0)
            tree_release(opened.handle);
    }
    reply_entry(req, "mknod", r, &entry);
}

static void op_link(fuse_req_t req, fuse_ino_t ino UNUSED, fuse_ino_t new_parent UNUSED,
                    const char *new_name UNUSED)
{
    reply_error(req, "link", -EPERM);
}

static void op_symlink(fuse_req_t req, const char *target UNUSED, fuse_ino_t parent,
                       const char *name)
{
    struct tree_entry entry;
    int r = is_emitter(req) ? tree_lookup(tree_of(req), parent, name, &entry) : -EPERM;
    reply_entry(req, "symlink", r, &entry);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    struct tree_entry entry;
    struct tree_open_result opened;
    int r = tree_create(tree_of(req), parent, name, mode, fi->flags, CALLER(req), &entry, &opened);
    if (r < 0) {
        reply_error(req, "create", r);
        return;
    }
    file_info_fill(fi, &opened);
    struct fuse_entry_param param = entry_param(&entry);
    if (fuse_reply_create(req, &param, fi) == -ENOENT)
        tree_release(opened.handle);
}

static void op_write(fuse_req_t req, fuse_ino_t ino UNUSED, const char *bytes, size_t size,
                     off_t offset, struct fuse_file_info *fi)
{
    session_of(req)->is_request_taken = true;
    int r = tree_write(handle_of(fi), bytes, size, offset);
    if (r < 0)
        reply_error(req, "write", r);
    else
        fuse_reply_write(req, size);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino UNUSED, int is_data_only UNUSED,
                     struct fuse_file_info *fi)
{
    reply_error(req, "fsync", tree_fsync(handle_of(fi)));
}

static void op_release(fuse_req_t req, fuse_ino_t ino UNUSED, struct fuse_file_info *fi)
{
    session_of(req)->is_request_taken = true;
    tree_release(handle_of(fi));
    reply_error(req, "release", 0);
}

struct listing {
    fuse_req_t req;
    char *bytes;
    size_t size;
    size_t len;
    bool is_plus;
};

static bool listing_add(void *context, const char *name, const struct tree_entry *entry,
                        int64_t next)
{
    struct listing *listing = context;
    char *place = listing->bytes + listing->len;
    size_t room = listing->size - listing->len;
    size_t need;
    if (listing->is_plus) {
        struct fuse_entry_param param = entry_param(entry);
        /* "." and ".." are not looked up: node id 0 (libfuse, fuse_reply_buf of readdirplus). An
         * entry without attributes is looked up when somebody wants them. */
        if (entry->is_bare || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            param.ino = 0;
        need = fuse_add_direntry_plus(listing->req, place, room, name, &param, next);
    } else {
        need = fuse_add_direntry(listing->req, place, room, name, &entry->st, next);
    }
    if (need > room)
        return false;
    listing->len += need;
    return true;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool is_plus)
{
    CLEANUP_FREE char *bytes = malloc(size);
    struct listing listing = {.req = req, .bytes = bytes, .size = size, .is_plus = is_plus};
    int r = bytes ? tree_list(tree_of(req), ino, offset, listing_add, &listing) : -ENOMEM;
    if (r < 0)
        reply_error(req, "readdir", r);
    else
        fuse_reply_buf(req, bytes, listing.len);
}

/* The kernel does not ask for it by itself: see directory_check(). */
static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    int r = directory_check(req, ino, R_OK);
    if (r < 0)
        reply_error(req, "opendir", r);
    else
        fuse_reply_open(req, fi);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi UNUSED)
{
    list(req, ino, size, offset, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                           struct fuse_file_info *fi UNUSED)
{
    list(req, ino, size, offset, true);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino UNUSED)
{
    struct statvfs st;
    int r = tree_statfs(tree_of(req), &st);
    if (r < 0)
        reply_error(req, "statfs", r);
    else
        fuse_reply_statfs(req, &st);
}

const struct fuse_lowlevel_ops session_ops = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .readlink = op_readlink,
    .setattr = op_setattr,
    .access = op_access,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .rename = op_rename,
    .link = op_link,
    .symlink = op_symlink,
    .open = op_open,
    .create = op_create,
    .read = op_read,
    .write = op_write,
    .flush = op_flush,
    .fsync = op_fsync,
    .release = op_release,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .statfs = op_statfs,
    .setxattr = op_setxattr,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .removexattr = op_removexattr,
    .poll = op_poll,
};
