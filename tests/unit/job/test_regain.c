/* A task of a removed job comes back into another one: what it has cost counts once, its row has one
 * owner, and its words are for those who could read them. */
#include "job_harness.h"

#include "seedancefs/job/ctl.h"

static int command(struct job *job, const char *text)
{
    return job_ctl_run(job, text, strlen(text));
}

static void made(struct world *w, struct job *job)
{
    struct job_media_size size = {1001, "e"};
    poll_succeeded(call_wait(w, job));
    jobs_video_set(take_of(job), &size);
    assert_state(job, JOB_SUCCEEDED);
}

static void test_regain__what_was_written_late_does_not_take_it_back(void **state UNUSED)
{
    struct world w;
    struct job_detail *detail;
    struct job_media_size cover = {55, "c"};
    world_init(&w);
    struct job *gone = job_queued(&w, "gone", "cgt-1");
    made(&w, gone);
    int64_t id = gone->attempt_id;
    world_disk_full(&w, true);
    jobs_cover_set(gone->picked, &cover);
    world_disk_full(&w, false);
    assert_true(gone->detail->is_unsaved);
    assert_int_equal(jobs_remove(gone), 0);
    struct job *back = job_make_named(&w, "back");
    assert_int_equal(command(back, "adopt cgt-1"), 0);
    world_run(&w, 60 * 1000);
    world_restart(&w);
    back = jobs_find(w.jobs, "back");
    assert_state(back, JOB_SUCCEEDED);
    assert_int_equal(job_detail_get(back, &detail), 0);
    assert_int_equal(back->picked->id, id);
    assert_int_equal(back->picked->cover_bytes, 55);
    world_fini(&w);
}

static void test_regain__it_becomes_the_next_take(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *gone = job_queued(&w, "gone", "cgt-1");
    made(&w, gone);
    struct job *job = job_queued(&w, "job", "cgt-2");
    made(&w, job);
    assert_int_equal(jobs_remove(gone), 0);
    assert_int_equal(command(job, "adopt cgt-1"), 0);
    for (int i = 0; i < 2; i++) {
        job = jobs_find(w.jobs, "job");
        assert_int_equal(job->picked->number, 2);
        assert_string_equal(detail_of(job)->attempt.task_id, "cgt-1");
        assert_non_null(job_take_get(job, 1));
        world_restart(&w);
    }
    world_fini(&w);
}

static void test_regain__an_unknown_attempt_is_known_by_the_task(void **state UNUSED)
{
    struct world w;
    int64_t spent;
    world_init(&w);
    struct job *unknown = job_submitted(&w, "unknown");
    assert_int_equal(call_send(call_of(&w, unknown)), 0);
    create_end(call_of(&w, unknown), API_AMBIGUOUS, 500, -1, "oops");
    struct job *tried = job_make_named(&w, "tried");
    assert_int_equal(command(tried, "adopt cgt-1"), 0);
    made(&w, tried);
    assert_int_equal(jobs_remove(tried), 0);
    assert_int_equal(command(unknown, "adopt cgt-1"), 0);
    made(&w, unknown);
    assert_int_equal(store_spent_get(w.store, 0, &spent), 0);
    assert_int_equal(spent, detail_of(unknown)->attempt.actual_usd_micros);
    ledger_verify(&w);
    world_fini(&w);
}

static void test_regain__a_video_of_unknown_size_is_asked_for(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *gone = job_queued(&w, "gone", "cgt-1");
    poll_succeeded(call_wait(&w, gone));
    jobs_video_failed(take_of(gone), -ERR_HTTP_STALLED);
    assert_int_equal(jobs_remove(gone), 0);
    struct job *back = job_make_named(&w, "back");
    assert_int_equal(command(back, "adopt cgt-1"), 0);
    unsigned before = w.videos;
    poll_succeeded(call_wait(&w, back));
    assert_int_equal(w.videos, before + 1);
    world_fini(&w);
}

static void private_comes_back(const char *padding)
{
    struct world w;
    struct job_file *file;
    char text[80 * 1024];
    world_init(&w);
    (void)snprintf(text, sizeof(text), "%s%s", PROMPT, padding);
    struct job *gone = job_make_named(&w, "gone");
    assert_int_equal(job_file_create(gone, JOB_PROMPT_NAME, 0600, &file), 0);
    assert_int_equal(user_write(gone, JOB_PROMPT_NAME, text), 0);
    world_run(&w, 0);
    create_accept(call_of(&w, gone), "cgt-1");
    made(&w, gone);
    assert_int_equal(job_readers_get(gone), 0);
    assert_int_equal(jobs_remove(gone), 0);
    struct job *back = job_make_named(&w, "back");
    assert_int_equal(user_write(back, JOB_PROMPT_NAME, " "), 0); /* everybody may read this one */
    assert_int_equal(command(back, "adopt cgt-1"), 0);
    assert_int_equal(job_readers_get(back), 0);
    world_fini(&w);
}

static void test_regain__private_words_stay_private(void **state UNUSED)
{
    static char blanks[70 * 1024];
    memset(blanks, ' ', sizeof(blanks) - 1);
    private_comes_back("");
    private_comes_back(blanks); /* too long to be kept */
}

enum { HOLDERS = 9, CROWD = 70 };

/* A prompt that names files of many jobs, while many others are active: looking at them drops what
 * was loaded longest ago. Returns the prompt. */
static const char *crowd_make(struct world *w)
{
    static char prompt[1024];
    char name[32];
    size_t at = (size_t)snprintf(prompt, sizeof(prompt), "{\"prompt\": \"x\", \"image_urls\": [");
    for (int i = 0; i < HOLDERS; i++) {
        (void)snprintf(name, sizeof(name), "h%d", i);
        assert_int_equal(user_write(job_make_named(w, name), "a.png", "\x89PNG\r\n\x1a\nxxxx"), 0);
        at += (size_t)snprintf(prompt + at, sizeof(prompt) - at, "%s\"../h%d/a.png\"",
                               i ? ", " : "", i);
    }
    (void)snprintf(prompt + at, sizeof(prompt) - at, "]}");
    for (int i = 0; i < CROWD; i++) {
        (void)snprintf(name, sizeof(name), "w%d", i);
        assert_int_equal(user_write(job_make_named(w, name), JOB_PROMPT_NAME, PROMPT), 0);
    }
    return prompt;
}

static void others_load(struct world *w)
{
    char name[32];
    for (int i = 0; i < CROWD; i++) {
        (void)snprintf(name, sizeof(name), "z%d", i);
        (void)detail_of(job_make_named(w, name));
    }
}

static void test_regain__a_rename_keeps_both_jobs_while_it_reads_others(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    const char *prompt = crowd_make(&w);
    struct job *target = job_make_named(&w, "target");
    struct job *from = job_make_named(&w, "from");
    assert_int_equal(user_write(target, JOB_PROMPT_NAME, ""), 0);
    assert_int_equal(user_write(from, "p", prompt), 0);
    struct job_file *file = job_file_find(detail_of(from), "p");
    assert_int_equal(job_file_rename(file, target, JOB_PROMPT_NAME, true), 0);
    assert_state(target, JOB_WAITING);
    world_fini(&w);
}

static void test_regain__a_truncation_keeps_its_job_while_it_reads_others(void **state UNUSED)
{
    struct world w;
    char more[1100];
    world_init(&w);
    const char *prompt = crowd_make(&w);
    struct job *target = job_make_named(&w, "target");
    (void)snprintf(more, sizeof(more), "%s x", prompt);
    (void)!user_write(target, JOB_PROMPT_NAME, more);
    others_load(&w);
    struct job_file *file = job_file_find(detail_of(target), JOB_PROMPT_NAME);
    assert_int_equal(job_file_truncate(file, (int64_t)strlen(prompt)), 0);
    assert_state(target, JOB_WAITING);
    world_fini(&w);
}

static void test_regain__a_copy_is_judged_again_while_others_are_read(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    const char *prompt = crowd_make(&w);
    struct job *last = jobs_find(w.jobs, "h8");
    assert_int_equal(job_file_unlink(job_file_find(detail_of(last), "a.png")), 0);
    struct job *target = job_make_named(&w, "target");
    (void)!user_write(target, JOB_PROMPT_NAME, prompt);
    assert_state(target, JOB_INVALID);
    others_load(&w);
    job_copy_seen(target);
    assert_state(target, JOB_HELD); /* what it names may come yet */
    world_fini(&w);
}

/* A file in assets may be called like a prompt. */
static unsigned assets_changes;
static void assets_change(struct world *w UNUSED, struct job *job)
{
    assets_changes += job->is_assets;
}

static void test_regain__assets_are_no_job_after_a_restart_either(void **state UNUSED)
{
    struct world w;
    struct job *assets;
    world_init(&w);
    assert_int_equal(jobs_assets_make(w.jobs, &assets), 0);
    assert_int_equal(user_write(assets, JOB_PROMPT_NAME, PROMPT), 0);
    w.on_change = assets_change;
    world_restart(&w);
    assert_int_equal(assets_changes, 0);
    assert_false(jobs_assets(w.jobs)->has_problem);
    world_run(&w, HOUR_MS);
    assert_int_equal(w.api.creates, 0);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_regain__what_was_written_late_does_not_take_it_back),
        cmocka_unit_test(test_regain__it_becomes_the_next_take),
        cmocka_unit_test(test_regain__an_unknown_attempt_is_known_by_the_task),
        cmocka_unit_test(test_regain__a_video_of_unknown_size_is_asked_for),
        cmocka_unit_test(test_regain__private_words_stay_private),
        cmocka_unit_test(test_regain__a_rename_keeps_both_jobs_while_it_reads_others),
        cmocka_unit_test(test_regain__a_truncation_keeps_its_job_while_it_reads_others),
        cmocka_unit_test(test_regain__a_copy_is_judged_again_while_others_are_read),
        cmocka_unit_test(test_regain__assets_are_no_job_after_a_restart_either),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
