/*
 * Opens. One whose file has to be made first is parked, and any signal ends it. When the file is there it
 * goes on as if it had come then.
 */
#include "fuse_private.h"

#include "seedancefs/base/table.h"

#include <errno.h>
#include <stdlib.h>

struct opening {
    struct session *session;
    fuse_req_t req;
    fuse_ino_t ino;
    struct fuse_file_info info;
    struct tree_open_wait *parked;
    struct timer timer;
    int64_t began_ms;
    struct opening *next;
    struct opening *prev;
};

void file_info_fill(struct fuse_file_info *fi, const struct tree_open_result *opened)
{
    fi->fh = (uint64_t)(uintptr_t)opened->handle;
    fi->direct_io = opened->is_direct;
    fi->keep_cache = opened->is_kept;
#if FUSE_MINOR_VERSION >= 11 /* before that, closing such a file costs one request */
    fi->noflush = opened->is_flush_void;
#endif
}

static void open_now(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct tree_open_result opened;
    int r = tree_open(tree_of(req), ino, fi->flags, CALLER(req), &opened);
    if (r < 0) {
        reply_error(req, "open", r);
        return;
    }
    file_info_fill(fi, &opened);
    /* The caller was interrupted, and the kernel has forgotten the open: no release will come. */
    if (fuse_reply_open(req, fi) == -ENOENT)
        tree_release(opened.handle);
}

static void opening_free(struct opening *opening)
{
    struct session *session = opening->session;
    timer_cancel(session->settings.timers, &opening->timer);
    DL_DELETE(session->openings, opening);
    free(opening);
}

static void opening_end(void *context, int result)
{
    struct opening *opening = context;
    fuse_req_t req = opening->req;
    fuse_ino_t ino = opening->ino;
    struct fuse_file_info info = opening->info;
    opening_free(opening);
    if (result < 0)
        reply_error(req, "open", result);
    else
        open_now(req, ino, &info);
}

static void opening_cancel(struct opening *opening, int result)
{
    tree_open_wait_cancel(opening->parked);
    opening_end(opening, result);
}

static void opening_give_up(void *context)
{
    opening_cancel(context, -EINTR);
}

/* libfuse calls this with the request's lock held, so it only sets a timer. */
static void opening_interrupted(fuse_req_t req UNUSED, void *data)
{
    struct opening *opening = data;
    timer_set(opening->session->settings.timers, &opening->timer, 0, opening_give_up, opening);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct session *session = session_of(req);
    struct opening *opening = calloc(1, sizeof(*opening));
    if (!opening) {
        reply_error(req, "open", -ENOMEM);
        return;
    }
    *opening = (struct opening){.session = session,
                                .req = req,
                                .ino = ino,
                                .info = *fi,
                                .began_ms = session_now_ms(session)};
    DL_APPEND(session->openings, opening);
    int r = tree_open_prepare(tree_of(req), ino, fi->flags, CALLER(req), opening_end, opening,
                              &opening->parked);
    if (r <= 0)
        opening_end(opening, r);
    else
        fuse_req_interrupt_func(req, opening_interrupted, opening);
}

void opens_state_log(const struct session *session)
{
    const struct opening *opening;
    DL_FOREACH (session->openings, opening) {
        parked_state_log(session, "open", opening->ino, opening->began_ms);
    }
}

void opens_end(struct session *session)
{
    while (session->openings)
        opening_cancel(session->openings, -ENOTCONN);
}
