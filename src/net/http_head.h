/*
 * What: reads the head of a response line by line, and enforces RFC 9110 and 9112 where libcurl is
 * lenient: one Content-Length, no Content-Encoding, no stray bytes, limited size. Pure.
 * Errors: -ERR_HTTP_MALFORMED.
 */
#ifndef SEEDANCEFS_NET_HTTP_HEAD_H
#define SEEDANCEFS_NET_HTTP_HEAD_H

#include "seedancefs/net/http.h"

enum {
    HTTP_HEAD_BYTES_MAX = 64 * 1024, /* of all heads and trailers of one response */
    HTTP_HEAD_LINES_MAX = 200,
};

enum http_head_place { HTTP_HEAD_STATUS, HTTP_HEAD_FIELDS, HTTP_HEAD_BODY };

struct http_head {
    enum http_head_place place;
    size_t bytes;
    unsigned lines;
    bool is_interim; /* a 1xx head, which is skipped */
    bool is_chunked;
    bool has_content_length;
    bool has_location;
};

/* Takes one line with its line end. Returns 1 when it completes the final head, 0, or an error. */
int http_head_line(struct http_head *head, const char *line, size_t len,
                   struct http_response *response) NODISCARD;

#endif
