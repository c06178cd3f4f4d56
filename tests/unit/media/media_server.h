/*
 * What: a tiny HTTP server in child processes, for the tests of media/: known bytes at any
 * offset, ranges, and faults by order. It shares no code with the daemon.
 * Lifetime: server_start() .. server_stop(). What it may do and what it saw is in shared memory.
 */
#ifndef TESTS_UNIT_MEDIA_MEDIA_SERVER_H
#define TESTS_UNIT_MEDIA_MEDIA_SERVER_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum server_fault {
    SERVER_FINE,
    SERVER_CUT,         /* closes after half of the body */
    SERVER_CUT_EXPIRE,  /* the same, and the token is too old from then on */
    SERVER_NO_RESPONSE, /* closes before the head */
    SERVER_WHOLE,       /* 200 and everything */
    SERVER_SHIFTED,     /* another range than asked for, said so */
    SERVER_UNSAID,      /* 206 without Content-Range */
    SERVER_SHORT,       /* 206 with a shorter range */
    SERVER_STAR,        /* total "*" */
    SERVER_MULTIPART,   /* as it says */
    SERVER_UNSATISFIED, /* 416 */
    SERVER_BUSY,        /* 503 */
    SERVER_LATER,       /* 429, Retry-After: 1000 */
    SERVER_FORBIDDEN,   /* 403 whatever the token */
    SERVER_GONE,        /* 404 */
    SERVER_HTML,        /* 200 and a page */
    SERVER_HANG,        /* no response for a minute */
    SERVER_TRICKLE,     /* a byte every 50 ms */
    SERVER_REDIRECT,    /* once, to the same path with hop=1 */
    SERVER_LOOP,        /* for ever */
    SERVER_FILE_URL,    /* to file:///etc/passwd */
    SERVER_LARGER,      /* another total, same ETag */
    SERVER_FAULTS,
};

enum { SERVER_REQUESTS_MAX = 4096 };

struct server_state {
    int64_t size;
    uint64_t version; /* of the bytes; in the ETag */
    bool has_etag;
    int token; /* ?token= below this is refused with 403 */
    enum server_fault fault;
    int fault_count;   /* so many requests get it; -1: all */
    int fault_percent; /* or so many of a hundred get a random one of those that heal */
    int delay_ms;
    int delays_ms[4]; /* of the first requests, in their order, besides */
    int request_count;
    int64_t bytes_sent;
    struct {
        int64_t first;
        int64_t last;
    } requests[SERVER_REQUESTS_MAX];
};

struct server {
    struct server_state *state;
    pid_t pid;
    int port;
};

static inline unsigned char server_byte(uint64_t version, int64_t offset)
{
    uint64_t x = (uint64_t)offset + version * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 17) * 0xff51afd7ed558ccdu;
    return (unsigned char)(x >> 56);
}

static void server_send(int fd, const void *bytes, size_t len)
{
    const char *p = bytes;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            _exit(0);
        p += n;
        len -= (size_t)n;
    }
}

static void server_send_body(struct server_state *state, int fd, int64_t first, int64_t end,
                             int64_t stop, bool is_slow)
{
    unsigned char block[65536];
    while (first < end && first < stop) {
        int64_t part = is_slow ? 1 : (int64_t)sizeof(block);
        part = part < end - first ? part : end - first;
        for (int64_t i = 0; i < part; i++)
            block[i] = server_byte(state->version, first + i);
        server_send(fd, block, (size_t)part);
        __atomic_add_fetch(&state->bytes_sent, part, __ATOMIC_SEQ_CST);
        first += part;
        if (is_slow)
            usleep(50000);
    }
    if (first < end)
        _exit(0);
}

static enum server_fault server_pick(struct server_state *state, int number)
{
    static const enum server_fault heal[] = {
        SERVER_CUT,      SERVER_NO_RESPONSE, SERVER_SHIFTED, SERVER_UNSAID, SERVER_SHORT,
        SERVER_STAR,     SERVER_MULTIPART,   SERVER_BUSY,    SERVER_HTML,   SERVER_CUT,
        SERVER_REDIRECT, SERVER_WHOLE,       SERVER_LARGER};
    uint32_t dice = (uint32_t)number * 2654435761u;
    dice ^= dice >> 15;
    if (state->fault_percent > (int)(dice % 100))
        return heal[dice / 100 % (sizeof(heal) / sizeof(heal[0]))];
    if (state->fault == SERVER_FINE || state->fault_count == 0)
        return SERVER_FINE;
    if (state->fault_count > 0)
        __atomic_sub_fetch(&state->fault_count, 1, __ATOMIC_SEQ_CST);
    return state->fault;
}

static void server_simple(int fd, const char *status, const char *headers)
{
    char head[1024];
    int n = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\n%sContent-Length: 5\r\n\r\nhello", status,
                     headers);
    server_send(fd, head, (size_t)n);
}

static bool server_refuse(struct server_state *state, int fd, enum server_fault fault,
                          const char *request, int port)
{
    char headers[256];
    const char *token = strstr(request, "token=");
    const char *hop = strstr(request, "hop=");
    if (fault == SERVER_NO_RESPONSE)
        _exit(0);
    if (fault == SERVER_HANG) {
        sleep(60);
        _exit(0);
    }
    if (fault == SERVER_BUSY)
        server_simple(fd, "503 Busy", "");
    else if (fault == SERVER_LATER)
        server_simple(fd, "429 Later", "Retry-After: 1000\r\n");
    else if (fault == SERVER_GONE)
        server_simple(fd, "404 Gone", "");
    else if (fault == SERVER_UNSATISFIED)
        server_simple(fd, "416 No", "Content-Range: bytes */7\r\n");
    else if (fault == SERVER_HTML)
        server_simple(fd, "200 OK", "Content-Type: text/html\r\n");
    else if (fault == SERVER_FILE_URL)
        server_simple(fd, "302 Found", "Location: file:///etc/passwd\r\n");
    else if (fault == SERVER_FORBIDDEN || !token || atoi(token + 6) < state->token)
        server_simple(fd, "403 Forbidden", "");
    else if (fault == SERVER_LOOP || (fault == SERVER_REDIRECT && !hop)) {
        (void)snprintf(headers, sizeof(headers),
                       "Location: http://127.0.0.1:%d/moved?token=%d&hop=1\r\n", port,
                       atoi(token + 6));
        server_simple(fd, "302 Found", headers);
    } else
        return false;
    return true;
}

static void server_response(struct server_state *state, int fd, const char *request, int port)
{
    int64_t first = 0;
    int64_t last = state->size - 1;
    const char *range = strstr(request, "Range: bytes=");
    int number = __atomic_fetch_add(&state->request_count, 1, __ATOMIC_SEQ_CST);
    if (range)
        (void)sscanf(range, "Range: bytes=%ld-%ld", &first, &last);
    if (last >= state->size)
        last = state->size - 1; /* RFC 9110, 14.1.2 */
    if (number < SERVER_REQUESTS_MAX) {
        state->requests[number].first = first;
        state->requests[number].last = last;
    }
    if (state->delay_ms)
        usleep((useconds_t)state->delay_ms * 1000);
    if (number < 4 && state->delays_ms[number])
        usleep((useconds_t)state->delays_ms[number] * 1000);
    enum server_fault fault = server_pick(state, number);
    if (server_refuse(state, fd, fault, request, port))
        return;
    if (fault == SERVER_SHIFTED && first > 0)
        first--;
    if ((fault == SERVER_SHORT || fault == SERVER_SHIFTED) && last > first)
        last--;
    if (fault == SERVER_WHOLE) {
        first = 0;
        last = state->size - 1;
    }
    char head[1024];
    char total[32];
    (void)snprintf(total, sizeof(total), "%ld", (long)state->size + (fault == SERVER_LARGER));
    int n =
        snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %ld\r\nContent-Type: %s\r\n",
                 fault == SERVER_WHOLE ? "200 OK" : "206 Partial", (long)(last - first + 1),
                 fault == SERVER_MULTIPART ? "multipart/byteranges; boundary=x" : "video/mp4");
    if (fault != SERVER_WHOLE && fault != SERVER_UNSAID)
        n += snprintf(head + n, sizeof(head) - (size_t)n, "Content-Range: bytes %ld-%ld/%s\r\n",
                      (long)first, (long)last, fault == SERVER_STAR ? "*" : total);
    if (state->has_etag)
        n += snprintf(head + n, sizeof(head) - (size_t)n, "ETag: \"v%lu\"\r\n",
                      (unsigned long)state->version);
    n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
    server_send(fd, head, (size_t)n);
    bool is_cut = fault == SERVER_CUT || fault == SERVER_CUT_EXPIRE;
    int64_t stop = is_cut ? first + (last - first) / 2 : INT64_MAX;
    state->token += fault == SERVER_CUT_EXPIRE;
    server_send_body(state, fd, first, last + 1, stop, fault == SERVER_TRICKLE);
}

static void server_serve(struct server_state *state, int fd, int port)
{
    char request[8192];
    size_t len = 0;
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (;;) {
        ssize_t n = recv(fd, request + len, sizeof(request) - 1 - len, 0);
        if (n <= 0)
            _exit(0);
        len += (size_t)n;
        request[len] = '\0';
        char *end = strstr(request, "\r\n\r\n");
        if (!end)
            continue;
        server_response(state, fd, request, port);
        size_t used = (size_t)(end + 4 - request);
        memmove(request, request + used, len - used + 1);
        len -= used;
    }
}

static void server_start(struct server *server, int64_t size)
{
    server->state = mmap(NULL, sizeof(*server->state), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(server->state, 0, sizeof(*server->state));
    server->state->size = size;
    server->state->version = 1;
    server->state->has_etag = true;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_len = sizeof(address);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 128) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &address_len) < 0)
        abort();
    server->port = ntohs(address.sin_port);
    server->pid = fork();
    if (server->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)signal(SIGCHLD, SIG_IGN);
        (void)setpgid(0, 0);
        for (;;) {
            int connection = accept(fd, NULL, NULL);
            if (connection < 0)
                continue;
            if (fork() == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)close(fd);
                server_serve(server->state, connection, server->port);
            }
            (void)close(connection);
        }
    }
    (void)close(fd);
}

static void server_stop(struct server *server)
{
    (void)kill(server->pid, SIGKILL); /* its children die with it */
    (void)waitpid(server->pid, NULL, 0);
    (void)munmap(server->state, sizeof(*server->state));
}

#endif
