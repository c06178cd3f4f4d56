/*
 * What: the tree that this host shares with others (--share): what comes from the database reaches the jobs
 * in memory. The password is libpq's to find, or in $PGPASSWORD; never in an argument.
 * Lifetime: sharing_open() .. sharing_close(), while loop and store exist; sharing_start() once the jobs
 * are there and privileges are given up.
 */
#ifndef SEEDANCEFS_APP_SHARING_H
#define SEEDANCEFS_APP_SHARING_H

#include "daemon.h"

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/timer.h"
#include "seedancefs/share/share.h"
#include "seedancefs/tree/tree.h"

struct jobs;
struct loop;
struct options;
struct store;

/* `why` NULL: this host leads, or has a copy of what the others have. Otherwise what is in the way: if it
 * is not final, what was seen before can be used meanwhile. Called once at the start; and again, final,
 * when the sharing ends. */
typedef void sharing_fn(void *context, const char *why, bool is_final);

struct sharing {
    struct share *share; /* NULL: nothing is shared */
    struct loop *loop;
    struct store *store;
    struct jobs *jobs;
    struct timer timer; /* of the start */
    struct timer again; /* for jobs that could not be read */
    sharing_fn *fn;
    void *context;
    bool is_told;
    int64_t start_ms; /* monotonic */
};

struct sharing_settings {
    struct loop *loop;
    struct store *store;
    int files_fd;
    const char *url;
};
/* 0, or `why` is a sentence. */
int sharing_open(struct sharing *sharing, const struct sharing_settings *settings,
                 char why[static SHARE_WHY_SIZE]) NODISCARD;
/* `can_lead`: there is an API key. */
void sharing_start(struct sharing *sharing, struct jobs *jobs, bool can_lead, sharing_fn *fn,
                   void *context);
/* At the end: gives what this host has done last to the others, if that takes no more than two seconds. */
void sharing_finish(struct sharing *sharing);
void sharing_close(struct sharing *sharing);

/* For `metrics`; `context` is the struct sharing. */
struct tree_sharing sharing_get(const void *context);

/* --share-init: makes the schema, and says so. */
enum exit_code sharing_init(const struct options *options);

#endif
