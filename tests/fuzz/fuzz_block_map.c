/*
 * The block map of a cached video, as it is found on the disk. Input: how the bytes are made
 * (below), the length of the ETag, eight bytes of the file's size, the ETag, then the bytes of the
 * map.
 *   RAW     the bytes are the file
 *   SEALED  the same with both hashes put right: a map that says something else about itself
 *   BITMAP  the bytes are the bitmap and the checksums below a right header
 * What is believed vouches for blocks of this file alone, is written again as it was read, and is
 * not believed any more after one wrong byte.
 */
#include "fuzz.h"

#include "directory.h"
#include "media/cache_file.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FORM_RAW, FORM_SEALED, FORM_BITMAP, FORMS };
enum { HEADER_BYTES = 56, HEADER_HASHED = 48, HASH_BYTES = 8, MAP_BYTES_MAX = 1 << 16 };
enum { CHECKED_BYTES_MAX = 16 * BLOCK_MAP_BLOCK_BYTES };

static int directory_fd = -1;

/* For as many blocks as a map of that length can speak of. */
static uint64_t checksums[8 * MAP_BYTES_MAX];

int LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
    char path[FUZZ_PATH_SIZE];
    fuzz_directory_make(path);
    log_configure(LOG_ERROR, -1);
    directory_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FUZZ_REQUIRE(directory_fd >= 0, "%s: %s", path, strerror(errno));
    return 0;
}

static void hash_put(char *out, uint64_t hash)
{
    for (unsigned i = 0; i < HASH_BYTES; i++)
        out[i] = (char)(hash >> (8 * i) & 0xff);
}

static void seal(char *map, size_t len)
{
    if (len >= HEADER_BYTES)
        hash_put(map + HEADER_HASHED, text_hash(map, HEADER_HASHED));
    if (len >= HASH_BYTES)
        hash_put(map + len - HASH_BYTES, text_hash(map, len - HASH_BYTES));
}

/* Owned by the caller. */
static char *map_make(unsigned form, struct fuzz_reader *reader,
                      const struct block_map_identity *identity, size_t *len)
{
    const uint8_t *bytes = fuzz_take_span(reader, MAP_BYTES_MAX, len);
    if (form != FORM_BITMAP || identity->size <= 0 ||
        block_map_bytes(identity->size) > MAP_BYTES_MAX - *len) {
        char *map = fuzz_bytes(bytes, *len);
        if (form == FORM_SEALED)
            seal(map, *len);
        return map;
    }
    struct buf map;
    struct intervals none = {0};
    int64_t covered = -1;
    buf_init(&map, MAP_BYTES_MAX);
    FUZZ_REQUIRE(block_map_encode(identity, &none, &none, checksums, &map, &covered) == 0 &&
                     covered == 0,
                 "encode");
    /* The bitmap is overwritten as far as there is input; what there is more of are checksums. */
    size_t room = map.len - HEADER_BYTES - HASH_BYTES;
    if (*len > room)
        FUZZ_REQUIRE(buf_add(&map, bytes, *len - room) == 0, "memory");
    if (*len > 0)
        memcpy(map.data + HEADER_BYTES, bytes, *len);
    seal(map.data, map.len);
    *len = map.len;
    char *sealed = fuzz_bytes((const uint8_t *)map.data, map.len);
    buf_fini(&map);
    return sealed;
}

static void require_set(const struct intervals *set, int64_t size)
{
    int64_t at = -1;
    int64_t bytes = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct interval *run = &set->list[i];
        FUZZ_REQUIRE(run->first > at && run->end > run->first && run->end <= size,
                     "[%lld, %lld) of %lld", (long long)run->first, (long long)run->end,
                     (long long)size);
        FUZZ_REQUIRE(run->first % BLOCK_MAP_BLOCK_BYTES == 0 &&
                         (run->end == size || run->end % BLOCK_MAP_BLOCK_BYTES == 0),
                     "half a block");
        at = run->end;
        bytes += run->end - run->first;
    }
    FUZZ_REQUIRE(bytes == set->bytes, "%lld bytes are %lld", (long long)bytes,
                 (long long)set->bytes);
}

static void require_believed(const struct block_map_identity *identity, char *map, size_t len,
                             const struct intervals *present, const struct intervals *damaged,
                             uint8_t choice)
{
    struct buf again;
    struct intervals none = {0};
    int64_t covered = -1;
    FUZZ_REQUIRE(identity->size > 0 && len <= block_map_bytes(identity->size), "%zu bytes", len);
    require_set(present, identity->size);
    require_set(damaged, identity->size);
    buf_init(&again, block_map_bytes(identity->size));
    FUZZ_REQUIRE(block_map_encode(identity, present, damaged, checksums, &again, &covered) == 0,
                 "encode");
    FUZZ_REQUIRE(covered == present->bytes && again.len == len && memcmp(again.data, map, len) == 0,
                 "written again, another map");
    buf_fini(&again);

    size_t wrong = choice * len / 256;
    map[wrong] = (char)(map[wrong] ^ (1 << choice % 8));
    FUZZ_REQUIRE(block_map_decode(identity, map, len, &none, &none, checksums) == -EBADMSG,
                 "wrong at byte %zu", wrong);
    map[wrong] = (char)(map[wrong] ^ (1 << choice % 8));
    FUZZ_REQUIRE(block_map_decode(identity, map, len - 1, &none, &none, checksums) == -EBADMSG,
                 "a byte is missing");
    struct block_map_identity other = *identity;
    other.id++;
    FUZZ_REQUIRE(block_map_decode(&other, map, len, &none, &none, checksums) == -EBADMSG,
                 "that of another file");
}

static void file_put(const char *name, const void *bytes, size_t len, off_t size)
{
    int fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_REQUIRE(fd >= 0 && write(fd, bytes, len) == (ssize_t)len, "%s: %s", name, strerror(errno));
    FUZZ_REQUIRE(size < 0 || ftruncate(fd, size) == 0, "%s: %s", name, strerror(errno));
    (void)close(fd);
}

/* The same through the file: what the map vouches for and the file has is there, and a map that is
 * not believed says so and changes nothing. */
static void check_file(const struct block_map_identity *identity, const char *map, size_t len,
                       bool is_believed, const struct intervals *present, uint8_t choice)
{
    struct cache_file cache;
    struct stat st;
    int64_t data_size = identity->size / 256 * (choice + 1);
    int64_t needed = is_believed && present->count ? present->list[present->count - 1].end : 0;
    file_put("7.mp4", "", 0, data_size);
    file_put("7.map", map, len, -1);
    cache_init(&cache, directory_fd, identity->id, MEDIA_VIDEO);
    int r = cache_load(&cache, identity->size, identity->etag);
    FUZZ_REQUIRE(r == (is_believed ? 0 : -EBADMSG), "result %d", r);
    if (is_believed && needed <= data_size) {
        FUZZ_REQUIRE(cache.present.bytes == present->bytes, "not taken over");
        FUZZ_REQUIRE(cache_has(&cache, 0, identity->size) == cache_is_complete(&cache), "whole?");
    } else if (is_believed) {
        FUZZ_REQUIRE(!cache_has(&cache, needed - 1, needed), "beyond the end");
    } else {
        FUZZ_REQUIRE(cache.present.count == 0 && cache.fd < 0, "believed");
    }
    FUZZ_REQUIRE(fstatat(directory_fd, "7.map", &st, 0) == 0 && st.st_size == (off_t)len,
                 "changed");
    /* The data are zeros, and few checksums are theirs: what is not right is not there any more. */
    if (is_believed && cache.present.bytes + cache.damaged.bytes <= CHECKED_BYTES_MAX) {
        FUZZ_REQUIRE(cache_check(&cache, 0, identity->size) == 0, "check");
        FUZZ_REQUIRE(cache.durable_bytes <= cache.present.bytes, "not counted");
    }
    (void)!cache_drop(&cache);
    cache_fini(&cache);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_reader reader = {data, size};
    unsigned form = fuzz_take_byte(&reader) % FORMS;
    uint8_t choice = fuzz_take_byte(&reader);
    size_t etag_len = fuzz_take_byte(&reader) % 32;
    struct block_map_identity identity = {.id = 7, .kind = MEDIA_VIDEO};
    identity.size = (int64_t)fuzz_take_number(&reader, 8);
    const uint8_t *etag_bytes = fuzz_take_span(&reader, etag_len, &etag_len);
    char *etag = fuzz_text(etag_bytes, etag_len);
    identity.etag = etag;
    size_t len = 0;
    char *map = map_make(form, &reader, &identity, &len);

    struct intervals present = {0};
    struct intervals damaged = {0};
    int r = block_map_decode(&identity, map, len, &present, &damaged, checksums);
    FUZZ_REQUIRE(r == 0 || (r == -EBADMSG && present.count + damaged.count == 0), "result %d", r);
    if (identity.size > 0 && identity.size <= MEDIA_SIZE_MAX)
        check_file(&identity, map, len, r == 0, &present, choice);
    if (r == 0)
        require_believed(&identity, map, len, &present, &damaged, choice);
    intervals_fini(&present);
    intervals_fini(&damaged);
    free(map);
    free(etag);
    return 0;
}
