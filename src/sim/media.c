#include "sim/sim.h"
#include "sim/url.h"

#include "seedancefs/base/number.h"

#include <stdlib.h>
#include <string.h>

struct byte_range {
    uint64_t first;
    uint64_t last; /* inclusive */
};

enum range_verdict { RANGE_WHOLE, RANGE_PART, RANGE_UNSATISFIABLE };

/* Accepts digits only. A number that is too large becomes the maximum. */
static const char *read_digits(const char *s, uint64_t *out)
{
    uint64_t v = 0;
    for (; *s >= '0' && *s <= '9'; s++)
        v = v > (UINT64_MAX - 9) / 10 ? UINT64_MAX : v * 10 + (uint64_t)(*s - '0');
    *out = v;
    return s;
}

/* RFC 9110, 14.1.2. A range that cannot be parsed, or several ranges, give the whole file. */
static enum range_verdict range_parse(const char *s, uint64_t size, struct byte_range *out)
{
    if (s == NULL || strncmp(s, "bytes=", 6) != 0)
        return RANGE_WHOLE;
    s += 6;
    uint64_t first = 0;
    uint64_t last = UINT64_MAX;
    if (*s == '-') {
        const char *end = read_digits(s + 1, &last);
        if (end == s + 1 || *end != '\0')
            return RANGE_WHOLE;
        if (last == 0 || size == 0)
            return RANGE_UNSATISFIABLE;
        *out = (struct byte_range){last < size ? size - last : 0, size - 1};
        return RANGE_PART;
    }
    const char *dash = read_digits(s, &first);
    if (dash == s || *dash != '-')
        return RANGE_WHOLE;
    const char *end = dash + 1;
    if (*end != '\0')
        end = read_digits(dash + 1, &last);
    if (*end != '\0' || (dash[1] != '\0' && end == dash + 1) || last < first)
        return RANGE_WHOLE;
    if (first >= size)
        return RANGE_UNSATISFIABLE;
    *out = (struct byte_range){first, last < size ? last : size - 1};
    return RANGE_PART;
}

static enum url_verdict check_url(const struct request *q)
{
    const char *const names[] = {"X-Tos-Algorithm", "X-Tos-Credential", "X-Tos-Date",
                                 "X-Tos-Expires",   "X-Tos-Signature",  "X-Tos-SignedHeaders"};
    struct url_query query = {0};
    const char **const values[] = {&query.algorithm, &query.credential, &query.date,
                                   &query.expires,   &query.signature,  &query.signed_headers};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        *values[i] = MHD_lookup_connection_value(q->connection, MHD_GET_ARGUMENT_KIND, names[i]);
    return url_check(q->method, q->path, &query, clock_now_ms());
}

/* Moves and shortens the range as the rule wants; the range stays within the file. */
static void range_bend(struct byte_range *range, uint64_t size, const struct change *change)
{
    int64_t end = (int64_t)size - 1;
    int64_t first = clamp_int64((int64_t)range->first + change->shift, 0, end);
    int64_t last = clamp_int64((int64_t)range->last + change->shift - change->shorter, first, end);
    *range = (struct byte_range){(uint64_t)first, (uint64_t)last};
}

static void response_part(struct request *q, struct byte_range range, uint64_t size)
{
    const struct change *change = q->change;
    struct response *a = &q->response;
    if (change != NULL)
        range_bend(&range, size, change);
    a->status = 206;
    a->body.offset = range.first;
    a->body.size = range.last - range.first + 1;
    if (change != NULL && change->no_content_range)
        return;
    char *text = mem_format(
        "bytes %llu-%llu/%llu", (unsigned long long)range.first, (unsigned long long)range.last,
        (unsigned long long)size + (unsigned long long)(change != NULL ? change->size_delta : 0));
    response_set_header(a, "Content-Range",
                        change != NULL && change->content_range != NULL ? change->content_range
                                                                        : text);
    free(text);
}

static void response_unsatisfiable(struct request *q, uint64_t size)
{
    response_media_error(&q->response, 416, "InvalidRange",
                         "The requested range cannot be satisfied.");
    char *text = mem_format("bytes */%llu", (unsigned long long)size);
    response_set_header(&q->response, "Content-Range", text);
    free(text);
}

static void response_file(struct request *q)
{
    const struct task *task = q->task;
    const struct change *change = q->change;
    struct response *a = &q->response;
    bool is_video = q->kind == KIND_VIDEO;
    response_set_body(a, sim_cover_data, is_video ? 0 : (size_t)sim_cover_size, 1);
    if (is_video) {
        a->body.kind = BODY_VIDEO;
        a->body.video = task->video;
        a->body.size = task->video.size;
    }
    uint64_t size = a->body.size;
    char date[64];
    clock_http_date(task->done_at_ms, date);
    char *etag = mem_format("\"%016llx\"", (unsigned long long)mix64(task->number ^ size << 20));
    bool is_other = q->if_range != NULL && strcmp(q->if_range, etag) != 0;
    if (change != NULL && change->flip_byte_at >= 0)
        a->body.flip_at = change->flip_byte_at;
    response_set_header(a, "Content-Type", is_video ? "video/mp4" : "image/jpeg");
    response_set_header(a, "Accept-Ranges", "bytes");
    response_set_header(a, "Last-Modified", date);
    response_set_header(a, "ETag", change != NULL && change->etag != NULL ? change->etag : etag);
    free(etag);
    a->status = 200;
    struct byte_range range = {0};
    bool is_ignored = is_other || (change != NULL && change->ignore_range);
    switch (is_ignored ? RANGE_WHOLE : range_parse(q->range, size, &range)) {
    case RANGE_WHOLE:
        break;
    case RANGE_PART:
        response_part(q, range, size);
        break;
    case RANGE_UNSATISFIABLE:
        response_unsatisfiable(q, size);
        break;
    }
}

void media_response(struct request *q)
{
    struct response *a = &q->response;
    if (q->has_authorization) { /* the API key must never be sent here */
        response_media_error(a, 400, "InvalidArgument", "Only one auth mechanism is allowed.");
        return;
    }
    enum url_verdict verdict = check_url(q);
    bool has_file =
        q->task != NULL && (q->kind == KIND_VIDEO || (q->kind == KIND_COVER && q->task->has_cover));
    if (verdict == URL_UNSIGNED)
        response_media_error(a, 403, "AccessDenied", "Anonymous access is forbidden.");
    else if (verdict == URL_FORGED)
        response_media_error(a, 403, "SignatureDoesNotMatch",
                             "The request signature we calculated does not match the signature you "
                             "provided.");
    else if (verdict == URL_EXPIRED)
        response_media_error(a, 403, "AccessDenied", "Request has expired");
    else if (!has_file)
        response_media_error(a, 404, "NoSuchKey", "The specified key does not exist.");
    else
        response_file(q);
}
