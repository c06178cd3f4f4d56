/*
 * What: stands before libc's allocation, writing and syncing, and lets the k-th call of one kind
 * fail, once or from then on. Included by a test program (its own definitions come before libc's,
 * also for the libraries it uses), and by failing.c, which is preloaded into the daemon. Only calls
 * that concern files below `prefix` count as writes and syncs, so that sockets and /dev/fuse are
 * left alone; only sockets count as FAILING_SOCKET. FAILING_LOOK is for whatever only looks, the
 * allocations among it: see failing.c. Freed memory is overwritten and new memory is not zero, so
 * that a use of either shows; under the address sanitizer, which does both better, the calls go on
 * to the sanitizer.
 */
#ifndef TESTS_TOOLS_FAILING_H
#define TESTS_TOOLS_FAILING_H

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum failing_kind {
    FAILING_NOTHING,
    FAILING_MEMORY,
    FAILING_WRITE,
    FAILING_SYNC,
    FAILING_SOCKET,
    FAILING_LOOK,
};

/* What only looks: the calls of FAILING_LOOK. The order is that of errors.py. */
enum failing_call {
    FAILING_OPEN,
    FAILING_STAT,
    FAILING_READ,
    FAILING_MAP,
    FAILING_LIST,
    FAILING_ALLOCATE,
};

enum { FAILING_SITES = 4096, FAILING_FRAMES = 28 };

/* One place that looks, known by the functions of the program that led there, whatever library is
 * between. */
struct failing_site {
    _Atomic uint64_t hash; /* 0: not in use */
    int64_t call;
    _Atomic int64_t count;           /* how often it was come by */
    uint32_t frames[FAILING_FRAMES]; /* offsets in the program, innermost first; 0: in libraries */
};

/* Lives in a file that the test maps as well: the layout is that of torture.py. */
struct failing_control {
    _Atomic int64_t kind;       /* that is counted; FAILING_NOTHING: none */
    _Atomic int64_t fail_at;    /* the first call that fails, from 1 */
    _Atomic int64_t is_lasting; /* and all that come after it */
    _Atomic int64_t count;      /* calls of this kind since it was armed */
    _Atomic int64_t failures;   /* of these, the ones that failed */
    _Atomic int64_t live;       /* allocations that were not freed */
    _Atomic int64_t syncs;      /* that worked, armed or not */
    char prefix[200];
    /* Of FAILING_LOOK, where `fail_at` counts the calls of the wanted site alone. */
    _Atomic int64_t error;  /* the errno */
    _Atomic int64_t wanted; /* the hash of the site that fails; 0: none, but each is recorded */
    _Atomic int64_t wanted_call;
    struct failing_site sites[FAILING_SITES];
};

/* The sanitizer's own start needs memory before its checks can work. */
#define FAILING_EARLY __attribute__((no_sanitize("address", "undefined")))

extern struct failing_control *failing;
extern _Thread_local unsigned failing_pauses; /* the calls of the test itself do not count */

/* True when this call has to fail. */
FAILING_EARLY static bool failing_is_due(enum failing_kind kind)
{
    if (failing->kind != (int64_t)kind || failing_pauses)
        return false;
    int64_t count = ++failing->count;
    if (count != failing->fail_at && !(failing->is_lasting && count > failing->fail_at))
        return false;
    failing->failures++;
    return true;
}

/* Only failing.c has it. */
__attribute__((weak)) bool failing_look(enum failing_call call);

/* True when this look has to fail; errno says how. */
FAILING_EARLY static bool failing_is_look_due(enum failing_call call)
{
    return failing->kind == FAILING_LOOK && failing_look && failing_look(call);
}

static bool failing_is_path(const char *path)
{
    return strncmp(path, failing->prefix, strlen(failing->prefix)) == 0;
}

static bool failing_is_file(int fd)
{
    char link[64];
    char path[4096];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    path[len < 0 ? 0 : len] = '\0';
    return failing_is_path(path);
}

/* A write to this descriptor has to fail. */
static bool failing_is_write_due(int fd, int error)
{
    struct stat st;
    if (failing->kind != FAILING_WRITE && failing->kind != FAILING_SOCKET)
        return false;
    bool is_socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
    if (failing->kind == FAILING_SOCKET ? !is_socket : !failing_is_file(fd))
        return false;
    errno = is_socket ? ECONNRESET : error;
    return failing_is_due((enum failing_kind)failing->kind);
}

#ifdef __SANITIZE_ADDRESS__
#define FAILING_NEXT(name) __interceptor_##name
#else
#define FAILING_NEXT(name) __libc_##name
#endif
extern void *FAILING_NEXT(malloc)(size_t size);
extern void *FAILING_NEXT(calloc)(size_t count, size_t size);
extern void *FAILING_NEXT(realloc)(void *memory, size_t size);
extern void *FAILING_NEXT(memalign)(size_t alignment, size_t size);
extern void FAILING_NEXT(free)(void *memory);

FAILING_EARLY static void *failing_count(void *memory)
{
    if (memory)
        failing->live++;
    return memory;
}

static void failing_fill(void *memory, int byte)
{
#ifndef __SANITIZE_ADDRESS__
    /* The compiler must not know how much was asked for: all of it is filled, the rest, too. */
    __asm__("" : "+r"(memory));
    if (memory)
        memset(memory, byte, malloc_usable_size(memory));
#else
    (void)memory, (void)byte;
#endif
}

FAILING_EARLY static bool failing_is_memory_due(void)
{
    if (failing_is_look_due(FAILING_ALLOCATE))
        return true;
    if (!failing_is_due(FAILING_MEMORY))
        return false;
    errno = ENOMEM;
    return true;
}

FAILING_EARLY void *malloc(size_t size)
{
    if (failing_is_memory_due())
        return NULL;
    void *memory = failing_count(FAILING_NEXT(malloc)(size));
    failing_fill(memory, 0xA5);
    return memory;
}

FAILING_EARLY void *calloc(size_t count, size_t size)
{
    return failing_is_memory_due() ? NULL : failing_count(FAILING_NEXT(calloc)(count, size));
}

FAILING_EARLY void free(void *memory)
{
    if (!memory)
        return;
    failing->live--;
    failing_fill(memory, 0xDD);
    FAILING_NEXT(free)(memory);
}

FAILING_EARLY void *realloc(void *memory, size_t size)
{
    if (!memory)
        return malloc(size);
    if (size == 0) {
        free(memory);
        return NULL;
    }
    return failing_is_memory_due() ? NULL : FAILING_NEXT(realloc)(memory, size);
}

void *reallocarray(void *memory, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(memory, bytes);
}

FAILING_EARLY void *memalign(size_t alignment, size_t size)
{
    return failing_is_memory_due() ? NULL : failing_count(FAILING_NEXT(memalign)(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *memory = memalign(alignment, size);
    if (!memory)
        return ENOMEM;
    *out = memory;
    return 0;
}

/* The sanitizer's own do not come past here. */
char *strndup(const char *text, size_t most)
{
    size_t len = strnlen(text, most);
    char *copy = malloc(len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *strdup(const char *text)
{
    return strndup(text, SIZE_MAX);
}

/* The names with 64 are the same calls on 64-bit machines; the libraries use either. */
#define FAILING_ALIAS(name) __attribute__((alias(#name)))

ssize_t write(int fd, const void *bytes, size_t len)
{
    return failing_is_write_due(fd, ENOSPC) ? -1 : syscall(SYS_write, fd, bytes, len);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    return failing_is_write_due(fd, ENOSPC) ? -1 : syscall(SYS_pwrite64, fd, bytes, len, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset) FAILING_ALIAS(pwrite);

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return failing_is_write_due(fd, ENOSPC) ? -1 : syscall(SYS_writev, fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return failing_is_write_due(fd, ENOSPC)
               ? -1
               : syscall(SYS_pwritev, fd, parts, count, offset, (unsigned long)offset >> 32);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
    FAILING_ALIAS(pwritev);

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    return failing_is_write_due(fd, EIO) ? -1 : syscall(SYS_sendto, fd, bytes, len, flags, NULL, 0);
}

int ftruncate(int fd, off_t size)
{
    return failing_is_write_due(fd, EIO) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}
int ftruncate64(int fd, off64_t size) FAILING_ALIAS(ftruncate);

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    return failing_is_write_due(fd, ENOSPC) ? -1
                                            : (int)syscall(SYS_fallocate, fd, mode, offset, len);
}
int fallocate64(int fd, int mode, off64_t offset, off64_t len) FAILING_ALIAS(fallocate);

static bool failing_is_path_due(const char *path)
{
    if (failing->kind != FAILING_WRITE || !failing_is_path(path))
        return false;
    errno = ENOSPC;
    return failing_is_due(FAILING_WRITE);
}

int truncate(const char *path, off_t size)
{
    return failing_is_path_due(path) ? -1 : (int)syscall(SYS_truncate, path, size);
}
int truncate64(const char *path, off64_t size) FAILING_ALIAS(truncate);

/* Opening fails as a write where it may make a file. */
int openat(int directory_fd, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if ((flags & O_CREAT) && failing_is_path_due(path))
        return -1;
    if (failing_is_look_due(FAILING_OPEN))
        return -1;
    return (int)syscall(SYS_openat, directory_fd, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return openat(AT_FDCWD, path, flags, mode);
}
int openat64(int directory_fd, const char *path, int flags, ...) FAILING_ALIAS(openat);
int open64(const char *path, int flags, ...) FAILING_ALIAS(open);

static int failing_sync(int fd, long number)
{
    if (failing->kind == FAILING_SYNC && failing_is_file(fd) && failing_is_due(FAILING_SYNC)) {
        errno = EIO;
        return -1;
    }
    int r = (int)syscall(number, fd);
    if (r == 0)
        failing->syncs++;
    return r;
}

int fsync(int fd)
{
    return failing_sync(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return failing_sync(fd, SYS_fdatasync);
}

#endif
