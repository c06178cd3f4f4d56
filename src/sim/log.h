/*
 * log: one JSON line per request, the oracle of the tests.
 *
 * What: log_request() writes before any byte of the response is sent, log_sent() when a media
 * response has ended. A line is one write(2) to an O_APPEND file.
 * The line of a create has "inputs", an object for each image, video and audio in the order of the
 * body, also if the request is refused; it is empty for a body that was not read as JSON:
 *   field          image_url, image_urls[0], content[1]
 *   kind           image video audio
 *   role           of content, if it has one
 *   form           data; own: a signed media URL of this simulator; fetched: from a server on this
 *                  machine; address: taken unseen, or the request was refused before it was fetched
 *   task           own: the task whose video or cover it is
 *   bytes hash     data and fetched: size, and checksum_64() in hex of the bytes themselves
 *   width height   data and fetched, of a PNG or JPEG
 * The line of a request to the object store has:
 *   key            of the object; null: the bucket
 *   status         what the response will say; null: it is not even begun, or `raw`
 *   signature      good, or why not: see s3_verdict_name(). `authorized` is true if it is good
 *   conditional    it has If-None-Match
 *   bytes          of the request's body, as far as it was received
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
