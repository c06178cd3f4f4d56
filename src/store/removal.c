/*
 * Removes rows on a full disk, with the space that reserve.c holds for it.
 */
#include "store_private.h"

/* How much the database file must grow to take the pages of the log; INT64_MAX: unknown. */
static int64_t database_growth_bytes(struct store *store)
{
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    int64_t pages = 0;
    int64_t page_bytes = 0;
    if (store_pragma_get(store, "PRAGMA page_count", &pages) < 0 ||
        store_pragma_get(store, "PRAGMA page_size", &page_bytes) < 0 ||
        sqlite3_file_control(store->db, NULL, SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        !file || !file->pMethods || file->pMethods->xFileSize(file, &size) != SQLITE_OK)
        return INT64_MAX;
    return pages * page_bytes - size;
}

int store_remove(struct store *store, store_remove_fn *fn, void *context)
{
    int r = fn(context);
    if (r == -ENOSPC) {
        int64_t released = store_reserve_cut(store);
        if (database_growth_bytes(store) <= released / 2)
            store_log_empty(store);
        r = fn(context);
    }
    store_reserve_fill(store);
    return r;
}
