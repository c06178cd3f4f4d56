/*
 * What: a set of byte ranges [first, end) of one file, sorted, disjoint and never adjacent. It says
 * exactly which bytes are present.
 * Lifetime: a zeroed struct is the empty set; intervals_fini() frees it.
 * Errors: -ENOMEM; the set is then unchanged.
 */
#ifndef SRC_MEDIA_INTERVALS_H
#define SRC_MEDIA_INTERVALS_H

#include "seedancefs/base/attributes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct interval {
    int64_t first;
    int64_t end;
};

struct intervals {
    struct interval *list;
    size_t count;
    size_t capacity;
    int64_t bytes; /* in all */
};

void intervals_fini(struct intervals *set);

int intervals_add(struct intervals *set, int64_t first, int64_t end) NODISCARD;
int intervals_remove(struct intervals *set, int64_t first, int64_t end) NODISCARD;

/* The end of the run that holds `position`; `position` itself when that byte is missing. */
int64_t intervals_run_end(const struct intervals *set, int64_t position);

/* The first byte of the set at or after `position`; INT64_MAX when there is none. */
int64_t intervals_next(const struct intervals *set, int64_t position);

bool intervals_has(const struct intervals *set, int64_t first, int64_t end);

#endif
