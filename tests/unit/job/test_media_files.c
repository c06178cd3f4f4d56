/* Files beside prompt.json that it names: the request is submitted when all of them are there, whole, and not
 * before; and by nothing else that is written into the job. */
#include "job_harness.h"
#include "seedancefs/job/ctl.h"

#define PNG "\x89PNG\r\n\x1a\n0123456789"
#define NAMES_ONE "{\"prompt\": \"x\", \"image_url\": \"a.png\"}"
#define NAMES_TWO "{\"prompt\": \"x\", \"image_urls\": [\"a.png\", \"b.png\"]}"

static struct job *job_waiting_for_media(struct world *w, const char *text)
{
    struct job *job = job_make_named(w, "cat");
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, text), 0);
    assert_state(job, JOB_INVALID);
    assert_true(problem_has(job, "\"a.png\" is not beside prompt.json yet"));
    return job;
}

/* The handle, open for writing. */
static struct job_file *file_begun(struct job *job, const char *name)
{
    struct job_file *file = job_file_find(detail_of(job), name);
    if (!file)
        assert_int_equal(job_file_create(job, name, 0644, &file), 0);
    assert_int_equal(job_file_open(file, true, true), 0);
    job_file_begin(file);
    return file;
}

static void test_media_files__the_last_of_them_submits(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_waiting_for_media(&w, NAMES_TWO);
    assert_int_equal(user_write(job, "a.png", PNG), 0);
    assert_state(job, JOB_INVALID);
    assert_false(problem_has(job, "a.png"));
    assert_true(problem_has(job, "b.png"));
    assert_int_equal(user_write(job, "notes", "x"), 0);
    assert_state(job, JOB_INVALID);
    assert_int_equal(user_write(job, "b.png", PNG), 0);
    assert_state(job, JOB_WAITING);
    world_run(&w, 10 * 1000);
    assert_int_equal(w.api.creates, 1);
    assert_non_null(strstr(call_of(&w, job)->body, "data:image/png;base64,"));
    world_fini(&w);
}

static void test_media_files__a_rename_is_an_arrival(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_waiting_for_media(&w, NAMES_ONE);
    struct job *other = job_make_named(&w, "other");
    assert_int_equal(user_write(other, "picture", PNG), 0);
    struct job_file *file = job_file_find(detail_of(other), "picture");
    assert_int_equal(job_file_rename(file, job, ".a.png.AX3", true), 0);
    assert_state(job, JOB_INVALID);
    assert_int_equal(job_file_rename(file, job, "a.png", true), 0);
    assert_state(job, JOB_WAITING);
    world_fini(&w);
}

static void test_media_files__a_prompt_may_be_renamed_into_place_first(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(user_write(job, ".prompt.json.AX3", NAMES_ONE), 0);
    struct job_file *file = job_file_find(detail_of(job), ".prompt.json.AX3");
    assert_int_equal(job_file_rename(file, job, JOB_PROMPT_NAME, true), 0);
    assert_state(job, JOB_INVALID);
    assert_int_equal(user_write(job, "a.png", PNG), 0);
    assert_state(job, JOB_WAITING);
    world_fini(&w);
}

static void test_media_files__what_is_not_whole_does_not_count(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_waiting_for_media(&w, NAMES_ONE);

    assert_int_equal(user_write(job, "a.png", ""), 0);
    assert_state(job, JOB_INVALID);

    struct job_file *file = file_begun(job, "a.png"); /* its writer is killed */
    assert_int_equal(job_file_write(file, PNG, 12, 0), 0);
    job_file_cut(file);
    assert_int_equal(job_file_flush(file), 0);
    job_file_close(file, true);
    assert_state(job, JOB_INVALID);

    file = file_begun(job, "a.png"); /* a write fails, and its writer does not care */
    assert_int_equal(job_file_write(file, PNG, 12, 0), 0);
    assert_int_equal(job_file_write(file, "x", 1, INT64_MAX), -EFBIG);
    job_file_close(file, true);
    assert_state(job, JOB_INVALID);

    file = file_begun(job, "a.png"); /* the mount goes away */
    assert_int_equal(job_file_write(file, PNG, 12, 0), 0);
    job_file_abandon(file, true);
    assert_state(job, JOB_INVALID);
    assert_true(problem_has(job, "\"a.png\" is not beside prompt.json yet"));

    file = file_begun(job, "a.png"); /* two write it: the last of them */
    assert_int_equal(job_file_open(file, true, false), 0);
    assert_int_equal(job_file_write(file, PNG, strlen(PNG), 0), 0);
    job_file_close(file, true);
    assert_state(job, JOB_INVALID);
    job_file_close(file, true);
    assert_state(job, JOB_WAITING);
    world_fini(&w);
}

static void
test_media_files__a_prompt_that_comes_while_one_is_written_waits_for_it(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    struct job_file *file = file_begun(job, "a.png");
    assert_int_equal(job_file_write(file, PNG, 12, 0), 0);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, NAMES_ONE), 0);
    assert_state(job, JOB_INVALID);
    assert_int_equal(job_file_write(file, &PNG[12], strlen(PNG) - 12, 12), 0);
    job_file_close(file, true);
    assert_state(job, JOB_WAITING);
    world_fini(&w);
}

/* Whoever was told that the request is refused writes it again: it must not be sent meanwhile. */
static void test_media_files__what_was_refused_is_not_sent_by_a_file(void **state UNUSED)
{
    static const struct {
        const char *text;
        int expected;
    } rows[] = {
        {"{\"prompt\": \"x\", \"image_url\": \"a.png\", \"duration\": 99}", -ERR_PROMPT_INVALID},
        {"{\"prompt\": \"x\", \"image_url\": \"a.png\", \"duration\": 15}", -ERR_BUDGET},
        {"{\"prompt\": \"x\", \"image_url\": \"a.png\"", 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world w;
        world_init(&w);
        w.jobs->settings.budget = (struct job_budget){2000000, JOB_BUDGET_TOTAL};
        struct job *job = job_make_named(&w, "cat");
        assert_int_equal(user_write(job, JOB_PROMPT_NAME, rows[i].text), rows[i].expected);
        assert_state(job, JOB_INVALID);
        w.jobs->settings.budget = (struct job_budget){0, JOB_BUDGET_TOTAL};
        assert_int_equal(user_write(job, "a.png", PNG), 0);
        assert_int_equal(user_write(job, "notes", "x"), 0);
        assert_state(job, JOB_INVALID);
        world_fini(&w);
    }
}

static void
test_media_files__a_wrong_one_is_said_and_a_right_one_then_needs_the_user(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_waiting_for_media(&w, NAMES_ONE);
    assert_int_equal(user_write(job, "a.png", "<html>"), 0);
    assert_state(job, JOB_INVALID);
    assert_true(problem_has(job, "image_url"));
    assert_false(problem_has(job, "is not beside"));
    assert_int_equal(user_write(job, "a.png", PNG), 0);
    assert_state(job, JOB_INVALID);
    assert_int_equal(job_ctl_run(job, "submit", 6), 0);
    assert_state(job, JOB_WAITING);
    world_fini(&w);
}

static void test_media_files__waiting_for_them_outlives_the_program(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    (void)job_waiting_for_media(&w, NAMES_ONE);
    world_restart(&w);
    struct job *job = jobs_find(w.jobs, "cat");
    world_run(&w, 10 * 1000);
    assert_state(job, JOB_INVALID);
    assert_int_equal(user_write(job, "a.png", PNG), 0);
    assert_state(job, JOB_WAITING);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_files__the_last_of_them_submits),
        cmocka_unit_test(test_media_files__a_rename_is_an_arrival),
        cmocka_unit_test(test_media_files__a_prompt_may_be_renamed_into_place_first),
        cmocka_unit_test(test_media_files__what_is_not_whole_does_not_count),
        cmocka_unit_test(test_media_files__a_prompt_that_comes_while_one_is_written_waits_for_it),
        cmocka_unit_test(test_media_files__what_was_refused_is_not_sent_by_a_file),
        cmocka_unit_test(test_media_files__a_wrong_one_is_said_and_a_right_one_then_needs_the_user),
        cmocka_unit_test(test_media_files__waiting_for_them_outlives_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
