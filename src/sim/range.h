/*
 * range: the part of a file that a Range header asks for (RFC 9110, 14.1.2 and 14.4).
 *
 * What: turns the response with a whole file into 206 or 416, for videos, covers and objects. One
 * range is supported; several, or what cannot be parsed, give the whole file.
 * Lifetime: none.
 * Errors: none.
 */
#ifndef SIM_RANGE_H
#define SIM_RANGE_H

#include "sim/response.h"
#include "sim/scenario.h"

/* range: the header's value; NULL: the whole file. change may be NULL. */
void range_response(struct response *a, const char *range, const struct change *change);

#endif
