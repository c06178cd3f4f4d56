/* The plan without a network: the table's flights never move unless a test moves them. */
#include "media/range_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KB INT64_C(1024)
#define MB (KB * 1024)

struct plan_row {
    const char *what;
    int64_t size;
    struct interval cached[3];
    struct range_flight flights[3];
    size_t flight_count;
    int64_t offset;
    int64_t end;
    struct {
        enum range_action action;
        size_t flight;
        int64_t first;
        int64_t end;
    } step; /* the first that has to be taken */
};

static void test_range_plan__joins_and_starts_as_told(void **state)
{
    static const struct plan_row rows[] = {
        {"a first read gets a first window",
         50 * MB,
         {{0}},
         {{0}},
         0,
         0,
         4096,
         {RANGE_START, 0, 0, 256 * KB}},
        {"its end is rounded up to a block",
         50 * MB,
         {{0}},
         {{0}},
         0,
         1000,
         5096,
         {RANGE_START, 0, 1000, 320 * KB}},
        {"not beyond the file", 5000, {{0}}, {{0}}, 0, 0, 4096, {RANGE_START, 0, 0, 5000}},
        {"cached bytes are not asked for",
         50 * MB,
         {{0, 8192}},
         {{0}},
         0,
         4096,
         8192,
         {RANGE_DONE, 0, 8192, 8192}},
        {"it starts behind cached bytes",
         50 * MB,
         {{0, 6000}},
         {{0}},
         0,
         4096,
         8192,
         {RANGE_START, 0, 6000, 320 * KB}},
        {"and stops at the next ones",
         50 * MB,
         {{7000, 7001}},
         {{0}},
         0,
         4096,
         8192,
         {RANGE_START, 0, 4096, 7000}},
        {"a close transfer is joined",
         50 * MB,
         {{0}},
         {{MB, 9 * MB}},
         1,
         2 * MB,
         2 * MB + 4096,
         {RANGE_JOIN, 0, 2 * MB, 2 * MB + 4096}},
        {"up to its end",
         50 * MB,
         {{0}},
         {{MB, 2 * MB + 10}},
         1,
         2 * MB,
         2 * MB + 4096,
         {RANGE_JOIN, 0, 2 * MB, 2 * MB + 10}},
        {"a far one is not",
         50 * MB,
         {{0}},
         {{MB, 9 * MB}},
         1,
         3 * MB,
         3 * MB + 4096,
         {RANGE_START, 0, 3 * MB, 3 * MB + 256 * KB}},
        {"one that is already past does not help",
         50 * MB,
         {{0}},
         {{MB, 9 * MB}},
         1,
         MB - 1,
         MB,
         {RANGE_START, 0, MB - 1, MB}},
        {"a range stops where another begins",
         50 * MB,
         {{0}},
         {{MB, 9 * MB}},
         1,
         MB - 100,
         MB + 100,
         {RANGE_START, 0, MB - 100, MB}},
        {"the nearest of two",
         50 * MB,
         {{0}},
         {{0, 9 * MB}, {MB, 2 * MB}},
         2,
         MB + 5,
         MB + 10,
         {RANGE_JOIN, 1, MB + 5, MB + 10}},
        {"the tail of a large file",
         INT64_C(60) << 30,
         {{0}},
         {{0, 16 * MB}},
         1,
         (INT64_C(60) << 30) - 10,
         INT64_C(60) << 30,
         {RANGE_START, 0, (INT64_C(60) << 30) - 10, INT64_C(60) << 30}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct plan_row *row = &rows[i];
        struct range_plan plan = {0};
        struct intervals cached = {0};
        for (size_t j = 0; j < 3; j++)
            assert_int_equal(intervals_add(&cached, row->cached[j].first, row->cached[j].end), 0);
        struct range_view view = {.size = row->size,
                                  .window_max = RANGE_WINDOW_MAX_BYTES,
                                  .cached = &cached,
                                  .flights = row->flights,
                                  .flight_count = row->flight_count};
        struct range_stream *stream = range_plan_read(&plan, row->offset, row->end);
        struct range_step step = range_plan_step(&view, stream, row->offset, row->end);
        if (step.action != row->step.action || step.first != row->step.first ||
            step.end != row->step.end || step.flight != row->step.flight)
            fail_msg("%s: action %d flight %zu [%ld, %ld)", row->what, (int)step.action,
                     step.flight, (long)step.first, (long)step.end);
        intervals_fini(&cached);
    }
}

/* A copy in which every transfer has finished before the next read comes. */
static int64_t copy(struct range_plan *plan, struct intervals *cached, int64_t size, int64_t until,
                    int64_t step_bytes, int *requests, int *waits)
{
    int64_t fetched = 0;
    for (int64_t offset = 0; offset < until; offset += step_bytes) {
        int64_t end = offset + step_bytes < size ? offset + step_bytes : size;
        struct range_view view = {
            .size = size, .window_max = RANGE_WINDOW_MAX_BYTES, .cached = cached};
        struct range_stream *stream = range_plan_read(plan, offset, end);
        struct range_step step = range_plan_step(&view, stream, offset, end);
        if (step.action == RANGE_START) {
            assert_int_equal(intervals_add(cached, step.first, step.end), 0);
            fetched += step.end - step.first;
            ++*requests;
            ++*waits;
        }
        struct range_step ahead = range_plan_ahead(&view, stream);
        if (ahead.action == RANGE_START) {
            assert_false(intervals_has(cached, ahead.first, ahead.first + 1));
            assert_int_equal(intervals_add(cached, ahead.first, ahead.end), 0);
            fetched += ahead.end - ahead.first;
            ++*requests;
        }
    }
    return fetched;
}

static void test_range_plan__a_sequential_copy_waits_once_and_asks_for_each_byte_once(void **state)
{
    static const int64_t steps[] = {4 * KB, 16 * KB, 128 * KB, 1 * MB};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct range_plan plan = {0};
        struct intervals cached = {0};
        int requests = 0;
        int waits = 0;
        int64_t size = 100 * MB + 5;
        assert_int_equal(copy(&plan, &cached, size, size, steps[i], &requests, &waits), size);
        assert_true(waits <= 2);
        assert_true(requests <= 14);
        intervals_fini(&cached);
    }
}

static void test_range_plan__who_reads_little_gets_little(void **state)
{
    static const struct {
        int64_t until;
        int64_t most;
    } rows[] = {{4 * KB, 256 * KB},
                {128 * KB, 256 * KB},
                {512 * KB, 1 * MB},
                {1 * MB, 6 * MB},
                {8 * MB, 32 * MB}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct range_plan plan = {0};
        struct intervals cached = {0};
        int requests = 0;
        int waits = 0;
        assert_true(copy(&plan, &cached, 500 * MB, rows[i].until, 4 * KB, &requests, &waits) <=
                    rows[i].most);
        intervals_fini(&cached);
    }
}

static void test_range_plan__readahead_out_of_order_is_one_stream(void **state)
{
    static const int64_t offsets[] = {0, 256 * KB, 128 * KB, 640 * KB, 384 * KB, 512 * KB};
    struct range_plan plan = {0};
    (void)state;
    struct range_stream *stream = range_plan_read(&plan, 0, 128 * KB);
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
        assert_ptr_equal(range_plan_read(&plan, offsets[i], offsets[i] + 128 * KB), stream);
    assert_ptr_not_equal(range_plan_read(&plan, 40 * MB, 40 * MB + 1), stream);
    assert_ptr_equal(range_plan_read(&plan, 768 * KB, 900 * KB), stream);
    assert_ptr_equal(range_plan_find(&plan, 768 * KB), stream);
}

static void test_range_plan__random_reads_do_not_grow_a_window(void **state)
{
    struct range_plan plan = {0};
    struct intervals cached = {0};
    struct range_view view = {
        .size = INT64_C(1) << 34, .window_max = RANGE_WINDOW_MAX_BYTES, .cached = &cached};
    (void)state;
    srandom(3);
    for (int i = 0; i < 500; i++) {
        int64_t offset = (int64_t)(random() % 4000000) * 4096;
        struct range_stream *stream = range_plan_read(&plan, offset, offset + 4096);
        struct range_step step = range_plan_step(&view, stream, offset, offset + 4096);
        assert_int_equal(step.action, RANGE_START);
        assert_true(step.end - step.first <= 320 * KB);
        assert_int_equal(range_plan_ahead(&view, stream).action, RANGE_DONE);
    }
}

static void test_range_plan__the_background_fills_every_gap(void **state)
{
    struct intervals cached = {0};
    struct interval range;
    int64_t size = 50 * MB + 1;
    int64_t fetched = 0;
    int requests = 0;
    (void)state;
    assert_int_equal(intervals_add(&cached, 5, 10), 0);
    assert_int_equal(intervals_add(&cached, 20 * MB, 30 * MB), 0);
    struct range_view view = {
        .size = size, .window_max = RANGE_WINDOW_MAX_BYTES, .cached = &cached};
    while (range_plan_background(&view, &range)) {
        fetched += range.end - range.first;
        ++requests;
        assert_int_equal(intervals_add(&cached, range.first, range.end), 0);
    }
    assert_int_equal(requests, 2); /* what is small is fetched again */
    assert_int_equal(fetched, size - 10 * MB);
    assert_int_equal(cached.bytes, size);
    intervals_fini(&cached);
}

/* A clip whose head and tail are cached. */
struct clip {
    struct intervals cached;
    struct range_flight flights[2];
    struct range_view view;
    struct range_plan plan;
};

static void clip_init(struct clip *clip, int64_t size)
{
    *clip = (struct clip){0};
    assert_int_equal(intervals_add(&clip->cached, 0, 256 * KB), 0);
    assert_int_equal(intervals_add(&clip->cached, size - 256 * KB, size), 0);
    clip->view = (struct range_view){.size = size,
                                     .window_max = RANGE_WINDOW_MAX_BYTES,
                                     .cached = &clip->cached,
                                     .flights = clip->flights,
                                     .is_clip = true};
}

static struct range_step clip_read(struct clip *clip, int64_t offset, int64_t end)
{
    struct range_stream *stream = range_plan_read(&clip->plan, offset, end);
    struct range_step step = range_plan_step(&clip->view, stream, offset, end);
    return step.action == RANGE_DONE ? range_plan_ahead(&clip->view, stream) : step;
}

static void test_range_plan__the_rest_of_a_clip_is_one_request_that_follows_its_reader(void **state)
{
    struct clip clip;
    (void)state;
    clip_init(&clip, 20 * MB);
    assert_int_equal(clip_read(&clip, 0, 128 * KB).action, RANGE_DONE);
    struct range_step step = clip_read(&clip, 128 * KB, 256 * KB);
    assert_int_equal(step.action, RANGE_START);
    assert_int_equal(step.first, 256 * KB);
    assert_int_equal(step.end, 20 * MB - 256 * KB);
    assert_int_equal(step.allowed, 512 * KB);
    clip.flights[0] = (struct range_flight){256 * KB, step.end};
    clip.view.flight_count = 1;
    for (int64_t offset = 256 * KB; offset < 2 * MB; offset += 128 * KB) {
        step = clip_read(&clip, offset, offset + 128 * KB);
        assert_int_equal(step.action, RANGE_JOIN);
        int64_t ahead = offset + 128 * KB <= 512 * KB ? 256 * KB : MB;
        assert_int_equal(step.allowed, offset + 128 * KB + ahead);
    }
    /* A look somewhere else is a window, and then another; who goes on there takes the rest
     * over. */
    step = clip_read(&clip, 10 * MB, 10 * MB + 128 * KB);
    assert_int_equal(step.end, 10 * MB + 256 * KB);
    assert_int_equal(step.allowed, step.end);
    assert_int_equal(intervals_add(&clip.cached, 10 * MB, 11 * MB), 0);
    for (int64_t offset = 10 * MB; offset < 11 * MB; offset += 128 * KB)
        step = clip_read(&clip, offset, offset + 128 * KB);
    assert_int_equal(step.action, RANGE_START);
    assert_int_equal(step.first, 11 * MB);
    assert_int_equal(step.end, 20 * MB - 256 * KB);
    intervals_fini(&clip.cached);
}

/* Head, tail, and then the beginning: that may be a thumbnailer, which needs some 300 KiB. */
static void test_range_plan__who_looks_around_first_gets_windows(void **state)
{
    struct clip clip;
    (void)state;
    clip_init(&clip, 20 * MB);
    (void)clip_read(&clip, 0, 64 * KB);
    (void)clip_read(&clip, 20 * MB - 64 * KB, 20 * MB);
    struct range_step step = clip_read(&clip, 64 * KB, 192 * KB);
    assert_int_equal(step.action, RANGE_START);
    assert_int_equal(step.first, 256 * KB);
    assert_int_equal(step.end, 768 * KB);
    assert_int_equal(step.allowed, step.end);
    assert_int_equal(intervals_add(&clip.cached, step.first, step.end), 0);
    assert_int_equal(clip_read(&clip, 192 * KB, 512 * KB).action, RANGE_DONE);
    step = clip_read(&clip, 512 * KB, 640 * KB);
    assert_int_equal(step.action, RANGE_START);
    assert_int_equal(step.first, 768 * KB);
    assert_int_equal(step.end, 20 * MB - 256 * KB);
    assert_int_equal(step.allowed, 640 * KB + MB);
    intervals_fini(&clip.cached);
}

static void test_range_plan__the_rest_runs_through_what_is_small(void **state)
{
    struct clip clip;
    (void)state;
    clip_init(&clip, 40 * MB);
    assert_int_equal(intervals_add(&clip.cached, 5 * MB, 5 * MB + 256 * KB), 0);
    assert_int_equal(intervals_add(&clip.cached, 10 * MB, 12 * MB), 0);
    assert_int_equal(intervals_add(&clip.cached, 30 * MB, 36 * MB), 0);
    assert_int_equal(clip_read(&clip, 0, 256 * KB).end, 10 * MB);
    /* Up to an eighth of the file, when few requests are left. */
    clip.view.is_sparing = true;
    assert_int_equal(clip_read(&clip, 9 * MB, 9 * MB + 1).end, 30 * MB);
    intervals_fini(&clip.cached);
}

/* Whatever is read in whatever order, nine requests bring all of it; the first read is not kept
 * waiting. */
static void test_range_plan__when_few_are_left_nine_bring_everything(void **state)
{
    (void)state;
    srandom(7);
    for (int round = 0; round < 300; round++) {
        struct clip clip;
        int64_t size = (int64_t)(random() % 1000 + 40) * 64 * KB + random() % 64000;
        clip_init(&clip, size);
        for (long i = random() % 14; i > 0; i--) {
            int64_t first = random() % size;
            int64_t end = first + random() % (size / 5);
            assert_int_equal(intervals_add(&clip.cached, first, end < size ? end : size), 0);
        }
        clip.view.is_sparing = true;
        int requests = 0;
        for (int i = 0; i < 2000; i++) {
            int64_t offset = round % 2 ? random() % size : (size - 1) * (2000 - i) / 2000;
            struct range_step step = clip_read(&clip, offset, offset + 1);
            if (step.action != RANGE_START)
                continue;
            assert_true(step.first <= offset && offset < step.end);
            if (requests == 0)
                assert_true(offset - step.first <= RANGE_JOIN_BYTES);
            assert_int_equal(intervals_add(&clip.cached, step.first, step.end), 0);
            clip.view.is_far_spared = true;
            requests++;
        }
        assert_true(requests <= 9);
        intervals_fini(&clip.cached);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_range_plan__joins_and_starts_as_told),
        cmocka_unit_test(test_range_plan__a_sequential_copy_waits_once_and_asks_for_each_byte_once),
        cmocka_unit_test(test_range_plan__who_reads_little_gets_little),
        cmocka_unit_test(test_range_plan__readahead_out_of_order_is_one_stream),
        cmocka_unit_test(test_range_plan__random_reads_do_not_grow_a_window),
        cmocka_unit_test(test_range_plan__the_background_fills_every_gap),
        cmocka_unit_test(
            test_range_plan__the_rest_of_a_clip_is_one_request_that_follows_its_reader),
        cmocka_unit_test(test_range_plan__who_looks_around_first_gets_windows),
        cmocka_unit_test(test_range_plan__the_rest_runs_through_what_is_small),
        cmocka_unit_test(test_range_plan__when_few_are_left_nine_bring_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
