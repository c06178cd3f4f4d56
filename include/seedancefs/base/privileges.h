/*
 * What: the end of what a service manager lent for mounting. A unit that runs as an ordinary user may
 * have CAP_SYS_ADMIN (AmbientCapabilities=), so that no setuid program is needed and
 * NoNewPrivileges= holds. Once mounted nothing needs it, and a program that talks to the network
 * should not have it.
 */
#ifndef SEEDANCEFS_BASE_PRIVILEGES_H
#define SEEDANCEFS_BASE_PRIVILEGES_H

#include "seedancefs/base/attributes.h"

/* Gives every capability up, for good, unless the program runs as root. 0 or -errno. */
int privileges_drop(void) NODISCARD;

#endif
