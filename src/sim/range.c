#include "sim/range.h"

#include "seedancefs/base/number.h"

#include <stdlib.h>
#include <string.h>

struct byte_range {
    uint64_t first;
    uint64_t last; /* inclusive */
};

enum range_verdict { RANGE_WHOLE, RANGE_PART, RANGE_UNSATISFIABLE };

/* Accepts digits only. A number that is too large becomes the maximum. */
static const char *read_digits(const char *s, uint64_t *out)
{
    uint64_t v = 0;
    for (; *s >= '0' && *s <= '9'; s++)
        v = v > (UINT64_MAX - 9) / 10 ? UINT64_MAX : v * 10 + (uint64_t)(*s - '0');
    *out = v;
    return s;
}

/* RFC 9110, 14.1.2. A range that cannot be parsed, or several ranges, give the whole file. */
static enum range_verdict range_parse(const char *s, uint64_t size, struct byte_range *out)
{
    if (s == NULL || strncmp(s, "bytes=", 6) != 0)
        return RANGE_WHOLE;
    s += 6;
    uint64_t first = 0;
    uint64_t last = UINT64_MAX;
    if (*s == '-') {
        const char *end = read_digits(s + 1, &last);
        if (end == s + 1 || *end != '\0')
            return RANGE_WHOLE;
        if (last == 0 || size == 0)
            return RANGE_UNSATISFIABLE;
        *out = (struct byte_range){last < size ? size - last : 0, size - 1};
        return RANGE_PART;
    }
    const char *dash = read_digits(s, &first);
    if (dash == s || *dash != '-')
        return RANGE_WHOLE;
    const char *end = dash + 1;
    if (*end != '\0')
        end = read_digits(dash + 1, &last);
    if (*end != '\0' || (dash[1] != '\0' && end == dash + 1) || last < first)
        return RANGE_WHOLE;
    if (first >= size)
        return RANGE_UNSATISFIABLE;
    *out = (struct byte_range){first, last < size ? last : size - 1};
    return RANGE_PART;
}

/* Moves and shortens the range as the rule wants; the range stays within the file. */
static void range_bend(struct byte_range *range, uint64_t size, const struct change *change)
{
    int64_t end = (int64_t)size - 1;
    int64_t first = clamp_int64((int64_t)range->first + change->shift, 0, end);
    int64_t last = clamp_int64((int64_t)range->last + change->shift - change->shorter, first, end);
    *range = (struct byte_range){(uint64_t)first, (uint64_t)last};
}

static void response_part(struct response *a, struct byte_range range, uint64_t size,
                          const struct change *change)
{
    if (change != NULL)
        range_bend(&range, size, change);
    a->status = 206;
    a->body.offset = range.first;
    a->body.size = range.last - range.first + 1;
    if (change != NULL && change->no_content_range)
        return;
    char *text = mem_format(
        "bytes %llu-%llu/%llu", (unsigned long long)range.first, (unsigned long long)range.last,
        (unsigned long long)size + (unsigned long long)(change != NULL ? change->size_delta : 0));
    response_set_header(a, "Content-Range",
                        change != NULL && change->content_range != NULL ? change->content_range
                                                                        : text);
    free(text);
}

static void response_unsatisfiable(struct response *a, uint64_t size)
{
    response_media_error(a, 416, "InvalidRange", "The requested range cannot be satisfied.");
    char *text = mem_format("bytes */%llu", (unsigned long long)size);
    response_set_header(a, "Content-Range", text);
    free(text);
}

void range_response(struct response *a, const char *range, const struct change *change)
{
    uint64_t size = a->body.size;
    struct byte_range part = {0};
    switch (range_parse(range, size, &part)) {
    case RANGE_WHOLE:
        break;
    case RANGE_PART:
        response_part(a, part, size, change);
        break;
    case RANGE_UNSATISFIABLE:
        response_unsatisfiable(a, size);
        break;
    }
}
