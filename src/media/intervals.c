/*
 * A sorted array. Playback and copies leave only a few runs, so moving the tail of the array is
 * cheaper than any tree. Range requests are at least 256 KiB long, which bounds the number of runs
 * even in the largest file. All changes go through intervals_splice(), which replaces the runs
 * [from, to) by at most two new ones.
 */
#include "media/intervals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void intervals_fini(struct intervals *set)
{
    free(set->list);
    *set = (struct intervals){0};
}

/* Returns the index of the first run that ends after `position`, or count when there is none. */
static size_t intervals_find(const struct intervals *set, int64_t position)
{
    size_t low = 0;
    size_t high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->list[middle].end > position)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static int intervals_reserve(struct intervals *set, size_t count)
{
    if (count <= set->capacity)
        return 0;
    size_t capacity = set->capacity ? set->capacity * 2 : 4;
    while (capacity < count)
        capacity *= 2;
    struct interval *list = realloc(set->list, capacity * sizeof(*list));
    if (!list)
        return -ENOMEM;
    set->list = list;
    set->capacity = capacity;
    return 0;
}

static int intervals_splice(struct intervals *set, size_t from, size_t to,
                            const struct interval *runs, size_t run_count)
{
    int r = intervals_reserve(set, set->count - (to - from) + run_count);
    if (r < 0)
        return r;
    for (size_t i = from; i < to; i++)
        set->bytes -= set->list[i].end - set->list[i].first;
    if (to < set->count)
        memmove(set->list + from + run_count, set->list + to,
                (set->count - to) * sizeof(*set->list));
    for (size_t i = 0; i < run_count; i++) {
        set->list[from + i] = runs[i];
        set->bytes += runs[i].end - runs[i].first;
    }
    set->count = set->count - (to - from) + run_count;
    return 0;
}

int intervals_add(struct intervals *set, int64_t first, int64_t end)
{
    if (first >= end)
        return 0;
    /* A run that ends exactly at `first` (its last byte is first - 1) is merged as well. */
    size_t from = intervals_find(set, first - 1);
    size_t to = from;
    struct interval run = {first, end};
    while (to < set->count && set->list[to].first <= end) {
        if (set->list[to].first < run.first)
            run.first = set->list[to].first;
        if (set->list[to].end > run.end)
            run.end = set->list[to].end;
        to++;
    }
    return intervals_splice(set, from, to, &run, 1);
}

int intervals_remove(struct intervals *set, int64_t first, int64_t end)
{
    if (first >= end)
        return 0;
    size_t from = intervals_find(set, first);
    size_t to = from;
    struct interval left[2];
    size_t left_count = 0;
    while (to < set->count && set->list[to].first < end) {
        if (set->list[to].first < first)
            left[left_count++] = (struct interval){set->list[to].first, first};
        if (set->list[to].end > end)
            left[left_count++] = (struct interval){end, set->list[to].end};
        to++;
    }
    return intervals_splice(set, from, to, left, left_count);
}

int64_t intervals_run_end(const struct intervals *set, int64_t position)
{
    size_t i = intervals_find(set, position);
    return i < set->count && set->list[i].first <= position ? set->list[i].end : position;
}

int64_t intervals_next(const struct intervals *set, int64_t position)
{
    size_t i = intervals_find(set, position);
    if (i == set->count)
        return INT64_MAX;
    return set->list[i].first > position ? set->list[i].first : position;
}

bool intervals_has(const struct intervals *set, int64_t first, int64_t end)
{
    return first >= end || intervals_run_end(set, first) >= end;
}
