/* Held requests when the disk refuses: nothing is sent that the user has not ordered. */
#include "job_harness.h"

#include "seedancefs/job/ctl.h"

enum { SETTLE_MS = 2000 };

/* A request that waits until its directory is quiet. */
static struct job *job_settling(struct world *w, const char *name)
{
    w->jobs->settings.settle_ms = SETTLE_MS;
    struct job *job = job_make_named(w, name);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    assert_state(job, JOB_WAITING);
    return job;
}

static void test_hold__a_copy_that_cannot_be_held_is_not_sent(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_settling(&w, "cat");
    disk_limit(true);
    job_copy_seen(job);
    assert_state(job, JOB_WAITING); /* that is what the disk has */
    world_run(&w, HOUR_MS);
    assert_int_equal(w.api.creates, 0);
    disk_limit(false);
    world_run(&w, 60 * 1000);
    assert_state(job, JOB_HELD);
    assert_int_equal(w.api.creates, 0);
    assert_int_equal(job_ctl_run(job, "submit", 6), 0);
    world_run(&w, 0);
    assert_int_equal(w.api.creates, 1);
    world_fini(&w);
}

/* A start with --hold, or on a copy of the data directory, that the disk refuses. */
static void test_hold__what_a_start_could_not_hold_is_not_sent_by_a_new_key(void **state UNUSED)
{
    for (int is_copy = 0; is_copy < 2; is_copy++) {
        struct world w;
        world_init(&w);
        (void)job_settling(&w, "cat");
        world_close(&w);
        world_open(&w);
        w.jobs->settings.is_hold_wanted = !is_copy;
        w.jobs->settings.is_restored = is_copy;
        disk_limit(true);
        jobs_start(w.jobs);
        struct job *job = jobs_find(w.jobs, "cat");
        for (int i = 0; i < 3; i++) {
            jobs_key_changed(w.jobs); /* SIGHUP */
            world_run(&w, HOUR_MS);
        }
        assert_int_equal(w.api.creates, 0);
        disk_limit(false);
        world_run(&w, 60 * 1000);
        assert_state(job, JOB_HELD);
        jobs_key_changed(w.jobs);
        world_run(&w, HOUR_MS);
        assert_int_equal(w.api.creates, 0);
        world_fini(&w);
    }
}

static void test_hold__an_order_that_cannot_be_stored_sends_nothing(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_settling(&w, "cat");
    assert_int_equal(job_ctl_run(job, "hold", 4), 0);
    assert_state(job, JOB_HELD);
    disk_limit(true);
    assert_true(job_ctl_run(job, "submit", 6) < 0);
    disk_limit(false);
    assert_state(job, JOB_HELD);
    world_crash(&w);
    jobs_start(w.jobs);
    world_run(&w, HOUR_MS);
    assert_state(jobs_find(w.jobs, "cat"), JOB_HELD);
    assert_int_equal(w.api.creates, 0);
    world_fini(&w);
}

/* SIGHUP turns --hold on: what is being connected, what waits for a place, what is sent already. */
static void test_hold__turning_it_on_holds_what_was_not_sent(void **state UNUSED)
{
    for (int is_refused = 0; is_refused < 2; is_refused++) {
        struct world w;
        world_init(&w);
        struct job *sent = job_submitted(&w, "sent");
        assert_int_equal(call_send(call_of(&w, sent)), 0);
        struct job *connected = job_submitted(&w, "connected");
        struct job *settling = job_settling(&w, "settling");
        unsigned begun = w.api.creates;
        disk_limit(is_refused);
        jobs_hold_set(w.jobs, true);
        assert_null(detail_of(connected)->call);
        for (int i = 0; i < 3; i++) {
            jobs_key_changed(w.jobs);
            world_run(&w, HOUR_MS);
        }
        assert_int_equal(w.api.creates, begun);
        disk_limit(false);
        world_run(&w, 60 * 1000);
        assert_state(connected, JOB_HELD);
        assert_state(settling, JOB_HELD);
        assert_state(sent, JOB_SUBMITTING);
        assert_int_equal(w.api.creates, begun);
        /* Turned off, it orders nothing. */
        jobs_hold_set(w.jobs, false);
        world_run(&w, HOUR_MS);
        assert_state(connected, JOB_HELD);
        assert_int_equal(w.api.creates, begun);
        create_accept(call_of(&w, sent), "cgt-1");
        world_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hold__a_copy_that_cannot_be_held_is_not_sent),
        cmocka_unit_test(test_hold__what_a_start_could_not_hold_is_not_sent_by_a_new_key),
        cmocka_unit_test(test_hold__turning_it_on_holds_what_was_not_sent),
        cmocka_unit_test(test_hold__an_order_that_cannot_be_stored_sends_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
