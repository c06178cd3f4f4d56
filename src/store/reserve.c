/*
 * Room for removals on a full disk. To delete a row adds pages to the log, so that on a full disk
 * nothing could be removed and no room be made by it. So the data directory has a file `reserve`,
 * whose bytes mean nothing: it is allocated while there is room, and cut off when a removal meets a
 * full disk.
 *
 * A removal takes some pages of it, the rest is allocated again at once, before anybody else takes
 * it. What it took is in the log then, and comes back with the next removal that needs it: where
 * the database has room for the pages of the log, they are copied there and the log is cut off
 * first. So the reserve shrinks only by what the database grows, which is a page in some ten jobs
 * removed.
 *
 * A crash at any point leaves a file that is too short, which is allocated again as soon as there
 * is room.
 */
#include "store_private.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    RESERVE_BYTES = 1024 * 1024,
    RESERVE_STEP_BYTES = 4096, /* the least that is worth a call: a page */
    RESERVE_DISK_FRACTION = 8, /* of a very small disk it takes no more than an eighth */
};

/* How large the file should be on this disk. */
static int64_t reserve_wanted_bytes(const struct store *store)
{
    struct statvfs disk;
    if (fstatvfs(store->reserve_fd, &disk) < 0)
        return 0;
    uint64_t most = (uint64_t)disk.f_blocks * disk.f_frsize / RESERVE_DISK_FRACTION;
    return most < RESERVE_BYTES ? (int64_t)most : RESERVE_BYTES;
}

void store_reserve_fill(struct store *store)
{
    if (store->reserve_fd < 0 || store->reserve_bytes == RESERVE_BYTES)
        return;
    int64_t wanted = reserve_wanted_bytes(store);
    int64_t bytes = store->reserve_bytes;
    /* Of what is free on a disk that is almost full, all but a few bytes. */
    for (int64_t step = RESERVE_BYTES; step >= RESERVE_STEP_BYTES; step /= 2) {
        while (bytes + step <= wanted && posix_fallocate(store->reserve_fd, bytes, step) == 0)
            bytes += step;
    }
    /* A call that failed may have allocated a part. What is cut off was never anybody's data. */
    if (bytes < wanted)
        (void)!ftruncate(store->reserve_fd, bytes);
    store->reserve_bytes = bytes;
}

void store_reserve_open(struct store *store)
{
    /* Without it everything goes on, but for removals on a full disk. */
    store->reserve_fd =
        openat(store->directory_fd, "reserve", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    store_reserve_fill(store);
}

int64_t store_reserve_cut(struct store *store)
{
    int64_t released = store->reserve_bytes;
    /* Its bytes mean nothing: it is there to be cut off. */
    if (store->reserve_fd >= 0 && ftruncate(store->reserve_fd, 0) == 0)
        store->reserve_bytes = 0;
    return released;
}
