/* base/tools: frames that are compared with a decode of all pictures, what media are, hostile
 * inputs, and programs that do not end, say too much, or leave others behind. */
#include "seedancefs/base/tools.h"

#include "base/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char top[] = "/tmp/seedancefs-tools-XXXXXX";

struct outcome {
    bool is_done;
    struct tool_result result;
    char url[256];
    char error[2001];
};

static void on_done(void *context, const struct tool_result *result)
{
    struct outcome *outcome = context;
    assert_false(outcome->is_done);
    outcome->is_done = true;
    outcome->result = *result;
    (void)snprintf(outcome->url, sizeof(outcome->url), "%s", result->url ? result->url : "");
    (void)snprintf(outcome->error, sizeof(outcome->error), "%s", result->error_text);
}

static void shell(const char *format, ...) PRINTF_LIKE(1, 2);
static void shell(const char *format, ...)
{
    char command[2048];
    va_list arguments;
    int used = snprintf(command, sizeof(command), "cd %s && ", top);
    va_start(arguments, format);
    (void)vsnprintf(command + used, sizeof(command) - (size_t)used, format, arguments);
    va_end(arguments);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static const char *place(const char *name)
{
    static char paths[2][256];
    static int next;
    next = !next;
    (void)snprintf(paths[next], sizeof(paths[next]), "%s/%s", top, name);
    return paths[next];
}

static void wait_for(struct tools *tools, const bool *is_done)
{
    struct timespec start;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    while (!*is_done) {
        struct pollfd fd = {.fd = tools_fd(tools), .events = POLLIN};
        (void)poll(&fd, 1, 100);
        tools_dispatch(tools);
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        assert_true(now.tv_sec - start.tv_sec < 60);
    }
}

static struct outcome run(struct tools *tools, enum tool tool, const char *input,
                          const char *output)
{
    struct outcome outcome = {.is_done = false};
    int in = input ? open(place(input), O_RDONLY | O_CLOEXEC) : -1;
    int out = output ? open(place(output), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    const struct tool_request request = {.tool = tool,
                                         .input_fd = in,
                                         .output_fd = out,
                                         .path = "/some where/it's.mp4",
                                         .name = "a name.mp4"};
    assert_int_equal(tools_start(tools, &request, on_done, &outcome, NULL), 0);
    (void)close(in);
    (void)close(out);
    wait_for(tools, &outcome.is_done);
    return outcome;
}

static struct tools *tools_make(const char *command, const char *path, int64_t deadline_ms)
{
    struct tools *tools = NULL;
    const struct tools_settings settings = {
        .upload_command = command, .search_path = path, .deadline_ms = deadline_ms};
    assert_int_equal(tools_new(&settings, &tools), 0);
    return tools;
}

/* What makes clip.mp4 of each kind; `source` is 1.3 seconds or so of pictures that all differ. */
static const struct {
    const char *what;
    const char *make;
} clips[] = {
    {"H.264 with B frames",
     "ffmpeg -v error -y -f lavfi -i testsrc2=s=322x182:r=24:d=3 -c:v libx264 -bf 3 clip.mp4"},
    {"H.264 without B frames, one key frame",
     "ffmpeg -v error -y -f lavfi -i testsrc2=s=322x182:r=30:d=2 -c:v libx264 -bf 0 -g 999 "
     "-pix_fmt yuv420p clip.mp4"},
    {"H.265, 60 fps, many key frames",
     "ffmpeg -v error -y -f lavfi -i testsrc2=s=322x182:r=60:d=2 -c:v libx265 -g 13 "
     "-x265-params log-level=none:open-gop=1 -pix_fmt yuv420p clip.mp4"},
    {"H.264 of open groups",
     "ffmpeg -v error -y -f lavfi -i testsrc2=s=322x182:r=25:d=4 -c:v libx264 -bf 4 -g 30 "
     "-x264-params open-gop=1 -pix_fmt yuv420p clip.mp4"},
    {"H.264 without key frames but the first",
     "ffmpeg -v error -y -f lavfi -i testsrc2=s=322x182:r=25:d=4 -c:v libx264 -g 40 "
     "-intra-refresh 1 -pix_fmt yuv420p clip.mp4"},
    {"longer sound",
     "ffmpeg -v error -y -f lavfi -i testsrc2=s=322x182:r=24:d=2 -f lavfi -i sine=d=5 -c:v libx264 "
     "-c:a aac clip.mp4"},
    {"slightly longer sound",
     "ffmpeg -v error -y -f lavfi -i testsrc2=s=322x182:r=24:d=3 -f lavfi -i sine=d=3.4 "
     "-c:v libx264 -c:a aac clip.mp4"},
    {"shorter sound",
     "ffmpeg -v error -y -f lavfi -i testsrc2=s=322x182:r=24:d=3 -f lavfi -i sine=d=1 -c:v libx264 "
     "-c:a aac clip.mp4"},
    {"variable frame rate, a last picture that stays",
     "ffmpeg -v error -y -f lavfi -i testsrc2=s=322x182:r=24:d=3 -vf "
     "'select=not(mod(n\\,3))+lt(n\\,9)+gt(n\\,60),setpts=PTS+if(gt(N\\,33)\\,2/TB\\,0)' "
     "-vsync vfr -c:v libx264 clip.mp4"},
    {"a start that is not 0",
     "ffmpeg -v error -y -f lavfi -i testsrc2=s=322x182:r=24:d=2 -output_ts_offset 3.7 "
     "-c:v libx264 clip.mp4"},
    {"an edit list that leaves out the beginning",
     "ffmpeg -v error -y -f lavfi -i testsrc2=s=322x182:r=24:d=3 -f lavfi -i sine=d=3 -g 24 "
     "-c:v libx264 -c:a aac whole.mp4 && "
     "ffmpeg -v error -y -ss 0.7 -t 1.6 -i whole.mp4 -c copy clip.mp4"},
    {"sound that begins later than the pictures",
     "ffmpeg -v error -y -f lavfi -i testsrc2=s=322x182:r=24:d=2 -itsoffset 1.1 -f lavfi -i "
     "sine=d=2 "
     "-c:v libx264 -c:a aac clip.mp4"},
    {"pictures that begin later than the sound", "ffmpeg -v error -y -itsoffset 1.1 -f lavfi -i "
                                                 "testsrc2=s=322x182:r=24:d=2 -f lavfi -i sine=d=3 "
                                                 "-c:v libx264 -c:a aac clip.mp4"},
    {"one picture", "ffmpeg -v error -y -f lavfi -i testsrc2=s=322x182:r=24:d=1 -frames:v 1 -c:v "
                    "libx264 clip.mp4"},
    {"fragments", "ffmpeg -v error -y -f lavfi -i testsrc2=s=322x182:r=24:d=3 -c:v libx264 "
                  "-movflags frag_keyframe+empty_moov clip.mp4"},
    {"a picture that is turned",
     "ffmpeg -v error -y -f lavfi -i testsrc2=s=322x182:r=24:d=1 -c:v libx264 flat.mp4 && "
     "ffmpeg -v error -y -i flat.mp4 -c copy -metadata:s:v rotate=90 clip.mp4"},
};

/* True: the two PNG files show the same picture. */
static void pictures_compare(const char *what, const char *made, const char *expected)
{
    shell("ffmpeg -v error -y -i %s -f rawvideo -pix_fmt rgb24 made.raw", made);
    shell("ffmpeg -v error -y -i %s -f rawvideo -pix_fmt rgb24 expected.raw", expected);
    shell("cmp made.raw expected.raw || { echo '%s: %s differs' >&2; exit 1; }", what, made);
    shell("[ \"$(file -b %s | cut -d, -f1-3)\" = \"$(file -b %s | cut -d, -f1-3)\" ]", made,
          expected);
}

static void test_tools__frames_are_exactly_the_first_and_the_last_picture(void **state UNUSED)
{
    struct tools *tools = tools_make(NULL, NULL, 0);
    assert_true(tools_has(tools, TOOL_LAST_FRAME));
    assert_false(tools_has(tools, TOOL_UPLOAD));
    for (size_t i = 0; i < ARRAY_COUNT(clips); i++) {
        shell("rm -rf all && mkdir all && %s", clips[i].make);
        shell("ffmpeg -v error -i clip.mp4 -map 0:v:0 -vsync passthrough all/%%05d.png");
        struct outcome first = run(tools, TOOL_FIRST_FRAME, "clip.mp4", "first.png");
        struct outcome last = run(tools, TOOL_LAST_FRAME, "clip.mp4", "last.png");
        if (first.result.result != 0 || last.result.result != 0)
            fail_msg("%s: %d %d %s%s", clips[i].what, first.result.result, last.result.result,
                     first.error, last.error);
        pictures_compare(clips[i].what, "first.png", "all/00001.png");
        shell("cp \"$(ls all/* | tail -1)\" all/last.png");
        pictures_compare(clips[i].what, "last.png", "all/last.png");
    }
    tools_free(tools);
}

static void test_tools__media_are_recognized(void **state UNUSED)
{
    static const struct {
        const char *file;
        const char *make;
        struct tool_probe probe;
    } rows[] = {
        {"a.mp4",
         "ffmpeg -v error -y -f lavfi -i testsrc2=s=320x180:r=24:d=2 -f lavfi -i sine=d=3 "
         "-c:v libx264 -c:a aac a.mp4",
         {TOOL_MEDIA_VIDEO, 320, 180, 2000, 24000, "mp4", "h264"}},
        {"a.mov",
         "ffmpeg -v error -y -i a.mp4 -an -c copy -metadata:s:v rotate=90 a.mov",
         {TOOL_MEDIA_VIDEO, 180, 320, 2000, 24000, "mov", "h264"}},
        {"b.mp4",
         "ffmpeg -v error -y -f lavfi -i testsrc2=s=320x180:r=30000/1001:d=2 -c:v libx265 "
         "-x265-params log-level=none b.mp4",
         {TOOL_MEDIA_VIDEO, 320, 180, 2002, 29970, "mp4", "hevc"}},
        {"a.png",
         "ffmpeg -v error -y -i a.mp4 -frames:v 1 a.png",
         {TOOL_MEDIA_IMAGE, 320, 180, -1, 0, "png", "png"}},
        {"a.jpg",
         "ffmpeg -v error -y -i a.mp4 -frames:v 1 a.jpg",
         {TOOL_MEDIA_IMAGE, 320, 180, -1, 0, "jpeg", "mjpeg"}},
        {"a.webp",
         "ffmpeg -v error -y -i a.mp4 -frames:v 1 a.webp",
         {TOOL_MEDIA_IMAGE, 320, 180, -1, 0, "webp", "webp"}},
        {"a.gif",
         "ffmpeg -v error -y -i a.mp4 -frames:v 3 a.gif",
         {TOOL_MEDIA_IMAGE, 320, 180, -1, 0, "gif", "gif"}},
        {"a.bmp",
         "ffmpeg -v error -y -i a.mp4 -frames:v 1 a.bmp",
         {TOOL_MEDIA_IMAGE, 320, 180, -1, 0, "bmp", "bmp"}},
        {"a.tiff",
         "ffmpeg -v error -y -i a.mp4 -frames:v 1 a.tiff",
         {TOOL_MEDIA_IMAGE, 320, 180, -1, 0, "tiff", "tiff"}},
        {"a.wav",
         "ffmpeg -v error -y -f lavfi -i sine=d=2.5 a.wav",
         {TOOL_MEDIA_AUDIO, 0, 0, 2500, 0, "wav", "pcm_s16le"}},
        {"a.mp3",
         "ffmpeg -v error -y -i a.wav a.mp3",
         {TOOL_MEDIA_AUDIO, 0, 0, 2500, 0, "mp3", "mp3"}},
    };
    struct tools *tools = tools_make(NULL, NULL, 0);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        shell("%s", rows[i].make);
        struct outcome outcome = run(tools, TOOL_PROBE, rows[i].file, NULL);
        const struct tool_probe *probe = &outcome.result.probe;
        const struct tool_probe *expected = &rows[i].probe;
        if (outcome.result.result != 0)
            fail_msg("%s: %d %s", rows[i].file, outcome.result.result, outcome.error);
        assert_int_equal(probe->kind, expected->kind);
        assert_int_equal(probe->width, expected->width);
        assert_int_equal(probe->height, expected->height);
        assert_true(probe->length_ms >= expected->length_ms &&
                    probe->length_ms <= expected->length_ms + 100);
        assert_int_equal(probe->frames_per_1000_s, expected->frames_per_1000_s);
        assert_string_equal(probe->format, expected->format);
        assert_string_equal(probe->codec, expected->codec);
    }
    tools_free(tools);
}

/* Lists of other files, and formats that are no media. No such file is read: it is named in none of
 * the results. */
static void test_tools__no_file_makes_a_program_open_another(void **state UNUSED)
{
    static const char *const makes[] = {
        "printf '#EXTM3U\\n#EXTINF:1,\\nfile:%s/secret.png\\n' \"$PWD\"",
        "printf 'ffconcat version 1.0\\nfile %s/secret.png\\n' \"$PWD\"",
        "printf '<?xml version=\"1.0\"?><svg><image href=\"file:///etc/passwd\"/></svg>'",
        "printf 'v=0\\no=- 0 0 IN IP4 127.0.0.1\\nm=video 1 RTP/AVP 96\\n'",
        "printf 'root:x:0:0::/root:/bin/sh\\n'",
        "true",
        "head -c 100 whole.mp4",
        "printf '\\0\\0\\0\\030ftypisom'",
        "printf '\\211PNG\\r\\n\\032\\n#EXTM3U\\n'",
    };
    struct tools *tools = tools_make(NULL, NULL, 0);
    shell("ffmpeg -v error -y -f lavfi -i testsrc2=s=320x180:d=1 -frames:v 1 secret.png");
    shell("ffmpeg -v error -y -f lavfi -i testsrc2=s=320x180:d=1 -c:v libx264 whole.mp4");
    for (size_t i = 0; i < ARRAY_COUNT(makes); i++) {
        shell("{ %s; } >hostile", makes[i]);
        for (int tool = TOOL_PROBE; tool <= TOOL_LAST_FRAME; tool++) {
            const char *output = tool == TOOL_PROBE ? NULL : "hostile.png";
            struct outcome outcome = run(tools, (enum tool)tool, "hostile", output);
            if (outcome.result.result != -EIO)
                fail_msg("%s: %d of tool %d", makes[i], outcome.result.result, tool);
            if (output)
                shell("[ ! -s hostile.png ]");
        }
    }
    tools_free(tools);
}

static bool has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* A program of the test in place of ffprobe, which says what the sandbox leaves to it. */
static void test_tools__a_program_in_the_sandbox_reaches_nothing(void **state UNUSED)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/bin:/usr/bin:/bin", top);
    shell("mkdir -p bin && cp whole.mp4 in.mp4");
    shell("cat >bin/ffprobe <<'END'\n"
          "#!/bin/bash\n"
          "exec 2>&1\n"
          "(: </dev/tcp/127.0.0.1/9) 2>&1 | sed 's/^/net: /' >&2\n"
          "kill -0 $PPID && echo killed\n"
          "cat %s/secret.png | head -c 3; : >%s/written\n"
          "ulimit -c; ulimit -v; env; ls /proc/self/fd\n"
          "exec /bin/false\n"
          "END\n"
          "chmod +x bin/ffprobe",
          top, top);
    (void)setenv("SECRET_OF_THE_TEST", "42", 1);
    struct tools *tools = tools_make(NULL, path, 0);
    struct outcome outcome = run(tools, TOOL_PROBE, "in.mp4", NULL);
    assert_int_equal(outcome.result.result, -EIO);
    assert_int_equal(outcome.result.exit_code, 1);
    assert_null(strstr(outcome.error, "SECRET_OF_THE_TEST"));
    tools_free(tools);
    shell("sed -i 's/^exec 2>&1/exec >\\&2/' bin/ffprobe");
    tools = tools_make(NULL, path, 0);
    outcome = run(tools, TOOL_PROBE, "in.mp4", NULL);
    assert_non_null(strstr(outcome.error, "Operation not permitted"));
    assert_null(strstr(outcome.error, "killed"));
    if (has_landlock()) {
        assert_non_null(strstr(outcome.error, "secret.png: Permission denied"));
        assert_non_null(strstr(outcome.error, "written: Permission denied"));
    }
    assert_null(strstr(outcome.error, "SECRET_OF_THE_TEST"));
    tools_free(tools);
    (void)unsetenv("SECRET_OF_THE_TEST");
}

/* The number of ways in which a process in the sandbox can reach another one of the same user; its
 * own limits it may ask for. */
static int ways_to_reach(pid_t victim)
{
    siginfo_t info = {.si_code = SI_QUEUE};
    struct rlimit limit;
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input < 0 || sandbox_enter(input, "/usr/bin") < 0)
        return 100;
    int ways = syscall(SYS_kill, victim, 0) == 0;
    ways += syscall(SYS_tkill, victim, 0) == 0;
    ways += syscall(SYS_tgkill, victim, victim, 0) == 0;
    ways += syscall(SYS_rt_sigqueueinfo, victim, 0, &info) == 0;
    ways += syscall(SYS_rt_tgsigqueueinfo, victim, victim, 0, &info) == 0;
    ways += syscall(SYS_prlimit64, victim, RLIMIT_CPU, NULL, &limit) == 0;
    return syscall(SYS_prlimit64, 0, RLIMIT_CPU, NULL, &limit) == 0 ? ways : 101;
}

static void test_tools__a_program_in_the_sandbox_signals_nobody(void **state UNUSED)
{
    int status;
    pid_t victim = getpid();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(ways_to_reach(victim));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_tools__a_missing_program_is_not_installed(void **state UNUSED)
{
    struct tools *tools = tools_make(NULL, "/nowhere:/tmp", 0);
    assert_false(tools_has(tools, TOOL_PROBE));
    assert_false(tools_has(tools, TOOL_FIRST_FRAME));
    assert_int_equal(run(tools, TOOL_PROBE, "whole.mp4", NULL).result.result, -ENOENT);
    assert_int_equal(run(tools, TOOL_LAST_FRAME, "whole.mp4", "o.png").result.result, -ENOENT);
    tools_free(tools);
    assert_false(tools_has(NULL, TOOL_PROBE));
    assert_int_equal(tools_fd(NULL), -1);
}

static struct outcome upload(const char *command, int64_t deadline_ms)
{
    struct tools *tools = tools_make(command, NULL, deadline_ms);
    struct outcome outcome = run(tools, TOOL_UPLOAD, NULL, NULL);
    tools_free(tools);
    return outcome;
}

static void test_tools__an_upload_prints_an_address(void **state UNUSED)
{
    static const struct {
        const char *command;
        int result;
        const char *url;
    } rows[] = {
        {"printf 'https://host/%s\\n'", 0, "https://host//some"},
        {"printf 'at %s\\nhttps://host/x y\\nhttps://no\\n'", 0, "https://host/x"},
        {"echo http://127.0.0.1:1/x #", 0, "http://127.0.0.1:1/x"},
        {"echo http://host/x #", -EPROTO, ""},
        {"true", -EPROTO, ""},
        {"exit 3 #", -EIO, ""},
        {"sh -c 'echo https://h/$SEEDANCEFS_NAME:${1##*/}:$KEPT:$TOKENHUB_API_KEY' x", 0,
         "https://h/a"},
        {"sh -c 'echo https://h/${SEEDANCEFS_NAME#a }:${1##*/}:$KEPT:$TOKENHUB_API_KEY:$#' x", 0,
         "https://h/name.mp4:it's.mp4:kept::1"},
        {"sh -c 'ls /proc/self/fd | tr \"\\n\" , | sed s,^,https://,'", 0, "https://0,1,2,3,"},
        {"sh -c 'sleep 1000 & echo https://h/$!'", 0, NULL}, /* it holds the output */
        {"sh -c 'head -c 1000000 /dev/zero | tr \"\\0\" x; echo; echo https://h/'", -EPROTO, ""},
        {"sh -c 'echo https://h/; head -c 1000000 /dev/zero'", 0, "https://h/"},
    };
    (void)setenv("TOKENHUB_API_KEY", "sk-1", 1);
    (void)setenv("KEPT", "kept", 1);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct outcome outcome = upload(rows[i].command, 10000);
        if (outcome.result.result != rows[i].result ||
            (rows[i].url && strcmp(outcome.url, rows[i].url) != 0))
            fail_msg("%s: %d %s %s", rows[i].command, outcome.result.result, outcome.url,
                     outcome.error);
        if (!rows[i].url)
            (void)kill((pid_t)strtol(outcome.url + strlen("https://h/"), NULL, 10), SIGKILL);
    }
    (void)unsetenv("TOKENHUB_API_KEY");
}

static void test_tools__the_end_of_the_standard_error_is_shown(void **state UNUSED)
{
    struct outcome outcome = upload("sh -c 'printf \"\\033[1ma\\nb\\377c\\r\\n\" >&2; exit 7'", 0);
    assert_string_equal(outcome.error, "[1ma\nbc\n");
    assert_int_equal(outcome.result.exit_code, 7);
    outcome = upload("sh -c 'seq 1 5000 >&2; exit 7'", 0);
    assert_int_equal(strlen(outcome.error), 2000);
    assert_string_equal(outcome.error + 2000 - 10, "4999\n5000\n");
}

/* "sleep" and a time that no other process sleeps. */
static const char *long_sleep(const char *before, const char *behind)
{
    static char command[128];
    (void)snprintf(command, sizeof(command), "%ssleep 31%d%s", before, (int)getpid(), behind);
    return command;
}

static bool is_sleeping(void)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "pgrep -f '[s]leep 31%d' >/dev/null", (int)getpid());
    return system(command) == 0;
}

static void wait_until_gone(void)
{
    for (int i = 0; i < 100 && is_sleeping(); i++)
        (void)poll(NULL, 0, 50);
    assert_false(is_sleeping());
}

static void test_tools__a_program_that_does_not_end_is_killed(void **state UNUSED)
{
    assert_int_equal(upload(long_sleep("sh -c '", "; echo' x"), 300).result.result, -ETIMEDOUT);
    wait_until_gone();
    assert_int_equal(upload("sh -c 'yes' x", 300).result.result, -ETIMEDOUT);
}

static void test_tools__a_cancelled_run_is_killed_and_says_nothing(void **state UNUSED)
{
    struct tools *tools = tools_make(long_sleep("sh -c '", "; echo' x"), NULL, 0);
    struct outcome outcomes[4] = {{.is_done = false}};
    struct tool_run *runs[4];
    const struct tool_request request = {
        .tool = TOOL_UPLOAD, .input_fd = -1, .output_fd = -1, .path = "/a", .name = "a"};
    for (size_t i = 0; i < ARRAY_COUNT(runs); i++)
        assert_int_equal(tools_start(tools, &request, on_done, &outcomes[i], &runs[i]), 0);
    for (int i = 0; i < 100 && !is_sleeping(); i++)
        (void)poll(NULL, 0, 50);
    assert_true(is_sleeping());
    for (size_t i = ARRAY_COUNT(runs); i > 0; i--)
        tool_cancel(runs[i - 1]);
    wait_until_gone();
    tools_dispatch(tools);
    for (size_t i = 0; i < ARRAY_COUNT(runs); i++)
        assert_false(outcomes[i].is_done);
    tools_free(tools);
}

/* The helper is the only child of the test that has this name. */
static pid_t helper_pid(void)
{
    char command[64];
    char line[32] = "";
    (void)snprintf(command, sizeof(command), "pgrep -P %d -x seedancefs-tool", (int)getpid());
    FILE *pipe = popen(command, "re");
    assert_non_null(pipe);
    assert_non_null(fgets(line, sizeof(line), pipe));
    (void)pclose(pipe);
    return (pid_t)strtol(line, NULL, 10);
}

static void test_tools__runs_end_when_the_helper_is_killed(void **state UNUSED)
{
    struct tools *tools = tools_make(long_sleep("exec ", " #"), NULL, 0);
    struct outcome outcomes[3] = {{.is_done = false}};
    const struct tool_request request = {
        .tool = TOOL_UPLOAD, .input_fd = -1, .output_fd = -1, .path = "/a", .name = "a"};
    for (size_t i = 0; i < ARRAY_COUNT(outcomes); i++)
        assert_int_equal(tools_start(tools, &request, on_done, &outcomes[i], NULL), 0);
    (void)kill(helper_pid(), SIGKILL);
    wait_for(tools, &outcomes[2].is_done);
    for (size_t i = 0; i < ARRAY_COUNT(outcomes); i++)
        assert_int_equal(outcomes[i].result.result, -EPIPE);
    assert_int_equal(tools_start(tools, &request, on_done, &outcomes[0], NULL), -EPIPE);
    assert_int_equal(tools_fd(tools), -1);
    assert_false(tools_has(tools, TOOL_PROBE));
    tools_dispatch(tools);
    tools_free(tools);
    wait_until_gone();
}

static int directory_make(void **state UNUSED)
{
    return mkdtemp(top) ? 0 : -1;
}

static int directory_remove(void **state UNUSED)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf %s", top);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tools__frames_are_exactly_the_first_and_the_last_picture),
        cmocka_unit_test(test_tools__media_are_recognized),
        cmocka_unit_test(test_tools__no_file_makes_a_program_open_another),
        cmocka_unit_test(test_tools__a_program_in_the_sandbox_reaches_nothing),
        cmocka_unit_test(test_tools__a_program_in_the_sandbox_signals_nobody),
        cmocka_unit_test(test_tools__a_missing_program_is_not_installed),
        cmocka_unit_test(test_tools__an_upload_prints_an_address),
        cmocka_unit_test(test_tools__the_end_of_the_standard_error_is_shown),
        cmocka_unit_test(test_tools__a_program_that_does_not_end_is_killed),
        cmocka_unit_test(test_tools__a_cancelled_run_is_killed_and_says_nothing),
        cmocka_unit_test(test_tools__runs_end_when_the_helper_is_killed),
    };
    return cmocka_run_group_tests(tests, directory_make, directory_remove);
}
