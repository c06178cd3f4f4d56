/*
 * The file `events`, stored line by line under the offset at which each line ends. So the last
 * offset is the file's size, and a read from the middle finds its line at once, however long
 * the file is.
 */
#include "store_private.h"

int store_event_add(struct store *store, const char *line, size_t len)
{
    return store_run(
        store, store_query(store, SQL_EVENT_ADD, VALUES(AS_TEXT(line), AS_INTEGER((int64_t)len))));
}

int store_events_size(struct store *store, int64_t *bytes)
{
    int r = store_integer_get(store, store_query(store, SQL_EVENTS_SIZE, VALUES_NONE), bytes);
    return r == 0 ? -ERR_STORE_CORRUPT : r < 0 ? r : 0;
}

int store_events_each(struct store *store, int64_t offset, store_events_fn *fn, void *context)
{
    CLEANUP_RESET sqlite3_stmt *statement =
        store_query(store, SQL_EVENTS_EACH, VALUES(AS_INTEGER(offset)));
    int r;
    while ((r = store_step(store, statement)) > 0) {
        int64_t end = sqlite3_column_int64(statement, 0);
        const char *line = (const char *)sqlite3_column_text(statement, 1);
        int64_t len = sqlite3_column_bytes(statement, 1);
        bool is_sound = line && len > 0 && end - len <= offset && end - len >= 0;
        bool is_more = is_sound && fn(context, line, (size_t)len, (size_t)(offset - (end - len)));
        offset = end;
        if (is_more)
            continue;
        return is_sound ? 0 : line ? -ERR_STORE_CORRUPT : -ENOMEM;
    }
    return r;
}
