/*
 * What: the durable form of "these bytes are in the cache file": a bitmap of whole blocks and the
 * checksum of each, between a checked header and a checksum of the whole. Pure: from a set of
 * ranges to bytes and back. A map is accepted only when every byte of it is as it was written, for
 * the same file (id, kind), size and ETag. Even so, each block that it lists is compared with its
 * checksum before it is read.
 * Errors: -ENOMEM, -EBADMSG for a map that is not accepted.
 */
#ifndef SRC_MEDIA_BLOCK_MAP_H
#define SRC_MEDIA_BLOCK_MAP_H

#include "media/intervals.h"
#include "seedancefs/base/buf.h"

/* A bit and a checksum stand for this many bytes: a map of 3 KB for a clip of 20 MB, 8 MiB for the
 * largest. */
enum { BLOCK_MAP_BLOCK_BYTES = 64 * 1024 };

struct block_map_identity {
    int64_t id;
    int32_t kind;
    int64_t size;
    const char *etag; /* NULL is "" */
};

/* How many blocks a file of that size has, and where each ends: the last one ends with the file. */
size_t block_map_blocks(int64_t size);
int64_t block_map_block_end(size_t block, int64_t size);

/* The most bytes a map of a file of that size has. */
size_t block_map_bytes(int64_t size);

/* Appends the map of the blocks that `present` covers wholly, and of the `damaged` ones, which are
 * known not to match the checksums that they ought to have. `checksums` has one for each block of
 * the file, those of other blocks are not looked at. `covered_bytes` is how many bytes that vouches
 * for. */
int block_map_encode(const struct block_map_identity *identity, const struct intervals *present,
                     const struct intervals *damaged, const uint64_t *checksums, struct buf *out,
                     int64_t *covered_bytes) NODISCARD;

/* Adds the map's ranges to the two empty sets and fills in their checksums; on failure the sets
 * stay empty. */
int block_map_decode(const struct block_map_identity *identity, const void *bytes, size_t len,
                     struct intervals *present, struct intervals *damaged,
                     uint64_t *checksums) NODISCARD;

#endif
