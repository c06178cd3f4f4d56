/*
 * Parsed by hand, because sscanf and strtoll accept signs, blanks, hexadecimal and overflow. The
 * HTTP code has already removed optional blanks around the value.
 */
#include "media/content_range.h"

#include <errno.h>
#include <strings.h>

static int number_parse(const char **text, int64_t *out)
{
    const char *p = *text;
    int64_t value = 0;
    if (*p < '0' || *p > '9')
        return -EBADMSG;
    for (; *p >= '0' && *p <= '9'; p++) {
        int digit = *p - '0';
        if (value > (INT64_MAX - digit) / 10)
            return -EBADMSG;
        value = value * 10 + digit;
    }
    *text = p;
    *out = value;
    return 0;
}

int content_range_parse(const char *text, struct content_range *out)
{
    struct content_range range;
    /* A range unit is case-insensitive (RFC 9110, section 14.1). */
    if (strncasecmp(text, "bytes ", 6) != 0)
        return -EBADMSG;
    text += 6;
    if (number_parse(&text, &range.first) < 0 || *text++ != '-')
        return -EBADMSG;
    if (number_parse(&text, &range.last) < 0 || *text++ != '/')
        return -EBADMSG;
    if (number_parse(&text, &range.total) < 0 || *text != '\0')
        return -EBADMSG;
    if (range.first > range.last || range.last >= range.total)
        return -EBADMSG;
    *out = range;
    return 0;
}
