/* Which file a prompt names: never one outside of the mount, and never one that the program makes. */
#include "job_harness.h"

static void test_path__leads_to_the_files_of_users_alone(void **state UNUSED)
{
    static const struct {
        const char *path;
        int expected;
        const char *job; /* NULL: assets */
    } rows[] = {
        {"a.png", 0, "cat"},
        {"./a.png", 0, "cat"},
        {"././a.png", 0, "cat"},
        {"../cat/a.png", 0, "cat"},
        {"../dog/a.png", 0, "dog"},
        {"../../jobs/dog/a.png", 0, "dog"},
        {"../../assets/a.png", 0, NULL},
        {"..//dog//a.png", 0, "dog"},
        {"../../assets/../jobs/dog/a.png", 0, "dog"},
        {"b.png", -ENOENT, NULL},
        {"../dog/b.png", -ENOENT, NULL},
        {"../../assets/b.png", -ENOENT, NULL},
        {"../none/a.png", -ENOTDIR, NULL},
        {"a.png/x", -ENOTDIR, NULL},
        {"../../videos/cat.mp4", -ENOTDIR, NULL},
        {"../../../a.png", -EXDEV, NULL},
        {"../../../../etc/passwd", -EXDEV, NULL},
        {"/a.png", -EXDEV, NULL},
        {"..", -ENOENT, NULL},
        {"../..", -ENOENT, NULL},
        {"../a.png", -ENOENT, NULL},
        {"../../README.txt", -ENOENT, NULL},
        {"../.assets/a.png", -ENOTDIR, NULL},
        {"prompt.json", -ENOENT, NULL},
        {"../dog/prompt.txt", -ENOENT, NULL},
        {"status", -ENOENT, NULL},
        {"../dog/output.mp4", -ENOENT, NULL},
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
            struct job_file *file = NULL;
            int r = job_path_resolve(jobs_find(w.jobs, "cat"), rows[row].path, &file);
            if (r != rows[row].expected)
                fail_msg("%s: %d", rows[row].path, r);
            if (r == 0)
                assert_ptr_equal(file->job, rows[row].job ? jobs_find(w.jobs, rows[row].job)
                                                          : jobs_assets(w.jobs));
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
        cmocka_unit_test(test_path__leads_to_the_files_of_users_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
