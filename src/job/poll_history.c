/*
 * What was learned of each kind of task (model, resolution, length of the video). The store has
 * only how long each attempt took. The latest times of a kind are read when the first task of that
 * kind is followed.
 */
#include "job_private.h"

#include "poll_plan.h"
#include "seedancefs/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS_MAX = 256, KEY_SIZE = 192 };

struct poll_kind {
    char key[KEY_SIZE];
    struct poll_learned learned;
    UT_hash_handle by_key;
};

static void generation_add(void *context, int64_t generation_ms)
{
    poll_learned_add(context, generation_ms);
}

static struct poll_kind *kind_load(struct jobs *jobs, const struct store_attempt *attempt,
                                   const char *key)
{
    struct poll_kind *kind = calloc(1, sizeof(*kind));
    if (!kind)
        return NULL;
    memcpy(kind->key, key, sizeof(kind->key));
    poll_learned_init(&kind->learned, attempt->duration_ms);
    int r = store_generation_each(jobs->settings.store, attempt, POLL_LEARNED_MAX, generation_add,
                                  &kind->learned);
    if (r < 0)
        log_warn("store.refused", "what=generations error=%s", err_name(r));
    HASH_ADD_KEYPTR(by_key, jobs->poll_kinds, kind->key, strlen(kind->key), kind);
    if (TABLE_HAS(kind, by_key))
        return kind;
    free(kind);
    return NULL;
}

static void key_make(const struct store_attempt *attempt, char out[static KEY_SIZE])
{
    memset(out, 0, KEY_SIZE);
    (void)snprintf(out, KEY_SIZE, "%s %s %lld", attempt->model ? attempt->model : "",
                   attempt->resolution ? attempt->resolution : "", (long long)attempt->duration_ms);
}

static struct poll_kind *kind_get(struct jobs *jobs, const struct store_attempt *attempt)
{
    char key[KEY_SIZE];
    struct poll_kind *kind;
    key_make(attempt, key);
    HASH_FIND(by_key, jobs->poll_kinds, key, strlen(key), kind);
    if (kind || HASH_CNT(by_key, jobs->poll_kinds) >= KINDS_MAX)
        return kind;
    return kind_load(jobs, attempt, key);
}

void job_poll_learned_get(struct job *job, struct poll_learned *out)
{
    const struct store_attempt *attempt = &job->detail->attempt;
    const struct poll_kind *kind = kind_get(job->jobs, attempt);
    if (kind)
        *out = kind->learned;
    else
        poll_learned_init(out, attempt->duration_ms);
}

void job_poll_learn(struct job *job)
{
    struct job_detail *detail = job->detail;
    int64_t now_ms = clock_monotonic_ms(job->jobs->settings.clock);
    if (detail->attempt.generation_ms == STORE_GENERATION_UNSEEN || detail->last_seen_active_ms < 0)
        return;
    /* The task ended between the last two responses. If the gap is wide (the program did not run,
     * the service did not respond), it says too little. */
    int64_t gap_ms = now_ms - detail->last_seen_active_ms;
    int64_t took_ms = detail->last_seen_active_ms + gap_ms / 2 - detail->start_ms;
    if (took_ms <= 0 || gap_ms > took_ms / 2)
        return;
    struct poll_kind *kind = kind_get(job->jobs, &detail->attempt);
    detail->attempt.generation_ms = took_ms;
    if (kind)
        poll_learned_add(&kind->learned, took_ms);
}

void jobs_poll_forget(struct jobs *jobs, const struct store_attempt *attempt)
{
    struct poll_kind *kind;
    char key[KEY_SIZE];
    if (attempt->generation_ms < 0)
        return;
    key_make(attempt, key);
    HASH_FIND(by_key, jobs->poll_kinds, key, strlen(key), kind);
    if (!kind)
        return;
    HASH_DELETE(by_key, jobs->poll_kinds, kind);
    free(kind);
}

void jobs_poll_kinds_free(struct jobs *jobs)
{
    struct poll_kind *kind;
    struct poll_kind *next;
    HASH_ITER (by_key, jobs->poll_kinds, kind, next) {
        HASH_DELETE(by_key, jobs->poll_kinds, kind);
        free(kind);
    }
}
