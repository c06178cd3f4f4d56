/*
 * What the user does with files. The name and mode of a file are a row of the store. Its bytes are
 * in files/ID in the data directory (file_store.c), and its size and times are those of that file.
 * A prompt is written as a draft: when its last writer has closed it, or another file is renamed
 * onto it, the content decides whether the job is submitted (commit.c).
 */
#include "job_private.h"

#include "seedancefs/base/descriptor.h"
#include "seedancefs/base/file.h"
#include "seedancefs/base/text.h"
#include "seedancefs/prompt/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void prompt_problem_clear(struct job *job)
{
    if (!job->detail->prompt_problem)
        return;
    job_text_clear(&job->detail->prompt_problem);
    jobs_changed(job);
}

/*
 * Whether a file that gets this name there becomes a prompt. `moved` is that file; NULL: a new one. In
 * `assets` it is a file like any other. So is prompt.md beside another prompt, in a job that takes no
 * prompt now, and in the place of one that is such a file: a note must never become an order. Its
 * detail is loaded.
 */
static bool is_prompt_of(const struct job *job, const char *name, const struct job_file *moved)
{
    if (!job_name_is_prompt(name) || job->is_assets)
        return false;
    if (strcmp(name, JOB_PROMPT_MARKDOWN_NAME) != 0)
        return true;
    const struct job_file *there = job_file_find(job->detail, name);
    const struct job_file *prompt = job_file_find_prompt(job->detail);
    if (there && there != moved)
        return !there->is_note;
    return (!prompt || prompt == moved) && job_is_editable(job);
}

/* A job has one prompt: prompt.json and prompt.txt do not exist side by side, nor beside a prompt.md
 * that is the prompt. `moved` is the file that is about to become the prompt; NULL: a new file is. */
static int prompt_check_alone(struct job *job, const char *name, const struct job_file *moved)
{
    struct job_detail *detail = job->detail;
    const struct job_file *found =
        is_prompt_of(job, name, moved) ? job_file_find_prompt(detail) : NULL;
    if (!found || found == moved || strcmp(found->name, name) == 0)
        return 0;
    char why[256];
    (void)snprintf(
        why, sizeof(why),
        "%s cannot be created beside %s: a job has one prompt. Nothing was changed. Write "
        "into %s, or remove it first.\n",
        name, found->name, found->name);
    (void)!job_text_set(&detail->prompt_problem, why);
    jobs_changed(job);
    return -EEXIST;
}

/* Refuses to create a prompt, because the job has an accepted one. If an editor has unlinked that
 * one to replace it, it becomes visible again. */
static int prompt_refuse_frozen(struct job *job)
{
    job->hidden_prompt_id = 0;
    return -ERR_PROMPT_FROZEN;
}

static int file_new(struct job *job, const char *name, mode_t mode, struct job_file **out)
{
    int64_t id;
    int r = job_bytes_id_take(job->jobs, &id);
    if (r < 0)
        return r;
    CLEANUP_FREE char *copy = strdup(name);
    struct job_file *file = copy ? malloc(sizeof(*file)) : NULL;
    if (!file)
        return -ENOMEM;
    *file = (struct job_file){
        .id = id, .job = job, .name = TAKE_POINTER(copy), .mode = mode & 0777, .fd = -1};
    *out = file;
    return 0;
}

static int file_make_on_disk(const struct job_file *file)
{
    struct store *store = file->job->jobs->settings.store;
    CLEANUP_CLOSE int fd = job_file_bytes_open(file, O_RDWR | O_CREAT | O_EXCL);
    if (fd < 0)
        return fd;
    int r = store_begin(store, STORE_LAZY);
    if (r == 0) {
        r = job_file_row_save(file, file->job->id, file->name);
        if (r == 0) /* other hosts get its time, also if nothing is ever written into it */
            r = store_file_touch(store, file->id);
        r = store_end(store, r);
    }
    if (r < 0) /* Proof: the bytes were created just now, and no row names them. */
        job_file_bytes_unlink(file);
    return r;
}

int job_file_create(struct job *job, const char *name, mode_t mode, struct job_file **out)
{
    struct job_detail *detail;
    struct job_file *file = NULL;
    int r = text_name_check(name);
    if (r < 0)
        return r;
    if (job->is_removed)
        return -ENOENT;
    r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    bool is_prompt = is_prompt_of(job, name, NULL);
    if (is_prompt && !job_is_editable(job))
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
    file->is_note = job_name_is_prompt(name) && !job->is_assets && !is_prompt;
    r = file_make_on_disk(file);
    if (r < 0) {
        job_file_free(file);
        return r;
    }
    DL_APPEND(detail->files, file);
    job_quiet_touch(job);
    *out = file;
    return 0;
}

static int64_t file_size_max(const struct job_file *file)
{
    return job_file_is_prompt(file) ? PROMPT_BYTES_MAX : file->job->jobs->settings.file_bytes_max;
}

/* The prompt is about to change. If the state allows it, a new attempt begins. */
static int prompt_touch(struct job_file *file)
{
    struct job *job = file->job;
    if (job_file_is_frozen(file))
        return -ERR_PROMPT_FROZEN;
    /* What the next run of the program would not find is not sent, and a writer should learn that
     * at once. When the last writer is gone, `error` says it, too. */
    int r = store_place_check(job->jobs->settings.store);
    if (r < 0) {
        file->draft.is_dirty = file->draft.is_dirty || file->draft.writers > 0;
        return r;
    }
    r = job_to_draft(job);
    if (r < 0)
        return r;
    prompt_problem_clear(job);
    job->hidden_prompt_id = 0; /* it is another prompt now */
    return 0;
}

static int bytes_begin(struct draft *draft, int64_t size)
{
    struct job_file *file = draft->owner;
    int r = store_write_check(file->job->jobs->settings.store);
    if (r < 0)
        return r;
    if (size > file_size_max(file))
        return -EFBIG;
    r = job_file_is_prompt(file) ? prompt_touch(file) : 0;
    /* Before the first byte, so that whatever ends the program, other hosts get them. */
    if (r == 0 && !draft->is_dirty && !file->is_unlinked)
        r = store_file_touch(file->job->jobs->settings.store, file->id);
    if (r == -ENOSPC && size == 0)
        r = 0; /* it makes room; the end of the change touches it as well */
    if (r < 0)
        return r;
    draft->is_dirty = true;
    file->is_searched = false;
    return 0;
}

static int bytes_write(struct draft *draft, const void *bytes, size_t len, int64_t offset)
{
    const struct job_file *file = draft->owner;
    return file_write_full(file->fd, bytes, len, offset);
}

/* Proof: the user asks for this size. */
static int bytes_resize(struct draft *draft, int64_t size)
{
    struct job_file *file = draft->owner;
    int r = draft->writers == 0 ? job_file_unshare(file, size == 0) : 0;
    if (r < 0)
        return r;
    CLEANUP_CLOSE int opened = file->fd < 0 ? job_file_bytes_open(file, O_WRONLY) : -1;
    int fd = file->fd < 0 ? opened : file->fd;
    if (fd < 0)
        return fd;
    return ftruncate(fd, size) < 0 ? -errno : 0;
}

static int bytes_report(struct draft *draft, bool is_closing)
{
    struct job_file *file = draft->owner;
    return job_file_is_prompt(file)
               ? job_prompt_report(file, file->name, file->job,
                                   is_closing ? JOB_REPORT_CLOSE : JOB_REPORT_EARLY)
               : 0;
}

static int bytes_sync(struct draft *draft)
{
    struct job_file *file = draft->owner;
    return job_file_is_prompt(file) ? job_file_sync(file) : 0;
}

/* The verdict stands in `error`; truncate(2) itself has done what it was asked to do. */
static int bytes_commit(struct draft *draft)
{
    struct job_file *file = draft->owner;
    job_file_touched(file);
    if (job_file_is_prompt(file) && !file->job->is_removed)
        (void)job_prompt_commit(file, false);
    return 0;
}

static struct draft *draft_of(struct job_file *file)
{
    static const struct draft_ops ops = {bytes_begin,  bytes_write, bytes_resize,
                                         bytes_report, bytes_sync,  bytes_commit};
    file->draft.ops = &ops;
    file->draft.owner = file;
    return &file->draft;
}

void job_file_begin(struct job_file *file)
{
    struct stat st;
    if (job_file_stat(file, &st) == 0)
        draft_begin(draft_of(file), st.st_size);
}

int job_file_open(struct job_file *file, bool is_writer, bool is_truncating)
{
    bool is_changing = is_writer || is_truncating;
    int r = is_changing ? store_write_check(file->job->jobs->settings.store) : 0;
    if (r < 0)
        return r;
    if (is_changing && job_file_is_frozen(file))
        return -ERR_PROMPT_FROZEN;
    r = is_changing && file->draft.writers == 0 ? job_file_unshare(file, is_truncating) : 0;
    if (r < 0)
        return r;
    if (file->fd < 0) {
        /* A writer that truncates does not need the old bytes, so they may be missing. */
        int fd = job_file_bytes_open(file, O_RDWR | (is_truncating ? O_CREAT : 0));
        if (fd >= 0 && !is_changing) {
            fd = descriptor_ordinary(fd);
            fd = fd < 0 ? -errno : fd;
        }
        if (fd < 0)
            return fd;
        file->fd = fd;
    }
    file->handles++;
    if (is_writer) {
        file->draft.writers++;
        job_quiet_touch(file->job);
    }
    job_ref(file->job);
    r = is_truncating ? job_file_truncate(file, 0) : 0;
    if (r < 0)
        job_file_close(file, is_writer);
    return r;
}

static void handle_close(struct job_file *file)
{
    struct job *job = file->job;
    if (--file->handles == 0) {
        (void)close(take_fd(&file->fd));
        if (file->is_unlinked) {
            DL_DELETE(job->detail->files, file);
            job_file_free(file);
        }
    }
    job_unref(job);
}

void job_file_close(struct job_file *file, bool is_writer)
{
    struct job *job = file->job;
    if (is_writer) {
        draft_close(draft_of(file));
        job_quiet_touch(job);
        if (!job->is_removed && !job_file_is_prompt(file)) /* which is judged by itself */
            job_copy_check_again(job);
    }
    handle_close(file);
}

bool jobs_file_is_written(struct jobs *jobs, int64_t file_id)
{
    const struct job *job = jobs_get_by_file(jobs, file_id);
    const struct job_file *file = job && job->detail ? job_file_get(job->detail, file_id) : NULL;
    return file && file->draft.writers > 0 && file->draft.is_dirty;
}

void job_file_abandon(struct job_file *file, bool is_writer)
{
    if (is_writer)
        draft_abandon(draft_of(file));
    handle_close(file);
}

int job_file_write(struct job_file *file, const void *bytes, size_t len, int64_t offset)
{
    return draft_write(draft_of(file), bytes, len, offset);
}

int job_file_truncate(struct job_file *file, int64_t size)
{
    return draft_truncate(draft_of(file), size);
}

int job_file_flush(struct job_file *file)
{
    return draft_flush(draft_of(file));
}

void job_file_write_dropped(struct job_file *file, bool is_flush)
{
    draft_write_dropped(draft_of(file), is_flush);
}

int job_file_sync(struct job_file *file)
{
    struct store *store = file->job->jobs->settings.store;
    if (file->fd >= 0 && fsync(file->fd) < 0)
        return -errno;
    int r = store_sync(store);
    /* Durable means: where the next run of the program finds it. */
    return r < 0 ? r : store_place_check(store);
}

int job_file_mode_set(struct job_file *file, mode_t mode)
{
    mode_t before = file->mode;
    /* A copy gets the mode of the prompt that it was made from. */
    if (job_file_is_prompt(file) && !file->is_unlinked && (before & 0200) && !(mode & 0200)) {
        job_copy_seen(file->job);
        mode |= file->job->state == JOB_HELD ? 0200 : 0;
    }
    file->mode = mode & 0777;
    if (file->is_unlinked || file->mode == before || file->job->is_provisional)
        return 0;
    int r = job_file_row_save_now(file);
    if (r < 0)
        file->mode = before;
    return r;
}

/* A store_remove_fn. Proof: the user has removed the file. */
static int file_row_remove(void *context)
{
    const struct job_file *file = context;
    struct store *store = file->job->jobs->settings.store;
    int r = store_begin(store, STORE_LAZY);
    return r < 0 ? r : store_end(store, store_file_remove(store, file->id));
}

/* A store_remove_fn: a job whose prompt was removed is a draft. */
static int job_draft_begin(void *context)
{
    return job_to_draft(context);
}

int job_file_unlink(struct job_file *file)
{
    struct job *job = file->job;
    struct store *store = job->jobs->settings.store;
    if (file->is_unlinked)
        return 0;
    int r = store_write_check(store);
    if (r < 0)
        return r;
    /* An accepted prompt was perhaps paid for, so it is removed only with its job. It is hidden,
     * because editors that cannot write a file remove it. */
    if (job_file_is_frozen(file)) {
        job->hidden_prompt_id = file->id;
        return 0;
    }
    bool is_draft_ending =
        job_file_is_prompt(file) && (job->state == JOB_INVALID || job->state == JOB_HELD);
    r = store_remove(store, file_row_remove, file);
    if (r < 0)
        return r;
    if (job_file_is_prompt(file))
        prompt_problem_clear(job); /* another prompt may be created now */
    job_file_detach(file);
    if (is_draft_ending)
        (void)!store_remove(store, job_draft_begin, job);
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
        r = job_file_row_save(file, job->id, name);
    return store_end(store, r);
}

static int rename_check(struct job_file *file, struct job *job, const char *name,
                        const struct job_file *target, bool is_replace_allowed)
{
    int r = text_name_check(name);
    if (r < 0)
        return r;
    const struct job_file *moved = file->job == job ? file : NULL;
    bool is_prompt = is_prompt_of(job, name, moved);
    if (is_prompt && !job_is_editable(job))
        return prompt_refuse_frozen(job);
    if (job_file_is_frozen(file))
        return -ERR_PROMPT_FROZEN;
    if (target && !is_replace_allowed)
        return -EEXIST;
    r = prompt_check_alone(job, name, moved);
    if (r < 0)
        return r;
    /* A file that is still being written is judged when it is closed. */
    r = is_prompt ? job_prompt_report(file, name, job,
                                      file->draft.writers ? JOB_REPORT_CLOSE : JOB_REPORT_COMPLETE)
                  : 0;
    return r == -ERR_JSON_INCOMPLETE ? 0 : r;
}

int job_file_order(const struct job_file *a, const struct job_file *b)
{
    return a->id < b->id ? -1 : a->id > b->id;
}

void job_file_move(struct job_file *file, struct job *job, char *name)
{
    struct job *old_job = file->job;
    DL_DELETE(old_job->detail->files, file);
    DL_INSERT_INORDER(job->detail->files, file, job_file_order); /* listings continue after an id */
    for (unsigned i = 0; i < file->handles; i++) {
        job_ref(job);
        job_unref(old_job);
    }
    file->job = job;
    free(file->name);
    file->name = name;
}

int job_file_rename(struct job_file *file, struct job *job, const char *name,
                    bool is_replace_allowed)
{
    struct job_detail *detail;
    CLEANUP(job_drop) struct job *old_job = job_ref(file->job);
    CLEANUP_FREE char *copy = strdup(name);
    int r = copy ? job_detail_get(job, &detail) : -ENOMEM;
    if (r < 0)
        return r;
    struct job_file *target = job_file_find(detail, name);
    if (target == file)
        return 0;
    r = rename_check(file, job, name, target, is_replace_allowed);
    if (r == 0)
        r = job_settle(job);
    if (r < 0)
        return r;
    bool was_prompt = job_file_is_prompt(file);
    bool was_note = file->is_note;
    file->is_note = job_name_is_prompt(name) && !job->is_assets &&
                    !is_prompt_of(job, name, file->job == job ? file : NULL);
    r = rename_save(file, job, name, target);
    if (r < 0) {
        file->is_note = was_note;
        return r;
    }
    if (target)
        job_file_detach(target);
    job_file_move(file, job, TAKE_POINTER(copy));
    job_quiet_touch(job);
    if (!job_file_is_prompt(file))
        job_copy_check_again(job);
    if (was_prompt)
        (void)!job_to_draft(old_job);
    if (!job_file_is_prompt(file))
        return 0;
    file->draft.is_dirty = file->draft.writers > 0;
    r = file->draft.is_dirty ? 0 : job_prompt_commit(file, false);
    return r == -ENODATA ? 0 : r;
}
