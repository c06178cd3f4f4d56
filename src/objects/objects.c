/*
 * The contract. A PUT waits while it is not known whether the store heeds If-None-Match:
 *
 *     UNKNOWN ──probe: of six PUTs of one key exactly one gets a 200──▶ PROVEN
 *        ▲  └───two get one, or the store cannot do it──▶ REFUTED
 *        └─ the store cannot be asked at the moment: those who wait fail, the next PUT probes again
 *
 * Five PUTs race, because a store may look first and write later. The sixth comes when they are
 * done, because a bucket with versions takes every one.
 */
#include "objects_private.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/table.h"
#include "seedancefs/net/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { PROBE_RACERS = 5, PROBE_KEY_SIZE = 48 };

struct objects_probe {
    char key[PROBE_KEY_SIZE];
    int under_way;
    int made;     /* 200 */
    int result;   /* of the first that failed otherwise */
    bool is_last; /* the sixth */
    char why[OBJECTS_WHY_SIZE];
    void *context;
    objects_done_fn *on_done; /* NULL: nobody but the calls that wait */
};

int objects_new(struct loop *loop, struct http *http, struct objects_place *place,
                struct objects_credentials *credentials, struct objects **out)
{
    struct objects *objects = calloc(1, sizeof(*objects));
    if (objects) {
        objects->loop = loop;
        objects->http = http;
        objects->place = *place;
        objects->credentials = *credentials;
        *place = (struct objects_place){0};
        *credentials = (struct objects_credentials){0};
    }
    objects_place_fini(place);
    objects_credentials_fini(credentials);
    if (objects &&
        asprintf(&objects->name, "s3://%s/%s", objects->place.bucket, objects->place.prefix) < 0)
        objects->name = NULL;
    if (objects && asprintf(&objects->id, "%s/%s/%s", objects->place.endpoint,
                            objects->place.bucket, objects->place.prefix) < 0)
        objects->id = NULL;
    if (!objects || !objects->name || !objects->id) {
        objects_free(objects);
        return -ENOMEM;
    }
    *out = objects;
    return 0;
}

struct objects *objects_free(struct objects *objects)
{
    if (!objects)
        return NULL;
    while (objects->calls)
        call_free(objects->calls);
    free(objects->probe);
    objects_place_fini(&objects->place);
    objects_credentials_fini(&objects->credentials);
    free(objects->name);
    free(objects->id);
    free(objects);
    return NULL;
}

void objects_credentials_set(struct objects *objects, struct objects_credentials *credentials)
{
    objects_credentials_fini(&objects->credentials);
    objects->credentials = *credentials;
    *credentials = (struct objects_credentials){0};
    if (objects->fitness == FITNESS_REFUTED) /* somebody has perhaps changed the bucket, too */
        objects->fitness = FITNESS_UNKNOWN;
}

const char *objects_name(const struct objects *objects)
{
    return objects->name;
}

const char *objects_id(const struct objects *objects)
{
    return objects->id;
}

bool objects_is_loopback(const struct objects *objects)
{
    return url_is_loopback(objects->place.endpoint);
}

void objects_counts_get(const struct objects *objects, struct objects_counts *out)
{
    *out = objects->counts;
}

int objects_url(const struct objects *objects, const char *key, int64_t life_ms, struct buf *out)
{
    const struct sign_header host = {"host", objects->place.host};
    CLEANUP(buf_fini) struct buf path = {.limit = 4096};
    int r = place_path_add(&path, &objects->place, key);
    const struct sign_request request = {
        .method = "GET",
        .path = buf_text(&path),
        .headers = &host,
        .header_count = 1,
        .wall_ms = call_clock_ms(objects),
        .life_ms = life_ms,
    };
    return r < 0 ? r : sign_url_add(out, &objects->place, &objects->credentials, &request);
}

void objects_cancel(struct objects_call *call)
{
    call_free(call);
}

static void put_end(struct objects_call *call, const struct call_answer *answer)
{
    struct objects_counts *counts = &call->objects->counts;
    const struct objects_put put = call->put;
    char why[OBJECTS_WHY_SIZE];
    int r = call_result(call, answer, why);
    counts->puts += r == 0;
    counts->put_bytes += r == 0 ? put.bytes : 0;
    counts->failures += r < 0 && r != -EEXIST;
    call_free(call);
    put.on_done(put.context, r, why);
}

static void put_fail(struct objects_call *call, int r, const char *why)
{
    const struct objects_put put = call->put;
    call->objects->counts.failures++;
    call_free(call);
    put.on_done(put.context, r, why);
}

static bool call_waits(const struct objects_call *call)
{
    return !call->transfer && !call->is_of_probe;
}

/* on_done may do anything, so each step searches from the head. A PUT that it begins may begin the
 * next probe, for all who still wait. */
static void waiting_go_on(struct objects *objects, int result, const char *why)
{
    struct objects_call *call;
    do {
        DL_FOREACH (objects->calls, call) {
            if (call_waits(call))
                break;
        }
        int r = call && result == 0 ? call_begin(call) : result;
        if (call && r < 0)
            put_fail(call, r, result < 0 ? why : err_sentence(r));
    } while (call && !objects->probe);
}

static void probe_finish(struct objects *objects, int result)
{
    struct objects_probe *probe = objects->probe;
    if (result == 0)
        objects->fitness = FITNESS_PROVEN;
    else if (result == -ERR_OBJECT_UNFIT)
        objects->fitness = FITNESS_REFUTED;
    log_event(result < 0 ? LOG_WARN : LOG_INFO, "objects.probed", "store=%s result=%s why=\"%s\"",
              objects->name, result < 0 ? err_name(result) : "ok", probe->why);
    objects->probe = NULL;
    if (probe->on_done)
        probe->on_done(probe->context, result, probe->why);
    waiting_go_on(objects, result, probe->why);
    free(probe);
}

static void ignore_end(struct objects_call *call, const struct call_answer *answer UNUSED)
{
    call_free(call);
}

/* Proof: the key is 128 random bits, and this probe has made its object. Whether it is allowed does
 * not matter. */
static void probe_object_delete(struct objects *objects, const char *key)
{
    struct objects_call *call;
    if (call_new(objects, HTTP_DELETE, key, &call) < 0)
        return;
    call->is_of_probe = true;
    call->end = ignore_end;
    if (call_begin(call) < 0)
        call_free(call);
}

static void probe_decide(struct objects *objects);

static void probe_end(struct objects_call *call, const struct call_answer *answer)
{
    struct objects *objects = call->objects;
    struct objects_probe *probe = objects->probe;
    char why[OBJECTS_WHY_SIZE];
    int r = call_result(call, answer, why);
    /* The loser of a race may be told to try again (409, ConditionalRequestConflict). */
    bool is_loser = r == -EEXIST || (answer->result == 0 && answer->status == 409);
    probe->made += r == 0;
    if (r < 0 && !is_loser && probe->result == 0) {
        probe->result = r;
        (void)snprintf(probe->why, sizeof(probe->why), "%s", why);
    }
    call_free(call);
    if (--probe->under_way == 0)
        probe_decide(objects);
}

static int probe_put(struct objects *objects)
{
    struct objects_call *call;
    int r = call_new(objects, HTTP_PUT, objects->probe->key, &call);
    if (r < 0)
        return r;
    call->is_of_probe = true;
    call->end = probe_end;
    call->put.body = "probe\n";
    call->put.bytes = 6;
    r = call_begin(call);
    if (r < 0)
        call_free(call);
    else
        objects->probe->under_way++;
    return r;
}

static void probe_decide(struct objects *objects)
{
    struct objects_probe *probe = objects->probe;
    int r = probe->result;
    if (r == 0 && probe->made == 1 && !probe->is_last) {
        probe->is_last = true;
        r = probe_put(objects);
        if (r == 0)
            return;
    }
    if (probe->made > 0)
        probe_object_delete(objects, probe->key);
    if (r == 0 && probe->made != 1)
        r = probe->made > 1 ? -ERR_OBJECT_UNFIT : -ERR_OBJECT_STATUS;
    if (r == -ERR_OBJECT_UNFIT)
        (void)snprintf(probe->why, sizeof(probe->why),
                       "%.128s: it does not heed If-None-Match, so that it would let an object be "
                       "overwritten. Take a store that has conditional PUT, and a bucket without "
                       "versions.",
                       objects->place.host);
    else if (r < 0 && probe->why[0] == '\0')
        (void)snprintf(probe->why, sizeof(probe->why), "%.128s: %s", objects->place.host,
                       err_sentence(r));
    probe_finish(objects, r);
}

int objects_probe(struct objects *objects, void *context, objects_done_fn *on_done)
{
    unsigned char random[16];
    if (objects->probe)
        return -EALREADY;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return -EIO;
    struct objects_probe *probe = calloc(1, sizeof(*probe));
    if (!probe)
        return -ENOMEM;
    *probe = (struct objects_probe){.context = context, .on_done = on_done};
    int len = snprintf(probe->key, sizeof(probe->key), "probe/");
    hex_write(random, sizeof(random), probe->key + len);
    objects->probe = probe;
    int r = 0;
    for (int i = 0; i < PROBE_RACERS && r == 0; i++)
        r = probe_put(objects);
    if (r < 0 && probe->under_way == 0) {
        objects->probe = NULL;
        free(probe);
        return r;
    }
    if (r < 0) /* those under way end the probe */
        probe->result = r;
    return 0;
}

static int text_copy(char **place, const char *text)
{
    *place = text ? strdup(text) : NULL;
    return text && !*place ? -ENOMEM : 0;
}

static int put_make(struct objects *objects, const struct objects_put *put,
                    struct objects_call **out)
{
    struct objects_call *call;
    int r = call_new(objects, HTTP_PUT, put->key, &call);
    if (r < 0)
        return r;
    call->end = put_end;
    call->put = *put;
    r = text_copy(&call->content_type, put->content_type);
    if (r == 0)
        r = text_copy(&call->md5, put->md5);
    if (r < 0)
        call_free(call);
    else
        *out = call;
    return r;
}

int objects_put(struct objects *objects, const struct objects_put *put, struct objects_call **out)
{
    struct objects_call *call;
    if (put->bytes < 0 || put->bytes > OBJECTS_BYTES_MAX || strlen(put->key) > OBJECTS_KEY_MAX)
        return -EFBIG;
    if (objects->fitness == FITNESS_REFUTED)
        return -ERR_OBJECT_UNFIT;
    int r = put_make(objects, put, &call);
    if (r < 0)
        return r;
    if (objects->fitness == FITNESS_PROVEN)
        r = call_begin(call);
    else if (!objects->probe)
        r = objects_probe(objects, NULL, NULL);
    if (r < 0)
        call_free(call);
    else
        *out = call;
    return r;
}

static void compare_end(struct objects_call *call, const struct call_answer *answer)
{
    const struct objects_compare compare = call->compare;
    char why[OBJECTS_WHY_SIZE];
    struct objects_sums sums;
    int r = call_result(call, answer, why);
    if (call->is_size_right && !call->md5)
        r = 0;
    else if (r == 0)
        r = objects_digest_end(TAKE_POINTER(call->digest), &sums);
    bool is_as_long = call->is_size_right || answer->bytes == compare.bytes;
    if (r == 0 && (!is_as_long || (call->md5 && strcmp(sums.md5, call->md5) != 0)))
        r = -ERR_OBJECT_DIFFERS;
    if (r < 0 && (why[0] == '\0' || r == -ERR_OBJECT_DIFFERS))
        (void)snprintf(why, sizeof(why), "%s: %s", call->key, err_sentence(r));
    call->objects->counts.failures += r < 0;
    call_free(call);
    compare.on_done(compare.context, r, why);
}

int objects_compare(struct objects *objects, const struct objects_compare *compare,
                    struct objects_call **out)
{
    struct objects_call *call;
    int r = call_new(objects, HTTP_GET, compare->key, &call);
    if (r < 0)
        return r;
    call->end = compare_end;
    call->compare = *compare;
    r = text_copy(&call->md5, compare->md5);
    if (r == 0)
        r = objects_digest_new(&call->digest);
    if (r == 0)
        r = call_begin(call);
    if (r < 0)
        call_free(call);
    else
        *out = call;
    return r;
}
