/*
 * defaults.json. The values in force and the text that is being written are kept apart, so that a
 * prompt that is submitted meanwhile never gets half of the new ones. A refused text is dropped, so
 * that the file always shows what is in force. A new text comes into force when its last writer is
 * gone: a prompt that is written after close(2) gets the new defaults.
 *
 * If the file that is found at the start is not acceptable (damaged, or of another version), the
 * program does not continue without defaults: requests would cost something else than their writer
 * believes. It accepts no prompt until the user has corrected the file.
 */
#include "job_private.h"

#include "seedancefs/base/file.h"
#include "seedancefs/base/log.h"
#include "seedancefs/job/defaults.h"
#include "seedancefs/prompt/defaults.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char file_name[] = "defaults.json";
static const char nothing[] = "{}\n"; /* shown while there is no file */

struct job_defaults {
    struct prompt_defaults values;
    struct buf text;
    struct draft draft;
    struct buf bytes; /* of the draft */
    char *problem;
    int64_t changed_ms;
    int64_t named_ms;
    bool is_there;
    bool is_broken; /* the file that was found at the start is not acceptable */
};

static void problem_set(struct jobs *jobs, char *problem)
{
    struct job_defaults *d = jobs->defaults;
    if (!problem != !d->problem)
        d->named_ms = jobs_wall_ms(jobs);
    free(d->problem);
    d->problem = problem;
}

/* Says why a text is refused: the problems in the report, or else the meaning of `r`. */
static void problem_say(struct jobs *jobs, int r, const struct prompt_report *report,
                        const char *end)
{
    CLEANUP(buf_fini) struct buf text = {.limit = 256 * 1024};
    if (report && report->count)
        prompt_report_render(report, file_name, &text);
    else
        buf_addf(&text, "%s: %s.\n", file_name, err_sentence(r));
    buf_add_text(&text, end);
    problem_set(jobs, text.error == 0 ? buf_take(&text) : strdup(end));
}

static int text_check(struct jobs *jobs, const struct buf *text, struct prompt_defaults *out,
                      struct prompt_report *report)
{
    const struct prompt_settings settings = {.models = jobs->settings.models,
                                             .default_model = jobs->default_model,
                                             .allow_unknown = jobs->settings.is_unknown_allowed};
    return prompt_defaults_check(buf_text(text), text->len, &settings, out, report);
}

static const char refused_end[] = "Nothing was changed: the previous content is in force.\n";
static const char broken_end[] = "No prompt is accepted until this is corrected, because it is "
                                 "not known what you want where a prompt leaves something out. "
                                 "Write defaults.json again, or remove it.\n";

static int defaults_load(struct jobs *jobs)
{
    struct job_defaults *d = jobs->defaults;
    CLEANUP(prompt_report_fini) struct prompt_report report = {0};
    struct stat st;
    int directory_fd = jobs->settings.directory_fd;
    int r = file_read_all_at(directory_fd, file_name, &d->text);
    if (r == -ENOENT) {
        buf_clear(&d->text);
        return buf_add_text(&d->text, nothing);
    }
    if (fstatat(directory_fd, file_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        d->changed_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    if (r == 0)
        r = text_check(jobs, &d->text, &d->values, &report);
    d->is_broken = r < 0;
    if (r < 0) {
        problem_say(jobs, r, &report, broken_end);
        log_error("defaults.refused", "file=%s error=%s", file_name, err_name(r));
    }
    return r == -ENOMEM ? r : 0;
}

void jobs_defaults_end(struct jobs *jobs)
{
    struct job_defaults *d = jobs->defaults;
    if (!d)
        return;
    prompt_defaults_fini(&d->values);
    buf_fini(&d->text);
    buf_fini(&d->bytes);
    free(d->problem);
    free(d);
    jobs->defaults = NULL;
}

int jobs_defaults_get(const struct jobs *jobs, const struct prompt_defaults **out, char **problem)
{
    const struct job_defaults *d = jobs->defaults;
    *out = &d->values;
    if (!d->is_broken)
        return 0;
    *problem = strdup(d->problem ? d->problem : broken_end);
    return -ERR_PROMPT_INVALID;
}

bool jobs_defaults_is_there(const struct jobs *jobs)
{
    return jobs->defaults->is_there;
}

const struct buf *jobs_defaults_text(const struct jobs *jobs)
{
    const struct job_defaults *d = jobs->defaults;
    return d->draft.writers && d->draft.is_dirty ? &d->bytes : &d->text;
}

const char *jobs_defaults_problem(const struct jobs *jobs)
{
    return jobs->defaults->problem;
}

int64_t jobs_defaults_changed_ms(const struct jobs *jobs)
{
    return jobs->defaults->changed_ms;
}

int64_t jobs_defaults_named_ms(const struct jobs *jobs)
{
    return jobs->defaults->named_ms;
}

static void there_set(struct jobs *jobs, bool is_there)
{
    if (jobs->defaults->is_there != is_there)
        jobs->defaults->named_ms = jobs_wall_ms(jobs);
    jobs->defaults->is_there = is_there;
}

/* Puts the text and the values into force, once they are on disk. Takes both. */
static void defaults_install(struct jobs *jobs, struct buf *text, struct prompt_defaults *values)
{
    struct job_defaults *d = jobs->defaults;
    buf_fini(&d->text);
    d->text = *text;
    *text = (struct buf){0};
    prompt_defaults_fini(&d->values);
    d->values = *values;
    *values = (struct prompt_defaults){0};
    d->is_broken = false;
    d->changed_ms = jobs_wall_ms(jobs);
    problem_set(jobs, NULL);
}

static int defaults_replace(struct jobs *jobs, const struct buf *text,
                            struct prompt_defaults *values)
{
    CLEANUP(buf_fini) struct buf copy = {.limit = JOB_DEFAULTS_BYTES_MAX};
    int r = buf_add(&copy, buf_text(text), text->len);
    if (r == 0)
        r = file_replace(jobs->settings.directory_fd, file_name, buf_text(text), text->len, 0600);
    if (r < 0)
        return r;
    log_info("defaults.changed", "bytes=%zu", text->len);
    defaults_install(jobs, &copy, values);
    there_set(jobs, true);
    return 0;
}

/* Judges a text. If `is_final`, an acceptable text comes into force; otherwise more bytes may
 * follow. If the text is refused, the problem says why. */
static int text_judge(struct jobs *jobs, const struct buf *text, bool is_final)
{
    CLEANUP(prompt_defaults_fini) struct prompt_defaults values = {0};
    CLEANUP(prompt_report_fini) struct prompt_report report = {0};
    int r = text_check(jobs, text, &values, &report);
    if (r == -ERR_JSON_INCOMPLETE && !is_final)
        return r;
    if (r == 0 && is_final)
        r = defaults_replace(jobs, text, &values);
    if (r < 0)
        problem_say(jobs, r, &report, jobs->defaults->is_broken ? broken_end : refused_end);
    return r;
}

/* At the first change the draft starts as a copy of the present text. */
static int bytes_begin(struct draft *draft, int64_t size)
{
    struct jobs *jobs = draft->owner;
    struct job_defaults *d = jobs->defaults;
    int writable = store_write_check(jobs->settings.store);
    if (writable < 0)
        return writable;
    if (!draft->is_dirty) {
        buf_clear(&d->bytes);
        int r = buf_add(&d->bytes, buf_text(&d->text), d->text.len);
        if (r < 0)
            return r;
        draft->is_dirty = true;
        draft_begin(draft, (int64_t)d->bytes.len);
    }
    return size > JOB_DEFAULTS_BYTES_MAX ? -EFBIG : 0;
}

static int bytes_resize(struct draft *draft, int64_t new_size)
{
    const struct jobs *jobs = draft->owner;
    struct buf *bytes = &jobs->defaults->bytes;
    size_t size = (size_t)new_size;
    int r = size > bytes->len ? buf_reserve(bytes, size - bytes->len) : 0;
    if (r < 0)
        return r;
    if (size > bytes->len)
        memset(bytes->data + bytes->len, 0, size - bytes->len);
    bytes->len = size;
    if (bytes->data)
        bytes->data[size] = '\0';
    return 0;
}

static int bytes_write(struct draft *draft, const void *bytes, size_t len, int64_t offset)
{
    const struct jobs *jobs = draft->owner;
    struct buf *into = &jobs->defaults->bytes;
    int64_t end = offset + (int64_t)len;
    int r = (size_t)end > into->len ? bytes_resize(draft, end) : 0;
    if (r == 0 && len)
        memcpy(into->data + offset, bytes, len);
    return r;
}

static int bytes_report(struct draft *draft, bool is_closing)
{
    struct jobs *jobs = draft->owner;
    int r =
        draft->write_result ? draft->write_result : text_judge(jobs, &jobs->defaults->bytes, false);
    return r == -ERR_JSON_INCOMPLETE && !is_closing ? 0 : r;
}

static int bytes_sync(struct draft *draft)
{
    const struct jobs *jobs = draft->owner;
    const struct buf *bytes = &jobs->defaults->bytes;
    if (!bytes->len)
        return 0;
    return file_prepare(jobs->settings.directory_fd, file_name, buf_text(bytes), bytes->len, 0600);
}

static int bytes_commit(struct draft *draft)
{
    struct jobs *jobs = draft->owner;
    struct job_defaults *d = jobs->defaults;
    int r = draft_error(draft);
    if (r == 0)
        return text_judge(jobs, &d->bytes, true);
    problem_say(jobs, r, NULL, d->is_broken ? broken_end : refused_end);
    return r;
}

static const struct draft_ops defaults_ops = {bytes_begin,  bytes_write, bytes_resize,
                                              bytes_report, bytes_sync,  bytes_commit};

int jobs_defaults_begin(struct jobs *jobs)
{
    struct job_defaults *d = malloc(sizeof(*d));
    if (!d)
        return -ENOMEM;
    *d = (struct job_defaults){.text = {.limit = JOB_DEFAULTS_BYTES_MAX},
                               .bytes = {.limit = JOB_DEFAULTS_BYTES_MAX},
                               .draft = {.ops = &defaults_ops, .owner = jobs},
                               .changed_ms = jobs_wall_ms(jobs),
                               .named_ms = jobs_wall_ms(jobs),
                               .is_there = true};
    jobs->defaults = d;
    return defaults_load(jobs);
}

int jobs_defaults_open(struct jobs *jobs, bool is_truncating)
{
    struct job_defaults *d = jobs->defaults;
    d->draft.writers++;
    there_set(jobs, true); /* created again after it was removed */
    int r = is_truncating ? draft_truncate(&d->draft, 0) : 0;
    if (r < 0)
        draft_close(&d->draft);
    return r;
}

struct draft *jobs_defaults_draft(struct jobs *jobs)
{
    return &jobs->defaults->draft;
}

int jobs_defaults_remove(struct jobs *jobs)
{
    CLEANUP(buf_fini) struct buf text = {.limit = JOB_DEFAULTS_BYTES_MAX};
    struct prompt_defaults none = {0};
    if (jobs->defaults->draft.writers)
        return -EBUSY;
    int r = buf_add_text(&text, nothing);
    if (r == 0)
        r = file_remove(jobs->settings.directory_fd, file_name);
    if (r < 0)
        return r;
    log_info("defaults.removed", "file=%s", file_name);
    defaults_install(jobs, &text, &none);
    there_set(jobs, false);
    return 0;
}

int jobs_defaults_take(struct jobs *jobs, const struct job_file *file)
{
    CLEANUP(buf_fini) struct buf text = {.limit = JOB_DEFAULTS_BYTES_MAX};
    if (job_file_is_frozen(file))
        return -ERR_PROMPT_FROZEN;
    if (file->draft.writers || jobs->defaults->draft.writers)
        return -EBUSY;
    int r = job_file_read(file, &text);
    if (r == 0)
        r = text_judge(jobs, &text, true);
    return r == -ERR_JSON_INCOMPLETE ? -ERR_PROMPT_INVALID : r; /* no more bytes will follow */
}
