/*
 * What: the models of the service, which the prompt layer owns, for the layers above.
 * Lifetime: that of the table of models, which jobs_new() was given.
 */
#ifndef SEEDANCEFS_JOB_MODELS_H
#define SEEDANCEFS_JOB_MODELS_H

#include "seedancefs/base/buf.h"

#include <stddef.h>

struct jobs;

size_t jobs_model_count(const struct jobs *jobs);
const char *jobs_model_name(const struct jobs *jobs, size_t index);
/* Parameters, ranges and rates as one JSON object. */
int jobs_model_render(const struct jobs *jobs, size_t index, struct buf *out);

#endif
