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

/* The content of a key file before it is parsed. The owner has to wipe it. */
struct key_text {
    int result;  /* of reading: 0 or -errno */
    mode_t mode; /* of the file */
    size_t len;
    char bytes[8192];
};

/* Reads the file, and nothing else: it is called in another process, too. */
void key_text_read(const char *path, struct key_text *out);

/* The key in it, or -errno. Writes to the log what is wrong. */
int key_text_take(const char *path, const struct key_text *text, struct secret *out) NODISCARD;

/* Reads the key. The environment variable is wiped in any case, so that neither /proc/PID/environ
 * nor a child has it; reading it again then returns -ENOENT. Says on standard error and in the log
 * what is wrong. -ENOENT: there is none at all. */
int key_read(const char *key_file, struct secret *out) NODISCARD;

#endif
