/*
 * What: how many descriptors the program may have open, and a reserve of the last ones. Readers can
 * open very many files, and a new prompt, the database and a request must still get a descriptor.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_BASE_DESCRIPTOR_H
#define SEEDANCEFS_BASE_DESCRIPTOR_H

#include "seedancefs/base/attributes.h"

#include <stdint.h>

/* Raises the soft limit to the hard one, also for processes that are started later. */
int descriptor_limit_raise(void) NODISCARD;

/* How many of `limit` are reserved: a quarter, at most 64. */
uint64_t descriptor_reserve(uint64_t limit);

/*
 * Takes the result of open(2), or of any other call that returns the lowest free number, for
 * something that may be refused. Returns the same descriptor. When only the reserved ones are left,
 * it closes the descriptor and returns -1 with EMFILE in errno. It returns -1 unchanged, with its
 * errno.
 */
int descriptor_ordinary(int fd) NODISCARD;

/* How many descriptors are in use: the lowest number that is free; 0: not known. And how many may
 * be. */
struct descriptor_use {
    uint64_t count;
    uint64_t limit;
};
void descriptor_use_get(struct descriptor_use *out);

#endif
