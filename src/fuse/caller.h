/*
 * What: what the thread behind a request is doing, as /proc shows it.
 */
#ifndef SEEDANCEFS_FUSE_CALLER_H
#define SEEDANCEFS_FUSE_CALLER_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * True when thread `tid` is inside open(2), openat(2), openat2(2) or creat(2) with O_CREAT, and
 * `name` is a component of its path but not the last: something is about to be created below
 * `name`. False whenever that cannot be seen (another pid namespace, ptrace restricted, see
 * proc(5) and process_vm_readv(2)).
 */
bool caller_is_creating_below(pid_t tid, const char *name);

/* True when thread `tid` has a signal pending that will end it, or is gone. */
bool caller_is_dying(pid_t tid);

#endif
