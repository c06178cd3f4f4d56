/*
 * What transactions have changed, for the copies of this database on other hosts. With each
 * transaction a row of `outbox` is written within it: so neither exists without the other, whatever
 * ends the program. The row stays until the copies can have it: store_outbox_done().
 *
 * SQLite's update hook tells which rows were changed; what is in them is read at the end of the
 * transaction. So an entry says how rows are, not how they became so: the same entry twice, or one of
 * which the beginning was there already, does no harm.
 *
 * The hook is silent about tables WITHOUT ROWID, about rows that REPLACE removes, and about a DELETE of all
 * rows (https://www.sqlite.org/c3ref/update_hook.html): the shared tables know none of them.
 */
#include "store_private.h"

#include "seedancefs/base/base64.h"
#include "seedancefs/base/buf.h"
#include "seedancefs/base/json.h"
#include "seedancefs/base/text.h"

#include <stdlib.h>
#include <string.h>

enum { ENTRY_BYTES_MAX = 512 * 1024 * 1024, FILL_BYTES = 1024 * 1024 };

static void on_row(void *context, int operation, const char *database UNUSED, const char *name,
                   sqlite3_int64 id)
{
    struct store *store = context;
    struct outbox *outbox = &store->outbox;
    int table = shared_table_find(name);
    if (table < 0)
        return;
    if (outbox->count == outbox->room) {
        size_t room = outbox->room ? 2 * outbox->room : 16;
        struct changed_row *more = realloc(outbox->rows, room * sizeof(*more));
        outbox->is_incomplete = outbox->is_incomplete || !more;
        if (!more)
            return;
        outbox->rows = more;
        outbox->room = room;
    }
    outbox->rows[outbox->count++] =
        (struct changed_row){.table = table, .id = id, .is_inserted = operation == SQLITE_INSERT};
}

void outbox_forget(struct store *store)
{
    store->outbox.count = 0;
    store->outbox.is_incomplete = false;
}

void outbox_end(struct store *store)
{
    if (store->db)
        (void)sqlite3_update_hook(store->db, NULL, NULL);
    free(store->outbox.rows);
    store->outbox = (struct outbox){0};
}

/* JSON has texts of UTF-8 without NUL; others, and blobs that are none, are base64. */
static void value_write(struct json_writer *w, sqlite3_stmt *statement, int column)
{
    int type = sqlite3_column_type(statement, column);
    if (type == SQLITE_NULL) {
        json_write_null(w);
    } else if (type == SQLITE_INTEGER) {
        json_write_int64(w, sqlite3_column_int64(statement, column));
    } else {
        size_t len = (size_t)sqlite3_column_bytes(statement, column);
        const char *bytes = sqlite3_column_blob(statement, column);
        bool is_text = len == 0 || (bytes && !memchr(bytes, 0, len) && text_is_utf8(bytes, len));
        if (is_text) {
            json_write_text(w, len ? bytes : "", len);
            return;
        }
        json_write_object_begin(w);
        json_write_key(w, "base64");
        CLEANUP(buf_fini) struct buf text = {.limit = ENTRY_BYTES_MAX};
        base64_encode(&text, bytes, len);
        if (text.error && !w->out->error)
            w->out->error = text.error;
        json_write_text(w, buf_text(&text), text.len);
        json_write_object_end(w);
    }
}

/* [table, id, {columns}], with `true` behind it for some of the columns; null: there is no such row any more. */
static int row_write(struct store *store, struct json_writer *w, const struct changed_row *row)
{
    const struct shared_table *table = &shared_tables[row->table];
    CLEANUP_RESET sqlite3_stmt *statement =
        shared_query(store, row->table, SHARED_ROW_GET, row->id);
    int r = store_step(store, statement);
    if (r < 0)
        return r;
    const char *only = row->is_inserted ? NULL : table->changing;
    json_write_array_begin(w);
    json_write_string(w, table->name);
    json_write_int64(w, row->id);
    if (r == 0) {
        json_write_null(w);
        only = NULL;
    } else {
        json_write_object_begin(w);
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const char *name = sqlite3_column_name(statement, i);
            if (!name)
                return -ENOMEM;
            if (only && strcmp(only, name) != 0)
                continue;
            json_write_key(w, name);
            value_write(w, statement, i);
        }
        json_write_object_end(w);
    }
    if (only)
        json_write_bool(w, true);
    json_write_array_end(w);
    return w->out->error;
}

static int row_compare(const void *a, const void *b)
{
    const struct changed_row *one = a;
    const struct changed_row *other = b;
    if (one->table != other->table)
        return one->table < other->table ? -1 : 1;
    return one->id < other->id ? -1 : one->id > other->id;
}

/* In the order of the tables, each row once. */
static size_t rows_sort(struct changed_row *rows, size_t count)
{
    size_t kept = 0;
    qsort(rows, count, sizeof(*rows), row_compare);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && row_compare(&rows[kept - 1], &rows[i]) == 0)
            rows[kept - 1].is_inserted = rows[kept - 1].is_inserted || rows[i].is_inserted;
        else
            rows[kept++] = rows[i];
    }
    return kept;
}

static int entry_insert(struct store *store, const struct buf *entry, int64_t file_id)
{
    return store_run(
        store, store_query(store, SQL_OUTBOX_ADD,
                           VALUES(AS_TEXT(entry ? buf_text(entry) : NULL), AS_INTEGER(file_id))));
}

/* An entry that is being written. */
struct entry_writer {
    struct buf text;
    struct json_writer json;
    size_t rows;
};

static void entry_writer_fini(struct entry_writer *w)
{
    buf_fini(&w->text);
}

static void entry_begin(struct entry_writer *w, bool is_first)
{
    buf_fini(&w->text);
    w->text = (struct buf){.limit = ENTRY_BYTES_MAX};
    w->rows = 0;
    json_writer_init(&w->json, &w->text, JSON_COMPACT);
    json_write_object_begin(&w->json);
    json_write_member_int64(&w->json, "schema", STORE_SCHEMA_VERSION);
    if (is_first)
        json_write_member_bool(&w->json, "begin", true);
    json_write_key(&w->json, "rows");
    json_write_array_begin(&w->json);
}

static int entry_finish(struct store *store, struct entry_writer *w)
{
    json_write_array_end(&w->json);
    json_write_object_end(&w->json);
    return w->text.error ? w->text.error : entry_insert(store, &w->text, 0);
}

static int entry_write(struct store *store, const struct changed_row *rows, size_t count)
{
    CLEANUP(entry_writer_fini) struct entry_writer w = {.rows = 0};
    int r = 0;
    entry_begin(&w, false);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = row_write(store, &w.json, &rows[i]);
    return r < 0 ? r : entry_finish(store, &w);
}

int outbox_write(struct store *store)
{
    struct outbox *outbox = &store->outbox;
    if (outbox->is_incomplete)
        return -ENOMEM;
    if (outbox->count == 0)
        return 0;
    outbox->count = rows_sort(outbox->rows, outbox->count);
    outbox->has_news = true;
    return entry_write(store, outbox->rows, outbox->count);
}

void outbox_announce(struct store *store)
{
    bool has_news = store->outbox.has_news;
    store->outbox.has_news = false;
    outbox_forget(store);
    if (has_news && store->outbox.on_entry)
        store->outbox.on_entry(store->outbox.context);
}

void outbox_begin(struct store *store)
{
    outbox_forget(store);
    (void)sqlite3_update_hook(store->db, on_row, store);
}

void store_outbox_watch(struct store *store, store_entry_fn *fn, void *context)
{
    store->outbox.on_entry = fn;
    store->outbox.context = context;
}

/* In entries of FILL_BYTES, or of one row that is larger. */
static int table_fill(struct store *store, int table, struct entry_writer *w)
{
    int64_t after = INT64_MIN;
    int r;
    for (;;) {
        CLEANUP_RESET sqlite3_stmt *statement = shared_query(store, table, SHARED_ROW_AFTER, after);
        r = store_step(store, statement);
        if (r <= 0)
            return r;
        after = sqlite3_column_int64(statement, 0);
        const struct changed_row row = {.table = table, .id = after, .is_inserted = true};
        r = row_write(store, &w->json, &row);
        if (r < 0)
            return r;
        w->rows++;
        if (w->text.len < FILL_BYTES)
            continue;
        r = entry_finish(store, w);
        if (r < 0)
            return r;
        entry_begin(w, false);
    }
}

int outbox_fill(struct store *store)
{
    CLEANUP(entry_writer_fini) struct entry_writer w = {.rows = 0};
    int r = store_run(store, store_statement(store, SQL_OUTBOX_CLEAR));
    entry_begin(&w, true);
    for (int table = 0; r == 0 && table < SHARED_TABLE_COUNT; table++)
        r = table_fill(store, table, &w);
    if (r == 0) /* the first one is there although there is no row */
        r = entry_finish(store, &w);
    if (r == 0)
        r = store_run(store, store_statement(store, SQL_OUTBOX_FILES));
    store->outbox.has_news = true;
    return r;
}
