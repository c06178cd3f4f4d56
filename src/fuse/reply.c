/*
 * What every operation needs: the caller, the handle, and the reply.
 */
#include "fuse_private.h"

#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"

#include <unistd.h>

struct session *session_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

struct tree *tree_of(fuse_req_t req)
{
    return session_of(req)->settings.tree;
}

void reply_error(fuse_req_t req, const char *operation, int r)
{
    if (r < 0 && r != -ENOENT)
        log_debug("fuse.error", "op=%s error=%s errno=%d", operation, err_name(r), err_errno(r));
    if (r < 0)
        metrics_error(session_of(req), r);
    fuse_reply_err(req, err_errno(r));
}

struct fuse_entry_param entry_param(const struct tree_entry *entry)
{
    return (struct fuse_entry_param){.ino = entry->st.st_ino,
                                     .attr = entry->st,
                                     .attr_timeout = entry->attr_s,
                                     .entry_timeout = entry->entry_s};
}

void reply_entry(fuse_req_t req, const char *operation, int r, const struct tree_entry *entry)
{
    if (r < 0) {
        reply_error(req, operation, r);
        return;
    }
    struct fuse_entry_param param = entry_param(entry);
    fuse_reply_entry(req, &param);
}

/* Also one of the groups in /proc/TID/status, of a caller who is neither the owner nor root. Whose
 * groups cannot be read is no member. */
bool is_member(fuse_req_t req)
{
    enum { GROUPS_MAX = 1024 };
    const gid_t *group = session_of(req)->settings.group;
    const struct fuse_ctx *context = fuse_req_ctx(req);
    gid_t groups[GROUPS_MAX];
    if (!group || context->uid == 0 || context->uid == getuid())
        return false;
    if (context->gid == *group)
        return true;
    int count = fuse_req_getgroups(req, GROUPS_MAX, groups);
    for (int i = 0; i < count && i < GROUPS_MAX; i++) {
        if (groups[i] == *group)
            return true;
    }
    return false;
}

int directory_check(fuse_req_t req, fuse_ino_t ino, int mask)
{
    return session_of(req)->settings.group ? tree_access(tree_of(req), ino, mask, CALLER(req)) : 0;
}

/* See session_emitter_set(). */
bool is_emitter(fuse_req_t req)
{
    const struct session *session = session_of(req);
    return session->emitter != 0 && fuse_req_ctx(req)->pid == session->emitter;
}

struct tree_handle *handle_of(const struct fuse_file_info *fi)
{
    return (struct tree_handle *)(uintptr_t)fi->fh; /* NOLINT(performance-no-int-to-ptr) */
}
