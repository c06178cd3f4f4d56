/*
 * What: the command line, from one table: the parser, --help and every long option as -o
 * name_with_underscores=value (for fstab) come from it.
 * Lifetime: options_init() .. options_fini(); the options own their texts.
 * Errors: options_parse() has said on standard error what is wrong.
 */
#ifndef SEEDANCEFS_APP_OPTIONS_H
#define SEEDANCEFS_APP_OPTIONS_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/log.h"
#include "seedancefs/job/jobs.h"
#include "seedancefs/tree/tree.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct options {
    char *mountpoint;
    char *api_url;
    char *api_key_file; /* NULL: from the environment */
    char *data_directory;
    char *model;
    char *upload_command; /* NULL: none */
    struct job_budget budget;
    int64_t active_max; /* 0: no limit */
    int64_t max_file_bytes;
    int64_t cache_bytes_max; /* 0: no limit */
    enum tree_archive archive;
    int64_t poll_interval_ms; /* 0: adaptive */
    int64_t settle_ms;
    enum log_level log_level;
    bool is_foreground;
    bool is_debug;
    bool is_inotify_off;
    bool is_unknown_allowed;
    bool is_hold_wanted;
    bool is_core_allowed;
    char *user;         /* the user to switch to; NULL: none */
    uid_t user_id;      /* of `user` */
    gid_t group_id;     /* that user's */
    char *fuse_options; /* -o options that are not ours; NULL: none */
    bool is_shared;     /* allow_other is among them: others may use the mount, too */
};

enum options_result { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_WRONG };

/* Fills `options`. OPTIONS_DONE: --help or --version was given, and its text written. */
enum options_result options_parse(struct options *options, int argc, char **argv);
void options_fini(struct options *options);

#endif
