/*
 * The videos of removed jobs. `rm -r` of the wrong directory must not cost what was paid for it: a
 * video that is wholly on disk stays there for a week, out of sight, and `adopt` with its task id
 * brings it back. It goes at once when the disk has little room, and before all others when the
 * cache needs room.
 */
#include "tree_private.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/number.h"

#include <sys/statvfs.h>

enum {
    LOOK_MS = 60 * 60 * 1000,
    LOOK_FIRST_MS = 10 * 60 * 1000, /* the clock of a machine may be set late */
    BATCH = 64,                     /* videos that go in one pass of the loop */
    BATCH_MS = 20,
    ROOM_PARTS = 10, /* a tenth of the disk is free */
};
#define KEPT_MS (INT64_C(7) * 24 * 60 * 60 * 1000)
/* Of the numbers: the videos of jobs that were removed until then are gone. */
#define UNTIL_NAME "removed_videos_until_ms"

static bool has_room(const struct tree *tree)
{
    struct statvfs disk;
    return fstatvfs(tree->settings.directory_fd, &disk) < 0 ||
           disk.f_bavail >= disk.f_blocks / ROOM_PARTS;
}

/* Proof: the job layer calls this for takes of jobs that the user has removed by rmdir, durably;
 * ids are never used again. */
static void video_remove(const struct tree *tree, int64_t attempt_id)
{
    media_remove(tree->settings.media, attempt_id, MEDIA_VIDEO);
    media_remove(tree->settings.media, attempt_id, MEDIA_COVER);
    frames_remove(tree, attempt_id);
}

struct removal {
    struct tree *tree;
    size_t count;
    int64_t last_ms; /* of the jobs that are done */
};

static bool take_remove(void *context, int64_t attempt_id, int64_t removed_ms)
{
    struct removal *removal = context;
    struct job_take *take;
    if (removal->count >= BATCH && removed_ms != removal->last_ms)
        return false;
    removal->count++;
    removal->last_ms = removed_ms;
    /* Proof, once more: no job has it, and that is certain. */
    if (jobs_take_find(removal->tree->settings.jobs, attempt_id, &take) == 0 && !take)
        video_remove(removal->tree, attempt_id);
    return true;
}

/* 1: on disk, and complete; 0: not so; -errno: that is not known. */
static int video_is_whole(struct tree *tree, int64_t attempt_id)
{
    struct store_attempt attempt = {0};
    struct media_item *item;
    int r = store_attempt_get(tree->settings.store, attempt_id, &attempt);
    if (r < 0)
        return r;
    struct media_record record = {.id = attempt_id,
                                  .kind = MEDIA_VIDEO,
                                  .size = attempt.video_bytes,
                                  .etag = attempt.video_etag,
                                  .url_expires_ms = -1};
    if (attempt.video_bytes >= 0)
        r = media_item_open(tree->settings.media, &record, &item);
    if (r == 0 && attempt.video_bytes >= 0) {
        r = media_item_is_durable(item) ? 1 : media_item_cached_bytes(item) < 0 ? -EIO : 0;
        media_item_close(item);
    }
    store_attempt_fini(&attempt);
    return r;
}

static bool video_is_stored(const struct tree *tree, int64_t attempt_id)
{
    CLEANUP(store_attempt_fini) struct store_attempt attempt = {0};
    return store_attempt_get(tree->settings.store, attempt_id, &attempt) == 0 &&
           jobs_attempt_is_stored(tree->settings.jobs, &attempt);
}

bool removed_video_is_whole(struct tree *tree, int64_t attempt_id)
{
    if (video_is_stored(tree, attempt_id))
        return true;
    return video_is_whole(tree, attempt_id) != 0; /* what is not known is not given up */
}

void removed_video(struct tree *tree, int64_t attempt_id)
{
    int whole = video_is_whole(tree, attempt_id);
    /* On a full disk the user's rmdir alone decides, also when the state is not known. */
    if (!has_room(tree) || whole == 0) {
        video_remove(tree, attempt_id);
    } else if (whole > 0) {
        media_release(tree->settings.media, attempt_id, MEDIA_VIDEO);
        media_release(tree->settings.media, attempt_id, MEDIA_COVER);
    }
}

static int until_save(struct store *store, int64_t until_ms)
{
    int r = store_begin(store, STORE_LAZY);
    return r < 0 ? r : store_end(store, store_number_set(store, UNTIL_NAME, until_ms));
}

static void removed_look(void *context)
{
    struct tree *tree = context;
    struct store *store = tree->settings.store;
    struct removal removal = {.tree = tree};
    int64_t now_ms = clock_wall_ms(tree->settings.clock);
    int64_t until_ms = has_room(tree) ? now_ms - KEPT_MS : now_ms;
    int64_t after_ms = 0;
    int64_t restored_ms = 0;
    int r = store_number_get(store, UNTIL_NAME, &after_ms);
    if (r == 0)
        r = store_number_get(store, "restored_ms", &restored_ms);
    /* What an older database calls removed may have come back since. */
    bool is_certain = restored_ms == 0 || now_ms - restored_ms > KEPT_MS;
    if (r == 0 && is_certain)
        r = store_removed_each(store, min_int64(after_ms, now_ms), until_ms, take_remove, &removal);
    if (r == 0 && removal.count > 0)
        r = until_save(store, removal.last_ms);
    if (r < 0)
        log_warn("removed.kept", "error=%s", err_name(r));
    timer_set(tree->settings.timers, &tree->removed_timer,
              r == 0 && removal.count >= BATCH ? BATCH_MS : LOOK_MS, removed_look, tree);
}

void removed_begin(struct tree *tree)
{
    timer_set(tree->settings.timers, &tree->removed_timer, LOOK_FIRST_MS, removed_look, tree);
}

void removed_end(struct tree *tree)
{
    timer_cancel(tree->settings.timers, &tree->removed_timer);
}
