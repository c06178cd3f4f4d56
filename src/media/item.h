/*
 * What: the inside of the collection: items, their parked reads and their transfers. Only the .c
 * files of this layer include it.
 *
 *     media.c        the collection: table, lifetime of items, planning pass
 *     background.c   transfers that no read waits for: ends, fetch, completion
 *     item.c         one file: what is known about it, the plan for its readers
 *     reads.c        parked reads: wait, get a reply, fail
 *     transfer.c     one range request with its redirects, retries and URL renewals
 *     report.c       what the owner is told; how a probe and a fetch end
 *     damage.c       examines the cached bytes, handles what is proven wrong
 *     persist.c      when the bytes become durable
 *     cache_evict.c  keeps the cache directory within its limit
 *     syncer.c       the process that waits for the disk
 *
 * Each file uses only those below it. The exception is item.c, reads.c and transfer.c, which are
 * one machine: a read starts transfers, their bytes satisfy reads, and the item plans for both.
 *
 * References: each handle, parked read, probe, fetch, fetching of the ends and unreported damage
 * holds one. A callback holds one while it works on the item. Without references the item retires
 * (media_item_unref).
 */
#ifndef SRC_MEDIA_ITEM_H
#define SRC_MEDIA_ITEM_H

#include "media/cache_file.h"
#include "media/cache_index.h"
#include "media/range_check.h"
#include "media/range_plan.h"
#include "media/syncer.h"
#include "seedancefs/base/backoff.h"
#include "seedancefs/base/table.h"
#include "seedancefs/base/text.h"
#include "seedancefs/media/media.h"
#include "seedancefs/net/http.h"
#include "seedancefs/net/loop.h"

enum {
    MEDIA_TRANSFERS_MAX = 32, /* of all items */
    ITEM_TRANSFERS_MAX = 4,
    TRANSFER_ATTEMPTS_MAX = 3, /* in a row, without a byte */
    MEDIA_RETRIES_MAX = 20,    /* the shared budget, see base/backoff.h */
    MEDIA_BACKGROUND_MAX = 2,
    MEDIA_BACKGROUND_BELOW = 16,             /* none starts while this many transfers run */
    ITEM_AHEAD_MAX = 3,                      /* leaves one slot free for a reader */
    ITEM_IDLE_MS = 30 * 1000,                /* after so long without a read, stop fetching ahead */
    ITEM_COMPLETED_FROM_BYTES = 1024 * 1024, /* read in one go: more than a look at the header */
    ITEM_REQUESTS_FREE = 11, /* of a clip; then requests are saved. 24 at most are promised */
    ITEM_PERSIST_MS = 1000,
    ITEM_PERSIST_BYTES = 8 * 1024 * 1024,
    ITEM_PERSIST_AGAIN_MS = 30 * 1000, /* after a failure */
    ITEM_REFUSED_MS = 1000,            /* how long the owner is not asked after a failed renewal */
    ITEM_COPY_REFUSED_MS = 10 * 1000,  /* how long the copy is not asked after it failed */
};

enum read_queue { READ_IDLE, READ_PARKED, READ_READY };

struct media_item {
    struct media *media;
    struct cache_key key;
    int refs;
    bool is_listed; /* in the table; false once removed or ended */
    int end_result; /* result of every read; 0 while the item lives */
    int64_t size;   /* -1: not known */
    char *etag;     /* never NULL */
    char *url;      /* NULL: not known */
    int64_t url_expires_ms;
    uint32_t url_generation;
    uint32_t dead_generation; /* of a URL that was refused while there was a copy; 0: none */
    bool has_copy;
    int64_t copy_refused_until_ms; /* monotonic */
    int copy_result;               /* of its last failure; 0: it works, as far as is known */
    /* A renewal of the URL is under way: wanted, requested, or received but not yet used. */
    bool is_url_asked;
    bool is_url_wanted;   /* the next planning pass calls request_url */
    bool is_url_received; /* with url_result; the next planning pass resumes the transfers */
    int url_result;
    bool is_probing; /* these three hold a reference each */
    bool is_fetching;
    bool is_fetching_ends;
    bool is_completing;            /* a reader uses it, so the rest is fetched in the background */
    int64_t read_ms;               /* monotonic: last read */
    bool is_whole_only;            /* the server ignores Range */
    bool is_starved;               /* waits for a free slot */
    bool is_syncing;               /* the syncer works on it; holds a reference */
    bool is_damage_unreported;     /* the next planning pass reports it; holds a reference */
    int64_t damage_reported_bytes; /* of cache.damaged */
    char kept[CACHE_NAME_SIZE];    /* name of the kept files, unreported; "": none */
    bool has_persist_failed;
    bool needs_plan;
    bool needs_record; /* the size became known: call on_record, clip the reads */
    uint32_t planned_pass;
    int64_t refused_until_ms;
    int refused_result;
    int64_t reported_bytes; /* by the last on_progress */
    int64_t requests;       /* GETs that the file has cost, in earlier items too if known */
    struct cache_file cache;
    struct range_plan plan;
    struct media_read *parked;
    struct media_read *ready;
    struct timer timer; /* persists the item; frees it when it has no reference */
    struct media_item *next;
    struct media_item *prev;
    UT_hash_handle hh;
};

enum transfer_state {
    TRANSFER_RUNNING, /* http works on it */
    TRANSFER_WAITING, /* waits for its next attempt */
    TRANSFER_HELD,    /* waits for a new URL */
};

/* A probe is the first range of a file whose size is unknown. Once the size is known, the probe is
 * an ordinary transfer. BACKGROUND completes the file, for a fetch or for its readers. */
enum transfer_purpose { TRANSFER_PROBE, TRANSFER_READ, TRANSFER_ENDS, TRANSFER_BACKGROUND };

struct transfer {
    struct media_item *item;
    enum transfer_purpose purpose;
    enum transfer_state state;
    int64_t position;    /* everything before it has arrived */
    int64_t end;         /* end of the wanted bytes; decreases when another transfer takes over */
    int64_t allowed;     /* the transfer is held back here; INT64_MAX: never */
    int64_t request_end; /* end of the current HTTP request */
    struct http_transfer *http;
    struct timer timer; /* RUNNING: low speed; WAITING: next attempt */
    int64_t watched;    /* position when the low-speed timer was set */
    int64_t gained;     /* new bytes that this attempt has brought */
    int attempts;       /* failed in a row, without progress */
    int hops;
    uint32_t url_generation;
    int64_t began_ms;    /* monotonic: start of the current HTTP request */
    bool is_renewed;     /* a new URL was requested since the last progress */
    bool is_from_copy;   /* the current request goes to the copy */
    bool is_copy_wanted; /* the media host has failed: the next request goes there */
    bool is_judged;      /* the response head has arrived, `finding` is valid */
    bool is_whole;       /* the response body is the whole file */
    bool is_paused;      /* RUNNING, and held back at `allowed` */
    bool is_busy;        /* in a callback of http; freed when that ends */
    bool is_ended;
    bool is_trimmed;        /* we ended it because its end was moved */
    int result;             /* of the last failure */
    const char *words;      /* libcurl's message for the failure being handled; NULL: none. Lent */
    int64_t retry_after_ms; /* from Retry-After; -1: none */
    struct range_check finding;
    char *location; /* target of the redirects; NULL: use the item's URL */
    struct transfer *next;
    struct transfer *prev;
};

struct media {
    struct media_settings settings;
    int directory_fd;
    struct media_item *table;
    struct media_item *items; /* all, also ended ones */
    struct transfer *transfers;
    int transfer_count;
    int background_count;
    struct retry_bucket retry_bucket;
    uint64_t random_state;
    struct timer plan_timer;
    timer_fn *plan_pass;                        /* of media.c */
    void (*on_unused)(struct media_item *item); /* of media.c: the last reference is gone */
    uint32_t plan_pass_count;
    struct cache_index index;
    struct syncer *syncer; /* NULL: the loop does its work */
    struct spill_pool spill_pool;
    int64_t evict_wanted_bytes; /* to free on the disk, beyond what the limit asks for */
    struct media_counts counts;
    bool is_swept; /* see evict_unmapped() */
    bool is_closing;
};

static inline int64_t media_now_ms(const struct media *media)
{
    return clock_monotonic_ms(loop_clock(media->settings.loop));
}

static inline int64_t media_wall_ms(const struct media *media)
{
    return clock_wall_ms(loop_clock(media->settings.loop));
}

static inline struct timers *media_timers(const struct media *media)
{
    return loop_timers(media->settings.loop);
}

/* Requests a planning pass, soon. */
static inline void media_schedule(struct media *media)
{
    if (!media->is_closing && !timer_is_set(&media->plan_timer))
        timer_set(media_timers(media), &media->plan_timer, 0, media->plan_pass, media);
}

static inline void item_schedule(struct media_item *item)
{
    item->needs_plan = true;
    media_schedule(item->media);
}

static inline struct media_item *media_find(struct media *media, int64_t id, enum media_kind kind)
{
    struct media_item *item = NULL;
    const struct cache_key key = {.id = id, .kind = (int64_t)kind};
    HASH_FIND(hh, media->table, &key, sizeof(key), item);
    return item;
}

static inline void media_item_ref(struct media_item *item)
{
    item->refs++;
}

/* While the collection closes, items stay until the end of media_free(). */
static inline void media_item_unref(struct media_item *item)
{
    if (--item->refs == 0 && !item->media->is_closing)
        item->media->on_unused(item);
}

/* No read waits for the item, and none came for a while. */
static inline bool item_is_idle(const struct media_item *item)
{
    return !item->parked && media_now_ms(item->media) - item->read_ms >= ITEM_IDLE_MS;
}

/* The view that the plan gets, and the transfer behind each of its flights. */
struct item_view {
    struct range_view range;
    struct range_flight flights[MEDIA_TRANSFERS_MAX];
    struct transfer *transfers[MEDIA_TRANSFERS_MAX];
};

/* item.c */
void item_view_make(const struct media_item *item, struct item_view *view);
size_t item_transfer_count(const struct media_item *item);
bool item_has_transfer(const struct media_item *item, enum transfer_purpose purpose);
int item_start(struct media_item *item, enum transfer_purpose purpose, int64_t first, int64_t end,
               int64_t allowed) NODISCARD;
int item_start_probe(struct media_item *item) NODISCARD;
int item_plan_read(struct media_item *item, struct media_read *read) NODISCARD;
void item_plan_ahead(struct media_item *item, struct range_stream *stream);
int item_size_known(struct media_item *item, int64_t size, const char *etag) NODISCARD;
void item_changed(struct media_item *item);
void item_unlist(struct media_item *item); /* another item may use its file names now */
void item_url_refused(struct media_item *item, int result);
bool item_copy_is_usable(const struct media_item *item);
void item_copy_failed(struct media_item *item, int result);
/* Why nothing came, if the URL gave `result`: where there is a copy, the copy's failure. */
int item_loss(const struct media_item *item, int result);
void item_url_received(struct media_item *item, int result);
void item_allow_all(struct media_item *item); /* releases all transfers that are held back */
void item_stop_transfers(struct media_item *item);

/* report.c */
void item_report_record(struct media_item *item);
void item_probe_end(struct media_item *item, int result);
void item_ends_begin(struct media_item *item);
void item_ends_end(struct media_item *item, int result);
void item_fetch_end(struct media_item *item, int result);
void item_background_failed(struct media_item *item, int result);

/* persist.c */
void item_persist(struct media_item *item);       /* waits for the disk */
void item_persist_start(struct media_item *item); /* does not wait */
void item_persist_soon(struct media_item *item);  /* at once when the file is complete */
void item_report_progress(struct media_item *item);

/* damage.c */
/* Examines the disk, again if that failed before. Returns 0, or the error for a read. */
int item_load(struct media_item *item);
/* Compares the bytes before a read gets them. Returns 0, or why they cannot be compared. */
int item_check(struct media_item *item, int64_t first, int64_t end) NODISCARD;
/* Drops the cached bytes of another version, or keeps them if they may be the last copy. */
int item_discard_version(struct media_item *item);
void item_pass_damage(struct media_item *item);
void item_notify_kept(struct media_item *item);

/* background.c */
void item_pass_background(struct media_item *item);

/* reads.c */
bool reads_want(const struct media_item *item, int64_t first, int64_t end);
void reads_wake(struct media_item *item, int64_t first, int64_t end);
void reads_fail(struct media_item *item, int64_t first, int64_t end, int result);
void reads_fail_late(struct media_item *item, int64_t first, int64_t end, int64_t due_ms,
                     int result);
void reads_clip(struct media_item *item);
void reads_plan(struct media_item *item);

/* cache_evict.c */
void evict_size_set(struct media_item *item); /* its cached bytes have changed */
void evict_note_use(struct media_item *item); /* its reader has finished */
void evict_forget(struct media *media, const struct cache_key *key);
void evict_request(struct media *media, int64_t bytes); /* to free; 0: what the limit asks for */
void evict_run(struct media *media);

/* transfer.c */
int transfer_start(struct media_item *item, enum transfer_purpose purpose, int64_t first,
                   int64_t end, int64_t allowed) NODISCARD;
void transfer_allow(struct transfer *transfer, int64_t allowed); /* only raises the limit */
void transfer_end(struct transfer *transfer);
void transfer_url_received(struct transfer *transfer, int result);

#endif
