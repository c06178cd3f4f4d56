/* The user's files: when prompt.json is reported wrong, when it is committed, and when it is
 * frozen. */
#include "job_harness.h"

#include "seedancefs/job/ctl.h"

static struct job_file *file_made(struct job *job, const char *name)
{
    struct job_file *file;
    assert_int_equal(job_file_create(job, name, 0644, &file), 0);
    assert_int_equal(job_file_open(file, true, false), 0);
    job_file_begin(file);
    return file;
}

static int file_put(struct job_file *file, const char *text, int64_t offset)
{
    return job_file_write(file, text, strlen(text), offset);
}

static void test_file__what_a_closed_prompt_holds_decides_the_state(void **state UNUSED)
{
    static const struct {
        const char *text;
        int expected; /* of write or flush */
        enum job_state after;
        const char *problem;
    } rows[] = {
        {PROMPT, 0, JOB_WAITING, NULL},
        {" \n" PROMPT "\n\n", 0, JOB_WAITING, NULL},
        {"", 0, JOB_DRAFT, NULL},
        {" \n", 0, JOB_DRAFT, NULL},
        {"{\"prompt\": \"A cat", 0, JOB_INVALID, "prompt.json"},
        {"{", 0, JOB_INVALID, "line 1, column"},
        {"{\"prompt\": }", -ERR_PROMPT_INVALID, JOB_INVALID, "line 1, column 12"},
        {"{\"prompt\": \"a\", \"duraton\": 5}", -ERR_PROMPT_INVALID, JOB_INVALID, "duration"},
        {"{\"prompt\": \"a\", \"duration\": 99}", -ERR_PROMPT_INVALID, JOB_INVALID, "duration"},
        {"[1]", -ERR_PROMPT_INVALID, JOB_INVALID, "object"},
        {PROMPT "x", -ERR_PROMPT_INVALID, JOB_INVALID, "line 1, column"},
        {PROMPT PROMPT, -ERR_PROMPT_INVALID, JOB_INVALID, "line 1, column"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world w;
        world_init(&w);
        struct job *job = job_make_named(&w, "cat");
        assert_int_equal(user_write(job, JOB_PROMPT_NAME, rows[i].text), rows[i].expected);
        assert_state(job, rows[i].after);
        assert_int_equal(job->has_problem, rows[i].problem != NULL);
        if (rows[i].problem)
            assert_true(problem_has(job, rows[i].problem));
        world_run(&w, 10 * 1000);
        assert_int_equal(w.api.creates, rows[i].after == JOB_WAITING);
        /* The content is kept whatever it is. */
        struct stat st;
        struct job_file *file = job_file_find(detail_of(job), JOB_PROMPT_NAME);
        assert_int_equal(job_file_stat(file, &st), 0);
        assert_int_equal(st.st_size, strlen(rows[i].text));
        world_restart(&w);
        job = jobs_find(w.jobs, "cat");
        assert_int_equal(job->state, rows[i].after);
        if (rows[i].problem)
            assert_true(problem_has(job, rows[i].problem));
        world_fini(&w);
    }
}

static void test_file__nothing_is_sent_before_the_last_writer_has_closed(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    struct job_file *file = file_made(job, JOB_PROMPT_NAME);
    assert_int_equal(job_file_open(file, true, false), 0);  /* a second writer */
    assert_int_equal(job_file_open(file, false, false), 0); /* a reader */
    assert_int_equal(file_put(file, PROMPT, 0), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(job_file_flush(file), 0);
        assert_int_equal(job_file_sync(file), 0);
    }
    job_file_close(file, true);
    for (int i = 0; i < 3; i++) /* the last writer's flushes do not submit either */
        assert_int_equal(job_file_flush(file), 0);
    world_run(&w, 60 * 1000);
    assert_state(job, JOB_DRAFT);
    assert_int_equal(w.api.creates, 0);
    job_file_close(file, true); /* the reader does not hold it up */
    assert_state(job, JOB_WAITING);
    world_run(&w, 0);
    assert_int_equal(w.api.creates, 1);
    job_file_close(file, false);
    assert_int_equal(w.api.creates, 1);
    world_fini(&w);
}

static void test_file__opening_reading_and_syncing_never_submit(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    create_accept(call_of(&w, job), "cgt-1");
    poll_status(call_wait(&w, job), "failed");
    struct job_file *file = job_file_find(detail_of(job), JOB_PROMPT_NAME);
    const struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    for (int is_writer = 0; is_writer < 2; is_writer++) {
        assert_int_equal(job_file_open(file, is_writer, false), 0);
        assert_int_equal(job_file_flush(file), 0);
        assert_int_equal(job_file_sync(file), 0);
        assert_int_equal(job_file_times_set(file, now), 0);
        assert_int_equal(job_file_mode_set(file, 0600), 0);
        job_file_close(file, is_writer);
        assert_int_equal(job_file_times_set(file, now), 0);
    }
    world_run(&w, HOUR_MS);
    assert_state(job, JOB_FAILED);
    assert_int_equal(w.api.creates, 1);
    world_fini(&w);
}

static void test_file__a_mistake_is_told_early_only_to_one_writer_in_sequence(void **state UNUSED)
{
    static const char wrong[] = "{\"prompt\": 5}";
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    struct job_file *file = file_made(job, JOB_PROMPT_NAME);
    /* Byte by byte, as a slow writer does: told at the first byte that cannot be mended. */
    for (int64_t i = 0; wrong[i]; i++) {
        char byte[2] = {wrong[i], '\0'};
        int r = file_put(file, byte, i);
        assert_int_equal(r, wrong[i + 1] ? 0 : -ERR_PROMPT_INVALID);
    }
    assert_int_equal(job_file_flush(file), -ERR_PROMPT_INVALID);
    assert_true(problem_has(job, "line 1, column 12"));
    assert_state(job, JOB_DRAFT); /* until the release: the writer may go on */
    assert_int_equal(job_file_truncate(file, 0), 0);
    assert_int_equal(file_put(file, PROMPT, 0), 0);
    /* In place, with a seek: any nonsense may be on its way to something. */
    assert_int_equal(file_put(file, "}}", 5), 0);
    assert_int_equal(file_put(file, "zz", 7), 0);
    assert_int_equal(file_put(file, PROMPT, 0), 0);
    /* Two writers. */
    assert_int_equal(job_file_truncate(file, 0), 0);
    assert_int_equal(job_file_open(file, true, false), 0);
    assert_int_equal(file_put(file, wrong, 0), 0);
    assert_int_equal(job_file_flush(file), 0);
    job_file_close(file, true);
    assert_int_equal(job_file_flush(file), -ERR_PROMPT_INVALID);
    job_file_close(file, true);
    assert_state(job, JOB_INVALID);
    assert_int_equal(w.api.creates, 0);
    world_fini(&w);
}

static void test_file__an_accepted_prompt_is_frozen_until_the_job_has_ended(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    struct job_file *note = file_made(job, "note");
    job_file_close(note, true);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    struct job_file *file = job_file_find(detail_of(job), JOB_PROMPT_NAME);
    for (enum job_state s = JOB_WAITING; s <= JOB_SUCCEEDED; s++) {
        struct job_media_size video = {99, NULL};
        if (s == JOB_UNKNOWN || s == JOB_REJECTED)
            continue;
        if (s == JOB_SUBMITTING)
            assert_int_equal(call_send(call_wait(&w, job)), 0);
        else if (s == JOB_QUEUED)
            create_accept(call_of(&w, job), "cgt-1");
        else if (s == JOB_RUNNING)
            poll_status(call_wait(&w, job), "running");
        else if (s == JOB_SUCCEEDED) {
            poll_succeeded(call_wait(&w, job));
            jobs_video_set(take_of(job), &video);
        }
        assert_state(job, s);
        assert_true(job_file_is_frozen(file));
        assert_false(job_file_is_frozen(note));
        assert_int_equal(job_file_mode_get(file), 0444);
        assert_int_equal(job_file_open(file, true, false), -ERR_PROMPT_FROZEN);
        assert_int_equal(job_file_open(file, false, true), -ERR_PROMPT_FROZEN);
        assert_int_equal(job_file_truncate(file, 0), -ERR_PROMPT_FROZEN);
        assert_int_equal(job_file_rename(file, job, "other", true), -ERR_PROMPT_FROZEN);
        assert_int_equal(job_file_rename(note, job, JOB_PROMPT_NAME, true), -ERR_PROMPT_FROZEN);
        assert_int_equal(job_file_open(file, false, false), 0);
        assert_int_equal(file_put(file, "x", 0), -ERR_PROMPT_FROZEN);
        job_file_close(file, false);
        assert_int_equal(user_write(job, "note", "scratch"), 0); /* other files stay free */
        assert_state(job, s);
    }
    assert_int_equal(w.api.creates, 1);
    world_fini(&w);
}

static void test_file__truncating_by_path_empties_the_draft_and_sends_nothing(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_submitted(&w, "cat");
    assert_int_equal(call_send(call_of(&w, job)), 0);
    create_end(call_of(&w, job), API_REJECTED, 400, -1, "no");
    struct job_file *file = job_file_find(detail_of(job), JOB_PROMPT_NAME);
    assert_int_equal(job_file_truncate(file, 5), 0); /* half a request */
    assert_state(job, JOB_INVALID);
    assert_int_equal(job_file_truncate(file, 0), 0);
    assert_state(job, JOB_DRAFT);
    assert_false(job->has_problem);
    assert_int_equal(job_file_truncate(file, 100), 0); /* zeros */
    assert_state(job, JOB_INVALID);
    assert_int_equal(job_file_truncate(file, -1), -EFBIG);
    assert_int_equal(job_file_truncate(file, (int64_t)PROMPT_BYTES_MAX + 1), -EFBIG);
    world_run(&w, HOUR_MS);
    assert_int_equal(w.api.creates, 1);
    world_fini(&w);
}

static void test_file__sizes_have_their_bounds(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    struct job_file *file = file_made(job, "big");
    assert_int_equal(file_put(file, "x", (1 << 20) - 1), 0);
    assert_int_equal(file_put(file, "x", 1 << 20), -EFBIG);
    assert_int_equal(file_put(file, "xy", (1 << 20) - 1), -EFBIG);
    assert_int_equal(file_put(file, "x", INT64_MAX), -EFBIG);
    assert_int_equal(file_put(file, "x", -1), -EFBIG);
    assert_int_equal(job_file_truncate(file, (1 << 20) + 1), -EFBIG);
    job_file_close(file, true);
    world_fini(&w);
}

static void
test_file__a_rename_onto_prompt_commits_what_is_right_and_refuses_what_is_not(void **state UNUSED)
{
    static const struct {
        const char *text;
        int expected;
        enum job_state after;
    } rows[] = {
        {PROMPT, 0, JOB_WAITING},
        {"{\"prompt\": \"a\"", -ERR_PROMPT_INVALID, JOB_DRAFT}, /* it will not grow any more */
        {"{\"prompt\": 5}", -ERR_PROMPT_INVALID, JOB_DRAFT},
        {"", 0, JOB_DRAFT},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world w;
        world_init(&w);
        struct job *job = job_make_named(&w, "cat");
        assert_int_equal(user_write(job, ".prompt.swp", rows[i].text), 0);
        assert_state(job, JOB_DRAFT);
        struct job_file *file = job_file_find(detail_of(job), ".prompt.swp");
        assert_int_equal(job_file_rename(file, job, JOB_PROMPT_NAME, true), rows[i].expected);
        assert_state(job, rows[i].after);
        bool is_moved = rows[i].expected == 0;
        assert_int_equal(job_file_find(detail_of(job), JOB_PROMPT_NAME) == file, is_moved);
        assert_int_equal(job_file_find(detail_of(job), ".prompt.swp") == file, !is_moved);
        assert_int_equal(job->has_problem, !is_moved);
        world_run(&w, 0);
        assert_int_equal(w.api.creates, rows[i].after == JOB_WAITING);
        world_fini(&w);
    }
}

static void test_file__a_rename_replaces_or_does_not_as_it_is_told(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(user_write(job, "a", "aa"), 0);
    assert_int_equal(user_write(job, "b", "bbb"), 0);
    struct job_file *a = job_file_find(detail_of(job), "a");
    assert_int_equal(job_file_rename(a, job, "b", false), -EEXIST);
    assert_int_equal(job_file_rename(a, job, "a", false), 0);
    assert_int_equal(job_file_rename(a, job, "", true), -EINVAL);
    assert_int_equal(job_file_rename(a, job, "..", true), -EINVAL);
    assert_int_equal(job_file_rename(a, job, "\xff", true), -EILSEQ);
    assert_int_equal(job_file_rename(a, job, "b", true), 0);
    assert_ptr_equal(job_file_find(detail_of(job), "b"), a);
    assert_null(job_file_find(detail_of(job), "a"));
    world_restart(&w);
    job = jobs_find(w.jobs, "cat");
    struct stat st;
    assert_int_equal(job_file_stat(job_file_find(detail_of(job), "b"), &st), 0);
    assert_int_equal(st.st_size, 2);
    assert_null(job_file_find(detail_of(job), "a"));
    world_fini(&w);
}

/* What the request names is looked for where it goes, not where it comes from. */
static void test_file__a_prompt_that_moves_finds_its_files_in_the_new_job(void **state UNUSED)
{
    static const char png[] = "\x89PNG\r\n\x1a\n0123456789";
    for (int is_there = 0; is_there <= 1; is_there++) {
        struct world w;
        world_init(&w);
        struct job *from = job_make_named(&w, "from");
        struct job *to = job_make_named(&w, "to");
        assert_int_equal(user_write(is_there ? to : from, "a.png", png), 0);
        assert_int_equal(user_write(from, "draft", "{\"prompt\": \"a\", \"image_url\": \"a.png\"}"),
                         0);
        struct job_file *file = job_file_find(detail_of(from), "draft");
        assert_int_equal(job_file_rename(file, to, JOB_PROMPT_NAME, true),
                         is_there ? 0 : -ERR_PROMPT_INVALID);
        assert_state(to, is_there ? JOB_WAITING : JOB_DRAFT);
        assert_ptr_equal(file->job, is_there ? to : from);
        assert_int_equal(to->has_problem, !is_there);
        world_fini(&w);
    }
}

static void test_file__files_move_between_jobs_with_their_handles(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *from = job_make_named(&w, "from");
    struct job *to = job_make_named(&w, "to");
    struct job_file *file = file_made(from, "draft.json");
    assert_int_equal(file_put(file, PROMPT, 0), 0);
    assert_int_equal(job_file_rename(file, to, JOB_PROMPT_NAME, true), 0);
    assert_int_equal(from->references, 0);
    assert_int_equal(to->references, 1);
    assert_state(to, JOB_DRAFT); /* its writer is still at it */
    assert_int_equal(jobs_remove(from), 0);
    job_file_close(file, true);
    assert_state(to, JOB_WAITING);
    world_run(&w, 0);
    assert_int_equal(call_of(&w, to)->attempt_id, to->attempt_id);
    assert_int_equal(w.api.creates, 1);
    world_fini(&w);
}

static void test_file__moving_the_prompt_away_leaves_a_draft(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    struct job *other = job_make_named(&w, "dog");
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, "{\"prompt\": \"a"), 0);
    assert_state(job, JOB_INVALID);
    struct job_file *file = job_file_find(detail_of(job), JOB_PROMPT_NAME);
    assert_int_equal(job_file_rename(file, job, "old.json", true), 0);
    assert_state(job, JOB_DRAFT);
    assert_false(job->has_problem);
    /* A failed job's request moves to another job: that is one new attempt, there. */
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    create_accept(call_wait(&w, job), "cgt-1");
    poll_status(call_wait(&w, job), "failed");
    file = job_file_find(detail_of(job), JOB_PROMPT_NAME);
    assert_int_equal(job_file_rename(file, other, JOB_PROMPT_NAME, true), 0);
    assert_state(job, JOB_DRAFT);
    assert_state(other, JOB_WAITING);
    create_accept(call_wait(&w, other), "cgt-2");
    assert_int_equal(w.api.creates, 2);
    world_fini(&w);
}

static void test_file__an_unlinked_file_lives_until_its_last_handle(void **state UNUSED)
{
    struct world w;
    struct stat st;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    struct job_file *file = file_made(job, JOB_PROMPT_NAME);
    assert_int_equal(file_put(file, PROMPT, 0), 0);
    assert_int_equal(job_file_unlink(file), 0);
    assert_int_equal(job_file_unlink(file), 0);
    assert_null(job_file_find(detail_of(job), JOB_PROMPT_NAME));
    assert_ptr_equal(jobs_get_by_file(w.jobs, file->id), job);
    assert_int_equal(file_put(file, "{}", 0), 0); /* not a prompt any more */
    assert_int_equal(job_file_stat(file, &st), 0);
    assert_int_equal(st.st_size, sizeof(PROMPT) - 1);
    int64_t id = file->id;
    job_file_close(file, true);
    assert_state(job, JOB_DRAFT);
    assert_null(jobs_get_by_file(w.jobs, id));
    world_run(&w, HOUR_MS);
    assert_int_equal(w.api.creates, 0);
    /* The same for a job that is removed meanwhile. */
    file = file_made(job, "note");
    assert_int_equal(job_file_unlink(file), 0);
    assert_int_equal(jobs_remove(job), 0);
    assert_int_equal(file_put(file, "still here", 0), 0);
    assert_int_equal(job_file_create(job, "x", 0644, &file), -ENOENT);
    job_file_close(job_file_get(job->detail, file->id), true);
    world_fini(&w);
}

static void test_file__removing_an_invalid_prompt_removes_what_is_wrong(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, "{"), 0);
    assert_int_equal(job_file_unlink(job_file_find(detail_of(job), JOB_PROMPT_NAME)), 0);
    assert_state(job, JOB_DRAFT);
    assert_false(job->has_problem);
    world_fini(&w);
}

static void test_file__names_and_modes_survive_a_start(void **state UNUSED)
{
    struct world w;
    struct job_file *file;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(job_file_create(job, "a", 0640, &file), 0);
    assert_int_equal(job_file_create(job, "a", 0640, &file), -EEXIST);
    assert_int_equal(job_file_create(job, "\x01", 0640, &file), -EINVAL);
    assert_int_equal(job_file_mode_set(file, 04711), 0);
    world_restart(&w);
    job = jobs_find(w.jobs, "cat");
    file = job_file_find(detail_of(job), "a");
    assert_int_equal(file->mode, 0711);
    assert_int_equal(w.jobs->details_count, 1);
    world_fini(&w);
}

/* What is not known to have no secret is taken to have one. */
static void test_file__a_prompt_with_a_signed_url_is_for_its_owner_alone(void **state UNUSED)
{
    static const char url[] = "{\"prompt\": \"x\", \"first_frame\": \"https:\\/\\/a.b\\/c?sig=1\"";
    struct world w;
    struct job_file *file;
    char path[4096];
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(job_file_create(job, JOB_PROMPT_NAME, 0644, &file), 0);
    assert_int_equal(job_file_mode_get(file), 0644);
    assert_int_equal(job_file_open(file, true, false), 0);
    /* While it is written, and however the pieces fall. */
    for (size_t i = 0; i < strlen(url); i++) {
        char byte[] = {url[i], '\0'};
        assert_int_equal(file_put(file, byte, (int64_t)i), 0);
        assert_int_equal(job_file_mode_get(file), strstr(url, "?") <= url + i ? 0600 : 0644);
    }
    job_file_close(file, true);
    assert_state(job, JOB_INVALID);
    assert_int_equal(job_file_mode_get(file), 0600);
    world_restart(&w);
    job = jobs_find(w.jobs, "cat");
    file = job_file_find(detail_of(job), JOB_PROMPT_NAME);
    assert_int_equal(job_file_mode_get(file), 0600);
    /* The user's bits are still there, and hold again when nothing is secret any more. */
    assert_int_equal(job_file_mode_set(file, 0664), 0);
    assert_int_equal(job_file_mode_get(file), 0600);
    assert_int_equal(job_file_truncate(file, 0), 0);
    assert_int_equal(job_file_mode_get(file), 0664);
    /* Any other file is its user's matter. */
    assert_int_equal(user_write(job, "note", "https://a.b/c?sig=1"), 0);
    assert_int_equal(job_file_mode_get(job_file_find(detail_of(job), "note")), 0644);
    assert_int_equal(
        job_file_rename(job_file_find(detail_of(job), "note"), job, "prompt.txt", true), -EEXIST);
    /* Too large to be looked through, or not to be had: asked again, once it is there. */
    assert_int_equal(job_file_truncate(file, JOB_FILE_SEARCHED_BYTES + 1), 0);
    assert_int_equal(job_file_mode_get(file), 0600);
    assert_int_equal(job_file_truncate(file, 0), 0);
    (void)snprintf(path, sizeof(path), "%s/files/%lld", w.directory, (long long)file->id);
    char aside[4100];
    (void)snprintf(aside, sizeof(aside), "%s.x", path);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(job_file_mode_get(file), 0600);
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(job_file_mode_get(file), 0664);
    world_fini(&w);
}

static void test_file__who_may_read_what_tells_of_the_prompt(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(job_readers_get(job), 044); /* there is nothing to tell */
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    assert_state(job, JOB_WAITING);
    struct job_file *file = job_file_find(detail_of(job), JOB_PROMPT_NAME);
    assert_int_equal(job_readers_get(job), 044);
    assert_int_equal(job_file_mode_set(file, 0600), 0);
    assert_int_equal(job_readers_get(job), 0);
    assert_int_equal(job_file_mode_get(file), 0400);
    world_restart(&w);
    job = jobs_find(w.jobs, "cat");
    assert_int_equal(job_readers_get(job), 0);
    file = job_file_find(detail_of(job), JOB_PROMPT_NAME);
    assert_int_equal(job_file_mode_set(file, 0640), 0);
    assert_int_equal(job_readers_get(job), 040);
    /* Removing an accepted prompt hides it only. */
    assert_int_equal(job_file_unlink(file), 0);
    assert_int_equal(job_readers_get(job), 040);
    /* A task that was adopted has no request. */
    job = job_make_named(&w, "dog");
    assert_int_equal(job_ctl_run(job, "adopt cgt-9", strlen("adopt cgt-9")), 0);
    assert_state(job, JOB_QUEUED);
    assert_int_equal(job_readers_get(job), 044);
    world_fini(&w);
}

static void test_file__a_failed_write_is_never_submitted(void **state UNUSED)
{
    /* The content before is complete and acceptable, which makes it dangerous. */
    for (int kind = 0; kind < 3; kind++) {
        struct world w;
        world_init(&w);
        struct job *job = job_submitted(&w, "cat");
        create_accept(call_of(&w, job), "cgt-1");
        poll_status(call_wait(&w, job), "failed");
        struct job_file *file = job_file_find(detail_of(job), JOB_PROMPT_NAME);
        assert_int_equal(job_file_open(file, true, false), 0);
        if (kind == 1) /* the job is a draft again already */
            assert_int_equal(file_put(file, "{", 0), 0);
        if (kind == 2)
            assert_int_equal(file_put(file, PROMPT, 0), 0);
        world_disk_full(&w, true);
        assert_true(file_put(file, " {\"prompt\": \"a dog\"}", kind == 2 ? sizeof(PROMPT) : 0) < 0);
        world_disk_full(&w, false);
        job_file_close(file, true);
        world_run(&w, HOUR_MS);
        assert_int_equal(w.api.creates, 1);
        assert_state(job, kind == 0 ? JOB_FAILED : JOB_DRAFT);
        if (kind > 0)
            assert_true(problem_has(job, "could not be submitted"));
        /* Written again, it goes. */
        assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
        assert_state(job, JOB_WAITING);
        world_fini(&w);
    }
}

static void test_file__one_whose_bytes_are_gone_is_gone(void **state UNUSED)
{
    struct world w;
    char path[160];
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(user_write(job, "other", "y"), 0);
    assert_int_equal(user_write(job, "note", "x"), 0);
    bytes_path(&w, job_file_find(detail_of(job), "note"), path);
    assert_int_equal(unlink(path), 0);
    world_restart(&w);
    job = jobs_find(w.jobs, "cat");
    assert_null(job_file_find(detail_of(job), "note"));
    assert_non_null(job_file_find(detail_of(job), "other"));
    assert_int_equal(user_write(job, "note", "z"), 0); /* its name is free */
    world_restart(&w);
    job = jobs_find(w.jobs, "cat");
    assert_non_null(job_file_find(detail_of(job), "note"));
    assert_int_equal(jobs_remove(job), 0);
    world_fini(&w);
}

/* Where the bytes of a file are, or are not, while somebody looks. */
enum place {
    PLACE_MOVED,       /* the data directory is elsewhere */
    PLACE_REPLACED,    /* and another one is where it was */
    PLACE_REMOVED,     /* it is removed */
    PLACE_FILES_MOVED, /* the same of the directory in it */
    PLACE_FILES_REPLACED,
    PLACE_FILES_REMOVED,
    PLACE_FILES_MADE_ANEW,
    PLACES
};

static void place_change(const struct world *w, enum place place)
{
    char files[96];
    char elsewhere[96];
    (void)snprintf(files, sizeof(files), "%s/files", w->directory);
    bool is_whole = place <= PLACE_REMOVED;
    const char *path = is_whole ? w->directory : files;
    (void)snprintf(elsewhere, sizeof(elsewhere), "%s-elsewhere", w->directory);
    if (place == PLACE_REMOVED || place >= PLACE_FILES_REMOVED)
        assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    else
        assert_int_equal(rename(path, elsewhere), 0);
    if (place == PLACE_REPLACED || place == PLACE_FILES_REPLACED || place == PLACE_FILES_MADE_ANEW)
        assert_int_equal(mkdir(path, 0700), 0);
}

static void place_restore(const struct world *w, enum place place)
{
    char files[96];
    char elsewhere[96];
    (void)snprintf(files, sizeof(files), "%s/files", w->directory);
    const char *path = place <= PLACE_REMOVED ? w->directory : files;
    (void)snprintf(elsewhere, sizeof(elsewhere), "%s-elsewhere", w->directory);
    (void)rmdir(path);
    if (place == PLACE_REMOVED || place >= PLACE_FILES_REMOVED)
        assert_int_equal(mkdir(path, 0700), 0); /* for the end of the test */
    else
        assert_int_equal(rename(elsewhere, path), 0);
}

/* S-DISK-5: … Your files, videos and covers stay, whatever is read meanwhile. */
static void test_file__out_of_sight_is_not_gone(void **state UNUSED)
{
    for (enum place place = PLACE_MOVED; place < PLACES; place++) {
        struct world w;
        struct stat st;
        struct buf bytes;
        world_init(&w);
        buf_init(&bytes, 100);
        bool is_lost = place == PLACE_REMOVED || place >= PLACE_FILES_REMOVED;
        struct job *job = job_make_named(&w, "cat");
        assert_int_equal(user_write(job, "note", "x"), 0);
        world_restart(&w); /* which has not looked at it yet */
        job = jobs_find(w.jobs, "cat");
        place_change(&w, place);
        struct job_file *file = job_file_find(detail_of(job), "note");
        assert_non_null(file);
        assert_int_equal(store_ask(&w, "SELECT count(*) FROM file"), 1);
        assert_int_equal(job_file_stat(file, &st), 0);
        assert_int_equal(st.st_size, is_lost ? 0 : 1);
        assert_int_equal(job_file_read(file, &bytes), is_lost ? -EIO : 0);
        assert_int_equal(job_file_open(file, false, false), is_lost ? -EIO : 0);
        if (!is_lost)
            job_file_close(file, false);
        /* Nothing that the next program would not find is taken on. */
        if (place <= PLACE_REMOVED)
            assert_true(user_write(job, JOB_PROMPT_NAME, PROMPT) < 0);
        world_run(&w, HOUR_MS);
        assert_int_equal(w.api.creates, 0);
        place_restore(&w, place);
        if (place != PLACE_REMOVED) {
            world_restart(&w);
            assert_non_null(job_file_find(detail_of(jobs_find(w.jobs, "cat")), "note"));
        }
        buf_fini(&bytes);
        world_fini(&w);
    }
}

/* A start without the directory makes another one, which says nothing about what was in the old
 * one. */
static void test_file__a_directory_made_anew_proves_nothing(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    assert_int_equal(user_write(job, "note", "x"), 0);
    assert_int_equal(user_write(job, "other", "y"), 0);
    place_change(&w, PLACE_FILES_MOVED);
    for (int i = 0; i < 2; i++) {
        world_restart(&w);
        job = jobs_find(w.jobs, "cat");
        assert_non_null(job_file_find(detail_of(job), "note"));
        assert_non_null(job_file_find(detail_of(job), "other"));
        assert_int_equal(job_file_open(job_file_find(detail_of(job), "other"), true, false), -EIO);
        assert_int_equal(user_write(job, "new", "z"), 0);
    }
    /* The user may remove them, or write them again. */
    assert_int_equal(job_file_unlink(job_file_find(detail_of(job), "note")), 0);
    assert_int_equal(user_write(job, "other", "again"), 0);
    world_restart(&w);
    job = jobs_find(w.jobs, "cat");
    assert_null(job_file_find(detail_of(job), "note"));
    struct stat st;
    assert_int_equal(job_file_stat(job_file_find(detail_of(job), "other"), &st), 0);
    assert_int_equal(st.st_size, 5);
    world_fini(&w);
    char elsewhere[96];
    (void)snprintf(elsewhere, sizeof(elsewhere), "%s-elsewhere", w.directory);
    directory_remove(elsewhere);
}

/* One of several writers has not written all yet; of the last one the layer above finds out whether it
 * has another descriptor. */
static void test_file__a_flush_says_that_the_text_ends_too_early(void **state UNUSED)
{
    struct world w;
    world_init(&w);
    struct job *job = job_make_named(&w, "cat");
    struct job_file *file = file_made(job, JOB_PROMPT_NAME);
    assert_int_equal(job_file_open(file, true, false), 0);
    assert_int_equal(job_file_flush(file), 0); /* nothing was written */
    assert_int_equal(file_put(file, "{\"prompt\": ", 0), 0);
    assert_int_equal(job_file_flush(file), 0);
    job_file_close(file, true);
    assert_int_equal(job_file_flush(file), -ERR_JSON_INCOMPLETE);
    assert_null(job_problem_get(job));
    assert_int_equal(file_put(file, "\"x\"}", 11), 0); /* it was not the last one */
    assert_int_equal(job_file_flush(file), 0);
    job_file_close(file, true);
    assert_state(job, JOB_WAITING);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file__a_flush_says_that_the_text_ends_too_early),
        cmocka_unit_test(test_file__what_a_closed_prompt_holds_decides_the_state),
        cmocka_unit_test(test_file__nothing_is_sent_before_the_last_writer_has_closed),
        cmocka_unit_test(test_file__opening_reading_and_syncing_never_submit),
        cmocka_unit_test(test_file__a_mistake_is_told_early_only_to_one_writer_in_sequence),
        cmocka_unit_test(test_file__an_accepted_prompt_is_frozen_until_the_job_has_ended),
        cmocka_unit_test(test_file__truncating_by_path_empties_the_draft_and_sends_nothing),
        cmocka_unit_test(test_file__sizes_have_their_bounds),
        cmocka_unit_test(
            test_file__a_rename_onto_prompt_commits_what_is_right_and_refuses_what_is_not),
        cmocka_unit_test(test_file__a_rename_replaces_or_does_not_as_it_is_told),
        cmocka_unit_test(test_file__a_prompt_that_moves_finds_its_files_in_the_new_job),
        cmocka_unit_test(test_file__files_move_between_jobs_with_their_handles),
        cmocka_unit_test(test_file__moving_the_prompt_away_leaves_a_draft),
        cmocka_unit_test(test_file__an_unlinked_file_lives_until_its_last_handle),
        cmocka_unit_test(test_file__removing_an_invalid_prompt_removes_what_is_wrong),
        cmocka_unit_test(test_file__names_and_modes_survive_a_start),
        cmocka_unit_test(test_file__a_prompt_with_a_signed_url_is_for_its_owner_alone),
        cmocka_unit_test(test_file__who_may_read_what_tells_of_the_prompt),
        cmocka_unit_test(test_file__a_failed_write_is_never_submitted),
        cmocka_unit_test(test_file__one_whose_bytes_are_gone_is_gone),
        cmocka_unit_test(test_file__out_of_sight_is_not_gone),
        cmocka_unit_test(test_file__a_directory_made_anew_proves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
