/*
 * What: a process that unmounts at the end, for a program that has given up the right to
 * (CAP_SYS_ADMIN). It can unmount the one mount point for which it was made, and nothing else that
 * may lie at its place by then.
 * Lifetime: unmounter_new() before the API key is read and before mounting; it ends with the
 * program, however that ends.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_APP_UNMOUNTER_H
#define SEEDANCEFS_APP_UNMOUNTER_H

#include "seedancefs/base/attributes.h"

#include <sys/types.h>

struct unmounter;

int unmounter_new(const char *mountpoint, struct unmounter **out) NODISCARD;

/* Unmounts the filesystem with this device, also one that is in use, then without waiting for its
 * users. Waits for that, a few seconds at most. -ENOENT: it is not there (any more). */
int unmounter_unmount(struct unmounter *unmounter, dev_t device) NODISCARD;

/* Ends the process. Accepts NULL, returns NULL. */
struct unmounter *unmounter_free(struct unmounter *unmounter);

#endif
