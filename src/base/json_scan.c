/*
 * The scanner: one pass over the text by RFC 8259, before cJSON sees it. It answers three things
 * that cJSON cannot: is the text acceptable at all, could more bytes make it acceptable, and where
 * does each value stand. Running out of text is therefore told apart from a wrong byte everywhere;
 * at_end() is asked before each look at a byte.
 * Recursion is bounded by the depth limit.
 */
#include "json_internal.h"

#include "seedancefs/base/err.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, KEY_SHOWN_BYTES = 60 };

struct scanner {
    const char *text;
    size_t len;
    size_t at;
    struct json_place place; /* of the byte at `at` */
    size_t depth;
    const struct json_limits *limits;
    struct json_node_table *table;
    struct json_error *error;
};

static bool at_end(const struct scanner *s)
{
    return s->at == s->len;
}

static char here(const struct scanner *s)
{
    return s->text[s->at];
}

static int fail_at(struct scanner *s, int code, size_t offset, struct json_place place,
                   const char *format, ...) PRINTF_LIKE(5, 6);

static int fail_at(struct scanner *s, int code, size_t offset, struct json_place place,
                   const char *format, ...)
{
    *s->error = (struct json_error){.offset = offset, .line = place.line, .column = place.column};
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(s->error->sentence, sizeof(s->error->sentence), format, arguments);
    va_end(arguments);
    return code;
}

static int fail(struct scanner *s, const char *sentence)
{
    return fail_at(s, -ERR_JSON_SYNTAX, s->at, s->place, "%s", sentence);
}

static int incomplete(struct scanner *s, const char *missing)
{
    return fail_at(s, -ERR_JSON_INCOMPLETE, s->at, s->place, "the text ends too early: %s",
                   missing);
}

/* Steps over `bytes` bytes of one code point. */
static void advance(struct scanner *s, size_t bytes)
{
    if (here(s) == '\n') {
        s->place.line++;
        s->place.column = 1;
    } else {
        s->place.column++;
    }
    s->at += bytes;
}

static void skip_blanks(struct scanner *s)
{
    while (!at_end(s) && (here(s) == ' ' || here(s) == '\t' || here(s) == '\n' || here(s) == '\r'))
        advance(s, 1);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The four digits behind \u; `at` stands on the first. */
static int scan_hex4(struct scanner *s, unsigned *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        if (at_end(s))
            return incomplete(s, "a \\u escape has four hexadecimal digits");
        int digit = json_hex_value(here(s));
        if (digit < 0)
            return fail(s, "a \\u escape needs four hexadecimal digits");
        *unit = *unit << 4 | (unsigned)digit;
        advance(s, 1);
    }
    return 0;
}

static int scan_low_surrogate(struct scanner *s)
{
    for (const char *p = "\\u"; *p; p++) {
        if (at_end(s))
            return incomplete(s, "the second half of a surrogate pair is missing");
        if (here(s) != *p)
            return fail(s, "a \\u escape is one half of a surrogate pair without the other");
        advance(s, 1);
    }
    unsigned low;
    int r = scan_hex4(s, &low);
    if (r < 0)
        return r;
    if (low < 0xdc00 || low > 0xdfff)
        return fail(s, "a \\u escape is one half of a surrogate pair without the other");
    return 0;
}

/* `at` stands on the backslash. */
static int scan_escape(struct scanner *s)
{
    advance(s, 1);
    if (at_end(s))
        return incomplete(s, "a string is not closed");
    if (!strchr("\"\\/bfnrtu", here(s)) || here(s) == '\0')
        return fail(s, "unknown escape; a backslash itself is written \\\\");
    bool is_unicode = here(s) == 'u';
    advance(s, 1);
    if (!is_unicode)
        return 0;
    unsigned unit;
    int r = scan_hex4(s, &unit);
    if (r < 0)
        return r;
    if (unit == 0)
        return fail(s, "\\u0000 is not accepted");
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return fail(s, "a \\u escape is one half of a surrogate pair without the other");
    return unit >= 0xd800 && unit <= 0xdbff ? scan_low_surrogate(s) : 0;
}

/* `at` stands on the opening quote, afterwards behind the closing one. */
static int scan_string(struct scanner *s)
{
    advance(s, 1);
    for (;;) {
        if (at_end(s))
            return incomplete(s, "a string is not closed");
        unsigned char c = (unsigned char)here(s);
        if (c == '"') {
            advance(s, 1);
            return 0;
        }
        if (c == '\\') {
            int r = scan_escape(s);
            if (r < 0)
                return r;
            continue;
        }
        if (c == '\n' || c == '\r')
            return fail(s, "a line break inside a string; write it as \\n, or close the string");
        if (c < 0x20)
            return fail(s, "a control character inside a string; write it as an escape");
        int step = c < 0x80 ? 1 : json_utf8_step(s->text + s->at, s->len - s->at);
        if (step < 0)
            return incomplete(s, "a string is not closed");
        if (step == 0)
            return fail(s, "a byte that is not valid UTF-8");
        advance(s, (size_t)step);
    }
}

static void scan_digits(struct scanner *s)
{
    while (!at_end(s) && is_digit(here(s)))
        advance(s, 1);
}

/* At least one digit, then all that follow. */
static int scan_digits_required(struct scanner *s)
{
    if (at_end(s))
        return incomplete(s, "a digit is missing");
    if (!is_digit(here(s)))
        return fail(s, "expected a digit");
    scan_digits(s);
    return 0;
}

static int scan_number_parts(struct scanner *s)
{
    if (here(s) == '-')
        advance(s, 1);
    bool is_zero = !at_end(s) && here(s) == '0';
    int r = 0;
    if (is_zero)
        advance(s, 1);
    else
        r = scan_digits_required(s);
    if (r == 0 && is_zero && !at_end(s) && is_digit(here(s)))
        return fail(s, "a number must not begin with 0");
    if (r == 0 && !at_end(s) && here(s) == '.') {
        advance(s, 1);
        r = scan_digits_required(s);
    }
    if (r == 0 && !at_end(s) && (here(s) == 'e' || here(s) == 'E')) {
        advance(s, 1);
        if (!at_end(s) && (here(s) == '+' || here(s) == '-'))
            advance(s, 1);
        r = scan_digits_required(s);
    }
    return r;
}

static int scan_number(struct scanner *s)
{
    size_t start = s->at;
    struct json_place place = s->place;
    int r = scan_number_parts(s);
    size_t len = s->at - start;
    if (len > JSON_NUMBER_MAX)
        return fail_at(s, -ERR_JSON_LIMIT, start, place, "a number longer than %d characters",
                       JSON_NUMBER_MAX);
    if (r < 0)
        return r;
    /* Digits still to come can only make an infinite number larger, so this is final as well. */
    char number[JSON_NUMBER_MAX + 1];
    memcpy(number, s->text + start, len);
    number[len] = '\0';
    if (!isfinite(strtod(number, NULL)))
        return fail_at(s, -ERR_JSON_SYNTAX, start, place, "a number too large to be held");
    return 0;
}

static int scan_word(struct scanner *s, const char *word)
{
    size_t start = s->at;
    struct json_place place = s->place;
    for (; *word; word++) {
        if (at_end(s))
            return incomplete(s, "a word is cut off");
        if (here(s) != *word)
            return fail_at(s, -ERR_JSON_SYNTAX, start, place,
                           "unknown word; texts stand in double quotes, else true, false or null");
        advance(s, 1);
    }
    return 0;
}

/* Refuses the key of the newest node, `node`, if an older member of `object` has it. */
static int check_key_is_new(struct scanner *s, size_t object, size_t node, size_t offset)
{
    const struct json *nodes = s->table->nodes;
    const struct json *key = &nodes[node];
    for (size_t i = object + 1; i < node; i += nodes[i].span) {
        if (nodes[i].key_hash != key->key_hash ||
            !json_key_is_same(nodes[i].key_spelling, key->key_spelling))
            continue;
        size_t len = s->at - 1 - (offset + 1);
        size_t shown = len;
        if (len > KEY_SHOWN_BYTES) {
            shown = KEY_SHOWN_BYTES;
            while (((unsigned char)key->key_spelling[shown] & 0xc0) == 0x80)
                shown--;
        }
        return fail_at(s, -ERR_JSON_SYNTAX, offset, key->key, "the key \"%.*s%s\" appears twice",
                       (int)shown, key->key_spelling, shown < len ? "…" : "");
    }
    return 0;
}

/* A new node of span 1 for the value that begins here. */
static int node_add(struct scanner *s, size_t *index)
{
    struct json_node_table *table = s->table;
    if (table->count == s->limits->max_nodes)
        return fail_at(s, -ERR_JSON_LIMIT, s->at, s->place, "more than %zu values",
                       s->limits->max_nodes);
    if (table->count == table->capacity) {
        size_t capacity = table->capacity ? table->capacity * 2 : 16;
        struct json *nodes = reallocarray(table->nodes, capacity, sizeof(*nodes));
        if (!nodes)
            return -ENOMEM;
        table->nodes = nodes;
        table->capacity = capacity;
    }
    *index = table->count++;
    table->nodes[*index] = (struct json){.span = 1, .place = s->place, .key = s->place};
    return 0;
}

/* The value that begins here, into the node that was made for it. */
static int scan_value_into(struct scanner *s, size_t node);

static int scan_item(struct scanner *s)
{
    size_t node;
    int r = node_add(s, &node);
    return r < 0 ? r : scan_value_into(s, node);
}

/* Whether the last thing before `at` is a comma: the commonest slip before a closing bracket. */
static bool is_after_comma(const struct scanner *s)
{
    size_t i = s->at;
    while (i > 0 && strchr(" \t\r\n", s->text[i - 1]))
        i--;
    return i > 0 && s->text[i - 1] == ',';
}

/* "key": value; `at` stands on the key. */
static int scan_member(struct scanner *s, size_t object)
{
    if (here(s) != '"')
        return fail(s, here(s) == '}' && is_after_comma(s)
                           ? "a comma before '}'; the last member has none behind it"
                           : "expected a key in double quotes");
    size_t node;
    size_t offset = s->at;
    int r = node_add(s, &node);
    if (r == 0)
        r = scan_string(s);
    if (r < 0)
        return r;
    s->table->nodes[node].key_spelling = s->text + offset + 1;
    s->table->nodes[node].key_hash = json_key_hash(s->text + offset + 1);
    r = check_key_is_new(s, object, node, offset);
    if (r < 0)
        return r;
    skip_blanks(s);
    if (at_end(s))
        return incomplete(s, "a key is without its value");
    if (here(s) != ':')
        return fail(s, "expected ':' after the key");
    advance(s, 1);
    skip_blanks(s);
    if (at_end(s))
        return incomplete(s, "a key is without its value");
    s->table->nodes[node].place = s->place;
    return scan_value_into(s, node);
}

/* An object or array, from the opening bracket to behind the closing one. */
static int scan_container(struct scanner *s, size_t node, bool is_object)
{
    const char close = is_object ? '}' : ']';
    const char *open = is_object ? "an object is not closed" : "an array is not closed";
    if (s->depth == s->limits->max_depth || s->depth == DEPTH_MAX)
        return fail_at(s, -ERR_JSON_LIMIT, s->at, s->place, "nested deeper than %zu levels",
                       s->depth);
    s->depth++;
    advance(s, 1);
    skip_blanks(s);
    bool is_empty = !at_end(s) && here(s) == close;
    while (!is_empty) {
        skip_blanks(s);
        if (at_end(s))
            return incomplete(s, open);
        int r = is_object ? scan_member(s, node) : scan_item(s);
        if (r < 0)
            return r;
        skip_blanks(s);
        if (at_end(s))
            return incomplete(s, open);
        if (here(s) == close)
            break;
        if (here(s) != ',')
            return fail(s, is_object ? "expected ',' or '}' after the value"
                                     : "expected ',' or ']' after the value");
        advance(s, 1);
    }
    advance(s, 1);
    s->depth--;
    s->table->nodes[node].span = s->table->count - node;
    return 0;
}

static int scan_value_into(struct scanner *s, size_t node)
{
    size_t start = s->at;
    int r;
    switch (here(s)) {
    case '{':
    case '[':
        r = scan_container(s, node, here(s) == '{');
        break;
    case '"':
        r = scan_string(s);
        break;
    case 't':
        r = scan_word(s, "true");
        break;
    case 'f':
        r = scan_word(s, "false");
        break;
    case 'n':
        r = scan_word(s, "null");
        break;
    default:
        if (is_digit(here(s)) || here(s) == '-')
            r = scan_number(s);
        else if (here(s) == ']' && is_after_comma(s))
            r = fail(s, "a comma before ']'; the last item has none behind it");
        else
            r = fail(s, "expected a value: a text in double quotes, a number, true or false");
        break;
    }
    s->table->nodes[node].spelling = s->text + start;
    s->table->nodes[node].len = s->at - start;
    return r;
}

static int scan_document(struct scanner *s)
{
    if (s->len >= 3 && memcmp(s->text, "\xef\xbb\xbf", 3) == 0)
        return fail(s, "the text begins with a byte order mark; save it as UTF-8 without one");
    skip_blanks(s);
    if (at_end(s))
        return incomplete(s, "it is empty");
    int r = scan_item(s);
    if (r < 0)
        return r;
    skip_blanks(s);
    return at_end(s) ? 0 : fail(s, "there is something behind the end of the value");
}

int json_scan(const char *text, size_t len, const struct json_limits *limits,
              struct json_node_table *table, struct json_error *error)
{
    struct scanner s = {
        .text = text,
        .len = len,
        .place = {.line = 1, .column = 1},
        .limits = limits,
        .table = table,
        .error = error,
    };
    return scan_document(&s);
}
