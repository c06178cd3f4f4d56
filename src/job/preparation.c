/*
 * What is being made ready for requests that are going to be sent: new addresses of videos, frames,
 * uploads. Several jobs may wait for the same; it is done once. When it has failed, nobody begins it
 * anew before some time has passed.
 */
#include "job_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { AGAIN_CAP_MS = 10 * 60 * 1000 };

static void preparation_free(struct jobs *jobs, struct preparation *preparation)
{
    DL_DELETE(jobs->preparations, preparation);
    if (preparation->run)
        tool_cancel(preparation->run);
    (void)job_unref(preparation->job);
    free(preparation->url);
    free(preparation->why);
    free(preparation);
}

struct preparation *preparation_find(struct jobs *jobs, enum preparation_kind kind, int64_t id)
{
    int64_t now_ms = clock_monotonic_ms(jobs->settings.clock);
    struct preparation *found;
    DL_FOREACH (jobs->preparations, found) {
        if (found->kind == kind && found->id == id)
            return found->is_done && now_ms >= found->until_ms ? NULL : found;
    }
    return NULL;
}

struct preparation *preparation_begin(struct jobs *jobs, enum preparation_kind kind, int64_t id)
{
    int64_t now_ms = clock_monotonic_ms(jobs->settings.clock);
    struct preparation *found = NULL;
    struct preparation *each;
    struct preparation *next;
    DL_FOREACH_SAFE (jobs->preparations, each, next) {
        if (each->kind == kind && each->id == id)
            found = each;
        else if (each->is_done && each->result == 0 && now_ms >= each->until_ms)
            preparation_free(jobs, each);
    }
    if (!found) {
        found = calloc(1, sizeof(*found));
        if (!found)
            return NULL;
        *found = (struct preparation){.kind = kind, .id = id};
        DL_APPEND(jobs->preparations, found);
    }
    found->is_done = false;
    job_text_clear(&found->url);
    job_text_clear(&found->why);
    return found;
}

/* A job that waits for something else looks in vain, which costs little. */
static void waiting_look(struct jobs *jobs)
{
    struct job_detail *detail;
    DL_FOREACH (jobs->details, detail) {
        if (detail->is_preparing && detail->job->state == JOB_WAITING && !detail->job->is_removed)
            jobs->look_again(detail->job);
    }
}

void preparation_end(struct jobs *jobs, struct preparation *preparation, int result,
                     int64_t holds_ms)
{
    int64_t now_ms = clock_monotonic_ms(jobs->settings.clock);
    preparation->is_done = true;
    preparation->result = result;
    preparation->run = NULL;
    preparation->job = job_unref(preparation->job);
    if (result == 0) {
        preparation->failures = 0;
        preparation->until_ms = now_ms + holds_ms;
    } else {
        preparation->until_ms =
            now_ms + job_retry_delay_ms(jobs, ++preparation->failures, AGAIN_CAP_MS);
    }
    if (!jobs->is_stopping)
        waiting_look(jobs);
}

void jobs_prepared(struct jobs *jobs, enum preparation_kind kind, int64_t id, int result)
{
    struct preparation *preparation;
    DL_FOREACH (jobs->preparations, preparation) {
        if (preparation->kind == kind && preparation->id == id && !preparation->is_done) {
            preparation_end(jobs, preparation, result, PREPARED_MS);
            return;
        }
    }
}

void jobs_preparations_free(struct jobs *jobs)
{
    while (jobs->preparations)
        preparation_free(jobs, jobs->preparations);
}
