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
    char *config; /* a file of options, read again at SIGHUP; NULL: none */
    bool is_config_optional;
    uint64_t given;      /* bits of the rows that the command line has set: they go first */
    uint64_t configured; /* bits of the rows that the file has set */
    char *mountpoint;
    char *api_url;
    char *api_key_file; /* NULL: from the environment */
    char *data_directory;
    char *model;
    char *models_directory;    /* NULL: only the documented models */
    struct models *models;     /* what there is in all */
    char *upload_command;      /* NULL: none */
    char *objects;             /* the object store; NULL: none */
    char *objects_credentials; /* NULL: from the environment */
    char *share;               /* the database of a tree that several hosts share; NULL: none */
    bool is_share_init;        /* make the schema there, and nothing else */
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
    char *group;        /* whose members may do what the owner may; NULL: none */
    gid_t group_shared; /* the number of `group` */
    char *fuse_options; /* -o options that are not ours; NULL: none */
    bool is_shared;     /* allow_other is among them: others may use the mount, too */
};

enum options_result { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_WRONG };

/* Removes from the arguments what only mount(8) understands. True: nothing shall be mounted. */
bool options_mount_arguments_take(int *argc, char **argv);
/* Sets what the command line says. OPTIONS_DONE: --help or --version was given, and its text
 * written. It can be called again with other options. */
enum options_result options_arguments_apply(struct options *options, int argc, char **argv);
/* After that: the mount point, and what follows from the options. -errno. */
int options_complete(struct options *options, int argc, char **argv) NODISCARD;
void options_fini(struct options *options);

enum { OPTIONS_WHY_SIZE = 512 };
/* What every option is before anything is said. -ENOMEM. */
int options_init(struct options *options) NODISCARD;
/* Sets an option by its long name, as a line of the file of options does; `value` is NULL when the
 * line has none. -EINVAL and a sentence; -ENOMEM. */
int options_line_set(struct options *options, const char *name, const char *value,
                     char why[static OPTIONS_WHY_SIZE]) NODISCARD;
/*
 * Takes over what `fresh` says otherwise and can change while the program runs, but for what the
 * command line has set. The names of these options are added to `changed`, those that need a restart
 * to `restart`, with blanks between them; both are emptied first.
 */
void options_take(struct options *options, const struct options *fresh,
                  char changed[static OPTIONS_WHY_SIZE], char restart[static OPTIONS_WHY_SIZE]);
/* The option that was perhaps meant by one of a list after -o; NULL: there is no guess. */
const char *options_guess(const char *list);

#endif
