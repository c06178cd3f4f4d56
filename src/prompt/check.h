/*
 * What: one run over a parsed prompt.json: the state that the checks of single fields leave for the
 * rules between fields and for the body, and the functions that the files of the layer share.
 * Lifetime: check_init() .. check_fini(). The document, the settings and the report are lent and
 * outlive it, and the texts point into them.
 * Errors: problems go to the report; -ENOMEM stays in `error`.
 */
#ifndef SEEDANCEFS_PROMPT_CHECK_H
#define SEEDANCEFS_PROMPT_CHECK_H

#include "rules.h"

#include "seedancefs/base/json.h"
#include "seedancefs/prompt/model.h"
#include "seedancefs/prompt/prompt.h"

enum { PATH_SIZE = 96, SHOWN_SIZE = 256 };

/* A file of the mount: its content replaces its path in the body, now or later. */
struct local_file {
    struct local_file *next;
    const struct json *node; /* the string with the path; NULL: the lengths of all videos */
    char *data_url;          /* NULL: its place stays empty */
    int number;              /* as in struct prompt_input, and the rest of it: */
    enum reference_kind kind;
    char field[PATH_SIZE];
    size_t body_offset;
};

/* The roles of media. A frame is an image. */
enum role { ROLE_NONE, ROLE_FIRST, ROLE_LAST, ROLE_IMAGE, ROLE_VIDEO, ROLE_AUDIO, ROLES };

/* How the request uses media, over all spellings; see mode.c. */
struct modes {
    size_t items; /* of content */
    size_t by_role[ROLES];
    /* Where the first of each was found: "content[0].role", "last_frame". */
    struct mode_place {
        const struct json *node; /* NULL: there is none */
        char path[PATH_SIZE];
    } first_frame, last_frame, reference, bare_image;
};

struct check {
    const struct prompt_settings *settings;
    struct prompt_report *report;
    const struct json *root;
    int error;

    const char *model_name;    /* NULL: of a wrong type */
    const struct model *model; /* NULL when unknown */
    const struct model *rules; /* its own, or those for unknown ones */
    const char *text;
    const char *resolution;
    const char *aspect_ratio;
    int64_t duration_s; /* -1: the model chooses */
    bool generate_audio;
    bool watermark;
    bool hold;

    size_t counts[MEDIA_KINDS]; /* of media in the whole request */
    struct modes modes;
    int64_t durations_ms;     /* sum of video_durations, or -1 */
    int64_t input_ms;         /* input_video_duration, or -1 */
    struct local_file *files; /* a utlist, in the order in which they were found */
    size_t inlined_bytes;     /* of all data URLs */
    /* The lengths of the videos that are files, as far as they are known, and how many are. */
    int64_t found_ms;
    size_t found_lengths;
    size_t coming_lengths; /* those of the others will be known */
    size_t found_videos;
    bool has_unread_media;
};

/* Chooses the model, whose rules and defaults the other fields need: JSON has no order. */
void check_init(struct check *c, const struct json *root, const struct prompt_settings *settings,
                struct prompt_report *report);
void check_fini(struct check *c);

/* fields.c: checks every rule; afterwards c->error and the report have the result. */
void check_run(struct check *c);
void check_model_known(struct check *c); /* checks only the model's name */

/* One field of the request at the top level. The order of the table is the order of the body. */
struct field;
typedef void field_check_fn(struct check *c, const struct field *field, const struct json *node);
typedef void field_write_fn(const struct check *c, const struct field *field, struct json_writer *w,
                            const struct json *node, bool is_display);

/* VALUE_OWN: a flag of this program, which is never sent. */
enum value_type { VALUE_NONE, VALUE_TEXT, VALUE_INTEGER, VALUE_FLAG, VALUE_OWN };

struct field {
    const char *name;
    field_check_fn *check;
    field_write_fn *write;
    enum reference_kind kind;
    /* If not VALUE_NONE, the field is sent even if the user left it out (`node` is then NULL), and
     * its value is in `struct check` at `offset`. */
    enum value_type type;
    size_t offset;
};

extern const struct field fields[];
extern const size_t field_count;

const struct field *field_find(const char *name);

/* What defaults.json has instead of the prompt must fit the prompt's model as well. */
void check_defaults_fit(struct check *c);

/* document.c: parses the text as one JSON object, or reports why it is none. `example` is one. */
extern const struct json_limits document_limits;
int document_parse(const char *bytes, size_t len, const char *example,
                   struct json_document **document, struct prompt_report *report) NODISCARD;

/* media.c, content.c: check values that are addresses or contain them. */
int local_file_add(struct check *c, const struct local_file *file) NODISCARD; /* a copy */
void check_media(struct check *c, enum reference_kind kind, const struct json *node,
                 const char *path);
field_check_fn check_content;

/* mode.c: a medium with this role stands at `path`; the rules are checked in the end. */
void mode_add(struct check *c, enum role role, enum reference_kind kind, const struct json *node,
              const char *path);
void check_modes(struct check *c);
extern const char *const role_words[ROLES]; /* as they are sent; "" for ROLE_NONE */
field_check_fn check_frame;

/* field_write.c, body.c: the writers in the table of fields, and of the whole body. */
field_write_fn write_value, write_plain, write_durations, write_media, write_content;

void body_render(const struct check *c, struct buf *out, bool is_display);

/* problem.c: the place of a problem. */
enum severity { SEVERITY_ERROR, SEVERITY_WARNING };

void problem_add(struct check *c, enum severity severity, const struct json *at, const char *path,
                 const char *rule, const char *format, ...) PRINTF_LIKE(6, 7);

/* Points to the key of the member, not to its value. */
void problem_add_at_key(struct check *c, enum severity severity, const struct json *member,
                        const char *path, const char *rule, const char *format, ...)
    PRINTF_LIKE(6, 7);

/* Adds directly to a report, for problems found before there is a tree; line 0: no place. */
int report_add(struct prompt_report *report, const struct prompt_problem *problem) NODISCARD;
/* The only problem of a text; `place` may be NULL. Returns `code`, or -ENOMEM. */
int report_one(struct prompt_report *report, const char *rule, const struct json_error *place,
               const char *sentence, int code) NODISCARD;
void report_clear(struct prompt_report *report);
void report_sort(struct prompt_report *report);

/* Makes a user's text fit for a sentence: at most 40 code points, no control characters. */
const char *shown(const char *text, char out[static SHOWN_SIZE]);

/* "base.key", or "key" when `base` is empty; a long key is shortened. */
void path_join(char out[static PATH_SIZE], const char *base, const char *key);

/* If the type is wrong, reports what is needed and what is there. True when `node` has `type`. */
bool expect_type(struct check *c, const struct json *node, const char *path, enum json_type type);

/* names.c: reports an unknown field. NULL ends `known`; `path` is that of the field itself. */
void check_unknown(struct check *c, const struct json *member, const char *path,
                   const char *const *known);

#endif
