/* What a leader writes down, made in a replica: after any history both have the same rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

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
    (void)snprintf(place->directory, sizeof(place->directory), "%s/seedancefs-replica-XXXXXX",
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

static void role_set(struct place *place, enum store_role role)
{
    const struct store_share share = {.role = role};
    assert_int_equal(role == STORE_LEADER ? store_share_begin(place->store, &share)
                                          : store_share_set(place->store, &share),
                     0);
}

static int setup(void **state)
{
    static struct pair pair;
    place_open(&pair.ours);
    place_open(&pair.copy);
    pair.random = 1;
    role_set(&pair.ours, STORE_LEADER);
    role_set(&pair.copy, STORE_REPLICA);
    *state = &pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;
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
                                 "NOT LIKE 'sqlite_%' AND name NOT IN "
                                 "('meta', 'outbox', 'share') ORDER BY name";
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

/* Makes what has happened since the last call in the copy; some of it twice, as after a lost answer. */
static int entries_move(struct pair *pair, store_row_fn *fn, void *context)
{
    struct store_share share;
    struct store_entry entry;
    struct store_progress progress = {.number = 0};
    int r = 0;
    assert_int_equal(store_share_get(pair->copy.store, &share), 0);
    while (r == 0 && store_outbox_next(pair->ours.store, progress.number, &entry) == 1) {
        progress.number = entry.number;
        share.seq++;
        assert_int_equal(strlen(entry.tag), STORE_UID_SIZE - 1);
        for (int left = dice(pair, 4) ? 1 : 2; r == 0 && left > 0; left--)
            r = store_replica_apply(pair->copy.store, entry.text, entry.len, &share, fn, context);
        free(entry.text);
    }
    share.role = STORE_LEADER;
    while (r == 0 && store_outbox_file_next(pair->ours.store, 0, &entry) == 1) {
        progress.file_id = entry.file_id;
        assert_int_equal(
            store_outbox_file_last(pair->ours.store, entry.file_id, &progress.file_number), 0);
        assert_int_equal(store_outbox_done(pair->ours.store, &progress, &share), 0);
    }
    if (r == 0)
        assert_int_equal(store_outbox_done(pair->ours.store, &progress, &share), 0);
    return r;
}

static void changes_move(struct pair *pair)
{
    assert_int_equal(entries_move(pair, NULL, NULL), 0);
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

static void test_replica__any_history_is_the_same_in_the_copy(void **state)
{
    struct pair *pair = *state;
    int64_t attempts[JOBS + 1];
    int64_t next_id = 1000;
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

static void test_replica__a_name_goes_from_one_job_to_another(void **state)
{
    struct pair *pair = *state;
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

static void test_replica__files_change_their_names(void **state)
{
    struct pair *pair = *state;
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

static void test_replica__nothing_else_is_written_there(void **state)
{
    struct pair *pair = *state;
    struct store *copy = pair->copy.store;
    int64_t id;
    job_commit(pair->ours.store, 1, "a", 0);
    changes_move(pair);
    assert_int_equal(store_begin(copy, STORE_LAZY), -EROFS);
    assert_int_equal(store_id_take(copy, &id), -EROFS);
    assert_int_equal(store_sync(copy), -EROFS);
    assert_int_equal(store_write_check(copy), -EROFS);
    assert_int_equal(store_write_check(pair->ours.store), 0);
    assert_int_equal(store_file_touch(copy, 1), 0); /* nobody asks a replica what it has */
    assert_same(pair);
    assert_int_equal(store_role_get(pair->copy.store),
                     STORE_REPLICA); /* also when it is opened anew */
    assert_int_equal(store_begin(pair->copy.store, STORE_LAZY), -EROFS);
}

static int entry_apply(struct pair *pair, const char *entry)
{
    return store_replica_apply(pair->copy.store, entry, strlen(entry), NULL, NULL, NULL);
}

/* All or nothing. */
static void test_replica__what_does_not_fit_is_refused(void **state)
{
    struct pair *pair = *state;
    static const char *const entries[] = {
        "{\"rows\":[[\"job\",1",
        "{\"rows\":{}}",
        "{\"rows\":[[\"job\",1,7]]}",
        "{\"rows\":[[\"file\",8,null],[\"job\",\"1\",null]]}",
        /* an attempt of a job that is not there; a name that another one has; a part of no row */
        "{\"rows\":[[\"take_prompt\",55,{\"attempt_id\":55,\"text\":\"x\"}]]}",
        "{\"rows\":[[\"file\",9,{\"id\":9,\"job_id\":1,\"name\":\"x\",\"mode\":0,\"is_note\":0}]]}",
        "{\"rows\":[[\"exchange\",77,{\"response\":\"x\"},true]]}",
        "{\"rows\":[[\"attempt\",101,null]]}",
        "{\"rows\":[[\"job\",1,{\"nothing\":1}]]}",
        "{\"rows\":[[\"job\",1,{\"id\":1,\"state\":{\"base64\":\"?\"}}]]}",
    };
    assert_int_equal(store_begin(pair->ours.store, STORE_LAZY), 0);
    assert_int_equal(job_save(pair->ours.store, 1, "a", 101), 0);
    assert_int_equal(attempt_save(pair, 1, 101, true), 0);
    assert_int_equal(file_save(pair->ours.store, 8, 1, "x"), 0);
    assert_int_equal(store_commit(pair->ours.store), 0);
    changes_move(pair);
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
        assert_int_equal(entry_apply(pair, entries[i]), -ERR_STORE_CORRUPT);
    assert_same(pair);
}

/* A newer program there has more tables and columns. */
static void test_replica__what_it_does_not_know_is_left_out(void **state)
{
    struct pair *pair = *state;
    job_commit(pair->ours.store, 1, "a", 0);
    changes_move(pair);
    assert_int_equal(entry_apply(pair, "{\"schema\":99,\"rows\":[[\"mood\",1,{\"id\":1}],"
                                       "[\"job\",1,{\"id\":1,\"color\":\"red\",\"name\":\"a\"},"
                                       "true]],\"weather\":null}"),
                     0);
    assert_same(pair);
}

static void test_replica__what_is_rolled_back_is_no_entry(void **state)
{
    struct pair *pair = *state;
    struct store_entry entry;
    struct store *store = pair->ours.store;
    changes_move(pair);
    assert_int_equal(store_begin(store, STORE_LAZY), 0);
    assert_int_equal(job_save(store, 1, "a", 0), 0);
    store_rollback(store);
    assert_int_equal(store_sync(store), 0);
    assert_int_equal(store_outbox_next(store, 0, &entry), 0);
    /* Nor does it come with the next one. */
    job_commit(store, 2, "b", 0);
    assert_int_equal(store_outbox_next(store, 0, &entry), 1);
    assert_non_null(strstr(entry.text, "\"job\",2"));
    assert_null(strstr(entry.text, "\"job\",1"));
    free(entry.text);
}

static void count(void *context)
{
    ++*(int *)context;
}

/* Whatever ends the program: it is there at the next start, and told of. */
static void test_replica__entries_wait_until_the_log_has_them(void **state)
{
    struct pair *pair = *state;
    struct store_entry entry;
    int told = 0;
    changes_move(pair);
    store_outbox_watch(pair->ours.store, count, &told);
    job_commit(pair->ours.store, 1, "a", 0);
    assert_int_equal(told, 1);
    assert_int_equal(store_file_touch(pair->ours.store, 33), 0);
    assert_int_equal(told, 2);
    free(rows_of(&pair->ours)); /* opens it anew */
    assert_int_equal(store_outbox_next(pair->ours.store, 0, &entry), 1);
    int64_t number = entry.number;
    free(entry.text);
    assert_int_equal(store_outbox_next(pair->ours.store, number, &entry), 0);
    assert_int_equal(store_outbox_file_next(pair->ours.store, 0, &entry), 1);
    assert_int_equal(entry.file_id, 33);
    assert_null(entry.text);
    changes_move(pair);
    assert_int_equal(store_outbox_next(pair->ours.store, 0, &entry), 0);
    assert_same(pair);
}

/* A database that has a history becomes a leader; and one whose log has begun anew. */
static void test_replica__a_log_begins_with_everything(void **state)
{
    struct pair *pair = *state;
    struct place other;
    const struct store_share replica = {.role = STORE_REPLICA};
    place_open(&other);
    assert_int_equal(store_begin(other.store, STORE_LAZY), 0);
    for (int64_t id = 1; id <= 1200; id++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%d", (int)id);
        assert_int_equal(job_save(other.store, id, name, 0), 0);
    }
    assert_int_equal(file_save(other.store, 2000, 7, "x"), 0);
    assert_int_equal(store_commit(other.store), 0);
    assert_int_equal(store_share_set(other.store, &replica), -EEXIST);
    struct pair next = {.ours = other, .copy = pair->copy, .random = 1};
    role_set(&next.ours, STORE_LEADER);
    /* What the copy had of another log is gone. */
    job_commit(pair->ours.store, 77, "of another", 0);
    changes_move(pair);
    changes_move(&next);
    assert_same(&next);
    /* Again, with what was removed since. */
    assert_int_equal(store_begin(next.ours.store, STORE_LAZY), 0);
    assert_int_equal(store_file_remove(next.ours.store, 2000), 0);
    assert_int_equal(store_end(next.ours.store, attempt_save(&next, 5, 3000, true)), 0);
    role_set(&next.ours, STORE_LEADER);
    changes_move(&next);
    assert_same(&next);
    pair->copy = next.copy;
    place_remove(&next.ours);
}

/* Inputs had no numbers of their own before several hosts could have them. */
static void test_replica__a_database_from_before_keeps_its_inputs(void **state)
{
    struct pair *pair = *state;
    struct place *ours = &pair->ours;
    static const char to_version_10[] =
        "DROP TABLE share; DROP TABLE outbox; ALTER TABLE input RENAME TO later;"
        "CREATE TABLE input (attempt_id INTEGER NOT NULL REFERENCES attempt(id),"
        "  number INTEGER NOT NULL, form INTEGER NOT NULL, media INTEGER NOT NULL,"
        "  body_offset INTEGER NOT NULL, job_id INTEGER NOT NULL, take_id INTEGER NOT NULL,"
        "  kept_id INTEGER NOT NULL, length_ms INTEGER NOT NULL, is_seen INTEGER NOT NULL,"
        "  field TEXT NOT NULL, path TEXT NOT NULL, PRIMARY KEY (attempt_id, number)) STRICT,"
        "  WITHOUT ROWID;"
        "INSERT INTO input SELECT attempt_id, number, form, media, body_offset, job_id, take_id,"
        "  kept_id, length_ms, is_seen, field, path FROM later; DROP TABLE later;"
        "PRAGMA user_version = 10;";
    char field[] = "image_url";
    char path[] = "a.png";
    char database[96];
    sqlite3 *db;
    struct store_input row = {
        .attempt_id = 101, .field = field, .path = path, .kept_id = 6, .length_ms = 7000};
    assert_int_equal(store_begin(ours->store, STORE_LAZY), 0);
    assert_int_equal(job_save(ours->store, 1, "a", 101), 0);
    assert_int_equal(attempt_save(pair, 1, 101, true), 0);
    for (row.number = 0; row.number < 3; row.number++)
        assert_int_equal(store_input_save(ours->store, &row), 0);
    assert_int_equal(store_commit(ours->store), 0);
    char *before = rows_of(ours);
    ours->store = store_close(ours->store);
    (void)snprintf(database, sizeof(database), "%s/jobs.sqlite", ours->directory);
    assert_int_equal(sqlite3_open(database, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, to_version_10, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(store_open(ours->directory_fd, ours->directory, &ours->store), 0);
    assert_int_equal(store_role_get(ours->store), STORE_ALONE);
    char *after = rows_of(ours);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

struct told {
    char text[512];
    size_t len;
};

static int tell(void *context, const struct store_row *row)
{
    struct told *told = context;
    told->len += (size_t)snprintf(told->text + told->len, sizeof(told->text) - told->len,
                                  "%s%s %d %d%s;", row->is_before ? "<" : ">", row->kind,
                                  (int)row->id, (int)row->job_id, row->is_gone ? " gone" : "");
    return 0;
}

static void test_replica__a_row_is_told_with_its_jobs(void **state)
{
    struct pair *pair = *state;
    struct told told = {.len = 0};
    struct store *store = pair->ours.store;
    assert_int_equal(store_begin(store, STORE_LAZY), 0);
    assert_int_equal(job_save(store, 1, "a", 0), 0);
    assert_int_equal(job_save(store, 2, "b", 0), 0);
    assert_int_equal(file_save(store, 8, 1, "x"), 0);
    assert_int_equal(file_save(store, 9, 1, "y"), 0);
    assert_int_equal(store_commit(store), 0);
    changes_move(pair);
    assert_int_equal(store_begin(store, STORE_LAZY), 0);
    assert_int_equal(file_save(store, 8, 2, "x"), 0);
    assert_int_equal(store_file_remove(store, 9), 0);
    assert_int_equal(store_commit(store), 0);
    pair->random = 0;
    while (entries_move(pair, tell, &told) < 0)
        ;
    assert_non_null(strstr(told.text, "<file 8 1;<file 9 1 gone;>file 8 2;>file 9 0 gone;"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_replica__any_history_is_the_same_in_the_copy),
        TEST(test_replica__a_name_goes_from_one_job_to_another),
        TEST(test_replica__files_change_their_names),
        TEST(test_replica__nothing_else_is_written_there),
        TEST(test_replica__what_does_not_fit_is_refused),
        TEST(test_replica__what_it_does_not_know_is_left_out),
        TEST(test_replica__what_is_rolled_back_is_no_entry),
        TEST(test_replica__entries_wait_until_the_log_has_them),
        TEST(test_replica__a_log_begins_with_everything),
        TEST(test_replica__a_database_from_before_keeps_its_inputs),
        TEST(test_replica__a_row_is_told_with_its_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
