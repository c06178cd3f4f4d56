/*
 * The same for a program that is not built for it: LD_PRELOAD=failing.so FAILING_CONTROL=FILE. The
 * file is mapped, so that a test arms a failure from outside and sees what became of it.
 *
 * Here are also the calls that only look, FAILING_LOOK: a file or directory is opened, asked for
 * its attributes, read, mapped or listed, or memory is allocated. They are told apart by their call
 * sites: a site is the call and the functions of the program itself on the stack, so that what
 * SQLite does for one function is one site. With `wanted` 0 each site that is come by is recorded;
 * else the `fail_at`-th call of the wanted one fails, with `error`. Sites have the same hash in
 * each process of a build: frames are counted from where the program was loaded. Reading sockets,
 * pipes and devices, /dev/fuse among them, is left alone.
 */
#include "failing.h"

#include <dirent.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

/* Until the file is mapped, and where there is none: nothing fails. */
static struct failing_control unarmed;
struct failing_control *failing = &unarmed;
_Thread_local unsigned failing_pauses;

/* Where the program lies, and where this library; the others lie elsewhere. */
struct place {
    uintptr_t first;
    uintptr_t end;
};
static struct place program;
static struct place here;

static bool place_has(const struct place *place, uintptr_t address)
{
    return address >= place->first && address < place->end;
}

/* The first object that is gone through is the program. */
static int place_find(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size, (void)context;
    struct place place = {.first = info->dlpi_addr};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
        if (info->dlpi_phdr[i].p_type == PT_LOAD && end > place.end)
            place.end = end;
    }
    if (program.end == 0)
        program = place;
    if (place_has(&place, (uintptr_t)&unarmed))
        here = place;
    return 0;
}

__attribute__((constructor)) static void failing_start(void)
{
    const char *path = getenv("FAILING_CONTROL");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    /* Programs that this one starts are left alone. */
    (void)unsetenv("LD_PRELOAD");
    (void)unsetenv("FAILING_CONTROL");
    if (fd < 0)
        return;
    void *shared =
        mmap(NULL, sizeof(struct failing_control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (shared == MAP_FAILED)
        return;
    struct failing_control *control = shared;
    control->live = (int64_t)unarmed.live;
    (void)dl_iterate_phdr(place_find, NULL);
    void *first[2];
    (void)backtrace(first, 2); /* the first call loads a library */
    failing = control;
}

static void hash_add(uint64_t *hash, uint64_t value)
{
    *hash = (*hash ^ value) * 0x100000001b3;
    *hash ^= *hash >> 29;
}

/* Fills in everything but the count. */
__attribute__((noinline)) static void site_find(enum failing_call call, struct failing_site *site)
{
    void *stack[64];
    int depth = backtrace(stack, 64);
    size_t count = 0;
    uint64_t hash = 0xcbf29ce484222325;
    site->call = (int64_t)call;
    hash_add(&hash, (uint64_t)call);
    for (int i = 0; i < depth && count < FAILING_FRAMES; i++) {
        uintptr_t address = (uintptr_t)stack[i];
        uint32_t frame = place_has(&program, address) ? (uint32_t)(address - program.first) : 0;
        if (place_has(&here, address) || (frame == 0 && count > 0 && site->frames[count - 1] == 0))
            continue; /* libraries are told by one zero */
        site->frames[count++] = frame;
        if (frame)
            hash_add(&hash, frame);
    }
    site->hash = hash ? hash : 1;
}

static void site_record(const struct failing_site *site)
{
    for (size_t i = 0; i < FAILING_SITES; i++) {
        struct failing_site *place = &failing->sites[(site->hash + i) % FAILING_SITES];
        uint64_t hash = 0;
        if (atomic_compare_exchange_strong(&place->hash, &hash, site->hash)) {
            place->call = site->call;
            memcpy(place->frames, site->frames, sizeof(place->frames));
            hash = site->hash;
        }
        if (hash == site->hash) {
            place->count++;
            return;
        }
    }
}

bool failing_look(enum failing_call call)
{
    uint64_t wanted = (uint64_t)failing->wanted;
    if (failing_pauses || (wanted && (failing->failures || failing->wanted_call != (int64_t)call)))
        return false;
    struct failing_site site = {0};
    int error = errno;
    failing_pauses++;
    site_find(call, &site);
    if (!wanted)
        site_record(&site);
    failing_pauses--;
    errno = error;
    if (site.hash != wanted || !failing_is_due(FAILING_LOOK))
        return false;
    errno = (int)failing->error;
    return true;
}

/* Sockets, pipes, /dev/fuse, timers and the like are no files. */
static bool failing_is_fd_due(enum failing_call call, int fd)
{
    struct stat st;
    return failing->kind == FAILING_LOOK && syscall(SYS_fstat, fd, &st) == 0 &&
           (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) && failing_is_look_due(call);
}

ssize_t read(int fd, void *bytes, size_t len)
{
    return failing_is_fd_due(FAILING_READ, fd) ? -1 : syscall(SYS_read, fd, bytes, len);
}

ssize_t pread(int fd, void *bytes, size_t len, off_t offset)
{
    return failing_is_fd_due(FAILING_READ, fd) ? -1 : syscall(SYS_pread64, fd, bytes, len, offset);
}
ssize_t pread64(int fd, void *bytes, size_t len, off64_t offset) FAILING_ALIAS(pread);

/* That is how cached bytes are read for the kernel. */
ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t len, unsigned flags)
{
    return failing_is_fd_due(FAILING_READ, in)
               ? -1
               : syscall(SYS_splice, in, in_offset, out, out_offset, len, flags);
}

void *mmap(void *address, size_t len, int protection, int flags, int fd, off_t offset)
{
    /* Also where libc needs it before anything is there. */
    if (failing != &unarmed && failing->kind == FAILING_LOOK &&
        ((flags & MAP_ANONYMOUS) ? failing_is_look_due(FAILING_MAP)
                                 : failing_is_fd_due(FAILING_MAP, fd)))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, address, len, protection, flags, fd, offset);
}
void *mmap64(void *address, size_t len, int protection, int flags, int fd, off64_t offset)
    FAILING_ALIAS(mmap);

int fstatat(int directory_fd, const char *path, struct stat *out, int flags)
{
    return failing_is_look_due(FAILING_STAT)
               ? -1
               : (int)syscall(SYS_newfstatat, directory_fd, path, out, flags);
}
int fstatat64(int directory_fd, const char *path, struct stat64 *out, int flags)
    FAILING_ALIAS(fstatat);

int stat(const char *path, struct stat *out)
{
    return fstatat(AT_FDCWD, path, out, 0);
}
int stat64(const char *path, struct stat64 *out) FAILING_ALIAS(stat);

int lstat(const char *path, struct stat *out)
{
    return fstatat(AT_FDCWD, path, out, AT_SYMLINK_NOFOLLOW);
}
int lstat64(const char *path, struct stat64 *out) FAILING_ALIAS(lstat);

int fstat(int fd, struct stat *out)
{
    return failing_is_fd_due(FAILING_STAT, fd) ? -1 : (int)syscall(SYS_fstat, fd, out);
}
int fstat64(int fd, struct stat64 *out) FAILING_ALIAS(fstat);

int statx(int directory_fd, const char *path, int flags, unsigned mask, struct statx *out)
{
    return failing_is_look_due(FAILING_STAT)
               ? -1
               : (int)syscall(SYS_statx, directory_fd, path, flags, mask, out);
}

int faccessat(int directory_fd, const char *path, int mode, int flags)
{
    if (failing_is_look_due(FAILING_STAT))
        return -1;
    return (int)(flags ? syscall(SYS_faccessat2, directory_fd, path, mode, flags)
                       : syscall(SYS_faccessat, directory_fd, path, mode));
}

int access(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, 0);
}

/* libc's own calls do not come past here: for what it does by more than one call, the next one is
 * asked for. */
#define FAILING_LIBC(name, ...)                                                                    \
    static __typeof__(&name) next;                                                                 \
    if (!next)                                                                                     \
        *(void **)&next = dlsym(RTLD_NEXT, #name);                                                 \
    return next(__VA_ARGS__)

FILE *fopen(const char *path, const char *mode)
{
    if (failing_is_look_due(FAILING_OPEN))
        return NULL;
    FAILING_LIBC(fopen, path, mode);
}
FILE *fopen64(const char *path, const char *mode) FAILING_ALIAS(fopen);

int statvfs(const char *path, struct statvfs *out)
{
    if (failing_is_look_due(FAILING_STAT))
        return -1;
    FAILING_LIBC(statvfs, path, out);
}
int statvfs64(const char *path, struct statvfs64 *out) FAILING_ALIAS(statvfs);

int fstatvfs(int fd, struct statvfs *out)
{
    if (failing_is_look_due(FAILING_STAT))
        return -1;
    FAILING_LIBC(fstatvfs, fd, out);
}
int fstatvfs64(int fd, struct statvfs64 *out) FAILING_ALIAS(fstatvfs);

ssize_t readlink(const char *path, char *out, size_t size)
{
    return failing_is_look_due(FAILING_STAT) ? -1
                                             : syscall(SYS_readlinkat, AT_FDCWD, path, out, size);
}

char *realpath(const char *path, char *out)
{
    if (failing_is_look_due(FAILING_STAT))
        return NULL;
    FAILING_LIBC(realpath, path, out);
}

DIR *opendir(const char *path)
{
    if (failing_is_look_due(FAILING_OPEN))
        return NULL;
    FAILING_LIBC(opendir, path);
}

DIR *fdopendir(int fd)
{
    if (failing_is_look_due(FAILING_LIST))
        return NULL;
    FAILING_LIBC(fdopendir, fd);
}

struct dirent *readdir(DIR *directory)
{
    if (failing_is_look_due(FAILING_LIST))
        return NULL;
    FAILING_LIBC(readdir, directory);
}
struct dirent64 *readdir64(DIR *directory) FAILING_ALIAS(readdir);
