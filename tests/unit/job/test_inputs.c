/* What could go wrong with inputs: disks that refuse, files that change, jobs that go away meanwhile. */
#include "job_harness.h"

#include "seedancefs/base/tools.h"
#include "seedancefs/job/ctl.h"

#include <poll.h>
#include <sys/stat.h>

#define HELD_CLIP "{\"prompt\":\"x\",\"hold\":true,\"video_url\":\"clip.mp4\"}"

static const char mp4[] = "\0\0\0\x18"
                          "ftypmp42\0\0\0\0mp42isom";

static void command(struct job *job, const char *text, int expected)
{
    assert_int_equal(job_ctl_run(job, text, strlen(text)), expected);
}

static void sql(struct world *w, const char *text)
{
    assert_int_equal(sqlite3_exec(w->store->db, text, NULL, NULL, NULL), SQLITE_OK);
}

/* The store refuses each change of a job that leads to this state; "": to any. */
static void state_refuse(struct world *w, const char *state)
{
    char text[256];
    static const char *const verbs[] = {"UPDATE", "INSERT"};
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        (void)snprintf(
            text, sizeof(text),
            "CREATE TEMP TRIGGER refuse_%s BEFORE %s ON job WHEN '%s' IN ('', NEW.state) "
            "BEGIN SELECT RAISE(ABORT, 'no'); END",
            verbs[i], verbs[i], state);
        sql(w, text);
    }
}

static void state_allow(struct world *w)
{
    sql(w, "DROP TRIGGER refuse_UPDATE; DROP TRIGGER refuse_INSERT");
}

/* Programs that can be run: an upload command that is never used, and those of `path`. */
static struct tools *tools_begin(struct world *w, const char *path)
{
    struct tools *tools;
    const struct tools_settings settings = {.upload_command = "echo https://x/y",
                                            .search_path = path};
    assert_int_equal(tools_new(&settings, &tools), 0);
    w->jobs->settings.tools = tools;
    w->jobs->settings.data_directory = w->directory;
    return tools;
}

static void tools_end(struct world *w, struct tools *tools)
{
    while (w->api.calls && !w->api.calls->task_id)
        job_call_cancel(jobs_get(w->jobs, w->api.calls->job_id));
    world_close_jobs(w);
    assert_int_equal(world_open_jobs(w), 0);
    tools_free(tools);
    world_fini(w);
}

static void tools_run(struct world *w, struct tools *tools, int ms)
{
    struct pollfd wait = {.fd = tools_fd(tools), .events = POLLIN};
    while (poll(&wait, 1, ms) > 0) {
        tools_dispatch(tools);
        world_run(w, 0);
    }
}

static void bytes_set(const struct world *w, const struct job_file *file, const void *bytes,
                      size_t len)
{
    char path[160];
    bytes_path(w, file, path);
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    (void)close(fd);
}

static struct job_file *clip_make(struct world *w, struct job *job)
{
    struct job_file *file;
    assert_int_equal(job_file_create(job, "clip.mp4", 0644, &file), 0);
    bytes_set(w, file, mp4, sizeof(mp4));
    return file;
}

static int64_t bytes_size(const struct world *w, const struct job_file *file)
{
    char path[160];
    struct stat st;
    bytes_path(w, file, path);
    return stat(path, &st) == 0 ? st.st_size : -1;
}

/* Ids are taken from the disk in batches, which fails at last on a full one. */
static void test_inputs__a_full_disk_takes_no_file_of_the_user(void **state UNUSED)
{
    static const char good[] = FROM("clip.mp4");
    struct world w;
    world_init(&w);
    struct tools *tools = tools_begin(&w, "/nonexistent");
    struct job *job = job_make_named(&w, "a");
    const struct job_file *clip = clip_make(&w, job);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, "{\"prompt\":\"\"}"), -ERR_PROMPT_INVALID);
    bytes_set(&w, job_file_find_prompt(detail_of(job)), good, strlen(good));
    world_disk_full(&w, true);
    for (int i = 0; i < 1100; i++) {
        (void)!job_ctl_run(job, "submit", 6);
        assert_int_equal(bytes_size(&w, clip), sizeof(mp4));
    }
    world_disk_full(&w, false);
    tools_end(&w, tools);
}

static void program_make(const char *directory, const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
    assert_int_equal(chmod(path, 0755), 0);
}

static void test_inputs__refused_media_do_not_pass_when_the_disk_refuses(void **state UNUSED)
{
    struct world w;
    char directory[64];
    struct job_file *picture;
    world_init(&w);
    directory_make(directory);
    program_make(directory, "ffprobe",
                 "#!/bin/sh\necho '{\"streams\":[{\"codec_type\":\"video\",\"codec_name\":\"png\","
                 "\"width\":10,\"height\":10}],\"format\":{\"format_name\":\"png_pipe\"}}'\n");
    struct tools *tools = tools_begin(&w, directory);
    struct job *job = job_make_named(&w, "a");
    assert_int_equal(job_file_create(job, "hero.png", 0644, &picture), 0);
    bytes_set(&w, picture, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, BEGINS_WITH("hero.png")), 0);
    world_run(&w, 0);
    state_refuse(&w, "");
    tools_run(&w, tools, 2000);
    state_allow(&w);
    assert_state(job, JOB_WAITING);
    for (int i = 0; i < 10 && job->state == JOB_WAITING; i++) {
        world_run(&w, 6000);
        tools_run(&w, tools, 1000);
    }
    assert_state(job, JOB_INVALID);
    assert_true(problem_has(job, "has 10 x 10 pixels"));
    assert_int_equal(w.api.creates, 0);
    tools_end(&w, tools);
    directory_remove(directory);
}

static void test_inputs__a_higher_price_is_asked_for_when_the_disk_refuses(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *first = job_write(&w, "shot-1", "{\"prompt\":\"x\",\"duration\":4}");
    struct job *second = job_write(&w, "shot-2", FROM("../shot-1/output.mp4"));
    state_refuse(&w, "held");
    job_finish(&w, first, "t-1");
    assert_state(second, JOB_WAITING);
    state_allow(&w);
    world_run(&w, 6000);
    assert_state(second, JOB_HELD);
    assert_int_equal(w.api.creates, 1);
    world_fini(&w);
}

/* The bytes of the newer time stay as they are, whatever ids the older database gives out. */
static void test_inputs__an_older_database_empties_no_file(void **state UNUSED)
{
    struct world w;
    char backup[128];
    char database[128];
    world_init(&w);
    struct tools *tools = tools_begin(&w, "/nonexistent");
    (void)clip_make(&w, job_make_named(&w, "a"));
    sql(&w, "PRAGMA wal_checkpoint(TRUNCATE)");
    (void)snprintf(backup, sizeof(backup), "%s/backup", w.directory);
    (void)snprintf(database, sizeof(database), "%s/jobs.sqlite", w.directory);
    file_copy(database, backup);
    world_restart(&w); /* takes the next ids */
    tools_free(tools);
    tools = tools_begin(&w, "/nonexistent");
    (void)job_write(&w, "a", HELD_CLIP);
    int64_t kept = store_ask(&w, "SELECT kept_id FROM input WHERE kept_id != 0");
    world_close(&w);
    tools_free(tools);
    file_copy(backup, database);
    world_open(&w);
    jobs_start(w.jobs);
    struct job *job = jobs_find(w.jobs, "a");
    const struct job_file *clip = job_file_find(detail_of(job), "clip.mp4");
    struct job_file *file = NULL;
    for (int i = 0; !file || file->id < kept; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "f%d", i);
        assert_int_equal(job_file_create(job, name, 0644, &file), 0);
    }
    assert_int_equal(bytes_size(&w, clip), sizeof(mp4));
    struct stat st;
    assert_int_equal(
        fstatat(w.jobs->settings.files_fd, job_bytes_name(kept).text, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_size, sizeof(mp4));
    world_fini(&w);
}

static bool is_whole(void *context UNUSED, int64_t id UNUSED)
{
    return true;
}

static void test_inputs__a_source_that_comes_back_is_asked_again(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    w.has_frames = true;
    w.frame_result = -EBUSY;
    w.jobs->settings.hooks.is_video_whole = is_whole;
    struct job *first = job_write(&w, "shot-1", PROMPT);
    struct job *second = job_write(&w, "shot-2", BEGINS_WITH("../shot-1/last_frame.png"));
    job_finish(&w, first, "t-1");
    assert_int_equal(w.frames_wanted, 1);
    assert_int_equal(jobs_remove(first), 0); /* the making ends without a word */
    world_run(&w, 0);
    assert_state(second, JOB_HELD);
    first = job_make_named(&w, "shot-1");
    command(first, "adopt t-1", 0);
    assert_state(first, JOB_SUCCEEDED);
    w.frame_result = 0;
    assert_int_equal(user_write(second, JOB_PROMPT_NAME, BEGINS_WITH("../shot-1/last_frame.png")),
                     0);
    create_accept(call_wait(&w, second), "t-2");
    world_fini(&w);
}

/* Two links to one job, which could not be read when that job changed. */
static void test_inputs__links_that_were_unreadable_are_read_later(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    w.has_frames = true;
    struct job *first = job_write(&w, "shot-1", PROMPT);
    struct job *second =
        job_write(&w, "shot-2",
                  "{\"prompt\":\"x\",\"hold\":true,\"first_frame\":\"../shot-1/first_frame.png\","
                  "\"last_frame\":\"../shot-1/last_frame.png\"}");
    create_accept(call_wait(&w, first), "t-1");
    struct api_call *call = call_wait(&w, first);
    sql(&w, "CREATE TEMP TRIGGER bad AFTER UPDATE ON input BEGIN UPDATE input SET length_ms = -9 "
            "WHERE attempt_id = NEW.attempt_id; END");
    command(second, "submit", 0);
    sql(&w, "DROP TRIGGER bad; UPDATE input SET length_ms = -1");
    assert_true(second->are_links_unread);
    poll_status(call, "failed");
    world_run(&w, 10000);
    assert_state(second, JOB_HELD);
    world_fini(&w);
}

static void test_inputs__a_damaged_row_stops_its_job_alone(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    (void)job_write(&w, "shot-1", PROMPT);
    (void)job_write(&w, "shot-2", FROM("../shot-1/output.mp4"));
    sql(&w, "UPDATE input SET length_ms = -9 WHERE form != 1");
    world_restart(&w);
    job_finish(&w, jobs_find(w.jobs, "shot-1"), "t-1");
    world_run(&w, HOUR_MS);
    assert_state(jobs_find(w.jobs, "shot-2"), JOB_WAITING);
    assert_int_equal(w.api.tasks_made, 1);
    world_fini(&w);
}

static void test_inputs__a_gate_is_forgotten_when_it_opens(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *first = job_write(&w, "shot-1", PROMPT);
    struct job *second = job_write(&w, "shot-2", FROM("../shot-1/output.mp4"));
    jobs_gate_close(w.jobs, JOB_GATE_KEY_REFUSED, "no");
    assert_true(problem_has(second, "refused"));
    jobs_key_changed(w.jobs);
    world_run(&w, 100);
    assert_null(job_problem_get(second));
    create_accept(call_wait(&w, first), "t-1");
    world_fini(&w);
}

/* `exec 3<clip.mp4; rm clip.mp4; echo >>/proc/self/fd/3`: what was accepted stays as it was. */
static void test_inputs__a_file_without_a_name_is_not_what_is_kept(void **state UNUSED)
{
    struct world w;
    char path[200];
    char head[8];
    world_init(&w);
    struct tools *tools = tools_begin(&w, "/nonexistent");
    struct job *job = job_make_named(&w, "a");
    struct job_file *clip = clip_make(&w, job);
    assert_int_equal(job_file_open(clip, false, false), 0);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, HELD_CLIP), 0);
    assert_int_equal(job_file_unlink(clip), 0);
    assert_int_equal(job_file_open(clip, true, false), 0);
    job_file_begin(clip);
    assert_int_equal(job_file_write(clip, "XXXXXXXX", 8, 0), 0);
    job_file_close(clip, true);
    job_file_close(clip, false);
    (void)snprintf(path, sizeof(path), "%s/files/%lld", w.directory,
                   (long long)store_ask(&w, "SELECT kept_id FROM input WHERE kept_id != 0"));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, head, 8), 8);
    (void)close(fd);
    assert_memory_equal(head, mp4, 8);
    tools_end(&w, tools);
}

/* Of drafts the lengths are not known when the prompt is accepted. */
static void test_inputs__too_much_video_is_not_sent(void **state UNUSED)
{
    static const char *const names[] = {"a", "b", "d", "e"};
    struct world w;
    world_init(&w);
    for (size_t i = 0; i < ARRAY_COUNT(names) - 1; i++)
        (void)job_make_named(&w, names[i]);
    struct job *job = job_write(&w, "c",
                                "{\"prompt\":\"x\",\"video_urls\":[\"../a/output.mp4\","
                                "\"../b/output.mp4\",\"../d/output.mp4\"]}");
    for (size_t i = 0; i < ARRAY_COUNT(names) - 1; i++)
        job_finish(&w, job_write(&w, names[i], PROMPT), names[i]);
    assert_non_null(call_of(&w, job)); /* 15 s are allowed */
    create_accept(call_of(&w, job), "t-c");
    struct job *longer = job_write(&w, "f",
                                   "{\"prompt\":\"x\",\"video_urls\":[\"../a/output.mp4\","
                                   "\"../b/output.mp4\",\"../d/output.mp4\"],\"hold\":true}");
    sql(&w, "UPDATE attempt SET output_ms = 6000 WHERE take > 0");
    world_restart(&w);
    longer = jobs_find(w.jobs, "f");
    command(longer, "submit", 0);
    world_run(&w, 0);
    assert_state(longer, JOB_HELD);
    assert_true(problem_has(longer, "18 seconds long together"));
    world_run(&w, HOUR_MS);
    assert_int_equal(w.api.tasks_made, 4);
    world_fini(&w);
}

/* A picture that was made a moment ago, and is gone when the request is made. */
static void test_inputs__a_picture_that_went_is_waited_for(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    w.has_frames = true;
    w.frame_result = -EBUSY;
    struct job *first = job_write(&w, "shot-1", PROMPT);
    struct job *second = job_write(&w, "shot-2", BEGINS_WITH("../shot-1/last_frame.png"));
    job_finish(&w, first, "t-1");
    assert_int_equal(w.frames_wanted, 1);
    jobs_frame_done(first->picked, JOB_LAST_FRAME, 0); /* and it is lost at once */
    world_run(&w, 0);
    assert_int_equal(w.frames_wanted, 2);
    w.frame_result = 0;
    jobs_frame_done(first->picked, JOB_LAST_FRAME, 0);
    world_run(&w, 0);
    assert_non_null(call_of(&w, second));
    create_accept(call_of(&w, second), "t-2");
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inputs__a_full_disk_takes_no_file_of_the_user),
        cmocka_unit_test(test_inputs__refused_media_do_not_pass_when_the_disk_refuses),
        cmocka_unit_test(test_inputs__a_higher_price_is_asked_for_when_the_disk_refuses),
        cmocka_unit_test(test_inputs__an_older_database_empties_no_file),
        cmocka_unit_test(test_inputs__a_source_that_comes_back_is_asked_again),
        cmocka_unit_test(test_inputs__links_that_were_unreadable_are_read_later),
        cmocka_unit_test(test_inputs__a_damaged_row_stops_its_job_alone),
        cmocka_unit_test(test_inputs__a_gate_is_forgotten_when_it_opens),
        cmocka_unit_test(test_inputs__a_file_without_a_name_is_not_what_is_kept),
        cmocka_unit_test(test_inputs__too_much_video_is_not_sent),
        cmocka_unit_test(test_inputs__a_picture_that_went_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
