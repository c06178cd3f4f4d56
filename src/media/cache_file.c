/*
 * The order of the steps keeps the map true. kill -9 or a power cut may come between any two steps,
 * and even then the map must not list a byte that is not in the file:
 *
 *     more bytes:   write data, write map.tmp; fdatasync data, fdatasync map.tmp, rename it over
 *                   map, fsync dir (cache_sync() has the steps that wait for the disk; another
 *                   process may run it)
 *     new data:     create data, which must not exist; unlink map, fsync dir
 *     fewer bytes:  unlink map, fsync dir, unlink data; or rename both, in this order
 *     start:        accept a valid map, and compare each block before it is read
 *
 * When fdatasync fails, the kernel may have dropped the pages and marked them clean. Everything
 * written since the last map is then distrusted, and the last map is read again.
 *
 * An error is not a fact. When a file cannot be opened or read, the code assumes neither that it
 * exists nor that it does not. The cache stays unloaded (`load_error`) until cache_load() has found
 * out. Until then nothing is written, dropped or renamed.
 */
#include "media/cache_file.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/descriptor.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/file.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/number.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    CACHE_DISK_RETRY_MS = 30 * 1000,
    CACHE_KEEP_FREE_BYTES = 64 * 1024 * 1024, /* or a twentieth of a smaller disk */
};

static struct cache_names cache_names(const struct cache_file *cache)
{
    return cache_names_of(cache->identity.id, cache->identity.kind);
}

static void cache_forget(struct cache_file *cache)
{
    intervals_fini(&cache->present);
    intervals_fini(&cache->damaged);
    free(cache->checksums);
    free(cache->unchecked);
    cache->checksums = NULL;
    cache->unchecked = NULL;
    cache->dirty_bytes = 0;
    cache->durable_bytes = 0;
}

void cache_init(struct cache_file *cache, int directory_fd, int64_t id, enum media_kind kind)
{
    *cache = (struct cache_file){
        .directory_fd = directory_fd,
        .identity = {.id = id, .kind = (int32_t)kind, .size = -1},
        .fd = -1,
    };
}

static void cache_close(struct cache_file *cache)
{
    if (cache->fd >= 0)
        (void)close(cache->fd);
    cache->fd = -1;
    cache_forget(cache);
    cache->spill = spill_free(cache->spill);
}

void cache_fini(struct cache_file *cache)
{
    cache_close(cache);
}

void cache_unload(struct cache_file *cache, int result)
{
    cache->is_sync_void = true;
    cache_close(cache);
    if (cache->load_error != result)
        log_warn("media.cache", "id=%" PRId64 " result=%s note=\"cannot be looked at\"",
                 cache->identity.id, err_name(result));
    cache->load_error = result;
}

/* Marks as damaged what the map lists beyond the end of the data file. */
static int cache_clip(struct cache_file *cache)
{
    struct stat st;
    int64_t end = cache->present.count > 0 ? cache->present.list[cache->present.count - 1].end : 0;
    if (fstat(cache->fd, &st) < 0)
        return -errno;
    if (st.st_size >= end)
        return 0;
    int64_t first = st.st_size - st.st_size % BLOCK_MAP_BLOCK_BYTES;
    while (first < end) {
        int64_t run_first = intervals_next(&cache->present, first);
        int64_t run_end = intervals_run_end(&cache->present, run_first);
        int r = cache_damage(cache, run_first, run_end);
        if (r < 0)
            return r;
        first = run_end;
    }
    return 0;
}

/* Turns -ENOENT into 1 after a second look has proven that the file does not exist. */
static int judge_absent(const struct cache_file *cache, const char *name, int result)
{
    if (result != -ENOENT)
        return result;
    int is_absent = cache_name_is_absent(cache->directory_fd, name);
    return is_absent ? is_absent : -EAGAIN;
}

/* Returns 1 when there is no map. */
static int map_read(const struct cache_file *cache, struct buf *map)
{
    struct cache_names names = cache_names(cache);
    int r = file_read_all_at(cache->directory_fd, names.map, map);
    if (r == -EFBIG)
        return -EBADMSG; /* larger than any map of a file of this size */
    return judge_absent(cache, names.map, r);
}

/* Returns 1 when there is no map; then nothing is present. */
static int cache_read_map(struct cache_file *cache)
{
    struct buf map;
    buf_init(&map, block_map_bytes(cache->identity.size));
    cache_forget(cache);
    int r = map_read(cache, &map);
    if (r == 0)
        r = cache_sums_make(cache);
    if (r == 0)
        r = block_map_decode(&cache->identity, map.data, map.len, &cache->present, &cache->damaged,
                             cache->checksums);
    buf_fini(&map);
    if (r == 0)
        r = cache_clip(cache);
    if (r != 0) {
        cache_forget(cache);
        return r;
    }
    cache_sums_distrust(cache);
    cache->durable_bytes = cache->present.bytes;
    return 0;
}

static int cache_open_data(struct cache_file *cache, int flags)
{
    struct cache_names names = cache_names(cache);
    int fd = openat(cache->directory_fd, names.data, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    cache->fd = descriptor_ordinary(fd);
    int r = cache->fd < 0 ? -errno : 0;
    /* Proof: O_EXCL has just created it, and it is empty. */
    if (r < 0 && fd >= 0 && (flags & O_EXCL))
        (void)unlinkat(cache->directory_fd, names.data, 0);
    return r;
}

/* There is data but no map, so no byte can be trusted. An empty file counts as none. */
static int cache_judge_unmapped(const struct cache_file *cache)
{
    struct stat st;
    if (fstat(cache->fd, &st) < 0)
        return -errno;
    return st.st_size == 0 ? 0 : -EBADMSG;
}

int cache_load(struct cache_file *cache, int64_t size, const char *etag)
{
    struct cache_names names = cache_names(cache);
    cache_close(cache);
    cache->identity.size = size;
    cache->identity.etag = etag;
    int r = cache_open_data(cache, O_RDWR);
    if (r == -EROFS || r == -EACCES)
        r = cache_open_data(cache, O_RDONLY);
    if (r == 0) {
        r = cache_read_map(cache);
        if (r > 0)
            r = cache_judge_unmapped(cache);
    } else {
        r = judge_absent(cache, names.data, r);
    }
    if (r < 0) {
        cache_unload(cache, r);
        return r;
    }
    cache->load_error = 0;
    return 0;
}

/* The last free space of the disk is for the jobs. A video can be streamed without a cache, but a
 * request that cannot be written down cannot be sent. */
static bool cache_has_room(const struct cache_file *cache, size_t len)
{
    struct statvfs disk;
    if (fstatvfs(cache->fd, &disk) < 0)
        return true;
    uint64_t twentieth = (uint64_t)disk.f_blocks * disk.f_frsize / 20; /* size_t may have 32 bits */
    uint64_t keep = twentieth < CACHE_KEEP_FREE_BYTES ? twentieth : CACHE_KEEP_FREE_BYTES;
    return (uint64_t)disk.f_bavail * disk.f_frsize >= keep + len;
}

/* O_EXCL fails if a file exists after all: nobody has examined its bytes. Proof for the map: the
 * data is new, so an existing map describes other data. */
static int cache_create(struct cache_file *cache)
{
    struct cache_names names = cache_names(cache);
    if (cache->is_detached)
        return -ENOENT;
    int r = cache_open_data(cache, O_RDWR | O_CREAT | O_EXCL);
    if (r == 0)
        r = cache_map_delete(cache->directory_fd, &names);
    else if (r != -EEXIST)
        return r; /* nothing has changed */
    if (r < 0)
        cache_unload(cache, r);
    return r;
}

static int cache_write_disk(struct cache_file *cache, int64_t offset, const void *bytes, size_t len)
{
    int r = cache->fd < 0 ? cache_create(cache) : 0;
    if (r == 0 && !cache_has_room(cache, len))
        r = -ENOSPC;
    int64_t end = offset + (int64_t)len;
    if (r == 0)
        r = cache_sums_make(cache);
    /* A block that is overwritten in part must be valid as a whole before it gets
     * a new checksum. */
    if (r == 0)
        r = cache_check(cache, offset, end);
    if (r == 0)
        r = file_write_full(cache->fd, bytes, len, offset);
    if (r == 0)
        r = intervals_add(&cache->present, offset, end);
    if (r == 0) {
        r = cache_sum(cache, offset, bytes, len);
        /* Without memory for the removal, memory and map disagree. The next load reads
         * the map again. */
        if (r < 0 && intervals_remove(&cache->present, offset, end) < 0)
            cache_unload(cache, -ENOMEM);
    }
    if (r == 0)
        cache->dirty_bytes += (int64_t)len;
    return r;
}

static void cache_disk_failed(struct cache_file *cache, int64_t now_ms, int result)
{
    if (!cache->disk_error)
        log_warn("media.cache", "id=%" PRId64 " result=%d note=\"streaming without cache\"",
                 cache->identity.id, result);
    cache->disk_error = result;
    cache->disk_retry_ms = now_ms + CACHE_DISK_RETRY_MS;
}

int cache_write(struct cache_file *cache, int64_t now_ms, int64_t offset, const void *bytes,
                size_t len, spill_wanted_fn *is_wanted, const void *context)
{
    if (!cache->load_error && (!cache->disk_error || now_ms >= cache->disk_retry_ms)) {
        int r = cache_write_disk(cache, offset, bytes, len);
        if (r == 0) {
            cache->disk_error = 0;
            return 0;
        }
        cache_disk_failed(cache, now_ms, r);
    }
    if (cache->load_error)
        return cache_error(cache->load_error);
    int r = cache->spill ? 0 : spill_new(cache->spill_pool, &cache->spill);
    if (r == 0)
        r = spill_write(cache->spill, offset, bytes, len, is_wanted, context);
    return r;
}

bool cache_gap(const struct cache_file *cache, int64_t first, int64_t end, struct interval *out)
{
    const struct intervals *spilled = cache->spill ? &cache->spill->present : NULL;
    while (first < end) {
        int64_t run_end = intervals_run_end(&cache->present, first);
        if (run_end == first && spilled)
            run_end = intervals_run_end(spilled, first);
        if (run_end == first)
            break;
        first = run_end;
    }
    if (first >= end)
        return false;
    int64_t next = intervals_next(&cache->present, first);
    if (spilled && intervals_next(spilled, first) < next)
        next = intervals_next(spilled, first);
    *out = (struct interval){first, next < end ? next : end};
    return true;
}

bool cache_has(const struct cache_file *cache, int64_t first, int64_t end)
{
    struct interval gap;
    return !cache_gap(cache, first, end, &gap);
}

bool cache_is_complete(const struct cache_file *cache)
{
    return cache->identity.size >= 0 && cache->present.bytes == cache->identity.size;
}

static int cache_collect(const struct cache_file *cache, int64_t offset, char *out, size_t len)
{
    while (len > 0) {
        int fd = cache->fd;
        int64_t end = intervals_run_end(&cache->present, offset);
        if (end == offset && cache->spill) {
            fd = cache->spill->fd;
            end = intervals_run_end(&cache->spill->present, offset);
        }
        size_t part = (int64_t)len < end - offset ? len : (size_t)(end - offset);
        ssize_t n = part > 0 ? file_read_full(fd, out, part, offset) : -EIO;
        if (n != (ssize_t)part)
            return n < 0 ? (int)n : -EIO;
        out += part;
        offset += (int64_t)part;
        len -= part;
    }
    return 0;
}

int cache_locate(struct cache_file *cache, int64_t offset, size_t len, struct media_bytes *out,
                 void **scratch)
{
    int64_t end = offset + (int64_t)len;
    *scratch = NULL;
    int r = cache_check(cache, offset, end);
    if (r < 0)
        return r;
    *out = (struct media_bytes){.fd = -1, .offset = offset, .len = len};
    if (intervals_has(&cache->present, offset, end)) {
        out->fd = cache->fd;
        return 0;
    }
    if (cache->spill && intervals_has(&cache->spill->present, offset, end)) {
        out->fd = cache->spill->fd;
        return 0;
    }
    CLEANUP_FREE void *memory = malloc(len);
    if (!memory)
        return -ENOMEM;
    r = cache_collect(cache, offset, memory, len);
    if (r < 0)
        return r;
    out->memory = *scratch = TAKE_POINTER(memory);
    return 0;
}

/* Overwrites the previous temporary map. Proof: this program wrote it and never renamed it. */
static int write_new(int directory_fd, const char *name, const struct buf *bytes)
{
    int fd =
        openat(directory_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = file_write_full(fd, bytes->data, bytes->len, 0);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    return r;
}

int cache_persist_begin(struct cache_file *cache)
{
    if (cache->is_detached || cache->dirty_bytes == 0 || cache->fd < 0)
        return 0;
    struct cache_names names = cache_names(cache);
    struct buf map;
    buf_init(&map, block_map_bytes(cache->identity.size));
    int r = block_map_encode(&cache->identity, &cache->present, &cache->damaged, cache->checksums,
                             &map, &cache->sync_covered_bytes);
    if (r == 0)
        r = write_new(cache->directory_fd, names.temporary, &map);
    buf_fini(&map);
    if (r < 0) {
        /* Proof: this temporary map may be cut off, and the map it was to replace is unchanged. */
        (void)unlinkat(cache->directory_fd, names.temporary, 0);
        return r;
    }
    cache->sync_dirty_bytes = cache->dirty_bytes;
    cache->is_sync_void = false;
    return 1;
}

static int sync_name(int directory_fd, const char *name)
{
    CLEANUP_CLOSE int fd = openat(directory_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 || fdatasync(fd) < 0 ? -errno : 0;
}

struct cache_sync_result cache_sync(int directory_fd, int data_fd, int64_t id, enum media_kind kind)
{
    struct cache_names names = cache_names_of(id, (int32_t)kind);
    if (fdatasync(data_fd) < 0)
        return (struct cache_sync_result){.result = -errno, .is_data_lost = true};
    int r = sync_name(directory_fd, names.temporary);
    /* Proof: the old map was read by cache_load() or written by this program, and the new one lists
     * all of its valid bytes. */
    if (r == 0 && renameat(directory_fd, names.temporary, directory_fd, names.map) < 0)
        r = -errno;
    if (r == 0 && fsync(directory_fd) < 0)
        r = -errno;
    return (struct cache_sync_result){.result = r};
}

int cache_persist_end(struct cache_file *cache, int64_t now_ms, struct cache_sync_result result)
{
    struct cache_names names = cache_names(cache);
    if (cache->is_sync_void)
        return 0; /* its data was deleted in the meantime */
    if (result.result < 0) {
        /* Proof: it has not become the map. */
        (void)unlinkat(cache->directory_fd, names.temporary, 0);
        int r = result.is_data_lost ? cache_read_map(cache) : 0;
        if (r < 0) /* without a map, nothing was durable */
            cache_unload(cache, r);
        cache_disk_failed(cache, now_ms, result.result);
        return result.result;
    }
    cache->durable_bytes = cache->sync_covered_bytes;
    cache->dirty_bytes -= cache->sync_dirty_bytes;
    return 0;
}

int cache_persist(struct cache_file *cache, int64_t now_ms)
{
    int r = cache_persist_begin(cache);
    if (r < 0)
        cache_disk_failed(cache, now_ms, r);
    if (r <= 0)
        return r;
    struct cache_sync_result result = cache_sync(cache->directory_fd, cache->fd, cache->identity.id,
                                                 (enum media_kind)cache->identity.kind);
    return cache_persist_end(cache, now_ms, result);
}

/* Forgets what is in memory, and makes a sync under way void. */
static void cache_leave(struct cache_file *cache)
{
    cache->is_sync_void = true;
    cache_close(cache);
}

static int cache_left(struct cache_file *cache, int result)
{
    cache->load_error = 0;
    if (result < 0)
        cache_unload(cache, result); /* the next load examines the disk */
    return result;
}

int cache_drop(struct cache_file *cache)
{
    struct cache_names names = cache_names(cache);
    cache_leave(cache);
    if (cache->is_detached)
        return 0;
    return cache_left(cache, cache_files_delete(cache->directory_fd, &names));
}

int cache_keep(struct cache_file *cache, char kept[static CACHE_NAME_SIZE])
{
    struct cache_names names = cache_names(cache);
    cache_leave(cache);
    if (cache->is_detached)
        return -ENOENT;
    return cache_left(cache, cache_files_keep(cache->directory_fd, &names, kept));
}

void cache_detach(struct cache_file *cache)
{
    cache->is_detached = true;
    cache->is_sync_void = true;
}
