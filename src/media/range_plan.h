/*
 * What: which ranges to ask for, so that readers get their bytes soon and little is fetched in
 * vain. Pure: the file, its cached bytes and the transfers in flight are shown to it by a view.
 * Lifetime: `struct range_plan` is the memory of one file's sequential readers; a zeroed one is
 * new.
 */
#ifndef SRC_MEDIA_RANGE_PLAN_H
#define SRC_MEDIA_RANGE_PLAN_H

#include "media/intervals.h"

enum {
    RANGE_STREAMS = 4,
    RANGE_ALIGN_BYTES = 64 * 1024,
    RANGE_WINDOW_FIRST_BYTES = 256 * 1024,
    RANGE_LOOK_BYTES = 512 * 1024, /* who asks for no more only looks at the beginning */
    RANGE_WINDOW_MAX_BYTES = 16 * 1024 * 1024,
    RANGE_AHEAD_BYTES = 8 * 1024 * 1024,           /* of a reader, no window is started beyond */
    RANGE_JOIN_BYTES = 1024 * 1024,                /* wait for a transfer that is this far away */
    RANGE_JOIN_SEQUENTIAL_BYTES = 4 * 1024 * 1024, /* the same for the stream it was started for */
    RANGE_SKIP_BYTES = 512 * 1024,  /* a read this far ahead still belongs to the stream */
    RANGE_BACK_BYTES = 1024 * 1024, /* or this far behind: readahead comes out of order */
    RANGE_HOLD_BYTES = 1024 * 1024, /* ahead of a reader of the rest, once it does more than look */
    RANGE_CLIP_BYTES_MAX = 64 * 1024 * 1024, /* of such a file the rest comes in one request */
    RANGE_BACKGROUND_BYTES = RANGE_CLIP_BYTES_MAX,
    RANGE_SPAN_BYTES = 1024 * 1024, /* fetched once more rather than asking for both sides of it */
    RANGE_SPARING_PARTS = 8, /* the same for such a part of the file, when requests are few */
    RANGE_END_BYTES =
        256 * 1024, /* what players look at first: so much of the head and of the tail */
};

/* One sequential reader, recognised by its position: handles are not told apart. */
struct range_stream {
    int64_t next;     /* after the furthest byte asked for */
    int64_t consumed; /* bytes asked for, skips not counted */
    int64_t window;   /* size of the last window */
    uint64_t used;    /* 0: free */
    bool is_copy;     /* it began with the first byte, and there has been no other */
};

struct range_plan {
    struct range_stream streams[RANGE_STREAMS];
    uint64_t ticks;
};

/* What a transfer has still to bring: [position, end). */
struct range_flight {
    int64_t position;
    int64_t end;
};

struct range_view {
    int64_t size;       /* of the file, > 0 */
    int64_t window_max; /* RANGE_WINDOW_MAX_BYTES, or less when memory holds the bytes */
    const struct intervals *cached;
    const struct intervals *cached_too; /* NULL or a second place */
    const struct range_flight *flights;
    size_t flight_count;
    bool is_whole_only; /* the server sends everything from byte 0: one transfer serves all */
    bool is_clip;       /* what is fetched is kept, and the rest may come in one request */
    bool is_sparing;    /* few requests are left: no windows, and flights are joined however far */
    bool is_far_spared; /* nor does one begin in the middle of what is missing */
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
    int64_t allowed; /* JOIN, START: the flight may run up to there for this reader, or beyond it */
};

/* Takes note of a read of [offset, end) and lends the stream it belongs to. */
struct range_stream *range_plan_read(struct range_plan *plan, int64_t offset, int64_t end);

/* The stream that a read at `offset` would belong to, the last one used if there is none. For
 * planning again what was noted before. */
struct range_stream *range_plan_find(struct range_plan *plan, int64_t offset);

/* The next thing to do for the bytes [position, end) of a read. After JOIN and START go on at
 * step.end. */
struct range_step range_plan_step(const struct range_view *view, struct range_stream *stream,
                                  int64_t position, int64_t end);

/* What should be done for the stream now, before the reader needs it: its next window started, or
 * a flight let go on. */
struct range_step range_plan_ahead(const struct range_view *view, struct range_stream *stream);

/* The next range of the file's two ends; false when nothing of them is missing that is not in
 * flight. */
bool range_plan_ends(const struct range_view *view, struct interval *out);

/* The next range for completing the file in the background; false when nothing is missing that is
 * not in flight. */
bool range_plan_background(const struct range_view *view, struct interval *out);

/* The first byte at or after `position` that is not cached; at most `end`. */
int64_t range_view_missing(const struct range_view *view, int64_t position, int64_t end);

#endif
