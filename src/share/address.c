/*
 * Where the database is. libpq looks names of hosts up itself, and waits for the answer; so the addresses
 * are looked up here beforehand, by getaddrinfo_a(3), and given to it as `hostaddr`.
 */
#include "share_private.h"

#include "seedancefs/base/err.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOSTS_MAX = 8, OPTIONS_MAX = 64, LIST_SIZE = 1024, ADDRESSES_PER_HOST = 4 };

struct address {
    const struct libpq *pq;
    struct secret password;
    PQconninfoOption *defaults; /* of libpq, with those of the URL in their places */
    char *hosts;                /* "a,b"; NULL: as libpq has it */
    char *ports;
    struct gaicb lookups[HOSTS_MAX];
    struct gaicb *lookup_list[HOSTS_MAX];
    char names[HOSTS_MAX][256];
    char name_ports[HOSTS_MAX][16];
    int lookup_count;
    bool is_looking;
    char host_list[LIST_SIZE];
    char address_list[LIST_SIZE];
    char port_list[LIST_SIZE];
    const char *keywords[OPTIONS_MAX];
    const char *values[OPTIONS_MAX];
};

static PQconninfoOption *option_find(PQconninfoOption *options, const char *keyword)
{
    for (PQconninfoOption *option = options; option && option->keyword; option++) {
        if (strcmp(option->keyword, keyword) == 0)
            return option;
    }
    return NULL;
}

static const char *value_get(PQconninfoOption *options, const char *keyword)
{
    const PQconninfoOption *option = option_find(options, keyword);
    return option && option->val && option->val[0] ? option->val : NULL;
}

static int value_set(PQconninfoOption *options, const char *keyword, const char *value)
{
    PQconninfoOption *option = option_find(options, keyword);
    char *copy = option ? strdup(value) : NULL;
    if (!option)
        return 0; /* libpq was built without it */
    if (!copy)
        return -ENOMEM;
    free(option->val);
    option->val = copy;
    return 0;
}

static bool is_numeric(const char *host)
{
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

/* No name, so that nothing is looked up; a socket is local in any case. */
static bool is_socket(const char *host)
{
    return host[0] == '/' || host[0] == '@' || host[0] == '\0';
}

static bool is_local(const char *host)
{
    bool is_loopback = is_numeric(host) && strncmp(host, "127.", 4) == 0;
    return is_socket(host) || is_loopback || strcmp(host, "localhost") == 0 ||
           strcmp(host, "::1") == 0;
}

/* The next of a list with commas, into `out`; false at its end. */
static bool list_next(const char **list, char *out, size_t size)
{
    const char *p = *list;
    if (!p)
        return false;
    size_t len = strcspn(p, ",");
    (void)snprintf(out, size, "%.*s", (int)len, p);
    *list = p[len] ? p + len + 1 : NULL;
    return true;
}

static bool are_hosts_local(const char *hosts)
{
    char host[256];
    bool are_local = true;
    while (list_next(&hosts, host, sizeof(host)))
        are_local = are_local && is_local(host);
    return are_local;
}

/* The URL's options in place of libpq's own, which come from the environment and the service file. */
static int options_merge(struct address *address, PQconninfoOption *url, const char **what)
{
    const char *service = value_get(url, "service");
    if (service && setenv("PGSERVICE", service, 1) < 0)
        return -errno;
    address->defaults = address->pq->conndefaults();
    *what = "the options that libpq finds in the environment or in its files cannot be used";
    int r = address->defaults ? 0 : -EINVAL;
    for (PQconninfoOption *option = url; r == 0 && option->keyword; option++) {
        if (option->val && option->val[0])
            r = value_set(address->defaults, option->keyword, option->val);
    }
    const char *host = value_get(address->defaults, "hostaddr"); /* goes first: libpq-connect */
    host = host ? host : value_get(address->defaults, "host");
    const char *mode = value_get(url, "sslmode");
    if (r == 0 && !mode && !getenv("PGSSLMODE") && host && !are_hosts_local(host))
        r = value_set(address->defaults, "sslmode", "verify-full");
    if (r == 0)
        r = value_set(address->defaults, "target_session_attrs", "read-write");
    if (r == 0)
        r = value_set(address->defaults, "gssencmode", "disable");
    if (r == 0)
        r = value_set(address->defaults, "client_encoding", "UTF8");
    if (r == 0)
        r = value_set(address->defaults, "application_name", "seedancefs");
    if (r == 0 && !value_get(url, "tcp_user_timeout"))
        r = value_set(address->defaults, "tcp_user_timeout", "10000");
    return r;
}

static int url_parse(const struct libpq *pq, const char *url, PQconninfoOption **out,
                     char why[static SHARE_WHY_SIZE])
{
    char *error = NULL;
    if (strncmp(url, "postgresql://", 13) != 0 && strncmp(url, "postgres://", 11) != 0) {
        (void)snprintf(why, SHARE_WHY_SIZE,
                       "a URL like postgresql://USER@HOST/DATABASE is expected.");
        return -EINVAL;
    }
    *out = pq->conninfoParse(url, &error);
    if (!*out) /* not in its words, which may have a part of a password */
        (void)snprintf(
            why, SHARE_WHY_SIZE,
            "libpq does not take the URL: postgresql://USER@HOST/DATABASE is expected, with "
            "%%XX for what is special in it.");
    if (error)
        pq->freemem(error);
    if (!*out)
        return -EINVAL;
    if (!value_get(*out, "password") && !value_get(*out, "sslpassword"))
        return 0;
    (void)snprintf(
        why, SHARE_WHY_SIZE,
        "there is a password in the URL, where every user of this machine can read it. "
        "Put it into ~/.pgpass, into the file that PGPASSFILE names, or into PGPASSWORD.");
    return -EINVAL;
}

const char *address_name(const struct address *address)
{
    const char *host = value_get(address->defaults, "host");
    return host ? host : "the local socket";
}

static void lists_add(struct address *address, const char *host, const char *numeric,
                      const char *port)
{
    const char *comma = address->host_list[0] || address->address_list[0] ? "," : "";
    size_t used = strlen(address->host_list);
    (void)snprintf(address->host_list + used, LIST_SIZE - used, "%s%s", comma, host);
    used = strlen(address->address_list);
    (void)snprintf(address->address_list + used, LIST_SIZE - used, "%s%s", comma, numeric);
    used = strlen(address->port_list);
    (void)snprintf(address->port_list + used, LIST_SIZE - used, "%s%s", comma, port);
}

static void lookups_begin(struct address *address)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    const char *hosts = value_get(address->defaults, "host");
    const char *ports = value_get(address->defaults, "port");
    char host[256];
    char port[16] = "";
    address->lookup_count = 0;
    while (address->lookup_count < HOSTS_MAX && list_next(&hosts, host, sizeof(host))) {
        int i = address->lookup_count++;
        (void)list_next(&ports, port, sizeof(port)); /* one port is that of all hosts */
        (void)snprintf(address->names[i], sizeof(address->names[i]), "%s", host);
        (void)snprintf(address->name_ports[i], sizeof(address->name_ports[i]), "%s", port);
        bool is_known = is_socket(host) || is_numeric(host);
        address->lookups[i] =
            (struct gaicb){.ar_name = is_known ? NULL : address->names[i], .ar_request = &hints};
        address->lookup_list[i] = is_known ? NULL : &address->lookups[i];
    }
}

int address_lookup(struct address *address)
{
    if (!address->is_looking) {
        if (value_get(address->defaults, "hostaddr"))
            return 0;
        lookups_begin(address);
        int r = address->lookup_count == 0
                    ? 0
                    : getaddrinfo_a(GAI_NOWAIT, address->lookup_list, address->lookup_count, NULL);
        if (r != 0)
            return r - 1000;
        address->is_looking = true;
    }
    for (int i = 0; i < address->lookup_count; i++) {
        if (address->lookup_list[i] && gai_error(address->lookup_list[i]) == EAI_INPROGRESS)
            return 1;
    }
    address->is_looking = false;
    address->host_list[0] = address->address_list[0] = address->port_list[0] = '\0';
    int first_error = 0;
    for (int i = 0; i < address->lookup_count; i++) {
        const char *name = address->names[i];
        const char *port = address->name_ports[i];
        if (!address->lookup_list[i]) {
            lists_add(address, name, is_socket(name) ? "" : name, port);
            continue;
        }
        int error = gai_error(address->lookup_list[i]);
        first_error = first_error ? first_error : error;
        int left = ADDRESSES_PER_HOST;
        for (struct addrinfo *info = error ? NULL : address->lookups[i].ar_result; info && left > 0;
             info = info->ai_next, left--) {
            char numeric[INET6_ADDRSTRLEN];
            if (getnameinfo(info->ai_addr, info->ai_addrlen, numeric, sizeof(numeric), NULL, 0,
                            NI_NUMERICHOST) == 0)
                lists_add(address, name, numeric, port);
        }
        if (address->lookups[i].ar_result)
            freeaddrinfo(address->lookups[i].ar_result);
        address->lookups[i].ar_result = NULL;
    }
    bool has_any = address->host_list[0] || address->lookup_count == 0;
    return has_any ? 0 : (first_error ? first_error : EAI_NONAME) - 1000;
}

/* False: a thread of the C library still works on it, in memory that must stay. */
static bool lookup_end(struct address *address)
{
    bool is_ended = true;
    for (int i = 0; address->is_looking && i < address->lookup_count; i++) {
        struct gaicb *lookup = address->lookup_list[i];
        if (!lookup)
            continue;
        if (gai_cancel(lookup) == EAI_NOTCANCELED && gai_error(lookup) == EAI_INPROGRESS) {
            is_ended = false;
        } else if (lookup->ar_result) {
            freeaddrinfo(lookup->ar_result);
            lookup->ar_result = NULL;
        }
    }
    return is_ended;
}

struct address *address_free(struct address *address)
{
    if (!address || !lookup_end(address))
        return NULL;
    if (address->defaults)
        address->pq->conninfoFree(address->defaults);
    secret_fini(&address->password);
    free(address);
    return NULL;
}

int address_parameters_get(struct address *address, const char *const **keywords,
                           const char *const **values)
{
    int count = 0;
    for (const PQconninfoOption *option = address->defaults; option->keyword; option++) {
        const char *value = option->val;
        bool is_list = address->lookup_count > 0;
        if (is_list && strcmp(option->keyword, "host") == 0)
            value = address->host_list;
        if (is_list && strcmp(option->keyword, "hostaddr") == 0)
            value = address->address_list;
        if (is_list && strcmp(option->keyword, "port") == 0)
            value = address->port_list;
        if (secret_is_set(&address->password) && strcmp(option->keyword, "password") == 0)
            value = address->password.text;
        /* Its options are there already; libpq would read the file anew. */
        if (!value || !value[0] || strcmp(option->keyword, "service") == 0)
            continue;
        if (count == OPTIONS_MAX - 1)
            return -E2BIG;
        address->keywords[count] = option->keyword;
        address->values[count++] = value;
    }
    address->keywords[count] = address->values[count] = NULL;
    *keywords = address->keywords;
    *values = address->values;
    return 0;
}

int address_new(const struct libpq *pq, const char *url, const struct secret *password,
                struct address **out, char why[static SHARE_WHY_SIZE])
{
    PQconninfoOption *options = NULL;
    const char *what = "there is no memory";
    int r = url_parse(pq, url, &options, why);
    if (r < 0) {
        if (options)
            pq->conninfoFree(options);
        return r;
    }
    struct address *address = calloc(1, sizeof(*address));
    r = address ? 0 : -ENOMEM;
    if (r == 0) {
        address->pq = pq;
        r = options_merge(address, options, &what);
    }
    if (r == 0 && password && secret_is_set(password))
        r = secret_init(&address->password, password->text, password->len);
    pq->conninfoFree(options);
    if (r < 0) {
        (void)snprintf(why, SHARE_WHY_SIZE, "%s.", what);
        (void)address_free(address);
        return r;
    }
    *out = address;
    return 0;
}
