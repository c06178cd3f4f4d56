/*
 * What: a child process that makes system calls in the mount, so that inotify(7) reports to file
 * managers and scripts what the program itself has changed. The kernel raises events only for
 * system calls, and the loop must not make them, because it would have to reply to them itself.
 * Lifetime: emitter_new() before the key is read and before mounting, so that the process has
 * neither the key nor the mount's descriptor. It ends with the program, however the program ends.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_APP_EMITTER_H
#define SEEDANCEFS_APP_EMITTER_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/tree/tree.h"

#include <sys/types.h>

struct loop;
struct inotify_emitter;

/* `on_emit` gets the path that is going to be created or removed (`kind`), lent until the next
 * call; NULL: none. */
typedef void emitter_fn(void *context, const char *path, enum tree_event kind);

int emitter_new(struct loop *loop, const char *mountpoint, emitter_fn *on_emit, void *context,
                struct inotify_emitter **out) NODISCARD;

/* Ends the process. Accepts NULL, returns NULL. */
struct inotify_emitter *emitter_free(struct inotify_emitter *emitter);

/* 0: the process does not exist, or has ended. */
pid_t emitter_pid(const struct inotify_emitter *emitter);

/* Tells that the mount exists, and its device: from now on there are events. Accepts NULL. */
void emitter_begin(struct inotify_emitter *emitter, dev_t device);

/* Never waits: events are dropped if there are too many, or if the process has ended. `context` is
 * a struct inotify_emitter **. */
void emitter_add(void *context, enum tree_event kind, const char *path);

#endif
