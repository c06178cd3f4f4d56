/*
 * One socket pair of SOCK_SEQPACKET. The process gets one piece of work at a time, a kind and a
 * path below the mount, and replies with a byte when it is done. So the program knows what each
 * request of that process is about. Meanwhile other work is queued, the same change once.
 *
 * For a changed file the process sets the modification time: the tree ignores that, and inotify
 * reports IN_MODIFY. For a new name it calls mknod(2), symlink(2) or mkdir(2), and fuse/ replies
 * with what exists already; the kernel asks for the name first, even if it remembers it
 * (LOOKUP_EXCL in fs/fuse/dir.c). For a name that is gone it calls unlink(2), and fuse/ replies
 * without doing anything.
 *
 * The process has something of the mount open only while it works, and works in a mount table of
 * its own, so the mount is not busy because of it. When others have unmounted the mount, the
 * process ends, and with it the last reference to the mount. If the process may not have a table of
 * its own, it works in the common one. Then an unmount in that very moment fails because the mount
 * is busy, as with any program that looks at a file.
 */
#include "inotify_emitter.h"

#include "seedancefs/base/child.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/privileges.h"
#include "seedancefs/base/table.h"
#include "seedancefs/net/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
    QUEUE_MAX = 16 * 1024,
    QUEUE_LOOK = 256, /* this far back the same change is looked for */
    PATH_MAX_BYTES = 1024,
};

/* What the process gets. The path is sent up to its terminating NUL. */
struct message {
    uint64_t device; /* of the mount: anything else at its place is left alone */
    enum tree_event kind;
    char path[PATH_MAX_BYTES];
};

struct work {
    enum tree_event kind;
    char *path;
    struct work *next;
    struct work *prev;
};

struct inotify_emitter {
    struct loop *loop;
    struct loop_watch watch;
    struct child child;
    dev_t device; /* 0: not mounted yet */
    bool is_gone;
    bool is_full;
    struct work *active; /* sent to the process; NULL: the process has nothing to do */
    struct work *urgent; /* names that have come or gone: sent before changes */
    struct work *queue;
    size_t queued;
    emitter_fn *on_emit;
    void *context;
};

static void child_raise(int root, enum tree_event kind, const char *path)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
    /* If this fails, an event is missing, and nobody could do anything about that. */
    switch (kind) {
    case TREE_EVENT_CONTENT:
        (void)utimensat(root, path, times, AT_SYMLINK_NOFOLLOW);
        break;
    case TREE_EVENT_FILE:
        (void)mknodat(root, path, S_IFREG | 0444, 0);
        break;
    case TREE_EVENT_LINK:
        (void)!symlinkat("-", root, path);
        break;
    case TREE_EVENT_DIRECTORY:
        (void)mkdirat(root, path, 0755);
        break;
    case TREE_EVENT_GONE:
        /* Proof: root_open() has found this mount, and fuse/ removes nothing for this process. */
        (void)unlinkat(root, path, 0);
        break;
    case TREE_EVENT_DIRECTORY_GONE: /* the same */
        (void)unlinkat(root, path, AT_REMOVEDIR);
        break;
    }
}

/* The mount as the process sees it. */
struct view {
    const char *mountpoint;
    bool is_known;
    uint64_t mount_id; /* of the mount that others see */
    int mounts_fd;     /* the common mount table; -1: the process works in that one */
};

/* Opens this mount and nothing else: not the directory below it, and nothing that others have
 * mounted there. */
static int root_open(const struct view *view, dev_t device, struct statx *st)
{
    int root = open(view->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -1;
    /* Without a request to the mount. */
    int r = statx(root, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO | STATX_MNT_ID, st);
    if (r == 0 && makedev(st->stx_dev_major, st->stx_dev_minor) == device)
        return root;
    (void)close(root);
    return -1;
}

/* Leaves only the mount in the table. A copy of any other mount would keep that one alive when
 * others unmount it, wherever tables do not share their mounts. The steps are those of
 * pivot_root(2); the bind makes a mount that may be the root. */
static bool table_empty(const char *mountpoint)
{
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount(mountpoint, mountpoint, NULL, MS_BIND, NULL) == 0 && chdir(mountpoint) == 0 &&
           syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 &&
           chdir("/") == 0;
}

/* Enters a mount table of its own, so that work on the mount does not make it busy for others. */
static bool table_leave(const char *mountpoint)
{
    int common = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    bool has_left = unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    bool is_good = has_left && table_empty(mountpoint);
    /* A table with copies of the present mounts must not stay: rather no events at all. */
    if (has_left && !is_good && setns(common, CLONE_NEWNS) < 0)
        _exit(0);
    (void)close(common);
    return is_good;
}

/* Called with the first piece of work, when the mount exists. */
static void view_learn(struct view *view, dev_t device)
{
    struct statx st;
    int root = root_open(view, device, &st);
    if (root < 0)
        return;
    (void)close(root);
    view->is_known = true;
    view->mount_id = st.stx_mnt_id;
    /* This open file stays the table that others see. */
    view->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (view->mounts_fd < 0)
        return;
    if ((st.stx_mask & STATX_MNT_ID) && table_leave(view->mountpoint)) {
        view->mountpoint = "/";
    } else {
        (void)close(view->mounts_fd);
        view->mounts_fd = -1;
    }
}

/* True when others have unmounted it: this process would keep it alive. */
static bool view_is_gone(const struct view *view)
{
    FILE *table = NULL;
    char *line = NULL;
    size_t size = 0;
    bool is_gone = true;
    int fd = dup(view->mounts_fd);
    if (fd >= 0 && lseek(fd, 0, SEEK_SET) == 0)
        table = fdopen(fd, "r");
    if (!table) {
        (void)close(fd);
        return true;
    }
    while (is_gone && getline(&line, &size, table) > 0)
        is_gone = strtoull(line, NULL, 10) != view->mount_id;
    free(line);
    (void)fclose(table);
    return is_gone;
}

/* Waits for a message; false when there is nothing to do any more. */
static bool message_wait(const struct view *view)
{
    struct pollfd fds[] = {{CHILD_SOCKET_FD, POLLIN, 0}, {view->mounts_fd, POLLPRI, 0}};
    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return false;
        if ((fds[1].revents & (POLLPRI | POLLERR)) && view_is_gone(view))
            return false;
        if (fds[0].revents)
            return true;
    }
}

static void child_work(void *context)
{
    struct view view = {.mountpoint = context, .mounts_fd = -1};
    struct message message;
    struct statx st;
    while (message_wait(&view)) {
        if (recv(CHILD_SOCKET_FD, &message, sizeof(message), 0) <= 0)
            return;
        if (!view.is_known) {
            view_learn(&view, message.device);
            /* Gives up the process's own capabilities, and in a user namespace of its own those
             * over that namespace. */
            if (privileges_drop(0) < 0)
                return;
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* the change of credentials has cleared it */
        }
        int root = root_open(&view, message.device, &st);
        if (root >= 0) {
            if (*message.path)
                child_raise(root, message.kind, message.path);
            (void)close(root);
        }
        if (send(CHILD_SOCKET_FD, "", 1, MSG_NOSIGNAL) < 0)
            return;
    }
}

static void work_free(struct work *work)
{
    if (work)
        free(work->path);
    free(work);
}

/* NULL: there is none. */
static struct work *work_take(struct inotify_emitter *emitter)
{
    struct work **queue = emitter->urgent ? &emitter->urgent : &emitter->queue;
    struct work *work = *queue;
    if (!work)
        return NULL;
    DL_DELETE(*queue, work);
    emitter->queued--;
    return work;
}

static void emitter_died(struct inotify_emitter *emitter)
{
    emitter->is_gone = true;
    loop_watch_remove(emitter->loop, &emitter->watch);
    emitter->on_emit(emitter->context, NULL, TREE_EVENT_CONTENT);
    struct work *work;
    while ((work = work_take(emitter)))
        work_free(work);
}

static void emitter_next(struct inotify_emitter *emitter)
{
    struct message message;
    struct work *work = work_take(emitter);
    emitter->on_emit(emitter->context, NULL, TREE_EVENT_CONTENT);
    work_free(emitter->active);
    emitter->active = NULL;
    if (!work)
        return;
    emitter->active = work;
    if (work->kind != TREE_EVENT_CONTENT)
        emitter->on_emit(emitter->context, work->path, work->kind);
    message.device = emitter->device;
    message.kind = work->kind;
    size_t bytes = strlen(work->path) + 1;
    memcpy(message.path, work->path, bytes);
    bytes += offsetof(struct message, path);
    if (send(emitter->watch.fd, &message, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        emitter_died(emitter);
}

static void on_done(void *context, short revents UNUSED)
{
    struct inotify_emitter *emitter = context;
    char byte;
    ssize_t n = recv(emitter->watch.fd, &byte, 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == 1) {
        emitter_next(emitter);
        return;
    }
    log_info("emitter.gone", "note=\"inotify does not see any more what changes by itself\"");
    emitter_died(emitter);
}

static bool is_queued(const struct inotify_emitter *emitter, enum tree_event kind, const char *path)
{
    const struct work *queue = kind == TREE_EVENT_CONTENT ? emitter->queue : emitter->urgent;
    const struct work *work = queue ? queue->prev : NULL;
    for (int i = 0; work && i < QUEUE_LOOK; i++) {
        if (strcmp(work->path, path) == 0)
            return work->kind == kind; /* after another kind of change this one is told again */
        if (work == queue)
            break;
        work = work->prev;
    }
    return false;
}

static void work_add(struct inotify_emitter *emitter, enum tree_event kind, const char *path)
{
    struct work *work = calloc(1, sizeof(*work));
    char *copy = strdup(path);
    if (!work || !copy) {
        free(work);
        free(copy);
        return;
    }
    *work = (struct work){.kind = kind, .path = copy};
    if (kind == TREE_EVENT_CONTENT)
        DL_APPEND(emitter->queue, work);
    else
        DL_APPEND(emitter->urgent, work);
    emitter->queued++;
    if (!emitter->active)
        emitter_next(emitter);
}

void emitter_add(void *context, enum tree_event kind, const char *path)
{
    struct inotify_emitter *emitter = *(struct inotify_emitter **)context;
    if (!emitter || emitter->is_gone || !emitter->device || strlen(path) >= PATH_MAX_BYTES ||
        is_queued(emitter, kind, path))
        return;
    if (emitter->queued < QUEUE_MAX)
        work_add(emitter, kind, path);
    else if (!emitter->is_full)
        log_warn("emitter.full", "note=\"events for inotify are dropped\"");
    emitter->is_full = emitter->queued >= QUEUE_MAX;
}

pid_t emitter_pid(const struct inotify_emitter *emitter)
{
    return emitter && !emitter->is_gone ? emitter->child.pid : 0;
}

void emitter_begin(struct inotify_emitter *emitter, dev_t device)
{
    if (!emitter || emitter->is_gone)
        return;
    emitter->device = device;
    /* No event, but this makes the process look at the mount. After that it needs no
     * capabilities. */
    work_add(emitter, TREE_EVENT_CONTENT, "");
}

int emitter_new(struct loop *loop, const char *mountpoint, emitter_fn *on_emit, void *context,
                struct inotify_emitter **out)
{
    struct inotify_emitter *emitter = calloc(1, sizeof(*emitter));
    char *copy = strdup(mountpoint); /* the process has its own copy */
    int r = emitter && copy ? 0 : -ENOMEM;
    /* Until the process has a mount table of its own: to get it, and for a mount point in another
     * user's directory. */
    const struct child_settings settings = {.name = "seedancefs-tell",
                                            .kept_fd = -1,
                                            .capabilities = PRIVILEGE(CAP_SYS_ADMIN) |
                                                            PRIVILEGE(CAP_DAC_READ_SEARCH)};
    if (r == 0)
        r = child_start_with(&settings, child_work, copy, &emitter->child);
    free(copy);
    if (r < 0) {
        free(emitter);
        return r;
    }
    emitter->loop = loop;
    emitter->on_emit = on_emit;
    emitter->context = context;
    emitter->watch = (struct loop_watch){
        .fd = emitter->child.socket_fd, .events = POLLIN, .fn = on_done, .context = emitter};
    r = loop_watch_add(loop, &emitter->watch);
    if (r < 0) {
        child_wait(&emitter->child);
        free(emitter);
        return r;
    }
    *out = emitter;
    return 0;
}

struct inotify_emitter *emitter_free(struct inotify_emitter *emitter)
{
    if (!emitter)
        return NULL;
    if (!emitter->is_gone)
        emitter_died(emitter);
    work_free(emitter->active);
    (void)kill(emitter->child.pid, SIGKILL); /* it may wait for the mount */
    child_wait(&emitter->child);
    free(emitter);
    return NULL;
}
