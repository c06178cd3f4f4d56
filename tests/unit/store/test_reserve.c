/*
 * reserve: what may be removed on a full disk. The disk is one that libc's calls are told of:
 * whatever makes a file longer needs room, and what is cut off gives it back.
 */
#include "seedancefs/base/err.h"
#include "store/store_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int64_t disk_room; /* bytes that are free; negative: the disk is not looked at */
static int disk_errno;    /* when they are used up */

static int64_t in_blocks(int64_t bytes)
{
    return (bytes + 4095) / 4096 * 4096;
}

/* 0 when a file may grow to `end`. */
static int disk_grow(int fd, int64_t end)
{
    struct stat st;
    if (disk_room < 0 || fstat(fd, &st) < 0 || end <= st.st_size)
        return 0;
    int64_t needed = in_blocks(end) - in_blocks(st.st_size);
    if (needed > disk_room)
        return disk_errno;
    disk_room -= needed;
    return 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
    int error = disk_grow(fd, offset + (int64_t)len);
    if (!error)
        return syscall(SYS_pwrite64, fd, bytes, len, offset);
    errno = error;
    return -1;
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
    int r = disk_grow(fd, offset + len);
    return r == 0 && syscall(SYS_fallocate, fd, 0, offset, len) < 0 ? errno : r;
}

static int truncate_counted(int fd, off_t size)
{
    struct stat st;
    if (disk_room >= 0 && fstat(fd, &st) == 0 && size < st.st_size)
        disk_room += in_blocks(st.st_size) - in_blocks(size);
    return (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate(int fd, off_t size)
{
    return truncate_counted(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    return truncate_counted(fd, size);
}

struct fixture {
    char directory[64];
    int directory_fd;
    struct store *store;
    int64_t file_id; /* of the file that is removed next */
    enum store_durability durability;
    unsigned calls;
};

static int remove_one(const char *path, const struct stat *st UNUSED, int kind UNUSED,
                      struct FTW *ftw UNUSED)
{
    return remove(path);
}

static int begin(void **state)
{
    static struct fixture f;
    disk_room = -1;
    disk_errno = ENOSPC;
    f = (struct fixture){.directory = "/tmp/seedancefs-reserve-XXXXXX"};
    *state = &f;
    f.directory_fd =
        mkdtemp(f.directory) ? open(f.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    return store_open(f.directory_fd, f.directory, &f.store);
}

static int end(void **state)
{
    struct fixture *f = *state;
    disk_room = -1;
    store_close(f->store);
    (void)close(f->directory_fd);
    return nftw(f->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void files_make(struct fixture *f, int count)
{
    char name[64];
    assert_int_equal(store_begin(f->store, STORE_LAZY), 0);
    struct store_job job = {.id = 1, .name = name, .state = name};
    (void)snprintf(name, sizeof(name), "draft");
    assert_int_equal(store_job_save(f->store, &job), 0);
    for (int i = 1; i <= count; i++) {
        struct store_file file = {.id = i, .job_id = 1, .name = name, .mode = 0644};
        (void)snprintf(name, sizeof(name), "a file with quite a long name, the number is %d", i);
        assert_int_equal(store_file_save(f->store, &file), 0);
    }
    assert_int_equal(store_commit(f->store), 0);
}

static int file_remove_one(void *context)
{
    struct fixture *f = context;
    f->calls++;
    int r = store_begin(f->store, f->durability);
    if (r == 0)
        r = store_end(f->store, store_file_remove(f->store, f->file_id));
    return r;
}

static int history_add(struct fixture *f)
{
    int r = store_begin(f->store, STORE_LAZY);
    return r < 0 ? r : store_end(f->store, store_history_add(f->store, 1, 1, "it is full"));
}

static int64_t reserve_size(const struct fixture *f)
{
    char path[128];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/reserve", f->directory);
    return stat(path, &st) < 0 ? -1 : st.st_size;
}

static bool has_file(struct fixture *f, int64_t id)
{
    int64_t job_id;
    return store_file_job_get(f->store, id, &job_id) == 0;
}

static void test_reserve__a_removal_needs_no_room_for_as_long_as_anything_is_left(void **state)
{
    static const int errors[] = {ENOSPC, EDQUOT};
    struct fixture *f = *state;
    files_make(f, 1200);
    assert_int_equal(reserve_size(f), 1024 * 1024);
    for (f->file_id = 1; f->file_id <= 1200; f->file_id++) {
        disk_room = 0; /* whoever fills it takes at once what becomes free */
        disk_errno = errors[f->file_id % 2];
        f->durability = f->file_id % 3 ? STORE_LAZY : STORE_DURABLE;
        assert_int_equal(store_remove(f->store, file_remove_one, f), 0);
        assert_false(has_file(f, f->file_id));
    }
    assert_true(reserve_size(f) > 900 * 1024);
    /* It is for nothing else. */
    disk_room = 0;
    int r = 0;
    for (int i = 0; i < 3000 && r == 0; i++) /* until the log has used what it has */
        r = history_add(f);
    assert_int_equal(r, -ENOSPC);
    assert_true(reserve_size(f) > 900 * 1024);
}

static void test_reserve__it_is_made_again_when_there_is_room(void **state)
{
    struct fixture *f = *state;
    files_make(f, 3);
    assert_int_equal(ftruncate(f->store->reserve_fd, 0), 0);
    f->store->reserve_bytes = 0;
    disk_room = 0;
    while (history_add(f) == -ENOSPC)
        disk_room += 4096;
    assert_true(reserve_size(f) <= 8192); /* what the history has left */
    disk_room = 4 << 20;
    assert_int_equal(history_add(f), 0);
    assert_int_equal(reserve_size(f), 1024 * 1024);
}

static void test_reserve__a_removal_that_fails_for_another_reason_is_not_repeated(void **state)
{
    struct fixture *f = *state;
    files_make(f, 3);
    disk_room = 0;
    disk_errno = EIO;
    f->file_id = 1;
    assert_int_equal(store_remove(f->store, file_remove_one, f), -EIO);
    assert_int_equal(f->calls, 1);
    assert_int_equal(reserve_size(f), 1024 * 1024);
    assert_true(has_file(f, 1));
}

static void test_reserve__without_one_everything_goes_on(void **state)
{
    char path[128];
    struct fixture *f = *state;
    files_make(f, 3);
    store_close(f->store);
    (void)snprintf(path, sizeof(path), "%s/reserve", f->directory);
    assert_int_equal(unlink(path), 0);
    disk_room = 64 * 1024; /* enough to start, and too little for it */
    assert_int_equal(store_open(f->directory_fd, f->directory, &f->store), 0);
    assert_true(reserve_size(f) > 16 * 1024);
    assert_true(reserve_size(f) < 64 * 1024);
    f->file_id = 1;
    assert_int_equal(store_remove(f->store, file_remove_one, f), 0);
    assert_false(has_file(f, 1));
    store_close(f->store);
    disk_room = -1;
    /* Something that cannot be opened for it. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(store_open(f->directory_fd, f->directory, &f->store), 0);
    f->file_id = 2;
    assert_int_equal(store_remove(f->store, file_remove_one, f), 0);
    assert_true(has_file(f, 3));
}

/* At each moment of a removal that needed it: what a program that is killed there leaves. */
static void test_reserve__a_crash_leaves_a_short_one_which_is_filled(void **state)
{
    struct fixture *f = *state;
    files_make(f, 3);
    assert_int_equal(ftruncate(f->store->reserve_fd, 12345), 0);
    store_close(f->store);
    assert_int_equal(store_open(f->directory_fd, f->directory, &f->store), 0);
    assert_int_equal(reserve_size(f), 1024 * 1024);
    assert_true(has_file(f, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_reserve__a_removal_needs_no_room_for_as_long_as_anything_is_left, begin, end),
        cmocka_unit_test_setup_teardown(test_reserve__it_is_made_again_when_there_is_room, begin,
                                        end),
        cmocka_unit_test_setup_teardown(
            test_reserve__a_removal_that_fails_for_another_reason_is_not_repeated, begin, end),
        cmocka_unit_test_setup_teardown(test_reserve__without_one_everything_goes_on, begin, end),
        cmocka_unit_test_setup_teardown(test_reserve__a_crash_leaves_a_short_one_which_is_filled,
                                        begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
