/* Who waits: parked reads of `wait` and `events`, and wakers of poll(2), each woken when it should
 * be, and not else. */
#include "../job/job_harness.h"

#include "fake_media.h"
#include "tree/tree_private.h"

#include <poll.h>

enum { OWNER = 1000 };

static const struct tree_caller owner = {.uid = OWNER, .gid = OWNER};

struct forest {
    struct world w;
    struct media media;
    struct tree *tree;
};

struct response {
    struct tree_read_state *parked;
    char text[4096];
    int result;
    int calls;
};

struct waker {
    int woken;
    int dropped;
};

static void wake(void *context)
{
    struct waker *waker = context;
    assert_int_equal(waker->dropped, 0);
    waker->woken++;
}

static void drop(void *context)
{
    struct waker *waker = context;
    waker->dropped++;
}

static void forest_init(struct forest *f)
{
    *f = (struct forest){.tree = NULL};
    world_init(&f->w);
    struct tree_settings settings = {.frames_fd = -1,
                                     .jobs = f->w.jobs,
                                     .store = f->w.store,
                                     .media = &f->media,
                                     .timers = &f->w.timers,
                                     .clock = &f->w.clock.clock,
                                     .data_directory = f->w.directory,
                                     .directory_fd = f->w.directory_fd};
    assert_int_equal(tree_new(&settings, &f->tree), 0);
    f->tree->uid = f->tree->gid = OWNER;
    f->w.jobs->settings.hooks = (struct job_hooks){.context = NULL};
    tree_job_hooks_fill(&f->tree, &f->w.jobs->settings.hooks);
    tree_waker_set(f->tree, wake, drop);
}

static void forest_fini(struct forest *f)
{
    assert_null(f->tree->watch_reads);
    assert_null(f->tree->watches);
    f->tree = tree_free(f->tree);
    world_fini(&f->w);
}

static struct tree_handle *open_path(struct forest *f, const char *job, const char *name)
{
    struct tree_entry entry = {.st = {.st_ino = TREE_ROOT_INO}};
    struct tree_open_result opened;
    if (job) {
        assert_int_equal(tree_lookup(f->tree, TREE_ROOT_INO, "jobs", &entry), 0);
        assert_int_equal(tree_lookup(f->tree, entry.st.st_ino, job, &entry), 0);
    }
    assert_int_equal(tree_lookup(f->tree, entry.st.st_ino, name, &entry), 0);
    assert_int_equal(tree_open(f->tree, entry.st.st_ino, O_RDONLY, &owner, &opened), 0);
    assert_true(opened.is_direct);
    return opened.handle;
}

static void response_take(void *context, int result, const struct tree_bytes *bytes)
{
    struct response *response = context;
    assert_null(response->parked);
    response->calls++;
    response->result = result;
    response->text[0] = '\0';
    if (bytes) {
        assert_true(bytes->len < sizeof(response->text));
        memcpy(response->text, bytes->memory, bytes->len);
        response->text[bytes->len] = '\0';
    }
}

static void read_at(struct tree_handle *handle, int64_t offset, struct response *response)
{
    *response = (struct response){.result = 1};
    tree_read(handle, 4000, offset, response_take, response, &response->parked);
    assert_int_equal(response->calls, response->parked ? 0 : 1);
}

static void turn(struct forest *f)
{
    timers_run(&f->w.timers);
}

/* The next response about the task. */
static void task_says(struct forest *f, struct job *job, const char *word)
{
    while (!call_of(&f->w, job))
        world_run(&f->w, timers_next_ms(&f->w.timers));
    poll_status(call_of(&f->w, job), word);
}

static void test_watch__wait_is_answered_with_the_end_and_not_before(void **state UNUSED)
{
    struct forest f;
    struct response first;
    struct response second;
    struct response cancelled;
    forest_init(&f);
    struct job *job = job_make_named(&f.w, "cat");
    struct tree_handle *handle = open_path(&f, "cat", "wait");
    read_at(handle, 0, &first);
    read_at(handle, 0, &second);
    read_at(handle, 0, &cancelled);
    assert_true(first.parked && tree_read_is_interruptible(first.parked));
    tree_read_cancel(cancelled.parked);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    world_run(&f.w, 0);
    create_accept(call_of(&f.w, job), "cgt-1");
    turn(&f);
    task_says(&f, job, "running");
    turn(&f);
    assert_int_equal(first.calls, 0);
    task_says(&f, job, "failed");
    turn(&f);
    assert_int_equal(first.calls, 1);
    assert_string_equal(first.text, "failed\n");
    assert_int_equal(second.calls, 1);
    assert_int_equal(cancelled.calls, 0);
    /* What was given once is what this handle holds. */
    assert_int_equal(job_to_draft(job), 0);
    read_at(handle, 7, &first);
    assert_int_equal(first.result, 0);
    tree_release(handle);
    handle = open_path(&f, "cat", "wait");
    tree_read_nonblocking_set(handle, true);
    read_at(handle, 0, &first);
    assert_int_equal(first.result, -EAGAIN);
    tree_release(handle);
    forest_fini(&f);
}

static void test_watch__wait_ends_with_the_job_itself(void **state UNUSED)
{
    struct forest f;
    struct response removed;
    struct response replaced;
    struct response stays;
    struct tree_entry jobs;
    forest_init(&f);
    (void)job_make_named(&f.w, "cat");
    (void)job_make_named(&f.w, "dog");
    (void)job_make_named(&f.w, "fish");
    struct tree_handle *cat = open_path(&f, "cat", "wait");
    struct tree_handle *dog = open_path(&f, "dog", "wait");
    struct tree_handle *fish = open_path(&f, "fish", "wait");
    read_at(cat, 0, &removed);
    read_at(dog, 0, &replaced);
    read_at(fish, 0, &stays);
    assert_int_equal(tree_lookup(f.tree, TREE_ROOT_INO, "jobs", &jobs), 0);
    assert_int_equal(tree_rmdir(f.tree, jobs.st.st_ino, "cat", &owner), 0);
    turn(&f);
    assert_int_equal(removed.result, -ENOENT);
    assert_int_equal(tree_rename(f.tree, jobs.st.st_ino, "fish", jobs.st.st_ino, "dog", 0, &owner),
                     0);
    turn(&f);
    assert_int_equal(replaced.result, -ENOENT);
    assert_int_equal(stays.calls, 0);
    tree_read_cancel(stays.parked);
    tree_release(cat);
    tree_release(dog);
    tree_release(fish);
    forest_fini(&f);
}

static void test_watch__every_reader_of_events_gets_every_line(void **state UNUSED)
{
    struct forest f;
    struct response responses[3];
    forest_init(&f);
    (void)job_make_named(&f.w, "cat");
    struct tree_handle *handle = open_path(&f, NULL, "events");
    read_at(handle, 0, &responses[0]);
    assert_int_equal(responses[0].calls, 1);
    int64_t end = responses[0].result;
    for (size_t i = 0; i < ARRAY_COUNT(responses); i++)
        read_at(handle, end, &responses[i]);
    turn(&f);
    assert_non_null(responses[0].parked);
    (void)job_make_named(&f.w, "dog");
    turn(&f);
    for (size_t i = 0; i < ARRAY_COUNT(responses); i++)
        assert_non_null(strstr(responses[i].text, "\"job\":\"dog\""));
    tree_read_nonblocking_set(handle, true);
    read_at(handle, end + responses[0].result, &responses[0]);
    assert_int_equal(responses[0].result, -EAGAIN);
    tree_release(handle);
    forest_fini(&f);
}

static void test_watch__a_waker_is_woken_once_and_always_dropped(void **state UNUSED)
{
    struct forest f;
    struct response response;
    struct waker wakers[4] = {{0, 0}};
    forest_init(&f);
    struct job *job = job_queued(&f.w, "cat", "cgt-1");
    struct job *other = job_queued(&f.w, "dog", "cgt-2");
    struct tree_handle *handle = open_path(&f, "cat", "status");
    assert_true(tree_poll(handle, &wakers[0]) & POLLIN); /* not read yet */
    read_at(handle, 0, &response);
    assert_int_equal(tree_poll(handle, &wakers[1]), 0);
    assert_int_equal(wakers[0].dropped, 1); /* the next one takes its place */
    assert_int_equal(wakers[0].woken, 0);
    task_says(&f, other, "running");
    turn(&f);
    assert_int_equal(wakers[1].woken, 0);
    task_says(&f, job, "running");
    turn(&f);
    assert_int_equal(wakers[1].woken, 1);
    assert_int_equal(wakers[1].dropped, 1);
    assert_int_equal(tree_poll(handle, &wakers[2]) & (POLLIN | POLLPRI), POLLIN | POLLPRI);
    /* Its end is not its beginning: only there is what is new. */
    read_at(handle, response.result, &response);
    assert_int_equal(response.result, 0);
    assert_true(tree_poll(handle, NULL) & POLLPRI);
    assert_int_equal(wakers[2].dropped, 1);
    read_at(handle, 0, &response);
    assert_string_equal(response.text, "running\n");
    assert_int_equal(tree_poll(handle, &wakers[3]), 0);
    tree_release(handle);
    assert_int_equal(wakers[3].woken, 0);
    assert_int_equal(wakers[3].dropped, 1);
    forest_fini(&f);
}

static void test_watch__what_is_always_ready_keeps_no_waker(void **state UNUSED)
{
    struct forest f;
    struct waker waker = {0, 0};
    struct tree_open_result opened;
    struct tree_entry entry;
    forest_init(&f);
    assert_int_equal(tree_lookup(f.tree, TREE_ROOT_INO, "README.txt", &entry), 0);
    assert_int_equal(tree_open(f.tree, entry.st.st_ino, O_RDONLY, &owner, &opened), 0);
    assert_int_equal(tree_poll(opened.handle, &waker) & (POLLIN | POLLOUT), POLLIN | POLLOUT);
    assert_int_equal(waker.dropped, 1);
    tree_release(opened.handle);
    assert_int_equal(waker.dropped, 1);
    forest_fini(&f);
}

static void test_watch__no_tick_unless_somebody_polls_what_goes_on(void **state UNUSED)
{
    struct forest f;
    struct response response;
    struct waker waker = {0, 0};
    forest_init(&f);
    struct job *job = job_queued(&f.w, "cat", "cgt-1");
    task_says(&f, job, "running");
    struct tree_handle *handle = open_path(&f, "cat", "progress");
    read_at(handle, 0, &response);
    assert_false(timer_is_set(&f.tree->tick_timer));
    (void)tree_poll(handle, &waker);
    assert_true(timer_is_set(&f.tree->tick_timer));
    world_run(&f.w, 1000);
    assert_int_equal(waker.woken, 1);
    assert_false(timer_is_set(&f.tree->tick_timer)); /* nobody has polled again */
    tree_release(handle);
    forest_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch__wait_is_answered_with_the_end_and_not_before),
        cmocka_unit_test(test_watch__wait_ends_with_the_job_itself),
        cmocka_unit_test(test_watch__every_reader_of_events_gets_every_line),
        cmocka_unit_test(test_watch__a_waker_is_woken_once_and_always_dropped),
        cmocka_unit_test(test_watch__what_is_always_ready_keeps_no_waker),
        cmocka_unit_test(test_watch__no_tick_unless_somebody_polls_what_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
