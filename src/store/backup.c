/*
 * A consistent copy of the database, made beside it while the program goes on. Copying the files
 * of a database that is in use is not enough: between the copy of the database and that of its log,
 * the log may be copied into the database, and what was sent comes back as not sent.
 *
 * The pages are copied some at a time. What this connection writes meanwhile reaches the copy as
 * well (https://www.sqlite.org/c3ref/backup_finish.html), so that it never has to begin again. The
 * copy gets its name when all of it is on disk.
 */
#include "store_private.h"

#include "seedancefs/base/err.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BACKUP_PAGES = 64 };

static const char name[] = STORE_BACKUP_NAME;
static const char new_name[] = STORE_BACKUP_NAME ".new";

int store_backup_begin(struct store *store)
{
    char real[PATH_MAX];
    char path[PATH_MAX + sizeof(new_name) + 1];
    if (store->backup)
        return -EALREADY;
    int r = store_place_check(store);
    if (r < 0)
        return r;
    if (!realpath(store->directory, real))
        return -errno;
    (void)snprintf(path, sizeof(path), "%s/%s", real, new_name);
    /* Proof: only this function makes it, and it is the rest of a backup that was cut off. */
    if (unlinkat(store->directory_fd, new_name, 0) < 0 && errno != ENOENT)
        return -errno;
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    int rc = sqlite3_open_v2(path, &store->backup_db, flags, NULL);
    if (rc == SQLITE_OK) /* a copy that is cut off is worth nothing, so it needs no journal */
        rc = sqlite3_exec(store->backup_db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL,
                          NULL, NULL);
    if (rc == SQLITE_OK)
        store->backup = sqlite3_backup_init(store->backup_db, "main", store->db, "main");
    if (store->backup)
        return 0;
    r = rc == SQLITE_OK ? store_result(store, sqlite3_errcode(store->backup_db))
                        : store_result(store, rc);
    store_backup_end(store);
    return r < 0 ? r : -EIO;
}

static void backup_close(struct store *store)
{
    if (store->backup)
        (void)sqlite3_backup_finish(store->backup);
    store->backup = NULL;
    (void)sqlite3_close(store->backup_db);
    store->backup_db = NULL;
}

void store_backup_end(struct store *store)
{
    if (!store->backup_db)
        return;
    backup_close(store);
    /* Proof: only store_backup_begin() makes it, and this one is not whole. */
    (void)unlinkat(store->directory_fd, new_name, 0);
}

/* The copy is complete: puts it on disk, then gives it its name. */
static int backup_install(const struct store *store)
{
    CLEANUP_CLOSE int fd = openat(store->directory_fd, new_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fsync(fd) < 0)
        return -errno;
    /* Proof: the copy that is replaced is older, and the new one is whole and on disk. */
    if (renameat(store->directory_fd, new_name, store->directory_fd, name) < 0)
        return -errno;
    return fsync(store->directory_fd) < 0 ? -errno : 0;
}

int store_backup_step(struct store *store)
{
    if (!store->backup)
        return -EINVAL;
    int rc = sqlite3_backup_step(store->backup, BACKUP_PAGES);
    if (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
        return 0;
    if (rc != SQLITE_DONE) {
        int r = store_result(store, rc);
        store_backup_end(store);
        return r < 0 ? r : -EIO;
    }
    backup_close(store);
    int r = backup_install(store);
    if (r < 0)
        (void)unlinkat(store->directory_fd, new_name, 0); /* Proof: as above */
    return r < 0 ? r : 1;
}
