/* The views: which job stands where, for how long, and what their directories' times say. */
#include "forest.h"

static int64_t time_of(struct forest *f, uint64_t ino)
{
    struct tree_entry entry;
    assert_int_equal(tree_getattr(f->tree, ino, &entry), 0);
    return (int64_t)entry.st.st_mtim.tv_sec * 1000 + entry.st.st_mtim.tv_nsec / 1000000;
}

static uint64_t status_ino(struct forest *f, const char *word)
{
    return ino_of(f, ino_of(f, TREE_ROOT_INO, "by-status"), word);
}

static void assert_target(struct forest *f, uint64_t parent, const char *name, const char *expected)
{
    struct tree_entry entry;
    struct buf target;
    buf_init(&target, 4096);
    assert_int_equal(tree_lookup(f->tree, parent, name, &entry), 0);
    assert_true(S_ISLNK(entry.st.st_mode));
    assert_true(entry.entry_s == 0); /* it goes by itself */
    assert_int_equal(tree_readlink(f->tree, entry.st.st_ino, &target), 0);
    assert_string_equal(buf_text(&target), expected);
    assert_int_equal(entry.st.st_size, target.len);
    buf_fini(&target);
}

static void test_views__a_job_stands_in_the_directory_of_its_state_alone(void **state UNUSED)
{
    struct forest f;
    forest_init(&f);
    job_make_named(&f.w, "cat");
    (void)succeeded(&f, "dog");
    size_t found = 0;
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        const char *word = job_state_to_text((enum job_state)i);
        struct listing rows;
        list(&f, status_ino(&f, word), 0, 64, &rows);
        found += rows.count - 2;
        assert_int_equal(rows.count - 2, i == JOB_DRAFT || i == JOB_SUCCEEDED ? 1 : 0);
        struct tree_entry entry;
        assert_int_equal(tree_lookup(f.tree, status_ino(&f, word), "cat", &entry),
                         i == JOB_DRAFT ? 0 : -ENOENT);
    }
    assert_int_equal(found, 2);
    assert_target(&f, status_ino(&f, "draft"), "cat", "../../jobs/cat");
    assert_target(&f, status_ino(&f, "succeeded"), "dog", "../../jobs/dog");
    struct tree_entry entry;
    struct tree_entry video;
    uint64_t dog = ino_of(&f, jobs_ino(&f), "dog");
    assert_int_equal(tree_lookup(f.tree, dog, "output.mp4", &video), 0);
    assert_int_equal(tree_lookup(f.tree, ino_of(&f, TREE_ROOT_INO, "videos"), "dog.mp4", &entry),
                     0);
    assert_int_equal(entry.st.st_ino, video.st.st_ino);
    assert_int_equal(entry.st.st_nlink, 2);
    assert_true(entry.entry_s == 0); /* it goes by itself */
    static const char *const absent[] = {"dog", "cat.mp4", ".mp4", "dog.mp4.mp4", "dog.MP4"};
    for (size_t i = 0; i < ARRAY_COUNT(absent); i++)
        assert_int_equal(
            tree_lookup(f.tree, ino_of(&f, TREE_ROOT_INO, "videos"), absent[i], &entry), -ENOENT);
    forest_fini(&f);
}

static void test_views__names_of_the_greatest_length_have_a_video(void **state UNUSED)
{
    struct forest f;
    forest_init(&f);
    char name[TEXT_NAME_MAX + 6];
    memset(name, 'n', sizeof(name));
    name[TEXT_NAME_MAX] = '\0';
    job_make_named(&f.w, name);
    struct job *job = jobs_find(f.w.jobs, name);
    struct job_take take = {.job = job, .id = 1, .number = 1, .video_bytes = 10};
    job->picked = &take; /* it is enough that it looks so */
    uint64_t videos = ino_of(&f, TREE_ROOT_INO, "videos");
    struct listing rows;
    list(&f, videos, 0, 64, &rows);
    assert_int_equal(rows.count, 4);
    struct tree_entry entry;
    memcpy(name + TEXT_NAME_MAX, ".mp4", 5);
    assert_int_equal(tree_lookup(f.tree, videos, name, &entry), 0);
    memcpy(name + TEXT_NAME_MAX, "n.mp4", 6);
    assert_int_equal(tree_lookup(f.tree, videos, name, &entry), -ENAMETOOLONG);
    job->picked = NULL;
    forest_fini(&f);
}

static void test_views__a_listing_goes_on_after_the_last_name(void **state UNUSED)
{
    struct forest f;
    forest_init(&f);
    char name[16];
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "job%d", i);
        job_make_named(&f.w, name);
    }
    uint64_t drafts = status_ino(&f, "draft");
    size_t seen = 0;
    int64_t offset = 0;
    for (;;) {
        struct listing rows;
        list(&f, drafts, offset, 3, &rows);
        if (rows.count == 0)
            break;
        offset = rows.rows[rows.count - 1].next;
        seen += rows.count;
        (void)snprintf(name, sizeof(name), "job%d", (int)seen / 2); /* gone behind or before it */
        (void)!tree_rmdir(f.tree, jobs_ino(&f), name, &owner);
    }
    assert_true(seen >= 12 && seen <= 22);
    forest_fini(&f);
}

static void test_views__times_change_when_a_name_comes_or_goes(void **state UNUSED)
{
    struct forest f;
    forest_init(&f);
    uint64_t drafts = status_ino(&f, "draft");
    uint64_t invalid = status_ino(&f, "invalid");
    uint64_t videos = ino_of(&f, TREE_ROOT_INO, "videos");
    int64_t born_ms = time_of(&f, drafts);
    fake_clock_advance(&f.w.clock, 1000);
    struct job *job = job_make_named(&f.w, "cat");
    assert_int_equal(time_of(&f, drafts), born_ms + 1000);
    assert_int_equal(time_of(&f, invalid), born_ms);
    fake_clock_advance(&f.w.clock, 1000);
    assert_int_equal(user_write(job, "note", "x"), 0); /* not a name of a view */
    assert_int_equal(time_of(&f, drafts), born_ms + 1000);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, "{"), 0);
    assert_int_equal(time_of(&f, drafts), born_ms + 2000);
    assert_int_equal(time_of(&f, invalid), born_ms + 2000);
    fake_clock_advance(&f.w.clock, 1000);
    assert_int_equal(tree_rename(f.tree, jobs_ino(&f), "cat", jobs_ino(&f), "tom", 0, &owner), 0);
    assert_int_equal(time_of(&f, invalid), born_ms + 3000);
    fake_clock_advance(&f.w.clock, 1000);
    job_make_named(&f.w, "empty");
    fake_clock_advance(&f.w.clock, 1000);
    assert_int_equal(tree_rename(f.tree, jobs_ino(&f), "tom", jobs_ino(&f), "empty", 0, &owner), 0);
    assert_int_equal(time_of(&f, drafts), born_ms + 5000);
    fake_clock_advance(&f.w.clock, 1000);
    assert_int_equal(tree_unlink(f.tree, job_ino(&f, "empty"), "prompt.json", &owner), 0);
    assert_int_equal(tree_unlink(f.tree, job_ino(&f, "empty"), "note", &owner), 0);
    fake_clock_advance(&f.w.clock, 1000);
    assert_int_equal(tree_rmdir(f.tree, jobs_ino(&f), "empty", &owner), 0);
    assert_int_equal(time_of(&f, drafts), born_ms + 7000);
    assert_int_equal(time_of(&f, videos), born_ms);
    struct job *dog = succeeded(&f, "dog");
    int64_t now_ms = clock_wall_ms(&f.w.clock.clock);
    assert_int_equal(time_of(&f, videos), now_ms);
    fake_clock_advance(&f.w.clock, 1000);
    assert_int_equal(tree_unlink(f.tree, job_ino(&f, "dog"), "output.mp4", &owner), 0);
    assert_int_equal(time_of(&f, videos), now_ms + 1000);
    assert_int_equal(time_of(&f, status_ino(&f, "succeeded")), now_ms);
    assert_int_equal(dog->state, JOB_SUCCEEDED);
    forest_fini(&f);
}

static void test_views__the_time_of_jobs_changes_however_a_job_is_made(void **state UNUSED)
{
    struct forest f;
    struct tree_entry entry;
    struct tree_open_result opened;
    forest_init(&f);
    int64_t born_ms = time_of(&f, jobs_ino(&f));
    fake_clock_advance(&f.w.clock, 1000);
    assert_int_equal(tree_lookup_provisional(f.tree, jobs_ino(&f), "cat", &entry), 0);
    assert_int_equal(time_of(&f, jobs_ino(&f)), born_ms); /* nobody sees it yet */
    fake_clock_advance(&f.w.clock, 1000);
    assert_int_equal(
        tree_create(f.tree, entry.st.st_ino, "note", 0644, O_WRONLY, &owner, &entry, &opened), 0);
    tree_release(opened.handle);
    assert_int_equal(time_of(&f, jobs_ino(&f)), born_ms + 2000);
    fake_clock_advance(&f.w.clock, 1000);
    assert_int_equal(tree_mkdir(f.tree, jobs_ino(&f), "dog", &owner, &entry), 0);
    assert_int_equal(time_of(&f, jobs_ino(&f)), born_ms + 3000);
    forest_fini(&f);
}

static void test_views__nothing_can_be_made_removed_or_moved_there(void **state UNUSED)
{
    struct forest f;
    forest_init(&f);
    (void)succeeded(&f, "dog");
    struct tree_entry entry;
    struct tree_open_result opened;
    const uint64_t places[] = {ino_of(&f, TREE_ROOT_INO, "videos"),
                               ino_of(&f, TREE_ROOT_INO, "by-status"), status_ino(&f, "succeeded")};
    static const char *const names[] = {"dog.mp4", "succeeded", "dog"};
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        bool is_directory = i == 1;
        assert_int_equal(tree_mkdir(f.tree, places[i], "new", &owner, &entry), -EPERM);
        assert_int_equal(tree_mkdir(f.tree, places[i], names[i], &owner, &entry), -EEXIST);
        assert_int_equal(
            tree_create(f.tree, places[i], "new", 0644, O_WRONLY, &owner, &entry, &opened), -EPERM);
        assert_int_equal(tree_unlink(f.tree, places[i], names[i], &owner),
                         is_directory ? -EISDIR : -EPERM);
        assert_int_equal(tree_rmdir(f.tree, places[i], names[i], &owner), -EPERM);
        assert_int_equal(tree_rename(f.tree, places[i], names[i], jobs_ino(&f), "other", 0, &owner),
                         -EPERM);
        assert_int_equal(tree_rename(f.tree, jobs_ino(&f), "dog", places[i], "x", 0, &owner),
                         -EPERM);
    }
    uint64_t link = ino_of(&f, places[2], "dog");
    assert_int_equal(tree_open(f.tree, link, O_RDONLY, &owner, &opened), -ELOOP);
    struct buf target;
    buf_init(&target, 4096);
    assert_int_equal(tree_readlink(f.tree, places[0], &target), -EINVAL);
    assert_int_equal(tree_getattr(f.tree, node_ino(NODE_STATUS, JOB_STATE_COUNT), &entry), -ESTALE);
    assert_int_equal(tree_getattr(f.tree, node_ino(NODE_JOB_LINK, 0), &entry), -ESTALE);
    assert_int_equal(tree_getattr(f.tree, node_ino(NODE_VIDEOS, 7), &entry), -ESTALE);
    buf_fini(&target);
    forest_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views__a_job_stands_in_the_directory_of_its_state_alone),
        cmocka_unit_test(test_views__names_of_the_greatest_length_have_a_video),
        cmocka_unit_test(test_views__a_listing_goes_on_after_the_last_name),
        cmocka_unit_test(test_views__times_change_when_a_name_comes_or_goes),
        cmocka_unit_test(test_views__the_time_of_jobs_changes_however_a_job_is_made),
        cmocka_unit_test(test_views__nothing_can_be_made_removed_or_moved_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
