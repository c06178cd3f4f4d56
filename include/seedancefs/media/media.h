/*
 * What: remote media (a job's video and cover image) as bytes that can be read anywhere at any
 * time. Bytes come from a sparse cache file, or from range requests that many readers share. A read
 * that has to wait is parked; no thread waits.
 * Lifetime: `struct media` is the collection, one per program, created after loop and http and
 * freed before them. `struct media_item` is one file of it, with counted references, found or made
 * by media_item_open(). A parked read, a probe, a fetch and the fetching of the ends each hold a
 * reference of their own, so that an item may be closed at any time. Without references an item
 * stops its transfers, writes its map and is freed, at the latest a second later. Hooks and read
 * callbacks are called from the loop and from within the functions below; they may call any
 * function of this header except media_free().
 * Errors: -errno or codes of base/err: MEDIA_RESPONSE, MEDIA_STATUS, MEDIA_CHANGED, MEDIA_EXPIRED,
 * MEDIA_GONE, HTTP_*, URL_REFUSED; of a copy OBJECT_REFUSED, OBJECT_STATUS, OBJECT_DIFFERS. Every parked read is answered once, by its deadline, unless it
 * is cancelled.
 */
#ifndef SEEDANCEFS_MEDIA_MEDIA_H
#define SEEDANCEFS_MEDIA_MEDIA_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/timer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct http;
struct loop;
struct media;
struct media_item;

enum media_kind { MEDIA_VIDEO, MEDIA_COVER };

enum { MEDIA_READ_DEADLINE_MS = 60 * 1000 };

/* Larger files are refused: 64 GiB, more than any clip of 15 s. */
#define MEDIA_SIZE_MAX (INT64_C(64) << 30)

/* What the owner knows of one file and keeps in its database. Texts are lent. */
struct media_record {
    int64_t id; /* of the attempt; names the cache files */
    enum media_kind kind;
    const char *url;        /* NULL or "": not known, request_url is called when it is needed */
    int64_t url_expires_ms; /* wall time; -1: not known */
    int64_t size;           /* -1 until probed */
    const char *etag;       /* NULL or "": none */
    bool has_copy;          /* all bytes are also at the address that copy_url gives */
};

/* Bytes on the disk that cannot be used. None of them was deleted. */
struct media_damage {
    int64_t id;
    enum media_kind kind;
    const char *kept; /* all of them, under this name in the cache directory; NULL: these: */
    int64_t offset;   /* the first one */
    int64_t bytes;
};

/* Any hook but request_url and on_record may be NULL. */
struct media_hooks {
    void *context;

    /* The URL is missing, expired or refused: ask the service once, then call media_url_set() or
     * media_url_failed(), now or later. Not called again before that. */
    void (*request_url)(void *context, int64_t id, enum media_kind kind);

    /* Appends the address of the copy, good for a while. NULL: there are no copies. Must not change
     * the collection. */
    int (*copy_url)(void *context, int64_t id, enum media_kind kind, struct buf *out);

    /* Size and ETag became known (size >= 0), or the file changed on the server (size -1, no
     * ETag: the cached bytes are deleted, and items that are open now return MEDIA_CHANGED for
     * ever; close them, open them again and probe). The caller stores the record. */
    void (*on_record)(void *context, const struct media_record *record);

    /* That many bytes are now on disk, durably; equal to the size when the file is complete, 0 when
     * it was evicted. */
    void (*on_progress)(void *context, int64_t id, enum media_kind kind, int64_t cached_bytes);

    /* Whether the cached bytes of a file that is not open may be evicted. NULL: none may. Must not
     * change the collection. */
    bool (*is_evictable)(void *context, int64_t id, enum media_kind kind);

    /* Whether it is known that the file can be fetched again. NULL: it is not. Must not change the
     * collection. */
    bool (*is_refetchable)(void *context, int64_t id, enum media_kind kind);

    /* Cached bytes are proven wrong, and may not be available again. */
    void (*on_damage)(void *context, const struct media_damage *damage);

    /* media_item_probe() or media_item_fetch() gave up; ask again later. */
    void (*on_probe_failed)(void *context, int64_t id, enum media_kind kind, int result);
    void (*on_fetch_failed)(void *context, int64_t id, enum media_kind kind, int result);
};

struct media_settings {
    struct loop *loop; /* lent, as is http */
    struct http *http;
    int directory_fd;         /* of the cache files; lent */
    bool is_loopback_allowed; /* of the service's URL: media may then be http and private, too */
    int64_t read_deadline_ms; /* 0: MEDIA_READ_DEADLINE_MS */
    int64_t cache_bytes_max;  /* what was read longest ago is evicted beyond; 0: no limit */
    struct media_hooks hooks;
};

int media_new(const struct media_settings *settings, struct media **out) NODISCARD;

/* Answers parked reads with -ENOTCONN, stops transfers, writes the maps. Items that are still open
 * are freed with it. Accepts NULL, returns NULL. */
struct media *media_free(struct media *media);

/* Sums since the collection was made; the last two are the present values. */
struct media_counts {
    int64_t fetched_bytes; /* from the media host, the bodies of its responses */
    int64_t served_bytes;  /* to readers */
    int64_t requests;      /* GETs that were begun, redirects and further attempts among them */
    int64_t reads_failed;
    int64_t transfers_active;
    int64_t cache_bytes;
};
void media_counts_get(const struct media *media, struct media_counts *out);

/* Deletes the cache files. Open handles continue to read what they have and can fetch. */
void media_remove(struct media *media, int64_t id, enum media_kind kind);

/* The user has removed the job of a file that is wholly on disk: it is evicted before all others. A
 * damaged version that was put aside is deleted. */
void media_release(struct media *media, int64_t id, enum media_kind kind);

/* The results of request_url. `url` is copied. Nothing happens when the item is not open. */
void media_url_set(struct media *media, int64_t id, enum media_kind kind, const char *url,
                   int64_t url_expires_ms);
void media_url_failed(struct media *media, int64_t id, enum media_kind kind, int result);

/* From now on the file has a copy (see struct media_record). While it is read, another version at its
 * URL changes nothing any more. Nothing happens when the item is not open. */
void media_copy_made(struct media *media, int64_t id, enum media_kind kind);

/* Finds or makes the item and takes a reference. If the item is open already, only the URL of
 * `record` is used. -ENOMEM, or -EINVAL for an impossible size. A cache directory that cannot be
 * written to is not an error: the item then works without a cache. While cached bytes cannot be
 * checked, reads fail with -EMFILE, -ENFILE or -EIO; each open and read tries again. */
int media_item_open(struct media *media, const struct media_record *record,
                    struct media_item **out) NODISCARD;

/* Gives the reference back. Accepts NULL, returns NULL. */
struct media_item *media_item_close(struct media_item *item);

/* Finds out the size by requesting the first 256 KiB (a signed URL refuses HEAD), and then fetches
 * both ends of the file. Calls on_record as soon as the size is known, also when it was known
 * before, or on_probe_failed. */
int media_item_probe(struct media_item *item) NODISCARD;

/* Completes the file at low priority. Calls on_progress with the full size, or on_fetch_failed. */
int media_item_fetch(struct media_item *item) NODISCARD;

/* Deletes the cached bytes. -EBUSY while a reader waits or a transfer runs. The caller has to know
 * that they can be fetched again. */
int media_item_evict(struct media_item *item) NODISCARD;

int64_t media_item_size(const struct media_item *item);         /* -1: not known */
int64_t media_item_cached_bytes(const struct media_item *item); /* -1: cannot be known now */
bool media_item_is_durable(
    const struct media_item *item); /* complete, on disk, and so written down */
bool media_item_is_complete(const struct media_item *item);

/* Where the bytes of an answered read are, valid until its fn returns. */
struct media_bytes {
    int fd; /* >= 0: in this file at `offset`, to be spliced */
    int64_t offset;
    const void *memory; /* fd < 0: here (the cache disk is full or broken) */
    size_t len;
};

/* `result` is the number of bytes (0 at or after the end of the file) or a negative code; `bytes`
 * is NULL unless result > 0. The function may free the read or start it again. */
typedef void media_read_fn(void *context, int result, const struct media_bytes *bytes);

/* A member of its owner. Fill in the first part, zero the rest. */
struct media_read {
    int64_t offset;
    size_t size;
    media_read_fn *fn;
    void *context;

    /* private */
    struct media_item *item; /* NULL while not started */
    struct timer timer;
    int64_t due_ms;
    int result;
    int queue;
    struct media_read *next;
    struct media_read *prev;
};

/* Calls fn exactly once: at once when the bytes are cached (or an error is known already),
 * otherwise later. A read is shorter than asked for only at the end of the file. */
void media_read_start(struct media_item *item, struct media_read *read);

/* Ends the read without calling fn. Nothing happens when it is not under way. */
void media_read_cancel(struct media_read *read);

#endif
