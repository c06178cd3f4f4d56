#include "seedancefs/base/file.h"

#include <errno.h>
#include <fcntl.h>
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

int file_read_all_at(int directory_fd, const char *name, struct buf *out)
{
    int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC);
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
    return file_read_all_at(AT_FDCWD, path, out);
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

static int directory_sync_of(const char *path)
{
    char directory[4096];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (len >= sizeof(directory))
        return -ENAMETOOLONG;
    (void)snprintf(directory, sizeof(directory), "%.*s", (int)len, path);
    int fd = open(len ? directory : slash ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 ? -errno : 0;
    (void)close(fd);
    return r;
}

static int path_new(const char *path, char out[static 4096])
{
    int n = snprintf(out, 4096, "%s.new", path);
    return n < 0 || n >= 4096 ? -ENAMETOOLONG : 0;
}

int file_prepare(const char *path, const void *bytes, size_t len, mode_t mode)
{
    char temporary[4096];
    int r = path_new(path, temporary);
    if (r < 0)
        return r;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return -errno;
    r = file_write_full(fd, bytes, len, 0);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r < 0)
        (void)unlink(temporary);
    return r;
}

int file_replace(const char *path, const void *bytes, size_t len, mode_t mode)
{
    char temporary[4096];
    int r = path_new(path, temporary);
    if (r == 0)
        r = file_prepare(path, bytes, len, mode);
    if (r < 0)
        return r;
    if (rename(temporary, path) < 0) {
        r = -errno;
        (void)unlink(temporary);
        return r;
    }
    return directory_sync_of(path);
}

int file_remove(const char *path)
{
    if (unlink(path) < 0)
        return errno == ENOENT ? 0 : -errno;
    return directory_sync_of(path);
}
