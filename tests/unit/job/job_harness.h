/*
 * What: the job layer on a real store in its own directory, with a clock that stands still and the
 * fake service. A crash is a copy of the directory at that moment, as SIGKILL would leave it. The
 * fdatasync(2) of this file replaces that of libc and counts the syncs, so that a test can see
 * what is durable.
 */
#ifndef TESTS_UNIT_JOB_JOB_HARNESS_H
#define TESTS_UNIT_JOB_JOB_HARNESS_H

#include "fake_api.h"

#include "job/job_private.h"
#include "seedancefs/base/clock.h"
#include "seedancefs/base/file.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"
#include "seedancefs/prompt/prompt.h"
#include "seedancefs/store/store.h"
#include "store/store_private.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROMPT "{\"prompt\": \"A cat surfing at sunset\"}"
#define WALL_START_MS INT64_C(1795420800000) /* 2026-11-23T08:00:00Z */
#define HOUR_MS (3600 * INT64_C(1000))

static int sync_errno; /* result of the next syncs; 0: they work */

#ifndef TESTS_TOOLS_FAILING_H /* that header defines it too */
static int sync_count;
int fdatasync(int fd)
{
    sync_count++;
    if (sync_errno) {
        errno = sync_errno;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}
#endif

struct world {
    char directory[64];
    int directory_fd; /* held by the program */
    int files_fd;
    struct fake_clock clock;
    struct timers timers;
    struct store *store;
    struct api api;
    struct jobs *jobs;
    int64_t poll_interval_ms;
    uint64_t random_seed;
    const struct models *models; /* NULL: the documented ones */
    void (*on_change)(struct world *w, struct job *job);
    unsigned changes, videos, urls, unwanted;
    int url_result;
    int64_t unwanted_attempt;
    int64_t video_job; /* last job that on_video was called for; 0: none */
    bool is_disk_full;
    bool has_frames;  /* ffmpeg is there */
    int frame_result; /* of asking for one */
    unsigned frames_wanted;
    void *context;
};

static void world_changed(void *context, struct job *job)
{
    struct world *w = context;
    w->changes++;
    if (w->on_change)
        w->on_change(w, job);
}

/* What the job's attempt has made, or is about to. */
static inline struct job_take *take_of(const struct job *job)
{
    return job->sizing ? job->sizing : job->picked;
}

static inline int64_t video_bytes_of(const struct job *job)
{
    return job->picked ? job->picked->video_bytes : -1;
}

static void world_video(void *context, struct job_take *take)
{
    struct world *w = context;
    w->videos++;
    w->video_job = take->job->id;
}

static void world_url(void *context, struct job_take *take UNUSED, int result)
{
    struct world *w = context;
    w->urls++;
    w->url_result = result;
}

static void world_unwanted(void *context, int64_t attempt_id)
{
    struct world *w = context;
    w->unwanted++;
    w->unwanted_attempt = attempt_id;
}

static int world_frame(void *context, struct job_take *take UNUSED, enum job_frame frame UNUSED,
                       const char **why)
{
    struct world *w = context;
    w->frames_wanted++;
    *why = "no frame.";
    return w->frame_result;
}

static int world_frame_read(void *context UNUSED, struct job_take *take UNUSED,
                            enum job_frame frame UNUSED, size_t max_bytes UNUSED, struct buf *out)
{
    return buf_add_text(out, "PNG");
}

static bool world_has_frames(void *context)
{
    const struct world *w = context;
    return w->has_frames;
}

static inline int remove_one(const char *path, const struct stat *st UNUSED, int kind UNUSED,
                             struct FTW *ftw UNUSED)
{
    return remove(path);
}

/* Directories that failed tests leave; a file system in memory would keep them until
 * the next boot. */
static char directories_left[32][64];

static void directories_clean(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(directories_left); i++) {
        if (directories_left[i][0])
            (void)nftw(directories_left[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

static inline void directory_make(char path[static 64])
{
    static bool is_registered;
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(path, 64, "%s/seedancefs-unit-XXXXXX", parent);
    assert_non_null(mkdtemp(path));
    if (!is_registered)
        (void)atexit(directories_clean);
    is_registered = true;
    for (size_t i = 0; i < ARRAY_COUNT(directories_left); i++) {
        if (!directories_left[i][0]) {
            memcpy(directories_left[i], path, 64);
            break;
        }
    }
}

static inline void directory_remove(const char *path)
{
    assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    for (size_t i = 0; i < ARRAY_COUNT(directories_left); i++) {
        if (strcmp(directories_left[i], path) == 0)
            directories_left[i][0] = '\0';
    }
}

static inline void file_copy(const char *from, const char *to)
{
    struct buf bytes;
    buf_init(&bytes, 256 << 20);
    assert_int_equal(file_read_all(from, &bytes), 0);
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(file_write_full(fd, buf_text(&bytes), bytes.len, 0), 0);
    (void)close(fd);
    buf_fini(&bytes);
}

static inline void directory_copy(const char *from, const char *to)
{
    DIR *directory = opendir(from);
    assert_non_null(directory);
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        char a[600];
        char b[600];
        (void)snprintf(a, sizeof(a), "%s/%s", from, entry->d_name);
        (void)snprintf(b, sizeof(b), "%s/%s", to, entry->d_name);
        if (entry->d_type == DT_REG)
            file_copy(a, b);
    }
    (void)closedir(directory);
}

/* Makes every write to a file fail from now on, as on a full disk. */
static inline void disk_limit(bool is_full)
{
    struct rlimit limit;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = is_full ? 0 : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static inline void world_disk_full(struct world *w, bool is_full)
{
    w->is_disk_full = is_full;
    disk_limit(is_full);
}

static inline const struct models *world_models(void)
{
    static struct models *models;
    if (!models)
        assert_int_equal(models_new(&models), 0);
    return models;
}

static inline int world_open_jobs(struct world *w)
{
    struct jobs_settings settings = {
        .timers = &w->timers,
        .clock = &w->clock.clock,
        .store = w->store,
        .api = &w->api,
        .directory_fd = w->directory_fd,
        .files_fd = w->files_fd,
        .models = w->models ? w->models : world_models(),
        .api_name = "https://service.example/api/v1",
        .poll_interval_ms = w->poll_interval_ms,
        .file_bytes_max = 1 << 20,
        .random_seed = w->random_seed,
        .hooks = {.context = w,
                  .on_change = world_changed,
                  .on_video = world_video,
                  .on_url = world_url,
                  .on_media_unwanted = world_unwanted,
                  .on_frame = world_frame,
                  .on_frame_read = world_frame_read,
                  .has_frames = world_has_frames},
    };
    timers_init(&w->timers, &w->clock.clock);
    return jobs_new(&settings, &w->jobs);
}

static inline void world_open(struct world *w)
{
    w->directory_fd = file_open_directory(AT_FDCWD, w->directory);
    assert_true(w->directory_fd >= 0);
    w->files_fd = file_open_directory(w->directory_fd, JOB_FILES_DIRECTORY);
    assert_true(w->files_fd >= 0);
    assert_int_equal(store_open(w->directory_fd, w->directory, &w->store), 0);
    assert_int_equal(world_open_jobs(w), 0);
}

static inline void world_close_jobs(struct world *w)
{
    w->jobs = jobs_free(w->jobs);
    assert_int_equal(w->timers.count, 0); /* no timer may fire after the end */
    assert_null(w->api.calls);
    timers_fini(&w->timers);
}

static inline void world_close(struct world *w)
{
    world_close_jobs(w);
    w->store = store_close(w->store);
    (void)close(w->files_fd);
    (void)close(w->directory_fd);
}

static inline void world_init(struct world *w)
{
    *w = (struct world){.api = {.has_key = true}, .random_seed = 1};
    log_configure(LOG_ERROR, -1);
    disk_limit(false); /* a failed test may have left it set */
    sync_errno = 0;
    directory_make(w->directory);
    fake_clock_init(&w->clock, WALL_START_MS);
    world_open(w);
    jobs_start(w->jobs);
}

static inline void world_fini(struct world *w)
{
    world_disk_full(w, false);
    sync_errno = 0;
    if (w->jobs)
        world_close(w);
    api_fini(&w->api);
    directory_remove(w->directory);
}

/* A new program on a copy of the present disk; the old program is not touched. */
static inline void world_init_copy(struct world *copy, const struct world *w)
{
    char to[160];
    char from[160];
    *copy = (struct world){.api = {.has_key = true}, .random_seed = 2};
    directory_make(copy->directory);
    (void)snprintf(to, sizeof(to), "%s/files", copy->directory);
    (void)snprintf(from, sizeof(from), "%s/files", w->directory);
    assert_int_equal(file_make_directories(to, 0700), 0);
    directory_copy(w->directory, copy->directory);
    directory_copy(from, to);
    copy->clock = w->clock;
    copy->poll_interval_ms = w->poll_interval_ms;
    world_open(copy);
}

/* SIGKILL and start: the memory of the old program is lost. */
static inline void world_crash(struct world *w)
{
    struct world copy;
    bool was_full = w->is_disk_full;
    world_disk_full(w, false);
    world_init_copy(&copy, w);
    world_disk_full(w, was_full);
    world_close(w);
    world_disk_full(w, false);
    world_close(&copy);
    directory_remove(w->directory);
    memcpy(w->directory, copy.directory, sizeof(w->directory));
    world_open(w);
}

static inline void world_restart(struct world *w)
{
    world_close(w);
    world_open(w);
    jobs_start(w->jobs);
}

/* Advances time and fires each timer when it is due. */
static inline void world_run(struct world *w, int64_t ms)
{
    timers_run(&w->timers);
    for (int64_t next; (next = timers_next_ms(&w->timers)) >= 0 && next <= ms; ms -= next) {
        fake_clock_advance(&w->clock, next);
        timers_run(&w->timers);
    }
    fake_clock_advance(&w->clock, ms);
}

static inline struct job *job_make_named(struct world *w, const char *name)
{
    struct job *job;
    assert_int_equal(jobs_create(w->jobs, name, &job), 0);
    return job;
}

static inline struct job_detail *detail_of(struct job *job)
{
    struct job_detail *detail;
    assert_int_equal(job_detail_get(job, &detail), 0);
    return detail;
}

/* The path of the file's bytes. */
static inline void bytes_path(const struct world *w, const struct job_file *file,
                              char path[static 160])
{
    (void)snprintf(path, 160, "%s/" JOB_FILES_DIRECTORY "/%lld", w->directory, (long long)file->id);
}

/* `echo text > jobs/NAME/file`: open or create, write, flush, release. Returns the first error. */
static inline int user_write(struct job *job, const char *name, const char *text)
{
    struct job_file *file = job_file_find(detail_of(job), name);
    int r = file ? 0 : job_file_create(job, name, 0644, &file);
    if (r == 0)
        r = job_file_open(file, true, true);
    if (r < 0)
        return r;
    job_file_begin(file);
    r = job_file_write(file, text, strlen(text), 0);
    int flushed = job_file_flush(file);
    job_file_close(file, true);
    /* Whether the close was the last one only the layer above finds out. */
    return r < 0 ? r : flushed == -ERR_JSON_INCOMPLETE ? 0 : flushed;
}

/* A job just before its request is sent: the fake's newest call is its create. */
static inline struct job *job_submitted(struct world *w, const char *name)
{
    struct job *job = job_make_named(w, name);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    world_run(w, 0);
    assert_non_null(w->api.calls);
    return job;
}

static inline struct api_call *call_of(struct world *w, const struct job *job)
{
    struct api_call *call;
    DL_FOREACH (w->api.calls, call) {
        const char *task_id = job_attempt_get(job->detail)->task_id;
        if (call->job_id == job->id ||
            (call->task_id && task_id && strcmp(call->task_id, task_id) == 0))
            return call;
    }
    return NULL;
}

/* A job that the service has queued. */
static inline struct job *job_queued(struct world *w, const char *name, const char *task_id)
{
    struct job *job = job_submitted(w, name);
    create_accept(call_of(w, job), task_id);
    assert_int_equal(job->state, JOB_QUEUED);
    return job;
}

/* Advances time until the job is polled or sent. */
static inline struct api_call *call_wait(struct world *w, const struct job *job)
{
    for (int i = 0; i < 4000 && !call_of(w, job); i++)
        world_run(w, 1000);
    assert_non_null(call_of(w, job));
    return call_of(w, job);
}

static inline void assert_state(const struct job *job, enum job_state expected)
{
    assert_string_equal(job_state_to_text(job->state), job_state_to_text(expected));
    job_check(job);
}

/* The state of a job on the disk now, read from a copy. */
static inline enum job_state state_on_disk(const struct world *w, const char *name)
{
    struct world copy;
    int saved_errno = sync_errno;
    disk_limit(false);
    sync_errno = 0;
    world_init_copy(&copy, w);
    struct job *job = jobs_find(copy.jobs, name);
    enum job_state state = job ? job->state : JOB_STATE_COUNT;
    world_fini(&copy);
    disk_limit(w->is_disk_full);
    sync_errno = saved_errno;
    return state;
}

static inline int64_t store_ask(const struct world *w, const char *sql)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(w->store->db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    return value;
}

/* The last entries of the ledger and the sum over the attempts are stored separately
 * and must agree. */
static inline void ledger_verify(const struct world *w)
{
    int64_t spent;
    assert_int_equal(store_spent_get(w->store, 0, &spent), 0);
    assert_int_equal(store_ask(w, "SELECT ifnull(sum(usd_micros), 0) FROM ledger WHERE id IN "
                                  "(SELECT max(id) FROM ledger GROUP BY attempt_id)"),
                     spent);
}

/* Prompts that name what another job makes. */
#define FROM(path) "{\"prompt\":\"x\",\"video_url\":\"" path "\"}"
#define BEGINS_WITH(path) "{\"prompt\":\"x\",\"first_frame\":\"" path "\"}"

/* Writes a prompt, which is acceptable, into a job that is made if there is none. */
static inline struct job *job_write(struct world *w, const char *name, const char *prompt)
{
    struct job *job = jobs_find(w->jobs, name);
    if (!job)
        job = job_make_named(w, name);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, prompt), 0);
    return job;
}

/* The job's request is sent, and its task succeeds. */
static inline void job_finish(struct world *w, struct job *job, const char *task_id)
{
    if (job->state == JOB_WAITING)
        create_accept(call_wait(w, job), task_id);
    poll_succeeded(call_wait(w, job));
    struct job_media_size size = {.size = 100};
    jobs_video_set(job->sizing, &size);
    assert_state(job, JOB_SUCCEEDED);
    world_run(w, 0);
}

static inline bool problem_has(struct job *job, const char *part)
{
    (void)detail_of(job);
    const char *problem = job_problem_get(job);
    return problem && strstr(problem, part);
}

#endif
