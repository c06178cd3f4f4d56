/*
 * What: a process that reads the key file again at SIGHUP. The file may stand still for ever: a
 * FIFO, a network filesystem whose server is gone, one that this program's own mount has to answer.
 * The loop must not wait for it.
 * Lifetime: key_reader_new() before the API key is read, so that the process never has any but the
 * one that it is reading; it ends with the program, however that ends.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_APP_KEY_READER_H
#define SEEDANCEFS_APP_KEY_READER_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/secret.h"

struct loop;
struct key_reader;

/* `key` is lent; unset when the file cannot be used, which the log has by then. */
typedef void key_reader_fn(void *context, const struct secret *key);

/* `path` is absolute. */
int key_reader_new(struct loop *loop, const char *path, key_reader_fn *fn, void *context,
                   struct key_reader **out) NODISCARD;

/* Asks for the key. When it does not come within a second the callback is told so, with no key, and
 * once more when it does come. -EPIPE: the process is gone. */
int key_reader_start(struct key_reader *reader) NODISCARD;

/* Ends the process. Accepts NULL, returns NULL. */
struct key_reader *key_reader_free(struct key_reader *reader);

#endif
