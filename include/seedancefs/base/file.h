/*
 * What: the file operations that several layers need, on real disks, with caps and durability
 * spelled out. What lies in the data directory is reached by its name in a directory that is held
 * open, so that it is found, or is not there, whatever becomes of the path to it; a symbolic link
 * there is never followed (-ELOOP). Paths, names and descriptors are lent.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_BASE_FILE_H
#define SEEDANCEFS_BASE_FILE_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/buf.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Makes the directory and its missing parents with `mode`; 0 when it is there already. */
int file_make_directories(const char *path, mode_t mode) NODISCARD;

/* Opens the directory of this name, made with mode 0700 where there is none. A descriptor, owned by
 * the caller;
 * -ENOTDIR for a file or a link. */
int file_open_directory(int directory_fd, const char *name) NODISCARD;

/* Appends the whole file to `out` (up to its limit; -EFBIG beyond). A path may be a link. */
int file_read_all(const char *path, struct buf *out) NODISCARD;
int file_read_all_at(int directory_fd, const char *name, struct buf *out) NODISCARD;

/* Reads or writes exactly `len` bytes unless the file ends (then fewer are returned). */
ssize_t file_read_full(int fd, void *bytes, size_t len, int64_t offset) NODISCARD;
int file_write_full(int fd, const void *bytes, size_t len, int64_t offset) NODISCARD;

/* Puts a file with these bytes in the place of `name`: after a crash or a power cut the old one is
 * there or the new one, and the new one once this has returned 0. Uses `name`.new. */
int file_replace(int directory_fd, const char *name, const void *bytes, size_t len,
                 mode_t mode) NODISCARD;

/* The first half of that: whether the disk takes it. */
int file_prepare(int directory_fd, const char *name, const void *bytes, size_t len,
                 mode_t mode) NODISCARD;

/* Removes the file, durably; 0 when there is none. */
int file_remove(int directory_fd, const char *name) NODISCARD;

#endif
