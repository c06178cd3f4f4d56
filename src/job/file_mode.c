/*
 * Who may read and write a user's file, and the files that reveal the job's prompt. The mode that
 * the user set is a row of the store. The state and the content of a prompt take bits away from it.
 * That is worked out anew each time, so that the bits come back when state or content change.
 */
#include "job_private.h"

#include "seedancefs/base/text.h"

/* The content is searched on demand, and again only after a change. An error decides nothing: the
 * next call searches again. */
static bool has_url_secret(struct job_file *file)
{
    if (file->is_searched)
        return file->has_url_secret;
    CLEANUP(buf_fini) struct buf content = {.limit = JOB_FILE_SEARCHED_BYTES};
    int r = job_file_read(file, &content);
    file->is_searched = r == 0 || r == -EFBIG;
    file->has_url_secret = r < 0 || text_has_url_secret(buf_text(&content), content.len);
    return file->has_url_secret;
}

mode_t job_file_mode_get(struct job_file *file)
{
    mode_t mode = file->mode;
    if (!job_file_is_prompt(file))
        return mode;
    if (job_file_is_frozen(file))
        mode &= 0444;
    return (mode & 077) && has_url_secret(file) ? mode & 0700 : mode;
}

/* True when the job has, or had, a request that the user wrote. */
static bool has_request(struct job *job)
{
    CLEANUP_FREE char *request = NULL;
    size_t len = 0;
    return job->attempt_id && (store_attempt_blob_get(job->jobs->settings.store, job->attempt_id,
                                                      STORE_DISPLAY, &request, &len) < 0 ||
                               len > 0);
}

mode_t job_readers_get(struct job *job)
{
    struct job_detail *detail;
    if (job_detail_get(job, &detail) < 0)
        return 0;
    const struct job_file *prompt = job_file_find_prompt(detail);
    /* One that was made after the request is not that of the request. Ids grow. */
    bool is_other = !prompt || (job->attempt_id && prompt->id > job->attempt_id);
    mode_t readers = is_other && has_request(job) ? 0 : prompt ? prompt->mode & 044 : 044;
    /* What is shown may be of an earlier prompt, too. */
    const struct job_take *take;
    LL_FOREACH (job->takes, take) {
        readers &= take->readers;
    }
    return readers;
}
