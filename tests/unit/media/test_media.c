/*
 * The whole layer against a server of its own: many readers of known bytes. The oracle is
 * server_byte(): no read may ever return anything else.
 */
#include "media_harness.h"

#include "media/item.h"

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
    assert_bytes_sent(&h.server, 10 * MB + 77);
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
    assert_bytes_sent(&h.server, 20 * MB + 1 + RANGE_WINDOW_FIRST_BYTES);
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
        cmocka_unit_test(test_media__fetch_completes_what_readers_left),
        cmocka_unit_test(test_media__fetch_says_why_it_failed),
        cmocka_unit_test(test_media__free_answers_parked_reads),
        cmocka_unit_test(test_media__cancelled_reads_are_never_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
