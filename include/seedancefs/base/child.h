/*
 * What: a child process for work that the loop must not wait for. It is forked, not executed, and
 * keeps only what it is given: a socket (SOCK_SEQPACKET) to the program, one more descriptor, and
 * the capabilities that it needs. A child must be started before the program reads the API key,
 * because a fork copies all memory.
 * Lifetime: it ends when its function returns, and when the program ends, however that happens.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_BASE_CHILD_H
#define SEEDANCEFS_BASE_CHILD_H

#include "seedancefs/base/attributes.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Runs in the child. The child has only these two descriptors; standard input and outputs are
 * /dev/null, the working directory is /, the environment is wiped, signals are blocked as they
 * were. It cannot execute setuid programs and has only the capabilities of its settings. */
enum { CHILD_SOCKET_FD = 3, CHILD_KEPT_FD = 4 };
typedef void child_fn(void *context);

struct child {
    pid_t pid;
    int socket_fd; /* the program's end */
};

struct child_settings {
    const char *name;      /* as ps and top show it, of 15 bytes at most */
    int kept_fd;           /* lent; -1: none */
    uint64_t capabilities; /* that it keeps, as in base/privileges */
    bool is_stderr_kept;
};

int child_start_with(const struct child_settings *settings, child_fn *fn, void *context,
                     struct child *out) NODISCARD;

/* One without capabilities, the usual case. */
int child_start(const char *name, int kept_fd, child_fn *fn, void *context,
                struct child *out) NODISCARD;

/* In a child that has children of its own: lets SIGCHLD come only during a ppoll(2) with this mask,
 * which it ends, so that the end of none is missed. False: that could not be set up. */
bool child_signals_prepare(sigset_t *waiting) NODISCARD;

/* Closes the socket, at which the child ends, and waits for it. */
void child_wait(struct child *child);

/* Kills the child. Does not wait for a child that cannot be killed now, because it may be waiting
 * for a disk that does not respond. */
void child_kill(struct child *child);

/* Writes a line for each that was started and neither waited for nor killed into the log. */
void child_state_log(void);

/* How many of these have ended, which none does by itself. */
unsigned child_ended_count(void);

#endif
