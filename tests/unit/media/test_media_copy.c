/*
 * A file of which there is a copy elsewhere: when that is asked, when not, and that neither a wrong copy
 * nor another version at the URL costs a byte.
 */
#include "media_harness.h"

enum { SIZE = 3 * 1024 * 1024 + 17 };

static struct server copy;

static void both_init(struct harness *h)
{
    harness_init(h, SIZE);
    server_start(&copy, SIZE);
    copy.has_etag = true;
    h->copy = &copy;
}

static void both_fini(struct harness *h)
{
    harness_fini(h);
    raw_server_stop(&copy.raw);
}

static void read_all(struct harness *h, struct media_item *item, int result_of_each)
{
    enum { PART = 256 * 1024 };
    for (int64_t at = 0; at < SIZE; at += PART) {
        int64_t size = min_int64(PART, SIZE - at);
        read_expect(h, item, at, (size_t)size, result_of_each < 0 ? result_of_each : (int)size);
        if (result_of_each < 0)
            return;
    }
}

static void test_media_copy__a_url_that_works_is_read(void **state)
{
    (void)state;
    struct harness h;
    both_init(&h);
    struct media_item *item = harness_known(&h);
    read_all(&h, item, 0);
    assert_int_equal(copy.request_count, 0);
    media_item_close(item);
    both_fini(&h);
}

/* The copy has an ETag of its own, as any object store gives. */
static void test_media_copy__the_copy_is_read_when_the_url_is_refused(void **state)
{
    (void)state;
    struct harness h;
    both_init(&h);
    h.server.fault = SERVER_FORBIDDEN;
    h.server.fault_count = -1;
    struct media_item *item = harness_item(&h, SIZE, "\"of the service\"");
    read_all(&h, item, 0);
    assert_int_equal(h.url_asked, 0);
    assert_int_equal(h.server.request_count, 1);
    media_item_close(item);
    both_fini(&h);
}

static void test_media_copy__the_copy_is_read_when_the_host_brings_nothing(void **state)
{
    (void)state;
    static const enum server_fault faults[] = {SERVER_NO_RESPONSE, SERVER_BUSY, SERVER_GONE,
                                               SERVER_HTML};
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        struct harness h;
        both_init(&h);
        h.server.fault = faults[i];
        h.server.fault_count = -1;
        struct media_item *item = harness_known(&h);
        read_all(&h, item, 0);
        assert_int_equal(h.url_asked, 0);
        media_item_close(item);
        both_fini(&h);
    }
}

static void test_media_copy__without_the_copy_a_url_is_asked_for(void **state)
{
    (void)state;
    struct harness h;
    both_init(&h);
    h.server.token = 1; /* the URL has expired */
    copy.fault = SERVER_BUSY;
    copy.fault_count = -1;
    struct media_item *item = harness_known(&h);
    read_all(&h, item, 0);
    assert_int_equal(h.url_asked, 1);
    assert_int_equal(copy.request_count, 1);
    media_item_close(item);
    both_fini(&h);
}

/* The service has forgotten the task: that is no news. That the copy cannot be had is. */
static void test_media_copy__the_error_is_that_of_the_copy(void **state)
{
    (void)state;
    static const struct {
        enum server_fault fault;
        int result;
    } rows[] = {{SERVER_FORBIDDEN, -ERR_OBJECT_REFUSED},
                {SERVER_GONE, -ERR_OBJECT_MISSING},
                {SERVER_BUSY, -ERR_OBJECT_STATUS},
                {SERVER_NO_RESPONSE, -ERR_HTTP_BROKEN},
                {SERVER_LOOP, -ERR_OBJECT_REFUSED}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct harness h;
        both_init(&h);
        h.server.token = 1;
        h.url_policy = URL_FAIL;
        copy.fault = rows[i].fault;
        copy.fault_count = -1;
        struct media_item *item = harness_known(&h);
        read_expect(&h, item, 0, 1000, rows[i].result);
        read_expect(&h, item, 0, 1000, rows[i].result);
        media_item_close(item);
        both_fini(&h);
    }
}

static void test_media_copy__a_copy_of_another_size_is_none(void **state)
{
    (void)state;
    struct harness h;
    both_init(&h);
    copy.size = SIZE + 1;
    h.server.token = 1;
    h.url_policy = URL_FAIL;
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 0, 1000, -ERR_OBJECT_DIFFERS);
    assert_int_equal(h.record_count, 0);
    h.url_policy = URL_RENEW;
    harness_spend(&h, 1100);
    read_expect(&h, item, 0, 1000, 1000);
    media_item_close(item);
    both_fini(&h);
}

/* The server would send the rest of a response with the bytes of the other version. */
static void transfers_wait(struct harness *h)
{
    struct media_counts counts;
    do {
        harness_turn(h);
        media_counts_get(h->media, &counts);
    } while (counts.transfers_active > 0);
}

/* Without the copy the file would be another one now: see test_media.c. */
static void test_media_copy__another_version_at_the_url_changes_nothing(void **state)
{
    (void)state;
    struct harness h;
    both_init(&h);
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 0, 1000, 1000);
    transfers_wait(&h);
    h.server.version = 2;
    read_all(&h, item, 0); /* all of version 1 */
    assert_int_equal(h.record_count, 0);
    assert_true(copy.request_count > 0);
    media_item_close(item);
    both_fini(&h);
}

static void test_media_copy__it_is_there_from_the_moment_it_is_made(void **state)
{
    (void)state;
    struct harness h;
    both_init(&h);
    h.copy = NULL;
    h.server.fault = SERVER_FORBIDDEN;
    h.server.fault_count = -1;
    h.url_policy = URL_FAIL;
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 0, 1000, -ERR_MEDIA_GONE);
    h.copy = &copy;
    media_copy_made(h.media, 7, MEDIA_VIDEO);
    read_all(&h, item, 0);
    media_item_close(item);
    both_fini(&h);
}

/* Whatever breaks, at whichever of the two: right bytes, or an error. */
static void test_media_copy__random_faults_of_both(void **state)
{
    (void)state;
    for (int seed = 0; seed < 8; seed++) {
        struct harness h;
        both_init(&h);
        h.server.fault_percent = 60;
        copy.fault_percent = 50;
        h.server.request_count = seed * 1000;
        copy.request_count = seed * 777;
        struct media_item *item = harness_known(&h);
        for (int i = 0; i < 40; i++) {
            struct checked_read r;
            int64_t offset = (int64_t)(i * 7919 + seed * 104729) * 127 % (SIZE - 5000);
            read_start(&h, item, &r, offset, 5000);
            read_wait(&r);
        }
        media_item_close(item);
        both_fini(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_copy__a_url_that_works_is_read),
        cmocka_unit_test(test_media_copy__the_copy_is_read_when_the_url_is_refused),
        cmocka_unit_test(test_media_copy__the_copy_is_read_when_the_host_brings_nothing),
        cmocka_unit_test(test_media_copy__without_the_copy_a_url_is_asked_for),
        cmocka_unit_test(test_media_copy__the_error_is_that_of_the_copy),
        cmocka_unit_test(test_media_copy__a_copy_of_another_size_is_none),
        cmocka_unit_test(test_media_copy__another_version_at_the_url_changes_nothing),
        cmocka_unit_test(test_media_copy__it_is_there_from_the_moment_it_is_made),
        cmocka_unit_test(test_media_copy__random_faults_of_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
