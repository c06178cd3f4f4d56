/*
 * What: uthash, set up for this program: an allocation that fails leaves the element out of the
 * table (its handle's tbl stays NULL) instead of ending the process.
 *     HASH_ADD(by_id, table, id, sizeof(int64_t), item);
 *     if (!TABLE_HAS(item, by_id)) return -ENOMEM;
 */
#ifndef SEEDANCEFS_BASE_TABLE_H
#define SEEDANCEFS_BASE_TABLE_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/text.h"

#define HASH_NONFATAL_OOM 1
/* uthash's own hash function makes clang warn about fall-through in every file that uses it. */
#define HASH_FUNCTION(key, len, out) ((out) = (unsigned)text_hash((key), (len)))
#include <uthash.h>
#include <utlist.h>

#define TABLE_HAS(item, handle) ((item)->handle.tbl != NULL)

/* Changes the key of an element in a table; the key is lent. Allocates nothing and so cannot fail,
 * unlike removing the element and adding it again. */
static inline void table_key_set(UT_hash_handle *handle, const void *key, size_t len)
{
    UT_hash_table *table = handle->tbl;
    unsigned noexpand = table->noexpand;
    unsigned bucket;
    int is_out_of_memory UNUSED = 0;
    HASH_TO_BKT(handle->hashv, table->num_buckets, bucket);
    HASH_DEL_IN_BKT(table->buckets[bucket], handle);
    handle->key = key;
    handle->keylen = (unsigned)len;
    HASH_VALUE(key, len, handle->hashv);
    HASH_TO_BKT(handle->hashv, table->num_buckets, bucket);
    table->noexpand = 1; /* growing the buckets would be an allocation */
    HASH_ADD_TO_BKT(table->buckets[bucket], hh, handle, is_out_of_memory);
    table->noexpand = noexpand;
}

#endif
