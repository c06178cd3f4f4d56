/*
 * What: the one table of error codes. A fallible function returns int: 0 (or a count) on success,
 * else a negative code, which is either -errno or one of the codes below.
 * Our own codes say more than an errno can; err_errno() turns them into the errno that a user's
 * program sees, err_sentence() into what a person reads. docs/SEMANTICS.md repeats the table and a
 * test compares the two.
 */
#ifndef SEEDANCEFS_BASE_ERR_H
#define SEEDANCEFS_BASE_ERR_H

#include "seedancefs/base/attributes.h"

#include <errno.h>
#include <stdbool.h>

/* X(NAME, errno, retry makes sense, sentence) */
#define ERR_TABLE(X)                                                                               \
    X(JSON_INCOMPLETE, EINVAL, false, "the JSON text ends too early")                              \
    X(JSON_SYNTAX, EINVAL, false, "the text is not valid JSON")                                    \
    X(JSON_LIMIT, EINVAL, false, "the JSON text is larger or deeper than allowed")                 \
    X(PROMPT_INVALID, EINVAL, false, "the request breaks a rule of the service")                   \
    X(PROMPT_FROZEN, EPERM, false, "the request was accepted and cannot be changed any more")      \
    X(BUDGET, EDQUOT, false, "the request costs more than the budget allows")                      \
    X(NAME_RESERVED, EPERM, false, "this name belongs to the filesystem")                          \
    X(STORE_CORRUPT, EIO, false, "the job database is damaged")                                    \
    X(STORE_VERSION, EIO, false, "the job database was written by a newer version")                \
    X(STORE_LOCKED, EBUSY, false, "another seedancefs uses this data directory")                   \
    X(STORE_MOVED, EIO, false, "the data directory was removed or moved")                          \
    X(KEY_MISSING, EACCES, false, "there is no API key")                                           \
    X(KEY_REFUSED, EACCES, false, "the service refused the API key")                               \
    X(HTTP_CONNECT, EIO, true, "the service could not be reached")                                 \
    X(HTTP_RESOLVE, EIO, true, "the name of the host could not be resolved")                       \
    X(HTTP_TLS, EIO, false, "the service's certificate could not be verified")                     \
    X(HTTP_BROKEN, EIO, true, "the connection broke before the response was complete")             \
    X(HTTP_MALFORMED, EIO, true, "the response was not valid HTTP")                                \
    X(HTTP_TOO_LARGE, EIO, false, "the response was larger than allowed")                          \
    X(HTTP_STALLED, EIO, true, "the response stopped arriving")                                    \
    X(HTTP_DEADLINE, ETIMEDOUT, true, "the response did not come in time")                         \
    X(HTTP_REPEATED, EIO, false, "the transfer would have been sent twice and was stopped")        \
    X(HTTP_CANCELLED, EINTR, false, "the transfer was cancelled")                                  \
    X(URL_REFUSED, EIO, false, "the address is not allowed by the URL policy")                     \
    X(TASK_UNUSABLE, EIO, true, "the response describes no usable task")                           \
    X(TASK_OTHER, EIO, true, "the response is about another task")                                 \
    X(MEDIA_RESPONSE, EIO, true, "the media server's response does not fit the request")           \
    X(MEDIA_STATUS, EIO, true, "the media server refused the request")                             \
    X(MEDIA_CHANGED, ESTALE, false, "the video changed on the server while it was read")           \
    X(MEDIA_EXPIRED, EIO, false, "the video's URL has expired and could not be renewed")           \
    X(MEDIA_GONE, EIO, false, "the service no longer has this video")                              \
    X(MEDIA_DAMAGED, EIO, false, "the video on disk is damaged")                                   \
    X(OBJECT_REFUSED, EACCES, false, "the object store refused the request")                       \
    X(OBJECT_MISSING, EIO, false, "the object store does not have this video")                     \
    X(OBJECT_STATUS, EIO, true, "the object store could not answer")                               \
    X(OBJECT_UNFIT, EIO, false, "the object store does not heed If-None-Match")                    \
    X(OBJECT_DIFFERS, EIO, false, "the object store has other bytes under this name")              \
    X(ACCOUNT_REFUSED, EACCES, false, "the service refused the account")                           \
    X(QUOTA, EDQUOT, false, "a quota of the account is used up")                                   \
    X(THROTTLED, EAGAIN, true, "the service asked to wait")                                        \
    X(MAX_ACTIVE, EAGAIN, true, "as many jobs are under way as --max-active allows")               \
    X(WAITS_FOR_QUIET, EAGAIN, true, "something was done in the job's directory just now")         \
    X(WAITS_FOR_TURN, EAGAIN, true, "the jobs before it are sent first")                           \
    X(WAITS_FOR_JOB, EAGAIN, true, "another job has not made its input yet")                       \
    X(WAITS_FOR_INPUT, EAGAIN, true, "an input is being made ready or looked at")                  \
    X(HELD, EAGAIN, false, "the user wants to order it by submit")                                 \
    X(HELD_COPY, EAGAIN, false, "it looks like a copy of a job")                                   \
    X(HELD_RESTORED, EAGAIN, false, "the data directory is a copy")                                \
    X(INPUT_MISSING, ENOENT, false, "a file that the prompt names is not there")                   \
    X(INPUT_CHANGED, ESTALE, false, "what it needs is not there, or another one")                  \
    X(PRICE_RISEN, EDQUOT, false, "it costs more than what was accepted")                          \
    X(NOT_SUBMITTED, EAGAIN, false, "seedancefs ended before the prompt was submitted")            \
    X(PROMPT_REOPENED, EAGAIN, false, "the prompt may be written anew")                            \
    X(STALE, EAGAIN, true, "the service does not say how the task is doing")                       \
    X(OUTCOME_UNKNOWN, EIO, false, "it is not known whether a task was created")                   \
    X(TASK_REJECTED, EIO, false, "the service refused the request")                                \
    X(TASK_FAILED, EIO, false, "the service could not make the video")                             \
    X(TASK_CANCELLED, EIO, false, "the task was cancelled at the service")                         \
    X(TASK_EXPIRED, EIO, false, "the task has expired at the service")                             \
    X(TASK_LOST, EIO, false, "the service does not know the task")

enum err_code {
    ERR_BASE = 10000, /* far above any errno */
#define X(name, errno_value, retry, sentence) ERR_##name,
    ERR_TABLE(X)
#undef X
        ERR_END,
};

/* The positive errno for a negative code; 0 for codes >= 0, EIO for codes nobody knows. */
int err_errno(int r);

/* "HTTP_CONNECT", or "ENOSPC": a name for logs. Static storage. */
const char *err_name(int r);

/* The negative code of a name that err_name() has given; 0 for other texts. */
int err_parse(const char *name);

/* A sentence without a full stop, for people. Static storage (strerror's for plain errnos). */
const char *err_sentence(int r);

/* Whether trying the same thing again may help. False for plain errnos but EINTR and EAGAIN. */
bool err_is_retryable(int r);

/* True for the codes of a transfer: HTTP_* and URL_REFUSED. */
bool err_is_network(int r);

#endif
