/* Cached bytes are made durable by another process: in order, and whatever becomes of it or of the
 * files. */
#include "media/syncer.h"
#include "seedancefs/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = BLOCK_MAP_BLOCK_BYTES };

struct world {
    char path[64];
    int fd;
    struct loop *loop;
    struct syncer *syncer;
    struct cache_file cache;
    struct cache_sync_result result;
    int calls;
};

static const struct cache_key key = {.id = 1, .kind = MEDIA_VIDEO};

static void world_init(struct world *w)
{
    *w = (struct world){.fd = -1};
    log_configure(LOG_ERROR, 2);
    (void)snprintf(w->path, sizeof(w->path), "/tmp/test-syncer-XXXXXX");
    assert_non_null(mkdtemp(w->path));
    w->fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(loop_new(clock_system(), &w->loop), 0);
    assert_int_equal(syncer_new(w->loop, w->fd, &w->syncer), 0);
    cache_init(&w->cache, w->fd, key.id, MEDIA_VIDEO);
    assert_int_equal(cache_load(&w->cache, INT64_C(8) * BLOCK, "e"), 0);
}

static void world_fini(struct world *w)
{
    char command[96];
    cache_fini(&w->cache);
    w->syncer = syncer_free(w->syncer);
    loop_free(w->loop);
    (void)close(w->fd);
    (void)snprintf(command, sizeof(command), "rm -rf %s", w->path);
    assert_int_equal(system(command), 0);
}

static void put(struct world *w, int64_t block)
{
    static char bytes[BLOCK];
    memset(bytes, (int)('a' + block), sizeof(bytes));
    assert_int_equal(cache_write(&w->cache, 0, block * BLOCK, bytes, sizeof(bytes), NULL, NULL), 0);
}

static void on_synced(void *context, struct cache_sync_result result)
{
    struct world *w = context;
    w->calls++;
    w->result = result;
}

static void start(struct world *w)
{
    assert_int_equal(cache_persist_begin(&w->cache), 1);
    assert_int_equal(syncer_start(w->syncer, &key, w->cache.fd, on_synced, w), 0);
    assert_true(syncer_has(w->syncer, &key));
}

static void wait_for(struct world *w, int calls)
{
    for (int i = 0; i < 500 && w->calls < calls; i++)
        assert_int_equal(loop_run_once(w->loop, 20), 0);
    assert_int_equal(w->calls, calls);
}

/* What a program that starts now would find. */
static int64_t bytes_after_restart(const struct world *w)
{
    struct cache_file cache;
    cache_init(&cache, w->fd, key.id, MEDIA_VIDEO);
    assert_int_equal(cache_load(&cache, INT64_C(8) * BLOCK, "e"), 0);
    int64_t bytes = cache.present.bytes;
    cache_fini(&cache);
    return bytes;
}

static void test_syncer__the_map_says_what_was_there_when_it_was_asked(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    put(&w, 0);
    put(&w, 1);
    start(&w);
    put(&w, 2); /* not part of it */
    wait_for(&w, 1);
    assert_false(syncer_has(w.syncer, &key));
    assert_int_equal(cache_persist_end(&w.cache, 0, w.result), 0);
    assert_int_equal(w.cache.durable_bytes, 2 * BLOCK);
    assert_int_equal(w.cache.dirty_bytes, BLOCK);
    assert_int_equal(bytes_after_restart(&w), 2 * BLOCK);
    start(&w);
    wait_for(&w, 2);
    assert_int_equal(cache_persist_end(&w.cache, 0, w.result), 0);
    assert_int_equal(w.cache.dirty_bytes, 0);
    assert_int_equal(bytes_after_restart(&w), 3 * BLOCK);
    world_fini(&w);
}

static void test_syncer__what_was_dropped_meanwhile_stays_dropped(void **state)
{
    struct world w;
    (void)state;
    for (int turns = 0; turns < 2; turns++) {
        world_init(&w);
        put(&w, 0);
        start(&w);
        if (turns > 0)
            wait_for(&w, 1); /* done over there, not yet taken note of here */
        assert_int_equal(cache_drop(&w.cache), 0);
        wait_for(&w, 1);
        assert_int_equal(cache_persist_end(&w.cache, 0, w.result), 0);
        assert_int_equal(w.cache.durable_bytes, 0);
        assert_int_equal(w.cache.disk_error, 0);
        assert_int_equal(faccessat(w.fd, "1.map", F_OK, 0), -1);
        assert_int_equal(faccessat(w.fd, "1.map.tmp", F_OK, 0), -1);
        world_fini(&w);
    }
}

static void test_syncer__freeing_it_waits_for_what_is_under_way(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    put(&w, 3);
    start(&w);
    w.syncer = syncer_free(w.syncer);
    assert_int_equal(w.calls, 1);
    assert_int_equal(w.result.result, 0);
    assert_int_equal(bytes_after_restart(&w), BLOCK);
    world_fini(&w);
}

static pid_t child_pid(void)
{
    char line[64] = "";
    FILE *children = fopen("/proc/thread-self/children", "re");
    assert_non_null(children);
    assert_non_null(fgets(line, sizeof(line), children));
    (void)fclose(children);
    return (pid_t)strtol(line, NULL, 10);
}

static void test_syncer__without_its_process_the_work_comes_back(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    pid_t pid = child_pid();
    put(&w, 0);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    start(&w);
    assert_int_equal(kill(pid, SIGKILL), 0);
    wait_for(&w, 1);
    assert_int_equal(w.result.result, -EPIPE);
    assert_false(w.result.is_data_lost);
    assert_int_equal(syncer_start(w.syncer, &key, w.cache.fd, on_synced, &w), -EPIPE);
    assert_int_equal(cache_persist(&w.cache, 0), 0);
    assert_int_equal(bytes_after_restart(&w), BLOCK);
    world_fini(&w);
}

/* A descriptor more would keep a deleted file, a lock or the mount alive. */
static void test_syncer__holds_nothing_of_ours(void **state)
{
    struct world w;
    char path[64];
    (void)state;
    world_init(&w);
    put(&w, 0);
    start(&w);
    wait_for(&w, 1);
    for (int fd = 5; fd < 64; fd++) {
        (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)child_pid(), fd);
        assert_int_equal(access(path, F_OK), -1);
    }
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syncer__the_map_says_what_was_there_when_it_was_asked),
        cmocka_unit_test(test_syncer__what_was_dropped_meanwhile_stays_dropped),
        cmocka_unit_test(test_syncer__freeing_it_waits_for_what_is_under_way),
        cmocka_unit_test(test_syncer__without_its_process_the_work_comes_back),
        cmocka_unit_test(test_syncer__holds_nothing_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
