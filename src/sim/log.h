/*
 * log: one JSON line per request, the oracle of the tests.
 *
 * What: log_request() writes before any byte of the response is sent, log_sent() when a media
 * response has ended. A line is one write(2) to an O_APPEND file.
 * Lifetime: none.
 * Errors: if the log cannot be written, the program ends.
 */
#ifndef SIM_LOG_H
#define SIM_LOG_H

#include "sim/sim.h"

/* Both need the simulator's lock. log_request() gives the request its sequence number. */
void log_request(struct request *q);
void log_sent(struct request *q);
/* Logs that a rule of kind connection fired. */
void log_connection(struct sim *sim, enum port_kind port, uint64_t number, size_t rule);
const char *kind_name(enum kind kind);
size_t kind_index(enum kind kind);

#endif
