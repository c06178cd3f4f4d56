#include "sim/s3.h"
#include "sim/range.h"
#include "sim/s3_list.h"
#include "sim/sim.h"

#include "seedancefs/base/base64.h"

#include <stdlib.h>
#include <string.h>

static bool path_is_in(const char *uri, const char *directory)
{
    size_t len = strlen(directory);
    return *uri == '/' && strncmp(uri + 1, directory, len) == 0 &&
           (uri[len + 1] == '/' || uri[len + 1] == '?' || uri[len + 1] == '\0');
}

static enum kind kind_of(const struct request *q, const char *key)
{
    static const struct {
        const char *method;
        enum kind of_object;
        enum kind of_bucket;
    } kinds[] = {
        {"PUT", KIND_OBJECT_PUT, KIND_OTHER},
        {"GET", KIND_OBJECT_GET, KIND_OBJECT_LIST},
        {"HEAD", KIND_OBJECT_GET, KIND_OTHER},
        {"DELETE", KIND_OBJECT_DELETE, KIND_OTHER},
    };
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (strcmp(kinds[i].method, q->method) == 0)
            return *key != '\0' ? kinds[i].of_object : kinds[i].of_bucket;
    return KIND_OTHER;
}

void s3_classify(struct request *q)
{
    const char *bucket = q->sim->options.bucket;
    bool is_ours = path_is_in(q->uri, bucket);
    bool is_presigned = !path_is_in(q->uri, "api") && strstr(q->uri, "X-Amz-Algorithm=") != NULL;
    if (*q->uri != '/' || (!is_ours && !is_presigned))
        return;
    struct s3_call *call = mem_alloc(sizeof(*call));
    call->bucket = is_ours ? bucket : "";
    call->key = "";
    q->s3 = call;
    q->kind = KIND_OTHER;
    if (s3_target_parse(q->uri, &call->target) < 0)
        return;
    const char *path = call->target.path + 1;
    size_t bucket_len = strcspn(path, "/");
    call->key = path + bucket_len + (path[bucket_len] == '/' ? 1 : 0);
    q->kind = kind_of(q, call->key);
}

const char *s3_subject(const struct s3_call *call)
{
    return *call->key != '\0' ? call->key : s3_target_get(&call->target, "prefix");
}

static const char *header_get(const struct request *q, const char *name)
{
    return MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result collect_header(void *cls, enum MHD_ValueKind kind UNUSED, const char *name,
                                      const char *value)
{
    response_add_header(cls, name, value != NULL ? value : "");
    return MHD_YES;
}

void s3_read_headers(struct request *q)
{
    const struct options *options = &q->sim->options;
    struct s3_call *call = q->s3;
    struct response headers = {0}; /* holds a list of them */
    call->is_conditional = header_get(q, "If-None-Match") != NULL;
    (void)MHD_get_connection_values(q->connection, MHD_HEADER_KIND, collect_header, &headers);
    const struct s3_request request = {.method = q->method,
                                       .target = &call->target,
                                       .headers = headers.headers,
                                       .header_count = headers.header_count};
    const struct s3_credentials credentials = {options->s3_key, options->s3_secret};
    call->verdict = s3_verify(&request, &credentials, clock_now_ms());
    q->is_authorized = call->verdict == S3_GOOD;
    response_fini(&headers);
}

static void refuse(struct request *q, int status, const char *code, const char *message)
{
    response_media_error(&q->response, status, code, message);
}

/* Refuses what nobody may do. */
static void check_request(struct request *q)
{
    const struct s3_call *call = q->s3;
    if (call->target.path == NULL)
        refuse(q, 400, "InvalidURI", "Couldn't parse the specified URI.");
    else if (q->has_authorization) /* the API key must never be sent here */
        refuse(q, 400, "InvalidArgument", "Only one auth mechanism allowed");
    else if (call->verdict != S3_GOOD)
        s3_verdict_response(call->verdict, &q->response);
    else if (*call->bucket == '\0')
        refuse(q, 404, "NoSuchBucket", "The specified bucket does not exist");
    else if (q->kind == KIND_OTHER)
        refuse(q, 405, "MethodNotAllowed",
               "The specified method is not allowed against this resource.");
    else if (strlen(call->key) > OBJECT_KEY_MAX)
        refuse(q, 400, "KeyTooLongError", "Your key is too long");
}

/* Compares the body with Content-MD5 (RFC 1864). */
static void check_digest(struct request *q, const char *base64)
{
    unsigned char wanted[MD5_SIZE];
    if (base64 == NULL)
        return;
    if (base64_decode(base64, strlen(base64), wanted, sizeof(wanted)) != MD5_SIZE)
        refuse(q, 400, "InvalidDigest", "The Content-MD5 you specified is not valid.");
    else if (memcmp(wanted, q->s3->upload->md5, MD5_SIZE) != 0)
        refuse(q, 400, "BadDigest",
               "The Content-MD5 you specified did not match what we received.");
}

/* Refuses an impossible upload; otherwise makes the object. */
static void prepare_upload(struct request *q)
{
    const char *condition = header_get(q, "If-None-Match");
    if (header_get(q, "Content-Length") == NULL) {
        refuse(q, 411, "MissingContentLength", "You must provide the Content-Length HTTP header.");
    } else if (q->is_too_long) {
        refuse(q, 400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.");
    } else if ((condition != NULL && strcmp(condition, "*") != 0) ||
               header_get(q, "If-Match") != NULL) {
        refuse(q, 501, "NotImplemented",
               "A header you provided implies functionality that is not implemented");
    } else {
        q->s3->upload = object_new(q->s3->key, header_get(q, "Content-Type"), &q->body);
        check_digest(q, header_get(q, "Content-MD5"));
    }
}

void s3_prepare(struct request *q)
{
    q->s3->body_bytes = q->body.len;
    char *id = response_request_id();
    response_set_header(&q->response, "x-amz-request-id", id);
    free(id);
    check_request(q);
    if (q->response.status == 0 && q->kind == KIND_OBJECT_PUT)
        prepare_upload(q);
}

static void set_etag(struct request *q, const struct object *object)
{
    const struct change *change = q->change;
    char *etag = mem_format("\"%s\"", object->md5_hex);
    response_set_header(&q->response, "ETag",
                        change != NULL && change->etag != NULL ? change->etag : etag);
    free(etag);
}

/* Whether a rule says that the response is not true. */
static bool is_lost(const struct change *change)
{
    return change != NULL && (change->lost || !change->accept);
}

static void perform_put(struct request *q)
{
    struct object_table *table = &q->sim->objects;
    struct s3_call *call = q->s3;
    bool is_ignored = q->change != NULL && q->change->ignore_condition;
    if (call->is_conditional && !is_ignored && object_find(table, call->key) != NULL) {
        refuse(q, 412, "PreconditionFailed",
               "At least one of the pre-conditions you specified did not hold");
        return;
    }
    if (!is_lost(q->change))
        object_put(table, call->upload);
    set_etag(q, call->upload);
    q->response.status = 200;
}

static void perform_get(struct request *q)
{
    const struct change *change = q->change;
    struct response *a = &q->response;
    struct object *object = object_find(&q->sim->objects, q->s3->key);
    char date[64];
    if (object == NULL) {
        refuse(q, 404, "NoSuchKey", "The specified key does not exist.");
        return;
    }
    q->s3->sent = object_ref(object);
    clock_http_date(object->modified_ms, date);
    response_lend_body(a, object->data, object->len);
    a->body.flip_at = change != NULL ? change->flip_byte_at : -1;
    a->status = 200;
    response_set_header(a, "Content-Type", object->content_type);
    response_set_header(a, "Accept-Ranges", "bytes");
    response_set_header(a, "Last-Modified", date);
    set_etag(q, object);
    range_response(a, change != NULL && change->ignore_range ? NULL : q->range, change);
}

static void perform_delete(struct request *q)
{
    if (!is_lost(q->change))
        (void)object_remove(&q->sim->objects, q->s3->key);
    q->response.status = 204; /* whether or not there was such an object */
}

void s3_perform(struct request *q)
{
    if (q->response.status != 0)
        return; /* refused */
    if (q->kind == KIND_OBJECT_PUT)
        perform_put(q);
    else if (q->kind == KIND_OBJECT_GET)
        perform_get(q);
    else if (q->kind == KIND_OBJECT_DELETE)
        perform_delete(q);
    else
        s3_list(&q->sim->objects, q->s3->bucket, &q->s3->target, &q->response);
}

void s3_call_free(struct s3_call *call)
{
    if (call == NULL)
        return;
    s3_target_fini(&call->target);
    object_unref(call->upload);
    object_unref(call->sent);
    free(call);
}

void s3_default_error(struct response *a, int status)
{
    static const struct {
        int status;
        const char *code;
        const char *message;
    } errors[] = {
        {307, "TemporaryRedirect", "Please re-send this request to the specified endpoint."},
        {400, "InvalidRequest", "The request is not valid."},
        {403, "AccessDenied", "Access Denied"},
        {404, "NoSuchKey", "The specified key does not exist."},
        {408, "RequestTimeout",
         "Your socket connection to the server was not read from or written to within the timeout "
         "period."},
        {409, "ConditionalRequestConflict",
         "The conditional request cannot succeed due to a conflicting operation against this "
         "resource."},
        {412, "PreconditionFailed",
         "At least one of the pre-conditions you specified did not hold"},
        {500, "InternalError", "We encountered an internal error. Please try again."},
        {501, "NotImplemented",
         "A header you provided implies functionality that is not implemented"},
        {503, "SlowDown", "Please reduce your request rate."},
    };
    for (size_t i = 0; i < ARRAY_COUNT(errors); i++) {
        if (errors[i].status == status) {
            response_media_error(a, status, errors[i].code, errors[i].message);
            return;
        }
    }
    response_media_error(a, status, "ScenarioError", response_reason(status));
}
