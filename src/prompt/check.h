/*
 * What: one run over a parsed prompt.json: the state that the checks of single fields leave behind
 * for the rules between fields and for the body, and the functions of the files that share the
 * work.
 * Lifetime: check_init() .. check_fini(); the document, the settings and the report are lent and
 * outlive it, and the texts point into them.
 * Errors: problems go to the report; -ENOMEM sticks in `error`.
 */
#ifndef SEEDANCEFS_PROMPT_CHECK_H
#define SEEDANCEFS_PROMPT_CHECK_H

#include "rules.h"

#include "seedancefs/base/json.h"
#include "seedancefs/prompt/model.h"
#include "seedancefs/prompt/prompt.h"

/* A local file that takes the place of its name in the body. */
struct inlined {
    struct inlined *next;
    const struct json *node; /* the string with the name */
    char *data_url;
    size_t file_bytes;
    size_t prefix_len; /* of data_url, up to and with the comma */
};

struct check {
    const struct prompt_settings *settings;
    struct prompt_report *report;
    const struct json *root;
    int error;

    const char *model_name;
    const struct model *model; /* NULL when unknown */
    const char *text;
    const char *resolution;
    const char *aspect_ratio;
    int64_t duration_s;
    bool generate_audio;
    bool watermark;

    size_t counts[MEDIA_KINDS]; /* of media that the request names, wherever */
    int64_t durations_ms;       /* sum of video_durations, or -1 */
    int64_t input_ms;           /* input_video_duration, or -1 */
    struct inlined *inlined;
    size_t inlined_bytes; /* of all data URLs made */
    bool has_unread_media;
};

void check_init(struct check *c, const struct json *root, const struct prompt_settings *settings,
                struct prompt_report *report);
void check_fini(struct check *c);

/* fields.c: every rule; afterwards c->error and the report tell. */
void check_run(struct check *c);
void check_model_known(struct check *c); /* of the model's name alone */

/* One field of the request at the top level; the table's order is the order of the body. */
struct field;
typedef void field_check_fn(struct check *c, const struct field *field, const struct json *node);
typedef void field_write_fn(const struct check *c, const struct field *field, struct json_writer *w,
                            const struct json *node, bool is_display);

enum value_type { VALUE_NONE, VALUE_TEXT, VALUE_INTEGER, VALUE_FLAG };

struct field {
    const char *name;
    field_check_fn *check;
    field_write_fn *write;
    enum reference_kind kind;
    /* But for VALUE_NONE it is sent also when the user left it out (`node` is NULL then), and the
     * value stands in `struct check`. */
    enum value_type type;
    size_t offset;
};

extern const struct field fields[];
extern const size_t field_count;

const struct field *field_find(const char *name);

/* prompt.c: the text as one JSON object, or the report says why it is none; `example` is one. */
int document_parse(const char *bytes, size_t len, const char *example,
                   struct json_document **document, struct prompt_report *report) NODISCARD;

/* media.c, content.c: checks of values that are addresses or hold them. */
void check_media(struct check *c, enum reference_kind kind, const struct json *node,
                 const char *path);
field_check_fn check_content;

/* body.c: the writers in the table of fields, and the whole. */
field_write_fn write_value, write_plain, write_media, write_content;

void body_render(const struct check *c, struct buf *out, bool is_display);

/* problem.c: where a problem points to. */
enum { PATH_SIZE = 96, SHOWN_SIZE = 256 };

enum severity { SEVERITY_ERROR, SEVERITY_WARNING };

void problem_add(struct check *c, enum severity severity, const struct json *at, const char *path,
                 const char *rule, const char *format, ...) PRINTF_LIKE(6, 7);

/* At the key of the member, not at its value. */
void problem_add_at_key(struct check *c, enum severity severity, const struct json *member,
                        const char *path, const char *rule, const char *format, ...)
    PRINTF_LIKE(6, 7);

/* Straight into a report, for what is found before there is a tree; line 0 for no place. */
int report_add(struct prompt_report *report, const struct prompt_problem *problem) NODISCARD;
void report_clear(struct prompt_report *report);
void report_sort(struct prompt_report *report);

/* Text of a user made fit for a sentence: at most 40 code points, no control characters. */
const char *shown(const char *text, char out[static SHOWN_SIZE]);

/* "base.key", or "key" when `base` is empty; a long key is shortened. */
void path_join(char out[static PATH_SIZE], const char *base, const char *key);

/* A wrong type: says what is needed and what is there. True when `node` has `type`. */
bool expect_type(struct check *c, const struct json *node, const char *path, enum json_type type);

/* names.c: a field nobody knows. `known` is ended by NULL; `path` is that of the field itself. */
void check_unknown(struct check *c, const struct json *member, const char *path,
                   const char *const *known);

/* The candidate that `name` was probably meant to be, or NULL. */
const char *nearest_name(const char *name, const char *const *candidates);

#endif
