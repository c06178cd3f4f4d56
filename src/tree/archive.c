/*
 * Saving videos before they are lost: the policy of --archive, the commands `fetch` and `evict`,
 * and which videos the cache may evict.
 *
 *   expiry  (default) a video that is not on disk when the last part of its URL's life begins (a
 *           quarter, at most two hours) is fetched then. Each has its own moment in the first half
 *           of that time, so that a hundred that were made together do not start together
 *   always  a video is fetched right at success, and nothing is evicted
 *   never   nothing is fetched by itself
 *
 * Where there is an object store, every video is put there as soon as it is finished, by way of the
 * disk; `expiry` fetches it at once for that. From then on the cache may evict it at any time, but not
 * with `always`. A cover stays on disk, as it did before.
 *
 * The policy has no state on disk: the media layer knows what is complete and durable, and the
 * attempt has the time when its URL expires. archive_look() goes through the jobs, starts the
 * fetches that are due, ARCHIVE_MAX at a time, and comes back when the next one is due, or within
 * an hour: the wall clock may be set, the machine may sleep (the timer counts that time). Each job
 * is examined closely once, and not again when its files were found saved. All takes of a job are
 * saved, not only the one that is picked.
 *
 * A walk through the jobs takes as many passes of the loop as it has batches. Each pass continues
 * where the one before ended. A walk begins at the first job that is not saved, so a hundred
 * thousand old jobs are passed only once. If something happens at a job that a walk has already
 * passed, another walk follows.
 *
 * A fetch that failed is tried again with back-off. If the URL has expired, perhaps because the
 * program did not run, the fetch itself renews it, as for any reader. If the service twice has no
 * working URL after the expiry, the video is gone: the job says so, and nobody asks any more.
 */
#include "tree_private.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/number.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ARCHIVE_MAX = 3,       /* the media layer runs two transfers for them; one more waits */
    ARCHIVE_BATCH = 32,    /* jobs that are examined closely in one pass */
    ARCHIVE_BATCH_MS = 20, /* between two such passes */
    ARCHIVE_PASSED = 2048, /* jobs that are passed over in one pass */
    ARCHIVE_LOOK_MS = 60 * 60 * 1000,
    ARCHIVE_LEAD_MS = 2 * 60 * 60 * 1000,
    ARCHIVE_URL_LIFE_MS = 24 * 60 * 60 * 1000, /* of a URL that does not say when it expires */
    ARCHIVE_RETRY_MS = 1000,
    ARCHIVE_RETRY_DOUBLINGS = 11, /* up to half an hour */
    ARCHIVE_GONE_FAILURES = 2,
    ARCHIVE_UPLOADS_MAX = 2,    /* that are begun */
    ARCHIVE_HOLD_DOUBLINGS = 6, /* about a minute */
};

/* Besides enum media_kind: what is tried again is to put the video into the object store. */
enum { ARCHIVE_UPLOAD = MEDIA_COVER + 1 };

/* The values of take->media_mark. */
enum archive_mark {
    ARCHIVE_UNSEEN,
    ARCHIVE_WANTED,
    ARCHIVE_FETCHED, /* it is only to be put into the object store */
    ARCHIVE_SAVED
};

/* A file that is being fetched, or whose fetch failed. */
struct archive_key {
    int64_t attempt_id;
    int64_t kind;
};

struct archive_file {
    struct archive_key key;
    unsigned failures;
    int result;        /* of the last fetch that failed */
    unsigned refusals; /* in a row, after the URL had expired */
    int64_t retry_ms;  /* monotonic; INT64_MAX: never again */
    bool is_active;
    bool is_commanded;
    bool is_missed; /* of a video: the object store does not have it */
    UT_hash_handle hh;
};

static int64_t monotonic_ms(const struct tree *tree)
{
    return clock_monotonic_ms(tree->settings.clock);
}

static struct archive_file *file_find(struct tree *tree, int64_t attempt_id, int64_t kind)
{
    struct archive_key key = {.attempt_id = attempt_id, .kind = kind};
    struct archive_file *file;
    HASH_FIND(hh, tree->archive_files, &key, sizeof(key), file);
    return file;
}

static struct archive_file *file_get(struct tree *tree, int64_t attempt_id, int64_t kind)
{
    struct archive_file *file = file_find(tree, attempt_id, kind);
    if (file)
        return file;
    file = calloc(1, sizeof(*file));
    if (!file)
        return NULL;
    file->key = (struct archive_key){.attempt_id = attempt_id, .kind = kind};
    HASH_ADD(hh, tree->archive_files, key, sizeof(file->key), file);
    if (TABLE_HAS(file, hh))
        return file;
    free(file);
    return NULL;
}

static void file_idle(struct tree *tree, struct archive_file *file)
{
    tree->archive_active -= file->is_active;
    file->is_active = false;
}

/* It is tried again, ever later. */
static void file_failed(const struct tree *tree, struct archive_file *file, int64_t attempt_id)
{
    int64_t delay_ms = (int64_t)ARCHIVE_RETRY_MS
                       << min_int64(file->failures++, ARCHIVE_RETRY_DOUBLINGS);
    file->retry_ms = monotonic_ms(tree) + delay_ms + attempt_id % 8 * delay_ms / 32;
}

static void file_drop(struct tree *tree, struct archive_file *file)
{
    if (!file)
        return;
    file_idle(tree, file);
    HASH_DELETE(hh, tree->archive_files, file);
    free(file);
}

static int64_t expires_ms(const struct job_take *take)
{
    return take->url_expires_ms > 0 ? take->url_expires_ms
                                    : take->finished_ms + ARCHIVE_URL_LIFE_MS;
}

/* How long before the expiry a video is fetched, and no longer evicted. */
static int64_t lead_ms(const struct job_take *take)
{
    return clamp_int64((expires_ms(take) - take->finished_ms) / 4, 0, ARCHIVE_LEAD_MS);
}

static int64_t due_ms(const struct tree *tree, const struct job_take *take)
{
    if (tree->settings.archive == TREE_ARCHIVE_ALWAYS || tree->settings.objects)
        return 0;
    int64_t lead = lead_ms(take);
    uint64_t spread = (uint64_t)take->id * UINT64_C(0x9e3779b97f4a7c15) >> 33;
    return expires_ms(take) - lead + (int64_t)(spread % (uint64_t)(lead / 2 + 1));
}

int output_is_saved(struct tree *tree, struct job_take *take, enum media_kind kind)
{
    CLEANUP(output_close) struct media_item *item = NULL;
    int r = output_open(tree, take, kind, &item);
    return r < 0 ? r : media_item_is_durable(item);
}

/* True when nothing more is to be fetched of the cover: it is saved, there is none, or it cannot be
 * had. */
static bool cover_is_settled(struct tree *tree, struct job_take *take)
{
    const struct archive_file *file = file_find(tree, take->id, MEDIA_COVER);
    return take->cover_bytes < 0 || (file && file->retry_ms == INT64_MAX) ||
           output_is_saved(tree, take, MEDIA_COVER) > 0;
}

/* Nothing more is to be fetched of the video. */
static bool video_is_settled(struct tree *tree, struct job_take *take)
{
    bool is_stored = stored_is_there(tree, take) && tree->settings.archive != TREE_ARCHIVE_ALWAYS;
    return is_stored || output_is_saved(tree, take, MEDIA_VIDEO) > 0;
}

static void take_examine(struct tree *tree, struct job_take *take)
{
    bool is_fetched = video_is_settled(tree, take) && cover_is_settled(tree, take);
    bool is_unstored = tree->settings.objects && !take->is_stored;
    take->media_mark = ARCHIVE_WANTED;
    if (is_fetched)
        take->media_mark = is_unstored ? ARCHIVE_FETCHED : ARCHIVE_SAVED;
    else if (take->url_expires_ms < 0 && output_is_saved(tree, take, MEDIA_VIDEO) == 0)
        take->media_mark = ARCHIVE_SAVED; /* nothing of it can be had */
}

static int output_fetch(struct tree *tree, struct job_take *take, enum media_kind kind,
                        bool is_commanded)
{
    /* The fetch holds a reference of its own. */
    CLEANUP(output_close) struct media_item *item = NULL;
    struct archive_file *file = file_get(tree, take->id, kind);
    int r = file ? output_open(tree, take, kind, &item) : -ENOMEM;
    if (r < 0)
        return r;
    tree->archive_active += !file->is_active;
    file->is_active = true;
    file->is_commanded = file->is_commanded || is_commanded;
    r = media_item_fetch(item);
    if (r < 0)
        file_idle(tree, file);
    return r;
}

static int take_stored(struct tree *tree, struct job_take *take, const char **why)
{
    int r = jobs_video_stored(take);
    if (r < 0) {
        *why = err_sentence(r);
        return r;
    }
    media_copy_made(tree->settings.media, take->id, MEDIA_VIDEO);
    archive_take_again(tree, take);
    return 0;
}

/* While the store is away one upload at a time finds that out, not each of a thousand. */
static void uploads_hold(struct tree *tree, int result)
{
    bool is_away = err_is_network(result) || result == -ERR_OBJECT_STATUS ||
                   result == -ERR_OBJECT_REFUSED || result == -ERR_OBJECT_UNFIT;
    tree->upload_failures = is_away ? tree->upload_failures + 1 : 0;
    int64_t delay_ms = (int64_t)ARCHIVE_RETRY_MS
                       << min_int64(tree->upload_failures, ARCHIVE_HOLD_DOUBLINGS);
    tree->uploads_hold_ms = is_away ? monotonic_ms(tree) + delay_ms : 0;
}

static void upload_ended(struct tree *tree, int64_t take_id, int result, const char *why)
{
    struct job_take *take = jobs_take_get(tree->settings.jobs, take_id);
    struct archive_file *file = file_find(tree, take_id, ARCHIVE_UPLOAD);
    tree->archive_uploads--;
    if (take && result == 0)
        result = take_stored(tree, take, &why);
    uploads_hold(tree, result);
    if (!take || result == 0) {
        file_drop(tree, file);
        archive_soon(tree);
        return;
    }
    log_warn("upload.failed", "job=%s error=%s why=\"%s\"", take->job->name, err_name(result), why);
    if (file && file->failures == 0)
        jobs_upload_failed(take, why);
    if (file)
        file_failed(tree, file, take_id);
    /* What is there does not change by itself, nor does the size. */
    if (file && (result == -ERR_OBJECT_DIFFERS || result == -EFBIG))
        file->retry_ms = INT64_MAX;
    archive_soon(tree);
}

/* Puts the video, if it is on disk, into the object store. Returns how long until it has to be looked
 * at again. */
static int64_t take_upload(struct tree *tree, struct job_take *take)
{
    const struct archive_file *tried = file_find(tree, take->id, ARCHIVE_UPLOAD);
    int64_t now_ms = monotonic_ms(tree);
    int64_t from_ms = max_int64(tried ? tried->retry_ms : 0, tree->uploads_hold_ms);
    if (from_ms > now_ms)
        return min_int64(from_ms - now_ms, ARCHIVE_LOOK_MS);
    /* The end of an upload brings the next look. */
    if (tree->archive_uploads >= ARCHIVE_UPLOADS_MAX || upload_is_under_way(tree, take->id) ||
        output_is_saved(tree, take, MEDIA_VIDEO) <= 0)
        return ARCHIVE_LOOK_MS;
    /* Of what failed the file keeps the count. Without memory nothing is begun. */
    if (!file_get(tree, take->id, ARCHIVE_UPLOAD) || upload_take(tree, take, upload_ended) < 0)
        return ARCHIVE_RETRY_MS;
    tree->archive_uploads++;
    return ARCHIVE_LOOK_MS;
}

/* Returns how long until this job has to be looked at again. Starts its fetch if that is due. */
static int64_t take_fetch_due(struct tree *tree, struct job_take *take)
{
    enum media_kind kind = video_is_settled(tree, take) ? MEDIA_COVER : MEDIA_VIDEO;
    const struct archive_file *file = file_find(tree, take->id, kind);
    if (file && !file->is_active && file->retry_ms > monotonic_ms(tree))
        return file->retry_ms - monotonic_ms(tree);
    /* When an active fetch ends, that brings the next look. */
    if ((file && file->is_active) || tree->archive_active >= ARCHIVE_MAX)
        return ARCHIVE_LOOK_MS;
    log_info("archive.fetch", "job=%s kind=%d", take->job->name, (int)kind);
    int r = output_fetch(tree, take, kind, false);
    if (r < 0)
        archive_fetch_failed(tree, take->id, kind, r);
    return ARCHIVE_LOOK_MS;
}

/* The same for all that is to be done. */
static int64_t take_archive(struct tree *tree, struct job_take *take)
{
    int64_t next_ms = ARCHIVE_LOOK_MS;
    int64_t wait_ms = due_ms(tree, take) - clock_wall_ms(tree->settings.clock);
    if (wait_ms > 0)
        return wait_ms;
    if (tree->settings.objects && !take->is_stored)
        next_ms = take_upload(tree, take);
    if (take->url_expires_ms >= 0 && take->media_mark == ARCHIVE_WANTED &&
        !(video_is_settled(tree, take) && cover_is_settled(tree, take)))
        next_ms = min_int64(next_ms, take_fetch_due(tree, take));
    return next_ms;
}

/* Something can still be done: there is a URL, or an object store that lacks the video. */
static bool take_is_archivable(const struct tree *tree, const struct job_take *take)
{
    bool is_unstored = tree->settings.objects && !take->is_stored;
    return take->video_bytes >= 0 && (take->url_expires_ms >= 0 || is_unstored) &&
           take->media_mark != ARCHIVE_SAVED;
}

static void walk_begins_with(struct archive_walk *walk, const struct job *job)
{
    walk->first_id = min_int64(walk->first_id, job->id);
}

/* Looks at one take; false: the rest of the walk comes later, in *wait_ms. */
static bool archive_walk_take(struct tree *tree, struct job_take *take, unsigned *examined,
                              int64_t *wait_ms)
{
    struct archive_walk *walk = &tree->archive_walk;
    if (!take_is_archivable(tree, take))
        return true;
    if (take->media_mark == ARCHIVE_UNSEEN) {
        if ((*examined)++ == ARCHIVE_BATCH) {
            *wait_ms = ARCHIVE_BATCH_MS;
            return false;
        }
        take_examine(tree, take);
        if (!take_is_archivable(tree, take))
            return true;
    }
    walk_begins_with(walk, take->job);
    walk->next_ms = min_int64(walk->next_ms, monotonic_ms(tree) + take_archive(tree, take));
    return true;
}

/* Continues the walk. True at its end; else *wait_ms says when the next pass is. */
static bool archive_walk(struct tree *tree, int64_t *wait_ms)
{
    struct archive_walk *walk = &tree->archive_walk;
    unsigned examined = 0;
    unsigned passed = 0;
    if (walk->at_id == INT64_MAX)
        return true;
    /* The job where the walk stands may be gone by now. */
    struct job *job = jobs_get(tree->settings.jobs, walk->at_id);
    if (!job)
        job = jobs_next(tree->settings.jobs, walk->at_id);
    for (; job; job = jobs_next(tree->settings.jobs, job->id)) {
        struct job_take *take;
        walk->at_id = job->id;
        if (passed++ == ARCHIVE_PASSED) {
            *wait_ms = 0;
            return false;
        }
        LL_FOREACH (job->takes, take) {
            if (!archive_walk_take(tree, take, &examined, wait_ms))
                return false;
        }
    }
    return true;
}

static void archive_look(void *context)
{
    struct tree *tree = context;
    struct archive_walk *walk = &tree->archive_walk;
    int64_t wait_ms;
    if (!walk->is_going) {
        walk->is_going = true;
        walk->is_due_again = false;
        walk->at_id = walk->first_id;
        walk->first_id =
            INT64_MAX; /* the first job of the next walk: this walk, or an event, sets it */
        walk->next_ms = monotonic_ms(tree) + ARCHIVE_LOOK_MS;
    }
    if (archive_walk(tree, &wait_ms)) {
        walk->is_going = false;
        wait_ms = walk->is_due_again ? 0 : walk->next_ms - monotonic_ms(tree);
    }
    timer_set(tree->settings.timers, &tree->archive_timer, max_int64(wait_ms, 0), archive_look,
              tree);
}

void archive_soon(struct tree *tree)
{
    tree->archive_walk.is_due_again = true;
    if (tree->settings.archive != TREE_ARCHIVE_NEVER && tree->is_started &&
        store_write_check(tree->settings.store) == 0) /* else the host that leads archives */
        timer_set(tree->settings.timers, &tree->archive_timer, 0, archive_look, tree);
}

void archive_policy_set(struct tree *tree, enum tree_archive archive)
{
    if (archive == tree->settings.archive)
        return;
    tree->settings.archive = archive;
    tree->archive_walk.first_id = 0;
    for (struct job *job = jobs_next(tree->settings.jobs, 0); job;
         job = jobs_next(tree->settings.jobs, job->id)) {
        struct job_take *take;
        LL_FOREACH (job->takes, take) {
            if (take->is_stored) /* `always` wants it on disk, too */
                take->media_mark = ARCHIVE_UNSEEN;
        }
    }
    timer_cancel(tree->settings.timers, &tree->archive_timer);
    archive_soon(tree);
}

void archive_take_again(struct tree *tree, struct job_take *take)
{
    take->media_mark = ARCHIVE_UNSEEN;
    walk_begins_with(&tree->archive_walk, take->job);
    archive_soon(tree);
}

void archive_job_changed(struct tree *tree, struct job *job)
{
    struct job_take *take;
    LL_FOREACH (job->takes, take) {
        if (take->media_mark == ARCHIVE_UNSEEN)
            archive_take_again(tree, take);
    }
}

void archive_progress(struct tree *tree, int64_t attempt_id, enum media_kind kind,
                      int64_t cached_bytes)
{
    struct job_take *take = jobs_take_get(tree->settings.jobs, attempt_id);
    if (!take)
        return;
    int64_t size = kind == MEDIA_VIDEO ? take->video_bytes : take->cover_bytes;
    bool is_complete = cached_bytes == size;
    if (is_complete) {
        file_drop(tree, file_find(tree, attempt_id, kind));
        if (kind == MEDIA_VIDEO)
            jobs_video_saved(take);
    }
    /* It is saved now, or no longer (rotten, or evicted). */
    bool is_had = take->media_mark >= ARCHIVE_FETCHED;
    bool is_read_from_store =
        stored_is_there(tree, take) && tree->settings.archive != TREE_ARCHIVE_ALWAYS;
    if (is_complete != is_had && !(is_had && is_read_from_store))
        archive_take_again(tree, take);
}

static bool is_refusal(int r)
{
    return r == -ERR_MEDIA_GONE || r == -ERR_MEDIA_EXPIRED;
}

static void look_ended(struct tree *tree, int64_t take_id, int result, const char *why)
{
    struct job_take *take = jobs_take_get(tree->settings.jobs, take_id);
    struct archive_file *file = file_find(tree, take_id, MEDIA_VIDEO);
    tree->archive_uploads--;
    if (take && result == 0)
        result = take_stored(tree, take, &why);
    log_info("archive.looked", "job=%s error=%s", take ? take->job->name : "",
             result < 0 ? err_name(result) : "ok");
    if (result == 0)
        file_drop(tree, file);
    else if (file)
        file->is_missed = result == -ENOENT;
    archive_soon(tree);
}

/* Whether the object store has the video, or may have it: it is not gone then. One that was put there
 * by a program whose database is not here any more is found by its name, which is why it is looked for
 * before anybody says that it is gone. */
static bool take_is_elsewhere(struct tree *tree, struct job_take *take, struct archive_file *file)
{
    struct store_attempt *attempt;
    if (take->is_stored || job_take_attempt_get(take, &attempt) < 0)
        return true;
    if (attempt->stored_ms != 0) {
        /* In a store that is not named now: nothing more can be had before the next start. */
        if (file->refusals >= ARCHIVE_GONE_FAILURES)
            file->retry_ms = INT64_MAX;
        return true;
    }
    if (!tree->settings.objects || file->is_missed || file->refusals < ARCHIVE_GONE_FAILURES)
        return false;
    if (!upload_is_under_way(tree, take->id) && upload_look(tree, take, look_ended) == 0)
        tree->archive_uploads++;
    return true;
}

void archive_fetch_failed(struct tree *tree, int64_t attempt_id, enum media_kind kind, int result)
{
    struct job_take *take = jobs_take_get(tree->settings.jobs, attempt_id);
    struct archive_file *file = file_find(tree, attempt_id, kind);
    if (!take || !file) {
        file_drop(tree, file);
        return;
    }
    file_idle(tree, file);
    file->result = result;
    log_warn("archive.failed", "job=%s kind=%d error=%s", take->job->name, (int)kind,
             err_name(result));
    if (file->is_commanded)
        jobs_command_failed(take->job, "fetch", result);
    file->is_commanded = false;
    bool is_expired = clock_wall_ms(tree->settings.clock) >= expires_ms(take);
    file->refusals = is_expired && is_refusal(result) ? file->refusals + 1 : 0;
    file_failed(tree, file, take->id);
    /* What is in the object store is not gone, even if that cannot be reached. */
    bool is_elsewhere = kind == MEDIA_VIDEO && take_is_elsewhere(tree, take, file);
    if (file->refusals >= ARCHIVE_GONE_FAILURES && !is_elsewhere) {
        file->retry_ms = INT64_MAX;
        take->media_mark = ARCHIVE_UNSEEN;
        /* No byte on disk is touched. Proof that the rest cannot be had: the URL has expired, and
         * the service has responded so many times that it does not know the task, or has no new
         * URL. */
        if (kind == MEDIA_VIDEO) {
            jobs_video_gone(take, result);
            file_drop(tree, file);
        }
    }
    archive_soon(tree);
}

void archive_forget(struct tree *tree, int64_t attempt_id)
{
    file_drop(tree, file_find(tree, attempt_id, MEDIA_VIDEO));
    file_drop(tree, file_find(tree, attempt_id, MEDIA_COVER));
    file_drop(tree, file_find(tree, attempt_id, ARCHIVE_UPLOAD));
    if (upload_is_under_way(tree, attempt_id)) {
        upload_forget(tree, attempt_id);
        tree->archive_uploads--;
    }
    archive_soon(tree);
}

static unsigned failing_count(const struct tree *tree, int64_t kind)
{
    unsigned count = 0;
    for (const struct archive_file *file = tree->archive_files; file; file = file->hh.next)
        count += file->key.kind == kind && file->failures > 0 &&
                 (kind != MEDIA_VIDEO || file->retry_ms != INT64_MAX);
    return count;
}

unsigned archive_failing_count(const struct tree *tree)
{
    return failing_count(tree, MEDIA_VIDEO);
}

unsigned archive_uploads_failing_count(const struct tree *tree)
{
    return failing_count(tree, ARCHIVE_UPLOAD);
}

void archive_end(struct tree *tree)
{
    struct archive_file *file;
    struct archive_file *next;
    timer_cancel(tree->settings.timers, &tree->archive_timer);
    uploads_end(tree);
    HASH_ITER (hh, tree->archive_files, file, next) {
        file_drop(tree, file);
    }
}

/* True when evicted bytes could be fetched again by the URL, and not in a hurry. If the clock was set
 * back, it does not say how long a URL still lives. */
static bool url_is_lasting(const struct tree *tree, const struct job_take *take)
{
    int64_t now_ms = clock_wall_ms(tree->settings.clock);
    bool is_clock_right = now_ms >= take->finished_ms && now_ms >= tree->changed_ms;
    return is_clock_right && take->number > 0 && take->url_expires_ms >= 0 &&
           now_ms < expires_ms(take) - lead_ms(take);
}

static bool take_is_refetchable(const struct tree *tree, const struct job_take *take,
                                enum media_kind kind)
{
    return (kind == MEDIA_VIDEO && stored_is_there(tree, take)) || url_is_lasting(tree, take);
}

/* It is put into the object store as soon as it is on disk. */
static bool take_is_to_be_stored(const struct tree *tree, const struct job_take *take)
{
    return tree->settings.objects && tree->settings.archive != TREE_ARCHIVE_NEVER &&
           !take->is_stored;
}

/* False when the job goes on, or has gone on, with another attempt: what it has is kept, whatever
 * --archive says. */
static bool take_is_left_to_policy(const struct tree *tree, const struct job_take *take,
                                   enum media_kind kind)
{
    if (tree->settings.archive == TREE_ARCHIVE_ALWAYS)
        return false;
    if (kind == MEDIA_VIDEO && stored_is_there(tree, take))
        return true;
    if (take_is_to_be_stored(tree, take) && kind == MEDIA_VIDEO)
        return false; /* it would be fetched again for that */
    return !take->is_kept && !take->next && take->job->attempt_id == take->id;
}

/* If no job has the attempt as a take, its files were left behind by a removed job. */
bool archive_is_refetchable(struct tree *tree, int64_t attempt_id, enum media_kind kind)
{
    struct job_take *take;
    return jobs_take_find(tree->settings.jobs, attempt_id, &take) == 0 &&
           (!take || take_is_refetchable(tree, take, kind));
}

bool archive_is_evictable(struct tree *tree, int64_t attempt_id, enum media_kind kind)
{
    struct job_take *take;
    return jobs_take_find(tree->settings.jobs, attempt_id, &take) == 0 &&
           (!take ||
            (take_is_left_to_policy(tree, take, kind) && take_is_refetchable(tree, take, kind)));
}

static int take_fetch(struct tree *tree, struct job_take *take, bool is_commanded)
{
    take_examine(tree, take);
    bool is_saved = output_is_saved(tree, take, MEDIA_VIDEO) > 0;
    if (take->media_mark >= ARCHIVE_FETCHED && is_saved)
        return 0;
    walk_begins_with(&tree->archive_walk, take->job);
    enum media_kind kind = is_saved ? MEDIA_COVER : MEDIA_VIDEO;
    int r = output_fetch(tree, take, kind, is_commanded);
    if (r == 0 && kind == MEDIA_VIDEO && take->cover_bytes >= 0)
        r = output_fetch(tree, take, MEDIA_COVER, false);
    return r;
}

int archive_fetch(struct tree *tree, struct job_take *take, const char **why)
{
    int r = take_fetch(tree, take, true);
    if (r < 0)
        *why = err_sentence(r);
    return r;
}

int archive_save(struct tree *tree, struct job_take *take, const char **why)
{
    static char text[256];
    if (stored_is_there(tree, take))
        return 0;
    take->is_kept = true; /* or the cache would let it go as soon as it is there */
    if (output_is_saved(tree, take, MEDIA_VIDEO) > 0)
        return 0;
    if (take->url_expires_ms < 0)
        return 0; /* there is nothing more to be had */
    const struct archive_file *file = file_find(tree, take->id, MEDIA_VIDEO);
    int result = file && !file->is_active ? file->result : 0;
    int r = take_fetch(tree, take, false);
    result = r < 0 ? r : result;
    if (result < 0) {
        (void)snprintf(text, sizeof(text),
                       "the present video cannot be saved first, so that it could be lost: %s. It "
                       "is tried again. A new job with the same prompt does not touch this one.",
                       err_sentence(result));
        *why = text;
    }
    return -EBUSY;
}

int archive_evict(struct tree *tree, struct job_take *take, const char **why)
{
    bool is_kept = tree->settings.archive == TREE_ARCHIVE_ALWAYS;
    if (!is_kept && take_is_to_be_stored(tree, take)) {
        *why = "it is not in the object store yet.";
        return -EINVAL;
    }
    if (is_kept || !take_is_refetchable(tree, take, MEDIA_VIDEO)) {
        *why = is_kept
                   ? "--archive=always keeps every video."
                   : "its bytes could not be fetched again: the URL of the video has expired, or "
                     "is about to.";
        return -EINVAL;
    }
    int result = 0;
    take->is_kept = false;
    for (int kind = MEDIA_VIDEO; kind <= MEDIA_COVER && result == 0; kind++) {
        CLEANUP(output_close) struct media_item *item = NULL;
        if (kind == MEDIA_COVER && (take->cover_bytes < 0 || !url_is_lasting(tree, take)))
            continue;
        result = output_open(tree, take, (enum media_kind)kind, &item);
        /* Proof: the user said `evict`, the bytes can be fetched again (asked above), and nobody
         * reads them. */
        if (result == 0)
            result = media_item_evict(item);
    }
    archive_take_again(tree, take);
    if (result < 0)
        *why =
            result == -EBUSY ? "it is being read or fetched at this moment." : err_sentence(result);
    return result;
}
