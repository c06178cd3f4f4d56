/*
 * What: the files that a user keeps in a job's directory. Their bytes are on disk. prompt.json is
 * one of them, and has a special meaning: when the last handle that wrote it is closed, or another
 * file is renamed onto it, its content is committed (see commit.c). prompt.txt is the other form of
 * it, only the text of the prompt; a job has one of the two. "The prompt" is either.
 * Lifetime: lent by the job's detail; pinned by job_file_open() .. job_file_close().
 * Errors: -errno and codes of base/err; -ERR_PROMPT_FROZEN where an accepted prompt.json would
 * change.
 */
#ifndef SEEDANCEFS_JOB_FILE_H
#define SEEDANCEFS_JOB_FILE_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/job/draft.h"
#include "seedancefs/job/job.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define JOB_PROMPT_NAME "prompt.json"
#define JOB_PROMPT_TEXT_NAME "prompt.txt"
#define JOB_PROMPT_MARKDOWN_NAME "prompt.md" /* read as prompt.txt is */

struct job_file {
    int64_t id;
    struct job *job;
    char *name;
    mode_t mode; /* permission bits as the user set them; see job_file_mode_get() */
    int fd;      /* -1 while no handle is open */
    unsigned handles;
    struct draft draft;
    bool is_unlinked;
    /* It is called prompt.md and is no prompt, because it was made when the job had another one, or
     * before prompt.md meant anything. It stays so until it is removed or gets another name. */
    bool is_note;
    bool is_searched;    /* its content has been searched for secrets since it changed last: */
    bool has_url_secret; /* see job_file_mode_get() */
    struct job_file *next;
    struct job_file *prev;
};

/* NULL when there is none. */
struct job_file *job_file_find(const struct job_detail *detail, const char *name);
struct job_file *job_file_get(const struct job_detail *detail, int64_t id);

/* prompt.json, prompt.txt or prompt.md, the first that exists; NULL: none. */
struct job_file *job_file_find_prompt(const struct job_detail *detail);
bool job_file_is_prompt(const struct job_file *file);
/* Only the text of the prompt, not a request. */
bool job_name_is_prompt_text(const char *name);
/* The user's file that was perhaps meant to be the prompt of a job that has none; NULL: none is like
 * it. Lent. */
const char *job_prompt_guess(const struct job_detail *detail);
/* The name of the prompt in messages: that of the one which exists. Static storage. */
const char *job_prompt_name(const struct job_detail *detail);

/* True for the prompt of a job that does not take a new one now. */
bool job_file_is_frozen(const struct job_file *file);

/* True for a frozen prompt that the user has removed: it is kept, but not shown until a program
 * tries to create it again, or the job is no longer in a frozen state. */
bool job_file_is_hidden(const struct job_file *file);
/* True for a hidden prompt, also after it was frozen and before it is written again, and for every
 * file that was unlinked while it was open. Such a file does not prevent the removal of its job. */
bool job_file_is_removed(const struct job_file *file);

/*
 * The effective permission bits: those that the user set, but without write permission while the
 *   prompt is frozen; without any for others while the prompt has a URL with a secret in it
 *   (text_has_url_secret()). A prompt that cannot be searched, or is larger than
 *   JOB_FILE_SEARCHED_BYTES, is treated as if it had one.
 */
enum { JOB_FILE_SEARCHED_BYTES = 1024 * 1024 };
mode_t job_file_mode_get(struct job_file *file);

/* Who besides the owner may read files with words of the job's prompt: 044, 040, 004 or 0. They are
 * those who may read the prompt, by the bits that the user set; nobody, when the prompt was
 * removed. */
mode_t job_readers_get(struct job *job);

/* Size, times and, in st_mode, the bits that the user set. */
int job_file_stat(const struct job_file *file, struct stat *st) NODISCARD;

/* Appends the present content; -EFBIG beyond the limit of `out`. */
int job_file_read(const struct job_file *file, struct buf *out) NODISCARD;

/* Makes an empty file, not yet open. -EEXIST, also for the second form of a prompt (`error` then
 * says so); -ERR_PROMPT_FROZEN, -EPERM (a removed job). */
int job_file_create(struct job *job, const char *name, mode_t mode,
                    struct job_file **out) NODISCARD;

/* A file that was just created, or opened to append, is going to be written from its end on. */
void job_file_begin(struct job_file *file);

int job_file_open(struct job_file *file, bool is_writer, bool is_truncating) NODISCARD;
/* Ends a handle, and commits prompt.json when it was the last writer. The file may be freed. */
void job_file_close(struct job_file *file, bool is_writer);
/* Ends a handle whose writer never closed it: nothing is committed. */
void job_file_abandon(struct job_file *file, bool is_writer);

/* Writes all bytes or none. Bytes that make prompt.json definitely not acceptable are written, too,
 * and the result is -ERR_PROMPT_INVALID; `error` then says why. -EFBIG beyond the size limit. */
int job_file_write(struct job_file *file, const void *bytes, size_t len, int64_t offset) NODISCARD;
int job_file_truncate(struct job_file *file, int64_t size) NODISCARD;

/* The result for close(2): -ERR_PROMPT_INVALID when the last writer leaves a prompt that is
 * definitely not acceptable; an error of the disk when an acceptable one could not be made durable.
 * Never submits. */
int job_file_flush(struct job_file *file) NODISCARD;

/* The caller replied -ENOMEM to a write or a flush before it reached this layer: prompt.json does
 * not have what its writer wanted, or its writer believes that closing failed. Nothing is
 * submitted. */
void job_file_write_dropped(struct job_file *file, bool is_flush);

/* fsync(2): the file and its name are on disk when it returns. Never submits. */
int job_file_sync(struct job_file *file) NODISCARD;

int job_file_mode_set(struct job_file *file, mode_t mode) NODISCARD;
int job_file_times_set(struct job_file *file, const struct timespec times[2]) NODISCARD;

/* Works on a full disk, too. A frozen prompt is only hidden. */
int job_file_unlink(struct job_file *file) NODISCARD;

/* Moves the file to `name` in `job`, replacing a file of that name. Onto the prompt it commits: an
 * unacceptable content is refused with -ERR_PROMPT_INVALID, nothing is moved, and `error` says
 * why. */
int job_file_rename(struct job_file *file, struct job *job, const char *name,
                    bool is_replace_allowed) NODISCARD;

#endif
