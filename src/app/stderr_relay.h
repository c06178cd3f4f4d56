/*
 * What: a standard error that never blocks. Perhaps nobody reads it: a pager has stopped, a
 * terminal is paused with Ctrl-S, a journal is stuck. O_NONBLOCK would apply to every process that
 * shares the file description, for example the shell. Opening it again works only for some kinds of
 * files, and not for those of another user. So descriptor 2 becomes a pipe, and a child process,
 * which may block, copies from the pipe to the original standard error.
 * Lifetime: one per program, like standard error, started before the API key is read. When the
 * program ends, however that happens, the process copies the rest, for at most a second.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_APP_STDERR_RELAY_H
#define SEEDANCEFS_APP_STDERR_RELAY_H

#include "seedancefs/base/attributes.h"

int stderr_relay_start(void) NODISCARD;

/* Does nothing when it was not started. */
void stderr_relay_stop(void);

#endif
