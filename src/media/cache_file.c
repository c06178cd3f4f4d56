/*
 * Order is everything here. kill -9 or a power cut may come between any two steps, and afterwards
 * the map must not vouch for a byte that is not in the file:
 *
 *     more bytes:   write data, write map.tmp; fdatasync data, fdatasync map.tmp, rename it over map,
 *                   fsync dir (what waits for the disk is cache_sync(), which another process may do)
 *     fewer bytes:  unlink map, fsync dir, unlink data
 *     start:        map believable and data file long enough: taken; else fewer bytes, to nothing
 *
 * When fdatasync fails, the kernel may have dropped the pages and called them clean; what was
 * written since the last map is then not trusted any more either, and the last map is read again.
 */
#include "media/cache_file.h"

#include "seedancefs/base/file.h"
#include "seedancefs/base/log.h"

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
    CACHE_NAME_SIZE = 40,
    CACHE_DISK_RETRY_MS = 30 * 1000,
    CACHE_KEEP_FREE_BYTES = 64 * 1024 * 1024, /* or a twentieth of a smaller disk */
};

struct cache_names {
    char data[CACHE_NAME_SIZE];
    char map[CACHE_NAME_SIZE];
    char temporary[CACHE_NAME_SIZE];
};

static struct cache_names names_of(int64_t id, int32_t kind)
{
    struct cache_names names;
    const char *data = kind == MEDIA_COVER ? ".jpg" : ".mp4";
    const char *map = kind == MEDIA_COVER ? ".jpg.map" : ".map";
    (void)snprintf(names.data, sizeof(names.data), "%" PRId64 "%s", id, data);
    (void)snprintf(names.map, sizeof(names.map), "%" PRId64 "%s", id, map);
    (void)snprintf(names.temporary, sizeof(names.temporary), "%" PRId64 "%s.tmp", id, map);
    return names;
}

static struct cache_names cache_names(const struct cache_file *cache)
{
    return names_of(cache->identity.id, cache->identity.kind);
}

static int unlink_if_there(int directory_fd, const char *name)
{
    return unlinkat(directory_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* The map goes first, and durably, so that it never outlives its data. */
static int unlink_files(int directory_fd, const struct cache_names *names)
{
    int r = unlink_if_there(directory_fd, names->temporary);
    if (r < 0)
        return r;
    if (unlinkat(directory_fd, names->map, 0) == 0)
        r = fsync(directory_fd) < 0 ? -errno : 0;
    else if (errno != ENOENT)
        r = -errno;
    return r < 0 ? r : unlink_if_there(directory_fd, names->data);
}

/* Nothing is present. */
static void cache_forget(struct cache_file *cache)
{
    intervals_fini(&cache->present);
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

void cache_fini(struct cache_file *cache)
{
    if (cache->fd >= 0)
        (void)close(cache->fd);
    cache->fd = -1;
    cache_forget(cache);
    cache->spill = spill_free(cache->spill);
}

static int cache_read_map(struct cache_file *cache)
{
    struct cache_names names = cache_names(cache);
    struct buf map;
    buf_init(&map, block_map_bytes(cache->identity.size));
    cache_forget(cache);
    int r = file_read_all_at(cache->directory_fd, names.map, &map);
    if (r == 0)
        r = cache_sums_make(cache);
    if (r == 0)
        r = block_map_decode(&cache->identity, map.data, map.len, &cache->present,
                             cache->checksums);
    buf_fini(&map);
    struct stat st;
    if (r == 0 && fstat(cache->fd, &st) < 0)
        r = -errno;
    if (r == 0 && cache->present.count > 0 &&
        st.st_size < cache->present.list[cache->present.count - 1].end)
        r = -EBADMSG;
    if (r < 0) {
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
    cache->fd = openat(cache->directory_fd, names.data, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    return cache->fd < 0 ? -errno : 0;
}

void cache_load(struct cache_file *cache, int64_t size, const char *etag)
{
    cache->identity.size = size;
    cache->identity.etag = etag;
    int r = cache_open_data(cache, O_RDWR);
    if (r == -EROFS || r == -EACCES)
        r = cache_open_data(cache, O_RDONLY);
    if (r == 0)
        r = cache_read_map(cache);
    if (r < 0 && r != -ENOENT)
        log_warn("media.cache", "id=%" PRId64 " result=%d note=\"the cached bytes are not used\"",
                 cache->identity.id, r);
    if (r < 0 && cache_drop(cache) < 0) {
        /* An old map that cannot be deleted stays beside data that will not be touched. */
        cache->disk_error = r;
        cache->disk_retry_ms = INT64_MAX;
    }
}

/* The last of the disk belongs to the jobs: a video can be streamed without a cache, but a request
 * that cannot be written down cannot be sent. */
static bool cache_has_room(const struct cache_file *cache, size_t len)
{
    struct statvfs disk;
    if (fstatvfs(cache->fd, &disk) < 0)
        return true;
    uint64_t keep = (uint64_t)disk.f_blocks * disk.f_frsize / 20;
    if (keep > CACHE_KEEP_FREE_BYTES)
        keep = CACHE_KEEP_FREE_BYTES;
    return (uint64_t)disk.f_bavail * disk.f_frsize >= keep + len;
}

static int cache_write_disk(struct cache_file *cache, int64_t offset, const void *bytes, size_t len)
{
    int r = 0;
    if (cache->fd < 0) {
        if (cache->is_detached)
            return -ENOENT;
        r = cache_open_data(cache, O_RDWR | O_CREAT);
    }
    if (r == 0 && !cache_has_room(cache, len))
        r = -ENOSPC;
    int64_t end = offset + (int64_t)len;
    if (r == 0)
        r = cache_sums_make(cache);
    /* What is overwritten in part has to be right as a whole before it gets a new checksum. */
    if (r == 0)
        r = cache_check(cache, offset, end);
    if (r == 0)
        r = file_write_full(cache->fd, bytes, len, offset);
    if (r == 0)
        r = intervals_add(&cache->present, offset, end);
    if (r == 0) {
        r = cache_sum(cache, offset, bytes, len);
        if (r < 0 && intervals_remove(&cache->present, offset, end) < 0)
            cache_forget(cache);
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
    if (!cache->disk_error || now_ms >= cache->disk_retry_ms) {
        int r = cache_write_disk(cache, offset, bytes, len);
        if (r == 0) {
            cache->disk_error = 0;
            return 0;
        }
        cache_disk_failed(cache, now_ms, r);
    }
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
    void *memory = malloc(len);
    if (!memory)
        return -ENOMEM;
    r = cache_collect(cache, offset, memory, len);
    if (r < 0) {
        free(memory);
        return r;
    }
    out->memory = *scratch = memory;
    return 0;
}

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
    int r = block_map_encode(&cache->identity, &cache->present, cache->checksums, &map,
                             &cache->sync_covered_bytes);
    if (r == 0)
        r = write_new(cache->directory_fd, names.temporary, &map);
    buf_fini(&map);
    if (r < 0) {
        (void)unlink_if_there(cache->directory_fd, names.temporary);
        return r;
    }
    cache->sync_dirty_bytes = cache->dirty_bytes;
    cache->is_sync_void = false;
    return 1;
}

static int sync_name(int directory_fd, const char *name)
{
    int fd = openat(directory_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int r = fdatasync(fd) < 0 ? -errno : 0;
    (void)close(fd);
    return r;
}

struct cache_sync_result cache_sync(int directory_fd, int data_fd, int64_t id, enum media_kind kind)
{
    struct cache_names names = names_of(id, (int32_t)kind);
    if (fdatasync(data_fd) < 0)
        return (struct cache_sync_result){.result = -errno, .is_data_lost = true};
    int r = sync_name(directory_fd, names.temporary);
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
        return 0; /* what it was about has been deleted meanwhile */
    if (result.result < 0) {
        (void)unlink_if_there(cache->directory_fd, names.temporary);
        if (result.is_data_lost)
            (void)!cache_read_map(cache); /* nothing is present when that fails, too */
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

int cache_drop(struct cache_file *cache)
{
    cache_forget(cache);
    cache->is_sync_void = true;
    cache->spill = spill_free(cache->spill);
    if (cache->is_detached)
        return cache->fd >= 0 && ftruncate(cache->fd, 0) < 0 ? -errno : 0;
    struct cache_names names = cache_names(cache);
    if (cache->fd >= 0)
        (void)close(cache->fd);
    cache->fd = -1;
    return unlink_files(cache->directory_fd, &names);
}

bool cache_name_parse(const char *name, int64_t *id, enum media_kind *kind)
{
    errno = 0;
    *id = strtoll(name, NULL, 10);
    for (int i = MEDIA_VIDEO; i <= MEDIA_COVER; i++) {
        struct cache_names names = names_of(*id, i);
        *kind = (enum media_kind)i;
        if (errno == 0 && *id > 0 && strcmp(names.data, name) == 0)
            return true;
    }
    return false;
}

int cache_used_get(int directory_fd, int64_t id, enum media_kind kind, int64_t *used_ms)
{
    struct cache_names names = names_of(id, (int32_t)kind);
    struct stat map;
    if (fstatat(directory_fd, names.map, &map, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    *used_ms = (int64_t)map.st_mtim.tv_sec * 1000 + map.st_mtim.tv_nsec / 1000000;
    return 0;
}

void cache_used_set(const struct cache_file *cache, int64_t used_ms)
{
    struct cache_names names = cache_names(cache);
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)(used_ms / 1000), .tv_nsec = (long)(used_ms % 1000) * 1000000L}};
    /* Without a map nothing is there to be evicted. */
    (void)utimensat(cache->directory_fd, names.map, times, AT_SYMLINK_NOFOLLOW);
}

int cache_remove(int directory_fd, int64_t id, enum media_kind kind)
{
    struct cache_names names = names_of(id, (int32_t)kind);
    return unlink_files(directory_fd, &names);
}

void cache_detach(struct cache_file *cache)
{
    cache->is_detached = true;
    cache->is_sync_void = true;
}
