/*
 * jobs_reload(): a second collection over the store that the first one writes. After any changes, and
 * one call with the jobs that they concern, it is what a third one is that is read from the store
 * just then; and what others point to is still where it was. TEST_SEED=N looks at one seed,
 * with TEST_SEEDS=M at M from there on.
 */
#include "../../tools/failing.h"

#define FAKE_API_ENTER() (failing_pauses++)
#define FAKE_API_LEAVE() (failing_pauses--)
#include "job_harness.h"

#include "seedancefs/job/ctl.h"

#include <time.h>

static struct failing_control control = {.prefix = "/dev/shm/seedancefs-unit-"};
struct failing_control *failing = &control;
_Thread_local unsigned failing_pauses;

enum { OPEN_MAX = 12, IDS_MAX = 512, NAMES = 9 };

/* Somebody who points to what the follower has. */
struct opened {
    struct job *job; /* referenced */
    int64_t job_id;
    struct job_take *take; /* of it; NULL: none */
    int64_t take_id;
    struct job_file *file; /* open; NULL: none */
    int64_t file_id;
};

struct pair {
    struct world w;        /* the leader */
    struct world follower; /* its jobs alone: the store is the leader's */
    struct opened opened[OPEN_MAX];
    int64_t ids[IDS_MAX]; /* of jobs that have changed */
    size_t count;
    uint64_t random;
    unsigned tasks;
    unsigned made, renamed, removed, files;
};

static unsigned pick(struct pair *p, unsigned n)
{
    p->random = p->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(p->random >> 33) % n;
}

static void id_note(struct pair *p, int64_t id)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->ids[i] == id)
            return;
    }
    assert_true(p->count < IDS_MAX);
    p->ids[p->count++] = id;
}

static void leader_changed(struct world *w, struct job *job)
{
    id_note(w->context, job->id);
}

static struct pair *pair_of(void *context)
{
    return ((struct world *)context)->context;
}

static void on_made(void *context, struct job *job)
{
    assert_ptr_equal(jobs_find(job->jobs, job->name), job);
    pair_of(context)->made++;
}

static void on_renamed(void *context, struct job *job, const char *old_name)
{
    assert_ptr_equal(jobs_find(job->jobs, job->name), job);
    assert_ptr_not_equal(jobs_find(job->jobs, old_name), job);
    pair_of(context)->renamed++;
}

static void on_removed(void *context, struct job *job)
{
    assert_true(job->is_removed);
    assert_ptr_not_equal(jobs_find(job->jobs, job->name), job);
    pair_of(context)->removed++;
}

static void on_file(void *context, const struct job *job UNUSED, const char *name UNUSED,
                    enum job_file_change change UNUSED)
{
    pair_of(context)->files++;
}

/* Another collection over the same store, which was not started. */
static void over_open(struct world *over, const struct world *w)
{
    *over = (struct world){.api = {.has_key = true},
                           .store = w->store,
                           .directory_fd = w->directory_fd,
                           .files_fd = w->files_fd,
                           .clock = w->clock,
                           .random_seed = 3};
    assert_int_equal(world_open_jobs(over), 0);
}

static void over_close(struct world *over)
{
    world_close_jobs(over);
    api_fini(&over->api);
}

static void pair_init(struct pair *p, uint64_t seed)
{
    *p = (struct pair){.random = seed};
    world_init(&p->w);
    p->w.context = p;
    p->w.on_change = leader_changed;
    over_open(&p->follower, &p->w);
    p->follower.context = p;
    struct job_hooks *hooks = &p->follower.jobs->settings.hooks;
    hooks->on_made = on_made;
    hooks->on_renamed = on_renamed;
    hooks->on_removed = on_removed;
    hooks->on_file = on_file;
}

static void opened_close(struct opened *opened)
{
    if (opened->file)
        job_file_close(opened->file, false);
    (void)job_unref(opened->job);
    *opened = (struct opened){0};
}

static void pair_fini(struct pair *p)
{
    for (size_t i = 0; i < OPEN_MAX; i++)
        opened_close(&p->opened[i]);
    over_close(&p->follower);
    world_fini(&p->w);
}

static int reload(struct pair *p)
{
    int before = sqlite3_total_changes(p->w.store->db);
    int r = jobs_reload(p->follower.jobs, p->ids, p->count);
    assert_int_equal(sqlite3_total_changes(p->w.store->db), before); /* nothing was written */
    if (r == 0)
        p->count = 0;
    return r;
}

/* What is compared. */

static void assert_text(const char *a, const char *b)
{
    if (!a || !b)
        assert_ptr_equal(a, b);
    else
        assert_string_equal(a, b);
}

static void attempt_compare(const struct store_attempt *a, const struct store_attempt *b)
{
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->job_id, b->job_id);
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->submitted_ms, b->submitted_ms);
    assert_int_equal(a->finished_ms, b->finished_ms);
    assert_int_equal(a->http_status, b->http_status);
    assert_int_equal(a->actual_usd_micros, b->actual_usd_micros);
    assert_int_equal(a->url_expires_ms, b->url_expires_ms);
    assert_int_equal(a->video_bytes, b->video_bytes);
    assert_int_equal(a->cover_bytes, b->cover_bytes);
    assert_int_equal(a->take, b->take);
    assert_int_equal(a->take_hidden, b->take_hidden);
    assert_int_equal(a->take_readers, b->take_readers);
    assert_int_equal(a->generation_ms, b->generation_ms);
    assert_text(a->task_id, b->task_id);
    assert_text(a->video_url, b->video_url);
    assert_text(a->take_problem, b->take_problem);
    assert_text(a->error_message, b->error_message);
}

static const struct job_file *file_after(const struct job_file *file)
{
    while (file && file->is_unlinked)
        file = file->next;
    return file;
}

static void files_compare(const struct job_detail *a, const struct job_detail *b)
{
    const struct job_file *file = file_after(a->files);
    const struct job_file *other = file_after(b->files);
    while (file && other) {
        assert_int_equal(file->id, other->id);
        assert_string_equal(file->name, other->name);
        assert_int_equal(file->mode, other->mode);
        assert_int_equal(file->is_note, other->is_note);
        assert_ptr_equal(file->job, a->job);
        file = file_after(file->next);
        other = file_after(other->next);
    }
    assert_null(file);
    assert_null(other);
}

static void takes_compare(struct job *a, struct job *b, bool is_loaded)
{
    struct job_take *take = a->takes;
    struct job_take *other = b->takes;
    struct store_attempt *attempt;
    struct store_attempt *other_attempt;
    for (; take && other; take = take->next, other = other->next) {
        assert_int_equal(take->id, other->id);
        assert_ptr_equal(take->job, a);
        assert_int_equal(take->number, other->number);
        assert_int_equal(take->finished_ms, other->finished_ms);
        assert_int_equal(take->video_bytes, other->video_bytes);
        assert_int_equal(take->cover_bytes, other->cover_bytes);
        assert_int_equal(take->url_expires_ms, other->url_expires_ms);
        assert_int_equal(take->hidden, other->hidden);
        assert_int_equal(take->readers, other->readers);
        assert_int_equal(take->is_stored, other->is_stored);
        if (!is_loaded)
            continue;
        assert_int_equal(job_take_attempt_get(take, &attempt), 0);
        assert_int_equal(job_take_attempt_get(other, &other_attempt), 0);
        attempt_compare(attempt, other_attempt);
    }
    assert_null(take);
    assert_null(other);
    assert_int_equal(a->picked ? a->picked->id : 0, b->picked ? b->picked->id : 0);
    assert_null(a->sizing);
}

struct sum {
    int64_t ids;
    size_t count;
};

static void sum_add(void *context, const struct job *job)
{
    struct sum *sum = context;
    sum->ids = sum->ids * 31 + job->id;
    sum->count++;
}

static void links_compare(struct job *a, struct job *b)
{
    struct sum sums[2] = {{0}};
    struct sum counts[2] = {{0}};
    struct job_followers followers[2];
    job_depends_on_each(a, sum_add, &sums[0]);
    job_depends_on_each(b, sum_add, &sums[1]);
    assert_int_equal(sums[0].ids, sums[1].ids);
    job_needed_by_each(a, sum_add, &counts[0]);
    job_needed_by_each(b, sum_add, &counts[1]);
    assert_int_equal(counts[0].count, counts[1].count);
    job_followers_get(a, &followers[0]);
    job_followers_get(b, &followers[1]);
    assert_int_equal(followers[0].count, followers[1].count);
    assert_int_equal(followers[0].usd_micros, followers[1].usd_micros);
}

static void detail_compare(struct job *a, struct job *b)
{
    struct job_cause causes[2];
    struct job_detail *other = detail_of(b);
    attempt_compare(&a->detail->attempt, &other->attempt);
    assert_text(job_problem_get(a), job_problem_get(b));
    assert_text(job_cause_get(a, &causes[0]), job_cause_get(b, &causes[1]));
    assert_text(job_reason_get(a->detail), job_reason_get(other));
    files_compare(a->detail, other);
    assert_false(a->detail->is_unsaved);
    assert_false(timer_is_set(&a->detail->timer));
}

static void job_compare(struct job *a, struct job *b)
{
    assert_int_equal(a->id, b->id);
    assert_string_equal(a->name, b->name);
    assert_string_equal(job_state_to_text(a->state), job_state_to_text(b->state));
    assert_int_equal(a->hold, b->hold);
    assert_int_equal(a->created_ms, b->created_ms);
    assert_int_equal(a->updated_ms, b->updated_ms);
    assert_int_equal(a->attempt_id, b->attempt_id);
    assert_int_equal(a->has_problem, b->has_problem);
    assert_int_equal(a->had_response, b->had_response);
    assert_int_equal(a->is_assets, b->is_assets);
    assert_false(a->is_removed);
    assert_ptr_equal(jobs_find_any(a->jobs, a->name), a);
    takes_compare(a, b, a->detail != NULL);
    links_compare(a, b);
    if (a->detail)
        detail_compare(a, b);
    job_check(a);
}

static struct job *real_at(const struct jobs *jobs, size_t *at)
{
    while (*at < jobs->count && jobs->by_id[*at]->is_provisional)
        ++*at;
    return *at < jobs->count ? jobs->by_id[(*at)++] : NULL;
}

static void opened_check(const struct pair *p, const struct opened *opened)
{
    const struct jobs *jobs = p->follower.jobs;
    struct job_take *take;
    int64_t job_id;
    if (!opened->job)
        return;
    assert_int_equal(opened->job->id, opened->job_id);
    struct job *there = jobs_get(p->follower.jobs, opened->job_id);
    assert_true(there == opened->job || opened->job->is_removed);
    if (opened->take) {
        LL_SEARCH_SCALAR(opened->job->takes, take, id, opened->take_id);
        assert_ptr_equal(take, opened->take);
    }
    if (!opened->file)
        return;
    assert_int_equal(opened->file->id, opened->file_id);
    assert_true(opened->file->fd >= 0);
    int r = store_file_job_get(jobs->settings.store, opened->file_id, &job_id);
    assert_int_equal(opened->file->is_unlinked, r == -ENOENT);
    if (r == 0)
        assert_ptr_equal(opened->file->job, jobs_get(p->follower.jobs, job_id));
}

static void pair_compare(struct pair *p)
{
    struct world fresh;
    over_open(&fresh, &p->w);
    size_t at = 0;
    size_t other_at = 0;
    for (;;) {
        struct job *job = real_at(p->follower.jobs, &at);
        struct job *other = real_at(fresh.jobs, &other_at);
        if (!job || !other) {
            assert_ptr_equal(job, other);
            break;
        }
        job_compare(job, other);
    }
    assert_int_equal(p->follower.jobs->following, fresh.jobs->following);
    assert_int_equal(p->follower.jobs->assets != NULL, fresh.jobs->assets != NULL);
    assert_int_equal(HASH_CNT(by_name, p->follower.jobs->by_name), p->follower.jobs->count);
    for (size_t i = 0; i < OPEN_MAX; i++)
        opened_check(p, &p->opened[i]);
    over_close(&fresh);
}

/* What the leader does. */

static struct job *leader_job(struct pair *p)
{
    return p->w.jobs->count ? p->w.jobs->by_id[pick(p, (unsigned)p->w.jobs->count)] : NULL;
}

static void name_draw(struct pair *p, char name[static 16])
{
    (void)snprintf(name, 16, "j%u", pick(p, NAMES));
}

static void leader_make(struct pair *p)
{
    struct job *job;
    char name[16];
    name_draw(p, name);
    if (jobs_create(p->w.jobs, name, &job) == 0)
        id_note(p, job->id);
}

static void leader_prompt(struct pair *p)
{
    static const char *const prompts[] = {PROMPT, PROMPT, "{\"prompt\":\"x\",\"seed\":\"no\"}",
                                          "{\"prompt\":\"hold it\",\"hold\":true}",
                                          "{\"prompt\":\"held"};
    struct job *job = leader_job(p);
    struct job *other = leader_job(p);
    char text[128];
    if (!job || job->is_assets)
        return;
    if (pick(p, 2) && other && !other->is_assets)
        (void)snprintf(text, sizeof(text), FROM("../%s/output.mp4"), other->name);
    else
        (void)snprintf(text, sizeof(text), "%s", prompts[pick(p, ARRAY_COUNT(prompts))]);
    (void)!user_write(job, pick(p, 8) ? JOB_PROMPT_NAME : JOB_PROMPT_TEXT_NAME, text);
    id_note(p, job->id);
}

static void leader_run(struct pair *p)
{
    static const int64_t lengths_ms[] = {0, 2000, 20000, 120000};
    world_run(&p->w, lengths_ms[pick(p, ARRAY_COUNT(lengths_ms))]);
}

/* The service says something about one of its requests. */
static void leader_answer(struct pair *p)
{
    struct api_call *call = p->w.api.calls;
    char task[32];
    if (!call)
        return;
    if (!call->task_id && pick(p, 6) == 0) {
        create_end(call, API_REFUSED, 400, -1, "no");
    } else if (!call->task_id) {
        (void)snprintf(task, sizeof(task), "cgt-%u", ++p->tasks);
        create_accept(call, task);
    } else {
        unsigned way = pick(p, 6);
        if (way == 0)
            poll_status(call, "failed");
        else if (way == 1)
            poll_status(call, "running");
        else
            poll_succeeded(call);
    }
    struct job *job;
    JOBS_FOREACH (p->w.jobs, job) {
        struct job_media_size size = {.size = 100 + pick(p, 100), .etag = "\"e\""};
        if (job->sizing && pick(p, 3))
            jobs_video_set(job->sizing, &size);
    }
}

/* All the way: a job that waits, or another take of one that has succeeded. */
static void leader_finish(struct pair *p)
{
    struct job *job = leader_job(p);
    if (!job || job->is_assets || job->sizing)
        return;
    if (job->state == JOB_SUCCEEDED)
        (void)!job_ctl_run(job, "take", 4);
    else if (job->state == JOB_DRAFT && !job->takes)
        (void)!user_write(job, JOB_PROMPT_NAME, PROMPT);
    id_note(p, job->id);
    for (int i = 0; i < 8 && (job->state == JOB_WAITING || job_is_following(job)); i++) {
        world_run(&p->w, 30000);
        leader_answer(p);
    }
}

static void leader_video(struct pair *p)
{
    struct job *job = leader_job(p);
    struct job_media_size size = {.size = 100 + pick(p, 100)};
    if (!job || !job->picked)
        return;
    if (pick(p, 2))
        jobs_cover_set(job->picked, &size);
    else if (pick(p, 2))
        jobs_video_gone(job->takes, -ERR_MEDIA_GONE);
    else
        (void)!job_take_hidden_set(job->takes, pick(p, 4));
    if (job->takes->next && pick(p, 2))
        jobs_video_unsteady(job->takes->next);
    id_note(p, job->id);
}

static void leader_ctl(struct pair *p)
{
    static const char *const commands[] = {"retry",  "take",   "edit", "pick 1",
                                           "pick 2", "submit", "hold", "take"};
    struct job *job = leader_job(p);
    if (!job || job->is_assets)
        return;
    const char *command = commands[pick(p, ARRAY_COUNT(commands))];
    (void)!job_ctl_run(job, command, strlen(command));
    id_note(p, job->id);
}

static void leader_rename(struct pair *p)
{
    struct job *job = leader_job(p);
    char name[16];
    name_draw(p, name);
    if (!job || job->is_assets)
        return;
    struct job *target = jobs_find(p->w.jobs, name);
    int64_t target_id = target ? target->id : job->id;
    if (jobs_rename(job, name, pick(p, 2) != 0) == 0) {
        id_note(p, job->id);
        id_note(p, target_id);
    }
}

static void leader_swap(struct pair *p)
{
    struct job *a = leader_job(p);
    struct job *b = leader_job(p);
    char names[2][TEXT_NAME_MAX + 1];
    if (!a || a == b || a->is_assets || b->is_assets)
        return;
    (void)snprintf(names[0], sizeof(names[0]), "%s", a->name);
    (void)snprintf(names[1], sizeof(names[1]), "%s", b->name);
    assert_int_equal(jobs_rename(a, "swapped", false), 0);
    assert_int_equal(jobs_rename(b, names[0], false), 0);
    assert_int_equal(jobs_rename(a, names[1], false), 0);
    id_note(p, a->id);
    id_note(p, b->id);
}

static void leader_remove(struct pair *p)
{
    struct job *job = leader_job(p);
    if (!job || job->is_assets || pick(p, 2))
        return;
    id_note(p, job->id);
    assert_int_equal(jobs_remove(job), 0);
}

static void leader_file(struct pair *p)
{
    static const char *const names[] = {"notes.txt", "a.png", "b.png", "prompt.md"};
    struct job *job = pick(p, 5) ? leader_job(p) : NULL;
    if (!job && jobs_assets_make(p->w.jobs, &job) < 0)
        return;
    id_note(p, job->id);
    (void)!user_write(job, names[pick(p, ARRAY_COUNT(names))], "text");
}

static struct job_file *leader_file_of(struct pair *p, struct job *job)
{
    struct job_file *file = detail_of(job)->files;
    for (unsigned i = pick(p, 4); i > 0 && file && file->next; i--)
        file = file->next;
    return file;
}

static void leader_file_change(struct pair *p)
{
    struct job *job = leader_job(p);
    struct job *to = leader_job(p);
    struct job_file *file = job ? leader_file_of(p, job) : NULL;
    if (!file)
        return;
    id_note(p, job->id);
    id_note(p, to->id);
    switch (pick(p, 4)) {
    case 0:
        (void)!job_file_unlink(file);
        break;
    case 1:
        (void)!job_file_mode_set(file, pick(p, 2) ? 0600 : 0644);
        break;
    default:
        (void)!job_file_rename(file, pick(p, 3) ? to : job, pick(p, 2) ? "c.png" : "d.png",
                               pick(p, 2) != 0);
        break;
    }
}

typedef void step_fn(struct pair *p);
static step_fn *const leader_steps[] = {
    leader_make,   leader_make,   leader_prompt,      leader_prompt,     leader_prompt,
    leader_run,    leader_run,    leader_run,         leader_answer,     leader_answer,
    leader_answer, leader_video,  leader_finish,      leader_finish,     leader_finish,
    leader_ctl,    leader_rename, leader_swap,        leader_remove,     leader_file,
    leader_file,   leader_file,   leader_file_change, leader_file_change};

/* What users of the follower do. */
static void follower_look(struct pair *p)
{
    struct jobs *jobs = p->follower.jobs;
    struct opened *opened = &p->opened[pick(p, OPEN_MAX)];
    struct job *job = jobs->count ? jobs->by_id[pick(p, (unsigned)jobs->count)] : NULL;
    struct job *provisional;
    char name[16];
    name_draw(p, name);
    opened_close(opened);
    if (pick(p, 6) == 0 && !jobs_find_any(jobs, name)) {
        assert_int_equal(jobs_create_provisional(jobs, name, &provisional), 0);
        if (pick(p, 2))
            *opened = (struct opened){.job = job_ref(provisional), .job_id = provisional->id};
        return;
    }
    if (!job || job->is_provisional)
        return;
    if (pick(p, 2)) {
        (void)detail_of(job);
        (void)job_reason_get(job->detail);
    }
    if (pick(p, 3) == 0 && job->detail && pick(p, 2) && job->references == 0)
        job_detail_drop(job);
    if (pick(p, 2) == 0)
        return;
    *opened = (struct opened){.job = job_ref(job), .job_id = job->id};
    struct job_take *take = job->takes && pick(p, 2) ? job->takes : NULL;
    if (take) {
        opened->take = take;
        opened->take_id = take->id;
    }
    struct job_file *file = detail_of(job)->files;
    while (file && (file->is_unlinked || pick(p, 2)))
        file = file->next;
    if (file) {
        assert_int_equal(job_file_open(file, false, false), 0);
        opened->file = file;
        opened->file_id = file->id;
    }
}

/* Ends what SQLite does, once or from then on, as an error of the disk would. */
struct reading {
    unsigned left;
    bool is_lasting;
};

static int reading_fails(void *context)
{
    struct reading *reading = context;
    if (reading->left > 0)
        return --reading->left == 0;
    return reading->is_lasting;
}

/* What cannot be followed stays as it was; whatever becomes of it, the next call puts it right. */
static void reload_with_errors(struct pair *p)
{
    struct reading reading = {.left = 1 + pick(p, 40u << pick(p, 8)), .is_lasting = pick(p, 2)};
    bool is_memory = pick(p, 2);
    control.count = control.failures = 0;
    control.fail_at = 1 + pick(p, 100);
    control.is_lasting = pick(p, 2);
    if (is_memory)
        control.kind = FAILING_MEMORY;
    else
        sqlite3_progress_handler(p->w.store->db, 1, reading_fails, &reading);
    int r = jobs_reload(p->follower.jobs, p->ids, p->count);
    control.kind = FAILING_NOTHING;
    sqlite3_progress_handler(p->w.store->db, 0, NULL, NULL);
    assert_true(r == 0 || r == (is_memory ? -ENOMEM : -EIO));
    struct job *job;
    JOBS_FOREACH (p->follower.jobs, job) {
        job_check(job);
        assert_ptr_equal(jobs_find_any(p->follower.jobs, job->name), job);
    }
    for (size_t i = 0; i < OPEN_MAX; i++) {
        const struct job_file *file = p->opened[i].file;
        int64_t job_id;
        if (file && store_file_job_get(p->w.store, file->id, &job_id) == 0)
            assert_false(file->is_unlinked);
    }
    if (r == 0)
        pair_compare(p);
}

static void seed_run(uint64_t seed)
{
    struct pair p;
    pair_init(&p, seed);
    for (int round = 0; round < 60; round++) {
        for (unsigned n = pick(&p, 6); n > 0; n--)
            leader_steps[pick(&p, ARRAY_COUNT(leader_steps))](&p);
        for (unsigned n = pick(&p, 3); n > 0 && p.follower.jobs->count > 0; n--)
            id_note(&p, p.follower.jobs->by_id[pick(&p, (unsigned)p.follower.jobs->count)]->id);
        p.follower.clock = p.w.clock;
        timers_run(&p.follower.timers);
        if (pick(&p, 2))
            reload_with_errors(&p);
        assert_int_equal(reload(&p), 0);
        pair_compare(&p);
        follower_look(&p);
        follower_look(&p);
    }
    pair_fini(&p);
}

static void test_reload__after_any_changes_it_is_what_a_start_would_read(void **state UNUSED)
{
    const char *only = getenv("TEST_SEED");
    uint64_t first = only ? strtoull(only, NULL, 10) : 1;
    const char *count = getenv("TEST_SEEDS");
    uint64_t end = first + (count ? strtoull(count, NULL, 10) : only ? 1 : 60);
    for (uint64_t seed = first; seed < end; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        seed_run(seed);
    }
}

/* A row as others write it. */
static void row_write(struct pair *p, int64_t id, const char *name)
{
    char word[] = "draft";
    char copy[TEXT_NAME_MAX + 1];
    (void)snprintf(copy, sizeof(copy), "%s", name);
    const struct store_job row = {
        .id = id, .name = copy, .state = word, .created_ms = 1, .updated_ms = 1};
    assert_int_equal(store_job_save(p->w.store, &row), 0);
    id_note(p, id);
}

static void test_reload__jobs_swap_names_and_take_those_that_others_gave_up(void **state UNUSED)
{
    struct pair p;
    struct job *jobs[4];
    pair_init(&p, 1);
    static const char *const names[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++)
        row_write(&p, 1000 + i, names[i]);
    assert_int_equal(reload(&p), 0);
    for (int i = 0; i < 4; i++)
        jobs[i] = jobs_find(p.follower.jobs, names[i]);
    assert_int_equal(p.made, 4);
    assert_int_equal(store_begin(p.w.store, STORE_LAZY), 0);
    assert_int_equal(store_job_remove(p.w.store, 1003, 5), 0);
    row_write(&p, 1000, "x");
    row_write(&p, 1001, "a");
    row_write(&p, 1000, "b");
    row_write(&p, 1002, "d");
    row_write(&p, 1005, "c");
    id_note(&p, 1003);
    assert_int_equal(store_end(p.w.store, 0), 0);
    (void)job_ref(jobs[3]);
    assert_int_equal(reload(&p), 0);
    assert_ptr_equal(jobs_find(p.follower.jobs, "a"), jobs[1]);
    assert_ptr_equal(jobs_find(p.follower.jobs, "b"), jobs[0]);
    assert_ptr_equal(jobs_find(p.follower.jobs, "d"), jobs[2]);
    assert_int_equal(jobs_find(p.follower.jobs, "c")->id, 1005);
    assert_true(jobs[3]->is_removed);
    (void)job_unref(jobs[3]);
    assert_int_equal(p.renamed, 3);
    assert_int_equal(p.removed, 1);
    pair_compare(&p);
    pair_fini(&p);
}

/* The caller has left one out: the others wait for it. */
static void test_reload__a_name_that_is_not_given_up_yet_is_waited_for(void **state UNUSED)
{
    struct pair p;
    pair_init(&p, 1);
    row_write(&p, 1000, "a");
    row_write(&p, 1001, "b");
    assert_int_equal(reload(&p), 0);
    row_write(&p, 1000, "c");
    p.count = 0;
    row_write(&p, 1001, "a");
    row_write(&p, 1002, "b");
    assert_int_equal(reload(&p), -EAGAIN);
    assert_int_equal(jobs_find(p.follower.jobs, "a")->id, 1000);
    assert_int_equal(jobs_find(p.follower.jobs, "b")->id, 1001);
    id_note(&p, 1000);
    assert_int_equal(reload(&p), 0);
    pair_compare(&p);
    pair_fini(&p);
}

static void test_reload__a_provisional_job_gives_way(void **state UNUSED)
{
    struct pair p;
    struct job *by_name;
    struct job *by_id;
    pair_init(&p, 1);
    assert_int_equal(jobs_create_provisional(p.follower.jobs, "cat", &by_name), 0);
    assert_int_equal(jobs_create_provisional(p.follower.jobs, "dog", &by_id), 0);
    (void)job_ref(by_name);
    row_write(&p, by_id->id, "cat"); /* the number was given elsewhere, too */
    assert_int_equal(reload(&p), 0);
    assert_non_null(jobs_find(p.follower.jobs, "cat"));
    assert_null(jobs_find_any(p.follower.jobs, "dog"));
    assert_true(by_name->is_removed);
    (void)job_unref(by_name);
    pair_compare(&p);
    pair_fini(&p);
}

static void test_reload__bytes_of_a_file_that_is_gone_are_left_alone(void **state UNUSED)
{
    struct pair p;
    char path[160];
    char text[8] = "";
    pair_init(&p, 1);
    struct job *job = job_make_named(&p.w, "cat");
    assert_int_equal(user_write(job, "notes.txt", "text"), 0);
    assert_int_equal(reload(&p), 0);
    struct job *follower = jobs_find(p.follower.jobs, "cat");
    struct job_file *file = detail_of(follower)->files;
    assert_int_equal(job_file_open(file, false, false), 0);
    bytes_path(&p.w, file, path);
    const struct store_file row = {.id = file->id};
    assert_int_equal(store_file_remove(p.w.store, row.id), 0);
    id_note(&p, job->id);
    assert_int_equal(reload(&p), 0);
    assert_true(file->is_unlinked);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(pread(file->fd, text, sizeof(text), 0), 4);
    assert_string_equal(text, "text");
    job_file_close(file, false);
    pair_fini(&p);
}

/* Others see what was put in the place of the bytes, also those who have the file open. */
static void test_reload__an_open_file_shows_the_bytes_that_are_there_now(void **state UNUSED)
{
    struct pair p;
    char path[160];
    char made[180];
    char text[8] = "";
    pair_init(&p, 1);
    struct job *job = job_make_named(&p.w, "cat");
    assert_int_equal(user_write(job, "notes.txt", "text"), 0);
    assert_int_equal(reload(&p), 0);
    struct job_file *file = detail_of(jobs_find(p.follower.jobs, "cat"))->files;
    assert_int_equal(job_file_open(file, false, false), 0);
    bytes_path(&p.w, file, path);
    (void)snprintf(made, sizeof(made), "%s.new", path);
    FILE *other = fopen(made, "we");
    assert_non_null(other);
    assert_true(fputs("other", other) >= 0);
    assert_int_equal(fclose(other), 0);
    assert_int_equal(rename(made, path), 0);
    id_note(&p, job->id);
    assert_int_equal(reload(&p), 0);
    assert_int_equal(pread(file->fd, text, sizeof(text), 0), 5);
    assert_string_equal(text, "other");
    job_file_close(file, false);
    pair_fini(&p);
}

static void test_reload__a_request_under_way_is_not_disturbed(void **state UNUSED)
{
    struct pair p;
    pair_init(&p, 1);
    const struct job *job = job_submitted(&p.w, "cat");
    assert_int_equal(jobs_reload(p.w.jobs, &job->id, 1), -EBUSY);
    pair_fini(&p);
}

/* A number that was never given is nothing, and nothing is done without one. */
static void test_reload__numbers_without_a_row_are_harmless(void **state UNUSED)
{
    struct pair p;
    pair_init(&p, 1);
    assert_int_equal(reload(&p), 0);
    id_note(&p, 4711);
    assert_int_equal(reload(&p), 0);
    assert_int_equal(jobs_count(p.follower.jobs), 0);
    pair_fini(&p);
}

static int64_t cpu_us(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* The first copy: `count` jobs that were not there. */
static int64_t first_copy_us(int64_t count)
{
    struct pair p;
    char name[32];
    pair_init(&p, 1);
    int64_t *ids = calloc((size_t)count, sizeof(*ids));
    assert_non_null(ids);
    assert_int_equal(store_begin(p.w.store, STORE_LAZY), 0);
    for (int64_t i = 0; i < count; i++) {
        (void)snprintf(name, sizeof(name), "job-%lld", (long long)i);
        ids[i] = 1000 + i;
        p.count = 0;
        row_write(&p, ids[i], name);
    }
    p.count = 0;
    assert_int_equal(store_end(p.w.store, 0), 0);
    int64_t before_us = cpu_us();
    assert_int_equal(jobs_reload(p.follower.jobs, ids, (size_t)count), 0);
    int64_t took_us = cpu_us() - before_us;
    assert_int_equal(jobs_count(p.follower.jobs), count);
    free(ids);
    pair_fini(&p);
    return took_us;
}

static void test_reload__a_first_copy_takes_time_in_proportion(void **state UNUSED)
{
    int64_t few_us = first_copy_us(4000);
    int64_t many_us = first_copy_us(32000);
    print_message("%lld us for 4,000 jobs, %lld us for 32,000\n", (long long)few_us,
                  (long long)many_us);
    assert_true(many_us < 8 * 4 * few_us + 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reload__jobs_swap_names_and_take_those_that_others_gave_up),
        cmocka_unit_test(test_reload__a_name_that_is_not_given_up_yet_is_waited_for),
        cmocka_unit_test(test_reload__a_provisional_job_gives_way),
        cmocka_unit_test(test_reload__bytes_of_a_file_that_is_gone_are_left_alone),
        cmocka_unit_test(test_reload__an_open_file_shows_the_bytes_that_are_there_now),
        cmocka_unit_test(test_reload__a_request_under_way_is_not_disturbed),
        cmocka_unit_test(test_reload__numbers_without_a_row_are_harmless),
        cmocka_unit_test(test_reload__a_first_copy_takes_time_in_proportion),
        cmocka_unit_test(test_reload__after_any_changes_it_is_what_a_start_would_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
