/*
 * Blocks that an earlier run wrote are compared with their checksums before they are first read. So
 * a disk that rots, or that lied about a write, costs a transfer, never a wrong byte. A block's
 * checksum is computed when its last byte was written: from the received bytes, or from the page
 * cache if the block came in parts.
 */
#include "media/cache_file.h"

#include "seedancefs/base/checksum.h"
#include "seedancefs/base/file.h"
#include "seedancefs/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static bool is_unchecked(const struct cache_file *cache, size_t block)
{
    return cache->unchecked && cache->unchecked[block / 8] >> block % 8 & 1;
}

static void unchecked_set(struct cache_file *cache, size_t block, bool is_set)
{
    unsigned char *byte = &cache->unchecked[block / 8];
    *byte = (unsigned char)(is_set ? *byte | 1u << block % 8 : *byte & ~(1u << block % 8));
}

int cache_sums_make(struct cache_file *cache)
{
    size_t blocks = block_map_blocks(cache->identity.size);
    if (cache->checksums)
        return 0;
    cache->checksums = calloc(blocks, sizeof(*cache->checksums));
    cache->unchecked = calloc(blocks / 8 + 1, 1);
    if (cache->checksums && cache->unchecked)
        return 0;
    free(cache->checksums);
    free(cache->unchecked);
    cache->checksums = NULL;
    cache->unchecked = NULL;
    return -ENOMEM;
}

static bool block_is_in(const struct intervals *set, const struct cache_file *cache, size_t block)
{
    return intervals_has(set, (int64_t)block * BLOCK_MAP_BLOCK_BYTES,
                         block_map_block_end(block, cache->identity.size));
}

void cache_sums_distrust(struct cache_file *cache)
{
    for (size_t block = 0; block < block_map_blocks(cache->identity.size); block++)
        unchecked_set(cache, block,
                      block_is_in(&cache->present, cache, block) ||
                          block_is_in(&cache->damaged, cache, block));
}

/* Computes the checksum of a block as it is in the file. -EBADMSG: the file ends
 * before the block. */
static int block_read(const struct cache_file *cache, size_t block, uint64_t *checksum)
{
    char bytes[BLOCK_MAP_BLOCK_BYTES];
    int64_t first = (int64_t)block * BLOCK_MAP_BLOCK_BYTES;
    size_t len = (size_t)(block_map_block_end(block, cache->identity.size) - first);
    ssize_t n = file_read_full(cache->fd, bytes, len, first);
    if (n != (ssize_t)len)
        return n < 0 ? (int)n : -EBADMSG;
    *checksum = checksum_64(bytes, len);
    return 0;
}

int cache_damage(struct cache_file *cache, int64_t first, int64_t end)
{
    log_warn("media.cache",
             "id=%" PRId64 " offset=%" PRId64 " bytes=%" PRId64
             " note=\"cached bytes are damaged\"",
             cache->identity.id, first, end - first);
    int64_t before = cache->present.bytes;
    int r = intervals_add(&cache->damaged, first, end);
    if (r == 0)
        r = intervals_remove(&cache->present, first, end);
    cache->durable_bytes -= before - cache->present.bytes;
    cache->sync_covered_bytes -= before - cache->present.bytes; /* if a sync is under way */
    cache->dirty_bytes += before - cache->present.bytes; /* so that the next map records it */
    return r;
}

/* The block matches now, so the disk was not to blame, or not for good. */
static int cache_heal(struct cache_file *cache, int64_t first, int64_t end)
{
    int64_t before = cache->present.bytes;
    int r = intervals_add(&cache->present, first, end);
    if (r == 0)
        r = intervals_remove(&cache->damaged, first, end);
    cache->dirty_bytes += cache->present.bytes - before;
    return r;
}

static int block_check(struct cache_file *cache, size_t block)
{
    uint64_t checksum = 0;
    int64_t first = (int64_t)block * BLOCK_MAP_BLOCK_BYTES;
    int64_t end = block_map_block_end(block, cache->identity.size);
    int r = block_read(cache, block, &checksum);
    bool is_right = r == 0 && checksum == cache->checksums[block];
    if (is_right && intervals_has(&cache->damaged, first, end))
        r = cache_heal(cache, first, end);
    else if (r == -EBADMSG || (r == 0 && !is_right))
        r = cache_damage(cache, first, end);
    if (r < 0)
        return r; /* a failed read says nothing about the bytes */
    unchecked_set(cache, block, false);
    return 0;
}

int cache_check(struct cache_file *cache, int64_t first, int64_t end)
{
    int r = 0;
    if (!cache->unchecked || first >= end)
        return 0;
    size_t last = (size_t)((end - 1) / BLOCK_MAP_BLOCK_BYTES);
    for (size_t block = (size_t)(first / BLOCK_MAP_BLOCK_BYTES); r == 0 && block <= last; block++) {
        if (is_unchecked(cache, block))
            r = block_check(cache, block);
    }
    return r;
}

int cache_sum(struct cache_file *cache, int64_t first, const char *bytes, size_t len)
{
    int r = 0;
    int64_t end = first + (int64_t)len;
    size_t last = (size_t)((end - 1) / BLOCK_MAP_BLOCK_BYTES);
    for (size_t block = (size_t)(first / BLOCK_MAP_BLOCK_BYTES); r == 0 && block <= last; block++) {
        int64_t block_first = (int64_t)block * BLOCK_MAP_BLOCK_BYTES;
        int64_t block_end = block_map_block_end(block, cache->identity.size);
        if (first <= block_first && block_end <= end)
            cache->checksums[block] =
                checksum_64(bytes + (block_first - first), (size_t)(block_end - block_first));
        else if (intervals_has(&cache->present, block_first, block_end))
            r = block_read(cache, block, &cache->checksums[block]);
        /* The block was written whole and its checksum is new, so it is no longer damaged. */
        if (r == 0 && intervals_has(&cache->present, block_first, block_end))
            r = intervals_remove(&cache->damaged, block_first, block_end);
    }
    return r;
}
