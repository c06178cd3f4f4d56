/*
 * options: the command line of seedance-sim.
 *
 * What: one table gives the parser and --help.
 * Lifetime: options_parse() fills it once; then it is read-only.
 * Errors: options_parse() prints the error and returns the exit code.
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
    uint64_t video_bytes; /* 0: the clip's size plus 1 KiB */
    bool same_video;
    double url_expires_s;
    uint64_t latency_ms;
    uint64_t rate; /* bytes per second of media responses; 0: no limit */
    uint64_t port;
    uint64_t media_port;
    bool strict_inputs;
    const char *bucket; /* of the object store */
    const char *s3_key;
    const char *s3_secret;
    const char *models; /* a directory; NULL: none */
    const char *port_file;
    const char *data_file;
    const char *scenario_file;
    const char *log_file;
    bool log_headers;
    bool die_with_parent;
    const char *write_video; /* write the file and exit */
    uint64_t task_seed;
};

/* Returns -1 to continue; otherwise the exit code (0 after --help and --version, 2
 * on wrong usage). */
int options_parse(struct options *options, int argc, char **argv) NODISCARD;

/* The video of the n-th task. -ERANGE when the clip cannot be made `video_bytes` large. */
int options_video(const struct options *options, uint64_t task_number, uint64_t video_bytes,
                  struct video *out) NODISCARD;

#endif
