/*
 * The methods by which SQLite uses the disk. Their results are those of SQLite's own VFS for unix.
 */
#include "disk_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARED_REGIONS = 4 };

struct handle {
    sqlite3_file base;
    struct file *file;
    void *shared[SHARED_REGIONS];
    bool is_inspection;
    bool is_entry_volatile;
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int vfs_close(sqlite3_file *base)
{
    struct handle *handle = (struct handle *)base;
    for (size_t i = 0; i < SHARED_REGIONS; i++)
        free(handle->shared[i]);
    file_unref(handle->file);
    return SQLITE_OK;
}

static int vfs_read(sqlite3_file *base, void *out, int len, sqlite3_int64 offset)
{
    const struct image *cache = &((struct handle *)base)->file->cache;
    size_t from = (size_t)offset;
    size_t have = from < cache->len ? cache->len - from : 0;
    size_t take = have < (size_t)len ? have : (size_t)len;
    if (take)
        memcpy(out, cache->bytes + from, take);
    memset((char *)out + take, 0, (size_t)len - take);
    return take == (size_t)len ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 offset)
{
    struct handle *handle = (struct handle *)base;
    struct change change = {.offset = offset, .len = (size_t)len};
    if (!handle->is_inspection && disk_is_refused(DISK_WRITE)) {
        /* A failed write may have written a part. */
        change.len = disk_is_dead() ? 0 : world_pick((unsigned)len + 1);
        if (change.len && world_chance(500))
            file_change(handle->file, &change, bytes);
        return disk_error() == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    }
    file_change(handle->file, &change, bytes);
    disk_trace_add((uint64_t)offset + ((uint64_t)len << 40));
    return SQLITE_OK;
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 len)
{
    struct handle *handle = (struct handle *)base;
    struct change change = {.offset = len, .is_truncation = true};
    if (!handle->is_inspection && disk_is_refused(DISK_TRUNCATE))
        return SQLITE_IOERR_TRUNCATE;
    file_change(handle->file, &change, NULL);
    return SQLITE_OK;
}

static int vfs_sync(sqlite3_file *base, int flags UNUSED)
{
    struct handle *handle = (struct handle *)base;
    if (!handle->is_inspection && disk_is_refused(DISK_SYNC)) {
        if (!disk_is_dead()) {
            file_sync_partly(handle->file, (enum keeping)world_pick(KEEPINGS));
            handle->file->is_doubtful = true;
        }
        return SQLITE_IOERR_FSYNC;
    }
    file_sync(handle->file);
    disk_trace_add(1);
    if (handle->is_entry_volatile)
        directory_sync();
    handle->is_entry_volatile = false;
    return SQLITE_OK;
}

static int vfs_size(sqlite3_file *base, sqlite3_int64 *out)
{
    *out = (sqlite3_int64)((struct handle *)base)->file->cache.len;
    return SQLITE_OK;
}

static int vfs_lock(sqlite3_file *base UNUSED, int level UNUSED)
{
    return SQLITE_OK;
}

static int vfs_has_reserved(sqlite3_file *base UNUSED, int *out)
{
    *out = 0;
    return SQLITE_OK;
}

static int vfs_control(sqlite3_file *base UNUSED, int operation UNUSED, void *argument UNUSED)
{
    return SQLITE_NOTFOUND;
}

static int vfs_sector_size(sqlite3_file *base UNUSED)
{
    return 4096; /* like SQLite's VFS for unix, for every disk */
}

static int vfs_characteristics(sqlite3_file *base UNUSED)
{
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* like SQLite's VFS for unix */
}

static int vfs_shared_map(sqlite3_file *base, int region, int size, int is_made,
                          void volatile **out)
{
    struct handle *handle = (struct handle *)base;
    if (region >= SHARED_REGIONS)
        return SQLITE_IOERR_SHMMAP;
    if (!handle->shared[region] && is_made)
        handle->shared[region] = calloc(1, (size_t)size);
    *out = handle->shared[region];
    return SQLITE_OK;
}

static int vfs_shared_lock(sqlite3_file *base UNUSED, int offset UNUSED, int count UNUSED,
                           int flags UNUSED)
{
    return SQLITE_OK;
}

static void vfs_shared_barrier(sqlite3_file *base UNUSED)
{
}

static int vfs_shared_unmap(sqlite3_file *base, int is_deleted UNUSED)
{
    struct handle *handle = (struct handle *)base;
    for (size_t i = 0; i < SHARED_REGIONS; i++) {
        free(handle->shared[i]);
        handle->shared[i] = NULL;
    }
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_lock,
    .xCheckReservedLock = vfs_has_reserved,
    .xFileControl = vfs_control,
    .xSectorSize = vfs_sector_size,
    .xDeviceCharacteristics = vfs_characteristics,
    .xShmMap = vfs_shared_map,
    .xShmLock = vfs_shared_lock,
    .xShmBarrier = vfs_shared_barrier,
    .xShmUnmap = vfs_shared_unmap,
};

/* --- the methods of the disk --- */

static int vfs_open(sqlite3_vfs *vfs UNUSED, const char *path, sqlite3_file *base, int flags,
                    int *out_flags)
{
    struct handle *handle = (struct handle *)base;
    *handle = (struct handle){.base.pMethods = NULL};
    if (!path)
        return SQLITE_CANTOPEN;
    const char *name = base_name(path);
    bool is_inspection = strncmp(name, "inspect", 7) == 0;
    struct entry *entry = entry_find(name);
    if (!entry || !entry->now) {
        if (!(flags & SQLITE_OPEN_CREATE) || (disk_is_dead() && !is_inspection))
            return SQLITE_CANTOPEN;
        entry = entry_make(name);
        entry->now = file_ref(file_new());
    }
    handle->base.pMethods = &methods;
    handle->file = file_ref(entry->now);
    handle->is_inspection = is_inspection;
    handle->is_entry_volatile = (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL)) != 0;
    if (out_flags)
        *out_flags = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs UNUSED, const char *path, int is_synced)
{
    struct entry *entry = entry_find(base_name(path));
    if (disk_is_dead())
        return SQLITE_IOERR_DELETE;
    if (!entry || !entry->now)
        return SQLITE_IOERR_DELETE_NOENT;
    file_unref(entry->now);
    entry->now = NULL;
    if (is_synced)
        directory_sync();
    return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs UNUSED, const char *path, int flags UNUSED, int *out)
{
    const struct entry *entry = entry_find(base_name(path));
    /* An empty journal counts as none, as in SQLite's own VFS. */
    *out = entry && entry->now && entry->now->cache.len > 0;
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs UNUSED, const char *path, int size, char *out)
{
    return snprintf(out, (size_t)size, "%s", path) < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int vfs_random(sqlite3_vfs *vfs UNUSED, int len, char *out)
{
    for (int i = 0; i < len; i++)
        out[i] = (char)world_pick(256);
    return len;
}

static int vfs_sleep(sqlite3_vfs *vfs UNUSED, int us)
{
    return us;
}

static int vfs_time(sqlite3_vfs *vfs UNUSED, double *out)
{
    *out = 2461370.5; /* a Julian day; nothing uses it */
    return SQLITE_OK;
}

static int vfs_error(sqlite3_vfs *vfs UNUSED, int size UNUSED, char *text UNUSED)
{
    return disk_error();
}

void disk_register(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 1,
        .szOsFile = sizeof(struct handle),
        .mxPathname = 4096,
        .zName = "simulated disk",
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_random,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_error,
    };
    if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK)
        abort();
}
