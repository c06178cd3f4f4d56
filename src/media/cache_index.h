/*
 * What: the files in the cache directory with size and time of the last read: the order of
 * eviction. It takes some 100 bytes per file. The modification times of the maps keep the order
 * over a restart.
 * Lifetime: a zeroed struct is empty; cache_index_fini() frees it.
 * Errors: -errno; after -ENOMEM a file is not in the index and is never evicted.
 */
#ifndef SRC_MEDIA_CACHE_INDEX_H
#define SRC_MEDIA_CACHE_INDEX_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/table.h"

#include <stdbool.h>
#include <stdint.h>

struct cache_key {
    int64_t id;
    int64_t kind;
};

struct cache_entry {
    struct cache_key key;
    int64_t bytes;
    int64_t used_ms;          /* wall time: the order at the start */
    int64_t requests;         /* that the file has cost since the program started */
    int64_t ask_again_ms;     /* monotonic: until then it is known that it cannot be evicted */
    bool is_unmapped;         /* no map was found for it at the start */
    struct cache_entry *next; /* the one read next after this */
    struct cache_entry *prev;
    UT_hash_handle hh;
};

struct cache_index {
    struct cache_entry *table;
    struct cache_entry *oldest;
    int64_t bytes; /* of all files */
};

void cache_index_fini(struct cache_index *index);

/* Adds the files that earlier runs left. A file that cannot be examined is left out. */
int cache_index_scan(struct cache_index *index, int directory_fd) NODISCARD;

/* Sets the size of a file; 0 removes it. A new file counts as the most recently read. */
int cache_index_set(struct cache_index *index, const struct cache_key *key,
                    int64_t bytes) NODISCARD;

/* How many requests the file has cost, kept while no item is open. 0 for an unknown file. */
void cache_index_requests_set(struct cache_index *index, const struct cache_key *key,
                              int64_t requests);
int64_t cache_index_requests(const struct cache_index *index, const struct cache_key *key);

/* Makes the file the most recently read, or the first to be evicted. */
void cache_index_touch(struct cache_index *index, const struct cache_key *key);
void cache_index_age(struct cache_index *index, const struct cache_key *key);

#endif
