#include "sim/options.h"

#include "seedancefs/base/text.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM_VERSION SEEDANCEFS_VERSION

enum option_kind {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_NUMBER, /* uint64_t */
    OPTION_SIZE,   /* uint64_t with K, M, G */
    OPTION_PORT,
    OPTION_SECONDS, /* double, not negative */
    OPTION_FACTOR,  /* double, positive */
    OPTION_SHARE,   /* double, 0 to 1 */
    OPTION_RANGE,   /* struct seconds_range */
    OPTION_KEY,
    OPTION_CLIP,
    OPTION_HELP,
    OPTION_VERSION,
};

struct option_spec {
    const char *name;
    enum option_kind kind;
    size_t offset;
    const char *argument;
    const char *help;
};

#define AT(member) offsetof(struct options, member)

static const struct option_spec specs[] = {
    {"port", OPTION_PORT, AT(port), "N", "API port on 127.0.0.1 (default 0: any free one)"},
    {"media-port", OPTION_PORT, AT(media_port), "N", "media port (default 0: any free one)"},
    {"port-file", OPTION_TEXT, AT(port_file), "FILE",
     "file written when ready: \"API_PORT MEDIA_PORT\\n\""},
    {"api-key", OPTION_KEY, 0, "KEY", "a valid key, repeatable (default th-simulator)"},
    {"any-key", OPTION_FLAG, AT(any_key), NULL, "accept every bearer token"},
    {"queue-seconds", OPTION_RANGE, AT(queue), "A[-B]", "time in status queued (default 2)"},
    {"generation-seconds", OPTION_RANGE, AT(generation), "A[-B]",
     "time in status running (default 20-40)"},
    {"time-scale", OPTION_FACTOR, AT(time_scale), "X", "divide these times by X (default 1)"},
    {"seed", OPTION_NUMBER, AT(seed), "N", "seed of all random choices (default 1)"},
    {"fail-rate", OPTION_SHARE, AT(fail_rate), "P", "share of tasks that fail, 0 to 1 (default 0)"},
    {"video", OPTION_CLIP, 0, "FILE", "mp4 with moov last, repeatable, used in turn"},
    {"video-bytes", OPTION_SIZE, AT(video_bytes), "N[KMG]", "pad each video to exactly N bytes"},
    {"same-video", OPTION_FLAG, AT(same_video), NULL, "serve the same bytes for every task"},
    {"url-expires", OPTION_SECONDS, AT(url_expires_s), "SECONDS",
     "life of a signed URL (default 86400)"},
    {"bucket", OPTION_TEXT, AT(bucket), "NAME",
     "bucket of the S3 object store on the API port (default seedance)"},
    {"s3-key", OPTION_TEXT, AT(s3_key), "KEY", "its access key id (default SIMKEY)"},
    {"s3-secret", OPTION_TEXT, AT(s3_secret), "SECRET", "its secret key (default sim-secret)"},
    {"models", OPTION_TEXT, AT(models), "DIR", "more models, as seedancefs --models takes them"},
    {"strict-inputs", OPTION_FLAG, AT(strict_inputs), NULL,
     "look into data: files as the service does"},
    {"latency-ms", OPTION_NUMBER, AT(latency_ms), "N", "wait so long before every response"},
    {"rate", OPTION_SIZE, AT(rate), "N[KMG]", "limit a media connection to N bytes per second"},
    {"scenario", OPTION_TEXT, AT(scenario_file), "FILE", "faults to play; SIGHUP reads it again"},
    {"log", OPTION_TEXT, AT(log_file), "FILE", "one JSON line per request"},
    {"log-headers", OPTION_FLAG, AT(log_headers), NULL, "log the request headers, too"},
    {"data", OPTION_TEXT, AT(data_file), "FILE", "keep the tasks in this file, but no objects"},
    {"die-with-parent", OPTION_FLAG, AT(die_with_parent), NULL, "end when the parent ends"},
    {"write-video", OPTION_TEXT, AT(write_video), "FILE", "write a task's video and exit"},
    {"task-seed", OPTION_NUMBER, AT(task_seed), "N", "number of that task (default 1)"},
    {"help", OPTION_HELP, 0, NULL, "show this help"},
    {"version", OPTION_VERSION, 0, NULL, "show the version"},
};

static void print_help(void)
{
    printf("Usage: seedance-sim [OPTION]...\n"
           "Simulates the video generation API and its media host on 127.0.0.1.\n\n");
    for (size_t i = 0; i < ARRAY_COUNT(specs); i++) {
        char left[64];
        (void)snprintf(left, sizeof(left), "--%s %s", specs[i].name,
                       specs[i].argument != NULL ? specs[i].argument : "");
        printf("  %-30s %s\n", left, specs[i].help);
    }
    printf("\nWords in a prompt that steer its task: [[fail]] [[nocover]] [[seconds=N]] "
           "[[video_bytes=N]]\n"
           "On the API port, for tests: GET /oracle/tasks, /oracle/counters, /oracle/video/ID,\n"
           "/oracle/objects, /oracle/objects/KEY; DELETE the last two, which no log mentions;\n"
           "PUT /oracle/scenario. The scenario's fields: src/sim/scenario.h\n"
           "The object store takes presigned requests to /BUCKET/KEY, and keeps all in memory.\n");
}

static int parse_seconds(const char *s, double *out)
{
    char *end = NULL;
    double value = strtod(s, &end);
    if (end == s || *end != '\0' || !isfinite(value) || value < 0 || value > 1e9)
        return -EINVAL;
    *out = value;
    return 0;
}

/* "A" or "A-B" with A <= B. */
static int parse_range(const char *s, struct seconds_range *out)
{
    char *copy = mem_strdup(s);
    char *dash = strchr(copy, '-');
    if (dash != NULL)
        *dash = '\0';
    struct seconds_range range = {0};
    int r = parse_seconds(copy, &range.low);
    range.high = range.low;
    if (r == 0 && dash != NULL)
        r = parse_seconds(dash + 1, &range.high);
    if (r == 0 && range.high < range.low)
        r = -EINVAL;
    if (r == 0)
        *out = range;
    free(copy);
    return r;
}

static int parse_number(const char *s, uint64_t max, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(s, &end, 10);
    if (*s < '0' || *s > '9' || *end != '\0' || errno != 0 || value > max)
        return -EINVAL;
    *out = value;
    return 0;
}

static int add_clip(struct options *options, const char *path)
{
    char *data = NULL;
    size_t len = 0;
    if (options->clip_count == CLIPS_MAX)
        return -E2BIG;
    int r = file_read(path, (size_t)1 << 30, &data, &len);
    if (r == 0)
        r = clip_init(&options->clips[options->clip_count], (unsigned char *)data, len);
    if (r < 0) {
        free(data);
        return r;
    }
    options->clip_count++;
    return 0;
}

static int parse_bounded(const char *s, double low, double high, double *out)
{
    double value = 0;
    int r = parse_seconds(s, &value);
    if (r == 0 && (value < low || value > high))
        r = -EINVAL;
    if (r == 0)
        *out = value;
    return r;
}

static int option_apply(struct options *options, const struct option_spec *spec, const char *arg)
{
    void *target = (char *)options + spec->offset;
    switch (spec->kind) {
    case OPTION_FLAG:
        *(bool *)target = true;
        return 0;
    case OPTION_TEXT:
        *(const char **)target = arg;
        return 0;
    case OPTION_NUMBER:
        return parse_number(arg, UINT64_MAX, target);
    case OPTION_SIZE:
        return text_size_parse(arg, target);
    case OPTION_PORT:
        return parse_number(arg, 65535, target);
    case OPTION_SECONDS:
        return parse_seconds(arg, target);
    case OPTION_FACTOR:
        return parse_bounded(arg, 1e-6, 1e9, target);
    case OPTION_SHARE:
        return parse_bounded(arg, 0, 1, target);
    case OPTION_RANGE:
        return parse_range(arg, target);
    case OPTION_KEY:
        if (options->key_count == KEYS_MAX)
            return -E2BIG;
        options->keys[options->key_count++] = arg;
        return 0;
    case OPTION_CLIP:
        return add_clip(options, arg);
    case OPTION_HELP:
    case OPTION_VERSION:
        break;
    }
    return 0;
}

static void options_default(struct options *options)
{
    *options = (struct options){
        .queue = {2, 2},
        .generation = {20, 40},
        .time_scale = 1,
        .seed = 1,
        .url_expires_s = 86400,
        .bucket = "seedance",
        .s3_key = "SIMKEY",
        .s3_secret = "sim-secret",
        .task_seed = 1,
    };
}

/* Names of buckets (docs.aws.amazon.com, "Bucket naming rules"), but not the paths of others. */
static bool bucket_is_good(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789.-";
    size_t len = strlen(name);
    return len >= 3 && len <= 63 && strspn(name, good) == len && name[0] != '.' &&
           strcmp(name, "api") != 0 && strcmp(name, "oracle") != 0;
}

static int options_check(struct options *options)
{
    if (!bucket_is_good(options->bucket)) {
        fputs("seedance-sim: --bucket is no name of a bucket\n", stderr);
        return 2;
    }
    if (options->key_count == 0)
        options->keys[options->key_count++] = "th-simulator";
    for (size_t i = 0; options->clip_count == i && i < clip_embedded_count(); i++)
        if (clip_embedded(i, &options->clips[i]) == 0)
            options->clip_count++;
    for (uint64_t n = 1; n <= options->clip_count; n++) {
        struct video video;
        if (options_video(options, n, 0, &video) < 0) {
            fputs("seedance-sim: --video-bytes is less than a clip and a box\n", stderr);
            return 2;
        }
    }
    return -1;
}

int options_parse(struct options *options, int argc, char **argv)
{
    options_default(options);
    struct option longs[ARRAY_COUNT(specs) + 1] = {0};
    for (size_t i = 0; i < ARRAY_COUNT(specs); i++) {
        longs[i].name = specs[i].name;
        longs[i].has_arg = specs[i].argument != NULL ? required_argument : no_argument;
    }
    int index = 0;
    int c;
    while ((c = getopt_long(argc, argv, "", longs, &index)) != -1) {
        if (c == '?')
            return 2;
        if (specs[index].kind == OPTION_HELP) {
            print_help();
            return 0;
        }
        if (specs[index].kind == OPTION_VERSION) {
            puts("seedance-sim " SIM_VERSION);
            return 0;
        }
        int r = option_apply(options, &specs[index], optarg);
        if (r < 0) {
            fprintf(stderr, "seedance-sim: --%s %s: %s\n", specs[index].name, optarg, strerror(-r));
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "seedance-sim: unexpected argument: %s\n", argv[optind]);
        return 2;
    }
    return options_check(options);
}

int options_video(const struct options *options, uint64_t task_number, uint64_t video_bytes,
                  struct video *out)
{
    uint64_t number = options->same_video ? 0 : task_number;
    size_t index = number == 0 ? 0 : (size_t)((number - 1) % options->clip_count);
    return video_init(out, &options->clips[index],
                      video_bytes > 0 ? video_bytes : options->video_bytes, number);
}
