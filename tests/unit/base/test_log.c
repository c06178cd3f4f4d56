/* base/log: one line per event, whatever is in it, and none below the level. */
#include "seedancefs/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log__a_line_is_a_line),
        cmocka_unit_test(test_log__levels_are_words_and_a_threshold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
