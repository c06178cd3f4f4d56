/*
 * What: a child process that makes cached bytes durable. fdatasync() of a video may wait for a slow
 * or throttled disk for seconds, and the loop must reply to `ls` meanwhile.
 * Lifetime: one per collection. syncer_new() forks the process; it ends with the program. It holds
 * only the cache directory and its end of a socket.
 * Errors: -errno.
 */
#ifndef SRC_MEDIA_SYNCER_H
#define SRC_MEDIA_SYNCER_H

#include "media/cache_file.h"
#include "media/cache_index.h"
#include "seedancefs/base/attributes.h"
#include "seedancefs/net/loop.h"

#include <stdbool.h>

struct syncer;

typedef void syncer_fn(void *context, struct cache_sync_result result);

int syncer_new(struct loop *loop, int directory_fd, struct syncer **out) NODISCARD;

/* Waits for the jobs under way and calls their fn. */
struct syncer *syncer_free(struct syncer *syncer);

/* Calls cache_sync() in the child process, then `fn` here. If this fails, the caller must sync. */
int syncer_start(struct syncer *syncer, const struct cache_key *key, int data_fd, syncer_fn *fn,
                 void *context) NODISCARD;

/* Whether a job for these files is under way. */
bool syncer_has(const struct syncer *syncer, const struct cache_key *key);

#endif
