/*
 * What: reports the state of the program to the service manager, by the protocol of sd_notify(3):
 * one datagram per message to the socket that $NOTIFY_SOCKET names. It is written here because
 * libsystemd would be linked only for this, and would bring three compression libraries and a
 * cryptographic one into a program that holds a key.
 * Errors: none. Without such a socket nothing happens, and a message that cannot be sent is lost.
 */
#ifndef SEEDANCEFS_APP_NOTIFY_H
#define SEEDANCEFS_APP_NOTIFY_H

#include "seedancefs/base/attributes.h"

/* Removes $NOTIFY_SOCKET from the environment, so that no child can send in this program's name. */
void notify_init(void);

/* Sends assignments, one per line: "READY=1\nSTATUS=..." */
void notify_send(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
