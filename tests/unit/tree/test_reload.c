/*
 * A mount whose jobs are changed by another host: what jobs_reload() brings is there at once, the
 * kernel was told to keep nothing that others change, and those who watch are told.
 */
#include "forest.h"

struct hosts {
    struct world leader;
    struct forest f; /* over the leader's store */
    struct buf told;
};

static void note(void *context, enum tree_event kind, const char *path)
{
    static const char *const words[] = {"content",   "file", "link",
                                        "directory", "gone", "directory-gone"};
    struct hosts *h = context;
    if (kind != TREE_EVENT_CONTENT)
        assert_int_equal(buf_addf(&h->told, "%s %s\n", words[kind], path), 0);
}

static void hosts_init(struct hosts *h)
{
    *h = (struct hosts){.told = {.limit = 1 << 16}};
    world_init(&h->leader);
    h->f.w = (struct world){.store = h->leader.store,
                            .directory_fd = h->leader.directory_fd,
                            .files_fd = h->leader.files_fd,
                            .clock = h->leader.clock,
                            .random_seed = 3};
    assert_int_equal(world_open_jobs(&h->f.w), 0);
    forest_open(&h->f);
    h->f.tree->settings.is_changed_elsewhere = true;
    h->f.tree->settings.event_context = h;
    h->f.tree->settings.on_tree_event = note;
}

static void hosts_fini(struct hosts *h)
{
    assert_int_equal(h->f.media.opened, h->f.media.closed);
    h->f.tree = tree_free(h->f.tree);
    world_close_jobs(&h->f.w);
    api_fini(&h->f.w.api);
    world_fini(&h->leader);
    buf_fini(&h->told);
}

static void follow(struct hosts *h, int64_t id)
{
    assert_int_equal(jobs_reload(h->f.w.jobs, &id, 1), 0);
}

static void assert_told(struct hosts *h, const char *line, bool is_expected)
{
    char whole[256];
    (void)snprintf(whole, sizeof(whole), "%s\n", line);
    if ((strstr(buf_text(&h->told), whole) != NULL) != is_expected)
        fail_msg("told: %s", buf_text(&h->told));
}

static int lookup(struct hosts *h, uint64_t parent, const char *name)
{
    struct tree_entry entry;
    int r = tree_lookup(h->f.tree, parent, name, &entry);
    /* Names that users make: the kernel asks each time. */
    if (r == 0) {
        assert_true(entry.entry_s == 0);
        assert_true(entry.attr_s == 0);
    }
    return r;
}

static void test_reload__a_job_comes_is_renamed_and_goes(void **state UNUSED)
{
    struct hosts h;
    struct tree_entry ghost;
    hosts_init(&h);
    struct job *job = job_make_named(&h.leader, "cat");
    int64_t id = job->id;
    assert_int_equal(lookup(&h, jobs_ino(&h.f), "cat"), -ENOENT);
    follow(&h, id);
    assert_int_equal(lookup(&h, jobs_ino(&h.f), "cat"), 0);
    assert_told(&h, "directory jobs/cat", true);
    assert_told(&h, "link by-status/draft/cat", true);
    uint64_t ino = job_ino(&h.f, "cat");
    uint64_t draft = ino_of(&h.f, ino_of(&h.f, TREE_ROOT_INO, "by-status"), "draft");
    (void)ino_of(&h.f, draft, "cat");

    buf_clear(&h.told);
    assert_int_equal(jobs_rename(job, "dog", false), 0);
    follow(&h, id);
    assert_int_equal(lookup(&h, jobs_ino(&h.f), "cat"), -ENOENT);
    assert_int_equal(job_ino(&h.f, "dog"), ino);
    (void)ino_of(&h.f, draft, "dog");
    assert_told(&h, "directory-gone jobs/cat", true);
    assert_told(&h, "directory jobs/dog", true);
    assert_told(&h, "gone by-status/draft/cat", true);
    assert_told(&h, "link by-status/draft/dog", true);
    assert_int_equal(tree_lookup_gone(h.f.tree, jobs_ino(&h.f), "cat", &ghost), 0);
    assert_true(S_ISDIR(ghost.st.st_mode));
    assert_int_equal(tree_lookup_gone(h.f.tree, jobs_ino(&h.f), "dog", &ghost), -ENOENT);

    buf_clear(&h.told);
    assert_int_equal(jobs_remove(job), 0);
    follow(&h, id);
    assert_int_equal(lookup(&h, jobs_ino(&h.f), "dog"), -ENOENT);
    assert_int_equal(tree_getattr(h.f.tree, ino, &ghost), -ESTALE);
    assert_told(&h, "directory-gone jobs/dog", true);
    assert_told(&h, "gone by-status/draft/dog", true);
    assert_int_equal(h.f.tree->status_counts[JOB_DRAFT], 0);
    hosts_fini(&h);
}

static void test_reload__users_files_come_are_renamed_and_go(void **state UNUSED)
{
    struct hosts h;
    struct job *assets;
    hosts_init(&h);
    struct job *job = job_make_named(&h.leader, "cat");
    follow(&h, job->id);
    uint64_t ino = job_ino(&h.f, "cat");
    assert_int_equal(lookup(&h, ino, "notes.txt"), -ENOENT);
    assert_int_equal(user_write(job, "notes.txt", "text"), 0);
    follow(&h, job->id);
    assert_int_equal(lookup(&h, ino, "notes.txt"), 0);
    assert_content(&h.f, ino, "notes.txt", "text");
    assert_told(&h, "file jobs/cat/notes.txt", true);

    struct job_file *file = job_file_find(job->detail, "notes.txt");
    assert_int_equal(job_file_rename(file, job, "more.txt", false), 0);
    follow(&h, job->id);
    assert_int_equal(lookup(&h, ino, "notes.txt"), -ENOENT);
    assert_content(&h.f, ino, "more.txt", "text");
    assert_told(&h, "gone jobs/cat/notes.txt", true);
    assert_told(&h, "file jobs/cat/more.txt", true);
    assert_int_equal(job_file_unlink(file), 0);
    follow(&h, job->id);
    assert_int_equal(lookup(&h, ino, "more.txt"), -ENOENT);
    assert_told(&h, "gone jobs/cat/more.txt", true);

    assert_int_equal(jobs_assets_make(h.leader.jobs, &assets), 0);
    assert_int_equal(user_write(assets, "logo.png", "1"), 0);
    follow(&h, assets->id);
    uint64_t assets_ino = ino_of(&h.f, TREE_ROOT_INO, "assets");
    assert_content(&h.f, assets_ino, "logo.png", "1");
    assert_int_equal(user_write(assets, "logo2.png", "2"), 0);
    follow(&h, assets->id);
    assert_told(&h, "file assets/logo2.png", true);
    assert_told(&h, "directory jobs/.assets", false);
    hosts_fini(&h);
}

static void test_reload__a_video_is_there_with_its_state(void **state UNUSED)
{
    struct hosts h;
    hosts_init(&h);
    struct job *job = job_queued(&h.leader, "cat", "cgt-1");
    follow(&h, job->id);
    uint64_t ino = job_ino(&h.f, "cat");
    struct buf text;
    node_read(&h.f, ino_of(&h.f, ino, "status"), &text);
    assert_non_null(strstr(buf_text(&text), "queued"));
    buf_fini(&text);
    assert_int_equal(lookup(&h, ino, "output.mp4"), -ENOENT);
    /* The attempt is not in memory when it gets its response. */
    job_finish(&h.leader, job, "cgt-1");
    follow(&h, job->id);
    (void)ino_of(&h.f, ino, "output.mp4");
    (void)ino_of(&h.f, ino_of(&h.f, TREE_ROOT_INO, "videos"), "cat.mp4");
    node_read(&h.f, ino_of(&h.f, ino, "status"), &text);
    assert_non_null(strstr(buf_text(&text), "succeeded"));
    buf_fini(&text);
    assert_told(&h, "file jobs/cat/output.mp4", true);
    assert_told(&h, "file videos/cat.mp4", true);
    assert_told(&h, "gone by-status/queued/cat", true);
    hosts_fini(&h);
}

/* Who waits for a job that another host removes gets an answer. */
static void test_reload__a_reader_of_wait_hears_of_the_end(void **state UNUSED)
{
    struct hosts h;
    struct tree_open_result opened;
    struct tree_read_state *parked;
    struct response response = {.bytes = {.limit = 100}};
    hosts_init(&h);
    struct job *job = job_make_named(&h.leader, "cat");
    follow(&h, job->id);
    uint64_t ino = ino_of(&h.f, job_ino(&h.f, "cat"), "wait");
    assert_int_equal(tree_open(h.f.tree, ino, O_RDONLY, &owner, &opened), 0);
    tree_read(opened.handle, 100, 0, read_response, &response, &parked);
    assert_non_null(parked);
    int64_t id = job->id;
    assert_int_equal(jobs_remove(job), 0);
    follow(&h, id);
    timers_run(&h.f.w.timers);
    assert_int_equal(response.calls, 1);
    assert_int_equal(response.result, -ENOENT);
    tree_release(opened.handle);
    buf_fini(&response.bytes);
    hosts_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reload__a_job_comes_is_renamed_and_goes),
        cmocka_unit_test(test_reload__users_files_come_are_renamed_and_go),
        cmocka_unit_test(test_reload__a_video_is_there_with_its_state),
        cmocka_unit_test(test_reload__a_reader_of_wait_hears_of_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
