/*
 * What: the only source of time. The program uses clock_system(); a test uses a clock of its own,
 * so that hours pass in milliseconds.
 * Units: int64 milliseconds. Wall time counts from the Unix epoch and may jump. Monotonic time
 * includes suspension (CLOCK_BOOTTIME), so that a deadline can pass while the machine sleeps.
 */
#ifndef SEEDANCEFS_BASE_CLOCK_H
#define SEEDANCEFS_BASE_CLOCK_H

#include <stdint.h>

struct clock {
    int64_t (*wall_ms)(const struct clock *clock);
    int64_t (*monotonic_ms)(const struct clock *clock);
};

/* The machine's clock. Static storage. */
const struct clock *clock_system(void);

static inline int64_t clock_wall_ms(const struct clock *clock)
{
    return clock->wall_ms(clock);
}

static inline int64_t clock_monotonic_ms(const struct clock *clock)
{
    return clock->monotonic_ms(clock);
}

/* A clock for tests: it moves only by fake_clock_advance(). */
struct fake_clock {
    struct clock clock;
    int64_t wall_ms;
    int64_t monotonic_ms;
};

void fake_clock_init(struct fake_clock *fake, int64_t wall_ms);
void fake_clock_advance(struct fake_clock *fake, int64_t ms);

#endif
