/*
 * What: what the files of this layer share. A file calls only files below it in this list:
 *   objects.c  the contract: put, compare, the probe
 *   call.c     one request and its end
 *   place.c    where the objects are, and with which credentials
 *   sign.c     presigned addresses; pure
 *   digest.c   MD5 and SHA-256
 */
#ifndef SRC_OBJECTS_PRIVATE_H
#define SRC_OBJECTS_PRIVATE_H

#include "seedancefs/base/clock.h"
#include "seedancefs/net/http.h"
#include "seedancefs/net/loop.h"
#include "seedancefs/objects/objects.h"

enum { SIGN_HEADERS_MAX = 3, OBJECTS_ANSWER_MAX = 64 * 1024 };

enum objects_fitness { FITNESS_UNKNOWN, FITNESS_PROVEN, FITNESS_REFUTED };

struct objects {
    struct loop *loop;
    struct http *http;
    struct objects_place place;
    struct objects_credentials credentials;
    char *name;
    char *id;
    /* The store's clock less ours that no one sets (clock_monotonic_ms); 0: not known. The wall clock
     * may be wrong, and be set right. */
    int64_t clock_ahead_ms;
    enum objects_fitness fitness;
    struct objects_probe *probe; /* NULL: none is under way */
    struct objects_call *calls;
    struct objects_counts counts;
};

/* digest.c */
/* Writes two digits for each byte, and a NUL. */
void hex_write(const unsigned char *bytes, size_t len, char *out);

/* sign.c */
struct sign_header {
    const char *name; /* lower case; in the order of the alphabet, "host" among them */
    const char *value;
};
struct sign_request {
    const char *method;
    const char *path; /* as it is sent: see sign_path_add() */
    const struct sign_header *headers;
    size_t header_count;
    int64_t wall_ms;
    int64_t life_ms;
};
/* Appends `text` with every byte but letters, digits, "-_.~" and '/' as %XX. */
int sign_path_add(struct buf *out, const char *text);
/* Appends endpoint, path and query with the signature. -EINVAL when libcrypto refuses. */
int sign_url_add(struct buf *out, const struct objects_place *place,
                 const struct objects_credentials *credentials,
                 const struct sign_request *request) NODISCARD;

/* place.c */
/* Appends the path of the object: /bucket/prefixkey. */
int place_path_add(struct buf *out, const struct objects_place *place, const char *key);

/* call.c */
/* The time by which requests are signed. */
int64_t call_clock_ms(const struct objects *objects);
struct call_answer {
    int result; /* of the transfer; < 0: there is no status */
    int status;
    const char *code;    /* of S3's error; "": none */
    const char *message; /* the same in words */
    int64_t bytes;       /* of the body */
};
typedef void call_end_fn(struct objects_call *call, const struct call_answer *answer);

struct objects_call {
    struct objects *objects;
    enum http_method method;
    char *key;
    char *content_type;     /* of a PUT; NULL: none */
    char *md5;              /* of the bytes; NULL: none */
    struct objects_put put; /* these two without their texts */
    struct objects_compare compare;
    struct objects_digest *digest;  /* of a compare: of what has come */
    struct http_transfer *transfer; /* NULL: it waits for the probe */
    struct buf body;                /* of an error */
    int status;
    int64_t begun_ms;     /* monotonic */
    int64_t signed_ms;    /* the time by which it was signed */
    bool is_signed_again; /* because that was wrong */
    bool is_of_probe;
    bool is_size_right; /* of a compare: what the head says */
    call_end_fn *end;
    struct objects_call *next;
    struct objects_call *prev;
};

int call_new(struct objects *objects, enum http_method method, const char *key,
             struct objects_call **out) NODISCARD;
/* Sends the request. On failure nothing is under way. */
int call_begin(struct objects_call *call) NODISCARD;
struct objects_call *call_free(struct objects_call *call);
/* What is wrong, as a code, and as a sentence in `why`. 0: nothing. */
int call_result(const struct objects_call *call, const struct call_answer *answer,
                char why[static OBJECTS_WHY_SIZE]);

#endif
