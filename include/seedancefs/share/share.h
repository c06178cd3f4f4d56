/*
 * What: one tree on many hosts, by way of a log in PostgreSQL. One host, the leader, decides everything, in
 * its own store, as it does without this; what its transactions change is pushed to the log. The others
 * follow: their stores are replicas, made of what is in the log.
 * The sole includer of libpq, which is loaded when it is asked for: who does not share does not pay for it.
 * Lifetime: share_new() .. share_free(). loop and store are lent and outlive it. Hooks are called from the
 * loop, never from within the functions below.
 * Errors: -errno and codes of base/err; sentences for people go into `why`.
 */
#ifndef SEEDANCEFS_SHARE_SHARE_H
#define SEEDANCEFS_SHARE_SHARE_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct share;
struct store;

enum { SHARE_WHY_SIZE = 1024, SHARE_NAME_SIZE = 64 };

/* What a host is to the log. */
enum share_state {
    SHARE_AWAY,    /* the database does not answer; what has been seen can be read */
    SHARE_COPYING, /* the first copy is being fetched */
    SHARE_FOLLOWS,
    SHARE_LEADS,
    SHARE_ENDED, /* why: share_status.why. Nothing is tried any more */
};

struct share_hooks {
    void *context;
    /* For the first time: this host leads, or has a copy of what the others have. */
    void (*on_ready)(void *context);
    /* The rows of these jobs are others now. */
    void (*on_jobs)(void *context, const int64_t *job_ids, size_t count);
    /* All of them may be: there is another copy. */
    void (*on_all)(void *context);
    /* Somebody is writing the file: its bytes are not complete. */
    bool (*is_file_busy)(void *context, int64_t file_id);
    /* The sharing has ended, and only a person can mend that. A leader must stop to send. */
    void (*on_end)(void *context, const char *why);
};

struct share_settings {
    struct loop *loop;
    struct store *store;
    int files_fd;                  /* of the users' files in the data directory; lent */
    const char *url;               /* copied */
    const struct secret *password; /* lent for the call; NULL or not set: as libpq finds one */
    const char *program;           /* name and version, for the others to read. Copied */
    struct share_hooks hooks;
};

/* Checks the URL and loads libpq. On failure `why` is a sentence. */
int share_new(const struct share_settings *settings, struct share **out,
              char why[static SHARE_WHY_SIZE]) NODISCARD;
struct share *share_free(struct share *share);

/* Connects, and stays connected. A host that cannot lead follows. */
void share_start(struct share *share, bool can_lead);

/* This host leads, and has done what is not in the log yet. It will be after the next start at the latest. */
bool share_is_behind(const struct share *share);

struct share_status {
    enum share_state state;
    char leader[SHARE_NAME_SIZE]; /* the role by which the leader has logged in; "": not known */
    int64_t seq;                  /* of the last entry that is here and in the log */
    int64_t seen_ms;              /* monotonic: when the database has last answered; 0: never */
    uint64_t pushed;              /* entries since the start, as the next two */
    uint64_t applied;
    uint64_t connects;
    const char *why; /* what is in the way; "": nothing */
};
void share_status_get(const struct share *share, struct share_status *out);

/* Makes, or upgrades, the schema in the database; waits for it. 0, or `why` is a sentence. */
int share_init(const char *url, const struct secret *password,
               char why[static SHARE_WHY_SIZE]) NODISCARD;

#endif
