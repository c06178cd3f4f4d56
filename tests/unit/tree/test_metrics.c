/* metrics: that what is counted is right, whatever has happened. */
#include "forest.h"

static int64_t metric(struct forest *f, const char *series)
{
    struct buf text;
    char line[128];
    node_read(f, ino_of(f, TREE_ROOT_INO, "metrics"), &text);
    (void)snprintf(line, sizeof(line), "\nseedancefs_%s ", series);
    const char *found = strstr(buf_text(&text), line);
    assert_non_null(found);
    int64_t value = strtoll(found + strlen(line), NULL, 10);
    buf_fini(&text);
    return value;
}

static int64_t jobs_counted(struct forest *f, const char *word)
{
    char series[64];
    (void)snprintf(series, sizeof(series), "jobs{status=\"%s\"}", word);
    return metric(f, series);
}

/* The counts against the jobs themselves. */
static void assert_counts(struct forest *f)
{
    int64_t counts[JOB_STATE_COUNT] = {0};
    for (struct job *job = jobs_next(f->w.jobs, 0); job; job = jobs_next(f->w.jobs, job->id))
        counts[job->state]++;
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        assert_int_equal(jobs_counted(f, job_state_to_text((enum job_state)i)), counts[i]);
}

static void test_metrics__jobs_are_counted_through_their_whole_life(void **state UNUSED)
{
    struct forest f;
    struct tree_entry entry;
    forest_init(&f);
    assert_counts(&f);
    assert_int_equal(tree_lookup_provisional(f.tree, jobs_ino(&f), "cat", &entry), 0);
    assert_counts(&f);
    struct job *job = job_make_named(&f.w, "cat");
    assert_counts(&f);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, "{"), 0);
    assert_counts(&f);
    (void)succeeded(&f, "dog");
    assert_counts(&f);
    job_make_named(&f.w, "empty");
    assert_int_equal(tree_rename(f.tree, jobs_ino(&f), "dog", jobs_ino(&f), "empty", 0, &owner), 0);
    assert_counts(&f);
    assert_int_equal(tree_rename(f.tree, jobs_ino(&f), "empty", jobs_ino(&f), "tom", 0, &owner), 0);
    assert_counts(&f);
    assert_int_equal(tree_unlink(f.tree, job_ino(&f, "tom"), "output.mp4", &owner), 0);
    assert_counts(&f);
    assert_int_equal(tree_unlink(f.tree, job_ino(&f, "tom"), "prompt.json", &owner), 0);
    assert_int_equal(tree_rmdir(f.tree, jobs_ino(&f), "tom", &owner), 0);
    assert_counts(&f);
    f.tree = tree_free(f.tree);
    world_restart(&f.w);
    forest_open(&f);
    assert_int_equal(jobs_counted(&f, "invalid"), 1);
    assert_counts(&f);
    forest_fini(&f);
}

static void
test_metrics__paid_requests_are_counted_once_they_may_have_been_sent(void **state UNUSED)
{
    struct forest f;
    forest_init(&f);
    struct job *job = job_submitted(&f.w, "cat");
    assert_int_equal(metric(&f, "attempts_accepted_total"), 1);
    assert_int_equal(metric(&f, "creates_sent_total"), 0);
    assert_int_equal(metric(&f, "creates_active"), 1);
    assert_int_equal(call_send(call_of(&f.w, job)), 0);
    assert_int_equal(metric(&f, "creates_sent_total"), 1);
    assert_int_equal(metric(&f, "spend_usd{class=\"reserved\"}"), 1);
    create_end(call_of(&f.w, job), API_AMBIGUOUS, 500, -1, "");
    assert_int_equal(metric(&f, "spend_usd{class=\"reserved\"}"), 0);
    assert_int_equal(metric(&f, "spend_usd{class=\"at_risk\"}"), 1);
    assert_int_equal(metric(&f, "creates_active"), 0);
    (void)succeeded(&f, "dog");
    assert_int_equal(metric(&f, "spend_usd{class=\"settled\"}"), 1);
    assert_int_equal(metric(&f, "creates_sent_total"), 2);
    assert_int_equal(metric(&f, "open_files"), 0); /* this one is only being opened */
    /* A job's removal changes nothing of its money. */
    assert_int_equal(jobs_remove(jobs_find(f.w.jobs, "cat")), 0);
    assert_int_equal(metric(&f, "spend_usd{class=\"at_risk\"}"), 1);
    forest_fini(&f);
}

static void test_metrics__the_size_does_not_change_with_the_numbers(void **state UNUSED)
{
    struct forest f;
    struct tree_entry before;
    struct tree_entry after;
    forest_init(&f);
    uint64_t ino = ino_of(&f, TREE_ROOT_INO, "metrics");
    assert_int_equal(tree_getattr(f.tree, ino, &before), 0);
    (void)succeeded(&f, "dog");
    for (int i = 0; i < 12; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "job%d", i);
        job_make_named(&f.w, name);
    }
    assert_int_equal(tree_getattr(f.tree, ino, &after), 0);
    assert_int_equal(before.st.st_size, after.st.st_size);
    struct buf text;
    node_read(&f, ino, &text);
    assert_int_equal(text.len, after.st.st_size);
    buf_fini(&text);
    forest_fini(&f);
}

static int64_t oldest(struct forest *f, const char *word)
{
    char series[64];
    (void)snprintf(series, sizeof(series), "jobs_oldest_seconds{status=\"%s\"}", word);
    return metric(f, series);
}

static void test_metrics__the_oldest_request_is_shown_with_its_age(void **state UNUSED)
{
    struct forest f;
    forest_init(&f);
    assert_int_equal(oldest(&f, "waiting"), 0);
    struct job *cat = job_submitted(&f.w, "cat");
    fake_clock_advance(&f.w.clock, 100 * 1000);
    struct job *dog = job_submitted(&f.w, "dog");
    fake_clock_advance(&f.w.clock, 10 * 1000);
    assert_int_equal(oldest(&f, "waiting"), 110);
    assert_int_equal(call_send(call_of(&f.w, cat)), 0);
    assert_int_equal(call_send(call_of(&f.w, dog)), 0);
    assert_int_equal(oldest(&f, "submitting"), 110);
    create_accept(call_of(&f.w, cat), "cgt-cat");
    assert_int_equal(oldest(&f, "submitting"), 10);
    assert_int_equal(oldest(&f, "queued"), 110);
    /* A request that was refused and waits again does not become younger. */
    create_end(call_of(&f.w, dog), API_THROTTLED, 429, 50 * 1000, "");
    assert_state(dog, JOB_WAITING);
    assert_int_equal(oldest(&f, "submitting"), 0);
    fake_clock_advance(&f.w.clock, 1000);
    assert_int_equal(oldest(&f, "waiting"), 11);
    /* Nor by a restart. */
    f.tree = tree_free(f.tree);
    world_restart(&f.w);
    forest_open(&f);
    assert_int_equal(oldest(&f, "waiting"), 11);
    assert_int_equal(oldest(&f, "queued"), 111);
    /* A clock that was set back. */
    f.w.clock.wall_ms -= 3600 * 1000;
    assert_int_equal(oldest(&f, "waiting"), 0);
    assert_int_equal(jobs_remove(jobs_find(f.w.jobs, "dog")), 0);
    f.w.clock.wall_ms += 3600 * 1000;
    assert_int_equal(oldest(&f, "waiting"), 0);
    forest_fini(&f);
}

static void test_metrics__polls_that_say_nothing_are_counted(void **state UNUSED)
{
    struct forest f;
    forest_init(&f);
    struct job *job = job_queued(&f.w, "cat", "cgt-cat");
    poll_end(call_wait(&f.w, job), API_RETRY, 0, -1);
    assert_int_equal(metric(&f, "polls_total"), 1);
    assert_int_equal(metric(&f, "polls_failed_total"), 1);
    poll_end(call_wait(&f.w, job), API_RETRY, 503, -1);
    assert_int_equal(metric(&f, "polls_failed_total"), 2);
    poll_status(call_wait(&f.w, job), "running");
    assert_int_equal(metric(&f, "polls_total"), 3);
    assert_int_equal(metric(&f, "polls_failed_total"), 2);
    forest_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics__jobs_are_counted_through_their_whole_life),
        cmocka_unit_test(test_metrics__paid_requests_are_counted_once_they_may_have_been_sent),
        cmocka_unit_test(test_metrics__the_size_does_not_change_with_the_numbers),
        cmocka_unit_test(test_metrics__the_oldest_request_is_shown_with_its_age),
        cmocka_unit_test(test_metrics__polls_that_say_nothing_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
