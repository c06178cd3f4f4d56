/*
 * What: random numbers for jitter. The caller owns the state, so that a test gets the same numbers
 * every time. Not for secrets.
 */
#ifndef SEEDANCEFS_BASE_RANDOM_H
#define SEEDANCEFS_BASE_RANDOM_H

#include <stdint.h>

/* SplitMix64 (Steele, Lea, Flood 2014). Any value is a good seed. */
uint64_t random_next(uint64_t *state);

#endif
