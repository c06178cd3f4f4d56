/*
 * What: which files are in the cache directory, how large they are, and when they were read last:
 * the order of eviction. It takes some 100 bytes for each file. The modification times of the maps
 * keep the order over a restart.
 * Lifetime: a zeroed struct is empty; cache_index_fini() frees it.
 * Errors: -errno; -ENOMEM leaves a file out, which is then never evicted.
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
    int64_t requests;         /* that it has cost in this run of the program */
    int64_t ask_again_ms;     /* monotonic: until then it is known that it cannot go */
    bool is_unmapped;         /* no map was found for it at the start */
    struct cache_entry *next; /* read later */
    struct cache_entry *prev;
    UT_hash_handle hh;
};

struct cache_index {
    struct cache_entry *table;
    struct cache_entry *oldest;
    int64_t bytes; /* in all */
};

void cache_index_fini(struct cache_index *index);

/* Takes in what earlier runs left. What cannot be looked at is left out. */
int cache_index_scan(struct cache_index *index, int directory_fd) NODISCARD;

/* So many bytes of it are there now; at 0 it is forgotten. A new one counts as read last. */
int cache_index_set(struct cache_index *index, const struct cache_key *key,
                    int64_t bytes) NODISCARD;

/* How many requests it has cost: kept while no item is open. 0 of one that is not known. */
void cache_index_requests_set(struct cache_index *index, const struct cache_key *key,
                              int64_t requests);
int64_t cache_index_requests(const struct cache_index *index, const struct cache_key *key);

/* It was read just now. */
void cache_index_touch(struct cache_index *index, const struct cache_key *key);

#endif
