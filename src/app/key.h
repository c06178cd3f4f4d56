/*
 * What: where the API key comes from: --api-key-file, else $TOKENHUB_API_KEY, else the credential
 * tokenhub-api-key of systemd (systemd.exec(5), LoadCredential). Never an argument.
 */
#ifndef SEEDANCEFS_APP_KEY_H
#define SEEDANCEFS_APP_KEY_H

#include "file_reader.h"

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/secret.h"

#include <stdbool.h>

/* The key in the text, or -errno. Writes to the log what is wrong. */
int key_text_take(const char *path, const struct file_text *text, struct secret *out) NODISCARD;

/* Reads the key. Wipes the environment variable in any case, so that neither /proc/PID/environ nor
 * a child has it; a second call then returns -ENOENT. Says on standard error and in the log what is
 * wrong. -ENOENT: there is no key at all. */
int key_read(const char *key_file, struct secret *out) NODISCARD;

/* Takes a secret out of an environment variable, and wipes that in any case: see key_read(). -ENOENT: it
 * is not set. -EINVAL: it is no secret, see secret_init(). -ENOMEM. */
int secret_variable_take(const char *name, struct secret *out) NODISCARD;

/* Others can read the file that this came from. */
bool file_text_is_exposed(const struct file_text *text);

#endif
