/*
 * What: a checksum that finds damage, but does not protect against an attacker. It is fast enough
 * for every byte of a video (XXH3, 64 bits; the value is part of file formats).
 */
#ifndef SEEDANCEFS_BASE_CHECKSUM_H
#define SEEDANCEFS_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint64_t checksum_64(const void *bytes, size_t len);

#endif
