#include "seedancefs/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_directory(const char *path, mode_t mode)
{
    if (mkdir(path, mode) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    struct stat st;
    if (stat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_make_directories(const char *path, mode_t mode)
{
    char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    int r = 0;
    for (char *slash = strchr(copy + 1, '/'); slash && r == 0; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        r = make_directory(copy, mode);
        *slash = '/';
    }
    if (r == 0)
        r = make_directory(copy, mode);
    free(copy);
    return r;
}

int file_open_directory(int directory_fd, const char *name)
{
    if (mkdirat(directory_fd, name, 0700) < 0 && errno != EEXIST)
        return -errno;
    int fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Closes `fd`, which may also be the error of a failed open. */
static int read_all(int fd, struct buf *out)
{
    if (fd < 0)
        return -errno;
    int r = 0;
    for (;;) {
        char chunk[16384];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            r = n < 0 ? -errno : 0;
            break;
        }
        r = buf_add(out, chunk, (size_t)n);
        if (r < 0)
            break;
    }
    (void)close(fd);
    return r;
}

int file_read_all(const char *path, struct buf *out)
{
    return read_all(open(path, O_RDONLY | O_CLOEXEC), out);
}

int file_read_all_at(int directory_fd, const char *name, struct buf *out)
{
    return read_all(openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), out);
}

int file_open_again(int fd)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY | O_CLOEXEC);
    return again < 0 ? -errno : again;
}

ssize_t file_read_full(int fd, void *bytes, size_t len, int64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, (char *)bytes + done, len - done, offset + (int64_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int file_write_full(int fd, const void *bytes, size_t len, int64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(fd, (const char *)bytes + done, len - done, offset + (int64_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO;
        done += (size_t)n;
    }
    return 0;
}

/* Only these functions use `name`.new. It holds half of a replacement, or one that never came into
 * force, so it may be overwritten and removed. */
static int temporary_name(const char *name, char out[static NAME_MAX + 1])
{
    int n = snprintf(out, NAME_MAX + 1, "%s.new", name);
    return n < 0 || n > NAME_MAX ? -ENAMETOOLONG : 0;
}

int file_prepare(int directory_fd, const char *name, const void *bytes, size_t len, mode_t mode)
{
    static const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
    char temporary[NAME_MAX + 1];
    int r = temporary_name(name, temporary);
    if (r < 0)
        return r;
    int fd = openat(directory_fd, temporary, flags, mode);
    if (fd < 0)
        return -errno;
    r = file_write_full(fd, bytes, len, 0);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r < 0)
        (void)unlinkat(directory_fd, temporary, 0);
    return r;
}

int file_replace(int directory_fd, const char *name, const void *bytes, size_t len, mode_t mode)
{
    char temporary[NAME_MAX + 1];
    int r = temporary_name(name, temporary);
    if (r == 0)
        r = file_prepare(directory_fd, name, bytes, len, mode);
    if (r < 0)
        return r;
    /* Proof: the caller asked to replace the old file, and the new one is complete and
     * on the disk. */
    if (renameat(directory_fd, temporary, directory_fd, name) < 0) {
        r = -errno;
        (void)unlinkat(directory_fd, temporary, 0);
        return r;
    }
    return fsync(directory_fd) < 0 ? -errno : 0;
}

int file_remove(int directory_fd, const char *name)
{
    /* Proof: the caller asked for it. */
    if (unlinkat(directory_fd, name, 0) < 0)
        return errno == ENOENT ? 0 : -errno;
    return fsync(directory_fd) < 0 ? -errno : 0;
}

int file_list(int directory_fd, DIR **out)
{
    int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *out = fdopendir(fd);
    if (*out)
        return 0;
    int r = -errno;
    (void)close(fd);
    return r;
}
