/*
 * Reads. A read that must wait is a `struct request` on the heap, with the fuse_req_t and the read
 * that the tree parked.
 *
 * An INTERRUPT ends a read of a file made for waiting. It ends any other read only when the caller
 * is dying, because a program that gets SIGALRM or SIGURG must not see EINTR from a regular file.
 * The kernel sends an INTERRUPT for the first signal only. So from then on the program looks at the
 * caller again and again until the read ends.
 */
#include "fuse_private.h"

#include "caller.h"

#include "seedancefs/base/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

enum { INTERRUPT_LOOK_MS = 100 };

struct request {
    struct session *session;
    fuse_req_t req;
    struct tree_read_state *parked;
    struct timer timer;
    pid_t tid;
    fuse_ino_t ino;
    int64_t began_ms;
    struct request *next;
    struct request *prev;
};

static void request_free(struct request *request)
{
    struct session *session = request->session;
    timer_cancel(session->settings.timers, &request->timer);
    DL_DELETE(session->requests, request);
    free(request);
}

static void request_reply(void *context, int result, const struct tree_bytes *bytes)
{
    struct request *request = context;
    fuse_req_t req = request->req;
    request->parked = NULL;
    request_free(request);
    if (result < 0) {
        reply_error(req, "read", result);
    } else if (!bytes) {
        fuse_reply_buf(req, NULL, 0);
    } else if (bytes->fd < 0) {
        fuse_reply_buf(req, bytes->memory, bytes->len);
    } else {
        struct fuse_bufvec data = FUSE_BUFVEC_INIT(bytes->len);
        data.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK | FUSE_BUF_FD_RETRY;
        data.buf[0].fd = bytes->fd;
        data.buf[0].pos = bytes->offset;
        fuse_reply_data(req, &data, (enum fuse_buf_copy_flags)0);
    }
}

static void request_look(void *context)
{
    struct request *request = context;
    if (!tree_read_is_interruptible(request->parked) && !caller_is_dying(request->tid)) {
        timer_set(request->session->settings.timers, &request->timer, INTERRUPT_LOOK_MS,
                  request_look, request);
        return;
    }
    fuse_req_t req = request->req;
    tree_read_cancel(request->parked);
    request_free(request);
    reply_error(req, "read", -EINTR);
}

/* libfuse calls this with the request's lock held, so it only sets a timer. */
static void request_interrupted(fuse_req_t req UNUSED, void *data)
{
    struct request *request = data;
    timer_set(request->session->settings.timers, &request->timer, 0, request_look, request);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    struct request *request = calloc(1, sizeof(*request));
    if (!request) {
        reply_error(req, "read", -ENOMEM);
        return;
    }
    request->session = session_of(req);
    request->req = req;
    request->ino = ino;
    request->began_ms = session_now_ms(request->session);
    request->tid = fuse_req_ctx(req)->pid;
    DL_PREPEND(request->session->requests, request);
    fuse_req_interrupt_func(req, request_interrupted, request);
    tree_read_nonblocking_set(handle_of(fi), (fi->flags & O_NONBLOCK) != 0);
    tree_read(handle_of(fi), size, offset, request_reply, request, &request->parked);
}

void reads_state_log(const struct session *session)
{
    const struct request *request;
    DL_FOREACH (session->requests, request) {
        bool is_wait = request->parked && tree_read_is_interruptible(request->parked);
        parked_state_log(session, is_wait ? "wait" : "read", request->ino, request->began_ms);
    }
}

void reads_end(struct session *session)
{
    while (session->requests) {
        struct request *request = session->requests;
        fuse_req_t req = request->req;
        if (request->parked)
            tree_read_cancel(request->parked);
        request_free(request);
        reply_error(req, "read", -ENOTCONN);
    }
}
