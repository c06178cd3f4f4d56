/*
 * input_check: would the service take these inputs?
 *
 * What: looks at what each address names, in the order of the body, and counts lengths. Signed
 * media URLs of the simulator are verified as a GET would be; files on servers of this machine are
 * fetched and looked at; other addresses are taken unseen. Files in `data:` are only decoded and
 * measured, unless is_strict, because most tests send files that no service would take.
 * Lifetime: none. Takes at most FETCH_ALL_MAX_MS for the servers, and what ffprobe takes.
 * Errors: -EINVAL, and *error holds the service's response.
 */
#ifndef SIM_INPUT_CHECK_H
#define SIM_INPUT_CHECK_H

#include "sim/input.h"
#include "sim/models.h"
#include "sim/response.h"

enum { FETCH_MAX_MS = 5000, FETCH_ALL_MAX_MS = 10000 };

/* What the check knows about the simulator. */
struct input_source {
    bool is_strict; /* --strict-inputs */
    void *context;
    /* The length of a task's video in seconds; negative: there is no such file. */
    double (*task_seconds)(void *context, const char *task_id, bool is_cover);
};

/* root is a body whose fields have the right types, for this model. */
int inputs_check(struct inputs *inputs, const cJSON *root, const struct model *model,
                 const struct input_source *source, struct response *error) NODISCARD;

#endif
