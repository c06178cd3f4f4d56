/*
 * The connection between jobs and their media. The job layer knows attempts and URLs, the media
 * layer knows bytes, and neither knows the other. When a job's video is finished, its size is
 * probed, and then the cover's. When a URL has expired, the job is asked for a new one. Everybody
 * else who has to hear of an event is told from here.
 */
#include "tree_private.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/number.h"

#include <limits.h>
#include <stdio.h>

enum {
    PROBE_AGAIN_MS = 30 * 1000,
    CHANGES_MAX = 5,         /* after this many versions the media host is asked no more */
    CHANGED_AGAIN_MS = 1000, /* after the 2nd version, doubled with each; after the 1st at once */
};

static struct tree *tree_of(void *context)
{
    return *(struct tree **)context;
}

static int output_probe(struct tree *tree, struct job_take *take, enum media_kind kind)
{
    /* The probe holds a reference of its own. */
    CLEANUP(output_close) struct media_item *item = NULL;
    int r = output_open(tree, take, kind, &item);
    return r < 0 ? r : media_item_probe(item);
}

static void on_change(void *context, struct job *job)
{
    struct tree *tree = tree_of(context);
    if (!tree)
        return;
    tree->changed_ms = max_int64(tree->changed_ms, job->updated_ms);
    views_job_changed(tree, job);
    index_changed(tree);
    archive_job_changed(tree, job);
    frames_job_changed(tree, job);
    change_event_job_changed(tree, job);
    watch_changed(tree, job);
}

static void on_made(void *context, struct job *job)
{
    if (tree_of(context))
        change_event_directory_implied(job); /* on_change tells of it */
}

static void on_renamed(void *context, struct job *job, const char *old_name)
{
    struct tree *tree = tree_of(context);
    if (!tree)
        return;
    change_event_directory_gone(tree, old_name);
    change_event_directory_made_elsewhere(tree, job);
    job_was_renamed(tree, job, old_name);
}

static void on_removed(void *context, struct job *job)
{
    struct tree *tree = tree_of(context);
    if (!tree || job->is_assets)
        return;
    job_was_removed(tree, job);
    change_event_directory_gone(tree, job->name);
}

static void on_file(void *context, const struct job *job, const char *name,
                    enum job_file_change change)
{
    struct tree *tree = tree_of(context);
    if (!tree)
        return;
    index_changed(tree); /* if it is a prompt, its mode says who may see its words */
    change_event_file(tree, job, name, change);
}

static void on_video(void *context, struct job_take *take)
{
    struct tree *tree = tree_of(context);
    int r = output_probe(tree, take, MEDIA_VIDEO);
    if (r < 0)
        jobs_video_failed(take, r);
}

static void on_url(void *context, struct job_take *take, int result)
{
    struct tree *tree = tree_of(context);
    struct store_attempt *attempt = NULL;
    int64_t id = take->id;
    if (result == 0)
        result = job_take_attempt_get(take, &attempt);
    for (int kind = MEDIA_VIDEO; kind <= MEDIA_COVER; kind++) {
        const char *url = result < 0            ? NULL
                          : kind == MEDIA_VIDEO ? attempt->video_url
                                                : attempt->cover_url;
        if (url)
            media_url_set(tree->settings.media, id, (enum media_kind)kind, url,
                          attempt->url_expires_ms ? attempt->url_expires_ms : -1);
        else
            media_url_failed(tree->settings.media, id, (enum media_kind)kind,
                             result < 0 ? result : -ERR_MEDIA_GONE);
    }
    if (result == 0)
        archive_take_again(tree, take);
    /* The user has asked: only `refresh` fetches a URL for a video whose size is not known. */
    if (result == 0 && take->number > 0 && take->video_bytes < 0 && take->video_changes == 0)
        on_video(context, take);
}

static void on_media_unwanted(void *context, int64_t attempt_id)
{
    struct tree *tree = tree_of(context);
    archive_forget(tree, attempt_id);
    frames_forget(tree, attempt_id);
    removed_video(tree, attempt_id);
}

static void probe_again(void *context);

/* Asks for the size again, after `delay_ms` at the earliest. */
static void probe_later(struct tree **slot, struct job_take *take, int64_t delay_ms)
{
    struct tree *tree = *slot;
    struct timer *timer = &tree->probe_timer;
    int64_t due_ms = clock_monotonic_ms(tree->settings.clock) + delay_ms;
    take->probe_s = (uint32_t)(due_ms / 1000);
    if (!timer_is_set(timer) || timer->due_ms > due_ms)
        timer_set(tree->settings.timers, timer, delay_ms, probe_again, slot);
}

/* Another video is at the URL now, and its size is needed. A host that shows another video each
 * time would be asked for ever, and everything it sends thrown away. */
static void video_changed(struct tree **slot, struct job_take *take)
{
    if (take->video_changes < CHANGES_MAX)
        take->video_changes++;
    if (take->video_changes >= CHANGES_MAX)
        jobs_video_unsteady(take);
    else if (take->video_changes == 1)
        on_video(slot, take);
    else
        probe_later(slot, take, (int64_t)CHANGED_AGAIN_MS << (take->video_changes - 2));
}

static void request_url(void *context, int64_t id, enum media_kind kind)
{
    struct tree *tree = tree_of(context);
    struct job_take *take;
    int r = jobs_take_find(tree->settings.jobs, id, &take);
    if (r == 0 && take)
        jobs_url_refresh(take);
    else
        media_url_failed(tree->settings.media, id, kind,
                         r < 0 && r != -ENOENT ? r : -ERR_MEDIA_GONE);
}

static void on_record(void *context, const struct media_record *record)
{
    struct tree *tree = tree_of(context);
    struct job_take *take = jobs_take_get(tree->settings.jobs, record->id);
    if (!take)
        return;
    struct job_media_size size = {record->size, record->etag};
    CLEANUP(job_drop) struct job *held UNUSED = job_ref(take->job);
    archive_take_again(tree, take);
    if (record->kind == MEDIA_COVER) {
        jobs_cover_set(take, &size);
    } else {
        bool was_known = take->video_bytes >= 0;
        jobs_video_set(take, &size);
        struct store_attempt *attempt;
        if (record->size < 0) {
            /* Proof: these are pictures of a video that nobody will see any more. */
            frames_forget(tree, record->id);
            frames_remove(tree, record->id);
            video_changed(context, take);
        }
        if (record->size >= 0 && !was_known && job_take_attempt_get(take, &attempt) == 0 &&
            attempt->cover_url && attempt->cover_bytes < 0 &&
            output_probe(tree, take, MEDIA_COVER) < 0)
            log_warn("cover.unprobed", "job=%s", take->job->name);
    }
}

/* Probes every take whose size is not known. */
static void probe_again(void *context)
{
    struct tree **slot = context;
    struct job_take *take;
    int64_t now_ms = clock_monotonic_ms((*slot)->settings.clock);
    for (struct job *job = jobs_next((*slot)->settings.jobs, 0); job;
         job = jobs_next((*slot)->settings.jobs, job->id)) {
        LL_FOREACH (job->takes, take) {
            if (take->video_bytes >= 0 || take->video_changes >= CHANGES_MAX)
                continue;
            if (take->probe_s > now_ms / 1000)
                probe_later(slot, take, (int64_t)take->probe_s * 1000 - now_ms);
            else
                on_video(slot, take);
        }
    }
}

static void on_probe_failed(void *context, int64_t id, enum media_kind kind, int result)
{
    struct tree **slot = context;
    struct job_take *take = jobs_take_get((*slot)->settings.jobs, id);
    log_warn("probe.failed", "attempt=%lld kind=%d error=%s", (long long)id, (int)kind,
             err_name(result));
    if (!take || kind == MEDIA_COVER)
        return;
    jobs_video_failed(take, result);
    /* A video that the service no longer has will not come back. */
    if (result != -ERR_MEDIA_GONE)
        probe_later(slot, take, PROBE_AGAIN_MS);
}

static void on_progress(void *context, int64_t id, enum media_kind kind, int64_t cached_bytes)
{
    struct tree *tree = tree_of(context);
    struct job_take *take = jobs_take_get(tree->settings.jobs, id);
    if (take && kind == MEDIA_VIDEO && cached_bytes == take->video_bytes)
        take->video_changes = 0;
    archive_progress(tree, id, kind, cached_bytes);
    if (!take)
        return;
    if (kind == MEDIA_VIDEO && cached_bytes == take->video_bytes)
        frames_video_saved(tree, take);
    watch_changed(tree, take->job);
    change_event_media_fetched(tree, take->job);
}

static void on_fetch_failed(void *context, int64_t id, enum media_kind kind, int result)
{
    archive_fetch_failed(tree_of(context), id, kind, result);
}

static bool is_evictable(void *context, int64_t id, enum media_kind kind)
{
    return archive_is_evictable(tree_of(context), id, kind);
}

static bool is_refetchable(void *context, int64_t id, enum media_kind kind)
{
    return archive_is_refetchable(tree_of(context), id, kind);
}

static int copy_url(void *context, int64_t id, enum media_kind kind UNUSED, struct buf *out)
{
    struct tree *tree = tree_of(context);
    return stored_url_get(tree, jobs_take_get(tree->settings.jobs, id), false, out);
}

/* A cover image that cannot be read is no error. */
static void on_damage(void *context, const struct media_damage *damage)
{
    struct tree *tree = tree_of(context);
    struct job_take *take = jobs_take_get(tree->settings.jobs, damage->id);
    char path[PATH_MAX];
    char name[32];
    (void)snprintf(name, sizeof(name), "%lld.mp4", (long long)damage->id);
    (void)snprintf(path, sizeof(path), "%s/media/%s", tree->settings.data_directory,
                   damage->kept ? damage->kept : name);
    log_error("media.damage", "attempt=%lld kind=%d path=\"%s\" bytes=%lld", (long long)damage->id,
              (int)damage->kind, path, (long long)damage->bytes);
    struct job_video_damage shown = {.path = path,
                                     .is_kept = damage->kept != NULL,
                                     .offset = damage->offset,
                                     .bytes = damage->bytes};
    if (take && damage->kind == MEDIA_VIDEO)
        jobs_video_damaged(take, &shown);
}

static int on_fetch(void *context, struct job_take *take, const char **why)
{
    return archive_fetch(tree_of(context), take, why);
}

static int on_evict(void *context, struct job_take *take, const char **why)
{
    return archive_evict(tree_of(context), take, why);
}

static int on_save(void *context, struct job_take *take, const char **why)
{
    return archive_save(tree_of(context), take, why);
}

static bool is_video_whole(void *context, int64_t attempt_id)
{
    return removed_video_is_whole(tree_of(context), attempt_id);
}

static int on_video_path(void *context, struct job_take *take, struct buf *out)
{
    const struct tree *tree = tree_of(context);
    int r = output_is_saved(tree_of(context), take, MEDIA_VIDEO);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    return buf_addf(out, "%s/media/%lld.mp4", tree->settings.data_directory, (long long)take->id);
}

static int on_frame(void *context, struct job_take *take, enum job_frame frame, const char **why)
{
    return frame_order(tree_of(context), take, frame, why);
}

static int on_frame_read(void *context, struct job_take *take, enum job_frame frame,
                         size_t max_bytes, struct buf *out)
{
    return frame_read(tree_of(context), take, frame, max_bytes, out);
}

static bool has_objects(void *context)
{
    const struct tree *tree = tree_of(context);
    return tree->settings.objects && tree->settings.is_store_public;
}

static void file_uploaded(struct tree *tree, int64_t kept_id, int result, const char *text)
{
    jobs_uploaded(tree->settings.jobs, kept_id, result, text);
}

static int on_upload(void *context, int64_t kept_id, int fd)
{
    return upload_file(tree_of(context), kept_id, fd, file_uploaded);
}

static int on_stored_url(void *context, struct job_take *take, struct buf *out)
{
    if (!has_objects(context))
        return -ENOENT;
    return stored_url_get(tree_of(context), take, true, out);
}

static bool has_frames(void *context)
{
    return frames_can_be_made(tree_of(context));
}

void tree_job_hooks_fill(struct tree **slot, struct job_hooks *hooks)
{
    hooks->context = slot;
    hooks->on_change = on_change;
    hooks->on_made = on_made;
    hooks->on_renamed = on_renamed;
    hooks->on_removed = on_removed;
    hooks->on_file = on_file;
    hooks->on_video = on_video;
    hooks->on_url = on_url;
    hooks->on_media_unwanted = on_media_unwanted;
    hooks->on_fetch = on_fetch;
    hooks->on_evict = on_evict;
    hooks->on_save = on_save;
    hooks->is_video_whole = is_video_whole;
    hooks->on_video_path = on_video_path;
    hooks->on_frame = on_frame;
    hooks->on_frame_read = on_frame_read;
    hooks->has_frames = has_frames;
    hooks->has_objects = has_objects;
    hooks->on_upload = on_upload;
    hooks->on_stored_url = on_stored_url;
}

void tree_media_hooks_fill(struct tree **slot, struct media_hooks *hooks)
{
    hooks->context = slot;
    hooks->request_url = request_url;
    hooks->on_record = on_record;
    hooks->on_progress = on_progress;
    hooks->is_evictable = is_evictable;
    hooks->is_refetchable = is_refetchable;
    hooks->copy_url = copy_url;
    hooks->on_damage = on_damage;
    hooks->on_probe_failed = on_probe_failed;
    hooks->on_fetch_failed = on_fetch_failed;
}
