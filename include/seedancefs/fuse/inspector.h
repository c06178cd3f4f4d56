/*
 * What: a child process that looks at the thread behind a request and finds out whether it is about
 * to create something below a name, or whether it has closed the last descriptor of a file. It reads
 * the thread's memory, and a caller can make that block for ever; and it goes through the descriptors
 * of all processes, which takes milliseconds.
 * Lifetime: inspector_new() before the mount is made and before the key is read;
 * inspector_process() whenever inspector_fd() is readable; inspector_free() after the session that
 * uses it. The process ends with the program, however the program ends.
 * Errors: -errno. Without the process, and when a look takes longer than a second, the program
 * treats the caller as one that cannot be inspected.
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

/* Takes the results that have arrived. -EPIPE when the process has ended: no more will come. */
int inspector_process(struct inspector *inspector) NODISCARD;

#endif
