/*
 * What: how many descriptors the program may have open, and that the last of them are kept: whoever
 * reads can open very many files, and a new prompt, the database and a request must still find one.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_BASE_DESCRIPTOR_H
#define SEEDANCEFS_BASE_DESCRIPTOR_H

#include "seedancefs/base/attributes.h"

#include <stdint.h>

/* Raises the soft limit to the hard one, also for processes that are started later. */
int descriptor_limit_raise(void) NODISCARD;

/* How many of `limit` are kept: a quarter, 64 at most. */
uint64_t descriptor_reserve(uint64_t limit);

/*
 * Takes the result of open(2), or of any other call that gives the lowest free number, for
 * something that can be done without: the same descriptor, or -1 and EMFILE in errno, and it is
 * closed, when only those are left that are kept. -1 stays as it is, with its errno.
 */
int descriptor_ordinary(int fd) NODISCARD;

#endif
