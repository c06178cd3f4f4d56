/*
 * The bytes that are sent. A request that needs nothing of the mount is sent as it was accepted.
 * Otherwise its body has gaps, and they are filled here, after the gates and at the last moment,
 * because addresses are signed for a day only: the address of a job's video, renewed when little of
 * its time is left; a frame, made by ffmpeg; the address of a file that was uploaded; the lengths of
 * all videos. Only then the cost is known exactly.
 *
 * What is not ready is begun here, and the job looks again when it is (preparation.c).
 */
#include "job_private.h"

#include "seedancefs/base/base64.h"
#include "seedancefs/base/json.h"
#include "seedancefs/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    URL_LEFT_MS = 6 * 3600 * 1000, /* how long an address that is sent is good at least */
    UPLOAD_HOLDS_MS = 12 * 3600 * 1000,
    PRICE_SLACK_PERCENT = 5,
    URL_BYTES_MAX = 8 * 1024,
    VIDEOS_SLACK_MS = 500, /* of all; a clip of n seconds has a frame more */
};

/* One input, while it is made ready. */
struct need {
    struct job *job; /* whose request it is */
    struct store_input *row;
    struct job_take *take; /* of a video or a frame; NULL: it is a file */
    struct buf *why;
};

static int need_fail(const struct need *need, int r, const char *format, ...) PRINTF_LIKE(3, 4);
static int need_fail(const struct need *need, int r, const char *format, ...)
{
    va_list arguments;
    buf_clear(need->why);
    buf_addf(need->why, "%s: ", need->row->path);
    va_start(arguments, format);
    (void)buf_addv(need->why, format, arguments);
    va_end(arguments);
    return r;
}

static const char no_upload[] =
    "it cannot be uploaded: there is no object store and no upload command, or its process has "
    "ended. Start seedancefs (again) with --objects or --upload-command CMD.";

/* The job looks again when this one has ended. */
static int need_wait(const struct need *need, enum preparation_kind kind, int64_t id,
                     const char *why)
{
    need->job->detail->preparing = (struct preparation_key){.kind = kind, .id = id};
    return need_fail(need, -EINPROGRESS, "%s", why);
}

static const char *const waits_for[] = {
    [PREPARE_URL] = "the service is asked for a new address.",
    [PREPARE_FIRST_FRAME] = "the picture is being made.",
    [PREPARE_LAST_FRAME] = "the picture is being made.",
    [PREPARE_UPLOAD] = "it is being uploaded.",
};

/* A preparation that is under way, or has failed a moment ago. */
static int prepared_result(const struct need *need, const struct preparation *preparation)
{
    enum preparation_kind kind = (enum preparation_kind)preparation->key.kind;
    if (!preparation->is_done)
        return need_wait(need, kind, preparation->key.id, waits_for[kind]);
    if (preparation->result == 0)
        return 0;
    if (preparation->why)
        return need_fail(need, preparation->result, "%s", preparation->why);
    return need_fail(need, preparation->result, "%s.", err_sentence(preparation->result));
}

static void upload_done(void *context, const struct tool_result *result)
{
    struct preparation *preparation = context;
    CLEANUP(job_drop) struct job *job = job_ref(preparation->job);
    int r = result->result == -ENOENT ? -EIO : result->result;
    CLEANUP(buf_fini) struct buf note = {.limit = 4096};
    preparation->run = NULL;
    if (r == 0)
        r = job_text_set(&preparation->url, result->url);
    if (result->error_text[0])
        buf_addf(&note, "upload: %s", result->error_text);
    if (note.len > 0 && !job->is_removed && job->detail)
        job_persist(job, buf_text(&note));
    if (r == -EPROTO)
        job_text_keep(&preparation->why, "the upload command ended well, but printed no "
                                         "https:// address.");
    else if (r == -ETIMEDOUT)
        job_text_keep(&preparation->why, "the upload command did not end within ten minutes.");
    else if (r < 0) {
        char why[128];
        (void)snprintf(why, sizeof(why), "the upload command failed (exit code %d); see `log`.",
                       result->exit_code);
        job_text_keep(&preparation->why, why);
    }
    preparation_end(job->jobs, preparation, r, UPLOAD_HOLDS_MS);
}

/* Uploads the file at `path` of the data directory. */
static int upload_begin(const struct need *need, int64_t id, const char *path)
{
    struct jobs *jobs = need->job->jobs;
    struct preparation *preparation = preparation_begin(jobs, PREPARE_UPLOAD, id);
    if (!preparation)
        return -ENOMEM;
    const char *slash = strrchr(need->row->path, '/');
    const struct tool_request request = {.tool = TOOL_UPLOAD,
                                         .input_fd = -1,
                                         .output_fd = -1,
                                         .path = path,
                                         .name = slash ? slash + 1 : need->row->path};
    preparation->job = job_ref(need->job);
    int r =
        tools_start(jobs->settings.tools, &request, upload_done, preparation, &preparation->run);
    if (r < 0) {
        preparation_end(jobs, preparation, r, 0);
        return need_fail(need, r, "the upload command cannot be started: %s.", err_sentence(r));
    }
    return need_wait(need, PREPARE_UPLOAD, id, waits_for[PREPARE_UPLOAD]);
}

void jobs_uploaded(struct jobs *jobs, int64_t kept_id, int result, const char *text)
{
    struct preparation *preparation = preparation_find(jobs, PREPARE_UPLOAD, kept_id);
    if (!preparation || preparation->is_done)
        return;
    if (result < 0)
        job_text_keep(&preparation->why, text);
    else
        result = job_text_set(&preparation->url, text);
    preparation_end(jobs, preparation, result, UPLOAD_HOLDS_MS);
}

/* Takes the descriptor (or -1 and errno). An upload command goes before the object store: the user has
 * named it for this alone. */
static int object_upload(const struct need *need, int64_t id, int fd)
{
    struct jobs *jobs = need->job->jobs;
    const struct job_hooks *hooks = &jobs->settings.hooks;
    int r = fd < 0 ? -errno : 0;
    if (!preparation_begin(jobs, PREPARE_UPLOAD, id)) {
        cleanup_close(&fd);
        return -ENOMEM;
    }
    if (r == 0)
        r = hooks->on_upload(hooks->context, id, fd);
    if (r == 0)
        return need_wait(need, PREPARE_UPLOAD, id, waits_for[PREPARE_UPLOAD]);
    jobs_prepared(jobs, PREPARE_UPLOAD, id, r);
    return need_fail(need, r, "it cannot be uploaded: %s.", err_sentence(r));
}

static int file_ready(const struct need *need)
{
    struct jobs *jobs = need->job->jobs;
    const struct preparation *upload = preparation_find(jobs, PREPARE_UPLOAD, need->row->kept_id);
    if (upload)
        return prepared_result(need, upload);
    if (!job_can_upload(jobs))
        return need_fail(need, -ENOTSUP, "%s", no_upload);
    if (faccessat(jobs->settings.files_fd, job_bytes_name(need->row->kept_id).text, F_OK, 0) < 0 &&
        errno == ENOENT)
        return need_fail(need, -ERR_PROMPT_INVALID, "the file went with the job that was removed.");
    if (!tools_has(jobs->settings.tools, TOOL_UPLOAD))
        return object_upload(need, need->row->kept_id,
                             openat(jobs->settings.files_fd,
                                    job_bytes_name(need->row->kept_id).text,
                                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    CLEANUP(buf_fini) struct buf path = {.limit = PATH_MAX};
    buf_addf(&path, "%s/" JOB_FILES_DIRECTORY "/%s", jobs->settings.data_directory,
             job_bytes_name(need->row->kept_id).text);
    return path.error ? path.error : upload_begin(need, need->row->kept_id, buf_text(&path));
}

/* The address of the take's video in the object store; -ENOENT: it is not there. */
static int stored_url(const struct need *need, struct buf *url)
{
    const struct job_hooks *hooks = &need->job->jobs->settings.hooks;
    return hooks->on_stored_url ? hooks->on_stored_url(hooks->context, need->take, url) : -ENOENT;
}

/* The service does not have the video any more, or will not say where: it is read from the object
 * store, or what is on disk is uploaded. */
static int video_upload(const struct need *need)
{
    struct jobs *jobs = need->job->jobs;
    const struct job_hooks *hooks = &jobs->settings.hooks;
    const struct preparation *upload = preparation_find(jobs, PREPARE_UPLOAD, need->take->id);
    CLEANUP(buf_fini) struct buf path = {.limit = PATH_MAX};
    CLEANUP(buf_fini) struct buf url = {.limit = URL_BYTES_MAX};
    if (upload)
        return prepared_result(need, upload);
    if (stored_url(need, &url) == 0) {
        if (!preparation_begin(jobs, PREPARE_UPLOAD, need->take->id))
            return -ENOMEM;
        jobs_uploaded(jobs, need->take->id, 0, buf_text(&url));
        upload = preparation_find(jobs, PREPARE_UPLOAD, need->take->id);
        return upload ? prepared_result(need, upload) : -ENOMEM;
    }
    int r =
        hooks->on_video_path ? hooks->on_video_path(hooks->context, need->take, &path) : -ENOENT;
    if (r < 0)
        return need_fail(need, r,
                         "the service has no address for this video any more, and it is not on "
                         "disk as a whole.");
    if (!job_can_upload(jobs))
        return need_fail(need, -ENOTSUP,
                         "the service has no address for this video any more, and %s", no_upload);
    if (!tools_has(jobs->settings.tools, TOOL_UPLOAD))
        return object_upload(need, need->take->id,
                             open(buf_text(&path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    return upload_begin(need, need->take->id, buf_text(&path));
}

static bool is_at_hand(const struct need *need)
{
    const struct job_hooks *hooks = &need->job->jobs->settings.hooks;
    CLEANUP(buf_fini) struct buf path = {.limit = PATH_MAX};
    bool is_stored =
        need->take->is_stored && hooks->has_objects && hooks->has_objects(hooks->context);
    return is_stored ||
           (hooks->on_video_path && hooks->on_video_path(hooks->context, need->take, &path) >= 0);
}

static int video_ready(const struct need *need)
{
    struct jobs *jobs = need->job->jobs;
    struct store_attempt *attempt;
    int r = job_take_attempt_get(need->take, &attempt);
    if (r < 0)
        return r;
    int64_t left_ms = attempt->url_expires_ms - jobs_wall_ms(jobs);
    bool is_usable = attempt->video_url && (attempt->url_expires_ms == 0 || left_ms > 0);
    if (is_usable && (attempt->url_expires_ms == 0 || left_ms >= URL_LEFT_MS))
        return 0;
    const struct preparation *renewal = preparation_find(jobs, PREPARE_URL, need->take->id);
    if (renewal && !renewal->is_done)
        return prepared_result(need, renewal);
    if (renewal && is_usable) /* the service gives no longer ones, or none now */
        return 0;
    /* What is on disk or in the object store is as good; if it is not, the service is asked again. */
    bool is_final = renewal && (renewal->result == 0 || renewal->result == -ERR_MEDIA_GONE);
    if (renewal && (is_final || is_at_hand(need)))
        return video_upload(need);
    if (renewal)
        return prepared_result(need, renewal);
    if (!preparation_begin(jobs, PREPARE_URL, need->take->id))
        return -ENOMEM;
    jobs_url_refresh(need->take);
    return need_wait(need, PREPARE_URL, need->take->id, waits_for[PREPARE_URL]);
}

static enum job_frame frame_of(const struct store_input *row)
{
    return row->form == JOB_INPUT_FIRST_FRAME ? JOB_FIRST_FRAME : JOB_LAST_FRAME;
}

static int frame_ready(const struct need *need)
{
    struct jobs *jobs = need->job->jobs;
    const struct job_hooks *hooks = &jobs->settings.hooks;
    enum preparation_kind kind =
        need->row->form == JOB_INPUT_FIRST_FRAME ? PREPARE_FIRST_FRAME : PREPARE_LAST_FRAME;
    const char *why = "frames of videos are made by ffmpeg, which is not installed.";
    const struct preparation *making = preparation_find(jobs, kind, need->take->id);
    if (making && !(making->is_done && making->result == 0))
        return prepared_result(need, making);
    /* Begun first, because the hook may end it at once. */
    if (!making && !preparation_begin(jobs, kind, need->take->id))
        return -ENOMEM;
    int r = hooks->on_frame ? hooks->on_frame(hooks->context, need->take, frame_of(need->row), &why)
                            : -ENOPKG;
    if (r == -EBUSY) {
        if (making && !preparation_begin(jobs, kind, need->take->id)) /* it was there, and is not */
            return -ENOMEM;
        return need_wait(need, kind, need->take->id, waits_for[kind]);
    }
    jobs_prepared(jobs, kind, need->take->id, r);
    return r < 0 ? need_fail(need, r, "%s", why) : 0;
}

/* Finds the take, and notes it: a video is that of a certain take from now on. */
static int take_find(struct need *need)
{
    struct jobs *jobs = need->job->jobs;
    struct store_input *row = need->row;
    if (row->job_id == 0) {
        int r = jobs_take_find(jobs, row->take_id, &need->take);
        if (r < 0 && r != -ENOENT)
            return r;
    } else {
        const struct job *on = jobs_get(jobs, row->job_id);
        need->take = on ? on->picked : NULL;
    }
    if (!need->take)
        return need_fail(need, -ERR_PROMPT_INVALID, "its job was removed.");
    row->take_id = need->take->id;
    return 0;
}

static int video_length_set(struct need *need)
{
    struct store_attempt *attempt;
    int r = job_take_attempt_get(need->take, &attempt);
    if (r == 0 && attempt->output_ms > 0)
        need->row->length_ms = attempt->output_ms;
    return r;
}

static int need_ready(struct need *need)
{
    int r;
    switch ((enum job_input_form)need->row->form) {
    case JOB_INPUT_INLINE:
    case JOB_INPUT_LENGTHS:
        return 0;
    case JOB_INPUT_FILE:
        return file_ready(need);
    case JOB_INPUT_VIDEO:
    case JOB_INPUT_TAKE:
        r = take_find(need);
        if (r == 0)
            r = video_length_set(need);
        return r == 0 ? video_ready(need) : r;
    case JOB_INPUT_FIRST_FRAME:
    case JOB_INPUT_LAST_FRAME:
        r = take_find(need);
        return r == 0 ? frame_ready(need) : r;
    case JOB_INPUT_MISSING:
    case JOB_INPUT_FORMS:
        break;
    }
    return need_fail(need, -ERR_PROMPT_INVALID, "it was not there when the prompt was written.");
}

static int readiness_rank(int r)
{
    return r == 0 ? 0 : r == -EINPROGRESS ? 1 : r == -ERR_PROMPT_INVALID ? 3 : 2;
}

/* Begins all that is not ready, and returns the worst reason why not. */
static int inputs_ready(struct job *job, struct job_inputs *inputs, struct buf *why)
{
    int result = 0;
    for (size_t i = 0; i < inputs->count; i++) {
        CLEANUP(buf_fini) struct buf text = {.limit = why->limit};
        struct need need = {.job = job, .row = &inputs->rows[i], .why = &text};
        int r = need_ready(&need);
        if (readiness_rank(r) <= readiness_rank(result))
            continue;
        result = r;
        buf_clear(why);
        buf_add(why, buf_text(&text), text.len);
    }
    return result;
}

/* The sum of what is known; -1: the length of a video is not known. */
static int64_t videos_length_ms(const struct job_inputs *inputs)
{
    int64_t sum_ms = 0;
    for (size_t i = 0; i < inputs->count; i++) {
        const struct store_input *row = &inputs->rows[i];
        if (row->media != PROMPT_VIDEO || row->form == JOB_INPUT_LENGTHS)
            continue;
        if (row->length_ms < 0)
            return -1;
        sum_ms += row->length_ms;
    }
    return sum_ms;
}

/* What the user has declared counts as it is. */
int job_cost_update(struct job *job, const struct job_inputs *inputs, struct buf *why)
{
    struct store_attempt *attempt = &job->detail->attempt;
    int64_t length_ms = job_inputs_find(inputs, JOB_INPUT_LENGTHS) ? videos_length_ms(inputs) : -1;
    int64_t accepted = attempt->estimated_usd_micros;
    if (length_ms <
        0) /* it may still cost something else: the model, at the start of the program */
        length_ms = attempt->input_video_ms;
    bool is_longer = length_ms > attempt->input_video_ms;
    int64_t cost =
        job_attempt_cost(job->jobs, attempt, attempt->duration_ms / 1000 * 1000, length_ms);
    if (cost < 0)
        return (int)cost;
    attempt->input_video_ms = length_ms;
    attempt->estimated_usd_micros = cost;
    if (cost <= accepted + accepted / 100 * PRICE_SLACK_PERCENT)
        return 0;
    char now[TEXT_MONEY_SIZE];
    char then[TEXT_MONEY_SIZE];
    text_usd(cost, now);
    text_usd(accepted, then);
    if (is_longer)
        buf_addf(why,
                 "It costs %s USD now that the lengths of its videos are known; %s USD were "
                 "accepted.",
                 now, then);
    else
        buf_addf(why, "It costs %s USD by the present price of its model; %s USD were accepted.",
                 now, then);
    return -ERR_BUDGET;
}

/* Of videos that were not there when the prompt was accepted, the lengths are known only now. */
static int lengths_check(const struct job *job, const struct job_inputs *inputs, struct buf *why)
{
    int64_t length_ms = videos_length_ms(inputs);
    int64_t max_ms = job_rules(job)->media[PROMPT_VIDEO].max_all_ms;
    if (length_ms <= max_ms + VIDEOS_SLACK_MS)
        return 0;
    buf_addf(why, "Its videos are %g seconds long together; the service takes at most %g.",
             (double)length_ms / 1000, (double)max_ms / 1000);
    return -ERR_PROMPT_INVALID;
}

static int lengths_add(const struct job_inputs *inputs, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out, JSON_COMPACT);
    json_write_array_begin(&w);
    for (size_t i = 0; i < inputs->count; i++) {
        const struct store_input *row = &inputs->rows[i];
        char seconds[32];
        if (row->media != PROMPT_VIDEO || row->form == JOB_INPUT_LENGTHS)
            continue;
        (void)snprintf(seconds, sizeof(seconds), "%.15g", (double)row->length_ms / 1000);
        json_write_raw(&w, seconds);
    }
    json_write_array_end(&w);
    return out->error;
}

static int frame_add(struct need *need, struct buf *out)
{
    const struct job_hooks *hooks = &need->job->jobs->settings.hooks;
    size_t max_bytes = (size_t)job_rules(need->job)->media[PROMPT_IMAGE].max_bytes;
    CLEANUP(buf_fini) struct buf picture = {.limit = max_bytes};
    int r =
        hooks->on_frame_read(hooks->context, need->take, frame_of(need->row), max_bytes, &picture);
    if (r < 0)
        return need_fail(need, r, "the picture cannot be read: %s.", err_sentence(r));
    buf_add_text(out, "\"data:image/png;base64,");
    base64_encode(out, buf_text(&picture), picture.len);
    return buf_add_text(out, "\"");
}

static int video_add(struct need *need, struct buf *out)
{
    struct jobs *jobs = need->job->jobs;
    bool is_file = need->row->form == JOB_INPUT_FILE;
    const struct preparation *upload =
        preparation_find(jobs, PREPARE_UPLOAD, is_file ? need->row->kept_id : need->take->id);
    struct store_attempt *attempt = NULL;
    int r = is_file ? 0 : job_take_attempt_get(need->take, &attempt);
    const char *url = upload && upload->url ? upload->url : attempt ? attempt->video_url : NULL;
    if (r == 0 && !url)
        r = -EAGAIN; /* it was there a moment ago */
    return r < 0 ? r : (json_escape(out, url, strlen(url)), out->error);
}

static int gap_fill(struct need *need, const struct job_inputs *inputs, struct buf *out)
{
    enum job_input_form form = (enum job_input_form)need->row->form;
    if (form == JOB_INPUT_LENGTHS)
        return lengths_add(inputs, out);
    if (form == JOB_INPUT_FILE)
        return video_add(need, out);
    int r = take_find(need);
    if (r < 0)
        return r;
    return form == JOB_INPUT_VIDEO || form == JOB_INPUT_TAKE ? video_add(need, out)
                                                             : frame_add(need, out);
}

/* Of a gap that cannot be filled, the member goes, too: it is never the first one. */
static const char lengths_member[] = ",\"video_durations\":";

static bool is_left_out(const struct store_input *row, const struct job_inputs *inputs)
{
    return row->form == JOB_INPUT_LENGTHS && videos_length_ms(inputs) < 0;
}

static int body_fill(struct job *job, const char *body, size_t len, struct job_inputs *inputs,
                     struct buf *out, struct buf *why)
{
    size_t at = 0;
    for (size_t i = 0; i < inputs->count; i++) {
        struct need need = {.job = job, .row = &inputs->rows[i], .why = why};
        size_t gap = (size_t)need.row->body_offset;
        if (need.row->form == JOB_INPUT_INLINE)
            continue;
        bool is_gone = is_left_out(need.row, inputs);
        size_t end = is_gone ? gap - strlen(lengths_member) : gap;
        if (gap + 2 > len || gap < strlen(lengths_member) || end < at ||
            memcmp(body + gap, "\"\"", 2) != 0)
            return -ERR_STORE_CORRUPT; /* never send what does not fit together */
        buf_add(out, body + at, end - at);
        int r = is_gone ? 0 : gap_fill(&need, inputs, out);
        if (r < 0)
            return r;
        at = gap + 2;
    }
    buf_add(out, body + at, len - at);
    return out->error;
}

static bool has_gaps(const struct job_inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++) {
        if (inputs->rows[i].form != JOB_INPUT_INLINE)
            return true;
    }
    return false;
}

int job_request_make(struct job *job, struct outgoing *out, struct buf *why)
{
    struct store *store = job->jobs->settings.store;
    CLEANUP(outgoing_fini) struct outgoing made = {0};
    CLEANUP_FREE char *body = NULL;
    size_t len = 0;
    int r = job_inputs_get(job, job->attempt_id, &made.inputs);
    if (r == 0)
        r = inputs_ready(job, &made.inputs, why);
    if (r == 0)
        r = lengths_check(job, &made.inputs, why);
    if (r == 0)
        r = job_cost_update(job, &made.inputs, why);
    if (r == 0)
        r = store_attempt_blob_get(store, job->attempt_id, STORE_BODY, &body, &len);
    if (r == 0 && !body)
        r = -ERR_STORE_CORRUPT;
    made.is_filled_in = r == 0 && has_gaps(&made.inputs);
    if (made.is_filled_in) {
        CLEANUP(buf_fini) struct buf filled = {.limit = PROMPT_BYTES_MAX};
        r = body_fill(job, body, len, &made.inputs, &filled, why);
        if (r == -EFBIG) {
            buf_clear(why);
            buf_addf(why, "With its pictures the request exceeds 64 MB, the most that the service "
                          "takes.");
            r = -ERR_PROMPT_INVALID;
        }
        made.len = filled.len;
        made.body = r == 0 ? buf_take(&filled) : NULL;
    } else if (r == 0) {
        made.len = len;
        made.body = TAKE_POINTER(body);
    }
    if (r < 0)
        return r;
    *out = made;
    made = (struct outgoing){0};
    return 0;
}
