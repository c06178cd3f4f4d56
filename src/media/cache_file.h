/*
 * What: the cached bytes of one media file: a sparse file, the set of its bytes that are present
 * (exact, in memory), and the map with that set for the next start. See cache_directory.h for their
 * names.
 * Lifetime: cache_init() touches nothing; cache_load() once the size is known, and again whenever
 * `load_error` is set; cache_fini(). The directory descriptor and the ETag are lent for the whole
 * of it.
 * Errors: -errno. While `load_error` is set, it is not known what is on the disk: nothing is
 * present, nothing is written, and every call that needs the cache returns that error.
 */
#ifndef SRC_MEDIA_CACHE_FILE_H
#define SRC_MEDIA_CACHE_FILE_H

#include "media/block_map.h"
#include "media/cache_directory.h"
#include "media/intervals.h"
#include "media/spill.h"
#include "seedancefs/media/media.h"

struct cache_file {
    int directory_fd;
    struct block_map_identity identity;
    int fd;                   /* -1: not open */
    int load_error;           /* why it is not known what is there; 0: it is */
    struct intervals present; /* in the file */
    struct intervals
        damaged;         /* blocks that do not match, and for which nothing right has come yet */
    uint64_t *checksums; /* of each whole block of the two; NULL: nothing was ever present */
    unsigned char
        *unchecked;        /* a bit for each block that an earlier run wrote and nobody has read */
    int64_t dirty_bytes;   /* written since the last map */
    int64_t durable_bytes; /* vouched for by the last map */
    int64_t sync_dirty_bytes;      /* what of these the sync under way, */
    int64_t sync_covered_bytes;    /* and of those it will have made durable */
    bool is_sync_void;             /* what it makes durable was forgotten here meanwhile */
    bool is_detached;              /* the names belong to somebody else now: no map is written */
    int disk_error;                /* why the disk is not used, 0 while it is */
    int64_t disk_retry_ms;         /* and when it is tried again (monotonic) */
    struct spill *spill;           /* NULL: not needed */
    struct spill_pool *spill_pool; /* lent; NULL: none */
};

void cache_init(struct cache_file *cache, int directory_fd, int64_t id, enum media_kind kind);
void cache_fini(struct cache_file *cache);

/* Takes over what an earlier run left. Changes nothing on the disk, whatever it finds. -EBADMSG: it
 * is proven that what lies there cannot be used, as its map is damaged, missing, or of another size
 * or ETag: to be followed by cache_drop() or cache_keep(). Anything else: it cannot be known now.
 * Both set `load_error`. */
int cache_load(struct cache_file *cache, int64_t size, const char *etag) NODISCARD;

/* Forgets what is in memory; from now on `load_error` says why. Nothing changes on the disk. */
void cache_unload(struct cache_file *cache, int result);

/* Writes to the disk, or to memory while the disk refuses (tried again after 30 s). */
int cache_write(struct cache_file *cache, int64_t now_ms, int64_t offset, const void *bytes,
                size_t len, spill_wanted_fn *is_wanted, const void *context) NODISCARD;

/* Compares what an earlier run wrote with its checksums, each block once; a block that does not
 * match is damaged and not present any more, which the next map says; its bytes stay, and are
 * compared once more after the next load. A block that cannot be read is as it was, and the failure
 * is returned. */
int cache_check(struct cache_file *cache, int64_t first, int64_t end) NODISCARD;

bool cache_has(const struct cache_file *cache, int64_t first, int64_t end);

/* The first run of bytes in [first, end) that is not there; false when all are. */
bool cache_gap(const struct cache_file *cache, int64_t first, int64_t end, struct interval *out);
bool cache_is_complete(const struct cache_file *cache);

/* Says where the bytes are, which must be there: in one file, or collected into `*scratch` (free
 * it). -EIO when they are not right any more. */
int cache_locate(struct cache_file *cache, int64_t offset, size_t len, struct media_bytes *out,
                 void **scratch) NODISCARD;

/* Makes what is there durable: data first, then the map. Whole blocks only. When that fails, the
 * disk is not used for a while. */
int cache_persist(struct cache_file *cache, int64_t now_ms) NODISCARD;

/* The same in three steps, of which only the second waits for the disk. The first gives 1, or 0
 * when there is nothing to do. Between first and third there is no other for the same file; bytes
 * may be written. */
struct cache_sync_result {
    int result;        /* 0 or -errno */
    bool is_data_lost; /* what was written since the last map may not be in the file */
};
int cache_persist_begin(struct cache_file *cache) NODISCARD;
struct cache_sync_result cache_sync(int directory_fd, int data_fd, int64_t id,
                                    enum media_kind kind);
int cache_persist_end(struct cache_file *cache, int64_t now_ms,
                      struct cache_sync_result result) NODISCARD;

/* Forgets all bytes, durably. The caller knows that they can be fetched again. */
int cache_drop(struct cache_file *cache) NODISCARD;

/* The same, but the files are kept under other names; `kept` is that of the data. */
int cache_keep(struct cache_file *cache, char kept[static CACHE_NAME_SIZE]) NODISCARD;

/* For cache_file.c alone. Makes room for checksums, if there is none. */
int cache_sums_make(struct cache_file *cache) NODISCARD;
/* All that the map vouches for has to be compared before it is read. */
void cache_sums_distrust(struct cache_file *cache);
/* Takes the checksums of the blocks that these bytes, which have been written, have completed. */
int cache_sum(struct cache_file *cache, int64_t first, const char *bytes, size_t len) NODISCARD;
/* These blocks are not as they should be. */
int cache_damage(struct cache_file *cache, int64_t first, int64_t end) NODISCARD;

/* The names belong to somebody else from now on. */
void cache_detach(struct cache_file *cache);

#endif
