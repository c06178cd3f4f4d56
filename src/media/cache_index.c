#include "media/cache_index.h"

#include "media/cache_directory.h"

#include "seedancefs/base/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void cache_index_fini(struct cache_index *index)
{
    HASH_CLEAR(hh, index->table);
    while (index->oldest) {
        struct cache_entry *entry = index->oldest;
        DL_DELETE(index->oldest, entry);
        free(entry);
    }
    *index = (struct cache_index){0};
}

static struct cache_entry *entry_find(const struct cache_index *index, const struct cache_key *key)
{
    struct cache_entry *entry;
    HASH_FIND(hh, index->table, key, sizeof(*key), entry);
    return entry;
}

int cache_index_set(struct cache_index *index, const struct cache_key *key, int64_t bytes)
{
    struct cache_entry *entry = entry_find(index, key);
    if (!entry && bytes > 0) {
        entry = calloc(1, sizeof(*entry));
        if (!entry)
            return -ENOMEM;
        entry->key = *key;
        HASH_ADD(hh, index->table, key, sizeof(entry->key), entry);
        if (!TABLE_HAS(entry, hh)) {
            free(entry);
            return -ENOMEM;
        }
        DL_APPEND(index->oldest, entry);
    }
    if (!entry)
        return 0;
    index->bytes += bytes - entry->bytes;
    entry->bytes = bytes;
    if (bytes == 0) {
        HASH_DELETE(hh, index->table, entry);
        DL_DELETE(index->oldest, entry);
        free(entry);
    }
    return 0;
}

void cache_index_requests_set(struct cache_index *index, const struct cache_key *key,
                              int64_t requests)
{
    struct cache_entry *entry = entry_find(index, key);
    if (entry)
        entry->requests = requests;
}

int64_t cache_index_requests(const struct cache_index *index, const struct cache_key *key)
{
    const struct cache_entry *entry = entry_find(index, key);
    return entry ? entry->requests : 0;
}

void cache_index_touch(struct cache_index *index, const struct cache_key *key)
{
    struct cache_entry *entry = entry_find(index, key);
    if (!entry)
        return;
    DL_DELETE(index->oldest, entry);
    DL_APPEND(index->oldest, entry);
}

void cache_index_age(struct cache_index *index, const struct cache_key *key)
{
    struct cache_entry *entry = entry_find(index, key);
    if (!entry)
        return;
    DL_DELETE(index->oldest, entry);
    DL_PREPEND(index->oldest, entry);
}

static int entry_compare(const struct cache_entry *a, const struct cache_entry *b)
{
    return (a->used_ms > b->used_ms) - (a->used_ms < b->used_ms);
}

static int scan_file(struct cache_index *index, int directory_fd, const char *name)
{
    struct cache_key key;
    enum media_kind kind;
    int64_t used_ms;
    struct stat data;
    if (!cache_name_parse(name, &key.id, &kind))
        return 0;
    key.kind = (int64_t)kind;
    int mapped = cache_used_get(directory_fd, key.id, kind, &used_ms);
    if (mapped < 0 && mapped != -ENOENT)
        return mapped;
    if (fstatat(directory_fd, name, &data, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    int r = cache_index_set(index, &key, data.st_blocks > 0 ? (int64_t)data.st_blocks * 512 : 1);
    if (r < 0)
        return r;
    struct cache_entry *entry = entry_find(index, &key);
    entry->is_unmapped = mapped < 0;
    entry->used_ms = mapped < 0 ? 0 : used_ms;
    return 0;
}

int cache_index_scan(struct cache_index *index, int directory_fd)
{
    DIR *directory;
    int r = file_list(directory_fd, &directory);
    if (r < 0)
        return r;
    const struct dirent *file;
    while (errno = 0, (file = readdir(directory)) != NULL) {
        int scanned = scan_file(index, directory_fd, file->d_name);
        r = scanned < 0 ? scanned : r;
    }
    r = errno ? -errno : r;
    (void)closedir(directory);
    DL_SORT(index->oldest, entry_compare);
    return r;
}
