/*
 * What: tells the service manager how the program is doing: sd_notify(3)'s protocol, one datagram
 * per message to the socket that $NOTIFY_SOCKET names. Written here, because it is all that
 * libsystemd would be linked for, and that brings three compressors and a cryptographic library
 * into a program that holds a key.
 * Errors: none; without such a socket nothing happens, and a message that cannot be sent is lost.
 */
#ifndef SEEDANCEFS_APP_NOTIFY_H
#define SEEDANCEFS_APP_NOTIFY_H

#include "seedancefs/base/attributes.h"

/* Takes $NOTIFY_SOCKET out of the environment, so that no child speaks in this program's name. */
void notify_init(void);

/* Sends assignments, one a line: "READY=1\nSTATUS=..." */
void notify_send(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
