/*
 * The two ports. We accept connections ourselves and hand the sockets to libmicrohttpd. It parses,
 * keeps connections alive and writes all well-formed responses, with a thread per connection; so a
 * handler may sleep. A handler that wrote its own bytes returns MHD_NO; then the library closes the
 * connection without a byte of its own.
 */
#include "sim/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DESCRIPTORS_MAX = 8192,
    FAULTY_CONNECTIONS_MAX = 500,
    STACK_BYTES = 512 << 10,
    HEADER_BYTES_MAX = 128 << 10,
    BLOCK_BYTES = 256 << 10,
};

struct listener {
    struct sim *sim;
    enum port_kind port;
    int fd;
    struct MHD_Daemon *daemon;
};

struct faulty_connection {
    struct listener *listener;
    int fd;
    struct scenario *scenario;
    const struct change *change;
};

static struct listener listeners[2];
static atomic_uint_fast64_t connection_count;
static atomic_uint_fast64_t connection_numbers[DESCRIPTORS_MAX]; /* by descriptor */
static atomic_int faulty_connections;

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
    const struct listener *listener = cls;
    struct request *q = request_new(listener->sim, listener->port, uri);
    q->connection = connection;
    q->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    if (q->fd < DESCRIPTORS_MAX)
        q->connection_number = atomic_load(&connection_numbers[q->fd]);
    return q;
}

static void on_completed(void *cls UNUSED, struct MHD_Connection *connection UNUSED, void **request,
                         enum MHD_RequestTerminationCode how UNUSED)
{
    request_free(*request);
    *request = NULL;
}

static ssize_t read_body(void *cls, uint64_t at, char *buf, size_t max)
{
    struct request *q = cls;
    uint64_t left = q->response.body.size - at;
    size_t n = pacer_take(&q->pacer, left < max ? (size_t)left : max);
    body_read(&q->response.body, at, (unsigned char *)buf, n);
    q->sent += n;
    return (ssize_t)n;
}

static enum MHD_Result send_by_library(struct request *q)
{
    const struct response *a = &q->response;
    static char nothing[1];
    struct MHD_Response *response =
        a->body.size > 0
            ? MHD_create_response_from_callback(a->body.size, BLOCK_BYTES, read_body, q, NULL)
            : MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    for (size_t i = 0; i < a->header_count; i++)
        (void)MHD_add_response_header(response, a->headers[i].name, a->headers[i].value);
    enum MHD_Result r = MHD_queue_response(q->connection, (unsigned)a->status, response);
    MHD_destroy_response(response);
    return r;
}

static enum MHD_Result deliver(struct request *q)
{
    const struct options *options = &q->sim->options;
    const struct change *change = q->change;
    uint64_t rate = q->port == PORT_MEDIA ? options->rate : 0;
    int64_t delay_ms = q->is_oracle ? 0 : (int64_t)options->latency_ms;
    if (change != NULL) {
        rate = change->rate > 0 ? (uint64_t)change->rate : rate;
        delay_ms += change->delay_ms;
    }
    if (delay_ms > 0 && !wire_wait(q->fd, delay_ms))
        return MHD_NO;
    pacer_init(&q->pacer, rate);
    if (change != NULL && change->fault != FAULT_NONE && change->stage < STAGE_HEADERS)
        wire_end(q->fd, change->fault);
    else if (change != NULL && (change->raw[0].data != NULL || change->raw[1].data != NULL))
        wire_raw(q->fd, change, &q->pacer);
    else if (wire_is_needed(&q->response, change))
        wire_response(q->fd, &q->response, change, &q->pacer, &q->sent);
    else
        return send_by_library(q);
    return MHD_NO;
}

static void collect_body(struct request *q, const char *data, size_t len)
{
    size_t max = q->kind == KIND_OBJECT_PUT ? OBJECT_BYTES_MAX : REQUEST_BODY_MAX;
    if (q->body.len + len > max) {
        q->is_too_long = true;
        buf_fini(&q->body);
    }
    if (!q->is_too_long)
        (void)buf_add(&q->body, data, len);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **request)
{
    (void)cls;
    (void)connection;
    (void)version;
    struct request *q = *request;
    if (!q->is_begun) {
        q->method = mem_strdup(method);
        q->path = mem_strdup(url);
        return request_begin(q) ? deliver(q) : MHD_YES;
    }
    if (*data_len > 0) {
        collect_body(q, data, *data_len);
        *data_len = 0;
        return MHD_YES;
    }
    request_decide(q);
    return deliver(q);
}

static void *faulty_connection_main(void *cls)
{
    struct faulty_connection *c = cls;
    const struct change *change = c->change;
    struct sim *sim = c->listener->sim;
    struct pacer pacer;
    bool is_there = wire_wait(c->fd, change->delay_ms);
    pacer_init(&pacer, (uint64_t)change->rate);
    bool is_raw = change->raw[0].data != NULL || change->raw[1].data != NULL;
    if (is_there && is_raw)
        wire_raw(c->fd, change, &pacer);
    else if (is_there && change->fault != FAULT_NONE)
        wire_end(c->fd, change->fault);
    if (is_there && !is_raw && change->fault == FAULT_NONE)
        (void)MHD_add_connection(c->listener->daemon, c->fd, NULL, 0);
    else
        close(c->fd);
    pthread_mutex_lock(&sim->lock);
    scenario_unref(c->scenario);
    pthread_mutex_unlock(&sim->lock);
    free(c);
    atomic_fetch_sub(&faulty_connections, 1);
    return NULL;
}

/* Returns true when a rule has taken the connection. */
static bool connection_is_faulty(struct listener *listener, int fd, uint64_t number)
{
    struct sim *sim = listener->sim;
    struct subject subject = {.kind = KIND_CONNECTION, .port = listener->port};
    struct scenario *scenario = NULL;
    pthread_mutex_lock(&sim->lock);
    sim->counts[kind_index(KIND_CONNECTION)]++;
    const struct rule *rule = scenario_match(sim->scenario, &subject, false);
    if (rule != NULL) {
        scenario = scenario_ref(sim->scenario);
        log_connection(sim, listener->port, number, (size_t)(rule - scenario->rules));
    }
    pthread_mutex_unlock(&sim->lock);
    if (rule == NULL)
        return false;
    struct faulty_connection *c = mem_alloc(sizeof(*c));
    *c = (struct faulty_connection){listener, fd, scenario, &rule->change};
    pthread_t thread;
    if (atomic_fetch_add(&faulty_connections, 1) >= FAULTY_CONNECTIONS_MAX ||
        pthread_create(&thread, NULL, faulty_connection_main, c) != 0)
        sim_die("too many faulty connections", EAGAIN);
    pthread_detach(thread);
    return true;
}

static void *accept_main(void *cls)
{
    struct listener *listener = cls;
    for (;;) {
        struct sockaddr_in peer;
        socklen_t len = sizeof(peer);
        int fd =
            accept4(listener->fd, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE)
                clock_sleep_us(10000);
            continue;
        }
        uint64_t number = atomic_fetch_add(&connection_count, 1) + 1;
        if (fd >= DESCRIPTORS_MAX) {
            close(fd);
            continue;
        }
        atomic_store(&connection_numbers[fd], number);
        if (!connection_is_faulty(listener, fd, number))
            (void)MHD_add_connection(listener->daemon, fd, (struct sockaddr *)&peer, len);
    }
    return NULL;
}

static unsigned listen_on(struct listener *listener, uint64_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof(address);
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener->fd < 0 ||
        setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(listener->fd, (struct sockaddr *)&address, len) != 0 ||
        listen(listener->fd, 1024) != 0 ||
        getsockname(listener->fd, (struct sockaddr *)&address, &len) != 0)
        sim_die("cannot listen", errno);
    return ntohs(address.sin_port);
}

static void start_listener(struct listener *listener)
{
    listener->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
            MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC,
        0, NULL, NULL, on_request, listener, MHD_OPTION_URI_LOG_CALLBACK, on_uri, listener,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, listener, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES_MAX,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES, MHD_OPTION_END);
    if (listener->daemon == NULL)
        sim_die("cannot start the HTTP server", errno);
}

void server_start(struct sim *sim)
{
    listeners[0] = (struct listener){.sim = sim, .port = PORT_API};
    listeners[1] = (struct listener){.sim = sim, .port = PORT_MEDIA};
    sim->api_port = listen_on(&listeners[0], sim->options.port);
    sim->media_port = listen_on(&listeners[1], sim->options.media_port);
    for (size_t i = 0; i < ARRAY_COUNT(listeners); i++) {
        pthread_t thread;
        start_listener(&listeners[i]);
        int r = pthread_create(&thread, NULL, accept_main, &listeners[i]);
        if (r != 0)
            sim_die("cannot start a thread", r);
        pthread_detach(thread);
    }
}
