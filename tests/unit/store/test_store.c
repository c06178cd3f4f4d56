/* store: what survives what, who may open it, and that every column comes back where it went. */
#include "seedancefs/base/err.h"
#include "seedancefs/store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char directory[64];
    int directory_fd;
    char database[96];
    struct store *store;
};

static int remove_one(const char *path, const struct stat *st UNUSED, int kind UNUSED,
                      struct FTW *ftw UNUSED)
{
    return remove(path);
}

/* What a failed test has left; a file system in memory would keep it until the next boot. */
static char directories_left[16][64];

static void directories_clean(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(directories_left); i++) {
        if (directories_left[i][0])
            (void)nftw(directories_left[i], remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
}

static void setup(struct fixture *f)
{
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(f->directory, sizeof(f->directory), "%s/seedancefs-store-XXXXXX", parent);
    assert_non_null(mkdtemp(f->directory));
    f->directory_fd = open(f->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->directory_fd >= 0);
    for (size_t i = 0; i < ARRAY_COUNT(directories_left); i++) {
        if (!directories_left[i][0]) {
            memcpy(directories_left[i], f->directory, sizeof(f->directory));
            break;
        }
    }
    (void)snprintf(f->database, sizeof(f->database), "%s/jobs.sqlite", f->directory);
    assert_int_equal(store_open(f->directory_fd, f->directory, &f->store), 0);
}

static void teardown(struct fixture *f)
{
    f->store = store_close(f->store);
    (void)close(f->directory_fd);
    assert_int_equal(nftw(f->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    for (size_t i = 0; i < ARRAY_COUNT(directories_left); i++) {
        if (strcmp(directories_left[i], f->directory) == 0)
            directories_left[i][0] = '\0';
    }
}

static void reopen(struct fixture *f)
{
    f->store = store_close(f->store);
    assert_int_equal(store_open(f->directory_fd, f->directory, &f->store), 0);
}

static int job_save(struct store *store, int64_t id, const char *name, const char *problem)
{
    char state[] = "draft";
    char *name_copy = name ? strdup(name) : NULL;
    char *problem_copy = problem ? strdup(problem) : NULL;
    struct store_job row = {.id = id,
                            .name = name_copy,
                            .state = state,
                            .problem = {.text = problem_copy, .line = problem ? 7 : 0},
                            .created_ms = 11,
                            .updated_ms = 12};
    int r = store_job_save(store, &row);
    free(name_copy);
    free(problem_copy);
    return r;
}

static int job_add(struct store *store, enum store_durability durability, int64_t id,
                   const char *name)
{
    int r = store_begin(store, durability);
    return r < 0 ? r : store_end(store, job_save(store, id, name, NULL));
}

struct list {
    char names[512];
    int count;
    int end_with;
    struct store_job last;
};

static int list_add(void *context, struct store_job *row)
{
    struct list *list = context;
    strcat(list->names, row->name);
    strcat(list->names, " ");
    list->count++;
    list->last = *row;
    list->last.name = list->last.state = NULL;
    return list->end_with;
}

static void assert_jobs(struct fixture *f, const char *expected)
{
    struct list list = {.count = 0};
    assert_int_equal(store_job_each(f->store, list_add, &list), 0);
    assert_string_equal(list.names, expected);
}

static void test_store__a_directory_is_one_programs_alone(void **state UNUSED)
{
    struct fixture f;
    struct store *second = NULL;
    setup(&f);
    assert_int_equal(store_open(f.directory_fd, f.directory, &second), -ERR_STORE_LOCKED);
    assert_null(second);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(store_open(f.directory_fd, f.directory, &second) == -ERR_STORE_LOCKED ? 0 : 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    reopen(&f);
    teardown(&f);
    assert_int_equal(store_open(-1, "/nonexistent/seedancefs", &second), -EBADF);
    assert_null(store_close(NULL));
}

/* One that was killed may have left the lock to a process that has not closed it yet. */
static void test_store__a_lock_that_is_on_its_way_out_is_waited_for(void **state UNUSED)
{
    struct fixture f;
    setup(&f);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)usleep(300 * 1000);
        _exit(0);
    }
    reopen(&f); /* closes its own; the child has a copy of it */
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    teardown(&f);
}

static void test_store__notices_that_its_directory_is_another(void **state UNUSED)
{
    struct fixture f;
    char elsewhere[96];
    setup(&f);
    (void)snprintf(elsewhere, sizeof(elsewhere), "%s-moved", f.directory);
    assert_int_equal(store_place_check(f.store), 0);
    assert_int_equal(rename(f.directory, elsewhere), 0);
    assert_int_equal(store_place_check(f.store), -ERR_STORE_MOVED);
    /* Another one in its place is not the same. */
    struct store *second = NULL;
    assert_int_equal(mkdir(f.directory, 0700), 0);
    assert_int_equal(store_place_check(f.store), -ERR_STORE_MOVED);
    int second_fd = open(f.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(store_open(second_fd, f.directory, &second), 0);
    assert_int_equal(store_place_check(f.store), -ERR_STORE_MOVED);
    assert_int_equal(store_place_check(second), 0);
    second = store_close(second);
    /* Nor is one opened that is not where the path leads. */
    assert_int_equal(store_open(second_fd, elsewhere, &second), -ERR_STORE_MOVED);
    (void)close(second_fd);
    assert_int_equal(nftw(f.directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    assert_int_equal(rename(elsewhere, f.directory), 0);
    assert_int_equal(store_place_check(f.store), 0);
    assert_int_equal(unlink(f.database), 0);
    assert_int_equal(store_place_check(f.store), -ERR_STORE_MOVED);
    teardown(&f);
}

static void test_store__a_link_to_its_directory_is_followed_and_none_in_it(void **state UNUSED)
{
    static const char *const names[] = {"jobs.sqlite", "lock"};
    struct fixture f;
    char link[96];
    char elsewhere[96];
    setup(&f);
    (void)snprintf(link, sizeof(link), "%s-link", f.directory);
    (void)snprintf(elsewhere, sizeof(elsewhere), "%s-other", f.directory);
    assert_int_equal(symlink(f.directory, link), 0);
    f.store = store_close(f.store);
    assert_int_equal(store_open(f.directory_fd, link, &f.store), 0);
    assert_int_equal(store_place_check(f.store), 0);
    /* The next program would go elsewhere. */
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink("/tmp", link), 0);
    assert_int_equal(store_place_check(f.store), -ERR_STORE_MOVED);
    assert_int_equal(unlink(link), 0);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        f.store = store_close(f.store);
        assert_int_equal(renameat(f.directory_fd, names[i], AT_FDCWD, elsewhere), 0);
        assert_int_equal(symlinkat(elsewhere, f.directory_fd, names[i]), 0);
        assert_true(store_open(f.directory_fd, f.directory, &f.store) < 0);
        assert_null(f.store);
        assert_int_equal(renameat(AT_FDCWD, elsewhere, f.directory_fd, names[i]), 0);
        assert_int_equal(store_open(f.directory_fd, f.directory, &f.store), 0);
    }
    teardown(&f);
}

static void test_store__rows_are_there_after_a_reopening(void **state UNUSED)
{
    struct fixture f;
    struct store_problem problem = {0};
    struct list list = {.count = 0};
    setup(&f);
    assert_int_equal(job_add(f.store, STORE_LAZY, 3, "c"), 0);
    assert_int_equal(job_add(f.store, STORE_DURABLE, 1, "a"), 0);
    assert_int_equal(job_save(f.store, 2, "b", "what is wrong"), 0);
    reopen(&f);
    assert_jobs(&f, "a b c "); /* in the order of ids */
    assert_int_equal(store_job_problem_get(f.store, 2, &problem), 0);
    assert_string_equal(problem.text, "what is wrong");
    assert_null(problem.code);
    assert_int_equal(problem.line, 7);
    store_problem_fini(&problem);
    assert_int_equal(store_job_problem_get(f.store, 1, &problem), 0);
    assert_null(problem.text);
    assert_int_equal(store_job_problem_get(f.store, 9, &problem), -ENOENT);
    /* Saved again, the row is replaced; the day it was made stays. */
    char name[] = "b2";
    char word[] = "queued";
    struct store_job row = {
        .id = 2, .name = name, .state = word, .created_ms = 77, .updated_ms = 78, .attempt_id = 0};
    assert_int_equal(store_job_save(f.store, &row), 0);
    assert_int_equal(store_job_remove(f.store, 1, 99), 0);
    struct store_job removed;
    assert_int_equal(store_job_get(f.store, 1, &removed), 0);
    assert_null(removed.name);
    store_job_fini(&removed);
    assert_int_equal(store_job_get(f.store, 4711, &removed), -ENOENT);
    assert_int_equal(store_job_remove(f.store, 3, 99), 0);
    assert_int_equal(store_job_each(f.store, list_add, &list), 0);
    assert_string_equal(list.names, "b2 ");
    assert_int_equal(list.last.created_ms, 11);
    assert_int_equal(list.last.updated_ms, 78);
    assert_false(list.last.has_problem);
    /* The name of a removed job is free, that of a living one is not. */
    assert_int_equal(job_save(f.store, 4, "a", NULL), 0);
    assert_true(job_save(f.store, 5, "b2", NULL) < 0);
    teardown(&f);
}

static void test_store__a_reader_may_stop_the_list(void **state UNUSED)
{
    struct fixture f;
    struct list list = {.end_with = -EINTR};
    setup(&f);
    assert_int_equal(job_add(f.store, STORE_LAZY, 1, "a"), 0);
    assert_int_equal(job_add(f.store, STORE_LAZY, 2, "b"), 0);
    assert_int_equal(store_job_each(f.store, list_add, &list), -EINTR);
    assert_int_equal(list.count, 1);
    assert_jobs(&f, "a b ");
    teardown(&f);
}

static void test_store__a_rollback_leaves_nothing(void **state UNUSED)
{
    struct fixture f;
    int64_t number;
    setup(&f);
    assert_int_equal(store_begin(f.store, STORE_DURABLE), 0);
    assert_int_equal(job_save(f.store, 1, "a", NULL), 0);
    store_rollback(f.store);
    store_rollback(f.store); /* nothing to do */
    assert_jobs(&f, "");
    assert_int_equal(store_begin(f.store, STORE_LAZY), 0);
    assert_int_equal(job_save(f.store, 1, "a", NULL), 0);
    assert_int_equal(store_history_add(f.store, 1, 5, "x"), 0);
    assert_int_equal(store_end(f.store, -ENOSPC), -ENOSPC);
    reopen(&f);
    assert_jobs(&f, "");
    assert_int_equal(store_attempt_number_next(f.store, 1, &number), 0);
    assert_int_equal(number, 1);
    teardown(&f);
}

static void test_store__ids_never_come_back(void **state UNUSED)
{
    struct fixture f;
    int64_t last = 0;
    setup(&f);
    for (int round = 0; round < 12; round++) {
        int64_t id = 0;
        for (int i = 0; i < 500; i++) {
            assert_int_equal(store_id_take(f.store, &id), 0);
            assert_true(id > last);
            last = id;
        }
        if (round % 3 == 0) {
            reopen(&f);
        } else if (round % 3 == 1) {
            /* Taken in a transaction that is rolled back: nobody has used it. */
            assert_int_equal(store_begin(f.store, STORE_LAZY), 0);
            assert_int_equal(store_id_take(f.store, &id), 0);
            assert_true(id > last);
            store_rollback(f.store);
        } else {
            int fds[2];
            assert_int_equal(pipe(fds), 0);
            f.store = store_close(f.store);
            pid_t pid = fork();
            assert_true(pid >= 0);
            if (pid == 0) {
                int64_t taken = 0;
                bool is_fine = store_open(f.directory_fd, f.directory, &f.store) == 0;
                for (int i = 0; is_fine && i < 1500; i++)
                    is_fine = store_id_take(f.store, &taken) == 0;
                is_fine = is_fine && write(fds[1], &taken, sizeof(taken)) == sizeof(taken);
                (void)kill(getpid(), SIGKILL);
            }
            assert_int_equal(waitpid(pid, NULL, 0), pid);
            assert_int_equal(read(fds[0], &last, sizeof(last)), sizeof(last));
            (void)close(fds[0]);
            (void)close(fds[1]);
            assert_int_equal(store_open(f.directory_fd, f.directory, &f.store), 0);
        }
    }
    teardown(&f);
}

static void test_store__ids_of_a_transaction_that_was_rolled_back_do_no_harm(void **state UNUSED)
{
    struct fixture f;
    int64_t last = 0;
    int64_t id;
    setup(&f);
    /* Often enough to stand at the end of what is reserved. */
    for (int i = 0; i < 2500; i++) {
        assert_int_equal(store_begin(f.store, STORE_LAZY), 0);
        assert_int_equal(store_id_take(f.store, &id), 0);
        assert_true(id > last);
        store_rollback(f.store);
        if (i % 100 == 99) {
            assert_int_equal(store_id_take(f.store, &id), 0);
            assert_true(id > last);
            last = id;
        }
        if (i % 700 == 699)
            reopen(&f);
    }
    teardown(&f);
}

static void test_store__a_lazy_commit_survives_the_program(void **state UNUSED)
{
    struct fixture f;
    setup(&f);
    f.store = store_close(f.store);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int r = store_open(f.directory_fd, f.directory, &f.store);
        if (r == 0)
            r = job_add(f.store, STORE_LAZY, 1, "a");
        if (r == 0)
            r = store_begin(f.store, STORE_DURABLE);
        if (r == 0)
            r = job_save(f.store, 2, "b", NULL); /* never committed */
        _exit(r == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(store_open(f.directory_fd, f.directory, &f.store), 0);
    assert_jobs(&f, "a ");
    teardown(&f);
}

/* Sets the version and returns the one before. */
static int user_version_set(const char *path, int version)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    char sql[64];
    (void)snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", version);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int before = sqlite3_column_int(statement, 0);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return before;
}

static int take_add(void *context, const struct store_take *row)
{
    struct store_take *takes = context;
    assert_true(row->number <= 2);
    takes[row->number] = *row;
    return 0;
}

static void assert_uids_differ(struct store *store, int64_t first, int64_t second)
{
    char a[STORE_UID_SIZE];
    char b[STORE_UID_SIZE];
    assert_int_equal(store_attempt_uid_get(store, first, a), 0);
    assert_int_equal(store_attempt_uid_get(store, second, b), 0);
    assert_string_not_equal(a, b);
}

/* A job that had succeeded before there were takes has one. */
static void test_store__a_database_from_before_takes_gets_them(void **state UNUSED)
{
    static const char to_version_6[] =
        "DROP INDEX take_of_job; DROP INDEX job_removed; DROP VIEW attempt_money;"
        "ALTER TABLE attempt DROP COLUMN take; ALTER TABLE attempt DROP COLUMN take_hidden;"
        "ALTER TABLE attempt DROP COLUMN take_problem; ALTER TABLE attempt DROP COLUMN "
        "take_readers;"
        "DROP TABLE take_prompt; DROP TABLE input; DROP TABLE sent; DROP INDEX job_waiting; ALTER "
        "TABLE job DROP COLUMN picked_id;"
        "ALTER TABLE job DROP COLUMN problem_code; ALTER TABLE job DROP COLUMN problem_field;"
        "ALTER TABLE job DROP COLUMN problem_line; ALTER TABLE job DROP COLUMN problem_column;"
        "ALTER TABLE file DROP COLUMN is_note;"
        "ALTER TABLE attempt DROP COLUMN uid; ALTER TABLE attempt DROP COLUMN stored_ms;"
        "ALTER TABLE attempt DROP COLUMN stored_in; DROP TABLE share; DROP TABLE outbox;"
        "UPDATE job SET state = 'succeeded', attempt_id = 12 WHERE id = 1;"
        "PRAGMA user_version = 4;"; /* 5 makes the view again, and 6 what the next line removes */
    static const char without_hold[] = "DROP INDEX job_held; ALTER TABLE job DROP COLUMN hold;";
    struct fixture f;
    struct store_take takes[3] = {{0}};
    char text[] = "m";
    sqlite3 *db;
    setup(&f);
    assert_int_equal(job_add(f.store, STORE_DURABLE, 1, "a"), 0);
    for (int64_t i = 1; i <= 2; i++) {
        struct store_attempt row = {.id = 10 + i,
                                    .job_id = 1,
                                    .number = i,
                                    .model = text,
                                    .resolution = text,
                                    .video_bytes = 77,
                                    .cover_bytes = -1,
                                    .finished_ms = 5};
        assert_int_equal(store_begin(f.store, STORE_LAZY), 0);
        assert_int_equal(store_end(f.store, store_attempt_insert(f.store, &row, "b", 1, "d", 1)),
                         0);
    }
    f.store = store_close(f.store);
    assert_int_equal(sqlite3_open(f.database, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, to_version_6, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, without_hold, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(store_open(f.directory_fd, f.directory, &f.store), 0);
    assert_int_equal(store_take_each(f.store, take_add, takes), 0);
    assert_int_equal(takes[1].id, 12);
    assert_int_equal(takes[1].job_id, 1);
    assert_int_equal(takes[1].video_bytes, 77);
    assert_true(takes[1].is_picked);
    assert_int_equal(takes[2].id, 0); /* the attempt before has made none */
    assert_null(takes[1].stored_in);
    assert_uids_differ(f.store, 11, 12);
    teardown(&f);
}

static void test_store__a_newer_database_is_left_alone(void **state UNUSED)
{
    struct fixture f;
    setup(&f);
    assert_int_equal(job_add(f.store, STORE_DURABLE, 1, "a"), 0);
    f.store = store_close(f.store);
    int ours = user_version_set(f.database, 9999);
    assert_int_equal(store_open(f.directory_fd, f.directory, &f.store), -ERR_STORE_VERSION);
    assert_null(f.store);
    assert_int_equal(user_version_set(f.database, ours), 9999);
    assert_int_equal(store_open(f.directory_fd, f.directory, &f.store), 0);
    assert_jobs(&f, "a ");
    teardown(&f);
}

static int open_and_list(struct fixture *f)
{
    struct list list = {.count = 0};
    int r = store_open(f->directory_fd, f->directory, &f->store);
    if (r == 0)
        r = store_job_each(f->store, list_add, &list);
    f->store = store_close(f->store);
    return r;
}

static void test_store__a_damaged_database_is_told_and_not_used(void **state UNUSED)
{
    static const struct {
        off_t offset;
        size_t len;
        off_t truncate_to; /* -1: not */
    } rows[] = {{0, 100, -1}, {0, 16, -1}, {100, 4000, -1}, {0, 0, 5000}, {4096, 100000, -1}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct fixture f;
        char noise[4096];
        setup(&f);
        assert_int_equal(job_add(f.store, STORE_DURABLE, 1, "a"), 0);
        f.store = store_close(f.store);
        memset(noise, 0x5a, sizeof(noise));
        int fd = open(f.database, O_RDWR | O_CLOEXEC);
        struct stat st;
        assert_int_equal(fstat(fd, &st), 0);
        for (off_t at = rows[i].offset; at < rows[i].offset + (off_t)rows[i].len && at < st.st_size;
             at += (off_t)sizeof(noise)) {
            size_t len = rows[i].len < sizeof(noise) ? rows[i].len : sizeof(noise);
            assert_int_equal(pwrite(fd, noise, len, at), len);
        }
        if (rows[i].truncate_to >= 0)
            assert_int_equal(ftruncate(fd, rows[i].truncate_to), 0);
        (void)close(fd);
        assert_int_equal(open_and_list(&f), -ERR_STORE_CORRUPT);
        teardown(&f);
    }
}

#define TEXT_FIELDS(X)                                                                             \
    X(model)                                                                                       \
    X(resolution)                                                                                  \
    X(task_id)                                                                                     \
    X(request_id)                                                                                  \
    X(error_code) X(error_message) X(video_url) X(cover_url) X(video_etag) X(cover_etag)
#define INTEGER_FIELDS(X)                                                                          \
    X(id)                                                                                          \
    X(job_id)                                                                                      \
    X(number)                                                                                      \
    X(duration_ms)                                                                                 \
    X(input_video_ms)                                                                              \
    X(estimated_usd_micros)                                                                        \
    X(actual_usd_micros)                                                                           \
    X(intent_ms)                                                                                   \
    X(submitted_ms)                                                                                \
    X(finished_ms) X(http_status) X(url_expires_ms) X(output_ms) X(video_bytes) X(cover_bytes)

/* A value of its own for each column, so that none can stand in for another. */
static void attempt_fill(struct store_attempt *row, int64_t base)
{
    int64_t value = base;
#define X(field) row->field = value += 1000003;
    INTEGER_FIELDS(X)
#undef X
#define X(field) assert_true(asprintf(&row->field, #field "-%lld", (long long)base) > 0);
    TEXT_FIELDS(X)
#undef X
    row->id = 10;
    row->job_id = 1;
}

static void assert_attempt(struct store *store, const struct store_attempt *expected)
{
    struct store_attempt row;
    assert_int_equal(store_attempt_get(store, expected->id, &row), 0);
#define X(field) assert_true(row.field == expected->field);
    INTEGER_FIELDS(X)
#undef X
#define X(field)                                                                                   \
    if (expected->field)                                                                           \
        assert_string_equal(row.field, expected->field);                                           \
    else                                                                                           \
        assert_null(row.field);
    TEXT_FIELDS(X)
#undef X
    store_attempt_fini(&row);
}

static void test_store__every_column_of_an_attempt_comes_back_where_it_went(void **state UNUSED)
{
    struct fixture f;
    struct store_attempt first = {0};
    struct store_attempt second = {0};
    struct store_attempt none;
    int64_t value;
    setup(&f);
    assert_int_equal(job_add(f.store, STORE_LAZY, 1, "a"), 0);
    attempt_fill(&first, 20000000);
    attempt_fill(&second, 2000000000);
    assert_int_equal(store_attempt_insert(f.store, &first, "B", 1, "D", 1), 0);
    assert_attempt(f.store, &first);
    assert_int_equal(store_attempt_update(f.store, &second), 0);
    assert_int_equal(store_attempt_move(f.store, &second), 0);
    reopen(&f);
    assert_attempt(f.store, &second);
    /* Absent texts stay absent. */
    struct store_attempt bare = {
        .id = 10, .job_id = 1, .number = 1, .model = second.model, .resolution = second.resolution};
    assert_int_equal(store_attempt_update(f.store, &bare), 0);
    assert_int_equal(store_attempt_move(f.store, &bare), 0);
    assert_attempt(f.store, &bare);
    assert_int_equal(store_attempt_get(f.store, 11, &none), -ENOENT);
    assert_int_equal(store_attempt_job_get(f.store, 10, &value), 0);
    assert_int_equal(value, 1);
    assert_int_equal(store_attempt_job_get(f.store, 11, &value), -ENOENT);
    assert_int_equal(store_attempt_number_next(f.store, 1, &value), 0);
    assert_int_equal(value, 2);
    assert_int_equal(store_attempt_number_next(f.store, 2, &value), 0);
    assert_int_equal(value, 1);
    store_attempt_fini(&first);
    store_attempt_fini(&second);
    store_attempt_fini(&first);
    teardown(&f);
}

/* It names what is kept elsewhere, so that it never changes. */
static void test_store__the_uid_of_an_attempt_stays(void **state UNUSED)
{
    struct fixture f;
    struct store_attempt row = {0};
    char before[STORE_UID_SIZE];
    char after[STORE_UID_SIZE];
    setup(&f);
    assert_int_equal(job_add(f.store, STORE_LAZY, 1, "a"), 0);
    attempt_fill(&row, 20000000);
    assert_int_equal(store_attempt_insert(f.store, &row, "B", 1, "D", 1), 0);
    assert_int_equal(store_attempt_uid_get(f.store, row.id, before), 0);
    assert_int_equal(store_attempt_update(f.store, &row), 0);
    reopen(&f);
    assert_int_equal(store_attempt_uid_get(f.store, row.id, after), 0);
    assert_string_equal(before, after);
    assert_int_equal(store_attempt_uid_get(f.store, row.id + 1, after), -ENOENT);
    int64_t first = row.id++;
    row.number++;
    row.take++;
    assert_int_equal(store_attempt_copy(f.store, &row, first), 0);
    assert_uids_differ(f.store, first, row.id);
    store_attempt_fini(&row);
    teardown(&f);
}

static void test_store__a_number_that_cannot_be_is_damage(void **state UNUSED)
{
    struct fixture f;
    struct store_attempt row = {0};
    struct store_attempt none;
    int64_t usd_micros;
    setup(&f);
    assert_int_equal(job_add(f.store, STORE_LAZY, 1, "a"), 0);
    attempt_fill(&row, 20000000);
    assert_int_equal(store_attempt_insert(f.store, &row, "B", 1, "D", 1), 0);
    const int64_t number = row.number; /* which an update does not change, nor the job */
    for (int i = 0; i < 2; i++) {
        int64_t value;
#define X(field)                                                                                   \
    value = row.field;                                                                             \
    row.field = i ? INT64_MAX : INT64_MIN;                                                         \
    if (row.id == 10 && row.job_id == 1 && row.number == number) {                                 \
        assert_int_equal(store_attempt_update(f.store, &row), 0);                                  \
        assert_int_equal(store_attempt_get(f.store, 10, &none), -ERR_STORE_CORRUPT);               \
    }                                                                                              \
    row.field = value;
        INTEGER_FIELDS(X)
#undef X
    }
    /* What is below zero would add to the budget. */
    row.actual_usd_micros = -1;
    assert_int_equal(store_attempt_update(f.store, &row), 0);
    assert_int_equal(store_spent_get(f.store, 0, &usd_micros), 0);
    row.estimated_usd_micros = -1;
    assert_int_equal(store_attempt_update(f.store, &row), 0);
    assert_int_equal(store_spent_get(f.store, 0, &usd_micros), -ERR_STORE_CORRUPT);
    store_attempt_fini(&row);
    teardown(&f);
}

static void assert_blob(struct store *store, enum store_blob which, const char *expected,
                        size_t expected_len)
{
    char *blob = (char *)1;
    size_t len = 99;
    assert_int_equal(store_attempt_blob_get(store, 10, which, &blob, &len), 0);
    assert_int_equal(len, expected_len);
    if (expected) {
        assert_memory_equal(blob, expected, len);
        assert_int_equal(blob[len], 0);
    } else {
        assert_null(blob);
    }
    free(blob);
}

static void test_store__blobs_come_back_byte_for_byte(void **state UNUSED)
{
    enum { BIG = 5 << 20 };
    struct fixture f;
    struct store_attempt row = {0};
    setup(&f);
    assert_int_equal(job_add(f.store, STORE_LAZY, 1, "a"), 0);
    attempt_fill(&row, 1);
    assert_int_equal(store_attempt_insert(f.store, &row, "body\0x", 6, "display", 7), 0);
    assert_blob(f.store, STORE_BODY, "body\0x", 6);
    assert_blob(f.store, STORE_DISPLAY, "display", 7);
    assert_blob(f.store, STORE_RESPONSE, NULL, 0);
    assert_int_equal(store_attempt_response_set(f.store, 10, "\xff\0{", 3), 0);
    assert_blob(f.store, STORE_RESPONSE, "\xff\0{", 3);
    assert_int_equal(store_attempt_response_set(f.store, 10, "", 0), 0);
    assert_blob(f.store, STORE_RESPONSE, NULL, 0);
    char *big = malloc(BIG);
    assert_non_null(big);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 2654435761u >> 24);
    assert_int_equal(store_attempt_response_set(f.store, 10, big, BIG), 0);
    reopen(&f);
    assert_blob(f.store, STORE_RESPONSE, big, BIG);
    assert_blob(f.store, STORE_BODY, "body\0x", 6);
    free(big);
    row.id = 11;
    char *blob;
    size_t len;
    assert_int_equal(store_attempt_blob_get(f.store, 11, STORE_BODY, &blob, &len), 0);
    assert_null(blob);
    store_attempt_fini(&row);
    teardown(&f);
}

static void history_join(void *context, int64_t time_ms, const char *text)
{
    char *out = context;
    (void)snprintf(out + strlen(out), 32, "%lld:%s ", (long long)time_ms, text);
}

static void test_store__history_is_told_in_the_order_of_writing(void **state UNUSED)
{
    struct fixture f;
    char text[256] = "";
    setup(&f);
    assert_int_equal(job_add(f.store, STORE_LAZY, 1, "a"), 0);
    assert_int_equal(job_add(f.store, STORE_LAZY, 2, "b"), 0);
    assert_int_equal(store_history_add(f.store, 1, 50, "x"), 0);
    assert_int_equal(store_history_add(f.store, 2, 60, "other"), 0);
    assert_int_equal(store_history_add(f.store, 1, 40, "y"), 0); /* the clock went back */
    assert_int_equal(store_history_add(f.store, 1, 40, "z"), 0);
    reopen(&f);
    assert_int_equal(store_history_each(f.store, 1, history_join, text), 0);
    assert_string_equal(text, "50:x 40:y 40:z ");
    assert_true(store_history_add(f.store, 99, 1, "of nobody") < 0);
    teardown(&f);
}

static int file_join(void *context, struct store_file *row)
{
    char *out = context;
    (void)snprintf(out + strlen(out), 64, "%lld/%lld:%s:%llo ", (long long)row->job_id,
                   (long long)row->id, row->name, (unsigned long long)row->mode);
    return 0;
}

static int file_save(struct store *store, int64_t id, int64_t job_id, const char *name, int mode)
{
    char copy[16];
    (void)snprintf(copy, sizeof(copy), "%s", name);
    struct store_file row = {.id = id, .job_id = job_id, .name = copy, .mode = mode};
    return store_file_save(store, &row);
}

static void test_store__files_are_rows_of_their_job(void **state UNUSED)
{
    struct fixture f;
    char text[256] = "";
    int64_t job_id;
    setup(&f);
    assert_int_equal(job_add(f.store, STORE_LAZY, 1, "a"), 0);
    assert_int_equal(job_add(f.store, STORE_LAZY, 2, "b"), 0);
    assert_int_equal(file_save(f.store, 7, 1, "x", 0644), 0);
    assert_int_equal(file_save(f.store, 5, 1, "y", 0600), 0);
    assert_true(file_save(f.store, 8, 1, "x", 0600) < 0); /* one of each name */
    assert_int_equal(file_save(f.store, 8, 2, "x", 0600), 0);
    assert_int_equal(file_save(f.store, 7, 1, "z", 0400), 0);
    reopen(&f);
    assert_int_equal(store_file_each(f.store, 1, file_join, text), 0);
    assert_string_equal(text, "1/5:y:600 1/7:z:400 ");
    assert_int_equal(store_file_job_get(f.store, 8, &job_id), 0);
    assert_int_equal(job_id, 2);
    assert_int_equal(store_file_remove(f.store, 8), 0);
    assert_int_equal(store_file_job_get(f.store, 8, &job_id), -ENOENT);
    teardown(&f);
}

static void limit_set(bool is_full)
{
    struct rlimit limit;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = is_full ? 0 : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_store__a_disk_that_refuses_leaves_nothing_half_written(void **state UNUSED)
{
    struct fixture f;
    struct store_attempt row = {0};
    int64_t id;
    setup(&f);
    assert_int_equal(job_add(f.store, STORE_DURABLE, 1, "a"), 0);
    attempt_fill(&row, 1);
    assert_int_equal(store_id_take(f.store, &id), 0);
    for (int durable = 0; durable < 2; durable++) {
        limit_set(true);
        int r = store_begin(f.store, durable ? STORE_DURABLE : STORE_LAZY);
        if (r == 0)
            r = store_attempt_insert(f.store, &row, "B", 1, "D", 1);
        if (r == 0)
            r = job_save(f.store, 1, "renamed", NULL);
        r = store_end(f.store, r);
        assert_true(r == -EIO || r == -ENOSPC || r == -EFBIG);
        assert_true(store_sync(f.store) < 0);
        limit_set(false);
        assert_jobs(&f, "a ");
        struct store_attempt none;
        assert_int_equal(store_attempt_get(f.store, 10, &none), -ENOENT);
        reopen(&f);
        assert_jobs(&f, "a ");
        assert_int_equal(store_attempt_get(f.store, 10, &none), -ENOENT);
        assert_int_equal(store_sync(f.store), 0);
    }
    assert_int_equal(store_attempt_insert(f.store, &row, "B", 1, "D", 1), 0);
    store_attempt_fini(&row);
    teardown(&f);
}

/* Killed at any moment of its first start, the program starts again. */
static void test_store__a_first_start_may_be_killed(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++) {
        char path[64] = "/tmp/seedancefs-store-XXXXXX";
        struct store *store;
        assert_non_null(mkdtemp(path));
        int directory_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        pid_t child = fork();
        if (child == 0) {
            if (store_open(directory_fd, path, &store) == 0)
                (void)pause();
            _exit(1);
        }
        assert_true(child > 0);
        (void)usleep((useconds_t)(i * 100));
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        int r = store_open(directory_fd, path, &store);
        if (r == 0)
            store_close(store);
        (void)close(directory_fd);
        assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
        assert_int_equal(r, 0);
    }
}

/* The database gets another inode, as by copying it. */
static void database_copy(const struct fixture *f)
{
    char command[512];
    (void)snprintf(command, sizeof(command), "cp '%s' '%s.copy' && mv '%s.copy' '%s'", f->database,
                   f->database, f->database, f->database);
    assert_int_equal(system(command), 0);
}

static bool copy_is_found(struct fixture *f)
{
    bool is_copy = false;
    f->store = store_close(f->store);
    assert_int_equal(store_open(f->directory_fd, f->directory, &f->store), 0);
    assert_int_equal(store_witness_check(f->store, 1000, &is_copy), 0);
    return is_copy;
}

/* A program that ends before it has held what waits must find the copy again. */
static void test_store__a_copy_is_found_until_it_was_heeded(void **state UNUSED)
{
    struct fixture f;
    int64_t restored_ms = 0;
    setup(&f);
    assert_false(copy_is_found(&f));
    assert_false(copy_is_found(&f));
    f.store = store_close(f.store);
    database_copy(&f);
    assert_int_equal(store_open(f.directory_fd, f.directory, &f.store), 0);
    assert_true(copy_is_found(&f));
    assert_true(copy_is_found(&f));
    assert_int_equal(store_witness_heeded(f.store), 0);
    assert_false(copy_is_found(&f));
    assert_int_equal(store_number_get(f.store, "restored_ms", &restored_ms), 0);
    assert_int_equal(restored_ms, 1000);
    /* What only looks like a witness stays, and says nothing. */
    int fd = openat(f.directory_fd, "witness.notes", O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_false(copy_is_found(&f));
    assert_int_equal(faccessat(f.directory_fd, "witness.notes", F_OK, 0), 0);
    assert_int_equal(unlinkat(f.directory_fd, "witness.notes", 0), 0);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store__a_directory_is_one_programs_alone),
        cmocka_unit_test(test_store__a_lock_that_is_on_its_way_out_is_waited_for),
        cmocka_unit_test(test_store__notices_that_its_directory_is_another),
        cmocka_unit_test(test_store__a_link_to_its_directory_is_followed_and_none_in_it),
        cmocka_unit_test(test_store__rows_are_there_after_a_reopening),
        cmocka_unit_test(test_store__a_reader_may_stop_the_list),
        cmocka_unit_test(test_store__a_rollback_leaves_nothing),
        cmocka_unit_test(test_store__ids_never_come_back),
        cmocka_unit_test(test_store__ids_of_a_transaction_that_was_rolled_back_do_no_harm),
        cmocka_unit_test(test_store__a_lazy_commit_survives_the_program),
        cmocka_unit_test(test_store__a_database_from_before_takes_gets_them),
        cmocka_unit_test(test_store__a_newer_database_is_left_alone),
        cmocka_unit_test(test_store__a_damaged_database_is_told_and_not_used),
        cmocka_unit_test(test_store__every_column_of_an_attempt_comes_back_where_it_went),
        cmocka_unit_test(test_store__the_uid_of_an_attempt_stays),
        cmocka_unit_test(test_store__a_number_that_cannot_be_is_damage),
        cmocka_unit_test(test_store__blobs_come_back_byte_for_byte),
        cmocka_unit_test(test_store__history_is_told_in_the_order_of_writing),
        cmocka_unit_test(test_store__files_are_rows_of_their_job),
        cmocka_unit_test(test_store__a_disk_that_refuses_leaves_nothing_half_written),
        cmocka_unit_test(test_store__a_first_start_may_be_killed),
        cmocka_unit_test(test_store__a_copy_is_found_until_it_was_heeded),
    };
    (void)atexit(directories_clean);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
