/*
 * What: the names of the cache files, and the steps that remove or rename them, each with its
 * proof. A video has ID.mp4 (its bytes), ID.map (which of these bytes are valid) and ID.map.tmp
 * (the next map). A cover has ID.jpg, ID.jpg.map and ID.jpg.map.tmp. Damaged files that are kept
 * are named ID.mp4.damaged and ID.map.damaged, then ID.mp4.damaged.2, and so on.
 * Lifetime: nothing stays open; the directory's descriptor is lent.
 * Errors: -errno.
 */
#ifndef SRC_MEDIA_CACHE_DIRECTORY_H
#define SRC_MEDIA_CACHE_DIRECTORY_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/media/media.h"

#include <stdbool.h>
#include <stdint.h>

enum { CACHE_NAME_SIZE = 64 };

struct cache_names {
    char data[CACHE_NAME_SIZE];
    char map[CACHE_NAME_SIZE];
    char temporary[CACHE_NAME_SIZE];
};

struct cache_names cache_names_of(int64_t id, int32_t kind);

/* Whether `name` is that of a data file, and if so, whose. */
bool cache_name_parse(const char *name, int64_t *id, enum media_kind *kind);

/* Whether a name that could not be opened (-ENOENT) really does not exist: 1 when a second look in
 * the directory finds no such name either, 0 when it does exist. The held descriptor can be
 * trusted: a directory that was moved is still the same, and one that was removed is empty and
 * stays empty. */
int cache_name_is_absent(int directory_fd, const char *name) NODISCARD;

/* The errno of a read when the cache could not be examined. -EMFILE and -ENFILE stay, because they
 * tell the user what to do; everything else becomes -EIO. */
int cache_error(int result);

/* Deletes the map, then the data. Open descriptors keep the bytes. The caller must
 * have the proof. */
int cache_files_delete(int directory_fd, const struct cache_names *names) NODISCARD;

/* Deletes the map alone, durably. */
int cache_map_delete(int directory_fd, const struct cache_names *names) NODISCARD;

/* Renames map and data to names that are not in use; `kept` gets the new name of the data. Never
 * overwrites a file: -EEXIST when all names are taken. */
int cache_files_keep(int directory_fd, const struct cache_names *names,
                     char kept[static CACHE_NAME_SIZE]) NODISCARD;

/* Deletes the files that cache_files_keep() has kept. Only for an item that the
 * user has removed. */
void cache_kept_delete(int directory_fd, const struct cache_names *names);

/* When the file was last read (wall time), kept as its map's modification time. -ENOENT: no map. */
int cache_used_get(int directory_fd, int64_t id, enum media_kind kind, int64_t *used_ms) NODISCARD;
void cache_used_set(int directory_fd, int64_t id, enum media_kind kind, int64_t used_ms);

#endif
