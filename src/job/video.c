/*
 * What the media layer has learned about a finished video. The layer above passes it on.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether `error` and the reason tell of this take. While another attempt is under way, or has ended
 * without a video, they tell of that one. */
static bool is_shown(const struct job_take *take)
{
    const struct job *job = take->job;
    return take == job->sizing || (take == job->picked && job->state == JOB_SUCCEEDED);
}

/* What is wrong with a video stays with its take, so that it is told again when the take is picked
 * again. A text about damage says more than any other one. */
static bool is_damage_told(const struct store_attempt *attempt)
{
    return attempt->take_problem && job_take_problem_code(attempt) == -ERR_MEDIA_DAMAGED;
}

PRINTF_LIKE(3, 4)
static void problem_tell(struct job_take *take, struct store_attempt *attempt, const char *format,
                         ...)
{
    CLEANUP(buf_fini) struct buf text = {.limit = 64 * 1024};
    va_list arguments;
    va_start(arguments, format);
    (void)buf_addv(&text, format, arguments);
    va_end(arguments);
    job_text_clear(&attempt->take_problem);
    attempt->take_problem = text.error ? NULL : buf_take(&text);
    if (is_shown(take) && attempt->take_problem)
        job_problem_set(take->job->detail, job_take_problem_code(attempt), "%s",
                        attempt->take_problem);
}

/* Called only once the opposite of the message is known: a new address, the size that the service
 * states, or a copy on disk that is whole again. No bytes are removed. */
static void problem_forget(struct job_take *take, struct store_attempt *attempt)
{
    job_text_clear(&attempt->take_problem);
    if (is_shown(take))
        job_problem_clear(take->job->detail);
}

static int size_copy(const struct job_media_size *from, int64_t *bytes, char **etag)
{
    int r = job_text_set(etag, from->etag && *from->etag ? from->etag : NULL);
    if (r == 0)
        *bytes = from->size;
    return r;
}

int job_take_urls_set(struct job_take *take, struct store_attempt *attempt,
                      const struct api_task *task)
{
    int r = job_text_set(&attempt->video_url, task->video_url);
    if (r == 0)
        r = job_text_set(&attempt->cover_url, task->cover_image_url);
    int64_t expires_ms = api_url_expires_at_ms(task->video_url);
    attempt->url_expires_ms = expires_ms > 0 ? expires_ms : 0;
    take->url_expires_ms = attempt->video_url ? attempt->url_expires_ms : -1;
    /* The video was believed to be gone, but it is there. */
    if (take->video_bytes >= 0 && !is_damage_told(attempt))
        problem_forget(take, attempt);
    return r;
}

/* Saves a change of the take's attempt. What is learned of an attempt that is no longer the job's
 * can be learned again, so that it is not tried again when the store refuses it. */
void job_take_persist(struct job_take *take, const char *note)
{
    struct job *job = take->job;
    struct store *store = job->jobs->settings.store;
    struct store_attempt *attempt;
    if (take->id == job->attempt_id) {
        job_persist(job, note);
        return;
    }
    int r = job_take_attempt_get(take, &attempt);
    if (r == 0)
        r = store_begin(store, STORE_LAZY);
    if (r == 0) {
        r = store_attempt_update(store, attempt);
        if (r == 0 && note)
            r = store_history_add(store, job->id, jobs_wall_ms(job->jobs), note);
        r = store_end(store, r);
    }
    if (r < 0)
        log_error("store.unsaved", "job=%s take=%lld error=%s", job->name, (long long)take->number,
                  err_name(r));
    jobs_changed(job);
}

/* A store_remove_fn: the user removes names of a take, perhaps with the whole job and to make room. */
static int hidden_save(void *context)
{
    const struct job_take *take = context;
    struct store *store = take->job->jobs->settings.store;
    struct store_attempt *attempt;
    int r = job_take_attempt_get(context, &attempt);
    if (r == 0)
        r = store_begin(store, STORE_LAZY);
    return r < 0 ? r : store_end(store, store_attempt_update(store, attempt));
}

int job_take_hidden_set(struct job_take *take, unsigned hidden)
{
    struct job *job = take->job;
    struct store_attempt *attempt;
    int64_t before = take->hidden;
    if (hidden == take->hidden)
        return 0;
    int r = job_take_attempt_get(take, &attempt);
    if (r < 0)
        return r;
    r = job_save_again(job); /* a row is saved as a whole */
    attempt->take_hidden = hidden;
    if (r == 0)
        r = store_remove(job->jobs->settings.store, hidden_save, take);
    /* A full disk does not keep anybody from removing: until the next start the name is hidden. */
    bool is_kept_in_mind = r == -ENOSPC && hidden != 0;
    if (r < 0 && !is_kept_in_mind) {
        attempt->take_hidden = before;
        return r;
    }
    take->hidden = (unsigned char)hidden;
    jobs_changed(job);
    return 0;
}

static void job_video_again(void *context)
{
    struct job *job = context;
    const struct job_hooks *hooks = &job->jobs->settings.hooks;
    if (hooks->on_video && job->sizing)
        hooks->on_video(hooks->context, job->sizing);
}

void jobs_video_set(struct job_take *take, const struct job_media_size *video)
{
    struct job *job = take->job;
    struct store_attempt *attempt;
    int r = job_take_attempt_get(take, &attempt);
    if (r == 0)
        r = size_copy(video, &attempt->video_bytes, &attempt->video_etag);
    if (r < 0) {
        log_error("memory.refused", "job=%s", job->name);
        if (take == job->sizing && job->detail)
            timer_set(job->jobs->settings.timers, &job->detail->timer, JOB_SAVE_AGAIN_MS,
                      job_video_again, job);
        return;
    }
    if (take == job->sizing) {
        job_to_succeeded(job);
        return;
    }
    take->video_bytes = video->size;
    if (!is_damage_told(attempt))
        problem_forget(take, attempt);
    if (is_shown(take))
        job_text_clear(&job->detail->reason);
    job_take_persist(take, NULL);
}

void jobs_cover_set(struct job_take *take, const struct job_media_size *cover)
{
    struct store_attempt *attempt;
    if (job_take_attempt_get(take, &attempt) < 0 ||
        size_copy(cover, &attempt->cover_bytes, &attempt->cover_etag) < 0) {
        log_error("memory.refused", "job=%s", take->job->name);
        return;
    }
    if (take == take->job->sizing)
        return; /* it is stored with the video */
    take->cover_bytes = cover->size;
    job_take_persist(take, NULL);
}

void jobs_frame_done(struct job_take *take, enum job_frame frame, int result)
{
    jobs_prepared(take->job->jobs,
                  frame == JOB_FIRST_FRAME ? PREPARE_FIRST_FRAME : PREPARE_LAST_FRAME, take->id,
                  result);
}

void jobs_video_failed(struct job_take *take, int result)
{
    struct job *job = take->job;
    struct store_attempt *attempt;
    char instead[64] = "";
    if (job_take_attempt_get(take, &attempt) < 0)
        return;
    const struct job_take *other;
    LL_FOREACH (job->takes, other) {
        if (other != take && other->video_bytes >= 0)
            (void)snprintf(instead, sizeof(instead), " Until then it is take %lld.",
                           (long long)other->number);
    }
    if (!is_damage_told(attempt))
        problem_tell(
            take, attempt,
            "The video is finished, but its size cannot be found out: %s.\n"
            "seedancefs asks again until the URL expires; output.mp4 appears as soon as that "
            "succeeds.%s output.url holds the address for other programs.\n",
            err_sentence(result), instead);
    if (is_shown(take))
        job_reason_set(job->detail, result, "The media server does not respond as it should: %s.",
                       err_sentence(result));
    if (take == job->sizing)
        job_to_succeeded(job);
    else
        job_take_persist(take, NULL);
}

void jobs_video_unsteady(struct job_take *take)
{
    struct store_attempt *attempt;
    if (job_take_attempt_get(take, &attempt) < 0)
        return;
    if (!is_damage_told(attempt))
        problem_tell(
            take, attempt,
            "The media server shows another video at each request, %d times so far, so that the "
            "parts do not fit together.\n"
            "seedancefs does not ask any more. Write `refresh` or `fetch` into ctl to try again. "
            "output.url holds the address for other programs.\n",
            (int)take->video_changes);
    if (is_shown(take))
        job_reason_set(take->job->detail, -ERR_MEDIA_CHANGED,
                       "The media server shows another video at each request.");
    job_take_persist(take, NULL);
}

void jobs_video_gone(struct job_take *take, int result)
{
    struct store_attempt *attempt;
    char note[64] = "the video is gone";
    if (job_take_attempt_get(take, &attempt) < 0)
        return;
    take->job->jobs->counts.videos_lost++;
    job_text_clear(&attempt->video_url);
    job_text_clear(&attempt->cover_url);
    take->url_expires_ms = -1;
    if (!is_damage_told(attempt))
        problem_tell(
            take, attempt,
            "The video is gone: %s.\nIts URL expired before the whole of it was on disk; the "
            "service keeps videos for a day. What is on disk can still be read. Write `take` into "
            "ctl for a new, paid video.\n",
            err_sentence(result));
    if (take->job->takes && take->job->takes->next)
        (void)snprintf(note, sizeof(note), "the video of take %lld is gone",
                       (long long)take->number);
    job_take_persist(take, note);
}

void jobs_video_damaged(struct job_take *take, const struct job_video_damage *damage)
{
    struct store_attempt *attempt;
    char note[PATH_MAX + 64];
    if (job_take_attempt_get(take, &attempt) < 0)
        return;
    CLEANUP_FREE char *before = TAKE_POINTER(attempt->take_problem);
    if (damage->is_kept)
        problem_tell(
            take, attempt,
            "The video on disk cannot be used: the list of its checksums is missing or damaged, "
            "or it is another version.\n"
            "Nothing was deleted: the file is now %s, and may be complete. Check whether it "
            "plays, and copy it to a place of your own: it is removed with this job. seedancefs "
            "asks the service for the video once more. Write `take` into ctl for a new, paid "
            "video.\n",
            damage->path);
    else
        problem_tell(
            take, attempt,
            "The video on disk is damaged: %lld bytes do not match their checksums, the first of "
            "them at %lld.\n"
            "Reading them fails (EIO); all others can be read, with\n"
            "dd if=output.mp4 of=COPY bs=64K conv=noerror,sync\n"
            "Nothing was deleted: the file is %s. seedancefs asks the service for the missing "
            "part once more. If you have a copy of the video, keep it; write `take` into ctl for "
            "a new, paid video.\n",
            (long long)damage->bytes, (long long)damage->offset, damage->path);
    /* Each run of the program finds the damage again, but only the first one notes it. */
    if (before && attempt->take_problem && strcmp(before, attempt->take_problem) == 0)
        return;
    take->job->jobs->counts.videos_damaged++;
    (void)snprintf(note, sizeof(note), "the video on disk is damaged: see %s", damage->path);
    job_take_persist(take, note);
}

void jobs_video_saved(struct job_take *take)
{
    struct store_attempt *attempt;
    if (take->number == 0 || job_take_attempt_get(take, &attempt) < 0)
        return;
    if (!attempt->take_problem && !(is_shown(take) && take->job->has_problem))
        return;
    problem_forget(take, attempt);
    job_take_persist(take, NULL);
}

void jobs_upload_failed(struct job_take *take, const char *why)
{
    struct store_attempt *attempt;
    CLEANUP(buf_fini) struct buf note = {.limit = 1024};
    if (job_take_attempt_get(take, &attempt) == 0 &&
        buf_addf(&note, "the video cannot be put into the object store: %s", why) == 0)
        job_take_persist(take, buf_text(&note));
}

static int stored_save(struct job *job, const struct store_attempt *attempt)
{
    struct store *store = job->jobs->settings.store;
    int r = job_save_again(job); /* a row is saved as a whole */
    if (r == 0)
        r = store_begin(store, STORE_DURABLE);
    if (r < 0)
        return r;
    r = store_attempt_update(store, attempt);
    if (r == 0)
        r = store_history_add(store, job->id, jobs_wall_ms(job->jobs),
                              "the video is in the object store");
    return store_end(store, r);
}

/* Durable before anybody may evict what is on disk. */
int jobs_video_stored(struct job_take *take)
{
    struct job *job = take->job;
    struct store_attempt *attempt;
    int r = job_take_attempt_get(take, &attempt);
    if (r < 0)
        return r;
    char *place = strdup(job->jobs->settings.object_store);
    if (!place)
        return -ENOMEM;
    struct store_attempt changed = *attempt;
    changed.stored_ms = jobs_wall_ms(job->jobs);
    changed.stored_in = place;
    r = stored_save(job, &changed);
    if (r < 0) {
        free(place);
        return r;
    }
    free(attempt->stored_in);
    attempt->stored_ms = changed.stored_ms;
    attempt->stored_in = place;
    take->is_stored = true;
    jobs_changed(job);
    return 0;
}

void jobs_command_failed(struct job *job, const char *command, int result)
{
    struct job_detail *detail;
    if (job_detail_get(job, &detail) == 0)
        job_ctl_fail(job, command, err_sentence(result));
}
