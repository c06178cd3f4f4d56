#include "seedancefs/base/clock.h"
#include "seedancefs/base/attributes.h"

#include <stddef.h>
#include <time.h>

static int64_t clock_read_ms(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_wall_ms(const struct clock *clock UNUSED)
{
    return clock_read_ms(CLOCK_REALTIME);
}

static int64_t system_monotonic_ms(const struct clock *clock UNUSED)
{
    return clock_read_ms(CLOCK_BOOTTIME);
}

const struct clock *clock_system(void)
{
    static const struct clock system = {system_wall_ms, system_monotonic_ms};
    return &system;
}

static int64_t fake_wall_ms(const struct clock *clock)
{
    const struct fake_clock *fake = (const void *)clock;
    return fake->wall_ms;
}

static int64_t fake_monotonic_ms(const struct clock *clock)
{
    const struct fake_clock *fake = (const void *)clock;
    return fake->monotonic_ms;
}

void fake_clock_init(struct fake_clock *fake, int64_t wall_ms)
{
    *fake = (struct fake_clock){{fake_wall_ms, fake_monotonic_ms}, wall_ms, 1000};
}

void fake_clock_advance(struct fake_clock *fake, int64_t ms)
{
    fake->wall_ms += ms;
    fake->monotonic_ms += ms;
}
