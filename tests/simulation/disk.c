/*
 * A created or removed directory entry is volatile until the first sync of a journal or log in the
 * directory. SQLite's own VFS for unix works the same way.
 */
#include "disk_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    struct entry entries[DISK_ENTRIES];
    struct entry kept[DISK_ENTRIES];
    bool is_dead;
    unsigned dies_after; /* operations; 0: never */
    unsigned fault_kinds;
    int fault_error;
    unsigned fault_skip;
    unsigned fault_count;
    unsigned failures;
    int last_error;
    uint64_t trace;
} disk;

struct entry *entry_find(const char *name)
{
    for (size_t i = 0; i < DISK_ENTRIES; i++) {
        if (strcmp(disk.entries[i].name, name) == 0)
            return &disk.entries[i];
    }
    return NULL;
}

struct entry *entry_make(const char *name)
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

void directory_sync(void)
{
    for (size_t i = 0; i < DISK_ENTRIES; i++) {
        struct entry *entry = &disk.entries[i];
        if (entry->durable == entry->now)
            continue;
        file_unref(entry->durable);
        entry->durable = file_ref(entry->now);
    }
}

void disk_trace_add(uint64_t value)
{
    disk.trace = (disk.trace ^ value) * UINT64_C(1099511628211);
}

bool disk_is_refused(unsigned kind)
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
    disk_trace_add(disk.failures);
    return true;
}

int disk_error(void)
{
    return disk.last_error;
}

int disk_user_write(void)
{
    return disk_is_refused(DISK_WRITE) ? -disk.last_error : 0;
}

static void entries_clear(struct entry *entries)
{
    for (size_t i = 0; i < DISK_ENTRIES; i++)
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
    for (size_t i = 0; is_used && i < DISK_ENTRIES; i++) {
        if (!disk.kept[i].now)
            continue;
        struct entry *entry = entry_make(disk.kept[i].name);
        entry->now = file_ref(file_new());
        entry->durable = file_ref(entry->now);
        image_copy(&entry->now->cache, &disk.kept[i].now->cache);
        image_copy(&entry->now->durable, &disk.kept[i].now->cache);
    }
    sqlite3_randomness(0, NULL); /* vfs_random() seeds it again */
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
    for (size_t i = 0; i < DISK_ENTRIES; i++) {
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

bool disk_is_clean(void)
{
    for (size_t i = 0; i < DISK_ENTRIES; i++) {
        struct entry *entry = &disk.entries[i];
        if (entry->now != entry->durable || (entry->now && !file_is_clean(entry->now)))
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
