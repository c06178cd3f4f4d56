/*
 * What: the decoder of the service's responses, pure: it reads a task from a JSON body, and an
 * error from any body. The field names and their forms come from the service's documentation. The
 * forms of errors differ between relays and are read leniently; JSON itself is read strictly.
 * Lifetime: api_task_init() .. api_task_fini(); a decoded task owns its texts, not the body.
 * Errors: -ENOMEM, -ERR_JSON_SYNTAX, -ERR_JSON_INCOMPLETE, -ERR_JSON_LIMIT, and -EINVAL for valid
 * JSON that is no task.
 */
#ifndef SEEDANCEFS_API_TASK_H
#define SEEDANCEFS_API_TASK_H

#include "seedancefs/base/attributes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    API_BODY_MAX = 4 << 20, /* bytes of a response that are read at all */
    API_ID_MAX = 256,       /* bytes of a task id */
    API_CODE_SIZE = 128,    /* bytes with their NUL, of texts that are shown to people */
    API_MESSAGE_SIZE = 1024,
    API_REQUEST_ID_SIZE = 128,
    API_WORD_SIZE = 64,
};

enum api_task_status {
    API_TASK_QUEUED,
    API_TASK_RUNNING,
    API_TASK_SUCCEEDED,
    API_TASK_FAILED,
    API_TASK_CANCELLED,
    API_TASK_EXPIRED,
    API_TASK_UNKNOWN, /* a word nobody documented, or none: keep polling */
};

struct api_task {
    char *id;    /* never NULL after decoding; see api_task_id_check() */
    char *model; /* NULL: absent */
    enum api_task_status status;
    char status_word[API_WORD_SIZE]; /* as sent, control characters replaced; "" when absent */
    int64_t created_s;               /* Unix seconds; -1: absent or not a whole number */
    char *video_url;           /* NULL: absent. A secret once signed; not yet checked by net/url */
    char *cover_image_url;     /* NULL: absent or empty */
    int64_t video_duration_ms; /* usage.video_duration; -1: unknown */
    char error_code[API_CODE_SIZE]; /* "" when absent */
    char error_message[API_MESSAGE_SIZE];
    char error_request_id[API_REQUEST_ID_SIZE];
};

/* What a body says about a refusal; "" for what it does not say. */
struct api_error {
    char code[API_CODE_SIZE]; /* "InvalidParameter.Duration", or an integer's digits */
    char message[API_MESSAGE_SIZE];
    char request_id[API_REQUEST_ID_SIZE]; /* often only inside the message ("Request id: 0217…") */
};

/* Makes an empty task: no texts, status unknown, numbers -1. */
void api_task_init(struct api_task *task);
void api_task_fini(struct api_task *task);

/* Fills `task` (initialised before, untouched on failure). A task without a usable id is -EINVAL,
 * so is a video_url or an id that is not a string; unknown fields are ignored. */
int api_task_decode(const char *body, size_t len, struct api_task *task) NODISCARD;

/* 1 to 256 bytes of printable ASCII without '/', '?', '#', '%', blanks and quotes, and neither "."
 * nor "..": an id becomes one segment of a path. 0 or -EINVAL. */
int api_task_id_check(const char *id) NODISCARD;

/* Never fails: a body that is not JSON results in empty texts. Known forms: error{code,message},
 * error as a plain text, integer codes, a top-level code, message or request_id. */
void api_error_decode(const char *body, size_t len, struct api_error *error);

/* When a signed URL expires, as its parameters say (X-Tos-Date + X-Tos-Expires), in Unix
 * milliseconds; -1 when it does not say so, or for NULL. */
int64_t api_url_expires_at_ms(const char *url);

/* The word the service uses: "queued" … ; "unknown" for API_TASK_UNKNOWN. Static storage. */
const char *api_task_status_to_text(enum api_task_status status);

/* True for succeeded, failed, cancelled and expired: the task will not change any more. */
bool api_task_status_is_final(enum api_task_status status);

#endif
