/*
 * What: a strict parser for the Content-Range header (RFC 9110, section 14.4). Pure.
 * Errors: -EBADMSG for everything but "bytes FIRST-LAST/TOTAL" with FIRST <= LAST < TOTAL. An
 * unknown total or range ("*") is of no use here and refused as well.
 */
#ifndef SRC_MEDIA_CONTENT_RANGE_H
#define SRC_MEDIA_CONTENT_RANGE_H

#include "seedancefs/base/attributes.h"

#include <stdint.h>

struct content_range {
    int64_t first;
    int64_t last; /* inclusive */
    int64_t total;
};

int content_range_parse(const char *text, struct content_range *out) NODISCARD;

#endif
