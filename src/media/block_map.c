/*
 * Layout, little endian, no padding:
 *
 *     0  8  magic "SDFSMAP" NUL       24  8  id
 *     8  4  version: 2, or 3          32  8  size of the file
 *    12  4  block size                40  8  hash of the ETag
 *    16  4  kind                      48  8  hash of the 48 bytes before
 *    20  4  zero                      56  n  bitmap, bit i of byte i/8; unused bits are zero
 *                                   56+n  8 for each set bit: checksum of that block (XXH3)
 *                                         n  version 3: bitmap of the damaged blocks
 *                                    end  8  hash of all bytes before
 *
 * The hash (FNV-1a, 64 bits) protects against damage, not against malice: who can write the map can
 * write the cached file as well. A single flipped byte always changes the hash. Xor with a byte and
 * multiplication by an odd number are both one to one, so two different states stay different over
 * equal input.
 */
#include "media/block_map.h"

#include "seedancefs/base/text.h"

#include <errno.h>
#include <string.h>

enum {
    MAP_VERSION = 2,         /* written while no block is damaged */
    MAP_VERSION_DAMAGED = 3, /* has the second bitmap */
    MAP_HEADER_HASHED = 48,
    MAP_HEADER_BYTES = 56,
    MAP_HASH_BYTES = 8,
    MAP_CHECKSUM_BYTES = 8,
};

static const char MAP_MAGIC[8] = "SDFSMAP";

static void put_le(unsigned char *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (unsigned char)(value >> (8 * i) & 0xff);
}

static uint64_t get_le(const unsigned char *in, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)in[i] << (8 * i);
    return value;
}

size_t block_map_blocks(int64_t size)
{
    return (size_t)(size / BLOCK_MAP_BLOCK_BYTES + (size % BLOCK_MAP_BLOCK_BYTES != 0));
}

static size_t bitmap_bytes(int64_t size)
{
    return (block_map_blocks(size) + 7) / 8;
}

size_t block_map_bytes(int64_t size)
{
    return MAP_HEADER_BYTES + 2 * bitmap_bytes(size) + block_map_blocks(size) * MAP_CHECKSUM_BYTES +
           MAP_HASH_BYTES;
}

static void header_put(const struct block_map_identity *identity, uint64_t version,
                       unsigned char out[static MAP_HEADER_BYTES])
{
    const char *etag = identity->etag ? identity->etag : "";
    memcpy(out, MAP_MAGIC, sizeof(MAP_MAGIC));
    put_le(out + 8, version, 4);
    put_le(out + 12, BLOCK_MAP_BLOCK_BYTES, 4);
    put_le(out + 16, (uint64_t)identity->kind, 4);
    put_le(out + 20, 0, 4);
    put_le(out + 24, (uint64_t)identity->id, 8);
    put_le(out + 32, (uint64_t)identity->size, 8);
    put_le(out + 40, text_hash(etag, strlen(etag)), 8);
    put_le(out + MAP_HEADER_HASHED, text_hash(out, MAP_HEADER_HASHED), 8);
}

int64_t block_map_block_end(size_t block, int64_t size)
{
    int64_t end = ((int64_t)block + 1) * BLOCK_MAP_BLOCK_BYTES;
    return end < size ? end : size;
}

/* Writes the bits and checksums of the blocks that lie wholly within one run. Runs
 * come in order. */
struct map_writer {
    int64_t size;
    const uint64_t *checksums;
    unsigned char *bitmap;
    unsigned char *next; /* where the next checksum goes */
    int64_t covered_bytes;
};

static bool bit_get(const unsigned char *bitmap, size_t block)
{
    return bitmap[block / 8] >> block % 8 & 1;
}

static void bit_set(unsigned char *bitmap, size_t block)
{
    bitmap[block / 8] = (unsigned char)(bitmap[block / 8] | 1u << block % 8);
}

static void map_put_run(struct map_writer *writer, const struct interval *run)
{
    int64_t size = writer->size;
    size_t block = (size_t)((run->first + BLOCK_MAP_BLOCK_BYTES - 1) / BLOCK_MAP_BLOCK_BYTES);
    for (; block < block_map_blocks(size) && block_map_block_end(block, size) <= run->end;
         block++) {
        bit_set(writer->bitmap, block);
        put_le(writer->next, writer->checksums[block], MAP_CHECKSUM_BYTES);
        writer->next += MAP_CHECKSUM_BYTES;
        writer->covered_bytes +=
            block_map_block_end(block, size) - (int64_t)block * BLOCK_MAP_BLOCK_BYTES;
    }
}

static void map_put_damaged(struct map_writer *writer, const struct intervals *damaged)
{
    for (size_t i = 0; i < damaged->count; i++) {
        size_t block = (size_t)(damaged->list[i].first / BLOCK_MAP_BLOCK_BYTES);
        for (; (int64_t)block * BLOCK_MAP_BLOCK_BYTES < damaged->list[i].end; block++)
            bit_set(writer->next, block);
    }
    if (damaged->count > 0)
        writer->next += bitmap_bytes(writer->size);
    writer->covered_bytes -= damaged->bytes;
}

/* Damaged blocks keep their bits and checksums, so both sets go into one bitmap. */
static int sets_join(const struct intervals *present, const struct intervals *damaged,
                     struct intervals *out)
{
    const struct intervals *sets[] = {present, damaged};
    int r = 0;
    for (size_t s = 0; s < 2; s++)
        for (size_t i = 0; r == 0 && i < sets[s]->count; i++)
            r = intervals_add(out, sets[s]->list[i].first, sets[s]->list[i].end);
    return r;
}

int block_map_encode(const struct block_map_identity *identity, const struct intervals *present,
                     const struct intervals *damaged, const uint64_t *checksums, struct buf *out,
                     int64_t *covered_bytes)
{
    struct intervals all = {0};
    size_t most = block_map_bytes(identity->size);
    int r = buf_reserve(out, most);
    if (r == 0)
        r = sets_join(present, damaged, &all);
    if (r < 0) {
        intervals_fini(&all);
        return r;
    }
    unsigned char *map = (unsigned char *)out->data + out->len;
    memset(map, 0, most);
    header_put(identity, damaged->count > 0 ? MAP_VERSION_DAMAGED : MAP_VERSION, map);
    unsigned char *bitmap = map + MAP_HEADER_BYTES;
    struct map_writer writer = {.size = identity->size,
                                .checksums = checksums,
                                .bitmap = bitmap,
                                .next = bitmap + bitmap_bytes(identity->size)};
    for (size_t i = 0; i < all.count; i++)
        map_put_run(&writer, &all.list[i]);
    intervals_fini(&all);
    map_put_damaged(&writer, damaged);
    size_t len = (size_t)(writer.next - map);
    put_le(writer.next, text_hash(map, len), MAP_HASH_BYTES);
    out->len += len + MAP_HASH_BYTES;
    *covered_bytes = writer.covered_bytes;
    return 0;
}

static size_t bitmap_count(const unsigned char *bitmap, size_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++)
        count += (size_t)__builtin_popcount(bitmap[i]);
    return count;
}

static bool map_has_damage(const unsigned char *map)
{
    return get_le(map + 8, 4) == MAP_VERSION_DAMAGED;
}

/* Returns NULL when the map has no damaged blocks. */
static const unsigned char *damaged_bitmap(const struct block_map_identity *identity,
                                           const unsigned char *map, size_t len)
{
    return map_has_damage(map) ? map + len - MAP_HASH_BYTES - bitmap_bytes(identity->size) : NULL;
}

/* A version 3 map marks at least one block, and marks only blocks that have a checksum. */
static bool damage_is_believable(const unsigned char *damaged, const unsigned char *bitmap,
                                 size_t bytes)
{
    size_t beyond = 0;
    for (size_t i = 0; damaged && i < bytes; i++)
        beyond += damaged[i] & ~bitmap[i];
    return !damaged || (beyond == 0 && bitmap_count(damaged, bytes) > 0);
}

static bool map_is_believable(const struct block_map_identity *identity, const unsigned char *map,
                              size_t len)
{
    if (identity->size <= 0)
        return false;
    size_t bits = bitmap_bytes(identity->size);
    size_t least = MAP_HEADER_BYTES + bits + MAP_HASH_BYTES;
    unsigned char header[MAP_HEADER_BYTES];
    if (len < least)
        return false;
    bool is_damaged = map_has_damage(map);
    header_put(identity, is_damaged ? MAP_VERSION_DAMAGED : MAP_VERSION, header);
    if (memcmp(map, header, sizeof(header)) != 0)
        return false;
    if (is_damaged)
        least += bits;
    if (get_le(map + len - MAP_HASH_BYTES, MAP_HASH_BYTES) != text_hash(map, len - MAP_HASH_BYTES))
        return false;
    const unsigned char *bitmap = map + MAP_HEADER_BYTES;
    size_t unused = bits * 8 - block_map_blocks(identity->size);
    if (bitmap[bits - 1] >> (8 - unused) != 0)
        return false;
    return len == least + bitmap_count(bitmap, bits) * MAP_CHECKSUM_BYTES &&
           damage_is_believable(damaged_bitmap(identity, map, len), bitmap, bits);
}

int block_map_decode(const struct block_map_identity *identity, const void *bytes, size_t len,
                     struct intervals *present, struct intervals *damaged, uint64_t *checksums)
{
    const unsigned char *map = bytes;
    if (!map_is_believable(identity, map, len))
        return -EBADMSG;
    const unsigned char *bitmap = map + MAP_HEADER_BYTES;
    const unsigned char *next = bitmap + bitmap_bytes(identity->size);
    size_t blocks = block_map_blocks(identity->size);
    const unsigned char *marks = damaged_bitmap(identity, map, len);
    for (size_t block = 0; block < blocks; block++) {
        if (!bit_get(bitmap, block))
            continue;
        int r = intervals_add(marks && bit_get(marks, block) ? damaged : present,
                              (int64_t)block * BLOCK_MAP_BLOCK_BYTES,
                              block_map_block_end(block, identity->size));
        if (r < 0) {
            intervals_fini(present);
            intervals_fini(damaged);
            return r;
        }
        checksums[block] = get_le(next, MAP_CHECKSUM_BYTES);
        next += MAP_CHECKSUM_BYTES;
    }
    return 0;
}
