/*
 * The whole layer against a server of its own: many readers, known bytes, and every fault. The
 * oracle is server_byte(): no read may ever return anything else.
 */
#include "media_harness.h"

#include "media/item.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { MB = 1024 * 1024 };

static void test_media__probe_finds_size_and_etag(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 5 * MB + 3);
    struct media_item *item = harness_item(&h, -1, NULL);
    assert_int_equal(media_item_probe(item), 0);
    for (int i = 0; i < 100 && h.record_count == 0; i++)
        harness_turn(&h);
    assert_int_equal(h.record_size, 5 * MB + 3);
    assert_string_equal(h.record_etag, "\"v1\"");
    assert_int_equal(h.server.requests[0].first, 0);
    assert_int_equal(h.server.requests[0].last, RANGE_END_BYTES - 1);
    assert_int_equal(media_item_size(item), 5 * MB + 3);
    media_item_close(item);
    harness_fini(&h);
}

/* Probes and waits until the ends are there, or cannot be. */
static void probe_with_ends(struct harness *h, struct media_item *item)
{
    assert_int_equal(media_item_probe(item), 0);
    for (int i = 0; i < 400 && (item->size < 0 || item->is_fetching_ends); i++)
        harness_turn(h);
    assert_false(item->is_fetching_ends);
}

static void test_media__a_probe_brings_both_ends(void **state)
{
    static const struct {
        int64_t size;
        int requests;
    } rows[] = {{1, 1},      {RANGE_END_BYTES, 1}, {RANGE_END_BYTES + 1, 2},
                {600000, 2}, {5 * MB + 3, 2},      {64 * MB, 2}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct harness h;
        int64_t size = rows[i].size;
        harness_init(&h, size);
        struct media_item *item = harness_item(&h, -1, NULL);
        probe_with_ends(&h, item);
        assert_int_equal(h.record_size, size);
        assert_int_equal(h.server.request_count, rows[i].requests);
        assert_true(h.server.bytes_sent <= 2 * RANGE_END_BYTES + RANGE_ALIGN_BYTES);
        int64_t head = size < RANGE_END_BYTES ? size : RANGE_END_BYTES;
        assert_true(cache_has(&item->cache, 0, head));
        assert_true(cache_has(&item->cache, size - head, size));
        read_expect(&h, item, size - head, 100, head < 100 ? (int)head : 100);
        assert_int_equal(h.server.request_count, rows[i].requests);
        assert_int_equal(h.record_count, 1);
        media_item_close(item);
        harness_fini(&h);
    }
}

/* The size is told as soon as it is known, whatever becomes of the ends. */
static void test_media__a_probe_needs_the_head_of_the_response_alone(void **state)
{
    static const enum server_fault faults[] = {SERVER_CUT, SERVER_TRICKLE, SERVER_WHOLE};
    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct harness h;
        harness_init(&h, 5 * MB);
        h.server.fault = faults[i];
        h.server.fault_count = -1;
        struct media_item *item = harness_item(&h, -1, NULL);
        assert_int_equal(media_item_probe(item), 0);
        for (int turn = 0; turn < 100 && h.record_count == 0; turn++)
            harness_turn(&h);
        assert_int_equal(h.record_size, 5 * MB);
        assert_int_equal(h.probe_result, 0);
        assert_true(h.server.bytes_sent < 4 * MB);
        media_item_close(item);
        harness_fini(&h);
    }
}

static void test_media__who_reads_on_gets_the_rest_who_looks_does_not(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 20 * MB);
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 0, 4096, 4096);
    read_expect(&h, item, 20 * MB - 300000, 300000, 300000);
    read_expect(&h, item, 10 * MB, 131072, 131072);
    harness_spend(&h, 300);
    assert_false(item->is_completing);
    assert_true(h.server.bytes_sent <= 3 * MB / 2);
    for (int64_t offset = 10 * MB; offset <= 11 * MB; offset += 131072)
        read_expect(&h, item, offset, 131072, 131072);
    for (int i = 0; i < 1000 && !media_item_is_complete(item); i++)
        harness_turn(&h);
    assert_true(media_item_is_complete(item));
    assert_true(h.server.bytes_sent <= 20 * MB); /* counted after they were sent */
    media_item_close(item);
    harness_fini(&h);
}

static struct transfer *paused_transfer(struct harness *h)
{
    struct transfer *transfer;
    DL_FOREACH (h->media->transfers, transfer)
        if (transfer->is_paused)
            return transfer;
    return NULL;
}

static void read_in_order(struct harness *h, struct media_item *item, int64_t first, int64_t end)
{
    for (int64_t offset = first; offset < end; offset += 131072)
        read_expect(h, item, offset, 131072, 131072);
}

/* Asked for at once, to save requests, the rest does not come before somebody wants it. */
static void test_media__the_rest_of_a_clip_waits_for_its_reader(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 60 * MB);
    struct media_item *item = harness_known(&h);
    read_in_order(&h, item, 0, 3 * 131072);
    for (int i = 0; i < 1000 && !paused_transfer(&h); i++)
        harness_turn(&h);
    assert_non_null(paused_transfer(&h));
    harness_spend(&h, 200);
    assert_true(media_item_cached_bytes(item) <= 3 * 131072 + 3 * RANGE_WINDOW_FIRST_BYTES);
    assert_true(h.server.bytes_sent < 30 * MB); /* it stands in send() */
    /* Who reads on gets it all, by the same request. */
    read_in_order(&h, item, 3 * 131072, 2 * MB);
    for (int i = 0; i < 2000 && !media_item_is_complete(item); i++)
        harness_turn(&h);
    assert_true(media_item_is_complete(item));
    assert_int_equal(h.server.request_count, 2);
    media_item_close(item);
    harness_fini(&h);
}

static void test_media__what_is_held_back_for_long_is_given_up(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 60 * MB);
    struct media_item *item = harness_known(&h);
    read_in_order(&h, item, 0, 3 * 131072);
    for (int i = 0; i < 1000 && !paused_transfer(&h); i++)
        harness_turn(&h);
    struct transfer *transfer = paused_transfer(&h);
    assert_non_null(transfer);
    timer_set(media_timers(h.media), &transfer->timer, 1, transfer->timer.fn, transfer);
    for (int i = 0; i < 100 && item_transfer_count(item) > 0; i++)
        harness_turn(&h);
    assert_int_equal(item_transfer_count(item), 0);
    read_in_order(&h, item, 3 * 131072, 2 * MB);
    assert_int_equal(h.server.request_count, 3);
    media_item_close(item);
    harness_fini(&h);
}

/* However it is read, by one handle or many, also when nothing waits for what has been begun. */
static void test_media__a_clip_costs_a_bounded_number_of_requests(void **state)
{
    (void)state;
    for (int is_reopened = 0; is_reopened <= 1; is_reopened++) {
        struct harness h;
        harness_init(&h, 20 * MB);
        struct media_item *item = harness_known(&h);
        srandom(5);
        for (int i = 0; i < 200; i++) {
            read_expect(&h, item, random() % (20 * MB - 4096), 4096, 4096);
            if (!is_reopened)
                continue;
            media_item_close(item);
            item = harness_known(&h);
        }
        assert_in_range(h.server.request_count, ITEM_REQUESTS_FREE, 24);
        for (int i = 0; i < 2000 && !media_item_is_durable(item); i++)
            harness_turn(&h);
        assert_true(media_item_is_durable(item));
        assert_in_range(h.server.request_count, ITEM_REQUESTS_FREE, 24);
        struct media_counts counts;
        media_counts_get(h.media, &counts);
        assert_int_equal(counts.requests, h.server.request_count);
        media_item_close(item);
        harness_fini(&h);
    }
}

static void test_media__what_nobody_reads_any_more_stops(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 60 * MB);
    struct media_item *item = harness_known(&h);
    read_in_order(&h, item, 0, 2 * MB);
    assert_true(item_transfer_count(item) > 0);
    item->read_ms -= ITEM_IDLE_MS;
    struct transfer *transfer;
    DL_FOREACH (h.media->transfers, transfer) /* they look at themselves every 30 s */
        timer_set(media_timers(h.media), &transfer->timer, 0, transfer->timer.fn, transfer);
    harness_turn(&h);
    harness_turn(&h);
    assert_int_equal(item_transfer_count(item), 0);
    assert_false(media_item_is_complete(item));
    harness_spend(&h, 100);
    assert_int_equal(item_transfer_count(item), 0);
    /* With the last handle everything stops at once. */
    read_expect(&h, item, 30 * MB, 131072, 131072);
    read_expect(&h, item, 30 * MB + 131072, 131072, 131072);
    media_item_close(item);
    assert_int_equal(h.media->transfer_count, 0);
    harness_fini(&h);
}

/* Its job is not done before the size is known, or known not to be had. */
static void test_media__a_probe_is_not_put_off_for_an_hour(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 1000);
    h.server.fault = SERVER_LATER;
    h.server.fault_count = 1;
    struct media_item *item = harness_item(&h, -1, NULL);
    assert_int_equal(media_item_probe(item), 0);
    for (int i = 0; i < 250 && h.probe_result == 0; i++)
        harness_turn(&h);
    assert_int_equal(h.probe_result, -ERR_MEDIA_STATUS);
    assert_int_equal(h.server.request_count, 1);
    media_item_close(item);
    harness_fini(&h);
}

static void test_media__a_read_of_an_unknown_file_probes_first(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 100000);
    struct media_item *item = harness_item(&h, -1, NULL);
    read_expect(&h, item, 99000, 4096, 1000);
    read_expect(&h, item, 100000, 4096, 0);
    read_expect(&h, item, -1, 4096, -EINVAL);
    assert_int_equal(h.record_count, 1);
    media_item_close(item);
    harness_fini(&h);
}

static void test_media__the_first_4_kib_fetch_one_window(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 50 * MB);
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 0, 4096, 4096);
    harness_spend(&h, 300);
    assert_int_equal(h.server.request_count, 1);
    assert_int_equal(h.server.requests[0].last, 256 * 1024 - 1);
    read_expect(&h, item, 4096, 100 * 1024, 100 * 1024);
    assert_int_equal(h.server.request_count, 1);
    media_item_close(item);
    harness_fini(&h);
}

static void test_media__a_copy_and_a_second_one_from_the_cache(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 10 * MB + 77);
    struct media_item *item = harness_known(&h);
    int64_t start_ms = clock_monotonic_ms(clock_system());
    for (int64_t offset = 0; offset < 10 * MB; offset += 131072)
        read_expect(&h, item, offset, 131072, 131072);
    read_expect(&h, item, 10 * MB, 131072, 77);
    print_message("cold copy of 10 MiB: %ld ms, %d requests\n",
                  (long)(clock_monotonic_ms(clock_system()) - start_ms), h.server.request_count);
    assert_true(media_item_is_complete(item));
    assert_int_equal(h.server.bytes_sent, 10 * MB + 77);
    media_item_close(item);
    harness_spend(&h, 1500);
    assert_int_equal(h.progress_bytes, 10 * MB + 77);
    media_free(h.media);
    harness_open_media(&h);
    h.server.fault = SERVER_FORBIDDEN;
    h.server.fault_count = -1;
    item = harness_known(&h);
    assert_true(media_item_is_complete(item));
    read_expect(&h, item, 3 * MB + 5, 131072, 131072);
    media_item_close(item);
    harness_fini(&h);
}

static void test_media__many_parked_readers_share_transfers(void **state)
{
    struct harness h;
    struct checked_read reads[200];
    (void)state;
    harness_init(&h, 8 * MB);
    h.server.delay_ms = 50;
    struct media_item *item = harness_known(&h);
    for (int i = 0; i < 200; i++)
        read_start(&h, item, &reads[i], (int64_t)(i % 50) * 16384, 16384);
    for (int i = 0; i < 200; i++)
        read_wait(&reads[i]);
    for (int i = 0; i < 200; i++)
        assert_int_equal(reads[i].result, 16384);
    assert_true(h.server.request_count <= 4);
    media_item_close(item);
    harness_fini(&h);
}

static void test_media__a_seek_to_the_tail_leaves_the_head_stream_alive(void **state)
{
    struct harness h;
    struct checked_read head;
    struct checked_read tail;
    (void)state;
    harness_init(&h, 40 * MB);
    h.server.delay_ms = 30;
    struct media_item *item = harness_known(&h);
    read_start(&h, item, &head, 0, 65536);
    read_start(&h, item, &tail, 40 * MB - 1000, 1000);
    read_wait(&tail);
    read_wait(&head);
    assert_int_equal(head.result, 65536);
    assert_int_equal(tail.result, 1000);
    assert_int_equal(h.server.request_count, 2);
    media_item_close(item);
    harness_fini(&h);
}

struct fault_row {
    enum server_fault fault;
    int count; /* so many requests are answered like this */
    int result;
};

/* A row says what one read of 100,000 bytes at 1,000,000 gets. */
static void test_media__each_fault_has_its_outcome(void **state)
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

static void test_media__an_expired_url_is_renewed_once_for_all(void **state)
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
static void test_media__a_refused_new_url_is_renewed_once_for_all(void **state)
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

static void test_media__a_url_may_expire_again_in_mid_stream(void **state)
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

static void test_media__a_url_past_its_time_does_not_bother_the_server(void **state)
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

static void test_media__a_silent_owner_costs_the_deadline_and_no_more(void **state)
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

static void test_media__another_version_ends_open_items_and_their_cache(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 4 * MB);
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 0, 1000, 1000);
    h.server.version = 2;
    read_expect(&h, item, 2 * MB, 1000, -ERR_MEDIA_CHANGED);
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

static void test_media__fetch_completes_what_readers_left(void **state)
{
    struct harness h;
    struct stat st;
    char path[96];
    (void)state;
    harness_init(&h, 20 * MB + 1);
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 9 * MB, 1000, 1000);
    assert_int_equal(media_item_fetch(item), 0);
    media_item_close(item); /* the fetch has its own reference */
    for (int i = 0; i < 500 && h.progress_bytes != 20 * MB + 1; i++)
        harness_turn(&h);
    assert_int_equal(h.progress_bytes, 20 * MB + 1);
    /* The window of the reader came once more: that is cheaper than a third request. */
    assert_int_equal(h.server.bytes_sent, 20 * MB + 1 + RANGE_WINDOW_FIRST_BYTES);
    assert_int_equal(h.server.request_count, 2);
    (void)snprintf(path, sizeof(path), "%s/7.mp4", h.directory);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 20 * MB + 1);
    harness_fini(&h);
}

static void test_media__fetch_says_why_it_failed(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 2 * MB);
    h.server.fault = SERVER_GONE;
    h.server.fault_count = -1;
    struct media_item *item = harness_item(&h, -1, NULL);
    assert_int_equal(media_item_probe(item), 0);
    assert_int_equal(media_item_fetch(item), 0);
    for (int i = 0; i < 100 && !h.fetch_result; i++)
        harness_turn(&h);
    assert_int_equal(h.probe_result, -ERR_MEDIA_GONE);
    assert_int_equal(h.fetch_result, -ERR_MEDIA_GONE);
    media_item_close(item);
    harness_fini(&h);
}

/* Somebody looks at the item all the time: what was read becomes durable all the same. */
static void test_media__opening_and_closing_does_not_postpone_the_map(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 1 * MB);
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 0, 4096, 4096);
    media_item_close(item);
    int64_t end_ms = clock_monotonic_ms(clock_system()) + 20 * 1000;
    while (h.progress_bytes == 0 && clock_monotonic_ms(clock_system()) < end_ms) {
        media_item_close(harness_known(&h));
        harness_turn(&h);
    }
    assert_true(h.progress_bytes > 0);
    harness_fini(&h);
}

/* The process that syncs, by its name: the test server is a child, too. */
static pid_t syncer_find(void)
{
    FILE *children = fopen("/proc/thread-self/children", "re");
    int pid;
    pid_t found = -1;
    assert_non_null(children);
    while (fscanf(children, "%d", &pid) == 1) {
        char path[64];
        char name[32] = "";
        (void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
        FILE *comm = fopen(path, "re");
        if (comm && fgets(name, sizeof(name), comm) && strcmp(name, "seedancefs-sync\n") == 0)
            found = pid;
        if (comm)
            (void)fclose(comm);
    }
    (void)fclose(children);
    return found;
}

static pid_t syncer_pid(struct harness *h)
{
    pid_t found = -1;
    for (int i = 0; i < 500 && (found = syncer_find()) < 0; i++) /* it names itself */
        harness_turn(h);
    assert_true(found > 0);
    return found;
}

static void test_media__a_disk_that_is_not_done_holds_up_nobody(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 4 * MB);
    pid_t pid = syncer_pid(&h);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 0, 131072, 131072);
    harness_spend(&h, 1500); /* it has been asked to sync */
    for (int64_t offset = 0; offset < 4 * MB; offset += 131072)
        read_expect(&h, item, offset, 131072, 131072);
    assert_int_equal(h.progress_bytes, 0);
    media_item_close(item);
    harness_spend(&h, 1500); /* nor is it forgotten when nobody has it open */
    assert_int_equal(kill(pid, SIGCONT), 0);
    for (int i = 0; i < 500 && h.progress_bytes != 4 * MB; i++)
        harness_turn(&h);
    assert_int_equal(h.progress_bytes, 4 * MB);
    harness_fini(&h);
}

static void test_media__evict_and_remove_delete_the_files(void **state)
{
    struct harness h;
    struct checked_read r;
    char path[96];
    (void)state;
    harness_init(&h, 1 * MB);
    (void)snprintf(path, sizeof(path), "%s/7.mp4", h.directory);
    struct media_item *item = harness_known(&h);
    h.server.delay_ms = 50;
    read_start(&h, item, &r, 0, 1000);
    assert_int_equal(media_item_evict(item), -EBUSY);
    read_wait(&r);
    harness_spend(&h, 200);
    assert_int_equal(media_item_evict(item), 0);
    assert_int_equal(media_item_cached_bytes(item), 0);
    assert_int_equal(access(path, F_OK), -1);
    read_expect(&h, item, 0, 1000, 1000);
    assert_int_equal(access(path, F_OK), 0);
    media_remove(h.media, 7, MEDIA_VIDEO);
    assert_int_equal(access(path, F_OK), -1);
    read_expect(&h, item, 500, 1000, 1000);
    media_item_close(item);
    harness_fini(&h);
}

/* Looks at n places of the item `id`, which brings 256 KiB each, closes it, and waits until that is
 * on disk. */
static void read_and_close(struct harness *h, int64_t id, int n)
{
    struct media_item *item = harness_item_of(h, id, h->server.size, "\"v1\"");
    for (int i = 0; i < n; i++)
        read_expect(h, item, (int64_t)i * 10 * MB, 4096, 4096);
    harness_spend(h, 20);
    for (int i = 0; i < 500 && item_transfer_count(item) > 0; i++)
        harness_turn(h);
    media_item_close(item);
    for (int i = 0; i < 500 && media_find(h->media, id, MEDIA_VIDEO); i++)
        harness_turn(h);
    assert_null(media_find(h->media, id, MEDIA_VIDEO));
    harness_turn(h);
}

static bool is_cached(const struct harness *h, int64_t id)
{
    char path[96];
    (void)snprintf(path, sizeof(path), "%s/%ld.map", h->directory, (long)id);
    return access(path, F_OK) == 0;
}

static void test_media__what_was_read_longest_ago_makes_room(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 80 * MB); /* not completed by itself */
    for (int64_t id = 1; id <= 4; id++)
        read_and_close(&h, id, 2);
    assert_int_equal(h.media->index.bytes, 2 * MB);
    read_and_close(&h, 1, 1); /* from the cache: now 2 is the oldest */
    media_free(h.media);
    /* After a restart the order is the same; 3 is to be kept, 4 is open. */
    h.cache_bytes_max = 2 * MB;
    h.kept_id = 3;
    harness_open_media(&h);
    struct media_item *item = harness_item_of(&h, 4, 80 * MB, "\"v1\"");
    read_and_close(&h, 5, 1);
    assert_true(h.media->index.bytes <= 2 * MB);
    assert_false(is_cached(&h, 2));
    assert_true(is_cached(&h, 1) && is_cached(&h, 3) && is_cached(&h, 4) && is_cached(&h, 5));
    read_expect(&h, item, 0, 4096, 4096);
    read_and_close(&h, 6, 6);
    assert_false(is_cached(&h, 1) || is_cached(&h, 5) || is_cached(&h, 6));
    assert_true(is_cached(&h, 3) && is_cached(&h, 4)); /* more than the limit, all the same */
    media_item_close(item);
    harness_fini(&h);
}

static bool has_file(const struct harness *h, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", h->directory, name);
    return access(path, F_OK) == 0;
}

/* What a crash has left without a map goes when it can be fetched again, and nothing else does. */
static void test_media__data_without_a_map_goes_only_if_it_can_be_fetched(void **state)
{
    static const struct {
        const char *name;
        bool is_gone;
    } rows[] = {{"12.mp4", true}, {"12.jpg", true},   {"13.mp4", false},
                {"x.mp4", false}, {"012.mp4", false}, {"notes", false}};
    struct harness h;
    (void)state;
    harness_init(&h, 1 * MB);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", h.directory, rows[i].name);
        (void)close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    media_free(h.media);
    h.kept_id = 13;
    harness_open_media(&h);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(has_file(&h, rows[i].name));
    harness_turn(&h);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(has_file(&h, rows[i].name), !rows[i].is_gone);
    harness_fini(&h);
}

/* The whole file is on disk, and was not looked at since the last start. */
static void harness_archived(struct harness *h, int64_t size, bool is_refetchable_)
{
    harness_init(h, size);
    struct media_item *item = harness_known(h);
    assert_int_equal(media_item_fetch(item), 0);
    media_item_close(item);
    for (int i = 0; i < 500 && (h->progress_bytes != size || media_find(h->media, 7, MEDIA_VIDEO));
         i++)
        harness_turn(h);
    assert_int_equal(h->progress_bytes, size);
    media_free(h->media);
    h->kept_id = is_refetchable_ ? 0 : 7;
    h->url_policy = URL_FAIL;
    h->server.fault = is_refetchable_ ? SERVER_FINE : SERVER_GONE;
    h->server.fault_count = -1;
    h->server.request_count = 0;
    harness_open_media(h);
}

static void harness_file_write(const struct harness *h, const char *name, int64_t offset,
                               const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", h->directory, name);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, text, strlen(text), offset), strlen(text));
    (void)close(fd);
}

/* No descriptor is left: nothing is lost, and nothing is fetched, until there are some again. */
static void test_media__without_descriptors_the_cache_is_left_alone(void **state)
{
    static const bool is_known[] = {true, false};
    (void)state;
    for (size_t i = 0; i < sizeof(is_known) / sizeof(is_known[0]); i++) {
        struct harness h;
        struct rlimit few;
        struct rlimit all;
        harness_archived(&h, 2 * MB, is_known[i]);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
        few = all;
        few.rlim_cur = 3; /* those that are open stay so */
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        struct media_item *item = harness_known(&h);
        assert_int_equal(media_item_cached_bytes(item), -1);
        assert_false(media_item_is_durable(item));
        read_expect(&h, item, 1 * MB, 4096, -EMFILE);
        assert_int_equal(media_item_fetch(item), 0);
        for (int turn = 0; turn < 100 && !h.fetch_result; turn++)
            harness_turn(&h);
        assert_int_equal(h.fetch_result, -EMFILE);
        assert_int_equal(h.server.request_count, 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
        /* The same handle, and another open of the same item. */
        if (i == 0)
            read_expect(&h, item, 1 * MB, 4096, 4096);
        struct media_item *again = harness_known(&h);
        assert_ptr_equal(again, item);
        assert_true(media_item_is_durable(again));
        read_expect(&h, again, 0, 2 * MB, 2 * MB);
        assert_int_equal(h.server.request_count, 0);
        assert_int_equal(h.damage_count, 0);
        media_item_close(item);
        media_item_close(again);
        harness_fini(&h);
    }
}

/* That bytes cannot be read says nothing of them: they are neither dropped nor fetched over. */
static void test_media__a_read_of_the_cache_that_fails_is_no_rot(void **state)
{
    struct harness h;
    char path[128];
    (void)state;
    harness_archived(&h, 2 * MB, true);
    struct media_item *item = harness_known(&h);
    (void)snprintf(path, sizeof(path), "%s/7.mp4", h.directory);
    int kept = dup(item->cache.fd);
    int write_only = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(dup2(write_only, item->cache.fd), item->cache.fd);
    read_expect(&h, item, 1 * MB, 4096, -EIO);
    assert_int_equal(dup2(kept, item->cache.fd), item->cache.fd);
    read_expect(&h, item, 0, 2 * MB, 2 * MB);
    assert_int_equal(h.server.request_count, 0);
    assert_int_equal(h.damage_count, 0);
    (void)close(kept);
    (void)close(write_only);
    media_item_close(item);
    harness_fini(&h);
}

static void test_media__a_damaged_block_is_fetched_again(void **state)
{
    struct harness h;
    (void)state;
    harness_archived(&h, 2 * MB, true);
    harness_file_write(&h, "7.mp4", 1 * MB + 5, "rot");
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 0, 2 * MB, 2 * MB);
    for (int i = 0; i < 500 && !media_item_is_durable(item); i++)
        harness_turn(&h);
    assert_true(media_item_is_durable(item));
    assert_int_equal(h.damage_count, 0);
    assert_true(h.server.bytes_sent < 3 * MB);
    media_item_close(item);
    harness_fini(&h);
}

static void test_media__a_damaged_block_of_a_last_copy_stays_with_the_rest(void **state)
{
    struct harness h;
    (void)state;
    harness_archived(&h, 2 * MB, false);
    harness_file_write(&h, "7.mp4", 1 * MB + 5, "rot");
    for (int start = 0; start < 2; start++) { /* the second one knows what the first one found */
        struct media_item *item = harness_known(&h);
        assert_int_equal(media_item_is_durable(item), start == 0);
        read_expect(&h, item, 1 * MB, 4096, -ERR_MEDIA_GONE);
        harness_turn(&h);
        assert_int_equal(h.damage_count, start + 1);
        assert_int_equal(h.damage_bytes, BLOCK_MAP_BLOCK_BYTES);
        assert_string_equal(h.damage_kept, "");
        assert_int_equal(h.progress_bytes, 2 * MB - BLOCK_MAP_BLOCK_BYTES);
        assert_false(media_item_is_durable(item));
        read_expect(&h, item, 0, 1 * MB, 1 * MB);
        read_expect(&h, item, 1 * MB + 65536, 1 * MB, 1 * MB - 65536);
        media_item_close(item);
        media_free(h.media);
        harness_open_media(&h);
    }
    /* The server has it again. */
    h.server.fault = SERVER_FINE;
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 0, 2 * MB, 2 * MB);
    for (int i = 0; i < 500 && !media_item_is_durable(item); i++)
        harness_turn(&h);
    assert_true(media_item_is_durable(item));
    media_item_close(item);
    harness_fini(&h);
}

/* All that is proven wrong: dropped if it can be fetched again, else kept, and its owner is told.
 * */
static void test_media__a_last_copy_with_a_damaged_map_is_kept(void **state)
{
    static const bool is_known[] = {true, false};
    (void)state;
    for (size_t i = 0; i < sizeof(is_known) / sizeof(is_known[0]); i++) {
        struct harness h;
        harness_archived(&h, 2 * MB, is_known[i]);
        harness_file_write(&h, "7.map", 20, "rot");
        media_item_close(harness_known(&h));
        harness_turn(&h);
        assert_false(has_file(&h, "7.mp4") || has_file(&h, "7.map"));
        assert_int_equal(has_file(&h, "7.mp4.damaged") && has_file(&h, "7.map.damaged"),
                         !is_known[i]);
        assert_int_equal(h.damage_count, !is_known[i]);
        assert_string_equal(h.damage_kept, is_known[i] ? "" : "7.mp4.damaged");
        struct media_item *item = harness_known(&h);
        assert_int_equal(media_item_cached_bytes(item), 0);
        read_expect(&h, item, 0, 4096, is_known[i] ? 4096 : -ERR_MEDIA_GONE);
        media_item_close(item);
        assert_int_equal(h.damage_count, !is_known[i]);
        /* Its job is removed. */
        media_remove(h.media, 7, MEDIA_VIDEO);
        assert_false(has_file(&h, "7.mp4.damaged") || has_file(&h, "7.map.damaged"));
        harness_fini(&h);
    }
}

/* One that cannot be renamed stays where it is, and is not written over. */
static void test_media__what_cannot_be_kept_elsewhere_stays(void **state)
{
    struct harness h;
    (void)state;
    harness_archived(&h, 2 * MB, false);
    harness_file_write(&h, "7.map", 20, "rot");
    for (int number = 1; number <= 100; number++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/7.map.damaged", h.directory);
        size_t len = strlen(path);
        if (number > 1)
            (void)snprintf(path + len, sizeof(path) - len, ".%d", number);
        (void)close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    h.server.fault = SERVER_FINE;
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 0, 4096, -EIO);
    assert_true(has_file(&h, "7.mp4") && has_file(&h, "7.map"));
    assert_int_equal(h.server.request_count, 0);
    media_item_close(item);
    harness_fini(&h);
}

/* The server has another version now; a whole copy of the old one is the last there is. */
static void test_media__the_last_copy_of_an_old_version_is_kept(void **state)
{
    struct harness h;
    (void)state;
    harness_archived(&h, 2 * MB, true);
    harness_file_write(&h, "7.mp4", 1 * MB + 5, "rot");
    h.server.version = 2;
    struct media_item *item = harness_known(&h);
    read_expect(&h, item, 1 * MB, 4096, -ERR_MEDIA_CHANGED);
    assert_true(has_file(&h, "7.mp4.damaged"));
    assert_string_equal(h.damage_kept, "7.mp4.damaged");
    assert_int_equal(h.record_size, -1);
    media_item_close(item);
    /* A part of one is not. */
    h.version = 2;
    item = harness_item(&h, -1, NULL);
    read_expect(&h, item, 0, 4096, 4096);
    h.server.version = 3;
    read_expect(&h, item, 1 * MB, 4096, -ERR_MEDIA_CHANGED);
    assert_false(has_file(&h, "7.mp4") || has_file(&h, "7.mp4.damaged.2"));
    assert_int_equal(h.damage_count, 1);
    media_item_close(item);
    harness_fini(&h);
}

/* From the last byte on it takes no longer than the disk does. */
static void test_media__the_last_byte_makes_it_durable_at_once(void **state)
{
    struct harness h;
    (void)state;
    harness_init(&h, 4 * MB);
    struct media_item *item = harness_known(&h);
    for (int64_t offset = 0; offset < 4 * MB; offset += 131072)
        read_expect(&h, item, offset, 131072, 131072);
    int64_t start_ms = clock_monotonic_ms(clock_system());
    assert_true(media_item_is_durable(item) || item->is_syncing || item->timer.due_ms <= start_ms);
    while (!media_item_is_durable(item) && clock_monotonic_ms(clock_system()) < start_ms + 5000)
        harness_turn(&h);
    int64_t took_ms = clock_monotonic_ms(clock_system()) - start_ms;
    print_message("durable after %ld ms\n", (long)took_ms);
    assert_true(took_ms < ITEM_PERSIST_MS);
    media_item_close(item);
    harness_fini(&h);
}

static void test_media__free_answers_parked_reads(void **state)
{
    struct harness h;
    struct checked_read reads[20];
    (void)state;
    harness_init(&h, 64 * MB);
    h.server.fault = SERVER_HANG;
    h.server.fault_count = -1;
    struct media_item *item = harness_known(&h);
    for (int i = 0; i < 20; i++)
        read_start(&h, item, &reads[i], i * 3 * MB, 4096);
    harness_spend(&h, 50);
    media_item_close(item);
    h.media = media_free(h.media);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(reads[i].calls, 1);
        assert_int_equal(reads[i].result, -ENOTCONN);
    }
    harness_fini(&h);
}

static void test_media__cancelled_reads_are_never_called(void **state)
{
    struct harness h;
    struct checked_read *reads = calloc(1000, sizeof(*reads));
    (void)state;
    harness_init(&h, 64 * MB);
    struct media_item *item = harness_known(&h);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 1000; i++)
            read_start(&h, item, &reads[i], (int64_t)((i * 7919 + round) % 16000) * 4096, 4096);
        for (int i = 0; i < 1000; i++) {
            if (reads[i].calls == 0 && i % 10 != 0) {
                media_read_cancel(&reads[i].read);
                reads[i].calls = -1;
            }
            if (i % 100 == 0)
                harness_turn(&h);
        }
        for (int i = 0; i < 1000; i++) {
            if (reads[i].calls >= 0)
                read_wait(&reads[i]);
            media_read_cancel(&reads[i].read); /* harmless */
            assert_true(reads[i].calls == -1 || reads[i].result == 4096);
        }
    }
    media_item_close(item);
    free(reads);
    harness_fini(&h);
}

static void test_media__a_full_disk_streams_without_cache(void **state)
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
static void test_media__random_reads_with_faults_are_right(void **state)
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
        cmocka_unit_test(test_media__probe_finds_size_and_etag),
        cmocka_unit_test(test_media__a_probe_brings_both_ends),
        cmocka_unit_test(test_media__a_probe_needs_the_head_of_the_response_alone),
        cmocka_unit_test(test_media__who_reads_on_gets_the_rest_who_looks_does_not),
        cmocka_unit_test(test_media__the_rest_of_a_clip_waits_for_its_reader),
        cmocka_unit_test(test_media__what_is_held_back_for_long_is_given_up),
        cmocka_unit_test(test_media__a_clip_costs_a_bounded_number_of_requests),
        cmocka_unit_test(test_media__what_nobody_reads_any_more_stops),
        cmocka_unit_test(test_media__a_probe_is_not_put_off_for_an_hour),
        cmocka_unit_test(test_media__a_read_of_an_unknown_file_probes_first),
        cmocka_unit_test(test_media__the_first_4_kib_fetch_one_window),
        cmocka_unit_test(test_media__a_copy_and_a_second_one_from_the_cache),
        cmocka_unit_test(test_media__many_parked_readers_share_transfers),
        cmocka_unit_test(test_media__a_seek_to_the_tail_leaves_the_head_stream_alive),
        cmocka_unit_test(test_media__each_fault_has_its_outcome),
        cmocka_unit_test(test_media__an_expired_url_is_renewed_once_for_all),
        cmocka_unit_test(test_media__a_refused_new_url_is_renewed_once_for_all),
        cmocka_unit_test(test_media__a_url_may_expire_again_in_mid_stream),
        cmocka_unit_test(test_media__a_url_past_its_time_does_not_bother_the_server),
        cmocka_unit_test(test_media__a_silent_owner_costs_the_deadline_and_no_more),
        cmocka_unit_test(test_media__another_version_ends_open_items_and_their_cache),
        cmocka_unit_test(test_media__fetch_completes_what_readers_left),
        cmocka_unit_test(test_media__fetch_says_why_it_failed),
        cmocka_unit_test(test_media__opening_and_closing_does_not_postpone_the_map),
        cmocka_unit_test(test_media__a_disk_that_is_not_done_holds_up_nobody),
        cmocka_unit_test(test_media__evict_and_remove_delete_the_files),
        cmocka_unit_test(test_media__what_was_read_longest_ago_makes_room),
        cmocka_unit_test(test_media__data_without_a_map_goes_only_if_it_can_be_fetched),
        cmocka_unit_test(test_media__without_descriptors_the_cache_is_left_alone),
        cmocka_unit_test(test_media__a_read_of_the_cache_that_fails_is_no_rot),
        cmocka_unit_test(test_media__a_damaged_block_is_fetched_again),
        cmocka_unit_test(test_media__a_damaged_block_of_a_last_copy_stays_with_the_rest),
        cmocka_unit_test(test_media__a_last_copy_with_a_damaged_map_is_kept),
        cmocka_unit_test(test_media__what_cannot_be_kept_elsewhere_stays),
        cmocka_unit_test(test_media__the_last_copy_of_an_old_version_is_kept),
        cmocka_unit_test(test_media__the_last_byte_makes_it_durable_at_once),
        cmocka_unit_test(test_media__free_answers_parked_reads),
        cmocka_unit_test(test_media__cancelled_reads_are_never_called),
        cmocka_unit_test(test_media__a_full_disk_streams_without_cache),
        cmocka_unit_test(test_media__random_reads_with_faults_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
