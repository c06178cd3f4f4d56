/*
 * `echo … > jobs/cat/prompt.json` where jobs/cat does not exist: the kernel looks `cat` up before
 * it says what for. A lookup that always succeeds would break mkdir, test -e and file managers. So
 * the program looks at the calling thread: it waits in its system call meanwhile, and
 * /proc/TID/syscall shows the call's number and arguments. Left out: guessing from the command's
 * name or from timing.
 *
 * The files of /proc are read without waiting for anybody. The thread is in a system call that
 * waits for the program, so it is not in execve(2), whose lock /proc/TID/syscall takes. Reading its
 * memory may wait: a page may belong to a file, of this mount or of a filesystem that never
 * replies.
 */
#include "caller.h"

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/number.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static bool remote_read(pid_t tid, uint64_t address, void *bytes, size_t len)
{
    struct iovec local = {bytes, len};
    struct iovec remote = {(void *)(uintptr_t)address, len};
    return process_vm_readv(tid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

/* Page by page, because the string may end just before memory that is not mapped. */
static bool remote_read_text(pid_t tid, uint64_t address, char *text, size_t size)
{
    size_t done = 0;
    while (done < size) {
        size_t len = min_size(4096 - (size_t)((address + done) % 4096), size - done);
        if (!remote_read(tid, address + done, text + done, len))
            return false;
        if (memchr(text + done, '\0', len))
            return true;
        done += len;
    }
    return false;
}

static bool read_proc(pid_t tid, const char *file, char *text, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, file);
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return true;
}

bool caller_open_call_get(pid_t tid, struct caller_open_call *out)
{
    char line[512];
    long number;
    uint64_t a[4];
    if (tid <= 0 || !read_proc(tid, "syscall", line, sizeof(line)) ||
        sscanf(line, "%ld %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64, &number, &a[0], &a[1],
               &a[2], &a[3]) != 5)
        return false;
    *out = (struct caller_open_call){.tid = tid};
    switch (number) {
#ifdef SYS_open
    case SYS_open:
        out->path = a[0];
        out->flags = a[1];
        break;
#endif
#ifdef SYS_creat
    case SYS_creat:
        out->path = a[0];
        out->flags = O_CREAT;
        break;
#endif
    case SYS_openat:
        out->path = a[1];
        out->flags = a[2];
        break;
    case SYS_openat2:
        out->path = a[1];
        out->how = a[2];
        return true;
    default:
        return false;
    }
    return (out->flags & O_CREAT) != 0;
}

bool caller_is_creating_below(const struct caller_open_call *call, const char *name)
{
    uint64_t flags = call->flags;
    char path[PATH_MAX];
    /* struct open_how begins with its flags. */
    if (call->how && !remote_read(call->tid, call->how, &flags, sizeof(flags)))
        return false;
    if (!(flags & O_CREAT) || !remote_read_text(call->tid, call->path, path, sizeof(path)))
        return false;
    size_t len = strlen(name);
    for (const char *component = path; *component;) {
        size_t n = strcspn(component, "/");
        const char *rest = component + n + strspn(component + n, "/");
        if (n == len && memcmp(component, name, n) == 0 && component[n] == '/' && *rest)
            return true;
        component = rest;
    }
    return false;
}

/* The session of a process, from /proc/PID/stat: after the name in brackets come the state, the parent,
 * the group and the session. -1: it is gone. */
static long session_get(pid_t pid)
{
    char line[1024];
    long session = -1;
    const char *end = read_proc(pid, "stat", line, sizeof(line)) ? strrchr(line, ')') : NULL;
    return end && sscanf(end + 1, " %*c %*d %*d %ld", &session) == 1 ? session : -1;
}

/* The name that the kernel knows for a descriptor: the last component of its link. */
static bool descriptor_is_named(int descriptors, const char *number, const char *name)
{
    char path[PATH_MAX];
    ssize_t n = readlinkat(descriptors, number, path, sizeof(path) - 1);
    if (n <= 0)
        return false;
    path[n] = '\0';
    const char *last = strrchr(path, '/');
    return last && strcmp(last + 1, name) == 0;
}

/* One that has been closed meanwhile is not of it. */
static bool descriptor_is_of(pid_t pid, const char *number, uint64_t ino)
{
    char file[sizeof("fdinfo/") + 16];
    char text[512];
    (void)snprintf(file, sizeof(file), "fdinfo/%.16s", number);
    if (!read_proc(pid, file, text, sizeof(text)))
        return false;
    const char *line = strstr(text, "\nino:");
    return !line || strtoull(line + strlen("\nino:"), NULL, 10) == ino;
}

struct open_search {
    const char *name;
    uint64_t ino;
    long session; /* of the caller */
};

static bool process_has_open(pid_t pid, const struct open_search *search)
{
    char path[64];
    bool is_open = false;
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *descriptors = opendir(path);
    if (!descriptors)
        return (errno == EACCES || errno == EPERM) && session_get(pid) == search->session;
    for (struct dirent *entry; !is_open && (entry = readdir(descriptors)) != NULL;)
        is_open = descriptor_is_named(dirfd(descriptors), entry->d_name, search->name) &&
                  descriptor_is_of(pid, entry->d_name, search->ino);
    (void)closedir(descriptors);
    return is_open;
}

bool caller_file_is_open(pid_t tid, const char *name, uint64_t ino)
{
    const struct open_search search = {.name = name, .ino = ino, .session = session_get(tid)};
    bool is_open = false;
    DIR *processes = opendir("/proc");
    if (!processes)
        return true;
    for (struct dirent *entry; !is_open && (entry = readdir(processes)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        is_open = pid > 0 && process_has_open(pid, &search);
    }
    (void)closedir(processes);
    return is_open;
}

static uint64_t status_mask(const char *status, const char *key)
{
    const char *line = strstr(status, key);
    return line ? strtoull(line + strlen(key), NULL, 16) : 0;
}

bool caller_is_dying(pid_t tid)
{
    char status[4096];
    if (!read_proc(tid, "status", status, sizeof(status)))
        return true;
    uint64_t pending = status_mask(status, "\nSigPnd:") | status_mask(status, "\nShdPnd:");
    uint64_t harmless = status_mask(status, "\nSigIgn:") | status_mask(status, "\nSigCgt:") |
                        status_mask(status, "\nSigBlk:");
    /* The signals whose default is to do nothing, or to stop (signal(7)). */
    static const int defaults[] = {SIGCHLD, SIGURG,  SIGWINCH, SIGCONT,
                                   SIGSTOP, SIGTSTP, SIGTTIN,  SIGTTOU};
    for (size_t i = 0; i < ARRAY_COUNT(defaults); i++)
        harmless |= UINT64_C(1) << (defaults[i] - 1);
    return (pending & ~harmless) != 0 || (pending & UINT64_C(1) << (SIGKILL - 1)) != 0;
}
