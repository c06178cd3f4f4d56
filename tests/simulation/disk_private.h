/*
 * What: the inside of the disk, shared by its three files:
 *   disk_file.c  the content of a file, and how much of it is durable
 *   disk_vfs.c   SQLite's methods
 *   disk.c       the directory, the faults, life and death
 */
#ifndef TESTS_SIMULATION_DISK_PRIVATE_H
#define TESTS_SIMULATION_DISK_PRIVATE_H

#include "disk.h"
#include "world.h"

enum { DISK_ENTRIES = 8, DISK_NAME_BYTES = 32 };

struct image {
    uint8_t *bytes;
    size_t len;
    size_t capacity;
};

struct change {
    int64_t offset; /* of a truncation: the new length */
    size_t len;
    size_t at; /* position in the file's `data` */
    bool is_truncation;
};

struct file {
    struct image cache;
    struct image durable;
    struct image data; /* the bytes of the changes */
    struct change *changes;
    size_t count;
    size_t capacity;
    bool is_doubtful; /* a sync has failed: the images may differ although the list is empty */
    unsigned references;
};

struct entry {
    char name[DISK_NAME_BYTES];
    struct file *now;
    struct file *durable;
};

/* Which sectors of unsynced writes reach the disk. */
enum keeping { KEEP_NONE, KEEP_ALL, KEEP_FIRST, KEEP_SOME, KEEP_MAX, KEEPINGS };

/* disk_file.c */
void image_copy(struct image *to, const struct image *from);
struct file *file_new(void);
struct file *file_ref(struct file *file);
void file_unref(struct file *file);
void file_change(struct file *file, const struct change *change, const void *bytes);
void file_sync(struct file *file);
/* Applies a part of the changes to the durable image, sector by sector; the others are lost. */
void file_sync_partly(struct file *file, enum keeping keeping);
bool file_is_clean(struct file *file);

/* disk.c */
struct entry *entry_find(const char *name);
struct entry *entry_make(const char *name);
void directory_sync(void);
/* True when the operation fails; then disk_error() tells why. */
bool disk_is_refused(unsigned kind);
int disk_error(void);
void disk_trace_add(uint64_t value);

#endif
