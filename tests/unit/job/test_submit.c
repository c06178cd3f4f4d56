/*
 * Column C of the fault table: what each outcome of a create leads to, that nothing is ever sent
 * twice for one attempt, and that each step is on disk before the next is taken. The fake service
 * ends the test when a second request that may cost money is started for an attempt.
 */
#include "job_harness.h"

static void
test_submit__each_verdict_leads_to_its_state_and_never_to_a_second_task(void **state UNUSED)
{
    static const struct {
        enum api_verdict verdict;
        int http_status; /* 0: no response */
        bool is_sent;
        enum job_state expected;
        bool is_sent_again; /* some day, by itself */
        const char *problem;
    } rows[] = {
        {API_UNSENT, 0, false, JOB_WAITING, true, "cannot be reached"},
        {API_UNSENT, 0, true, JOB_WAITING, true, "cannot be reached"},
        {API_AMBIGUOUS, 0, true, JOB_UNKNOWN, false, "not known whether"},
        {API_AMBIGUOUS, 500, true, JOB_UNKNOWN, false, "HTTP 500"},
        {API_AMBIGUOUS, 502, true, JOB_UNKNOWN, false, "HTTP 502"},
        {API_AMBIGUOUS, 408, true, JOB_UNKNOWN, false, "HTTP 408"},
        {API_AMBIGUOUS, 302, true, JOB_UNKNOWN, false, "HTTP 302"},
        {API_AMBIGUOUS, 200, true, JOB_UNKNOWN, false, "HTTP 200"},
        {API_REJECTED, 400, true, JOB_REJECTED, false, "HTTP 400"},
        {API_REJECTED, 404, true, JOB_REJECTED, false, "no good"},
        {API_THROTTLED, 429, true, JOB_WAITING, true, NULL},
        {API_QUOTA, 429, true, JOB_WAITING, false, "quota"},
        {API_KEY_REFUSED, 401, true, JOB_WAITING, false, "API key"},
        {API_ACCOUNT_REFUSED, 402, true, JOB_WAITING, false, "account"},
        {API_ACCOUNT_REFUSED, 403, true, JOB_WAITING, false, "account"},
        /* What only a poll may say proves nothing about a create. */
        {API_TASK, 200, true, JOB_UNKNOWN, false, "not known whether"},
        {API_RETRY, 503, true, JOB_UNKNOWN, false, "not known whether"},
        {API_LOST, 404, true, JOB_UNKNOWN, false, "not known whether"},
        {API_UNUSABLE, 200, true, JOB_UNKNOWN, false, "not known whether"},
        {API_REFUSED, 418, true, JOB_UNKNOWN, false, "not known whether"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world w;
        world_init(&w);
        struct job *job = job_submitted(&w, "cat");
        struct api_call *call = call_of(&w, job);
        if (rows[i].is_sent) {
            assert_int_equal(call_send(call), 0);
            assert_state(job, JOB_SUBMITTING);
        }
        create_end(call, rows[i].verdict, rows[i].http_status, -1, "no good");
        assert_state(job, rows[i].expected);
        assert_int_equal(state_on_disk(&w, "cat"), rows[i].expected);
        if (rows[i].problem)
            assert_true(problem_has(job, rows[i].problem));
        else
            assert_false(job->has_problem);
        assert_int_equal(w.api.creates, 1);
        world_run(&w, 25 * HOUR_MS);
        assert_int_equal(w.api.creates, rows[i].is_sent_again ? 2 : 1);
        assert_int_equal(jobs_is_submitting(w.jobs), rows[i].is_sent_again);
        world_fini(&w);
    }
}

static void test_submit__nothing_but_the_user_leads_out_of_unknown(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    struct api_call *call = call_of(&w, job);
    assert_int_equal(call_send(call), 0);
    create_end(call, API_AMBIGUOUS, 0, -1, "");
    jobs_key_changed(w.jobs);
    assert_null(take_of(job));
    world_run(&w, 25 * HOUR_MS);
    world_restart(&w);
    world_run(&w, 25 * HOUR_MS);
    jobs_key_changed(w.jobs);
    world_run(&w, HOUR_MS);
    world_crash(&w);
    jobs_start(w.jobs);
    world_run(&w, 25 * HOUR_MS);
    job = jobs_find(w.jobs, "cat");
    assert_state(job, JOB_UNKNOWN);
    assert_true(problem_has(job, "not known whether"));
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), -ERR_PROMPT_FROZEN);
    assert_int_equal(w.api.creates, 1);
    assert_int_equal(w.api.polls, 0);
    world_fini(&w);
}

static void test_submit__submitting_is_on_disk_and_synced_before_the_first_byte(void **state UNUSED)
{
    struct world w;
    struct world later;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    int syncs = sync_count;
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    assert_true(sync_count > syncs); /* the intent */
    assert_int_equal(state_on_disk(&w, "cat"), JOB_WAITING);
    world_run(&w, 0);
    assert_int_equal(state_on_disk(&w, "cat"), JOB_WAITING);
    syncs = sync_count;
    struct api_call *call = call_of(&w, job);
    assert_string_equal(call->body,
                        "{\"model\":\"doubao-seedance-2.0\",\"prompt\":\"A cat surfing at sunset\","
                        "\"duration\":5,\"resolution\":\"720p\",\"aspect_ratio\":\"adaptive\","
                        "\"generate_audio\":true,\"watermark\":false}");
    assert_int_equal(call_send(call), 0);
    assert_true(sync_count > syncs);
    world_init_copy(&later, &w);
    job = jobs_find(later.jobs, "cat");
    assert_state(job, JOB_SUBMITTING);
    assert_int_equal(detail_of(job)->attempt.submitted_ms, WALL_START_MS);
    jobs_start(later.jobs);
    assert_state(job, JOB_UNKNOWN);
    assert_true(problem_has(job, "before a response was on disk"));
    world_run(&later, 25 * HOUR_MS);
    assert_int_equal(later.api.creates, 0);
    world_fini(&later);
    world_fini(&w);
}

static void test_submit__an_response_that_is_on_disk_is_taken_up_after_a_crash(void **state UNUSED)
{
    static const struct {
        const char *body;
        enum job_state expected;
    } rows[] = {
        {"{\"id\":\"cgt-7\",\"status\":\"queued\"}", JOB_QUEUED},
        {"{\"id\":\"cgt-7\"}", JOB_QUEUED},
        {"{\"id\":\"cgt-7\",\"status\":\"que", JOB_UNKNOWN},
        {"{\"status\":\"queued\"}", JOB_UNKNOWN},
        {"<html>", JOB_UNKNOWN},
        {"", JOB_UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world w;
        world_init(&w);
        struct job *job = job_submitted(&w, "cat");
        struct api_call *call = call_of(&w, job);
        assert_int_equal(call_send(call), 0);
        int syncs = sync_count;
        assert_int_equal(call_receive(call, rows[i].body), 0);
        assert_true(sync_count > syncs); /* before anything looks at it */
        world_crash(&w);
        job = jobs_find(w.jobs, "cat");
        assert_state(job, JOB_SUBMITTING);
        jobs_start(w.jobs);
        assert_state(job, rows[i].expected);
        assert_int_equal(state_on_disk(&w, "cat"), rows[i].expected);
        world_run(&w, 60 * 1000);
        assert_int_equal(w.api.creates, 1);
        if (rows[i].expected == JOB_QUEUED)
            assert_string_equal(call_of(&w, job)->task_id, "cgt-7");
        else
            assert_int_equal(w.api.polls, 0);
        world_fini(&w);
    }
}

static void test_submit__without_a_durable_intent_nothing_is_sent(void **state UNUSED)
{
    for (int kind = 0; kind < 2; kind++) {
        struct world w;
        world_init(&w);
        struct job *job = job_submitted(&w, "cat");
        if (kind == 0)
            world_disk_full(&w, true);
        else
            sync_errno = EIO;
        assert_true(call_send(call_of(&w, job)) < 0);
        assert_state(job, JOB_WAITING);
        assert_int_equal(detail_of(job)->attempt.submitted_ms, 0);
        world_disk_full(&w, false);
        sync_errno = 0;
        /* A commit whose sync failed may be found by a crash: that errs to the safe side. */
        enum job_state on_disk = state_on_disk(&w, "cat");
        assert_true(on_disk == JOB_WAITING || (kind == 1 && on_disk == JOB_SUBMITTING));
        /* The disk works again: it is tried again, once. */
        create_accept(call_wait(&w, job), "cgt-1");
        assert_state(job, JOB_QUEUED);
        assert_int_equal(api_attempt_get(&w.api, job->attempt_id)->sends, 1);
        world_fini(&w);
    }
}

static void test_submit__what_cannot_start_is_tried_again_with_growing_delays(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    w.api.start_result = -ENOMEM;
    world_run(&w, 10 * 60 * 1000);
    assert_state(job, JOB_WAITING);
    assert_non_null(strstr(detail_of(job)->reason, "tries again"));
    assert_in_range(detail_of(job)->failures, 10, 200);
    w.api.start_result = 0;
    create_accept(call_wait(&w, job), "cgt-1");
    assert_null(detail_of(job)->reason);
    world_fini(&w);
}

static void test_submit__a_429_is_never_answered_earlier_than_told(void **state UNUSED)
{
    static const int64_t retry_after_ms[] = {1000, 30 * 1000, HOUR_MS};
    for (size_t i = 0; i < ARRAY_COUNT(retry_after_ms); i++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct world w;
            world_init(&w);
            w.jobs->random_state = seed;
            struct job *job = job_submitted(&w, "cat");
            struct job *other = job_make_named(&w, "dog");
            assert_int_equal(call_send(call_of(&w, job)), 0);
            create_end(call_of(&w, job), API_THROTTLED, 429, retry_after_ms[i], "slow down");
            assert_non_null(strstr(detail_of(job)->reason, "slow down"));
            /* Holds for whatever comes later as well. */
            assert_int_equal(user_write(other, JOB_PROMPT_NAME, PROMPT), 0);
            world_run(&w, retry_after_ms[i] - 1);
            assert_int_equal(w.api.creates, 1);
            world_run(&w, 1002);
            assert_non_null(call_of(&w, job));
            assert_non_null(call_of(&w, other));
            world_fini(&w);
        }
    }
}

static void test_submit__a_429_without_a_time_shortens_nothing_that_was_told(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *told = job_submitted(&w, "cat");
    struct job *untold = job_submitted(&w, "dog");
    struct job *later = job_make_named(&w, "cow");
    assert_int_equal(call_send(call_of(&w, told)), 0);
    assert_int_equal(call_send(call_of(&w, untold)), 0);
    create_end(call_of(&w, told), API_THROTTLED, 429, 30 * 1000, "");
    create_end(call_of(&w, untold), API_THROTTLED, 429, -1, "");
    assert_int_equal(user_write(later, JOB_PROMPT_NAME, PROMPT), 0);
    world_run(&w, 30 * 1000 - 1);
    assert_int_equal(w.api.creates, 2);
    world_run(&w, 1002);
    assert_int_equal(w.api.creates, 5);
    world_fini(&w);
}

static void test_submit__a_429_without_a_time_backs_off_to_a_minute(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    for (int i = 0; i < 12; i++) {
        struct api_call *call = call_wait(&w, job);
        assert_int_equal(call_send(call), 0);
        int64_t told_at_ms = w.clock.monotonic_ms;
        create_end(call, API_THROTTLED, 429, -1, "");
        assert_state(job, JOB_WAITING);
        int64_t delay_ms = timers_next_ms(&w.timers);
        assert_in_range(delay_ms, 500, 60 * 1000);
        assert_true(told_at_ms == w.clock.monotonic_ms);
    }
    assert_int_equal(api_attempt_get(&w.api, job->attempt_id)->sends, 12);
    world_fini(&w);
}

static void test_submit__a_wall_clock_that_jumps_does_not_change_what_was_told(void **state UNUSED)
{
    static const int64_t jumps_ms[] = {24 * HOUR_MS, -24 * HOUR_MS};
    for (size_t i = 0; i < ARRAY_COUNT(jumps_ms); i++) {
        struct world w;
        world_init(&w);
        struct job *job = job_submitted(&w, "cat");
        struct job *other = job_make_named(&w, "dog");
        assert_int_equal(call_send(call_of(&w, job)), 0);
        create_end(call_of(&w, job), API_THROTTLED, 429, 10 * 1000, "");
        w.clock.wall_ms += jumps_ms[i];
        assert_int_equal(user_write(other, JOB_PROMPT_NAME, PROMPT), 0);
        world_run(&w, 10 * 1000 - 1);
        assert_int_equal(w.api.creates, 1);
        world_run(&w, 1002);
        assert_non_null(call_of(&w, job));
        assert_non_null(call_of(&w, other));
        world_fini(&w);
    }
}

static void test_submit__a_wall_clock_that_jumps_sends_nothing_twice(void **state UNUSED)
{
    static const int64_t jumps_ms[] = {24 * HOUR_MS, -24 * HOUR_MS};
    for (size_t i = 0; i < ARRAY_COUNT(jumps_ms); i++) {
        struct world w;
        world_init(&w);
        struct job *job = job_submitted(&w, "cat");
        w.clock.wall_ms += jumps_ms[i];
        assert_int_equal(call_send(call_of(&w, job)), 0);
        w.clock.wall_ms += jumps_ms[i];
        world_run(&w, 60 * 1000);
        create_accept(call_of(&w, job), "cgt-1");
        w.clock.wall_ms += jumps_ms[i];
        world_run(&w, 2 * 60 * 1000);
        assert_int_equal(w.api.creates, 1);
        assert_int_equal(w.api.polls, 1); /* the schedule does not stop either */
        world_fini(&w);
    }
}

static void test_submit__a_closed_gate_holds_all_jobs_until_the_key_changes(void **state UNUSED)
{
    static const struct {
        enum api_verdict verdict;
        int http_status;
        const char *problem;
    } rows[] = {
        {API_KEY_REFUSED, 401, "refused the API key"},
        {API_ACCOUNT_REFUSED, 402, "refuses this account"},
        {API_QUOTA, 429, "quota"},
        {API_UNSENT, 0, "no API key"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world w;
        world_init(&w);
        struct job *first = job_make_named(&w, "first");
        struct job *second = job_make_named(&w, "second");
        bool is_missing = rows[i].http_status == 0;
        w.api.has_key = !is_missing;
        assert_int_equal(user_write(first, JOB_PROMPT_NAME, PROMPT), 0);
        world_run(&w, 0);
        if (!is_missing) {
            assert_int_equal(call_send(call_of(&w, first)), 0);
            create_end(call_of(&w, first), rows[i].verdict, rows[i].http_status, 5000, "go away");
            assert_true(problem_has(first, "go away"));
        }
        assert_int_equal(user_write(second, JOB_PROMPT_NAME, PROMPT), 0);
        world_run(&w, 25 * HOUR_MS);
        assert_int_equal(w.api.creates, is_missing ? 0 : 1);
        struct job *both[] = {first, second};
        for (int k = 0; k < 2; k++) {
            assert_state(both[k], JOB_WAITING);
            assert_true(problem_has(both[k], rows[i].problem));
            assert_true(problem_has(both[k], "nothing is lost"));
            assert_non_null(strstr(detail_of(both[k])->reason, rows[i].problem));
        }
        w.api.has_key = true;
        jobs_key_changed(w.jobs);
        world_run(&w, 0);
        for (int k = 0; k < 2; k++) {
            create_accept(call_of(&w, both[k]), k ? "cgt-2" : "cgt-1");
            assert_state(both[k], JOB_QUEUED);
            assert_false(both[k]->has_problem);
            assert_null(detail_of(both[k])->reason);
        }
        world_fini(&w);
    }
}

/* A refusal of the old key may come after the new one was given: nobody would give it a second
 * time. */
static void test_submit__a_late_refusal_does_not_close_the_gate_again(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    assert_int_equal(call_send(call_of(&w, job)), 0);
    jobs_key_changed(w.jobs);
    create_end(call_of(&w, job), API_KEY_REFUSED, 401, -1, "");
    assert_state(job, JOB_WAITING);
    create_accept(call_wait(&w, job), "cgt-1");
    assert_state(job, JOB_QUEUED);
    job = job_submitted(&w, "dog");
    assert_int_equal(call_send(call_of(&w, job)), 0);
    create_end(call_of(&w, job), API_KEY_REFUSED, 401, -1, "");
    world_run(&w, HOUR_MS);
    assert_null(call_of(&w, job)); /* of the new key it does */
    world_fini(&w);
}

static void test_submit__a_restart_opens_the_gate_for_one_more_look(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    assert_int_equal(call_send(call_of(&w, job)), 0);
    create_end(call_of(&w, job), API_KEY_REFUSED, 401, -1, "");
    world_restart(&w);
    world_run(&w, 0);
    job = jobs_find(w.jobs, "cat");
    create_accept(call_of(&w, job), "cgt-1");
    assert_state(job, JOB_QUEUED);
    assert_false(job->has_problem);
    world_fini(&w);
}

static void
test_submit__few_creates_are_under_way_at_once_and_all_get_their_turn(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    for (int i = 0; i < 20; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "job%d", i);
        assert_int_equal(user_write(job_make_named(&w, name), JOB_PROMPT_NAME, PROMPT), 0);
    }
    for (int i = 0; i < 20; i++) {
        char id[16];
        struct api_call *call;
        int count = 0;
        world_run(&w, 0);
        DL_COUNT(w.api.calls, call, count);
        assert_int_equal(count, 20 - i < JOB_CREATES_MAX ? 20 - i : JOB_CREATES_MAX);
        (void)snprintf(id, sizeof(id), "cgt-%d", i);
        create_accept(w.api.calls, id);
    }
    assert_false(jobs_is_submitting(w.jobs));
    assert_int_equal(w.api.tasks_made, 20);
    world_fini(&w);
}

static void test_submit__a_removed_job_that_waits_is_never_sent(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    /* Its time has not come; it stands in the queue; its call is prepared. */
    for (int i = 0; i < 3; i++) {
        struct job *busy[JOB_CREATES_MAX] = {NULL};
        if (i == 1) {
            for (int k = 0; k < JOB_CREATES_MAX; k++) {
                char name[16];
                (void)snprintf(name, sizeof(name), "busy%d", k);
                busy[k] = job_submitted(&w, name);
            }
        }
        struct job *job = job_make_named(&w, "cat");
        assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
        if (i > 0)
            world_run(&w, 0);
        unsigned creates = w.api.creates;
        int64_t id = job->id;
        assert_int_equal(jobs_remove(job), 0);
        assert_null(jobs_get(w.jobs, id));
        for (int k = 0; k < JOB_CREATES_MAX; k++) {
            if (busy[k])
                create_accept(call_of(&w, busy[k]), "cgt-1");
        }
        world_run(&w, 0);
        assert_false(jobs_is_submitting(w.jobs));
        world_run(&w, 10 * 1000);
        assert_int_equal(w.api.creates, creates);
        assert_int_equal(w.unwanted, (unsigned)i + 1);
    }
    world_restart(&w);
    world_run(&w, 10 * 1000);
    assert_null(jobs_find(w.jobs, "cat"));
    world_fini(&w);
}

static void
test_submit__a_removed_job_that_somebody_still_reads_is_not_sent_either(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    for (int i = 0; i < 2; i++) {
        struct job *job = job_make_named(&w, "cat");
        assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
        struct job_file *file = job_file_find(detail_of(job), JOB_PROMPT_NAME);
        assert_int_equal(job_file_open(file, false, false), 0);
        if (i == 1) {
            world_run(&w, 0);
            assert_int_equal(call_send(call_of(&w, job)), 0);
        }
        assert_int_equal(jobs_remove(job), 0);
        if (i == 1)
            create_end(call_of(&w, job), API_THROTTLED, 429, 1000, "");
        world_run(&w, HOUR_MS);
        assert_null(w.api.calls);
        assert_int_equal(w.api.creates, i);
        job_file_close(file, false);
    }
    world_fini(&w);
}

static void
test_submit__a_job_removed_while_it_is_sent_still_keeps_its_response(void **state UNUSED)
{
    static const struct {
        enum api_verdict verdict;
        int http_status;
        const char *text;
    } rows[] = {
        {API_ACCEPTED, 200, "cgt-9"},   {API_AMBIGUOUS, 500, "HTTP 500"},
        {API_REJECTED, 400, "no good"}, {API_THROTTLED, 429, NULL},
        {API_KEY_REFUSED, 401, NULL},   {API_UNSENT, 0, NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world w;
        struct store_attempt attempt;
        world_init(&w);
        struct job *job = job_submitted(&w, "cat");
        struct api_call *call = call_of(&w, job);
        int64_t attempt_id = job->attempt_id;
        assert_int_equal(call_send(call), 0);
        assert_int_equal(jobs_remove(job), 0);
        assert_null(jobs_find(w.jobs, "cat"));
        assert_true(jobs_is_submitting(w.jobs));
        if (rows[i].verdict == API_ACCEPTED)
            create_accept(call, "cgt-9");
        else
            create_end(call, rows[i].verdict, rows[i].http_status, 1000, "no good");
        assert_false(jobs_is_submitting(w.jobs));
        world_run(&w, HOUR_MS);
        assert_int_equal(w.api.creates, 1);
        assert_int_equal(w.api.polls, 0);
        assert_int_equal(store_attempt_get(w.store, attempt_id, &attempt), 0);
        if (rows[i].verdict == API_ACCEPTED)
            assert_string_equal(attempt.task_id, rows[i].text);
        else if (rows[i].text)
            assert_non_null(strstr(attempt.error_message, rows[i].text));
        store_attempt_fini(&attempt);
        world_fini(&w);
    }
}

static void
test_submit__a_stop_starts_nothing_new_and_waits_for_what_is_under_way(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *sent = job_submitted(&w, "sent");
    struct job *late = job_make_named(&w, "late");
    assert_int_equal(call_send(call_of(&w, sent)), 0);
    assert_int_equal(user_write(late, JOB_PROMPT_NAME, PROMPT), 0);
    jobs_stop(w.jobs);
    world_run(&w, 60 * 1000);
    assert_true(jobs_is_submitting(w.jobs));
    assert_null(call_of(&w, late));
    create_accept(call_of(&w, sent), "cgt-1");
    assert_false(jobs_is_submitting(w.jobs));
    world_run(&w, HOUR_MS);
    assert_null(w.api.calls);
    world_restart(&w);
    world_run(&w, 60 * 1000);
    late = jobs_find(w.jobs, "late");
    sent = jobs_find(w.jobs, "sent");
    assert_null(call_of(&w, late)->task_id);
    assert_string_equal(call_of(&w, sent)->task_id, "cgt-1");
    world_fini(&w);
}

static void test_submit__an_end_without_the_response_leaves_submitting_on_disk(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    assert_int_equal(call_send(call_of(&w, job)), 0);
    world_close(&w);
    world_open(&w);
    job = jobs_find(w.jobs, "cat");
    assert_state(job, JOB_SUBMITTING);
    jobs_start(w.jobs);
    assert_state(job, JOB_UNKNOWN);
    world_fini(&w);
}

static void test_submit__each_rewriting_of_an_ended_job_is_one_new_attempt(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    int64_t attempts[6];
    for (int i = 0; i < 6; i++) {
        char id[16];
        attempts[i] = job->attempt_id;
        assert_int_equal(detail_of(job)->attempt.number, i + 1);
        if (i > 0)
            assert_true(attempts[i] > attempts[i - 1]);
        if (i == 0) {
            assert_int_equal(call_send(call_of(&w, job)), 0);
            create_end(call_of(&w, job), API_REJECTED, 400, -1, "no good");
        } else {
            static const char *const words[] = {"",        "failed", "cancelled",
                                                "expired", "failed", "failed"};
            (void)snprintf(id, sizeof(id), "cgt-%d", i);
            create_accept(call_of(&w, job), id);
            poll_status(call_wait(&w, job), words[i]);
        }
        assert_int_equal(job_state_class(job->state), JOB_CLASS_EDITABLE);
        assert_true(job->has_problem);
        assert_int_equal(w.api.creates, i + 1);
        assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
        assert_state(job, JOB_WAITING);
        assert_false(job->has_problem);
        world_run(&w, 0);
    }
    for (int i = 0; i < 6; i++) {
        struct store_attempt attempt;
        assert_int_equal(api_attempt_get(&w.api, attempts[i])->sends, 1);
        assert_int_equal(store_attempt_get(w.store, attempts[i], &attempt), 0);
        assert_int_equal(attempt.number, i + 1);
        assert_int_equal(attempt.job_id, job->id);
        assert_true(attempt.finished_ms > 0);
        store_attempt_fini(&attempt);
    }
    world_fini(&w);
}

static void test_submit__an_end_waits_only_for_what_was_sent(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *sent = job_submitted(&w, "sent");
    assert_int_equal(call_send(call_of(&w, sent)), 0);
    struct job *connecting = job_make_named(&w, "connecting");
    assert_int_equal(user_write(connecting, JOB_PROMPT_NAME, PROMPT), 0);
    world_run(&w, 0);
    assert_non_null(call_of(&w, connecting));
    jobs_stop(w.jobs);
    assert_null(call_of(&w, connecting));
    assert_true(jobs_is_submitting(w.jobs));
    create_accept(call_of(&w, sent), "cgt-1");
    assert_false(jobs_is_submitting(w.jobs));
    assert_state(sent, JOB_QUEUED);
    world_restart(&w);
    world_run(&w, 0);
    create_accept(call_of(&w, jobs_find(w.jobs, "connecting")), "cgt-2");
    world_fini(&w);
}

static void test_submit__what_a_service_asked_for_holds_over_a_restart(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    assert_int_equal(call_send(call_of(&w, job)), 0);
    create_end(call_of(&w, job), API_THROTTLED, 429, 600 * 1000, "slow down");
    world_run(&w, 100 * 1000);
    world_crash(&w);
    jobs_start(w.jobs);
    job = jobs_find(w.jobs, "cat");
    world_run(&w, 500 * 1000 - 1);
    assert_null(call_of(&w, job));
    world_run(&w, 2000);
    assert_non_null(call_of(&w, job));
    /* A wall clock that was set back cannot make it more than an hour. */
    assert_int_equal(call_send(call_of(&w, job)), 0);
    create_end(call_of(&w, job), API_THROTTLED, 429, 600 * 1000, "slow down");
    w.clock.wall_ms -= 24 * HOUR_MS;
    world_restart(&w);
    job = jobs_find(w.jobs, "cat");
    world_run(&w, HOUR_MS + 2000);
    assert_non_null(call_of(&w, job));
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_submit__each_verdict_leads_to_its_state_and_never_to_a_second_task),
        cmocka_unit_test(test_submit__nothing_but_the_user_leads_out_of_unknown),
        cmocka_unit_test(test_submit__submitting_is_on_disk_and_synced_before_the_first_byte),
        cmocka_unit_test(test_submit__an_response_that_is_on_disk_is_taken_up_after_a_crash),
        cmocka_unit_test(test_submit__without_a_durable_intent_nothing_is_sent),
        cmocka_unit_test(test_submit__what_cannot_start_is_tried_again_with_growing_delays),
        cmocka_unit_test(test_submit__a_429_is_never_answered_earlier_than_told),
        cmocka_unit_test(test_submit__a_429_without_a_time_shortens_nothing_that_was_told),
        cmocka_unit_test(test_submit__a_429_without_a_time_backs_off_to_a_minute),
        cmocka_unit_test(test_submit__a_wall_clock_that_jumps_does_not_change_what_was_told),
        cmocka_unit_test(test_submit__a_wall_clock_that_jumps_sends_nothing_twice),
        cmocka_unit_test(test_submit__a_closed_gate_holds_all_jobs_until_the_key_changes),
        cmocka_unit_test(test_submit__a_late_refusal_does_not_close_the_gate_again),
        cmocka_unit_test(test_submit__a_restart_opens_the_gate_for_one_more_look),
        cmocka_unit_test(test_submit__few_creates_are_under_way_at_once_and_all_get_their_turn),
        cmocka_unit_test(test_submit__a_removed_job_that_waits_is_never_sent),
        cmocka_unit_test(test_submit__a_removed_job_that_somebody_still_reads_is_not_sent_either),
        cmocka_unit_test(test_submit__a_job_removed_while_it_is_sent_still_keeps_its_response),
        cmocka_unit_test(test_submit__a_stop_starts_nothing_new_and_waits_for_what_is_under_way),
        cmocka_unit_test(test_submit__an_end_without_the_response_leaves_submitting_on_disk),
        cmocka_unit_test(test_submit__each_rewriting_of_an_ended_job_is_one_new_attempt),
        cmocka_unit_test(test_submit__what_a_service_asked_for_holds_over_a_restart),
        cmocka_unit_test(test_submit__an_end_waits_only_for_what_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
