/*
 * Commands, the queue of what waits for money, and what the ledger counts.
 */
#include "job_harness.h"

#include "job/job_private.h"
#include "seedancefs/job/ctl.h"

static int command(struct job *job, const char *text)
{
    return job_ctl_run(job, text, strlen(text));
}

/* `retry` leaves the attempt before it for good: what the disk has not taken of it comes first. */
static void test_spending__retry_writes_down_the_attempt_before_it_first(void **state UNUSED)
{
    struct world w;
    struct store_attempt attempt;
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    int64_t first = job->attempt_id;
    assert_int_equal(call_send(call_of(&w, job)), 0);
    world_disk_full(&w, true);
    create_accept(call_of(&w, job), "cgt-1");
    poll_status(call_wait(&w, job), "failed");
    assert_true(command(job, "retry") < 0);
    assert_state(job, JOB_FAILED);
    world_disk_full(&w, false);
    assert_int_equal(command(job, "retry"), 0);
    assert_int_equal(store_attempt_get(w.store, first, &attempt), 0);
    assert_string_equal(attempt.task_id, "cgt-1");
    assert_true(attempt.finished_ms > 0);
    store_attempt_fini(&attempt);
    assert_int_equal(call_send(call_wait(&w, job)), 0);
    world_crash(&w);
    jobs_start(w.jobs);
    job = jobs_find(w.jobs, "cat");
    assert_int_not_equal(job->attempt_id, first);
    assert_state(job, JOB_UNKNOWN); /* not taken for the task of the attempt before */
    world_fini(&w);
}

/* The close of what is being written would send it, and the job would forget the task. */
static void test_spending__adopt_does_not_meet_a_prompt_that_is_being_written(void **state UNUSED)
{
    struct world w;
    struct job_file *file;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(job_file_create(job, JOB_PROMPT_NAME, 0644, &file), 0);
    assert_int_equal(job_file_open(file, true, true), 0);
    assert_int_equal(job_file_write(file, PROMPT, strlen(PROMPT), 0), 0);
    assert_int_equal(command(job, "adopt cgt-1"), -EBUSY);
    assert_state(job, JOB_DRAFT);
    job_file_close(file, true);
    assert_state(job, JOB_WAITING);
    world_fini(&w);
}

/* Another file that is being written may become prompt.json, too. */
static void test_spending__retry_does_not_meet_a_prompt_that_is_being_written(void **state UNUSED)
{
    struct world w;
    struct job_file *file;
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    poll_status(call_wait(&w, job), "failed");
    assert_int_equal(job_file_create(job, "new", 0644, &file), 0);
    assert_int_equal(job_file_open(file, true, true), 0);
    assert_int_equal(job_file_rename(file, job, JOB_PROMPT_NAME, true), 0);
    assert_int_equal(command(job, "retry"), -EBUSY);
    job_file_close(file, true);
    assert_state(job, JOB_DRAFT);
    world_fini(&w);
}

static void
test_spending__removing_the_job_that_waits_for_money_frees_those_behind(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    w.jobs->settings.budget = (struct job_budget){2500000, JOB_BUDGET_TOTAL};
    struct job *spent = job_submitted(&w, "spent"); /* 1.00 USD */
    assert_int_equal(call_send(call_of(&w, spent)), 0);
    create_accept(call_of(&w, spent), "cgt-1");
    struct job *dear = job_make_named(&w, "dear");
    assert_int_equal(user_write(dear, JOB_PROMPT_NAME, "{\"prompt\": \"x\", \"duration\": 12}"), 0);
    struct job *cheap = job_make_named(&w, "cheap");
    assert_int_equal(user_write(cheap, JOB_PROMPT_NAME, PROMPT), 0);
    world_run(&w, 1000);
    assert_int_equal(w.api.creates, 1);
    assert_state(dear, JOB_WAITING);
    assert_state(cheap, JOB_WAITING);
    struct jobs_waits waits;
    jobs_waits_get(w.jobs, &waits);
    assert_int_equal(waits.for_budget, 1); /* the other one waits for its turn */
    struct job_detail *detail = detail_of(dear);
    struct job_file *file = job_file_find(detail, JOB_PROMPT_NAME);
    assert_int_equal(job_file_unlink(file), 0);
    assert_int_equal(jobs_remove(dear), 0);
    world_run(&w, 1000);
    assert_int_equal(w.api.creates, 2);
    jobs_waits_get(w.jobs, &waits);
    assert_int_equal(waits.for_budget, 0);
    world_fini(&w);
}

static void test_spending__a_full_disk_is_not_called_an_unreachable_service(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    world_disk_full(&w, true);
    int r = call_send(call_of(&w, job));
    assert_true(r < 0);
    assert_state(job, JOB_WAITING);
    assert_false(problem_has(job, "cannot be reached"));
    assert_true(problem_has(job, err_sentence(r)));
    world_disk_full(&w, false);
    world_fini(&w);
}

/* One task is charged once, in however many attempts it stands. */
static void test_spending__an_adopted_task_counts_once(void **state UNUSED)
{
    struct world w;
    int64_t before = 0;
    int64_t after = 0;
    world_init(&w);
    struct job *job = job_queued(&w, "gone", "cgt-1");
    assert_int_equal(store_spent_get(w.store, 0, &before), 0);
    assert_true(before > 0);
    struct job_file *file = job_file_find(detail_of(job), JOB_PROMPT_NAME);
    assert_int_equal(job_file_unlink(file), 0);
    assert_int_equal(jobs_remove(job), 0);
    job = job_make_named(&w, "back");
    assert_int_equal(command(job, "adopt cgt-1"), 0);
    poll_succeeded(call_wait(&w, job));
    struct job_media_size size = {1000, NULL};
    jobs_video_set(take_of(job), &size);
    assert_state(job, JOB_SUCCEEDED);
    assert_int_equal(store_spent_get(w.store, 0, &after), 0);
    assert_int_equal(after, detail_of(job)->attempt.actual_usd_micros);
    world_fini(&w);
}

static void assert_ledger(struct world *w, int64_t attempt_id, const char *kinds)
{
    char sql[256];
    (void)snprintf(
        sql, sizeof(sql),
        "SELECT ifnull(group_concat(kind || ' ' || (usd_micros / 1000)), '') = '%s' FROM "
        "(SELECT * FROM ledger WHERE attempt_id = %lld ORDER BY id)",
        kinds, (long long)attempt_id);
    if (!store_ask(w, sql))
        fail_msg("the ledger does not say \"%s\"", kinds);
    ledger_verify(w);
}

static void test_spending__the_ledger_has_an_entry_for_each_change_of_money(void **state UNUSED)
{
    struct world w;
    struct job_media_size size = {1000, NULL};
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    int64_t first = job->attempt_id;
    assert_ledger(&w, first, "");
    assert_int_equal(call_send(call_of(&w, job)), 0);
    assert_ledger(&w, first, "reserved 1000");
    create_end(call_of(&w, job), API_THROTTLED, 429, 1000, "slow down");
    assert_ledger(&w, first, "reserved 1000,released 0");
    struct api_call *call = call_wait(&w, job);
    assert_int_equal(call_send(call), 0);
    create_end(call, API_AMBIGUOUS, 500, -1, "oops");
    assert_ledger(&w, first, "reserved 1000,released 0,reserved 1000,at_risk 1000");
    assert_int_equal(command(job, "retry"), 0);
    int64_t second = job->attempt_id;
    create_accept(call_wait(&w, job), "cgt-1");
    poll_succeeded(call_wait(&w, job));
    jobs_video_set(take_of(job), &size);
    assert_ledger(&w, first, "reserved 1000,released 0,reserved 1000,at_risk 1000");
    assert_ledger(&w, second, "reserved 1000,reserved 1000,settled 1000"); /* its task id came */
    assert_int_equal(jobs_remove(job), 0);
    job = job_make_named(&w, "back");
    assert_int_equal(command(job, "adopt cgt-1"), 0);
    assert_int_equal(job->attempt_id, second); /* it has moved, with what it has cost */
    assert_state(job, JOB_SUCCEEDED);
    assert_ledger(&w, second, "reserved 1000,reserved 1000,settled 1000");
    world_fini(&w);
}

static void test_spending__nothing_in_the_ledger_is_ever_changed(void **state UNUSED)
{
    static const char *const commands[] = {"DELETE FROM ledger", "UPDATE ledger SET usd_micros = 0",
                                           "DELETE FROM attempt"};
    struct world w;
    world_init(&w);
    (void)job_queued(&w, "cat", "cgt-1");
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        assert_int_equal(sqlite3_exec(w.store->db, commands[i], NULL, NULL, NULL),
                         SQLITE_CONSTRAINT);
    world_fini(&w);
}

static void damage_sent(struct store_attempt *attempt)
{
    attempt->submitted_ms = WALL_START_MS;
}

static void damage_task(struct store_attempt *attempt)
{
    attempt->task_id = strdup("cgt-1");
}

static void damage_cost(struct store_attempt *attempt)
{
    attempt->estimated_usd_micros = -1000000;
}

static void damage_owner(struct store_attempt *attempt)
{
    attempt->job_id++; /* that of the other job */
    attempt->number++;
}

/* A damaged row is an error of its own job: nothing is sent because of it. */
static void test_spending__a_waiting_row_that_no_transition_left_is_not_sent(void **state UNUSED)
{
    static void (*const damages[])(struct store_attempt *) = {damage_sent, damage_task, damage_cost,
                                                              damage_owner};
    for (size_t i = 0; i < ARRAY_COUNT(damages); i++) {
        struct world w;
        struct store_attempt attempt;
        struct job_detail *detail;
        world_init(&w);
        w.api.has_key = false;
        struct job *job = job_make_named(&w, "cat");
        (void)job_make_named(&w, "dog");
        assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
        world_run(&w, 0);
        assert_state(job, JOB_WAITING);
        assert_int_equal(store_attempt_get(w.store, job->attempt_id, &attempt), 0);
        damages[i](&attempt);
        assert_int_equal(store_attempt_update(w.store, &attempt), 0);
        assert_int_equal(store_attempt_move(w.store, &attempt), 0);
        store_attempt_fini(&attempt);
        w.api.has_key = true;
        world_restart(&w);
        world_run(&w, HOUR_MS);
        assert_int_equal(w.api.creates, 0);
        job = jobs_find(w.jobs, "cat");
        assert_int_equal(job_detail_get(job, &detail), -ERR_STORE_CORRUPT);
        world_fini(&w);
    }
}

/* Nothing is known of the cost of a task that is adopted before its create was answered. */
static void test_spending__a_task_that_is_adopted_too_early_costs_what_it_costs(void **state UNUSED)
{
    struct world w;
    int64_t before = 0;
    int64_t after = 0;
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    assert_int_equal(call_send(call_of(&w, job)), 0);
    assert_int_equal(store_spent_get(w.store, 0, &before), 0);
    assert_true(before > 0);
    assert_int_equal(command(job_make_named(&w, "dog"), "adopt cgt-1"), 0);
    create_accept(call_of(&w, job), "cgt-1");
    assert_int_equal(store_spent_get(w.store, 0, &after), 0);
    assert_int_equal(after, before);
    world_fini(&w);
}

static struct models *models_with(const char *text)
{
    struct models *models = NULL;
    struct prompt_report report;
    prompt_report_init(&report);
    assert_int_equal(models_new(&models), 0);
    if (text)
        assert_int_equal(models_add(models, "new.json", text, strlen(text), &report), 0);
    prompt_report_fini(&report);
    return models;
}

/* A task is under way, and the next start finds other models. */
static void
test_spending__a_task_costs_something_sensible_whatever_became_of_its_model(void **state UNUSED)
{
    static const struct {
        const char *after;
        int64_t usd_micros; /* for 5 s */
    } rows[] = {
        {"{\"usd_per_second\": {\"1080p\": \"0.50\"}}", 2500000},
        {"{\"usd_per_second\": {\"1080p\": \"0.80\"}}",
         2500000}, /* what was accepted, as everywhere */
        {"{\"usd_per_second\": {\"720p\": \"0.10\"}}", 2500000},
        {NULL, 2500000},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct models *before = models_with("{\"usd_per_second\": {\"1080p\": \"0.50\"}, "
                                            "\"parameters\": {\"duration\": {\"auto\": true, "
                                            "\"max\": 30}}}");
        struct models *after = models_with(rows[i].after);
        struct world w;
        world_init(&w);
        world_close(&w);
        w.models = before;
        world_open(&w);
        jobs_start(w.jobs);
        struct job *job =
            job_write(&w, "cat", "{\"prompt\": \"x\", \"model\": \"new\", \"duration\": -1}");
        const struct store_attempt *attempt = &detail_of(job)->attempt;
        assert_int_equal(attempt->estimated_usd_micros, 15000000);
        assert_int_equal(attempt->duration_ms, 30001);
        assert_true(store_attempt_is_length_open(attempt));
        create_accept(call_wait(&w, job), "cgt-1");
        w.models = after;
        world_restart(&w);
        job = jobs_find(w.jobs, "cat");
        job_finish(&w, job, "cgt-1");
        attempt = &detail_of(job)->attempt;
        assert_int_equal(attempt->output_ms, 5000);
        assert_int_equal(attempt->actual_usd_micros, rows[i].usd_micros);
        world_fini(&w);
        models_free(before);
        models_free(after);
    }
}

/* What waits when the program ends, and is dearer at the next start, is not sent at the new price
 * without a word; less, or a little more, is no reason to ask. */
static void test_spending__a_dearer_model_asks_again(void **state UNUSED)
{
    static const struct {
        const char *after;
        int64_t usd_micros;
        enum job_state state;
    } rows[] = {
        {"{\"usd_per_second\": {\"720p\": \"0.80\"}}", 4000000, JOB_HELD},
        {"{\"usd_per_second\": {\"720p\": \"0.52\"}}", 2600000, JOB_WAITING},
        {"{\"usd_per_second\": {\"720p\": \"0.10\"}}", 500000, JOB_WAITING},
        {NULL, 2500000, JOB_WAITING},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct models *before = models_with("{\"usd_per_second\": {\"720p\": \"0.50\"}}");
        struct models *after = models_with(rows[i].after);
        struct world w;
        world_init(&w);
        world_close(&w);
        w.models = before;
        w.api.has_key = false;
        world_open(&w);
        jobs_start(w.jobs);
        struct job *job = job_write(&w, "cat", "{\"prompt\": \"x\", \"model\": \"new\"}");
        world_run(&w, 0);
        assert_state(job, JOB_WAITING);
        assert_null(w.api.calls);
        w.models = after;
        w.api.has_key = true;
        world_restart(&w);
        world_run(&w, 0);
        job = jobs_find(w.jobs, "cat");
        assert_state(job, rows[i].state);
        assert_int_equal(detail_of(job)->attempt.estimated_usd_micros, rows[i].usd_micros);
        assert_int_equal(w.api.calls != NULL, rows[i].state == JOB_WAITING);
        assert_int_equal(problem_has(job, "It costs 4.00 USD by the present price of its model; "
                                          "2.50 USD were accepted."),
                         rows[i].state == JOB_HELD);
        world_fini(&w);
        models_free(before);
        models_free(after);
    }
}

/* A refusal that the disk did not take is still a reservation there; when it takes it, somebody has
 * to look. */
static void test_spending__money_that_is_free_late_is_found(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    w.jobs->settings.budget = (struct job_budget){1000000, JOB_BUDGET_TOTAL};
    struct job *job = job_submitted(&w, "cat");
    assert_int_equal(call_send(call_of(&w, job)), 0);
    world_disk_full(&w, true);
    create_end(call_of(&w, job), API_ACCOUNT_REFUSED, 402, -1, "");
    jobs_key_changed(w.jobs);
    world_run(&w, 60 * 1000);
    assert_state(job, JOB_WAITING);
    assert_null(call_of(&w, job));
    world_disk_full(&w, false);
    create_accept(call_wait(&w, job), "cgt-1");
    assert_state(job, JOB_QUEUED);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spending__adopt_does_not_meet_a_prompt_that_is_being_written),
        cmocka_unit_test(test_spending__retry_does_not_meet_a_prompt_that_is_being_written),
        cmocka_unit_test(test_spending__retry_writes_down_the_attempt_before_it_first),
        cmocka_unit_test(test_spending__removing_the_job_that_waits_for_money_frees_those_behind),
        cmocka_unit_test(test_spending__a_full_disk_is_not_called_an_unreachable_service),
        cmocka_unit_test(test_spending__an_adopted_task_counts_once),
        cmocka_unit_test(test_spending__the_ledger_has_an_entry_for_each_change_of_money),
        cmocka_unit_test(test_spending__nothing_in_the_ledger_is_ever_changed),
        cmocka_unit_test(test_spending__a_waiting_row_that_no_transition_left_is_not_sent),
        cmocka_unit_test(test_spending__money_that_is_free_late_is_found),
        cmocka_unit_test(test_spending__a_dearer_model_asks_again),
        cmocka_unit_test(
            test_spending__a_task_costs_something_sensible_whatever_became_of_its_model),
        cmocka_unit_test(test_spending__a_task_that_is_adopted_too_early_costs_what_it_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
