/*
 * A fake of the http layer (net/http.h). A transfer connects or does not; its request arrives or
 * is lost; its response comes complete, in part, late or never. Requests and responses under way
 * go on when the program is dead. The api layer above is the real one, so its callbacks come in
 * the real order.
 */
#include "disk.h"
#include "world.h"

#include "seedancefs/base/err.h"
#include "seedancefs/net/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct http {
    unsigned transfers[2]; /* polls, creates */
};

struct flight;

struct http_transfer {
    struct http_request request;
    char *task_id; /* NULL: a create */
    struct http_response response;
    struct timer timer; /* connect, then the deadline */
    struct flight *flight;
    struct attempt *attempt;
    enum meaning meaning;
};

/* A request that was sent, and its response. */
struct flight {
    struct http_transfer *transfer; /* NULL: nobody waits for it */
    struct timer timer;
    struct attempt *attempt;
    char *body;
    char *task_id;
    struct reply reply;
    size_t body_len; /* how many bytes of the response come */
    int result;
    struct flight *next;
    struct flight *prev;
};

static struct http network;
static struct flight *flights;

struct http *network_new(void)
{
    return &network;
}

static void flight_free(struct flight *flight)
{
    timer_cancel(&world.events, &flight->timer);
    if (flight->transfer)
        flight->transfer->flight = NULL;
    DL_DELETE(flights, flight);
    free(flight->body);
    free(flight->task_id);
    free(flight);
}

void network_free(void)
{
    while (flights)
        flight_free(flights);
}

unsigned network_transfers(bool is_create)
{
    return network.transfers[is_create];
}

static void transfer_free(struct http_transfer *transfer)
{
    network.transfers[transfer->task_id == NULL]--;
    timer_cancel(&world.events, &transfer->timer);
    if (transfer->flight)
        transfer->flight->transfer = NULL;
    free(transfer->task_id);
    free(transfer);
}

void http_cancel(struct http_transfer *transfer)
{
    transfer_free(transfer);
}

static void transfer_end(struct http_transfer *transfer, int result)
{
    struct attempt *attempt = transfer->attempt;
    int64_t job_id = attempt ? attempt->job_id : 0;
    enum meaning meaning = transfer->meaning;
    timer_cancel(&world.events, &transfer->timer);
    if (attempt && !disk_is_dead())
        oracle_answering(attempt, meaning);
    transfer->request.on_done(transfer->request.context, result, &transfer->response);
    transfer_free(transfer);
    if (attempt && !disk_is_dead())
        oracle_answered(job_id, attempt, meaning);
}

static void transfer_deadline(void *context)
{
    struct http_transfer *transfer = context;
    transfer_end(transfer, world_chance(500) ? -ERR_HTTP_DEADLINE : -ERR_HTTP_STALLED);
    world_event_end();
}

/* Delivers the response, in pieces. */
static void transfer_answered(struct http_transfer *transfer, const struct flight *flight)
{
    const struct reply *reply = &flight->reply;
    int result = flight->result;
    size_t half = flight->body_len / 2;
    transfer->response.status = reply->http_status;
    (void)snprintf(transfer->response.retry_after, sizeof(transfer->response.retry_after), "%s",
                   reply->retry_after);
    transfer->response.content_length = (int64_t)strlen(reply->body);
    transfer->response.body_bytes = (int64_t)flight->body_len;
    transfer->meaning = result < 0 ? MEANS_NOT_KNOWN : reply->meaning;
    const struct http_request *request = &transfer->request;
    if (half > 0 && request->on_body(request->context, reply->body, half) < 0)
        abort();
    if (flight->body_len > half &&
        request->on_body(request->context, reply->body + half, flight->body_len - half) < 0)
        abort();
    transfer_end(transfer, result);
}

static void flight_back(void *context)
{
    struct flight *flight = context;
    struct http_transfer *transfer = flight->transfer;
    if (transfer) {
        transfer->flight = NULL;
        flight->transfer = NULL;
        transfer_answered(transfer, flight);
    }
    flight_free(flight);
    world_event_end();
}

static int64_t latency_ms(void)
{
    if (world_goes_wrong(world.mixture.slow))
        return 1000 + (int64_t)world_pick(70 * 1000);
    return 5 + (int64_t)world_pick(800);
}

/* Breaks the connection: the waiting side gets an error at once, or no sign, so that only the
 * deadline ends the wait. */
static void flight_lost(struct flight *flight)
{
    if (flight->transfer && world_chance(500)) {
        struct http_transfer *transfer = flight->transfer;
        flight_free(flight);
        transfer_end(transfer, -ERR_HTTP_BROKEN);
        return;
    }
    flight_free(flight);
}

static void flight_arrived(void *context)
{
    struct flight *flight = context;
    const struct mixture *m = &world.mixture;
    if (world_goes_wrong(m->lost_out)) {
        world_say("network: a %s is lost on its way", flight->attempt ? "create" : "poll");
        flight_lost(flight);
        world_event_end();
        return;
    }
    if (flight->attempt)
        service_create(flight->attempt, flight->body, &flight->reply);
    else
        service_ask(flight->task_id, &flight->reply);
    flight->body_len = strlen(flight->reply.body);
    if (world_goes_wrong(m->lost_back)) {
        figure_add(FIGURE_ANSWERS_LOST);
        world_say("network: the response to a %s is lost", flight->attempt ? "create" : "poll");
        if (world_chance(700)) {
            flight_lost(flight);
            world_event_end();
            return;
        }
        /* Only a part of it comes. */
        flight->body_len = world_pick((unsigned)flight->body_len + 1);
        flight->result = -ERR_HTTP_BROKEN;
    }
    world_timer_set(&flight->timer, latency_ms(), flight_back, flight);
    world_event_end();
}

static void flight_start(struct http_transfer *transfer)
{
    struct flight *flight = calloc(1, sizeof(*flight));
    if (!flight)
        abort();
    flight->transfer = transfer;
    flight->attempt = transfer->attempt;
    if (transfer->attempt)
        flight->body = strndup(transfer->request.body, transfer->request.body_len);
    else
        flight->task_id = strdup(transfer->task_id);
    transfer->flight = flight;
    DL_APPEND(flights, flight);
    world_timer_set(&flight->timer, latency_ms(), flight_arrived, flight);
    world_timer_set(&transfer->timer, transfer->request.total_ms, transfer_deadline, transfer);
}

static void transfer_connected(void *context)
{
    struct http_transfer *transfer = context;
    static const int failures[] = {-ERR_HTTP_CONNECT, -ERR_HTTP_TLS, -ERR_HTTP_DEADLINE,
                                   -ERR_URL_REFUSED, -ERR_HTTP_BROKEN};
    if (!service_is_reachable() || world_goes_wrong(world.mixture.connect_fails)) {
        transfer_end(transfer, failures[world_pick(ARRAY_COUNT(failures))]);
        world_event_end();
        return;
    }
    int r = transfer->request.on_send(transfer->request.context);
    if (disk_is_dead()) {
        world_event_end(); /* the program died before a byte was written */
        return;
    }
    if (r < 0) {
        transfer_end(transfer, r);
    } else {
        transfer->response.is_sent = true;
        transfer->meaning = MEANS_NOT_KNOWN;
        flight_start(transfer);
    }
    world_event_end();
}

/* The attempt whose create the job layer has just begun; the next request is for it. */
static struct attempt *attempt_starting;

void network_attempt_set(struct attempt *attempt)
{
    attempt_starting = attempt;
}

int http_start(struct http *http, const struct http_request *request, struct http_transfer **out)
{
    bool is_create = request->method == HTTP_POST;
    struct http_transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        return -ENOMEM;
    transfer->request = *request;
    transfer->request.url = NULL;
    transfer->response.content_length = -1;
    transfer->meaning = MEANS_UNSENT;
    if (is_create)
        transfer->attempt = attempt_starting;
    else
        transfer->task_id = strdup(strrchr(request->url, '/') + 1);
    if (is_create && (!request->is_single_attempt || !attempt_starting))
        world_fail("a create that is not sent once");
    http->transfers[is_create]++;
    world_timer_set(&transfer->timer, (int64_t)world_pick(300), transfer_connected, transfer);
    *out = transfer;
    return 0;
}
