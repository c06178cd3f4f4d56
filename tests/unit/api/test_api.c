#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../net/raw_server.h"

#include "seedancefs/api/api.h"
#include "seedancefs/base/err.h"

#include <stdio.h>
#include <string.h>

#define REPLY(status, body) "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n" body
#define TASK "{\"id\":\"cgt-1\",\"status\":\"queued\"}"

struct fixture {
    struct loop *loop;
    struct http *http;
    struct api *api;
    struct api_call *call;
    struct raw_server server;
    char order[16]; /* the callbacks in their order: s, r, d */
    int send_result, received_result;
    bool is_cancelled_in_send, is_cancelled_in_received;
    char received[256];
    struct api_response response; /* its pointers are dead */
    char body[256];
    char task_id[64];
};

static int on_send(void *context)
{
    struct fixture *fixture = context;
    strcat(fixture->order, "s");
    if (fixture->is_cancelled_in_send)
        api_cancel(fixture->call);
    return fixture->send_result;
}

static int on_received(void *context, int http_status, const char *body, size_t len)
{
    struct fixture *fixture = context;
    strcat(fixture->order, "r");
    assert_in_range(http_status, 200, 299);
    assert_int_equal(strlen(body), len);
    (void)snprintf(fixture->received, sizeof(fixture->received), "%s", body);
    if (fixture->is_cancelled_in_received)
        api_cancel(fixture->call);
    return fixture->received_result;
}

static void on_done(void *context, const struct api_response *response)
{
    struct fixture *fixture = context;
    strcat(fixture->order, "d");
    fixture->response = *response;
    assert_int_equal(strlen(response->body), response->body_len);
    (void)snprintf(fixture->body, sizeof(fixture->body), "%s", response->body);
    (void)snprintf(fixture->task_id, sizeof(fixture->task_id), "%s",
                   response->task ? response->task->id : "");
}

static void setup(struct fixture *fixture, const struct raw_response *responses, int count)
{
    struct secret key;
    char url[64];
    memset(fixture, 0, sizeof(*fixture));
    raw_server_start(&fixture->server, responses, count);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/api/v1/", fixture->server.port);
    assert_int_equal(loop_new(clock_system(), &fixture->loop), 0);
    assert_int_equal(http_new(fixture->loop, &fixture->http), 0);
    assert_int_equal(api_new(fixture->http, clock_system(), url, &fixture->api), 0);
    assert_int_equal(secret_init(&key, "th-key", 6), 0);
    assert_int_equal(api_key_set(fixture->api, &key), 0);
    secret_fini(&key);
}

static void teardown(struct fixture *fixture)
{
    api_free(fixture->api);
    http_free(fixture->http);
    loop_free(fixture->loop);
    raw_server_stop(&fixture->server);
}

static void turn(struct fixture *fixture, int64_t ms)
{
    int64_t until_ms = clock_monotonic_ms(clock_system()) + ms;
    while (!strchr(fixture->order, 'd') && clock_monotonic_ms(clock_system()) < until_ms)
        assert_int_equal(loop_run_once(fixture->loop, 20), 0);
}

static void create_start(struct fixture *fixture)
{
    static const char body[] = "{\"prompt\":\"a cat\"}";
    const struct api_create_callbacks callbacks = {fixture, on_send, on_received, on_done};
    fixture->order[0] = '\0';
    assert_int_equal(api_create(fixture->api, body, sizeof(body) - 1, &callbacks, &fixture->call),
                     0);
    assert_string_equal(fixture->order, "");
}

static void create(struct fixture *fixture)
{
    create_start(fixture);
    turn(fixture, 10000);
    assert_non_null(strchr(fixture->order, 'd'));
}

static void poll_task(struct fixture *fixture)
{
    fixture->order[0] = '\0';
    assert_int_equal(api_get_task(fixture->api, "cgt-1", fixture, on_done, &fixture->call), 0);
    turn(fixture, 10000);
    assert_string_equal(fixture->order, "d");
}

struct row {
    struct raw_response response;
    enum api_verdict create;
    enum api_verdict poll;
};

static const struct row rows[] = {
    {{REPLY("200 OK", TASK), 0, RAW_CLOSE}, API_ACCEPTED, API_TASK},
    {{REPLY("201 Created", TASK), 0, RAW_CLOSE}, API_ACCEPTED, API_TASK},
    {{REPLY("202 Accepted", TASK), 0, RAW_CLOSE}, API_ACCEPTED, API_TASK},
    {{REPLY("200 OK", "{\"id\":\"other\"}"), 0, RAW_CLOSE}, API_ACCEPTED, API_UNUSABLE},
    {{REPLY("200 OK", "{}"), 0, RAW_CLOSE}, API_AMBIGUOUS, API_UNUSABLE},
    {{REPLY("200 OK", ""), 0, RAW_CLOSE}, API_AMBIGUOUS, API_UNUSABLE},
    {{REPLY("200 OK", "<html>"), 0, RAW_CLOSE}, API_AMBIGUOUS, API_UNUSABLE},
    {{REPLY("200 OK", TASK "x"), 0, RAW_CLOSE}, API_AMBIGUOUS, API_UNUSABLE},
    {{REPLY("200 OK", "{\"id\":\"../x\"}"), 0, RAW_CLOSE}, API_AMBIGUOUS, API_UNUSABLE},
    {{REPLY("204 No Content", ""), 0, RAW_CLOSE}, API_AMBIGUOUS, API_UNUSABLE},
    {{REPLY("301 Moved", ""), 0, RAW_CLOSE}, API_AMBIGUOUS, API_REFUSED},
    {{REPLY("307 Temporary", ""), 0, RAW_CLOSE}, API_AMBIGUOUS, API_REFUSED},
    {{REPLY("400 Bad", ""), 0, RAW_CLOSE}, API_REJECTED, API_REFUSED},
    {{REPLY("401 No", ""), 0, RAW_CLOSE}, API_KEY_REFUSED, API_KEY_REFUSED},
    {{REPLY("402 Pay", ""), 0, RAW_CLOSE}, API_ACCOUNT_REFUSED, API_ACCOUNT_REFUSED},
    {{REPLY("403 No", ""), 0, RAW_CLOSE}, API_ACCOUNT_REFUSED, API_ACCOUNT_REFUSED},
    {{REPLY("404 No", ""), 0, RAW_CLOSE}, API_REJECTED, API_LOST},
    {{REPLY("405 No", ""), 0, RAW_CLOSE}, API_REJECTED, API_REFUSED},
    {{REPLY("408 Slow", ""), 0, RAW_CLOSE}, API_AMBIGUOUS, API_RETRY},
    {{REPLY("409 Conflict", ""), 0, RAW_CLOSE}, API_AMBIGUOUS, API_REFUSED},
    {{REPLY("410 Gone", ""), 0, RAW_CLOSE}, API_REJECTED, API_LOST},
    {{REPLY("413 Large", ""), 0, RAW_CLOSE}, API_REJECTED, API_REFUSED},
    {{REPLY("415 Type", ""), 0, RAW_CLOSE}, API_REJECTED, API_REFUSED},
    {{REPLY("418 Tea", ""), 0, RAW_CLOSE}, API_AMBIGUOUS, API_REFUSED},
    {{REPLY("422 Bad", ""), 0, RAW_CLOSE}, API_REJECTED, API_REFUSED},
    {{REPLY("429 Busy", ""), 0, RAW_CLOSE}, API_THROTTLED, API_THROTTLED},
    {{REPLY("429 Busy", "{\"error\":{\"code\":\"ServerOverloaded\"}}"), 0, RAW_CLOSE},
     API_THROTTLED,
     API_THROTTLED},
    {{REPLY("429 Busy", "{\"error\":{\"code\":\"RateLimitExceeded.EndpointRPMExceeded\"}}"), 0,
      RAW_CLOSE},
     API_THROTTLED,
     API_THROTTLED},
    {{REPLY("429 Busy", "{\"error\":{\"code\":\"QuotaExceeded.Daily\"}}"), 0, RAW_CLOSE},
     API_QUOTA,
     API_THROTTLED},
    {{REPLY("429 Busy", "{\"error\":{\"code\":\"SetLimitExceeded\"}}"), 0, RAW_CLOSE},
     API_QUOTA,
     API_THROTTLED},
    {{REPLY("429 Busy", "{\"error\":\"AccountQuotaExceeded: pay\"}"), 0, RAW_CLOSE},
     API_QUOTA,
     API_THROTTLED},
    {{REPLY("500 Oops", TASK), 0, RAW_CLOSE}, API_AMBIGUOUS, API_RETRY},
    {{REPLY("502 Bad", "<html>"), 0, RAW_CLOSE}, API_AMBIGUOUS, API_RETRY},
    {{REPLY("503 Busy", ""), 0, RAW_CLOSE}, API_AMBIGUOUS, API_RETRY},
    {{REPLY("504 Slow", ""), 0, RAW_CLOSE}, API_AMBIGUOUS, API_RETRY},
    {{"", 0, RAW_CLOSE}, API_AMBIGUOUS, API_RETRY},
    {{"", 0, RAW_RESET}, API_AMBIGUOUS, API_RETRY},
    {{"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" TASK, 0, RAW_CLOSE},
     API_AMBIGUOUS,
     API_RETRY},
    {{"HTTP/1.1 400 Bad\r\nContent-Length: 99\r\n\r\n" TASK, 0, RAW_CLOSE},
     API_AMBIGUOUS,
     API_RETRY},
    {{"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" TASK, 0, RAW_CLOSE},
     API_AMBIGUOUS,
     API_RETRY},
    {{"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" TASK, 0, RAW_CLOSE},
     API_AMBIGUOUS,
     API_RETRY},
    {{TASK "\r\n\r\n", 0, RAW_CLOSE}, API_AMBIGUOUS, API_RETRY},
};

static void expect(const struct fixture *fixture, enum api_verdict verdict, size_t row)
{
    if (fixture->response.verdict != verdict)
        fail_msg("row %zu: %s, not %s (%s)", row, api_verdict_to_text(fixture->response.verdict),
                 api_verdict_to_text(verdict), err_name(fixture->response.result));
}

static void test_api__each_response_has_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        static struct fixture fixture;
        setup(&fixture, &rows[i].response, 1);
        create(&fixture);
        expect(&fixture, rows[i].create, i);
        assert_true(fixture.response.is_sent);
        assert_int_equal(fixture.response.task != NULL, rows[i].create == API_ACCEPTED);
        assert_int_equal(atomic_load(&fixture.server.requests), 1);
        /* What came complete with a 2xx is handed over before it is judged. */
        bool is_2xx = fixture.response.http_status / 100 == 2;
        if (!strchr(fixture.order, 'r'))
            assert_true(!is_2xx || fixture.response.result < 0);
        else
            assert_true(is_2xx);
        poll_task(&fixture);
        expect(&fixture, rows[i].poll, i);
        assert_int_equal(fixture.response.task != NULL, rows[i].poll == API_TASK);
        teardown(&fixture);
    }
}

static void test_api__a_create_goes_step_by_step(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{REPLY("200 OK", TASK), 0, RAW_CLOSE}};
    static struct fixture fixture;
    setup(&fixture, responses, 1);
    create(&fixture);
    assert_string_equal(fixture.order, "srd");
    assert_string_equal(fixture.received, TASK);
    assert_string_equal(fixture.body, TASK);
    assert_string_equal(fixture.task_id, "cgt-1");
    const char *request = fixture.server.last_request;
    assert_non_null(strstr(request, "POST /api/v1/videos/generations HTTP/1.1\r\n"));
    assert_non_null(strstr(request, "\r\nAuthorization: Bearer th-key\r\n"));
    assert_non_null(strstr(request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(request, "\r\n\r\n{\"prompt\":\"a cat\"}"));
    poll_task(&fixture);
    assert_non_null(strstr(request, "GET /api/v1/videos/generations/cgt-1 HTTP/1.1\r\n"));
    teardown(&fixture);
}

static void test_api__a_refusal_is_explained(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {
        {"HTTP/1.1 429 Busy\r\nRetry-After: 7\r\nX-Request-Id: head\xff-1\r\nConnection: close\r\n"
         "\r\n{\"error\":{\"code\":\"ServerOverloaded\",\"message\":\"later\"}}",
         0, RAW_CLOSE},
        {REPLY("400 Bad", "{\"error\":{\"message\":\"bad. Request id: 0217\"}}"), 0, RAW_CLOSE},
        {REPLY("200 OK", "{\"error\":\"sorry\"}"), 0, RAW_CLOSE}};
    static struct fixture fixture;
    setup(&fixture, responses, 3);
    create(&fixture);
    assert_int_equal(fixture.response.retry_after_ms, 7000);
    assert_string_equal(fixture.response.code, "ServerOverloaded");
    assert_string_equal(fixture.response.message, "later");
    assert_string_equal(fixture.response.request_id, "head?-1");
    create(&fixture);
    assert_int_equal(fixture.response.retry_after_ms, -1);
    assert_string_equal(fixture.response.request_id, "0217");
    create(&fixture);
    assert_int_equal(fixture.response.verdict, API_AMBIGUOUS);
    assert_string_equal(fixture.response.message, "sorry");
    teardown(&fixture);
}

static void test_api__what_cannot_be_made_durable_is_not_sent(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{REPLY("200 OK", TASK), 0, RAW_CLOSE}};
    static struct fixture fixture;
    setup(&fixture, responses, 1);
    fixture.send_result = -ENOSPC;
    create(&fixture);
    assert_int_equal(fixture.response.verdict, API_UNSENT);
    assert_int_equal(fixture.response.result, -ENOSPC);
    assert_false(fixture.response.is_sent);
    assert_int_equal(atomic_load(&fixture.server.requests), 0);
    fixture.send_result = 0;
    fixture.received_result = -ENOSPC;
    create(&fixture);
    assert_string_equal(fixture.order, "srd");
    assert_int_equal(fixture.response.verdict, API_AMBIGUOUS);
    assert_int_equal(fixture.response.result, -ENOSPC);
    assert_string_equal(fixture.body, TASK);
    teardown(&fixture);
}

static void test_api__what_cannot_be_reached_is_unsent(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{REPLY("200 OK", TASK), 0, RAW_CLOSE}};
    static struct fixture fixture;
    setup(&fixture, responses, 1);
    raw_server_stop(&fixture.server);
    create(&fixture);
    assert_int_equal(fixture.response.verdict, API_UNSENT);
    assert_string_equal(fixture.order, "d");
    poll_task(&fixture);
    assert_int_equal(fixture.response.verdict, API_RETRY);
    raw_server_start(&fixture.server, responses, 1);
    teardown(&fixture);
}

static void test_api__a_service_that_fails_again_and_again_is_left_alone(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{REPLY("500 Oops", ""), 0, RAW_CLOSE},
                                                    {REPLY("503 Oops", ""), 0, RAW_CLOSE},
                                                    {"", 0, RAW_RESET},
                                                    {REPLY("502 Oops", ""), 0, RAW_CLOSE},
                                                    {REPLY("500 Oops", ""), 0, RAW_CLOSE},
                                                    {REPLY("500 Oops", ""), 0, RAW_CLOSE},
                                                    {REPLY("200 OK", TASK), 0, RAW_CLOSE},
                                                    {REPLY("404 None", ""), 0, RAW_CLOSE}};
    static struct fixture fixture;
    struct fake_clock clock;
    setup(&fixture, responses, 8);
    char url[64];
    (void)snprintf(url, sizeof(url), "%s", api_base_url(fixture.api));
    api_free(fixture.api);
    fake_clock_init(&clock, 1000);
    assert_int_equal(api_new(fixture.http, &clock.clock, url, &fixture.api), 0);
    struct secret key;
    assert_int_equal(secret_init(&key, "th-key", 6), 0);
    assert_int_equal(api_key_set(fixture.api, &key), 0);
    secret_fini(&key);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(api_rest_ms(fixture.api), 0);
        poll_task(&fixture);
    }
    assert_int_equal(api_rest_ms(fixture.api), 5000);
    fake_clock_advance(&clock, 5000);
    assert_int_equal(api_rest_ms(fixture.api), 0);
    /* One asks whether it is back; the others wait for it. */
    fixture.order[0] = '\0';
    assert_int_equal(api_get_task(fixture.api, "cgt-1", &fixture, on_done, &fixture.call), 0);
    assert_true(api_rest_ms(fixture.api) > 0);
    api_cancel(fixture.call);
    assert_int_equal(api_rest_ms(fixture.api), 0);
    poll_task(&fixture);
    assert_int_equal(api_rest_ms(fixture.api), 10000);
    fake_clock_advance(&clock, 10000);
    poll_task(&fixture);
    assert_int_equal(fixture.response.verdict, API_TASK);
    assert_int_equal(api_rest_ms(fixture.api), 0);
    poll_task(&fixture);
    assert_int_equal(api_rest_ms(fixture.api), 0);
    teardown(&fixture);
}

static void test_api__a_call_can_be_cancelled_anywhere(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{REPLY("200 OK", TASK), 0, RAW_CLOSE}};
    static const char *const orders[] = {"", "s", "sr"};
    for (int place = 0; place < 3; place++) {
        static struct fixture fixture;
        setup(&fixture, responses, 1);
        fixture.is_cancelled_in_send = place == 1;
        fixture.is_cancelled_in_received = place == 2;
        create_start(&fixture);
        if (place == 0)
            api_cancel(fixture.call);
        turn(&fixture, 100);
        assert_string_equal(fixture.order, orders[place]);
        assert_int_equal(atomic_load(&fixture.server.requests), place == 2);
        teardown(&fixture);
    }
}

static void test_api__freeing_ends_calls_without_a_word(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{"", 0, RAW_HANG}};
    static struct fixture fixture;
    setup(&fixture, responses, 1);
    create_start(&fixture);
    turn(&fixture, 50);
    create_start(&fixture);
    teardown(&fixture);
    assert_string_equal(fixture.order, "");
}

static void test_api__without_a_key_nothing_is_sent(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {{REPLY("200 OK", TASK), 0, RAW_CLOSE}};
    static struct fixture fixture;
    const struct api_create_callbacks callbacks = {&fixture, on_send, on_received, on_done};
    struct secret key;
    setup(&fixture, responses, 1);
    assert_true(api_has_key(fixture.api));
    assert_int_equal(api_key_set(fixture.api, NULL), 0);
    assert_false(api_has_key(fixture.api));
    assert_int_equal(api_create(fixture.api, "{}", 2, &callbacks, &fixture.call), -ERR_KEY_MISSING);
    assert_int_equal(api_get_task(fixture.api, "a", &fixture, on_done, &fixture.call),
                     -ERR_KEY_MISSING);
    assert_int_equal(api_get_task(fixture.api, "a/b", &fixture, on_done, &fixture.call), -EINVAL);
    assert_int_equal(secret_init(&key, "th-new", 6), 0);
    assert_int_equal(api_key_set(fixture.api, &key), 0);
    secret_fini(&key);
    create(&fixture);
    assert_non_null(strstr(fixture.server.last_request, "Bearer th-new\r\n"));
    teardown(&fixture);
}

static void test_api__a_base_url_is_https_or_loopback(void **state)
{
    (void)state;
    static const struct {
        const char *url, *base; /* NULL: refused */
    } urls[] = {
        {"https://tokenhub.store/api/v1", "https://tokenhub.store/api/v1"},
        {"https://tokenhub.store/api/v1//", "https://tokenhub.store/api/v1"},
        {"https://tokenhub.store", "https://tokenhub.store"},
        {"http://127.0.0.1:8080/", "http://127.0.0.1:8080"},
        {"http://tokenhub.store/api/v1", NULL},
        {"http://192.168.1.1/", NULL},
        {"https://10.0.0.1/", NULL},
        {"https://u:p@tokenhub.store/", NULL},
        {"https://tokenhub.store/?a=b", NULL},
        {"https://tokenhub.store/#a", NULL},
        {"tokenhub.store", NULL},
        {"", NULL},
    };
    static struct fixture fixture;
    static const struct raw_response responses[] = {{"", 0, RAW_CLOSE}};
    setup(&fixture, responses, 1);
    for (size_t i = 0; i < ARRAY_COUNT(urls); i++) {
        struct api *api = NULL;
        int r = api_new(fixture.http, clock_system(), urls[i].url, &api);
        assert_int_equal(r, urls[i].base ? 0 : -ERR_URL_REFUSED);
        if (urls[i].base)
            assert_string_equal(api_base_url(api), urls[i].base);
        api_free(api);
    }
    teardown(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_api__each_response_has_its_verdict),
        cmocka_unit_test(test_api__a_create_goes_step_by_step),
        cmocka_unit_test(test_api__a_refusal_is_explained),
        cmocka_unit_test(test_api__what_cannot_be_made_durable_is_not_sent),
        cmocka_unit_test(test_api__what_cannot_be_reached_is_unsent),
        cmocka_unit_test(test_api__a_service_that_fails_again_and_again_is_left_alone),
        cmocka_unit_test(test_api__a_call_can_be_cancelled_anywhere),
        cmocka_unit_test(test_api__freeing_ends_calls_without_a_word),
        cmocka_unit_test(test_api__without_a_key_nothing_is_sent),
        cmocka_unit_test(test_api__a_base_url_is_https_or_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
