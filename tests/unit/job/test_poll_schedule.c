/*
 * When tasks are asked about, in virtual time: against the client of the service's own guide, which
 * asks every five seconds from the start, against the bound that no schedule can beat, and with
 * more jobs than the rate limit likes.
 */
#include "job_harness.h"

#include "job/poll_plan.h"
#include "seedancefs/base/random.h"
#include "seedancefs/job/ctl.h"

#include <limits.h>
#include <math.h>

enum { TASKS = 1000, CLIENT_MS = 5000, MANY = 2000 };
/* Each poll takes its time under the sanitizers: there are fewer of them. */
#ifdef __SANITIZE_ADDRESS__
enum { FIRST_ROW = 1, LAST_ROW = 1, MANY_S = 400 };
#else
enum { FIRST_ROW = 0, LAST_ROW = 2, MANY_S = 2000 };
#endif

static double uniform(uint64_t *random)
{
    return ((double)(random_next(random) >> 11) + 0.5) / 9007199254740992.0;
}

static int64_t log_normal_ms(uint64_t *random, double median_ms, double sigma)
{
    double z = sqrt(-2 * log(uniform(random))) * cos(2 * M_PI * uniform(random));
    return (int64_t)(median_ms * exp(sigma * z));
}

/* (∫ sqrt(S f) dt)^2 in ms, by the rectangle rule in t: another way than that of the plan. */
static double bound_ms(double median_ms, double sigma)
{
    double sum = 0;
    const double step = 50;
    for (double t = step / 2; t < 100 * median_ms; t += step) {
        double z = log(t / median_ms) / sigma;
        double f = exp(-z * z / 2) / (sqrt(2 * M_PI) * sigma * t);
        sum += sqrt(f * erfc(z / sqrt(2)) / 2) * step;
    }
    return sum * sum;
}

struct cost {
    double polls;    /* per task */
    double delay_ms; /* mean */
};

/* One task after the other, through the whole job layer: what was learned of one serves the
 * next. */
static struct cost tasks_follow(struct world *w, uint64_t random, double median_ms, double sigma,
                                struct cost *client)
{
    struct cost cost = {0};
    *client = cost;
    for (int i = 0; i < TASKS; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "cgt-%d", i);
        int64_t took_ms = log_normal_ms(&random, median_ms, sigma);
        struct job *job = job_queued(w, "task", id);
        int64_t end_ms = w->clock.monotonic_ms + took_ms;
        struct job_media_size size = {1000, NULL};
        client->polls += (double)((took_ms + CLIENT_MS - 1) / CLIENT_MS) / TASKS;
        client->delay_ms += (double)(CLIENT_MS - took_ms % CLIENT_MS) / TASKS;
        while (job->state != JOB_SUCCEEDED) {
            world_run(w, timers_next_ms(&w->timers));
            struct api_call *call = call_of(w, job);
            if (!call)
                continue;
            cost.polls += 1.0 / TASKS;
            if (w->clock.monotonic_ms < end_ms) {
                poll_status(call, "running");
                continue;
            }
            cost.delay_ms += (double)(w->clock.monotonic_ms - end_ms) / TASKS;
            poll_succeeded(call);
            jobs_video_set(take_of(job), &size);
        }
        assert_int_equal(jobs_remove(job), 0);
    }
    return cost;
}

static void test_schedule__beats_the_guides_client_and_nears_the_bound(void **state UNUSED)
{
    static const struct {
        double median_ms, sigma;
        double delay_most; /* of the client's mean delay */
        double bound_most;
    } rows[] = {
        {110 * 1000, 0.35, 0.70, 1.3}, /* what was measured of the service */
        {60 * 1000, 0.35, 0.80, 1.3},
        {300 * 1000, 0.6, 1.3, 1.4},
    };
    for (size_t i = FIRST_ROW; i <= LAST_ROW; i++) {
        struct world w;
        struct cost client;
        world_init(&w);
        struct cost cost = tasks_follow(&w, 1 + i, rows[i].median_ms, rows[i].sigma, &client);
        double bound = cost.polls * 2 * cost.delay_ms / bound_ms(rows[i].median_ms, rows[i].sigma);
        print_message(
            "# median %.0f s, sigma %.2f: %.2f polls, %.2f s late; every 5 s: %.2f, %.2f s "
            "(%.2f x the delay, %.2f x the polls, %.2f x the bound)\n",
            rows[i].median_ms / 1000, rows[i].sigma, cost.polls, cost.delay_ms / 1000, client.polls,
            client.delay_ms / 1000, cost.delay_ms / client.delay_ms, cost.polls / client.polls,
            bound);
        assert_true(cost.delay_ms <= rows[i].delay_most * client.delay_ms);
        assert_true(cost.polls <= client.polls);
        assert_true(bound <= rows[i].bound_most);
        world_fini(&w);
    }
}

static void
test_schedule__what_was_learned_survives_a_restart_and_is_of_its_kind(void **state UNUSED)
{
    struct world w;
    struct cost client;
    struct poll_learned learned;
    world_init(&w);
    (void)tasks_follow(&w, 7, 20 * 1000, 0.2, &client);
    world_restart(&w);
    struct job *job = job_queued(&w, "like", "cgt-like");
    job_poll_learned_get(job, &learned);
    assert_true(learned.weight >= POLL_LEARNED_MAX - 1);
    assert_true(fabs(exp(learned.log_median) - 20000) < 2000);
    struct job *other = job_make_named(&w, "other");
    assert_int_equal(
        user_write(other, JOB_PROMPT_NAME, "{\"prompt\": \"b\", \"resolution\": \"480p\"}"), 0);
    job_poll_learned_get(other, &learned);
    assert_true(learned.weight < 1);
    world_fini(&w);
}

static void test_schedule__a_gap_in_the_answers_teaches_nothing(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    struct job_media_size size = {1000, NULL};
    poll_status(call_wait(&w, job), "running");
    fake_clock_advance(&w.clock, HOUR_MS); /* suspended */
    poll_succeeded(call_wait(&w, job));
    jobs_video_set(take_of(job), &size);
    assert_state(job, JOB_SUCCEEDED);
    assert_int_equal(detail_of(job)->attempt.generation_ms, -1);
    world_fini(&w);
}

static void test_schedule__a_queued_task_has_not_begun(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    for (int i = 0; i < 20; i++)
        poll_status(call_wait(&w, job), "queued");
    assert_true(detail_of(job)->start_ms == w.clock.monotonic_ms);
    poll_status(call_wait(&w, job), "running");
    assert_true(detail_of(job)->start_ms < w.clock.monotonic_ms);
    world_fini(&w);
}

static void test_schedule__every_interval_is_bounded_at_any_age(void **state UNUSED)
{
    static const int64_t samples[] = {1, 50, 1000, 110 * 1000, 3600 * 1000};
    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        struct poll_learned learned;
        poll_learned_init(&learned, 5000);
        for (int n = 0; n < 500; n++)
            poll_learned_add(&learned, samples[i]);
        for (int64_t age_ms = -HOUR_MS; age_ms < 8 * 24 * HOUR_MS;
             age_ms += 1 + llabs(age_ms) / 7) {
            int64_t delay_ms = poll_plan_delay_ms(&learned, age_ms, 1000);
            assert_in_range(delay_ms, 1000, 60 * 1000);
            assert_true(age_ms > 600 * 1000 || delay_ms <= 30 * 1000);
            assert_true(delay_ms >= age_ms / 80 || delay_ms == 60 * 1000);
        }
    }
}

/* MANY jobs that go on for ever, each answered at once, for `seconds`. */
static void many_follow(struct world *w, struct job **jobs, unsigned *asked, int seconds)
{
    int64_t end_ms = w->clock.monotonic_ms + seconds * 1000;
    int64_t second_ms = w->clock.monotonic_ms;
    unsigned in_second = 0;
    while (w->clock.monotonic_ms < end_ms) {
        int64_t next_ms = timers_next_ms(&w->timers);
        world_run(w, next_ms < 0 || next_ms > 1000 ? 1000 : next_ms);
        if (w->clock.monotonic_ms - second_ms >= 1000) {
            second_ms = w->clock.monotonic_ms;
            in_second = 0;
        }
        while (w->api.calls) {
            for (int i = 0; i < MANY; i++)
                asked[i] += call_of(w, jobs[i]) == w->api.calls;
            poll_status(w->api.calls, "running");
            assert_true(++in_second <= 20); /* ten in each second, ten at once after a rest */
        }
    }
}

static void test_schedule__two_thousand_jobs_share_the_rate_fairly(void **state UNUSED)
{
    static struct job *jobs[MANY];
    static unsigned asked[MANY];
    struct world w;
    world_init(&w);
    for (int i = 0; i < MANY; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "many-%d", i);
        jobs[i] = job_queued(&w, text, text);
    }
    many_follow(&w, jobs, asked, MANY_S);
    unsigned sum = 0;
    unsigned least = UINT_MAX;
    unsigned most = 0;
    for (int i = 0; i < MANY; i++) {
        sum += asked[i];
        least = asked[i] < least ? asked[i] : least;
        most = asked[i] > most ? asked[i] : most;
    }
    print_message("# %d jobs in %d s: %u polls, each job %u to %u\n", MANY, MANY_S, sum, least,
                  most);
    assert_in_range(sum, MANY_S * 10 - 400, MANY_S * 10 + 10); /* the first ones come later */
    assert_true(most - least <= 2);
    world_fini(&w);
}

static void test_schedule__retry_after_of_one_holds_for_all(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *one = job_queued(&w, "one", "cgt-1");
    struct job *two = job_queued(&w, "two", "cgt-2");
    poll_end(call_wait(&w, one), API_THROTTLED, 429, 600 * 1000);
    while (call_of(&w, two)) /* it was under way already */
        poll_status(call_of(&w, two), "running");
    unsigned polls = w.api.polls;
    world_run(&w, 600 * 1000 - 1);
    assert_int_equal(w.api.polls, polls);
    world_run(&w, 1000);
    assert_non_null(call_of(&w, one));
    assert_non_null(call_of(&w, two));
    world_fini(&w);
}

static void
test_schedule__a_service_at_rest_is_left_alone_but_for_a_waiting_reader(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    struct job *done = job_queued(&w, "done", "cgt-2");
    struct job_media_size size = {1000, NULL};
    poll_succeeded(call_wait(&w, done));
    jobs_video_set(take_of(done), &size);
    if (call_of(&w, job))
        poll_status(call_of(&w, job), "running");
    w.api.rest_ms = 60 * 1000;
    unsigned polls = w.api.polls;
    world_run(&w, HOUR_MS);
    assert_int_equal(w.api.polls, polls);
    assert_non_null(strstr(detail_of(job)->reason, "stale: "));
    jobs_url_refresh(take_of(done));
    assert_non_null(call_of(&w, done));
    assert_null(call_of(&w, job));
    poll_succeeded(call_of(&w, done));
    assert_int_equal(job_ctl_run(job, "refresh", 7), 0);
    assert_non_null(call_of(&w, job));
    poll_status(call_of(&w, job), "running");
    w.api.rest_ms = 0;
    world_run(&w, 60 * 1000);
    assert_non_null(call_of(&w, job));
    world_fini(&w);
}

/* A fixed interval is the user's wish; the limit then lets so many jobs have it. */
static void test_schedule__a_fixed_interval_is_kept(void **state UNUSED)
{
    static const int64_t intervals_ms[] = {1, 100, 5000, 60 * 1000};
    for (size_t i = 0; i < ARRAY_COUNT(intervals_ms); i++) {
        struct world w;
        world_init(&w);
        w.jobs->settings.poll_interval_ms = intervals_ms[i];
        struct job *job = job_queued(&w, "cat", "cgt-1");
        for (int n = 0; n < 50; n++) {
            int64_t next_ms = timers_next_ms(&w.timers);
            assert_in_range(next_ms, intervals_ms[i] * 9 / 10, intervals_ms[i] * 11 / 10);
            world_run(&w, next_ms);
            poll_status(call_of(&w, job), "running");
        }
        world_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedule__beats_the_guides_client_and_nears_the_bound),
        cmocka_unit_test(test_schedule__what_was_learned_survives_a_restart_and_is_of_its_kind),
        cmocka_unit_test(test_schedule__a_gap_in_the_answers_teaches_nothing),
        cmocka_unit_test(test_schedule__a_queued_task_has_not_begun),
        cmocka_unit_test(test_schedule__every_interval_is_bounded_at_any_age),
        cmocka_unit_test(test_schedule__two_thousand_jobs_share_the_rate_fairly),
        cmocka_unit_test(test_schedule__retry_after_of_one_holds_for_all),
        cmocka_unit_test(test_schedule__a_service_at_rest_is_left_alone_but_for_a_waiting_reader),
        cmocka_unit_test(test_schedule__a_fixed_interval_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
