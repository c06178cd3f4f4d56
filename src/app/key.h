/*
 * What: where the API key comes from: --api-key-file, else $TOKENHUB_API_KEY, else the credential
 * tokenhub-api-key of systemd (systemd.exec(5), LoadCredential). Never an argument.
 */
#ifndef SEEDANCEFS_APP_KEY_H
#define SEEDANCEFS_APP_KEY_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/secret.h"

#include <stddef.h>
#include <sys/types.h>

/* The content of a key file before it is parsed. The owner must wipe it. */
struct key_text {
    int result;  /* of reading: 0 or -errno */
    mode_t mode; /* of the file */
    size_t len;
    char bytes[8192];
};

/* Reads the file, and nothing else, because another process calls it, too. */
void key_text_read(const char *path, struct key_text *out);

/* The key in the text, or -errno. Writes to the log what is wrong. */
int key_text_take(const char *path, const struct key_text *text, struct secret *out) NODISCARD;

/* Reads the key. Wipes the environment variable in any case, so that neither /proc/PID/environ nor
 * a child has it; a second call then returns -ENOENT. Says on standard error and in the log what is
 * wrong. -ENOENT: there is no key at all. */
int key_read(const char *key_file, struct secret *out) NODISCARD;

#endif
