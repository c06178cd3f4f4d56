/*
 * What: the durable record of which bytes are in the cache file: a bitmap of whole blocks and the
 * checksum of each, between a checked header and a checksum of the map. Pure: it converts between a
 * set of ranges and bytes. A map is accepted only if each of its bytes is as written, and id, kind,
 * size and ETag are those of the file. Even then each block is compared with its checksum before it
 * is read.
 * Errors: -ENOMEM, -EBADMSG for a map that is not accepted.
 */
#ifndef SRC_MEDIA_BLOCK_MAP_H
#define SRC_MEDIA_BLOCK_MAP_H

#include "media/intervals.h"
#include "seedancefs/base/buf.h"

/* Bytes per bit and checksum. The map takes 3 KB for a clip of 20 MB, and 8 MiB for
 * the largest file. */
enum { BLOCK_MAP_BLOCK_BYTES = 64 * 1024 };

struct block_map_identity {
    int64_t id;
    int32_t kind;
    int64_t size;
    const char *etag; /* NULL is "" */
};

/* How many blocks a file of that size has, and where a block ends. The last block
 * may be shorter. */
size_t block_map_blocks(int64_t size);
int64_t block_map_block_end(size_t block, int64_t size);

/* The maximum length of a map for a file of that size. */
size_t block_map_bytes(int64_t size);

/* Appends the map of the blocks that `present` covers wholly, and of the `damaged` blocks, whose
 * bytes do not match their checksums. `checksums` has an entry for each block of the file; only
 * those of blocks in the map are read. `covered_bytes` gets the number of bytes that the map lists
 * as present and not damaged. */
int block_map_encode(const struct block_map_identity *identity, const struct intervals *present,
                     const struct intervals *damaged, const uint64_t *checksums, struct buf *out,
                     int64_t *covered_bytes) NODISCARD;

/* Adds the map's ranges to the two sets, which must be empty, and fills in the checksums. On
 * failure the sets stay empty. */
int block_map_decode(const struct block_map_identity *identity, const void *bytes, size_t len,
                     struct intervals *present, struct intervals *damaged,
                     uint64_t *checksums) NODISCARD;

#endif
