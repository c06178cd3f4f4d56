/*
 * What: where the API key comes from: --api-key-file, else $TOKENHUB_API_KEY, else the credential
 * tokenhub-api-key of systemd (systemd.exec(5), LoadCredential). Never an argument.
 */
#ifndef SEEDANCEFS_APP_KEY_H
#define SEEDANCEFS_APP_KEY_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/secret.h"

/* Reads the key. Taken from the environment it is wiped there, so that neither /proc/PID/environ
 * nor a child has it; reading it again then keeps the old one (-ENODATA). Says on standard error
 * and in the log what is wrong. -ENOENT: there is none at all. */
int key_read(const char *key_file, struct secret *out) NODISCARD;

#endif
