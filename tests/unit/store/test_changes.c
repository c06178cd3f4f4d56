/* Changes of one database, made in a copy of it: after any history both have the same rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "seedancefs/base/checksum.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/random.h"
#include "seedancefs/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place {
    char directory[64];
    int directory_fd;
    struct store *store;
};

struct pair {
    struct place ours;
    struct place copy;
    uint64_t random;
};

static int remove_one(const char *path, const struct stat *st UNUSED, int kind UNUSED,
                      struct FTW *ftw UNUSED)
{
    return remove(path);
}

static void place_open(struct place *place)
{
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(place->directory, sizeof(place->directory), "%s/seedancefs-changes-XXXXXX",
                   parent);
    assert_non_null(mkdtemp(place->directory));
    place->directory_fd = open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(place->directory_fd >= 0);
    assert_int_equal(store_open(place->directory_fd, place->directory, &place->store), 0);
}

static void place_remove(struct place *place)
{
    place->store = store_close(place->store);
    (void)close(place->directory_fd);
    assert_int_equal(nftw(place->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static int setup(void **state)
{
    static struct pair pair;
    if (!store_changes_can_be_recorded())
        return 0;
    place_open(&pair.ours);
    place_open(&pair.copy);
    pair.random = 1;
    assert_int_equal(store_changes_begin(pair.ours.store), 0);
    *state = &pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;
    if (!pair)
        return 0;
    place_remove(&pair->ours);
    place_remove(&pair->copy);
    return 0;
}

static unsigned dice(struct pair *pair, unsigned sides)
{
    return (unsigned)(random_next(&pair->random) % sides);
}

static void text_add(char **text, size_t *len, const char *more)
{
    size_t n = strlen(more);
    *text = realloc(*text, *len + n + 2);
    assert_non_null(*text);
    memcpy(*text + *len, more, n);
    *len += n;
    (*text)[(*len)++] = '|';
    (*text)[*len] = '\0';
}

/* All rows of all tables but meta, as one text. */
static char *rows_of(struct place *place)
{
    static const char tables[] = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name "
                                 "NOT LIKE 'sqlite_%' AND name != 'meta' ORDER BY name";
    char path[96];
    char sql[128];
    sqlite3 *db;
    sqlite3_stmt *table;
    sqlite3_stmt *row;
    char *text = NULL;
    size_t len = 0;
    place->store = store_close(place->store);
    (void)snprintf(path, sizeof(path), "%s/jobs.sqlite", place->directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, tables, -1, &table, NULL), SQLITE_OK);
    while (sqlite3_step(table) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(table, 0);
        text_add(&text, &len, name);
        (void)snprintf(sql, sizeof(sql), "SELECT * FROM %s ORDER BY 1, 2", name);
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
        while (sqlite3_step(row) == SQLITE_ROW) {
            for (int i = 0; i < sqlite3_column_count(row); i++) {
                const char *value = (const char *)sqlite3_column_text(row, i);
                text_add(&text, &len, value ? value : "NULL");
            }
        }
        assert_int_equal(sqlite3_finalize(row), SQLITE_OK);
    }
    assert_int_equal(sqlite3_finalize(table), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(store_open(place->directory_fd, place->directory, &place->store), 0);
    return text;
}

/* Both are opened anew, so that what was not committed would be missing. */
static void assert_same(struct pair *pair)
{
    char *ours = rows_of(&pair->ours);
    char *copy = rows_of(&pair->copy);
    assert_string_equal(ours, copy);
    assert_non_null(strstr(ours, "job|"));
    free(ours);
    free(copy);
    assert_int_equal(store_changes_begin(pair->ours.store), 0);
}

static int job_save(struct store *store, int64_t id, const char *name, int64_t attempt_id)
{
    char state[] = "draft";
    char *copy = name ? strdup(name) : NULL;
    const struct store_job row = {
        .id = id, .name = copy, .state = state, .attempt_id = attempt_id, .created_ms = id};
    int r = store_job_save(store, &row);
    free(copy);
    return r;
}

static void job_commit(struct store *store, int64_t id, const char *name, int64_t attempt_id)
{
    assert_int_equal(store_begin(store, STORE_LAZY), 0);
    assert_int_equal(job_save(store, id, name, attempt_id), 0);
    assert_int_equal(store_commit(store), 0);
}

static void changes_move(struct pair *pair)
{
    struct store_changes changes;
    assert_int_equal(store_changes_take(pair->ours.store, &changes), 0);
    assert_int_equal(store_changes_apply(pair->copy.store, &changes), 0);
    store_changes_fini(&changes);
}

/* Two jobs change names; the store itself needs a third name for that. */
static int names_swap(struct store *store, int64_t a, int64_t b)
{
    char name_a[16];
    char name_b[16];
    (void)snprintf(name_a, sizeof(name_a), "n%d", (int)a);
    (void)snprintf(name_b, sizeof(name_b), "n%d", (int)b);
    int r = job_save(store, a, "between", 0);
    if (r == 0)
        r = job_save(store, b, name_a, 0);
    if (r == 0)
        r = job_save(store, a, name_b, 0);
    return r;
}

static int attempt_save(struct pair *pair, int64_t job_id, int64_t id, bool is_new)
{
    char model[] = "m";
    char url[] = "https://example.com/v.mp4";
    struct store *store = pair->ours.store;
    const struct store_attempt row = {.id = id,
                                      .job_id = job_id,
                                      .number = id,
                                      .model = model,
                                      .resolution = model,
                                      .estimated_usd_micros = 1000000,
                                      .actual_usd_micros = dice(pair, 2) ? -1 : 900000,
                                      .submitted_ms = dice(pair, 2) ? 0 : 5,
                                      .video_url = dice(pair, 2) ? url : NULL,
                                      .output_ms = -1,
                                      .video_bytes = -1,
                                      .cover_bytes = -1,
                                      .generation_ms = -1,
                                      .stored_ms = dice(pair, 3)};
    int r = is_new ? store_attempt_insert(store, &row, "body\0\xff", 6, "display", 7)
                   : store_attempt_update(store, &row);
    if (r == 0)
        r = store_ledger_add(store, id, 7);
    return r;
}

enum { JOBS = 12 };

/* One change of one kind. */
static int one_change(struct pair *pair, int64_t *next_id, const int64_t *attempts)
{
    struct store *store = pair->ours.store;
    int64_t job_id = 1 + dice(pair, JOBS);
    int64_t attempt_id = attempts[job_id];
    char name[] = "file";
    char path[] = "a.png";
    char field[] = "image_url";
    switch (dice(pair, 10)) {
    case 0:
        return names_swap(store, job_id, job_id % JOBS + 1);
    case 1:
        return attempt_save(pair, job_id, attempt_id, false);
    case 2: {
        const struct store_file row = {
            .id = (*next_id)++, .job_id = job_id, .name = name, .mode = 0644};
        int r = store_file_save(store, &row);
        return r < 0 || dice(pair, 2) ? r : store_file_remove(store, row.id);
    }
    case 3:
        return store_history_add(store, job_id, 1, "created");
    case 4:
        return store_attempt_response_set(store, attempt_id, "{\"id\":\0}", 8);
    case 5: {
        const struct store_input row = {.attempt_id = attempt_id,
                                        .number = dice(pair, 3),
                                        .field = field,
                                        .path = path,
                                        .length_ms = dice(pair, 100)};
        return store_input_save(store, &row);
    }
    case 6:
        return store_sent_save(store, attempt_id, "sent", 4);
    case 7:
        return store_sent_forget(store, attempt_id);
    case 8:
        return store_event_add(store, "{\"schema\":1}\n", 13);
    default:
        return store_prompt_default(store, attempt_id);
    }
}

static void test_changes__any_history_is_the_same_in_the_copy(void **state)
{
    struct pair *pair = *state;
    int64_t attempts[JOBS + 1];
    int64_t next_id = 1000;
    if (!pair)
        skip();
    assert_int_equal(store_begin(pair->ours.store, STORE_LAZY), 0);
    for (int64_t id = 1; id <= JOBS; id++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%d", (int)id);
        attempts[id] = 100 + id;
        assert_int_equal(job_save(pair->ours.store, id, name, attempts[id]), 0);
        assert_int_equal(attempt_save(pair, id, attempts[id], true), 0);
    }
    assert_int_equal(store_commit(pair->ours.store), 0);
    for (int round = 0; round < 300; round++) {
        int r = store_begin(pair->ours.store, dice(pair, 2) ? STORE_LAZY : STORE_DURABLE);
        for (unsigned left = 1 + dice(pair, 5); r == 0 && left > 0; left--)
            r = one_change(pair, &next_id, attempts);
        /* Some fail, because a name is taken, and are rolled back; others because we say so. */
        (void)!store_end(pair->ours.store, r < 0 || dice(pair, 4) ? r : -EIO);
        if (dice(pair, 3) == 0)
            changes_move(pair);
        if (round % 100 == 99) {
            changes_move(pair);
            assert_same(pair);
        }
    }
}

static void test_changes__a_name_goes_from_one_job_to_another(void **state)
{
    struct pair *pair = *state;
    if (!pair)
        skip();
    struct store *store = pair->ours.store;
    assert_int_equal(store_end(store, store_begin(store, STORE_LAZY)), 0);
    assert_int_equal(store_begin(store, STORE_LAZY), 0);
    assert_int_equal(job_save(store, 1, "a", 0), 0);
    assert_int_equal(job_save(store, 2, "b", 0), 0);
    assert_int_equal(store_commit(store), 0);
    changes_move(pair);
    /* Exchanged; then removed, and a new one has the name at once. */
    assert_int_equal(store_begin(store, STORE_LAZY), 0);
    assert_int_equal(job_save(store, 1, "c", 0), 0);
    assert_int_equal(job_save(store, 2, "a", 0), 0);
    assert_int_equal(job_save(store, 1, "b", 0), 0);
    assert_int_equal(store_commit(store), 0);
    changes_move(pair);
    assert_int_equal(store_begin(store, STORE_LAZY), 0);
    assert_int_equal(store_job_remove(store, 1, 5), 0);
    assert_int_equal(job_save(store, 3, "b", 0), 0);
    assert_int_equal(store_commit(store), 0);
    changes_move(pair);
    assert_same(pair);
}

static int file_save(struct store *store, int64_t id, int64_t job_id, const char *name)
{
    char *copy = strdup(name);
    const struct store_file row = {.id = id, .job_id = job_id, .name = copy, .mode = 0644};
    int r = store_file_save(store, &row);
    free(copy);
    return r;
}

static void test_changes__files_change_their_names(void **state)
{
    struct pair *pair = *state;
    if (!pair)
        skip();
    struct store *store = pair->ours.store;
    assert_int_equal(store_begin(store, STORE_LAZY), 0);
    assert_int_equal(job_save(store, 1, "a", 0), 0);
    assert_int_equal(file_save(store, 11, 1, "x"), 0);
    assert_int_equal(file_save(store, 12, 1, "y"), 0);
    assert_int_equal(store_commit(store), 0);
    changes_move(pair);
    assert_int_equal(store_begin(store, STORE_LAZY), 0);
    assert_int_equal(file_save(store, 11, 1, "t"), 0);
    assert_int_equal(file_save(store, 12, 1, "x"), 0);
    assert_int_equal(file_save(store, 11, 1, "y"), 0);
    assert_int_equal(store_commit(store), 0);
    changes_move(pair);
    assert_same(pair);
}

/* What is the same but for its name is renamed; what is not is another database. */
static void test_changes__a_renamed_job_must_be_the_same_otherwise(void **state)
{
    struct pair *pair = *state;
    struct store_changes changes;
    if (!pair)
        skip();
    struct store *store = pair->ours.store;
    job_commit(store, 1, "a", 0);
    changes_move(pair);
    job_commit(pair->copy.store, 1, "a", 77);
    job_commit(store, 1, "z", 5);
    assert_int_equal(store_changes_take(store, &changes), 0);
    assert_int_equal(store_changes_apply(pair->copy.store, &changes), -ERR_STORE_CORRUPT);
    store_changes_fini(&changes);
}

/* SQLite would leave out what the copy has no column for. */
static void test_changes__another_schema_is_refused(void **state)
{
    struct pair *pair = *state;
    struct store_changes changes;
    if (!pair)
        skip();
    struct store *store = pair->ours.store;
    job_commit(store, 1, "a", 0);
    assert_int_equal(store_changes_take(store, &changes), 0);
    unsigned char *bytes = changes.bytes;
    bytes[8]++; /* the version */
    uint64_t sum = checksum_64(bytes + 8, changes.len - 8);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(sum >> 8 * i);
    assert_int_equal(store_changes_apply(pair->copy.store, &changes), -ERR_STORE_VERSION);
    store_changes_fini(&changes);
}

static void test_changes__ids_are_not_used_again_by_the_copy(void **state)
{
    struct pair *pair = *state;
    int64_t ours;
    int64_t copy;
    if (!pair)
        skip();
    for (int i = 0; i < 3000; i++)
        assert_int_equal(store_id_take(pair->ours.store, &ours), 0);
    job_commit(pair->ours.store, 1, "a", 0);
    assert_int_equal(store_id_take(pair->copy.store, &copy), 0);
    changes_move(pair);
    assert_int_equal(store_id_take(pair->copy.store, &copy), 0);
    assert_true(copy > ours);
}

static void test_changes__what_is_rolled_back_is_no_change(void **state)
{
    struct pair *pair = *state;
    struct store_changes changes;
    if (!pair)
        skip();
    struct store *store = pair->ours.store;
    assert_int_equal(store_begin(store, STORE_LAZY), 0);
    assert_int_equal(job_save(store, 1, "a", 0), 0);
    assert_int_equal(store_changes_take(store, &changes), -EBUSY);
    assert_int_equal(store_changes_begin(store), -EBUSY);
    store_rollback(store);
    assert_int_equal(store_sync(store), 0);
    assert_int_equal(store_changes_take(store, &changes), 0);
    assert_int_equal(changes.len, 0);
    store_changes_fini(&changes);
}

/* All or nothing, and never into a database that is another one. */
static void test_changes__another_database_is_left_as_it_is(void **state)
{
    struct pair *pair = *state;
    struct store_changes first;
    struct store_changes second;
    if (!pair)
        skip();
    struct store *store = pair->ours.store;
    job_commit(store, 1, "a", 0);
    assert_int_equal(store_changes_take(store, &first), 0);
    assert_int_equal(store_begin(store, STORE_LAZY), 0);
    assert_int_equal(job_save(store, 2, "b", 0), 0);
    assert_int_equal(store_history_add(store, 1, 1, "created"), 0);
    assert_int_equal(job_save(store, 1, "z", 0), 0);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_changes_take(store, &second), 0);
    char *before = rows_of(&pair->copy);
    /* One is missing; one comes twice; one is cut off; one is no changes. */
    assert_int_equal(store_changes_apply(pair->copy.store, &second), -ERR_STORE_CORRUPT);
    char *after = rows_of(&pair->copy);
    assert_string_equal(before, after);
    free(after);
    assert_int_equal(store_changes_apply(pair->copy.store, &first), 0);
    free(before);
    before = rows_of(&pair->copy);
    assert_int_equal(store_changes_apply(pair->copy.store, &first), -ERR_STORE_CORRUPT);
    for (size_t len = 1; len < second.len; len++) {
        char *cut = malloc(len); /* so that reading beyond it is seen */
        memcpy(cut, second.bytes, len);
        const struct store_changes part = {cut, len};
        assert_true(store_changes_apply(pair->copy.store, &part) < 0);
        free(cut);
    }
    char noise[] = "no changes at all";
    const struct store_changes none = {noise, sizeof(noise)};
    assert_true(store_changes_apply(pair->copy.store, &none) < 0);
    after = rows_of(&pair->copy);
    assert_string_equal(before, after);
    assert_int_equal(store_changes_apply(pair->copy.store, &second), 0);
    assert_same(pair);
    free(before);
    free(after);
    store_changes_fini(&first);
    store_changes_fini(&second);
}

static void test_changes__nothing_is_recorded_unasked(void **state)
{
    struct pair *pair = *state;
    struct store_changes changes;
    if (!pair)
        skip();
    store_changes_end(pair->ours.store);
    assert_int_equal(store_changes_take(pair->ours.store, &changes), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_changes__any_history_is_the_same_in_the_copy),
        TEST(test_changes__a_name_goes_from_one_job_to_another),
        TEST(test_changes__files_change_their_names),
        TEST(test_changes__a_renamed_job_must_be_the_same_otherwise),
        TEST(test_changes__another_schema_is_refused),
        TEST(test_changes__ids_are_not_used_again_by_the_copy),
        TEST(test_changes__what_is_rolled_back_is_no_change),
        TEST(test_changes__another_database_is_left_as_it_is),
        TEST(test_changes__nothing_is_recorded_unasked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
