/*
 * wire: responses written by hand, for what an HTTP library will not send.
 *
 * What:     writes a response with its faults straight to the socket, at a pace, and ends the
 *           connection as the fault asks: reset, orderly close or silence.
 * Lifetime: borrows everything. The descriptor stays open; the HTTP library closes it.
 * Errors:   a peer that went away ends the writing; *sent tells how many body bytes left.
 */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include "sim/response.h"
#include "sim/scenario.h"

/* Bytes at a steady rate. rate 0: no limit. */
struct pacer {
    uint64_t rate;
    int64_t started_us;
    uint64_t passed;
};

void pacer_init(struct pacer *pacer, uint64_t rate);
/* Waits until the next bytes are due and says how many, 1 to want. */
size_t pacer_take(struct pacer *pacer, size_t want);

/* Can only the functions below send this? change may be NULL. */
bool wire_is_needed(const struct response *response, const struct change *change);
void wire_response(int fd, const struct response *response, const struct change *change,
                   struct pacer *pacer, uint64_t *sent);
/* Sends change->raw and ends the connection. */
void wire_raw(int fd, const struct change *change, struct pacer *pacer);
/* Does a fault, without another byte. FAULT_NONE: an orderly close. */
void wire_end(int fd, enum fault fault);
/* False: the peer went away meanwhile. */
bool wire_wait(int fd, int64_t ms);

#endif
