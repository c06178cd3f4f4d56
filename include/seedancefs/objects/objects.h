/*
 * What: objects in a bucket of an S3-compatible store: putting them there, looking at what is there,
 * and addresses by which others can read them. An object is never overwritten: every PUT has
 * If-None-Match: *, and a store that does not heed that is not used. Nothing is ever deleted but the
 * object of the probe.
 *
 * Every request is presigned by query (AWS Signature Version 4, docs.aws.amazon.com, "Authenticating
 * Requests: Using Query Parameters"), so that it needs no header of its own and can be handed on. The
 * signature holds for a time by the store's clock, which is learned from its responses.
 * Lifetime: `struct objects` is made after loop and http and freed before them; calls that are under
 * way are then ended without on_done. A call is freed after on_done, or by objects_cancel().
 * Errors: -errno or codes of base/err: OBJECT_REFUSED, OBJECT_STATUS, OBJECT_UNFIT, OBJECT_DIFFERS,
 * HTTP_*, URL_REFUSED; -EEXIST when the key is taken, -ENOENT when there is no such object.
 */
#ifndef SEEDANCEFS_OBJECTS_OBJECTS_H
#define SEEDANCEFS_OBJECTS_OBJECTS_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/buf.h"
#include "seedancefs/base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct http;
struct loop;
struct objects;
struct objects_call;

enum {
    OBJECTS_WHY_SIZE = 512,
    OBJECTS_KEY_MAX = 512, /* bytes of a key without its prefix */
    OBJECTS_URL_LIFE_MAX_MS =
        7 * 24 * 3600 * 1000, /* of a signature: the store refuses longer ones */
};

/* Largest object that one PUT makes: 5 GiB (S3 API reference, PutObject). */
#define OBJECTS_BYTES_MAX (INT64_C(5) << 30)

/* Where the objects are. Owned texts. */
struct objects_place {
    char *bucket;
    char *prefix;   /* of every key: "" or a path that ends with '/' */
    char *endpoint; /* "https://host[:port]" */
    char *host;     /* of it, as the Host header has it */
    char *region;
};

/* Reads s3://BUCKET[/PREFIX][?endpoint=URL][&region=REGION]. Without an endpoint it is that of AWS
 * in the region. -EINVAL and a sentence in `why`; -ENOMEM. */
int objects_place_parse(const char *text, struct objects_place *out,
                        char why[static OBJECTS_WHY_SIZE]) NODISCARD;
void objects_place_fini(struct objects_place *place);

struct objects_credentials {
    struct secret key_id;
    struct secret secret;
    struct secret token; /* of temporary credentials; not set: none */
};

/* Reads the lines aws_access_key_id, aws_secret_access_key and aws_session_token, as in
 * ~/.aws/credentials (sections other than [default] are left out) or as variables of a shell. -EINVAL
 * when one of the first two is missing or is none; -ENOMEM. */
int objects_credentials_parse(const char *text, size_t len,
                              struct objects_credentials *out) NODISCARD;
void objects_credentials_fini(struct objects_credentials *credentials);

/* Takes the place and the credentials over, also on failure. */
int objects_new(struct loop *loop, struct http *http, struct objects_place *place,
                struct objects_credentials *credentials, struct objects **out) NODISCARD;
/* Accepts NULL, returns NULL. */
struct objects *objects_free(struct objects *objects);
/* For new credentials. Takes them over. */
void objects_credentials_set(struct objects *objects, struct objects_credentials *credentials);

/* Lends "s3://bucket/prefix", for messages. */
const char *objects_name(const struct objects *objects);
/* Lends "https://host/bucket/prefix": what was put there is there only as long as this is the same. */
const char *objects_id(const struct objects *objects);
/* The endpoint is this machine: nobody else can read its addresses. */
bool objects_is_loopback(const struct objects *objects);

/* The address by which anybody can read the object, for so long. */
int objects_url(const struct objects *objects, const char *key, int64_t life_ms,
                struct buf *out) NODISCARD;

/* Whether bytes are the same: MD5, which the store checks (RFC 1864), and SHA-256, for names. */
struct objects_digest;
int objects_digest_new(struct objects_digest **out) NODISCARD;
int objects_digest_add(struct objects_digest *digest, const void *bytes, size_t len) NODISCARD;
struct objects_sums {
    char md5[25];    /* base64, as Content-MD5 has it */
    char sha256[65]; /* hexadecimal */
};
/* Ends the digest, and frees it on failure, too. */
int objects_digest_end(struct objects_digest *digest, struct objects_sums *out) NODISCARD;
struct objects_digest *objects_digest_free(struct objects_digest *digest); /* accepts NULL */

/* The end of a call. `why` is a sentence for people when result < 0, with what the store said; lent.
 * The call is freed after it. */
typedef void objects_done_fn(void *context, int result, const char *why);

struct objects_put {
    const char *key; /* at most OBJECTS_KEY_MAX bytes; copied */
    const char *content_type;
    const char *md5;  /* base64: the store refuses other bytes; NULL: none */
    const void *body; /* lent until the end; or: */
    /* Gives bytes from `offset` on and returns how many, at least one; < 0 ends the call. */
    ssize_t (*on_body_wanted)(void *context, int64_t offset, void *out, size_t size);
    int64_t bytes;
    void *context;
    objects_done_fn *on_done;
};

/* Makes an object. -EEXIST in on_done: there is one of this name, with whatever bytes. If it is not
 * known yet that the store heeds If-None-Match, that is found out first. */
int objects_put(struct objects *objects, const struct objects_put *put,
                struct objects_call **out) NODISCARD;

/* Reads the object: 0 when it has these bytes (without md5: so many), else -ERR_OBJECT_DIFFERS,
 * -ENOENT, … */
struct objects_compare {
    const char *key;
    const char *md5; /* base64; NULL: the size will do */
    int64_t bytes;
    void *context;
    objects_done_fn *on_done;
};
int objects_compare(struct objects *objects, const struct objects_compare *compare,
                    struct objects_call **out) NODISCARD;

/* Finds out whether the store can be used: of several PUTs of one key at the same time, and one more,
 * exactly one must be accepted. OBJECT_UNFIT: it cannot. */
int objects_probe(struct objects *objects, void *context, objects_done_fn *on_done) NODISCARD;

/* Ends a call without on_done. Accepts NULL. */
void objects_cancel(struct objects_call *call);

struct objects_counts {
    int64_t puts; /* objects that were made */
    int64_t put_bytes;
    int64_t failures; /* calls that ended with an error; a taken key is none */
};
void objects_counts_get(const struct objects *objects, struct objects_counts *out);

#endif
