/*
 * What: judges the response to a range request by its head alone. Pure.
 */
#ifndef SRC_MEDIA_RANGE_CHECK_H
#define SRC_MEDIA_RANGE_CHECK_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/net/http.h"

#include <stdint.h>

enum range_verdict {
    RANGE_PART,     /* the body is exactly the requested range */
    RANGE_WHOLE,    /* the body is the whole file from byte 0 */
    RANGE_REDIRECT, /* try the URL in Location */
    RANGE_REFUSED,  /* the URL is not valid (any more): a new one may help, else `result` */
    RANGE_RETRY,    /* the same request may succeed later, else `result` */
    RANGE_CHANGED,  /* another version of the file */
    RANGE_FAILED,   /* `result` */
};

struct range_request {
    int64_t first;
    int64_t last;     /* inclusive */
    int64_t size;     /* of the file; -1: unknown, and the file may end before `last` */
    const char *etag; /* of the cached version; "": none */
};

struct range_check {
    enum range_verdict verdict;
    int result;
    int64_t size; /* valid for PART and WHOLE */
};

struct range_check range_check_response(const struct range_request *wish,
                                        const struct http_response *response);

/* A weak ETag does not identify bytes and counts as none (RFC 9110, section 8.8.3.2). Lends. */
const char *range_etag(const struct http_response *response);

#endif
