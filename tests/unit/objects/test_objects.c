/* What the store answers, and what follows: the probe, PUTs that wait for it, comparing, clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../net/raw_server.h"

#include "seedancefs/base/clock.h"
#include "seedancefs/base/err.h"
#include "seedancefs/net/http.h"
#include "seedancefs/net/loop.h"
#include "seedancefs/objects/objects.h"

#include <errno.h>
#include <stdatomic.h>

#define HEAD(status) "HTTP/1.1 " status "\r\nContent-Length: "
#define ERROR(status, code) HEAD(status) "36\r\n\r\n<Error><Code>" code "</Code></Error>"

static const char made[] = HEAD("200 OK") "0\r\n\r\n";
static const char taken[] = HEAD("412 Precondition Failed") "0\r\n\r\n";
static const char deleted[] = "HTTP/1.1 204 No Content\r\n\r\n";

/* A store that keeps the names of objects. */
struct store {
    pthread_mutex_t lock;
    char names[16][128];
    int count;
    bool is_careless;   /* overwrites */
    const char *answer; /* to every PUT instead; NULL: none */
    const char *date;   /* the value of Date; NULL: none */
    _Atomic int puts;
    _Atomic int deletes;
    char request[4096]; /* the last PUT under media/ */
};

static bool store_has(const struct store *store, const char *name)
{
    for (int i = 0; i < store->count; i++) {
        if (strcmp(store->names[i], name) == 0)
            return true;
    }
    return false;
}

static const char *store_put(struct store *store, const char *name, const char *request)
{
    atomic_fetch_add(&store->puts, 1);
    if (strstr(name, "/media/"))
        (void)snprintf(store->request, sizeof(store->request), "%s", request);
    if (store->answer)
        return store->answer;
    if (store_has(store, name) && !store->is_careless)
        return taken;
    if (!store_has(store, name))
        (void)snprintf(store->names[store->count++], sizeof(store->names[0]), "%s", name);
    return made;
}

static bool store_respond(void *context, int fd, const char *request)
{
    struct store *store = context;
    char name[128];
    size_t len = strcspn(request, " ");
    (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(request + len + 1, "?"),
                   request + len + 1);
    const char *answer = HEAD("404 Not Found") "36\r\n\r\n<Error><Code>NoSuchKey</Code></Error>";
    (void)pthread_mutex_lock(&store->lock);
    char late[512];
    (void)snprintf(late, sizeof(late),
                   "HTTP/1.1 403 Forbidden\r\nDate: %s\r\nContent-Length: 0\r\n\r\n",
                   store->date ? store->date : "");
    if (store->date && !strstr(request, "X-Amz-Date=2030"))
        answer = late;
    else if (strncmp(request, "PUT ", 4) == 0)
        answer = store_put(store, name, request);
    else if (strncmp(request, "DELETE ", 7) == 0) {
        atomic_fetch_add(&store->deletes, 1);
        answer = deleted;
    } else if (store_has(store, name))
        answer = HEAD("200 OK") "5\r\n\r\nvideo";
    (void)pthread_mutex_unlock(&store->lock);
    return raw_send(fd, answer, strlen(answer), 65536);
}

struct world {
    struct raw_server server;
    struct store store;
    struct loop *loop;
    struct http *http;
    struct objects *objects;
    int dones;
    int result;
    char why[OBJECTS_WHY_SIZE];
};

static void on_done(void *context, int result, const char *why)
{
    struct world *world = context;
    world->dones++;
    world->result = result;
    (void)snprintf(world->why, sizeof(world->why), "%s", why);
}

static void world_init(struct world *world)
{
    static const char keys[] = "aws_access_key_id=K\naws_secret_access_key=S\n";
    struct objects_place place;
    struct objects_credentials credentials;
    char text[128];
    char why[OBJECTS_WHY_SIZE];
    memset(world, 0, sizeof(*world));
    (void)pthread_mutex_init(&world->store.lock, NULL);
    world->server.respond = store_respond;
    world->server.context = &world->store;
    raw_server_listen(&world->server);
    (void)snprintf(text, sizeof(text), "s3://bucket/a?endpoint=http://127.0.0.1:%d",
                   world->server.port);
    assert_int_equal(loop_new(clock_system(), &world->loop), 0);
    assert_int_equal(http_new(world->loop, &world->http), 0);
    assert_int_equal(objects_place_parse(text, &place, why), 0);
    assert_int_equal(objects_credentials_parse(keys, strlen(keys), &credentials), 0);
    assert_int_equal(objects_new(world->loop, world->http, &place, &credentials, &world->objects),
                     0);
}

static void world_fini(struct world *world)
{
    objects_free(world->objects);
    http_free(world->http);
    loop_free(world->loop);
    raw_server_stop(&world->server);
}

static void world_run(struct world *world, int dones)
{
    int64_t until_ms = clock_monotonic_ms(clock_system()) + 15000;
    while (world->dones < dones && clock_monotonic_ms(clock_system()) < until_ms)
        assert_int_equal(loop_run_once(world->loop, 1000), 0);
    assert_int_equal(world->dones, dones);
}

static int probe(struct world *world)
{
    int dones = world->dones + 1;
    assert_int_equal(objects_probe(world->objects, world, on_done), 0);
    world_run(world, dones);
    return world->result;
}

static void put_start(struct world *world, const char *key)
{
    struct objects_call *call;
    const struct objects_put put = {.key = key,
                                    .content_type = "video/mp4",
                                    .md5 = "QhywDBZQmqlTxSOvqY2F0A==",
                                    .body = "video",
                                    .bytes = 5,
                                    .context = world,
                                    .on_done = on_done};
    assert_int_equal(objects_put(world->objects, &put, &call), 0);
}

static int put(struct world *world, const char *key)
{
    int dones = world->dones + 1;
    put_start(world, key);
    world_run(world, dones);
    return world->result;
}

static int compare(struct world *world, const char *key, const char *bytes)
{
    struct objects_digest *digest;
    struct objects_sums sums;
    struct objects_call *call;
    int dones = world->dones + 1;
    assert_int_equal(objects_digest_new(&digest), 0);
    assert_int_equal(objects_digest_add(digest, bytes, strlen(bytes)), 0);
    assert_int_equal(objects_digest_end(digest, &sums), 0);
    const struct objects_compare wish = {.key = key,
                                         .md5 = sums.md5,
                                         .bytes = (int64_t)strlen(bytes),
                                         .context = world,
                                         .on_done = on_done};
    assert_int_equal(objects_compare(world->objects, &wish, &call), 0);
    world_run(world, dones);
    return world->result;
}

static void test_objects__a_store_that_heeds_the_condition_is_used(void **state)
{
    struct world *world = *state;
    struct objects_counts counts;
    assert_int_equal(probe(world), 0);
    assert_int_equal(atomic_load(&world->store.puts), 6);
    assert_int_equal(put(world, "media/one"), 0);
    assert_string_equal(world->store.names[1], "/bucket/a/media/one");
    assert_non_null(strstr(world->store.request, "\r\nif-none-match: *\r\n"));
    assert_non_null(strstr(world->store.request, "\r\ncontent-md5: QhywDBZQmqlTxSOvqY2F0A==\r\n"));
    assert_non_null(strstr(world->store.request, "\r\nContent-Type: video/mp4\r\n"));
    assert_non_null(
        strstr(world->store.request, "SignedHeaders=content-md5%3Bhost%3Bif-none-match&"));
    assert_null(strstr(world->store.request, "Expect"));
    assert_string_equal(strstr(world->store.request, "\r\n\r\n"), "\r\n\r\nvideo");
    assert_int_equal(put(world, "media/one"), -EEXIST);
    assert_int_equal(atomic_load(&world->store.deletes), 1);
    objects_counts_get(world->objects, &counts);
    assert_int_equal(counts.puts, 1);
    assert_int_equal(counts.put_bytes, 5);
    assert_int_equal(counts.failures, 0);
}

/* The oracle of the probe: without the race, or without the sixth PUT, one of them passes. */
static void test_objects__a_store_that_overwrites_is_refused(void **state)
{
    struct world *world = *state;
    world->store.is_careless = true;
    assert_int_equal(probe(world), -ERR_OBJECT_UNFIT);
    assert_non_null(strstr(world->why, "If-None-Match"));
    struct objects_call *call;
    const struct objects_put put = {
        .key = "media/one", .body = "video", .bytes = 5, .context = world, .on_done = on_done};
    int puts = atomic_load(&world->store.puts);
    assert_int_equal(objects_put(world->objects, &put, &call), -ERR_OBJECT_UNFIT);
    assert_int_equal(atomic_load(&world->store.puts), puts);
}

static void test_objects__what_a_store_may_say(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *answer;
        int result;
        const char *words;
    } rows[] = {
        {ERROR("403 Forbidden", "AccessDenied!"), -ERR_OBJECT_REFUSED, "AccessDenied!"},
        {ERROR("404 Not Found", "NoSuchPlaces"), -ERR_OBJECT_STATUS, "404"},
        {HEAD("404 Not Found") "0\r\n\r\n", -ERR_OBJECT_STATUS, "404"},
        {HEAD("404 Not Found") "39\r\n\r\n<Error><Code>NoSuchBucket</Code></Error>",
         -ERR_OBJECT_REFUSED, "NoSuchBucket"},
        {HEAD("501 Not Implemented") "0\r\n\r\n", -ERR_OBJECT_UNFIT, "If-None-Match"},
        {HEAD("503 Slow Down") "0\r\n\r\n", -ERR_OBJECT_STATUS, "503"},
        {HEAD("403 Forbidden") "5\r\n\r\nlogin", -ERR_OBJECT_STATUS, "403"},
        {"nonsense", -ERR_HTTP_MALFORMED, "HTTP"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        world->store.answer = rows[i].answer;
        int r = probe(world);
        if (r != rows[i].result || !strstr(world->why, rows[i].words))
            fail_msg("row %zu: %s, %s", i, err_name(r), world->why);
    }
}

static void test_objects__a_put_waits_for_the_probe(void **state)
{
    struct world *world = *state;
    put_start(world, "media/one");
    put_start(world, "media/two");
    world_run(world, 2);
    assert_int_equal(world->result, 0);
    assert_int_equal(atomic_load(&world->store.puts), 8);
    assert_int_equal(world->store.count, 3);
}

static void test_objects__a_put_fails_with_its_probe_and_the_next_one_probes_again(void **state)
{
    struct world *world = *state;
    world->store.answer = HEAD("503 Slow Down") "0\r\n\r\n";
    put_start(world, "media/one");
    put_start(world, "media/two");
    world_run(world, 2);
    assert_int_equal(world->result, -ERR_OBJECT_STATUS);
    assert_string_equal(world->store.request, "");
    world->store.answer = NULL;
    assert_int_equal(put(world, "media/one"), 0);
}

static void test_objects__what_is_there_is_compared_byte_by_byte(void **state)
{
    struct world *world = *state;
    assert_int_equal(put(world, "media/one"), 0);
    assert_int_equal(compare(world, "media/one", "video"), 0);
    assert_int_equal(compare(world, "media/one", "vide0"), -ERR_OBJECT_DIFFERS);
    assert_int_equal(compare(world, "media/one", "video!"), -ERR_OBJECT_DIFFERS);
    assert_int_equal(compare(world, "media/other", "video"), -ENOENT);
}

static void test_objects__the_stores_clock_counts(void **state)
{
    struct world *world = *state;
    world->store.date = "Tue, 01 Jan 2030 00:00:00 GMT";
    assert_int_equal(probe(world), 0);
    struct buf url = {.limit = 4096};
    assert_int_equal(objects_url(world->objects, "media/one", 60000, &url), 0);
    assert_non_null(strstr(buf_text(&url), "X-Amz-Date=20300101T"));
    assert_non_null(strstr(buf_text(&url), "X-Amz-Expires=60&"));
    buf_fini(&url);
}

static void test_objects__a_call_can_be_cancelled_at_any_moment(void **state)
{
    struct world *world = *state;
    struct objects_call *call;
    const struct objects_put put = {
        .key = "media/one", .body = "video", .bytes = 5, .context = world, .on_done = on_done};
    for (int passes = 0; passes < 12; passes++) {
        assert_int_equal(objects_put(world->objects, &put, &call), 0);
        int dones = world->dones;
        for (int i = 0; i < passes && world->dones == dones; i++)
            assert_int_equal(loop_run_once(world->loop, 20), 0);
        if (world->dones == dones)
            objects_cancel(call);
    }
}

static int setup(void **state)
{
    static struct world world;
    world_init(&world);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    world_fini(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_objects__a_store_that_heeds_the_condition_is_used),
        TEST(test_objects__a_store_that_overwrites_is_refused),
        TEST(test_objects__what_a_store_may_say),
        TEST(test_objects__a_put_waits_for_the_probe),
        TEST(test_objects__a_put_fails_with_its_probe_and_the_next_one_probes_again),
        TEST(test_objects__what_is_there_is_compared_byte_by_byte),
        TEST(test_objects__the_stores_clock_counts),
        TEST(test_objects__a_call_can_be_cancelled_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
