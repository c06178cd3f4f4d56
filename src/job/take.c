/*
 * The takes of a job: the attempts that have made a video. One of them is picked, and its video is
 * that of the job. A take is never deleted while the job exists, whatever is tried after it: only
 * names of it are hidden.
 *
 * The row of the attempt that made a take is the job's own attempt while the job has succeeded with
 * it. The rows of the others are read when somebody asks for them.
 */
#include "job_private.h"

#include "seedancefs/base/json.h"

#include <stdlib.h>
#include <string.h>

int job_take_new(struct job *job, int64_t attempt_id, struct job_take **out)
{
    struct job_take *take = calloc(1, sizeof(*take));
    if (!take)
        return -ENOMEM;
    *take = (struct job_take){.id = attempt_id,
                              .job = job,
                              .video_bytes = -1,
                              .cover_bytes = -1,
                              .url_expires_ms = -1,
                              .readers = 044};
    *out = take;
    return 0;
}

void job_takes_append(struct job_take *take)
{
    LL_APPEND(take->job->takes, take);
}

bool jobs_attempt_is_stored(const struct jobs *jobs, const struct store_attempt *attempt)
{
    const char *place = jobs->settings.object_store;
    return place && attempt->stored_in && strcmp(attempt->stored_in, place) == 0;
}

int job_take_load(void *context, const struct store_take *row)
{
    struct job *job = jobs_get(context, row->job_id);
    return job ? job_take_read(job, row) : -ERR_STORE_CORRUPT;
}

int job_take_read(void *context, const struct store_take *row)
{
    struct job *job = context;
    const struct jobs *jobs = job->jobs;
    struct job_take *take;
    int r = job_take_new(job, row->id, &take);
    if (r < 0)
        return r;
    take->number = (int32_t)row->number;
    take->finished_ms = row->finished_ms;
    take->video_bytes = row->video_bytes;
    take->cover_bytes = row->cover_bytes;
    take->url_expires_ms = row->url_expires_ms;
    take->hidden = (unsigned char)row->hidden;
    take->readers = (unsigned char)(row->readers & 044);
    take->is_stored = jobs->settings.object_store && row->stored_in &&
                      strcmp(row->stored_in, jobs->settings.object_store) == 0;
    if (row->is_picked || !job->picked)
        job->picked = take;
    job_takes_append(take);
    return 0;
}

void job_take_follow(struct job_take *take, const struct job_take *row)
{
    take->number = row->number;
    take->finished_ms = row->finished_ms;
    take->video_bytes = row->video_bytes;
    take->cover_bytes = row->cover_bytes;
    take->url_expires_ms = row->url_expires_ms;
    take->hidden = row->hidden;
    take->readers = row->readers;
    take->is_stored = row->is_stored;
}

struct job_take *job_take_find(const struct job *job, int64_t attempt_id)
{
    struct job_take *take;
    LL_SEARCH_SCALAR(job->takes, take, id, attempt_id);
    return take;
}

struct job_take *job_take_get(const struct job *job, int64_t number)
{
    struct job_take *take;
    LL_SEARCH_SCALAR(job->takes, take, number, number);
    return take;
}

struct job_take *job_take_of_attempt(const struct job *job)
{
    return job_take_find(job, job->attempt_id);
}

int32_t job_take_number_next(const struct job *job)
{
    const struct job_take *take;
    int32_t number = 1;
    LL_FOREACH (job->takes, take) {
        number = take->number + 1;
    }
    return number;
}

struct job_take *jobs_take_get(struct jobs *jobs, int64_t attempt_id)
{
    struct job_take *take;
    return jobs_take_find(jobs, attempt_id, &take) == 0 ? take : NULL;
}

int jobs_take_find(struct jobs *jobs, int64_t attempt_id, struct job_take **out)
{
    int64_t job_id;
    int r = store_attempt_job_get(jobs->settings.store, attempt_id, &job_id);
    if (r < 0)
        return r;
    const struct job *job = jobs_get(jobs, job_id);
    struct job_take *take = job ? job_take_find(job, attempt_id) : NULL;
    if (!take && job && job->sizing && job->sizing->id == attempt_id)
        take = job->sizing;
    *out = take;
    return 0;
}

static int take_row_load(struct job_take *take, struct take_row **out)
{
    struct job_detail *detail = take->job->detail;
    struct take_row *row = calloc(1, sizeof(*row));
    if (!row)
        return -ENOMEM;
    int r = store_attempt_get(take->job->jobs->settings.store, take->id, &row->attempt);
    if (r == -ENOENT || (r == 0 && row->attempt.job_id != take->job->id))
        r = -ERR_STORE_CORRUPT;
    if (r < 0) {
        store_attempt_fini(&row->attempt);
        free(row);
        return r;
    }
    LL_PREPEND(detail->take_rows, row);
    *out = row;
    return 0;
}

static struct take_row *take_row_find(const struct job_take *take)
{
    struct take_row *row;
    LL_SEARCH_SCALAR(take->job->detail->take_rows, row, attempt.id, take->id);
    return row;
}

int job_take_attempt_get(struct job_take *take, struct store_attempt **out)
{
    struct job_detail *detail;
    int r = job_detail_get(take->job, &detail);
    if (r < 0)
        return r;
    if (detail->attempt.id == take->id) {
        *out = &detail->attempt;
        return 0;
    }
    struct take_row *row = take_row_find(take);
    r = row ? 0 : take_row_load(take, &row);
    if (r == 0)
        *out = &row->attempt;
    return r;
}

int job_take_attempt_take(struct job_take *take, struct store_attempt *out)
{
    struct store_attempt *attempt;
    int r = job_take_attempt_get(take, &attempt);
    if (r < 0)
        return r;
    struct take_row *row = take_row_find(take);
    *out = row->attempt;
    LL_DELETE(take->job->detail->take_rows, row);
    free(row);
    return 0;
}

/* Appends the prompt that the job has now; the text of a prompt.txt becomes a prompt.json. */
static int prompt_add(const struct job_file *file, struct buf *out)
{
    static const char blanks[] = " \t\r\n";
    static const char mark[] = "\xef\xbb\xbf";
    CLEANUP(buf_fini) struct buf text = {.limit = PROMPT_BYTES_MAX};
    int r = job_file_read(file, &text);
    if (r < 0 || strcmp(file->name, JOB_PROMPT_NAME) == 0)
        return r < 0 ? r : buf_add(out, buf_text(&text), text.len);
    const char *start = buf_text(&text);
    if (strncmp(start, mark, strlen(mark)) == 0)
        start += strlen(mark);
    start += strspn(start, blanks);
    size_t len = text.len - (size_t)(start - buf_text(&text));
    while (len > 0 && strchr(blanks, start[len - 1]))
        len--;
    struct json_writer w;
    json_writer_init(&w, out, JSON_PRETTY);
    json_write_object_begin(&w);
    json_write_key(&w, "prompt");
    json_write_text(&w, start, len);
    json_write_object_end(&w);
    return buf_add_char(out, '\n');
}

int job_takes_prompt_keep(struct job *job, off_t bytes_max)
{
    struct store *store = job->jobs->settings.store;
    const struct job_file *file = job_file_find_prompt(job->detail);
    mode_t readers = file ? file->mode & 044 : 0;
    CLEANUP(buf_fini) struct buf text = {.limit = PROMPT_BYTES_MAX};
    struct job_take *take;
    struct stat st;
    LL_FOREACH (job->takes, take) {
        take->readers &= (unsigned char)readers;
    }
    int r = store_readers_keep(store, job->id, readers);
    if (r < 0)
        return r;
    if (!file) /* it was removed before `retry` */
        return store_prompt_keep(store, job->id, NULL, 0);
    r = job_file_stat(file, &st);
    if (r < 0 || st.st_size > bytes_max)
        return r;
    r = prompt_add(file, &text);
    return r < 0 ? r : store_prompt_keep(store, job->id, buf_text(&text), text.len);
}

/* A take whose prompt was not kept was made from the prompt that the job has now: writing another
 * one begins with `edit` or `take`, which keep it. */
int job_take_prompt_get(struct job_take *take, struct buf *out)
{
    struct job *job = take->job;
    struct store *store = job->jobs->settings.store;
    struct job_detail *detail;
    CLEANUP_FREE char *kept = NULL;
    size_t len = 0;
    if (!job_take_has_prompt(take))
        return -ENODATA;
    int r = store_attempt_blob_get(store, take->id, STORE_PROMPT, &kept, &len);
    if (r == 0 && kept)
        return buf_add(out, kept, len);
    if (r == 0)
        r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    const struct job_file *file = job_file_find_prompt(detail);
    return file ? prompt_add(file, out) : jobs_blob_get(job->jobs, take->id, STORE_DISPLAY, out);
}

bool job_take_has_prompt(struct job_take *take)
{
    CLEANUP_FREE char *request = NULL;
    size_t len = 0;
    return store_attempt_blob_get(take->job->jobs->settings.store, take->id, STORE_DISPLAY,
                                  &request, &len) < 0 ||
           len > 0;
}
