/*
 * What: variables that clean up after themselves when they go out of scope, on every way out of a
 * function, as systemd and composefs have it:
 *     CLEANUP_FREE char *text = strdup(name);
 *     CLEANUP_CLOSE int fd = open(…);
 *     CLEANUP(buf_fini) struct buf buf;          (a destructor that takes the variable's address)
 * Every such variable is initialised where it is declared. TAKE_POINTER and take_fd() hand the value
 * over: to the caller, or to an object that owns it from then on.
 * Errors: errno is left as it is.
 */
#ifndef SEEDANCEFS_BASE_CLEANUP_H
#define SEEDANCEFS_BASE_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLEANUP(function) __attribute__((cleanup(function)))
#define CLEANUP_FREE CLEANUP(cleanup_free)
#define CLEANUP_CLOSE CLEANUP(cleanup_close)

/* The pointer, which is NULL from now on. */
#define TAKE_POINTER(pointer)                                                                      \
    __extension__({                                                                                \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

/* `variable` is the address of a pointer of any type. */
static inline void cleanup_free(void *variable)
{
    void *pointer;
    memcpy(&pointer, variable, sizeof(pointer));
    int error = errno;
    free(pointer);
    errno = error;
}

/* Negative: there is nothing to close. */
static inline void cleanup_close(const int *fd)
{
    int error = errno;
    if (*fd >= 0)
        (void)close(*fd);
    errno = error;
}

/* The descriptor, which is -1 from now on. */
static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#endif
