/*
 * s3_sign: is a request to the object store presigned, by whom, and does the signature hold?
 *
 * What: AWS Signature Version 4 in the query (docs.aws.amazon.com, "Authenticating Requests: Using
 * Query Parameters"), computed from what was received. The simulator has code of its own for this,
 * so that it does not share a mistake with the program. Every region is taken; the service is s3 and
 * the payload UNSIGNED-PAYLOAD.
 * Lifetime: all is lent.
 * Errors: a verdict.
 */
#ifndef SIM_S3_SIGN_H
#define SIM_S3_SIGN_H

#include "sim/response.h"
#include "sim/s3_target.h"

enum {
    S3_EXPIRES_MAX_S = 604800,
    S3_SKEW_MAX_MS = 900000, /* how far in the future X-Amz-Date may be */
};

struct s3_credentials {
    const char *key;
    const char *secret;
};

struct s3_request {
    const char *method;
    const struct s3_target *target;
    const struct header *headers;
    size_t header_count;
};

/* In the order in which they are found. */
enum s3_verdict {
    S3_GOOD,
    S3_UNSIGNED,    /* no X-Amz-Signature, X-Amz-Algorithm, … */
    S3_MALFORMED,   /* a parameter with an impossible value */
    S3_UNKNOWN_KEY, /* of other credentials */
    S3_SKEWED,      /* signed in the future */
    S3_EXPIRED,
    S3_HEADER_UNSIGNED, /* host, If-None-Match, Content-MD5 or x-amz-* */
    S3_FORGED,
};

enum s3_verdict s3_verify(const struct s3_request *request,
                          const struct s3_credentials *credentials, int64_t now_ms);

/* "good", "unsigned", "malformed", "unknown_key", "skewed", "expired", "header_unsigned", "forged" */
const char *s3_verdict_name(enum s3_verdict verdict);
/* The service's refusal; nothing for S3_GOOD. */
void s3_verdict_response(enum s3_verdict verdict, struct response *out);

#endif
