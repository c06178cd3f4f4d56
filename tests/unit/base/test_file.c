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
    struct buf b;
    buf_init(&b, 100);
    assert_non_null(mkdtemp(top));
    int fd = file_open_directory(AT_FDCWD, top);
    assert_true(fd >= 0);
    assert_int_equal(file_remove(fd, "file"), 0);
    assert_int_equal(file_replace(fd, "file", "one", 3, 0600), 0);
    assert_int_equal(file_prepare(fd, "file", "two", 3, 0600), 0);
    assert_int_equal(file_read_all_at(fd, "file", &b), 0);
    assert_string_equal(buf_text(&b), "one");
    assert_int_equal(file_replace(fd, "file", "three", 5, 0600), 0);
    buf_clear(&b);
    assert_int_equal(file_read_all_at(fd, "file", &b), 0);
    assert_string_equal(buf_text(&b), "three");
    assert_int_equal(faccessat(fd, "file.new", F_OK, 0), -1);
    assert_int_equal(file_remove(fd, "file"), 0);
    assert_int_equal(faccessat(fd, "file", F_OK, 0), -1);
    assert_int_equal(rmdir(top), 0);
    assert_int_equal(file_replace(fd, "file", "x", 1, 0600), -ENOENT);
    (void)close(fd);
    buf_fini(&b);
}

/* What somebody has put there instead of the file. */
static void test_file__links_in_a_directory_are_not_followed(void **state UNUSED)
{
    char top[] = "/tmp/seedancefs-file-XXXXXX";
    struct stat st;
    struct buf b;
    buf_init(&b, 100);
    assert_non_null(mkdtemp(top));
    int fd = file_open_directory(AT_FDCWD, top);
    int inner_fd = file_open_directory(fd, "inner");
    assert_true(inner_fd >= 0);
    assert_int_equal(file_replace(fd, "victim", "precious", 8, 0600), 0);
    assert_int_equal(symlinkat("../victim", inner_fd, "file"), 0);
    assert_int_equal(symlinkat("../victim", inner_fd, "file.new"), 0);
    assert_int_equal(symlinkat("inner", fd, "link"), 0);
    assert_int_equal(file_read_all_at(inner_fd, "file", &b), -ELOOP);
    assert_int_equal(file_replace(inner_fd, "file", "x", 1, 0600), -ELOOP);
    assert_int_equal(file_open_directory(fd, "link"), -ENOTDIR);
    assert_int_equal(file_open_directory(fd, "victim"), -ENOTDIR);
    /* A link that is replaced or removed is one, and not what it points to. */
    assert_int_equal(unlinkat(inner_fd, "file.new", 0), 0);
    assert_int_equal(file_replace(inner_fd, "file", "new", 3, 0600), 0);
    assert_int_equal(fstatat(inner_fd, "file", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(file_remove(inner_fd, "file"), 0);
    assert_int_equal(file_read_all_at(fd, "victim", &b), 0);
    assert_string_equal(buf_text(&b), "precious");
    assert_int_equal(unlinkat(fd, "victim", 0), 0);
    assert_int_equal(unlinkat(fd, "link", 0), 0);
    assert_int_equal(unlinkat(fd, "inner", AT_REMOVEDIR), 0);
    (void)close(inner_fd);
    (void)close(fd);
    assert_int_equal(rmdir(top), 0);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file__missing_directories_are_made_and_present_ones_kept),
        cmocka_unit_test(test_file__whole_files_are_read_up_to_the_cap),
        cmocka_unit_test(test_file__exact_reads_end_only_with_the_file),
        cmocka_unit_test(test_file__a_file_is_replaced_as_a_whole),
        cmocka_unit_test(test_file__links_in_a_directory_are_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
