/*
 * What: a child process that unmounts at the end, for a program that has given up the capability to
 * do so (CAP_SYS_ADMIN). It can unmount only the mount for which it was made, and no other mount
 * that was put in its place.
 * Lifetime: unmounter_new() before the API key is read and before mounting. It ends with the
 * program, however the program ends.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_APP_UNMOUNTER_H
#define SEEDANCEFS_APP_UNMOUNTER_H

#include "seedancefs/base/attributes.h"

#include <sys/types.h>

struct unmounter;

int unmounter_new(const char *mountpoint, struct unmounter **out) NODISCARD;

/* Unmounts the filesystem with this device, without waiting for its users. Waits for the result, a
 * few seconds at most. -ENOENT: it is not mounted (any more). */
int unmounter_unmount(struct unmounter *unmounter, dev_t device) NODISCARD;

/* Ends the process. Accepts NULL, returns NULL. */
struct unmounter *unmounter_free(struct unmounter *unmounter);

#endif
