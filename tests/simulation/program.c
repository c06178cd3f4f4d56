/*
 * The life of the program under test, observed at two places: the hooks that report changes,
 * and the callbacks of a create. The linker puts __wrap_api_create() between the job layer and
 * the real api layer (--wrap), so that the oracle sees each callback just before and just after
 * the job layer.
 */
#include "disk.h"
#include "world.h"

#include "job/job_private.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/random.h"
#include "store/store_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One create between the job layer and the api layer. */
struct create {
    struct api_create_callbacks callbacks; /* of the job layer */
    struct job *job;
    int64_t job_id;
    struct attempt *attempt;
    char *body;
    size_t body_len;
    bool is_sent;
    struct create *next;
    struct create *prev;
};

/* A request for the size of a video. */
struct question {
    int64_t attempt_id;
    struct timer timer;
    struct question *next;
    struct question *prev;
};

static struct create *creates;
static struct question *questions;
static struct timer start_timer;
static struct timer settle_timer;
static struct http *http;

/* --- creates --- */

static void create_free(struct create *create)
{
    DL_DELETE(creates, create);
    free(create->body);
    free(create);
}

static int create_send(void *context)
{
    struct create *create = context;
    int r = create->callbacks.on_send(create->callbacks.context);
    if (disk_is_dead())
        return -ECANCELED;
    world_say("job %lld attempt %lld: on_send gives %s", (long long)create->job_id,
              (long long)create->attempt->id, r < 0 ? err_name(r) : "0");
    if (r == 0) {
        create->is_sent = true;
        oracle_sent(create->job, create->attempt, create->body, create->body_len);
    }
    return r;
}

static int create_received(void *context, int http_status, const char *body, size_t len)
{
    struct create *create = context;
    unsigned failures = disk_failures();
    int r = create->callbacks.on_received(create->callbacks.context, http_status, body, len);
    if (!disk_is_dead() && r == 0)
        oracle_received(create->job, create->attempt, body, len, failures);
    return r;
}

static void create_done(void *context, const struct api_response *response)
{
    struct create *create = context;
    create->callbacks.on_done(create->callbacks.context, response);
    if (!disk_is_dead())
        world_say("job %lld attempt %lld: answered, %s", (long long)create->job_id,
                  (long long)create->attempt->id, api_verdict_to_text(response->verdict));
    create_free(create);
}

int __real_api_create(struct api *api, const void *body, size_t len,
                      const struct api_create_callbacks *callbacks, struct api_call **out);
int __wrap_api_create(struct api *api, const void *body, size_t len,
                      const struct api_create_callbacks *callbacks, struct api_call **out);

int __wrap_api_create(struct api *api, const void *body, size_t len,
                      const struct api_create_callbacks *callbacks, struct api_call **out)
{
    struct job *job = callbacks->context;
    struct create *create = calloc(1, sizeof(*create));
    if (!create)
        return -ENOMEM;
    create->callbacks = *callbacks;
    create->job = job;
    create->job_id = job->id;
    create->attempt = oracle_attempt(job->attempt_id);
    create->body = strndup(body, len);
    create->body_len = len;
    DL_APPEND(creates, create);
    const struct api_create_callbacks ours = {create, create_send, create_received, create_done};
    network_attempt_set(create->attempt);
    int r = __real_api_create(api, body, len, &ours, out);
    network_attempt_set(NULL);
    if (r < 0)
        create_free(create);
    else
        world_say("job %lld attempt %lld: create begins", (long long)job->id,
                  (long long)job->attempt_id);
    return r;
}

/* --- hooks --- */

static void on_change(void *context UNUSED, struct job *job)
{
    if (!disk_is_dead())
        oracle_job_changed(job);
}

static void question_free(struct question *question)
{
    timer_cancel(&world.events, &question->timer);
    DL_DELETE(questions, question);
    free(question);
}

static void question_due(void *context)
{
    struct question *question = context;
    struct job_take *take =
        program_is_up() ? jobs_take_get(world.program.jobs, question->attempt_id) : NULL;
    struct job_media_size size = {.size = 1000 + (int64_t)world_pick(1000)};
    size.etag = world_chance(500) ? "e" : NULL;
    if (take && world_goes_wrong(world.mixture.media_fails)) {
        world_say("job %lld: the video's size is not to be had", (long long)take->job->id);
        jobs_video_failed(take, -ERR_MEDIA_STATUS);
        world_timer_set(&question->timer, 30 * 1000, question_due, question);
    } else {
        if (take)
            world_say("job %lld: the video has %lld bytes", (long long)take->job->id,
                      (long long)size.size);
        question_free(question);
        if (take)
            jobs_video_set(take, &size);
    }
    world_event_end();
}

static void on_video(void *context UNUSED, struct job_take *take)
{
    struct question *question = calloc(1, sizeof(*question));
    if (!question)
        abort();
    question->attempt_id = take->id;
    DL_APPEND(questions, question);
    world_timer_set(&question->timer, (int64_t)world_pick(3000), question_due, question);
}

/* --- frames --- */

/* A frame that is being made. */
struct frame {
    int64_t attempt_id;
    enum job_frame which;
    struct timer timer;
    struct frame *next;
    struct frame *prev;
};
static struct frame *frames;

static void frame_free(struct frame *frame)
{
    timer_cancel(&world.events, &frame->timer);
    DL_DELETE(frames, frame);
    free(frame);
}

static void frame_due(void *context)
{
    struct frame *frame = context;
    struct job_take *take =
        program_is_up() ? jobs_take_get(world.program.jobs, frame->attempt_id) : NULL;
    enum job_frame which = frame->which;
    int result = world_goes_wrong(world.mixture.media_fails) ? -EIO : 0;
    frame_free(frame);
    if (take)
        jobs_frame_done(take, which, result);
    world_event_end();
}

/* Made already, or made soon. */
static int on_frame(void *context UNUSED, struct job_take *take, enum job_frame which,
                    const char **why)
{
    *why = "the picture is being made.";
    if (world_chance(500))
        return 0;
    struct frame *frame = calloc(1, sizeof(*frame));
    if (!frame)
        abort();
    frame->attempt_id = take->id;
    frame->which = which;
    DL_APPEND(frames, frame);
    world_timer_set(&frame->timer, (int64_t)world_pick(3000), frame_due, frame);
    return -EBUSY;
}

static int on_frame_read(void *context UNUSED, struct job_take *take, enum job_frame which UNUSED,
                         size_t max_bytes UNUSED, struct buf *out)
{
    return buf_addf(out, "picture of %lld", (long long)take->id);
}

static bool has_frames(void *context UNUSED)
{
    return true;
}

/* --- life --- */

void program_settings_pick(void)
{
    struct program *p = &world.program;
    static const int64_t limits[] = {0, 0, 1000000, 2000000, 2500000, 5000000, 12000000};
    static const int64_t intervals_ms[] = {0, 0, 5000, 30000, 120000};
    p->budget.limit_usd_micros = limits[world_pick(ARRAY_COUNT(limits))];
    p->budget.period = (enum job_budget_period)world_pick(3);
    p->active_max = world_chance(300) ? 1 + world_pick(3) : 0;
    p->poll_interval_ms = intervals_ms[world_pick(ARRAY_COUNT(intervals_ms))];
    p->has_key = world.is_calm || world_chance(950);
    p->is_hold_wanted = world_chance(100);
    p->settle_ms = world_chance(250) ? 2000 : 0;
}

static int key_set(bool has_key)
{
    struct secret key = {0};
    if (!has_key)
        return api_key_set(world.program.api, NULL);
    int r = secret_init(&key, "th-key", 6);
    if (r == 0)
        r = api_key_set(world.program.api, &key);
    secret_fini(&key);
    return r;
}

void program_key_changed(void)
{
    world.program.has_key = true;
    world_say("user: SIGHUP");
    if (key_set(true) == 0)
        jobs_key_changed(world.program.jobs);
}

static int program_open(void)
{
    static struct models *models; /* the same in all worlds */
    struct program *p = &world.program;
    int r = models ? 0 : models_new(&models);
    if (r == 0)
        r = store_open(world.directory_fd, world.directory, &p->store);
    if (r < 0)
        return r;
    struct jobs_settings settings = {
        .timers = &p->timers,
        .clock = &world.clock.clock,
        .store = p->store,
        .api = p->api,
        .directory_fd = world.directory_fd,
        .files_fd = world.files_fd,
        .models = models,
        .api_name = "https://service.example/api/v1",
        .poll_interval_ms = p->poll_interval_ms,
        .budget = p->budget,
        .active_max = p->active_max,
        .is_hold_wanted = p->is_hold_wanted,
        .settle_ms = p->settle_ms,
        .file_bytes_max = 1 << 20,
        .random_seed = random_next(&world.random),
        .hooks = {.on_change = on_change,
                  .on_video = on_video,
                  .on_frame = on_frame,
                  .on_frame_read = on_frame_read,
                  .has_frames = has_frames},
    };
    return jobs_new(&settings, &p->jobs);
}

/* Frequent checkpoints, so that a crash may hit one. */
static void checkpoint_set(void)
{
    static const int pages[] = {4, 12, 40, 1000};
    world.program.store->log_pages_max = pages[world_pick(ARRAY_COUNT(pages))];
}

static void integrity_check(void)
{
    sqlite3_stmt *statement = NULL;
    sqlite3 *db = world.program.store->db;
    const unsigned char *text = NULL;
    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        text = sqlite3_column_text(statement, 0);
    if (!text || strcmp((const char *)text, "ok") != 0)
        world_fail("the database is damaged: %s", text ? (const char *)text : sqlite3_errmsg(db));
    (void)sqlite3_finalize(statement);
}

/* Frees the memory of a program, alive or dead. */
static void program_free(void)
{
    struct program *p = &world.program;
    p->jobs = jobs_free(p->jobs);
    p->api = api_free(p->api);
    p->store = store_close(p->store);
    if (p->timers.count > 0)
        world_fail("%zu timers are left after the program's end", p->timers.count);
    timers_fini(&p->timers);
    while (questions)
        question_free(questions);
    while (frames)
        frame_free(frames);
    if (network_transfers(true) + network_transfers(false) > 0)
        world_fail("calls are left after the program's end");
    while (creates)
        create_free(creates);
    p->is_ending = false;
    timer_cancel(&world.events, &settle_timer);
    users_forget();
}

static void start_due(void *context UNUSED)
{
    program_start();
    world_event_end();
}

void program_start_at(int64_t delay_ms)
{
    world_timer_set(&start_timer, delay_ms, start_due, NULL);
}

/* The disk is failing; nothing else may prevent a start. */
static void start_failed(int r)
{
    figure_add(FIGURE_STARTS_FAILED);
    bool is_disk = r == -ENOSPC || r == -EIO || r == -EROFS || r == -EACCES;
    bool was_inside = disk_is_dead();
    world_say("program: cannot start: %s", err_name(r));
    if (!was_inside && (!is_disk || world.is_calm))
        world_fail("the program does not start: %s", err_name(r));
    program_free();
    if (was_inside) {
        bool is_power_cut = world_chance(world.mixture.power_cuts);
        oracle_ended(is_power_cut ? ENDING_POWER_CUT : ENDING_KILL, true);
        disk_restart(is_power_cut);
    }
    program_start_at(10 * 1000);
}

void program_start(void)
{
    struct program *p = &world.program;
    static const char base_url[] = "https://service.example/api/v1";
    timers_init(&p->timers, &world.clock.clock);
    p->has_key = p->has_key || world.is_calm;
    if (!http)
        http = network_new();
    int r = api_new(http, &world.clock.clock, base_url, &p->api);
    if (r == 0)
        r = key_set(p->has_key);
    if (r < 0)
        abort();
    r = program_open();
    if (r < 0 || disk_is_dead()) {
        start_failed(r);
        return;
    }
    checkpoint_set();
    world_say("program: starts, budget %lld/%d, active %u%s", (long long)p->budget.limit_usd_micros,
              (int)p->budget.period, p->active_max, p->is_hold_wanted ? ", hold" : "");
    integrity_check();
    oracle_loaded();
    world.is_resuming = true;
    jobs_start(p->jobs);
    world.is_resuming = false;
    if (!disk_is_dead())
        oracle_resumed();
}

void program_end(bool is_clean)
{
    world_say("program: ends%s", is_clean ? "" : " with its requests under way");
    oracle_ended(ENDING_CLEAN, false);
    program_free();
}

void program_crash(bool is_power_cut)
{
    bool is_inside = disk_is_dead();
    world_say("program: %s%s", is_power_cut ? "power cut" : "killed", is_inside ? ", inside" : "");
    figure_add(is_power_cut ? FIGURE_POWER_CUTS : FIGURE_KILLS);
    disk_die();
    oracle_ended(is_power_cut ? ENDING_POWER_CUT : ENDING_KILL, is_inside);
    program_free();
    disk_restart(is_power_cut);
    users_files_clean(is_power_cut);
    if (world_chance(300))
        program_settings_pick();
    program_start_at(world_chance(800) ? (int64_t)world_pick(20000) : HOUR_MS);
}

static void settle_due(void *context UNUSED)
{
    if (program_is_up() && world.program.is_ending)
        program_stop();
    world_event_end();
}

void program_stop(void)
{
    struct program *p = &world.program;
    if (!p->is_ending) {
        world_say("program: SIGTERM");
        users_leave();
        if (disk_is_dead())
            return;
        jobs_stop(p->jobs);
        p->is_ending = true;
        figure_add(FIGURE_RESTARTS);
        world_timer_set(&settle_timer, world_chance(300) ? 100 : 70 * 1000, settle_due, NULL);
        return;
    }
    program_end(false);
    program_settings_pick();
    program_start_at((int64_t)world_pick(5000));
}

void program_stop_check(void)
{
    struct program *p = &world.program;
    if (!p->is_ending || jobs_is_submitting(p->jobs))
        return;
    program_end(true);
    program_settings_pick();
    program_start_at((int64_t)world_pick(5000));
}

void program_timers_run(void)
{
    timers_run(&world.program.timers);
    world_event_end();
}

void program_fini(void)
{
    timer_cancel(&world.events, &start_timer);
    timer_cancel(&world.events, &settle_timer);
    http = NULL;
}
