/* The file `events`: an unbroken chain of states for each job, whatever the disk does. */
#include "job_harness.h"

#include "seedancefs/base/json.h"

enum { EVENTS_MAX = 1 << 20 };

static void events_get(struct world *w, struct buf *out)
{
    int64_t size;
    buf_init(out, EVENTS_MAX);
    assert_int_equal(jobs_events_size(w->jobs, &size), 0);
    assert_int_equal(jobs_events_read(w->jobs, 0, EVENTS_MAX, out), 0);
    assert_int_equal(out->len, size);
}

/* Every line is JSON, each begins where the one before of its job has ended; the last state is
 * `last`. */
static void assert_chain(struct world *w, int64_t id, const char *last)
{
    struct buf events;
    char state[32] = "";
    events_get(w, &events);
    for (const char *line = buf_text(&events); *line;) {
        size_t len = strcspn(line, "\n");
        assert_int_equal(line[len], '\n');
        struct json_document *document;
        int64_t line_id;
        assert_int_equal(json_parse(line, len, NULL, &document, NULL), 0);
        const struct json *root = json_document_root(document);
        assert_true(json_int64_get(json_member_get(root, "id"), &line_id));
        if (line_id == id) {
            const char *previous = json_text_get(json_member_get(root, "previous"));
            assert_string_equal(previous ? previous : "", state);
            (void)snprintf(state, sizeof(state), "%s",
                           json_text_get(json_member_get(root, "state")));
        }
        document = json_document_free(document);
        line += len + 1;
    }
    assert_string_equal(state, last);
    buf_fini(&events);
}

/* The next response about the task. */
static void task_says(struct world *w, struct job *job, const char *word)
{
    while (!call_of(w, job))
        world_run(w, timers_next_ms(&w->timers));
    poll_status(call_of(w, job), word);
}

static void test_events__tell_every_transition_once(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    int64_t id = job->id;
    assert_chain(&w, id, "queued");
    task_says(&w, job, "running");
    job_persist(job, "a note is no transition");
    assert_chain(&w, id, "running");
    task_says(&w, job, "failed");
    assert_chain(&w, id, "failed");
    world_restart(&w);
    assert_chain(&w, id, "failed");
    job = jobs_find(w.jobs, "cat");
    assert_int_equal(jobs_rename(job, "dog", false), 0);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    assert_chain(&w, id, "waiting");
    assert_int_equal(jobs_remove(job), 0);
    assert_chain(&w, id, "removed");
    world_fini(&w);
}

static void test_events__are_written_late_when_the_disk_was_full(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_queued(&w, "cat", "cgt-1");
    world_disk_full(&w, true);
    task_says(&w, job, "running");
    task_says(&w, job, "failed");
    assert_state(job, JOB_FAILED);
    assert_chain(&w, job->id, "queued"); /* not yet */
    world_disk_full(&w, false);
    unsigned changes = w.changes;
    world_run(&w, 10 * 1000);
    assert_true(w.changes > changes); /* whoever reads at the end is told */
    assert_chain(&w, job->id, "failed");
    world_fini(&w);
}

static void test_events__of_an_intent_that_was_refused_are_none(void **state UNUSED)
{
    struct world w;
    struct buf before;
    struct buf after;
    struct job *other;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    events_get(&w, &before);
    world_disk_full(&w, true);
    assert_true(jobs_create(w.jobs, "dog", &other) < 0);
    assert_true(jobs_rename(job, "lion", false) < 0);
    assert_true(jobs_remove(job) < 0);
    world_disk_full(&w, false);
    events_get(&w, &after);
    assert_string_equal(buf_text(&before), buf_text(&after));
    buf_fini(&before);
    buf_fini(&after);
    world_fini(&w);
}

static void test_events__can_be_read_from_anywhere_in_pieces_of_any_size(void **state UNUSED)
{
    struct world w;
    struct buf whole;
    char name[16];
    world_init(&w);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "job%d", i);
        (void)job_make_named(&w, name);
    }
    events_get(&w, &whole);
    for (size_t size = 1; size < 1000; size = size * 2 + 1) {
        for (size_t offset = 0; offset <= whole.len + 2; offset += 13) {
            struct buf piece;
            buf_init(&piece, EVENTS_MAX);
            size_t left = offset < whole.len ? whole.len - offset : 0;
            assert_int_equal(jobs_events_read(w.jobs, (int64_t)offset, size, &piece), 0);
            assert_int_equal(piece.len, left < size ? left : size);
            if (piece.len)
                assert_memory_equal(piece.data, whole.data + offset, piece.len);
            buf_fini(&piece);
        }
    }
    buf_fini(&whole);
    world_fini(&w);
}

/* Lines that are in the store already, too: nothing of them moves. */
static void test_events__show_no_secret_of_a_url_and_keep_their_offsets(void **state UNUSED)
{
    struct world w;
    struct buf before;
    struct buf after;
    world_init(&w);
    (void)job_make_named(&w, "cat");
    events_get(&w, &before);
    static const char line[] = "{\"reason\":\"no https://a.b/c?X-Tos-Signature=s3cret here\"}\n";
    static const char shown[] = "{\"reason\":\"no https://a.b/c*********************** here\"}\n";
    assert_int_equal(store_event_add(w.store, line, strlen(line)), 0);
    (void)job_make_named(&w, "dog");
    events_get(&w, &after);
    assert_memory_equal(after.data, before.data, before.len);
    assert_memory_equal(after.data + before.len, shown, strlen(shown));
    for (size_t offset = 0; offset < after.len; offset++) {
        struct buf piece;
        buf_init(&piece, EVENTS_MAX);
        assert_int_equal(jobs_events_read(w.jobs, (int64_t)offset, 10, &piece), 0);
        assert_memory_equal(piece.data, after.data + offset, piece.len);
        buf_fini(&piece);
    }
    buf_fini(&before);
    buf_fini(&after);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events__tell_every_transition_once),
        cmocka_unit_test(test_events__are_written_late_when_the_disk_was_full),
        cmocka_unit_test(test_events__of_an_intent_that_was_refused_are_none),
        cmocka_unit_test(test_events__can_be_read_from_anywhere_in_pieces_of_any_size),
        cmocka_unit_test(test_events__show_no_secret_of_a_url_and_keep_their_offsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
