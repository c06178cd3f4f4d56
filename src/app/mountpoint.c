#include "mountpoint.h"

#include "seedancefs/base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* True when the uppermost filesystem on `path` is a seedancefs. Does not touch the path itself. */
static bool is_seedancefs(const char *path)
{
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    const struct mntent *mount;
    bool is_ours = false;
    while (mounts && (mount = getmntent(mounts)) != NULL) {
        if (strcmp(mount->mnt_dir, path) == 0)
            is_ours = strcmp(mount->mnt_type, "fuse.seedancefs") == 0;
    }
    if (mounts)
        (void)endmntent(mounts);
    return is_ours;
}

/* Makes the path absolute and free of symbolic links, without a request to the last component,
 * which may be dead. */
static char *resolve(const char *path)
{
    char *whole = realpath(path, NULL);
    CLEANUP_FREE char *copy = whole ? NULL : strdup(path);
    if (!copy)
        return whole;
    size_t len = strlen(copy);
    while (len > 1 && copy[len - 1] == '/')
        copy[--len] = '\0';
    char *slash = strrchr(copy, '/');
    char *result = NULL;
    if (!slash)
        return NULL;
    *slash = '\0';
    CLEANUP_FREE char *parent = realpath(slash == copy ? "/" : copy, NULL);
    if (!parent ||
        asprintf(&result, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, slash + 1) < 0)
        return NULL;
    return result;
}

/* Nothing is deleted, but the mount there goes away. Proof: /proc/self/mounts has a seedancefs as
 * the uppermost mount there, and the kernel itself returns ENOTCONN or ECONNABORTED for it: its
 * program is dead for good. If either cannot be asked, the mount stays, and the start is
 * refused. */
static bool unmount_stale(const char *path)
{
    /* `path` has no links. If somebody puts one there now, it leads to somebody else's mount. */
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        return true;
    char *arguments[] = {(char[]){"fusermount3"}, (char[]){"-uz"}, strdup(path), NULL};
    pid_t child;
    int status = -1;
    if (arguments[2] && posix_spawnp(&child, arguments[0], NULL, NULL, arguments, environ) == 0) {
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    free(arguments[2]);
    return status == 0;
}

static enum exit_code refuse(const char *path, const char *why)
{
    (void)fprintf(stderr, "seedancefs: %s: %s\n", path, why);
    return EXIT_CONFIGURATION;
}

/* Files in the directory are not lost, but nobody sees them while the mount covers them. */
static void hidden_files_look(const char *path)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;
    unsigned count = 0;
    while (directory && count <= 2 && (entry = readdir(directory)))
        count++; /* two of them are . and .. */
    if (directory)
        (void)closedir(directory);
    if (count > 2)
        (void)fprintf(stderr,
                      "seedancefs: warning: %s is not empty: its files cannot be seen until you "
                      "unmount.\n",
                      path);
}

static bool is_fusermount_there(void)
{
    static const char name[] = "fusermount3";
    const char *path = getenv("PATH");
    if (access("/usr/bin/fusermount3", X_OK) == 0)
        return true;
    while (path && *path) {
        size_t len = strcspn(path, ":");
        char file[4096];
        if (snprintf(file, sizeof(file), "%.*s/%s", (int)len, path, name) < (int)sizeof(file) &&
            access(file, X_OK) == 0)
            return true;
        path += path[len] ? len + 1 : len;
    }
    return false;
}

const char *mountpoint_failure_get(void)
{
    if (access("/dev/fuse", F_OK) < 0)
        return "/dev/fuse is missing: load the kernel module (modprobe fuse), or allow FUSE in "
               "this "
               "container.";
    if (access("/dev/fuse", R_OK | W_OK) < 0)
        return "/dev/fuse may not be opened: its mode should be 0666; in a container, allow it.";
    if (geteuid() != 0 && !is_fusermount_there())
        return "fusermount3 is missing, and without it only root can mount: install the package "
               "fuse3.";
    return "it could not be mounted; the line above says why.";
}

enum exit_code mountpoint_prepare(const char *path)
{
    struct stat st;
    CLEANUP_FREE char *real = resolve(path);
    bool is_ours = real && is_seedancefs(real);
    int r = stat(path, &st) < 0 ? errno : 0;
    if (is_ours && (r == ENOTCONN || r == ECONNABORTED) && unmount_stale(real)) {
        (void)fprintf(stderr,
                      "seedancefs: %s: the dead mount of a seedancefs that was killed has been "
                      "removed.\n",
                      path);
        is_ours = false;
        r = stat(path, &st) < 0 ? errno : 0;
    }
    if (r == ENOTCONN || r == ECONNABORTED)
        return refuse(path, "a dead FUSE mount is in the way (\"Transport endpoint is not "
                            "connected\"). Remove it with: fusermount3 -uz MOUNTPOINT");
    if (r == ENOENT)
        return refuse(path, "there is no such directory. Make it with mkdir, then try again.");
    if (r == EACCES && is_ours)
        return refuse(path, "a seedancefs of another user is mounted here. Choose another mount "
                            "point.");
    if (r != 0)
        return refuse(path, strerror(r));
    if (!S_ISDIR(st.st_mode))
        return refuse(path, "the mount point must be a directory.");
    if (is_ours)
        return refuse(path, "a seedancefs is mounted here already. Unmount it with: fusermount3 -u "
                            "MOUNTPOINT");
    hidden_files_look(path);
    return EXIT_DONE;
}

dev_t mountpoint_device_get(const char *path)
{
    struct statx st;
    int r = statx(AT_FDCWD, path, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_INO, &st);
    return r < 0 ? 0 : makedev(st.stx_dev_major, st.stx_dev_minor);
}
