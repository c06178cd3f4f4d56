/* What: the smaller and the larger of two numbers, and a number between two limits. */
#ifndef SEEDANCEFS_BASE_NUMBER_H
#define SEEDANCEFS_BASE_NUMBER_H

#include <stddef.h>
#include <stdint.h>

static inline int64_t min_int64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t max_int64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* `value`, or the limit that it is beyond; min <= max. */
static inline int64_t clamp_int64(int64_t value, int64_t min, int64_t max)
{
    return value < min ? min : value > max ? max : value;
}

static inline double clamp_double(double value, double min, double max)
{
    return value < min ? min : value > max ? max : value;
}

#endif
