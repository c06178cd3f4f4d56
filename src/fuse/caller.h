/*
 * What: what the thread behind a request is doing, as /proc shows it.
 */
#ifndef SEEDANCEFS_FUSE_CALLER_H
#define SEEDANCEFS_FUSE_CALLER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The system call that a thread is in: open(2), openat(2), openat2(2) or creat(2). */
struct caller_open_call {
    pid_t tid;
    uint64_t path; /* its address in the caller, like `how` */
    uint64_t how;  /* of openat2(2), which has its flags there; else 0 */
    uint64_t flags;
};

/*
 * True when `tid` is in one of these calls and may be creating a file. False whenever that cannot
 * be seen (another pid namespace, restricted ptrace, see proc(5)). Does not wait.
 */
bool caller_open_call_get(pid_t tid, struct caller_open_call *out);

/*
 * True when the call has O_CREAT and `name` is a component of its path but not the last: the caller
 * is about to create something below `name`. False whenever that cannot be seen (see
 * process_vm_readv(2)). Waits for the caller's memory, which a caller can delay for ever: do not
 * call it in the loop, see inspector.c.
 */
bool caller_is_creating_below(const struct caller_open_call *call, const char *name);

/*
 * True when a process may have the file of this name and inode number open, after thread `tid` has closed a
 * descriptor of it: another descriptor in the same process, or in a child. The descriptors are those
 * of /proc/PID/fdinfo, whose line "ino:" came with Linux 5.14 (proc_pid_fdinfo(5)); without it the
 * result is true. So it is where a process of the caller's session does not show its descriptors.
 * A file of another mount with the same name and number counts, too. Takes milliseconds: do not call it in the
 * loop.
 */
bool caller_file_is_open(pid_t tid, const char *name, uint64_t ino);

/* True when thread `tid` is gone, or has a pending signal that will end it. */
bool caller_is_dying(pid_t tid);

#endif
