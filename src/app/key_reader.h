/*
 * What: a child process that reads the key file again at SIGHUP. Reading the file may block for
 * ever: it can be a FIFO, or on a network filesystem whose server is gone, or in this program's own
 * mount. The loop must not wait for it.
 * Lifetime: key_reader_new() before the API key is read, so that the process only ever has the key
 * that it is reading. It ends with the program, however the program ends.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_APP_KEY_READER_H
#define SEEDANCEFS_APP_KEY_READER_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/secret.h"

struct loop;
struct key_reader;

/* `key` is lent. It is unset when the file cannot be used, and the log then says why. */
typedef void key_reader_fn(void *context, const struct secret *key);

/* `path` is absolute. */
int key_reader_new(struct loop *loop, const char *path, key_reader_fn *fn, void *context,
                   struct key_reader **out) NODISCARD;

/* Asks for the key. If it does not come within a second, the callback is called without a key, and
 * again when the key comes. -EPIPE: the process has ended. */
int key_reader_start(struct key_reader *reader) NODISCARD;

/* Ends the process. Accepts NULL, returns NULL. */
struct key_reader *key_reader_free(struct key_reader *reader);

#endif
