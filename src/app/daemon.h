/*
 * What: starts, connects and ends the program: makes every layer, passes the callbacks of the upper
 * layers to the lower ones, runs the loop, and frees everything in order. At SIGHUP the options that
 * can change while the program runs do.
 */
#ifndef SEEDANCEFS_APP_DAEMON_H
#define SEEDANCEFS_APP_DAEMON_H

#include "options.h"

#include "seedancefs/base/attributes.h"

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_CONFIGURATION = 2 };

/* Runs until the mount is gone or a signal ends it. `ready_fd` gets one byte when the mount
 * replies; -1: nobody waits for it. Messages for people go to standard error. */
enum exit_code daemon_run(struct options *options, int ready_fd);

#endif
