/* The collection: names, birth, listing, renaming, removal, and what a resting job costs. */
#include "job_harness.h"

#include <malloc.h>

static void test_jobs__state_words_and_classes_go_both_ways(void **state UNUSED)
{
    static const struct {
        enum job_state state;
        const char *word;
        enum job_class class;
    } rows[] = {
        {JOB_DRAFT, "draft", JOB_CLASS_EDITABLE},
        {JOB_INVALID, "invalid", JOB_CLASS_EDITABLE},
        {JOB_HELD, "held", JOB_CLASS_EDITABLE},
        {JOB_WAITING, "waiting", JOB_CLASS_ACTIVE},
        {JOB_SUBMITTING, "submitting", JOB_CLASS_ACTIVE},
        {JOB_UNKNOWN, "unknown", JOB_CLASS_FROZEN},
        {JOB_REJECTED, "rejected", JOB_CLASS_EDITABLE},
        {JOB_QUEUED, "queued", JOB_CLASS_ACTIVE},
        {JOB_RUNNING, "running", JOB_CLASS_ACTIVE},
        {JOB_SUCCEEDED, "succeeded", JOB_CLASS_FROZEN},
        {JOB_FAILED, "failed", JOB_CLASS_EDITABLE},
        {JOB_CANCELLED, "cancelled", JOB_CLASS_EDITABLE},
        {JOB_EXPIRED, "expired", JOB_CLASS_EDITABLE},
        {JOB_LOST, "lost", JOB_CLASS_EDITABLE},
    };
    enum job_state parsed = JOB_STATE_COUNT;
    assert_int_equal(ARRAY_COUNT(rows), JOB_STATE_COUNT);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_string_equal(job_state_to_text(rows[i].state), rows[i].word);
        assert_int_equal(job_state_class(rows[i].state), rows[i].class);
        assert_int_equal(job_state_parse(rows[i].word, &parsed), 0);
        assert_int_equal(parsed, rows[i].state);
    }
    assert_int_equal(job_state_parse("Draft", &parsed), -EINVAL);
    assert_int_equal(job_state_parse("", &parsed), -EINVAL);
}

static void test_jobs__names_are_checked(void **state UNUSED)
{
    char long_name[TEXT_NAME_MAX + 2];
    memset(long_name, 'x', sizeof(long_name));
    long_name[sizeof(long_name) - 1] = '\0';
    const struct {
        const char *name;
        int expected;
    } rows[] = {
        {"cat", 0},
        {"cat", -EEXIST},
        {"a b", 0},
        {"\xc3\xa4", 0},
        {"", -EINVAL},
        {".", -EINVAL},
        {"..", -EINVAL},
        {".hidden", -EPERM},
        {"a/b", -EINVAL},
        {"a\nb", -EINVAL},
        {"a\x7f", -EINVAL},
        {"\xff", -EILSEQ},
        {"\xc2\x80", -EINVAL},
        {long_name, -ENAMETOOLONG},
        {long_name + 1, 0},
    };
    struct world w;
    world_init(&w);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct job *job = NULL;
        struct job *other = jobs_find(w.jobs, "cat");
        assert_int_equal(jobs_create(w.jobs, rows[i].name, &job), rows[i].expected);
        if (rows[i].expected == 0)
            assert_ptr_equal(jobs_find(w.jobs, rows[i].name), job);
        if (other && other != job)
            assert_int_equal(jobs_rename(other, rows[i].name, false),
                             rows[i].expected == -EEXIST ? 0
                             : rows[i].expected          ? rows[i].expected
                                                         : -EEXIST);
    }
    assert_int_equal(jobs_count(w.jobs), 4);
    world_fini(&w);
}

static void test_jobs__a_provisional_job_vanishes_unseen(void **state UNUSED)
{
    struct world w;
    struct job *job;
    struct job *again;
    world_init(&w);
    assert_int_equal(jobs_create_provisional(w.jobs, "cat", &job), 0);
    int64_t id = job->id;
    assert_null(jobs_find(w.jobs, "cat"));
    assert_ptr_equal(jobs_find_provisional(w.jobs, "cat"), job);
    assert_ptr_equal(jobs_get(w.jobs, id), job);
    assert_null(jobs_next(w.jobs, 0));
    assert_int_equal(state_on_disk(&w, "cat"), JOB_STATE_COUNT);
    world_run(&w, JOB_PROVISIONAL_MS - 1);
    assert_int_equal(jobs_create_provisional(w.jobs, "cat", &again), 0); /* starts anew */
    assert_ptr_equal(job, again);
    world_run(&w, JOB_PROVISIONAL_MS - 1);
    assert_non_null(jobs_get(w.jobs, id));
    world_run(&w, 1);
    assert_null(jobs_get(w.jobs, id));
    assert_null(jobs_find_provisional(w.jobs, "cat"));
    /* Held by somebody it stays as long as that. */
    assert_int_equal(jobs_create_provisional(w.jobs, "cat", &job), 0);
    job_ref(job);
    world_run(&w, 10 * JOB_PROVISIONAL_MS);
    assert_ptr_equal(jobs_find_provisional(w.jobs, "cat"), job);
    job_unref(job);
    world_run(&w, JOB_PROVISIONAL_MS);
    assert_null(jobs_find_provisional(w.jobs, "cat"));
    assert_int_equal(jobs_create_provisional(w.jobs, ".x", &job), -EPERM);
    world_fini(&w);
}

static void test_jobs__a_provisional_job_becomes_real_by_mkdir_or_a_file(void **state UNUSED)
{
    for (int kind = 0; kind < 3; kind++) {
        struct world w;
        struct job *job;
        struct job *made;
        struct job_file *file;
        world_init(&w);
        assert_int_equal(jobs_create_provisional(w.jobs, "cat", &job), 0);
        if (kind == 0) {
            assert_int_equal(jobs_create(w.jobs, "cat", &made), 0);
            assert_ptr_equal(made, job);
        } else if (kind == 1) {
            assert_int_equal(job_file_create(job, "x", 0644, &file), 0);
        } else {
            made = job_make_named(&w, "other");
            assert_int_equal(user_write(made, "x", "text"), 0);
            file = job_file_find(detail_of(made), "x");
            assert_int_equal(job_file_rename(file, job, "x", true), 0);
        }
        assert_false(job->is_provisional);
        assert_ptr_equal(jobs_find(w.jobs, "cat"), job);
        assert_int_equal(state_on_disk(&w, "cat"), JOB_DRAFT);
        world_run(&w, HOUR_MS);
        assert_ptr_equal(jobs_find(w.jobs, "cat"), job);
        world_fini(&w);
    }
}

static void test_jobs__a_listing_goes_on_while_jobs_come_and_go(void **state UNUSED)
{
    enum { COUNT = 100 };
    struct world w;
    struct job *provisional;
    int64_t ids[COUNT];
    world_init(&w);
    for (int i = 0; i < COUNT; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "job%d", (i * 37) % COUNT);
        ids[i] = job_make_named(&w, name)->id;
        if (i % 10 == 0)
            assert_int_equal(jobs_create_provisional(w.jobs, "x", &provisional), 0);
    }
    int64_t at = 0;
    int seen = 0;
    for (struct job *job; (job = jobs_next(w.jobs, at)) != NULL; seen++) {
        assert_true(job->id > at);
        assert_int_equal(job->id, ids[seen]);
        at = job->id;
        if (seen % 3 == 0)
            assert_int_equal(jobs_remove(job), 0); /* the one the listing stands at */
        if (seen % 3 == 1)
            assert_int_equal(jobs_rename(job, job->id % 2 ? "odd" : "even", true), 0);
        if (seen % 3 == 1)
            assert_int_equal(jobs_remove(job), 0);
    }
    assert_int_equal(seen, COUNT);
    /* Renaming does not move a job in the list, a start neither, and new ones come last. */
    struct job *first = jobs_next(w.jobs, 0);
    assert_int_equal(jobs_rename(first, "zzz", false), 0);
    assert_ptr_equal(jobs_next(w.jobs, 0), first);
    int64_t first_id = first->id;
    world_restart(&w);
    assert_int_equal(jobs_next(w.jobs, 0)->id, first_id);
    struct job *last = job_make_named(&w, "aaa");
    assert_true(last->id > ids[COUNT - 1]);
    at = 0;
    for (struct job *job; (job = jobs_next(w.jobs, at)) != NULL; at = job->id)
        assert_true(job->id > at);
    assert_int_equal(at, last->id);
    world_fini(&w);
}

static void test_jobs__ids_are_never_used_twice(void **state UNUSED)
{
    struct world w;
    int64_t last = 0;
    world_init(&w);
    for (int i = 0; i < 20; i++) {
        struct job *job = job_make_named(&w, "cat");
        assert_true(job->id > last);
        last = job->id;
        assert_int_equal(jobs_remove(job), 0);
        if (i % 4 == 1)
            world_restart(&w);
        if (i % 4 == 3)
            world_crash(&w);
    }
    world_fini(&w);
}

static void test_jobs__a_rename_holds_in_every_state_and_over_a_start(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_submitted(&w, "a");
    assert_int_equal(jobs_rename(job, "b", false), 0);
    assert_int_equal(call_send(call_of(&w, job)), 0);
    assert_int_equal(jobs_rename(job, "c", false), 0);
    create_accept(call_of(&w, job), "cgt-1");
    assert_int_equal(jobs_rename(job, "d", false), 0);
    assert_int_equal(jobs_rename(job, "d", false), 0);
    assert_null(jobs_find(w.jobs, "a"));
    assert_ptr_equal(jobs_find(w.jobs, "d"), job);
    world_crash(&w);
    jobs_start(w.jobs);
    job = jobs_find(w.jobs, "d");
    assert_state(job, JOB_QUEUED);
    assert_int_equal(jobs_count(w.jobs), 1);
    poll_status(call_wait(&w, job), "failed");
    assert_int_equal(w.api.creates, 1);
    world_fini(&w);
}

static void test_jobs__a_rename_replaces_nothing_but_an_empty_draft(void **state UNUSED)
{
    struct world w;
    struct job *provisional;
    world_init(&w);
    struct job *job = job_make_named(&w, "a");
    struct job *empty = job_make_named(&w, "empty");
    struct job *full = job_make_named(&w, "full");
    struct job *busy = job_submitted(&w, "busy");
    int64_t empty_id = empty->id;
    assert_int_equal(user_write(full, "note", "x"), 0);
    assert_int_equal(jobs_create_provisional(w.jobs, "soon", &provisional), 0);
    assert_int_equal(jobs_rename(job, "empty", false), -EEXIST);
    assert_int_equal(jobs_rename(job, "full", true), -ENOTEMPTY);
    assert_int_equal(jobs_rename(job, "busy", true), -ENOTEMPTY);
    assert_string_equal(job->name, "a");
    assert_int_equal(jobs_rename(job, "soon", false), 0); /* nobody has seen that one */
    assert_int_equal(jobs_rename(job, "empty", true), 0);
    assert_null(jobs_get(w.jobs, empty_id));
    assert_ptr_equal(jobs_find(w.jobs, "empty"), job);
    assert_state(busy, JOB_WAITING);
    world_restart(&w);
    assert_int_equal(jobs_count(w.jobs), 3);
    world_run(&w, 10 * 1000);
    world_fini(&w);
}

static void test_jobs__a_removed_job_leaves_its_files_and_name_behind(void **state UNUSED)
{
    struct world w;
    char path[160];
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(user_write(job, "note", "x"), 0);
    bytes_path(&w, job_file_find(detail_of(job), "note"), path);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(jobs_remove(job), 0);
    assert_int_equal(access(path, F_OK), -1);
    job = job_make_named(&w, "cat");
    assert_null(detail_of(job)->files);
    world_restart(&w);
    assert_int_equal(jobs_count(w.jobs), 1);
    world_fini(&w);
}

struct lines {
    char text[2048];
    int64_t last_ms;
};

static void line_add(void *context, int64_t time_ms, const char *text)
{
    struct lines *lines = context;
    assert_true(time_ms >= lines->last_ms);
    lines->last_ms = time_ms;
    strcat(lines->text, text);
    strcat(lines->text, "|");
}

static void test_jobs__the_history_tells_every_transition_in_order(void **state UNUSED)
{
    struct world w;
    struct lines lines = {.last_ms = 0};
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    fake_clock_advance(&w.clock, 5);
    create_accept(call_of(&w, job), "cgt-1");
    poll_status(call_wait(&w, job), "running");
    poll_status(call_wait(&w, job), "failed");
    assert_int_equal(store_history_each(w.store, job->id, line_add, &lines), 0);
    assert_string_equal(lines.text,
                        "created|draft -> waiting: attempt 1, estimated 1.00 USD|waiting -> "
                        "submitting|submitting -> queued: cgt-1|queued -> running|running -> "
                        "failed: the service gave no reason|");
    world_fini(&w);
}

static void test_jobs__resting_details_are_dropped_and_come_back_the_same(void **state UNUSED)
{
    enum { COUNT = 3 * JOB_DETAILS_RESTING };
    struct world w;
    struct job *jobs[COUNT];
    world_init(&w);
    struct job *busy = job_submitted(&w, "busy");
    struct job *held = job_make_named(&w, "held");
    struct job_file *file;
    assert_int_equal(job_file_create(held, "note", 0644, &file), 0);
    assert_int_equal(job_file_open(file, true, false), 0);
    struct job_detail *held_detail = held->detail;
    for (int i = 0; i < COUNT; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "job%d", i);
        jobs[i] = job_make_named(&w, name);
        assert_int_equal(user_write(jobs[i], "note", name), 0);
        assert_int_equal(user_write(jobs[i], JOB_PROMPT_NAME, "{"), 0);
    }
    assert_true(w.jobs->details_count <= JOB_DETAILS_RESTING + 2);
    assert_null(jobs[0]->detail);
    assert_ptr_equal(held->detail, held_detail);
    assert_int_equal(job_file_write(file, "x", 1, 0), 0);
    job_file_close(file, true);
    for (int i = COUNT - 1; i >= 0; i--) {
        assert_true(problem_has(jobs[i], "prompt.json"));
        assert_non_null(job_file_find(detail_of(jobs[i]), "note"));
        assert_true(w.jobs->details_count <= JOB_DETAILS_RESTING + 2);
    }
    assert_non_null(busy->detail->call);
    create_accept(call_of(&w, busy), "cgt-1");
    assert_state(busy, JOB_QUEUED);
    world_fini(&w);
}

static void test_jobs__a_resting_job_costs_less_than_400_bytes(void **state UNUSED)
{
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* the allocator that is measured is not in use */
#else
    enum { COUNT = 20000 };
    struct world w;
    world_init(&w);
    assert_int_equal(store_begin(w.store, STORE_LAZY), 0);
    for (int i = 0; i < COUNT; i++) {
        char name[32];
        char word[] = "draft";
        (void)snprintf(name, sizeof(name), "a-job-of-usual-name-%05d", i);
        struct store_job row = {.name = name, .state = word, .created_ms = 1, .updated_ms = 1};
        assert_int_equal(store_id_take(w.store, &row.id), 0);
        assert_int_equal(store_job_save(w.store, &row), 0);
    }
    assert_int_equal(store_commit(w.store), 0);
    world_close(&w);
    struct mallinfo2 before = mallinfo2();
    world_open(&w);
    struct mallinfo2 after = mallinfo2();
    size_t each = (after.uordblks - before.uordblks + after.hblkhd - before.hblkhd) / COUNT;
    print_message("a resting job costs %zu bytes\n", each);
    assert_int_equal(jobs_count(w.jobs), COUNT);
    assert_in_range(each, 150, 400);
    world_fini(&w);
#endif
}

static void test_jobs__an_unknown_state_word_in_the_store_is_no_state(void **state UNUSED)
{
    struct world w;
    struct jobs *jobs = NULL;
    char name[] = "cat";
    char word[] = "dreaming";
    world_init(&w);
    struct store_job row = {.id = 1, .name = name, .state = word};
    assert_int_equal(store_job_save(w.store, &row), 0);
    assert_int_equal(jobs_new(&w.jobs->settings, &jobs), -ERR_STORE_CORRUPT);
    assert_null(jobs);
    world_fini(&w);
}

static void test_jobs__a_damaged_row_sends_nothing(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    (void)job_queued(&w, "cat", "cgt-1");
    assert_int_equal(
        sqlite3_exec(w.store->db, "UPDATE job SET state = 'waiting'", NULL, NULL, NULL), SQLITE_OK);
    world_crash(&w);
    jobs_start(w.jobs);
    world_run(&w, 60 * 1000);
    assert_null(w.api.calls);
    assert_int_equal(w.api.creates, 1);
    world_fini(&w);
}

static void test_jobs__renamed_ones_are_found_among_many(void **state UNUSED)
{
    enum { COUNT = 300 }; /* more than the table begins with */
    struct world w;
    struct job *jobs[COUNT];
    char name[32];
    world_init(&w);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof(name), "before %d", i);
        jobs[i] = job_make_named(&w, name);
        for (int k = 0; k <= i; k += 7) {
            (void)snprintf(name, sizeof(name), "after %d %d", k, i);
            assert_int_equal(jobs_rename(jobs[k], name, false), 0);
            assert_ptr_equal(jobs_find(w.jobs, name), jobs[k]);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof(name), "before %d", i);
        if (i % 7 == 0)
            (void)snprintf(name, sizeof(name), "after %d %d", i, COUNT - 1);
        assert_ptr_equal(jobs_find(w.jobs, name), jobs[i]);
        assert_int_equal(jobs_remove(jobs[i]), 0);
        assert_null(jobs_find(w.jobs, name));
    }
    assert_int_equal(jobs_count(w.jobs), 0);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs__state_words_and_classes_go_both_ways),
        cmocka_unit_test(test_jobs__names_are_checked),
        cmocka_unit_test(test_jobs__a_provisional_job_vanishes_unseen),
        cmocka_unit_test(test_jobs__a_provisional_job_becomes_real_by_mkdir_or_a_file),
        cmocka_unit_test(test_jobs__a_listing_goes_on_while_jobs_come_and_go),
        cmocka_unit_test(test_jobs__ids_are_never_used_twice),
        cmocka_unit_test(test_jobs__a_rename_holds_in_every_state_and_over_a_start),
        cmocka_unit_test(test_jobs__a_rename_replaces_nothing_but_an_empty_draft),
        cmocka_unit_test(test_jobs__a_removed_job_leaves_its_files_and_name_behind),
        cmocka_unit_test(test_jobs__the_history_tells_every_transition_in_order),
        cmocka_unit_test(test_jobs__resting_details_are_dropped_and_come_back_the_same),
        cmocka_unit_test(test_jobs__a_resting_job_costs_less_than_400_bytes),
        cmocka_unit_test(test_jobs__an_unknown_state_word_in_the_store_is_no_state),
        cmocka_unit_test(test_jobs__a_damaged_row_sends_nothing),
        cmocka_unit_test(test_jobs__renamed_ones_are_found_among_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
