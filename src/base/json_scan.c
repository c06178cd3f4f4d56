/*
 * The scanner: one pass over the text by RFC 8259, which builds cJSON's tree on the way. It answers
 * three questions that cJSON's own parser cannot: is the text acceptable at all, could more bytes
 * make it acceptable, and where is each value. So running out of text is always told apart from a
 * wrong byte: at_end() comes before each look at a byte. The depth limit bounds the recursion.
 */
#include "json_internal.h"

#include "seedancefs/base/err.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, KEY_SHOWN_BYTES = 60 };

struct scanner {
    struct json_document *document;
    const char *text; /* of the document */
    size_t len;
    size_t at;
    char *decoded; /* where the next string goes; without quotes it always fits */
    size_t depth;
    const struct json_limits *limits;
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

static int fail_at(struct scanner *s, int code, size_t offset, const char *format, ...)
    PRINTF_LIKE(4, 5);

static int fail_at(struct scanner *s, int code, size_t offset, const char *format, ...)
{
    *s->error = (struct json_error){.offset = offset};
    text_place_find(s->text, offset, &s->error->line, &s->error->column);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(s->error->sentence, sizeof(s->error->sentence), format, arguments);
    va_end(arguments);
    return code;
}

static int fail(struct scanner *s, const char *sentence)
{
    return fail_at(s, -ERR_JSON_SYNTAX, s->at, "%s", sentence);
}

static int incomplete(struct scanner *s, const char *missing)
{
    return fail_at(s, -ERR_JSON_INCOMPLETE, s->at, "the text ends too early: %s", missing);
}

static void skip_blanks(struct scanner *s)
{
    while (!at_end(s) && (here(s) == ' ' || here(s) == '\t' || here(s) == '\n' || here(s) == '\r'))
        s->at++;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Scans the four digits after \u; `at` is on the first. */
static int scan_hex4(struct scanner *s, unsigned *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        if (at_end(s))
            return incomplete(s, "a \\u escape has four hexadecimal digits");
        int digit = text_hex_value(here(s));
        if (digit < 0)
            return fail(s, "a \\u escape needs four hexadecimal digits");
        *unit = *unit << 4 | (unsigned)digit;
        s->at++;
    }
    return 0;
}

/* `unit` is the first half of a pair; on return it is the code point. */
static int scan_low_surrogate(struct scanner *s, unsigned *unit)
{
    for (const char *p = "\\u"; *p; p++) {
        if (at_end(s))
            return incomplete(s, "the second half of a surrogate pair is missing");
        if (here(s) != *p)
            return fail(s, "a \\u escape is one half of a surrogate pair without the other");
        s->at++;
    }
    unsigned low;
    int r = scan_hex4(s, &low);
    if (r < 0)
        return r;
    if (low < 0xdc00 || low > 0xdfff)
        return fail(s, "a \\u escape is one half of a surrogate pair without the other");
    *unit = 0x10000 + ((*unit - 0xd800) << 10 | (low - 0xdc00));
    return 0;
}

static void decoded_add(struct scanner *s, unsigned code_point)
{
    unsigned more = code_point < 0x80 ? 0 : code_point < 0x800 ? 1 : code_point < 0x10000 ? 2 : 3;
    static const unsigned char leads[] = {0, 0xc0, 0xe0, 0xf0};
    *s->decoded++ = (char)(leads[more] | code_point >> 6 * more);
    while (more-- > 0)
        *s->decoded++ = (char)(0x80 | (code_point >> 6 * more & 0x3f));
}

/* `at` is on the backslash. */
static int scan_escape(struct scanner *s)
{
    static const char letters[] = "\"\\/bfnrtu";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    s->at++;
    if (at_end(s))
        return incomplete(s, "a string is not closed");
    const char *letter = here(s) ? strchr(letters, here(s)) : NULL;
    if (!letter)
        return fail(s, "unknown escape; a backslash itself is written \\\\");
    s->at++;
    unsigned unit = (unsigned)meanings[letter - letters];
    int r = *letter == 'u' ? scan_hex4(s, &unit) : 0;
    if (r < 0)
        return r;
    if (unit == 0)
        return fail(s, "\\u0000 is not accepted");
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return fail(s, "a \\u escape is one half of a surrogate pair without the other");
    if (unit >= 0xd800 && unit <= 0xdbff)
        r = scan_low_surrogate(s, &unit);
    if (r == 0)
        decoded_add(s, unit);
    return r;
}

/* `at` is on the opening quote; on return it is after the closing one. `out` gets
 * the decoded text. */
static int scan_string(struct scanner *s, const char **out)
{
    *out = s->decoded;
    s->at++;
    for (;;) {
        if (at_end(s))
            return incomplete(s, "a string is not closed");
        unsigned char c = (unsigned char)here(s);
        if (c == '"')
            break;
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
        int step = text_utf8_step(s->text + s->at, s->len - s->at);
        if (step < 0)
            return incomplete(s, "a string is not closed");
        if (step == 0)
            return fail(s, "a byte that is not valid UTF-8");
        for (; step > 0; step--)
            *s->decoded++ = s->text[s->at++];
    }
    s->at++;
    *s->decoded++ = '\0';
    return 0;
}

static void scan_digits(struct scanner *s)
{
    while (!at_end(s) && is_digit(here(s)))
        s->at++;
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
        s->at++;
    bool is_zero = !at_end(s) && here(s) == '0';
    int r = 0;
    if (is_zero)
        s->at++;
    else
        r = scan_digits_required(s);
    if (r == 0 && is_zero && !at_end(s) && is_digit(here(s)))
        return fail(s, "a number must not begin with 0");
    if (r == 0 && !at_end(s) && here(s) == '.') {
        s->at++;
        r = scan_digits_required(s);
    }
    if (r == 0 && !at_end(s) && (here(s) == 'e' || here(s) == 'E')) {
        s->at++;
        if (!at_end(s) && (here(s) == '+' || here(s) == '-'))
            s->at++;
        r = scan_digits_required(s);
    }
    return r;
}

static int scan_number(struct scanner *s, double *out)
{
    size_t start = s->at;
    int r = scan_number_parts(s);
    size_t len = s->at - start;
    if (len > JSON_NUMBER_MAX)
        return fail_at(s, -ERR_JSON_LIMIT, start, "a number longer than %d characters",
                       JSON_NUMBER_MAX);
    if (r < 0)
        return r;
    /* More digits can only make an infinite number larger, so this error is final. */
    char number[JSON_NUMBER_MAX + 1];
    memcpy(number, s->text + start, len);
    number[len] = '\0';
    *out = strtod(number, NULL);
    if (!isfinite(*out))
        return fail_at(s, -ERR_JSON_SYNTAX, start, "a number too large to be held");
    return 0;
}

static int scan_word(struct scanner *s, const char *word)
{
    size_t start = s->at;
    for (; *word; word++) {
        if (at_end(s))
            return incomplete(s, "a word is cut off");
        if (here(s) != *word)
            return fail_at(s, -ERR_JSON_SYNTAX, start,
                           "unknown word; texts stand in double quotes, else true, false or null");
        s->at++;
    }
    return 0;
}

/* Refuses the key of the newest node, `key`, if an older member of `object` has the same. */
static int check_key_is_new(struct scanner *s, size_t object, const struct json *key,
                            const char *name)
{
    const struct json *nodes = s->document->nodes;
    for (const struct json *other = &nodes[object + 1]; other < key; other += other->span) {
        if (other->key_hash != key->key_hash || strcmp(other->item->string, name) != 0)
            continue;
        const char *spelling = s->text + key->key_at + 1;
        size_t len = s->at - 1 - (key->key_at + 1);
        size_t shown = min_size(len, KEY_SHOWN_BYTES);
        while (shown < len && ((unsigned char)spelling[shown] & 0xc0) == 0x80)
            shown--;
        return fail_at(s, -ERR_JSON_SYNTAX, key->key_at, "the key \"%.*s%s\" appears twice",
                       (int)shown, spelling, shown < len ? "…" : "");
    }
    return 0;
}

/* Adds a node for the value that begins here. */
static int node_add(struct scanner *s, size_t *out)
{
    struct json_document *document = s->document;
    if (document->count == s->limits->max_nodes)
        return fail_at(s, -ERR_JSON_LIMIT, s->at, "more than %zu values", document->count);
    if (document->count == document->capacity) {
        size_t capacity = document->capacity ? document->capacity * 2 : 32;
        struct json *grown = realloc(document->nodes, capacity * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        document->nodes = grown;
        document->capacity = capacity;
    }
    *out = document->count++;
    document->nodes[*out] = (struct json){.text = s->text, .at = s->at, .key_at = s->at, .span = 1};
    return 0;
}

/* Whether the last token is a comma: the most common mistake before a closing bracket. */
static bool is_after_comma(const struct scanner *s)
{
    size_t i = s->at;
    while (i > 0 && strchr(" \t\r\n", s->text[i - 1]))
        i--;
    return i > 0 && s->text[i - 1] == ',';
}

/* Scans a value into `node`. The value becomes a child of `parent` (NULL: the root) under
 * `name` (NULL: none). */
static int scan_value(struct scanner *s, size_t node, cJSON *parent, const char *name);

/* "key": value; `at` is on the key. */
static int scan_member(struct scanner *s, size_t object)
{
    if (here(s) != '"')
        return fail(s, here(s) == '}' && is_after_comma(s)
                           ? "a comma before '}'; the last member has none behind it"
                           : "expected a key in double quotes");
    const char *name;
    size_t node;
    int r = node_add(s, &node);
    if (r == 0)
        r = scan_string(s, &name);
    if (r < 0)
        return r;
    struct json *added = &s->document->nodes[node];
    added->key_hash = text_hash(name, (size_t)(s->decoded - name));
    r = check_key_is_new(s, object, added, name);
    if (r < 0)
        return r;
    skip_blanks(s);
    if (at_end(s))
        return incomplete(s, "a key is without its value");
    if (here(s) != ':')
        return fail(s, "expected ':' after the key");
    s->at++;
    skip_blanks(s);
    if (at_end(s))
        return incomplete(s, "a key is without its value");
    return scan_value(s, node, s->document->nodes[object].item, name);
}

static int scan_item(struct scanner *s, cJSON *array)
{
    size_t node;
    int r = node_add(s, &node);
    return r < 0 ? r : scan_value(s, node, array, NULL);
}

/* Scans an object or array from its opening bracket; on return `at` is after the closing one. */
static int scan_children(struct scanner *s, size_t node, cJSON *container)
{
    bool is_object = cJSON_IsObject(container);
    const char close = is_object ? '}' : ']';
    const char *open = is_object ? "an object is not closed" : "an array is not closed";
    if (s->depth == s->limits->max_depth || s->depth == DEPTH_MAX)
        return fail_at(s, -ERR_JSON_LIMIT, s->at, "nested deeper than %zu levels", s->depth);
    s->depth++;
    s->at++;
    skip_blanks(s);
    bool is_empty = !at_end(s) && here(s) == close;
    while (!is_empty) {
        skip_blanks(s);
        if (at_end(s))
            return incomplete(s, open);
        int r = is_object ? scan_member(s, node) : scan_item(s, container);
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
        s->at++;
    }
    s->at++;
    s->depth--;
    s->document->nodes[node].span = s->document->count - node;
    return 0;
}

/* Scans a value without children, or opens an empty container. 0 and NULL: no memory. */
static int scan_leaf(struct scanner *s, cJSON **out)
{
    const char *text;
    double number = 0;
    int r;
    switch (here(s)) {
    case '{':
        *out = cJSON_CreateObject();
        return 0;
    case '[':
        *out = cJSON_CreateArray();
        return 0;
    case '"':
        r = scan_string(s, &text);
        *out = r == 0 ? cJSON_CreateStringReference(text) : NULL;
        return r;
    case 't':
        *out = cJSON_CreateTrue();
        return scan_word(s, "true");
    case 'f':
        *out = cJSON_CreateFalse();
        return scan_word(s, "false");
    case 'n':
        *out = cJSON_CreateNull();
        return scan_word(s, "null");
    default:
        if (here(s) == ']' && is_after_comma(s))
            return fail(s, "a comma before ']'; the last item has none behind it");
        if (!is_digit(here(s)) && here(s) != '-')
            return fail(s, "expected a value: a text in double quotes, a number, true or false");
        r = scan_number(s, &number);
        *out = r == 0 ? cJSON_CreateNumber(number) : NULL;
        return r;
    }
}

static int scan_value(struct scanner *s, size_t node, cJSON *parent, const char *name)
{
    size_t start = s->at;
    cJSON *item = NULL;
    int r = scan_leaf(s, &item);
    if (r < 0 || !item) {
        cJSON_Delete(item);
        return r < 0 ? r : -ENOMEM;
    }
    /* From here on the tree owns the item. */
    if (name)
        (void)cJSON_AddItemToObjectCS(parent, name, item);
    else if (parent)
        (void)cJSON_AddItemToArray(parent, item);
    else
        s->document->tree = item;
    s->document->nodes[node].item = item;
    s->document->nodes[node].at = start;
    if (cJSON_IsObject(item) || cJSON_IsArray(item))
        r = scan_children(s, node, item);
    s->document->nodes[node].len = s->at - start;
    return r;
}

int json_scan(struct json_document *document, size_t len, const struct json_limits *limits,
              struct json_error *error)
{
    struct scanner scanner = {
        .document = document,
        .text = document->text,
        .len = len,
        .decoded = document->strings,
        .limits = limits,
        .error = error,
    };
    struct scanner *s = &scanner;
    if (len >= 3 && memcmp(s->text, "\xef\xbb\xbf", 3) == 0)
        return fail(s, "the text begins with a byte order mark; save it as UTF-8 without one");
    skip_blanks(s);
    if (at_end(s))
        return incomplete(s, "it is empty");
    int r = scan_item(s, NULL);
    if (r < 0)
        return r;
    skip_blanks(s);
    return at_end(s) ? 0 : fail(s, "there is something behind the end of the value");
}
