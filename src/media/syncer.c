/*
 * The two processes share a SOCK_SEQPACKET socket pair. A message is one job with the descriptor of
 * the data file, or one response. Jobs are done and replied to in the order they were sent. When
 * the process has died, all jobs under way end with -EPIPE, and no other can start; the caller then
 * does the work in the loop.
 */
#include "media/syncer.h"

#include "seedancefs/base/child.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct sync_request {
    struct cache_key key;
    syncer_fn *fn;
    void *context;
    struct sync_request *next;
    struct sync_request *prev;
};

struct syncer {
    struct loop *loop;
    struct loop_watch watch;
    struct child child;
    bool is_gone;
    struct sync_request *jobs;
};

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

/* Sends a message with a descriptor. */
static ssize_t message_send(int socket_fd, const struct cache_key *key, int fd)
{
    union control control = {.bytes = {0}};
    struct cache_key copy = *key;
    struct iovec part = {&copy, sizeof(copy)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    return sendmsg(socket_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* *fd is -1 when this process could not receive the descriptor. */
static ssize_t message_receive(int socket_fd, struct cache_key *key, int *fd)
{
    union control control;
    struct iovec part = {key, sizeof(*key)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    *fd = -1;
    ssize_t n = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(header), sizeof(*fd));
    return n;
}

static void child_work(void *context UNUSED)
{
    struct cache_key key;
    int fd;
    ssize_t n;
    while ((n = message_receive(CHILD_SOCKET_FD, &key, &fd)) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        struct cache_sync_result result = {.result = -EMFILE};
        if (fd >= 0)
            result = cache_sync(CHILD_KEPT_FD, fd, key.id, (enum media_kind)key.kind);
        if (fd >= 0)
            (void)close(fd);
        if (send(CHILD_SOCKET_FD, &result, sizeof(result), MSG_NOSIGNAL) < 0)
            return;
    }
}

static void job_end(struct syncer *syncer, struct cache_sync_result result)
{
    struct sync_request *job = syncer->jobs;
    DL_DELETE(syncer->jobs, job);
    job->fn(job->context, result);
    free(job);
}

/* Handles one response; false when none is left. */
static bool reply_take(struct syncer *syncer, int flags)
{
    struct cache_sync_result result;
    ssize_t n = recv(syncer->watch.fd, &result, sizeof(result), flags);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n != (ssize_t)sizeof(result))
        return false;
    if (syncer->jobs)
        job_end(syncer, result);
    return true;
}

static void syncer_died(struct syncer *syncer)
{
    syncer->is_gone = true;
    loop_watch_remove(syncer->loop, &syncer->watch);
    while (syncer->jobs)
        job_end(syncer, (struct cache_sync_result){.result = -EPIPE});
}

static void on_response(void *context, short revents UNUSED)
{
    struct syncer *syncer = context;
    if (reply_take(syncer, MSG_DONTWAIT))
        return;
    log_warn("media.syncer", "note=\"the process that syncs the cache is gone\"");
    syncer_died(syncer);
}

int syncer_new(struct loop *loop, int directory_fd, struct syncer **out)
{
    struct syncer *syncer = calloc(1, sizeof(*syncer));
    if (!syncer)
        return -ENOMEM;
    int r = child_start("seedancefs-sync", directory_fd, child_work, NULL, &syncer->child);
    if (r < 0) {
        free(syncer);
        return r;
    }
    syncer->loop = loop;
    syncer->watch = (struct loop_watch){
        .fd = syncer->child.socket_fd, .events = POLLIN, .fn = on_response, .context = syncer};
    r = loop_watch_add(loop, &syncer->watch);
    if (r < 0) {
        child_wait(&syncer->child);
        free(syncer);
        return r;
    }
    *out = syncer;
    return 0;
}

struct syncer *syncer_free(struct syncer *syncer)
{
    if (!syncer)
        return NULL;
    (void)shutdown(syncer->watch.fd, SHUT_WR);
    while (!syncer->is_gone && reply_take(syncer, 0))
        continue;
    if (!syncer->is_gone)
        syncer_died(syncer);
    child_wait(&syncer->child);
    free(syncer);
    return NULL;
}

int syncer_start(struct syncer *syncer, const struct cache_key *key, int data_fd, syncer_fn *fn,
                 void *context)
{
    if (!syncer || syncer->is_gone)
        return -EPIPE;
    struct sync_request *job = calloc(1, sizeof(*job));
    if (!job)
        return -ENOMEM;
    *job = (struct sync_request){.key = *key, .fn = fn, .context = context};
    if (message_send(syncer->watch.fd, key, data_fd) < 0) {
        int r = -errno;
        free(job);
        return r;
    }
    DL_APPEND(syncer->jobs, job);
    return 0;
}

bool syncer_has(const struct syncer *syncer, const struct cache_key *key)
{
    const struct sync_request *job = syncer ? syncer->jobs : NULL;
    while (job && (job->key.id != key->id || job->key.kind != key->kind))
        job = job->next;
    return job != NULL;
}
