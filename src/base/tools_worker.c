/*
 * The helper process. It forks a process per run, in a process group of its own, keeps what the
 * run prints, and reports its end. A run that is late is reported at once and killed; its place is free
 * again when it has really ended, because a process that waits for a disk cannot be killed.
 *
 * A run ends with its process, not with its output: a program may leave another one behind that
 * holds the pipes. What is in the pipes then is taken without waiting.
 */
#include "tools_internal.h"

#include "seedancefs/base/child.h"
#include "seedancefs/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNS_MAX = 8, READ_BYTES = 16 * 1024, LAST_READS_MAX = 64 };

struct run {
    uint64_t id;
    pid_t pid; /* 0: the place is free */
    int tool;
    int output_fd; /* -1: closed, or the output is a file */
    int error_fd;
    int64_t deadline_ms;
    bool is_reported; /* it was cancelled, or was late */
    bool is_cut;      /* more was printed than is kept */
    uint32_t output_bytes;
    uint32_t error_bytes;
    char output[TOOL_OUTPUT_MAX];
    char error[TOOL_ERROR_MAX];
};

static struct run runs[RUNS_MAX];

static int64_t now_ms(void)
{
    return clock_monotonic_ms(clock_system());
}

static void fd_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void report_send(const struct run *run, uint64_t id, int result, int exit_code)
{
    static struct tool_report report;
    size_t bytes = offsetof(struct tool_report, bytes);
    memset(&report, 0, bytes);
    report.id = id;
    report.result = result;
    report.exit_code = exit_code;
    if (run) {
        report.output_bytes = run->output_bytes;
        report.error_bytes = run->error_bytes;
        memcpy(report.bytes, run->output, run->output_bytes);
        memcpy(report.bytes + run->output_bytes, run->error, run->error_bytes);
        bytes += run->output_bytes + run->error_bytes;
    }
    (void)send(CHILD_SOCKET_FD, &report, bytes, MSG_NOSIGNAL);
}

/* Keeps the beginning. False: there is nothing to read now; the descriptor is closed at the end. */
static bool output_take(struct run *run)
{
    static char bytes[READ_BYTES];
    ssize_t n = run->output_fd < 0 ? 0 : read(run->output_fd, bytes, sizeof(bytes));
    if (n == 0)
        fd_close(&run->output_fd);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    size_t kept = TOOL_OUTPUT_MAX - run->output_bytes;
    run->is_cut = run->is_cut || (size_t)n > kept;
    kept = (size_t)n < kept ? (size_t)n : kept;
    memcpy(run->output + run->output_bytes, bytes, kept);
    run->output_bytes += (uint32_t)kept;
    return true;
}

/* Keeps the end. */
static bool error_take(struct run *run)
{
    char bytes[TOOL_ERROR_MAX];
    ssize_t n = run->error_fd < 0 ? 0 : read(run->error_fd, bytes, sizeof(bytes));
    if (n == 0)
        fd_close(&run->error_fd);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    size_t kept = TOOL_ERROR_MAX - (size_t)n;
    kept = run->error_bytes < kept ? run->error_bytes : kept;
    memmove(run->error, run->error + run->error_bytes - kept, kept);
    memcpy(run->error + kept, bytes, (size_t)n);
    run->error_bytes = (uint32_t)(kept + (size_t)n);
    return true;
}

static void run_kill(const struct run *run)
{
    (void)kill(-run->pid, SIGKILL);
    (void)kill(run->pid, SIGKILL); /* it may not have its group yet */
}

static void run_free(struct run *run)
{
    fd_close(&run->output_fd);
    fd_close(&run->error_fd);
    run->pid = 0;
}

static void run_report(const struct run *run, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    int result = code == 0 ? 0 : -EIO;
    if (code == 0 && run->is_cut && run->tool != TOOL_UPLOAD)
        result = -EFBIG;
    if (code == TOOL_EXIT_MISSING)
        result = -ENOENT;
    report_send(run, run->id, result, code);
}

/* Collects the processes that have ended. Media programs leave none behind. */
static void runs_collect(void)
{
    int status;
    for (struct run *run = runs; run < runs + RUNS_MAX; run++) {
        if (run->pid == 0 || waitpid(run->pid, &status, WNOHANG) != run->pid)
            continue;
        if (run->tool != TOOL_UPLOAD || run->is_reported)
            (void)kill(-run->pid, SIGKILL);
        for (int i = 0; i < LAST_READS_MAX && output_take(run); i++)
            continue;
        for (int i = 0; i < LAST_READS_MAX && error_take(run); i++)
            continue;
        if (!run->is_reported)
            run_report(run, status);
        run_free(run);
    }
}

/* Kills those that are late. The time until the next will be, -1: none. */
static int64_t runs_expire(void)
{
    int64_t next_ms = -1;
    for (struct run *run = runs; run < runs + RUNS_MAX; run++) {
        if (run->pid == 0 || run->is_reported)
            continue;
        int64_t left_ms = run->deadline_ms - now_ms();
        if (left_ms <= 0) {
            run->is_reported = true;
            run_kill(run);
            report_send(run, run->id, -ETIMEDOUT, -1);
        } else if (next_ms < 0 || left_ms < next_ms) {
            next_ms = left_ms;
        }
    }
    return next_ms;
}

static struct run *run_find_free(void)
{
    for (struct run *run = runs; run < runs + RUNS_MAX; run++) {
        if (run->pid == 0)
            return run;
    }
    return NULL;
}

static void run_cancel(uint64_t id)
{
    for (struct run *run = runs; run < runs + RUNS_MAX; run++) {
        if (run->pid == 0 || run->id != id)
            continue;
        run->is_reported = true;
        run_kill(run);
    }
}

/* Starts the process. `fds` has the input and, for a frame, the output. */
static int run_start(struct run *run, const struct tools_worker *worker,
                     const struct tool_order *order, const int fds[static 2])
{
    int output[2] = {-1, -1};
    int error[2] = {-1, -1};
    int r = pipe2(error, O_CLOEXEC) < 0 ? -errno : 0;
    if (r == 0 && !order->has_output && pipe2(output, O_CLOEXEC) < 0)
        r = -errno;
    struct tool_run_fds program = {.parent = getpid(),
                                   .input = fds[0],
                                   .output = order->has_output ? fds[1] : output[1],
                                   .error = error[1]};
    pid_t pid = r == 0 ? fork() : -1;
    if (pid == 0)
        tool_run_exec(worker, order, program);
    if (r == 0 && pid < 0)
        r = -errno;
    fd_close(&output[1]);
    fd_close(&error[1]);
    if (r < 0) {
        fd_close(&output[0]);
        fd_close(&error[0]);
        return r;
    }
    (void)setpgid(pid, pid);
    if (output[0] >= 0)
        (void)fcntl(output[0], F_SETFL, O_NONBLOCK);
    (void)fcntl(error[0], F_SETFL, O_NONBLOCK);
    run->id = order->id;
    run->pid = pid;
    run->tool = order->tool;
    run->output_fd = output[0];
    run->error_fd = error[0];
    run->deadline_ms = now_ms() + order->deadline_ms;
    run->is_reported = run->is_cut = false;
    run->output_bytes = run->error_bytes = 0;
    return 0;
}

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
};

/* The length of the message; 0 when the socket has closed. Descriptors that did not come are -1. */
static ssize_t order_receive(struct tool_order *order, int fds[static 2])
{
    union control control;
    struct iovec part = {order, sizeof(*order)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    fds[0] = fds[1] = -1;
    ssize_t n = recvmsg(CHILD_SOCKET_FD, &message, MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    return n;
}

/* False when no more orders will come. */
static bool order_take(const struct tools_worker *worker)
{
    static struct tool_order order;
    int fds[2];
    ssize_t n = order_receive(&order, fds);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    if (order.deadline_ms == 0) {
        run_cancel(order.id);
        return true;
    }
    struct run *run = run_find_free();
    bool has_fds = (order.tool == TOOL_UPLOAD || fds[0] >= 0) && (!order.has_output || fds[1] >= 0);
    int r = run && has_fds ? run_start(run, worker, &order, fds) : -EMFILE;
    if (r < 0)
        report_send(NULL, order.id, r, -1);
    fd_close(&fds[0]);
    fd_close(&fds[1]);
    return true;
}

/* Waits until a run or the socket needs something. A negative descriptor is skipped by poll(2). */
static bool events_wait(const struct tools_worker *worker, const sigset_t *waiting)
{
    struct pollfd fds[1 + 2 * RUNS_MAX];
    runs_collect();
    int64_t wait_ms = runs_expire();
    const struct timespec timeout = {wait_ms / 1000, wait_ms % 1000 * 1000000};
    bool has_place = run_find_free() != NULL;
    fds[0] = (struct pollfd){.fd = CHILD_SOCKET_FD, .events = has_place ? POLLIN : 0};
    for (size_t i = 0; i < RUNS_MAX; i++) {
        bool is_there = runs[i].pid != 0;
        fds[1 + 2 * i] = (struct pollfd){.fd = is_there ? runs[i].output_fd : -1, .events = POLLIN};
        fds[2 + 2 * i] = (struct pollfd){.fd = is_there ? runs[i].error_fd : -1, .events = POLLIN};
    }
    if (ppoll(fds, ARRAY_COUNT(fds), wait_ms < 0 ? NULL : &timeout, waiting) <= 0)
        return true;
    for (size_t i = 0; i < RUNS_MAX; i++) {
        if (fds[1 + 2 * i].revents)
            (void)output_take(&runs[i]);
        if (fds[2 + 2 * i].revents)
            (void)error_take(&runs[i]);
    }
    return !fds[0].revents || (has_place && order_take(worker));
}

void tools_worker_run(void *context)
{
    const struct tools_worker *worker = context;
    sigset_t waiting;
    if (!child_signals_prepare(&waiting))
        return;
    while (events_wait(worker, &waiting))
        continue;
    for (struct run *run = runs; run < runs + RUNS_MAX; run++) {
        if (run->pid != 0)
            run_kill(run);
    }
}
