/*
 * Flushes. close(2) of one of several descriptors of an open file is a flush like that of the last
 * one, and the kernel does not say which it is. It matters when the text of a prompt ends too early: a
 * program that closes its only descriptor has to learn of it, and one that goes on to write through
 * another must not. So the flush is parked until the inspector has looked for other descriptors of
 * the file; see caller_file_is_open(). Whatever it finds, the verdict comes with the release.
 */
#include "fuse_private.h"

#include "inspection.h"

#include "seedancefs/base/err.h"
#include "seedancefs/base/table.h"
#include "seedancefs/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct flush {
    struct inspection inspection;
    struct session *session;
    fuse_req_t req;
    fuse_ino_t ino;
    int64_t began_ms;
    char name[TEXT_NAME_MAX + 1];
    struct flush *next;
    struct flush *prev;
};

static void flush_free(struct flush *flush)
{
    inspection_cancel(&flush->inspection);
    DL_DELETE(flush->session->flushes, flush);
    free(flush);
}

static void flush_end(void *context, bool is_last)
{
    struct flush *flush = context;
    fuse_req_t req = flush->req;
    flush_free(flush);
    reply_error(req, "flush", is_last ? -ERR_JSON_INCOMPLETE : 0);
}

/* 0 when the flush is parked. */
static int flush_park(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct session *session = session_of(req);
    struct flush *flush = calloc(1, sizeof(*flush));
    if (!flush)
        return -ENOMEM;
    flush->session = session;
    flush->req = req;
    flush->ino = ino;
    flush->began_ms = session_now_ms(session);
    (void)snprintf(flush->name, sizeof(flush->name), "%s", name);
    const struct inspection_question question = {
        .tid = fuse_req_ctx(req)->pid, .name = flush->name, .ino = ino};
    int r = inspection_start(&flush->inspection, session->settings.inspector, &question, flush_end,
                             flush);
    if (r < 0) {
        free(flush);
        return r;
    }
    DL_APPEND(session->flushes, flush);
    return 0;
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    session_of(req)->is_request_taken = true;
    int r = tree_flush(handle_of(fi));
    if (r == -ERR_JSON_INCOMPLETE && flush_park(req, ino, tree_handle_name(handle_of(fi))) == 0)
        return;
    reply_error(req, "flush", r == -ERR_JSON_INCOMPLETE ? 0 : r);
}

void flushes_state_log(const struct session *session)
{
    const struct flush *flush;
    DL_FOREACH (session->flushes, flush) {
        parked_state_log(session, "flush", flush->ino, flush->began_ms);
    }
}

void flushes_end(struct session *session)
{
    while (session->flushes) {
        fuse_req_t req = session->flushes->req;
        flush_free(session->flushes);
        reply_error(req, "flush", 0);
    }
}
