/* defaults.json: when it comes into force, what it is used for, and that it never sends
 * anything. */
#include "job_harness.h"

#include "seedancefs/job/defaults.h"

/* `echo text > defaults.json`: the first error. */
static int defaults_write(struct world *w, const char *text)
{
    int r = jobs_defaults_open(w->jobs, true);
    if (r < 0)
        return r;
    r = jobs_defaults_write(w->jobs, text, strlen(text), 0);
    int flushed = jobs_defaults_flush(w->jobs);
    jobs_defaults_close(w->jobs);
    return r < 0 ? r : flushed == -ERR_JSON_INCOMPLETE ? 0 : flushed;
}

static void assert_text(struct world *w, const char *expected)
{
    assert_string_equal(buf_text(jobs_defaults_text(w->jobs)), expected);
    assert_int_equal(jobs_defaults_text(w->jobs)->len, strlen(expected));
}

static bool defaults_problem_has(struct world *w, const char *part)
{
    const char *problem = jobs_defaults_problem(w->jobs);
    return problem && strstr(problem, part);
}

static void assert_body_has(struct world *w, struct job *job, const char *part)
{
    world_run(w, 0);
    assert_non_null(call_of(w, job));
    assert_non_null(strstr(call_of(w, job)->body, part));
}

static void test_defaults__what_was_accepted_is_used_kept_and_shown(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    assert_text(&w, "{}\n");
    assert_int_equal(defaults_write(&w, "{\"duration\": 8}\n"), 0);
    assert_text(&w, "{\"duration\": 8}\n");
    assert_null(jobs_defaults_problem(w.jobs));
    world_crash(&w);
    jobs_start(w.jobs);
    assert_text(&w, "{\"duration\": 8}\n");
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    assert_body_has(&w, job, "\"duration\":8");
    struct job *dog = job_make_named(&w, "dog");
    assert_int_equal(user_write(dog, JOB_PROMPT_TEXT_NAME, "A dog"), 0);
    assert_body_has(&w, dog, "\"duration\":8");
    struct job *own = job_make_named(&w, "own");
    assert_int_equal(user_write(own, JOB_PROMPT_NAME, "{\"prompt\": \"x\", \"duration\": 4}"), 0);
    assert_body_has(&w, own, "\"duration\":4");
    assert_int_equal(w.api.creates, 3);
    world_fini(&w);
}

static void test_defaults__what_is_refused_changes_nothing_and_is_explained(void **state UNUSED)
{
    static const struct {
        const char *text;
        int expected;
        const char *problem;
    } rows[] = {
        {"{\"duration\": 99}", -ERR_PROMPT_INVALID, "line 1, column 14"},
        {"{\n\"duraton\": 8}", -ERR_PROMPT_INVALID, "line 2, column 1"},
        {"A cat", -ERR_PROMPT_INVALID, "one JSON object"},
        {"{\"duration\": 8", 0, "too early"}, /* it might have gone on */
        {"{\"prompt\": \"x\"}", -ERR_PROMPT_INVALID, "has no default"},
    };
    struct world w;
    world_init(&w);
    assert_int_equal(defaults_write(&w, "{\"duration\": 10}"), 0);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(defaults_write(&w, rows[i].text), rows[i].expected);
        assert_text(&w, "{\"duration\": 10}");
        assert_true(defaults_problem_has(&w, rows[i].problem));
        assert_true(defaults_problem_has(&w, "the previous content is in force"));
    }
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    assert_body_has(&w, job, "\"duration\":10");
    assert_int_equal(defaults_write(&w, "{}"), 0);
    assert_null(jobs_defaults_problem(w.jobs));
    world_fini(&w);
}

static void test_defaults__nothing_changes_before_the_last_writer_has_closed(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(jobs_defaults_open(w.jobs, true), 0);
    assert_int_equal(jobs_defaults_open(w.jobs, false), 0);
    assert_int_equal(jobs_defaults_write(w.jobs, "{\"duration\"", 11, 0), 0);
    assert_int_equal(jobs_defaults_flush(w.jobs), 0);
    jobs_defaults_close(w.jobs);
    assert_int_equal(jobs_defaults_write(w.jobs, ": 15}", 5, 11), 0);
    assert_int_equal(jobs_defaults_flush(w.jobs), 0);
    assert_text(&w, "{\"duration\": 15}"); /* as on any filesystem */
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    assert_body_has(&w, job, "\"duration\":5");
    jobs_defaults_close(w.jobs);
    struct job *dog = job_make_named(&w, "dog");
    assert_int_equal(user_write(dog, JOB_PROMPT_NAME, PROMPT), 0);
    assert_body_has(&w, dog, "\"duration\":15");
    world_fini(&w);
}

/* Money: whatever is done to the defaults, what was accepted is sent once and as it was
 * accepted. */
static void test_defaults__a_change_sends_nothing_and_changes_no_request(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    w.api.has_key = false; /* so that it waits */
    struct job *job = job_make_named(&w, "cat");
    struct job *draft = job_make_named(&w, "draft");
    struct job *invalid = job_make_named(&w, "invalid");
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    assert_int_equal(user_write(draft, "note", PROMPT), 0);
    assert_int_equal(user_write(invalid, JOB_PROMPT_NAME, "{\"prompt\": \"x\""), 0);
    world_run(&w, 1000);
    assert_state(job, JOB_WAITING);
    struct buf before;
    struct buf after;
    buf_init(&before, 65536);
    buf_init(&after, 65536);
    assert_int_equal(jobs_blob_get(w.jobs, job->attempt_id, STORE_BODY, &before), 0);
    static const char *const texts[] = {"{\"duration\": 15}", "{\"model\": 5}", "",
                                        "{\"resolution\": \"480p\"}"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        (void)defaults_write(&w, texts[i]);
        world_run(&w, HOUR_MS);
    }
    assert_int_equal(w.api.creates, 0);
    world_restart(&w);
    world_run(&w, HOUR_MS);
    job = jobs_find(w.jobs, "cat");
    assert_state(jobs_find(w.jobs, "draft"), JOB_DRAFT);
    assert_state(jobs_find(w.jobs, "invalid"), JOB_INVALID);
    w.api.has_key = true;
    jobs_key_changed(w.jobs);
    world_run(&w, HOUR_MS);
    assert_int_equal(w.api.creates, 1);
    assert_int_equal(jobs_blob_get(w.jobs, job->attempt_id, STORE_BODY, &after), 0);
    assert_string_equal(buf_text(&before), buf_text(&after));
    assert_string_equal(call_of(&w, job)->body, buf_text(&before));
    /* A retry is the same request again. */
    create_end(call_of(&w, job), API_REJECTED, 400, -1, "no");
    assert_int_equal(job_to_retried(job), 0);
    job_submit_schedule(job, 0);
    world_run(&w, 1000);
    assert_int_equal(w.api.creates, 2);
    assert_string_equal(call_of(&w, job)->body, buf_text(&before));
    buf_fini(&before);
    buf_fini(&after);
    world_fini(&w);
}

static void test_defaults__a_rename_onto_them_is_all_or_nothing(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(user_write(job, "good", "{\"duration\": 6}"), 0);
    assert_int_equal(user_write(job, "bad", "{\"duration\": 6"), 0);
    struct job_file *bad = job_file_find(detail_of(job), "bad");
    assert_int_equal(jobs_defaults_take(w.jobs, bad), -ERR_PROMPT_INVALID);
    assert_ptr_equal(job_file_find(detail_of(job), "bad"), bad);
    assert_text(&w, "{}\n");
    assert_true(defaults_problem_has(&w, "too early"));
    struct job_file *good = job_file_find(detail_of(job), "good");
    assert_int_equal(job_file_open(good, true, false), 0);
    assert_int_equal(jobs_defaults_take(w.jobs, good), -EBUSY);
    job_file_close(good, true);
    assert_int_equal(jobs_defaults_take(w.jobs, good), 0);
    assert_int_equal(job_file_unlink(good), 0);
    assert_null(job_file_find(detail_of(job), "good"));
    assert_text(&w, "{\"duration\": 6}");
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    struct job_file *prompt = job_file_find(detail_of(job), JOB_PROMPT_NAME);
    assert_int_equal(jobs_defaults_take(w.jobs, prompt), -ERR_PROMPT_FROZEN);
    assert_body_has(&w, job, "\"duration\":6");
    world_fini(&w);
}

static void test_defaults__removed_they_are_none_and_nothing_is_left_of_them(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    assert_int_equal(defaults_write(&w, "{\"duration\": 15}"), 0);
    assert_int_equal(jobs_defaults_open(w.jobs, false), 0);
    assert_int_equal(jobs_defaults_remove(w.jobs), -EBUSY);
    jobs_defaults_close(w.jobs);
    assert_int_equal(jobs_defaults_remove(w.jobs), 0);
    assert_false(jobs_defaults_is_there(w.jobs));
    assert_int_equal(faccessat(w.directory_fd, "defaults.json", F_OK, 0), -1);
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    assert_body_has(&w, job, "\"duration\":5");
    world_restart(&w);
    assert_true(jobs_defaults_is_there(w.jobs));
    assert_text(&w, "{}\n");
    world_fini(&w);
}

/* Somebody believes that his defaults are in force. */
static void test_defaults__without_knowing_them_nothing_is_accepted(void **state UNUSED)
{
    static const char *const damaged[] = {"{\"duration\": 4", "{\"model\": \"gone\"}", "\xff\xfe"};
    for (size_t i = 0; i < ARRAY_COUNT(damaged); i++) {
        struct world w;
        world_init(&w);
        assert_int_equal(
            file_replace(w.directory_fd, "defaults.json", damaged[i], strlen(damaged[i]), 0600), 0);
        world_close(&w);
        world_open(&w);
        jobs_start(w.jobs);
        assert_true(defaults_problem_has(&w, "No prompt is accepted"));
        assert_text(&w, damaged[i]);
        struct job *job = job_make_named(&w, "cat");
        assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), -ERR_PROMPT_INVALID);
        assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), -ERR_PROMPT_INVALID);
        assert_state(job, JOB_INVALID);
        assert_true(problem_has(job, "defaults.json"));
        /* Another mistake does not make it better. */
        (void)defaults_write(&w, "{\"duraton\": 5}");
        assert_true(defaults_problem_has(&w, "No prompt is accepted"));
        world_run(&w, HOUR_MS);
        assert_int_equal(w.api.creates, 0);
        assert_int_equal(i ? defaults_write(&w, "{}") : jobs_defaults_remove(w.jobs), 0);
        assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
        world_run(&w, 0);
        assert_int_equal(w.api.creates, 1);
        world_fini(&w);
    }
}

static void test_defaults__what_does_not_fit_on_the_disk_is_refused(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    assert_int_equal(defaults_write(&w, "{\"duration\": 10}"), 0);
    world_disk_full(&w, true);
    assert_true(defaults_write(&w, "{\"duration\": 4}") < 0);
    world_disk_full(&w, false);
    assert_text(&w, "{\"duration\": 10}");
    assert_non_null(jobs_defaults_problem(w.jobs));
    /* Larger than it may be. */
    assert_int_equal(jobs_defaults_open(w.jobs, false), 0);
    assert_int_equal(jobs_defaults_write(w.jobs, "x", 1, JOB_DEFAULTS_BYTES_MAX), -EFBIG);
    assert_int_equal(jobs_defaults_truncate(w.jobs, JOB_DEFAULTS_BYTES_MAX + 1), -EFBIG);
    assert_int_equal(jobs_defaults_flush(w.jobs), -EFBIG);
    jobs_defaults_close(w.jobs);
    assert_text(&w, "{\"duration\": 10}");
    world_restart(&w);
    assert_text(&w, "{\"duration\": 10}");
    assert_null(jobs_defaults_problem(w.jobs));
    world_fini(&w);
}

static void test_defaults__writing_in_place_is_judged_as_a_whole(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    assert_int_equal(defaults_write(&w, "{\"duration\": 10, \"watermark\": true}"), 0);
    /* An editor that writes first and cuts off then passes through nonsense. */
    assert_int_equal(jobs_defaults_open(w.jobs, false), 0);
    assert_int_equal(jobs_defaults_write(w.jobs, "{\"duration\": 9}", 15, 0), 0);
    assert_int_equal(jobs_defaults_truncate(w.jobs, 15), 0);
    assert_int_equal(jobs_defaults_flush(w.jobs), 0);
    jobs_defaults_close(w.jobs);
    assert_text(&w, "{\"duration\": 9}");
    /* Appending is no rewriting. */
    assert_int_equal(jobs_defaults_open(w.jobs, false), 0);
    assert_int_equal(jobs_defaults_write(w.jobs, "x", 1, 15), -ERR_PROMPT_INVALID);
    jobs_defaults_close(w.jobs);
    assert_text(&w, "{\"duration\": 9}");
    /* A hole is filled with what no JSON has. */
    assert_int_equal(jobs_defaults_open(w.jobs, true), 0);
    assert_int_equal(jobs_defaults_write(w.jobs, "{}", 2, 4), 0);
    assert_int_equal(jobs_defaults_flush(w.jobs), -ERR_PROMPT_INVALID);
    jobs_defaults_close(w.jobs);
    assert_text(&w, "{\"duration\": 9}");
    /* truncate(2) by path is a whole writing. */
    assert_int_equal(jobs_defaults_truncate(w.jobs, 3), -ERR_JSON_INCOMPLETE);
    assert_text(&w, "{\"duration\": 9}");
    assert_int_equal(jobs_defaults_truncate(w.jobs, 0), 0);
    assert_text(&w, "");
    /* A writer that died, and one that was told of an error, have written nothing. */
    assert_int_equal(jobs_defaults_open(w.jobs, true), 0);
    assert_int_equal(jobs_defaults_write(w.jobs, "{\"duration\": 4}", 15, 0), 0);
    jobs_defaults_write_dropped(w.jobs);
    jobs_defaults_close(w.jobs);
    assert_text(&w, "");
    assert_int_equal(jobs_defaults_open(w.jobs, true), 0);
    assert_int_equal(jobs_defaults_write(w.jobs, "{\"duration\": 4}", 15, 0), 0);
    jobs_defaults_abandon(w.jobs);
    assert_text(&w, "");
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults__what_was_accepted_is_used_kept_and_shown),
        cmocka_unit_test(test_defaults__what_is_refused_changes_nothing_and_is_explained),
        cmocka_unit_test(test_defaults__nothing_changes_before_the_last_writer_has_closed),
        cmocka_unit_test(test_defaults__a_change_sends_nothing_and_changes_no_request),
        cmocka_unit_test(test_defaults__a_rename_onto_them_is_all_or_nothing),
        cmocka_unit_test(test_defaults__removed_they_are_none_and_nothing_is_left_of_them),
        cmocka_unit_test(test_defaults__without_knowing_them_nothing_is_accepted),
        cmocka_unit_test(test_defaults__what_does_not_fit_on_the_disk_is_refused),
        cmocka_unit_test(test_defaults__writing_in_place_is_judged_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
