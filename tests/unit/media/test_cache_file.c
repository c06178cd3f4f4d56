/* The map is never ahead of the data: damage, strangers, and a crash after any step. */
#include "media/cache_file.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = BLOCK_MAP_BLOCK_BYTES };

/* The calls by which the cache looks at its files come past here, and the one that `look_fails_in`
 * counts down to fails. */
static int look_fails_in;
static int look_error;

static bool look_is_due(void)
{
    if (look_fails_in <= 0 || --look_fails_in > 0)
        return false;
    errno = look_error;
    return true;
}

int openat(int directory_fd, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return look_is_due() ? -1 : (int)syscall(SYS_openat, directory_fd, path, flags, mode);
}

int fstatat(int directory_fd, const char *path, struct stat *st, int flags)
{
    return look_is_due() ? -1 : (int)syscall(SYS_newfstatat, directory_fd, path, st, flags);
}

int fstat(int fd, struct stat *st)
{
    return look_is_due() ? -1 : (int)syscall(SYS_fstat, fd, st);
}

ssize_t read(int fd, void *bytes, size_t len)
{
    return look_is_due() ? -1 : syscall(SYS_read, fd, bytes, len);
}

ssize_t pread(int fd, void *bytes, size_t len, off_t offset)
{
    return look_is_due() ? -1 : syscall(SYS_pread64, fd, bytes, len, offset);
}

static const struct block_map_identity identity = {
    .id = 42, .kind = MEDIA_VIDEO, .size = 10 * BLOCK + 7, .etag = "\"tag\""};

static const uint64_t checksums[11] = {11, 22, 33, 44, 55, 66, 77, 88, 99, 1010, 1111};
static uint64_t checksums_read[11];

static const struct intervals none;

static void encode(const struct intervals *present, const struct intervals *damaged,
                   struct buf *map, int64_t *covered)
{
    buf_init(map, 1 << 20);
    assert_int_equal(block_map_encode(&identity, present, damaged, checksums, map, covered), 0);
    assert_true(map->len <= block_map_bytes(identity.size));
}

static void test_block_map__round_trip_keeps_whole_blocks(void **state)
{
    static const struct {
        struct interval run;
        struct interval kept; /* first == end: nothing */
    } rows[] = {
        {{0, BLOCK}, {0, BLOCK}},
        {{1, BLOCK}, {0, 0}},
        {{0, BLOCK - 1}, {0, 0}},
        {{BLOCK - 1, 3 * BLOCK + 1}, {BLOCK, 3 * BLOCK}},
        {{9 * BLOCK, 10 * BLOCK + 7}, {9 * BLOCK, 10 * BLOCK + 7}},
        {{10 * BLOCK, 10 * BLOCK + 6}, {0, 0}},
        {{10 * BLOCK, 10 * BLOCK + 7}, {10 * BLOCK, 10 * BLOCK + 7}},
        {{0, 10 * BLOCK + 7}, {0, 10 * BLOCK + 7}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct intervals in = {0};
        struct intervals out = {0};
        struct intervals damaged = {0};
        struct buf map;
        int64_t covered = -1;
        assert_int_equal(intervals_add(&in, rows[i].run.first, rows[i].run.end), 0);
        encode(&in, &none, &map, &covered);
        assert_int_equal(
            block_map_decode(&identity, map.data, map.len, &out, &damaged, checksums_read), 0);
        assert_int_equal(damaged.count, 0);
        assert_int_equal(covered, rows[i].kept.end - rows[i].kept.first);
        assert_int_equal(out.bytes, covered);
        assert_true(intervals_has(&out, rows[i].kept.first, rows[i].kept.end));
        for (int64_t at = rows[i].kept.first; at < rows[i].kept.end; at += BLOCK)
            assert_int_equal(checksums_read[at / BLOCK], checksums[at / BLOCK]);
        buf_fini(&map);
        intervals_fini(&in);
        intervals_fini(&out);
    }
}

/* Damaged blocks keep their checksums, whether some of their bytes have come again or not. */
static void test_block_map__damaged_blocks_are_marked(void **state)
{
    struct intervals present = {0};
    struct intervals damaged = {0};
    struct intervals present_read = {0};
    struct intervals damaged_read = {0};
    struct buf map;
    int64_t covered;
    (void)state;
    assert_int_equal(intervals_add(&present, 0, 3 * BLOCK + 100), 0);
    assert_int_equal(intervals_add(&damaged, 3 * BLOCK, 5 * BLOCK), 0);
    assert_int_equal(intervals_add(&damaged, 10 * BLOCK, identity.size), 0);
    encode(&present, &damaged, &map, &covered);
    assert_int_equal(covered, 3 * BLOCK);
    assert_int_equal(block_map_decode(&identity, map.data, map.len, &present_read, &damaged_read,
                                      checksums_read),
                     0);
    assert_int_equal(present_read.bytes, 3 * BLOCK);
    assert_int_equal(damaged_read.bytes, damaged.bytes);
    assert_true(intervals_has(&damaged_read, 3 * BLOCK, 5 * BLOCK));
    for (size_t block = 0; block < 5; block++)
        assert_int_equal(checksums_read[block], checksums[block]);
    assert_int_equal(checksums_read[10], checksums[10]);
    buf_fini(&map);
    intervals_fini(&present);
    intervals_fini(&damaged);
    intervals_fini(&present_read);
    intervals_fini(&damaged_read);
}

static void test_block_map__no_damaged_byte_is_believed(void **state)
{
    struct intervals present = {0};
    struct intervals damaged = {0};
    struct intervals out = {0};
    struct buf map;
    int64_t covered;
    (void)state;
    assert_int_equal(intervals_add(&present, 2 * BLOCK, 5 * BLOCK), 0);
    for (int with_damage = 0; with_damage < 2; with_damage++) {
        struct intervals marked = {0};
        if (with_damage)
            assert_int_equal(intervals_add(&damaged, 8 * BLOCK, 9 * BLOCK), 0);
        encode(&present, &damaged, &map, &covered);
        for (size_t i = 0; i < map.len; i++) {
            for (unsigned flip = 1; flip < 256; flip++) {
                map.data[i] = (char)((unsigned char)map.data[i] ^ flip);
                assert_int_equal(
                    block_map_decode(&identity, map.data, map.len, &out, &marked, checksums_read),
                    -EBADMSG);
                map.data[i] = (char)((unsigned char)map.data[i] ^ flip);
            }
            assert_int_equal(
                block_map_decode(&identity, map.data, i, &out, &marked, checksums_read), -EBADMSG);
        }
        assert_int_equal(out.count + marked.count, 0);
        assert_int_equal(
            block_map_decode(&identity, map.data, map.len, &out, &marked, checksums_read), 0);
        assert_int_equal(marked.bytes, damaged.bytes);
        intervals_fini(&out);
        intervals_fini(&marked);
        buf_fini(&map);
    }
    intervals_fini(&present);
    intervals_fini(&damaged);
}

static void test_block_map__a_map_of_another_file_is_not_believed(void **state)
{
    struct block_map_identity others[] = {identity, identity, identity, identity, identity};
    struct intervals present = {0};
    struct intervals damaged = {0};
    struct intervals out = {0};
    struct buf map;
    int64_t covered;
    (void)state;
    others[0].id = 43;
    others[1].kind = MEDIA_COVER;
    others[2].size = identity.size - 1;
    others[3].etag = "\"other\"";
    others[4].size = INT64_MAX;
    assert_int_equal(intervals_add(&present, 0, identity.size), 0);
    encode(&present, &none, &map, &covered);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(
            block_map_decode(&others[i], map.data, map.len, &out, &damaged, checksums_read),
            -EBADMSG);
    buf_fini(&map);
    intervals_fini(&present);
}

/* The hash is right, but there are more or fewer checksums than the bitmap has bits. */
static void test_block_map__a_map_of_another_length_is_not_believed(void **state)
{
    enum { HASH_BYTES = 8, CHECKSUM_BYTES = 8 };
    struct intervals present = {0};
    struct intervals damaged = {0};
    struct intervals out = {0};
    struct buf map;
    int64_t covered;
    (void)state;
    assert_int_equal(intervals_add(&present, 0, 3 * BLOCK), 0);
    encode(&present, &none, &map, &covered);
    assert_int_equal(buf_reserve(&map, CHECKSUM_BYTES), 0);
    size_t right = map.len;
    memset(map.data + right, 0, CHECKSUM_BYTES);
    for (size_t len = right - 3 * CHECKSUM_BYTES; len <= right + CHECKSUM_BYTES; len++) {
        uint64_t hash = text_hash(map.data, len - HASH_BYTES);
        for (size_t i = 0; i < HASH_BYTES; i++)
            map.data[len - HASH_BYTES + i] = (char)(hash >> 8 * i & 0xff);
        assert_int_equal(block_map_decode(&identity, map.data, len, &out, &damaged, checksums_read),
                         len == right ? 0 : -EBADMSG);
    }
    intervals_fini(&out);
    intervals_fini(&present);
    buf_fini(&map);
}

struct place {
    char path[64];
    int fd;
};

static void place_init(struct place *place)
{
    (void)snprintf(place->path, sizeof(place->path), "/tmp/test-cache-XXXXXX");
    assert_non_null(mkdtemp(place->path));
    place->fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(place->fd >= 0);
    log_configure(LOG_ERROR, 2);
}

static void place_fini(struct place *place)
{
    char command[96];
    (void)snprintf(command, sizeof(command), "rm -rf %s", place->path);
    assert_int_equal(system(command), 0);
    (void)close(place->fd);
}

static bool is_there(const struct place *place, const char *name)
{
    return faccessat(place->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Of names and bytes of all files. */
static uint64_t place_hash(const struct place *place)
{
    char command[160];
    unsigned long long hash = 0;
    (void)snprintf(command, sizeof(command),
                   "cd %s && { ls -l --time-style=+; cat * 2>&1; } | sha256sum | cut -c -15",
                   place->path);
    FILE *out = popen(command, "re");
    assert_non_null(out);
    assert_int_equal(fscanf(out, "%llx", &hash), 1);
    (void)pclose(out);
    return hash;
}

static unsigned char pattern(int64_t offset, unsigned version)
{
    return (unsigned char)((offset * 31 + offset / 251 + version * 97 + 1) & 0xff);
}

static bool want_all(const void *context, int64_t first, int64_t end)
{
    (void)context, (void)first, (void)end;
    return true;
}

static bool want_none(const void *context, int64_t first, int64_t end)
{
    (void)context, (void)first, (void)end;
    return false;
}

static int put(struct cache_file *cache, int64_t first, int64_t end, unsigned version)
{
    static unsigned char bytes[BLOCK];
    int r = 0;
    while (r == 0 && first < end) {
        int64_t part = end - first < BLOCK ? end - first : BLOCK;
        for (int64_t i = 0; i < part; i++)
            bytes[i] = pattern(first + i, version);
        r = cache_write(cache, 0, first, bytes, (size_t)part, want_all, NULL);
        first += part;
    }
    return r;
}

/* Every byte that the cache vouches for is right. */
static void check(const struct cache_file *cache, unsigned version)
{
    for (size_t i = 0; i < cache->present.count; i++)
        for (int64_t at = cache->present.list[i].first; at < cache->present.list[i].end; at++) {
            unsigned char byte;
            if (at % 97 == 0) {
                assert_int_equal(pread(cache->fd, &byte, 1, at), 1);
                assert_int_equal(byte, pattern(at, version));
            }
        }
}

static void test_cache_file__survives_a_restart(void **state)
{
    struct place place;
    struct cache_file cache;
    (void)state;
    place_init(&place);
    cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
    assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
    assert_int_equal(put(&cache, BLOCK, 4 * BLOCK + 100, 1), 0);
    assert_int_equal(cache_persist(&cache, 0), 0);
    assert_int_equal(cache.durable_bytes, 3 * BLOCK);
    assert_int_equal(put(&cache, 6 * BLOCK, 7 * BLOCK, 1), 0); /* never made durable */
    cache_fini(&cache);
    cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
    assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
    assert_int_equal(cache.present.bytes, 3 * BLOCK);
    check(&cache, 1);
    cache_fini(&cache);
    /* Another version: proven not to be of use, and nothing has happened to it yet. */
    cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
    assert_int_equal(cache_load(&cache, 10 * BLOCK, "f"), -EBADMSG);
    assert_int_equal(cache.present.bytes, 0);
    assert_int_equal(put(&cache, 0, BLOCK, 2), -EIO);
    assert_true(is_there(&place, "1.map") && is_there(&place, "1.mp4"));
    assert_int_equal(cache_drop(&cache), 0);
    assert_false(is_there(&place, "1.map") || is_there(&place, "1.mp4"));
    assert_int_equal(put(&cache, 0, BLOCK, 2), 0);
    cache_fini(&cache);
    place_fini(&place);
}

/* What has happened to the files, what loading says, and how much is then there and how much is
 * damaged. */
static void test_cache_file__only_what_the_map_and_the_file_agree_on_is_there(void **state)
{
    static const struct {
        const char *command;
        int result;
        int present, damaged; /* blocks */
    } rows[] = {
        {"true %s", 0, 10, 0},
        {"rm %s/1.mp4", 0, 0, 0},
        {"rm %s/1.mp4 %s/1.map", 0, 0, 0},
        {"truncate -s 1000 %s/1.mp4", 0, 0, 10},
        {"truncate -s 400000 %s/1.mp4", 0, 6, 4},
        {"truncate -s 20 %s/1.map", -EBADMSG, 0, 0},
        {": > %s/1.map", -EBADMSG, 0, 0},
        {"echo x >> %s/1.map", -EBADMSG, 0, 0},
        {"truncate -s 2M %s/1.map", -EBADMSG, 0, 0},
        {"rm %s/1.map", -EBADMSG, 0, 0},
        {"rm %s/1.map; : >%s/1.mp4", 0, 0, 0},
        {"rm %s/1.map && mkdir %s/1.map", -EISDIR, 0, 0},
        {"mv %s/1.map %s/m && ln -s 1.map %s/1.map", -ELOOP, 0, 0},
        {"mv %s/1.mp4 %s/d && ln -s d %s/1.mp4", -ELOOP, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct place place;
        struct cache_file cache;
        char command[128];
        place_init(&place);
        cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
        assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
        assert_int_equal(put(&cache, 0, 10 * BLOCK, 1), 0);
        assert_int_equal(cache_persist(&cache, 0), 0);
        cache_fini(&cache);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(command, sizeof(command), rows[i].command, place.path, place.path,
                       place.path);
#pragma GCC diagnostic pop
        assert_int_equal(system(command), 0);
        uint64_t before = place_hash(&place);
        cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
        assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), rows[i].result);
        assert_int_equal(cache.present.bytes, rows[i].present * BLOCK);
        assert_int_equal(cache.damaged.bytes, rows[i].damaged * BLOCK);
        assert_int_equal(cache.durable_bytes, rows[i].present * BLOCK);
        check(&cache, 1);
        /* Looking changes nothing, and nothing is written over what could not be looked at. */
        if (rows[i].result < 0)
            assert_int_equal(put(&cache, 0, BLOCK, 1), cache_error(rows[i].result));
        assert_int_equal(place_hash(&place), before);
        if (rows[i].result == 0) {
            assert_int_equal(put(&cache, 0, 10 * BLOCK, 1), 0);
            assert_int_equal(cache_persist(&cache, 0), 0);
            assert_int_equal(cache.durable_bytes, 10 * BLOCK);
        }
        cache_fini(&cache);
        place_fini(&place);
    }
}

/* A map that speaks of data which is gone says nothing of what is written next. */
static void test_cache_file__new_data_gets_a_new_map(void **state)
{
    struct place place;
    struct cache_file cache;
    (void)state;
    place_init(&place);
    cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
    assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
    assert_int_equal(put(&cache, 0, 10 * BLOCK, 1), 0);
    assert_int_equal(cache_persist(&cache, 0), 0);
    cache_fini(&cache);
    assert_int_equal(unlinkat(place.fd, "1.mp4", 0), 0);
    cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
    assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
    assert_int_equal(put(&cache, 9 * BLOCK, 10 * BLOCK, 1), 0);
    assert_false(is_there(&place, "1.map"));
    cache_fini(&cache);
    place_fini(&place);
}

/* What is kept has names of its own each time. */
static void test_cache_file__what_is_kept_is_never_overwritten(void **state)
{
    struct place place;
    struct cache_file cache;
    char kept[CACHE_NAME_SIZE];
    (void)state;
    place_init(&place);
    for (unsigned version = 1; version <= 3; version++) {
        static const char *const names[] = {"1.mp4.damaged", "1.mp4.damaged.2", "1.mp4.damaged.3"};
        char etag[2] = {(char)('a' + version), '\0'};
        cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
        assert_int_equal(cache_load(&cache, 10 * BLOCK, etag), 0);
        assert_int_equal(put(&cache, 0, 10 * BLOCK, version), 0);
        assert_int_equal(cache_persist(&cache, 0), 0);
        cache_fini(&cache);
        assert_int_equal(cache_load(&cache, 10 * BLOCK, "x"), -EBADMSG);
        assert_int_equal(cache_keep(&cache, kept), 0);
        assert_string_equal(kept, names[version - 1]);
        assert_false(is_there(&place, "1.mp4") || is_there(&place, "1.map"));
        cache_fini(&cache);
        for (unsigned i = 1; i <= version; i++) {
            unsigned char byte;
            int fd = openat(place.fd, names[i - 1], O_RDONLY);
            assert_int_equal(pread(fd, &byte, 1, 3 * BLOCK), 1);
            assert_int_equal(byte, pattern(3 * BLOCK, i));
            (void)close(fd);
        }
    }
    assert_true(is_there(&place, "1.map.damaged.3"));
    struct cache_names names = cache_names_of(1, MEDIA_VIDEO);
    cache_kept_delete(place.fd, &names);
    assert_false(is_there(&place, "1.map.damaged.3") || is_there(&place, "1.mp4.damaged"));
    place_fini(&place);
}

/* One call after the other fails once, in every way, while an archived file is loaded and looked
 * at: nothing that lies there changes, and the next look finds it all. */
static void test_cache_file__an_error_is_not_a_fact(void **state)
{
    static const int errors[] = {EMFILE, ENFILE, ENOMEM, EIO, EACCES, ENOENT, ESTALE, EINTR};
    struct place place;
    struct cache_file cache;
    (void)state;
    place_init(&place);
    cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
    assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
    assert_int_equal(put(&cache, 0, 10 * BLOCK, 1), 0);
    assert_int_equal(cache_persist(&cache, 0), 0);
    cache_fini(&cache);
    uint64_t before = place_hash(&place);
    int failed = 0;
    for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
        bool is_reached = true;
        for (int k = 1; is_reached; k++) {
            cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
            look_error = errors[e];
            look_fails_in = k;
            int r = cache_load(&cache, 10 * BLOCK, "e");
            int checked = r == 0 ? cache_check(&cache, 0, 10 * BLOCK) : 0;
            is_reached = look_fails_in <= 0;
            look_fails_in = 0;
            if (r == -EBADMSG || cache.damaged.count > 0)
                fail_msg("call %d, %s is taken for a fact", k, strerror(errors[e]));
            failed += r < 0 || checked < 0;
            /* Bytes that come meanwhile are not written over what may be there. */
            if (r < 0)
                assert_int_equal(put(&cache, 0, BLOCK, 2), cache_error(r));
            else
                assert_int_equal(cache.present.bytes, 10 * BLOCK);
            assert_int_equal(place_hash(&place), before);
            if (r < 0)
                assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
            assert_int_equal(cache_check(&cache, 0, 10 * BLOCK), 0);
            assert_int_equal(cache.present.bytes, 10 * BLOCK);
            check(&cache, 1);
            cache_fini(&cache);
        }
    }
    assert_true(failed > 50);
    place_fini(&place);
}

/* A directory that was moved is the same one; in one that was removed there is nothing, and memory
 * takes its place. */
static void test_cache_file__the_held_directory_is_asked(void **state)
{
    struct place place;
    struct cache_file cache;
    char elsewhere[80];
    char command[192];
    (void)state;
    place_init(&place);
    cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
    assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
    assert_int_equal(put(&cache, 0, 10 * BLOCK, 1), 0);
    assert_int_equal(cache_persist(&cache, 0), 0);
    (void)snprintf(elsewhere, sizeof(elsewhere), "%s.elsewhere", place.path);
    assert_int_equal(rename(place.path, elsewhere), 0);
    assert_int_equal(mkdir(place.path, 0700), 0);
    assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
    assert_int_equal(cache.present.bytes, 10 * BLOCK);
    (void)snprintf(command, sizeof(command), "rm -r %s", elsewhere);
    assert_int_equal(system(command), 0);
    assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
    assert_int_equal(cache.present.bytes, 0);
    assert_int_equal(put(&cache, 0, BLOCK, 1), 0);
    assert_true(cache_has(&cache, 0, BLOCK) && cache.fd < 0);
    cache_fini(&cache);
    place_fini(&place);
}

/* The map that is there vouches for more than memory does: it is not replaced. */
static void test_cache_file__what_cannot_be_looked_at_gets_no_map(void **state)
{
    struct place place;
    struct cache_file cache;
    (void)state;
    place_init(&place);
    cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
    assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
    assert_int_equal(put(&cache, 0, 5 * BLOCK, 1), 0);
    assert_int_equal(cache_persist(&cache, 0), 0);
    assert_int_equal(put(&cache, 5 * BLOCK, 6 * BLOCK, 1), 0);
    assert_int_equal(cache_persist_begin(&cache), 1);
    /* The sync fails, and then the last map cannot be read, either. */
    look_error = EMFILE;
    look_fails_in = 1;
    struct cache_sync_result lost = {.result = -EIO, .is_data_lost = true};
    assert_int_equal(cache_persist_end(&cache, 0, lost), -EIO);
    look_fails_in = 0;
    assert_int_equal(cache.load_error, -EMFILE);
    assert_int_equal(put(&cache, 6 * BLOCK, 7 * BLOCK, 1), -EMFILE);
    assert_int_equal(cache_persist_begin(&cache), 0);
    assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
    assert_int_equal(cache.present.bytes, 5 * BLOCK);
    check(&cache, 1);
    cache_fini(&cache);
    place_fini(&place);
}

/* Rot, and writes that the disk lost: found when the block is read for the first time, and in no
 * other block. */
static void test_cache_file__a_rotten_block_is_not_served(void **state)
{
    static const char *const commands[] = {
        "printf x | dd of=%s/1.mp4 bs=1 seek=200000 conv=notrunc status=none",
        "dd if=/dev/zero of=%s/1.mp4 bs=4096 seek=48 count=1 conv=notrunc status=none",
        "fallocate -p -o 196608 -l 65536 %s/1.mp4",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        struct place place;
        struct cache_file cache;
        struct media_bytes bytes;
        void *scratch = NULL;
        char command[128];
        place_init(&place);
        cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
        assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
        assert_int_equal(put(&cache, 0, 10 * BLOCK, 1), 0);
        assert_int_equal(cache_persist(&cache, 0), 0);
        cache_fini(&cache);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(command, sizeof(command), commands[i], place.path);
#pragma GCC diagnostic pop
        assert_int_equal(system(command), 0);
        cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
        assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
        assert_int_equal(cache.durable_bytes, 10 * BLOCK);
        assert_int_equal(cache_locate(&cache, 3 * BLOCK + 7, 100, &bytes, &scratch), -EIO);
        assert_int_equal(cache_check(&cache, 0, 10 * BLOCK), 0);
        assert_int_equal(cache.present.bytes, 9 * BLOCK);
        assert_false(cache_has(&cache, 3 * BLOCK, 3 * BLOCK + 1));
        assert_int_equal(cache.durable_bytes, 9 * BLOCK); /* no longer complete */
        assert_int_equal(cache.damaged.bytes, BLOCK);
        check(&cache, 1);
        /* The map keeps what was right, and says that it is not there. */
        assert_int_equal(cache_persist(&cache, 0), 0);
        assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
        assert_int_equal(cache.durable_bytes, 9 * BLOCK);
        assert_int_equal(cache.damaged.bytes, BLOCK);
        assert_int_equal(cache_check(&cache, 0, 10 * BLOCK), 0);
        assert_int_equal(cache.damaged.bytes, BLOCK);
        if (i == 1) { /* it was the reading, and not for good */
            unsigned char right[BLOCK];
            for (int64_t at = 0; at < BLOCK; at++)
                right[at] = pattern(3 * BLOCK + at, 1);
            assert_int_equal(pwrite(cache.fd, right, BLOCK, 3 * BLOCK), BLOCK);
            assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
            assert_int_equal(cache_check(&cache, 0, 10 * BLOCK), 0);
            assert_int_equal(cache.damaged.bytes, 0);
            assert_int_equal(cache_persist(&cache, 0), 0);
            assert_int_equal(cache.durable_bytes, 10 * BLOCK);
        }
        /* It is fetched again, and then as good as new, after a restart too. */
        assert_int_equal(put(&cache, 3 * BLOCK, 4 * BLOCK, 1), 0);
        assert_int_equal(cache.damaged.bytes, 0);
        assert_int_equal(cache_persist(&cache, 0), 0);
        assert_int_equal(cache.durable_bytes, 10 * BLOCK);
        cache_fini(&cache);
        cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
        assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
        assert_int_equal(cache_check(&cache, 0, 10 * BLOCK), 0);
        assert_int_equal(cache.present.bytes, 10 * BLOCK);
        check(&cache, 1);
        cache_fini(&cache);
        place_fini(&place);
    }
}

/* A part of a block that an earlier run wrote is written again: the rest does not become right by
 * it. */
static void test_cache_file__writing_over_rot_does_not_hide_it(void **state)
{
    struct place place;
    struct cache_file cache;
    (void)state;
    place_init(&place);
    cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
    assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
    assert_int_equal(put(&cache, 0, 10 * BLOCK, 1), 0);
    assert_int_equal(cache_persist(&cache, 0), 0);
    assert_int_equal(pwrite(cache.fd, "rot", 3, 3 * BLOCK + 30000), 3);
    cache_fini(&cache);
    cache_init(&cache, place.fd, 1, MEDIA_VIDEO);
    assert_int_equal(cache_load(&cache, 10 * BLOCK, "e"), 0);
    assert_int_equal(put(&cache, 3 * BLOCK - 100, 3 * BLOCK + 100, 1), 0);
    assert_int_equal(cache_check(&cache, 0, 10 * BLOCK), 0);
    assert_true(cache_has(&cache, 0, 3 * BLOCK + 100));
    assert_false(cache_has(&cache, 3 * BLOCK + 30000, 3 * BLOCK + 30001));
    check(&cache, 1);
    cache_fini(&cache);
    place_fini(&place);
}

/* Writes, persists, drops and changes version for ever, until it is killed. */
static void work_until_killed(int directory_fd, int ready_fd)
{
    char byte = 0;
    srandom((unsigned)getpid());
    for (unsigned version = 1;; version++) {
        struct cache_file cache;
        char etag[16];
        (void)snprintf(etag, sizeof(etag), "v%u", version % 2);
        cache_init(&cache, directory_fd, 1, MEDIA_VIDEO);
        int r = cache_load(&cache, 40 * BLOCK, etag);
        char kept[CACHE_NAME_SIZE];
        if (r == -EBADMSG)
            r = version % 5 ? cache_drop(&cache) : cache_keep(&cache, kept);
        if (r < 0 && r != -EEXIST)
            _exit(1);
        for (int i = 0; i < 6; i++) {
            int64_t first = random() % (40 * BLOCK);
            int64_t end = first + random() % (8 * BLOCK);
            if (put(&cache, first, end < 40 * BLOCK ? end : 40 * BLOCK, version % 2) < 0)
                _exit(1);
            if (i % 2 && cache_persist(&cache, 0) < 0)
                _exit(1);
        }
        if (version % 3 == 0 && cache_drop(&cache) < 0)
            _exit(1);
        cache_fini(&cache);
        if (version == 1 && write(ready_fd, &byte, 1) != 1)
            _exit(1);
    }
}

static void test_cache_file__kill_at_any_time_leaves_no_wrong_byte(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        struct place place;
        int ready[2];
        char byte;
        place_init(&place);
        assert_int_equal(pipe(ready), 0);
        pid_t pid = fork();
        if (pid == 0)
            work_until_killed(place.fd, ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        (void)usleep((useconds_t)(round * 700));
        (void)kill(pid, SIGKILL);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        (void)close(ready[0]);
        (void)close(ready[1]);
        for (unsigned version = 0; version < 2; version++) {
            struct place copy;
            struct cache_file cache;
            char command[160];
            char etag[16];
            place_init(&copy);
            (void)snprintf(command, sizeof(command), "cp -a %s/. %s/", place.path, copy.path);
            assert_int_equal(system(command), 0);
            (void)snprintf(etag, sizeof(etag), "v%u", version);
            cache_init(&cache, copy.fd, 1, MEDIA_VIDEO);
            int r = cache_load(&cache, 40 * BLOCK, etag);
            assert_true(r == 0 || r == -EBADMSG);
            int64_t present_bytes = cache.present.bytes;
            assert_int_equal(cache_check(&cache, 0, 40 * BLOCK), 0);
            assert_int_equal(cache.present.bytes, present_bytes); /* the map was right */
            check(&cache, version);
            cache_fini(&cache);
            place_fini(&copy);
        }
        place_fini(&place);
    }
}

static void test_cache_file__a_refusing_disk_leaves_a_window_in_memory(void **state)
{
    struct place place;
    struct cache_file cache;
    struct media_bytes bytes;
    void *scratch;
    (void)state;
    place_init(&place);
    cache_init(&cache, -1, 1, MEDIA_COVER);
    cache.identity.size = 1000 * BLOCK;
    assert_int_equal(put(&cache, 0, 300 * BLOCK, 1), 0);
    assert_int_equal(cache.disk_error, -EBADF);
    assert_true(cache.spill->present.bytes <= SPILL_RING * SPILL_BLOCK_BYTES);
    assert_true(cache_has(&cache, 299 * BLOCK, 300 * BLOCK));
    assert_false(cache_has(&cache, 0, 1));
    assert_int_equal(cache_locate(&cache, 299 * BLOCK + 5, 100, &bytes, &scratch), 0);
    assert_int_equal(bytes.fd, cache.spill->fd);
    unsigned char byte;
    assert_int_equal(pread(bytes.fd, &byte, 1, bytes.offset), 1);
    assert_int_equal(byte, pattern(299 * BLOCK + 5, 1));
    /* The disk is back: what spans both is collected. */
    cache.directory_fd = place.fd;
    cache.disk_retry_ms = 0;
    assert_int_equal(put(&cache, 300 * BLOCK, 301 * BLOCK, 1), 0);
    assert_int_equal(cache.disk_error, 0);
    assert_int_equal(cache_locate(&cache, 300 * BLOCK - 50, 100, &bytes, &scratch), 0);
    assert_int_equal(bytes.fd, -1);
    for (int64_t i = 0; i < 100; i++)
        assert_int_equal(((const unsigned char *)bytes.memory)[i],
                         pattern(300 * BLOCK - 50 + i, 1));
    free(scratch);
    cache_fini(&cache);
    place_fini(&place);
}

/* Many files without a disk: together they hold little more than the pool allows. */
static void test_spill__all_windows_share_one_pool(void **state)
{
    enum { FILES = 64 };
    struct spill_pool pool = {0};
    struct cache_file caches[FILES];
    (void)state;
    log_configure(LOG_ERROR, 2);
    for (int i = 0; i < FILES; i++) {
        cache_init(&caches[i], -1, i + 1, MEDIA_VIDEO);
        caches[i].identity.size = 1000 * BLOCK;
        caches[i].spill_pool = &pool;
    }
    for (int round = 0; round < 40; round++)
        for (int i = 0; i < FILES; i++)
            assert_int_equal(
                cache_write(&caches[i], 0, (int64_t)round * BLOCK, "x", 1, want_none, NULL), 0);
    assert_true(pool.blocks <= SPILL_POOL_BLOCKS + FILES * SPILL_POOR_BLOCKS);
    for (int i = 0; i < FILES; i++)
        cache_fini(&caches[i]);
    assert_int_equal(pool.blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_map__round_trip_keeps_whole_blocks),
        cmocka_unit_test(test_block_map__damaged_blocks_are_marked),
        cmocka_unit_test(test_block_map__no_damaged_byte_is_believed),
        cmocka_unit_test(test_block_map__a_map_of_another_file_is_not_believed),
        cmocka_unit_test(test_block_map__a_map_of_another_length_is_not_believed),
        cmocka_unit_test(test_cache_file__survives_a_restart),
        cmocka_unit_test(test_cache_file__only_what_the_map_and_the_file_agree_on_is_there),
        cmocka_unit_test(test_cache_file__new_data_gets_a_new_map),
        cmocka_unit_test(test_cache_file__what_is_kept_is_never_overwritten),
        cmocka_unit_test(test_cache_file__an_error_is_not_a_fact),
        cmocka_unit_test(test_cache_file__the_held_directory_is_asked),
        cmocka_unit_test(test_cache_file__what_cannot_be_looked_at_gets_no_map),
        cmocka_unit_test(test_cache_file__a_rotten_block_is_not_served),
        cmocka_unit_test(test_cache_file__writing_over_rot_does_not_hide_it),
        cmocka_unit_test(test_cache_file__kill_at_any_time_leaves_no_wrong_byte),
        cmocka_unit_test(test_cache_file__a_refusing_disk_leaves_a_window_in_memory),
        cmocka_unit_test(test_spill__all_windows_share_one_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
