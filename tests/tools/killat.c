/*
 * Ends a program with SIGKILL at one chosen boundary of its system calls, for tests that try
 * every one of them.
 *   killat N PROGRAM [ARGUMENT]...           at the N-th boundary
 *   killat +CALL:ROW PROGRAM [ARGUMENT]...   where the ROW-th row of calls of this name begins
 *   killat -CALL:ROW PROGRAM [ARGUMENT]...   behind the first call of that row
 * A row goes on until another call that has a name here, whatever lies between.
 *
 * The program runs freely until killat gets SIGUSR1. From then on it is stopped whenever one of
 * its threads enters or leaves a system call, and at the chosen stop it is killed: at an entry the
 * call is not made any more, at an exit it has just been made. Its child processes are left alone.
 * SIGTERM kills it wherever it is.
 *
 * Standard output, for the test: "armed" when the counting has begun, then one of
 *   killed CALL...   the boundaries that were seen, in their order: "+" an entry, "-" an exit, and
 *                    the call's number, or its name if it touches the world outside the program
 *   ended STATUS     the program ended by itself before that
 * Exit code: 0 in both cases, 1 when tracing is not possible here, 2 for wrong usage. The
 * program's standard output is killat's standard error. It dies with killat, whatever kills that.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS_MAX = 64, STOPS_MAX = 100000 };

struct thread {
    pid_t id;
    long call; /* the number of the system call that it is in */
};

struct named_call {
    long number;
    const char *name;
    unsigned rows; /* that have begun */
};

static struct named_call calls[] = {
    {SYS_pwrite64, "pwrite64", 0},   {SYS_write, "write", 0},     {SYS_writev, "writev", 0},
    {SYS_fdatasync, "fdatasync", 0}, {SYS_fsync, "fsync", 0},     {SYS_connect, "connect", 0},
    {SYS_sendto, "sendto", 0},       {SYS_sendmsg, "sendmsg", 0}, {SYS_recvfrom, "recvfrom", 0},
};

/* What to wait for: the number of the stop, or else a row of calls. */
struct target {
    size_t stop;
    bool is_entry;
    const struct named_call *call;
    unsigned row;
};

static struct thread threads[THREADS_MAX];
static size_t thread_count;
static bool is_armed;

struct stop {
    long call;
    bool is_entry;
};

static struct stop stops[STOPS_MAX];
static size_t stop_count;

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "killat: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct thread *thread_get(pid_t id)
{
    for (size_t i = 0; i < thread_count; i++) {
        if (threads[i].id == id)
            return &threads[i];
    }
    if (thread_count == THREADS_MAX) {
        errno = EMFILE;
        die("threads");
    }
    threads[thread_count] = (struct thread){.id = id};
    return &threads[thread_count++];
}

static void thread_remove(pid_t id)
{
    *thread_get(id) = threads[thread_count - 1];
    thread_count--;
}

/* A thread that is being killed does not take the request: its end is what wait reports next. */
static void thread_go_on(pid_t thread, int signal_number)
{
    if (ptrace(is_armed ? PTRACE_SYSCALL : PTRACE_CONT, thread, NULL, (long)signal_number) < 0 &&
        errno != ESRCH)
        die("PTRACE_CONT");
}

/* The child waits until it is traced, so that nothing of the program escapes. */
static pid_t start(char **arguments, const sigset_t *before)
{
    int go[2];
    char byte = 0;
    pid_t parent = getpid();
    if (pipe(go) < 0)
        die("pipe");
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        (void)close(go[1]);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || read(go[0], &byte, 1) != 1)
            _exit(1);
        (void)close(go[0]);
        (void)sigprocmask(SIG_SETMASK, before, NULL);
        (void)dup2(STDERR_FILENO, STDOUT_FILENO);
        (void)execvp(arguments[0], arguments);
        die(arguments[0]);
    }
    (void)close(go[0]);
    long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE;
    if (ptrace(PTRACE_SEIZE, child, NULL, options) < 0)
        die("PTRACE_SEIZE");
    (void)thread_get(child);
    if (write(go[1], &byte, 1) != 1)
        die("pipe");
    (void)close(go[1]);
    return child;
}

/* Each thread stops once, and goes on from one system call to the next. */
static void arm(void)
{
    is_armed = true;
    for (size_t i = 0; i < thread_count; i++)
        (void)ptrace(PTRACE_INTERRUPT, threads[i].id, NULL, NULL);
}

static struct named_call *named_call_get(long number)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (calls[i].number == number)
            return &calls[i];
    }
    return NULL;
}

static void note_stop(struct thread *thread)
{
    static const struct named_call *latest;
    struct __ptrace_syscall_info info = {0};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread->id, sizeof(info), &info) < 0)
        die("PTRACE_GET_SYSCALL_INFO");
    if (stop_count == STOPS_MAX) {
        errno = E2BIG;
        die("boundaries");
    }
    bool is_entry = info.op == PTRACE_SYSCALL_INFO_ENTRY;
    if (is_entry)
        thread->call = (long)info.entry.nr;
    stops[stop_count++] = (struct stop){thread->call, is_entry};
    struct named_call *call = named_call_get(thread->call);
    if (call && is_entry && call != latest)
        call->rows++;
    latest = call ? call : latest;
}

static bool is_reached(const struct target *target)
{
    const struct stop *stop = &stops[stop_count - 1];
    if (!target->call)
        return stop_count == target->stop;
    return stop->call == target->call->number && stop->is_entry == target->is_entry &&
           target->call->rows == target->row;
}

static void print_stop(const struct stop *stop)
{
    const struct named_call *call = named_call_get(stop->call);
    if (call)
        (void)printf(" %c%s", stop->is_entry ? '+' : '-', call->name);
    else
        (void)printf(" %c%ld", stop->is_entry ? '+' : '-', stop->call);
}

static int finish(pid_t program, int status)
{
    if (program) {
        (void)kill(program, SIGKILL);
        while (waitpid(-1, &status, __WALL) > 0 || errno == EINTR)
            continue;
        (void)printf("killed");
        for (size_t i = 0; i < stop_count; i++)
            print_stop(&stops[i]);
        (void)printf("\n");
    } else {
        (void)printf("ended %d\n", status);
    }
    return 0;
}

/* What a stopped thread shall be told: the signal that it has to get, 0 for none. */
static int signal_of(int status)
{
    int number = WSTOPSIG(status);
    bool is_event = status >> 16 != 0;
    return is_event || number == (SIGTRAP | 0x80) ? 0 : number;
}

/* One thread has stopped or ended. True when that was the target, or the end of the program. */
static bool on_change(pid_t id, int status, pid_t program, const struct target *target)
{
    static bool is_told;
    if (!WIFSTOPPED(status)) {
        thread_remove(id);
        return id == program;
    }
    struct thread *thread = thread_get(id);
    if (is_armed && WSTOPSIG(status) == (SIGTRAP | 0x80)) {
        note_stop(thread);
        if (is_reached(target))
            return true;
    }
    thread_go_on(id, signal_of(status));
    if (is_armed && !is_told) {
        is_told = true;
        (void)printf("armed\n");
        (void)fflush(stdout);
    }
    return false;
}

static int trace(pid_t program, const struct target *target, const sigset_t *signals)
{
    for (;;) {
        int status = 0;
        pid_t id = waitpid(-1, &status, __WALL | WNOHANG);
        if (id < 0)
            die("waitpid");
        if (id > 0 && on_change(id, status, program, target))
            return finish(WIFSTOPPED(status) ? program : 0, status);
        int number = id == 0 ? sigwaitinfo(signals, NULL) : 0;
        if (number == SIGUSR1)
            arm();
        else if (number == SIGTERM)
            return finish(program, 0);
    }
}

static bool number_parse(const char *text, unsigned long most, unsigned long *out)
{
    char *end;
    *out = strtoul(text, &end, 10);
    return end != text && !*end && *out >= 1 && *out <= most;
}

static bool target_parse(const char *text, struct target *out)
{
    unsigned long number;
    if (*text != '+' && *text != '-') {
        bool is_good = number_parse(text, STOPS_MAX, &number);
        out->stop = number;
        return is_good;
    }
    const char *colon = strchr(text, ':');
    for (size_t i = 0; colon && i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strncmp(calls[i].name, text + 1, (size_t)(colon - text - 1)) == 0 &&
            calls[i].name[colon - text - 1] == '\0')
            out->call = &calls[i];
    }
    if (!out->call || !number_parse(colon + 1, STOPS_MAX, &number))
        return false;
    out->is_entry = *text == '+';
    out->row = (unsigned)number;
    return true;
}

int main(int argc, char **argv)
{
    struct target target = {0};
    if (argc < 3 || !target_parse(argv[1], &target)) {
        (void)fprintf(stderr, "usage: killat N|+CALL:ROW|-CALL:ROW PROGRAM [ARGUMENT]...\n");
        return 2;
    }
    /* All are waited for in one place, so that none can be overlooked while another is. */
    sigset_t signals;
    sigset_t before;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGCHLD);
    (void)sigaddset(&signals, SIGUSR1);
    (void)sigaddset(&signals, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &signals, &before) < 0)
        die("sigprocmask");
    return trace(start(argv + 2, &before), &target, &signals);
}
