#include "sim/fetch.h"

#include "seedancefs/base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { HEADER_BYTES_MAX = 64 << 10, BLOCK_BYTES = 64 << 10 };

/* The parts of an address; they point into it. */
struct target {
    const char *authority;
    size_t authority_len; /* host and port */
    bool is_ipv6;
    uint16_t port;
    const char *path; /* with query, "" for none */
    size_t path_len;
};

static int parse_port(const char *s, size_t len, uint16_t *out)
{
    unsigned long port = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9' || port > UINT16_MAX)
            return -EINVAL;
        port = port * 10 + (unsigned long)(s[i] - '0');
    }
    if (len == 0 || port == 0 || port > UINT16_MAX)
        return -EINVAL;
    *out = (uint16_t)port;
    return 0;
}

/* Blanks and control characters would end the request's first line. */
static bool is_sendable(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f)
            return false;
    return true;
}

static int target_parse(const char *url, struct target *out)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]"};
    bool is_https = strncmp(url, "https://", 8) == 0;
    if (!is_https && strncmp(url, "http://", 7) != 0)
        return -EINVAL;
    const char *authority = url + (is_https ? 8 : 7);
    size_t len = strcspn(authority, "/?#");
    const char *user = memrchr(authority, '@', len);
    size_t skip = user != NULL ? (size_t)(user - authority) + 1 : 0;
    struct target t = {.authority = authority + skip,
                       .authority_len = len - skip,
                       .port = is_https ? 443 : 80,
                       .path = authority + len};
    t.path_len = strcspn(t.path, "#");
    for (size_t i = 0; i < ARRAY_COUNT(hosts); i++) {
        size_t host = strlen(hosts[i]);
        if (t.authority_len < host || strncasecmp(t.authority, hosts[i], host) != 0)
            continue;
        const char *rest = t.authority + host;
        size_t rest_len = t.authority_len - host;
        if (rest_len > 0 && (*rest != ':' || parse_port(rest + 1, rest_len - 1, &t.port) < 0))
            continue;
        t.is_ipv6 = *hosts[i] == '[';
        *out = t;
        return 0;
    }
    return -EINVAL;
}

bool fetch_is_local(const char *url)
{
    struct target target;
    return target_parse(url, &target) == 0;
}

static int wait_for(int fd, short events, int64_t until_us)
{
    int64_t left_us = until_us - clock_monotonic_us();
    if (left_us <= 0)
        return -ETIMEDOUT;
    struct pollfd ready = {.fd = fd, .events = events};
    int r = poll(&ready, 1, (int)((left_us + 999) / 1000));
    if (r == 0)
        return -ETIMEDOUT;
    return r < 0 && errno != EINTR ? -errno : 0;
}

/* *fd_out is the caller's to close, also after an error. */
static int connect_to(const struct target *t, int64_t until_us, int *fd_out)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET,
                               .sin_port = htons(t->port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 ipv6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(t->port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(t->is_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *fd_out = fd;
    if (fd < 0)
        return -errno;
    int r = t->is_ipv6 ? connect(fd, (const struct sockaddr *)&ipv6, sizeof(ipv6))
                       : connect(fd, (const struct sockaddr *)&ipv4, sizeof(ipv4));
    if (r == 0)
        return 0;
    if (errno != EINPROGRESS)
        return -errno;
    int error = 0;
    socklen_t len = sizeof(error);
    r = wait_for(fd, POLLOUT, until_us);
    if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return -errno;
    return r < 0 ? r : -error;
}

static int send_all(int fd, const char *data, size_t len, int64_t until_us)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n >= 0) {
            data += n;
            len -= (size_t)n;
            continue;
        }
        int r = errno == EAGAIN ? wait_for(fd, POLLOUT, until_us) : errno == EINTR ? 0 : -errno;
        if (r < 0)
            return r;
    }
    return 0;
}

static int send_request(int fd, const struct target *t, int64_t until_us)
{
    const char *slash = t->path_len > 0 && *t->path == '/' ? "" : "/";
    char *head = mem_format("GET %s%.*s HTTP/1.0\r\nHost: %.*s\r\nConnection: close\r\n\r\n", slash,
                            (int)t->path_len, t->path, (int)t->authority_len, t->authority);
    int r = send_all(fd, head, strlen(head), until_us);
    free(head);
    return r;
}

/* To the end of the connection: HTTP/1.0. */
static int receive_all(int fd, int64_t until_us, struct buf *in)
{
    for (;;) {
        int r = wait_for(fd, POLLIN, until_us);
        if (r == 0)
            r = buf_reserve(in, BLOCK_BYTES);
        if (r < 0)
            return r;
        ssize_t n = recv(fd, in->data + in->len, BLOCK_BYTES, 0);
        if (n == 0)
            return buf_add(in, "", 0);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (n > 0)
            in->len += (size_t)n;
    }
}

/* The value of Content-Length, or `otherwise`. */
static unsigned long long content_length(const char *head, size_t len, unsigned long long otherwise)
{
    static const char name[] = "\r\nContent-Length:";
    for (size_t i = 0; i + sizeof(name) - 1 < len; i++)
        if (strncasecmp(head + i, name, sizeof(name) - 1) == 0)
            return strtoull(head + i + sizeof(name) - 1, NULL, 10);
    return otherwise;
}

static int take_response(const struct buf *in, size_t max_bytes, struct buf *body)
{
    int major = 0;
    int minor = 0;
    int status = 0;
    const char *end = in->len > 0 ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
    if (end == NULL || end - in->data > HEADER_BYTES_MAX ||
        sscanf(in->data, "HTTP/%d.%d %3d", &major, &minor, &status) != 3 || status < 100)
        return -EPROTO;
    if (status != 200)
        return status;
    size_t head = (size_t)(end - in->data) + 4;
    size_t len = in->len - head;
    if (content_length(in->data, head, len) != len)
        return -EPROTO;
    if (len > max_bytes)
        return -EFBIG;
    *body = SIM_BUF;
    (void)buf_add(body, end + 4, len);
    (void)text_whole(body);
    return status;
}

int fetch_file(const char *url, size_t max_bytes, int64_t until_us, struct buf *body)
{
    struct target target;
    int r = target_parse(url, &target);
    if (r < 0 || !is_sendable(url, strlen(url)))
        return -EINVAL;
    CLEANUP_CLOSE int fd = -1;
    CLEANUP(buf_fini) struct buf in;
    buf_init(&in, max_bytes + HEADER_BYTES_MAX + BLOCK_BYTES);
    r = connect_to(&target, until_us, &fd);
    if (r == 0)
        r = send_request(fd, &target, until_us);
    if (r == 0)
        r = receive_all(fd, until_us, &in);
    return r < 0 ? r : take_response(&in, max_bytes, body);
}
