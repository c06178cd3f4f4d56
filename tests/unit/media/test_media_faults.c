/*
 * What the media host may do wrong, a full disk, and random reads meanwhile: right bytes or an
 * error, and renewal of addresses.
 */
#include "media_harness.h"

#include "media/item.h"

enum { MB = 1024 * 1024 };

struct fault_row {
    enum server_fault fault;
    int count; /* so many requests are answered like this */
    int result;
};

/* A row says what one read of 100,000 bytes at 1,000,000 gets. */
static void test_media_faults__each_fault_has_its_outcome(void **state)
{
    static const struct fault_row rows[] = {
        {SERVER_CUT, 1, 100000},
        {SERVER_CUT, 6, 100000}, /* each brings something: no end of attempts */
        {SERVER_NO_RESPONSE, 2, 100000},
        {SERVER_SHIFTED, 2, 100000},
        {SERVER_SHIFTED, -1, -ERR_MEDIA_RESPONSE},
        {SERVER_UNSAID, -1, -ERR_MEDIA_RESPONSE},
        {SERVER_SHORT, -1, -ERR_MEDIA_RESPONSE},
        {SERVER_STAR, -1, -ERR_MEDIA_RESPONSE},
        {SERVER_MULTIPART, -1, -ERR_MEDIA_RESPONSE},
        {SERVER_LARGER, -1, -ERR_MEDIA_RESPONSE},
        {SERVER_HTML, -1, -ERR_MEDIA_RESPONSE},
        {SERVER_UNSATISFIED, -1, -ERR_MEDIA_RESPONSE},
        {SERVER_WHOLE, -1, 100000},
        {SERVER_BUSY, 2, 100000},
        {SERVER_BUSY, -1, -ERR_MEDIA_STATUS},
        {SERVER_LATER, 1, -ERR_MEDIA_STATUS}, /* cannot be had within the deadline */
        {SERVER_FORBIDDEN, 1, 100000},
        {SERVER_FORBIDDEN, -1, -ERR_MEDIA_EXPIRED},
        {SERVER_GONE, 1, 100000},
        {SERVER_GONE, -1, -ERR_MEDIA_GONE},
        {SERVER_REDIRECT, -1, 100000},
        {SERVER_LOOP, -1, -ERR_URL_REFUSED},
        {SERVER_FILE_URL, -1, -ERR_URL_REFUSED},
        {SERVER_HANG, -1, -ERR_HTTP_STALLED},
        {SERVER_TRICKLE, 1, 100000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct harness h;
        struct checked_read r;
        harness_init(&h, 4 * MB);
        h.read_deadline_ms = 4000;
        media_free(h.media);
        harness_open_media(&h);
        h.server.fault = rows[i].fault;
        h.server.fault_count = rows[i].count;
        struct media_item *item = harness_known(&h);
        read_start(&h, item, &r, 1000000, 100000);
        read_wait(&r);
        if (r.result != rows[i].result)
            fail_msg("row %zu: %d (%s) instead of %d", i, r.result, err_name(r.result),
                     rows[i].result);
        assert_true(h.url_asked <= 1);
        media_item_close(item);
        harness_fini(&h);
    }
}

static void test_media_faults__an_expired_url_is_renewed_once_for_all(void **state)
{
    static const enum url_policy policies[] = {URL_RENEW, URL_RENEW_AT_ONCE, URL_FAIL};
    (void)state;
    for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]); p++) {
        struct harness h;
        struct checked_read reads[24];
        harness_init(&h, 64 * MB);
        h.server.token = 5;
        h.url_policy = policies[p];
        struct media_item *item = harness_known(&h);
        for (int i = 0; i < 24; i++)
            read_start(&h, item, &reads[i], (int64_t)i * 2 * MB + 5, 5000);
        for (int i = 0; i < 24; i++) {
            read_wait(&reads[i]);
            assert_int_equal(reads[i].result, policies[p] == URL_FAIL ? -ERR_MEDIA_GONE : 5000);
        }
        assert_int_equal(h.url_asked, 1);
        media_item_close(item);
        harness_fini(&h);
    }
}

/* The new URL is refused, too, while two use it: whichever response comes first, nobody is asked
 * for a third. */
static void test_media_faults__a_refused_new_url_is_renewed_once_for_all(void **state)
{
    static const int delays_ms[][2] = {{400, 0}, {100, 1500}};
    (void)state;
    for (size_t i = 0; i < sizeof(delays_ms) / sizeof(delays_ms[0]); i++) {
        struct harness h;
        struct checked_read reads[2];
        harness_init(&h, 64 * MB);
        h.server.fault = SERVER_FORBIDDEN;
        h.server.fault_count = -1;
        h.server.delays_ms[1] = delays_ms[i][0]; /* the first reader's new URL */
        h.server.delays_ms[2] = delays_ms[i][1]; /* the second reader's */
        struct media_item *item = harness_known(&h);
        read_start(&h, item, &reads[0], 5, 5000);
        while (h.server.request_count < 2)
            harness_turn(&h);
        read_start(&h, item, &reads[1], 32 * MB, 5000);
        for (int r = 0; r < 2; r++) {
            read_wait(&reads[r]);
            assert_int_equal(reads[r].result, -ERR_MEDIA_EXPIRED);
        }
        assert_int_equal(h.url_asked, 1);
        media_item_close(item);
        harness_fini(&h);
    }
}

static void test_media_faults__a_url_may_expire_again_in_mid_stream(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 4 * MB);
    h.server.token = 5;
    h.server.fault = SERVER_CUT_EXPIRE;
    h.server.fault_count = 4; /* refused, cut, refused, cut, refused */
    struct media_item *item = harness_known(&h);
    assert_int_equal(media_item_fetch(item), 0);
    for (int i = 0; i < 200 && h.progress_bytes != 4 * MB && !h.fetch_result; i++)
        harness_turn(&h);
    assert_int_equal(h.progress_bytes, 4 * MB);
    assert_int_equal(h.url_asked, 3);
    media_item_close(item);
    harness_fini(&h);
}

static void test_media_faults__a_url_past_its_time_does_not_bother_the_server(void **state)
{
    struct harness h;
    char url[128];
    struct media_item *item = NULL;
    (void)state;
    harness_init(&h, MB);
    harness_url(&h, url, sizeof(url));
    struct media_record record = {.id = 7,
                                  .kind = MEDIA_VIDEO,
                                  .url = url,
                                  .url_expires_ms = 1000,
                                  .size = MB,
                                  .etag = "\"v1\""};
    assert_int_equal(media_item_open(h.media, &record, &item), 0);
    read_expect(&h, item, 0, 10, 10);
    assert_int_equal(h.url_asked, 1);
    assert_int_equal(h.server.request_count, 1);
    media_item_close(item);
    harness_fini(&h);
}

static void test_media_faults__a_silent_owner_costs_the_deadline_and_no_more(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, MB);
    media_free(h.media);
    h.read_deadline_ms = 300;
    harness_open_media(&h);
    h.server.token = 5;
    h.url_policy = URL_SILENT;
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 0, 10, -ERR_HTTP_STALLED);
    read_expect(&h, item, 0, 10, -ERR_HTTP_STALLED);
    assert_int_equal(h.url_asked, 1);
    media_item_close(item);
    harness_fini(&h);
}

static void test_media_faults__another_version_ends_open_items_and_their_cache(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 40 * MB);
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 0, 1000, 1000);
    h.server.version = 2;
    /* So far away that the transfer of the first version cannot have it. */
    read_expect(&h, item, 30 * MB, 1000, -ERR_MEDIA_CHANGED);
    read_expect(&h, item, 0, 1000, -ERR_MEDIA_CHANGED);
    assert_int_equal(h.record_size, -1);
    assert_string_equal(h.record_etag, "");
    struct media_item *fresh = harness_item(&h, -1, NULL);
    assert_ptr_not_equal(fresh, item);
    h.version = 2;
    read_expect(&h, fresh, 0, 1000, 1000);
    read_expect(&h, item, 0, 1000, -ERR_MEDIA_CHANGED);
    assert_string_equal(h.record_etag, "\"v2\"");
    media_item_close(item);
    media_item_close(fresh);
    harness_fini(&h);
}

static void test_media_faults__a_full_disk_streams_without_cache(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 12 * MB);
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 0, 100000, 100000);
    /* Like a disk that fills up: every further write fails. */
    int read_only = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int kept = dup(item->cache.fd);
    assert_int_equal(close(item->cache.fd), 0);
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", kept);
    item->cache.fd = open(path, O_RDONLY | O_CLOEXEC);
    (void)close(kept);
    (void)close(read_only);
    for (int64_t offset = 0; offset < 12 * MB; offset += 131072)
        read_expect(&h, item, offset, 131072, 131072);
    assert_non_null(item->cache.spill);
    assert_true(item->cache.spill->present.bytes <= SPILL_RING * SPILL_BLOCK_BYTES);
    assert_true(item->cache.present.bytes < 1 * MB);
    assert_int_equal(media_item_fetch(item), 0);
    harness_spend(&h, 100);
    assert_int_equal(h.fetch_result, -EBADF);
    media_item_close(item);
    harness_fini(&h);
}

/* Starts reads at random places, sometimes in a row, and waits for all. */
static void random_round(struct harness *h, struct media_item *item, int round, int *good, int *bad)
{
    struct checked_read reads[32];
    int64_t size = h->server.size;
    for (int i = 0; i < 32; i++) {
        int64_t offset = random() % size;
        if (round % 4 == 1)
            offset = (int64_t)i * 65536;
        read_start(h, item, &reads[i], offset, (size_t)(random() % 200000));
        if (random() % 20 == 0)
            harness_turn(h);
    }
    for (int i = 0; i < 32; i++) {
        int64_t left = size - reads[i].offset;
        read_wait(&reads[i]);
        if (reads[i].result >= 0)
            assert_int_equal(reads[i].result,
                             (int64_t)reads[i].size < left ? (int64_t)reads[i].size : left);
        *good += reads[i].result >= 0;
        *bad += reads[i].result < 0;
    }
}

/* One item, many readers at random, and every kind of passing fault. */
static void test_media_faults__random_reads_with_faults_are_right(void **state)
{
    const char *seed_text = getenv("TEST_SEED");
    unsigned seed = seed_text ? (unsigned)strtoul(seed_text, NULL, 10) : 20261123u;
    struct harness h;
    int good = 0;
    int bad = 0;
    int evicted = 0;
    (void)state;
    print_message("TEST_SEED=%u\n", seed);
    srandom(seed);
    harness_init(&h, 30 * MB + 12345);
    struct media_item *item = harness_known(&h);
    for (int round = 0; round < 40; round++) {
        h.server.fault_percent = round % 10 < 3 ? 0 : 15;
        if (round % 12 == 0)
            h.server.token++;
        if (round % 5 == 4) {
            harness_spend(&h, 50);
            evicted += media_item_evict(item) == 0;
        }
        if (round % 8 == 7) { /* a restart */
            media_free(h.media);
            harness_open_media(&h);
            item = harness_known(&h);
        }
        random_round(&h, item, round, &good, &bad);
    }
    print_message("%d good, %d failed, %d requests, %d evictions\n", good, bad,
                  h.server.request_count, evicted);
    assert_true(good > bad * 4);
    media_item_close(item);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_faults__each_fault_has_its_outcome),
        cmocka_unit_test(test_media_faults__an_expired_url_is_renewed_once_for_all),
        cmocka_unit_test(test_media_faults__a_refused_new_url_is_renewed_once_for_all),
        cmocka_unit_test(test_media_faults__a_url_may_expire_again_in_mid_stream),
        cmocka_unit_test(test_media_faults__a_url_past_its_time_does_not_bother_the_server),
        cmocka_unit_test(test_media_faults__a_silent_owner_costs_the_deadline_and_no_more),
        cmocka_unit_test(test_media_faults__another_version_ends_open_items_and_their_cache),
        cmocka_unit_test(test_media_faults__a_full_disk_streams_without_cache),
        cmocka_unit_test(test_media_faults__random_reads_with_faults_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
