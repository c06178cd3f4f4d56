#include "seedancefs/base/privileges.h"

#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc has no functions for them, and two calls are not worth linking libcap. */
static int capabilities_get(struct __user_cap_data_struct *sets)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    return syscall(SYS_capget, &header, sets) < 0 ? -errno : 0;
}

/* Setting the permitted and inheritable sets empties the ambient set as well (capabilities(7)). */
static int capabilities_set(uint64_t set)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {
        {.effective = (uint32_t)set, .permitted = (uint32_t)set},
        {.effective = (uint32_t)(set >> 32), .permitted = (uint32_t)(set >> 32)}};
    return syscall(SYS_capset, &header, sets) < 0 ? -errno : 0;
}

static int permitted_get(uint64_t *permitted)
{
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};
    int r = capabilities_get(sets);
    if (r == 0)
        *permitted = sets[0].permitted | (uint64_t)sets[1].permitted << 32;
    return r;
}

/* Drops capabilities that no executed program may have. This takes CAP_SETPCAP. A process
 * without it has a service manager that does this, or belongs to an ordinary user, for
 * whom nothing changes. */
static void bounding_set_drop(uint64_t kept)
{
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
        if (!(kept & PRIVILEGE(capability)) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            return;
    }
}

int privileges_drop(uint64_t kept)
{
    uint64_t permitted = 0;
    int r = permitted_get(&permitted);
    bounding_set_drop(kept);
    if (r == 0)
        r = capabilities_set(permitted & kept);
    if (r == 0 && geteuid() == 0)
        r = privileges_seal();
    return r;
}

int privileges_seal(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

bool privileges_has(int capability)
{
    uint64_t permitted = 0;
    return permitted_get(&permitted) == 0 && (permitted & PRIVILEGE(capability)) != 0;
}

int privileges_user_set(const char *name, uid_t uid, gid_t gid, uint64_t kept)
{
    /* Without PR_SET_KEEPCAPS all capabilities go with the last id that is 0. The next
     * exec clears it. */
    if (initgroups(name, gid) < 0 || setresgid(gid, gid, gid) < 0 ||
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return -errno;
    bounding_set_drop(kept);
    if (setresuid(uid, uid, uid) < 0)
        return -errno;
    return capabilities_set(kept);
}
