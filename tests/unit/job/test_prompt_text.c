/* prompt.txt: what its content does, and that a job has one prompt and one task, whichever form it
 * has. */
#include "job_harness.h"

#define TEXT JOB_PROMPT_TEXT_NAME

static struct job_file *file_named(struct job *job, const char *name)
{
    struct job_file *file = job_file_find(detail_of(job), name);
    assert_non_null(file);
    return file;
}

static bool prompt_problem_has(struct job *job, const char *part)
{
    const char *problem = detail_of(job)->prompt_problem;
    return problem && strstr(problem, part);
}

static void test_text__what_a_closed_text_holds_decides_the_state(void **state UNUSED)
{
    static const struct {
        const char *text;
        int expected; /* of write or flush */
        enum job_state after;
        const char *problem;
        const char *body; /* part of what is sent */
    } rows[] = {
        {"A cat\n", 0, JOB_WAITING, NULL, "\"prompt\":\"A cat\""},
        {" A \"cat\"\n{\n", 0, JOB_WAITING, NULL, "\"prompt\":\"A \\\"cat\\\"\\n{\""},
        {"", 0, JOB_DRAFT, NULL, NULL},
        {" \n\t", 0, JOB_DRAFT, NULL, NULL},
        {"caf\xc3", 0, JOB_INVALID, "prompt.txt: the text is empty or cut off", NULL},
        {"caf\xe9 x", -ERR_PROMPT_INVALID, JOB_INVALID, "prompt.txt: the text is not valid UTF-8",
         NULL},
        {PROMPT, 0, JOB_INVALID, "belongs in prompt.json", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world w;
        world_init(&w);
        struct job *job = job_make_named(&w, "cat");
        assert_int_equal(user_write(job, TEXT, rows[i].text), rows[i].expected);
        assert_state(job, rows[i].after);
        assert_int_equal(job->has_problem, rows[i].problem != NULL);
        if (rows[i].problem)
            assert_true(problem_has(job, rows[i].problem));
        world_run(&w, 10 * 1000);
        assert_int_equal(w.api.creates, rows[i].body != NULL);
        if (rows[i].body)
            assert_non_null(strstr(call_of(&w, job)->body, rows[i].body));
        world_fini(&w);
    }
}

static void test_text__nothing_is_sent_before_the_last_writer_has_closed(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    struct job_file *file;
    assert_int_equal(job_file_create(job, TEXT, 0644, &file), 0);
    assert_int_equal(job_file_open(file, true, false), 0);
    assert_int_equal(job_file_open(file, true, false), 0);
    job_file_begin(file);
    assert_int_equal(job_file_write(file, "A ", 2, 0), 0);
    assert_int_equal(job_file_flush(file), 0);
    job_file_close(file, true);
    assert_int_equal(job_file_write(file, "cat", 3, 2), 0);
    assert_int_equal(job_file_flush(file), 0);
    world_run(&w, 60 * 1000);
    assert_int_equal(w.api.creates, 0);
    job_file_close(file, true);
    world_run(&w, 0);
    assert_int_equal(w.api.creates, 1);
    assert_non_null(strstr(call_of(&w, job)->body, "\"A cat\""));
    world_fini(&w);
}

static void test_text__the_second_form_of_a_prompt_cannot_be_made(void **state UNUSED)
{
    static const char *const names[2] = {JOB_PROMPT_NAME, TEXT};
    static const char *const contents[] = {"", "\xff"};
    for (size_t first = 0; first < 2; first++) {
        for (size_t i = 0; i < ARRAY_COUNT(contents); i++) {
            const char *second = names[1 - first];
            struct world w;
            world_init(&w);
            struct job *job = job_make_named(&w, "cat");
            struct job_file *file;
            (void)user_write(job, names[first], contents[i]);
            enum job_state before = job->state;
            assert_int_equal(job_file_create(job, second, 0644, &file), -EEXIST);
            assert_true(prompt_problem_has(job, "a job has one prompt"));
            assert_int_equal(user_write(job, "note", "A cat"), 0);
            file = file_named(job, "note");
            assert_int_equal(job_file_rename(file, job, second, true), -EEXIST);
            assert_state(job, before);
            assert_non_null(job_file_find(detail_of(job), "note"));
            /* Once the first one is gone, the second may come. */
            assert_int_equal(job_file_unlink(file_named(job, names[first])), 0);
            assert_null(detail_of(job)->prompt_problem);
            assert_int_equal(user_write(job, second, first == 1 ? PROMPT : "A cat"), 0);
            world_run(&w, 0);
            assert_int_equal(w.api.creates, 1);
            world_fini(&w);
        }
    }
}

/* Every way to a second task: the other form beside, onto and after an accepted prompt. */
static void test_text__an_accepted_prompt_of_either_form_freezes_both(void **state UNUSED)
{
    static const char *const names[2] = {JOB_PROMPT_NAME, TEXT};
    static const char *const contents[2] = {PROMPT, "A cat"};
    for (size_t first = 0; first < 2; first++) {
        for (int is_removed = 0; is_removed < 2; is_removed++) {
            struct world w;
            world_init(&w);
            struct job *job = job_make_named(&w, "cat");
            assert_int_equal(user_write(job, "note", contents[1 - first]), 0);
            assert_int_equal(user_write(job, names[first], contents[first]), 0);
            world_run(&w, 0);
            create_accept(call_of(&w, job), "cgt-1");
            if (is_removed)
                assert_int_equal(job_file_unlink(file_named(job, names[first])), 0);
            else
                assert_true(job_file_is_frozen(file_named(job, names[first])));
            for (size_t i = 0; i < 2; i++)
                assert_int_equal(user_write(job, names[i], contents[i]), -ERR_PROMPT_FROZEN);
            for (size_t i = 0; i < 2; i++)
                assert_int_equal(job_file_rename(file_named(job, "note"), job, names[i], true),
                                 -ERR_PROMPT_FROZEN);
            world_run(&w, 1000);
            assert_int_equal(w.api.creates, 1);
            assert_state(job, JOB_QUEUED);
            world_fini(&w);
        }
    }
}

static void test_text__a_text_can_become_the_request_and_the_request_a_text(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(user_write(job, TEXT, PROMPT), 0); /* the wrong file */
    assert_state(job, JOB_INVALID);
    assert_int_equal(job_file_rename(file_named(job, TEXT), job, JOB_PROMPT_NAME, true), 0);
    world_run(&w, 0);
    assert_int_equal(w.api.creates, 1);
    struct job *dog = job_make_named(&w, "dog");
    assert_int_equal(user_write(dog, JOB_PROMPT_NAME, "A dog"), -ERR_PROMPT_INVALID);
    assert_int_equal(job_file_rename(file_named(dog, JOB_PROMPT_NAME), dog, TEXT, true), 0);
    world_run(&w, 0);
    assert_int_equal(w.api.creates, 2);
    assert_non_null(strstr(call_of(&w, dog)->body, "\"A dog\""));
    world_fini(&w);
}

static void
test_text__a_text_that_was_not_submitted_is_not_sent_at_the_next_start(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    struct job_file *file;
    assert_int_equal(job_file_create(job, TEXT, 0644, &file), 0);
    assert_int_equal(job_file_open(file, true, false), 0);
    assert_int_equal(job_file_write(file, "A cat", 5, 0), 0);
    world_crash(&w);
    jobs_start(w.jobs);
    world_run(&w, HOUR_MS);
    job = jobs_find(w.jobs, "cat");
    assert_state(job, JOB_DRAFT);
    assert_true(problem_has(job, "before prompt.txt was submitted"));
    assert_int_equal(w.api.creates, 0);
    world_fini(&w);
}

static void test_text__who_is_told_to_write_it_again_is_told_its_name(void **state UNUSED)
{
    for (int i = 0; i < 3; i++) {
        struct world w;
        world_init(&w);
        struct job *job = job_make_named(&w, "cat");
        assert_int_equal(user_write(job, TEXT, "A cat"), 0);
        struct api_call *call = call_wait(&w, job);
        assert_int_equal(call_send(call), 0);
        if (i == 0) {
            create_end(call, API_REJECTED, 400, -1, "no");
            assert_state(job, JOB_REJECTED);
        } else {
            create_accept(call, "cgt-1");
            call = call_wait(&w, job);
            if (i == 1)
                poll_status(call, "failed");
            else
                poll_end(call, API_LOST, 404, -1);
            if (i == 2)
                poll_end(call_wait(&w, job), API_LOST, 404, -1);
        }
        assert_true(job->has_problem);
        assert_true(problem_has(job, TEXT));
        assert_false(problem_has(job, JOB_PROMPT_NAME));
        world_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text__what_a_closed_text_holds_decides_the_state),
        cmocka_unit_test(test_text__nothing_is_sent_before_the_last_writer_has_closed),
        cmocka_unit_test(test_text__the_second_form_of_a_prompt_cannot_be_made),
        cmocka_unit_test(test_text__an_accepted_prompt_of_either_form_freezes_both),
        cmocka_unit_test(test_text__a_text_can_become_the_request_and_the_request_a_text),
        cmocka_unit_test(test_text__a_text_that_was_not_submitted_is_not_sent_at_the_next_start),
        cmocka_unit_test(test_text__who_is_told_to_write_it_again_is_told_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
