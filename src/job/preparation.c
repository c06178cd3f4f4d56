/*
 * What is being made ready for requests that are going to be sent: new addresses of videos, frames,
 * uploads. Several jobs may wait for the same; it is done once. When it has failed, nobody begins it
 * anew before some time has passed.
 */
#include "job_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    AGAIN_CAP_MS = 10 * 60 * 1000,
    FORGOTTEN_MS = 3600 * 1000, /* after a failure that nobody asks for any more */
    KEPT_MAX = 64,              /* looked at for that, when one more begins */
};

static void preparation_free(struct jobs *jobs, struct preparation *preparation)
{
    HASH_DELETE(by_key, jobs->preparations, preparation);
    if (preparation->run)
        tool_cancel(preparation->run);
    (void)job_unref(preparation->job);
    free(preparation->url);
    free(preparation->why);
    free(preparation);
}

static struct preparation *find(struct jobs *jobs, enum preparation_kind kind, int64_t id)
{
    const struct preparation_key key = {.kind = kind, .id = id};
    struct preparation *found;
    HASH_FIND(by_key, jobs->preparations, &key, sizeof(key), found);
    return found;
}

static bool is_over(const struct preparation *preparation, int64_t now_ms)
{
    return preparation->is_done && now_ms >= preparation->until_ms;
}

struct preparation *preparation_find(struct jobs *jobs, enum preparation_kind kind, int64_t id)
{
    struct preparation *found = find(jobs, kind, id);
    return found && !is_over(found, clock_monotonic_ms(jobs->settings.clock)) ? found : NULL;
}

/* The oldest stand first. */
static void old_forget(struct jobs *jobs)
{
    int64_t now_ms = clock_monotonic_ms(jobs->settings.clock);
    struct preparation *each;
    struct preparation *next;
    int looked = 0;
    HASH_ITER (by_key, jobs->preparations, each, next) {
        if (is_over(each, each->result == 0 ? now_ms : now_ms - FORGOTTEN_MS))
            preparation_free(jobs, each);
        if (++looked == KEPT_MAX)
            return;
    }
}

bool job_can_upload(const struct jobs *jobs)
{
    const struct job_hooks *hooks = &jobs->settings.hooks;
    return tools_has(jobs->settings.tools, TOOL_UPLOAD) ||
           (hooks->has_objects && hooks->has_objects(hooks->context));
}

struct preparation *preparation_begin(struct jobs *jobs, enum preparation_kind kind, int64_t id)
{
    struct preparation *found = find(jobs, kind, id);
    if (!found) {
        old_forget(jobs);
        found = calloc(1, sizeof(*found));
        if (!found)
            return NULL;
        found->key = (struct preparation_key){.kind = kind, .id = id};
        HASH_ADD(by_key, jobs->preparations, key, sizeof(found->key), found);
        if (!TABLE_HAS(found, by_key)) {
            free(found);
            return NULL;
        }
    }
    found->is_done = false;
    job_text_clear(&found->url);
    job_text_clear(&found->why);
    return found;
}

static void waiting_look(struct jobs *jobs, const struct preparation_key *key)
{
    struct job_detail *detail;
    DL_FOREACH (jobs->details, detail) {
        if (detail->preparing.id == key->id && detail->preparing.kind == key->kind &&
            detail->job->state == JOB_WAITING && !detail->job->is_removed)
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
        waiting_look(jobs, &preparation->key);
}

void jobs_prepared(struct jobs *jobs, enum preparation_kind kind, int64_t id, int result)
{
    struct preparation *preparation = find(jobs, kind, id);
    if (preparation && !preparation->is_done)
        preparation_end(jobs, preparation, result, PREPARED_MS);
}

void jobs_preparations_again(struct jobs *jobs)
{
    struct preparation *preparation;
    struct preparation *next;
    HASH_ITER (by_key, jobs->preparations, preparation, next) {
        if (preparation->is_done && preparation->result < 0)
            preparation->until_ms = 0;
    }
}

void jobs_uploads_forget(struct jobs *jobs)
{
    struct preparation *preparation;
    struct preparation *next;
    HASH_ITER (by_key, jobs->preparations, preparation, next) {
        if (preparation->is_done && preparation->key.kind == PREPARE_UPLOAD)
            preparation->until_ms = 0;
    }
}

void jobs_preparations_free(struct jobs *jobs)
{
    struct preparation *preparation;
    struct preparation *next;
    HASH_ITER (by_key, jobs->preparations, preparation, next) {
        preparation_free(jobs, preparation);
    }
}
