/*
 * What: a standard error that never waits. Nobody may read it: a pager that stands still, a
 * terminal after Ctrl-S, a journal that is stuck. O_NONBLOCK on the descriptor would be on
 * everybody's who shares it, the shell's for example; opening it once more works for some kinds
 * only, and not for another user's. So descriptor 2 becomes a pipe of our own, and a process of our
 * own, which may wait, copies what comes out of it to where it went before.
 * Lifetime: one per program, like standard error, begun before the API key is read. When the
 * program ends the process copies what is left, for a second at most, however the program ends.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_APP_STDERR_RELAY_H
#define SEEDANCEFS_APP_STDERR_RELAY_H

#include "seedancefs/base/attributes.h"

int stderr_relay_start(void) NODISCARD;

/* Nothing happens when there is none. */
void stderr_relay_stop(void);

#endif
