/*
 * What: a directory for the targets that read files, in memory where there is one. It is removed at
 * the end; that of a crash stays below $FUZZ_DIRECTORY, which scripts/run-fuzz.sh removes.
 */
#ifndef TESTS_FUZZ_DIRECTORY_H
#define TESTS_FUZZ_DIRECTORY_H

#include "fuzz.h"

#include <errno.h>
#include <ftw.h>
#include <unistd.h>

enum { FUZZ_PATH_SIZE = 512 };

static char fuzz_directory[FUZZ_PATH_SIZE];

static inline int fuzz_remove_one(const char *path, const struct stat *st UNUSED, int kind UNUSED,
                                  struct FTW *ftw UNUSED)
{
    return remove(path);
}

static inline void fuzz_directory_remove(void)
{
    (void)nftw(fuzz_directory, fuzz_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void fuzz_directory_make(char path[static FUZZ_PATH_SIZE])
{
    const char *parent = getenv("FUZZ_DIRECTORY");
    if (!parent)
        parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(fuzz_directory, FUZZ_PATH_SIZE, "%s/seedancefs-fuzz-XXXXXX", parent);
    FUZZ_REQUIRE(mkdtemp(fuzz_directory), "%s: %s", fuzz_directory, strerror(errno));
    (void)atexit(fuzz_directory_remove);
    memcpy(path, fuzz_directory, FUZZ_PATH_SIZE);
}

#endif
