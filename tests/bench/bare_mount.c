/*
 * What FUSE itself takes: one file, spliced from a file of another filesystem, with pages and
 * attributes that the kernel may keep, and nothing else. Runs until it is unmounted.
 *   bare_mount FILE MOUNTPOINT     FILE is MOUNTPOINT/file
 */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP_S 86400.0

enum { INO_ROOT = FUSE_ROOT_ID, INO_FILE };

static int file_fd = -1;
static off_t file_size;

static struct stat stat_of(fuse_ino_t ino)
{
    if (ino == INO_ROOT)
        return (struct stat){.st_ino = ino, .st_mode = S_IFDIR | 0755, .st_nlink = 2};
    return (struct stat){
        .st_ino = ino, .st_mode = S_IFREG | 0444, .st_nlink = 1, .st_size = file_size};
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->want |= FUSE_CAP_SPLICE_WRITE | FUSE_CAP_ASYNC_READ;
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_MOVE);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param entry = {.ino = INO_FILE,
                                     .attr = stat_of(INO_FILE),
                                     .attr_timeout = KEEP_S,
                                     .entry_timeout = KEEP_S};
    if (parent == INO_ROOT && strcmp(name, "file") == 0)
        fuse_reply_entry(req, &entry);
    else
        fuse_reply_err(req, ENOENT);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct stat st = stat_of(ino);
    (void)fi;
    fuse_reply_attr(req, &st, KEEP_S);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    fi->keep_cache = 1;
    fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    off_t left = offset < file_size ? file_size - offset : 0;
    struct fuse_bufvec bytes = FUSE_BUFVEC_INIT(size < (size_t)left ? size : (size_t)left);
    (void)ino, (void)fi;
    bytes.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
    bytes.buf[0].fd = file_fd;
    bytes.buf[0].pos = offset;
    fuse_reply_data(req, &bytes, 0);
}

int main(int argc, char **argv)
{
    static const struct fuse_lowlevel_ops ops = {.init = op_init,
                                                 .lookup = op_lookup,
                                                 .getattr = op_getattr,
                                                 .open = op_open,
                                                 .read = op_read};
    char *fuse_argv[] = {argv[0], NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, fuse_argv);
    struct stat st;
    file_fd = argc == 3 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    if (file_fd < 0 || fstat(file_fd, &st) < 0) {
        (void)fprintf(stderr, "usage: bare_mount FILE MOUNTPOINT\n");
        return 2;
    }
    file_size = st.st_size;
    struct fuse_session *session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
    if (!session || fuse_session_mount(session, argv[2]) != 0)
        return 1;
    int r = fuse_session_loop(session);
    fuse_session_unmount(session);
    fuse_session_destroy(session);
    return r != 0;
}
