/*
 * What: uthash, set up for this program: an allocation that fails leaves the element out of the
 * table (its handle's tbl stays NULL) instead of ending the process.
 *     HASH_ADD(by_id, table, id, sizeof(int64_t), item);
 *     if (!TABLE_HAS(item, by_id)) return -ENOMEM;
 */
#ifndef SEEDANCEFS_BASE_TABLE_H
#define SEEDANCEFS_BASE_TABLE_H

#include "seedancefs/base/text.h"

#define HASH_NONFATAL_OOM 1
/* uthash's own is a ladder of falling-through cases that clang warns of in every user. */
#define HASH_FUNCTION(key, len, out) ((out) = (unsigned)text_hash((key), (len)))
#include <uthash.h>
#include <utlist.h>

#define TABLE_HAS(item, handle) ((item)->handle.tbl != NULL)

#endif
