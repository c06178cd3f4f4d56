/*
 * A process that becomes one program. ffmpeg and ffprobe guess a file's format from its bytes,
 * and some formats are lists of other files or addresses. So a format is always forced here, one of few
 * that a file's first bytes name, and of protocols only `file` is allowed. The sandbox would refuse
 * the rest.
 *
 * The last picture is the last one that a decoder gives, in the order in which pictures are shown. Its time
 * need not be known: one second before the end is decoded, and the filter `reverse` gives its last
 * picture first. The seek goes to a key frame, so all pictures are complete: a decoder that does not
 * begin at such a place leaves pictures out (-flags -output_corrupt). When this gives no picture,
 * because the sound is longer or the last picture is shown for more than a second, all pictures are
 * decoded twice: once to count them, once to take the last. So there is no temporary file, and never
 * more than a second of pictures in memory.
 */
#include "sandbox.h"
#include "tools_internal.h"

#include "seedancefs/base/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { INPUT_FD = 3, FIRST_CLOSED_FD = 4, FIRST_COPY_FD = 16, HEAD_BYTES = 16, ARGUMENTS_MAX = 48 };

#define INPUT_URL "file:/proc/self/fd/3"

/* Whether the pictures of a format are looked at, for what only they say about their rotation. */
struct media_format {
    const char *name; /* of the demuxer */
    unsigned char offset;
    unsigned char len;
    const char *magic;
    bool is_image;
};

static const struct media_format formats[] = {
    {"mov", 4, 4, "ftyp", false},
    {"mov", 4, 4, "moov", false},
    {"mov", 4, 4, "mdat", false},
    {"mov", 4, 4, "wide", false},
    {"mov", 4, 4, "free", false},
    {"mov", 4, 4, "skip", false},
    {"png_pipe", 0, 8, "\x89PNG\r\n\x1a\n", true},
    {"jpeg_pipe", 0, 3, "\xff\xd8\xff", true},
    {"webp_pipe", 8, 4, "WEBP", true},
    {"gif", 0, 4, "GIF8", true},
    {"bmp_pipe", 0, 2, "BM", true},
    {"tiff_pipe", 0, 4, "II*\0", true},
    {"tiff_pipe", 0, 4, "MM\0*", true},
    {"wav", 8, 4, "WAVE", false},
    {"mp3", 0, 3, "ID3", false},
    {"mp3", 0, 2, "\xff\xfb", false},
    {"mp3", 0, 2, "\xff\xfa", false},
    {"mp3", 0, 2, "\xff\xf3", false},
    {"mp3", 0, 2, "\xff\xf2", false},
};

struct arguments {
    const char *list[ARGUMENTS_MAX];
    size_t count;
};

/* Leaves the NULL at the end. */
static void arguments_add(struct arguments *arguments, const char *const *list)
{
    while (*list && arguments->count + 1 < ARGUMENTS_MAX)
        arguments->list[arguments->count++] = *list++;
}

#define ARGUMENTS_ADD(arguments, ...)                                                              \
    arguments_add((arguments), (const char *const[]){__VA_ARGS__, NULL})

bool tool_program_find(const char *search_path, const char *name, char out[static PATH_MAX])
{
    for (const char *p = search_path; *p;) {
        size_t len = strcspn(p, ":");
        int n = snprintf(out, PATH_MAX, "%.*s/%s", (int)len, p, name);
        if (n > 0 && n < PATH_MAX && access(out, X_OK) == 0)
            return true;
        p += len + (p[len] == ':');
    }
    return false;
}

/* execve() does not change what its arguments point to, and has no type that says so. */
static char *const *execve_list(const char *const *list)
{
    union {
        const char *const *lent;
        char *const *taken;
    } both = {.lent = list};
    return both.taken;
}

static _Noreturn void program_exec(const struct tools_worker *worker,
                                   const struct arguments *arguments)
{
    static const char *const environment[] = {"LC_ALL=C", "HOME=/", "MALLOC_ARENA_MAX=2", NULL};
    char path[PATH_MAX];
    if (tool_program_find(worker->search_path, arguments->list[0], path))
        (void)execve(path, execve_list(arguments->list), execve_list(environment));
    _exit(TOOL_EXIT_MISSING);
}

static void message_write(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

static const struct media_format *format_find(void)
{
    unsigned char head[HEAD_BYTES] = {0};
    if (pread(INPUT_FD, head, sizeof(head), 0) < 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_COUNT(formats); i++) {
        if (memcmp(head + formats[i].offset, formats[i].magic, formats[i].len) == 0)
            return &formats[i];
    }
    return NULL;
}

static void input_add(struct arguments *arguments, const char *format)
{
    ARGUMENTS_ADD(arguments, "-protocol_whitelist", "file", "-f", format);
    if (strcmp(format, "mov") == 0)
        ARGUMENTS_ADD(arguments, "-enable_drefs", "0", "-use_absolute_path", "0");
    ARGUMENTS_ADD(arguments, "-i", INPUT_URL);
}

static _Noreturn void probe_exec(const struct tools_worker *worker)
{
    struct arguments arguments = {.count = 0};
    const struct media_format *format = format_find();
    if (!format) {
        message_write("The file is in none of the formats that are looked at.\n");
        _exit(1);
    }
    ARGUMENTS_ADD(&arguments, "ffprobe", "-v", "error", "-of", "json=compact=1", "-show_entries",
                  "format=format_name,duration:format_tags=major_brand:"
                  "stream=codec_type,codec_name,width,height,avg_frame_rate,duration:"
                  "stream_disposition=attached_pic:stream_tags=rotate:"
                  "stream_side_data=rotation:frame_side_data=rotation");
    if (format->is_image)
        ARGUMENTS_ADD(&arguments, "-read_intervals", "%+#1", "-show_frames", "-select_streams",
                      "v:0");
    input_add(&arguments, format->name);
    program_exec(worker, &arguments);
}

/* Takes the first picture that `filter` lets through. `before` is for the input. */
static _Noreturn void picture_exec(const struct tools_worker *worker, const char *const *before,
                                   const char *filter)
{
    struct arguments arguments = {.count = 0};
    ARGUMENTS_ADD(&arguments, "ffmpeg", "-v", "error", "-nostdin", "-filter_threads", "1",
                  "-threads", "2");
    arguments_add(&arguments, before);
    input_add(&arguments, "mov");
    ARGUMENTS_ADD(&arguments, "-map", "0:V:0", "-filter:v", filter, "-frames:v", "1", "-f",
                  "image2pipe", "-c:v", "png", "-pix_fmt", "rgb24", "-threads", "1", "pipe:1");
    program_exec(worker, &arguments);
}

static _Noreturn void count_exec(const struct tools_worker *worker)
{
    struct arguments arguments = {.count = 0};
    ARGUMENTS_ADD(&arguments, "ffprobe", "-v", "error", "-threads", "2", "-count_frames",
                  "-select_streams", "V:0", "-show_entries", "stream=nb_read_frames", "-of",
                  "csv=p=0");
    input_add(&arguments, "mov");
    program_exec(worker, &arguments);
}

static int step_wait(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

/* A process that ends when this one does. Its group is killed at the deadline. */
static pid_t step_fork(void)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
        _exit(1);
    return pid;
}

/* True: the output has bytes. */
static bool picture_step(const struct tools_worker *worker, const char *const *before,
                         const char *filter, int *code)
{
    struct stat st;
    pid_t pid = step_fork();
    if (pid == 0)
        picture_exec(worker, before, filter);
    *code = pid < 0 ? -EIO : step_wait(pid);
    return *code == 0 && fstat(STDOUT_FILENO, &st) == 0 && st.st_size > 0;
}

/* The number of pictures that a decoder gives; 0 when it cannot be known. */
static long pictures_count(const struct tools_worker *worker)
{
    char text[32] = "";
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return 0;
    pid_t pid = step_fork();
    if (pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        count_exec(worker);
    }
    (void)close(ends[1]);
    size_t len = 0;
    ssize_t n;
    while (len + 1 < sizeof(text) && (n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    (void)close(ends[0]);
    long count = strtol(text, NULL, 10);
    return pid > 0 && step_wait(pid) == 0 && count > 0 ? count : 0;
}

/* Proof for the truncation: these bytes are what the step before has left of its picture. */
static bool output_empty(void)
{
    return ftruncate(STDOUT_FILENO, 0) == 0 && lseek(STDOUT_FILENO, 0, SEEK_SET) == 0;
}

static _Noreturn void last_picture(const struct tools_worker *worker)
{
    static const char *const near_end[] = {"-flags", "-output_corrupt", "-sseof", "-1", NULL};
    static const char *const from_start[] = {NULL};
    char filter[64];
    int code = 0;
    if (picture_step(worker, near_end, "reverse,setpts=0", &code))
        _exit(0);
    if (code == TOOL_EXIT_MISSING)
        _exit(code);
    long count = pictures_count(worker);
    (void)snprintf(filter, sizeof(filter), "select=eq(n\\,%ld),setpts=0", count - 1);
    bool is_made = count > 0 && output_empty() && picture_step(worker, from_start, filter, &code);
    _exit(is_made ? 0 : 1);
}

static _Noreturn void upload_exec(const struct tools_worker *worker, const struct tool_order *order)
{
    const char *path = order->texts;
    char *script = NULL;
    environ = worker->environment;
    if (asprintf(&script, "%s \"$@\"", worker->upload_command) > 0 &&
        setenv("SEEDANCEFS_NAME", path + strlen(path) + 1, 1) == 0) {
        const char *const arguments[] = {"sh", "-c", script, "sh", path, NULL};
        (void)execve("/bin/sh", execve_list(arguments), environ);
    }
    _exit(TOOL_EXIT_MISSING);
}

/* Leaves the descriptors 0 to 3, as a program expects them. */
static bool descriptors_place(struct tool_run_fds fds)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int sources[] = {null, fds.output, fds.error, fds.input};
    int copies[ARRAY_COUNT(sources)];
    for (size_t i = 0; i < ARRAY_COUNT(sources); i++) {
        copies[i] = fcntl(sources[i], F_DUPFD_CLOEXEC, FIRST_COPY_FD);
        if (copies[i] < 0 && sources[i] >= 0)
            return false;
    }
    (void)close(INPUT_FD);
    for (size_t i = 0; i < ARRAY_COUNT(sources); i++) {
        if (copies[i] >= 0 && dup2(copies[i], (int)i) < 0)
            return false;
    }
    return close_range(FIRST_CLOSED_FD, ~0U, 0) == 0;
}

static void signals_reset(void)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
}

void tool_run_exec(const struct tools_worker *worker, const struct tool_order *order,
                   struct tool_run_fds fds)
{
    (void)setpgid(0, 0);
    signals_reset();
    if (!descriptors_place(fds))
        _exit(TOOL_EXIT_SANDBOX);
    if (order->tool != TOOL_UPLOAD && sandbox_enter(INPUT_FD, worker->search_path) < 0)
        _exit(TOOL_EXIT_SANDBOX);
    /* After the change of the user namespace, which clears it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != fds.parent)
        _exit(TOOL_EXIT_SANDBOX);
    static const char *const from_start[] = {NULL};
    switch ((enum tool)order->tool) {
    case TOOL_PROBE:
        probe_exec(worker);
    case TOOL_FIRST_FRAME:
        picture_exec(worker, from_start, "setpts=N");
    case TOOL_LAST_FRAME:
        last_picture(worker);
    case TOOL_UPLOAD:
        upload_exec(worker, order);
    case TOOL_COUNT:
        break;
    }
    _exit(TOOL_EXIT_MISSING);
}
