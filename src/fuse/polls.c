/*
 * poll(2), select(2) and epoll(7). The kernel asks what holds now and, when somebody is going to
 * sleep, gives a handle by which to wake it. Waking is a write to /dev/fuse that takes a spinlock
 * and no other (fuse_notify_poll_wakeup() in fs/fuse/file.c), so the loop may do it; the kernel
 * then asks again.
 */
#include "fuse_private.h"

void op_poll(fuse_req_t req, fuse_ino_t ino UNUSED, struct fuse_file_info *fi,
             struct fuse_pollhandle *ph)
{
    fuse_reply_poll(req, (unsigned)(unsigned short)tree_poll(handle_of(fi), ph));
}

void poll_wake(void *waker)
{
    (void)fuse_lowlevel_notify_poll(waker);
}

void poll_drop(void *waker)
{
    fuse_pollhandle_destroy(waker);
}
