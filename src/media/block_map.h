/*
 * What: the durable form of "these bytes are in the cache file": a bitmap of whole blocks between a
 * checked header and a checksum. Pure: from a set of ranges to bytes and back.
 * A map is believed only when every byte of it is as it was written, for the same file (id, kind),
 * size and ETag. Everything else is an empty cache; it costs a transfer, never a wrong byte.
 * Errors: -ENOMEM, -EBADMSG for a map that is not believed.
 */
#ifndef SRC_MEDIA_BLOCK_MAP_H
#define SRC_MEDIA_BLOCK_MAP_H

#include "media/intervals.h"
#include "seedancefs/base/buf.h"

/* A bit stands for this many bytes: 40 bytes of bitmap for a clip of 20 MB, 128 KiB for the
 * largest. */
enum { BLOCK_MAP_BLOCK_BYTES = 64 * 1024 };

struct block_map_identity {
    int64_t id;
    int32_t kind;
    int64_t size;
    const char *etag; /* NULL is "" */
};

/* The most bytes a map of a file of that size has. */
size_t block_map_bytes(int64_t size);

/* Appends the map of the blocks that `present` covers wholly (the last block ends with the file).
 * `covered_bytes` is how many bytes that vouches for. */
int block_map_encode(const struct block_map_identity *identity, const struct intervals *present,
                     struct buf *out, int64_t *covered_bytes) NODISCARD;

/* Adds the map's ranges to the empty set `present`; on failure it stays empty. */
int block_map_decode(const struct block_map_identity *identity, const void *bytes, size_t len,
                     struct intervals *present) NODISCARD;

#endif
