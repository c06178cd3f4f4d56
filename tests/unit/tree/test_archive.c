/* When videos are saved: hours and days of a clock that is turned by hand. */
#include "../job/job_harness.h"

#include "fake_media.h"
#include "seedancefs/job/ctl.h"
#include "tree/tree_private.h"

struct archive_world {
    struct world w;
    struct media media;
    struct tree *tree;
    struct media_hooks media_hooks;
};

static void archive_init(struct archive_world *a, enum tree_archive policy)
{
    *a = (struct archive_world){.tree = NULL};
    world_init(&a->w);
    a->w.clock.wall_ms = clock_wall_ms(clock_system());
    struct tree_settings settings = {.frames_fd = -1,
                                     .jobs = a->w.jobs,
                                     .store = a->w.store,
                                     .media = &a->media,
                                     .timers = &a->w.timers,
                                     .clock = &a->w.clock.clock,
                                     .data_directory = a->w.directory,
                                     .directory_fd = a->w.directory_fd,
                                     .archive = policy};
    assert_int_equal(tree_new(&settings, &a->tree), 0);
    a->w.jobs->settings.hooks = (struct job_hooks){.context = NULL};
    tree_job_hooks_fill(&a->tree, &a->w.jobs->settings.hooks);
    tree_media_hooks_fill(&a->tree, &a->media_hooks);
    tree_start(a->tree);
}

static void archive_fini(struct archive_world *a)
{
    assert_int_equal(a->media.opened, a->media.closed);
    a->tree = tree_free(a->tree);
    world_fini(&a->w);
}

/* A job whose video is not on disk yet; its URL lives for so long from now. */
static struct job *finished(struct archive_world *a, const char *name, int64_t life_ms)
{
    char id[32];
    char body[512];
    (void)snprintf(id, sizeof(id), "cgt-%s", name);
    struct job *job = job_queued(&a->w, name, id);
    (void)snprintf(body, sizeof(body),
                   "{\"id\":\"%s\",\"status\":\"succeeded\",\"data\":[{\"video_url\":"
                   "\"https://media.example/v.mp4?sig=s3cret\"}],\"usage\":{\"video_duration\":5}}",
                   id);
    poll_response(call_wait(&a->w, job), body);
    take_of(job)->url_expires_ms = clock_wall_ms(&a->w.clock.clock) + life_ms;
    struct job_media_size video = {10, "e"};
    jobs_video_set(take_of(job), &video);
    assert_state(job, JOB_SUCCEEDED);
    return job;
}

static void fetch_ends(struct archive_world *a, struct job *job, int result)
{
    int64_t id = job->attempt_id;
    if (result < 0)
        a->media_hooks.on_fetch_failed(a->media_hooks.context, id, MEDIA_VIDEO, result);
    else
        a->media_hooks.on_progress(a->media_hooks.context, id, MEDIA_VIDEO, 10);
}

static void test_archive__expiry_fetches_in_the_last_two_hours_once(void **state UNUSED)
{
    struct archive_world a;
    archive_init(&a, TREE_ARCHIVE_EXPIRY);
    struct job *job = finished(&a, "cat", 24 * HOUR_MS);
    assert_true(archive_is_refetchable(a.tree, job->attempt_id, MEDIA_VIDEO));
    world_run(&a.w, 22 * HOUR_MS - 60 * 1000);
    assert_int_equal(a.media.fetched, 0);
    assert_true(archive_is_refetchable(a.tree, job->attempt_id, MEDIA_VIDEO));
    world_run(&a.w, HOUR_MS + 60 * 1000); /* each at its own time of the first of the two hours */
    assert_int_equal(a.media.fetched, 1);
    assert_false(archive_is_refetchable(a.tree, job->attempt_id, MEDIA_VIDEO));
    a.media.is_durable = true;
    fetch_ends(&a, job, 0);
    world_run(&a.w, 48 * HOUR_MS);
    assert_int_equal(a.media.fetched, 1);
    archive_fini(&a);
}

static void test_archive__always_and_never_are_as_they_say(void **state UNUSED)
{
    static const enum tree_archive policies[] = {TREE_ARCHIVE_ALWAYS, TREE_ARCHIVE_NEVER};
    for (size_t i = 0; i < ARRAY_COUNT(policies); i++) {
        struct archive_world a;
        archive_init(&a, policies[i]);
        const struct job *job = finished(&a, "cat", 24 * HOUR_MS);
        world_run(&a.w, 10);
        bool is_always = policies[i] == TREE_ARCHIVE_ALWAYS;
        assert_int_equal(a.media.fetched, is_always ? 1 : 0);
        assert_int_equal(archive_is_evictable(a.tree, job->attempt_id, MEDIA_VIDEO), !is_always);
        assert_true(archive_is_refetchable(a.tree, job->attempt_id, MEDIA_VIDEO));
        world_run(&a.w, 48 * HOUR_MS);
        assert_int_equal(a.media.fetched, is_always ? 1 : 0);
        archive_fini(&a);
    }
}

/* A hundred made at the same time: a few at once, in the course of an hour, every one in the
 * end. */
static void test_archive__many_are_spread(void **state UNUSED)
{
    enum { JOBS = 100 };
    struct archive_world a;
    struct job *jobs[JOBS];
    char name[16];
    unsigned before;
    archive_init(&a, TREE_ARCHIVE_EXPIRY);
    for (int i = 0; i < JOBS; i++) {
        (void)snprintf(name, sizeof(name), "j%d", i);
        jobs[i] = finished(&a, name, 24 * HOUR_MS);
    }
    for (int i = 0; i < JOBS; i++)
        take_of(jobs[i])->url_expires_ms = clock_wall_ms(&a.w.clock.clock) + 24 * HOUR_MS;
    archive_soon(a.tree);
    world_run(&a.w, 22 * HOUR_MS);
    for (int minute = 0; minute < 60; minute++) {
        world_run(&a.w, 60 * 1000);
        assert_true(a.tree->archive_active <= 3);
        /* What runs ends, those who waited for its place begin, until nobody is due. */
        do {
            before = a.media.fetched;
            for (int i = 0; i < JOBS; i++)
                fetch_ends(&a, jobs[i], -ERR_MEDIA_STATUS);
            world_run(&a.w, 1);
        } while (a.media.fetched != before);
        assert_true(minute > 0 || a.media.fetched < JOBS / 4);
    }
    assert_true(a.media.fetched >= JOBS);
    archive_fini(&a);
}

static void test_archive__failures_back_off_until_the_video_is_gone(void **state UNUSED)
{
    struct archive_world a;
    archive_init(&a, TREE_ARCHIVE_EXPIRY);
    struct job *job = finished(&a, "cat", 24 * HOUR_MS);
    world_run(&a.w, 23 * HOUR_MS);
    assert_int_equal(a.media.fetched, 1);
    unsigned attempts = 0;
    while (take_of(job)->url_expires_ms >= 0 && attempts++ < 40) {
        unsigned before = a.media.fetched;
        assert_int_equal(archive_failing_count(a.tree), attempts > 1);
        fetch_ends(&a, job, -ERR_MEDIA_GONE);
        for (int minute = 0; minute < 60 && a.media.fetched == before; minute++)
            world_run(&a.w, 60 * 1000);
    }
    /* Not before it had expired, at most half an hour and a bit between two attempts. */
    assert_true(attempts >= 5 && attempts <= 20);
    assert_true(clock_wall_ms(&a.w.clock.clock) > job->updated_ms);
    assert_state(job, JOB_SUCCEEDED);
    assert_true(problem_has(job, "The video is gone"));
    assert_int_equal(archive_failing_count(a.tree), 0);
    assert_int_equal(jobs_counts_get(a.w.jobs)->videos_lost, 1);
    unsigned fetched = a.media.fetched;
    world_run(&a.w, 48 * HOUR_MS);
    assert_int_equal(a.media.fetched, fetched);
    assert_false(archive_is_refetchable(a.tree, job->attempt_id, MEDIA_VIDEO));
    archive_fini(&a);
}

/* The wall clock is set on by a day: it is noticed within the hour. */
static void test_archive__a_clock_that_jumps_is_noticed(void **state UNUSED)
{
    struct archive_world a;
    archive_init(&a, TREE_ARCHIVE_EXPIRY);
    (void)finished(&a, "cat", 24 * HOUR_MS);
    world_run(&a.w, HOUR_MS / 2);
    a.w.clock.wall_ms += 23 * HOUR_MS;
    assert_int_equal(a.media.fetched, 0);
    world_run(&a.w, HOUR_MS + 1000);
    assert_int_equal(a.media.fetched, 1);
    archive_fini(&a);
}

static void test_archive__what_rots_or_is_evicted_is_fetched_anew(void **state UNUSED)
{
    struct archive_world a;
    archive_init(&a, TREE_ARCHIVE_EXPIRY);
    struct job *job = finished(&a, "cat", 24 * HOUR_MS);
    a.media.is_durable = true;
    world_run(&a.w, 23 * HOUR_MS);
    assert_int_equal(a.media.fetched, 0);
    a.media.is_durable = false;
    a.media_hooks.on_progress(a.media_hooks.context, job->attempt_id, MEDIA_VIDEO, 9);
    world_run(&a.w, 1000);
    assert_int_equal(a.media.fetched, 1);
    archive_fini(&a);
}

/* What is saved is not looked at again, however often something happens elsewhere; but when it
 * happens there. */
static void test_archive__a_walk_begins_with_what_is_not_saved(void **state UNUSED)
{
    enum { JOBS = 100 };
    struct archive_world a;
    struct job *jobs[JOBS];
    char name[16];
    archive_init(&a, TREE_ARCHIVE_ALWAYS);
    a.media.is_durable = true;
    for (int i = 0; i < JOBS; i++) {
        (void)snprintf(name, sizeof(name), "j%d", i);
        jobs[i] = finished(&a, name, 24 * HOUR_MS);
    }
    world_run(&a.w, 60 * 1000);
    assert_int_equal(a.media.fetched, 0);
    assert_int_equal(a.tree->archive_walk.first_id, INT64_MAX);
    unsigned opened = a.media.opened;
    (void)finished(&a, "new", 24 * HOUR_MS);
    world_run(&a.w, 3 * HOUR_MS);
    assert_true(a.media.opened - opened < 10);
    a.media.is_durable = false;
    for (int i = 0; i < JOBS; i += JOBS - 1) {
        unsigned fetched = a.media.fetched;
        a.media_hooks.on_progress(a.media_hooks.context, jobs[i]->attempt_id, MEDIA_VIDEO, 9);
        world_run(&a.w, 1000);
        assert_int_equal(a.media.fetched, fetched + 1);
        assert_int_equal(a.tree->archive_walk.first_id, jobs[0]->id);
    }
    archive_fini(&a);
}

/* A walk takes several pass of the loop; what happens to jobs that it has passed is not
 * forgotten. */
static void test_archive__what_happens_behind_a_walk_is_seen(void **state UNUSED)
{
    enum { JOBS = 100 };
    struct archive_world a;
    char name[16];
    archive_init(&a, TREE_ARCHIVE_NEVER);
    for (int i = 0; i < JOBS; i++) {
        (void)snprintf(name, sizeof(name), "j%d", i);
        (void)finished(&a, name, 24 * HOUR_MS);
    }
    a.tree->settings.archive = TREE_ARCHIVE_ALWAYS;
    a.media.is_durable = true;
    archive_soon(a.tree);
    world_run(&a.w, 1);
    assert_true(a.tree->archive_walk.is_going);
    struct job *first = jobs_find(a.w.jobs, "j0");
    assert_true(a.tree->archive_walk.at_id > first->id);
    /* Gone: the one that it has come to. */
    struct job *at = jobs_get(a.w.jobs, a.tree->archive_walk.at_id);
    assert_int_equal(jobs_remove(at), 0);
    a.media_hooks.on_progress(a.media_hooks.context, first->attempt_id, MEDIA_VIDEO, 9);
    assert_int_equal(take_of(first)->media_mark, 0);
    world_run(&a.w, 60 * 1000);
    assert_false(a.tree->archive_walk.is_going);
    assert_int_equal(a.tree->archive_walk.first_id, INT64_MAX);
    for (struct job *job = jobs_next(a.w.jobs, 0); job; job = jobs_next(a.w.jobs, job->id))
        assert_int_not_equal(take_of(job)->media_mark, 0);
    archive_fini(&a);
}

/* What it does not know may be the last copy of something. */
static void test_archive__only_what_is_known_can_be_fetched_again(void **state UNUSED)
{
    struct archive_world a;
    archive_init(&a, TREE_ARCHIVE_EXPIRY);
    struct job *job = finished(&a, "cat", 24 * HOUR_MS);
    int64_t id = job->attempt_id;
    assert_true(archive_is_refetchable(a.tree, id, MEDIA_VIDEO) &&
                archive_is_evictable(a.tree, id, MEDIA_VIDEO));
    assert_false(archive_is_refetchable(a.tree, id + 1000, MEDIA_VIDEO) ||
                 archive_is_evictable(a.tree, id + 1000, MEDIA_VIDEO));
    /* The clock was set back: the URL may have expired long ago. */
    a.w.clock.wall_ms -= 23 * HOUR_MS;
    assert_false(archive_is_refetchable(a.tree, id, MEDIA_VIDEO) ||
                 archive_is_evictable(a.tree, id, MEDIA_VIDEO));
    a.w.clock.wall_ms += 23 * HOUR_MS;
    assert_true(archive_is_refetchable(a.tree, id, MEDIA_VIDEO));
    /* The user has removed it. */
    assert_int_equal(jobs_remove(job), 0);
    assert_true(archive_is_refetchable(a.tree, id, MEDIA_VIDEO) &&
                archive_is_evictable(a.tree, id, MEDIA_VIDEO));
    archive_fini(&a);
}

/* What the job has already must not be lost because another attempt is under way, or has failed. */
static void test_archive__a_take_is_kept_whatever_the_job_does_next(void **state UNUSED)
{
    static const enum tree_archive policies[] = {TREE_ARCHIVE_EXPIRY, TREE_ARCHIVE_NEVER};
    for (size_t i = 0; i < ARRAY_COUNT(policies); i++) {
        struct archive_world a;
        archive_init(&a, policies[i]);
        struct job *job = finished(&a, "cat", 10 * HOUR_MS);
        int64_t first = job->attempt_id;
        a.media.is_durable = true; /* the whole of it is on disk */
        assert_int_equal(job_ctl_run(job, "take", 4), 0);
        create_accept(call_wait(&a.w, job), "cgt-second");
        assert_state(job, JOB_QUEUED);
        job->picked->is_kept = false; /* as after a restart */
        /* It could be fetched again, but the program may not run when that is due. */
        assert_true(archive_is_refetchable(a.tree, first, MEDIA_VIDEO));
        assert_false(archive_is_evictable(a.tree, first, MEDIA_VIDEO));
        fake_clock_advance(&a.w.clock, 11 * HOUR_MS);
        assert_false(archive_is_refetchable(a.tree, first, MEDIA_VIDEO) ||
                     archive_is_evictable(a.tree, first, MEDIA_VIDEO));
        poll_status(call_wait(&a.w, job), "failed");
        assert_state(job, JOB_FAILED);
        assert_false(archive_is_refetchable(a.tree, first, MEDIA_VIDEO) ||
                     archive_is_evictable(a.tree, first, MEDIA_VIDEO));
        archive_fini(&a);
    }
}

/* The command that goes on from a video waits until nothing of that can be lost. */
static void test_archive__a_take_is_saved_before_the_next_is_ordered(void **state UNUSED)
{
    static const char *const commands[] = {"take", "edit", "adopt cgt-other"};
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        struct archive_world a;
        archive_init(&a, TREE_ARCHIVE_NEVER);
        struct job *job = finished(&a, "cat", 10 * HOUR_MS);
        unsigned fetched = a.media.fetched;
        assert_int_equal(job_ctl_run(job, commands[i], strlen(commands[i])), -EBUSY);
        assert_state(job, JOB_SUCCEEDED);
        assert_int_equal(a.media.fetched, fetched + 1);
        /* Nor does the cache let it go before the command is written again. */
        assert_false(archive_is_evictable(a.tree, job->attempt_id, MEDIA_VIDEO));
        a.media.is_durable = true;
        assert_int_equal(job_ctl_run(job, commands[i], strlen(commands[i])), 0);
        assert_int_equal(job->picked->number, 1);
        archive_fini(&a);
    }
}

/* S-REMOVE-12. */
static void test_archive__a_removed_video_is_kept_for_a_week(void **state UNUSED)
{
    struct archive_world a;
    archive_init(&a, TREE_ARCHIVE_EXPIRY);
    struct job *whole = finished(&a, "whole", 10 * HOUR_MS);
    int64_t id = whole->attempt_id;
    a.media.is_durable = true;
    assert_int_equal(jobs_remove(whole), 0);
    world_run(&a.w, 6 * 24 * HOUR_MS);
    assert_int_equal(a.media.removed, 0);
    /* What has come back is not that of a removed job. */
    struct job *back = job_make_named(&a.w, "back");
    assert_int_equal(job_ctl_run(back, "adopt cgt-whole", 15), 0);
    assert_state(back, JOB_SUCCEEDED);
    assert_int_equal(back->attempt_id, id);
    world_run(&a.w, 2 * 24 * HOUR_MS);
    assert_int_equal(a.media.removed, 0);
    assert_int_equal(jobs_remove(back), 0);
    world_run(&a.w, 8 * 24 * HOUR_MS);
    assert_int_equal(a.media.removed, 2); /* the video and the cover */
    world_run(&a.w, 8 * 24 * HOUR_MS);
    assert_int_equal(a.media.removed, 2);
    /* A part of a video is of no use to anybody. */
    a.media.is_durable = false;
    assert_int_equal(jobs_remove(finished(&a, "part", 10 * HOUR_MS)), 0);
    assert_int_equal(a.media.removed, 4);
    archive_fini(&a);
}

/* What is in the way is told, and no command that nobody has written. */
static void test_archive__a_take_that_cannot_be_saved_says_why(void **state UNUSED)
{
    struct archive_world a;
    CLEANUP(buf_fini) struct buf text = {.limit = 4096};
    archive_init(&a, TREE_ARCHIVE_NEVER);
    struct job *job = finished(&a, "cat", 10 * HOUR_MS);
    assert_int_equal(job_ctl_run(job, "take", 4), -EBUSY);
    fetch_ends(&a, job, -ENOSPC);
    assert_int_equal(job_ctl_run(job, "take", 4), -EBUSY);
    assert_int_equal(job_ctl_render(detail_of(job), &text), 0);
    assert_non_null(strstr(buf_text(&text), "take: the present video cannot be saved first"));
    assert_null(strstr(buf_text(&text), "failed: fetch"));
    archive_fini(&a);
}

/* Until the whole video is on disk again, whatever else happens to it. */
static void test_archive__damage_is_shown_until_it_is_repaired(void **state UNUSED)
{
    struct archive_world a;
    archive_init(&a, TREE_ARCHIVE_EXPIRY);
    struct job *job = finished(&a, "cat", 24 * HOUR_MS);
    int64_t id = job->attempt_id;
    struct media_damage block = {.id = id, .kind = MEDIA_VIDEO, .offset = 3, .bytes = 4};
    struct media_damage kept = {.id = id, .kind = MEDIA_VIDEO, .kept = "7.mp4.damaged"};
    struct media_damage cover = {.id = id, .kind = MEDIA_COVER, .offset = 3, .bytes = 4};
    void *context = a.media_hooks.context;
    a.media_hooks.on_damage(context, &cover);
    assert_false(job->has_problem);
    a.media_hooks.on_damage(context, &block);
    char path[32];
    (void)snprintf(path, sizeof(path), "/media/%lld.mp4.", (long long)id);
    assert_true(problem_has(job, "4 bytes do not match their checksums, the first of them at 3"));
    assert_true(problem_has(job, path));
    uint64_t changes = jobs_counts_get(a.w.jobs)->changes;
    a.media_hooks.on_damage(context, &block); /* found again */
    assert_int_equal(jobs_counts_get(a.w.jobs)->changes, changes);
    assert_int_equal(jobs_counts_get(a.w.jobs)->videos_damaged, 1);
    a.media_hooks.on_damage(context, &kept);
    assert_true(problem_has(job, "/media/7.mp4.damaged, and may be complete"));
    /* Nor does a new start forget what it is about, or another failure take its place. */
    job_detail_drop(job);
    jobs_video_failed(take_of(job), -ERR_HTTP_STALLED);
    jobs_video_unsteady(take_of(job));
    assert_true(problem_has(job, "7.mp4.damaged"));
    struct job_media_size other = {11, "f"};
    jobs_video_set(take_of(job), &other);
    assert_true(problem_has(job, "7.mp4.damaged"));
    jobs_video_gone(take_of(job), -ERR_MEDIA_GONE);
    assert_true(problem_has(job, "7.mp4.damaged"));
    a.media_hooks.on_progress(context, id, MEDIA_VIDEO, 10);
    assert_true(job->has_problem);
    a.media_hooks.on_progress(context, id, MEDIA_VIDEO, 11);
    assert_false(job->has_problem);
    archive_fini(&a);
}

static void test_archive__a_fetch_that_fails_is_told_in_ctl_alone(void **state UNUSED)
{
    struct archive_world a;
    struct buf text;
    archive_init(&a, TREE_ARCHIVE_NEVER);
    struct job *job = finished(&a, "a", 10 * HOUR_MS);
    assert_int_equal(job_ctl_run(job, "fetch\n", 6), 0);
    fetch_ends(&a, job, -ERR_HTTP_STALLED);
    buf_init(&text, 4096);
    assert_int_equal(job_ctl_render(detail_of(job), &text), 0);
    assert_non_null(strstr(buf_text(&text),
                           "\n\nThe last command failed: fetch: the response stopped "
                           "arriving.\n"));
    assert_false(generated_has_problem(job, job->detail));
    buf_clear(&text);
    assert_int_equal(job_ctl_run(job, "fetch\n", 6), 0);
    assert_int_equal(job_ctl_render(detail_of(job), &text), 0);
    assert_null(strstr(buf_text(&text), "failed:"));
    buf_fini(&text);
    archive_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_archive__expiry_fetches_in_the_last_two_hours_once),
        cmocka_unit_test(test_archive__always_and_never_are_as_they_say),
        cmocka_unit_test(test_archive__many_are_spread),
        cmocka_unit_test(test_archive__failures_back_off_until_the_video_is_gone),
        cmocka_unit_test(test_archive__a_clock_that_jumps_is_noticed),
        cmocka_unit_test(test_archive__what_rots_or_is_evicted_is_fetched_anew),
        cmocka_unit_test(test_archive__a_walk_begins_with_what_is_not_saved),
        cmocka_unit_test(test_archive__a_fetch_that_fails_is_told_in_ctl_alone),
        cmocka_unit_test(test_archive__what_happens_behind_a_walk_is_seen),
        cmocka_unit_test(test_archive__only_what_is_known_can_be_fetched_again),
        cmocka_unit_test(test_archive__a_take_is_kept_whatever_the_job_does_next),
        cmocka_unit_test(test_archive__a_take_is_saved_before_the_next_is_ordered),
        cmocka_unit_test(test_archive__a_removed_video_is_kept_for_a_week),
        cmocka_unit_test(test_archive__a_take_that_cannot_be_saved_says_why),
        cmocka_unit_test(test_archive__damage_is_shown_until_it_is_repaired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
