/*
 * What: which capabilities this process has (capabilities(7)), and as which user it runs. Mounting
 * takes CAP_SYS_ADMIN: root has it, and a service manager may lend it to an ordinary user's program
 * (AmbientCapabilities=), so that no setuid program is needed and NoNewPrivileges= holds. Once
 * mounted a program that talks to the network should have none of that.
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

/* Gives every capability up that is not in `kept`, for good; it gains none that it had not. Run as
 * root it gets none back by executing a program either (PR_SET_NO_NEW_PRIVS): uid 0 alone would
 * give it all. */
int privileges_drop(uint64_t kept) NODISCARD;

/* No program that this process executes gets more rights than it has: no setuid program works any
 * more. */
int privileges_seal(void) NODISCARD;

/* Whether this process can mount without a setuid program. */
bool privileges_has(int capability);

/* Becomes this user with the user's groups, in all of its ids, and keeps the capabilities in `kept`
 * alone, which it must have. Only root can. -EPERM. */
int privileges_user_set(const char *name, uid_t uid, gid_t gid, uint64_t kept) NODISCARD;

#endif
