/*
 * What: a process of our own for work that the loop must not wait for. It is forked, not executed,
 * and keeps nothing of the program but what it is given: a socket (SOCK_SEQPACKET) to talk with the
 * program, one more descriptor, and the capabilities that it is for. Whoever starts one starts it
 * before the program has read the API key: a fork copies all of its memory.
 * Lifetime: it ends when its function returns, and with the program, however that ends.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_BASE_CHILD_H
#define SEEDANCEFS_BASE_CHILD_H

#include "seedancefs/base/attributes.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Runs in the process. Its descriptors are these two, standard input and outputs are /dev/null, its
 * directory is /, its environment is wiped, signals are blocked as they were, it can execute no
 * setuid program, and has no capabilities. */
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

/* Closes the socket, which the process takes for its end, and waits for it. */
void child_wait(struct child *child);

/* Kills it, and does not wait for one that cannot be killed now: it may wait for a disk that is
 * gone. */
void child_kill(struct child *child);

/* Writes a line for each that was started and neither waited for nor killed into the log. */
void child_state_log(void);

#endif
