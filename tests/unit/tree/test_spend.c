/* spend.json: sums of all attempts, a list of the latest, and a size that is right at every
 * moment. */
#include "forest.h"

#include "job/job_private.h"

static void read_spend(struct forest *f, struct json_document **out)
{
    struct buf text;
    struct tree_entry entry;
    uint64_t ino = ino_of(f, TREE_ROOT_INO, "spend.json");
    assert_int_equal(tree_getattr(f->tree, ino, &entry), 0);
    node_read(f, ino, &text);
    assert_int_equal(entry.st.st_size, text.len);
    static const struct json_limits limits = {1 << 20, 8, 100000};
    assert_int_equal(json_parse(buf_text(&text), text.len, &limits, out, NULL), 0);
    buf_fini(&text);
}

static int64_t number_of(const struct json *object, const char *key)
{
    int64_t value;
    assert_true(json_int64_get(json_member_get(object, key), &value));
    return value;
}

static int64_t usd_of(const struct json *object, const char *key)
{
    const char *text = json_text_get(json_member_get(object, key));
    assert_non_null(text);
    return (int64_t)(strtod(text, NULL) * 1000000 + 0.5);
}

/* The size, the sums in the file and the store's own sum fit together. */
static void assert_right(struct forest *f, int64_t settled_usd_micros)
{
    struct json_document *document;
    int64_t spent;
    int64_t by_model = 0;
    read_spend(f, &document);
    const struct json *root = json_document_root(document);
    assert_int_equal(usd_of(root, "settled"), settled_usd_micros);
    assert_int_equal(store_spent_get(f->w.store, 0, &spent), 0);
    assert_int_equal(usd_of(root, "settled") + usd_of(root, "reserved") + usd_of(root, "at_risk"),
                     spent);
    const struct json *model = json_member_get(json_member_get(root, "by_model"), "a-model");
    if (model)
        by_model = usd_of(model, "settled");
    assert_int_equal(by_model, settled_usd_micros);
    json_document_free(document);
}

/* Attempts of one job, all of them finished, one cent each. */
static void add_attempts(struct forest *f, struct job *job, int64_t count, int64_t *first_id)
{
    char model[] = "a-model";
    char resolution[] = "720p";
    char task[32];
    int64_t id;
    *first_id = 0;
    assert_int_equal(store_begin(f->w.store, STORE_LAZY), 0);
    for (int64_t i = 0; i < count; i++) {
        assert_int_equal(store_id_take(f->w.store, &id), 0);
        (void)snprintf(task, sizeof(task), "cgt-%lld", (long long)id);
        struct store_attempt attempt = {.id = id,
                                        .job_id = job->id,
                                        .number = id,
                                        .model = model,
                                        .resolution = resolution,
                                        .duration_ms = 5000,
                                        .estimated_usd_micros = 20000,
                                        .actual_usd_micros = 10000,
                                        .submitted_ms = 1000,
                                        .finished_ms = 2000,
                                        .task_id = task,
                                        .video_bytes = -1,
                                        .cover_bytes = -1};
        assert_int_equal(store_attempt_insert(f->w.store, &attempt, "", 0, "", 0), 0);
        assert_int_equal(store_ledger_add(f->w.store, id, 1000), 0);
        *first_id = *first_id ? *first_id : id;
    }
    assert_int_equal(store_commit(f->w.store), 0);
    f->w.jobs->counts.changes++;
}

static void test_spend__all_are_summed_up_the_latest_are_listed(void **state UNUSED)
{
    struct forest f;
    struct json_document *document;
    int64_t first_id;
    forest_init(&f);
    struct job *job = job_make_named(&f.w, "many");
    add_attempts(&f, job, SPEND_LISTED, &first_id);
    assert_right(&f, SPEND_LISTED * 10000);
    read_spend(&f, &document);
    assert_int_equal(number_of(json_document_root(document), "earlier_attempts"), 0);
    json_document_free(document);
    for (int i = 1; i <= 3; i++) { /* each puts an earlier one among the past */
        int64_t id;
        add_attempts(&f, job, 7, &id);
        assert_right(&f, (SPEND_LISTED + 7 * i) * 10000);
    }
    read_spend(&f, &document);
    const struct json *root = json_document_root(document);
    assert_int_equal(number_of(root, "earlier_attempts"), 21);
    const struct json *list = json_member_get(root, "attempts");
    assert_int_equal(json_child_count(list), SPEND_LISTED);
    assert_int_equal(number_of(json_child_first(list), "attempt"), first_id + 21);
    json_document_free(document);
    forest_fini(&f);
}

static void test_spend__an_attempt_that_is_not_listed_any_more_may_change(void **state UNUSED)
{
    struct forest f;
    struct store_attempt attempt;
    int64_t first_id;
    forest_init(&f);
    add_attempts(&f, job_make_named(&f.w, "many"), SPEND_LISTED + 10, &first_id);
    assert_right(&f, (SPEND_LISTED + 10) * 10000);
    assert_int_equal(store_attempt_get(f.w.store, first_id + 2, &attempt), 0);
    attempt.actual_usd_micros = 60000;
    assert_int_equal(store_begin(f.w.store, STORE_LAZY), 0);
    assert_int_equal(store_attempt_update(f.w.store, &attempt), 0);
    assert_int_equal(store_ledger_add(f.w.store, attempt.id, 3000), 0);
    assert_int_equal(store_commit(f.w.store), 0);
    store_attempt_fini(&attempt);
    f.w.jobs->counts.changes++;
    assert_right(&f, (SPEND_LISTED + 15) * 10000);
    forest_fini(&f);
}

static void test_spend__the_size_follows_every_change(void **state UNUSED)
{
    struct forest f;
    struct json_document *document;
    forest_init(&f);
    f.w.jobs->settings.budget = (struct job_budget){50000000, JOB_BUDGET_DAY};
    read_spend(&f, &document);
    json_document_free(document);
    struct job *job = succeeded(&f, "cat");
    read_spend(&f, &document);
    json_document_free(document);
    assert_int_equal(
        tree_rename(f.tree, jobs_ino(&f), "cat", jobs_ino(&f), "a longer name", 0, &owner), 0);
    read_spend(&f, &document);
    const struct json *root = json_document_root(document);
    assert_int_equal(usd_of(json_member_get(root, "budget"), "used"), 1000000);
    assert_non_null(json_member_get(json_member_get(root, "by_job"), "a longer name"));
    assert_null(json_member_get(json_member_get(root, "by_job"), "cat"));
    json_document_free(document);
    /* Another day, without anything that happens. */
    f.w.clock.wall_ms += 24 * HOUR_MS;
    read_spend(&f, &document);
    root = json_document_root(document);
    assert_int_equal(usd_of(json_member_get(root, "budget"), "used"), 0);
    json_document_free(document);
    assert_int_equal(tree_unlink(f.tree, job_ino(&f, "a longer name"), "prompt.json", &owner), 0);
    assert_int_equal(jobs_remove(job), 0);
    read_spend(&f, &document);
    json_document_free(document);
    forest_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spend__all_are_summed_up_the_latest_are_listed),
        cmocka_unit_test(test_spend__an_attempt_that_is_not_listed_any_more_may_change),
        cmocka_unit_test(test_spend__the_size_follows_every_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
