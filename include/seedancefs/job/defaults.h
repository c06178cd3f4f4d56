/*
 * What: defaults.json: the values that prompts leave out. There is one file for all jobs, in the
 * data directory, where it is replaced as a whole. New content is a draft until its last writer has
 * closed it. It then comes into force if it is acceptable, and is dropped if not;
 * jobs_defaults_problem() says why. Nothing here ever makes or changes a request: defaults are used
 * when a prompt is accepted.
 * Lifetime: that of the collection of jobs; each jobs_defaults_open() is followed by one
 * jobs_defaults_close().
 * Errors: -errno; -ERR_PROMPT_INVALID where the content cannot become acceptable any more.
 */
#ifndef SEEDANCEFS_JOB_DEFAULTS_H
#define SEEDANCEFS_JOB_DEFAULTS_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/buf.h"
#include "seedancefs/job/file.h"
#include "seedancefs/job/jobs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JOB_DEFAULTS_BYTES_MAX = 64 * 1024 };

/* False from its removal on, until it is written again or the program is restarted. */
bool jobs_defaults_is_there(const struct jobs *jobs);
/* The draft while somebody writes, otherwise the content in force. Lent. */
const struct buf *jobs_defaults_text(const struct jobs *jobs);
/* Why the last write was refused, or what is wrong with the file found at the start; NULL:
 * nothing. */
const char *jobs_defaults_problem(const struct jobs *jobs);
int64_t jobs_defaults_changed_ms(const struct jobs *jobs); /* wall time; of what is in force */
int64_t
jobs_defaults_named_ms(const struct jobs *jobs); /* when the file or the problem came or went */

int jobs_defaults_open(struct jobs *jobs, bool is_truncating) NODISCARD; /* to write */
/* What is written: the verbs below are those of draft.h. -EFBIG beyond JOB_DEFAULTS_BYTES_MAX. */
struct draft *jobs_defaults_draft(struct jobs *jobs);

static inline int jobs_defaults_write(struct jobs *jobs, const void *bytes, size_t len,
                                      int64_t offset)
{
    return draft_write(jobs_defaults_draft(jobs), bytes, len, offset);
}

static inline int jobs_defaults_truncate(struct jobs *jobs, int64_t size)
{
    return draft_truncate(jobs_defaults_draft(jobs), size);
}

static inline int jobs_defaults_flush(struct jobs *jobs)
{
    return draft_flush(jobs_defaults_draft(jobs));
}

static inline void jobs_defaults_write_dropped(struct jobs *jobs)
{
    draft_write_dropped(jobs_defaults_draft(jobs), false);
}

static inline void jobs_defaults_close(struct jobs *jobs)
{
    draft_close(jobs_defaults_draft(jobs));
}

static inline void jobs_defaults_abandon(struct jobs *jobs)
{
    draft_abandon(jobs_defaults_draft(jobs));
}

/* Removes the file; there are then no defaults. -EBUSY while somebody writes. */
int jobs_defaults_remove(struct jobs *jobs) NODISCARD;

/* The content of the user's file comes into force; the caller then removes that file, which is what
 * a rename onto defaults.json is. -EBUSY while one of the two is being written. */
int jobs_defaults_take(struct jobs *jobs, const struct job_file *file) NODISCARD;

#endif
