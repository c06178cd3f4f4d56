/*
 * The plan. A reader's first request is small (256 KiB, rounded up to whole blocks). Most programs
 * only look at a header; a thumbnailer decodes one frame, which takes some 300 KiB. So windows stay
 * small until a reader has requested 512 KiB. Then they quadruple up to 16 MiB. The next window
 * starts when less than a window (or 8 MiB) lies ahead of the reader, so that a copy of a clip
 * waits for two round trips in all: 10 MiB from 50 ms away take 1.7 times as long as with curl;
 * windows that double take 3.7 times as long (`make bench`). No window starts ahead before the
 * stream has requested more than half of a first window.
 *
 * Each GET may count against a signed URL, so the rest of a clip (up to 64 MiB) comes in one
 * request. A reader that starts at byte 0, reads in order and is alone is copying the file; it gets
 * the rest as soon as it has read the head. Other readers (a player or thumbnailer first looks for
 * the index at the tail, then decodes) get a window, then one of 512 KiB, then the rest: before a
 * paused host stops, the buffers of two systems may take megabytes, too much for a thumbnail. The
 * transfer of the rest is held back a little ahead of its reader (256 KiB, then 1 MiB) until the
 * reader has come so far that the clip is completed anyway (background.c). This transfer runs
 * through cached bytes of up to 1 MiB and drops them. A window for a distant reader lies within it
 * and does not cut it off.
 *
 * When few requests are left (is_sparing) there are no windows. The missing bytes around the reader
 * come in one piece, which ends at the next eighth of the file that is cached or in flight. The
 * first of these pieces may begin at the reader, so that it need not wait for the bytes before.
 * Later ones begin where the missing bytes begin. So at most nine requests follow.
 *
 * A reader waits for a transfer that will soon pass its position: one at most 1 MiB away (4 MiB for
 * the stream's own reader, whose readahead may be long). A read farther away, like the index at the
 * tail of an mp4 file, is a request of its own. A transfer that would reach it later is cut off
 * there; the transfer at the head goes on.
 *
 * When a video is finished, its first and last 256 KiB are fetched. A player, ffprobe or a
 * thumbnailer looks at the head and at the index, which services write at the tail of an mp4 file.
 * The head comes with the response that tells the size.
 *
 * No range requests a byte that is cached or in flight; it ends where the next such byte begins.
 * Left out: merging requests over small cached gaps. Gaps come from seeks, and are rare.
 */
#include "media/range_plan.h"

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/number.h"

#include <stddef.h>

static int64_t align_up(int64_t position)
{
    return (position + RANGE_ALIGN_BYTES - 1) / RANGE_ALIGN_BYTES * RANGE_ALIGN_BYTES;
}

static bool stream_fits(const struct range_stream *stream, int64_t offset)
{
    return stream->used && offset >= stream->next - RANGE_BACK_BYTES &&
           offset <= stream->next + RANGE_SKIP_BYTES;
}

static int64_t stream_distance(const struct range_stream *stream, int64_t offset)
{
    return offset > stream->next ? offset - stream->next : stream->next - offset;
}

static struct range_stream *stream_find(struct range_plan *plan, int64_t offset)
{
    struct range_stream *found = NULL;
    for (size_t i = 0; i < RANGE_STREAMS; i++) {
        struct range_stream *stream = &plan->streams[i];
        if (stream_fits(stream, offset) &&
            (!found || stream_distance(stream, offset) < stream_distance(found, offset)))
            found = stream;
    }
    return found;
}

struct range_stream *range_plan_read(struct range_plan *plan, int64_t offset, int64_t end)
{
    struct range_stream *stream = stream_find(plan, offset);
    if (!stream) {
        stream = &plan->streams[0];
        for (size_t i = 0; i < RANGE_STREAMS; i++) {
            plan->streams[i].is_copy = false;
            if (plan->streams[i].used < stream->used)
                stream = &plan->streams[i];
        }
        *stream = (struct range_stream){.next = offset,
                                        .window = RANGE_WINDOW_FIRST_BYTES,
                                        .is_copy = offset == 0 && plan->ticks == 0};
    }
    if (end > stream->next) {
        stream->consumed += end - max_int64(offset, stream->next);
        stream->next = end;
    }
    stream->used = ++plan->ticks;
    return stream;
}

struct range_stream *range_plan_find(struct range_plan *plan, int64_t offset)
{
    struct range_stream *stream = stream_find(plan, offset);
    if (!stream) {
        stream = &plan->streams[0];
        for (size_t i = 1; i < RANGE_STREAMS; i++)
            if (plan->streams[i].used > stream->used)
                stream = &plan->streams[i];
    }
    return stream;
}

static int64_t cached_run_end(const struct range_view *view, int64_t position)
{
    int64_t end = intervals_run_end(view->cached, position);
    if (view->cached_too)
        end = max_int64(end, intervals_run_end(view->cached_too, position));
    return end;
}

static int64_t cached_next(const struct range_view *view, int64_t position)
{
    int64_t next = intervals_next(view->cached, position);
    if (view->cached_too)
        next = min_int64(next, intervals_next(view->cached_too, position));
    return next;
}

int64_t range_view_missing(const struct range_view *view, int64_t position, int64_t end)
{
    while (position < end) {
        int64_t run_end = cached_run_end(view, position);
        if (run_end == position)
            return position;
        position = run_end;
    }
    return end;
}

/* The flight that brings `position`, the nearest if several do; flight_count if none does. */
static size_t flight_find(const struct range_view *view, int64_t position)
{
    size_t found = view->flight_count;
    for (size_t i = 0; i < view->flight_count; i++) {
        const struct range_flight *flight = &view->flights[i];
        if (flight->position <= position && position < flight->end &&
            (found == view->flight_count || flight->position > view->flights[found].position))
            found = i;
    }
    return found;
}

/* Where a range from `first` that should reach `end` has to stop. */
static int64_t range_stop(const struct range_view *view, int64_t first, int64_t end)
{
    end = min_int64(min_int64(end, view->size), cached_next(view, first));
    for (size_t i = 0; i < view->flight_count; i++)
        if (view->flights[i].position > first)
            end = min_int64(end, view->flights[i].position);
    return end;
}

static struct range_step step_start(int64_t first, int64_t end)
{
    return (struct range_step){.action = RANGE_START, .first = first, .end = end, .allowed = end};
}

/* The stream has read so much that it is not only looking around: it may have the rest. */
static bool stream_wants_rest(const struct range_view *view, const struct range_stream *stream)
{
    int64_t look = stream->is_copy ? RANGE_WINDOW_FIRST_BYTES / 2 : RANGE_LOOK_BYTES;
    return view->is_clip && stream->consumed > look;
}

static int64_t stream_window(const struct range_view *view, const struct range_stream *stream)
{
    bool is_second = view->is_clip && stream->consumed > RANGE_WINDOW_FIRST_BYTES / 2;
    return is_second ? max_int64(stream->window, RANGE_LOOK_BYTES) : stream->window;
}

/* How far a transfer of the rest may run for this stream. */
static int64_t stream_allows(const struct range_stream *stream, int64_t end)
{
    int64_t ahead =
        stream->consumed > RANGE_LOOK_BYTES ? RANGE_HOLD_BYTES : RANGE_WINDOW_FIRST_BYTES;
    return max_int64(end, stream->next + ahead);
}

static void stream_grow(const struct range_view *view, struct range_stream *stream)
{
    stream->window =
        min_int64(stream->window * 4, max_int64(view->window_max, RANGE_WINDOW_FIRST_BYTES));
}

/* The end of the bytes that are cached or in flight from `position` on. A flight counts only if it
 * is at most `reach` bytes away. */
static int64_t frontier_within(const struct range_view *view, int64_t position, int64_t reach)
{
    for (;;) {
        int64_t end = range_view_missing(view, position, view->size);
        size_t i = flight_find(view, end);
        if (end >= view->size || i == view->flight_count || end - view->flights[i].position > reach)
            return end;
        position = view->flights[i].end;
    }
}

static int64_t frontier(const struct range_view *view, int64_t position)
{
    return frontier_within(view, position, INT64_MAX);
}

/* The next byte after `first` that is cached or in flight; at most the size. */
static int64_t obstacle_next(const struct range_view *view, int64_t first)
{
    return range_stop(view, first, view->size);
}

static int64_t view_span(const struct range_view *view)
{
    return max_int64(RANGE_SPAN_BYTES, view->is_sparing ? view->size / RANGE_SPARING_PARTS : 0);
}

/* The end of a request for the rest from `first` on. It runs through short stretches that are
 * cached or in flight, but does not end with one. */
static int64_t rest_end(const struct range_view *view, int64_t first)
{
    int64_t span = view_span(view);
    int64_t end = obstacle_next(view, first);
    while (end < view->size) {
        int64_t behind = frontier(view, end);
        if (behind - end >= span || behind >= view->size)
            return end;
        end = obstacle_next(view, behind);
    }
    return end;
}

/* Requests the missing bytes around `position`, with few requests in all. */
static struct range_step step_sparing(const struct range_view *view, int64_t position)
{
    int64_t first = frontier(view, 0);
    int64_t end = rest_end(view, first);
    while (end <= position) {
        first = frontier(view, end);
        end = rest_end(view, first);
    }
    if (!view->is_far_spared && position - first > RANGE_JOIN_BYTES)
        first = position;
    return step_start(first, end);
}

static struct range_step step_join(const struct range_view *view, const struct range_stream *stream,
                                   size_t flight, int64_t first, int64_t end)
{
    return (struct range_step){.action = RANGE_JOIN,
                               .flight = flight,
                               .first = first,
                               .end = min_int64(end, view->flights[flight].end),
                               .allowed = stream_allows(stream, end)};
}

struct range_step range_plan_step(const struct range_view *view, struct range_stream *stream,
                                  int64_t position, int64_t end)
{
    int64_t missing = range_view_missing(view, position, end);
    if (missing >= end)
        return (struct range_step){.action = RANGE_DONE, .first = end, .end = end};
    size_t i = flight_find(view, missing);
    if (i < view->flight_count) {
        bool is_own = stream->consumed > RANGE_WINDOW_FIRST_BYTES;
        int64_t reach = is_own ? RANGE_JOIN_SEQUENTIAL_BYTES : RANGE_JOIN_BYTES;
        if (view->is_whole_only || view->is_sparing || missing - view->flights[i].position <= reach)
            return step_join(view, stream, i, missing, end);
    }
    if (view->is_sparing)
        return step_sparing(view, missing);
    struct range_step step;
    if (stream_wants_rest(view, stream)) {
        step = step_start(missing, rest_end(view, missing));
        step.allowed = stream_allows(stream, end);
        return step;
    }
    if (stream->consumed > stream->window)
        stream_grow(view, stream);
    int64_t wish = align_up(max_int64(missing + stream_window(view, stream), end));
    return step_start(missing, range_stop(view, missing, wish));
}

struct range_step range_plan_ahead(const struct range_view *view, struct range_stream *stream)
{
    struct range_step step = {.action = RANGE_DONE};
    if (stream->consumed <= RANGE_WINDOW_FIRST_BYTES / 2)
        return step;
    int64_t first = frontier_within(view, stream->next, RANGE_JOIN_SEQUENTIAL_BYTES);
    if (first >= view->size ||
        first - stream->next >= min_int64(stream->window, RANGE_AHEAD_BYTES)) {
        int64_t missing = range_view_missing(view, stream->next, view->size);
        size_t i = flight_find(view, missing);
        if (i < view->flight_count && missing - view->flights[i].position <= RANGE_JOIN_BYTES)
            step = step_join(view, stream, i, missing, stream->next);
        return step;
    }
    if (view->is_sparing)
        return step;
    if (stream_wants_rest(view, stream)) {
        step = step_start(first, rest_end(view, first));
        step.allowed = stream_allows(stream, first);
        return step;
    }
    if (stream->consumed > max_int64(stream->window, RANGE_LOOK_BYTES))
        stream_grow(view, stream);
    int64_t wish = align_up(first + stream_window(view, stream));
    return step_start(first, range_stop(view, first, wish));
}

bool range_plan_ends(const struct range_view *view, struct interval *out)
{
    int64_t tail =
        max_int64(view->size - RANGE_END_BYTES, 0) / RANGE_ALIGN_BYTES * RANGE_ALIGN_BYTES;
    const struct interval ends[] = {{0, min_int64(RANGE_END_BYTES, view->size)},
                                    {tail, view->size}};
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        int64_t first = frontier(view, ends[i].first);
        if (first >= ends[i].end)
            continue;
        out->first = first;
        out->end = range_stop(view, first, ends[i].end);
        return true;
    }
    return false;
}

bool range_plan_background(const struct range_view *view, struct interval *out)
{
    int64_t first = frontier(view, 0);
    if (first >= view->size)
        return false;
    out->first = first;
    out->end = min_int64(rest_end(view, first), align_up(first + RANGE_BACKGROUND_BYTES));
    return true;
}
