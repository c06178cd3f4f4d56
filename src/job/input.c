/*
 * From the paths of a prompt to the inputs of its attempt. What is a picture or a sound of the
 * user's goes into the request at once. What other jobs make, and videos, which the service takes by
 * address only, leave a gap in the body that is filled when the request is sent.
 */
#include "job_private.h"

#include "seedancefs/base/file.h"
#include "seedancefs/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD_BYTES = 12 }; /* what a video's type is known by */

static int refuse(struct input_reader *reader, struct prompt_found *found, int r,
                  const char *format, ...) PRINTF_LIKE(4, 5);
static int refuse(struct input_reader *reader, struct prompt_found *found, int r,
                  const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reader->why, sizeof(reader->why), format, arguments);
    va_end(arguments);
    found->why = reader->why;
    return r;
}

int job_take_inputs_each(const struct job_take *take, job_take_input_fn *fn, void *context)
{
    CLEANUP(job_inputs_fini) struct job_inputs inputs = {0};
    int r = job_inputs_get(take->job, take->id, &inputs);
    for (size_t i = 0; i < inputs.count && r == 0; i++) {
        const struct store_input *row = &inputs.rows[i];
        const struct job_take_input input = {
            row->field, row->path,
            row->take_id ? jobs_take_get(take->job->jobs, row->take_id) : NULL};
        if (row->form != JOB_INPUT_LENGTHS)
            fn(context, &input);
    }
    return r;
}

static int found_add(struct input_reader *reader, const struct store_input *row,
                     struct prompt_found *found, enum prompt_media media)
{
    struct job_inputs *inputs = &reader->found;
    struct store_input *more = realloc(inputs->rows, (inputs->count + 1) * sizeof(*more));
    if (!more)
        return -ENOMEM;
    inputs->rows = more;
    more[inputs->count] = *row;
    *found =
        (struct prompt_found){.number = (int)inputs->count++,
                              .media = media,
                              .length_ms = row->length_ms,
                              .is_length_coming = row->form != JOB_INPUT_FILE || !row->is_seen};
    return 0;
}

/* As far as it is known, or was asked for; -1: not known. */
static int64_t attempt_length_ms(const struct store_attempt *attempt)
{
    if (attempt->output_ms > 0)
        return attempt->output_ms;
    return attempt->duration_ms > 0 && !store_attempt_is_length_open(attempt) ? attempt->duration_ms
                                                                              : -1;
}

static int take_length_get(struct job_take *take, int64_t *out)
{
    struct store_attempt *attempt;
    int r = job_take_attempt_get(take, &attempt);
    if (r == 0)
        *out = attempt_length_ms(attempt);
    return r;
}

static int job_length_get(struct job *job, int64_t *out)
{
    struct job_detail *detail;
    if (job->picked)
        return take_length_get(job->picked, out);
    int r = job_detail_get(job, &detail);
    if (r == 0)
        *out = attempt_length_ms(&detail->attempt);
    return r;
}

/* A video or a frame of another job. */
static int made_read(struct input_reader *reader, const struct job_path *at,
                     struct prompt_found *found)
{
    const struct job_hooks *hooks = &reader->job->jobs->settings.hooks;
    struct store_input row = {.form = (int64_t)at->form,
                              .job_id = at->job->id,
                              .take_id = at->job->picked ? at->job->picked->id : 0,
                              .length_ms = -1,
                              .is_seen = 1};
    CLEANUP(buf_fini) struct buf circle = {.limit = sizeof(reader->why)};
    bool is_frame = at->form != JOB_INPUT_VIDEO;
    if (at->job == reader->job)
        return refuse(reader, found, -ELOOP,
                      "is a file that this job itself is going to make. To go on from one of its "
                      "videos, name that take: \"takes/1.mp4\".");
    if (is_frame && (!hooks->has_frames || !hooks->has_frames(hooks->context)))
        return refuse(reader, found, -ENOPKG,
                      "frames of videos are made by ffmpeg, which is not installed. Install the "
                      "package ffmpeg, then write the prompt again or submit to ctl.");
    if (job_is_circle(reader->job, at->job, &circle))
        return refuse(reader, found, -ELOOP, "the jobs would wait for each other: %s.",
                      buf_text(&circle));
    int r = is_frame ? 0 : job_length_get(at->job, &row.length_ms);
    return r < 0 ? r : found_add(reader, &row, found, is_frame ? PROMPT_IMAGE : PROMPT_VIDEO);
}

static int take_read(struct input_reader *reader, const struct job_path *at,
                     struct prompt_found *found)
{
    struct store_input row = {
        .form = JOB_INPUT_TAKE, .take_id = at->take->id, .length_ms = -1, .is_seen = 1};
    int r = take_length_get(at->take, &row.length_ms);
    return r < 0 ? r : found_add(reader, &row, found, PROMPT_VIDEO);
}

/* The service takes videos by address only. */
static int video_read(struct input_reader *reader, const struct job_file *file, struct buf *content,
                      struct prompt_found *found)
{
    const struct jobs *jobs = reader->job->jobs;
    struct store_input row = {.form = JOB_INPUT_FILE,
                              .kept_id = file->id, /* until there is one that is kept */
                              .length_ms = -1,
                              .is_seen = !tools_has(jobs->settings.tools, TOOL_PROBE)};
    if (!job_can_upload(jobs))
        return refuse(reader, found, -ENOTSUP,
                      "the service takes a video of your own by its address only. Start seedancefs "
                      "with --objects, a bucket of yours into which it is put, or with "
                      "--upload-command CMD, which uploads it and prints the address; or upload it "
                      "yourself and write its https:// address.");
    if (content) {
        char head[HEAD_BYTES];
        CLEANUP_CLOSE int fd = job_file_bytes_open(file, O_RDONLY);
        ssize_t n = fd < 0 ? fd : pread(fd, head, sizeof(head), 0);
        if (n < 0)
            return fd < 0 ? fd : -errno;
        int r = buf_add(content, head, (size_t)n);
        if (r < 0)
            return r;
    }
    return found_add(reader, &row, found, PROMPT_VIDEO);
}

/* A file that is still being written is refused, because half a picture would be paid for like a
 * whole one. */
static int file_read(struct input_reader *reader, const struct job_file *file,
                     enum prompt_media media, size_t max_bytes, struct buf *content,
                     struct prompt_found *found)
{
    struct stat st;
    if (file->draft.writers > 0)
        return -EBUSY;
    int r = job_file_stat(file, &st);
    if (r < 0)
        return r;
    if ((uint64_t)st.st_size > max_bytes)
        return -EFBIG;
    if (media == PROMPT_VIDEO)
        return video_read(reader, file, content, found);
    return content ? job_file_read(file, content) : 0;
}

int job_input_read(void *context, const char *path, enum prompt_media media, size_t max_bytes,
                   struct buf *content, struct prompt_found *found)
{
    struct input_reader *reader = context;
    struct job_path at;
    int r = job_path_resolve(reader->job, path, &at);
    if ((r == -ENOENT || r == -ENOTDIR) && reader->is_missing_allowed) {
        const struct store_input row = {.form = JOB_INPUT_MISSING, .length_ms = -1, .is_seen = 1};
        return found_add(reader, &row, found, media);
    }
    if (r == -EACCES)
        return refuse(reader, found, r,
                      "the service makes \"%s\" and it may differ from the video. Name "
                      "first_frame.png or last_frame.png.",
                      path);
    if (r < 0)
        return r;
    if (at.form == JOB_INPUT_INLINE)
        return file_read(reader, at.file, media, max_bytes, content, found);
    return at.form == JOB_INPUT_TAKE ? take_read(reader, &at, found)
                                     : made_read(reader, &at, found);
}

/* Keeps the bytes of a user's file as they are, by a second name. Whoever writes into the file later
 * gets other bytes: see job_file_unshare(). */
static int file_keep(const struct jobs *jobs, struct store_input *row)
{
    int64_t id;
    struct job_bytes_name from = job_bytes_name(row->kept_id);
    row->kept_id = 0; /* that is the user's file, which job_inputs_unkeep() must not see */
    int r = job_bytes_id_take(jobs, &id);
    if (r < 0)
        return r;
    struct job_bytes_name to = job_bytes_name(id);
    if (linkat(jobs->settings.files_fd, from.text, jobs->settings.files_fd, to.text, 0) < 0)
        return -errno;
    row->kept_id = id;
    return 0;
}

static int input_make(struct input_reader *reader, const struct prompt_input *from,
                      struct store_input *row)
{
    struct jobs *jobs = reader->job->jobs;
    *row = (struct store_input){.length_ms = -1, .is_seen = 1};
    if (from->number >= 0)
        *row = reader->found.rows[from->number];
    else if (from->number == PROMPT_DURATIONS)
        row->form = JOB_INPUT_LENGTHS;
    else
        row->is_seen = !tools_has(jobs->settings.tools, TOOL_PROBE);
    row->media = (int64_t)from->media;
    row->body_offset = (int64_t)from->body_offset;
    row->path = strdup(from->path);
    row->field = strdup(from->field);
    if (!row->path || !row->field) {
        row->kept_id = 0;
        return -ENOMEM;
    }
    return row->form == JOB_INPUT_FILE ? file_keep(jobs, row) : 0;
}

int job_inputs_make(struct input_reader *reader, const struct prompt *prompt,
                    struct job_inputs *out)
{
    if (prompt->input_count == 0)
        return 0;
    out->rows = calloc(prompt->input_count, sizeof(*out->rows));
    if (!out->rows)
        return -ENOMEM;
    for (size_t i = 0; i < prompt->input_count; i++) {
        struct store_input *row = &out->rows[out->count++];
        int r = input_make(reader, &prompt->inputs[i], row);
        row->number = (int64_t)i;
        if (r < 0) {
            job_inputs_unkeep(reader->job->jobs, out);
            return r;
        }
    }
    return 0;
}

void job_inputs_unkeep(struct jobs *jobs, struct job_inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++) {
        /* Proof: the name was made just now, and no row of the store has it. */
        if (inputs->rows[i].kept_id != 0)
            (void)unlinkat(jobs->settings.files_fd, job_bytes_name(inputs->rows[i].kept_id).text,
                           0);
        inputs->rows[i].kept_id = 0;
    }
}
