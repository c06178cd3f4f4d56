/*
 * What: the data directory, opened once at the start and held: whatever becomes of the path to it, what is in it is
 * reached by these descriptors alone. (SQLite opens its files by path: see store_open().)
 * Lifetime: data_directory_open() .. data_directory_close(), which comes after the end of all who were lent it.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_APP_DATA_DIRECTORY_H
#define SEEDANCEFS_APP_DATA_DIRECTORY_H

#include "seedancefs/base/attributes.h"

#define DATA_DIRECTORY_LOG "seedancefs.log"

struct data_directory {
    int fd; /* -1, as the others: not open */
    int files_fd;
    int media_fd;
};
#define DATA_DIRECTORY_CLOSED ((struct data_directory){.fd = -1, .files_fd = -1, .media_fd = -1})

/* Makes what is missing. The path may lead through links; in the directory none is followed. */
int data_directory_open(const char *path, struct data_directory *out) NODISCARD;
void data_directory_close(struct data_directory *data);

#endif
