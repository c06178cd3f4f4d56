/*
 * What: JSON (RFC 8259), read strictly and written plainly. The sole includer of cJSON. A
 * scanner of our own builds its tree, because its parser is lenient: UTF-8 without surrogates, overlong
 * forms or a byte order mark, no NUL byte and no \u0000, no lone surrogates in \u escapes, no number
 * outside double, no key twice in one object, nothing behind the value, and caps on everything.
 * A parsed tree is read-only. Nodes know their position in the text, for messages to people.
 * Lifetime: a document owns its text and its tree; `struct json` nodes, keys and texts are lent by
 * the document and die with it.
 * Errors: -ERR_JSON_INCOMPLETE, -ERR_JSON_SYNTAX, -ERR_JSON_LIMIT, -ENOMEM. The writer's errors
 * stick in the buf it writes to.
 */
#ifndef SEEDANCEFS_BASE_JSON_H
#define SEEDANCEFS_BASE_JSON_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_document;
struct json;

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

enum { JSON_NUMBER_MAX = 63 }; /* characters of a number */

struct json_limits {
    size_t max_bytes;
    size_t max_depth; /* an empty array has depth 1; at most 64 */
    size_t max_nodes; /* values, containers included */
};

/* Of cJSON, as "1.7.15". */
const char *json_library_version(void);

/* 1 MiB, depth 32, 4,096 nodes. */
extern const struct json_limits json_limits_default;

struct json_error {
    size_t offset;      /* bytes before the place */
    unsigned line;      /* from 1 */
    unsigned column;    /* from 1, counted in code points */
    char sentence[160]; /* for people, without a full stop */
};

/*
 * Parses one JSON value with blanks around it. `text` need not end with a NUL. `limits` may be NULL
 * for the default, `error` may be NULL; it is written on every failure but -ENOMEM.
 * -ERR_JSON_INCOMPLETE: the text is a proper prefix of an acceptable document (empty and blank
 * texts are); -ERR_JSON_SYNTAX and -ERR_JSON_LIMIT: no further bytes can make it acceptable.
 */
int json_parse(const char *text, size_t len, const struct json_limits *limits,
               struct json_document **document, struct json_error *error) NODISCARD;

/* Accepts NULL, returns NULL. */
struct json_document *json_document_free(struct json_document *document);

const struct json *json_document_root(const struct json_document *document);

/* JSON_NULL for NULL, so that the type of an absent member can be read as well. */
enum json_type json_type_get(const struct json *node);

/* "a string", "an object", …: for messages. Static storage. */
const char *json_type_name(enum json_type type);

/* Value of exactly this key (case matters); NULL when absent, or when `object` is no object or
 * NULL. */
const struct json *json_member_get(const struct json *object, const char *key);

/* Members of an object or items of an array, in document order; NULL after the last one. */
const struct json *json_child_first(const struct json *container);
const struct json *json_child_next(const struct json *child);
size_t json_child_count(const struct json *container);

#define JSON_FOR_EACH(child, container)                                                            \
    for (const struct json *child = json_child_first(container); (child) != NULL;                  \
         (child) = json_child_next(child))

/* Key of a member; NULL for array items and the root. */
const char *json_key_get(const struct json *node);

/* Text of a string (never holds a NUL); NULL for any other type and for NULL. */
const char *json_text_get(const struct json *node);

/* These leave `out` untouched and return false when the node is of another type or NULL. */
bool json_bool_get(const struct json *node, bool *out);
bool json_number_get(const struct json *node, double *out);

/* Only for a number that is exactly an int64: 5 and 5.0, not 5.5 and not 1e30. A number written
 * with a fraction or an exponent is accepted up to 2^53 in size. */
bool json_int64_get(const struct json *node, int64_t *out);

/* Where the value begins, or its key (the value, if it has no key); counted from 1. */
void json_position(const struct json *node, unsigned *line, unsigned *column);
void json_key_position(const struct json *node, unsigned *line, unsigned *column);

/*
 * The writer: calls in document order make a document; it adds commas, blanks and escapes.
 * Misuse (a value without key in an object, unbalanced ends) sets the buf's error to -EINVAL.
 */
enum json_style { JSON_COMPACT, JSON_PRETTY /* two blanks per level */ };

enum { JSON_WRITER_DEPTH_MAX = 64 };

struct json_writer {
    struct buf *out; /* lent */
    enum json_style style;
    unsigned depth;
    bool has_key;       /* a key was written, its value is due */
    uint64_t is_object; /* one bit per level */
    uint64_t has_child;
};

void json_writer_init(struct json_writer *w, struct buf *out, enum json_style style);

void json_write_object_begin(struct json_writer *w);
void json_write_object_end(struct json_writer *w);
void json_write_array_begin(struct json_writer *w);
void json_write_array_end(struct json_writer *w);
void json_write_key(struct json_writer *w, const char *key);

/* NULL is written as null. Invalid UTF-8 becomes U+FFFD, one per bad byte. */
void json_write_string(struct json_writer *w, const char *text);
/* The same for `len` bytes, NUL bytes included. */
void json_write_text(struct json_writer *w, const char *text, size_t len);
void json_write_int64(struct json_writer *w, int64_t value);
void json_write_bool(struct json_writer *w, bool value);
void json_write_null(struct json_writer *w);

/* Text that is JSON already (a number, a rendered object); written unchanged. */
void json_write_raw(struct json_writer *w, const char *json);

/* A parsed value with everything in it; numbers keep their spelling. */
void json_write_node(struct json_writer *w, const struct json *node);

/* Both in one call, for the members of a flat object. */
void json_write_member_string(struct json_writer *w, const char *key, const char *text);
void json_write_member_int64(struct json_writer *w, const char *key, int64_t value);
void json_write_member_bool(struct json_writer *w, const char *key, bool value);

/* Adds `len` bytes as a quoted JSON string, in the same way as the writer. */
void json_escape(struct buf *out, const char *text, size_t len);

#endif
