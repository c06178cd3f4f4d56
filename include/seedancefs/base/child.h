/*
 * What: a process of our own for work that the loop must not wait for. It is forked, not executed, and keeps nothing of
 * the program but what it is given: a socket (SOCK_SEQPACKET) to talk with the program, and one more descriptor.
 * Lifetime: it ends when its function returns, and with the program, however that ends.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_BASE_CHILD_H
#define SEEDANCEFS_BASE_CHILD_H

#include "seedancefs/base/attributes.h"

#include <sys/types.h>

/* Runs in the process. Its descriptors are these two, standard input and outputs are /dev/null, its directory is /, its
 * environment is wiped, signals are blocked as they were, and an ordinary user's process has no capabilities. */
enum { CHILD_SOCKET_FD = 3, CHILD_KEPT_FD = 4 };
typedef void child_fn(void *context);

struct child {
    pid_t pid;
    int socket_fd; /* the program's end */
};

/* `name` as ps and top show it, of 15 bytes at most. `kept_fd` is lent; -1: none. */
int child_start(const char *name, int kept_fd, child_fn *fn, void *context,
                struct child *out) NODISCARD;

/* Closes the socket, which the process takes for its end, and waits for it. */
void child_wait(struct child *child);

#endif
