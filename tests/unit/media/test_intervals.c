/* The set against the simplest reference: one flag per byte. */
#include "media/intervals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SPAN = 200 };

static void compare(const struct intervals *set, const bool flags[SPAN])
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < SPAN; i++) {
        int64_t end = i;
        int64_t next = i;
        while (end < SPAN && flags[end])
            end++;
        while (next < SPAN && !flags[next])
            next++;
        bytes += flags[i];
        assert_int_equal(intervals_run_end(set, i), end);
        assert_int_equal(intervals_next(set, i), next == SPAN ? INT64_MAX : next);
        assert_int_equal(intervals_has(set, i, i + 3), end >= i + 3);
    }
    assert_int_equal(set->bytes, bytes);
    for (size_t i = 1; i < set->count; i++)
        assert_true(set->list[i - 1].end < set->list[i].first);
}

static void test_intervals__equal_a_flag_per_byte(void **state)
{
    (void)state;
    srandom(1);
    for (int round = 0; round < 200; round++) {
        struct intervals set = {0};
        bool flags[SPAN] = {false};
        for (int step = 0; step < 60; step++) {
            int64_t first = random() % SPAN;
            int64_t end = first + random() % 20;
            end = end < SPAN ? end : SPAN;
            bool is_add = random() % 3 != 0;
            int r = is_add ? intervals_add(&set, first, end) : intervals_remove(&set, first, end);
            assert_int_equal(r, 0);
            for (int64_t i = first; i < end; i++)
                flags[i] = is_add;
            compare(&set, flags);
        }
        intervals_fini(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intervals__equal_a_flag_per_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
