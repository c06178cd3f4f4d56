/*
 * wire: responses written by hand, which no HTTP library would send.
 *
 * What: writes a response with its faults directly to the socket, at a given rate, and ends the
 * connection as the fault demands: reset, orderly close or silence.
 * Lifetime: borrows everything. The descriptor stays open; the HTTP library closes it.
 * Errors: the writing ends when the peer is gone; *sent tells how many body bytes were sent.
 */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include "sim/response.h"
#include "sim/scenario.h"

/* Sends bytes at a steady rate. rate 0: no limit. */
struct pacer {
    uint64_t rate;
    int64_t started_us;
    uint64_t passed;
};

void pacer_init(struct pacer *pacer, uint64_t rate);
/* Waits until the next bytes are due and returns how many, 1 to want. */
size_t pacer_take(struct pacer *pacer, size_t want);

/* Whether only the functions below can send this. change may be NULL. */
bool wire_is_needed(const struct response *response, const struct change *change);
void wire_response(int fd, const struct response *response, const struct change *change,
                   struct pacer *pacer, uint64_t *sent);
/* Sends change->raw and ends the connection. */
void wire_raw(int fd, const struct change *change, struct pacer *pacer);
/* Executes a fault, and sends no further byte. FAULT_NONE: an orderly close. */
void wire_end(int fd, enum fault fault);
/* Returns false when the peer has gone meanwhile. */
bool wire_wait(int fd, int64_t ms);

#endif
