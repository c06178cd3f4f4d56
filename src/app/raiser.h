/*
 * What: a process that works through the mount, so that inotify(7) tells file managers and scripts what the program
 * itself has changed: the kernel tells what system calls do, and nothing else. The loop must not make
 * them, because it would have to answer them.
 * Lifetime: raiser_new() before the key is read and before mounting, so that the process has neither the key nor
 * the mount's descriptor; it ends with the program, however that ends.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_APP_RAISER_H
#define SEEDANCEFS_APP_RAISER_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/tree/tree.h"

#include <sys/types.h>

struct loop;
struct raiser;

/* `on_raise` is told the path that is going to be made or removed (`kind`), lent until the next call; NULL: none. */
typedef void raiser_fn(void *context, const char *path, enum tree_news kind);

int raiser_new(struct loop *loop, const char *mountpoint, raiser_fn *on_raise, void *context,
               struct raiser **out) NODISCARD;

/* Ends the process. Accepts NULL, returns NULL. */
struct raiser *raiser_free(struct raiser *raiser);

/* 0: there is none (any more). */
pid_t raiser_pid(const struct raiser *raiser);

/* The mount is there, and this is its device: from now on there are events. Accepts NULL. */
void raiser_begin(struct raiser *raiser, dev_t device);

/* Never waits: what is too much, or no longer possible, is dropped. `context` is a struct raiser **. */
void raiser_news(void *context, enum tree_news kind, const char *path);

#endif
