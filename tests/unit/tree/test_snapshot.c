/* One snapshot for each version of a generated file, and what other users may hold. */
#include "forest.h"

#include "tree/guest.h"
#include "tree/handle.h"

static struct tree_handle *open_as(struct forest *f, uint64_t ino, uid_t uid, int expected)
{
    const struct tree_caller caller = {.uid = uid, .gid = uid};
    struct tree_open_result opened = {.handle = NULL};
    assert_int_equal(tree_open(f->tree, ino, O_RDONLY, &caller, &opened), expected);
    return opened.handle;
}

static void assert_reads(struct tree_handle *handle, const char *expected)
{
    struct buf bytes;
    handle_read(handle, &bytes);
    assert_string_equal(buf_text(&bytes), expected);
    buf_fini(&bytes);
}

static void test_snapshot__a_version_is_there_once(void **state UNUSED)
{
    struct forest f;
    forest_init(&f);
    struct job *job = job_queued(&f.w, "cat", "cgt-1");
    uint64_t status = ino_of(&f, job_ino(&f, "cat"), "status");
    struct tree_handle *first = open_as(&f, status, OWNER, 0);
    struct tree_handle *second = open_as(&f, status, OTHER, 0);
    struct snapshot *queued = f.tree->snapshots;
    assert_int_equal(HASH_CNT(by_ino, f.tree->snapshots), 1);
    assert_int_equal(queued->refs, 2);
    poll_status(call_wait(&f.w, job), "cancelled");
    struct tree_handle *third = open_as(&f, status, OWNER, 0);
    assert_int_equal(HASH_CNT(by_ino, f.tree->snapshots), 1);
    assert_ptr_not_equal(f.tree->snapshots, queued);
    assert_int_equal(queued->refs, 2);
    assert_reads(first, "queued\n");
    assert_reads(second, "queued\n");
    assert_reads(third, "cancelled\n");
    /* The older one goes first, or last. */
    tree_release(third);
    assert_null(f.tree->snapshots);
    tree_release(first);
    /* Read anew from its beginning, it is the version of now. */
    assert_reads(second, "cancelled\n");
    assert_int_equal(f.tree->snapshots->refs, 1);
    tree_release(second);
    assert_null(f.tree->snapshots);
    assert_null(f.tree->guests);
    assert_true(f.tree->guests_use.handles == 0 && f.tree->guests_use.bytes == 0);
    forest_fini(&f);
}

/* Files of one kind do not get the content of another, nor those of different jobs. */
static void test_snapshot__files_are_told_apart(void **state UNUSED)
{
    struct forest f;
    forest_init(&f);
    (void)job_queued(&f.w, "cat", "cgt-1");
    (void)job_queued(&f.w, "dog", "cgt-2");
    struct tree_handle *handles[] = {
        open_as(&f, ino_of(&f, job_ino(&f, "cat"), "status"), OWNER, 0),
        open_as(&f, ino_of(&f, job_ino(&f, "dog"), "status"), OWNER, 0),
        open_as(&f, ino_of(&f, job_ino(&f, "cat"), "cost"), OWNER, 0),
    };
    assert_int_equal(HASH_CNT(by_ino, f.tree->snapshots), ARRAY_COUNT(handles));
    for (size_t i = 0; i < ARRAY_COUNT(handles); i++)
        tree_release(handles[i]);
    forest_fini(&f);
}

static void test_guest__has_so_many_handles_and_the_owner_any_number(void **state UNUSED)
{
    struct forest f;
    static struct tree_handle *handles[GUESTS_HANDLES_MAX + 2];
    size_t count = 0;
    forest_init(&f);
    uint64_t readme = ino_of(&f, TREE_ROOT_INO, "README.txt");
    for (uid_t uid = OTHER; count < GUESTS_HANDLES_MAX; uid++) {
        for (int i = 0; i < GUEST_HANDLES_MAX; i++)
            handles[count++] = open_as(&f, readme, uid, 0);
        assert_null(open_as(&f, readme, uid, -EMFILE));
    }
    assert_null(open_as(&f, readme, OTHER - 1, -EMFILE)); /* all together */
    handles[count++] = open_as(&f, readme, OWNER, 0);
    handles[count++] = open_as(&f, readme, 0, 0);
    assert_int_equal(f.tree->snapshots->refs, count);
    assert_int_equal(f.tree->guests_use.bytes, 4 * f.tree->snapshots->content.len);
    tree_release(handles[0]);
    handles[0] = open_as(&f, readme, OTHER, 0);
    while (count > 0)
        tree_release(handles[--count]);
    assert_null(f.tree->guests);
    assert_true(f.tree->guests_use.handles == 0 && f.tree->guests_use.bytes == 0);
    forest_fini(&f);
}

static void test_guest__holds_so_many_bytes(void **state UNUSED)
{
    struct forest f;
    struct guest *guests[6];
    struct guest_holding *large[ARRAY_COUNT(guests)] = {NULL};
    struct guest_holding *small = NULL;
    forest_init(&f);
    for (size_t i = 0; i < ARRAY_COUNT(guests); i++) {
        const struct tree_caller caller = {.uid = OTHER + (uid_t)i, .gid = OTHER};
        assert_int_equal(guest_enter(f.tree, &caller, &guests[i]), 0);
    }
    /* The first may be of any size. The same again costs nothing, another is too much. */
    assert_int_equal(guest_hold(f.tree, guests[0], &large[0], GUEST_BYTES_MAX + 1), 0);
    assert_int_equal(guest_hold(f.tree, guests[0], &large[0], GUEST_BYTES_MAX + 1), 0);
    assert_int_equal(guest_hold(f.tree, guests[0], &small, 1), -EMFILE);
    assert_int_equal(guest_hold(f.tree, NULL, &small, 1), 0);
    guest_let_go(f.tree, guests[0], &large[0], GUEST_BYTES_MAX + 1);
    assert_int_equal(guest_hold(f.tree, guests[0], &small, 1), -EMFILE);
    guest_let_go(f.tree, guests[0], &large[0], GUEST_BYTES_MAX + 1);
    assert_null(large[0]);
    assert_int_equal(guest_hold(f.tree, guests[0], &small, 1), 0);
    guest_let_go(f.tree, guests[0], &small, 1);
    /* All together. */
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(guest_hold(f.tree, guests[i], &large[i], GUEST_BYTES_MAX), 0);
    assert_int_equal(guest_hold(f.tree, guests[4], &small, 1), -EMFILE);
    for (size_t i = 0; i < 4; i++)
        guest_let_go(f.tree, guests[i], &large[i], GUEST_BYTES_MAX);
    assert_int_equal(f.tree->guests_use.bytes, 0);
    for (size_t i = 0; i < ARRAY_COUNT(guests); i++)
        guest_leave(f.tree, guests[i]);
    forest_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot__a_version_is_there_once),
        cmocka_unit_test(test_snapshot__files_are_told_apart),
        cmocka_unit_test(test_guest__has_so_many_handles_and_the_owner_any_number),
        cmocka_unit_test(test_guest__holds_so_many_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
