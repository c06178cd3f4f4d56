/*
 * What: the log, one logfmt line per event, written at boundaries only (fuse reply, job transition,
 * transfer end, start and stop):
 *     2026-11-23T08:00:00.123Z level=info event=job.transition job=cat from=waiting to=submitting
 * Lifetime: one per program, like stderr: app/ sets the level and the descriptor, and replaces the
 * descriptor at SIGHUP.
 * A caller never passes a secret: keys are `struct secret`, which no format can print, and URLs go
 * through url_redact().
 *
 * Writing never waits: the descriptor is a file, or has O_NONBLOCK. A line that cannot be written
 * is dropped, and the next one that can be written is preceded by event=log.dropped, which says how
 * many were dropped.
 */
#ifndef SEEDANCEFS_BASE_LOG_H
#define SEEDANCEFS_BASE_LOG_H

#include "seedancefs/base/attributes.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above `level` are dropped. `fd` is lent, -1 drops all; the default is LOG_WARN to
 * standard error. */
void log_configure(enum log_level level, int fd);

/* Lines begin with "<3>" to "<7>", as sd-daemon(3) has it, so that a journal knows how important they
 * are. Until the next log_configure(). */
void log_priorities_add(void);

/* Renames the full file, whose descriptor is `fd`, and returns the descriptor of a new one, which
 * the log owns. On -errno the log uses the old file for a while longer. Must not log. */
typedef int log_rotate_fn(const void *context, int fd);

/* Limits the file to `bytes_max` until the next log_configure(); the log owns its descriptor,
 * too. */
void log_rotation_set(int64_t bytes_max, log_rotate_fn *fn, const void *context);

/* Only after log_rotation_set(): the log continues in `fd`, which it then owns, and closes the file
 * before it. */
void log_file_replace(int fd);

/* From now on what is less important than this is left out. */
void log_level_set(enum log_level level);

bool log_is_enabled(enum log_level level);

/* The words of --log-level; -EINVAL for any other. */
int log_level_parse(const char *word, enum log_level *out) NODISCARD;

/* `event` is noun.verb; `format` renders the key=value pairs. Control characters are replaced, a
 * line is cut at 1,000 bytes. */
void log_event(enum log_level level, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);

#define log_error(event, ...) log_event(LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) log_event(LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...) log_event(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_event(LOG_DEBUG, event, __VA_ARGS__)

#endif
