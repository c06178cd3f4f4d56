/*
 * The video and the cover of a job: whether they exist, and the media item that has their bytes.
 */
#include "tree_private.h"

bool output_is_there(const struct job *job, enum media_kind kind)
{
    if (job->state != JOB_SUCCEEDED)
        return false;
    if (kind == MEDIA_VIDEO)
        return job->video_bytes >= 0 && !job_hides(job, GENERATED_HIDDEN_VIDEO);
    return job->cover_bytes >= 0 && !job_hides(job, GENERATED_HIDDEN_COVER);
}

int output_open(struct tree *tree, struct job *job, enum media_kind kind, struct media_item **out)
{
    struct job_detail *detail;
    int r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    const struct store_attempt *attempt = job_attempt_get(detail);
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
