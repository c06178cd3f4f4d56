/*
 * Space for removals on a full disk. Deleting a row adds pages to the log, so on a full disk
 * nothing could be removed to free space. So the data directory has a file `reserve`, whose
 * content means nothing. It is allocated while there is space, and truncated when a removal finds
 * the disk full.
 *
 * A removal uses some pages of it, and the rest is allocated again at once, before anybody else
 * takes it. The used pages are then in the log, and the next removal that needs them gets them
 * back: if the database has space for the pages of the log, they are first copied there and the log
 * is truncated. So the reserve shrinks only by the growth of the database: one page per ten removed
 * jobs or so.
 *
 * A crash at any point leaves a file that is too short. It is allocated again once there is space.
 */
#include "store_private.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    RESERVE_BYTES = 1024 * 1024,
    RESERVE_STEP_BYTES = 4096, /* minimum that is worth a call: one page */
    RESERVE_DISK_FRACTION = 8, /* on a very small disk, at most an eighth of it */
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
    /* On an almost full disk this takes all of the free space but a few bytes. */
    for (int64_t step = RESERVE_BYTES; step >= RESERVE_STEP_BYTES; step /= 2) {
        while (bytes + step <= wanted && posix_fallocate(store->reserve_fd, bytes, step) == 0)
            bytes += step;
    }
    /* A failed call may have allocated a part. Proof: the reserve's bytes are nobody's data. */
    if (bytes < wanted)
        (void)!ftruncate(store->reserve_fd, bytes);
    store->reserve_bytes = bytes;
}

void store_reserve_open(struct store *store)
{
    /* Without a reserve everything works, except removals on a full disk. */
    store->reserve_fd =
        openat(store->directory_fd, "reserve", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    store_reserve_fill(store);
}

int64_t store_reserve_cut(struct store *store)
{
    int64_t released = store->reserve_bytes;
    /* Proof: the reserve's bytes are nobody's data; it exists to be truncated. */
    if (store->reserve_fd >= 0 && ftruncate(store->reserve_fd, 0) == 0)
        store->reserve_bytes = 0;
    return released;
}
