#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "seedancefs/base/clock.h"
#include "seedancefs/net/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct fixture {
    struct loop *loop;
    int pipe_fds[2];
    struct loop_watch watch;
    struct timer timer;
    int calls;
    short revents;
    struct loop_watch *victim;
    bool has_timer_fired;
};

static int setup(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof(fixture));
    *state = &fixture;
    return loop_new(clock_system(), &fixture.loop) < 0 || pipe(fixture.pipe_fds) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    loop_watch_remove(fixture->loop, &fixture->watch);
    timer_cancel(loop_timers(fixture->loop), &fixture->timer);
    for (int i = 0; i < 2; i++) {
        if (fixture->pipe_fds[i] >= 0)
            (void)close(fixture->pipe_fds[i]);
    }
    fixture->loop = loop_free(fixture->loop);
    return 0;
}

static void on_readable(void *context, short revents)
{
    struct fixture *fixture = context;
    fixture->calls++;
    fixture->revents = revents;
    if (fixture->victim)
        loop_watch_remove(fixture->loop, fixture->victim);
    if (fixture->calls == 10)
        loop_stop(fixture->loop);
}

static void watch_pipe(struct fixture *fixture)
{
    fixture->watch = (struct loop_watch){
        .fd = fixture->pipe_fds[0], .events = POLLIN, .fn = on_readable, .context = fixture};
    assert_int_equal(loop_watch_add(fixture->loop, &fixture->watch), 0);
}

static void on_timer_stop(void *context)
{
    struct fixture *fixture = context;
    fixture->has_timer_fired = true;
    loop_stop(fixture->loop);
}

/* Until the timer has fired. */
static int turns_count(struct fixture *fixture)
{
    int turns = 0;
    for (; !fixture->has_timer_fired; turns++)
        assert_int_equal(loop_run_once(fixture->loop, -1), 0);
    return turns;
}

static void raise_event(struct fixture *fixture)
{
    assert_int_equal(write(fixture->pipe_fds[1], "x", 1), 1);
}

static void test_loop__an_event_reaches_its_watch(void **state)
{
    struct fixture *fixture = *state;
    watch_pipe(fixture);
    assert_int_equal(loop_run_once(fixture->loop, 0), 0);
    assert_int_equal(fixture->calls, 0);
    raise_event(fixture);
    assert_int_equal(loop_run_once(fixture->loop, -1), 0);
    assert_int_equal(fixture->calls, 1);
    assert_int_equal(fixture->revents, POLLIN);
}

/* /dev/fuse says POLLERR when it is unmounted, a pipe POLLHUP when its writer is gone. */
static void test_loop__a_hang_up_is_reported(void **state)
{
    struct fixture *fixture = *state;
    watch_pipe(fixture);
    (void)close(fixture->pipe_fds[1]);
    fixture->pipe_fds[1] = -1;
    assert_int_equal(loop_run_once(fixture->loop, -1), 0);
    assert_int_equal(fixture->revents, POLLHUP);
}

static void test_loop__idle_means_no_turn_at_all(void **state)
{
    struct fixture *fixture = *state;
    watch_pipe(fixture);
    timer_set(loop_timers(fixture->loop), &fixture->timer, 400, on_timer_stop, fixture);
    int64_t from_ms = clock_monotonic_ms(clock_system());
    /* The one turn is the timer's. */
    assert_int_equal(turns_count(fixture), 1);
    assert_in_range(clock_monotonic_ms(clock_system()) - from_ms, 399, 2000);
}

static void test_loop__a_cancelled_timer_costs_one_turn_at_most(void **state)
{
    struct fixture *fixture = *state;
    struct timers *timers = loop_timers(fixture->loop);
    static struct timer other;
    for (int i = 0; i < 1000; i++) {
        timer_set(timers, &other, 20 + i, on_timer_stop, fixture);
        if (i % 100 == 0)
            assert_int_equal(loop_run_once(fixture->loop, 0), 0);
        timer_cancel(timers, &other);
    }
    timer_set(timers, &fixture->timer, 300, on_timer_stop, fixture);
    assert_in_range(turns_count(fixture), 1, 2);
}

static void test_loop__an_earlier_timer_moves_the_wake_up_forward(void **state)
{
    struct fixture *fixture = *state;
    struct timers *timers = loop_timers(fixture->loop);
    static struct timer late;
    timer_set(timers, &late, 60000, on_timer_stop, fixture);
    assert_int_equal(loop_run_once(fixture->loop, 0), 0);
    timer_set(timers, &fixture->timer, 20, on_timer_stop, fixture);
    int64_t from_ms = clock_monotonic_ms(clock_system());
    assert_int_equal(loop_run(fixture->loop), 0);
    assert_in_range(clock_monotonic_ms(clock_system()) - from_ms, 19, 2000);
    timer_cancel(timers, &late);
}

static void test_loop__a_watch_may_remove_itself(void **state)
{
    struct fixture *fixture = *state;
    watch_pipe(fixture);
    fixture->victim = &fixture->watch;
    raise_event(fixture);
    assert_int_equal(loop_run_once(fixture->loop, 0), 0);
    assert_int_equal(loop_run_once(fixture->loop, 0), 0);
    assert_int_equal(fixture->calls, 1);
    /* Removing what is not linked does nothing; adding it again works. */
    loop_watch_remove(fixture->loop, &fixture->watch);
    fixture->victim = NULL;
    assert_int_equal(loop_watch_add(fixture->loop, &fixture->watch), 0);
    assert_int_equal(loop_run_once(fixture->loop, 0), 0);
    assert_int_equal(fixture->calls, 2);
}

/* Two raised watches, each of which removes the other: whichever comes first, the second is not
 * called, though its event was reported in the same turn. */
static void test_loop__a_watch_removed_in_a_callback_is_not_touched(void **state)
{
    struct fixture *fixture = *state;
    static struct fixture other;
    other = *fixture;
    assert_int_equal(pipe(other.pipe_fds), 0);
    watch_pipe(fixture);
    watch_pipe(&other);
    fixture->victim = &other.watch;
    other.victim = &fixture->watch;
    raise_event(fixture);
    raise_event(&other);
    for (int i = 0; i < 3; i++)
        assert_int_equal(loop_run_once(fixture->loop, 0), 0);
    bool is_first = fixture->calls > 0;
    assert_int_equal(is_first ? fixture->calls : other.calls, 3);
    assert_int_equal(is_first ? other.calls : fixture->calls, 0);
    loop_watch_remove(fixture->loop, &other.watch);
    (void)close(other.pipe_fds[0]);
    (void)close(other.pipe_fds[1]);
}

static void test_loop__stop_ends_the_run_after_that_turn(void **state)
{
    struct fixture *fixture = *state;
    watch_pipe(fixture);
    raise_event(fixture);
    assert_int_equal(loop_run(fixture->loop), 0);
    assert_int_equal(fixture->calls, 10);
    /* A stop before the run is not forgotten, and does not stick. */
    loop_stop(fixture->loop);
    assert_int_equal(loop_run(fixture->loop), 0);
    assert_int_equal(fixture->calls, 10);
}

static void test_loop__time_comes_from_the_clock_it_was_given(void **state)
{
    (void)state;
    struct fake_clock fake;
    struct fixture other = {.calls = 0};
    fake_clock_init(&fake, 0);
    assert_int_equal(loop_new(&fake.clock, &other.loop), 0);
    timer_set(loop_timers(other.loop), &other.timer, 3600 * 1000, on_timer_stop, &other);
    assert_int_equal(loop_run_once(other.loop, 0), 0);
    assert_true(timer_is_set(&other.timer));
    fake_clock_advance(&fake, 3600 * 1000);
    assert_int_equal(loop_run(other.loop), 0);
    assert_ptr_equal(loop_clock(other.loop), &fake.clock);
    loop_free(other.loop);
}

/* Waking up from a suspend, what has come due meanwhile is done at once: the kernel's timer counts
 * the sleep in (CLOCK_BOOTTIME, timerfd_create(2)). */
static void test_loop__the_timer_goes_on_while_the_machine_sleeps(void **state UNUSED)
{
    int found = 0;
    for (int fd = 0; fd < 64; fd++) {
        char path[64];
        char text[512] = "";
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (readlink(path, text, sizeof(text) - 1) < 0 || !strstr(text, "[timerfd]"))
            continue;
        (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        int info = open(path, O_RDONLY | O_CLOEXEC);
        memset(text, 0, sizeof(text));
        assert_true(info >= 0 && read(info, text, sizeof(text) - 1) > 0);
        (void)close(info);
        const char *clock = strstr(text, "clockid: ");
        assert_non_null(clock);
        assert_int_equal(atoi(clock + strlen("clockid: ")), CLOCK_BOOTTIME);
        found++;
    }
    assert_int_equal(found, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_loop__an_event_reaches_its_watch),
        TEST(test_loop__a_hang_up_is_reported),
        TEST(test_loop__idle_means_no_turn_at_all),
        TEST(test_loop__a_cancelled_timer_costs_one_turn_at_most),
        TEST(test_loop__an_earlier_timer_moves_the_wake_up_forward),
        TEST(test_loop__a_watch_may_remove_itself),
        TEST(test_loop__a_watch_removed_in_a_callback_is_not_touched),
        TEST(test_loop__stop_ends_the_run_after_that_turn),
        TEST(test_loop__time_comes_from_the_clock_it_was_given),
        TEST(test_loop__the_timer_goes_on_while_the_machine_sleeps),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
