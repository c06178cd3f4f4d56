/*
 * options: the command line of seedance-sim.
 *
 * What:     one table gives the parser and --help.
 * Lifetime: filled once by options_parse(), then read-only.
 * Errors:   options_parse() prints what is wrong; the exit code is its result.
 */
#ifndef SIM_OPTIONS_H
#define SIM_OPTIONS_H

#include "sim/video.h"

enum { KEYS_MAX = 16, CLIPS_MAX = 16 };

struct seconds_range {
    double low;
    double high;
};

struct options {
    const char *keys[KEYS_MAX];
    size_t key_count;
    bool any_key;
    struct seconds_range queue;
    struct seconds_range generation;
    double time_scale;
    uint64_t seed;
    double fail_rate;
    struct clip clips[CLIPS_MAX];
    size_t clip_count;
    uint64_t video_bytes; /* 0: the clip's size and 1 KiB */
    bool same_video;
    double url_expires_s;
    uint64_t latency_ms;
    uint64_t rate; /* bytes per second of media responses; 0: no limit */
    uint64_t port;
    uint64_t media_port;
    const char *port_file;
    const char *data_file;
    const char *scenario_file;
    const char *log_file;
    bool log_headers;
    bool die_with_parent;
    const char *write_video; /* write the file and end */
    uint64_t task_seed;
};

/* -1: go on; otherwise the exit code (0 after --help and --version, 2 on wrong usage). */
int options_parse(struct options *options, int argc, char **argv) NODISCARD;

/* The video of the n-th task. -ERANGE when video_bytes cannot be made from the clip. */
int options_video(const struct options *options, uint64_t task_number, uint64_t video_bytes,
                  struct video *out) NODISCARD;

#endif
