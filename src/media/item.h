/*
 * What: the inside of the collection: items, their parked reads and their transfers. Shared by
 * the .c files of this layer only.
 *
 *     media.c        the collection: table, life of items, the planning pass
 *     background.c   what is planned for nobody in particular: its ends, its completion
 *     item.c         one file: what is known of it, what is planned for its readers
 *     reads.c        parked reads: waiting, being answered, failing
 *     transfer.c     one range request with its redirects, retries and URL renewals
 *     report.c       what the owner hears, how a probe and a fetch end
 *     damage.c       what is on its disk: looked at, again after an error, and proven wrong
 *     persist.c      when its bytes become durable
 *     cache_evict.c  how much the cache directory holds
 *     syncer.c       the process that waits for the disk
 *
 * Each uses those below it only, but for item.c, reads.c and transfer.c, which are one machine: a
 * read starts transfers, their bytes answer reads, and the item plans for both.
 *
 * References: handles, parked reads, a probe, a fetch, the fetching of the ends and damage that was
 * not told yet hold one each; a callback holds one for as long as it works on the item. At none the
 * item retires (media_item_unref).
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
    MEDIA_RETRIES_MAX = 20,    /* the common purse, see base/backoff.h */
    MEDIA_BACKGROUND_MAX = 2,
    MEDIA_BACKGROUND_BELOW = 16, /* none is started while more transfers than this run */
    ITEM_AHEAD_MAX = 3,          /* a slot stays free for somebody who waits */
    ITEM_IDLE_MS = 30 * 1000,    /* without a read for so long, nothing is fetched ahead */
    ITEM_COMPLETED_FROM_BYTES = 1024 * 1024, /* read in one go: more than a look at the header */
    ITEM_REQUESTS_FREE = 14, /* of a clip; then few are left. 24 at the most are promised */
    ITEM_PERSIST_MS = 1000,
    ITEM_PERSIST_BYTES = 8 * 1024 * 1024,
    ITEM_PERSIST_AGAIN_MS = 30 * 1000, /* after it has failed */
    ITEM_REFUSED_MS = 1000, /* after a refused URL could not be renewed, nobody is asked */
};

enum read_queue { READ_IDLE, READ_PARKED, READ_READY };

struct media_item {
    struct media *media;
    struct cache_key key;
    int refs;
    bool is_listed; /* in the table; not when removed or ended */
    int end_result; /* every read gets this; 0 while the item lives */
    int64_t size;   /* -1: not known */
    char *etag;     /* never NULL */
    char *url;      /* NULL: not known */
    int64_t url_expires_ms;
    uint32_t url_generation;
    /* Renewal under way: wanted, asked for, or received and not yet acted upon. */
    bool is_url_asked;
    bool is_url_wanted;   /* request_url is to be called in the next planning pass */
    bool is_url_received; /* with url_result; transfers go on in the next planning pass */
    int url_result;
    bool is_probing; /* these three hold a reference each */
    bool is_fetching;
    bool is_fetching_ends;
    bool is_completing;            /* somebody reads it, and the rest of it is fetched meanwhile */
    int64_t read_ms;               /* monotonic: when it was read last */
    bool is_whole_only;            /* the server ignores Range */
    bool is_starved;               /* somebody waits for a free slot */
    bool is_syncing;               /* the syncer is at work for it; holds a reference */
    bool is_damage_unreported;     /* to be told in the next planning pass; holds a reference */
    int64_t damage_reported_bytes; /* of cache.damaged */
    char kept[CACHE_NAME_SIZE];    /* what was kept under this name, untold; "": nothing */
    bool has_persist_failed;
    bool needs_plan;
    bool needs_record; /* the size became known: on_record and the clipping of reads are owed */
    uint32_t planned_pass;
    int64_t refused_until_ms;
    int refused_result;
    int64_t reported_bytes; /* last on_progress */
    int64_t requests;       /* GETs that it has cost, also in earlier lives, as far as is known */
    struct cache_file cache;
    struct range_plan plan;
    struct media_read *parked;
    struct media_read *ready;
    struct timer timer; /* persists; an item that nobody refers to is freed then */
    struct media_item *next;
    struct media_item *prev;
    UT_hash_handle hh;
};

enum transfer_state {
    TRANSFER_RUNNING, /* http is at work */
    TRANSFER_WAITING, /* for its next attempt */
    TRANSFER_HELD,    /* for a new URL */
};

/* A probe is the first range of a file whose size is not known; once it is, the probe is a transfer
 * like any other. BACKGROUND completes the file: for a fetch, or for those who read it. */
enum transfer_purpose { TRANSFER_PROBE, TRANSFER_READ, TRANSFER_ENDS, TRANSFER_BACKGROUND };

struct transfer {
    struct media_item *item;
    enum transfer_purpose purpose;
    enum transfer_state state;
    int64_t position; /* everything before it has arrived */
    int64_t end;      /* wanted up to here; moves to the front when another transfer takes over */
    int64_t allowed;  /* held back when it has come so far, INT64_MAX: never */
    int64_t request_end; /* end of the HTTP request under way */
    struct http_transfer *http;
    struct timer timer; /* RUNNING: low speed; WAITING: next attempt */
    int64_t watched;    /* position when the low-speed timer was set */
    int64_t gained;     /* bytes this attempt brought that were not there before */
    int attempts;       /* failed ones without progress */
    int hops;
    uint32_t url_generation;
    int64_t began_ms; /* monotonic: the HTTP request under way */
    bool is_renewed;  /* the URL was asked for again since the last progress */
    bool is_judged;   /* the head of the response came, `finding` is valid */
    bool is_whole;    /* the response is the whole file */
    bool is_paused;   /* it has come as far as it is allowed; RUNNING */
    bool is_busy;     /* in a callback of http; freed at its end */
    bool is_ended;
    bool is_trimmed;   /* ended by us because its end was moved */
    int result;        /* of the last failure */
    const char *words; /* libcurl's, of the failure that is being dealt with; NULL: none. Lent */
    int64_t retry_after_ms; /* Retry-After, -1 */
    struct range_check finding;
    char *location; /* where redirects led; NULL: the item's URL */
    struct transfer *next;
    struct transfer *prev;
};

struct media {
    struct media_settings settings;
    int directory_fd;
    struct media_item *table;
    struct media_item *items; /* all, ended ones too */
    struct transfer *transfers;
    int transfer_count;
    int background_count;
    struct retry_bucket retry_bucket;
    uint64_t random_state;
    struct timer plan_timer;
    timer_fn *plan_pass;                        /* of media.c */
    void (*on_unused)(struct media_item *item); /* of media.c: nobody refers to it any more */
    uint32_t plan_pass_count;
    struct cache_index index;
    struct syncer *syncer; /* NULL: what it does is done in the loop */
    struct spill_pool spill_pool;
    int64_t evict_wanted_bytes; /* on the disk, beyond what the limit wants */
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

/* Asks for a planning pass, soon. */
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

/* Nobody waits for it, and nobody has read it for a while. */
static inline bool item_is_idle(const struct media_item *item)
{
    return !item->parked && media_now_ms(item->media) - item->read_ms >= ITEM_IDLE_MS;
}

/* What the plan looks at, and which transfers its flights are. */
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
void item_unlist(struct media_item *item); /* its names may be used by another item now */
void item_url_refused(struct media_item *item, int result);
void item_url_received(struct media_item *item, int result);
void item_allow_all(struct media_item *item); /* nothing of it is held back any more */
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
void item_persist_start(struct media_item *item); /* does not */
void item_persist_soon(struct media_item *item);  /* at once when the last byte has come */
void item_report_progress(struct media_item *item);

/* damage.c */
/* Looks at what is on the disk; again when that was not possible. 0, or what a read fails with. */
int item_load(struct media_item *item);
/* What a read that is answered from the disk has to know: 0, or why its bytes cannot be compared.
 * */
int item_check(struct media_item *item, int64_t first, int64_t end) NODISCARD;
/* Drops the cached bytes of another version, or keeps them where they may be the last copy. */
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
void evict_size_set(struct media_item *item); /* its cached bytes did */
void evict_note_use(struct media_item *item); /* its reader is done with it */
void evict_forget(struct media *media, const struct cache_key *key);
void evict_request(struct media *media, int64_t bytes); /* 0: what the limit wants, else so much */
void evict_run(struct media *media);

/* transfer.c */
int transfer_start(struct media_item *item, enum transfer_purpose purpose, int64_t first,
                   int64_t end, int64_t allowed) NODISCARD;
void transfer_allow(struct transfer *transfer, int64_t allowed); /* never less than before */
void transfer_end(struct transfer *transfer);
void transfer_url_received(struct transfer *transfer, int result);

#endif
