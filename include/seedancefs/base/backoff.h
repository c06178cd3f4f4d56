/*
 * What: how often requests to a failing service are repeated; pure. Back-off with full jitter
 * spreads the retries, a token bucket limits their sum, and a breaker stops requests to a dead
 * host. Random numbers come from a state of the caller, time from its base/clock, so that a test
 * sees the same delays every time.
 * Lifetime: plain structs, *_init() and no end.
 * Errors: none.
 */
#ifndef SEEDANCEFS_BASE_BACKOFF_H
#define SEEDANCEFS_BASE_BACKOFF_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/random.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    BACKOFF_BASE_MS = 500,
    BACKOFF_CAP_MS = 20 * 1000,
    BACKOFF_POLL_CAP_MS = 60 * 1000,
};

/* A random delay, evenly distributed from 0 to min(cap_ms, 0.5 s doubled with each failure after
 * the first). `failures` in a row, from 1. */
int64_t backoff_delay_ms(unsigned failures, int64_t cap_ms, uint64_t *random_state);

/*
 * A token bucket: each retry costs one token, each success earns a tenth, and it starts full. So a
 * service that always fails gets each operation once, and `capacity` retries altogether.
 */
struct retry_bucket {
    int64_t tenths;
    int64_t capacity_tenths;
};

void retry_bucket_init(struct retry_bucket *bucket, unsigned capacity);
bool retry_bucket_take(struct retry_bucket *bucket);
void retry_bucket_earn(struct retry_bucket *bucket);

/*
 *            threshold failures in a row              cool-down over
 *   CLOSED ─────────────────────────────▶ OPEN ────────────────────────▶ HALF_OPEN
 *     ▲                                    ▲  failure (longer cool-down)     │ │
 *     │                                    └─────────────────────────────────┘ │
 *     └───────────────────────────── success ──────────────────────────────────┘
 * HALF_OPEN lets one request through at a time.
 */
enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker {
    enum breaker_state state;
    unsigned threshold;
    unsigned failures;    /* in a row */
    int64_t cool_down_ms; /* of the first opening; doubled with each failed probe, up to a minute */
    int64_t open_until_ms;
    bool is_probing;
};

void breaker_init(struct breaker *breaker, unsigned threshold, int64_t cool_down_ms);

/* Whether a request may be made now; after true, call success, failure or abandon. */
bool breaker_admit(struct breaker *breaker, int64_t monotonic_ms);
void breaker_success(struct breaker *breaker);
void breaker_failure(struct breaker *breaker, int64_t monotonic_ms);

/* The request ended without saying anything about the host (cancelled). */
void breaker_abandon(struct breaker *breaker);

#endif
