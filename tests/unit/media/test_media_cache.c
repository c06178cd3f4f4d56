/*
 * What of a video is kept on disk, for how long, and what happens to it when the disk fails or
 * its bytes are wrong.
 */
#include "media_harness.h"

#include "media/item.h"

#include <signal.h>
#include <sys/resource.h>

enum { MB = 1024 * 1024 };

/* Somebody looks at the item all the time: what was read becomes durable all the same. */
static void test_media_cache__opening_and_closing_does_not_postpone_the_map(void **state)
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

static void test_media_cache__a_disk_that_is_not_done_holds_up_nobody(void **state)
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

static void test_media_cache__evict_and_remove_delete_the_files(void **state)
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

static void test_media_cache__what_was_read_longest_ago_makes_room(void **state)
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
static void test_media_cache__data_without_a_map_goes_only_if_it_can_be_fetched(void **state)
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
static void test_media_cache__without_descriptors_the_cache_is_left_alone(void **state)
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
static void test_media_cache__a_read_of_the_cache_that_fails_is_no_rot(void **state)
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

static void test_media_cache__a_damaged_block_is_fetched_again(void **state)
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

static void test_media_cache__a_damaged_block_of_a_last_copy_stays_with_the_rest(void **state)
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
static void test_media_cache__a_last_copy_with_a_damaged_map_is_kept(void **state)
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
static void test_media_cache__what_cannot_be_kept_elsewhere_stays(void **state)
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
static void test_media_cache__the_last_copy_of_an_old_version_is_kept(void **state)
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
static void test_media_cache__the_last_byte_makes_it_durable_at_once(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_cache__opening_and_closing_does_not_postpone_the_map),
        cmocka_unit_test(test_media_cache__a_disk_that_is_not_done_holds_up_nobody),
        cmocka_unit_test(test_media_cache__evict_and_remove_delete_the_files),
        cmocka_unit_test(test_media_cache__what_was_read_longest_ago_makes_room),
        cmocka_unit_test(test_media_cache__data_without_a_map_goes_only_if_it_can_be_fetched),
        cmocka_unit_test(test_media_cache__without_descriptors_the_cache_is_left_alone),
        cmocka_unit_test(test_media_cache__a_read_of_the_cache_that_fails_is_no_rot),
        cmocka_unit_test(test_media_cache__a_damaged_block_is_fetched_again),
        cmocka_unit_test(test_media_cache__a_damaged_block_of_a_last_copy_stays_with_the_rest),
        cmocka_unit_test(test_media_cache__a_last_copy_with_a_damaged_map_is_kept),
        cmocka_unit_test(test_media_cache__what_cannot_be_kept_elsewhere_stays),
        cmocka_unit_test(test_media_cache__the_last_copy_of_an_old_version_is_kept),
        cmocka_unit_test(test_media_cache__the_last_byte_makes_it_durable_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
