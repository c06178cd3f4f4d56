/*
 * The videos and covers of a job: whether they exist, and the media items that have their bytes.
 */
#include "tree_private.h"

bool output_is_there(const struct job *job, enum media_kind kind)
{
    const struct job_take *take = job->picked;
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
    };
    return media_item_open(tree->settings.media, &record, out);
}

void output_close(struct media_item **item)
{
    media_item_close(*item);
}
