/*
 * What: a server on raw sockets for the tests of net/ and api/. It sends exactly the bytes it is
 * given, however wrong they are as HTTP, and counts what it received. One thread per connection.
 * The n-th request, over all connections, gets the n-th response; the last response is repeated. A
 * test that needs more than a table, like that of media/, sets a function instead.
 */
#ifndef SEEDANCEFS_TESTS_RAW_SERVER_H
#define SEEDANCEFS_TESTS_RAW_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum raw_then {
    RAW_CLOSE,
    RAW_KEEP, /* wait for another request on the same connection */
    RAW_HANG, /* send nothing more until the client closes */
    RAW_RESET,
    RAW_TRICKLE,      /* send the bytes one by one, 20 ms apart, then close */
    RAW_RESET_UNREAD, /* reset before a byte of the request was read; no response */
};

struct raw_response {
    const char *bytes;
    size_t len; /* 0: strlen(bytes) */
    enum raw_then then;
};

/* Replies to a request on a connection with raw_send(). Returning false ends the connection. */
typedef bool raw_respond_fn(void *context, int fd, const char *request);

enum { RAW_CONNECTIONS = 4096 };

struct raw_server {
    struct raw_response *responses; /* a copy: threads use it until raw_server_stop() */
    int response_count;
    raw_respond_fn *respond; /* instead of the table */
    void *context;
    int listen_fd;
    int port;
    pthread_t acceptor;
    pthread_t threads[RAW_CONNECTIONS];
    _Atomic int fds[RAW_CONNECTIONS];
    _Atomic int connections;
    _Atomic int requests;
    char last_request[70000]; /* complete before the response begins */
    size_t last_request_len;
};

struct raw_connection {
    struct raw_server *server;
    int fd;
};

/* Reads one request with its body. Returns its length, 0 at the end of the connection. */
static inline size_t raw_read_request(int fd, char *out, size_t size)
{
    size_t len = 0;
    size_t need = 0;
    while (len < size - 1 && (need == 0 || len < need)) {
        ssize_t n = recv(fd, out + len, size - 1 - len, 0);
        if (n <= 0)
            return 0;
        len += (size_t)n;
        out[len] = '\0';
        const char *end = strstr(out, "\r\n\r\n");
        if (end && need == 0) {
            const char *length = strcasestr(out, "\r\nContent-Length:");
            need = (size_t)(end - out) + 4;
            if (length && length < end)
                need += (size_t)strtoul(length + 17, NULL, 10);
        }
    }
    return len;
}

static inline void raw_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

/* Returns false when the client has gone. */
static inline bool raw_send(int fd, const void *bytes, size_t len, size_t step)
{
    for (size_t at = 0; at < len;) {
        size_t most = len - at < step ? len - at : step;
        ssize_t n = send(fd, (const char *)bytes + at, most, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += (size_t)n;
        if (step == 1)
            usleep(20000);
    }
    return true;
}

/* Sends nothing more until the client closes. */
static inline void raw_hang(int fd)
{
    char byte;
    while (recv(fd, &byte, 1, 0) > 0)
        continue;
}

/* The response to the n-th request. */
static inline const struct raw_response *raw_pick(const struct raw_server *server, int n)
{
    int last = server->response_count - 1;
    return &server->responses[n < last ? n : last];
}

static inline bool raw_respond(struct raw_server *server, int fd, int n)
{
    const struct raw_response *response = raw_pick(server, n);
    size_t len = response->len ? response->len : strlen(response->bytes);
    (void)raw_send(fd, response->bytes, len, response->then == RAW_TRICKLE ? 1 : 65536);
    if (response->then == RAW_HANG)
        raw_hang(fd);
    if (response->then == RAW_RESET)
        raw_reset(fd);
    return response->then == RAW_KEEP;
}

static inline void *raw_serve(void *argument)
{
    struct raw_connection connection = *(struct raw_connection *)argument;
    struct raw_server *server = connection.server;
    char *request = malloc(sizeof(server->last_request));
    free(argument);
    if (server->respond)
        (void)setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    for (bool is_open = true; is_open;) {
        if (!server->respond &&
            raw_pick(server, atomic_load(&server->requests))->then == RAW_RESET_UNREAD) {
            raw_reset(connection.fd);
            break;
        }
        size_t len = raw_read_request(connection.fd, request, sizeof(server->last_request));
        if (len == 0)
            break;
        int n = atomic_fetch_add(&server->requests, 1);
        if (server->respond) {
            is_open = server->respond(server->context, connection.fd, request);
            continue;
        }
        memcpy(server->last_request, request, len + 1);
        server->last_request_len = len;
        is_open = raw_respond(server, connection.fd, n);
    }
    free(request);
    for (int i = 0; i < RAW_CONNECTIONS; i++) {
        int expected = connection.fd;
        atomic_compare_exchange_strong(&server->fds[i], &expected, -1);
    }
    (void)close(connection.fd);
    return NULL;
}

static inline void *raw_accept(void *argument)
{
    struct raw_server *server = argument;
    for (;;) {
        int fd = accept(server->listen_fd, NULL, NULL);
        int n = atomic_load(&server->connections);
        if (fd < 0 || n >= RAW_CONNECTIONS) {
            if (fd >= 0)
                (void)close(fd);
            return NULL;
        }
        struct raw_connection *connection = malloc(sizeof(*connection));
        *connection = (struct raw_connection){server, fd};
        atomic_store(&server->fds[n], fd);
        atomic_store(&server->connections, n + 1);
        (void)pthread_create(&server->threads[n], NULL, raw_serve, connection);
    }
}

/* Listens; `server` holds the responses. */
static inline void raw_server_listen(struct raw_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    for (int i = 0; i < RAW_CONNECTIONS; i++)
        atomic_store(&server->fds[i], -1);
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server->listen_fd, (const struct sockaddr *)&address, len) < 0 ||
        listen(server->listen_fd, 128) < 0 ||
        getsockname(server->listen_fd, (struct sockaddr *)&address, &len) < 0)
        abort();
    server->port = ntohs(address.sin_port);
    if (pthread_create(&server->acceptor, NULL, raw_accept, server) != 0)
        abort();
}

static inline void raw_server_start(struct raw_server *server, const struct raw_response *responses,
                                    int response_count)
{
    memset(server, 0, sizeof(*server));
    size_t size = (size_t)response_count * sizeof(*responses);
    server->responses = malloc(size);
    if (!server->responses)
        abort();
    memcpy(server->responses, responses, size);
    server->response_count = response_count;
    raw_server_listen(server);
}

static inline void raw_server_stop(struct raw_server *server)
{
    (void)shutdown(server->listen_fd, SHUT_RDWR);
    (void)pthread_join(server->acceptor, NULL);
    (void)close(server->listen_fd);
    for (int i = 0; i < atomic_load(&server->connections); i++) {
        int fd = atomic_load(&server->fds[i]);
        if (fd >= 0)
            (void)shutdown(fd, SHUT_RDWR);
        (void)pthread_join(server->threads[i], NULL);
    }
    free(server->responses);
    server->responses = NULL;
}

#endif
