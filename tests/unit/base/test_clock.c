/* base/clock: the machine's clock runs, the test's stands still. */
#include "seedancefs/base/attributes.h"
#include "seedancefs/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <time.h>

static void test_clock__the_machines_clock_agrees_with_time(void **state UNUSED)
{
    const struct clock *clock = clock_system();
    int64_t wall_s = (int64_t)time(NULL);
    assert_in_range(clock_wall_ms(clock), (wall_s - 1) * 1000, (wall_s + 5) * 1000);
    int64_t before_ms = clock_monotonic_ms(clock);
    const struct timespec pause = {0, 5 * 1000 * 1000};
    (void)nanosleep(&pause, NULL);
    assert_in_range(clock_monotonic_ms(clock) - before_ms, 4, 5000);
    assert_ptr_equal(clock, clock_system());
}

static void test_clock__the_fake_one_moves_when_told(void **state UNUSED)
{
    struct fake_clock fake;
    fake_clock_init(&fake, 5000);
    const struct clock *clock = &fake.clock;
    int64_t start_ms = clock_monotonic_ms(clock);
    assert_int_equal(clock_wall_ms(clock), 5000);
    fake_clock_advance(&fake, 1234);
    assert_int_equal(clock_wall_ms(clock), 6234);
    assert_int_equal(clock_monotonic_ms(clock), start_ms + 1234);
    fake.wall_ms -= 86400000; /* the wall clock may jump, the other one not */
    assert_int_equal(clock_wall_ms(clock), 6234 - 86400000);
    assert_int_equal(clock_monotonic_ms(clock), start_ms + 1234);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock__the_machines_clock_agrees_with_time),
        cmocka_unit_test(test_clock__the_fake_one_moves_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
