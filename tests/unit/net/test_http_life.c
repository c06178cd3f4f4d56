/* How a transfer lives and ends: connections, deadlines, cancelling, pausing. */
#include "http_client.h"

#include "seedancefs/base/log.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define OK OK_HEAD "Content-Length: 2\r\n\r\n{}"

/* libcurl's resolver thread ends up here, so that a name server can be dead on demand. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    typedef int getaddrinfo_fn(const char *, const char *, const struct addrinfo *,
                               struct addrinfo **);
    union {
        void *symbol;
        getaddrinfo_fn *fn;
    } real = {dlsym(RTLD_NEXT, "getaddrinfo")};
    if (node && strcmp(node, "slow.example.com") == 0) {
        usleep(1500 * 1000);
        return EAI_AGAIN;
    }
    if (node && strcmp(node, "rebound.example.com") == 0)
        node = "10.0.0.1";
    return real.fn(node, service, hints, result);
}

static struct raw_server server;

static void start_both(struct client *client, const struct raw_response *responses, int count)
{
    raw_server_start(&server, responses, count);
    client_init(client, server.port);
}

static void stop_both(struct client *client)
{
    client_fini(client);
    raw_server_stop(&server);
}

static int64_t now_ms(void)
{
    return clock_monotonic_ms(clock_system());
}

static void request_post(struct client *client, const char *body, size_t len)
{
    client->request.method = HTTP_POST;
    client->request.body = body;
    client->request.body_len = len;
    client->request.content_type = "application/json";
}

static void test_http_life__a_request_says_what_it_should(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{OK, 0, RAW_KEEP}};
    struct client client;
    struct secret key;
    assert_int_equal(secret_init(&key, "th-secret", 9), 0);
    start_both(&client, responses, 1);
    client.request.bearer = &key;
    client.request.range_first = 5;
    client.request.range_last = 9;
    assert_int_equal(client_run(&client), 0);
    assert_non_null(strstr(server.last_request, "GET /videos/generations HTTP/1.1\r\n"));
    assert_non_null(strstr(server.last_request, "\r\nAuthorization: Bearer th-secret\r\n"));
    assert_non_null(strstr(server.last_request, "\r\nRange: bytes=5-9\r\n"));
    assert_non_null(strstr(server.last_request, "\r\nAccept-Encoding: identity\r\n"));
    assert_non_null(strstr(server.last_request, "\r\nUser-Agent: seedancefs/"));
    assert_null(strstr(server.last_request, "Expect"));
    client.request.bearer = NULL;
    client.request.range_last = -1;
    assert_int_equal(client_run(&client), 0);
    assert_non_null(strstr(server.last_request, "\r\nRange: bytes=5-\r\n"));
    assert_null(strstr(server.last_request, "Authorization"));
    assert_int_equal(atomic_load(&server.connections), 1);
    secret_fini(&key);
    stop_both(&client);
}

static void test_http_life__a_large_body_is_sent_at_once_and_whole(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{OK, 0, RAW_KEEP}};
    static char body[65000];
    struct client client;
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)('a' + i % 26);
    start_both(&client, responses, 1);
    request_post(&client, body, sizeof(body));
    client.request.is_single_attempt = true;
    assert_int_equal(client_run(&client), 0);
    assert_null(strstr(server.last_request, "Expect"));
    assert_non_null(strstr(server.last_request, "\r\nContent-Length: 65000\r\n"));
    const char *sent = strstr(server.last_request, "\r\n\r\n") + 4;
    assert_memory_equal(sent, body, sizeof(body));
    stop_both(&client);
}

/*
 * The connection is kept alive by a first GET, and the server closes it when the next request has
 * arrived. libcurl sends that one again by itself; a create must not be.
 */
static void dying_connection(struct client *client, bool is_single_attempt)
{
    static const struct raw_response responses[] = {
        {OK, 0, RAW_KEEP}, {"", 0, RAW_CLOSE}, {OK, 0, RAW_KEEP}};
    start_both(client, responses, 3);
    assert_int_equal(client_run(client), 0);
    request_post(client, "{}", 2);
    client->request.is_single_attempt = is_single_attempt;
    client->sends = 0;
    (void)client_run(client);
}

static void test_http_life__a_create_is_never_sent_twice(void **state)
{
    (void)state;
    struct client client;
    dying_connection(&client, true);
    assert_int_equal(client.result, -ERR_HTTP_BROKEN);
    assert_true(client.response.is_sent);
    assert_int_equal(client.sends, 1);
    assert_int_equal(atomic_load(&server.requests), 2); /* the GET and one POST */
    assert_int_equal(atomic_load(&server.connections), 2);
    stop_both(&client);
}

/* The proof that the test above can fail: without is_single_attempt the POST arrives twice. */
static void test_http_life__without_once_libcurl_does_send_twice(void **state)
{
    (void)state;
    struct client client;
    dying_connection(&client, false);
    assert_int_equal(client.result, 0);
    assert_int_equal(client.sends, 1);
    assert_int_equal(atomic_load(&server.requests), 3);
    stop_both(&client);
}

static void test_http_life__a_create_leaves_no_connection_behind(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{OK, 0, RAW_KEEP}};
    struct client client;
    start_both(&client, responses, 1);
    request_post(&client, "{}", 2);
    client.request.is_single_attempt = true;
    assert_int_equal(client_run(&client), 0);
    assert_int_equal(client_run(&client), 0);
    assert_int_equal(atomic_load(&server.connections), 2);
    stop_both(&client);
}

static void test_http_life__an_idle_connection_does_not_wake_the_loop(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{OK, 0, RAW_KEEP}};
    struct client client;
    start_both(&client, responses, 1);
    assert_int_equal(client_run(&client), 0);
    int64_t until_ms = clock_monotonic_ms(clock_system()) + 300;
    int turns = 0;
    for (int64_t left_ms = 300; left_ms > 0; turns++) {
        assert_int_equal(loop_run_once(client.loop, left_ms), 0);
        left_ms = until_ms - clock_monotonic_ms(clock_system());
    }
    /* One spare turn is that of a deadline that was cancelled. */
    assert_in_range(turns, 1, 2);
    stop_both(&client);
}

/* The program's own: while it is wished, the kernel has no memory for another watch. */
static bool is_watching_refused;

int epoll_ctl(int epoll_fd, int what, int fd, struct epoll_event *event)
{
    if (is_watching_refused && what == EPOLL_CTL_ADD) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epoll_fd, what, fd, event);
}

/* A create, too, is neither given up nor sent again. */
static void test_http_life__a_socket_that_cannot_be_watched_is_asked(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{OK, 0, RAW_KEEP}};
    struct client client;
    start_both(&client, responses, 1);
    request_post(&client, "{}", 2);
    client.request.is_single_attempt = true;
    is_watching_refused = true;
    assert_int_equal(client_run(&client), 0);
    is_watching_refused = false;
    assert_int_equal(client.sends, 1);
    assert_int_equal(atomic_load(&server.requests), 1);
    assert_int_equal(client_run(&client), 0);
    stop_both(&client);
}

static void test_http_life__what_cannot_be_reached_is_unsent(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{OK, 0, RAW_KEEP}};
    struct client client;
    start_both(&client, responses, 1);
    raw_server_stop(&server); /* nobody listens there now */
    request_post(&client, "{}", 2);
    assert_int_equal(client_run(&client), -ERR_HTTP_CONNECT);
    assert_false(client.response.is_sent);
    client.request.url = "https://no-such-host.invalid/";
    assert_int_equal(client_run(&client), -ERR_HTTP_RESOLVE);
    assert_false(client.response.is_sent);
    assert_int_equal(client.sends, 0);
    client_fini(&client);
}

/* What went wrong stands in the log, in libcurl's words, once a minute at the level that is the
 * default. */
static void test_http_life__a_failure_is_told_in_the_words_of_libcurl(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{OK, 0, RAW_KEEP}};
    struct client client;
    char text[2000] = "";
    int log[2];
    assert_int_equal(pipe(log), 0);
    start_both(&client, responses, 1);
    log_configure(LOG_INFO, log[1]);
    client.fail_on = ON_BODY; /* our own doing is no failure of the host's */
    assert_int_equal(client_run(&client), -ENOSPC);
    assert_string_equal(client.response.failure, "");
    client.fail_on = ON_NOTHING;
    assert_int_equal(client_run(&client), 0);
    assert_string_equal(client.response.failure, "");
    raw_server_stop(&server); /* nobody listens there now */
    assert_int_equal(client_run(&client), -ERR_HTTP_CONNECT);
    assert_non_null(strstr(client.response.failure, "connect"));
    assert_int_equal(client_run(&client), -ERR_HTTP_CONNECT);
    log_configure(LOG_WARN, STDERR_FILENO);
    assert_true(read(log[0], text, sizeof(text) - 1) > 0);
    assert_non_null(strstr(text, "event=http.done"));
    assert_non_null(strstr(text, "curl=\"Failed to connect"));
    assert_ptr_equal(strchr(text, '\n'), strrchr(text, '\n'));
    (void)close(log[0]);
    (void)close(log[1]);
    client_fini(&client);
}

static void test_http_life__a_failed_handshake_is_unsent(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{OK, 0, RAW_CLOSE}};
    struct client client;
    start_both(&client, responses, 1);
    (void)snprintf(client.url, sizeof(client.url), "https://127.0.0.1:%d/", server.port);
    client.request.total_ms = 2000;
    assert_int_not_equal(client_run(&client), 0);
    assert_false(client.response.is_sent);
    stop_both(&client);
}

static void test_http_life__a_dead_name_server_does_not_stop_the_loop(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{OK, 0, RAW_KEEP}};
    struct client client;
    start_both(&client, responses, 1);
    client.request.url = "https://slow.example.com/";
    client.request.connect_ms = 100;
    int64_t from_ms = now_ms();
    assert_int_equal(client_run(&client), -ERR_HTTP_CONNECT);
    assert_false(client.response.is_sent);
    assert_in_range(now_ms() - from_ms, 90, 1000);
    /* Nor does cancelling such a transfer. */
    from_ms = now_ms();
    client_start(&client);
    assert_int_equal(loop_run_once(client.loop, 10), 0);
    http_cancel(client.transfer);
    assert_in_range(now_ms() - from_ms, 0, 1000);
    stop_both(&client);
    usleep(1600 * 1000); /* the resolver threads end, for the leak checker */
}

static void test_http_life__addresses_are_checked_when_connecting(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{OK, 0, RAW_KEEP}};
    struct client client;
    start_both(&client, responses, 1);
    client.request.is_private_address_allowed = false;
    client.request.url = "https://rebound.example.com/";
    assert_int_equal(client_run(&client), -ERR_URL_REFUSED);
    assert_false(client.response.is_sent);
    /* Written as such, they are refused at once, with no callback. */
    client.request.url = client.url;
    int dones = client.dones;
    assert_int_equal(http_start(client.http, &client.request, &client.transfer), -ERR_URL_REFUSED);
    client_run_loop(&client, dones + 1, 20);
    assert_int_equal(client.dones, dones);
    assert_int_equal(atomic_load(&server.connections), 0);
    stop_both(&client);
}

static void test_http_life__each_deadline_ends_it(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {
        {"", 0, RAW_HANG},
        {OK_HEAD "Content-Length: 2\r\n\r\n{", 0, RAW_HANG},
        {OK, 0, RAW_TRICKLE}};
    static const struct {
        int64_t stall_ms, total_ms;
        int result;
    } rows[] = {
        {100, 5000, -ERR_HTTP_STALLED},  /* never a response */
        {100, 5000, -ERR_HTTP_STALLED},  /* at the last byte */
        {2000, 700, -ERR_HTTP_DEADLINE}, /* bytes come, but slowly; of a head, lines count */
    };
    struct client client;
    start_both(&client, responses, 3);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        client.request.stall_ms = rows[i].stall_ms;
        client.request.total_ms = rows[i].total_ms;
        int64_t from_ms = now_ms();
        assert_int_equal(client_run(&client), rows[i].result);
        assert_in_range(now_ms() - from_ms, 90, 20000);
        assert_true(client.response.is_sent);
    }
    stop_both(&client);
}

static void test_http_life__a_callback_can_end_it(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{OK, 0, RAW_KEEP}};
    for (int event = ON_SEND; event < ON_DONE; event++) {
        struct client client;
        start_both(&client, responses, 1);
        client.fail_on = (enum client_event)event;
        assert_int_equal(client_run(&client), -ENOSPC);
        assert_int_equal(client.response.is_sent, event != ON_SEND);
        assert_int_equal(atomic_load(&server.requests), event == ON_SEND ? 0 : 1);
        stop_both(&client);
    }
}

static bool has_come(const struct client *client, enum client_event event)
{
    const int count[] = {1, client->sends, client->heads, client->bodies};
    return count[event] > 0;
}

static void test_http_life__a_callback_can_cancel_it(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{OK, 0, RAW_KEEP}};
    for (int event = ON_NOTHING; event < ON_DONE; event++) {
        struct client client;
        start_both(&client, responses, 1);
        client.cancel_on = (enum client_event)event;
        client_start(&client);
        if (event == ON_NOTHING)
            http_cancel(client.transfer);
        for (int i = 0; !has_come(&client, (enum client_event)event) && i < 500; i++)
            client_run_loop(&client, 1, 10);
        client_run_loop(&client, 1, 100);
        assert_int_equal(client.dones, 0);
        assert_int_equal(client.sends, event >= ON_SEND);
        assert_int_equal(client.heads, event >= ON_HEADERS);
        assert_int_equal(client.bodies, event >= ON_BODY);
        stop_both(&client);
    }
}

/* The victim is in curl's hands, or already complete, when another transfer's callback cancels it;
 * its body is freed at once, and must not be looked at. */
static void test_http_life__a_callback_can_cancel_another(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{OK, 0, RAW_KEEP}};
    for (int event = ON_SEND; event < ON_DONE; event++) {
        struct client client, victim;
        start_both(&client, responses, 1);
        victim = client;
        client_request_init(&victim, server.port);
        char *body = malloc(60000);
        memset(body, 'a', 60000);
        request_post(&victim, body, 60000);
        victim.request.context = &victim;
        client.cancel_on = (enum client_event)event;
        client.victim = &victim.transfer;
        /* In both orders: the list is served newest first. */
        client_start(&victim);
        client_start(&client);
        client_run_loop(&client, 1, 5000);
        free(body);
        client_run_loop(&client, 2, 50);
        assert_int_equal(client.result, 0);
        assert_true(victim.dones == 0 || event != ON_SEND);
        buf_fini(&victim.body);
        stop_both(&client);
    }
}

static void test_http_life__freeing_ends_all_without_a_word(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{"", 0, RAW_HANG}};
    struct client client;
    start_both(&client, responses, 1);
    for (int i = 0; i < 3; i++)
        client_start(&client);
    client_run_loop(&client, 1, 50);
    client_start(&client); /* one that curl does not know yet */
    stop_both(&client);
    assert_int_equal(client.dones, 0);
}

static int gathered_body(size_t coalesce_bytes, enum client_event cancel_on,
                         enum client_event fail_on, struct client *client)
{
    static char response[300000];
    static const char head[] = OK_HEAD "Content-Length: 262144\r\n\r\n";
    memset(response, 'x', sizeof(response));
    memcpy(response, head, sizeof(head) - 1);
    const struct raw_response responses[] = {{response, sizeof(head) - 1 + 262144, RAW_KEEP}};
    start_both(client, responses, 1);
    client->request.coalesce_bytes = coalesce_bytes;
    client->cancel_on = cancel_on;
    client->fail_on = fail_on;
    client_start(client);
    for (int i = 0; cancel_on && client->bodies == 0 && i < 500; i++)
        client_run_loop(client, 1, 10);
    client_run_loop(client, 1, cancel_on ? 100 : 5000);
    return client->result;
}

static void test_http_life__a_body_can_be_gathered(void **state)
{
    (void)state;
    static const struct {
        size_t coalesce_bytes;
        int bodies_most;
    } rows[] = {{0, 1000}, {1000, 1000}, {262144, 40}, {1 << 20, 40}};
    int bodies_before = 0;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct client client;
        assert_int_equal(gathered_body(rows[i].coalesce_bytes, ON_NOTHING, ON_NOTHING, &client), 0);
        assert_int_equal(client.dones, 1);
        assert_int_equal(client.body.len, 262144);
        for (size_t at = 0; at < client.body.len; at++)
            assert_int_equal(client.body.data[at], 'x');
        assert_true(client.bodies <= rows[i].bodies_most);
        if (rows[i].coalesce_bytes >= 262144)
            assert_true(client.bodies <= bodies_before);
        else if (rows[i].coalesce_bytes == 1000)
            assert_true(client.bodies >= 262);
        else
            bodies_before = client.bodies;
        stop_both(&client);
    }
}

static void test_http_life__gathered_bytes_can_end_it(void **state)
{
    (void)state;
    for (size_t coalesce_bytes = 1000; coalesce_bytes <= 1000000; coalesce_bytes *= 1000) {
        struct client client;
        assert_int_equal(gathered_body(coalesce_bytes, ON_NOTHING, ON_BODY, &client), -ENOSPC);
        assert_int_equal(client.bodies, 1);
        assert_int_equal(client.dones, 1);
        stop_both(&client);
        (void)gathered_body(coalesce_bytes, ON_BODY, ON_NOTHING, &client);
        assert_int_equal(client.bodies, 1);
        assert_int_equal(client.dones, 0);
        stop_both(&client);
    }
}

static void turn_until(struct client *client, size_t bytes)
{
    for (int i = 0; i < 1000 && client->body.len < bytes; i++)
        client_run_loop(client, 1, 10);
    assert_true(client->body.len >= bytes);
}

/* Much more than the buffers of the system hold. What is held back is neither lost nor stalled, and
 * the host has to wait: it is a thread that stands in send(). */
static void test_http_life__a_body_can_be_held_back(void **state)
{
    (void)state;
    enum { SIZE = 24 << 20 };
    static const char head[] = OK_HEAD "Content-Length: 25165824\r\n\r\n";
    size_t len = sizeof(head) - 1 + SIZE;
    char *bytes = malloc(len);
    assert_non_null(bytes);
    memcpy(bytes, head, sizeof(head) - 1);
    for (size_t i = 0; i < SIZE; i++)
        bytes[sizeof(head) - 1 + i] = (char)(i % 251);
    const struct raw_response responses[] = {{bytes, len, RAW_KEEP}};
    for (size_t coalesce_bytes = 0; coalesce_bytes <= 262144; coalesce_bytes += 262144) {
        struct client client;
        start_both(&client, responses, 1);
        client.request.body_limit = SIZE;
        client.request.coalesce_bytes = coalesce_bytes;
        client.request.stall_ms =
            1000; /* long enough for a machine with other work to send a byte */
        client.pause_at = 1 << 20;
        client_start(&client);
        turn_until(&client, 1 << 20);
        client_run_loop(&client, 1, 1300);
        assert_int_equal(client.dones, 0);
        assert_true(client.body.len < 2 << 20);
        client.pause_at = 8 << 20;
        http_pause(client.transfer, false);
        turn_until(&client, 8 << 20);
        client_run_loop(&client, 1, 100);
        assert_true(client.body.len < 9 << 20);
        client.pause_at = 0;
        http_pause(client.transfer, false);
        client_run_loop(&client, 1, 10000);
        assert_int_equal(client.dones, 1);
        assert_int_equal(client.result, 0);
        assert_int_equal(client.body.len, SIZE);
        assert_memory_equal(client.body.data, bytes + sizeof(head) - 1, SIZE);
        stop_both(&client);
    }
    free(bytes);
}

/* It is cancelled while it is held back, or fails with what it gets when it goes on. */
static void test_http_life__what_is_held_back_can_end(void **state)
{
    (void)state;
    for (int is_failing = 0; is_failing <= 1; is_failing++) {
        static char response[4 << 20];
        static const char head[] = OK_HEAD "Content-Length: 4000000\r\n\r\n";
        struct client client;
        memcpy(response, head, sizeof(head) - 1);
        const struct raw_response responses[] = {{response, sizeof(head) - 1 + 4000000, RAW_KEEP}};
        start_both(&client, responses, 1);
        client.request.body_limit = 4000000;
        client.pause_at = 1;
        client_start(&client);
        turn_until(&client, 1);
        client_run_loop(&client, 1, 50);
        assert_int_equal(client.bodies, 1);
        client.fail_on = ON_BODY;
        if (is_failing)
            http_pause(client.transfer, false);
        else
            http_cancel(client.transfer);
        client_run_loop(&client, 1, is_failing ? 5000 : 100);
        assert_int_equal(client.dones, is_failing);
        assert_int_equal(client.result, is_failing ? -ENOSPC : 0);
        stop_both(&client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_life__a_request_says_what_it_should),
        cmocka_unit_test(test_http_life__a_large_body_is_sent_at_once_and_whole),
        cmocka_unit_test(test_http_life__a_create_is_never_sent_twice),
        cmocka_unit_test(test_http_life__without_once_libcurl_does_send_twice),
        cmocka_unit_test(test_http_life__a_create_leaves_no_connection_behind),
        cmocka_unit_test(test_http_life__an_idle_connection_does_not_wake_the_loop),
        cmocka_unit_test(test_http_life__a_socket_that_cannot_be_watched_is_asked),
        cmocka_unit_test(test_http_life__what_cannot_be_reached_is_unsent),
        cmocka_unit_test(test_http_life__a_failure_is_told_in_the_words_of_libcurl),
        cmocka_unit_test(test_http_life__a_failed_handshake_is_unsent),
        cmocka_unit_test(test_http_life__a_dead_name_server_does_not_stop_the_loop),
        cmocka_unit_test(test_http_life__addresses_are_checked_when_connecting),
        cmocka_unit_test(test_http_life__each_deadline_ends_it),
        cmocka_unit_test(test_http_life__a_callback_can_end_it),
        cmocka_unit_test(test_http_life__a_callback_can_cancel_it),
        cmocka_unit_test(test_http_life__a_callback_can_cancel_another),
        cmocka_unit_test(test_http_life__freeing_ends_all_without_a_word),
        cmocka_unit_test(test_http_life__a_body_can_be_gathered),
        cmocka_unit_test(test_http_life__gathered_bytes_can_end_it),
        cmocka_unit_test(test_http_life__a_body_can_be_held_back),
        cmocka_unit_test(test_http_life__what_is_held_back_can_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
