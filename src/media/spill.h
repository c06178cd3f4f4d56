/*
 * What: a bounded window of a file's bytes in memory, used while the cache disk takes none. It is
 * an anonymous file (memfd), so its bytes are spliced like those of the cache.
 * Lifetime: spill_new() .. spill_free().
 * Errors: -errno.
 */
#ifndef SRC_MEDIA_SPILL_H
#define SRC_MEDIA_SPILL_H

#include "media/intervals.h"

#include <stdbool.h>

enum {
    SPILL_BLOCK_BYTES = 64 * 1024,
    SPILL_LIMIT_BYTES = 2 * 1024 * 1024, /* kept while nobody waits for more */
    SPILL_WINDOW_BYTES = 512 * 1024,     /* fetched ahead into memory */
    SPILL_RING = 96,                     /* blocks at most */
    SPILL_POOL_BLOCKS = 256,             /* of all files; beyond, each keeps next to nothing: */
    SPILL_POOR_BLOCKS = 4,
};

/* The blocks that all windows hold together. */
struct spill_pool {
    size_t blocks;
};

struct spill {
    int fd;
    struct intervals present;
    int64_t ring[SPILL_RING]; /* blocks in order of arrival */
    size_t head;
    size_t count;
    struct spill_pool *pool; /* lent; NULL: no shared limit */
};

/* Whether a reader waits for one of these bytes. */
typedef bool spill_wanted_fn(const void *context, int64_t first, int64_t end);

int spill_new(struct spill_pool *pool, struct spill **out) NODISCARD;
struct spill *spill_free(struct spill *spill);

/* Stores the bytes, then drops the oldest blocks beyond the limit that no reader wants. */
int spill_write(struct spill *spill, int64_t offset, const void *bytes, size_t len,
                spill_wanted_fn *is_wanted, const void *context) NODISCARD;

#endif
