#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "seedancefs/base/backoff.h"

#include <stdio.h>

static void test_backoff__random_numbers_are_those_of_splitmix64(void **state)
{
    (void)state;
    uint64_t seed = 1234567;
    assert_true(random_next(&seed) == 6457827717110365317u);
    assert_true(random_next(&seed) == 3203168211198807973u);
}

static void test_backoff__delays_have_full_jitter_and_a_cap(void **state)
{
    (void)state;
    static const struct {
        unsigned failures;
        int64_t cap_ms, max_ms;
    } rows[] = {
        {0, 20000, 500},   {1, 20000, 500},   {2, 20000, 1000},     {3, 20000, 2000},
        {6, 20000, 16000}, {7, 20000, 20000}, {1000, 20000, 20000}, {4000000000u, 60000, 60000},
        {8, 60000, 60000}, {7, 60000, 32000}, {3, 100, 100},        {1, 0, 0},
    };
    uint64_t random_state = 42;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t least = INT64_MAX, most = 0, sum = 0;
        for (int n = 0; n < 2000; n++) {
            int64_t ms = backoff_delay_ms(rows[i].failures, rows[i].cap_ms, &random_state);
            least = ms < least ? ms : least;
            most = ms > most ? ms : most;
            sum += ms;
        }
        assert_true(least >= 0 && least <= rows[i].max_ms / 20);
        assert_true(most <= rows[i].max_ms && most >= rows[i].max_ms * 19 / 20);
        assert_in_range(sum / 2000, rows[i].max_ms * 9 / 20, rows[i].max_ms * 11 / 20);
    }
}

static void test_backoff__a_dead_service_is_asked_little_more_than_once(void **state)
{
    (void)state;
    struct retry_bucket bucket;
    retry_bucket_init(&bucket, 10);
    int requests = 0;
    for (int operation = 0; operation < 1000; operation++) {
        int attempts = 1;
        while (attempts < 3 && retry_bucket_take(&bucket))
            attempts++;
        requests += attempts;
    }
    assert_int_equal(requests, 1010);
    for (int i = 0; i < 9; i++)
        retry_bucket_earn(&bucket);
    assert_false(retry_bucket_take(&bucket));
    retry_bucket_earn(&bucket);
    assert_true(retry_bucket_take(&bucket));
    for (int i = 0; i < 1000; i++)
        retry_bucket_earn(&bucket);
    for (int i = 0; i < 10; i++)
        assert_true(retry_bucket_take(&bucket));
    assert_false(retry_bucket_take(&bucket));
}

static void test_backoff__a_breaker_opens_probes_and_closes(void **state)
{
    (void)state;
    struct breaker breaker;
    breaker_init(&breaker, 3, 1000);
    for (int i = 0; i < 3; i++) {
        assert_true(breaker_admit(&breaker, i));
        breaker_failure(&breaker, i);
    }
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_false(breaker_admit(&breaker, 1001));
    breaker_failure(&breaker, 900); /* one that was under way */
    assert_true(breaker_admit(&breaker, 1002));
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    assert_false(breaker_admit(&breaker, 1002)); /* one probe at a time */
    breaker_abandon(&breaker);
    assert_true(breaker_admit(&breaker, 1002));
    breaker_failure(&breaker, 2000); /* twice as long now */
    assert_false(breaker_admit(&breaker, 3999));
    assert_true(breaker_admit(&breaker, 4000));
    breaker_success(&breaker);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_true(breaker_admit(&breaker, 4000));
}

static void test_backoff__a_cool_down_ends_within_a_minute(void **state)
{
    (void)state;
    struct breaker breaker;
    breaker_init(&breaker, 1, 1000);
    int64_t now_ms = 0;
    for (int i = 0; i < 100; i++) {
        assert_true(breaker_admit(&breaker, now_ms));
        breaker_failure(&breaker, now_ms);
        assert_in_range(breaker.open_until_ms - now_ms, 1000, 60000);
        now_ms = breaker.open_until_ms;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff__random_numbers_are_those_of_splitmix64),
        cmocka_unit_test(test_backoff__delays_have_full_jitter_and_a_cap),
        cmocka_unit_test(test_backoff__a_dead_service_is_asked_little_more_than_once),
        cmocka_unit_test(test_backoff__a_breaker_opens_probes_and_closes),
        cmocka_unit_test(test_backoff__a_cool_down_ends_within_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
