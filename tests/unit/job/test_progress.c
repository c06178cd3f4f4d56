/* How far a job is said to be: never back, never all of it before success, and right about its
 * kind. */
#include "job_harness.h"

#include "job/poll_plan.h"
#include "seedancefs/base/random.h"

#include <math.h>

static struct job_progress progress_of(struct job *job)
{
    struct job_progress progress;
    assert_int_equal(job_progress_get(job, &progress), 0);
    return progress;
}

static void test_progress__grows_with_the_age_whatever_was_learned(void **state UNUSED)
{
    uint64_t random = 7;
    for (int kind = 0; kind < 200; kind++) {
        struct poll_learned learned;
        poll_learned_init(&learned, 4000 + (int64_t)(random_next(&random) % 11000));
        for (uint64_t i = random_next(&random) % 40; i > 0; i--)
            poll_learned_add(&learned, 1 + (int64_t)(random_next(&random) % 600000));
        double before = 0;
        for (int64_t age_ms = 0; age_ms < INT64_C(7) * 86400 * 1000; age_ms += 50 + age_ms / 50) {
            int64_t left_ms = poll_plan_left_ms(&learned, age_ms);
            assert_true(left_ms >= 0);
            double share = (double)age_ms / (double)(age_ms + left_ms + 1);
            assert_true(share < 1);
            /* Both are whole milliseconds. */
            assert_true(share >= before - 2.0 / (double)(age_ms + left_ms + 1));
            before = share > before ? share : before;
        }
    }
}

static void test_progress__half_of_those_that_came_so_far_take_less(void **state UNUSED)
{
    struct poll_learned learned;
    poll_learned_init(&learned, 5000);
    double median_ms = exp(learned.log_median);
    assert_in_range(poll_plan_left_ms(&learned, 0), (int64_t)median_ms - 10,
                    (int64_t)median_ms + 10);
    for (double age_ms = median_ms / 3; age_ms < 4 * median_ms; age_ms += median_ms / 3) {
        double end_ms = age_ms + (double)poll_plan_left_ms(&learned, (int64_t)age_ms);
        double tails[2];
        for (int i = 0; i < 2; i++) {
            double z = (log(i ? end_ms : age_ms) - learned.log_median) / learned.log_sigma;
            tails[i] = erfc(z / sqrt(2)) / 2;
        }
        assert_true(fabs(tails[1] / tails[0] - 0.5) < 0.01);
    }
}

static void
test_progress__of_a_job_never_goes_back_and_is_whole_with_success_alone(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    w.jobs->settings.poll_interval_ms = 1000;
    struct job *job = job_submitted(&w, "cat");
    assert_int_equal(progress_of(job).permille, 0);
    assert_int_equal(progress_of(job).eta_ms, -1);
    create_accept(call_of(&w, job), "cgt-1");
    assert_int_equal(progress_of(job).permille, 0);
    /* Nothing was ever seen: what the service's users say. */
    assert_in_range(progress_of(job).eta_ms, 60 * 1000, 180 * 1000);
    int before = 0;
    for (int i = 0; i < 600; i++) {
        world_run(&w, timers_next_ms(&w.timers));
        poll_status(call_of(&w, job), "running");
        int permille = progress_of(job).permille;
        assert_in_range(permille, before, 990);
        before = permille;
    }
    assert_true(before > 800);
    world_run(&w, timers_next_ms(&w.timers));
    poll_succeeded(call_of(&w, job));
    assert_int_equal(job->state, JOB_RUNNING);
    assert_int_equal(progress_of(job).permille, 990);
    assert_int_equal(progress_of(job).eta_ms, 0);
    struct job_media_size size = {1000, NULL};
    jobs_video_set(take_of(job), &size);
    assert_int_equal(progress_of(job).permille, 1000);
    assert_int_equal(progress_of(job).eta_ms, 0);
    world_fini(&w);
}

static void test_progress__does_not_fall_when_like_tasks_prove_slow(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    w.jobs->settings.poll_interval_ms = 1000;
    struct job_media_size size = {1000, NULL};
    struct job *job = job_queued(&w, "first", "cgt-1");
    for (int i = 0; i < 100; i++) {
        world_run(&w, timers_next_ms(&w.timers));
        poll_status(call_of(&w, job), "running");
    }
    int before = progress_of(job).permille;
    int64_t eta_ms = progress_of(job).eta_ms;
    assert_true(before > 400);
    struct poll_learned learned;
    job_poll_learned_get(job, &learned);
    /* A task of the same kind that took twenty minutes ends. */
    struct job *slow = job_queued(&w, "slow", "cgt-2");
    slow->detail->start_ms -= 1200 * 1000;
    while (slow->state != JOB_SUCCEEDED) {
        world_run(&w, timers_next_ms(&w.timers));
        if (call_of(&w, job))
            poll_status(call_of(&w, job), "running");
        if (!call_of(&w, slow))
            continue;
        poll_succeeded(call_of(&w, slow));
        jobs_video_set(take_of(slow), &size);
    }
    assert_true(progress_of(job).eta_ms > eta_ms);
    assert_true(progress_of(job).permille >= before);
    world_fini(&w);
}

static void test_progress__says_nothing_of_what_has_ended_badly(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job;
    assert_int_equal(jobs_create(w.jobs, "draft", &job), 0);
    assert_int_equal(progress_of(job).permille, 0);
    assert_int_equal(progress_of(job).eta_ms, -1);
    job = job_queued(&w, "cat", "cgt-1");
    world_run(&w, timers_next_ms(&w.timers));
    poll_status(call_of(&w, job), "failed");
    assert_state(job, JOB_FAILED);
    assert_int_equal(progress_of(job).permille, -1);
    assert_int_equal(progress_of(job).eta_ms, -1);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress__grows_with_the_age_whatever_was_learned),
        cmocka_unit_test(test_progress__half_of_those_that_came_so_far_take_less),
        cmocka_unit_test(test_progress__of_a_job_never_goes_back_and_is_whole_with_success_alone),
        cmocka_unit_test(test_progress__does_not_fall_when_like_tasks_prove_slow),
        cmocka_unit_test(test_progress__says_nothing_of_what_has_ended_badly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
