/*
 * What: the kernel's side: a FUSE session on a mount point. Each request becomes one call of the
 * tree, and each result becomes exactly one reply. The sole includer of libfuse.
 * Lifetime: session_new(), session_mount(), then session_process() whenever session_fd() is
 * readable, until session_is_ended(); session_free() unmounts, unless session_disconnect() was
 * called. Parked reads are answered or cancelled before.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_FUSE_SESSION_H
#define SEEDANCEFS_FUSE_SESSION_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/timer.h"

#include <stdbool.h>
#include <sys/types.h>

struct inspector;
struct session;
struct tree;

struct session_settings {
    struct tree *tree; /* lent, as is timers */
    struct timers *timers;
    struct inspector *inspector; /* lent; NULL: callers cannot be looked at */
    const char *options;         /* FUSE mount options, comma separated; NULL: none */
    const gid_t *group;          /* see tree_settings.group */
    bool is_debug;
    void *context;
    void (*on_ready)(void *context); /* FUSE_INIT is done: the mount answers */
};

/* Of libfuse, as "3.14.0". */
const char *session_library_version(void);

/* -EINVAL when an option is not known to FUSE (it has said so on standard error). */
int session_new(const struct session_settings *settings, struct session **out) NODISCARD;

/* -EIO when mounting failed; libfuse or fusermount3 have said why on standard error. */
int session_mount(struct session *session, const char *mountpoint) NODISCARD;

/*
 * The process that works on the mount so that inotify(7) reports changes. What it creates exists
 * already, and the session replies with that; what it removes is removed already.
 */
void session_emitter_set(struct session *session, pid_t pid); /* 0: none */

/* What the process is going to create: its lookup of `name` (lent; NULL: nothing) in `parent` is
 * answered with ENOENT, because otherwise the kernel would not send the create. With `is_gone` the
 * process is going to remove the name, and its lookup succeeds for the same reason. */
void session_raising_set(struct session *session, uint64_t parent, const char *name, bool is_gone);

/* Writes a line for each request that waits into the log: reads, lookups, and who polls. */
void session_state_log(const struct session *session);

int session_fd(const struct session *session);

/* Handles at most `most` waiting requests, without ever waiting for one. */
int session_process(struct session *session, unsigned most) NODISCARD;

/* True once the mount is gone. */
bool session_is_ended(const struct session *session);

/* Ends the connection, when somebody else unmounts: session_free() then does not unmount. From now
 * on the mount returns ENOTCONN. False when the connection had ended already. */
bool session_disconnect(struct session *session);

struct session *session_free(struct session *session);

#endif
