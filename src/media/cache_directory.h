/*
 * What: the files of the cache in their directory: their names, and the steps that remove or rename
 * them, each with the proof it needs. For a video they are ID.mp4 (its bytes), ID.map (which of
 * these are right) and ID.map.tmp (the next map); for a cover ID.jpg, ID.jpg.map, ID.jpg.map.tmp.
 * Damaged files that are kept have the names ID.mp4.damaged and ID.map.damaged, then
 * ID.mp4.damaged.2, and so on.
 * Lifetime: nothing is kept open; the directory's descriptor is lent.
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

/* Whether that is the name of a data file, and of which. */
bool cache_name_parse(const char *name, int64_t *id, enum media_kind *kind);

/* Whether a name that could not be opened (-ENOENT) is not there: 1 when a second look finds no
 * such name, either; 0 when it is there after all. It is the held directory that says so: one that
 * was moved away is the same, and one that was removed is empty, and stays so. */
int cache_name_is_absent(int directory_fd, const char *name) NODISCARD;

/* The errno of a read for which the cache could not be looked at: -EMFILE and -ENFILE as they are,
 * for they say what to do, else -EIO. */
int cache_error(int result);

/* Deletes map, then data; open descriptors keep the bytes. The caller must have the proof. */
int cache_files_delete(int directory_fd, const struct cache_names *names) NODISCARD;

/* The map alone, durably. */
int cache_map_delete(int directory_fd, const struct cache_names *names) NODISCARD;

/* Gives map and data names that are not in use, and `kept` the one of the data. Nothing is ever
 * overwritten: -EEXIST when all names are taken. */
int cache_files_keep(int directory_fd, const struct cache_names *names,
                     char kept[static CACHE_NAME_SIZE]) NODISCARD;

/* Deletes what was kept like that. Only for an item that its user has removed. */
void cache_kept_delete(int directory_fd, const struct cache_names *names);

/* When it was read last (wall time), kept as the time of its map. -ENOENT: there is no map. */
int cache_used_get(int directory_fd, int64_t id, enum media_kind kind, int64_t *used_ms) NODISCARD;
void cache_used_set(int directory_fd, int64_t id, enum media_kind kind, int64_t used_ms);

#endif
