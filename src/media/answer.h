/*
 * What: the judgement of an HTTP answer to a range request, from its head alone. Pure.
 */
#ifndef SRC_MEDIA_ANSWER_H
#define SRC_MEDIA_ANSWER_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/net/http.h"

#include <stdint.h>

enum answer_verdict {
    ANSWER_RANGE,    /* the body is exactly what was asked for */
    ANSWER_WHOLE,    /* the body is the whole file from byte 0 */
    ANSWER_REDIRECT, /* look elsewhere, by Location */
    ANSWER_REFUSED,  /* the URL is not valid (any more): a new one may help, `result` if not */
    ANSWER_RETRY,    /* the same request may succeed later, `result` if not */
    ANSWER_CHANGED,  /* another version of the file */
    ANSWER_FAILED,   /* `result` */
};

struct answer_wish {
    int64_t first;
    int64_t last;     /* inclusive */
    int64_t size;     /* of the file; -1: that is what we want to know: it may end before `last` */
    const char *etag; /* of the version we have; "": none */
};

struct answer_finding {
    enum answer_verdict verdict;
    int result;
    int64_t size; /* RANGE, WHOLE */
};

struct answer_finding answer_judge(const struct answer_wish *wish,
                                   const struct http_answer *answer);

/* A weak ETag does not vouch for bytes and counts as none (RFC 9110, section 8.8.3.2). Lends. */
const char *answer_etag(const struct http_answer *answer);

#endif
