/*
 * prompt.json or prompt.txt -> attempt. The two differ only in what their content means; what is
 * said here of prompt.json holds for prompt.txt, too. A commit may cost money, so it happens at
 * exactly three places: when the last writer of prompt.json is gone (see draft.c), when another
 * file is renamed onto it, and when `submit` is written into ctl.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"
#include "seedancefs/prompt/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of a draft whose price is shown: `ls` asks for it. */
enum { ESTIMATED_BYTES_MAX = 1024 * 1024 };

/* What was read of a prompt, and what came of it. A zeroed struct is empty. */
struct reading {
    struct prompt *prompt;
    struct prompt_report report;
    struct input_reader reader;
    char *problem; /* the text for `error`; NULL: none */
    struct job_cause cause;
};

static void reading_fini(struct reading *reading)
{
    reading->prompt = prompt_free(reading->prompt);
    prompt_report_fini(&reading->report);
    job_inputs_fini(&reading->reader.found);
    free(reading->problem);
    *reading = (struct reading){0};
}

/* How much is looked at: every write asks for MEDIA_UNSEEN, and `ls` for MEDIA_UNREAD. */
enum media_look { MEDIA_UNSEEN, MEDIA_UNREAD, MEDIA_READ };

static bool is_blank(const struct buf *text)
{
    size_t mark = prompt_mark_bytes(buf_text(text), text->len);
    return mark + strspn(buf_text(text) + mark, " \t\r\n") == text->len;
}

/* A single request above the whole budget could wait for ever, so it is refused when it is
 * written. */
static int budget_check_alone(const struct jobs *jobs, struct reading *reading)
{
    const struct job_budget *budget = &jobs->settings.budget;
    int64_t cost = reading->prompt->estimate_usd_micros;
    if (budget->limit_usd_micros == 0 || cost <= budget->limit_usd_micros)
        return 0;
    char limit[TEXT_MONEY_SIZE];
    char needs[TEXT_MONEY_SIZE];
    text_usd(budget->limit_usd_micros, limit);
    text_usd(cost, needs);
    reading->prompt = prompt_free(reading->prompt);
    CLEANUP(buf_fini) struct buf text = {.limit = 1024};
    buf_addf(
        &text,
        "The request would cost about %s USD, more than the whole budget of %s USD%s.\n"
        "Nothing was sent. Ask for less (duration, resolution, model), or start seedancefs with "
        "a larger --budget.\n",
        needs, limit, job_budget_period_to_text(budget->period));
    reading->problem = buf_take(&text);
    reading->cause.code = -ERR_BUDGET;
    return -ERR_BUDGET;
}

/* The first mistake speaks for all. */
static void cause_take(const struct prompt_report *report, int r, struct job_cause *out)
{
    *out = (struct job_cause){.code = r};
    for (size_t i = 0; i < report->count; i++) {
        const struct prompt_problem *problem = &report->problems[i];
        if (problem->is_warning)
            continue;
        out->line = problem->line;
        out->column = problem->column;
        (void)snprintf(out->field, sizeof(out->field), "%s", problem->field);
        return;
    }
}

static int text_check(const struct job_file *file, const char *name, const struct buf *content,
                      const struct prompt_settings *settings, struct reading *reading)
{
    int r = (job_name_is_prompt_text(name) ? prompt_check_text : prompt_check)(
        buf_text(content), content->len, settings, &reading->prompt, &reading->report);
    if (r == -ERR_JSON_INCOMPLETE || r == -ERR_PROMPT_INVALID) {
        CLEANUP(buf_fini) struct buf text = {.limit = 256 * 1024};
        prompt_report_render(&reading->report, file->name, &text);
        reading->problem = buf_take(&text);
        cause_take(&reading->report, r, &reading->cause);
    }
    return r;
}

/*
 * Checks the present content as that of a file called `name` in `job`, but not against the budget.
 * Returns 0 and a prompt; -ENODATA for a blank file; -ERR_JSON_INCOMPLETE or -ERR_PROMPT_INVALID
 * and the text for `error`; or an error of the disk.
 */
static int content_parse(const struct job_file *file, const char *name, struct job *job,
                         enum media_look look, struct reading *reading)
{
    struct jobs *jobs = job->jobs;
    struct job_detail *detail;
    /* Reading what it names loads other jobs, which must not drop these. */
    CLEANUP(job_drop) struct job *held UNUSED = job_ref(job);
    CLEANUP(job_drop) struct job *owner UNUSED = job_ref(file->job);
    CLEANUP(buf_fini) struct buf content = {.limit = PROMPT_BYTES_MAX};
    int r = job_detail_get(job, &detail);
    if (r == 0)
        r = job_file_read(file, &content);
    if (r < 0)
        return r;
    if (is_blank(&content))
        return -ENODATA;
    reading->reader.job = job;
    struct prompt_settings settings = {.models = jobs->settings.models,
                                       .default_model = jobs->default_model,
                                       .allow_unknown = jobs->settings.is_unknown_allowed,
                                       .read_media = look != MEDIA_UNSEEN ? job_input_read : NULL,
                                       .media_context = &reading->reader,
                                       .is_content_unread = look == MEDIA_UNREAD};
    r = jobs_defaults_get(jobs, &settings.defaults, &reading->problem);
    return r < 0 ? r : text_check(file, name, &content, &settings, reading);
}

static void estimate_take(struct prompt *prompt, struct store_attempt *out)
{
    *out = (struct store_attempt){.duration_ms = job_length_ms(prompt),
                                  .input_video_ms = prompt->input_video_ms,
                                  .estimated_usd_micros = prompt->estimate_usd_micros,
                                  .actual_usd_micros = -1};
    out->model = TAKE_POINTER(prompt->model);
    out->resolution = TAKE_POINTER(prompt->resolution);
}

int job_estimate_get(struct job *job, struct store_attempt *out)
{
    struct job_detail *detail;
    struct stat st;
    CLEANUP(reading_fini) struct reading reading = {.reader.is_missing_allowed = true};
    int r = job_detail_get(job, &detail);
    const struct job_file *file = r == 0 ? job_file_find_prompt(detail) : NULL;
    if (r == 0)
        r = file ? job_file_stat(file, &st) : -ENODATA;
    if (r == 0 && st.st_size > ESTIMATED_BYTES_MAX)
        r = -ENODATA;
    if (r == 0)
        r = content_parse(file, file->name, job, MEDIA_UNREAD, &reading);
    if (r < 0)
        return r;
    estimate_take(reading.prompt, out);
    return 0;
}

int jobs_estimate_get(struct jobs *jobs, struct store_attempt *out)
{
    static const char any[] = "A cat surfing at sunset";
    CLEANUP(reading_fini) struct reading reading = {0};
    struct prompt_settings settings = {.models = jobs->settings.models,
                                       .default_model = jobs->default_model,
                                       .allow_unknown = jobs->settings.is_unknown_allowed};
    int r = jobs_defaults_get(jobs, &settings.defaults, &reading.problem);
    if (r == 0)
        r = prompt_check_text(any, strlen(any), &settings, &reading.prompt, &reading.report);
    if (r == 0)
        estimate_take(reading.prompt, out);
    return r;
}

static void warnings_keep(struct job *job, const struct prompt_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        char note[JOB_SENTENCE_MAX];
        if (!report->problems[i].is_warning)
            continue;
        (void)snprintf(note, sizeof(note), "warning: %s%s%s", report->problems[i].field,
                       report->problems[i].field[0] ? ": " : "", report->problems[i].sentence);
        job_persist(job, note);
    }
}

/* Nobody waits for the result any more, so it is written where the user will look. */
static void commit_failed(struct job *job, const char *name, int r)
{
    struct job_detail *detail;
    int place = store_place_check(job->jobs->settings.store);
    r = place == -ERR_STORE_MOVED ? place : r;
    log_error("prompt.uncommitted", "job=%s error=%s", job->name, err_name(r));
    if (job_detail_get(job, &detail) < 0)
        return;
    job_problem_set(detail, r,
                    "%s could not be submitted: %s.\n"
                    "Nothing was sent and nothing was charged. Correct that, then write %s "
                    "again.\n",
                    name, err_sentence(r), name);
    jobs_changed(job);
}

/* The content must be on disk before the state that says that it was accepted. close(2) has seen to
 * that. A rename has not: the file that it puts in place was never flushed as prompt.json. */
static int content_sync(const struct job_file *file)
{
    CLEANUP_CLOSE int fd = job_file_bytes_open(file, O_RDONLY);
    if (fd < 0)
        return fd;
    return fsync(fd) < 0 ? -errno : 0;
}

/* The content is not acceptable: keep it, say why, send nothing. */
static void commit_refused(struct job *job, const char *name, int r, const struct reading *reading)
{
    int saved =
        r == -ENODATA ? job_to_draft(job) : job_to_invalid(job, &reading->cause, reading->problem);
    if (saved < 0 && r != -ENODATA && !job->has_problem)
        commit_failed(job, name, saved);
    else if (saved < 0)
        log_error("store.unsaved", "job=%s error=%s", job->name, err_name(saved));
}

/* Whether a close holds the request: a copy always, see copy.c; else by what says so nearest to it:
 * the prompt, defaults.json, the program's option, what the user has said of the job before. */
static enum job_hold hold_choose(const struct job_file *file, const struct job *job,
                                 const struct prompt *prompt)
{
    if (job->hold == JOB_HOLD_COPY || !(file->mode & 0200))
        return JOB_HOLD_COPY;
    /* With a take, only the user's word to this file orders another one. */
    bool is_held_take = job->takes && job->hold != JOB_HOLD_NONE;
    if (prompt->hold == PROMPT_HOLD_NO && !is_held_take)
        return JOB_HOLD_NONE;
    if (prompt->hold == PROMPT_HOLD_YES || job->jobs->settings.is_hold_wanted)
        return JOB_HOLD_USER;
    /* What the program holds because of its inputs is ordered by a new prompt. */
    bool is_held_before = job->hold == JOB_HOLD_USER || job->hold == JOB_HOLD_RESTORED;
    return is_held_before ? JOB_HOLD_USER : JOB_HOLD_NONE;
}

/* What is held can be rewritten, also by an owner whose copy came without the permission. If that
 * cannot be stored, the owner can still give it. */
static void prompt_open_up(struct job_file *file)
{
    if (file->mode & 0200)
        return;
    file->mode |= 0200;
    (void)!job_file_row_save_now(file);
}

/*
 * The same, and -ERR_BUDGET and the text for a request that is too expensive. What a held prompt
 * names need not be there yet, so that many jobs can be copied in any order; an order needs all.
 */
static int content_check(const struct job_file *file, const char *name, struct job *job,
                         bool is_order, struct reading *reading)
{
    CLEANUP(reading_fini) struct reading held = {.reader.is_missing_allowed = true};
    int r = content_parse(file, name, job, MEDIA_READ, reading);
    if (r == -ERR_PROMPT_INVALID && !is_order &&
        content_parse(file, name, job, MEDIA_READ, &held) == 0 &&
        hold_choose(file, job, held.prompt) != JOB_HOLD_NONE) {
        struct reading refused = *reading;
        *reading = held;
        held = refused;
        r = 0;
    }
    return r == 0 ? budget_check_alone(job->jobs, reading) : r;
}

static int commit_accept(struct job_file *file, struct reading *reading, bool is_order)
{
    struct job *job = file->job;
    const struct prompt *prompt = reading->prompt;
    enum job_hold hold = is_order ? JOB_HOLD_NONE : hold_choose(file, job, prompt);
    CLEANUP(job_inputs_fini) struct job_inputs inputs = {0};
    int r = content_sync(file);
    if (r == 0)
        r = job_inputs_make(&reading->reader, prompt, &inputs);
    if (r < 0)
        return r;
    r = job_to_accepted(job, prompt, &inputs, hold);
    if (r < 0) {
        job_inputs_unkeep(job->jobs, &inputs);
        return r;
    }
    warnings_keep(job, &reading->report);
    if (job->state == JOB_HELD) {
        prompt_open_up(file);
        (void)!job_media_check(job); /* if it cannot be done now, it is when it is ordered */
    }
    if (job->state != JOB_WAITING)
        return 0;
    if (!is_order)
        job_quiet_begin(job);
    job_submit_schedule(job, 0);
    return 0;
}

int job_prompt_commit(struct job_file *file, bool is_order)
{
    struct job *job = file->job;
    CLEANUP(reading_fini) struct reading reading = {0};
    int r = draft_error(&file->draft);
    if (r == 0) {
        r = content_check(file, file->name, job, is_order, &reading);
        if (r == -ENODATA || r == -ERR_JSON_INCOMPLETE || r == -ERR_PROMPT_INVALID ||
            r == -ERR_BUDGET) {
            commit_refused(job, file->name, r, &reading);
            return r;
        }
    }
    if (r == 0)
        r = commit_accept(file, &reading, is_order);
    if (r < 0)
        commit_failed(job, file->name, r);
    return r;
}

/* Writes into `error` why a write, close or rename is refused. The job's state changes only at the
 * release, because the writer may still go on. */
static void report_show(struct job *job, struct reading *reading)
{
    struct job_detail *detail;
    if (!reading->problem || !job_is_editable(job) || job_detail_get(job, &detail) < 0)
        return;
    job_problem_take(detail, &reading->cause, TAKE_POINTER(reading->problem));
    jobs_changed(job);
}

int job_prompt_report(struct job_file *file, const char *name, struct job *shown,
                      enum job_report when)
{
    CLEANUP(reading_fini) struct reading reading = {0};
    int r = when == JOB_REPORT_EARLY
                ? content_parse(file, name, shown, MEDIA_UNSEEN, &reading)
                : content_check(file, name, shown, when == JOB_REPORT_ORDER, &reading);
    if (r == 0 && when == JOB_REPORT_EARLY)
        r = budget_check_alone(shown->jobs, &reading);
    if (when >= JOB_REPORT_COMPLETE && r == -ERR_JSON_INCOMPLETE)
        r = -ERR_PROMPT_INVALID;
    if (r == -ERR_PROMPT_INVALID || r == -ERR_BUDGET)
        report_show(shown, &reading);
    bool is_told = r == -ERR_JSON_INCOMPLETE && when == JOB_REPORT_CLOSE;
    return (r == -ERR_JSON_INCOMPLETE && !is_told) || r == -ENODATA ? 0 : r;
}
