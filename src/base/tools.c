/*
 * The program's side. The socket (SOCK_SEQPACKET) has at most TOOLS_AT_ONCE uploads and as many
 * others whose reports have not come; the rest waits in the list, in the order in which they were started. A run that was
 * cancelled leaves the list, and its report is ignored should it be under way.
 *
 * The helper is forked once, before the program reads the key, and not again when it has ended,
 * because a later copy of the program would have the key. The environment may hold the key, so the
 * helper gets a copy without it; base/child wipes the rest.
 */
#include "tools_internal.h"

#include "seedancefs/base/child.h"
#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/clock.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/table.h"
#include "seedancefs/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DEADLINE_MS = 30 * 1000, UPLOAD_DEADLINE_MS = 600 * 1000, HAS_AGE_MAX_MS = 2000 };

static const char default_path[] = "/usr/local/bin:/usr/bin:/bin";
static const char key_variable[] = "TOKENHUB_API_KEY=";

struct tool_run {
    struct tools *tools;
    uint64_t id;
    enum tool tool;
    int input_fd; /* owned until they are sent; -1: none */
    int output_fd;
    bool has_output;
    char *path; /* NULL: none */
    char *name;
    bool is_sent;
    tool_done_fn *fn;
    void *context;
    struct tool_run *next;
    struct tool_run *prev;
};

/* Which programs are installed. */
struct search {
    char *path;
    int64_t checked_ms; /* 0: never */
    bool has_probe;
    bool has_frames;
};

struct tools {
    struct child child;
    bool is_gone;
    uint64_t last_id;
    struct search *search; /* owned; changed by those who only ask, too */
    bool has_upload;
    int64_t deadline_ms; /* 0: the usual */
    struct tool_run *runs;
};

static void run_free(struct tool_run *run)
{
    DL_DELETE(run->tools->runs, run);
    cleanup_close(&run->input_fd);
    cleanup_close(&run->output_fd);
    free(run->path);
    free(run->name);
    free(run);
}

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
};

static int64_t run_deadline_ms(const struct tool_run *run)
{
    if (run->tools->deadline_ms > 0)
        return run->tools->deadline_ms;
    return run->tool == TOOL_UPLOAD ? UPLOAD_DEADLINE_MS : DEADLINE_MS;
}

/* Fills the order, and returns how much of it is sent. */
static size_t order_fill(const struct tool_run *run, struct tool_order *order)
{
    size_t path_len = run->path ? strlen(run->path) + 1 : 0;
    size_t name_len = run->name ? strlen(run->name) + 1 : 0;
    memset(order, 0, offsetof(struct tool_order, texts));
    order->id = run->id;
    order->deadline_ms = run_deadline_ms(run);
    order->tool = (int32_t)run->tool;
    order->has_output = run->has_output;
    if (run->path)
        memcpy(order->texts, run->path, path_len);
    if (run->name)
        memcpy(order->texts + path_len, run->name, name_len);
    return offsetof(struct tool_order, texts) + path_len + name_len;
}

/* Control data for the descriptors of the run; none for an upload. */
static void descriptors_fill(const struct tool_run *run, struct msghdr *message,
                             union control *control)
{
    const int fds[] = {run->input_fd, run->output_fd};
    size_t bytes = (run->has_output ? 2 : 1) * sizeof(int);
    if (run->input_fd < 0)
        return;
    message->msg_control = control->bytes;
    message->msg_controllen = CMSG_SPACE(bytes);
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(bytes);
    memcpy(CMSG_DATA(header), fds, bytes);
}

static bool order_send(struct tool_run *run)
{
    static struct tool_order order;
    union control control = {.bytes = {0}};
    struct iovec part = {&order, order_fill(run, &order)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    descriptors_fill(run, &message, &control);
    if (sendmsg(run->tools->child.socket_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return false;
    run->is_sent = true;
    cleanup_close(&run->input_fd);
    cleanup_close(&run->output_fd);
    run->input_fd = run->output_fd = -1;
    return true;
}

/* Sends what the helper can begin with. The others follow when reports have come. An upload may
 * take minutes, so uploads do not hold up the others. False: nothing is under way, and the first
 * cannot be sent. */
static bool orders_send(struct tools *tools)
{
    struct tool_run *run;
    size_t uploads = 0;
    size_t others = 0;
    DL_FOREACH (tools->runs, run) {
        size_t *count = run->tool == TOOL_UPLOAD ? &uploads : &others;
        if (*count >= TOOLS_AT_ONCE)
            continue;
        if (!run->is_sent && !order_send(run))
            return uploads + others > 0;
        ++*count;
    }
    return true;
}

/* The first address in the output, in place, with a NUL behind it. */
static const char *url_find(char *output)
{
    static const char *const beginnings[] = {
        "https://", "http://127.", "http://localhost:", "http://localhost/", "http://[::1]"};
    for (char *line = output, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        for (size_t i = 0; i < ARRAY_COUNT(beginnings); i++) {
            if (strncmp(line, beginnings[i], strlen(beginnings[i])) != 0)
                continue;
            line[strcspn(line, " \t\r")] = '\0';
            return line;
        }
    }
    return NULL;
}

/* What may be shown of `len` bytes. */
static void error_text_fill(const char *bytes, size_t len, char out[static TOOL_ERROR_MAX + 1])
{
    size_t used = 0;
    for (size_t i = 0; i < len;) {
        int step = text_utf8_step(bytes + i, len - i);
        if (step > 0 && (bytes[i] == '\n' || !text_is_control(bytes + i))) {
            memcpy(out + used, bytes + i, (size_t)step);
            used += (size_t)step;
        }
        i += step > 0 ? (size_t)step : 1;
    }
    out[used] = '\0';
}

static void run_end(struct tool_run *run, const struct tool_result *result)
{
    tool_done_fn *fn = run->fn;
    void *context = run->context;
    run_free(run);
    fn(context, result);
}

static void run_fail(struct tool_run *run, int r)
{
    const struct tool_result result = {.result = r, .exit_code = -1, .error_text = ""};
    run_end(run, &result);
}

static void report_take(struct tool_run *run, struct tool_report *report)
{
    char error[TOOL_ERROR_MAX + 1];
    static char output[TOOL_OUTPUT_MAX + 1];
    error_text_fill(report->bytes + report->output_bytes, report->error_bytes, error);
    memcpy(output, report->bytes, report->output_bytes);
    output[report->output_bytes] = '\0';
    struct tool_result result = {
        .result = report->result == -EFBIG ? -EIO : report->result,
        .exit_code = report->exit_code,
        .error_text = error,
    };
    if (result.result == 0 && run->tool == TOOL_PROBE)
        result.result = tool_probe_parse(output, report->output_bytes, &result.probe);
    if (result.result == 0 && run->tool == TOOL_UPLOAD) {
        result.url = url_find(output);
        result.result = result.url ? 0 : -EPROTO;
    }
    run_end(run, &result);
}

static bool is_report_whole(const struct tool_report *report, size_t bytes)
{
    return bytes >= offsetof(struct tool_report, bytes) &&
           report->output_bytes <= TOOL_OUTPUT_MAX && report->error_bytes <= TOOL_ERROR_MAX &&
           bytes ==
               offsetof(struct tool_report, bytes) + report->output_bytes + report->error_bytes;
}

static void helper_died(struct tools *tools)
{
    log_warn("tools.gone", "note=\"no frames are made, no media are looked at, and nothing is "
                           "uploaded until the next start\"");
    tools->is_gone = true;
    while (tools->runs)
        run_fail(tools->runs, -EPIPE);
}

void tools_dispatch(struct tools *tools)
{
    static struct tool_report report;
    ssize_t n = -1;
    errno = EAGAIN;
    while (tools && !tools->is_gone &&
           (n = recv(tools->child.socket_fd, &report, sizeof(report), MSG_DONTWAIT)) > 0) {
        struct tool_run *run;
        LL_SEARCH_SCALAR(tools->runs, run, id, report.id);
        if (run && is_report_whole(&report, (size_t)n))
            report_take(run, &report);
        while (!orders_send(tools))
            run_fail(tools->runs, -EAGAIN);
        errno = EAGAIN;
    }
    if (tools && !tools->is_gone && (n == 0 || (errno != EAGAIN && errno != EINTR)))
        helper_died(tools);
}

int tools_fd(const struct tools *tools)
{
    return tools && !tools->is_gone ? tools->child.socket_fd : -1;
}

bool tools_has(const struct tools *tools, enum tool tool)
{
    char path[PATH_MAX];
    if (!tools || tools->is_gone)
        return false;
    if (tool == TOOL_UPLOAD)
        return tools->has_upload;
    struct search *search = tools->search;
    int64_t now_ms = clock_monotonic_ms(clock_system());
    if (search->checked_ms == 0 || now_ms - search->checked_ms > HAS_AGE_MAX_MS) {
        search->checked_ms = now_ms;
        search->has_probe = tool_program_find(search->path, "ffprobe", path);
        search->has_frames = search->has_probe && tool_program_find(search->path, "ffmpeg", path);
    }
    return tool == TOOL_PROBE ? search->has_probe : search->has_frames;
}

static int descriptor_copy(int fd, int *out)
{
    *out = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return fd >= 0 && *out < 0 ? -errno : 0;
}

static int text_copy(const char *text, size_t len_max, char **out)
{
    if (!text || strlen(text) > len_max)
        return -EINVAL;
    *out = strdup(text);
    return *out ? 0 : -ENOMEM;
}

int tools_start(struct tools *tools, const struct tool_request *request, tool_done_fn *fn,
                void *context, struct tool_run **out)
{
    if (!tools || tools->is_gone)
        return -EPIPE;
    bool is_upload = request->tool == TOOL_UPLOAD;
    bool has_output = request->tool == TOOL_FIRST_FRAME || request->tool == TOOL_LAST_FRAME;
    if ((!is_upload && request->input_fd < 0) || (has_output && request->output_fd < 0))
        return -EINVAL;
    struct tool_run *run = calloc(1, sizeof(*run));
    if (!run)
        return -ENOMEM;
    *run = (struct tool_run){.tools = tools,
                             .id = ++tools->last_id,
                             .tool = request->tool,
                             .input_fd = -1,
                             .output_fd = -1,
                             .has_output = has_output,
                             .fn = fn,
                             .context = context};
    DL_APPEND(tools->runs, run);
    int r = is_upload ? 0 : descriptor_copy(request->input_fd, &run->input_fd);
    if (r == 0 && has_output)
        r = descriptor_copy(request->output_fd, &run->output_fd);
    if (r == 0 && is_upload)
        r = text_copy(request->path, PATH_MAX, &run->path);
    if (r == 0 && is_upload)
        r = text_copy(request->name, TOOL_NAME_MAX, &run->name);
    if (r < 0) {
        run_free(run);
        return r;
    }
    if (!orders_send(tools)) {
        run_free(run);
        return -EAGAIN;
    }
    if (out)
        *out = run;
    return 0;
}

void tool_cancel(struct tool_run *run)
{
    struct tools *tools = run->tools;
    if (run->is_sent) {
        static struct tool_order order; /* its deadline stays 0 */
        order.id = run->id;
        (void)send(tools->child.socket_fd, &order, offsetof(struct tool_order, texts),
                   MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    run_free(run);
    (void)orders_send(tools); /* if that fails, the next start or report does it */
}

static void environment_free(char **list)
{
    for (char **entry = list; entry && *entry; entry++)
        free(*entry);
    free(list);
}

/* A copy of the environment without the key. */
static int environment_copy(char ***out)
{
    size_t count = 0;
    while (environ && environ[count])
        count++;
    char **list = calloc(count + 1, sizeof(*list));
    if (!list)
        return -ENOMEM;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(environ[i], key_variable, strlen(key_variable)) == 0)
            continue;
        list[kept] = strdup(environ[i]);
        if (!list[kept++]) {
            environment_free(list);
            return -ENOMEM;
        }
    }
    *out = list;
    return 0;
}

/* The helper has the settings because it has a copy of all memory. */
static int helper_start(struct tools *tools, const char *upload_command)
{
    struct tools_worker worker = {.search_path = tools->search->path,
                                  .upload_command = upload_command};
    int r = environment_copy(&worker.environment);
    if (r == 0)
        r = child_start("seedancefs-tool", -1, tools_worker_run, &worker, &tools->child);
    environment_free(worker.environment);
    return r;
}

static struct search *search_free(struct search *search)
{
    if (search)
        free(search->path);
    free(search);
    return NULL;
}

static struct search *search_new(const char *path)
{
    struct search *search = calloc(1, sizeof(*search));
    if (search)
        search->path = strdup(path);
    return search && search->path ? search : search_free(search);
}

int tools_new(const struct tools_settings *settings, struct tools **out)
{
    struct tools *tools = calloc(1, sizeof(*tools));
    if (!tools)
        return -ENOMEM;
    tools->search = search_new(settings->search_path ? settings->search_path : default_path);
    tools->has_upload = settings->upload_command != NULL;
    tools->deadline_ms = settings->deadline_ms;
    int r = tools->search ? helper_start(tools, settings->upload_command) : -ENOMEM;
    if (r < 0) {
        search_free(tools->search);
        free(tools);
        return r;
    }
    *out = tools;
    return 0;
}

struct tools *tools_free(struct tools *tools)
{
    if (!tools)
        return NULL;
    while (tools->runs)
        run_free(tools->runs);
    child_wait(&tools->child);
    search_free(tools->search);
    free(tools);
    return NULL;
}
