/*
 * What: a child process that reads a small file again at SIGHUP: the key file, the file of options.
 * Reading it may block for ever: it can be a FIFO, or on a network filesystem whose server is gone,
 * or in this program's own mount. The loop must not wait for it.
 * Lifetime: file_reader_new() before the API key is read, so that the process only ever has what it
 * is reading. It ends with the program, however the program ends.
 * Errors: -errno.
 */
#ifndef SEEDANCEFS_APP_FILE_READER_H
#define SEEDANCEFS_APP_FILE_READER_H

#include "seedancefs/base/attributes.h"

#include <stddef.h>
#include <sys/types.h>

struct loop;
struct file_reader;

/* The content of a file before it is parsed. It may be a key: the owner must wipe it. */
struct file_text {
    int result;  /* of reading: 0 or -errno; -EFBIG: it is larger than `bytes` */
    mode_t mode; /* of the file */
    size_t len;
    char bytes[8192];
};

/* Reads the file, and nothing else, because another process calls it, too. */
void file_text_read(const char *path, struct file_text *out);

/* `text` is lent; NULL: it has not come within a second, and is waited for. */
typedef void file_reader_fn(void *context, const struct file_text *text);

struct file_reader_settings {
    const char *name; /* of the process; a literal */
    const char *path; /* absolute; copied */
    file_reader_fn *fn;
    void *context;
};
int file_reader_new(struct loop *loop, const struct file_reader_settings *settings,
                    struct file_reader **out) NODISCARD;

/* Asks for the file. If it does not come within a second, the callback is called without it, and
 * again when it comes. -EPIPE: the process has ended. */
int file_reader_start(struct file_reader *reader) NODISCARD;

/* Ends the process. Accepts NULL, returns NULL. */
struct file_reader *file_reader_free(struct file_reader *reader);

#endif
