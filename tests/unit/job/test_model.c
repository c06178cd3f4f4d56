/*
 * Random users, a random service, crashes, full disks and jumping clocks, against the simplest statement of
 * what must hold:
 *   1. A second request that may cost money is never started for one attempt (the fake ends the test).
 *   2. A request is accepted only while a user acts; nothing else makes an attempt.
 *   3. States change along the arrows of src/job/state.c, and along no others.
 *   4. An answer with a task id that reached the disk is there for ever, whatever happens to its job.
 *   5. A crash changes no state but SUBMITTING, which becomes UNKNOWN, or QUEUED if the answer is known.
 *   6. Calls are counted right, their numbers bounded, and nothing gets stuck.
 * SEED=n repeats a run, STEPS=n makes it longer.
 */
#include "job_harness.h"

#include <time.h>

enum { NAMES = 12, HANDLES = 6 };

struct seen {
    int64_t id;
    enum job_state state;
    UT_hash_handle by_id;
};

struct handle {
    struct job_file *file; /* NULL: free */
    bool is_writer;
};

struct model {
    struct world w;
    uint64_t random;
    struct seen *seen;
    struct handle handles[HANDLES];
    bool is_user_acting;
    unsigned tasks;
    unsigned accepted; /* attempts that users asked for */
    unsigned crashes;
    unsigned counts[JOB_STATE_COUNT];
    int64_t disk_good_since_ms;
};

static unsigned pick(struct model *m, unsigned below)
{
    uint64_t z = m->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (unsigned)((z ^ (z >> 31)) % below);
}

#define A(state) (1u << JOB_##state)
static const unsigned arrows[JOB_STATE_COUNT] = {
    [JOB_DRAFT] = A(WAITING) | A(INVALID),
    [JOB_INVALID] = A(DRAFT) | A(WAITING),
    [JOB_WAITING] = A(SUBMITTING),
    [JOB_SUBMITTING] = A(WAITING) | A(QUEUED) | A(REJECTED) | A(UNKNOWN),
    [JOB_UNKNOWN] = 0,
    [JOB_REJECTED] = A(DRAFT),
    [JOB_QUEUED] = A(RUNNING) | A(SUCCEEDED) | A(FAILED) | A(CANCELLED) | A(EXPIRED) | A(LOST),
    [JOB_RUNNING] = A(SUCCEEDED) | A(FAILED) | A(CANCELLED) | A(EXPIRED) | A(LOST),
    [JOB_SUCCEEDED] = 0,
    [JOB_FAILED] = A(DRAFT),
    [JOB_CANCELLED] = A(DRAFT),
    [JOB_EXPIRED] = A(DRAFT),
    [JOB_LOST] = A(DRAFT),
};

static struct seen *seen_get(struct model *m, int64_t id)
{
    struct seen *seen;
    HASH_FIND(by_id, m->seen, &id, sizeof(id), seen);
    if (seen)
        return seen;
    seen = calloc(1, sizeof(*seen));
    assert_non_null(seen);
    seen->id = id;
    seen->state = JOB_DRAFT;
    HASH_ADD(by_id, m->seen, id, sizeof(seen->id), seen);
    return seen;
}

static void on_change(struct world *w, struct job *job)
{
    struct model *m = w->context;
    struct seen *seen = seen_get(m, job->id);
    if (seen->state == job->state)
        return;
    if (!(arrows[seen->state] & 1u << job->state))
        fail_msg("no arrow from %s to %s", job_state_to_text(seen->state),
                 job_state_to_text(job->state));
    if (job->state == JOB_WAITING && seen->state != JOB_SUBMITTING) {
        assert_true(m->is_user_acting);
        m->accepted++;
    }
    seen->state = job->state;
    m->counts[job->state]++;
}

/* The invariants of state.c, said a second time: the release build has no job_check(). */
static void job_verify(const struct job *job)
{
    job_check(job);
    assert_true((job->state <= JOB_INVALID) == (job->attempt_id == 0));
    if (!job->detail)
        return;
    const struct store_attempt *attempt = &job->detail->attempt;
    unsigned bit = 1u << job->state;
    assert_int_equal(attempt->id, job->attempt_id);
    if (bit & (A(WAITING) | A(SUBMITTING) | A(UNKNOWN)))
        assert_null(attempt->task_id);
    if (bit & A(WAITING))
        assert_int_equal(attempt->submitted_ms, 0);
    if (bit & (A(SUBMITTING) | A(UNKNOWN)))
        assert_int_not_equal(attempt->submitted_ms, 0);
    if (bit & (A(QUEUED) | A(RUNNING) | A(SUCCEEDED)))
        assert_non_null(attempt->task_id);
    if (bit & (A(SUCCEEDED) | A(FAILED) | A(CANCELLED) | A(EXPIRED) | A(LOST)))
        assert_int_not_equal(attempt->finished_ms, 0);
}

static void model_verify(struct model *m)
{
    unsigned creates = 0;
    unsigned polls = 0;
    struct api_call *call;
    DL_FOREACH (m->w.api.calls, call) {
        creates += call->task_id == NULL;
        polls += call->task_id != NULL;
    }
    assert_int_equal(m->w.jobs->creates, creates);
    assert_int_equal(m->w.jobs->polls, polls);
    assert_true(creates <= JOB_CREATES_MAX && polls <= JOB_POLLS_MAX);
    for (struct job *job = jobs_next(m->w.jobs, 0); job; job = jobs_next(m->w.jobs, job->id)) {
        job_verify(job);
        if (seen_get(m, job->id)->state != job->state)
            fail_msg("job %s is %s, and was %s when it was last heard of", job->name,
                     job_state_to_text(job->state), job_state_to_text(seen_get(m, job->id)->state));
    }
}

/* Every paid answer that reached the disk is still there. */
static void answers_verify(struct model *m)
{
    struct api_attempt *it;
    struct api_attempt *next;
    HASH_ITER (by_id, m->w.api.attempts, it, next) {
        struct store_attempt row;
        char *blob = NULL;
        size_t len = 0;
        assert_true(it->possible <= 1);
        if (!it->task_id[0] || !it->is_answer_stored)
            continue;
        assert_int_equal(store_attempt_get(m->w.store, it->id, &row), 0);
        assert_int_equal(store_attempt_blob_get(m->w.store, it->id, STORE_RESPONSE, &blob, &len),
                         0);
        bool is_known = row.task_id && strcmp(row.task_id, it->task_id) == 0;
        bool is_in_answer = blob && strstr(blob, it->task_id);
        assert_true(is_known || (!row.task_id && is_in_answer));
        free(blob);
        store_attempt_fini(&row);
    }
}

static void answers_are_stored(struct model *m)
{
    struct api_attempt *it;
    struct api_attempt *next;
    HASH_ITER (by_id, m->w.api.attempts, it, next) {
        it->is_answer_stored = true;
    }
}

/* A full disk and a crash together: nobody can keep these. */
static void answers_not_stored_are_lost(struct model *m)
{
    struct api_attempt *it;
    struct api_attempt *next;
    HASH_ITER (by_id, m->w.api.attempts, it, next) {
        if (!it->is_answer_stored)
            it->task_id[0] = '\0';
    }
}

static struct job *any_job(struct model *m)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "job%u", pick(m, NAMES));
    return jobs_find(m->w.jobs, name);
}

static struct job_file *any_file(struct model *m)
{
    struct job *job = any_job(m);
    struct job_file *file = job ? detail_of(job)->files : NULL;
    for (unsigned skip = pick(m, 3); file && file->next && skip > 0; skip--)
        file = file->next;
    return file && !file->is_unlinked ? file : NULL;
}

static const char *any_text(struct model *m)
{
    static const char *const texts[] = {PROMPT,
                                        "{\"prompt\": \"b\", \"duration\": 10}",
                                        "{\"prompt\": \"",
                                        "{\"prompt\": 5}",
                                        "",
                                        "}",
                                        PROMPT "\n"};
    return texts[pick(m, 3) ? 0 : pick(m, ARRAY_COUNT(texts))];
}

static void do_make(struct model *m)
{
    char name[16];
    struct job *job;
    (void)snprintf(name, sizeof(name), "job%u", pick(m, NAMES));
    if (pick(m, 3))
        (void)!jobs_create(m->w.jobs, name, &job);
    else
        (void)!jobs_create_provisional(m->w.jobs, name, &job);
}

static void do_write(struct model *m)
{
    struct job *job = any_job(m);
    if (job)
        (void)!user_write(job, pick(m, 4) ? JOB_PROMPT_NAME : "tmp", any_text(m));
}

static void do_rename_file(struct model *m)
{
    static const char *const names[] = {JOB_PROMPT_NAME, JOB_PROMPT_NAME, "tmp", "old"};
    struct job *to = any_job(m);
    struct job_file *file = any_file(m);
    if (to && file)
        (void)!job_file_rename(file, pick(m, 3) ? file->job : to, names[pick(m, 4)], pick(m, 4));
}

static void do_rename_job(struct model *m)
{
    char name[16];
    struct job *job = any_job(m);
    (void)snprintf(name, sizeof(name), "job%u", pick(m, NAMES));
    if (job)
        (void)!jobs_rename(job, name, pick(m, 2));
}

static void do_remove(struct model *m)
{
    struct job *job = any_job(m);
    bool is_final = job && (A(UNKNOWN) | A(SUCCEEDED)) & 1u << job->state;
    if (job && (is_final || pick(m, 6) == 0))
        (void)!jobs_remove(job);
}

static void do_unlink_or_truncate(struct model *m)
{
    struct job_file *file = any_file(m);
    if (file && pick(m, 3))
        (void)!job_file_truncate(file, pick(m, 2) ? 0 : (int64_t)pick(m, 50));
    else if (file)
        (void)!job_file_unlink(file);
}

static void handle_close(struct model *m, unsigned i)
{
    struct handle handle = m->handles[i];
    m->handles[i].file = NULL;
    if (handle.file)
        job_file_close(handle.file, handle.is_writer);
}

static void do_handle(struct model *m)
{
    unsigned i = pick(m, HANDLES);
    struct handle *handle = &m->handles[i];
    const char *text = any_text(m);
    if (!handle->file) {
        struct job_file *file = any_file(m);
        bool is_writer = pick(m, 3) != 0;
        if (file && job_file_open(file, is_writer, is_writer && pick(m, 2)) == 0)
            *handle = (struct handle){file, is_writer};
    } else if (handle->is_writer && pick(m, 2)) {
        (void)!job_file_write(handle->file, text, strlen(text), (int64_t)pick(m, 4) / 3 * 7);
    } else if (handle->is_writer && pick(m, 3) == 0) {
        (void)!job_file_truncate(handle->file, 0);
    } else if (pick(m, 2)) {
        (void)!job_file_flush(handle->file);
    } else {
        handle_close(m, i);
    }
}

static void user_acts(struct model *m)
{
    static void (*const acts[])(struct model *) = {
        do_make,   do_make,   do_write,  do_write,      do_write,       do_handle,
        do_handle, do_handle, do_remove, do_rename_job, do_rename_file, do_unlink_or_truncate,
    };
    m->is_user_acting = true;
    acts[pick(m, ARRAY_COUNT(acts))](m);
    m->is_user_acting = false;
}

static void dies(struct model *m);

/* The answer is on disk, and the program dies before it has looked at it. */
static void create_answer_and_die(struct model *m, struct api_call *call)
{
    char body[64];
    struct api_attempt *attempt = api_attempt_get(&m->w.api, call->attempt_id);
    (void)snprintf(attempt->task_id, sizeof(attempt->task_id), "cgt-%u", ++m->tasks);
    (void)snprintf(body, sizeof(body), "{\"id\":\"%.32s\"}", attempt->task_id);
    (void)!call_receive(call, body);
    attempt->is_answer_stored = !m->w.is_disk_full;
    m->w.api.tasks_made++;
    dies(m);
}

static void create_answer(struct model *m, struct api_call *call)
{
    static const struct {
        enum api_verdict verdict;
        int http_status;
    } ends[] = {
        {API_AMBIGUOUS, 0},   {API_AMBIGUOUS, 502},   {API_REJECTED, 400},
        {API_THROTTLED, 429}, {API_THROTTLED, 429},   {API_UNSENT, 0},
        {API_QUOTA, 429},     {API_KEY_REFUSED, 401}, {API_ACCOUNT_REFUSED, 402},
    };
    if (!call->is_sent && pick(m, 8) == 0) {
        create_end(call, API_UNSENT, 0, -1, "no route");
        return;
    }
    if (!call->is_sent && (call_send(call) < 0 || pick(m, 2)))
        return; /* the answer comes later */
    if (pick(m, 16) == 0) {
        create_answer_and_die(m, call);
    } else if (pick(m, 3)) {
        char id[32];
        struct api_attempt *attempt = api_attempt_get(&m->w.api, call->attempt_id);
        (void)snprintf(id, sizeof(id), "cgt-%u", ++m->tasks);
        create_accept(call, id);
        attempt->is_answer_stored = !m->w.is_disk_full;
    } else if (pick(m, 5) == 0) {
        (void)!call_receive(call, "<html>");
        create_end(call, API_AMBIGUOUS, 200, -1, "");
    } else {
        unsigned i = pick(m, ARRAY_COUNT(ends));
        create_end(call, ends[i].verdict, ends[i].http_status, (int64_t)pick(m, 3) * 3000 - 1,
                   "so");
    }
}

static void poll_answer_any(struct model *m, struct api_call *call)
{
    static const char *const words[] = {"queued",    "running", "running",  "failed",
                                        "cancelled", "expired", "dreaming", "succeeded"};
    static const enum api_verdict verdicts[] = {API_LOST,    API_LOST,      API_LOST,
                                                API_RETRY,   API_THROTTLED, API_KEY_REFUSED,
                                                API_REFUSED, API_UNUSABLE};
    unsigned kind = pick(m, 10);
    if (kind < 2)
        poll_succeeded(call);
    else if (kind < 7)
        poll_status(call, words[pick(m, ARRAY_COUNT(words))]);
    else
        poll_end(call, verdicts[pick(m, ARRAY_COUNT(verdicts))], 404, (int64_t)pick(m, 9000) - 1);
}

static void service_acts(struct model *m)
{
    struct api_call *call = m->w.api.calls;
    for (unsigned skip = pick(m, 5); call && call->next && skip > 0; skip--)
        call = call->next;
    if (call && !call->task_id)
        create_answer(m, call);
    else if (call)
        poll_answer_any(m, call);
}

static void media_acts(struct model *m, struct job *job)
{
    struct job_media_size size = {1000 + (int64_t)pick(m, 1000), pick(m, 2) ? "e" : NULL};
    if (!job)
        return;
    if (pick(m, 5) == 0)
        jobs_url_refresh(job);
    if (job->state != JOB_SUCCEEDED && !detail_of(job)->is_result_kept)
        return;
    if (pick(m, 3))
        jobs_video_set(job, &size);
    else
        jobs_video_failed(job, -ERR_MEDIA_STATUS);
}

static void disk_becomes(struct model *m, bool is_full)
{
    world_disk_full(&m->w, is_full);
    m->disk_good_since_ms = is_full ? -1 : m->w.clock.monotonic_ms;
}

static void time_passes(struct model *m)
{
    static const unsigned most_ms[] = {10, 2000, 2000, 30000, 30000, 7200000};
    world_run(&m->w, (int64_t)pick(m, most_ms[pick(m, ARRAY_COUNT(most_ms))]) + 1);
    if (m->disk_good_since_ms >= 0 &&
        m->w.clock.monotonic_ms - m->disk_good_since_ms > JOB_SAVE_AGAIN_MS)
        answers_are_stored(m);
}

/* The program dies; the next one finds what it wrote. */
static void dies(struct model *m)
{
    struct {
        int64_t id;
        bool is_unsaved;
        enum job_state state;
    } before[NAMES + 1];
    size_t count = 0;
    for (struct job *job = jobs_next(m->w.jobs, 0); job; job = jobs_next(m->w.jobs, job->id)) {
        assert_true(count < ARRAY_COUNT(before));
        before[count].id = job->id;
        before[count].state = job->state;
        before[count++].is_unsaved = job->detail && job->detail->is_unsaved;
    }
    memset(m->handles, 0, sizeof(m->handles));
    world_crash(&m->w);
    disk_becomes(m, false);
    for (size_t i = 0; i < count; i++) {
        struct job *job = jobs_get(m->w.jobs, before[i].id);
        assert_non_null(job);
        assert_true(before[i].is_unsaved || job->state == before[i].state);
        seen_get(m, job->id)->state = job->state;
    }
    assert_int_equal(jobs_count(m->w.jobs), count);
    jobs_start(m->w.jobs);
    for (size_t i = 0; i < count; i++) {
        struct job *job = jobs_get(m->w.jobs, before[i].id);
        assert_int_not_equal(job->state, JOB_SUBMITTING);
        if (before[i].state != JOB_SUBMITTING || before[i].is_unsaved)
            continue;
        const struct api_attempt *attempt = api_attempt_get(&m->w.api, job->attempt_id);
        bool is_known = attempt->task_id[0] && attempt->is_answer_stored;
        assert_int_equal(job->state, is_known ? JOB_QUEUED : JOB_UNKNOWN);
    }
    answers_not_stored_are_lost(m);
    m->crashes++;
}

static void handles_close(struct model *m)
{
    m->is_user_acting = true;
    for (unsigned i = 0; i < HANDLES; i++)
        handle_close(m, i);
    m->is_user_acting = false;
}

static void ends_and_starts(struct model *m)
{
    handles_close(m);
    disk_becomes(m, false);
    world_close(&m->w);
    world_open(&m->w);
    answers_are_stored(m);
    jobs_start(m->w.jobs);
}

/* With a disk, a key and a service that answers, every job comes to its end. */
static void all_comes_to_an_end(struct model *m)
{
    handles_close(m);
    disk_becomes(m, false);
    m->w.api.has_key = true;
    jobs_key_changed(m->w.jobs);
    for (int round = 0; round < 50; round++) {
        world_run(&m->w, 2 * HOUR_MS);
        for (int i = 0; i < 100 && m->w.api.calls; i++) {
            struct api_call *call = m->w.api.calls;
            char id[32];
            (void)snprintf(id, sizeof(id), "cgt-%u", ++m->tasks);
            if (call->task_id)
                poll_status(call, "failed");
            else
                create_accept(call, id);
        }
        for (struct job *job = jobs_next(m->w.jobs, 0); job; job = jobs_next(m->w.jobs, job->id)) {
            struct job_media_size size = {99, NULL};
            if (detail_of(job)->is_result_kept)
                jobs_video_set(job, &size);
        }
    }
    for (struct job *job = jobs_next(m->w.jobs, 0); job; job = jobs_next(m->w.jobs, job->id)) {
        if (job_state_class(job->state) == JOB_CLASS_ACTIVE) {
            char text[256];
            job_to_text(job, text, sizeof(text));
            fail_msg("stuck: %s reason=%s", text,
                     detail_of(job)->reason ? detail_of(job)->reason : "");
        }
    }
    assert_null(m->w.api.calls);
    answers_are_stored(m);
}

static void step(struct model *m)
{
    unsigned kind = pick(m, 1000);
    if (kind < 450)
        user_acts(m);
    else if (kind < 720)
        service_acts(m);
    else if (kind < 900)
        time_passes(m);
    else if (kind < 950)
        media_acts(m, any_job(m));
    else if (kind < 965)
        dies(m);
    else if (kind < 970)
        ends_and_starts(m);
    else if (kind < 978)
        disk_becomes(m, true);
    else if (kind < 990)
        disk_becomes(m, false);
    else if (kind < 992)
        m->w.api.has_key = false;
    else if (kind < 998) {
        m->w.api.has_key = true;
        jobs_key_changed(m->w.jobs);
    } else
        m->w.clock.wall_ms += pick(m, 2) ? 24 * HOUR_MS : -24 * HOUR_MS;
    model_verify(m);
}

static unsigned environment(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void test_model__no_order_of_events_spends_twice_or_loses_what_was_paid(void **state UNUSED)
{
    struct model m = {.random = environment("SEED", (unsigned)time(NULL) ^ (unsigned)getpid())};
    unsigned steps = environment("STEPS", 60000);
    print_message("SEED=%u STEPS=%u\n", (unsigned)m.random, steps);
    world_init(&m.w);
    m.w.context = &m;
    m.w.on_change = on_change;
    for (unsigned i = 1; i <= steps; i++) {
        step(&m);
        if (i % 500 == 0) {
            answers_verify(&m);
            ledger_verify(&m.w);
        }
        if (i % 3000 == 0)
            all_comes_to_an_end(&m);
    }
    answers_verify(&m);
    print_message("%u attempts, %u tasks, %u crashes;", m.accepted, m.w.api.tasks_made, m.crashes);
    for (enum job_state s = JOB_DRAFT; s < JOB_STATE_COUNT; s++) {
        print_message(" %s %u", job_state_to_text(s), m.counts[s]);
        /* A run that does not come everywhere proves little. */
        if (steps >= 20000)
            assert_true(m.counts[s] > 0);
    }
    print_message("\n");
    assert_true(HASH_CNT(by_id, m.w.api.attempts) <= m.accepted);
    handles_close(&m);
    struct seen *seen;
    struct seen *next;
    HASH_ITER (by_id, m.seen, seen, next) {
        HASH_DELETE(by_id, m.seen, seen);
        free(seen);
    }
    world_fini(&m.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model__no_order_of_events_spends_twice_or_loses_what_was_paid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
