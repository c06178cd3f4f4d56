#include "sim/media_file.h"

#include "seedancefs/base/cleanup.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROBE_MAX_MS = 20000, PROBE_OUTPUT_MAX = 1 << 20 };

static bool has_bytes(const unsigned char *bytes, size_t len, size_t at, const char *wanted,
                      size_t wanted_len)
{
    return at + wanted_len <= len && memcmp(bytes + at, wanted, wanted_len) == 0;
}

const char *media_file_type(const unsigned char *bytes, size_t len)
{
    static const struct {
        const char *type;
        const char *first; /* at 0, unless NULL */
        size_t first_len;
        size_t at;
        const char *then; /* at `at`, unless NULL */
    } types[] = {
        {"png", "\x89PNG\r\n\x1a\n", 8, 0, NULL},
        {"jpeg", "\xff\xd8\xff", 3, 0, NULL},
        {"gif", "GIF87a", 6, 0, NULL},
        {"gif", "GIF89a", 6, 0, NULL},
        {"webp", "RIFF", 4, 8, "WEBP"},
        {"wav", "RIFF", 4, 8, "WAVE"},
        {"tiff", "II*\0", 4, 0, NULL},
        {"tiff", "MM\0*", 4, 0, NULL},
        {"bmp", "BM", 2, 0, NULL},
        {"mp3", "ID3", 3, 0, NULL},
        {"heif", NULL, 0, 4, "ftyphei"},
        {"heif", NULL, 0, 4, "ftyphev"},
        {"heif", NULL, 0, 4, "ftypmif1"},
        {"heif", NULL, 0, 4, "ftypmsf1"},
        {"mp4", NULL, 0, 4, "ftyp"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        if (types[i].first != NULL && !has_bytes(bytes, len, 0, types[i].first, types[i].first_len))
            continue;
        const char *then = types[i].then;
        if (then == NULL || has_bytes(bytes, len, types[i].at, then, strlen(then)))
            return types[i].type;
    }
    /* An MPEG audio frame of layer III without a tag before it. */
    bool is_frame = len >= 3 && bytes[0] == 0xff && (bytes[1] & 0xe6) == 0xe2;
    return is_frame && (bytes[2] & 0xf0) != 0xf0 && (bytes[2] & 0x0c) != 0x0c ? "mp3" : NULL;
}

static uint64_t big_endian(const unsigned char *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

/* The first start-of-frame segment has the sides (ITU T.81, B.2.2). */
static bool jpeg_sides(const unsigned char *bytes, size_t len, uint64_t *width, uint64_t *height)
{
    size_t at = 2;
    while (at + 9 <= len && bytes[at] == 0xff) {
        unsigned marker = bytes[at + 1];
        if (marker == 0xff) { /* a fill byte */
            at++;
            continue;
        }
        bool is_frame =
            marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
        if (is_frame) {
            *height = big_endian(bytes + at + 5, 2);
            *width = big_endian(bytes + at + 7, 2);
            return true;
        }
        at += 2 + (size_t)big_endian(bytes + at + 2, 2);
    }
    return false;
}

bool media_file_sides(const unsigned char *bytes, size_t len, uint64_t *width, uint64_t *height)
{
    const char *type = media_file_type(bytes, len);
    if (type != NULL && strcmp(type, "jpeg") == 0)
        return jpeg_sides(bytes, len, width, height);
    if (type == NULL || strcmp(type, "png") != 0 || !has_bytes(bytes, len, 12, "IHDR", 4) ||
        len < 24)
        return false;
    *width = big_endian(bytes + 16, 4);
    *height = big_endian(bytes + 20, 4);
    return true;
}

/* ffprobe seeks in its input, because a moov atom may be last: so that is a file in memory. */
static int probe_start(int in_fd, int out_fd, pid_t *pid)
{
    char *const arguments[] = {
        (char[]){"ffprobe"},
        (char[]){"-v"},
        (char[]){"error"},
        (char[]){"-protocol_whitelist"},
        (char[]){"file"},
        (char[]){"-of"},
        (char[]){"json"},
        (char[]){"-show_entries"},
        (char[]){"stream=codec_type,codec_name,width,height,avg_frame_rate:format=duration"},
        (char[]){"file:/dev/stdin"},
        NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t pipe_signal;
    sigemptyset(&none);
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    int r = posix_spawn_file_actions_init(&files);
    if (r != 0)
        return -r;
    r = posix_spawnattr_init(&attributes);
    if (r == 0) {
        (void)posix_spawn_file_actions_adddup2(&files, in_fd, STDIN_FILENO);
        (void)posix_spawn_file_actions_adddup2(&files, out_fd, STDOUT_FILENO);
        (void)posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        (void)posix_spawnattr_setsigmask(&attributes, &none);
        (void)posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
        (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        r = posix_spawnp(pid, arguments[0], &files, &attributes, arguments, environ);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&files);
    return r == 0 ? 0 : -ENOENT;
}

/* Kills a child that takes too long. */
static int probe_wait(pid_t pid)
{
    int64_t until_us = clock_monotonic_us() + (int64_t)PROBE_MAX_MS * 1000;
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && clock_monotonic_us() < until_us)
        clock_sleep_us(3000);
    if (ended == 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
    }
    if (ended != pid || !WIFEXITED(status) || WEXITSTATUS(status) == 127)
        return -ENOENT;
    return WEXITSTATUS(status) == 0 ? 0 : -EINVAL;
}

static double number_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    const char *text = cJSON_GetStringValue(item);
    return text != NULL ? strtod(text, NULL) : cJSON_IsNumber(item) ? item->valuedouble : 0;
}

/* "24/1", "0/0" */
static double rate_of(const cJSON *stream)
{
    const char *text =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(stream, "avg_frame_rate"));
    char *slash = NULL;
    double above = text != NULL ? strtod(text, &slash) : 0;
    double below = slash != NULL && *slash == '/' ? strtod(slash + 1, NULL) : 1;
    return below > 0 ? above / below : 0;
}

static int probe_parse(const char *json, struct media_probe *out)
{
    cJSON *root = cJSON_Parse(json);
    if (!cJSON_IsObject(root)) {
        cJSON_Delete(root);
        return -EINVAL;
    }
    *out = (struct media_probe){
        .seconds = number_of(cJSON_GetObjectItemCaseSensitive(root, "format"), "duration")};
    const cJSON *stream;
    cJSON_ArrayForEach(stream, cJSON_GetObjectItemCaseSensitive(root, "streams"))
    {
        const char *type =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(stream, "codec_type"));
        const char *codec =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(stream, "codec_name"));
        if (type == NULL || strcmp(type, "video") != 0 || out->codec[0] != '\0')
            continue;
        (void)snprintf(out->codec, sizeof(out->codec), "%s", codec != NULL ? codec : "unknown");
        out->width = (uint64_t)number_of(stream, "width");
        out->height = (uint64_t)number_of(stream, "height");
        out->frames_per_s = rate_of(stream);
    }
    cJSON_Delete(root);
    return 0;
}

int media_file_probe(const unsigned char *bytes, size_t len, struct media_probe *out)
{
    CLEANUP_CLOSE int in_fd = memfd_create("input", MFD_CLOEXEC);
    CLEANUP_CLOSE int out_fd = memfd_create("probe", MFD_CLOEXEC);
    pid_t pid = -1;
    if (in_fd < 0 || out_fd < 0 || file_append(in_fd, bytes, len) < 0)
        return -ENOENT;
    int r = probe_start(in_fd, out_fd, &pid);
    if (r == 0)
        r = probe_wait(pid);
    if (r < 0)
        return r;
    CLEANUP_FREE char *json = mem_alloc(PROBE_OUTPUT_MAX + 1);
    ssize_t n = pread(out_fd, json, PROBE_OUTPUT_MAX, 0);
    return n < 0 ? -ENOENT : probe_parse(json, out);
}
