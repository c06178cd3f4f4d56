/*
 * The same for a program that is not built for it: LD_PRELOAD=failing.so FAILING_CONTROL=FILE. The file is mapped, so
 * that a test arms a failure from outside and sees what became of it.
 */
#include "failing.h"

#include <sys/mman.h>

/* Until the file is mapped, and where there is none: nothing fails. */
static struct failing_control unarmed;
struct failing_control *failing = &unarmed;
_Thread_local unsigned failing_pauses;

__attribute__((constructor)) static void failing_start(void)
{
    const char *path = getenv("FAILING_CONTROL");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    /* Programs that this one starts are left alone. */
    (void)unsetenv("LD_PRELOAD");
    (void)unsetenv("FAILING_CONTROL");
    if (fd < 0)
        return;
    void *shared =
        mmap(NULL, sizeof(struct failing_control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (shared == MAP_FAILED)
        return;
    struct failing_control *control = shared;
    control->live = (int64_t)unarmed.live;
    failing = control;
}
