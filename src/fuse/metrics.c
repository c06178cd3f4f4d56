/*
 * The layer's own part of the file `metrics`: the requests of the kernel, and the errors it got.
 * Requests are counted where they come in, by the number of their operation, so that none can be
 * forgotten.
 */
#include "fuse_private.h"

#include "seedancefs/base/buf.h"
#include "seedancefs/base/err.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

static const struct {
    unsigned opcode;
    const char *word;
} operations[] = {
    {FUSE_LOOKUP, "lookup"},       {FUSE_GETATTR, "getattr"},
    {FUSE_SETATTR, "setattr"},     {FUSE_ACCESS, "access"},
    {FUSE_READLINK, "readlink"},   {FUSE_MKNOD, "mknod"},
    {FUSE_MKDIR, "mkdir"},         {FUSE_UNLINK, "unlink"},
    {FUSE_RMDIR, "rmdir"},         {FUSE_RENAME, "rename"},
    {FUSE_RENAME2, "rename2"},     {FUSE_OPEN, "open"},
    {FUSE_CREATE, "create"},       {FUSE_READ, "read"},
    {FUSE_WRITE, "write"},         {FUSE_FLUSH, "flush"},
    {FUSE_FSYNC, "fsync"},         {FUSE_RELEASE, "release"},
    {FUSE_READDIR, "readdir"},     {FUSE_READDIRPLUS, "readdirplus"},
    {FUSE_STATFS, "statfs"},       {FUSE_GETXATTR, "getxattr"},
    {FUSE_LISTXATTR, "listxattr"},
};

static const int error_numbers[] = {
    EPERM,  ENOENT,  EINTR,  EIO,    ENOMEM,  EACCES,    EBUSY,        EEXIST,
    EISDIR, EINVAL,  EFBIG,  ENOSPC, ERANGE,  ENODATA,   ENAMETOOLONG, ENOTEMPTY,
    EILSEQ, ENOTDIR, EDQUOT, ESTALE, ENOTSUP, ETIMEDOUT,
};

void metrics_request(struct session *session, const void *request, size_t len)
{
    struct fuse_in_header head;
    if (!request || len < sizeof(head))
        return;
    memcpy(&head, request, sizeof(head));
    if (head.opcode < ARRAY_COUNT(session->requests_count))
        session->requests_count[head.opcode]++;
}

void metrics_error(struct session *session, int r)
{
    int number = err_errno(r);
    if (number > 0 && (size_t)number < ARRAY_COUNT(session->errors_count))
        session->errors_count[number]++;
}

static void add(struct buf *out, const char *name, const char *label, const char *word,
                uint64_t value)
{
    buf_addf(out, "seedancefs_%s{%s=\"%s\"} %" METRIC_PAD "llu\n", name, label, word,
             (unsigned long long)value);
}

static uint64_t sum(const uint64_t *counts, size_t count)
{
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++)
        all += counts[i];
    return all;
}

static void metrics_add(void *context, struct buf *out)
{
    const struct session *session = context;
    const uint64_t *requests = session->requests_count;
    const uint64_t *errors = session->errors_count;
    uint64_t others = sum(requests, ARRAY_COUNT(session->requests_count));
    buf_add_text(out, "# HELP seedancefs_requests_total Requests of the kernel, by operation.\n"
                      "# TYPE seedancefs_requests_total counter\n");
    for (size_t i = 0; i < ARRAY_COUNT(operations); i++) {
        uint64_t count = requests[operations[i].opcode];
        others -= count;
        add(out, "requests_total", "op", operations[i].word, count);
    }
    add(out, "requests_total", "op", "other", others);
    buf_add_text(out, "# HELP seedancefs_errors_total Errors returned to programs, by name.\n"
                      "# TYPE seedancefs_errors_total counter\n");
    others = sum(errors, ARRAY_COUNT(session->errors_count));
    for (size_t i = 0; i < ARRAY_COUNT(error_numbers); i++) {
        uint64_t count = errors[error_numbers[i]];
        others -= count;
        add(out, "errors_total", "errno", err_name(-error_numbers[i]), count);
    }
    add(out, "errors_total", "errno", "other", others);
}

void metrics_begin(struct session *session)
{
    tree_metrics_set(session->settings.tree, metrics_add, session);
}

void metrics_end(struct session *session)
{
    tree_metrics_set(session->settings.tree, NULL, NULL);
}
