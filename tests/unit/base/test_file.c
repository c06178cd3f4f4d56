/* base/file: directories, whole files, and the exact reads and writes. */
#include "seedancefs/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_file__missing_directories_are_made_and_present_ones_kept(void **state UNUSED)
{
    char top[] = "/tmp/seedancefs-file-XXXXXX";
    char path[128];
    struct stat st;
    assert_non_null(mkdtemp(top));
    (void)snprintf(path, sizeof(path), "%s/a/b//c", top);
    assert_int_equal(file_make_directories(path, 0700), 0);
    assert_int_equal(file_make_directories(path, 0755), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(file_make_directories("/", 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/a/b/c/file", top);
    (void)close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(file_make_directories(path, 0700), -ENOTDIR);
    (void)snprintf(path, sizeof(path), "%s/a/b/c/file/d", top);
    assert_int_equal(file_make_directories(path, 0700), -ENOTDIR);
    static const char *const parts[] = {"a/b/c/file", "a/b/c", "a/b", "a"};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", top, parts[i]);
        assert_int_equal(remove(path), 0);
    }
    assert_int_equal(rmdir(top), 0);
}

static void test_file__whole_files_are_read_up_to_the_cap(void **state UNUSED)
{
    char path[] = "/tmp/seedancefs-file-XXXXXX";
    static char bytes[40000];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 31 >> 3);
    assert_int_equal(file_write_full(fd, bytes, sizeof(bytes), 0), 0);
    struct buf b;
    buf_init(&b, sizeof(bytes));
    assert_int_equal(file_read_all(path, &b), 0);
    assert_int_equal(b.len, sizeof(bytes));
    assert_memory_equal(b.data, bytes, sizeof(bytes));
    buf_fini(&b);
    buf_init(&b, sizeof(bytes) - 1);
    assert_int_equal(file_read_all(path, &b), -EFBIG);
    buf_fini(&b);
    buf_init(&b, 10);
    assert_int_equal(file_read_all("/nonexistent/file", &b), -ENOENT);
    assert_int_equal(file_read_all("/tmp", &b), -EISDIR);
    buf_fini(&b);
    (void)close(fd);
    assert_int_equal(unlink(path), 0);
}

static void test_file__exact_reads_end_only_with_the_file(void **state UNUSED)
{
    char path[] = "/tmp/seedancefs-file-XXXXXX";
    char out[16] = "";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(file_write_full(fd, "0123456789", 10, 5), 0);
    assert_int_equal(file_read_full(fd, out, 4, 6), 4);
    assert_memory_equal(out, "1234", 4);
    assert_int_equal(file_read_full(fd, out, 16, 10), 5);
    assert_int_equal(file_read_full(fd, out, 16, 15), 0);
    assert_int_equal(file_read_full(fd, out, 16, 1000), 0);
    assert_int_equal(file_read_full(fd, out, 5, 0), 5);
    assert_memory_equal(out, "\0\0\0\0\0", 5);
    assert_int_equal(file_read_full(-1, out, 1, 0), -EBADF);
    assert_int_equal(file_write_full(-1, out, 1, 0), -EBADF);
    assert_int_equal(file_write_full(-1, out, 0, 0), 0);
    (void)close(fd);
    fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        assert_int_equal(file_write_full(fd, out, 1, 0), -ENOSPC);
        (void)close(fd);
    }
    assert_int_equal(unlink(path), 0);
}

static void test_file__a_file_is_replaced_as_a_whole(void **state UNUSED)
{
    char top[] = "/tmp/seedancefs-file-XXXXXX";
    char path[128];
    char temporary[128 + 4];
    struct buf b;
    buf_init(&b, 100);
    assert_non_null(mkdtemp(top));
    (void)snprintf(path, sizeof(path), "%s/file", top);
    (void)snprintf(temporary, sizeof(temporary), "%s.new", path);
    assert_int_equal(file_remove(path), 0);
    assert_int_equal(file_replace(path, "one", 3, 0600), 0);
    assert_int_equal(file_prepare(path, "two", 3, 0600), 0);
    assert_int_equal(file_read_all(path, &b), 0);
    assert_string_equal(buf_text(&b), "one");
    assert_int_equal(file_replace(path, "three", 5, 0600), 0);
    buf_clear(&b);
    assert_int_equal(file_read_all(path, &b), 0);
    assert_string_equal(buf_text(&b), "three");
    assert_int_equal(access(temporary, F_OK), -1);
    assert_int_equal(file_remove(path), 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rmdir(top), 0);
    assert_int_equal(file_replace(path, "x", 1, 0600), -ENOENT);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file__missing_directories_are_made_and_present_ones_kept),
        cmocka_unit_test(test_file__whole_files_are_read_up_to_the_cap),
        cmocka_unit_test(test_file__exact_reads_end_only_with_the_file),
        cmocka_unit_test(test_file__a_file_is_replaced_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
