/*
 * validate: would the service accept this body as a request?
 *
 * What: types, ranges and combinations as in API.md, and then the inputs themselves. Unknown fields are ignored, because nobody
 * knows what the service does with them. Also reads the [[words]] of the prompt.
 * Lifetime: create_request_fini() frees what create_request_parse() has filled in.
 * Errors: -EINVAL, and *error holds the service's response.
 */
#ifndef SIM_VALIDATE_H
#define SIM_VALIDATE_H

#include "sim/input_check.h"
#include "sim/response.h"
#include "sim/task.h"

enum { REQUEST_BODY_DOCUMENTED_MAX = 64 << 20 };

/* *inputs, zeroed before, is filled for a refused request, too; the caller calls inputs_fini(). */
int create_request_parse(const struct buf *body, const struct input_source *source,
                         struct create_request *out, struct inputs *inputs,
                         struct response *error) NODISCARD;
void create_request_fini(struct create_request *request);

#endif
