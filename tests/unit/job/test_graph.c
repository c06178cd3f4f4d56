/* Jobs that need what other jobs make: when they wait, are sent, or are held, and with which bytes. */
#include "job_harness.h"

#include "seedancefs/job/ctl.h"

static void job_fail(struct world *w, struct job *job, const char *task_id)
{
    create_accept(call_wait(w, job), task_id);
    poll_status(call_wait(w, job), "failed");
    assert_state(job, JOB_FAILED);
    world_run(w, 0);
}

static const char *reason_of(struct job *job)
{
    const char *reason = job_reason_get(detail_of(job));
    return reason ? reason : "";
}

static void names_join(void *context, const struct job *job)
{
    struct buf *out = context;
    buf_addf(out, "%s%s", out->len ? "," : "", job->name);
}

static void assert_names(const struct job *job, const char *depends_on, const char *needed_by)
{
    CLEANUP(buf_fini) struct buf on = {.limit = 4096};
    CLEANUP(buf_fini) struct buf by = {.limit = 4096};
    job_depends_on_each(job, names_join, &on);
    job_needed_by_each(job, names_join, &by);
    assert_string_equal(buf_text(&on), depends_on);
    assert_string_equal(buf_text(&by), needed_by);
}

static void test_graph__a_job_waits_for_the_video_of_another(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *first = job_write(&w, "shot-1", PROMPT);
    struct job *second = job_write(&w, "shot-2", FROM("../shot-1/output.mp4"));
    assert_state(second, JOB_WAITING);
    assert_true(detail_of(second)->attempt.input_video_ms == 5000); /* as shot-1 asks for */
    world_run(&w, 0);
    assert_int_equal(w.api.creates, 1);
    assert_string_equal(reason_of(second), "Waits for shot-1 (waiting).");
    assert_names(first, "", "shot-2");
    assert_names(second, "shot-1", "");
    struct job_followers followers;
    job_followers_get(first, &followers);
    assert_int_equal(followers.count, 1);
    assert_true(followers.usd_micros == detail_of(second)->attempt.estimated_usd_micros);
    create_accept(call_of(&w, first), "t-1");
    assert_string_equal(reason_of(second), "Waits for shot-1 (queued).");
    world_restart(&w);
    first = jobs_find(w.jobs, "shot-1");
    second = jobs_find(w.jobs, "shot-2");
    world_run(&w, 0);
    assert_int_equal(w.api.creates, 1);
    assert_string_equal(reason_of(second), "Waits for shot-1 (queued).");
    job_finish(&w, first, NULL);
    struct api_call *call = call_wait(&w, second);
    assert_non_null(strstr(call->body, "\"video_url\":\"https://media.example/v.mp4?X-Tos-Date="));
    assert_non_null(strstr(call->body, "\"video_durations\":[5],"));
    assert_string_equal(reason_of(second), "");
    assert_int_equal(call_send(call), 0);
    /* What is sent is on disk, and whose video it was. */
    assert_int_equal(store_ask(&w, "SELECT count(*) FROM sent JOIN job USING (attempt_id) WHERE "
                                   "name = 'shot-2' AND CAST(body AS TEXT) LIKE '%sig=s3cret%'"),
                     1);
    assert_int_equal(store_ask(&w, "SELECT count(*) FROM input WHERE take_id = (SELECT attempt_id "
                                   "FROM job WHERE name = 'shot-1')"),
                     1);
    CLEANUP(buf_fini) struct buf request = {.limit = 4096};
    assert_int_equal(jobs_request_get(w.jobs, second, &request), 0);
    assert_non_null(strstr(buf_text(&request), "\"video_url\": \"../shot-1/output.mp4\""));
    assert_null(strstr(buf_text(&request), "sig="));
    create_accept(call, "t-2");
    job_finish(&w, second, NULL);
    assert_false(job_inputs_are_changed(second));
    world_fini(&w);
}

/* Nothing is ordered by somebody else's word. */
static void test_graph__who_needs_what_failed_is_held(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *first = job_write(&w, "shot-1", PROMPT);
    struct job *second = job_write(&w, "shot-2", FROM("../shot-1/output.mp4"));
    struct job *third = job_write(&w, "shot-3", FROM("../shot-2/output.mp4"));
    job_fail(&w, first, "t-1");
    assert_state(second, JOB_HELD);
    assert_non_null(strstr(reason_of(second), "shot-1 has no video (failed)"));
    assert_true(problem_has(second, "Nothing was sent and nothing was charged."));
    assert_state(third, JOB_WAITING);
    assert_string_equal(reason_of(third), "Waits for shot-2 (held).");
    assert_int_equal(job_ctl_run(second, "submit", 6), -EINVAL);
    assert_state(second, JOB_HELD);
    world_restart(&w);
    world_run(&w, HOUR_MS);
    first = jobs_find(w.jobs, "shot-1");
    second = jobs_find(w.jobs, "shot-2");
    assert_int_equal(w.api.creates, 1);
    assert_int_equal(job_ctl_run(first, "retry", 5), 0);
    world_run(&w, 0);
    assert_state(second, JOB_HELD); /* not by that */
    assert_int_equal(job_ctl_run(second, "submit", 6), 0);
    assert_state(second, JOB_WAITING);
    job_finish(&w, first, "t-2");
    job_finish(&w, second, "t-3");
    job_finish(&w, jobs_find(w.jobs, "shot-3"), "t-4");
    assert_int_equal(w.api.tasks_made, 4);
    world_fini(&w);
}

static void test_graph__who_needs_what_was_removed_is_held(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *first = job_write(&w, "shot-1", PROMPT);
    struct job *second = job_write(&w, "shot-2", FROM("../shot-1/output.mp4"));
    world_run(&w, 0);
    api_cancel(TAKE_POINTER(detail_of(first)->call));
    w.jobs->creates--;
    assert_int_equal(jobs_remove(first), 0);
    world_run(&w, 0);
    assert_state(second, JOB_HELD);
    assert_non_null(strstr(reason_of(second), "\"../shot-1/output.mp4\" is gone"));
    assert_int_equal(job_ctl_run(second, "submit", 6), -EINVAL);
    /* Also by name: another job of that name is another one. */
    (void)job_write(&w, "shot-1", PROMPT);
    assert_int_equal(job_ctl_run(second, "submit", 6), -EINVAL);
    assert_int_equal(user_write(second, JOB_PROMPT_NAME, FROM("../shot-1/output.mp4")), 0);
    assert_state(second, JOB_WAITING);
    world_fini(&w);
}

/* The job is connecting when what it needs goes away. */
static void test_graph__nothing_is_sent_at_the_last_moment(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *first = job_write(&w, "shot-1", PROMPT);
    job_finish(&w, first, "t-1");
    struct job *second = job_write(&w, "shot-2", FROM("../shot-1/output.mp4"));
    (void)call_wait(&w, second);
    assert_int_equal(jobs_remove(first), 0);
    assert_null(w.api.calls);
    world_run(&w, HOUR_MS);
    assert_state(second, JOB_HELD);
    assert_int_equal(w.api.tasks_made, 1);
    world_fini(&w);
}

static void test_graph__another_pick_holds_who_was_not_sent(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *first = job_write(&w, "shot-1", PROMPT);
    job_finish(&w, first, "t-1");
    struct job *sent = job_write(&w, "sent", FROM("../shot-1/output.mp4"));
    job_finish(&w, sent, "t-2");
    w.api.has_key = false;
    struct job *second = job_write(&w, "shot-2", FROM("../shot-1/output.mp4"));
    struct job *fixed = job_write(&w, "fixed", FROM("../shot-1/takes/1.mp4"));
    world_run(&w, 0);
    assert_state(second, JOB_WAITING);
    w.api.has_key = true;
    assert_int_equal(job_ctl_run(first, "take", 4), 0);
    w.jobs->gate = JOB_GATE_OPEN;
    job_finish(&w, first, "t-3");
    assert_state(second, JOB_HELD);
    assert_non_null(strstr(reason_of(second), "shot-1 has another video now (take 2)"));
    assert_state(fixed, JOB_WAITING); /* a take is no edge */
    assert_names(fixed, "", "");
    assert_true(job_inputs_are_changed(sent));
    assert_int_equal(job_ctl_run(first, "pick 1", 6), 0);
    assert_false(job_inputs_are_changed(sent));
    assert_int_equal(job_ctl_run(second, "submit", 6), 0);
    job_finish(&w, second, "t-4");
    assert_false(job_inputs_are_changed(second));
    world_fini(&w);
}

static void test_graph__circles_are_refused(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *first = job_make_named(&w, "shot-1");
    struct job *second = job_write(&w, "shot-2", FROM("../shot-1/output.mp4"));
    struct job *third = job_write(&w, "shot-3", FROM("../shot-2/output.mp4"));
    assert_string_equal(reason_of(third), "Waits for shot-2 (waiting).");
    assert_int_equal(user_write(first, JOB_PROMPT_NAME, FROM("../shot-3/output.mp4")),
                     -ERR_PROMPT_INVALID);
    assert_true(problem_has(first, "shot-1 → shot-3 → shot-2 → shot-1."));
    assert_int_equal(user_write(first, JOB_PROMPT_NAME, FROM("output.mp4")), -ERR_PROMPT_INVALID);
    assert_true(problem_has(first, "this job itself"));
    assert_state(first, JOB_INVALID);
    assert_int_equal(user_write(first, JOB_PROMPT_NAME, PROMPT), 0);
    job_finish(&w, first, "t-1");
    /* What is there already makes no circle. */
    job_finish(&w, second, "t-2");
    assert_int_equal(job_ctl_run(first, "edit", 4), 0);
    assert_int_equal(user_write(first, JOB_PROMPT_NAME, FROM("../shot-2/output.mp4")), 0);
    assert_state(first, JOB_WAITING);
    world_fini(&w);
}

/* A film that is copied, in any order. */
static void test_graph__held_prompts_may_name_what_comes_later(void **state UNUSED)
{
    static const char held[] =
        "{\"prompt\":\"x\",\"hold\":true,\"video_url\":\"../shot-1/output.mp4\"}";
    struct world w;
    world_init(&w);
    struct job *second = job_write(&w, "shot-2", held);
    assert_state(second, JOB_HELD);
    assert_non_null(strstr(reason_of(second), "was not there when the prompt was written"));
    assert_int_equal(job_ctl_run(second, "submit", 6), -EINVAL);
    assert_state(second, JOB_HELD);
    assert_true(problem_has(second, "../shot-1"));
    struct job *first = job_write(&w, "shot-1", PROMPT);
    assert_int_equal(job_ctl_run(second, "submit", 6), 0);
    assert_state(second, JOB_WAITING);
    assert_names(second, "shot-1", "");
    job_finish(&w, first, "t-1");
    job_finish(&w, second, "t-2");
    /* Without "hold" it is a mistake. */
    struct job *third = job_make_named(&w, "shot-3");
    assert_int_equal(user_write(third, JOB_PROMPT_NAME, FROM("../shot-9/output.mp4")),
                     -ERR_PROMPT_INVALID);
    assert_state(third, JOB_INVALID);
    world_fini(&w);
}

static void test_graph__links_go_by_id(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *first = job_write(&w, "shot-1", PROMPT);
    struct job *second = job_write(&w, "shot-2", FROM("../shot-1/output.mp4"));
    assert_int_equal(jobs_rename(first, "opening", false), 0);
    (void)job_make_named(&w, "shot-1");
    assert_int_equal(jobs_rename(second, "next", false), 0);
    assert_names(second, "opening", "");
    world_restart(&w);
    second = jobs_find(w.jobs, "next");
    assert_names(second, "opening", "");
    job_finish(&w, jobs_find(w.jobs, "opening"), "t-1");
    job_finish(&w, second, "t-2");
    world_fini(&w);
}

static void test_graph__an_old_address_is_renewed_before(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *first = job_write(&w, "shot-1", PROMPT);
    job_finish(&w, first, "t-1");
    world_run(&w, 19 * HOUR_MS); /* of 24 */
    struct job *second = job_write(&w, "shot-2", FROM("../shot-1/output.mp4"));
    world_run(&w, 1000);
    unsigned creates = w.api.creates;
    assert_string_equal(reason_of(second), "../shot-1/output.mp4: the service is asked for a new "
                                           "address.");
    struct api_call *poll = call_of(&w, first);
    assert_non_null(poll);
    CLEANUP_FREE char *body = NULL;
    assert_true(asprintf(&body,
                         "{\"id\":\"t-1\",\"status\":\"succeeded\",\"content\":{\"video_url\":"
                         "\"https://media.example/v.mp4?X-Tos-Date=20261124T030000Z&X-Tos-Expires="
                         "86400&sig=new\"}}") > 0);
    poll_response(poll, body);
    world_run(&w, 0);
    assert_int_equal(w.api.creates, creates + 1);
    assert_non_null(strstr(call_of(&w, second)->body, "sig=new"));
    create_accept(call_of(&w, second), "t-2");
    assert_state(second, JOB_QUEUED);
    world_fini(&w);
}

/* The service has forgotten the task, the address has expired, and nothing is on disk. */
static void test_graph__without_any_address_the_job_says_so(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *first = job_write(&w, "shot-1", PROMPT);
    job_finish(&w, first, "t-1");
    world_run(&w, 30 * HOUR_MS);
    struct job *second = job_write(&w, "shot-2", FROM("../shot-1/output.mp4"));
    world_run(&w, 1000);
    poll_end(call_of(&w, first), API_LOST, 404, -1);
    world_run(&w, 0);
    assert_state(second, JOB_WAITING);
    assert_non_null(strstr(reason_of(second), "it is not on disk as a whole"));
    unsigned polls = w.api.polls;
    world_run(&w, 10 * 1000);
    assert_true(w.api.polls <= polls + 3); /* it does not ask on and on */
    assert_int_equal(w.api.tasks_made, 1);
    world_fini(&w);
}

static void test_graph__a_frame_is_made_before(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *first = job_write(&w, "shot-1", PROMPT);
    struct job *second = job_make_named(&w, "shot-2");
    assert_int_equal(user_write(second, JOB_PROMPT_NAME, BEGINS_WITH("../shot-1/last_frame.png")),
                     -ERR_PROMPT_INVALID);
    assert_true(problem_has(second, "ffmpeg"));
    w.has_frames = true;
    w.frame_result = -EBUSY;
    assert_int_equal(user_write(second, JOB_PROMPT_NAME, BEGINS_WITH("../shot-1/last_frame.png")),
                     0);
    assert_true(detail_of(second)->attempt.input_video_ms == 0); /* pictures are free */
    job_finish(&w, first, "t-1");
    assert_string_equal(reason_of(second), "../shot-1/last_frame.png: the picture is being made.");
    assert_int_equal(w.frames_wanted, 1);
    assert_null(call_of(&w, second));
    w.frame_result = 0;
    jobs_frame_done(first->picked, JOB_LAST_FRAME, 0);
    struct api_call *call = call_wait(&w, second);
    assert_non_null(strstr(call->body,
                           "\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
                           "\"data:image/png;base64,UE5H\"},\"role\":\"first_frame\"}]"));
    job_finish(&w, second, "t-2");
    world_fini(&w);
}

static void test_graph__a_frame_that_cannot_be_made_is_tried_again(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    w.has_frames = true;
    w.frame_result = -EBUSY;
    struct job *first = job_write(&w, "shot-1", PROMPT);
    struct job *second = job_write(&w, "shot-2", BEGINS_WITH("../shot-1/first_frame.png"));
    job_finish(&w, first, "t-1");
    jobs_frame_done(first->picked, JOB_FIRST_FRAME, -EIO);
    world_run(&w, 0);
    assert_non_null(strstr(reason_of(second), "seedancefs tries again"));
    assert_state(second, JOB_WAITING);
    world_run(&w, HOUR_MS);
    assert_true(w.frames_wanted >= 2 && w.frames_wanted < 40);
    w.frame_result = 0;
    jobs_frame_done(first->picked, JOB_FIRST_FRAME, 0);
    job_finish(&w, second, "t-2");
    world_fini(&w);
}

/* The video is longer than was asked for. */
static void test_graph__a_higher_price_is_asked_for(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *first = job_write(&w, "shot-1", "{\"prompt\":\"x\",\"duration\":4}");
    struct job *second = job_write(&w, "shot-2", FROM("../shot-1/output.mp4"));
    assert_true(detail_of(second)->attempt.estimated_usd_micros == 1800000);
    job_finish(&w, first, "t-1"); /* 5 s */
    assert_state(second, JOB_HELD);
    assert_non_null(strstr(reason_of(second), "It costs 2.00 USD now"));
    assert_true(detail_of(second)->attempt.estimated_usd_micros == 2000000);
    world_restart(&w);
    second = jobs_find(w.jobs, "shot-2");
    world_run(&w, HOUR_MS);
    assert_state(second, JOB_HELD);
    assert_non_null(strstr(reason_of(second), "It costs 2.00 USD now"));
    assert_int_equal(job_ctl_run(second, "submit", 6), 0);
    job_finish(&w, second, "t-2");
    world_fini(&w);
}

static void test_graph__retry_builds_the_request_anew(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    w.has_frames = true;
    struct job *first = job_write(&w, "shot-1", PROMPT);
    struct job *second = job_write(&w, "shot-2", FROM("../shot-1/output.mp4"));
    job_finish(&w, first, "t-1");
    job_fail(&w, second, "t-2");
    assert_int_equal(job_ctl_run(first, "take", 4), 0);
    job_finish(&w, first, "t-3");
    assert_int_equal(job_ctl_run(second, "retry", 5), 0);
    assert_names(second, "shot-1", "");
    job_finish(&w, second, "t-4");
    assert_false(job_inputs_are_changed(second));
    assert_int_equal(job_ctl_run(second, "take", 4), 0);
    job_finish(&w, second, "t-5");
    assert_names(first, "", "shot-2");
    world_fini(&w);
}

enum { LONG = 1000 };

static void test_graph__a_chain_of_a_thousand(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    char name[32];
    char prompt[128];
    (void)job_write(&w, "s0", PROMPT);
    for (int i = 1; i < LONG; i++) {
        (void)snprintf(name, sizeof(name), "s%d", i);
        (void)snprintf(prompt, sizeof(prompt), FROM("../s%d/output.mp4"), i - 1);
        (void)job_write(&w, name, prompt);
    }
    struct job_followers followers;
    job_followers_get(jobs_find(w.jobs, "s0"), &followers);
    assert_int_equal(followers.count, LONG - 1);
    CLEANUP(buf_fini) struct buf circle = {.limit = 4096};
    (void)snprintf(name, sizeof(name), "s%d", LONG - 1);
    assert_true(job_is_circle(jobs_find(w.jobs, "s0"), jobs_find(w.jobs, name), &circle));
    assert_string_equal(buf_text(&circle), "s0 → s999 → s998 → s997 → s996 → s995 → s994 → … → "
                                           "s4 → s3 → s2 → s1 → s0");
    world_restart(&w);
    for (int i = 0; i < LONG; i++) {
        (void)snprintf(name, sizeof(name), "s%d", i);
        assert_int_equal(w.jobs->following, 0);
        job_finish(&w, jobs_find(w.jobs, name), name);
    }
    assert_int_equal(w.api.tasks_made, LONG);
    world_fini(&w);
}

static void test_graph__a_thousand_wait_for_one(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    char name[32];
    struct job *first = job_write(&w, "one", PROMPT);
    for (int i = 0; i < LONG; i++) {
        (void)snprintf(name, sizeof(name), "s%d", i);
        (void)job_write(&w, name, FROM("../one/output.mp4"));
    }
    world_run(&w, 0);
    assert_int_equal(w.api.creates, 1);
    job_finish(&w, first, "t-1");
    assert_int_equal(w.api.creates, 1 + JOB_CREATES_MAX);
    for (int i = 0; i < LONG; i++) {
        struct api_call *call = w.api.calls;
        while (call->task_id) /* a poll */
            call = call->next;
        (void)snprintf(name, sizeof(name), "t%d", i);
        create_accept(call, name);
        world_run(&w, 0);
    }
    assert_int_equal(w.api.tasks_made, 1 + LONG);
    world_close(&w);
    while (w.api.calls)
        api_cancel(w.api.calls);
    world_open(&w);
    world_fini(&w);
}

/* A kill at any time between acceptance and sending. */
static void test_graph__a_kill_changes_nothing(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *first = job_write(&w, "shot-1", PROMPT);
    (void)job_write(&w, "shot-2", FROM("../shot-1/output.mp4"));
    job_finish(&w, first, "t-1");
    struct job *second = jobs_find(w.jobs, "shot-2");
    assert_non_null(call_of(&w, second)); /* connecting */
    while (w.api.calls)
        api_cancel(w.api.calls);
    detail_of(second)->call = NULL;
    w.jobs->creates = 0;
    world_crash(&w);
    jobs_start(w.jobs);
    second = jobs_find(w.jobs, "shot-2");
    assert_state(second, JOB_WAITING);
    assert_names(second, "shot-1", "");
    job_finish(&w, second, "t-2");
    assert_int_equal(w.api.tasks_made, 2);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph__a_job_waits_for_the_video_of_another),
        cmocka_unit_test(test_graph__who_needs_what_failed_is_held),
        cmocka_unit_test(test_graph__who_needs_what_was_removed_is_held),
        cmocka_unit_test(test_graph__nothing_is_sent_at_the_last_moment),
        cmocka_unit_test(test_graph__another_pick_holds_who_was_not_sent),
        cmocka_unit_test(test_graph__circles_are_refused),
        cmocka_unit_test(test_graph__held_prompts_may_name_what_comes_later),
        cmocka_unit_test(test_graph__links_go_by_id),
        cmocka_unit_test(test_graph__an_old_address_is_renewed_before),
        cmocka_unit_test(test_graph__without_any_address_the_job_says_so),
        cmocka_unit_test(test_graph__a_frame_is_made_before),
        cmocka_unit_test(test_graph__a_frame_that_cannot_be_made_is_tried_again),
        cmocka_unit_test(test_graph__a_higher_price_is_asked_for),
        cmocka_unit_test(test_graph__retry_builds_the_request_anew),
        cmocka_unit_test(test_graph__a_chain_of_a_thousand),
        cmocka_unit_test(test_graph__a_thousand_wait_for_one),
        cmocka_unit_test(test_graph__a_kill_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
