/*
 * The process knows the mount point by its directory, which it holds open, and by its name there.
 * Somebody may rename directories above it, or put a link in its place, but cannot make this
 * process unmount something else.
 */
#include "unmounter.h"

#include "seedancefs/base/child.h"
#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { DEADLINE_MS = 10 * 1000 };

struct unmounter {
    struct child child;
};

static int place_unmount(const char *name, uint64_t device)
{
    struct statx st;
    /* Without a request to a mount there: the program that would reply waits for this process. */
    if (statx(CHILD_KEPT_FD, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
              STATX_INO, &st) < 0)
        return -errno;
    if (makedev(st.stx_dev_major, st.stx_dev_minor) != device)
        return -ENOENT;
    /* umount2(2) has no descriptor to begin at. */
    if (fchdir(CHILD_KEPT_FD) < 0 || umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
        return -errno;
    return 0;
}

static void child_work(void *context)
{
    const char *name = context;
    uint64_t device;
    while (recv(CHILD_SOCKET_FD, &device, sizeof(device), 0) == (ssize_t)sizeof(device)) {
        int r = place_unmount(name, device);
        if (send(CHILD_SOCKET_FD, &r, sizeof(r), MSG_NOSIGNAL) < 0)
            return;
    }
}

int unmounter_new(const char *mountpoint, struct unmounter **out)
{
    CLEANUP_FREE char *real = realpath(mountpoint, NULL); /* the process has its own copy */
    char *slash = real ? strrchr(real, '/') : NULL;
    if (!slash)
        return -errno;
    *slash = '\0';
    CLEANUP_CLOSE int parent = open(*real ? real : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return -errno;
    const struct child_settings settings = {.name = "seedancefs-umnt",
                                            .kept_fd = parent,
                                            .capabilities = PRIVILEGE(CAP_SYS_ADMIN) |
                                                            PRIVILEGE(CAP_DAC_READ_SEARCH)};
    struct unmounter *unmounter = calloc(1, sizeof(*unmounter));
    int r =
        unmounter ? child_start_with(&settings, child_work, slash + 1, &unmounter->child) : -ENOMEM;
    if (r == 0)
        *out = unmounter;
    else
        free(unmounter);
    return r;
}

int unmounter_unmount(struct unmounter *unmounter, dev_t device)
{
    uint64_t message = device;
    struct pollfd response = {unmounter->child.socket_fd, POLLIN, 0};
    int r;
    if (send(response.fd, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return -errno;
    int n;
    do {
        n = poll(&response, 1, DEADLINE_MS);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n < 0 ? -errno : -ETIMEDOUT;
    return recv(response.fd, &r, sizeof(r), MSG_DONTWAIT) == (ssize_t)sizeof(r) ? r : -EPIPE;
}

struct unmounter *unmounter_free(struct unmounter *unmounter)
{
    if (!unmounter)
        return NULL;
    child_kill(&unmounter->child);
    free(unmounter);
    return NULL;
}
