/*
 * What: shared by the files of base/json: the document and its nodes, which the scanner fills.
 * Lifetime: as in json.h.
 */
#ifndef SEEDANCEFS_BASE_JSON_INTERNAL_H
#define SEEDANCEFS_BASE_JSON_INTERNAL_H

#include "seedancefs/base/json.h"

#include <cjson/cJSON.h>

/* One value. The nodes are in document order: the children of a container follow it, and the next
 * sibling is `span` nodes away. */
struct json {
    cJSON *item;
    const char *text; /* of the document; `at` and `key_at` are offsets into it */
    size_t at;
    size_t len;    /* bytes of the value in the text */
    size_t span;   /* nodes of this value, itself included */
    size_t key_at; /* offset of the opening quote; equals `at` for values without a key */
    uint64_t key_hash;
};

struct json_document {
    char *text;    /* a copy, ended by NUL */
    char *strings; /* in the same allocation: decoded keys and strings, which `tree` lends */
    cJSON *tree;
    struct json *nodes;
    size_t count;
    size_t capacity;
};

/* Scans `len` bytes of the document's text and fills in the rest, up to the first error. Returns
 * the codes of json_parse(). */
int json_scan(struct json_document *document, size_t len, const struct json_limits *limits,
              struct json_error *error) NODISCARD;

#endif
