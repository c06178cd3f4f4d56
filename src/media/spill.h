/*
 * What: a bounded window of a file's bytes in memory, for the time when the cache disk takes none.
 * It is an anonymous file (memfd), so that its bytes are spliced like those of the cache.
 * Lifetime: spill_new() .. spill_free(). Errors: -errno.
 */
#ifndef SRC_MEDIA_SPILL_H
#define SRC_MEDIA_SPILL_H

#include "media/intervals.h"

#include <stdbool.h>

enum {
    SPILL_BLOCK_BYTES = 64 * 1024,
    SPILL_LIMIT_BYTES = 2 * 1024 * 1024, /* kept when nobody waits for more */
    SPILL_WINDOW_BYTES = 512 * 1024,     /* fetched ahead into it */
    SPILL_RING = 96,                     /* blocks at the very most */
    SPILL_POOL_BLOCKS = 256,             /* of all files; beyond, each keeps next to nothing: */
    SPILL_POOR_BLOCKS = 4,
};

/* How much all windows hold together. */
struct spill_pool {
    size_t blocks;
};

struct spill {
    int fd;
    struct intervals present;
    int64_t ring[SPILL_RING]; /* blocks by arrival */
    size_t head;
    size_t count;
    struct spill_pool *pool; /* lent; NULL: alone */
};

/* Whether a reader waits for one of these bytes. */
typedef bool spill_wanted_fn(const void *context, int64_t first, int64_t end);

int spill_new(struct spill_pool *pool, struct spill **out) NODISCARD;
struct spill *spill_free(struct spill *spill);

/* Takes the bytes and drops the oldest blocks beyond the limit that nobody wants. */
int spill_write(struct spill *spill, int64_t offset, const void *bytes, size_t len,
                spill_wanted_fn *is_wanted, const void *context) NODISCARD;

#endif
