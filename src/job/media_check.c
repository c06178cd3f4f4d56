/*
 * The user's pictures, sounds and videos are looked at by ffprobe before money moves: a medium that
 * the service does not take would fail after minutes, and the length of a video is part of the
 * price. It runs in a child (base/tools) and the job waits for it, in WAITING or HELD; nothing else
 * does. What cannot be looked at, because ffprobe is missing or does not know the format, passes.
 *
 * The limits are those of the model (models/MODEL.json). What exceeds only what is advised is a
 * warning in `log`.
 */
#include "job_private.h"

#include "seedancefs/base/base64.h"
#include "seedancefs/base/file.h"
#include "seedancefs/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LENGTH_SLACK_MS = 150, /* a clip of n seconds has a frame more, and sound is padded */
    FRAMES_SLACK = 100,    /* of 1,000 seconds; 23.976 is called 24 */
    CHECKS_AT_ONCE = 2,
};

struct media_check {
    struct job *job; /* referenced */
    int64_t attempt_id;
    struct job_inputs inputs;
    size_t at; /* which of them is being looked at: */
    struct store_input *row;
    struct tool_run *run;
    struct job_cause cause; /* of the problems */
    struct buf problems;    /* lines for `error` */
    struct buf warnings;    /* lines for `log` */
    struct media_check *next;
    struct media_check *prev;
};

static void check_free(struct media_check *check)
{
    struct jobs *jobs = check->job->jobs;
    DL_DELETE(jobs->media_checks, check);
    if (check->run)
        tool_cancel(check->run);
    job_inputs_fini(&check->inputs);
    buf_fini(&check->problems);
    buf_fini(&check->warnings);
    (void)job_unref(check->job);
    free(check);
}

void jobs_media_checks_free(struct jobs *jobs)
{
    timer_cancel(jobs->settings.timers, &jobs->media_timer);
    while (jobs->media_checks)
        check_free(jobs->media_checks);
}

static void problem_add(struct media_check *check, const char *format, ...) PRINTF_LIKE(2, 3);
static void problem_add(struct media_check *check, const char *format, ...)
{
    va_list arguments;
    if (check->problems.len == 0) /* the first mistake speaks for all */
        (void)snprintf(check->cause.field, sizeof(check->cause.field), "%s", check->row->field);
    buf_addf(&check->problems, "%s: %s: \"%s\" ", job_prompt_name(check->job->detail),
             check->row->field, check->row->path);
    va_start(arguments, format);
    (void)buf_addv(&check->problems, format, arguments);
    va_end(arguments);
    buf_add_text(&check->problems, "\n");
}

/* Of the model and the kind of media. */
static const struct model_media *rules_get(const struct media_check *check)
{
    return &job_rules(check->job)->media[check->row->media];
}

static void picture_check(struct media_check *check, const struct tool_probe *probe)
{
    if (probe->width == 0 || probe->height == 0)
        return;
    int64_t least = min_int64(probe->width, probe->height);
    int64_t most = max_int64(probe->width, probe->height);
    int64_t permille = (int64_t)probe->width * 1000 / probe->height;
    const struct model_media *rules = rules_get(check);
    if (least < rules->min_pixels || most > rules->max_pixels)
        problem_add(check,
                    "has %d x %d pixels; the service takes sides from %lld to %lld. Scale it, then "
                    "write the prompt again.",
                    probe->width, probe->height, (long long)rules->min_pixels,
                    (long long)rules->max_pixels);
    else if (permille < rules->min_ratio_permille || permille > rules->max_ratio_permille)
        problem_add(check,
                    "has %d x %d pixels; the service takes a width of %g to %g times the height. "
                    "Crop it, then write the prompt again.",
                    probe->width, probe->height, (double)rules->min_ratio_permille / 1000,
                    (double)rules->max_ratio_permille / 1000);
}

/* The length of this one; the sum is checked in the end. */
static void length_check(struct media_check *check, const struct tool_probe *probe)
{
    int64_t ms = probe->length_ms;
    const struct model_media *rules = rules_get(check);
    if (ms < 0)
        return;
    check->row->length_ms = ms;
    if (ms < rules->min_ms - LENGTH_SLACK_MS || ms > rules->max_ms + LENGTH_SLACK_MS)
        problem_add(check,
                    "is %g seconds long; the service takes %g to %g seconds. Cut it, then write "
                    "the prompt again.",
                    (double)ms / 1000, (double)rules->min_ms / 1000, (double)rules->max_ms / 1000);
}

static void video_check(struct media_check *check, const struct tool_probe *probe)
{
    int fps = probe->frames_per_1000_s;
    const struct model_media *rules = rules_get(check);
    picture_check(check, probe);
    length_check(check, probe);
    if (fps > 0 && (fps < rules->min_frames_per_1000_s - FRAMES_SLACK ||
                    fps > rules->max_frames_per_1000_s + FRAMES_SLACK))
        problem_add(check,
                    "has %g frames per second; the service takes %g to %g. Convert it, then write "
                    "the prompt again.",
                    (double)fps / 1000, (double)rules->min_frames_per_1000_s / 1000,
                    (double)rules->max_frames_per_1000_s / 1000);
    if (probe->codec[0] && strcmp(probe->codec, "h264") != 0 && strcmp(probe->codec, "hevc") != 0)
        problem_add(check,
                    "is encoded as %s; the service takes H.264 and H.265. Convert it, then write "
                    "the prompt again.",
                    probe->codec);
}

static void probe_judge(struct media_check *check, const struct tool_probe *probe)
{
    static const enum tool_media wanted[] = {[PROMPT_IMAGE] = TOOL_MEDIA_IMAGE,
                                             [PROMPT_VIDEO] = TOOL_MEDIA_VIDEO,
                                             [PROMPT_AUDIO] = TOOL_MEDIA_AUDIO};
    static const char *const nouns[] = {"an image", "a video", "a sound"};
    size_t media = (size_t)check->row->media;
    if (media >= ARRAY_COUNT(wanted))
        return;
    if (probe->kind != wanted[media])
        buf_addf(&check->warnings, "%s: \"%s\" does not look like %s to ffprobe.\n",
                 check->row->field, check->row->path, nouns[media]);
    else if (media == PROMPT_IMAGE)
        picture_check(check, probe);
    else if (media == PROMPT_VIDEO)
        video_check(check, probe);
    else
        length_check(check, probe);
}

static void sums_check(struct media_check *check)
{
    int64_t sums_ms[] = {[PROMPT_IMAGE] = 0, [PROMPT_VIDEO] = 0, [PROMPT_AUDIO] = 0};
    int count[] = {0, 0, 0};
    for (size_t i = 0; i < check->inputs.count; i++) {
        const struct store_input *row = &check->inputs.rows[i];
        if (row->form == JOB_INPUT_LENGTHS || (size_t)row->media >= ARRAY_COUNT(sums_ms))
            continue;
        sums_ms[row->media] += max_int64(row->length_ms, 0);
        count[row->media]++;
    }
    for (int media = PROMPT_VIDEO; media <= PROMPT_AUDIO; media++) {
        int64_t max_ms = job_rules(check->job)->media[media].max_all_ms;
        if (count[media] > 1 && sums_ms[media] > max_ms + LENGTH_SLACK_MS * count[media])
            buf_addf(&check->problems,
                     "%s: the %s are %g seconds long together; the service takes at most %g.\n",
                     job_prompt_name(check->job->detail),
                     media == PROMPT_VIDEO ? "videos" : "sounds", (double)sums_ms[media] / 1000,
                     (double)max_ms / 1000);
    }
}

static bool is_current(const struct media_check *check)
{
    const struct job *job = check->job;
    return !job->is_removed && job->detail && job->attempt_id == check->attempt_id &&
           (job->state == JOB_WAITING || job->state == JOB_HELD) && !job->detail->call;
}

static int seen_save(struct media_check *check)
{
    struct job *job = check->job;
    struct store *store = job->jobs->settings.store;
    int r = store_begin(store, STORE_LAZY);
    if (r < 0)
        return r;
    for (size_t i = 0; i < check->inputs.count && r == 0; i++) {
        if (check->inputs.rows[i].is_seen)
            r = store_input_seen(store, &check->inputs.rows[i]);
    }
    return store_end(store, r);
}

/* The price of what is held is what the lengths make of it. A higher price of what is ordered already
 * is found when it is sent (request.c), and asked for. */
static void price_update(struct media_check *check)
{
    struct store_attempt *attempt = &check->job->detail->attempt;
    CLEANUP(buf_fini) struct buf ignored = {.limit = JOB_SENTENCE_MAX};
    struct store_attempt before = *attempt;
    int r = job_cost_update(check->job, &check->inputs, &ignored);
    if (r < 0 && check->job->state != JOB_HELD) {
        attempt->input_video_ms = before.input_video_ms;
        attempt->estimated_usd_micros = before.estimated_usd_micros;
    }
}

static void warnings_log(struct media_check *check)
{
    char *rest = check->warnings.data;
    char *line;
    (void)buf_text(&check->warnings);
    while (rest && (line = strsep(&rest, "\n")) && *line) {
        char note[JOB_SENTENCE_MAX];
        (void)snprintf(note, sizeof(note), "warning: %s", line);
        job_persist(check->job, note);
    }
}

static void checks_soon(struct jobs *jobs, int64_t delay_ms);

/* All have been looked at. */
static void check_end(struct media_check *check)
{
    struct job *job = check->job;
    struct jobs *jobs = job->jobs;
    sums_check(check);
    int r = check->problems.error;
    /* What is refused stays unseen until the refusal is on disk, so that it cannot pass later. */
    if (r == 0 && check->problems.len == 0)
        r = seen_save(check);
    if (r == 0 && check->problems.len > 0) {
        buf_add_text(&check->problems, "Nothing was sent and nothing was charged.\n");
        job_unqueue(job);
        timer_cancel(job->jobs->settings.timers, &job->detail->timer);
        r = job_to_invalid(job, &check->cause, buf_text(&check->problems));
    } else if (r == 0) {
        job->detail->is_media_seen = true;
        price_update(check);
        warnings_log(check);
        job_persist(job, NULL);
    }
    if (r < 0)
        log_warn("media.unchecked", "job=%s error=%s", job->name, err_name(r));
    if (job->state == JOB_WAITING) {
        job_text_clear(&job->detail->reason);
        jobs_changed(job);
        timer_set(job->jobs->settings.timers, &job->detail->timer, r < 0 ? JOB_SAVE_AGAIN_MS : 0,
                  job->jobs->submit_due, job);
    }
    check_free(check);
    checks_soon(jobs, 0);
}

/* The content of a file that is in the body: a descriptor of a copy in memory, or an error. */
static int inline_open(const struct media_check *check)
{
    struct store *store = check->job->jobs->settings.store;
    CLEANUP_FREE char *body = NULL;
    size_t len = 0;
    size_t at = (size_t)check->row->body_offset;
    int r = store_attempt_blob_get(store, check->attempt_id, STORE_BODY, &body, &len);
    if (r < 0 || !body || at >= len)
        return r < 0 ? r : -ERR_STORE_CORRUPT;
    const char *comma = memchr(body + at, ',', len - at);
    const char *end = comma ? memchr(comma, '"', len - (size_t)(comma - body)) : NULL;
    if (!end)
        return -ERR_STORE_CORRUPT;
    size_t encoded = (size_t)(end - comma) - 1;
    CLEANUP_FREE char *bytes = malloc(encoded + 1);
    int64_t size = bytes ? base64_decode(comma + 1, encoded, bytes, encoded) : -ENOMEM;
    if (size < 0)
        return (int)size;
    CLEANUP_CLOSE int fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = file_write_full(fd, bytes, (size_t)size, 0);
    return r < 0 ? r : take_fd(&fd);
}

static int input_open(const struct media_check *check)
{
    const struct jobs *jobs = check->job->jobs;
    if (check->row->form == JOB_INPUT_INLINE)
        return inline_open(check);
    int fd = openat(jobs->settings.files_fd, job_bytes_name(check->row->kept_id).text,
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

/* The narrower limit of two documentations. */
static void size_check(struct media_check *check, int fd)
{
    struct stat st;
    int64_t advised = job_rules(check->job)->media[PROMPT_VIDEO].advised_bytes;
    if (check->row->media == PROMPT_VIDEO && fd >= 0 && fstat(fd, &st) == 0 && st.st_size > advised)
        buf_addf(&check->warnings,
                 "%s: \"%s\" has %lld MB; the service may take no more than %lld.\n",
                 check->row->field, check->row->path, (long long)st.st_size / 1000000,
                 (long long)advised / 1000000);
}

/* That it cannot be looked at is no reason to refuse it. Without ffprobe, or its process, it is not
 * looked at in this run of the program. */
static void pass_unseen(struct media_check *check, int r)
{
    buf_addf(&check->warnings, "%s: ffprobe could not look at \"%s\": %s.\n", check->row->field,
             check->row->path, err_sentence(r));
    check->row->is_seen = r != -EPIPE && r != -ENOENT;
}

/* Errors that say nothing about the medium, and pass. */
static bool is_passing(int r)
{
    return r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -EAGAIN;
}

static bool check_next(struct media_check *check);

static void on_probe(void *context, const struct tool_result *result)
{
    struct media_check *check = context;
    struct jobs *jobs = check->job->jobs;
    check->run = NULL;
    if (!is_current(check)) {
        check_free(check);
        checks_soon(jobs, 0);
        return;
    }
    if (is_passing(result->result)) {
        checks_soon(jobs, JOB_SAVE_AGAIN_MS);
        return;
    }
    if (result->result == 0)
        probe_judge(check, &result->probe);
    else
        pass_unseen(check, result->result);
    check->row->is_seen = check->row->is_seen || result->result == 0;
    check->at++;
    (void)check_next(check);
}

/* True: a probe is under way. False: the check has ended, and is gone, or goes on later. */
static bool check_next(struct media_check *check)
{
    struct jobs *jobs = check->job->jobs;
    for (; check->at < check->inputs.count; check->at++) {
        check->row = &check->inputs.rows[check->at];
        if (check->row->is_seen)
            continue;
        CLEANUP_CLOSE int fd = input_open(check);
        const struct tool_request request = {.tool = TOOL_PROBE, .input_fd = fd, .output_fd = -1};
        int r =
            fd < 0 ? fd : tools_start(jobs->settings.tools, &request, on_probe, check, &check->run);
        if (r == 0) {
            size_check(check, fd);
            return true;
        }
        if (is_passing(r) || r == -EIO) { /* no fact about the medium */
            job_reason_set(check->job->detail, r,
                           "\"%s\" cannot be looked at now: %s. seedancefs tries again.",
                           check->row->path, err_sentence(r));
            checks_soon(jobs, JOB_SAVE_AGAIN_MS);
            return false;
        }
        pass_unseen(check, r);
    }
    check_end(check);
    return false;
}

/* As many at once as the helper works on: each holds its medium open. */
static void checks_continue(void *context)
{
    struct jobs *jobs = context;
    struct media_check *check;
    struct media_check *next;
    size_t active = 0;
    DL_FOREACH (jobs->media_checks, check) {
        active += check->run != NULL;
    }
    DL_FOREACH_SAFE (jobs->media_checks, check, next) {
        if (active >= CHECKS_AT_ONCE)
            return;
        if (check->run)
            continue;
        if (!is_current(check))
            check_free(check);
        else
            active += check_next(check);
    }
}

static void checks_soon(struct jobs *jobs, int64_t delay_ms)
{
    if (delay_ms == 0 || !timer_is_set(&jobs->media_timer))
        timer_set(jobs->settings.timers, &jobs->media_timer, delay_ms, checks_continue, jobs);
}

static bool is_unseen(const struct job_inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++) {
        if (!inputs->rows[i].is_seen)
            return true;
    }
    return false;
}

int job_media_check(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct media_check *check;
    if (job->detail->is_media_seen)
        return 0;
    DL_FOREACH (jobs->media_checks, check) {
        if (check->job == job && check->attempt_id == job->attempt_id)
            return -EINPROGRESS;
    }
    CLEANUP(job_inputs_fini) struct job_inputs inputs = {0};
    int r = job_inputs_get(job, job->attempt_id, &inputs);
    if (r < 0)
        return r;
    if (!is_unseen(&inputs)) {
        job->detail->is_media_seen = true;
        return 0;
    }
    check = calloc(1, sizeof(*check));
    if (!check)
        return -ENOMEM;
    *check = (struct media_check){.job = job_ref(job),
                                  .attempt_id = job->attempt_id,
                                  .inputs = inputs,
                                  .cause = {.code = -ERR_PROMPT_INVALID},
                                  .problems = {.limit = 64 * 1024},
                                  .warnings = {.limit = 64 * 1024}};
    inputs = (struct job_inputs){0};
    DL_APPEND(jobs->media_checks, check);
    job_reason_set(job->detail, -ERR_WAITS_FOR_INPUT, "Its media are being looked at.");
    checks_soon(jobs, 0);
    return -EINPROGRESS;
}
