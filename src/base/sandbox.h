/*
 * What: takes from this process, before it executes a program that reads files from outside, what
 * that program does not need: the network, other processes, all files but those of the system's
 * programs and libraries, and more memory, time and disk than its work takes. What the kernel does not
 * offer is left out: namespaces and Landlock are not everywhere. The limits and the filter of
 * system calls always hold.
 * Needs no_new_privs, which base/child has set.
 */
#ifndef SEEDANCEFS_BASE_SANDBOX_H
#define SEEDANCEFS_BASE_SANDBOX_H

#include "seedancefs/base/attributes.h"

/* `input_fd` may be opened anew by a path below /proc. `directories` are separated by colons; what
 * is below them may be read and executed. Nothing can be opened for writing; descriptors that are
 * open can be written to. -errno: what must hold could not be set up. */
int sandbox_enter(int input_fd, const char *directories) NODISCARD;

#endif
