/*
 * What: checks, before anything else is done, whether the program can mount here.
 */
#ifndef SEEDANCEFS_APP_MOUNTPOINT_H
#define SEEDANCEFS_APP_MOUNTPOINT_H

#include "seedancefs/base/attributes.h"

#include "daemon.h"

#include <sys/types.h>

/* Checks that `path` is a directory and that no seedancefs is mounted on it. Unmounts the dead
 * mount of a killed seedancefs ("Transport endpoint is not connected"). Returns EXIT_DONE, or says
 * what is wrong. */
enum exit_code mountpoint_prepare(const char *path);

/* The device at `path`, found without a request to a mount there; 0: not known. */
dev_t mountpoint_device_get(const char *path);

/* Why mounting failed, in a sentence that says what to do. Static storage. */
const char *mountpoint_failure_get(void);

#endif
