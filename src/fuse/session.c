/*
 * The session: start, mounting, the queue of requests, end.
 */
#include "fuse_private.h"

#include "seedancefs/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

const char *session_library_version(void)
{
    return fuse_pkgversion();
}

int session_new(const struct session_settings *settings, struct session **out)
{
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return -ENOMEM;
    session->settings = *settings;
    struct fuse_args arguments = FUSE_ARGS_INIT(0, NULL);
    int r = fuse_opt_add_arg(&arguments, "seedancefs") |
            fuse_opt_add_arg(&arguments, "-ofsname=seedancefs,subtype=seedancefs");
    if (settings->options)
        r |= fuse_opt_add_arg(&arguments, "-o") | fuse_opt_add_arg(&arguments, settings->options);
    if (settings->is_debug)
        r |= fuse_opt_add_arg(&arguments, "-d");
    if (r == 0)
        session->fuse = fuse_session_new(&arguments, &session_ops, sizeof(session_ops), session);
    fuse_opt_free_args(&arguments);
    if (!session->fuse) {
        free(session);
        return r ? -ENOMEM : -EINVAL;
    }
    metrics_begin(session);
    tree_waker_set(settings->tree, poll_wake, poll_drop);
    *out = session;
    return 0;
}

int session_mount(struct session *session, const char *mountpoint)
{
    if (fuse_session_mount(session->fuse, mountpoint) != 0)
        return -EIO;
    session->is_mounted = true;
    int fd = fuse_session_fd(session->fuse);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

void session_emitter_set(struct session *session, pid_t pid)
{
    session->emitter = pid;
}

void session_raising_set(struct session *session, uint64_t parent, const char *name, bool is_gone)
{
    session->raising_parent = parent;
    session->raising = name;
    session->is_raising_gone = is_gone;
}

void session_state_log(const struct session *session)
{
    opens_state_log(session);
    reads_state_log(session);
    lookups_state_log(session);
    flushes_state_log(session);
    polls_state_log(session);
}

int session_fd(const struct session *session)
{
    return fuse_session_fd(session->fuse);
}

static void request_process(struct session *session)
{
    const struct fuse_buf *buffer = &session->buffer;
    uint64_t fh = 0;
    enum dropped_kind kind = dropped_request_kind(buffer->mem, buffer->size, &fh);
    session->is_request_taken = false;
    metrics_request(session, buffer->mem, buffer->size);
    fuse_session_process_buf(session->fuse, buffer);
    if (kind == DROPPED_NOTHING || session->is_request_taken)
        return;
    const struct fuse_file_info info = {.fh = fh};
    log_warn("request.lost", "kind=%d error=ENOMEM", (int)kind);
    if (kind == DROPPED_RELEASE)
        tree_release(handle_of(&info));
    else
        tree_write_dropped(handle_of(&info), kind == DROPPED_FLUSH);
}

int session_process(struct session *session, unsigned most)
{
    for (unsigned i = 0; i < most && !fuse_session_exited(session->fuse); i++) {
        int r = fuse_session_receive_buf(session->fuse, &session->buffer);
        /* ENOMEM: libfuse allocates its buffer at the first request. The request is still in the
         * kernel, and the descriptor stays readable: the next pass of the loop tries again. */
        if (r == -EAGAIN || r == -EINTR || r == -ENOMEM)
            return 0;
        if (r < 0)
            return r;
        if (r == 0)
            break; /* unmounted */
        request_process(session);
    }
    return 0;
}

bool session_is_ended(const struct session *session)
{
    return fuse_session_exited(session->fuse) != 0;
}

bool session_disconnect(struct session *session)
{
    struct pollfd connection = {fuse_session_fd(session->fuse), 0, 0};
    int ends[2];
    if (!session->is_mounted || poll(&connection, 1, 0) > 0)
        return false;
    /* This must happen while the kernel still takes replies. */
    opens_end(session);
    reads_end(session);
    lookups_end(session);
    flushes_end(session);
    /* libfuse takes this end of a pipe for a dead connection, and does not unmount
     * (fuse_kern_unmount()). Without the pipe libfuse tries to unmount in vain, and says so. */
    if (pipe2(ends, O_CLOEXEC) < 0)
        return true;
    (void)close(ends[0]);
    (void)dup3(ends[1], connection.fd, O_CLOEXEC);
    (void)close(ends[1]);
    return true;
}

struct session *session_free(struct session *session)
{
    if (!session)
        return NULL;
    opens_end(session);
    reads_end(session);
    lookups_end(session);
    flushes_end(session);
    metrics_end(session);
    if (session->is_mounted)
        fuse_session_unmount(session->fuse);
    fuse_session_destroy(session->fuse);
    tree_abandon(session->settings.tree);
    free(session->buffer.mem);
    free(session);
    return NULL;
}
