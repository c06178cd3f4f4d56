/*
 * What: is this a place where we can mount, before anything else is done.
 */
#ifndef SEEDANCEFS_APP_MOUNTPOINT_H
#define SEEDANCEFS_APP_MOUNTPOINT_H

#include "seedancefs/base/attributes.h"

#include "daemon.h"

#include <sys/types.h>

/* Checks that `path` is a directory and that no seedancefs is mounted on it. What a killed
 * seedancefs left ("Transport endpoint is not connected") is unmounted. EXIT_DONE, or says what
 * is wrong. */
enum exit_code mountpoint_prepare(const char *path);

/* The device that is at `path`, without asking a mount there for anything; 0: not known. */
dev_t mountpoint_device_get(const char *path);

/* Why mounting failed, in a sentence that says what to do. Static storage. */
const char *mountpoint_failure_get(void);

#endif
