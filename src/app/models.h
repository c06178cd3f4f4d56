/*
 * What: --models DIR: the models of the service that are files there, on top of the documented ones.
 * Lifetime: the caller owns the table: models_free().
 * Errors: what is wrong has been said on standard error, each mistake with file, line and column.
 */
#ifndef SEEDANCEFS_APP_MODELS_H
#define SEEDANCEFS_APP_MODELS_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/prompt/model.h"

/* `directory` NULL: only the documented ones. On failure, also of a single file, `out` is untouched:
 * a program that runs already could go on with the table that it has. */
int models_load(const char *directory, struct models **out) NODISCARD;

#endif
