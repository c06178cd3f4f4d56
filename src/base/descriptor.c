#include "seedancefs/base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { RESERVE_MAX = 64 };

int descriptor_limit_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

uint64_t descriptor_reserve(uint64_t limit)
{
    return limit / 4 < RESERVE_MAX ? limit / 4 : RESERVE_MAX;
}

void descriptor_use_get(struct descriptor_use *out)
{
    struct rlimit limit;
    *out = (struct descriptor_use){.count = 0};
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    out->limit = limit.rlim_cur;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        out->count = (uint64_t)fd;
    else if (errno == EMFILE)
        out->count = out->limit;
    if (fd >= 0)
        (void)close(fd);
}

int descriptor_ordinary(int fd)
{
    struct rlimit limit;
    /* All numbers below the lowest free one are in use, so that number is the
     * count of descriptors. */
    if (fd < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
        (uint64_t)fd < limit.rlim_cur - descriptor_reserve(limit.rlim_cur))
        return fd;
    (void)close(fd);
    errno = EMFILE;
    return -1;
}
