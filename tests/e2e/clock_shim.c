/* Stands before clock_gettime(2) of the program under test: adds the milliseconds in the file
 * $CLOCK_FILE, two int64, to the wall clock and to the clock that counts suspension. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offsets_ms;

__attribute__((constructor)) static void shim_start(void)
{
    const char *path = getenv("CLOCK_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        abort();
    offsets_ms = map;
    (void)close(fd);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    long r = syscall(SYS_clock_gettime, id, now);
    if (r < 0 || !offsets_ms || (id != CLOCK_REALTIME && id != CLOCK_BOOTTIME))
        return (int)r;
    int64_t ms = offsets_ms[id == CLOCK_BOOTTIME] + now->tv_nsec / 1000000;
    int64_t carry_s = ms >= 0 ? ms / 1000 : -((999 - ms) / 1000);
    now->tv_sec += carry_s;
    now->tv_nsec = (ms - carry_s * 1000) * 1000000 + now->tv_nsec % 1000000;
    return 0;
}
