/*
 * What: decides which ranges to request, so that readers get their bytes soon and little is fetched
 * in vain. Pure: a view shows it the file, its cached bytes and the transfers in flight.
 * Lifetime: `struct range_plan` remembers one file's sequential readers; a zeroed one is new.
 */
#ifndef SRC_MEDIA_RANGE_PLAN_H
#define SRC_MEDIA_RANGE_PLAN_H

#include "media/intervals.h"

enum {
    RANGE_STREAMS = 4,
    RANGE_ALIGN_BYTES = 64 * 1024,
    RANGE_WINDOW_FIRST_BYTES = 256 * 1024,
    RANGE_LOOK_BYTES = 512 * 1024, /* a reader that requests no more only looks at the head */
    RANGE_WINDOW_MAX_BYTES = 16 * 1024 * 1024,
    RANGE_AHEAD_BYTES = 8 * 1024 * 1024, /* no window starts farther ahead of its reader */
    RANGE_JOIN_BYTES = 1024 * 1024,      /* wait for a transfer that is this far away */
    RANGE_JOIN_SEQUENTIAL_BYTES = 4 * 1024 * 1024, /* the same for the stream's own reader */
    RANGE_SKIP_BYTES = 512 * 1024,                 /* a read this far ahead belongs to the stream */
    RANGE_BACK_BYTES = 1024 * 1024, /* or this far behind: readahead comes out of order */
    /* the rest is held back this far ahead of its reader, once that does more than look */
    RANGE_HOLD_BYTES = 1024 * 1024,
    RANGE_CLIP_BYTES_MAX = 64 * 1024 * 1024, /* the rest of such a file comes in one request */
    RANGE_BACKGROUND_BYTES = RANGE_CLIP_BYTES_MAX,
    RANGE_SPAN_BYTES = 1024 * 1024, /* fetched twice rather than with a request on each side */
    RANGE_SPARING_PARTS = 8,        /* the same for 1/8 of the file, when few requests are left */
    /* players look at this much of the head and of the tail first */
    RANGE_END_BYTES = 256 * 1024,
};

/* One sequential reader, recognised by its position: the plan does not know handles. */
struct range_stream {
    int64_t next;     /* end of the furthest requested byte */
    int64_t consumed; /* bytes requested, without skips */
    int64_t window;   /* size of the last window */
    uint64_t used;    /* 0: free */
    bool is_copy;     /* it started at byte 0, and there was no other stream */
};

struct range_plan {
    struct range_stream streams[RANGE_STREAMS];
    uint64_t ticks;
};

/* The bytes that a transfer still has to bring: [position, end). */
struct range_flight {
    int64_t position;
    int64_t end;
};

struct range_view {
    int64_t size;       /* of the file, > 0 */
    int64_t window_max; /* RANGE_WINDOW_MAX_BYTES, or less when the bytes go to memory */
    const struct intervals *cached;
    const struct intervals *cached_too; /* NULL, or bytes cached in a second place */
    const struct range_flight *flights;
    size_t flight_count;
    bool is_whole_only; /* the server always sends the whole file: one transfer serves all reads */
    bool is_clip;       /* fetched bytes are kept, and the rest may come in one request */
    bool is_sparing; /* few requests are left: no windows, and flights are joined at any distance */
    bool is_far_spared; /* nor may a request begin in the middle of a gap */
};

enum range_action {
    RANGE_DONE,  /* all bytes are there */
    RANGE_JOIN,  /* wait for flight `flight` */
    RANGE_START, /* start [first, end) */
};

struct range_step {
    enum range_action action;
    size_t flight;
    int64_t first;
    int64_t end;
    /* JOIN, START: the flight may run to this position, or beyond it, for the reader */
    int64_t allowed;
};

/* Records a read of [offset, end) and lends the stream that it belongs to. */
struct range_stream *range_plan_read(struct range_plan *plan, int64_t offset, int64_t end);

/* The stream that a read at `offset` would belong to, else the last one used. Used to plan again
 * for a read that is already recorded. */
struct range_stream *range_plan_find(struct range_plan *plan, int64_t offset);

/* The next step for the bytes [position, end) of a read. After JOIN and START,
 * continue at step.end. */
struct range_step range_plan_step(const struct range_view *view, struct range_stream *stream,
                                  int64_t position, int64_t end);

/* The step for a stream before its reader needs it: start its next window, or release a flight. */
struct range_step range_plan_ahead(const struct range_view *view, struct range_stream *stream);

/* The next missing range of the file's two ends; false when every byte is cached or in flight. */
bool range_plan_ends(const struct range_view *view, struct interval *out);

/* The next missing range for completing the file in the background; false when every byte is cached
 * or in flight. */
bool range_plan_background(const struct range_view *view, struct interval *out);

/* The first byte at or after `position` that is not cached; at most `end`. */
int64_t range_view_missing(const struct range_view *view, int64_t position, int64_t end);

#endif
