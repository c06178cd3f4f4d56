#include "seedancefs/base/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int privileges_drop(void)
{
    if (geteuid() == 0)
        return 0;
    /* glibc has no function for it, and libcap would be linked for this one call. */
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    /* With the permitted and the inheritable set the ambient set is emptied as well (capabilities(7)). */
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}
