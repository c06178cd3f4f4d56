#include "sharing.h"

#include "key.h"
#include "options.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/clock.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/ids.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"
#include "seedancefs/job/jobs.h"
#include "seedancefs/net/loop.h"
#include "seedancefs/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* AGAIN_MS: until jobs that could not be read are tried again. */
enum { START_DEADLINE_MS = 10 * 1000, AGAIN_MS = 5 * 1000, FINISH_MS = 2000, TURN_MS = 100 };

static const char program[] = "seedancefs " SEEDANCEFS_VERSION;

static int row_add(void *context, struct store_job *row)
{
    return ids_add(context, row->id);
}

static void on_all(void *context);

static void reload(struct sharing *sharing, const int64_t *ids, size_t count)
{
    int r = jobs_reload(sharing->jobs, ids, count);
    if (r == 0)
        return;
    log_error("share.reload", "jobs=%zu error=%s", count, err_name(r));
    timer_set(loop_timers(sharing->loop), &sharing->again, AGAIN_MS, on_all, sharing);
}

static void on_jobs(void *context, const int64_t *ids, size_t count)
{
    reload(context, ids, count);
}

/* What is in memory and what is in the store, so that what is in one alone is seen as well. */
static void on_all(void *context)
{
    struct sharing *sharing = context;
    CLEANUP(ids_fini) struct ids list = {.count = 0};
    const struct job *assets = jobs_assets(sharing->jobs);
    int r = store_job_each(sharing->store, row_add, &list);
    if (r == 0 && assets)
        r = ids_add(&list, assets->id);
    for (struct job *job = jobs_next(sharing->jobs, 0); r == 0 && job;
         job = jobs_next(sharing->jobs, job->id))
        r = ids_add(&list, job->id);
    if (r < 0) {
        log_error("share.reload", "error=%s", err_name(r));
        timer_set(loop_timers(sharing->loop), &sharing->again, AGAIN_MS, on_all, sharing);
        return;
    }
    ids_sort(&list);
    reload(sharing, list.ids, list.count);
}

static void tell(struct sharing *sharing, const char *why, bool is_final)
{
    timer_cancel(loop_timers(sharing->loop), &sharing->timer);
    if (sharing->is_told && !is_final)
        return;
    sharing->is_told = true;
    sharing->fn(sharing->context, why, is_final);
}

static bool is_file_busy(void *context, int64_t file_id)
{
    const struct sharing *sharing = context;
    return jobs_file_is_written(sharing->jobs, file_id);
}

static void on_ready(void *context)
{
    tell(context, NULL, false);
}

static void on_end(void *context, const char *why)
{
    tell(context, why, true);
}

/* What has seen the tree once can go on with that. */
static void on_deadline(void *context)
{
    struct sharing *sharing = context;
    struct share_status status;
    char why[SHARE_WHY_SIZE + 128];
    share_status_get(sharing->share, &status);
    bool is_new = store_role_get(sharing->store) == STORE_ALONE ||
                  (store_role_get(sharing->store) == STORE_REPLICA && status.seq == 0);
    if (status.state == SHARE_COPYING) { /* it goes on */
        timer_set(loop_timers(sharing->loop), &sharing->timer, START_DEADLINE_MS, on_deadline,
                  sharing);
        return;
    }
    (void)snprintf(why, sizeof(why), "the database has not answered: %s%s%s", status.why,
                   text_full_stop(status.why),
                   is_new ? " Without it this host has nothing to show yet." : "");
    tell(sharing, why, is_new);
}

int sharing_open(struct sharing *sharing, const struct sharing_settings *settings,
                 char why[static SHARE_WHY_SIZE])
{
    struct secret password = {0};
    *sharing = (struct sharing){.loop = settings->loop, .store = settings->store};
    (void)!secret_variable_take("PGPASSWORD", &password);
    const struct share_settings share = {.loop = settings->loop,
                                         .store = settings->store,
                                         .files_fd = settings->files_fd,
                                         .url = settings->url,
                                         .password = &password,
                                         .program = program,
                                         .hooks = {.context = sharing,
                                                   .on_ready = on_ready,
                                                   .on_jobs = on_jobs,
                                                   .on_all = on_all,
                                                   .is_file_busy = is_file_busy,
                                                   .on_end = on_end}};
    int r = share_new(&share, &sharing->share, why);
    secret_fini(&password);
    return r;
}

void sharing_start(struct sharing *sharing, struct jobs *jobs, bool can_lead, sharing_fn *fn,
                   void *context)
{
    sharing->jobs = jobs;
    sharing->start_ms = clock_monotonic_ms(loop_clock(sharing->loop));
    sharing->fn = fn;
    sharing->context = context;
    timer_set(loop_timers(sharing->loop), &sharing->timer, START_DEADLINE_MS, on_deadline, sharing);
    share_start(sharing->share, can_lead);
}

struct tree_sharing sharing_get(const void *context)
{
    const struct sharing *sharing = context;
    struct share_status status;
    if (!sharing->share)
        return (struct tree_sharing){.is_leading = false};
    share_status_get(sharing->share, &status);
    bool is_there = status.state != SHARE_AWAY && status.state != SHARE_ENDED;
    int64_t since_ms = status.seen_ms ? status.seen_ms : sharing->start_ms;
    return (struct tree_sharing){
        .is_leading = status.state == SHARE_LEADS,
        .silent_ms = is_there ? 0 : clock_monotonic_ms(loop_clock(sharing->loop)) - since_ms + 1000,
        .seq = status.seq,
        .entries = status.pushed + status.applied};
}

void sharing_finish(struct sharing *sharing)
{
    if (!sharing->share)
        return;
    const struct clock *clock = loop_clock(sharing->loop);
    int64_t end_ms = clock_monotonic_ms(clock) + FINISH_MS;
    while (share_is_behind(sharing->share) && clock_monotonic_ms(clock) < end_ms) {
        if (loop_run_once(sharing->loop, TURN_MS) < 0)
            return;
    }
}

void sharing_close(struct sharing *sharing)
{
    if (!sharing->share)
        return;
    timer_cancel(loop_timers(sharing->loop), &sharing->timer);
    timer_cancel(loop_timers(sharing->loop), &sharing->again);
    sharing->share = share_free(sharing->share);
}

enum exit_code sharing_init(const struct options *options)
{
    char why[SHARE_WHY_SIZE] = "";
    struct secret password = {0};
    if (!options->share) {
        (void)fprintf(stderr, "seedancefs: --share-init: it needs the database: --share URL.\n");
        return EXIT_CONFIGURATION;
    }
    (void)!secret_variable_take("PGPASSWORD", &password);
    int r = share_init(options->share, &password, why);
    secret_fini(&password);
    if (r < 0) {
        (void)fprintf(stderr, "seedancefs: --share-init: %s%s\n", why[0] ? why : err_sentence(r),
                      text_full_stop(why));
        return EXIT_CONFIGURATION;
    }
    (void)printf("The database is ready. Give each host a role of its own:\n"
                 "    CREATE ROLE host1 LOGIN PASSWORD '…' IN ROLE seedance_host;\n");
    return EXIT_DONE;
}
