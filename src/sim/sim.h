/*
 * sim: the simulator and one request to it.
 *
 * What: the shared state under one lock, and what a thread knows about the request it serves. The
 * steps of a request: begin (header read) → parse (create only, no lock) → decide (locked: rule,
 * task, log line) → response (no lock) → change (what the rule wants) → deliver. A request to the
 * object store has steps of its own there, see s3.h.
 * Lifetime: struct sim lives as long as the program; a request from its first line to the end of
 * its response. Tasks are never freed, so a request may keep a pointer.
 * Errors: if a log or data file cannot be written, the program ends: an oracle must not lie.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "sim/input.h"
#include "sim/object.h"
#include "sim/options.h"
#include "sim/response.h"
#include "sim/scenario.h"
#include "sim/task.h"
#include "sim/wire.h"

#include <microhttpd.h>
#include <pthread.h>

#define API_GENERATIONS "/api/v1/videos/generations"

enum { REQUEST_BODY_MAX = 80 << 20, CONNECTIONS_MAX = 2000, KIND_COUNT = 10 };

struct s3_call; /* s3.h */

struct sim {
    struct options options;
    unsigned api_port;
    unsigned media_port;
    int log_fd; /* -1: no log */
    pthread_mutex_t lock;
    /* Everything below needs the lock. */
    struct task_table tasks;
    struct object_table objects;
    struct scenario *scenario;
    uint64_t sequence;
    uint64_t url_nonce;
    uint64_t counts[KIND_COUNT]; /* by bit of enum kind */
};

struct request {
    struct sim *sim;
    enum port_kind port;
    struct MHD_Connection *connection;
    int fd;
    uint64_t connection_number;

    char *uri; /* as received, with query */
    char *method;
    char *path;
    char *range; /* NULL: none */
    char *if_range;
    char *task_id;
    char *headers_json; /* --log-headers */
    enum kind kind;
    bool is_oracle;
    struct s3_call *s3; /* NULL: not for the object store */
    bool is_begun;
    bool is_logged;
    bool is_aborted; /* the client closed before its request was complete */
    bool has_authorization;
    bool is_authorized;
    bool is_too_long;
    struct buf body;

    bool is_parsed; /* create_request is set */
    struct create_request create_request;
    struct inputs inputs; /* of a create, also of one that is refused */
    struct response response;

    struct scenario *scenario; /* a reference */
    const struct rule *rule;   /* NULL: none */
    const struct change *change;
    struct task *task;
    struct task *created;
    uint64_t sequence;
    uint64_t url_nonce;
    uint64_t sent;
    struct pacer pacer;
};

/* Replaces the scenario; on an error the old one stays. Returns NULL, or the
 * problem (caller frees). */
char *sim_set_scenario(struct sim *sim, const char *json);
char *sim_load_scenario(struct sim *sim, const char *path);

/* request.c: from the first line to the response that is delivered. */
struct request *request_new(struct sim *sim, enum port_kind port, const char *uri);
void request_free(struct request *q);
/* Called when the header is known. Returns true when a rule ends the request here. */
bool request_begin(struct request *q);
/* Called when the body is known: chooses the rule, makes the task, writes the log,
 * builds the response. */
void request_decide(struct request *q);

/* server.c: both ports, each with a thread that accepts. Ends the program if a port is in use. */
void server_start(struct sim *sim);

/* api.c: parse needs no lock, create needs it, respond needs none. */
void api_parse(struct request *q);
void api_create(struct request *q);
void api_response(struct request *q);
void api_change_json(struct request *q);
/* media.c */
void media_response(struct request *q);
/* oracle.c: requests of the tests themselves, neither counted nor logged. */
void oracle_response(struct request *q);

/* "http://127.0.0.1:PORT/media/ID.mp4?…"; extension "mp4" or "jpg". The caller frees it. */
char *request_media_url(const struct request *q, const char *extension);
/* Replaces {{api_port}}, {{media_port}} and {{video_path}}, the task's signed path and query. */
char *request_expand(const struct request *q, const char *text);

#endif
