/*
 * What: a process of our own that looks at the threads behind requests: whether they are about to
 * create something below a name. It reads their memory, and a caller can make that take for ever.
 * Lifetime: inspector_new() before there is a mount, and before there is a key in the program;
 * inspector_process() whenever inspector_fd() is readable; inspector_free() after the session that
 * was given it. The process ends with the program, however that ends.
 * Errors: -errno. Without it, and where a look takes longer than a second, callers are taken for
 * ones that cannot be looked at.
 */
#ifndef SEEDANCEFS_FUSE_INSPECTOR_H
#define SEEDANCEFS_FUSE_INSPECTOR_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/timer.h"

struct inspector;

/* `timers` are lent. */
int inspector_new(struct timers *timers, struct inspector **out) NODISCARD;
struct inspector *inspector_free(struct inspector *inspector);

int inspector_fd(const struct inspector *inspector);

/* Takes the results that have come. -EPIPE when the process is gone: there is nothing more to wait
 * for. */
int inspector_process(struct inspector *inspector) NODISCARD;

#endif
