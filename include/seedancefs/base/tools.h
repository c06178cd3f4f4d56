/*
 * What: runs other programs for the loop: ffprobe and ffmpeg, which look at media and make pictures
 * of them, and the user's upload command. A helper process starts them, at most two at once; the
 * others wait for their turn. The media programs run in a sandbox (src/base/sandbox.h), because
 * what they read comes from outside. Each run has a deadline: 30 seconds, ten minutes for an upload.
 * Lifetime: tools_new() before the program reads the API key, because the helper has a copy of its
 * memory .. tools_free(), after all who may have a run. A `struct tool_run` belongs to `tools`, and
 * is gone when its function is called or it is cancelled.
 * The owner of the loop watches tools_fd() and calls tools_dispatch() when it is readable.
 * Errors: -errno. All functions accept NULL for `tools`: nothing can be run.
 */
#ifndef SEEDANCEFS_BASE_TOOLS_H
#define SEEDANCEFS_BASE_TOOLS_H

#include "seedancefs/base/attributes.h"

#include <stdbool.h>
#include <stdint.h>

struct tools;
struct tool_run;

enum tool { TOOL_PROBE, TOOL_FIRST_FRAME, TOOL_LAST_FRAME, TOOL_UPLOAD, TOOL_COUNT };

/* Everything is lent for the call alone: descriptors are duplicated, texts are copied. */
struct tool_request {
    enum tool tool;
    int input_fd;     /* the file that is looked at, a regular one; -1 for TOOL_UPLOAD */
    int output_fd;    /* of frames: the PNG is written there, into an empty regular file; else -1 */
    const char *path; /* TOOL_UPLOAD: the absolute path of the file */
    const char *name; /* TOOL_UPLOAD: $SEEDANCEFS_NAME */
};

enum tool_media { TOOL_MEDIA_NONE, TOOL_MEDIA_IMAGE, TOOL_MEDIA_VIDEO, TOOL_MEDIA_AUDIO };

struct tool_probe {
    enum tool_media kind;
    int width; /* as shown: rotation is applied; 0 without a picture, like the next */
    int height;
    int64_t length_ms;     /* of the pictures of a video; -1: unknown */
    int frames_per_1000_s; /* frames per second x 1000; 0: unknown */
    char format[32];       /* "mp4", "mov", "png", "jpeg", "wav", … */
    char codec[32];        /* of the pictures, or of the sound */
};

struct tool_result {
    /* 0: the program ended with 0. -ENOENT: it is not installed. -ETIMEDOUT: it was killed at its
     * deadline. -EPIPE: the helper is gone. -EPROTO: an upload that printed no address. -EIO: it
     * failed, or what it printed cannot be understood. */
    int result;
    int exit_code;           /* of the program; -1: it did not end by itself */
    struct tool_probe probe; /* of TOOL_PROBE with the result 0 */
    const char *url; /* of TOOL_UPLOAD with the result 0: the first line of the output that is
                              * an https:// address (or http:// of a loopback address); lent */
    const char *error_text; /* the end of its standard error, at most 2000 bytes of UTF-8, without
                              * control characters other than newlines; "": none; lent */
};
typedef void tool_done_fn(void *context, const struct tool_result *result);

struct tools_settings {
    const char *upload_command; /* for a shell, gets the file's path as an argument; NULL: none */
    const char *search_path;    /* where programs are looked for; NULL: the usual directories */
    int64_t deadline_ms;        /* of every run, for tests; 0: as above */
};

/* Starts the helper. The settings are lent for the call alone. */
int tools_new(const struct tools_settings *settings, struct tools **out) NODISCARD;

/* Kills what is under way; its functions are not called. Returns NULL. */
struct tools *tools_free(struct tools *tools);

/* -1: the helper is gone, and there is nothing to watch any more. */
int tools_fd(const struct tools *tools);

/* Takes the results that have come, and calls their functions, which may start and cancel runs. When
 * the helper is gone, all runs end with -EPIPE. */
void tools_dispatch(struct tools *tools);

/* The program is installed, or an upload command is set, and the helper is there. The disk is
 * asked every two seconds at most. */
bool tools_has(const struct tools *tools, enum tool tool);

/* `fn` is called later, from tools_dispatch(), exactly once unless the run is cancelled. `out` may be
 * NULL. */
int tools_start(struct tools *tools, const struct tool_request *request, tool_done_fn *fn,
                void *context, struct tool_run **out) NODISCARD;

/* The process is killed, and the function is not called any more. */
void tool_cancel(struct tool_run *run);

#endif
