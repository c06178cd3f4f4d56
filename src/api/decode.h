/* What: small steps shared by the parsers of tasks and errors. Pure. */
#ifndef SEEDANCEFS_API_DECODE_H
#define SEEDANCEFS_API_DECODE_H

#include "seedancefs/base/json.h"

#include <stddef.h>

/* The limits for every response. */
extern const struct json_limits api_json_limits;

/* Copies as much as fits, whole code points only; control characters become blanks. */
void api_text_copy(char *out, size_t size, const char *text);

struct api_error;

/* Reads an error from `root`; never changes texts that are already set. */
void api_error_from_json(const struct json *root, struct api_error *error);

#endif
