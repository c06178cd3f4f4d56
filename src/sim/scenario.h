/*
 * scenario: which request gets which fault.
 *
 * What: {"rules":[{"kind":…, filters…, "response":{…}}]}. A rule counts the requests that pass its
 * filters (kind, port, task, prompt_contains, key_contains). n, from, to and every test that
 * counter; times limits how often the rule fires. Each rule counts each such request, even if an
 * earlier rule wins. The first rule that fires wins. Rules with an action at "request" are tested
 * before the body is read, so before all others.
 *
 *   kind             create poll video cover other connection, or of the object store object_put
 *                    object_get (HEAD, too) object_delete object_list. Several: object (these four)
 *                    api media any (no connections)
 *   port             api or media: narrows other, any and connection
 *   task             an id, or 3 for the third task; for a create: the task it would make
 *   prompt_contains  of the task, or of the create request
 *   key_contains     of the object; of a list: its prefix
 *   n from to every times
 *   response         any of:
 *     delay_ms status reason rate header_rate gzip
 *     headers                    {"Name": "value" | ["two", "values"] | null to remove}
 *     body body_json body_file body_base64 body_repeat:{"text","count"}
 *     reset_at cut_at silence_at connect | request | request_body | headers | body
 *     cut_after_bytes            position in the body; alone it means cut_at:"body"
 *     accept                     a create makes the task, a PUT keeps the object, a DELETE removes
 *                                it; default: true if a 2xx response is at least begun; not for `raw`
 *     raw or raw_base64, raw_repeat, raw_end    in this order, instead of a response
 *     content_length chunked     a lie, a number or text; true or "bad"
 *     ignore_range shift short content_range no_content_range size_delta etag flip_byte
 *     task_status id task        task: fields merged into the task's JSON, null removes
 *     video_url cover_image_url  {{api_port}} {{media_port}} {{video_path}} are replaced here and
 *                                in headers; the last one is a freshly signed path and query
 *   and of the object store, whose lies are:
 *     keep                       another word for accept: with reset_at or silence_at "request_body"
 *                                or a status, the object is kept although the client cannot know
 *     lost                       PUT and DELETE say yes, but nothing is kept or removed
 *     ignore_condition           If-None-Match is not heeded: PUT overwrites, and says 200
 *     versioned                  as a bucket with versions: every PUT makes the newest version, GET
 *                                sends that. What clients see is the same as ignore_condition
 *     conflict                   409 ConditionalRequestConflict, and nothing is kept
 *     etag                       of the response to a PUT, too; a status gets S3's body
 *
 * Lifetime: counted by reference, so that a request keeps its rule while the scenario is replaced.
 * All functions but scenario_parse() need the simulator's lock.
 * Errors: scenario_parse() returns NULL and a sentence; unknown fields are errors.
 */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "sim/util.h"

#include <cjson/cJSON.h>

/* Each request is of exactly one kind. */
enum kind {
    KIND_CREATE = 1,
    KIND_POLL = 2,
    KIND_VIDEO = 4,
    KIND_COVER = 8,
    KIND_OTHER = 16,
    KIND_CONNECTION = 32,
    KIND_OBJECT_PUT = 64,
    KIND_OBJECT_GET = 128,
    KIND_OBJECT_DELETE = 256,
    KIND_OBJECT_LIST = 512,
};

enum port_kind { PORT_API = 1, PORT_MEDIA = 2 };

enum stage {
    STAGE_NONE,
    STAGE_CONNECT,      /* nothing was read; rules of kind "connection" only */
    STAGE_REQUEST,      /* the request's header was read */
    STAGE_REQUEST_BODY, /* its body was read too */
    STAGE_HEADERS,      /* half of the response's header was sent */
    STAGE_BODY,         /* cut_after_bytes of the body were sent, half of it by default */
};

enum fault { FAULT_NONE, FAULT_RESET, FAULT_CUT, FAULT_SILENCE };

enum chunked { CHUNKED_NO, CHUNKED_GOOD, CHUNKED_BAD };

struct header_change {
    char *name;
    char *value;  /* NULL: remove */
    bool further; /* a second value of the same header */
};

struct bytes {
    char *data; /* NULL: absent */
    size_t len;
    uint64_t count; /* how often it is sent */
};

/* The changes of a response. Absent fields are 0, NULL or, for *_at and cut_after_bytes, -1. */
struct change {
    int64_t delay_ms;
    int64_t status;
    char *reason;
    struct header_change *headers;
    size_t header_count;
    struct bytes body;
    bool accept; /* what was asked for is done, whatever the response says */
    bool lost;   /* it is not done, but the response says so; see also `accept` */
    bool ignore_condition;
    int64_t rate;
    int64_t header_rate;
    int64_t cut_after_bytes;
    enum stage stage;
    enum fault fault;
    struct bytes raw[3]; /* sent in this order instead of a response */
    char *content_length;
    enum chunked chunked;
    bool ignore_range;
    int64_t shift;
    int64_t shorter; /* "short" */
    char *content_range;
    bool no_content_range;
    char *etag;
    int64_t size_delta;
    int64_t flip_byte_at;
    cJSON *task; /* fields to replace, null to remove */
    char *video_url;
    char *cover_image_url;
    bool gzip;
};

struct rule {
    unsigned kinds; /* bits of enum kind */
    unsigned ports; /* bits of enum port_kind */
    int64_t n, from, to, every, times;
    char *task_id;
    uint64_t task_number;
    char *prompt_contains;
    char *key_contains;
    uint64_t seen;
    uint64_t fired;
    struct change change;
};

struct scenario {
    unsigned references;
    struct rule *rules;
    size_t rule_count;
};

struct subject {
    enum kind kind;
    enum port_kind port;
    const char *task_id;  /* NULL: none */
    uint64_t task_number; /* of a create request: the number its task would get */
    const char *prompt;   /* NULL: unknown */
    const char *key;      /* of an object, or the prefix of a list; NULL: none */
};

/* Gives the caller one reference. json must end with NUL. The caller frees *problem_out. */
struct scenario *scenario_parse(const char *json, char **problem_out);
struct scenario *scenario_new_empty(void);
struct scenario *scenario_ref(struct scenario *s);
void scenario_unref(struct scenario *s);

/* early: the body is not read yet. NULL: no rule. The result lives as long as the scenario. */
const struct rule *scenario_match(struct scenario *s, const struct subject *subject, bool early);

/* Fills *change from a rule's "response"; see change_parse.c. Returns NULL, or the problem. */
char *change_parse(const cJSON *response, struct change *change);
void change_fini(struct change *change);

#endif
