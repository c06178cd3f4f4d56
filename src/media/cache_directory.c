/*
 * The map is always removed before its data, so a map never outlives its data and never stands
 * beside the data of another file. One exception is harmless: cache_file.c deletes a map whose data
 * is missing when it creates new data.
 */
#include "media/cache_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CACHE_KEPT_MAX = 100 };

struct cache_names cache_names_of(int64_t id, int32_t kind)
{
    struct cache_names names;
    const char *data = kind == MEDIA_COVER ? ".jpg" : ".mp4";
    const char *map = kind == MEDIA_COVER ? ".jpg.map" : ".map";
    (void)snprintf(names.data, sizeof(names.data), "%" PRId64 "%s", id, data);
    (void)snprintf(names.map, sizeof(names.map), "%" PRId64 "%s", id, map);
    (void)snprintf(names.temporary, sizeof(names.temporary), "%" PRId64 "%s.tmp", id, map);
    return names;
}

bool cache_name_parse(const char *name, int64_t *id, enum media_kind *kind)
{
    errno = 0;
    *id = strtoll(name, NULL, 10);
    for (int i = MEDIA_VIDEO; i <= MEDIA_COVER; i++) {
        struct cache_names names = cache_names_of(*id, i);
        *kind = (enum media_kind)i;
        if (errno == 0 && *id > 0 && strcmp(names.data, name) == 0)
            return true;
    }
    return false;
}

int cache_name_is_absent(int directory_fd, const char *name)
{
    struct stat st;
    if (fstatat(directory_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    return errno == ENOENT ? 1 : -errno;
}

int cache_error(int result)
{
    return result >= 0 || result == -EMFILE || result == -ENFILE ? result : -EIO;
}

static int unlink_if_there(int directory_fd, const char *name)
{
    return unlinkat(directory_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int cache_map_delete(int directory_fd, const struct cache_names *names)
{
    if (unlinkat(directory_fd, names->map, 0) < 0)
        return errno == ENOENT ? 0 : -errno;
    return fsync(directory_fd) < 0 ? -errno : 0;
}

int cache_files_delete(int directory_fd, const struct cache_names *names)
{
    /* Proof: only this program writes the temporary map, and it is not a map before
     * it is renamed. */
    int r = unlink_if_there(directory_fd, names->temporary);
    if (r == 0)
        r = cache_map_delete(directory_fd, names);
    return r < 0 ? r : unlink_if_there(directory_fd, names->data);
}

static int rename_if_free(int directory_fd, const char *from, const char *to)
{
    if (renameat2(directory_fd, from, directory_fd, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    /* This filesystem does not know the flag. link() refuses a name that is in use as well. */
    if (linkat(directory_fd, from, directory_fd, to, 0) < 0)
        return -errno;
    /* Proof: linkat() has just given the same file its other name. */
    return unlinkat(directory_fd, from, 0) < 0 ? -errno : 0;
}

static void kept_name(const char *name, int number, char out[static CACHE_NAME_SIZE])
{
    char suffix[16] = "";
    if (number > 1)
        (void)snprintf(suffix, sizeof(suffix), ".%d", number);
    (void)snprintf(out, CACHE_NAME_SIZE, "%.40s.damaged%s", name, suffix);
}

int cache_files_keep(int directory_fd, const struct cache_names *names,
                     char kept[static CACHE_NAME_SIZE])
{
    /* Proof: as in cache_files_delete(). If the syncer renames it first, the loop below finds the
     * map; if not, the syncer's rename finds no file. */
    int r = unlink_if_there(directory_fd, names->temporary);
    if (r < 0)
        return r;
    r = -EEXIST;
    for (int number = 1; r == -EEXIST && number <= CACHE_KEPT_MAX; number++) {
        char map[CACHE_NAME_SIZE];
        kept_name(names->map, number, map);
        kept_name(names->data, number, kept);
        r = rename_if_free(directory_fd, names->map, map);
        if (r == 0 || r == -ENOENT)
            r = rename_if_free(directory_fd, names->data, kept);
    }
    /* The old names must be gone durably before data of another version can use them. */
    if (r == 0 && fsync(directory_fd) < 0)
        r = -errno;
    return r;
}

void cache_kept_delete(int directory_fd, const struct cache_names *names)
{
    bool is_found = true;
    for (int number = 1; is_found && number <= CACHE_KEPT_MAX; number++) {
        char map[CACHE_NAME_SIZE];
        char data[CACHE_NAME_SIZE];
        kept_name(names->map, number, map);
        kept_name(names->data, number, data);
        is_found = unlinkat(directory_fd, map, 0) == 0;
        is_found = unlinkat(directory_fd, data, 0) == 0 || is_found;
    }
}

int cache_used_get(int directory_fd, int64_t id, enum media_kind kind, int64_t *used_ms)
{
    struct cache_names names = cache_names_of(id, (int32_t)kind);
    struct stat map;
    if (fstatat(directory_fd, names.map, &map, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    *used_ms = (int64_t)map.st_mtim.tv_sec * 1000 + map.st_mtim.tv_nsec / 1000000;
    return 0;
}

void cache_used_set(int directory_fd, int64_t id, enum media_kind kind, int64_t used_ms)
{
    struct cache_names names = cache_names_of(id, (int32_t)kind);
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)(used_ms / 1000), .tv_nsec = (long)(used_ms % 1000) * 1000000L}};
    /* Fails when there is no map; such a file is not in the order of eviction. */
    (void)utimensat(directory_fd, names.map, times, AT_SYMLINK_NOFOLLOW);
}
