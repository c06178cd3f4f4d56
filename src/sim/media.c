#include "sim/range.h"
#include "sim/sim.h"
#include "sim/url.h"

#include <stdlib.h>
#include <string.h>

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
    bool is_ignored = is_other || (change != NULL && change->ignore_range);
    range_response(a, is_ignored ? NULL : q->range, change);
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
