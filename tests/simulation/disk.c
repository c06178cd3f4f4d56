/*
 * Design. A file has two images: `cache`, which reads see, and `durable`, which a power cut leaves for sure.
 * Writes and truncations go into the cache at once and into a list; a sync plays the list into the durable
 * image, a power cut plays a part of it. A directory entry that was made or removed is volatile until a
 * journal or log in it is synced for the first time, as SQLite's own VFS for unix does it.
 */
#include "disk.h"

#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR_BYTES = 512, ENTRIES = 8, SHARED_REGIONS = 4, NAME_BYTES = 32 };

struct image {
    uint8_t *bytes;
    size_t len;
    size_t capacity;
};

struct change {
    int64_t offset; /* of a truncation: the new length */
    size_t len;
    size_t at; /* in the file's `data` */
    bool is_truncation;
};

struct file {
    struct image cache;
    struct image durable;
    struct image data; /* the bytes of the changes */
    struct change *changes;
    size_t count;
    size_t capacity;
    bool is_doubtful; /* a sync has failed: the images may differ without a change in the list */
    unsigned references;
};

struct entry {
    char name[NAME_BYTES];
    struct file *now;
    struct file *durable;
};

struct handle {
    sqlite3_file base;
    struct file *file;
    void *shared[SHARED_REGIONS];
    bool is_inspection;
    bool is_entry_volatile;
};

static struct {
    struct entry entries[ENTRIES];
    struct entry kept[ENTRIES];
    bool is_dead;
    unsigned dies_after; /* operations; 0: does not */
    unsigned fault_kinds;
    int fault_error;
    unsigned fault_skip;
    unsigned fault_count;
    unsigned failures;
    int last_error;
    uint64_t trace;
} disk;

/* --- images and files --- */

static void image_reserve(struct image *image, size_t len)
{
    if (len <= image->capacity)
        return;
    size_t capacity = image->capacity ? image->capacity : 16384;
    while (capacity < len)
        capacity *= 2;
    image->bytes = realloc(image->bytes, capacity);
    if (!image->bytes)
        abort();
    image->capacity = capacity;
}

static void image_resize(struct image *image, size_t len)
{
    image_reserve(image, len);
    if (len > image->len)
        memset(image->bytes + image->len, 0, len - image->len);
    image->len = len;
}

static void image_write(struct image *image, size_t offset, const void *bytes, size_t len)
{
    if (offset + len > image->len)
        image_resize(image, offset + len);
    memcpy(image->bytes + offset, bytes, len);
}

static void image_copy(struct image *to, const struct image *from)
{
    image_reserve(to, from->len);
    to->len = from->len;
    if (from->len)
        memcpy(to->bytes, from->bytes, from->len);
}

static struct file *file_new(void)
{
    struct file *file = calloc(1, sizeof(*file));
    if (!file)
        abort();
    return file;
}

static struct file *file_ref(struct file *file)
{
    if (file)
        file->references++;
    return file;
}

static void file_unref(struct file *file)
{
    if (!file || --file->references > 0)
        return;
    free(file->cache.bytes);
    free(file->durable.bytes);
    free(file->data.bytes);
    free(file->changes);
    free(file);
}

static void file_change(struct file *file, const struct change *change, const void *bytes)
{
    if (file->count == file->capacity) {
        file->capacity = file->capacity ? file->capacity * 2 : 64;
        file->changes = realloc(file->changes, file->capacity * sizeof(*file->changes));
        if (!file->changes)
            abort();
    }
    file->changes[file->count] = *change;
    file->changes[file->count++].at = file->data.len;
    if (change->is_truncation) {
        image_resize(&file->cache, (size_t)change->offset);
        return;
    }
    image_write(&file->data, file->data.len, bytes, change->len);
    image_write(&file->cache, (size_t)change->offset, bytes, change->len);
}

static void file_changes_drop(struct file *file)
{
    file->count = 0;
    file->data.len = 0;
}

static void file_sync(struct file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        const struct change *change = &file->changes[i];
        if (change->is_truncation)
            image_resize(&file->durable, (size_t)change->offset);
        else
            image_write(&file->durable, (size_t)change->offset, file->data.bytes + change->at,
                        change->len);
    }
    file_changes_drop(file);
}

/* Which sectors reach the disk. */
enum keeping { KEEP_NONE, KEEP_ALL, KEEP_FIRST, KEEP_SOME, KEEP_MOST, KEEPINGS };

static bool is_kept(enum keeping keeping)
{
    switch (keeping) {
    case KEEP_NONE:
        return false;
    case KEEP_SOME:
        return world_chance(500);
    case KEEP_MOST:
        return world_chance(930);
    case KEEP_ALL:
    case KEEP_FIRST:
    case KEEPINGS:
        break;
    }
    return true;
}

/* Plays a part of the changes into the durable image, sector by sector. */
static void file_sync_partly(struct file *file, enum keeping keeping)
{
    size_t most = keeping == KEEP_FIRST ? world_pick((unsigned)file->count + 1) : file->count;
    for (size_t i = 0; i < most; i++) {
        const struct change *change = &file->changes[i];
        size_t offset = (size_t)change->offset;
        if (change->is_truncation) {
            if (is_kept(keeping))
                image_resize(&file->durable, offset);
            continue;
        }
        bool is_whole = keeping != KEEP_FIRST || i + 1 < most;
        size_t end = offset + (is_whole ? change->len : world_pick((unsigned)change->len + 1));
        for (size_t from = offset; from < end;) {
            size_t to = (from / SECTOR_BYTES + 1) * SECTOR_BYTES;
            to = to < end ? to : end;
            if (is_kept(keeping))
                image_write(&file->durable, from, file->data.bytes + change->at + (from - offset),
                            to - from);
            from = to;
        }
        /* The new length without the bytes. */
        if (keeping == KEEP_SOME && end > file->durable.len && world_chance(300))
            image_resize(&file->durable, end);
    }
    file_changes_drop(file);
}

/* --- the directory --- */

static struct entry *entry_find(const char *name)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        if (strcmp(disk.entries[i].name, name) == 0)
            return &disk.entries[i];
    }
    return NULL;
}

static struct entry *entry_make(const char *name)
{
    struct entry *entry = entry_find(name);
    if (!entry)
        entry = entry_find("");
    if (!entry)
        abort();
    (void)snprintf(entry->name, sizeof(entry->name), "%s", name);
    return entry;
}

static void entry_clear(struct entry *entry)
{
    file_unref(entry->now);
    file_unref(entry->durable);
    *entry = (struct entry){.name = ""};
}

static void directory_sync(void)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &disk.entries[i];
        if (entry->durable == entry->now)
            continue;
        file_unref(entry->durable);
        entry->durable = file_ref(entry->now);
    }
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* --- what goes wrong --- */

static void trace_add(uint64_t value)
{
    disk.trace = (disk.trace ^ value) * UINT64_C(1099511628211);
}

/* True when the operation does not take place; then `last_error` says why. */
static bool is_refused(unsigned kind)
{
    if (disk.is_dead || (disk.dies_after && --disk.dies_after == 0)) {
        disk.is_dead = true;
        disk.last_error = EIO;
        return true;
    }
    if (!(disk.fault_kinds & kind) || disk.fault_count == 0)
        return false;
    if (disk.fault_skip > 0) {
        disk.fault_skip--;
        return false;
    }
    disk.fault_count--;
    disk.failures++;
    figure_add(FIGURE_DISK_FAULTS);
    disk.last_error = disk.fault_error;
    trace_add(disk.failures);
    return true;
}

/* --- the methods of an open file --- */

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
    if (!handle->is_inspection && is_refused(DISK_WRITE)) {
        /* What fails may have been written in part. */
        change.len = disk.is_dead ? 0 : world_pick((unsigned)len + 1);
        if (change.len && world_chance(500))
            file_change(handle->file, &change, bytes);
        return disk.last_error == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    }
    file_change(handle->file, &change, bytes);
    trace_add((uint64_t)offset + ((uint64_t)len << 40));
    return SQLITE_OK;
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 len)
{
    struct handle *handle = (struct handle *)base;
    struct change change = {.offset = len, .is_truncation = true};
    if (!handle->is_inspection && is_refused(DISK_TRUNCATE))
        return SQLITE_IOERR_TRUNCATE;
    file_change(handle->file, &change, NULL);
    return SQLITE_OK;
}

static int vfs_sync(sqlite3_file *base, int flags UNUSED)
{
    struct handle *handle = (struct handle *)base;
    if (!handle->is_inspection && is_refused(DISK_SYNC)) {
        if (!disk.is_dead) {
            file_sync_partly(handle->file, (enum keeping)world_pick(KEEPINGS));
            handle->file->is_doubtful = true;
        }
        return SQLITE_IOERR_FSYNC;
    }
    file_sync(handle->file);
    trace_add(1);
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

static int vfs_is_reserved(sqlite3_file *base UNUSED, int *out)
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
    return 4096; /* as SQLite's VFS for unix says of every disk */
}

static int vfs_characteristics(sqlite3_file *base UNUSED)
{
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* the same */
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
    .xCheckReservedLock = vfs_is_reserved,
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
        if (!(flags & SQLITE_OPEN_CREATE) || (disk.is_dead && !is_inspection))
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
    if (disk.is_dead)
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
    /* An empty journal is none, as in SQLite's own. */
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
    *out = 2461370.5; /* a Julian day; nothing asks for it */
    return SQLITE_OK;
}

static int vfs_error(sqlite3_vfs *vfs UNUSED, int size UNUSED, char *text UNUSED)
{
    return disk.last_error;
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

/* --- its life --- */

static void entries_clear(struct entry *entries)
{
    for (size_t i = 0; i < ENTRIES; i++)
        entry_clear(&entries[i]);
}

void disk_format(bool is_used)
{
    entries_clear(disk.entries);
    disk.is_dead = false;
    disk.dies_after = 0;
    disk.fault_kinds = 0;
    disk.failures = 0;
    disk.last_error = 0;
    disk.trace = 0;
    for (size_t i = 0; is_used && i < ENTRIES; i++) {
        if (!disk.kept[i].now)
            continue;
        struct entry *entry = entry_make(disk.kept[i].name);
        entry->now = file_ref(file_new());
        entry->durable = file_ref(entry->now);
        image_copy(&entry->now->cache, &disk.kept[i].now->cache);
        image_copy(&entry->now->durable, &disk.kept[i].now->cache);
    }
    sqlite3_randomness(0, NULL); /* seeded anew, by vfs_random() */
}

void disk_keep(void)
{
    entries_clear(disk.kept);
    memcpy(disk.kept, disk.entries, sizeof(disk.kept));
    memset(disk.entries, 0, sizeof(disk.entries));
}

void disk_free(void)
{
    entries_clear(disk.entries);
    entries_clear(disk.kept);
}

void disk_die(void)
{
    disk.is_dead = true;
}

void disk_die_after(unsigned operations)
{
    disk.dies_after = operations;
}

bool disk_is_dead(void)
{
    return disk.is_dead;
}

static void power_cut(void)
{
    enum keeping keeping = (enum keeping)world_pick(KEEPINGS);
    for (size_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &disk.entries[i];
        if (entry->now != entry->durable) {
            bool is_new = keeping == KEEP_ALL || (keeping != KEEP_NONE && world_chance(500));
            struct file *file = file_ref(is_new ? entry->now : entry->durable);
            file_unref(entry->now);
            file_unref(entry->durable);
            entry->now = file;
            entry->durable = file_ref(file);
        }
        if (!entry->now)
            continue;
        file_sync_partly(entry->now, keeping);
        image_copy(&entry->now->cache, &entry->now->durable);
        entry->now->is_doubtful = false;
    }
}

void disk_restart(bool is_power_cut)
{
    disk.is_dead = false;
    disk.dies_after = 0;
    if (is_power_cut)
        power_cut();
}

void disk_fault_set(unsigned kinds, int error, unsigned skip, unsigned count)
{
    disk.fault_kinds = kinds;
    disk.fault_error = error;
    disk.fault_skip = skip;
    disk.fault_count = count;
}

void disk_fault_clear(void)
{
    disk.fault_kinds = 0;
}

unsigned disk_failures(void)
{
    return disk.failures;
}

static bool is_file_clean(struct file *file)
{
    if (file->count > 0)
        return false;
    if (file->is_doubtful && (file->cache.len != file->durable.len ||
                              memcmp(file->cache.bytes, file->durable.bytes, file->cache.len) != 0))
        return false;
    file->is_doubtful = false;
    return true;
}

bool disk_is_clean(void)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &disk.entries[i];
        if (entry->now != entry->durable || (entry->now && !is_file_clean(entry->now)))
            return false;
    }
    return true;
}

static const char *const inspected[][2] = {{"jobs.sqlite", "inspect.sqlite"},
                                           {"jobs.sqlite-wal", "inspect.sqlite-wal"},
                                           {"jobs.sqlite-journal", "inspect.sqlite-journal"}};

sqlite3 *disk_inspect_open(void)
{
    sqlite3 *db = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(inspected); i++) {
        const struct entry *from = entry_find(inspected[i][0]);
        if (!from || !from->durable)
            continue;
        struct entry *to = entry_make(inspected[i][1]);
        to->now = file_ref(file_new());
        image_copy(&to->now->cache, &from->durable->durable);
    }
    if (sqlite3_open_v2(inspected[0][1], &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK)
        return db;
    disk_inspect_close(db);
    return NULL;
}

void disk_inspect_close(sqlite3 *db)
{
    (void)sqlite3_close(db);
    for (size_t i = 0; i < ARRAY_COUNT(inspected); i++) {
        struct entry *entry = entry_find(inspected[i][1]);
        if (entry)
            entry_clear(entry);
    }
}

uint64_t disk_trace(void)
{
    return disk.trace;
}
