/* Column P of the fault table: following a task to its end, and the URLs of what came out of it. */
#include "job_harness.h"

static void test_poll__words_lead_forward_only(void **state UNUSED)
{
    static const struct {
        const char *words[5];
        enum job_state expected;
        bool is_video_asked;
    } rows[] = {
        {{"queued", "queued"}, JOB_QUEUED, false},
        {{"running"}, JOB_RUNNING, false},
        {{"running", "running"}, JOB_RUNNING, false},
        {{"running", "queued", "queued"}, JOB_RUNNING, false},
        {{"dreaming"}, JOB_QUEUED, false},
        {{"running", "dreaming", ""}, JOB_RUNNING, false},
        {{"running", "dreaming", "failed"}, JOB_FAILED, false},
        {{"failed"}, JOB_FAILED, false},
        {{"running", "failed"}, JOB_FAILED, false},
        {{"cancelled"}, JOB_CANCELLED, false},
        {{"running", "cancelled"}, JOB_CANCELLED, false},
        {{"expired"}, JOB_EXPIRED, false},
        {{"succeeded"}, JOB_QUEUED, false}, /* without a URL: asked again */
        {{"running", "succeeded", "succeeded"}, JOB_RUNNING, false},
        {{"succeeded!"}, JOB_QUEUED, true},
        {{"running", "succeeded", "succeeded!"}, JOB_RUNNING, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world w;
        world_init(&w);
        struct job *job = job_queued(&w, "cat", "cgt-1");
        for (int k = 0; k < 5 && rows[i].words[k]; k++) {
            if (strcmp(rows[i].words[k], "succeeded!") == 0)
                poll_succeeded(call_wait(&w, job));
            else
                poll_status(call_wait(&w, job), rows[i].words[k]);
        }
        assert_state(job, rows[i].expected);
        assert_int_equal(w.videos, rows[i].is_video_asked);
        bool is_ended = job_state_class(rows[i].expected) != JOB_CLASS_ACTIVE;
        assert_int_equal(job->has_problem, is_ended);
        unsigned polls = w.api.polls;
        world_run(&w, HOUR_MS);
        assert_int_equal(w.api.polls, polls + !(is_ended || rows[i].is_video_asked));
        assert_int_equal(state_on_disk(&w, "cat"), rows[i].expected);
        assert_int_equal(w.api.creates, 1);
        world_fini(&w);
    }
}

static void test_poll__a_strange_word_and_a_missing_url_are_shown_as_reason(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    poll_status(call_wait(&w, job), "dreaming");
    assert_non_null(strstr(detail_of(job)->reason, "\"dreaming\""));
    poll_status(call_wait(&w, job), "succeeded");
    assert_non_null(strstr(detail_of(job)->reason, "no address"));
    poll_status(call_wait(&w, job), "running");
    assert_null(detail_of(job)->reason);
    world_fini(&w);
}

static void test_poll__a_task_is_lost_only_at_the_second_look(void **state UNUSED)
{
    static const struct {
        const char *responses; /* 4: 404, 5: 503, r: running, one after the other */
        enum job_state expected;
    } rows[] = {
        {"4", JOB_QUEUED}, {"44", JOB_LOST},     {"r4", JOB_RUNNING},
        {"r44", JOB_LOST}, {"4r4", JOB_RUNNING}, {"4r44", JOB_LOST},
        {"454", JOB_LOST}, {"555", JOB_QUEUED},  {"4r4r4", JOB_RUNNING},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world w;
        world_init(&w);
        struct job *job = job_queued(&w, "cat", "cgt-1");
        for (const char *p = rows[i].responses; *p; p++) {
            struct api_call *call = call_wait(&w, job);
            if (*p == 'r')
                poll_status(call, "running");
            else
                poll_end(call, *p == '4' ? API_LOST : API_RETRY, *p == '4' ? 404 : 503, -1);
        }
        assert_state(job, rows[i].expected);
        if (rows[i].expected == JOB_LOST)
            assert_true(problem_has(job, "cgt-1"));
        world_fini(&w);
    }
}

static void test_poll__an_response_that_says_nothing_changes_nothing(void **state UNUSED)
{
    static const struct {
        enum api_verdict verdict;
        int http_status;
        bool is_problem;
    } rows[] = {
        {API_RETRY, 0, false},
        {API_RETRY, 500, false},
        {API_RETRY, 503, false},
        {API_UNUSABLE, 200, false},
        {API_THROTTLED, 429, false},
        {API_KEY_REFUSED, 401, true},
        {API_ACCOUNT_REFUSED, 403, true},
        {API_REFUSED, 418, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world w;
        world_init(&w);
        struct job *job = job_queued(&w, "cat", "cgt-1");
        poll_status(call_wait(&w, job), "running");
        for (int k = 0; k < 20; k++) {
            poll_end(call_wait(&w, job), rows[i].verdict, rows[i].http_status, -1);
            assert_state(job, JOB_RUNNING);
            assert_in_range(timers_next_ms(&w.timers), 1, 60 * 1000);
        }
        assert_int_equal(job->has_problem, rows[i].is_problem);
        assert_int_equal(strncmp(detail_of(job)->reason, "stale: ", 7), 0);
        poll_status(call_wait(&w, job), "running");
        assert_false(job->has_problem);
        assert_null(detail_of(job)->reason);
        world_fini(&w);
    }
}

static void
test_poll__a_refused_key_of_a_poll_is_tried_at_once_when_the_key_changes(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    poll_end(call_wait(&w, job), API_KEY_REFUSED, 401, -1);
    jobs_key_changed(w.jobs);
    world_run(&w, 0);
    poll_status(call_of(&w, job), "running");
    assert_false(job->has_problem);
    assert_state(job, JOB_RUNNING);
    world_fini(&w);
}

static void test_poll__retry_after_is_honoured(void **state UNUSED)
{
    static const int64_t retry_after_ms[] = {1, 90 * 1000, HOUR_MS};
    for (size_t i = 0; i < ARRAY_COUNT(retry_after_ms); i++) {
        struct world w;
        world_init(&w);
        struct job *job = job_queued(&w, "cat", "cgt-1");
        poll_end(call_wait(&w, job), i == 0 ? API_RETRY : API_THROTTLED, 429, retry_after_ms[i]);
        world_run(&w, retry_after_ms[i] - 1);
        assert_null(call_of(&w, job));
        world_run(&w, 502);
        assert_non_null(call_of(&w, job));
        world_fini(&w);
    }
}

static void test_poll__after_a_start_or_a_long_sleep_it_asks_at_once(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    world_restart(&w);
    job = jobs_find(w.jobs, "cat");
    assert_state(job, JOB_QUEUED);
    world_run(&w, 1000);
    poll_status(call_of(&w, job), "running");
    fake_clock_advance(&w.clock, HOUR_MS); /* suspended */
    timers_run(&w.timers);
    assert_non_null(call_of(&w, job));
    world_fini(&w);
}

static void test_poll__few_questions_at_once_and_every_job_gets_its_turn(void **state UNUSED)
{
    enum { COUNT = 50 };
    struct world w;
    struct job *jobs[COUNT];
    world_init(&w);
    for (int i = 0; i < COUNT; i++) {
        char name[16];
        char id[16];
        (void)snprintf(name, sizeof(name), "job%d", i);
        (void)snprintf(id, sizeof(id), "cgt-%d", i);
        jobs[i] = job_queued(&w, name, id);
    }
    world_run(&w, 60 * 1000);
    int answered = 0;
    for (int i = 0; answered < COUNT && i < 1000; i++) {
        struct api_call *call;
        world_run(&w, 100);
        int count = 0;
        DL_COUNT(w.api.calls, call, count);
        assert_true(count <= JOB_POLLS_MAX);
        if (w.api.calls) {
            poll_status(w.api.calls, "failed");
            answered++;
        }
    }
    assert_int_equal(answered, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_state(jobs[i], JOB_FAILED);
    world_fini(&w);
}

static void test_poll__a_success_is_one_when_the_video_can_be_opened(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    poll_succeeded(call_wait(&w, job));
    assert_state(job, JOB_QUEUED);
    assert_int_equal(w.videos, 1);
    assert_int_equal(video_bytes_of(job), -1);
    struct job_media_size video = {1234567, "\"etag\""};
    struct job_media_size cover = {4711, NULL};
    jobs_video_set(take_of(job), &video);
    assert_state(job, JOB_SUCCEEDED);
    assert_int_equal(take_of(job)->video_bytes, 1234567);
    jobs_cover_set(take_of(job), &cover);
    for (int round = 0; round < 2; round++) {
        const struct store_attempt *attempt = &detail_of(job)->attempt;
        assert_int_equal(take_of(job)->cover_bytes, 4711);
        assert_int_equal(attempt->actual_usd_micros, 1000000);
        assert_int_equal(attempt->output_ms, 5000);
        assert_true(attempt->url_expires_ms == WALL_START_MS + 24 * HOUR_MS);
        assert_string_equal(attempt->video_etag, "\"etag\"");
        assert_non_null(strstr(attempt->video_url, "sig=s3cret"));
        world_run(&w, 25 * HOUR_MS);
        assert_null(w.api.calls);
        world_restart(&w);
        job = jobs_find(w.jobs, "cat");
        assert_int_equal(take_of(job)->video_bytes, 1234567);
        assert_int_equal(w.videos, 1);
    }
    world_fini(&w);
}

static void test_poll__a_size_that_cannot_be_had_does_not_hide_the_success(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    poll_succeeded(call_wait(&w, job));
    jobs_video_failed(take_of(job), -ERR_MEDIA_STATUS);
    assert_state(job, JOB_SUCCEEDED);
    assert_true(problem_has(job, "cannot be found out"));
    assert_int_equal(video_bytes_of(job), -1);
    /* Asked again by whoever starts next. */
    world_restart(&w);
    job = jobs_find(w.jobs, "cat");
    assert_int_equal(w.videos, 2);
    assert_true(problem_has(job, "cannot be found out"));
    struct job_media_size video = {99, NULL};
    jobs_video_set(take_of(job), &video);
    assert_false(job->has_problem);
    assert_int_equal(take_of(job)->video_bytes, 99);
    world_fini(&w);
}

static void test_poll__a_crash_between_success_and_size_asks_again(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    poll_succeeded(call_wait(&w, job));
    world_crash(&w);
    jobs_start(w.jobs);
    job = jobs_find(w.jobs, "cat");
    poll_succeeded(call_wait(&w, job));
    assert_int_equal(w.videos, 2);
    world_fini(&w);
}

static void test_poll__a_dead_url_is_renewed_by_one_question(void **state UNUSED)
{
    static const struct {
        enum api_verdict verdict; /* API_TASK: with this word */
        const char *word;
        int expected;
    } rows[] = {
        {API_TASK, "succeeded!", 0},
        {API_TASK, "succeeded", -ERR_MEDIA_EXPIRED},
        {API_TASK, "running", -ERR_MEDIA_EXPIRED},
        {API_LOST, NULL, -ERR_MEDIA_GONE},
        {API_RETRY, NULL, -ERR_HTTP_BROKEN},
        {API_REFUSED, NULL, -ERR_MEDIA_EXPIRED},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world w;
        struct job_media_size video = {99, NULL};
        world_init(&w);
        struct job *job = job_queued(&w, "cat", "cgt-1");
        poll_succeeded(call_wait(&w, job));
        jobs_video_set(take_of(job), &video);
        unsigned polls = w.api.polls;
        for (int k = 0; k < 10; k++)
            jobs_url_refresh(take_of(job));
        assert_int_equal(w.api.polls, polls + 1);
        struct api_call *call = call_of(&w, job);
        if (rows[i].verdict != API_TASK)
            poll_end(call, rows[i].verdict, rows[i].verdict == API_LOST ? 404 : 0, -1);
        else if (strcmp(rows[i].word, "succeeded!") == 0)
            poll_succeeded(call);
        else
            poll_status(call, rows[i].word);
        assert_int_equal(w.urls, 1);
        assert_int_equal(w.url_result, rows[i].expected);
        assert_state(job, JOB_SUCCEEDED); /* whatever the service says now */
        world_run(&w, HOUR_MS);
        assert_null(w.api.calls);
        w.api.has_key = false;
        jobs_url_refresh(take_of(job));
        assert_int_equal(w.url_result, -ERR_KEY_MISSING);
        jobs_stop(w.jobs);
        jobs_url_refresh(take_of(job));
        assert_int_equal(w.url_result, -ECANCELED);
        assert_int_equal(w.urls, 3);
        world_fini(&w);
    }
}

/* Found by the model (seeds 2 and 9): the response to such a question ended the following of the
 * task, or was kept as the response to the next attempt. */
static void test_poll__there_is_no_url_to_renew_before_the_video_is_finished(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    for (int i = 0; i < 2; i++) {
        struct api_call *call = call_wait(&w, job);
        assert_null(take_of(job));
        assert_null(jobs_take_get(w.jobs, job->attempt_id));
        poll_status(call, "running");
    }
    poll_status(call_wait(&w, job), "failed");
    assert_null(take_of(job));
    assert_null(w.api.calls);
    world_fini(&w);
}

static void test_poll__a_removed_job_is_not_asked_about(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    for (int kind = 0; kind < 3; kind++) {
        struct job *job = job_queued(&w, "cat", "cgt-1");
        if (kind == 1)
            poll_status(call_wait(&w, job), "running");
        if (kind == 2)
            call_wait(&w, job); /* under way */
        unsigned polls = w.api.polls;
        int64_t attempt_id = job->attempt_id;
        assert_int_equal(jobs_remove(job), 0);
        assert_int_equal(w.unwanted_attempt, attempt_id);
        world_run(&w, HOUR_MS);
        assert_int_equal(w.api.polls, polls);
        assert_int_equal(w.jobs->polls, 0);
        struct store_attempt attempt;
        assert_int_equal(store_attempt_get(w.store, attempt_id, &attempt), 0);
        assert_string_equal(attempt.task_id, "cgt-1");
        store_attempt_fini(&attempt);
    }
    world_fini(&w);
}

static void test_poll__the_last_response_is_kept_as_it_came(void **state UNUSED)
{
    struct world w;
    struct buf out;
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    poll_status(call_wait(&w, job), "running");
    buf_init(&out, 4096);
    assert_int_equal(jobs_blob_get(w.jobs, job->attempt_id, STORE_RESPONSE, &out), 0);
    assert_string_equal(buf_text(&out), "{\"id\":\"cgt-1\",\"status\":\"running\"}");
    poll_end(call_wait(&w, job), API_RETRY, 503, -1);
    buf_clear(&out);
    assert_int_equal(jobs_blob_get(w.jobs, job->attempt_id, STORE_RESPONSE, &out), 0);
    assert_string_equal(buf_text(&out), "{\"id\":\"cgt-1\",\"status\":\"running\"}");
    buf_fini(&out);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_poll__words_lead_forward_only),
        cmocka_unit_test(test_poll__a_strange_word_and_a_missing_url_are_shown_as_reason),
        cmocka_unit_test(test_poll__a_task_is_lost_only_at_the_second_look),
        cmocka_unit_test(test_poll__an_response_that_says_nothing_changes_nothing),
        cmocka_unit_test(test_poll__a_refused_key_of_a_poll_is_tried_at_once_when_the_key_changes),
        cmocka_unit_test(test_poll__retry_after_is_honoured),
        cmocka_unit_test(test_poll__after_a_start_or_a_long_sleep_it_asks_at_once),
        cmocka_unit_test(test_poll__few_questions_at_once_and_every_job_gets_its_turn),
        cmocka_unit_test(test_poll__a_success_is_one_when_the_video_can_be_opened),
        cmocka_unit_test(test_poll__a_size_that_cannot_be_had_does_not_hide_the_success),
        cmocka_unit_test(test_poll__a_crash_between_success_and_size_asks_again),
        cmocka_unit_test(test_poll__a_dead_url_is_renewed_by_one_question),
        cmocka_unit_test(test_poll__there_is_no_url_to_renew_before_the_video_is_finished),
        cmocka_unit_test(test_poll__a_removed_job_is_not_asked_about),
        cmocka_unit_test(test_poll__the_last_response_is_kept_as_it_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
