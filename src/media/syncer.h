/*
 * What: a child process that makes cached bytes durable. fdatasync() of a video waits for the disk,
 * for seconds when the disk is slow or its bandwidth is limited, and the loop must answer `ls`
 * meanwhile.
 * Lifetime: one per collection. The process is forked by syncer_new() and ends when the program
 * does. It has only the cache directory and its end of a socket.
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

/* Waits for what is under way, and calls its fn. */
struct syncer *syncer_free(struct syncer *syncer);

/* Calls cache_sync() over there, and then `fn` here. On failure the caller has to do it itself. */
int syncer_start(struct syncer *syncer, const struct cache_key *key, int data_fd, syncer_fn *fn,
                 void *context) NODISCARD;

/* Whether something is under way for these files. */
bool syncer_has(const struct syncer *syncer, const struct cache_key *key);

#endif
