/*
 * Torture: on the way from the opening of prompt.json to a durable task id, the k-th allocation,
 * the k-th write and the k-th sync fail, for every k, once or from then on until the disk and the
 * memory are well again. SQLite and cJSON are hit as well, because the calls are taken where libc
 * offers them.
 *
 * Whatever fails: no crash, no leak, nothing sent that is not durable, at most one paid request per
 * attempt (the fake service ends the test otherwise), a user who is told, and a job that can be
 * finished afterwards.
 *
 * Of the allocations one of each call site fails, chosen by TORTURE_SEED, of the writes every ninth;
 * TORTURE_STRIDE=N takes every N-th allocation and all writes (syncs: always all). TORTURE_WAY and TORTURE_ONLY look at one way
 * and one k, as the report of a failure gives them.
 */
#include "../../tools/failing.h"

#define FAKE_API_ENTER() (failing_pauses++)
#define FAKE_API_LEAVE() (failing_pauses--)
#include "job_harness.h"

#include <execinfo.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif
#include <time.h>

static struct failing_control control = {.prefix = "/dev/shm/seedancefs-unit-"};
struct failing_control *failing = &control;
_Thread_local unsigned failing_pauses;

#define TASK_ID "cgt-4711"
/* Good for a warning, which is noted lazily between the two commits that have to be synced. */
#define UNWISE_PROMPT "{\"prompt\": \"A cat --seed 5\"}"

enum user_step { STEP_NONE, STEP_OPEN, STEP_WRITE, STEP_CLOSE };

struct torture {
    struct world w;
    const char *name;    /* of the job */
    enum user_step step; /* that failed first */
    int result;
};

/* What is being looked at, for the report of a failure. */
static char looked_at[128];

static void disarm(void)
{
    control.kind = FAILING_NOTHING;
}

static void arm(enum failing_kind kind, int64_t fail_at, bool is_lasting)
{
    control.count = control.failures = 0;
    control.fail_at = fail_at;
    control.is_lasting = is_lasting;
    control.kind = (int64_t)kind;
}

static void torture_failed(struct torture *t, enum user_step step, int r)
{
    if (r < 0 && t->step == STEP_NONE) {
        t->step = step;
        t->result = r;
    }
}

/* `echo … > jobs/NAME/prompt.json`, as the kernel asks for it: a lookup on the way, a create or an
 * open that truncates, and what every program does after an error: close. */
static void torture_write(struct torture *t)
{
    struct jobs *jobs = t->w.jobs;
    struct job *job = jobs_find(jobs, t->name);
    struct job_detail *detail;
    struct job_file *file = NULL;
    int r = job ? 0 : jobs_create_provisional(jobs, t->name, &job);
    if (r == 0)
        r = job_detail_get(job, &detail);
    if (r == 0)
        file = job_file_find(detail, JOB_PROMPT_NAME);
    bool is_new = r == 0 && !file;
    if (is_new)
        r = job_file_create(job, JOB_PROMPT_NAME, 0644, &file);
    if (r == 0)
        r = job_file_open(file, true, !is_new);
    torture_failed(t, STEP_OPEN, r);
    if (r < 0)
        return;
    job_file_begin(file);
    torture_failed(t, STEP_WRITE, job_file_write(file, UNWISE_PROMPT, strlen(UNWISE_PROMPT), 0));
    torture_failed(t, STEP_CLOSE, job_file_flush(file));
    job_file_close(file, true);
}

/* What the api layer does with the response of the service. */
static void service_accept(struct torture *t, struct api_call *call)
{
    static const char body[] = "{\"id\":\"" TASK_ID "\",\"status\":\"queued\"}";
    struct api_task task;
    struct api_response response = {.verdict = API_ACCEPTED,
                                    .http_status = 200,
                                    .is_sent = true,
                                    .retry_after_ms = -1,
                                    .body = body,
                                    .body_len = strlen(body)};
    t->w.api.tasks_made++;
    int r = call_receive(call, body);
    api_task_init(&task);
    if (r >= 0)
        r = api_task_decode(body, strlen(body), &task);
    response.result = r;
    response.task = r == 0 ? &task : NULL;
    if (r < 0)
        response.verdict = API_AMBIGUOUS;
    call_end(call, &response);
    api_task_fini(&task);
}

/* The first byte is about to go out: the disk has to know. */
static void assert_is_durable(struct torture *t, int64_t syncs_before)
{
    failing_pauses++;
    assert_true(control.syncs > syncs_before);
    assert_int_equal(state_on_disk(&t->w, t->name), JOB_SUBMITTING);
    failing_pauses--;
}

/* Lets some time pass, in which the service answers whatever is asked. */
static void torture_run(struct torture *t, int64_t ms)
{
    for (int64_t end = t->w.clock.monotonic_ms + ms; t->w.clock.monotonic_ms < end;) {
        struct api_call *call = t->w.api.calls;
        int64_t syncs = control.syncs;
        if (call && call->task_id) {
            poll_end(call, API_RETRY, 503, -1);
        } else if (call && !call->is_sent) {
            failing_pauses++;
            (void)api_attempt_get(&t->w.api, call->attempt_id);
            failing_pauses--;
            if (call_send(call) == 0)
                assert_is_durable(t, syncs);
        } else if (call) {
            service_accept(t, call);
        } else {
            world_run(&t->w, 250);
        }
    }
}

/* The user was told, by an error of open, write or close, or by `error`; then writing it again has
 * to work. */
static void torture_write_again(struct torture *t, struct job *job)
{
    if (t->step == STEP_NONE) {
        assert_non_null(job);
        assert_true(job->has_problem);
        assert_true(problem_has(job, "could not be submitted"));
    }
    *t = (struct torture){.w = t->w, .name = t->name};
    torture_write(t);
    assert_int_equal(t->result, 0);
}

static void torture_check(struct torture *t)
{
    struct job *job = jobs_find(t->w.jobs, t->name);
    if (t->step != STEP_NONE) { /* who was told of an error writes it again: nothing was sent */
        assert_int_equal(t->w.api.creates, 0);
        assert_true(!job || job_state_is_editable(job->state));
    }
    if (!job || job_state_is_editable(job->state)) {
        torture_write_again(t, job);
        job = jobs_find(t->w.jobs, t->name);
        assert_state(job, JOB_WAITING);
        torture_run(t, 120 * 1000);
    }
    assert_state(job, JOB_QUEUED);
    assert_string_equal(detail_of(job)->attempt.task_id, TASK_ID);
    assert_false(job->has_problem);
    assert_false(detail_of(job)->is_unsaved);
    assert_int_equal(t->w.api.tasks_made, 1);
    assert_int_equal(state_on_disk(&t->w, t->name), JOB_QUEUED);
}

/* The ways that lead to a task: a new job, another attempt of one, and the next start of the
 * program, which finds an intent or a response on the disk. */
enum way { WAY_NEW, WAY_AGAIN, WAY_INTENT, WAY_RESPONSE, WAY_COUNT };

static void way_prepare(struct torture *t, enum way way)
{
    struct world *w = &t->w;
    world_init(w);
    if (way == WAY_NEW)
        return;
    struct job *job = job_make_named(w, t->name);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, UNWISE_PROMPT), 0);
    if (way == WAY_AGAIN || way == WAY_RESPONSE) {
        world_run(w, 0);
        assert_int_equal(call_send(call_of(w, job)), 0);
    }
    if (way == WAY_AGAIN)
        create_end(call_of(w, job), API_REJECTED, 400, -1, "no good");
    if (way == WAY_RESPONSE)
        assert_int_equal(call_receive(call_of(w, job), "{\"id\":\"" TASK_ID "\"}"), 0);
    if (way == WAY_RESPONSE)
        w->api.tasks_made++;
    if (way == WAY_INTENT || way == WAY_RESPONSE)
        world_crash(w);
    w->api.creates = 0;
}

/* One k. False when so many calls were not made. */
static bool torture_one(enum way way, enum failing_kind kind, int64_t fail_at, bool is_lasting)
{
    struct torture t = {.name = "cat"};
    int64_t live = control.live;
    way_prepare(&t, way);
    arm(kind, fail_at, is_lasting);
    if (way == WAY_NEW || way == WAY_AGAIN)
        torture_write(&t);
    else
        jobs_start(t.w.jobs);
    torture_run(&t, 3000);
    disarm();
    bool is_reached = control.failures > 0;
    torture_run(&t, 120 * 1000);
    torture_check(&t);
    world_fini(&t.w);
    assert_int_equal(control.live, live);
    return is_reached;
}

/* Where the allocations of one way come from, by their number: see failing_look(). `chosen` says
 * how each of them fails, if it does. */
enum { ALLOCATIONS_MAX = 65536, SITES_MAX = 4096, SITE_FRAMES = 16, SITE_FRAMES_OF_TEST = 3 };
static uint64_t sites[ALLOCATIONS_MAX];
static enum { SPARED, ALONE, AND_ALL_AFTER } chosen[ALLOCATIONS_MAX];

/* Asked at every allocation while it is FAILING_LOOK that is armed: notes down the call site, and
 * lets nothing fail. */
bool failing_look(enum failing_call call)
{
    void *frames[SITE_FRAMES];
    if (call != FAILING_ALLOCATE || failing_pauses || control.count >= ALLOCATIONS_MAX)
        return false;
    failing_pauses++;
    int count = backtrace(frames, SITE_FRAMES);
    uint64_t hash = 0;
    for (int i = SITE_FRAMES_OF_TEST; i < count; i++)
        hash = (hash ^ (uintptr_t)frames[i]) * 0x100000001b3u;
    sites[control.count++] = hash;
    failing_pauses--;
    return false;
}

static int64_t setting(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoll(text, NULL, 10) : otherwise;
}

static bool is_known(uint64_t site)
{
    static uint64_t known[SITES_MAX];
    static size_t count;
    for (size_t i = 0; i < count; i++) {
        if (known[i] == site)
            return true;
    }
    assert_true(count < SITES_MAX);
    known[count++] = site;
    return false;
}

/* Chooses one allocation of each call site that no way before had: which, and how it fails, says
 * the seed. */
static void sites_choose(enum way way, uint64_t seed)
{
    (void)torture_one(way, FAILING_LOOK, 0, false);
    int64_t count = control.count;
    memset(chosen, 0, sizeof(chosen));
    for (int64_t i = 0; i < count; i++) {
        int64_t pick = i;
        if (is_known(sites[i]))
            continue;
        for (int64_t j = i + 1, seen = 1; j < count; j++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            if (sites[j] == sites[i] && (int64_t)(seed >> 33) % ++seen == 0)
                pick = j;
        }
        chosen[pick] = seed >> 40 & 1 ? ALONE : AND_ALL_AFTER;
    }
}

static bool is_looked_at(int64_t k, bool is_lasting, int64_t stride, int64_t seed)
{
    if (stride)
        return k % stride == seed % stride;
    return chosen[k - 1] == (is_lasting ? AND_ALL_AFTER : ALONE);
}

/* The k of one way that are looked at: all of a stride, until there are no more, or those that were
 * chosen. How many. */
static int64_t torture_way(enum way way, enum failing_kind kind, bool is_lasting, int64_t stride,
                           int64_t seed)
{
    int64_t only = setting("TORTURE_ONLY", 0);
    int64_t last = only ? only : stride ? INT64_MAX : ALLOCATIONS_MAX;
    int64_t looked = 0;
    for (int64_t k = only ? only : 1; k <= last; k++) {
        if (!only && !is_looked_at(k, is_lasting, stride, seed))
            continue;
        (void)snprintf(looked_at, sizeof(looked_at), "way %d, number %lld %s (TORTURE_SEED=%lld)",
                       (int)way, (long long)k, is_lasting ? "and all after it" : "alone",
                       (long long)seed);
        if (!torture_one(way, kind, k, is_lasting) && stride)
            break;
        looked++;
    }
    looked_at[0] = '\0';
    return looked;
}

static void torture_all(enum failing_kind kind, const char *what, int64_t stride)
{
    int64_t seed = setting("TORTURE_SEED", (int64_t)time(NULL));
    int64_t only = setting("TORTURE_WAY", -1);
    int64_t looked = 0;
    for (int way = 0; way < WAY_COUNT; way++) {
        if (only >= 0 && only != way)
            continue;
        (void)torture_one((enum way)way, FAILING_NOTHING, 0,
                          false); /* once-and-for-all allocations */
        if (!stride)
            sites_choose((enum way)way, (uint64_t)seed);
        int64_t alone = torture_way((enum way)way, kind, false, stride, seed);
        int64_t lasting = torture_way((enum way)way, kind, true, stride, seed);
        print_message("# way %d, %s: %lld alone, %lld and all after it (TORTURE_SEED=%lld)\n", way,
                      what, (long long)alone, (long long)lasting, (long long)seed);
        looked += alone + lasting;
    }
    assert_true(looked > 0 || setting("TORTURE_ONLY", 0));
}

static void test_torture__any_allocation_may_fail(void **state UNUSED)
{
    torture_all(FAILING_MEMORY, "allocation", setting("TORTURE_STRIDE", 0));
}

static void test_torture__any_write_may_fail(void **state UNUSED)
{
    torture_all(FAILING_WRITE, "write", setting("TORTURE_STRIDE", 0) ? 1 : 9);
}

static void test_torture__any_sync_may_fail(void **state UNUSED)
{
    torture_all(FAILING_SYNC, "sync", 1);
}

static void assert_name(struct torture *t, struct job *job, const char *name, const char *other)
{
    assert_string_equal(job->name, name);
    assert_ptr_equal(jobs_find(t->w.jobs, name), job);
    assert_null(jobs_find(t->w.jobs, other));
    assert_int_equal(state_on_disk(&t->w, name), JOB_DRAFT);
}

/* rename(2), also onto an empty draft: it works, or nothing has changed. */
static void test_torture__a_rename_changes_both_names_or_none(void **state UNUSED)
{
    for (int is_onto = 0; is_onto < 2; is_onto++) {
        bool is_through = false;
        for (int64_t fail_at = 1; !is_through; fail_at++) {
            struct torture t = {0};
            world_init(&t.w);
            (void)snprintf(looked_at, sizeof(looked_at), "rename, onto %d, allocation %lld",
                           is_onto, (long long)fail_at);
            struct job *job = job_make_named(&t.w, "cat");
            struct job *target = is_onto ? job_make_named(&t.w, "dog") : NULL;
            arm(FAILING_MEMORY, fail_at, false);
            int r = jobs_rename(job, "dog", true);
            disarm();
            is_through = control.failures == 0;
            assert_true(r == 0 || !is_through);
            if (r == 0) {
                assert_name(&t, job, "dog", "cat");
            } else if (is_onto) {
                assert_ptr_equal(jobs_find(t.w.jobs, "cat"), job);
                assert_ptr_equal(jobs_find(t.w.jobs, "dog"), target);
            } else {
                assert_name(&t, job, "cat", "dog");
            }
            assert_int_equal(jobs_remove(job), 0);
            world_fini(&t.w);
            looked_at[0] = '\0';
        }
    }
}

static int report(void **state UNUSED)
{
    disarm();
    failing_pauses = 0;
    if (looked_at[0])
        (void)fprintf(stderr, "# failed at: %s\n", looked_at);
    looked_at[0] = '\0';
    return 0;
}

/* The first call loads a library, and the loader keeps what it allocates. The leak sanitizer knows the
 * loader by the caller of malloc(), which is failing.h here. */
static void prepare_backtrace(void)
{
#ifdef __SANITIZE_ADDRESS__
    __lsan_disable();
#endif
    (void)backtrace((void *[1]){NULL}, 1);
#ifdef __SANITIZE_ADDRESS__
    __lsan_enable();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_torture__any_allocation_may_fail, report),
        cmocka_unit_test_teardown(test_torture__any_write_may_fail, report),
        cmocka_unit_test_teardown(test_torture__any_sync_may_fail, report),
        cmocka_unit_test_teardown(test_torture__a_rename_changes_both_names_or_none, report),
    };
    tzset(); /* gmtime_r() would do it, and keep what it allocates */
    prepare_backtrace();
    (void)world_models(); /* the same for all worlds, and kept */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
