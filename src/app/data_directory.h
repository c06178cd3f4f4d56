/*
 * What: the data directory. It is opened once at the start and held open: everything in it is
 * opened from these descriptors, whatever happens to the path. (SQLite opens its files by path: see
 * store_open().) The program refuses a directory into which other users can write, because they
 * could replace the program's files by links or by their own files.
 * Lifetime: data_directory_open() .. data_directory_close(), after the end of all objects that
 * borrow it.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_APP_DATA_DIRECTORY_H
#define SEEDANCEFS_APP_DATA_DIRECTORY_H

#include "seedancefs/base/attributes.h"

#include <limits.h>

#define DATA_DIRECTORY_LOG "seedancefs.log"

struct data_directory {
    int fd; /* -1, like the others: not open */
    int files_fd;
    int media_fd;
    int frames_fd;
};
#define DATA_DIRECTORY_CLOSED                                                                      \
    ((struct data_directory){.fd = -1, .files_fd = -1, .media_fd = -1, .frames_fd = -1})

/* For the user: what cannot be used, why, and what to do about it. */
struct data_directory_refusal {
    char what[PATH_MAX + 32];
    char why[PATH_MAX + 512];
};

/* Creates what is missing. The path may lead through links; the directory may not contain any. On
 * failure `refusal` says why, or has empty texts if the error says everything. */
int data_directory_open(const char *path, struct data_directory *out,
                        struct data_directory_refusal *refusal) NODISCARD;
void data_directory_close(struct data_directory *data);

#endif
