/*
 * response: what will be sent, before anything is sent.
 *
 * What: status, headers and a body that is read by offset, so that a video of any size and a text
 * repeated a billion times need no memory.
 * Lifetime: zeroed is valid (no status yet); response_fini() frees. Strings are copied in.
 * Errors: none; headers beyond RESPONSE_HEADERS_MAX are dropped.
 */
#ifndef SIM_RESPONSE_H
#define SIM_RESPONSE_H

#include "sim/video.h"

enum { RESPONSE_HEADERS_MAX = 64 };

enum body_kind { BODY_TEXT, BODY_VIDEO, BODY_LENT };

struct body {
    enum body_kind kind;
    char *data; /* BODY_TEXT: repeated up to `size` bytes */
    size_t data_len;
    struct video video; /* BODY_VIDEO: from offset on */
    const char *lent;   /* BODY_LENT: from offset on */
    uint64_t offset;
    uint64_t size;
    int64_t flip_at; /* file offset of the byte whose lowest bit is flipped; -1: none */
};

struct header {
    char *name;
    char *value;
};

struct response {
    int status;
    bool is_head; /* of HEAD: only the length of the body is sent */
    struct header headers[RESPONSE_HEADERS_MAX];
    size_t header_count;
    struct body body;
};

void response_fini(struct response *a);
/* Adds a header. response_set_header() first removes those of the same name; value
 * NULL only removes. */
void response_add_header(struct response *a, const char *name, const char *value);
void response_set_header(struct response *a, const char *name, const char *value);
/* Sets the body to `count` copies of data. */
void response_set_body(struct response *a, const void *data, size_t len, uint64_t count);
/* Sets the body to bytes that the caller keeps until the response has been sent. */
void response_lend_body(struct response *a, const void *data, size_t len);
/* Sets status, type and body. */
void response_json(struct response *a, int status, const char *json);
/* {"error":{"code","message","param","type"}} in the service's style; param may be NULL. */
void response_api_error(struct response *a, int status, const char *code, const char *message,
                        const char *param);
/* Sets the service's error for a bare status. */
void response_default_api_error(struct response *a, int status);
/* Sets an <Error> in the style of an object store, with the id of the header x-amz-request-id if
 * there is one. code and message are text of XML. */
void response_media_error(struct response *a, int status, const char *code, const char *message);
/* Wraps the body, which must be a text of at most 256 MiB, in gzip's stored blocks. */
void response_gzip(struct response *a);
/* A new id, as the service puts it into responses. The caller frees it. */
char *response_request_id(void);
/* "OK" for 200; "Unknown" for an unknown status. */
const char *response_reason(int status);

/* Fills buf with body bytes [at, at + len), which must lie within the body. */
void body_read(const struct body *body, uint64_t at, unsigned char *buf, size_t len);

#endif
