/* base/timer against the plainest list there is, and what callbacks may do. */
#include "seedancefs/base/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 300 };

struct one {
    struct timer timer;
    bool is_set;
    int64_t due_ms;
    unsigned fired;
    unsigned expected;
};

struct many {
    struct fake_clock clock;
    struct timers timers;
    struct one ones[COUNT];
    int64_t last_due_ms;
};

static struct many many;

static void one_fired(void *context)
{
    struct one *one = context;
    assert_true(one->is_set);
    assert_true(one->due_ms <= many.clock.monotonic_ms);
    assert_true(one->due_ms >= many.last_due_ms); /* in the order of their times */
    many.last_due_ms = one->due_ms;
    assert_false(timer_is_set(&one->timer));
    one->is_set = false;
    one->fired++;
}

static int64_t reference_next(void)
{
    int64_t next = -1;
    for (size_t i = 0; i < COUNT; i++) {
        const struct one *one = &many.ones[i];
        int64_t wait = one->due_ms - many.clock.monotonic_ms;
        if (one->is_set && (next < 0 || wait < next))
            next = wait > 0 ? wait : 0;
    }
    return next;
}

static void reference_run(void)
{
    for (size_t i = 0; i < COUNT; i++) {
        struct one *one = &many.ones[i];
        if (one->is_set && one->due_ms <= many.clock.monotonic_ms)
            one->expected++;
    }
}

static void test_timer__ten_thousand_random_steps_agree_with_a_list(void **state UNUSED)
{
    srandom(7);
    fake_clock_init(&many.clock, 0);
    timers_init(&many.timers, &many.clock.clock);
    assert_int_equal(timers_next_ms(&many.timers), -1);
    for (int step = 0; step < 10000; step++) {
        struct one *one = &many.ones[random() % COUNT];
        long kind = random() % 10;
        if (kind < 6) {
            int64_t delay_ms = random() % 1000;
            timer_set(&many.timers, &one->timer, delay_ms, one_fired, one);
            one->is_set = true;
            one->due_ms = many.clock.monotonic_ms + delay_ms;
        } else if (kind < 8) {
            timer_cancel(&many.timers, &one->timer);
            one->is_set = false;
        } else {
            fake_clock_advance(&many.clock, random() % 40);
            reference_run();
            many.last_due_ms = INT64_MIN;
            timers_run(&many.timers);
        }
        assert_int_equal(timers_next_ms(&many.timers), reference_next());
        size_t set = 0;
        for (size_t i = 0; i < COUNT; i++) {
            assert_int_equal(timer_is_set(&many.ones[i].timer), many.ones[i].is_set);
            assert_int_equal(many.ones[i].fired, many.ones[i].expected);
            set += many.ones[i].is_set;
        }
        assert_int_equal(many.timers.count, set);
    }
    timers_fini(&many.timers);
    memset(&many, 0, sizeof(many));
}

struct actor {
    struct timers *timers;
    struct timer timer;
    struct timer *victim;
    struct actor *next;
    int64_t again_ms; /* -1: not */
    unsigned fired;
};

static void actor_fired(void *context)
{
    struct actor *actor = context;
    actor->fired++;
    if (actor->victim)
        timer_cancel(actor->timers, actor->victim);
    if (actor->again_ms >= 0)
        timer_set(actor->timers, &actor->timer, actor->again_ms, actor_fired, actor);
    if (actor->next)
        timer_set(actor->timers, &actor->next->timer, 0, actor_fired, actor->next);
}

static void test_timer__a_callback_may_set_and_cancel_any_timer(void **state UNUSED)
{
    struct fake_clock clock;
    struct timers timers;
    fake_clock_init(&clock, 0);
    timers_init(&timers, &clock.clock);
    struct actor a = {.timers = &timers, .again_ms = 0};
    struct actor b = {.timers = &timers, .again_ms = -1};
    struct actor c = {.timers = &timers, .again_ms = -1, .next = &b};
    timer_set(&timers, &a.timer, 5, actor_fired, &a);
    timer_set(&timers, &b.timer, 6, actor_fired, &b);
    a.victim = &b.timer;
    timers_run(&timers);
    assert_int_equal(a.fired, 0);
    fake_clock_advance(&clock, 10);
    timers_run(&timers); /* sets itself to now: that is a matter of the next run */
    assert_true(a.fired >= 1 && a.fired <= 2);
    assert_int_equal(b.fired, 0); /* cancelled though it was due */
    unsigned fired = a.fired;
    timers_run(&timers);
    assert_int_equal(a.fired, fired + 1);
    timer_cancel(&timers, &a.timer);
    timer_set(&timers, &c.timer, 0, actor_fired, &c);
    timers_run(&timers);
    timers_run(&timers);
    assert_int_equal(c.fired, 1);
    assert_int_equal(b.fired, 1);
    timer_cancel(&timers, &b.timer); /* not set */
    assert_int_equal(timers_next_ms(&timers), -1);
    timer_set(&timers, &a.timer, -50, actor_fired, &a);
    assert_int_equal(timers_next_ms(&timers), 0);
    timers_fini(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timer__ten_thousand_random_steps_agree_with_a_list),
        cmocka_unit_test(test_timer__a_callback_may_set_and_cancel_any_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
