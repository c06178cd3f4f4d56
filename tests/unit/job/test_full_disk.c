/*
 * A store that refuses: what the user wants fails and changes nothing; what the service said stays
 * true in memory and is written as soon as the disk takes it.
 */
#include "job_harness.h"

static void test_full_disk__what_a_user_wants_fails_and_changes_nothing(void **state UNUSED)
{
    struct world w;
    struct job *other;
    struct job_file *file;
    struct job_file *more;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    struct job *empty = job_make_named(&w, "empty");
    assert_int_equal(user_write(job, "note", "x"), 0);
    file = job_file_find(detail_of(job), "note");
    assert_int_equal(jobs_create_provisional(w.jobs, "soon", &other), 0);
    world_disk_full(&w, true);
    assert_true(jobs_create(w.jobs, "new", &other) < 0);
    assert_null(jobs_find(w.jobs, "new"));
    assert_true(jobs_rename(job, "moved", false) < 0);
    assert_true(jobs_rename(job, "empty", true) < 0);
    assert_true(jobs_remove(job) < 0);
    assert_true(job_file_create(job, "more", 0644, &more) < 0);
    assert_true(job_file_rename(file, job, "other", true) < 0);
    assert_true(job_file_mode_set(file, 0600) < 0);
    assert_int_equal(file->mode, 0644);
    assert_true(job_file_unlink(file) < 0);
    assert_true(jobs_create(w.jobs, "soon", &other) < 0);
    assert_ptr_equal(jobs_find(w.jobs, "cat"), job);
    assert_ptr_equal(jobs_find(w.jobs, "empty"), empty);
    assert_ptr_equal(job_file_find(detail_of(job), "note"), file);
    assert_null(job_file_find(detail_of(job), "more"));
    world_disk_full(&w, false);
    world_restart(&w);
    assert_int_equal(jobs_count(w.jobs), 2);
    job = jobs_find(w.jobs, "cat");
    assert_non_null(job_file_find(detail_of(job), "note"));
    assert_int_equal(jobs_rename(job, "empty", true), 0);
    world_fini(&w);
}

static void test_full_disk__a_request_that_cannot_be_written_down_is_not_sent(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    struct job_file *file;
    assert_int_equal(job_file_create(job, JOB_PROMPT_NAME, 0644, &file), 0);
    assert_int_equal(job_file_open(file, true, false), 0);
    job_file_begin(file);
    assert_int_equal(job_file_write(file, PROMPT, strlen(PROMPT), 0), 0);
    world_disk_full(&w, true);
    assert_true(job_file_flush(file) < 0); /* close(2) says so */
    job_file_close(file, true);
    assert_state(job, JOB_DRAFT);
    assert_true(problem_has(job, "could not be submitted"));
    world_disk_full(&w, false);
    world_run(&w, HOUR_MS);
    assert_int_equal(w.api.creates, 0);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    assert_state(job, JOB_WAITING);
    assert_false(job->has_problem);
    world_fini(&w);
}

/* Each fact in turn meets a full disk: it holds at once, and is on disk soon after there is
 * room. */
static void test_full_disk__facts_hold_in_memory_and_are_written_later(void **state UNUSED)
{
    static const struct {
        const char *word;         /* of the poll that ends it; NULL: the create's end */
        enum api_verdict verdict; /* of the create */
        enum job_state expected;
    } rows[] = {
        {NULL, API_ACCEPTED, JOB_QUEUED},       {NULL, API_AMBIGUOUS, JOB_UNKNOWN},
        {NULL, API_REJECTED, JOB_REJECTED},     {NULL, API_THROTTLED, JOB_WAITING},
        {"running", API_ACCEPTED, JOB_RUNNING}, {"failed", API_ACCEPTED, JOB_FAILED},
        {"expired", API_ACCEPTED, JOB_EXPIRED}, {"cancelled", API_ACCEPTED, JOB_CANCELLED},
        {"lost", API_ACCEPTED, JOB_LOST},       {"succeeded", API_ACCEPTED, JOB_SUCCEEDED},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world w;
        struct job_media_size video = {99, NULL};
        world_init(&w);
        struct job *job = job_submitted(&w, "cat");
        assert_int_equal(call_send(call_of(&w, job)), 0);
        if (rows[i].word)
            create_accept(call_of(&w, job), "cgt-1");
        struct api_call *call = call_wait(&w, job);
        world_disk_full(&w, true);
        if (!rows[i].word && rows[i].verdict == API_ACCEPTED)
            create_accept(call, "cgt-1");
        else if (!rows[i].word)
            create_end(call, rows[i].verdict, 400, 1800 * 1000, "it said");
        else if (strcmp(rows[i].word, "succeeded") == 0)
            poll_succeeded(call);
        else if (strcmp(rows[i].word, "lost") == 0) {
            poll_end(call, API_LOST, 404, -1);
            poll_end(call_wait(&w, job), API_LOST, 404, -1);
        } else
            poll_status(call, rows[i].word);
        if (rows[i].expected == JOB_SUCCEEDED)
            jobs_video_set(take_of(job), &video);
        assert_state(job, rows[i].expected);
        assert_true(detail_of(job)->is_unsaved);
        enum job_state before = rows[i].word ? JOB_QUEUED : JOB_SUBMITTING;
        assert_int_equal(state_on_disk(&w, "cat"), before);
        world_run(&w, 60 * 1000); /* still no room */
        assert_state(job, rows[i].expected);
        assert_int_equal(state_on_disk(&w, "cat"), before);
        world_disk_full(&w, false);
        world_run(&w, JOB_SAVE_AGAIN_MS);
        assert_false(detail_of(job)->is_unsaved);
        assert_null(detail_of(job)->unsaved_response);
        assert_int_equal(state_on_disk(&w, "cat"), rows[i].expected);
        world_fini(&w);
    }
}

static void
test_full_disk__the_response_that_was_paid_for_is_written_with_its_attempt(void **state UNUSED)
{
    /* Room again before the next attempt to save; at the end of the program; in a removed job. */
    for (int kind = 0; kind < 4; kind++) {
        struct world w;
        struct store_attempt attempt;
        world_init(&w);
        struct job *job = job_submitted(&w, "cat");
        int64_t attempt_id = job->attempt_id;
        assert_int_equal(call_send(call_of(&w, job)), 0);
        if (kind == 3) /* removed while it is sent */
            assert_int_equal(jobs_remove(job), 0);
        world_disk_full(&w, true);
        create_accept(call_of(&w, job), "cgt-77");
        world_disk_full(&w, false);
        if (kind == 1)
            assert_int_equal(jobs_remove(job), 0);
        if (kind == 2)
            world_restart(&w);
        else
            world_run(&w, JOB_SAVE_AGAIN_MS);
        assert_int_equal(store_attempt_get(w.store, attempt_id, &attempt), 0);
        assert_string_equal(attempt.task_id, "cgt-77");
        store_attempt_fini(&attempt);
        char *blob = NULL;
        size_t len = 0;
        assert_int_equal(store_attempt_blob_get(w.store, attempt_id, STORE_RESPONSE, &blob, &len),
                         0);
        assert_string_equal(blob, "{\"id\":\"cgt-77\",\"status\":\"queued\"}");
        free(blob);
        world_fini(&w);
    }
}

static void test_full_disk__an_response_never_ends_up_with_the_next_attempt(void **state UNUSED)
{
    struct world w;
    struct store_attempt attempt;
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    int64_t first = job->attempt_id;
    assert_int_equal(call_send(call_of(&w, job)), 0);
    world_disk_full(&w, true);
    create_accept(call_of(&w, job), "cgt-1");
    poll_status(call_wait(&w, job), "failed");
    /* Without room there is no new attempt: the first is not written down yet. */
    assert_true(user_write(job, JOB_PROMPT_NAME, PROMPT) < 0);
    assert_state(job, JOB_FAILED);
    world_disk_full(&w, false);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    assert_int_equal(store_attempt_get(w.store, first, &attempt), 0);
    assert_string_equal(attempt.task_id, "cgt-1");
    assert_true(attempt.finished_ms > 0);
    store_attempt_fini(&attempt);
    assert_int_equal(call_send(call_wait(&w, job)), 0);
    world_crash(&w);
    jobs_start(w.jobs);
    job = jobs_find(w.jobs, "cat");
    assert_int_not_equal(job->attempt_id, first);
    assert_state(job, JOB_UNKNOWN); /* not taken for the task of the attempt before */
    world_fini(&w);
}

/* Found by the model (seed 34): the row of the job was saved with its name, that of the attempt
 * not. */
static void test_full_disk__a_rename_does_not_leave_the_attempt_behind(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    assert_int_equal(call_send(call_of(&w, job)), 0);
    world_disk_full(&w, true);
    create_accept(call_of(&w, job), "cgt-1");
    assert_true(jobs_rename(job, "dog", false) < 0);
    world_disk_full(&w, false);
    assert_int_equal(jobs_rename(job, "dog", false), 0);
    world_crash(&w);
    jobs_start(w.jobs);
    job = jobs_find(w.jobs, "dog");
    assert_state(job, JOB_QUEUED);
    assert_string_equal(detail_of(job)->attempt.task_id, "cgt-1");
    world_fini(&w);
}

static void test_full_disk__a_crash_before_there_is_room_again_is_unknown(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    assert_int_equal(call_send(call_of(&w, job)), 0);
    world_disk_full(&w, true);
    create_accept(call_of(&w, job), "cgt-1");
    world_crash(&w);
    jobs_start(w.jobs);
    job = jobs_find(w.jobs, "cat");
    assert_state(job, JOB_UNKNOWN);
    world_run(&w, HOUR_MS);
    assert_int_equal(w.api.creates, 1);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_disk__what_a_user_wants_fails_and_changes_nothing),
        cmocka_unit_test(test_full_disk__a_request_that_cannot_be_written_down_is_not_sent),
        cmocka_unit_test(test_full_disk__facts_hold_in_memory_and_are_written_later),
        cmocka_unit_test(
            test_full_disk__the_response_that_was_paid_for_is_written_with_its_attempt),
        cmocka_unit_test(test_full_disk__an_response_never_ends_up_with_the_next_attempt),
        cmocka_unit_test(test_full_disk__a_rename_does_not_leave_the_attempt_behind),
        cmocka_unit_test(test_full_disk__a_crash_before_there_is_room_again_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
