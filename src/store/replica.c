/*
 * A copy of a database on another host: its rows are made what that host's entries say (outbox.c), each
 * entry in one transaction together with its place in the log. Nothing else is written: store_begin()
 * fails with -EROFS.
 *
 * Names and numbers are unique at every moment, and rows of one entry may have changed theirs for each
 * other's. So each row first gives its own up.
 */
#include "store_private.h"

#include "seedancefs/base/base64.h"
#include "seedancefs/base/buf.h"
#include "seedancefs/base/json.h"
#include "seedancefs/base/log.h"

#include <stdlib.h>
#include <string.h>

static const struct json_limits entry_limits = {
    .max_bytes = INT32_MAX, .max_depth = 8, .max_nodes = 64 * 1024 * 1024};

enum { COLUMNS_MAX = 64 };

/* A row of an entry. */
struct entry_row {
    int table;
    int64_t id;
    const struct json *data; /* NULL: there is no such row any more */
    bool is_partial;
};

static void document_drop(struct json_document **document)
{
    json_document_free(*document);
}

/* 0 for a row of a table that this version does not know. */
static int row_read(const struct json *node, struct entry_row *out)
{
    const struct json *kind = json_child_first(node);
    const struct json *id = kind ? json_child_next(kind) : NULL;
    const struct json *data = id ? json_child_next(id) : NULL;
    const struct json *partial = data ? json_child_next(data) : NULL;
    *out = (struct entry_row){.data = json_type_get(data) == JSON_OBJECT ? data : NULL};
    (void)json_bool_get(partial, &out->is_partial);
    if (!json_text_get(kind) || !json_int64_get(id, &out->id) || !data ||
        (!out->data && json_type_get(data) != JSON_NULL))
        return -ERR_STORE_CORRUPT;
    out->table = shared_table_find(json_text_get(kind));
    return out->table >= 0;
}

/* Calls `fn` for each row of the entry whose table is known. */
typedef int row_fn(struct store *store, const struct entry_row *row, void *context);
static int rows_each(struct store *store, const struct json *rows, row_fn *fn, void *context)
{
    JSON_FOR_EACH (node, rows) {
        struct entry_row row;
        int r = row_read(node, &row);
        if (r > 0)
            r = fn(store, &row, context);
        if (r < 0)
            return r;
    }
    return 0;
}

static int row_give_up(struct store *store, const struct entry_row *row, void *context UNUSED)
{
    if (!shared_tables[row->table].give_up)
        return 0;
    return store_run(store, shared_query(store, row->table, SHARED_GIVE_UP, row->id));
}

struct put {
    struct buf sql;
    const struct json *values[COLUMNS_MAX];
    bool are_blobs[COLUMNS_MAX];
    size_t count;
};

static void put_drop(struct put *put)
{
    buf_fini(&put->sql);
}

/* The columns that both have: an older program there knows fewer, a newer one more. */
static int put_columns_find(struct store *store, const struct entry_row *row, struct put *put,
                            const char *names[static COLUMNS_MAX])
{
    sqlite3_stmt *shape = shared_query(store, row->table, SHARED_ROW_GET, row->id);
    if (!shape)
        return store_result(store, sqlite3_errcode(store->db));
    int columns = sqlite3_column_count(shape);
    for (int i = 0; i < columns && i < COLUMNS_MAX; i++) {
        const char *name = sqlite3_column_name(shape, i);
        const char *type = sqlite3_column_decltype(shape, i);
        const struct json *value = name ? json_member_get(row->data, name) : NULL;
        if (!name || !type)
            return -ENOMEM;
        if (!value)
            continue;
        names[put->count] = name;
        put->are_blobs[put->count] = strcmp(type, "BLOB") == 0;
        put->values[put->count++] = value;
    }
    return put->count > 0 ? 0 : -ERR_STORE_CORRUPT;
}

static void insert_write(const struct entry_row *row, struct put *put, const char *const *names,
                         const char *key)
{
    struct buf *sql = &put->sql;
    (void)buf_addf(sql, "INSERT INTO %s (", shared_tables[row->table].name);
    for (size_t i = 0; i < put->count; i++)
        (void)buf_addf(sql, "%s%s", i > 0 ? "," : "", names[i]);
    (void)buf_add_text(sql, ") VALUES (");
    for (size_t i = 0; i < put->count; i++)
        (void)buf_add_text(sql, i > 0 ? ",?" : "?");
    (void)buf_addf(sql, ") ON CONFLICT (%s) DO ", key);
    if (shared_tables[row->table].is_append_only || put->count == 1) {
        (void)buf_add_text(sql, "NOTHING");
        return;
    }
    (void)buf_add_text(sql, "UPDATE SET ");
    for (size_t i = 0; i < put->count; i++)
        (void)buf_addf(sql, "%s%s=excluded.%s", i > 0 ? "," : "", names[i], names[i]);
}

static void update_write(const struct entry_row *row, struct put *put, const char *const *names,
                         const char *key)
{
    struct buf *sql = &put->sql;
    (void)buf_addf(sql, "UPDATE %s SET ", shared_tables[row->table].name);
    for (size_t i = 0; i < put->count; i++)
        (void)buf_addf(sql, "%s%s=?", i > 0 ? "," : "", names[i]);
    (void)buf_addf(sql, " WHERE %s=?", key);
}

/* Most entries are of few shapes, so that the last statement is often the next one. */
static sqlite3_stmt *put_prepare(struct store *store, const struct put *put)
{
    const char *last = store->shared_put ? sqlite3_sql(store->shared_put) : NULL;
    if (put->sql.error)
        return NULL;
    if (!last || strcmp(last, buf_text(&put->sql)) != 0) {
        (void)sqlite3_finalize(store->shared_put);
        store->shared_put = NULL;
        if (sqlite3_prepare_v3(store->db, buf_text(&put->sql), -1, SQLITE_PREPARE_PERSISTENT,
                               &store->shared_put, NULL) != SQLITE_OK)
            return NULL;
    }
    (void)sqlite3_reset(store->shared_put);
    (void)sqlite3_clear_bindings(store->shared_put);
    return store->shared_put;
}

static int bytes_bind(sqlite3_stmt *statement, int index, const void *bytes, size_t len,
                      bool is_blob)
{
    int rc = is_blob
                 ? sqlite3_bind_blob64(statement, index, bytes, len, SQLITE_TRANSIENT)
                 : sqlite3_bind_text64(statement, index, bytes, len, SQLITE_TRANSIENT, SQLITE_UTF8);
    return rc == SQLITE_OK ? 0 : rc == SQLITE_TOOBIG ? -EFBIG : -ENOMEM;
}

static int base64_bind(sqlite3_stmt *statement, int index, const char *text, bool is_blob)
{
    size_t len = strlen(text);
    int64_t bytes_len = base64_decode(text, len, NULL, 0);
    if (bytes_len < 0)
        return -ERR_STORE_CORRUPT;
    CLEANUP_FREE char *bytes = malloc((size_t)bytes_len + 1);
    if (!bytes)
        return -ENOMEM;
    (void)base64_decode(text, len, bytes, (size_t)bytes_len);
    return bytes_bind(statement, index, bytes, (size_t)bytes_len, is_blob);
}

static int value_bind(sqlite3_stmt *statement, int index, const struct json *value, bool is_blob)
{
    int64_t number;
    const char *text = json_text_get(value);
    const char *base64 = json_text_get(json_member_get(value, "base64"));
    if (json_type_get(value) == JSON_NULL)
        return 0; /* a binding is NULL until it is made */
    if (json_int64_get(value, &number))
        return sqlite3_bind_int64(statement, index, number) == SQLITE_OK ? 0 : -ENOMEM;
    if (text)
        return bytes_bind(statement, index, text, strlen(text), is_blob);
    return base64 ? base64_bind(statement, index, base64, is_blob) : -ERR_STORE_CORRUPT;
}

static int row_put(struct store *store, const struct entry_row *row)
{
    CLEANUP(put_drop) struct put put = {.sql = {.limit = 64 * 1024}};
    const char *names[COLUMNS_MAX];
    int r = put_columns_find(store, row, &put, names);
    if (r < 0)
        return r;
    /* The first column is the INTEGER PRIMARY KEY. */
    const char *key = sqlite3_column_name(shared_statement(store, row->table, SHARED_ROW_GET), 0);
    if (!key)
        return -ENOMEM;
    if (row->is_partial)
        update_write(row, &put, names, key);
    else
        insert_write(row, &put, names, key);
    sqlite3_stmt *statement = put_prepare(store, &put);
    if (!statement)
        return put.sql.error ? put.sql.error : store_result(store, sqlite3_errcode(store->db));
    for (size_t i = 0; r == 0 && i < put.count; i++)
        r = value_bind(statement, (int)i + 1, put.values[i], put.are_blobs[i]);
    if (r == 0 && row->is_partial)
        (void)sqlite3_bind_int64(statement, (int)put.count + 1, row->id);
    if (r == 0)
        r = store_run(store, statement);
    /* What is missing here makes this no copy. */
    return r == 0 && row->is_partial && sqlite3_changes(store->db) != 1 ? -ERR_STORE_CORRUPT : r;
}

static int row_apply(struct store *store, const struct entry_row *row, void *context UNUSED)
{
    if (row->data)
        return row_put(store, row);
    return store_run(store, shared_query(store, row->table, SHARED_ROW_DELETE, row->id));
}

struct telling {
    store_row_fn *fn;
    void *context;
    bool is_before;
};

/* The job that a row belongs to may be another one afterwards. */
static int row_tell(struct store *store, const struct entry_row *row, void *context)
{
    const struct telling *telling = context;
    int64_t job_id = 0;
    const struct shared_table *table = &shared_tables[row->table];
    if (!table->owner)
        return 0;
    int r =
        store_integer_get(store, shared_query(store, row->table, SHARED_OWNER, row->id), &job_id);
    if (r < 0)
        return r;
    const struct store_row told = {.kind = table->name,
                                   .id = row->id,
                                   .job_id = job_id,
                                   .is_before = telling->is_before,
                                   .is_gone = !row->data};
    return telling->fn(telling->context, &told);
}

static int entry_tell(struct store *store, const struct json *rows, struct telling *telling,
                      bool is_before)
{
    telling->is_before = is_before;
    return telling->fn ? rows_each(store, rows, row_tell, telling) : 0;
}

/* The triggers forbid to delete what tells of money; a copy is no such thing. They are made again as
 * they were. */
static int triggers_save(struct store *store, struct buf *drop, struct buf *make)
{
    sqlite3_stmt *statement = NULL;
    static const char sql[] = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'";
    int r = store_result(store, sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL));
    while (r >= 0 && (r = store_step(store, statement)) > 0) {
        (void)buf_addf(drop, "DROP TRIGGER %s;", sqlite3_column_text(statement, 0));
        (void)buf_addf(make, "%s;", sqlite3_column_text(statement, 1));
    }
    (void)sqlite3_finalize(statement);
    return r < 0 ? r : drop->error ? drop->error : make->error;
}

/* Proof: this is a copy of what another host has, and the log of that host begins anew. */
static int tables_clear(struct store *store)
{
    CLEANUP(buf_fini) struct buf clear = {.limit = 64 * 1024};
    CLEANUP(buf_fini) struct buf make = {.limit = 64 * 1024};
    int r = triggers_save(store, &clear, &make);
    for (int table = SHARED_TABLE_COUNT - 1; table >= 0; table--)
        (void)buf_addf(&clear, "DELETE FROM %s;", shared_tables[table].name);
    if (r == 0)
        r = clear.error ? clear.error : store_exec(store, buf_text(&clear));
    return r == 0 ? store_exec(store, buf_text(&make)) : r;
}

static int entry_apply(struct store *store, const struct json *entry, struct telling *telling)
{
    bool is_begin = false;
    const struct json *rows = json_member_get(entry, "rows");
    if (json_type_get(rows) != JSON_ARRAY)
        return -ERR_STORE_CORRUPT;
    (void)json_bool_get(json_member_get(entry, "begin"), &is_begin);
    int r = store_exec(store, "PRAGMA defer_foreign_keys=ON");
    if (r == 0 && is_begin)
        r = tables_clear(store);
    if (r == 0)
        r = entry_tell(store, rows, telling, true);
    if (r == 0)
        r = rows_each(store, rows, row_give_up, NULL);
    if (r == 0)
        r = rows_each(store, rows, row_apply, NULL);
    return r == 0 ? entry_tell(store, rows, telling, false) : r;
}

static int replica_begin(struct store *store)
{
    if (store->role != STORE_REPLICA)
        return -EINVAL;
    store->is_applying = true;
    int r = store_begin(store, STORE_LAZY);
    store->is_applying = r == 0;
    return r;
}

static int replica_end(struct store *store, int r)
{
    r = store_end(store, r);
    store->is_applying = false;
    return r;
}

int store_replica_apply(struct store *store, const char *text, size_t len,
                        const struct store_share *share, store_row_fn *fn, void *context)
{
    CLEANUP(document_drop) struct json_document *document = NULL;
    struct json_error error;
    struct telling telling = {.fn = fn, .context = context};
    int r = json_parse(text, len, &entry_limits, &document, &error);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        log_error("replica.entry", "error=%s why=\"%s\"", err_name(r), error.sentence);
    if (r == 0)
        r = replica_begin(store);
    else
        r = -ERR_STORE_CORRUPT;
    if (r < 0)
        return r;
    r = entry_apply(store, json_document_root(document), &telling);
    if (r == 0 && share)
        r = share_row_set(store, share);
    return replica_end(store, r);
}

int store_replica_clear(struct store *store, const struct store_share *share)
{
    int r = replica_begin(store);
    if (r < 0)
        return r;
    r = store_exec(store, "PRAGMA defer_foreign_keys=ON");
    if (r == 0)
        r = tables_clear(store);
    if (r == 0)
        r = share_row_set(store, share);
    return replica_end(store, r);
}
