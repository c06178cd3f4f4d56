#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

enum { NICENESS = 10 };

static const struct {
    int resource;
    rlim_t limit;
} limits[] = {
    {RLIMIT_AS, (rlim_t)2 << 30},
    {RLIMIT_CPU, 60},
    {RLIMIT_FSIZE, (rlim_t)512 << 20},
    {RLIMIT_CORE, 0},
    {RLIMIT_NOFILE, 64},
    {RLIMIT_MSGQUEUE, 0},
};

/* An address sanitizer reserves terabytes of addresses in the processes that it watches. */
#if defined(__SANITIZE_ADDRESS__)
enum { FIRST_LIMIT = 1 };
#else
enum { FIRST_LIMIT = 0 };
#endif

static int limits_set(void)
{
    for (size_t i = FIRST_LIMIT; i < ARRAY_COUNT(limits); i++) {
        struct rlimit limit;
        if (getrlimit((__rlimit_resource_t)limits[i].resource, &limit) < 0)
            return -errno;
        if (limit.rlim_max > limits[i].limit)
            limit.rlim_max = limits[i].limit;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit((__rlimit_resource_t)limits[i].resource, &limit) < 0)
            return -errno;
    }
    (void)setpriority(PRIO_PROCESS, 0, NICENESS);
    return 0;
}

static void rule_add(int ruleset_fd, int parent_fd, uint64_t access)
{
    struct landlock_path_beneath_attr rule;
    memset(&rule, 0, sizeof(rule));
    rule.allowed_access = access;
    rule.parent_fd = parent_fd;
    (void)syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

/* What a rule does not allow stays forbidden, so a directory that is not there needs nothing. */
static void directories_allow(int ruleset_fd, const char *directories)
{
    static const uint64_t access =
        LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE;
    char path[4096];
    while (*directories) {
        size_t len = strcspn(directories, ":");
        (void)snprintf(path, sizeof(path), "%.*s", (int)len, directories);
        int fd = open(path, O_PATH | O_CLOEXEC);
        if (fd >= 0) {
            rule_add(ruleset_fd, fd, access);
            (void)close(fd);
        }
        directories += len + (directories[len] == ':');
    }
}

static void file_allow(int ruleset_fd, const char *path)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return;
    rule_add(ruleset_fd, fd, LANDLOCK_ACCESS_FS_READ_FILE);
    (void)close(fd);
}

/* Landlock (Documentation/userspace-api/landlock.rst). Old kernels do not know all rights. */
static void files_restrict(int input_fd, const char *directories)
{
    long version =
        syscall(SYS_landlock_create_ruleset, NULL, 0, (unsigned)LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return;
    /* struct landlock_ruleset_attr of the sixth version, which old headers do not have. */
    struct {
        uint64_t handled_access_fs;
        uint64_t handled_access_net;
        uint64_t scoped;
    } attributes = {0};
    enum { SCOPED_VERSION = 6, SCOPED = 3 };                     /* abstract sockets and signals */
    attributes.handled_access_fs = LANDLOCK_ACCESS_FS_REFER - 1; /* all of the first version */
    if (version >= 2)
        attributes.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        attributes.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
    attributes.scoped = version >= SCOPED_VERSION ? SCOPED : 0;
    int fd = (int)syscall(
        SYS_landlock_create_ruleset, &attributes,
        version >= SCOPED_VERSION ? sizeof(attributes) : sizeof(attributes.handled_access_fs), 0U);
    if (fd < 0)
        return;
    directories_allow(fd, "/usr:/lib:/lib64:/lib32:/bin");
    directories_allow(fd, directories);
    file_allow(fd, "/etc/ld.so.cache");
    file_allow(fd, "/dev/null");
    file_allow(fd, "/dev/urandom");
    rule_add(fd, input_fd, LANDLOCK_ACCESS_FS_READ_FILE);
    (void)syscall(SYS_landlock_restrict_self, fd, 0U);
    (void)close(fd);
}

#if defined(__x86_64__)
#define FILTER_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define FILTER_ARCHITECTURE AUDIT_ARCH_RISCV64
#endif

#ifdef FILTER_ARCHITECTURE

/* Refused with EPERM: what reaches the network, other processes, or much of the kernel. */
static const uint32_t refused_calls[] = {
    SYS_socket,
    SYS_connect,
    SYS_bind,
    SYS_io_uring_setup,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_pidfd_open,
    SYS_process_vm_writev,
    SYS_kill,
    SYS_tkill,
    SYS_tgkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_mount,
    SYS_unshare,
    SYS_setns,
    SYS_open_tree,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_name_to_handle_at,
};

enum {
    REFUSED_COUNT = (int)ARRAY_COUNT(refused_calls),
    PRLIMIT_COUNT = 3, /* instructions */
    INSTRUCTIONS_MAX = REFUSED_COUNT + PRLIMIT_COUNT + 8,
    X32_BIT = 0x40000000, /* system calls of another kind on x86-64, with other numbers */
};

static int calls_restrict(void)
{
    struct sock_filter code[INSTRUCTIONS_MAX];
    unsigned short n = 0;
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCHITECTURE, 1, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT,
                                             (uint8_t)(REFUSED_COUNT + PRLIMIT_COUNT + 1), 0);
    for (int i = 0; i < REFUSED_COUNT; i++)
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused_calls[i],
                                                 (uint8_t)(REFUSED_COUNT + PRLIMIT_COUNT - i), 0);
    /* The limits of another process: those of its own are asked for with 0. All machines above have
     * the low half of an argument first. */
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prlimit64, 0, 2);
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    const struct sock_fprog program = {.len = n, .filter = code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 ? -errno : 0;
}

#else

/* The numbers of this machine's system calls are not known here. */
static int calls_restrict(void)
{
    return 0;
}

#endif

int sandbox_enter(int input_fd, const char *directories)
{
    int r = limits_set();
    if (r < 0)
        return r;
    (void)unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC);
    files_restrict(input_fd, directories);
    return calls_restrict();
}
