/*
 * defaults.json. What is in force and what is being written are kept apart, so that a prompt that
 * is submitted meanwhile never meets half of it; and what was refused is dropped rather than kept,
 * so that the file always says what is in force.
 *
 * When it comes into force is what commit.c says of prompt.json: not at FLUSH, of which one open
 * file sees several, but when the last writer is gone. RELEASE is queued before the writer's
 * close(2) returns, so that whoever writes a prompt after that has the new defaults.
 *
 * What was found at the start and is not acceptable (damaged, or written by another version) is not
 * the same as no defaults: requests would cost something else than their writer believes. No prompt
 * is accepted until it has been put right.
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
static const char nothing[] = "{}\n"; /* shown where nothing was ever written */

struct job_defaults {
    struct prompt_defaults values;
    struct buf text;
    struct buf draft;
    char *problem;
    int64_t changed_ms;
    int64_t named_ms;
    unsigned writers;
    int write_result; /* why a write or flush failed since the draft was last empty; 0: none did */
    bool is_there;
    bool is_broken; /* what was found at the start is not acceptable */
    bool is_dirty;
    bool is_sequential; /* the draft was only added to: an early report is final */
};

static void problem_set(struct jobs *jobs, char *problem)
{
    struct job_defaults *d = jobs->defaults;
    if (!problem != !d->problem)
        d->named_ms = jobs_wall_ms(jobs);
    free(d->problem);
    d->problem = problem;
}

static void problem_say(struct jobs *jobs, const struct prompt_report *report, const char *end)
{
    struct buf text;
    buf_init(&text, 256 * 1024);
    prompt_report_render(report, file_name, &text);
    buf_add_text(&text, end);
    problem_set(jobs, text.error == 0 ? buf_take(&text) : strdup(end));
    buf_fini(&text);
}

static void problem_error(struct jobs *jobs, int r, const char *end)
{
    struct buf text;
    buf_init(&text, 1024);
    buf_addf(&text, "%s: %s.\n%s", file_name, err_sentence(r), end);
    problem_set(jobs, text.error == 0 ? buf_take(&text) : strdup(end));
    buf_fini(&text);
}

static int text_check(struct jobs *jobs, const struct buf *text, struct prompt_defaults *out,
                      struct prompt_report *report)
{
    const struct prompt_settings settings = {.default_model = jobs->default_model,
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
    struct prompt_report report;
    struct stat st;
    int directory_fd = jobs->settings.directory_fd;
    int r = file_read_all_at(directory_fd, file_name, &d->text);
    if (r == -ENOENT) {
        buf_clear(&d->text);
        return buf_add_text(&d->text, nothing);
    }
    if (fstatat(directory_fd, file_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        d->changed_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    prompt_report_init(&report);
    bool is_read = r == 0;
    if (r == 0)
        r = text_check(jobs, &d->text, &d->values, &report);
    d->is_broken = r < 0;
    if (r < 0 && is_read && report.count)
        problem_say(jobs, &report, broken_end);
    else if (r < 0)
        problem_error(jobs, r, broken_end);
    prompt_report_fini(&report);
    if (r < 0)
        log_error("defaults.refused", "file=%s error=%s", file_name, err_name(r));
    return r == -ENOMEM ? r : 0;
}

int jobs_defaults_begin(struct jobs *jobs)
{
    struct job_defaults *d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    jobs->defaults = d;
    buf_init(&d->text, JOB_DEFAULTS_BYTES_MAX);
    buf_init(&d->draft, JOB_DEFAULTS_BYTES_MAX);
    d->changed_ms = d->named_ms = jobs_wall_ms(jobs);
    d->is_there = true;
    return defaults_load(jobs);
}

void jobs_defaults_end(struct jobs *jobs)
{
    struct job_defaults *d = jobs->defaults;
    if (!d)
        return;
    prompt_defaults_fini(&d->values);
    buf_fini(&d->text);
    buf_fini(&d->draft);
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
    return d->writers && d->is_dirty ? &d->draft : &d->text;
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

/* On disk first, then in force. */
static int defaults_replace(struct jobs *jobs, const struct buf *text,
                            struct prompt_defaults *values)
{
    struct job_defaults *d = jobs->defaults;
    struct buf copy;
    buf_init(&copy, JOB_DEFAULTS_BYTES_MAX);
    int r = buf_add(&copy, buf_text(text), text->len);
    if (r == 0)
        r = file_replace(jobs->settings.directory_fd, file_name, buf_text(text), text->len, 0600);
    if (r < 0) {
        buf_fini(&copy);
        prompt_defaults_fini(values);
        return r;
    }
    buf_fini(&d->text);
    d->text = copy;
    prompt_defaults_fini(&d->values);
    d->values = *values;
    d->is_broken = false;
    d->changed_ms = jobs_wall_ms(jobs);
    there_set(jobs, true);
    problem_set(jobs, NULL);
    log_info("defaults.changed", "bytes=%zu", text->len);
    return 0;
}

/* Says why the text is refused. While what was found at the start is broken, that is said, too. */
static void refusal_show(struct jobs *jobs, int r, const struct prompt_report *report)
{
    const char *end = jobs->defaults->is_broken ? broken_end : refused_end;
    if (report->count)
        problem_say(jobs, report, end);
    else
        problem_error(jobs, r, end);
}

/* The verdict on a text that may still go on (`is_final` false), shown where it is definite. */
static int text_report(struct jobs *jobs, const struct buf *text, bool is_final)
{
    struct prompt_defaults values = {0};
    struct prompt_report report;
    prompt_report_init(&report);
    int r = text_check(jobs, text, &values, &report);
    if (r == -ERR_JSON_INCOMPLETE)
        r = is_final ? -ERR_PROMPT_INVALID : 0;
    if (r < 0)
        refusal_show(jobs, r, &report);
    prompt_report_fini(&report);
    prompt_defaults_fini(&values);
    return r;
}

/* The end of a writing: into force, or dropped. */
static int text_commit(struct jobs *jobs, const struct buf *text)
{
    struct prompt_defaults values = {0};
    struct prompt_report report;
    prompt_report_init(&report);
    int r = text_check(jobs, text, &values, &report);
    if (r == 0)
        r = defaults_replace(jobs, text, &values);
    if (r < 0)
        refusal_show(jobs, r, &report);
    prompt_report_fini(&report);
    return r;
}

/* The first change of a writing: the draft begins as what is there. */
static int draft_begin(struct jobs *jobs)
{
    struct job_defaults *d = jobs->defaults;
    if (d->is_dirty)
        return 0;
    buf_clear(&d->draft);
    int r = buf_add(&d->draft, buf_text(&d->text), d->text.len);
    d->is_dirty = r == 0;
    d->is_sequential = true;
    d->write_result = 0;
    return r;
}

int jobs_defaults_open(struct jobs *jobs, bool is_truncating)
{
    struct job_defaults *d = jobs->defaults;
    d->writers++;
    there_set(jobs, true); /* made, where it was removed */
    int r = is_truncating ? jobs_defaults_truncate(jobs, 0) : 0;
    if (r < 0)
        jobs_defaults_close(jobs);
    return r;
}

static int draft_resize(struct buf *draft, size_t size)
{
    static const char zeros[256];
    if (size < draft->len) {
        draft->len = size;
        draft->data[size] = '\0';
    }
    int r = 0;
    while (r == 0 && draft->len < size) {
        size_t left = size - draft->len;
        r = buf_add(draft, zeros, left < sizeof(zeros) ? left : sizeof(zeros));
    }
    return r;
}

int jobs_defaults_write(struct jobs *jobs, const void *bytes, size_t len, int64_t offset)
{
    struct job_defaults *d = jobs->defaults;
    int r = draft_begin(jobs);
    if (r == 0 && (offset < 0 || offset > JOB_DEFAULTS_BYTES_MAX ||
                   (int64_t)len > JOB_DEFAULTS_BYTES_MAX - offset))
        r = -EFBIG;
    size_t at = (size_t)offset;
    if (r == 0)
        d->is_sequential = d->is_sequential && at == d->draft.len;
    if (r == 0 && d->draft.len < at + len)
        r = draft_resize(&d->draft, at + len);
    if (r < 0) {
        d->write_result = r;
        return r;
    }
    if (len)
        memcpy(d->draft.data + at, bytes, len);
    return d->is_sequential && d->writers == 1 ? text_report(jobs, &d->draft, false) : 0;
}

int jobs_defaults_truncate(struct jobs *jobs, int64_t size)
{
    struct job_defaults *d = jobs->defaults;
    if (size < 0 || size > JOB_DEFAULTS_BYTES_MAX)
        return -EFBIG;
    int r = draft_begin(jobs);
    if (r == 0)
        r = draft_resize(&d->draft, (size_t)size);
    if (r == 0 && size == 0)
        d->write_result = 0;
    d->is_sequential = size == 0;
    if (r == 0 && d->writers == 0) {
        r = text_commit(jobs, &d->draft);
        d->is_dirty = false;
    }
    return r;
}

int jobs_defaults_flush(struct jobs *jobs)
{
    struct job_defaults *d = jobs->defaults;
    if (!d->is_dirty || d->writers != 1)
        return 0;
    int r = d->write_result ? d->write_result : text_report(jobs, &d->draft, false);
    /* What the release does can be told to nobody: find out now whether the disk takes it. */
    if (r == 0 && d->draft.len)
        r = file_prepare(jobs->settings.directory_fd, file_name, buf_text(&d->draft), d->draft.len,
                         0600);
    if (r < 0)
        d->write_result = r == -ERR_PROMPT_INVALID ? 0 : r;
    return r;
}

void jobs_defaults_write_dropped(struct jobs *jobs)
{
    jobs->defaults->write_result = -ENOMEM;
}

void jobs_defaults_close(struct jobs *jobs)
{
    struct job_defaults *d = jobs->defaults;
    if (--d->writers > 0)
        return;
    if (d->is_dirty && d->write_result)
        problem_error(jobs, d->write_result, d->is_broken ? broken_end : refused_end);
    else if (d->is_dirty)
        (void)text_commit(jobs, &d->draft);
    d->is_dirty = false;
    d->write_result = 0;
    buf_clear(&d->draft);
}

void jobs_defaults_abandon(struct jobs *jobs)
{
    jobs->defaults->is_dirty = false;
    jobs_defaults_close(jobs);
}

int jobs_defaults_remove(struct jobs *jobs)
{
    struct job_defaults *d = jobs->defaults;
    struct buf text;
    if (d->writers)
        return -EBUSY;
    buf_init(&text, JOB_DEFAULTS_BYTES_MAX);
    int r = buf_add_text(&text, nothing);
    if (r == 0)
        r = file_remove(jobs->settings.directory_fd, file_name);
    if (r < 0) {
        buf_fini(&text);
        return r;
    }
    buf_fini(&d->text);
    d->text = text;
    prompt_defaults_fini(&d->values);
    d->is_broken = false;
    d->changed_ms = jobs_wall_ms(jobs);
    there_set(jobs, false);
    problem_set(jobs, NULL);
    log_info("defaults.removed", "file=%s", file_name);
    return 0;
}

int jobs_defaults_rename(struct jobs *jobs, struct job_file *file)
{
    struct buf text;
    if (job_file_is_frozen(file))
        return -ERR_PROMPT_FROZEN;
    if (file->writers || jobs->defaults->writers)
        return -EBUSY;
    buf_init(&text, JOB_DEFAULTS_BYTES_MAX);
    int r = job_file_read(file, &text);
    if (r == 0)
        r = text_report(jobs, &text, true);
    if (r == 0)
        r = text_commit(jobs, &text);
    buf_fini(&text);
    return r < 0 ? r : job_file_unlink(file);
}
