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
int jobs_defaults_write(struct jobs *jobs, const void *bytes, size_t len, int64_t offset) NODISCARD;
/* Without a writer this counts as opening, writing and closing. -EFBIG beyond
 * JOB_DEFAULTS_BYTES_MAX. */
int jobs_defaults_truncate(struct jobs *jobs, int64_t size) NODISCARD;
/* What close(2) should report. */
int jobs_defaults_flush(struct jobs *jobs) NODISCARD;
/* The caller replied -ENOMEM to a write or flush before it reached this layer: the draft does not
 * come into force. */
void jobs_defaults_write_dropped(struct jobs *jobs);
void jobs_defaults_close(struct jobs *jobs);
/* Closes a handle whose writer never closed it. */
void jobs_defaults_abandon(struct jobs *jobs);

/* Removes the file; there are then no defaults. -EBUSY while somebody writes. */
int jobs_defaults_remove(struct jobs *jobs) NODISCARD;

/* Replaces defaults.json by the user's file; when that is refused nothing is moved. -EBUSY while
 * one of the two is being written. */
int jobs_defaults_rename(struct jobs *jobs, struct job_file *file) NODISCARD;

#endif
