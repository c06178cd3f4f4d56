/*
 * What: which capabilities this process has (capabilities(7)), and as which user it runs. Mounting
 * needs CAP_SYS_ADMIN. Root has it, and a service manager can lend it to the program of an ordinary
 * user (AmbientCapabilities=), so that no setuid program is needed and NoNewPrivileges= can be set.
 * Once it has mounted, a program that uses the network should have no capability.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_BASE_PRIVILEGES_H
#define SEEDANCEFS_BASE_PRIVILEGES_H

#include "seedancefs/base/attributes.h"

#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A set of capabilities is a sum of these. */
#define PRIVILEGE(capability) (UINT64_C(1) << (capability))

/* Gives up every capability that is not in `kept`, for good, and adds none. A process of root gets
 * none back by executing a program either (PR_SET_NO_NEW_PRIVS); without that, uid 0 alone would
 * get all of them back. */
int privileges_drop(uint64_t kept) NODISCARD;

/* From now on no program that this process executes gets more rights than the process has; setuid
 * programs no longer work. */
int privileges_seal(void) NODISCARD;

/* Whether this process can mount without a setuid program. */
bool privileges_has(int capability);

/* Switches to this user and the user's groups, in all ids, and keeps only the capabilities in
 * `kept`, which the process must have. Only root can do this; otherwise -EPERM. */
int privileges_user_set(const char *name, uid_t uid, gid_t gid, uint64_t kept) NODISCARD;

#endif
