#include "seedancefs/base/child.h"

#include "seedancefs/base/log.h"
#include "seedancefs/base/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_CLOSED_FD = 5, CHILDREN_MAX = 16 };

/* For child_state_log() and child_ended_count(). pid 0 marks a free slot. */
static struct {
    pid_t pid;
    const char *name;
} children[CHILDREN_MAX];

static void child_list(pid_t from, pid_t to, const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(children); i++) {
        if (children[i].pid != from)
            continue;
        children[i].pid = to;
        children[i].name = name;
        return;
    }
}

void child_state_log(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(children); i++) {
        if (children[i].pid != 0)
            log_info("state.process", "name=%s pid=%d state=%s", children[i].name,
                     (int)children[i].pid, kill(children[i].pid, 0) == 0 ? "there" : "gone");
    }
}

unsigned child_ended_count(void)
{
    unsigned count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(children); i++) {
        siginfo_t info = {.si_pid = 0};
        /* Looks only: whoever has started it waits for it. */
        if (children[i].pid != 0 &&
            waitid(P_PID, (id_t)children[i].pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
            count += info.si_pid != 0;
    }
    return count;
}

/* Wipes the environment that /proc/PID/environ shows. The child's copy only: the parent
 * has its own. */
static void environment_wipe(void)
{
    for (char **entry = environ; entry && *entry; entry++)
        explicit_bzero(*entry, strlen(*entry));
    (void)clearenv();
}

/* Moves a descriptor to its place. `fd` is a copy above all places, so no move hits another. */
static bool descriptor_place(int fd, int place)
{
    return fd < 0 || (dup2(fd, place) >= 0 && fcntl(place, F_SETFD, FD_CLOEXEC) == 0);
}

static bool descriptors_keep(const struct child_settings *settings, int socket_fd)
{
    int kept_fd = settings->kept_fd;
    int socket = fcntl(socket_fd, F_DUPFD_CLOEXEC, FIRST_CLOSED_FD);
    int kept = kept_fd < 0 ? -1 : fcntl(kept_fd, F_DUPFD_CLOEXEC, FIRST_CLOSED_FD);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (socket < 0 || null < 0 || (kept_fd >= 0 && kept < 0))
        return false;
    /* From here on only the child's copies are closed; the parent's descriptors stay open. */
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fd != STDERR_FILENO || !settings->is_stderr_kept)
            (void)dup2(null, fd);
    }
    (void)close(CHILD_KEPT_FD); /* the number may be in use although nothing is kept */
    return descriptor_place(socket, CHILD_SOCKET_FD) && descriptor_place(kept, CHILD_KEPT_FD) &&
           close_range(FIRST_CLOSED_FD, ~0U, 0) == 0;
}

static void child_run(const struct child_settings *settings, pid_t parent, int socket_fd,
                      child_fn *fn, void *context)
{
    (void)prctl(PR_SET_NAME, settings->name);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    environment_wipe();
    /* A terminal and a service manager send these to all processes; a child ends
     * with the program. */
    static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    for (size_t i = 0; i < ARRAY_COUNT(ignored); i++)
        (void)signal(ignored[i], SIG_IGN);
    if (getppid() == parent && descriptors_keep(settings, socket_fd) && chdir("/") == 0 &&
        privileges_drop(settings->capabilities) == 0 && privileges_seal() == 0)
        fn(context);
    _exit(0);
}

int child_start_with(const struct child_settings *settings, child_fn *fn, void *context,
                     struct child *out)
{
    int sockets[2];
    pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        child_run(settings, parent, sockets[1], fn, context);
    int r = pid < 0 ? -errno : 0;
    (void)close(sockets[1]);
    if (r < 0)
        (void)close(sockets[0]);
    else
        *out = (struct child){.pid = pid, .socket_fd = sockets[0]};
    if (r == 0)
        child_list(0, pid, settings->name);
    return r;
}

int child_start(const char *name, int kept_fd, child_fn *fn, void *context, struct child *out)
{
    const struct child_settings settings = {.name = name, .kept_fd = kept_fd};
    return child_start_with(&settings, fn, context, out);
}

static void on_child(int signal_number UNUSED)
{
}

bool child_signals_prepare(sigset_t *waiting)
{
    const struct sigaction action = {.sa_handler = on_child};
    sigset_t child;
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    return sigaction(SIGCHLD, &action, NULL) == 0 && sigprocmask(SIG_BLOCK, &child, waiting) == 0 &&
           sigdelset(waiting, SIGCHLD) == 0;
}

void child_wait(struct child *child)
{
    child_list(child->pid, 0, NULL);
    (void)close(child->socket_fd);
    (void)kill(child->pid, SIGCONT); /* one that was stopped would not see it */
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

void child_kill(struct child *child)
{
    child_list(child->pid, 0, NULL);
    (void)kill(child->pid, SIGKILL);
    (void)close(child->socket_fd);
    (void)waitpid(child->pid, NULL, WNOHANG);
}
