#include "stderr_relay.h"

#include "seedancefs/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    PIPE_BYTES = 1024 * 1024, /* this much may come at once; less if the kernel allows less */
    LAST_SECONDS = 1,
};

static struct {
    bool is_started;
    struct child child;
    int former_fd; /* the original standard error; -1: it was closed */
} relay = {.former_fd = -1};

/* The program has ended. The second alarm has no handler, so it ends a process that waits for a
 * reader. */
static void on_program_end(int signal_number UNUSED)
{
    (void)alarm(LAST_SECONDS);
}

/* An error is ignored: there is no other place to report it, and the next line may succeed (after a
 * full disk). */
static void bytes_relay(const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, bytes, len);
        if (n < 0 && errno != EINTR)
            return;
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
}

static sigset_t alarm_set(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGALRM);
    return set;
}

static void child_work(void *context UNUSED)
{
    static char bytes[64 * 1024];
    /* Signals that the terminal or a service manager sends to all processes are meant for the
     * program alone. */
    static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGTTOU};
    for (size_t i = 0; i < ARRAY_COUNT(ignored); i++)
        (void)signal(ignored[i], SIG_IGN);
    const struct sigaction once = {.sa_handler = on_program_end, .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGALRM, &once, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGALRM);
    sigset_t alarms = alarm_set();
    (void)sigprocmask(SIG_UNBLOCK, &alarms, NULL);
    struct pollfd fds[] = {{CHILD_KEPT_FD, POLLIN, 0}, {CHILD_SOCKET_FD, POLLIN, 0}};
    for (;;) {
        if (poll(fds, ARRAY_COUNT(fds), -1) < 0)
            continue;
        if (fds[0].revents & POLLIN) {
            ssize_t n = read(CHILD_KEPT_FD, bytes, sizeof(bytes));
            if (n > 0)
                bytes_relay(bytes, (size_t)n);
        } else if (fds[0].revents || fds[1].revents) {
            return; /* the pipe is empty, and nobody writes any more */
        }
    }
}

int stderr_relay_start(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    (void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
    const struct child_settings settings = {
        .name = "seedancefs-err", .kept_fd = ends[0], .is_stderr_kept = true};
    /* A program that refuses to start says why and ends at once, perhaps before the process handles
     * the alarm. */
    sigset_t alarms = alarm_set();
    sigset_t before;
    (void)sigprocmask(SIG_BLOCK, &alarms, &before);
    int r = fcntl(ends[1], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
    if (r == 0)
        r = child_start_with(&settings, child_work, NULL, &relay.child);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (r == 0) {
        relay.is_started = true;
        relay.former_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        (void)dup2(ends[1], STDERR_FILENO);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    return r;
}

void stderr_relay_stop(void)
{
    if (!relay.is_started)
        return;
    relay.is_started = false;
    if (relay.former_fd >= 0)
        (void)dup2(relay.former_fd, STDERR_FILENO);
    (void)close(relay.former_fd);
    (void)kill(relay.child.pid, SIGALRM);
    child_wait(&relay.child);
}
