/*
 * One socket pair of SOCK_SEQPACKET. The process gets one piece of work at a time, a byte that says what and the path
 * below the mount, and answers with a byte when it is done: so the program knows what each request of that
 * process is about. What comes meanwhile is queued, the same change once.
 *
 * A changed file gets its modification time set, which the tree takes for nothing and inotify for
 * IN_MODIFY; a new one is made with mknod(2) or symlink(2), which fuse/ answers with what is there. The
 * process has nothing of the mount open but while it works: an unmount in that very moment is told that the mount is
 * busy, as with any program that looks at a file.
 */
#include "raiser.h"

#include "seedancefs/base/child.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/table.h"
#include "seedancefs/net/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    QUEUE_MAX = 16 * 1024,
    QUEUE_LOOK = 32, /* so far back the same change is looked for */
    MESSAGE_MAX = 1024,
};

struct work {
    enum tree_news kind;
    char *path;
    struct work *next;
    struct work *prev;
};

struct raiser {
    struct loop *loop;
    struct loop_watch watch;
    struct child child;
    bool is_gone;
    bool is_full;
    struct work *active; /* at the process; NULL: it has nothing to do */
    struct work *queue;
    size_t queued;
    raiser_fn *on_raise;
    void *context;
};

static void child_raise(int root, enum tree_news kind, const char *path)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
    struct statfs st;
    /* Not in the directory below, when the mount is gone. */
    if (fstatfs(root, &st) < 0 || st.f_type != FUSE_SUPER_MAGIC)
        return;
    /* A failure is that of an event: nobody could do anything about it. */
    if (kind == TREE_NEWS_CHANGED)
        (void)utimensat(root, path, times, AT_SYMLINK_NOFOLLOW);
    else if (kind == TREE_NEWS_FILE)
        (void)mknodat(root, path, S_IFREG | 0444, 0);
    else
        (void)!symlinkat("-", root, path);
}

static void child_work(void *context)
{
    const char *mountpoint = context;
    char message[MESSAGE_MAX];
    ssize_t n;
    while ((n = recv(CHILD_SOCKET_FD, message, sizeof(message) - 1, 0)) > 0 ||
           (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        message[n] = '\0';
        int root = open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root >= 0) {
            child_raise(root, (enum tree_news)message[0], message + 1);
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

static void raiser_lost(struct raiser *raiser)
{
    raiser->is_gone = true;
    loop_watch_remove(raiser->loop, &raiser->watch);
    raiser->on_raise(raiser->context, NULL);
    struct work *work;
    struct work *next;
    DL_FOREACH_SAFE (raiser->queue, work, next) {
        DL_DELETE(raiser->queue, work);
        work_free(work);
    }
    raiser->queued = 0;
}

static void raiser_next(struct raiser *raiser)
{
    char message[MESSAGE_MAX];
    struct work *work = raiser->queue;
    raiser->on_raise(raiser->context, NULL);
    work_free(raiser->active);
    raiser->active = NULL;
    if (!work)
        return;
    DL_DELETE(raiser->queue, work);
    raiser->queued--;
    raiser->active = work;
    const char *slash = strrchr(work->path, '/');
    if (work->kind != TREE_NEWS_CHANGED)
        raiser->on_raise(raiser->context, slash ? slash + 1 : work->path);
    message[0] = (char)work->kind;
    size_t len = strlen(work->path);
    memcpy(message + 1, work->path, len);
    if (send(raiser->watch.fd, message, len + 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        raiser_lost(raiser);
}

static void on_done(void *context, short revents UNUSED)
{
    struct raiser *raiser = context;
    char byte;
    ssize_t n = recv(raiser->watch.fd, &byte, 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == 1) {
        raiser_next(raiser);
        return;
    }
    log_warn("raiser.gone", "note=\"inotify does not see any more what changes by itself\"");
    raiser_lost(raiser);
}

static bool is_queued(const struct raiser *raiser, enum tree_news kind, const char *path)
{
    const struct work *work = raiser->queue ? raiser->queue->prev : NULL;
    for (int i = 0; work && i < QUEUE_LOOK; i++) {
        if (work->kind == kind && strcmp(work->path, path) == 0)
            return true;
        if (work == raiser->queue)
            break;
        work = work->prev;
    }
    return false;
}

static void work_add(struct raiser *raiser, enum tree_news kind, const char *path)
{
    struct work *work = calloc(1, sizeof(*work));
    char *copy = strdup(path);
    if (!work || !copy) {
        free(work);
        free(copy);
        return;
    }
    *work = (struct work){.kind = kind, .path = copy};
    DL_APPEND(raiser->queue, work);
    raiser->queued++;
    if (!raiser->active)
        raiser_next(raiser);
}

void raiser_news(void *context, enum tree_news kind, const char *path)
{
    struct raiser *raiser = *(struct raiser **)context;
    if (!raiser || raiser->is_gone || strlen(path) + 2 > MESSAGE_MAX ||
        is_queued(raiser, kind, path))
        return;
    if (raiser->queued < QUEUE_MAX)
        work_add(raiser, kind, path);
    else if (!raiser->is_full)
        log_warn("raiser.full", "note=\"events for inotify are dropped\"");
    raiser->is_full = raiser->queued >= QUEUE_MAX;
}

pid_t raiser_pid(const struct raiser *raiser)
{
    return raiser ? raiser->child.pid : 0;
}

int raiser_new(struct loop *loop, const char *mountpoint, raiser_fn *on_raise, void *context,
               struct raiser **out)
{
    struct raiser *raiser = calloc(1, sizeof(*raiser));
    char *copy = strdup(mountpoint); /* the process has it as its own */
    int r = raiser && copy ? 0 : -ENOMEM;
    if (r == 0)
        r = child_start("seedancefs-tell", -1, child_work, copy, &raiser->child);
    free(copy);
    if (r < 0) {
        free(raiser);
        return r;
    }
    raiser->loop = loop;
    raiser->on_raise = on_raise;
    raiser->context = context;
    raiser->watch = (struct loop_watch){
        .fd = raiser->child.socket_fd, .events = POLLIN, .fn = on_done, .context = raiser};
    r = loop_watch_add(loop, &raiser->watch);
    if (r < 0) {
        child_wait(&raiser->child);
        free(raiser);
        return r;
    }
    *out = raiser;
    return 0;
}

struct raiser *raiser_free(struct raiser *raiser)
{
    if (!raiser)
        return NULL;
    if (!raiser->is_gone)
        raiser_lost(raiser);
    work_free(raiser->active);
    (void)kill(raiser->child.pid, SIGKILL); /* it may wait for the mount */
    child_wait(&raiser->child);
    free(raiser);
    return NULL;
}
