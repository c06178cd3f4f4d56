/*
 * s3: the object store, path-style on the API port: /BUCKET/KEY.
 *
 * What: PUT, GET, HEAD and DELETE of objects and ListObjectsV2, as S3 answers them. The steps of a
 * request: classify → read_headers (who signed it?) → prepare (no lock: what can be refused, MD5) →
 * perform (locked: the condition and the change are one step, so that of several conditional PUTs
 * one wins).
 * Lifetime: a call belongs to its request. An object lives until it is replaced and sent.
 * Errors: responses in XML.
 */
#ifndef SIM_S3_H
#define SIM_S3_H

#include "sim/object.h"
#include "sim/response.h"
#include "sim/s3_sign.h"
#include "sim/s3_target.h"

struct request;

/* What is known of a request to the object store. */
struct s3_call {
    struct s3_target target; /* empty: it could not be parsed */
    const char *bucket;      /* without the slashes; lent by the options or "" */
    const char *key;         /* in the target's path; "": the bucket itself */
    bool is_conditional;     /* If-None-Match */
    enum s3_verdict verdict;
    uint64_t body_bytes;   /* of the request */
    struct object *upload; /* a reference; NULL: none */
    struct object *sent;   /* a reference: its bytes are lent to the response */
};

/* Sets q->s3 and q->kind if the request is for the object store: its path is in the bucket, or it is
 * a presigned one for another bucket. */
void s3_classify(struct request *q);
void s3_read_headers(struct request *q);
void s3_prepare(struct request *q);
/* Needs the lock. */
void s3_perform(struct request *q);
/* Needs the lock. Accepts NULL. */
void s3_call_free(struct s3_call *call);

/* What a rule's key_contains is compared with: the key, or the prefix of a list; NULL: none. */
const char *s3_subject(const struct s3_call *call);

/* The store's error for a bare status. */
void s3_default_error(struct response *a, int status);

#endif
