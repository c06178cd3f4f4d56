/*
 * The user's files. The name and mode of each is a row of the store, its bytes are files/ID in
 * the data directory; size and times are those of that file. A handle on prompt.json that wrote
 * decides, when it is closed, whether the job is submitted: see commit.c.
 *
 * `is_sequential` is what makes an early report safe: only when the content was written from the
 * first byte on without a seek is a syntax error in it final. An editor that rewrites in place
 * may pass through any nonsense on its way.
 */
#include "job_private.h"

#include "seedancefs/base/descriptor.h"
#include "seedancefs/base/file.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"
#include "seedancefs/prompt/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REPORT_BYTES_MAX = 256 * 1024 }; /* larger contents are checked at close only */

static bool is_prompt_name(const char *name)
{
    return strcmp(name, JOB_PROMPT_NAME) == 0 || strcmp(name, JOB_PROMPT_TEXT_NAME) == 0;
}

bool job_file_is_prompt(const struct job_file *file)
{
    return is_prompt_name(file->name) && !file->is_unlinked;
}

struct job_file *job_file_find(const struct job_detail *detail, const char *name)
{
    struct job_file *file;
    DL_FOREACH (detail->files, file) {
        if (!file->is_unlinked && strcmp(file->name, name) == 0)
            return file;
    }
    return NULL;
}

struct job_file *job_file_get(const struct job_detail *detail, int64_t id)
{
    struct job_file *file;
    DL_FOREACH (detail->files, file) {
        if (file->id == id)
            return file;
    }
    return NULL;
}

struct job_file *job_file_find_prompt(const struct job_detail *detail)
{
    struct job_file *file = job_file_find(detail, JOB_PROMPT_NAME);
    return file ? file : job_file_find(detail, JOB_PROMPT_TEXT_NAME);
}

const char *job_prompt_name(const struct job_detail *detail)
{
    return job_file_find(detail, JOB_PROMPT_TEXT_NAME) ? JOB_PROMPT_TEXT_NAME : JOB_PROMPT_NAME;
}

static void prompt_problem_clear(struct job *job)
{
    if (!job->detail->prompt_problem)
        return;
    job_text_clear(&job->detail->prompt_problem);
    jobs_changed(job);
}

/* A job has one prompt: neither form of it may appear beside the other. `moved` is about to be that
 * one; NULL: a new file is. */
static int prompt_check_alone(struct job *job, const char *name, const struct job_file *moved)
{
    struct job_detail *detail = job->detail;
    bool is_text = strcmp(name, JOB_PROMPT_TEXT_NAME) == 0;
    const char *other = is_text ? JOB_PROMPT_NAME : JOB_PROMPT_TEXT_NAME;
    const struct job_file *found = is_prompt_name(name) ? job_file_find(detail, other) : NULL;
    if (!found || found == moved)
        return 0;
    char why[256];
    (void)snprintf(
        why, sizeof(why),
        "%s cannot be created beside %s: a job has one prompt. Nothing was changed. Write "
        "into %s, or remove it first.\n",
        name, other, other);
    (void)!job_text_set(&detail->prompt_problem, why);
    jobs_changed(job);
    return -EEXIST;
}

bool job_file_is_frozen(const struct job_file *file)
{
    return job_file_is_prompt(file) && !job_state_is_editable(file->job->state);
}

bool job_file_is_removed(const struct job_file *file)
{
    return file->is_unlinked ||
           (job_file_is_prompt(file) && file->id == file->job->hidden_prompt_id);
}

bool job_file_is_hidden(const struct job_file *file)
{
    return !file->is_unlinked && job_file_is_removed(file) && job_file_is_frozen(file);
}

/* A prompt is made, which an accepted one does not allow. An editor that has removed that for it
 * finds it again. */
static int prompt_refuse_frozen(struct job *job)
{
    job->hidden_prompt_id = 0;
    return -ERR_PROMPT_FROZEN;
}

int job_file_stat(const struct job_file *file, struct stat *st)
{
    int64_t created_ms = file->job->created_ms;
    int r = job_file_bytes_stat(file, st);
    /* There is a file, which can be renamed and removed, whatever has become of its bytes. */
    if (r == -ENOENT)
        *st = (struct stat){.st_nlink = 1, .st_mtim = {.tv_sec = (time_t)(created_ms / 1000)}};
    else if (r < 0)
        return r;
    st->st_mode = S_IFREG | file->mode;
    return 0;
}

static int file_row_save(const struct job_file *file, int64_t job_id, const char *name)
{
    struct store *store = file->job->jobs->settings.store;
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    struct store_file row = {file->id, job_id, copy, file->mode};
    int r = store_file_save(store, &row);
    free(copy);
    return r;
}

static int file_row_save_now(const struct job_file *file)
{
    struct store *store = file->job->jobs->settings.store;
    int r = store_begin(store, STORE_LAZY);
    return r < 0 ? r : store_end(store, file_row_save(file, file->job->id, file->name));
}

static void file_free(struct job_file *file)
{
    if (file->fd >= 0)
        (void)close(file->fd);
    free(file->name);
    free(file);
}

static int file_new(struct job *job, const char *name, mode_t mode, struct job_file **out)
{
    struct job_file *file = calloc(1, sizeof(*file));
    if (!file)
        return -ENOMEM;
    *file = (struct job_file){.job = job, .mode = mode & 0777, .fd = -1};
    int r = job_text_set(&file->name, name);
    if (r == 0)
        r = store_id_take(job->jobs->settings.store, &file->id);
    if (r < 0)
        file_free(file);
    else
        *out = file;
    return r;
}

static int file_make_on_disk(const struct job_file *file)
{
    /* The id is new: what a crash may have left under it belongs to no row. */
    int fd = job_file_bytes_open(file, O_RDWR | O_CREAT | O_TRUNC);
    if (fd < 0)
        return fd;
    (void)close(fd);
    return 0;
}

int job_file_create(struct job *job, const char *name, mode_t mode, struct job_file **out)
{
    struct job_detail *detail;
    struct job_file *file = NULL;
    int r = text_name_check(name);
    if (r == 0 && job->is_removed)
        r = -ENOENT;
    if (r == 0)
        r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    if (is_prompt_name(name) && !job_state_is_editable(job->state))
        return prompt_refuse_frozen(job);
    if (job_file_find(detail, name))
        return -EEXIST;
    r = prompt_check_alone(job, name, NULL);
    if (r == 0)
        r = job_settle(job);
    if (r == 0)
        r = file_new(job, name, mode, &file);
    if (r < 0)
        return r;
    r = file_make_on_disk(file);
    if (r == 0)
        r = file_row_save_now(file);
    if (r < 0) {
        /* They were made just now, and no row names them. */
        job_file_bytes_unlink(file);
        file_free(file);
        return r;
    }
    DL_APPEND(detail->files, file);
    *out = file;
    return 0;
}

/* The content is about to change: a new attempt begins, where one may. */
static int file_touch(struct job_file *file)
{
    if (job_file_is_frozen(file))
        return -ERR_PROMPT_FROZEN;
    if (job_file_is_prompt(file)) {
        /* What the next program does not find is not sent: a writer should learn that at once. With
         * the last one `error` says it. */
        int r = store_place_check(file->job->jobs->settings.store);
        if (r < 0) {
            file->is_dirty = file->is_dirty || file->writers > 0;
            return r;
        }
        r = job_to_draft(file->job);
        if (r < 0)
            return r;
        prompt_problem_clear(file->job);
        file->job->hidden_prompt_id = 0; /* it is another one now */
    }
    file->is_dirty = true;
    file->is_searched = false;
    return 0;
}

void job_file_begin(struct job_file *file)
{
    struct stat st;
    file->is_sequential = file->writers == 1 && job_file_stat(file, &st) == 0;
    file->sequential_end = file->is_sequential ? st.st_size : 0;
}

int job_file_open(struct job_file *file, bool is_writer, bool is_truncating)
{
    if ((is_writer || is_truncating) && job_file_is_frozen(file))
        return -ERR_PROMPT_FROZEN;
    if (file->fd < 0) {
        /* Who gives it other bytes does not need the old ones. */
        int fd = job_file_bytes_open(file, O_RDWR | (is_truncating ? O_CREAT : 0));
        if (fd >= 0 && !is_writer && !is_truncating) {
            fd = descriptor_ordinary(fd);
            fd = fd < 0 ? -errno : fd;
        }
        if (fd < 0)
            return fd;
        file->fd = fd;
    }
    file->handles++;
    if (is_writer)
        file->writers++;
    job_ref(file->job);
    if (!is_truncating)
        return 0;
    int r = job_file_truncate(file, 0);
    if (r < 0)
        job_file_close(file, is_writer);
    return r;
}

void job_file_close(struct job_file *file, bool is_writer)
{
    struct job *job = file->job;
    if (is_writer)
        file->writers--;
    if (file->writers == 0 && file->is_dirty && job_file_is_prompt(file) && !job->is_removed)
        (void)job_prompt_commit(file);
    if (file->writers == 0) {
        file->is_sequential = false;
        file->write_result = file->flush_result = 0;
    }
    if (--file->handles == 0) {
        (void)close(file->fd);
        file->fd = -1;
        if (file->is_unlinked) {
            DL_DELETE(job->detail->files, file);
            file_free(file);
        }
    }
    job_unref(job);
}

void job_file_abandon(struct job_file *file, bool is_writer)
{
    file->is_dirty = false;
    job_file_close(file, is_writer);
}

static int64_t file_size_max(const struct job_file *file)
{
    return job_file_is_prompt(file) ? PROMPT_BYTES_MAX : file->job->jobs->settings.file_bytes_max;
}

/* What is in the prompt now is not what its writer meant: it must not be submitted. */
static int write_failed(struct job_file *file, int r)
{
    if (job_file_is_prompt(file) && file->is_dirty)
        file->write_result = r;
    return r;
}

int job_file_write(struct job_file *file, const void *bytes, size_t len, int64_t offset)
{
    int64_t most = file_size_max(file);
    if (offset < 0 || offset > most || (int64_t)len > most - offset)
        return write_failed(file, -EFBIG);
    int r = file_touch(file);
    if (r < 0)
        return write_failed(file, r);
    r = file_write_full(file->fd, bytes, len, offset);
    if (r < 0)
        return write_failed(file, r);
    file->is_sequential = file->is_sequential && offset == file->sequential_end;
    file->sequential_end = offset + (int64_t)len;
    if (!job_file_is_prompt(file) || !file->is_sequential || file->writers != 1 ||
        file->sequential_end > REPORT_BYTES_MAX)
        return 0;
    r = job_prompt_report(file, file->name, file->job, JOB_REPORT_EARLY);
    /* The bytes are written. A report that could not be made comes with the close. */
    return r == -ERR_PROMPT_INVALID || r == -ERR_BUDGET ? r : 0;
}

/* The user says so. */
static int bytes_truncate(const struct job_file *file, int64_t size)
{
    int fd = file->fd >= 0 ? file->fd : job_file_bytes_open(file, O_WRONLY);
    if (fd < 0)
        return fd;
    int r = ftruncate(fd, size) < 0 ? -errno : 0;
    if (fd != file->fd)
        (void)close(fd);
    return r;
}

int job_file_truncate(struct job_file *file, int64_t size)
{
    if (size < 0 || size > file_size_max(file))
        return -EFBIG;
    int r = file_touch(file);
    if (r == 0)
        r = bytes_truncate(file, size);
    if (r < 0)
        return write_failed(file, r);
    if (size == 0)
        file->write_result = file->flush_result = 0;
    file->is_sequential = size == 0;
    file->sequential_end = 0;
    /* truncate(2) by path: nobody will come to close it. */
    if (job_file_is_prompt(file) && file->writers == 0)
        (void)job_prompt_commit(file);
    return 0;
}

int job_file_flush(struct job_file *file)
{
    file->flush_result = 0;
    if (!job_file_is_prompt(file) || !file->is_dirty || file->writers != 1)
        return 0;
    int r = job_prompt_report(file, file->name, file->job, JOB_REPORT_CLOSE);
    if (r == -ERR_PROMPT_INVALID || r == -ERR_BUDGET)
        return r; /* the release comes to the same verdict */
    /* Submitting happens at the release, which can report nothing: find out now whether the disk
     * takes what that will write. */
    if (r == 0)
        r = job_file_sync(file);
    /* Who was told that closing failed writes it again: it must not have been sent meanwhile. */
    file->flush_result = r;
    return r;
}

void job_file_write_dropped(struct job_file *file, bool is_flush)
{
    if (is_flush)
        file->flush_result = -ENOMEM;
    else if (job_file_is_prompt(file))
        file->write_result = -ENOMEM;
}

int job_file_sync(struct job_file *file)
{
    struct store *store = file->job->jobs->settings.store;
    if (file->fd >= 0 && fsync(file->fd) < 0)
        return -errno;
    int r = store_sync(store);
    /* Durable is what the next program finds. */
    return r < 0 ? r : store_place_check(store);
}

int job_file_mode_set(struct job_file *file, mode_t mode)
{
    mode_t before = file->mode;
    file->mode = mode & 0777;
    if (file->is_unlinked || file->mode == before || file->job->is_provisional)
        return 0;
    int r = file_row_save_now(file);
    if (r < 0)
        file->mode = before;
    return r;
}

/* Takes the file out of its directory; its bytes go with the last handle. The user has removed or
 * replaced it, and the store has taken it out. */
static void file_detach(struct job_file *file)
{
    job_file_bytes_unlink(file);
    file->is_unlinked = true;
    if (file->handles == 0) {
        DL_DELETE(file->job->detail->files, file);
        file_free(file);
    }
}

void job_files_detach(struct job_detail *detail)
{
    struct job_file *file;
    struct job_file *next;
    DL_FOREACH_SAFE (detail->files, file, next) {
        if (!file->is_unlinked)
            file_detach(file);
    }
}

/* A store_remove_fn: the user has removed the file. */
static int file_row_remove(void *context)
{
    const struct job_file *file = context;
    struct store *store = file->job->jobs->settings.store;
    int r = store_begin(store, STORE_LAZY);
    return r < 0 ? r : store_end(store, store_file_remove(store, file->id));
}

/* Another store_remove_fn: a job whose prompt was removed is a draft. */
static int draft_begin(void *context)
{
    return job_to_draft(context);
}

int job_file_unlink(struct job_file *file)
{
    struct job *job = file->job;
    struct store *store = job->jobs->settings.store;
    if (file->is_unlinked)
        return 0;
    /* What was accepted, and perhaps paid for, goes with its job alone. Editors remove what they
     * cannot write, and then cannot make it either. */
    if (job_file_is_frozen(file)) {
        job->hidden_prompt_id = file->id;
        return 0;
    }
    bool is_draft_ending = job_file_is_prompt(file) && job->state == JOB_INVALID;
    int r = store_remove(store, file_row_remove, file);
    if (r < 0)
        return r;
    if (job_file_is_prompt(file))
        prompt_problem_clear(job); /* another one may be made now */
    file_detach(file);
    if (is_draft_ending)
        (void)!store_remove(store, draft_begin, job);
    return 0;
}

/* The part that the store decides: both names change, or none. */
static int rename_save(struct job_file *file, struct job *job, const char *name,
                       const struct job_file *target)
{
    struct store *store = job->jobs->settings.store;
    int r = store_begin(store, STORE_LAZY);
    if (r < 0)
        return r;
    if (target)
        r = store_file_remove(store, target->id);
    if (r == 0)
        r = file_row_save(file, job->id, name);
    return store_end(store, r);
}

static int rename_check(struct job_file *file, struct job *job, const char *name,
                        const struct job_file *target, bool is_replace_allowed)
{
    bool is_onto_prompt = is_prompt_name(name);
    int r = text_name_check(name);
    if (r < 0)
        return r;
    if (is_onto_prompt && !job_state_is_editable(job->state))
        return prompt_refuse_frozen(job);
    if (job_file_is_frozen(file))
        return -ERR_PROMPT_FROZEN;
    if (target && !is_replace_allowed)
        return -EEXIST;
    r = prompt_check_alone(job, name, file->job == job ? file : NULL);
    if (r < 0)
        return r;
    /* What is still being written is judged when it is closed. */
    if (is_onto_prompt)
        return job_prompt_report(file, name, job,
                                 file->writers ? JOB_REPORT_CLOSE : JOB_REPORT_COMPLETE);
    return 0;
}

static int file_order(const struct job_file *a, const struct job_file *b)
{
    return a->id < b->id ? -1 : a->id > b->id;
}

int job_file_rename(struct job_file *file, struct job *job, const char *name,
                    bool is_replace_allowed)
{
    struct job_detail *detail;
    struct job_detail *old_detail = file->job->detail;
    struct job *old_job = job_ref(file->job);
    char *copy = strdup(name);
    int r = copy ? job_detail_get(job, &detail) : -ENOMEM;
    struct job_file *target = r == 0 ? job_file_find(detail, name) : NULL;
    if (r == 0 && target == file)
        goto out;
    if (r == 0)
        r = rename_check(file, job, name, target, is_replace_allowed);
    if (r == 0)
        r = job_settle(job);
    if (r == 0)
        r = rename_save(file, job, name, target);
    if (r < 0)
        goto out;

    bool was_prompt = job_file_is_prompt(file);
    if (target)
        file_detach(target);
    DL_DELETE(old_detail->files, file);
    DL_INSERT_INORDER(detail->files, file, file_order); /* a listing goes on after an id */
    for (unsigned i = 0; i < file->handles; i++) {
        job_ref(job);
        job_unref(old_job);
    }
    file->job = job;
    free(file->name);
    file->name = copy;
    copy = NULL;
    if (was_prompt)
        (void)!job_to_draft(old_job);
    if (job_file_is_prompt(file)) {
        file->is_dirty = true;
        if (file->writers == 0)
            r = job_prompt_commit(file);
    }
    r = r == -ENODATA ? 0 : r;
out:
    free(copy);
    job_unref(old_job);
    return r;
}
