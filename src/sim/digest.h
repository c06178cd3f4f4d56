/*
 * digest: MD5, SHA-256 and HMAC, which the object store needs.
 *
 * What: a thin layer over libcrypto, whose only includer in the simulator this is.
 * Lifetime: values only.
 * Errors: none; if libcrypto refuses, the program ends: an oracle must not guess.
 */
#ifndef SIM_DIGEST_H
#define SIM_DIGEST_H

#include <stddef.h>

enum { MD5_SIZE = 16, SHA256_SIZE = 32, MD5_HEX_SIZE = 33, SHA256_HEX_SIZE = 65 };

void digest_md5(const void *bytes, size_t len, unsigned char out[static MD5_SIZE]);
void digest_sha256(const void *bytes, size_t len, unsigned char out[static SHA256_SIZE]);
/* HMAC-SHA256 of a text. `key` and `out` may be the same place. */
void digest_hmac(const void *key, size_t key_len, const char *text,
                 unsigned char out[static SHA256_SIZE]);

/* Writes 2 * len lower-case digits and a NUL. */
void digest_hex(const unsigned char *bytes, size_t len, char *out);

#endif
