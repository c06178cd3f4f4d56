/*
 * The user's files on disk: which files a job has, and where their bytes lie (files/ID in the data
 * directory). The directory is held open and the bytes are opened relative to it, so that they are
 * found wherever the directory was moved to. If the bytes of a file are not found, the file exists
 * all the same, because the store says so. Opening it fails (EIO), and each open tries again.
 */
#include "job_private.h"

#include "seedancefs/base/file.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/nearest.h"
#include "seedancefs/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct job_file *job_files_get(const struct job_detail *detail)
{
    return detail ? detail->files : NULL;
}

/* In the order in which they are looked for; NULL ends them. */
static const char *const prompt_names[] = {JOB_PROMPT_NAME, JOB_PROMPT_TEXT_NAME,
                                           JOB_PROMPT_MARKDOWN_NAME, NULL};

bool job_name_is_prompt(const char *name)
{
    return strcmp(name, JOB_PROMPT_NAME) == 0 || job_name_is_prompt_text(name);
}

bool job_name_is_prompt_text(const char *name)
{
    return strcmp(name, JOB_PROMPT_TEXT_NAME) == 0 || strcmp(name, JOB_PROMPT_MARKDOWN_NAME) == 0;
}

bool job_file_is_prompt(const struct job_file *file)
{
    return job_name_is_prompt(file->name) && !file->is_note && !file->is_unlinked &&
           !file->job->is_assets;
}

struct job_file *job_file_find(const struct job_detail *detail, const char *name)
{
    struct job_file *file;
    DL_FOREACH (job_files_get(detail), file) {
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
    if (detail && detail->job->is_assets)
        return NULL;
    struct job_file *file = NULL;
    for (size_t i = 0; prompt_names[i] && !file; i++) {
        file = job_file_find(detail, prompt_names[i]);
        file = file && file->is_note ? NULL : file;
    }
    return file;
}

const char *job_prompt_name(const struct job_detail *detail)
{
    const struct job_file *file = job_file_find_prompt(detail);
    return file ? file->name : JOB_PROMPT_NAME;
}

static bool has_ending(const char *name, const char *ending)
{
    size_t len = strlen(name);
    return len > strlen(ending) && strcasecmp(name + len - strlen(ending), ending) == 0;
}

/* 2: its name is like that of a prompt; 1: its content could be one. */
static int guess_rank(const char *name)
{
    if (strncasecmp(name, "prompt", 6) == 0 || nearest_name(name, prompt_names))
        return 2;
    return has_ending(name, ".json") || has_ending(name, ".txt") || has_ending(name, ".md");
}

const char *job_prompt_guess(const struct job_detail *detail)
{
    const struct job_file *file;
    const char *best = NULL;
    int best_rank = 0;
    bool is_alone = true;
    DL_FOREACH (job_files_get(detail), file) {
        int rank = file->is_unlinked ? 0 : guess_rank(file->name);
        if (rank > 0 && rank >= best_rank) {
            is_alone = rank > best_rank;
            best_rank = rank;
            best = file->name;
        }
    }
    return is_alone || best_rank == 2 ? best : NULL;
}

bool job_file_is_frozen(const struct job_file *file)
{
    return job_file_is_prompt(file) && !job_is_editable(file->job);
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

void job_file_free(struct job_file *file)
{
    if (file->fd >= 0)
        (void)close(file->fd);
    free(file->name);
    free(file);
}

int job_file_load(void *context, struct store_file *row)
{
    struct job_detail *detail = context;
    if (text_name_check(row->name) < 0)
        return -ERR_STORE_CORRUPT;
    struct job_file *file = calloc(1, sizeof(*file));
    if (!file)
        return -ENOMEM;
    *file = (struct job_file){.id = row->id,
                              .job = detail->job,
                              .name = row->name,
                              .mode = (mode_t)row->mode,
                              .fd = -1,
                              .is_note = row->is_note != 0};
    row->name = NULL;
    DL_APPEND(detail->files, file);
    return 0;
}

struct job_bytes_name job_bytes_name(int64_t id)
{
    struct job_bytes_name name;
    (void)snprintf(name.text, sizeof(name.text), "%lld", (long long)id);
    return name;
}

int job_bytes_id_take(const struct jobs *jobs, int64_t *out)
{
    struct stat st;
    int r;
    do {
        r = store_id_take(jobs->settings.store, out);
        if (r < 0)
            return r;
        r = fstatat(jobs->settings.files_fd, job_bytes_name(*out).text, &st, AT_SYMLINK_NOFOLLOW);
    } while (r == 0);
    return errno == ENOENT ? 0 : -errno;
}

static int files_fd(const struct job_file *file)
{
    return file->job->jobs->settings.files_fd;
}

static int bytes_error(int error)
{
    return error == ENOENT ? -EIO : -error;
}

int job_file_bytes_open(const struct job_file *file, int flags)
{
    int fd =
        openat(files_fd(file), job_bytes_name(file->id).text, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? bytes_error(errno) : fd;
}

/* Asks with two calls, so that a single wrong result is not enough. */
static bool is_name_missing(int directory_fd, const char *name)
{
    struct stat st;
    return fstatat(directory_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT &&
           faccessat(directory_fd, name, F_OK, 0) < 0 && errno == ENOENT;
}

static int bytes_stat(const struct job_file *file, struct stat *st)
{
    struct job_bytes_name name = job_bytes_name(file->id);
    int r = file->fd >= 0 ? fstat(file->fd, st)
                          : fstatat(files_fd(file), name.text, st, AT_SYMLINK_NOFOLLOW);
    if (r == 0)
        return 0;
    r = -errno;
    return r == -ENOENT && !is_name_missing(files_fd(file), name.text) ? -EIO : r;
}

int job_file_read(const struct job_file *file, struct buf *out)
{
    int r = file_read_all_at(files_fd(file), job_bytes_name(file->id).text, out);
    return r < 0 ? bytes_error(-r) : r;
}

void job_file_touched(const struct job_file *file)
{
    int r = file->is_unlinked ? 0 : store_file_touch(file->job->jobs->settings.store, file->id);
    if (r < 0)
        log_error("file.untold", "job=%s name=%s error=%s", file->job->name, file->name,
                  err_name(r));
}

int job_file_times_set(struct job_file *file, const struct timespec times[2])
{
    int r = store_write_check(file->job->jobs->settings.store);
    if (r < 0)
        return r;
    r = file->fd >= 0
            ? futimens(file->fd, times)
            : utimensat(files_fd(file), job_bytes_name(file->id).text, times, AT_SYMLINK_NOFOLLOW);
    if (r < 0)
        return bytes_error(errno);
    job_file_touched(file);
    return 0;
}

enum { COPIED_AT_ONCE = 64 * 1024 * 1024 };

static int bytes_copy(int from, int to)
{
    struct stat st;
    ssize_t n = 1;
    while (n > 0) {
        n = copy_file_range(from, NULL, to, NULL, COPIED_AT_ONCE, 0);
        if (n < 0)
            return -errno;
    }
    if (fstat(from, &st) < 0)
        return -errno;
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    return futimens(to, times) < 0 ? -errno : 0;
}

/* Proof for what the rename replaces: the bytes have another name, for which they are kept. */
static int bytes_replace(struct job_file *file, int from, bool is_truncating)
{
    struct job_bytes_name name = job_bytes_name(file->id);
    char made[sizeof(name.text) + sizeof(".new")];
    (void)snprintf(made, sizeof(made), "%s.new", name.text);
    CLEANUP_CLOSE int fd =
        openat(files_fd(file), made, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = is_truncating ? 0 : bytes_copy(from, fd);
    if (r == 0 && !is_truncating && fsync(fd) < 0) /* the rename replaces bytes that were on disk */
        r = -errno;
    if (r == 0 &&
        (file->is_unlinked ? unlinkat(files_fd(file), made, 0)
                           : renameat(files_fd(file), made, files_fd(file), name.text)) < 0)
        r = -errno;
    if (r < 0) {
        (void)unlinkat(files_fd(file), made, 0); /* made just now */
        return r;
    }
    /* Those who read see what is written from now on. */
    return file->fd >= 0 && dup3(fd, file->fd, O_CLOEXEC) < 0 ? -errno : 0;
}

int job_file_unshare(struct job_file *file, bool is_truncating)
{
    struct stat st;
    CLEANUP_CLOSE int opened = file->fd < 0 ? job_file_bytes_open(file, O_RDONLY) : -1;
    int fd = file->fd < 0 ? opened : file->fd;
    if (fd < 0)
        return fd == -EIO && is_truncating ? 0 : fd; /* they may be missing then */
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_nlink < (file->is_unlinked ? 1 : 2))
        return 0;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    return bytes_replace(file, fd, is_truncating);
}

void job_file_bytes_unlink(const struct job_file *file)
{
    (void)unlinkat(files_fd(file), job_bytes_name(file->id).text, 0);
}

/* True when the directory that is held open is `files` in the data directory, and the path of the
 * data directory still leads to its database. */
static bool is_directory_in_place(const struct jobs_settings *settings)
{
    struct stat held;
    struct stat there;
    return fstat(settings->files_fd, &held) == 0 &&
           fstatat(settings->directory_fd, JOB_FILES_DIRECTORY, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           held.st_dev == there.st_dev && held.st_ino == there.st_ino &&
           store_place_check(settings->store) == 0;
}

/* True when the directory has the bytes of the oldest file. A directory that was created anew
 * because the old one was missing at the start does not have them. */
static bool is_directory_of_store(const struct jobs_settings *settings)
{
    struct stat st;
    int64_t oldest;
    return store_file_oldest_get(settings->store, &oldest) == 0 &&
           fstatat(settings->files_fd, job_bytes_name(oldest).text, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The order matters: the name is looked up first, the place checked afterwards. If the directory is
 * in its place now, the lookup has asked the right one. */
bool job_file_is_gone(const struct job_file *file)
{
    const struct jobs_settings *settings = &file->job->jobs->settings;
    return file->fd < 0 && is_name_missing(settings->files_fd, job_bytes_name(file->id).text) &&
           is_directory_in_place(settings) && is_directory_of_store(settings);
}

int job_file_stat(const struct job_file *file, struct stat *st)
{
    int64_t created_ms = file->job->created_ms;
    int r = bytes_stat(file, st);
    /* The file exists, and can be renamed and removed, whatever has become of its bytes. */
    if (r == -ENOENT)
        *st = (struct stat){.st_nlink = 1, .st_mtim = {.tv_sec = (time_t)(created_ms / 1000)}};
    else if (r < 0)
        return r;
    st->st_mode = S_IFREG | file->mode;
    return 0;
}

/* Removes the bytes' name; an open handle keeps the bytes until it is closed. Proof: the user has
 * removed or replaced the file, and the store has removed its row. */
void job_file_detach(struct job_file *file)
{
    job_file_bytes_unlink(file);
    job_file_leave(file);
}

void job_file_leave(struct job_file *file)
{
    file->is_unlinked = true;
    if (file->handles == 0) {
        DL_DELETE(file->job->detail->files, file);
        job_file_free(file);
    }
}

bool job_file_bytes_again(struct job_file *file)
{
    struct stat now;
    struct stat held;
    file->is_searched = false;
    if (file->fd < 0 || file->draft.writers > 0)
        return false;
    CLEANUP_CLOSE int fd = job_file_bytes_open(file, O_RDWR);
    return fd >= 0 && fstat(fd, &now) == 0 && fstat(file->fd, &held) == 0 &&
           (now.st_dev != held.st_dev || now.st_ino != held.st_ino) &&
           dup3(fd, file->fd, O_CLOEXEC) >= 0; /* if it fails, they are read as they were */
}

void job_files_detach(struct job_detail *detail)
{
    struct job_file *file;
    struct job_file *next;
    DL_FOREACH_SAFE (detail->files, file, next) {
        if (!file->is_unlinked)
            job_file_detach(file);
    }
}

int job_file_row_save(const struct job_file *file, int64_t job_id, const char *name)
{
    CLEANUP_FREE char *copy = strdup(name);
    struct store_file row = {.id = file->id,
                             .job_id = job_id,
                             .name = copy,
                             .mode = file->mode,
                             .is_note = file->is_note};
    return copy ? store_file_save(file->job->jobs->settings.store, &row) : -ENOMEM;
}

int job_file_row_save_now(const struct job_file *file)
{
    struct store *store = file->job->jobs->settings.store;
    int r = store_begin(store, STORE_LAZY);
    return r < 0 ? r : store_end(store, job_file_row_save(file, file->job->id, file->name));
}
