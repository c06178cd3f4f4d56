/*
 * input: the images, videos and audios that a create request names.
 *
 * What: collected from the body in its order, whether or not the request is accepted, and logged as
 * the array "inputs". input_check decides about them.
 * Lifetime: inputs_collect() fills a zeroed struct, inputs_fini() frees it. The URLs are lent by
 * the JSON; inputs_seal() forgets them, and the decoded files, before that is freed.
 * Errors: none; what is no text is left out, because the request is refused anyway.
 */
#ifndef SIM_INPUT_H
#define SIM_INPUT_H

#include "sim/util.h"

#include "seedancefs/base/json.h"

#include <cjson/cJSON.h>

enum { INPUTS_MAX = 1000 };

enum input_kind { INPUT_IMAGE, INPUT_VIDEO, INPUT_AUDIO };

enum input_form {
    INPUT_ADDRESS, /* taken unseen */
    INPUT_DATA,    /* data: */
    INPUT_OWN,     /* a signed media URL of the simulator */
    INPUT_FETCHED, /* from a server on this machine; without bytes if that failed */
};

struct input {
    char *field; /* "image_url", "image_urls[0]", "content[1]" */
    char *role;  /* NULL: none */
    enum input_kind kind;
    enum input_form form;
    const char *url;
    char *task_id;  /* INPUT_OWN */
    bool is_cover;  /* INPUT_OWN */
    bool has_bytes; /* the next three are known */
    char *content;
    uint64_t bytes;
    uint64_t hash;                 /* checksum_64() */
    uint64_t width, height;        /* of a PNG or JPEG; 0: unknown */
    double seconds;                /* 0: unknown */
    const struct media_rule *rule; /* see models.h; set by the check */
};

struct inputs {
    struct input *items;
    size_t count;
};

void inputs_collect(struct inputs *inputs, const cJSON *root);
void inputs_seal(struct inputs *inputs);
void inputs_fini(struct inputs *inputs);
/* The input becomes the owner of the bytes, which are followed by a NUL. */
void input_set_content(struct input *input, char *content, size_t len);
/* Writes the member "inputs". Nothing of a URL is written but the id of a task. */
void inputs_log(struct json_writer *w, const struct inputs *inputs);

/* "image", "video", "audio" */
const char *input_kind_name(enum input_kind kind);

#endif
