/*
 * What: the cached bytes of one media file: a sparse file, the exact set of bytes present (in
 * memory), and the map that stores this set for the next start. cache_directory.h tells their
 * names.
 * Lifetime: cache_init() touches no file; cache_load() once the size is known, and again whenever
 * `load_error` is set; cache_fini(). The directory descriptor and the ETag are lent until then.
 * Errors: -errno. While `load_error` is set, the state of the disk is unknown: nothing is present,
 * nothing is written, and each call that needs the cache returns that error.
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
    int load_error;           /* why the state of the disk is unknown; 0: it is known */
    struct intervals present; /* in the file */
    /* blocks that do not match their checksum and have not been fetched again */
    struct intervals damaged;
    uint64_t *checksums; /* of each whole block of both sets; NULL: nothing was ever present */
    /* a bit for each block that an earlier run wrote and that was not compared yet */
    unsigned char *unchecked;
    int64_t dirty_bytes;        /* written since the last map */
    int64_t durable_bytes;      /* listed by the last map */
    int64_t sync_dirty_bytes;   /* how many dirty_bytes were there when the sync under way began */
    int64_t sync_covered_bytes; /* durable_bytes after that sync */
    bool is_sync_void;          /* the sync's data was forgotten here in the meantime */
    bool is_detached;           /* another item owns the file names now: write no map */
    int disk_error;             /* why the disk is not used; 0: it is */
    int64_t disk_retry_ms;      /* when the disk is tried again (monotonic) */
    struct spill *spill;        /* NULL: not needed */
    struct spill_pool *spill_pool; /* lent; NULL: none */
};

void cache_init(struct cache_file *cache, int directory_fd, int64_t id, enum media_kind kind);
void cache_fini(struct cache_file *cache);

/* Loads what an earlier run left, and never changes the disk. -EBADMSG: the files are
 * proven unusable, because the map is damaged, missing, or for another size or ETag;
 * cache_drop() or cache_keep() must follow. Any other error: the state is unknown for now.
 * Both set `load_error`. */
int cache_load(struct cache_file *cache, int64_t size, const char *etag) NODISCARD;

/* Forgets what is in memory and sets `load_error` to `result`. The disk is not changed. */
void cache_unload(struct cache_file *cache, int result);

/* Writes to the disk, or to memory while the disk fails (it is tried again after 30 s). */
int cache_write(struct cache_file *cache, int64_t now_ms, int64_t offset, const void *bytes,
                size_t len, spill_wanted_fn *is_wanted, const void *context) NODISCARD;

/* Compares the blocks that an earlier run wrote with their checksums, each once. A block that does
 * not match becomes damaged and is no longer present; the next map records this. Its bytes stay,
 * and are compared once more after the next load. A block that cannot be read stays as it is, and
 * the error is returned. */
int cache_check(struct cache_file *cache, int64_t first, int64_t end) NODISCARD;

bool cache_has(const struct cache_file *cache, int64_t first, int64_t end);

/* Finds the first run of missing bytes in [first, end). Returns false when none is missing. */
bool cache_gap(const struct cache_file *cache, int64_t first, int64_t end, struct interval *out);
bool cache_is_complete(const struct cache_file *cache);

/* Tells where the bytes are, which must be present: in one file, or collected into `*scratch` (free
 * it). -EIO when they are damaged. */
int cache_locate(struct cache_file *cache, int64_t offset, size_t len, struct media_bytes *out,
                 void **scratch) NODISCARD;

/* Makes the present bytes durable, whole blocks only: first the data, then the map. If that fails,
 * the disk is not used for a while. */
int cache_persist(struct cache_file *cache, int64_t now_ms) NODISCARD;

/* cache_persist() in three steps; only the second waits for the disk. The first returns 1, or 0
 * when there is nothing to do. Between the first and the third, no other may begin for the same
 * file, but bytes may be written. */
struct cache_sync_result {
    int result;        /* 0 or -errno */
    bool is_data_lost; /* bytes written since the last map may be lost */
};
int cache_persist_begin(struct cache_file *cache) NODISCARD;
struct cache_sync_result cache_sync(int directory_fd, int data_fd, int64_t id,
                                    enum media_kind kind);
int cache_persist_end(struct cache_file *cache, int64_t now_ms,
                      struct cache_sync_result result) NODISCARD;

/* Forgets all bytes, durably. The caller must know that they can be fetched again. */
int cache_drop(struct cache_file *cache) NODISCARD;

/* Forgets all bytes too, but keeps the files under other names; `kept` gets that of the data. */
int cache_keep(struct cache_file *cache, char kept[static CACHE_NAME_SIZE]) NODISCARD;

/* For cache_file.c alone. Allocates the checksums, if there are none. */
int cache_sums_make(struct cache_file *cache) NODISCARD;
/* Marks every block that the map lists for comparison before it is read. */
void cache_sums_distrust(struct cache_file *cache);
/* Computes the checksums of the blocks that these bytes, already written, have completed. */
int cache_sum(struct cache_file *cache, int64_t first, const char *bytes, size_t len) NODISCARD;
/* Marks these bytes as damaged. */
int cache_damage(struct cache_file *cache, int64_t first, int64_t end) NODISCARD;

/* Another item owns the file names from now on. */
void cache_detach(struct cache_file *cache);

#endif
