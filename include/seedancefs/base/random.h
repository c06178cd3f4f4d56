/*
 * What: random numbers for jitter, from a state of the caller, so that a test sees the same ones
 * every time. Not for secrets.
 */
#ifndef SEEDANCEFS_BASE_RANDOM_H
#define SEEDANCEFS_BASE_RANDOM_H

#include <stdint.h>

/* SplitMix64 (Steele, Lea, Flood 2014). Any seed will do. */
uint64_t random_next(uint64_t *state);

#endif
