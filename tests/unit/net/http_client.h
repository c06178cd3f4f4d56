/* What: one transfer and its result, for the tests of net/http. */
#ifndef SEEDANCEFS_TESTS_HTTP_CLIENT_H
#define SEEDANCEFS_TESTS_HTTP_CLIENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "raw_server.h"

#include "seedancefs/base/buf.h"
#include "seedancefs/base/clock.h"
#include "seedancefs/base/err.h"
#include "seedancefs/net/http.h"

#include <stdio.h>
#include <string.h>

enum client_event { ON_NOTHING, ON_SEND, ON_HEADERS, ON_BODY, ON_DONE };

struct client {
    struct loop *loop;
    struct http *http;
    struct http_transfer *transfer;
    struct http_request request;
    char url[256];
    struct buf body;
    struct http_response response;
    int result;
    int sends, heads, bodies, dones;
    enum client_event cancel_on;
    struct http_transfer **victim; /* transfer that cancel_on cancels; NULL: its own */
    enum client_event fail_on;
    size_t pause_at; /* pause after this many body bytes; 0: never */
};

static inline int client_event(struct client *client, enum client_event event)
{
    if (client->cancel_on == event)
        http_cancel(client->victim ? *client->victim : client->transfer);
    return client->fail_on == event ? -ENOSPC : 0;
}

static inline int client_on_send(void *context)
{
    struct client *client = context;
    client->sends++;
    return client_event(client, ON_SEND);
}

static inline int client_on_headers(void *context, const struct http_response *response)
{
    struct client *client = context;
    client->heads++;
    client->response = *response;
    return client_event(client, ON_HEADERS);
}

static inline int client_on_body(void *context, const void *bytes, size_t len)
{
    struct client *client = context;
    client->bodies++;
    int r = buf_add(&client->body, bytes, len);
    if (client->pause_at > 0 && client->body.len >= client->pause_at)
        http_pause(client->transfer, true);
    int event = client_event(client, ON_BODY);
    return r < 0 ? r : event;
}

static inline void client_on_done(void *context, int result, const struct http_response *response)
{
    struct client *client = context;
    client->dones++;
    client->transfer = NULL; /* freed after this: must not be cancelled */
    client->result = result;
    client->response = *response;
}

static inline void client_request_init(struct client *client, int port)
{
    (void)snprintf(client->url, sizeof(client->url), "http://127.0.0.1:%d/videos/generations",
                   port);
    buf_init(&client->body, 64 << 20);
    client->request = (struct http_request){
        .url = client->url,
        .range_first = -1,
        .range_last = -1,
        .connect_ms = 5000,
        .stall_ms = 5000,
        .total_ms = 10000,
        .body_limit = 1 << 20,
        .is_private_address_allowed = true,
        .context = client,
        .on_send = client_on_send,
        .on_headers = client_on_headers,
        .on_body = client_on_body,
        .on_done = client_on_done,
    };
}

static inline void client_init(struct client *client, int port)
{
    memset(client, 0, sizeof(*client));
    assert_int_equal(loop_new(clock_system(), &client->loop), 0);
    assert_int_equal(http_new(client->loop, &client->http), 0);
    client_request_init(client, port);
}

static inline void client_fini(struct client *client)
{
    http_free(client->http);
    loop_free(client->loop);
    buf_fini(&client->body);
}

/* Runs the loop for that long, or until `dones` transfers of the client have ended. */
static inline void client_run_loop(struct client *client, int dones, int64_t ms)
{
    int64_t until_ms = clock_monotonic_ms(clock_system()) + ms;
    int64_t left_ms = ms;
    while (client->dones < dones && left_ms > 0) {
        assert_int_equal(loop_run_once(client->loop, left_ms), 0);
        left_ms = until_ms - clock_monotonic_ms(clock_system());
    }
}

static inline void client_start(struct client *client)
{
    int dones = client->dones;
    assert_int_equal(http_start(client->http, &client->request, &client->transfer), 0);
    assert_int_equal(client->dones, dones);
}

/* Starts the request and waits for its end. */
static inline int client_run(struct client *client)
{
    int dones = client->dones + 1;
    assert_int_equal(http_start(client->http, &client->request, &client->transfer), 0);
    client_run_loop(client, dones, 15000);
    assert_int_equal(client->dones, dones);
    return client->result;
}

#endif
