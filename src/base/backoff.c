#include "seedancefs/base/backoff.h"

enum { COOL_DOWN_MAX_MS = 60 * 1000 };

int64_t backoff_delay_ms(unsigned failures, int64_t cap_ms, uint64_t *random_state)
{
    int64_t max_ms = BACKOFF_BASE_MS;
    for (unsigned i = 1; i < failures && max_ms < cap_ms; i++)
        max_ms *= 2;
    if (max_ms > cap_ms)
        max_ms = cap_ms;
    if (max_ms <= 0)
        return 0;
    return (int64_t)(random_next(random_state) % ((uint64_t)max_ms + 1));
}

void retry_bucket_init(struct retry_bucket *bucket, unsigned capacity)
{
    bucket->capacity_tenths = (int64_t)capacity * 10;
    bucket->tenths = bucket->capacity_tenths;
}

bool retry_bucket_take(struct retry_bucket *bucket)
{
    if (bucket->tenths < 10)
        return false;
    bucket->tenths -= 10;
    return true;
}

void retry_bucket_earn(struct retry_bucket *bucket)
{
    if (bucket->tenths < bucket->capacity_tenths)
        bucket->tenths++;
}

void breaker_init(struct breaker *breaker, unsigned threshold, int64_t cool_down_ms)
{
    *breaker = (struct breaker){.threshold = threshold, .cool_down_ms = cool_down_ms};
}

bool breaker_admit(struct breaker *breaker, int64_t monotonic_ms)
{
    if (breaker->state == BREAKER_OPEN && monotonic_ms >= breaker->open_until_ms)
        breaker->state = BREAKER_HALF_OPEN;
    if (breaker->state == BREAKER_OPEN || breaker->is_probing)
        return false;
    breaker->is_probing = breaker->state == BREAKER_HALF_OPEN;
    return true;
}

void breaker_success(struct breaker *breaker)
{
    breaker->state = BREAKER_CLOSED;
    breaker->failures = 0;
    breaker->is_probing = false;
}

void breaker_failure(struct breaker *breaker, int64_t monotonic_ms)
{
    breaker->is_probing = false;
    /* Failures of requests that were under way when the breaker opened tell nothing new. */
    if (breaker->state == BREAKER_OPEN || ++breaker->failures < breaker->threshold)
        return;
    int64_t wait_ms = breaker->cool_down_ms;
    for (unsigned n = breaker->threshold; n < breaker->failures && wait_ms < COOL_DOWN_MAX_MS; n++)
        wait_ms *= 2;
    breaker->state = BREAKER_OPEN;
    breaker->open_until_ms =
        monotonic_ms + (wait_ms < COOL_DOWN_MAX_MS ? wait_ms : COOL_DOWN_MAX_MS);
}

void breaker_abandon(struct breaker *breaker)
{
    breaker->is_probing = false;
}
