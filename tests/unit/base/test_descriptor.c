#include "seedancefs/base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static void test_descriptor__the_last_are_kept(void **state UNUSED)
{
    struct rlimit before;
    int fds[48];
    int count = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){48, before.rlim_max}), 0);
    int fd;
    while ((fd = descriptor_ordinary(open("/dev/null", O_RDONLY | O_CLOEXEC))) >= 0)
        fds[count++] = fd;
    assert_int_equal(errno, EMFILE);
    assert_int_equal(fds[count - 1], 48 - 12 - 1);
    /* What is important gets twelve more. */
    for (int i = 0; i < 12; i++) {
        fds[count] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(fds[count++] >= 0);
    }
    assert_int_equal(descriptor_ordinary(open("/dev/null", O_RDONLY | O_CLOEXEC)), -1);
    assert_int_equal(errno, EMFILE);
    while (count > 0)
        (void)close(fds[--count]);
    errno = 0;
    assert_int_equal(descriptor_ordinary(open("/nowhere", O_RDONLY)), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void test_descriptor__the_reserve_fits_the_limit(void **state UNUSED)
{
    assert_int_equal(descriptor_reserve(48), 12);
    assert_int_equal(descriptor_reserve(1024), 64);
    assert_int_equal(descriptor_reserve(RLIM_INFINITY), 64);
}

static void test_descriptor__the_limit_is_raised(void **state UNUSED)
{
    struct rlimit before;
    struct rlimit after;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){48, before.rlim_max}), 0);
    assert_int_equal(descriptor_limit_raise(), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_true(after.rlim_cur == before.rlim_max && after.rlim_max == before.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void test_descriptor__the_use_is_told(void **state UNUSED)
{
    struct rlimit before;
    struct descriptor_use use;
    int fds[48];
    int count = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){48, before.rlim_max}), 0);
    descriptor_use_get(&use);
    assert_int_equal(use.limit, 48);
    uint64_t first = use.count;
    fds[count++] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fds[0], first);
    descriptor_use_get(&use);
    assert_in_range(use.count, first + 1, 47);
    while ((fds[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    descriptor_use_get(&use);
    assert_int_equal(use.count, 48);
    while (count > 0)
        (void)close(fds[--count]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptor__the_last_are_kept),
        cmocka_unit_test(test_descriptor__the_reserve_fits_the_limit),
        cmocka_unit_test(test_descriptor__the_limit_is_raised),
        cmocka_unit_test(test_descriptor__the_use_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
