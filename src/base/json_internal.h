/*
 * What: what the files of base/json share: the node table that the scanner fills, UTF-8 steps,
 * and keys compared by what they mean.
 * Lifetime: as in json.h.
 */
#ifndef SEEDANCEFS_BASE_JSON_INTERNAL_H
#define SEEDANCEFS_BASE_JSON_INTERNAL_H

#include "seedancefs/base/json.h"

#include <cjson/cJSON.h>

struct json_place {
    unsigned line;
    unsigned column;
};

/* One value. The table holds them in document order, so the children of a container follow it and
 * the next sibling is `span` nodes away. */
struct json {
    const cJSON *item;        /* set once the scanned text went through cJSON */
    const char *spelling;     /* the value as it stands in the document's text */
    size_t len;               /* bytes of the spelling */
    size_t span;              /* nodes of this value, itself included */
    const char *key_spelling; /* from behind the opening quote; NULL without a key */
    uint64_t key_hash;
    struct json_place place;
    struct json_place key; /* equals `place` for values without a key */
};

struct json_node_table {
    struct json *nodes;
    size_t count;
    size_t capacity;
};

/* Scans the whole NUL-terminated text and fills the table; the codes of json_parse(). */
int json_scan(const char *text, size_t len, const struct json_limits *limits,
              struct json_node_table *table, struct json_error *error) NODISCARD;

/* Bytes of the valid UTF-8 sequence at `p` (1 to 4), 0 when it is invalid (RFC 3629), -1 when it is
 * the beginning of a valid one that the text cuts off. `len` >= 1. */
int json_utf8_step(const char *p, size_t len);

/* 0 to 15, or -1. */
int json_hex_value(char c);

/* Keys by their meaning, from behind the opening quote of a string that was scanned already. */
uint64_t json_key_hash(const char *spelling);
bool json_key_is_same(const char *a, const char *b);

#endif
