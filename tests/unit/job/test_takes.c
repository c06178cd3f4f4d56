/* Takes: what another attempt changes of what the job has already, and what it does not. */
#include "job_harness.h"

#include "seedancefs/job/ctl.h"

static void command(struct job *job, const char *text, int expected)
{
    assert_int_equal(job_ctl_run(job, text, strlen(text)), expected);
}

static void video_made(struct world *w, struct job *job, int64_t bytes)
{
    struct job_media_size size = {bytes, "e"};
    poll_succeeded(call_wait(w, job));
    jobs_video_set(take_of(job), &size);
    assert_state(job, JOB_SUCCEEDED);
}

static struct job *job_made(struct world *w, const char *name, const char *task_id)
{
    struct job *job = job_queued(w, name, task_id);
    video_made(w, job, 1001);
    return job;
}

static void take_queued(struct world *w, struct job *job, const char *task_id)
{
    command(job, "take", 0);
    create_accept(call_wait(w, job), task_id);
    assert_state(job, JOB_QUEUED);
}

static void takes_are(const struct job *job, int64_t picked, int64_t count)
{
    const struct job_take *take;
    int64_t number = 0;
    assert_int_equal(job->picked->number, picked);
    LL_FOREACH (job->takes, take) {
        assert_int_equal(take->number, ++number);
        assert_int_equal(take->video_bytes, 1000 + number);
    }
    assert_int_equal(number, count);
}

static void test_takes__a_failed_take_leaves_the_job_its_video(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_made(&w, "cat", "cgt-1");
    int64_t first = job->attempt_id;
    take_queued(&w, job, "cgt-2");
    takes_are(job, 1, 1);
    poll_status(call_wait(&w, job), "failed");
    assert_state(job, JOB_FAILED);
    takes_are(job, 1, 1);
    world_restart(&w);
    job = jobs_find(w.jobs, "cat");
    assert_state(job, JOB_FAILED);
    takes_are(job, 1, 1);
    assert_int_equal(job->picked->id, first);
    /* A script that writes the prompt again orders nothing. */
    struct job_file *file = NULL;
    assert_int_equal(job_file_create(job, "prompt.json", 0644, &file), -ERR_PROMPT_FROZEN);
    assert_false(job_is_editable(job));
    command(job, "pick 1", 0);
    assert_state(job, JOB_SUCCEEDED);
    assert_int_equal(job->attempt_id, first);
    assert_false(job->has_problem);
    assert_int_equal(w.api.creates, 2);
    world_fini(&w);
}

static void test_takes__the_newest_is_picked_and_the_pick_survives(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_made(&w, "cat", "cgt-1");
    take_queued(&w, job, "cgt-2");
    command(job, "take", -EBUSY);
    command(job, "edit", -EBUSY);
    command(job, "pick 1", -EBUSY);
    video_made(&w, job, 1002);
    takes_are(job, 2, 2);
    command(job, "pick 3", -EINVAL);
    command(job, "pick 1x", -EINVAL);
    command(job, "pick 1", 0);
    takes_are(job, 1, 2);
    for (struct job_take *take = job->takes; take; take = take->next)
        assert_ptr_equal(jobs_take_get(w.jobs, take->id), take);
    world_crash(&w); /* it is durable */
    job = jobs_find(w.jobs, "cat");
    takes_are(job, 1, 2);
    assert_state(job, JOB_SUCCEEDED);
    assert_string_equal(job_attempt_get(detail_of(job))->task_id, "cgt-1");
    assert_int_equal(jobs_remove(job), 0);
    assert_int_equal(w.unwanted, 2); /* all of them */
    world_fini(&w);
}

static void test_takes__a_url_is_renewed_while_another_take_is_under_way(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_made(&w, "cat", "cgt-1");
    struct job_take *first = job->picked;
    take_queued(&w, job, "cgt-2");
    jobs_url_refresh(first);
    struct api_call *call = w.api.calls->prev;
    assert_string_equal(call->task_id, "cgt-1");
    poll_succeeded(call);
    assert_int_equal(w.urls, 1);
    assert_int_equal(w.url_result, 0);
    assert_state(job, JOB_QUEUED); /* it was about the other task */
    struct store_attempt *attempt;
    assert_int_equal(job_take_attempt_get(first, &attempt), 0);
    assert_non_null(strstr(attempt->video_url, "https://"));
    assert_string_equal(job->detail->attempt.task_id, "cgt-2");
    assert_null(job->detail->attempt.video_url);
    /* What is learned of it concerns it alone. */
    jobs_video_gone(first, -ERR_MEDIA_GONE);
    assert_false(job->has_problem);
    assert_int_equal(first->url_expires_ms, -1);
    world_restart(&w);
    job = jobs_find(w.jobs, "cat");
    assert_int_equal(job->picked->url_expires_ms, -1);
    jobs_url_refresh(job->picked);
    assert_int_equal(jobs_remove(job), 0); /* nobody is told any more */
    assert_null(w.jobs->refreshes);
    world_run(&w, HOUR_MS);
    assert_int_equal(w.jobs->polls, 0);
    world_fini(&w);
}

static void test_takes__a_pick_that_cannot_be_stored_changes_nothing(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_made(&w, "cat", "cgt-1");
    take_queued(&w, job, "cgt-2");
    video_made(&w, job, 1002);
    int64_t second = job->attempt_id;
    disk_limit(true);
    assert_true(job_ctl_run(job, "pick 1", 6) < 0);
    assert_true(job_ctl_run(job, "edit", 4) < 0);
    assert_true(job_ctl_run(job, "take", 4) < 0);
    assert_true(job_take_hidden_set(job->picked, JOB_TAKE_VIDEO) < 0);
    disk_limit(false);
    assert_state(job, JOB_SUCCEEDED);
    assert_int_equal(job->attempt_id, second);
    assert_int_equal(job->picked->hidden, 0);
    takes_are(job, 2, 2);
    command(job, "pick 1", 0);
    takes_are(job, 1, 2);
    world_fini(&w);
}

static void test_takes__the_prompt_of_each_take_is_kept(void **state UNUSED)
{
    struct world w;
    CLEANUP(buf_fini) struct buf text = {.limit = 4096};
    world_init(&w);
    struct job *job = job_made(&w, "cat", "cgt-1");
    struct job_take *first = job->picked;
    assert_int_equal(job_take_prompt_get(first, &text), 0);
    CLEANUP_FREE char *written = strdup(buf_text(&text));
    command(job, "edit", 0);
    assert_state(job, JOB_DRAFT);
    takes_are(job, 1, 1);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, "{\"prompt\": \"another\"}"), 0);
    create_accept(call_wait(&w, job), "cgt-2");
    video_made(&w, job, 1002);
    buf_clear(&text);
    assert_int_equal(job_take_prompt_get(job->picked, &text), 0);
    assert_string_equal(buf_text(&text), "{\"prompt\": \"another\"}");
    buf_clear(&text);
    assert_int_equal(job_take_prompt_get(first, &text), 0);
    assert_string_equal(buf_text(&text), written);
    world_fini(&w);
}

/* What is wrong with a video is told whenever that is the job's. */
static void test_takes__a_problem_stays_with_its_take(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_made(&w, "cat", "cgt-1");
    take_queued(&w, job, "cgt-2");
    video_made(&w, job, 1002);
    struct job_video_damage damage = {.path = "media/2.mp4", .offset = 3, .bytes = 4};
    jobs_video_damaged(job->picked, &damage);
    assert_true(problem_has(job, "The video on disk is damaged"));
    jobs_video_gone(job->takes, -ERR_MEDIA_GONE); /* the other one */
    assert_true(problem_has(job, "The video on disk is damaged"));
    command(job, "pick 1", 0);
    assert_true(problem_has(job, "The video is gone"));
    command(job, "pick 2", 0);
    assert_true(problem_has(job, "The video on disk is damaged"));
    world_restart(&w);
    job = jobs_find(w.jobs, "cat");
    command(job, "pick 1", 0);
    assert_true(problem_has(job, "The video is gone"));
    command(job, "take", 0);
    assert_false(job->has_problem);
    command(job, "pick 2", -EBUSY);
    world_fini(&w);
}

/* A prompt that is gone is not replaced by one that has nothing to do with it. */
static void test_takes__a_prompt_that_was_removed_is_what_was_sent(void **state UNUSED)
{
    struct world w;
    CLEANUP(buf_fini) struct buf text = {.limit = 4096};
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    poll_status(call_wait(&w, job), "failed");
    assert_int_equal(job_file_unlink(job_file_find(detail_of(job), JOB_PROMPT_NAME)), 0);
    command(job, "retry", 0);
    create_accept(call_wait(&w, job), "cgt-2");
    video_made(&w, job, 1001);
    struct job_take *first = job->picked;
    command(job, "edit", 0);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, "{\"prompt\": \"another\"}"), 0);
    create_accept(call_wait(&w, job), "cgt-3");
    video_made(&w, job, 1002);
    assert_int_equal(job_take_prompt_get(first, &text), 0);
    assert_null(strstr(buf_text(&text), "another"));
    assert_non_null(strstr(buf_text(&text), "\"prompt\""));
    world_fini(&w);
}

/* Words of an earlier prompt are for those who could read that one. */
static void test_takes__a_private_prompt_stays_private(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    struct job_file *file = job_file_find(detail_of(job), JOB_PROMPT_NAME);
    assert_int_equal(job_file_mode_set(file, 0600), 0);
    video_made(&w, job, 1001);
    assert_int_equal(job_readers_get(job), 0);
    command(job, "edit", 0);
    assert_int_equal(job_file_mode_set(file, 0644), 0);
    assert_int_equal(job_readers_get(job), 0);
    world_restart(&w);
    assert_int_equal(job_readers_get(jobs_find(w.jobs, "cat")), 0);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes__a_failed_take_leaves_the_job_its_video),
        cmocka_unit_test(test_takes__the_newest_is_picked_and_the_pick_survives),
        cmocka_unit_test(test_takes__a_url_is_renewed_while_another_take_is_under_way),
        cmocka_unit_test(test_takes__a_pick_that_cannot_be_stored_changes_nothing),
        cmocka_unit_test(test_takes__the_prompt_of_each_take_is_kept),
        cmocka_unit_test(test_takes__a_problem_stays_with_its_take),
        cmocka_unit_test(test_takes__a_prompt_that_was_removed_is_what_was_sent),
        cmocka_unit_test(test_takes__a_private_prompt_stays_private),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
