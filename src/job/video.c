/*
 * What the media layer has learned about a finished video. The layer above passes it on.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int size_copy(const struct job_media_size *from, int64_t *bytes, char **etag)
{
    int r = job_text_set(etag, from->etag && *from->etag ? from->etag : NULL);
    if (r == 0)
        *bytes = from->size;
    return r;
}

static void job_video_again(void *context)
{
    struct job *job = context;
    const struct job_hooks *hooks = &job->jobs->settings.hooks;
    if (hooks->on_video)
        hooks->on_video(hooks->context, job);
}

void jobs_video_set(struct job *job, const struct job_media_size *video)
{
    struct job_detail *detail;
    int r = job_detail_get(job, &detail);
    if (r == 0)
        r = size_copy(video, &detail->attempt.video_bytes, &detail->attempt.video_etag);
    if (r < 0) {
        log_error("memory.refused", "job=%s", job->name);
        if (job_is_following(job) && job->detail)
            timer_set(job->jobs->settings.timers, &job->detail->timer, JOB_SAVE_AGAIN_MS,
                      job_video_again, job);
        return;
    }
    if (job_is_following(job) && detail->is_sizing_video) {
        job_to_succeeded(job);
    } else if (job->state == JOB_SUCCEEDED) {
        job->video_bytes = video->size;
        if (!job->is_damage_shown)
            job_problem_clear(detail);
        job_text_clear(&detail->reason);
        job_persist(job, NULL);
    }
}

void jobs_cover_set(struct job *job, const struct job_media_size *cover)
{
    struct job_detail *detail;
    if (job_detail_get(job, &detail) < 0 ||
        size_copy(cover, &detail->attempt.cover_bytes, &detail->attempt.cover_etag) < 0) {
        log_error("memory.refused", "job=%s", job->name);
        return;
    }
    if (job->state == JOB_SUCCEEDED) {
        job->cover_bytes = cover->size;
        job_persist(job, NULL);
    }
}

void jobs_video_failed(struct job *job, int result)
{
    struct job_detail *detail;
    if (job_detail_get(job, &detail) < 0)
        return;
    /* A text about damage says more than this one, here and below. */
    if (!job->is_damage_shown)
        job_problem_set(
            detail,
            "The video is finished, but its size cannot be found out: %s.\n"
            "seedancefs asks again until the URL expires; output.mp4 appears as soon as that "
            "succeeds. output.url holds the address for other programs.\n",
            err_sentence(result));
    job_reason_set(detail, "The media server does not respond as it should: %s.",
                   err_sentence(result));
    if (job_is_following(job) && detail->is_sizing_video)
        job_to_succeeded(job);
    else
        job_persist(job, NULL);
}

void jobs_video_unsteady(struct job *job)
{
    struct job_detail *detail;
    if (job_detail_get(job, &detail) < 0)
        return;
    if (!job->is_damage_shown)
        job_problem_set(
            detail,
            "The media server shows another video at each request, %d times so far, so that the "
            "parts do not fit together.\n"
            "seedancefs does not ask any more. Write `refresh` or `fetch` into ctl to try again. "
            "output.url holds the address for other programs.\n",
            (int)job->video_changes);
    job_reason_set(detail, "The media server shows another video at each request.");
    job_persist(job, NULL);
}

void jobs_video_gone(struct job *job, int result)
{
    struct job_detail *detail;
    if (job_detail_get(job, &detail) < 0)
        return;
    job_text_clear(&detail->attempt.video_url);
    job_text_clear(&detail->attempt.cover_url);
    job->url_expires_ms = -1;
    if (!job->is_damage_shown)
        job_problem_set(
            detail,
            "The video is gone: %s.\nIts URL expired before the whole of it was on disk; the "
            "service keeps videos for a day. What is on disk can still be read. Writing the "
            "same prompt into a new job makes a new, paid video.\n",
            err_sentence(result));
    job_persist(job, "the video is gone");
}

void jobs_video_damaged(struct job *job, const struct job_video_damage *damage)
{
    struct job_detail *detail;
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
    char note[PATH_MAX + 64];
    (void)snprintf(note, sizeof(note), "the video on disk is damaged: see %s", damage->path);
    /* Each run of the program finds the damage again, but only the first one notes it. */
    bool is_known = before && detail->problem && strcmp(before, detail->problem) == 0;
    free(before);
    if (!is_known)
        job_persist(job, note);
}

void jobs_video_saved(struct job *job)
{
    struct job_detail *detail;
    if (!job->has_problem || job->state != JOB_SUCCEEDED || job_detail_get(job, &detail) < 0)
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
