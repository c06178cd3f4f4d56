/*
 * What: prompt.json -> rules -> the request body. The bytes that a user wrote are parsed, checked
 * against every rule of the service's documentation ("Request"), and turned into the exact JSON to
 * send. Where the documentation has two limits, exceeding the wider one is an error, and exceeding
 * the narrower one a warning. Pure: nothing here uses network, disk or clock; local media comes
 * through a callback.
 * Lifetime: prompt_check() makes a `struct prompt` for prompt_free(), and fills a report that lives
 * from prompt_report_init() to prompt_report_fini(). Settings are lent for the call.
 * Errors: -ERR_JSON_INCOMPLETE, -ERR_PROMPT_INVALID (the report says why), -ENOMEM.
 */
#ifndef SEEDANCEFS_PROMPT_PROMPT_H
#define SEEDANCEFS_PROMPT_PROMPT_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PROMPT_BYTES_MAX = 64 * 1024 * 1024, /* of prompt.json, and of the body */
    PROMPT_PROBLEMS_MAX = 64,
};

struct models;
struct prompt_defaults;

enum prompt_media { PROMPT_IMAGE, PROMPT_VIDEO, PROMPT_AUDIO };

/* What a path leads to. */
struct prompt_found {
    /* -1: `content` has the file, and the body gets it. Else the body gets an empty string where
     * its address belongs, and the caller fills that in later; this is the caller's name for it. */
    int number;
    enum prompt_media media; /* of what is filled in later */
    int64_t length_ms;       /* of a video, if it is known; -1 */
    bool is_length_coming;   /* it is going to be known before the request is sent */
    const char *why; /* of a failure: a sentence for the user; NULL: the errno says it. Lent */
};

/*
 * Finds what `path`, relative to the job's directory, leads to; `media` is what is wanted, of at most
 * `max_bytes`. `content` is NULL when the content itself is not wanted. -EFBIG when it is larger;
 * -ENOENT and any other -errno are shown to the user. -ENOMEM ends the check.
 */
typedef int prompt_read_media_fn(void *context, const char *path, enum prompt_media media,
                                 size_t max_bytes, struct buf *content, struct prompt_found *found);

struct prompt_settings {
    const struct models *models; /* the known ones; lent. Always needed */
    const char *default_model;   /* where `defaults` has none; NULL: MODEL_DEFAULT_NAME */
    bool allow_unknown;          /* unknown fields, models and aspect ratios only cause warnings */
    /* NULL: only the form of the names of local files is checked, and the body has the names. */
    prompt_read_media_fn *read_media;
    void *media_context;
    bool is_content_unread; /* read_media is asked, but for no content: do not send the body */
    const struct prompt_defaults
        *defaults; /* what the user wants for what is left out; NULL: none */
};

/*
 * The words of `rule`. Whole file: incomplete, syntax, limit, type. A field: unknown-field,
 * missing, type, value, range, integer, count, exclusive, role, unknown-model. Media: url, file,
 * media-type, size. defaults.json: no-default. Warnings only: length, parameter, estimate (and url,
 * role, value, unknown-* where allowed).
 */
struct prompt_problem {
    bool is_warning;
    char field[96];      /* as users write it: "image_urls[2]"; "" for the whole file */
    const char *rule;    /* one of the words above. Static storage */
    unsigned line;       /* from 1; 0 when there is no place to point at */
    unsigned column;     /* from 1, in code points */
    char sentence[1024]; /* what is wrong and what to do; full sentences */
};

struct prompt_report {
    struct prompt_problem *problems; /* in the order of the text */
    size_t count;                    /* at most PROMPT_PROBLEMS_MAX */
    size_t errors;                   /* of all problems, listed or not */
    size_t warnings;
};

void prompt_report_init(struct prompt_report *report);
void prompt_report_fini(struct prompt_report *report);

/* The text of the `error` file: one line per error, then one per warning. */
void prompt_report_render(const struct prompt_report *report, const char *file_name,
                          struct buf *out);

/* Whether the user wants the request held: accepted, with its price, and not sent. */
enum prompt_hold {
    PROMPT_HOLD_UNSAID,
    PROMPT_HOLD_NO, /* the prompt itself says so */
    PROMPT_HOLD_YES /* the prompt says so, or else the defaults */
};

/* A place of the body that belongs to a file of the mount. */
struct prompt_input {
    int number; /* see prompt_found; PROMPT_INLINE: the body has the content of a file here */
    enum prompt_media media;
    char field[96];     /* as users write it */
    char *path;         /* as the user wrote it */
    size_t body_offset; /* of the string, with its quotes */
};
/* PROMPT_DURATIONS: the lengths of all videos, which the user has left out: an array of seconds. */
enum { PROMPT_INLINE = -1, PROMPT_DURATIONS = -2 };

/* An accepted request. All fields are lent by it. */
struct prompt {
    char *model;
    char *resolution;
    char *aspect_ratio;
    char *text;                  /* the prompt itself */
    int64_t duration_s;          /* -1: the model chooses, */
    int64_t longest_s;           /* and this is the longest; it is counted for the estimate */
    int64_t input_video_ms;      /* as counted for the estimate; 0 without input video */
    bool input_video_is_unknown; /* its length was not declared: the worst case is counted */
    bool model_is_unknown;       /* passed by allow_unknown: counted at the dearest rate */
    bool has_unread_media;       /* read_media was NULL and is needed: do not send the body */
    int64_t estimate_usd_micros;
    enum prompt_hold hold;
    char *body; /* the exact JSON to send: compact, fixed order, defaults filled in */
    size_t body_len;
    char *display; /* the same for people: pretty, inline media shortened, ends with a newline */
    size_t display_len;
    struct prompt_input *inputs; /* in the order of the body */
    size_t input_count;
};

/*
 * Checks the content of prompt.json. `report` is initialised by the caller and emptied here first;
 * it lists every mistake of the object, not only the first, and warnings on success as well.
 * 0: acceptable, `prompt` is made. -ERR_JSON_INCOMPLETE: more bytes may make it acceptable; the
 * report then has one problem with the rule "incomplete". -ERR_PROMPT_INVALID: no further bytes can
 * make it acceptable. `prompt` is untouched on failure.
 */
int prompt_check(const char *bytes, size_t len, const struct prompt_settings *settings,
                 struct prompt **prompt, struct prompt_report *report) NODISCARD;

/* The same for prompt.txt: the text without the blanks around it is the prompt, everything else has
 * its default. An empty or blank text is -ERR_JSON_INCOMPLETE; so is a request in JSON, until more
 * text follows. Its problems have no line. */
int prompt_check_text(const char *text, size_t len, const struct prompt_settings *settings,
                      struct prompt **prompt, struct prompt_report *report) NODISCARD;

/* The bytes of a byte order mark at the beginning, which editors of other systems write and
 * everything here skips; 0: there is none. */
size_t prompt_mark_bytes(const char *bytes, size_t len);

/* Accepts NULL, returns NULL. */
struct prompt *prompt_free(struct prompt *prompt);

#endif
