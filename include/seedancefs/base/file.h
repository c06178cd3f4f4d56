/*
 * What: the file operations that several layers need, on real disks, with explicit limits and
 * durability. A file of the data directory is opened by its name in a directory that is held open,
 * so that the result does not depend on what happens to the path of that directory. A symbolic link
 * there is never followed (-ELOOP). Paths, names and descriptors are lent.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_BASE_FILE_H
#define SEEDANCEFS_BASE_FILE_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/buf.h"

#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Makes the directory and its missing parents with `mode`; 0 when it exists already. */
int file_make_directories(const char *path, mode_t mode) NODISCARD;

/* Opens the directory of this name, and makes it with mode 0700 when it does not exist. Returns a
 * descriptor, owned by the caller; -ENOTDIR for a file or a link. */
int file_open_directory(int directory_fd, const char *name) NODISCARD;

/* Opens a listing of the held directory, from its first name, for closedir(). */
int file_list(int directory_fd, DIR **out) NODISCARD;

/* Appends the whole file to `out` (up to its limit; -EFBIG beyond). A path may be a link. */
int file_read_all(const char *path, struct buf *out) NODISCARD;
int file_read_all_at(int directory_fd, const char *name, struct buf *out) NODISCARD;

/* Reads or writes exactly `len` bytes unless the file ends (then fewer are returned). */
ssize_t file_read_full(int fd, void *bytes, size_t len, int64_t offset) NODISCARD;
int file_write_full(int fd, const void *bytes, size_t len, int64_t offset) NODISCARD;

/* Opens the file of a descriptor anew, for reading alone, and at an offset of its own. Returns a descriptor,
 * owned by the caller. */
int file_open_again(int fd) NODISCARD;

/* Replaces `name` by a file with these bytes: after a crash or a power cut there is the old file or
 * the new one, and the new one once this has returned 0. Uses `name`.new. */
int file_replace(int directory_fd, const char *name, const void *bytes, size_t len,
                 mode_t mode) NODISCARD;

/* The first half of that: returns whether the disk has room for it. */
int file_prepare(int directory_fd, const char *name, const void *bytes, size_t len,
                 mode_t mode) NODISCARD;

/* Removes the file, durably; 0 when there is none. */
int file_remove(int directory_fd, const char *name) NODISCARD;

#endif
