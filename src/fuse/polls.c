/*
 * poll(2), select(2) and epoll(7). The kernel asks for the present state. If the caller is going to
 * sleep, the kernel also passes a handle by which the caller can be woken. Waking is a write to
 * /dev/fuse that takes a spinlock and no other lock (fuse_notify_poll_wakeup() in fs/fuse/file.c),
 * so the loop may do it. The kernel then asks again.
 */
#include "fuse_private.h"

#include "seedancefs/base/table.h"

#include <errno.h>
#include <stdlib.h>

/* The tree's waker. */
struct poller {
    struct fuse_pollhandle *handle;
    struct session *session;
    fuse_ino_t ino;
    int64_t began_ms;
    struct poller *next;
    struct poller *prev;
};

void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
    struct session *session = session_of(req);
    struct poller *poller = ph ? calloc(1, sizeof(*poller)) : NULL;
    if (ph && !poller) {
        fuse_pollhandle_destroy(ph);
        reply_error(req, "poll", -ENOMEM);
        return;
    }
    if (poller) {
        *poller = (struct poller){
            .handle = ph, .session = session, .ino = ino, .began_ms = session_now_ms(session)};
        DL_APPEND(session->pollers, poller);
    }
    fuse_reply_poll(req, (unsigned)(unsigned short)tree_poll(handle_of(fi), poller));
}

void poll_wake(void *waker)
{
    const struct poller *poller = waker;
    (void)fuse_lowlevel_notify_poll(poller->handle);
}

void poll_drop(void *waker)
{
    struct poller *poller = waker;
    DL_DELETE(poller->session->pollers, poller);
    fuse_pollhandle_destroy(poller->handle);
    free(poller);
}

void polls_state_log(const struct session *session)
{
    const struct poller *poller;
    DL_FOREACH (session->pollers, poller) {
        parked_state_log(session, "poll", poller->ino, poller->began_ms);
    }
}
