/*
 * Blocks are dropped in the order in which their first byte arrived. A block that a parked read
 * needs goes to the end of the queue once more. Only when the ring is full is the oldest block
 * dropped in any case; its readers wait, within their deadlines, until it is fetched again.
 */
#include "media/spill.h"

#include "seedancefs/base/descriptor.h"
#include "seedancefs/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void spill_count(struct spill *spill, int blocks)
{
    spill->count = (size_t)((int64_t)spill->count + blocks);
    if (spill->pool)
        spill->pool->blocks = (size_t)((int64_t)spill->pool->blocks + blocks);
}

int spill_new(struct spill_pool *pool, struct spill **out)
{
    struct spill *spill = calloc(1, sizeof(*spill));
    if (!spill)
        return -ENOMEM;
    spill->fd = descriptor_ordinary(memfd_create("seedancefs-spill", MFD_CLOEXEC));
    if (spill->fd < 0) {
        int r = -errno;
        free(spill);
        return r;
    }
    spill->pool = pool;
    *out = spill;
    return 0;
}

struct spill *spill_free(struct spill *spill)
{
    if (spill) {
        (void)close(spill->fd);
        spill_count(spill, -(int)spill->count);
        intervals_fini(&spill->present);
        free(spill);
    }
    return NULL;
}

static int64_t spill_pop(struct spill *spill)
{
    int64_t block = spill->ring[spill->head];
    spill->head = (spill->head + 1) % SPILL_RING;
    spill_count(spill, -1);
    return block;
}

static void spill_push(struct spill *spill, int64_t block)
{
    spill->ring[(spill->head + spill->count) % SPILL_RING] = block;
    spill_count(spill, 1);
}

static int spill_drop(struct spill *spill, int64_t block)
{
    int64_t first = block * SPILL_BLOCK_BYTES;
    int r = intervals_remove(&spill->present, first, first + SPILL_BLOCK_BYTES);
    if (r == 0 && fallocate(spill->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first,
                            SPILL_BLOCK_BYTES) < 0)
        r = -errno;
    return r;
}

static int spill_trim(struct spill *spill, spill_wanted_fn *is_wanted, const void *context)
{
    int r = 0;
    bool is_poor = spill->pool && spill->pool->blocks >= SPILL_POOL_BLOCKS;
    size_t limit = is_poor ? SPILL_POOR_BLOCKS : SPILL_LIMIT_BYTES / SPILL_BLOCK_BYTES;
    for (size_t turns = spill->count; r == 0 && turns > 0 && spill->count > limit; turns--) {
        int64_t block = spill_pop(spill);
        int64_t first = block * SPILL_BLOCK_BYTES;
        if (is_wanted(context, first, first + SPILL_BLOCK_BYTES))
            spill_push(spill, block);
        else
            r = spill_drop(spill, block);
    }
    if (r == 0 && spill->count == SPILL_RING)
        r = spill_drop(spill, spill_pop(spill));
    return r;
}

static bool spill_has_block(const struct spill *spill, int64_t block)
{
    for (size_t i = 0; i < spill->count; i++)
        if (spill->ring[(spill->head + i) % SPILL_RING] == block)
            return true;
    return false;
}

static int spill_write_block(struct spill *spill, int64_t offset, const char *bytes, size_t len,
                             spill_wanted_fn *is_wanted, const void *context)
{
    int64_t block = offset / SPILL_BLOCK_BYTES;
    int r = 0;
    if (!spill_has_block(spill, block)) {
        r = spill_trim(spill, is_wanted, context);
        if (r == 0)
            spill_push(spill, block);
    }
    if (r == 0)
        r = file_write_full(spill->fd, bytes, len, offset);
    if (r == 0)
        r = intervals_add(&spill->present, offset, offset + (int64_t)len);
    return r;
}

int spill_write(struct spill *spill, int64_t offset, const void *bytes, size_t len,
                spill_wanted_fn *is_wanted, const void *context)
{
    const char *p = bytes;
    int r = 0;
    while (r == 0 && len > 0) {
        size_t room = (size_t)(SPILL_BLOCK_BYTES - offset % SPILL_BLOCK_BYTES);
        size_t part = len < room ? len : room;
        r = spill_write_block(spill, offset, p, part, is_wanted, context);
        p += part;
        offset += (int64_t)part;
        len -= part;
    }
    return r;
}
