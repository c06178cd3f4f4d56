/*
 * One socket pair of SOCK_SEQPACKET: a message is a question (its number, thread and name) or its
 * result.
 *
 * The process itself reads what never waits, and forks another process for each look into a
 * caller's memory. So a look that waits delays neither the other looks nor the loop, which goes on
 * to serve the very page that a look may wait for. Each look has an alarm. It ends the wait for a
 * page, unless a filesystem that is not ours waits without handling signals. The loop has a
 * deadline of its own in any case; a result that comes later is ignored.
 *
 * The process is forked once, before the key is read, and not again when it has ended, because a
 * later copy of the program would have the key. It keeps two of root's capabilities:
 * CAP_SYS_PTRACE, to look into processes that are not exactly like itself, and CAP_DAC_READ_SEARCH,
 * for the files in /proc of other users.
 */
#include "inspection.h"

#include "caller.h"

#include "seedancefs/base/child.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/privileges.h"
#include "seedancefs/base/table.h"
#include "seedancefs/base/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    DEADLINE_MS = 1000,
    LOOK_S = 1,     /* of one look */
    LOOKS_MAX = 64, /* at the same time */
};

struct question {
    uint64_t id;
    uint64_t ino; /* see struct inspection_question */
    pid_t tid;
    char name[TEXT_NAME_MAX + 1]; /* sent up to its terminating NUL */
};

struct result {
    uint64_t id;
    bool is_so;
};

struct inspector {
    struct timers *timers;
    struct child child;
    bool is_gone;
    uint64_t last_id;
    struct inspection *inspections; /* under way */
};

static void result_send(uint64_t id, bool is_so)
{
    struct result result;
    memset(&result, 0, sizeof(result)); /* also the padding */
    result.id = id;
    result.is_so = is_so;
    (void)send(CHILD_SOCKET_FD, &result, sizeof(result), MSG_NOSIGNAL);
}

/* `call` is NULL for a question about a file. */
static _Noreturn void look(const struct question *question, const struct caller_open_call *call,
                           pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)alarm(LOOK_S);
    if (getppid() == parent)
        result_send(question->id,
                    call ? caller_is_creating_below(call, question->name)
                         : !caller_file_is_open(question->tid, question->name, question->ino));
    _exit(0);
}

/* Collects the looks that have ended. If there are LOOKS_MAX of them, waits until one ends. */
static void looks_collect(int *looks)
{
    while (*looks > 0 && waitpid(-1, NULL, *looks >= LOOKS_MAX ? 0 : WNOHANG) > 0)
        (*looks)--;
}

/* Waits for a question, and collects the looks that end meanwhile. False when the socket has
 * closed. */
static bool question_wait(struct question *question, int *looks, const sigset_t *waiting)
{
    struct pollfd fd = {.fd = CHILD_SOCKET_FD, .events = POLLIN};
    int n;
    do {
        looks_collect(looks);
        n = ppoll(&fd, 1, NULL, waiting); /* SIGCHLD ends it, too */
    } while (n < 0 && errno == EINTR);
    return n > 0 && recv(CHILD_SOCKET_FD, question, sizeof(*question), 0) > 0;
}

static void child_work(void *context UNUSED)
{
    struct question question;
    struct caller_open_call call;
    sigset_t waiting;
    pid_t self = getpid();
    int looks = 0;
    (void)signal(SIGALRM, SIG_DFL); /* each look has an alarm */
    if (!child_signals_prepare(&waiting))
        return;
    while (question_wait(&question, &looks, &waiting)) {
        bool is_file = question.ino != 0;
        pid_t pid = is_file || caller_open_call_get(question.tid, &call) ? fork() : -1;
        if (pid == 0)
            look(&question, is_file ? NULL : &call, self);
        if (pid < 0)
            result_send(question.id, false);
        else
            looks++;
    }
}

static void inspection_end(struct inspection *inspection, bool is_so)
{
    inspection_cancel(inspection);
    inspection->fn(inspection->context, is_so);
}

static struct inspection *inspection_find(const struct inspector *inspector, uint64_t id)
{
    struct inspection *inspection;
    LL_SEARCH_SCALAR(inspector->inspections, inspection, id, id);
    return inspection;
}

static bool question_send(const struct inspector *inspector, const struct inspection *inspection)
{
    struct question question;
    const struct inspection_question *asked = &inspection->question;
    size_t bytes = strlen(asked->name) + 1;
    memset(&question, 0, offsetof(struct question, name));
    question.id = inspection->id;
    question.ino = asked->ino;
    question.tid = asked->tid;
    memcpy(question.name, asked->name, bytes);
    bytes += offsetof(struct question, name);
    return send(inspector->child.socket_fd, &question, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* Sends as many questions as the socket takes. The others follow when results have come. */
static void questions_send(struct inspector *inspector)
{
    struct inspection *inspection;
    DL_FOREACH (inspector->inspections, inspection) {
        if (!inspection->is_asked && !question_send(inspector, inspection))
            return;
        inspection->is_asked = true;
    }
}

/* Takes all results that have come. False when no more will come. */
static bool results_take(struct inspector *inspector)
{
    struct result result;
    ssize_t n;
    while ((n = recv(inspector->child.socket_fd, &result, sizeof(result), MSG_DONTWAIT)) ==
           (ssize_t)sizeof(result)) {
        struct inspection *inspection = inspection_find(inspector, result.id);
        if (inspection) /* otherwise it is late */
            inspection_end(inspection, result.is_so);
    }
    bool is_alive = n < 0 && (errno == EAGAIN || errno == EINTR);
    questions_send(inspector);
    return is_alive;
}

static void inspection_is_late(void *context)
{
    const struct inspection *inspection = context;
    struct inspector *inspector = inspection->inspector;
    uint64_t id = inspection->id;
    /* Perhaps the loop itself is late, and the result is there. */
    (void)results_take(inspector);
    struct inspection *left = inspection_find(inspector, id);
    if (left)
        inspection_end(left, false);
}

void inspection_cancel(struct inspection *inspection)
{
    struct inspector *inspector = inspection->inspector;
    if (!inspector)
        return;
    timer_cancel(inspector->timers, &inspection->deadline);
    DL_DELETE(inspector->inspections, inspection);
    inspection->inspector = NULL;
}

int inspection_start(struct inspection *inspection, struct inspector *inspector,
                     const struct inspection_question *question, inspection_fn *fn, void *context)
{
    if (!inspector || inspector->is_gone)
        return -EPIPE;
    if (question->tid <= 0 || strlen(question->name) > TEXT_NAME_MAX)
        return -EINVAL;
    *inspection = (struct inspection){.inspector = inspector,
                                      .id = ++inspector->last_id,
                                      .question = *question,
                                      .fn = fn,
                                      .context = context};
    DL_APPEND(inspector->inspections, inspection);
    timer_set(inspector->timers, &inspection->deadline, DEADLINE_MS, inspection_is_late,
              inspection);
    questions_send(inspector);
    return 0;
}

int inspector_process(struct inspector *inspector)
{
    if (results_take(inspector))
        return 0;
    log_warn("inspector.gone", "note=\"mkdir is needed before a file is created in a new job\"");
    inspector->is_gone = true;
    while (inspector->inspections)
        inspection_end(inspector->inspections, false);
    return -EPIPE;
}

int inspector_fd(const struct inspector *inspector)
{
    return inspector->child.socket_fd;
}

int inspector_new(struct timers *timers, struct inspector **out)
{
    struct inspector *inspector = calloc(1, sizeof(*inspector));
    if (!inspector)
        return -ENOMEM;
    static const struct child_settings settings = {.name = "seedancefs-look",
                                                   .kept_fd = -1,
                                                   .capabilities = PRIVILEGE(CAP_SYS_PTRACE) |
                                                                   PRIVILEGE(CAP_DAC_READ_SEARCH)};
    int r = child_start_with(&settings, child_work, NULL, &inspector->child);
    if (r < 0) {
        free(inspector);
        return r;
    }
    inspector->timers = timers;
    *out = inspector;
    return 0;
}

struct inspector *inspector_free(struct inspector *inspector)
{
    if (!inspector)
        return NULL;
    (void)kill(inspector->child.pid, SIGKILL); /* it may be waiting for a look */
    child_wait(&inspector->child);
    free(inspector);
    return NULL;
}
