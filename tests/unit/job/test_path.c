/* What a prompt names: never a file outside of the mount, and of what the program makes only videos
 * and frames. */
#include "job_harness.h"

static void test_path__leads_to_files_videos_and_frames(void **state UNUSED)
{
    static const struct {
        const char *path;
        int expected;
        const char *job; /* NULL: assets */
        enum job_input_form form;
    } rows[] = {
        {"a.png", 0, "cat", JOB_INPUT_INLINE},
        {"./a.png", 0, "cat", JOB_INPUT_INLINE},
        {"././a.png", 0, "cat", JOB_INPUT_INLINE},
        {"../cat/a.png", 0, "cat", JOB_INPUT_INLINE},
        {"../dog/a.png", 0, "dog", JOB_INPUT_INLINE},
        {"../../jobs/dog/a.png", 0, "dog", JOB_INPUT_INLINE},
        {"../../assets/a.png", 0, NULL, JOB_INPUT_INLINE},
        {"..//dog//a.png", 0, "dog", JOB_INPUT_INLINE},
        {"../../assets/../jobs/dog/a.png", 0, "dog", JOB_INPUT_INLINE},
        {"b.png", -ENOENT, NULL, JOB_INPUT_INLINE},
        {"../dog/b.png", -ENOENT, NULL, JOB_INPUT_INLINE},
        {"../../assets/b.png", -ENOENT, NULL, JOB_INPUT_INLINE},
        {"../none/a.png", -ENOTDIR, NULL, JOB_INPUT_INLINE},
        {"a.png/x", -ENOTDIR, NULL, JOB_INPUT_INLINE},
        {"../../videos/dog.mp4", 0, "dog", JOB_INPUT_VIDEO},
        {"../../videos/none.mp4", -ENOENT, NULL, JOB_INPUT_INLINE},
        {"../../videos/dog", -ENOENT, NULL, JOB_INPUT_INLINE},
        {"../../videos/dog/a.png", -ENOTDIR, NULL, JOB_INPUT_INLINE},
        {"../../../a.png", -EXDEV, NULL, JOB_INPUT_INLINE},
        {"../../../../etc/passwd", -EXDEV, NULL, JOB_INPUT_INLINE},
        {"/a.png", -EXDEV, NULL, JOB_INPUT_INLINE},
        {"..", -ENOENT, NULL, JOB_INPUT_INLINE},
        {"../..", -ENOENT, NULL, JOB_INPUT_INLINE},
        {"../a.png", -ENOENT, NULL, JOB_INPUT_INLINE},
        {"../../README.txt", -ENOENT, NULL, JOB_INPUT_INLINE},
        {"../.assets/a.png", -ENOTDIR, NULL, JOB_INPUT_INLINE},
        {"prompt.json", -ENOENT, NULL, JOB_INPUT_INLINE},
        {"../dog/prompt.txt", -ENOENT, NULL, JOB_INPUT_INLINE},
        {"status", -ENOENT, NULL, JOB_INPUT_INLINE},
        {"../dog/output.mp4", 0, "dog", JOB_INPUT_VIDEO},
        {"output.mp4", 0, "cat", JOB_INPUT_VIDEO},
        {"../dog/first_frame.png", 0, "dog", JOB_INPUT_FIRST_FRAME},
        {"../dog/last_frame.png", 0, "dog", JOB_INPUT_LAST_FRAME},
        {"../dog/cover.jpg", -EACCES, NULL, JOB_INPUT_INLINE},
        {"../dog/takes/1.mp4", -ENOENT, NULL, JOB_INPUT_INLINE},
        {"../dog/takes/x.mp4", -ENOENT, NULL, JOB_INPUT_INLINE},
        {"../../assets/output.mp4", -ENOENT, NULL, JOB_INPUT_INLINE},
    };
    struct world w;
    struct job *assets;
    world_init(&w);
    struct job *cat = job_make_named(&w, "cat");
    struct job *dog = job_make_named(&w, "dog");
    assert_int_equal(user_write(cat, "a.png", "of cat"), 0);
    assert_int_equal(user_write(dog, "a.png", "of dog"), 0);
    assert_int_equal(user_write(cat, JOB_PROMPT_NAME, "{"), 0);
    assert_int_equal(user_write(dog, JOB_PROMPT_TEXT_NAME, ""), 0);
    assert_null(jobs_assets(w.jobs));
    assert_int_equal(jobs_assets_make(w.jobs, &assets), 0);
    assert_int_equal(user_write(assets, "a.png", "of assets"), 0);
    for (int i = 0; i < 2; i++) { /* and after a restart */
        for (size_t row = 0; row < ARRAY_COUNT(rows); row++) {
            struct job_path at = {0};
            int r = job_path_resolve(jobs_find(w.jobs, "cat"), rows[row].path, &at);
            if (r != rows[row].expected)
                fail_msg("%s: %d", rows[row].path, r);
            if (r != 0)
                continue;
            assert_ptr_equal(at.job, rows[row].job ? jobs_find(w.jobs, rows[row].job)
                                                   : jobs_assets(w.jobs));
            assert_int_equal(at.form, rows[row].form);
            assert_int_equal(at.file != NULL, at.form == JOB_INPUT_INLINE);
        }
        world_restart(&w);
    }
    /* It is no job. */
    assert_int_equal(jobs_count(w.jobs), 2);
    assert_null(jobs_find(w.jobs, JOB_ASSETS_NAME));
    for (struct job *job = jobs_next(w.jobs, 0); job; job = jobs_next(w.jobs, job->id))
        assert_false(job->is_assets);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path__leads_to_files_videos_and_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
