#include "seedancefs/base/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int privileges_keep(uint64_t capabilities)
{
    /* glibc has no function for it, and libcap would be linked for these two calls. */
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &header, sets) < 0)
        return -errno;
    for (size_t i = 0; i < ARRAY_COUNT(sets); i++) {
        sets[i].permitted &= (uint32_t)(capabilities >> (32 * i));
        sets[i].effective = sets[i].permitted;
        sets[i].inheritable = 0;
    }
    /* With the permitted and the inheritable set the ambient set is emptied as well (capabilities(7)). */
    return syscall(SYS_capset, &header, sets) < 0 ? -errno : 0;
}

int privileges_drop(void)
{
    return geteuid() == 0 ? 0 : privileges_keep(0);
}
