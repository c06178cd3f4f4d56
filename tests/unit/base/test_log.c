/* base/log: one line per event, whatever is in it, and none below the level. */
#include "seedancefs/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t lines_read(int fd, char *out, size_t size)
{
    ssize_t n = read(fd, out, size - 1);
    out[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static void test_log__a_line_is_a_line(void **state UNUSED)
{
    int fds[2];
    char text[4096];
    char long_text[3000];
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    log_configure(LOG_INFO, fds[1]);
    errno = ENOSPC;
    log_info("job.made", "job=%s n=%d", "cat", 5);
    assert_int_equal(errno, ENOSPC);
    (void)lines_read(fds[0], text, sizeof(text));
    assert_string_equal(text + 24, " level=info event=job.made job=cat n=5\n");
    assert_int_equal(text[10], 'T');
    assert_int_equal(text[23], 'Z');
    /* What comes from outside makes no second line, and no colours either. */
    log_warn("x", "name=%s", "a\nlevel=error\x1b[31m\r\x7f");
    (void)lines_read(fds[0], text, sizeof(text));
    assert_string_equal(text + 24, " level=warn event=x name=a level=error [31m  \n");
    log_warn("x", "word=\"https://a.b/c?sig=s3cret\" url=https://u:p@a.b/");
    (void)lines_read(fds[0], text, sizeof(text));
    assert_string_equal(text + 24, " level=warn event=x word=\"https://a.b/c***********\" "
                                   "url=https://***@a.b/\n");
    memset(long_text, 'y', sizeof(long_text));
    long_text[sizeof(long_text) - 1] = '\0';
    log_error("x", "%s", long_text);
    size_t len = lines_read(fds[0], text, sizeof(text));
    assert_in_range(len, 1000, 1024);
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
    (void)close(fds[0]);
    (void)close(fds[1]);
    log_configure(LOG_WARN, STDERR_FILENO);
}

static void test_log__levels_are_words_and_a_threshold(void **state UNUSED)
{
    static const char *const words[] = {"error", "warn", "info", "debug"};
    int fds[2];
    char text[256];
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    for (int threshold = 0; threshold < 4; threshold++) {
        enum log_level parsed = LOG_DEBUG;
        assert_int_equal(log_level_parse(words[threshold], &parsed), 0);
        assert_int_equal(parsed, threshold);
        log_configure(parsed, fds[1]);
        for (int level = 0; level < 4; level++) {
            assert_int_equal(log_is_enabled((enum log_level)level), level <= threshold);
            log_event((enum log_level)level, "x", "y=1");
            assert_int_equal(lines_read(fds[0], text, sizeof(text)) > 0, level <= threshold);
        }
    }
    enum log_level none = LOG_INFO;
    assert_int_equal(log_level_parse("", &none), -EINVAL);
    assert_int_equal(log_level_parse("Warn", &none), -EINVAL);
    assert_int_equal(none, LOG_INFO);
    log_configure(LOG_DEBUG, -1);
    assert_false(log_is_enabled(LOG_ERROR));
    log_error("x", "y=1");
    (void)close(fds[0]);
    (void)close(fds[1]);
    log_configure(LOG_WARN, STDERR_FILENO);
}

/* S-RUN-20 in small: nobody reads, then somebody does. */
static void test_log__what_is_not_taken_is_dropped_and_counted(void **state UNUSED)
{
    int fds[2];
    static char text[256 * 1024];
    char expected[64];
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    log_configure(LOG_INFO, fds[1]);
    for (int i = 0; i < 5000; i++)
        log_info("x", "n=%d", i);
    size_t len = lines_read(fds[0], text, sizeof(text));
    unsigned taken = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        taken++;
    assert_in_range(taken, 100, 4999);
    assert_int_equal(text[len - 1], '\n'); /* whole lines only */
    log_info("y", "n=1");
    log_info("y", "n=2");
    (void)lines_read(fds[0], text, sizeof(text));
    (void)snprintf(expected, sizeof(expected), " level=warn event=log.dropped lines=%u\n",
                   5000 - taken);
    assert_memory_equal(text + 24, expected, strlen(expected));
    const char *rest = text + 24 + strlen(expected) + 24;
    assert_memory_equal(rest, " level=info event=y n=1\n", 24);
    assert_string_equal(rest + 24 + 24, " level=info event=y n=2\n");
    /* A reader that is gone is one that does not read. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)close(fds[0]);
    log_info("y", "n=3");
    (void)close(fds[1]);
    log_configure(LOG_WARN, STDERR_FILENO);
}

static int rotations;
static int next_fd; /* what the next rotation gives */

static int rotated_fd; /* what the last rotation got */

static int rotate(const void *context, int fd)
{
    rotations++;
    rotated_fd = fd;
    assert_ptr_equal(context, &rotations);
    return next_fd;
}

static void test_log__a_full_file_is_put_aside(void **state UNUSED)
{
    struct stat st;
    int fds[2] = {memfd_create("log", MFD_CLOEXEC), memfd_create("log", MFD_CLOEXEC)};
    int watched[2] = {dup(fds[0]), dup(fds[1])}; /* the log closes the others */
    log_configure(LOG_INFO, fds[0]);
    assert_int_equal(ftruncate(watched[0], 900), 0);
    assert_int_equal(lseek(watched[0], 900, SEEK_SET), 900);
    log_rotation_set(1000, rotate, &rotations);
    /* What is there already counts. Where it cannot be put aside nothing is lost, and not each line
     * tries. */
    next_fd = -ENOSPC;
    for (int i = 0; i < 20; i++)
        log_info("x", "n=%04d", i);
    assert_int_equal(rotations, 1);
    assert_int_equal(fstat(watched[0], &st), 0);
    off_t line = (st.st_size - 900) / 20;
    assert_int_equal(st.st_size, 900 + 20 * line);
    next_fd = fds[1];
    while (rotations == 1)
        log_info("x", "n=%04d", 20);
    assert_int_equal(rotated_fd, fds[0]);
    assert_int_equal(fcntl(fds[0], F_GETFD), -1);
    assert_int_equal(fstat(watched[1], &st), 0);
    assert_int_equal(st.st_size, line);
    /* And that one is put aside in its turn. */
    next_fd = -EIO;
    while (rotations == 2)
        log_info("x", "n=%04d", 21);
    assert_int_equal(fstat(watched[1], &st), 0);
    assert_in_range(st.st_size, 1000, 1000 + line);
    log_configure(LOG_WARN, STDERR_FILENO);
    (void)close(fds[1]);
    (void)close(watched[0]);
    (void)close(watched[1]);
}

/* S-LOG-4 in small. */
static void test_log__a_replaced_file_gets_no_further_line(void **state UNUSED)
{
    struct stat st;
    int fds[2] = {memfd_create("log", MFD_CLOEXEC), memfd_create("log", MFD_CLOEXEC)};
    int watched[2] = {dup(fds[0]), dup(fds[1])}; /* the log closes the others */
    log_configure(LOG_INFO, fds[0]);
    log_rotation_set(1000, rotate, &rotations);
    log_info("x", "n=1");
    assert_int_equal(fstat(watched[0], &st), 0);
    off_t line = st.st_size;
    /* What is in the other file counts towards its limit. */
    assert_int_equal(ftruncate(watched[1], 1000 - line), 0);
    assert_int_equal(lseek(watched[1], 0, SEEK_END), 1000 - line);
    log_file_replace(fds[1]);
    assert_int_equal(fcntl(fds[0], F_GETFD), -1);
    rotations = 0;
    next_fd = -EIO;
    log_info("x", "n=2");
    assert_int_equal(rotations, 0);
    log_info("x", "n=3");
    assert_int_equal(rotations, 1);
    assert_int_equal(rotated_fd, fds[1]);
    assert_int_equal(fstat(watched[0], &st), 0);
    assert_int_equal(st.st_size, line);
    assert_int_equal(fstat(watched[1], &st), 0);
    assert_int_equal(st.st_size, 1000 + line);
    log_configure(LOG_WARN, STDERR_FILENO);
    (void)close(fds[1]);
    (void)close(watched[0]);
    (void)close(watched[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log__a_line_is_a_line),
        cmocka_unit_test(test_log__levels_are_words_and_a_threshold),
        cmocka_unit_test(test_log__what_is_not_taken_is_dropped_and_counted),
        cmocka_unit_test(test_log__a_full_file_is_put_aside),
        cmocka_unit_test(test_log__a_replaced_file_gets_no_further_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
