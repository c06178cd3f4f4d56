/*
 * What the media layer has learned about a finished video. The layer above passes it on.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"

#include <limits.h>
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
    struct job *job = take->job;
    /* The video was believed to be gone, but it is there. */
    if (is_shown(take) && take->video_bytes >= 0 && !job->is_damage_shown)
        job_problem_clear(job->detail);
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

int job_take_hidden_set(struct job_take *take, unsigned hidden)
{
    struct job *job = take->job;
    struct store *store = job->jobs->settings.store;
    struct store_attempt *attempt;
    int64_t before = take->hidden;
    if (hidden == take->hidden)
        return 0;
    int r = job_take_attempt_get(take, &attempt);
    if (r == 0)
        r = job_save_again(job); /* a row is saved as a whole */
    if (r == 0)
        r = store_begin(store, STORE_LAZY);
    if (r < 0)
        return r;
    attempt->take_hidden = hidden;
    r = store_end(store, store_attempt_update(store, attempt));
    if (r < 0)
        attempt->take_hidden = before;
    take->hidden = (unsigned char)attempt->take_hidden;
    if (r == 0)
        jobs_changed(job);
    return r;
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
    if (is_shown(take) && !job->is_damage_shown)
        job_problem_clear(job->detail);
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

void jobs_video_failed(struct job_take *take, int result)
{
    struct job *job = take->job;
    struct job_detail *detail;
    if (job_detail_get(job, &detail) < 0)
        return;
    /* A text about damage says more than this one, here and below. */
    if (is_shown(take) && !job->is_damage_shown)
        job_problem_set(
            detail,
            "The video is finished, but its size cannot be found out: %s.\n"
            "seedancefs asks again until the URL expires; output.mp4 appears as soon as that "
            "succeeds. output.url holds the address for other programs.\n",
            err_sentence(result));
    if (is_shown(take))
        job_reason_set(detail, "The media server does not respond as it should: %s.",
                       err_sentence(result));
    if (take == job->sizing)
        job_to_succeeded(job);
    else
        job_take_persist(take, NULL);
}

void jobs_video_unsteady(struct job_take *take)
{
    struct job *job = take->job;
    struct job_detail *detail;
    if (!is_shown(take) || job_detail_get(job, &detail) < 0)
        return;
    if (!job->is_damage_shown)
        job_problem_set(
            detail,
            "The media server shows another video at each request, %d times so far, so that the "
            "parts do not fit together.\n"
            "seedancefs does not ask any more. Write `refresh` or `fetch` into ctl to try again. "
            "output.url holds the address for other programs.\n",
            (int)take->video_changes);
    job_reason_set(detail, "The media server shows another video at each request.");
    job_persist(job, NULL);
}

void jobs_video_gone(struct job_take *take, int result)
{
    struct job *job = take->job;
    struct store_attempt *attempt;
    if (job_take_attempt_get(take, &attempt) < 0)
        return;
    job_text_clear(&attempt->video_url);
    job_text_clear(&attempt->cover_url);
    take->url_expires_ms = -1;
    if (is_shown(take) && !job->is_damage_shown)
        job_problem_set(
            job->detail,
            "The video is gone: %s.\nIts URL expired before the whole of it was on disk; the "
            "service keeps videos for a day. What is on disk can still be read. Write `take` into "
            "ctl for a new, paid video.\n",
            err_sentence(result));
    char note[64] = "the video is gone";
    if (job->takes->next)
        (void)snprintf(note, sizeof(note), "the video of take %lld is gone",
                       (long long)take->number);
    job_take_persist(take, note);
}

void jobs_video_damaged(struct job_take *take, const struct job_video_damage *damage)
{
    struct job *job = take->job;
    struct job_detail *detail;
    char note[PATH_MAX + 64];
    (void)snprintf(note, sizeof(note), "the video on disk is damaged: see %s", damage->path);
    if (!is_shown(take)) {
        job_take_persist(take, note);
        return;
    }
    if (job_detail_get(job, &detail) < 0)
        return;
    char *before = detail->problem;
    detail->problem = NULL;
    if (damage->is_kept)
        job_problem_set(
            detail,
            "The video on disk cannot be used: the list of its checksums is missing or damaged, "
            "or it is another version.\n"
            "Nothing was deleted: the file is now %s, and may be complete. Check whether it "
            "plays, and copy it to a place of your own: it is removed with this job. seedancefs "
            "asks the service for the video once more. Writing the same prompt.json into a new "
            "job makes a new, paid video.\n",
            damage->path);
    else
        job_problem_set(
            detail,
            "The video on disk is damaged: %lld bytes do not match their checksums, the first of "
            "them at %lld.\n"
            "Reading them fails (EIO); all others can be read, with\n"
            "dd if=output.mp4 of=COPY bs=64K conv=noerror,sync\n"
            "Nothing was deleted: the file is %s. seedancefs asks the service for the missing "
            "part once more. If you have a copy of the video, keep it; writing the same "
            "prompt.json into a new job makes a new, paid video.\n",
            (long long)damage->bytes, (long long)damage->offset, damage->path);
    job->is_damage_shown = true;
    /* Each run of the program finds the damage again, but only the first one notes it. */
    bool is_known = before && detail->problem && strcmp(before, detail->problem) == 0;
    free(before);
    if (!is_known)
        job_persist(job, note);
}

void jobs_video_saved(struct job_take *take)
{
    struct job *job = take->job;
    struct job_detail *detail;
    if (!job->has_problem || take == job->sizing || !is_shown(take) ||
        job_detail_get(job, &detail) < 0)
        return;
    job_problem_clear(detail);
    job_persist(job, NULL);
}

void jobs_command_failed(struct job *job, const char *command, int result)
{
    struct job_detail *detail;
    if (job_detail_get(job, &detail) == 0)
        job_ctl_fail(job, command, err_sentence(result));
}
