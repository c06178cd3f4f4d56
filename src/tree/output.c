/*
 * The videos and covers of a job: whether they exist, and the media items that have their bytes.
 */
#include "tree_private.h"

struct job_take *output_take(const struct job *job)
{
    struct job_take *take;
    struct job_take *last = NULL;
    if (!job->picked || job->picked->video_bytes >= 0)
        return job->picked;
    LL_FOREACH (job->takes, take) {
        last = take->video_bytes >= 0 ? take : last;
    }
    return last ? last : job->picked;
}

bool output_is_there(const struct job *job, enum media_kind kind)
{
    const struct job_take *take = output_take(job);
    if (!take)
        return false;
    if (kind == MEDIA_VIDEO)
        return take->video_bytes >= 0 && !job_hides(job, GENERATED_HIDDEN_VIDEO);
    return take->cover_bytes >= 0 && !job_hides(job, GENERATED_HIDDEN_COVER);
}

bool takes_are_there(struct job *job)
{
    struct job_detail *detail;
    if (!job->takes || !job->takes->next || job_hides(job, GENERATED_HIDDEN_TAKES))
        return false;
    /* A file of the user's from the time before takes goes first. */
    return job_detail_get(job, &detail) == 0 && !job_file_find(detail, TAKES_NAME);
}

bool takes_are_hidden(const struct job *job)
{
    const struct job_take *take;
    LL_FOREACH (job->takes, take) {
        if (take->hidden != (JOB_TAKE_VIDEO | JOB_TAKE_PROMPT))
            return false;
    }
    return true;
}

int output_open(struct tree *tree, struct job_take *take, enum media_kind kind,
                struct media_item **out)
{
    struct store_attempt *attempt;
    int r = job_take_attempt_get(take, &attempt);
    if (r < 0)
        return r;
    bool is_video = kind == MEDIA_VIDEO;
    struct media_record record = {
        .id = attempt->id,
        .kind = kind,
        .url = is_video ? attempt->video_url : attempt->cover_url,
        .url_expires_ms = attempt->url_expires_ms > 0 ? attempt->url_expires_ms : -1,
        .size = is_video ? attempt->video_bytes : attempt->cover_bytes,
        .etag = is_video ? attempt->video_etag : attempt->cover_etag,
        .has_copy = is_video && stored_is_there(tree, take),
    };
    return media_item_open(tree->settings.media, &record, out);
}

void output_close(struct media_item **item)
{
    media_item_close(*item);
}
