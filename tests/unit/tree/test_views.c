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

/* The names in videos/: first the video, then its facts, which the jobs of these tests have not. */
static void video_names(struct forest *f, struct listing *rows)
{
    uint64_t videos = ino_of(f, TREE_ROOT_INO, "videos");
    list(f, videos, 0, 64, rows);
    for (size_t i = 2; i < rows->count; i++) { /* after . and .. */
        const char *name = rows->rows[i].name;
        struct tree_entry entry;
        assert_true(strlen(name) <= TEXT_NAME_MAX && text_is_utf8(name, strlen(name)));
        if (i % 2 == 1)
            continue;
        assert_int_equal(tree_lookup(f->tree, videos, name, &entry), 0);
        assert_int_equal(entry.st.st_ino, rows->rows[i].ino);
    }
}

static struct job *job_with_video(struct forest *f, const char *name, struct job_take *take)
{
    job_make_named(&f->w, name);
    struct job *job = jobs_find(f->w.jobs, name);
    *take = (struct job_take){.job = job, .id = job->id, .number = 1, .video_bytes = 10};
    job->picked = take; /* it is enough that it looks so */
    return job;
}

static void test_views__names_of_every_length_have_a_video(void **state UNUSED)
{
    struct forest f;
    struct listing rows;
    struct tree_entry entry;
    struct job_take take;
    forest_init(&f);
    for (size_t len = TEXT_NAME_MAX - 8; len <= TEXT_NAME_MAX; len++) {
        char name[TEXT_NAME_MAX + 6];
        char end[32];
        memset(name, 'n', sizeof(name));
        name[len] = '\0';
        struct job *job = job_with_video(&f, name, &take);
        video_names(&f, &rows);
        assert_int_equal(rows.count, 4);
        (void)snprintf(end, sizeof(end), "n~%lld.mp4", (long long)job->id);
        assert_int_equal(strstr(rows.rows[2].name, end) != NULL, len > JOB_STEM_MAX);
        memcpy(name + len, ".mp4", 5);
        int r = tree_lookup(f.tree, ino_of(&f, TREE_ROOT_INO, "videos"), name, &entry);
        assert_int_equal(r, len <= JOB_STEM_MAX        ? 0
                            : len + 4 <= TEXT_NAME_MAX ? -ENOENT
                                                       : -ENAMETOOLONG);
        job->picked = NULL;
        name[len] = '\0';
        assert_int_equal(jobs_remove(job), 0);
    }
    forest_fini(&f);
}

static void test_views__long_names_are_cut_to_different_ones(void **state UNUSED)
{
    struct forest f;
    struct listing rows;
    struct job_take takes[3];
    struct job *jobs[3];
    char name[TEXT_NAME_MAX + 1] = "";
    char stem[JOB_STEM_MAX + 1];
    forest_init(&f);
    for (int i = 0; i < 84; i++)
        strcat(name, "\xe7\x8c\xab"); /* a cat of three bytes */
    strcat(name, "a");
    jobs[0] = job_with_video(&f, name, &takes[0]);
    name[strlen(name) - 1] = 'b';
    jobs[1] = job_with_video(&f, name, &takes[1]);
    video_names(&f, &rows);
    assert_int_equal(rows.count, 2 + 2 * 2);
    assert_string_not_equal(rows.rows[2].name, rows.rows[4].name);
    /* Another job has the very name. */
    jobs_stem_get(f.w.jobs, jobs[0]->id, jobs[0]->name, stem);
    jobs[2] = job_with_video(&f, stem, &takes[2]);
    assert_ptr_equal(jobs_find_by_stem(f.w.jobs, stem), jobs[2]);
    video_names(&f, &rows);
    assert_int_equal(rows.count, 2 + 3 * 2);
    for (size_t i = 2; i < rows.count; i++) {
        for (size_t j = 2; j < i; j++)
            assert_string_not_equal(rows.rows[i].name, rows.rows[j].name);
    }
    /* What only looks like one. */
    assert_null(jobs_find_by_stem(f.w.jobs, "~1"));
    assert_null(jobs_find_by_stem(f.w.jobs, "x~"));
    assert_null(jobs_find_by_stem(f.w.jobs, "~"));
    for (size_t i = 0; i < ARRAY_COUNT(jobs); i++)
        jobs[i]->picked = NULL;
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
        cmocka_unit_test(test_views__names_of_every_length_have_a_video),
        cmocka_unit_test(test_views__long_names_are_cut_to_different_ones),
        cmocka_unit_test(test_views__a_listing_goes_on_after_the_last_name),
        cmocka_unit_test(test_views__times_change_when_a_name_comes_or_goes),
        cmocka_unit_test(test_views__the_time_of_jobs_changes_however_a_job_is_made),
        cmocka_unit_test(test_views__nothing_can_be_made_removed_or_moved_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
