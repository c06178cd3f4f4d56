#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "seedancefs/base/err.h"
#include "seedancefs/net/url.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, LOOPBACK = 1, NO = 2 }; /* allowed always, to a loopback service only, never */

static const struct {
    const char *url;
    int verdict;
} urls[] = {
    {"https://tokenhub.store/api/v1", OK},
    {"HTTPS://TOKENHUB.STORE", OK},
    {"https://tokenhub.store:8443/", OK},
    {"https://a.volces.com/x.mp4?X-Tos-Expires=1&b=http://127.0.0.1/", OK},
    {"https://xn--bcher-kva.example/", OK},
    {"https://8.8.8.8/", OK},
    {"https://[2606:4700::1111]/", OK},
    {"https://127.0.0.1.example.com/", OK},
    {"https://localhost.example.com/", OK},
    {"https://10.example.com/", OK},
    {"http://127.0.0.1:8080/v1", LOOPBACK},
    {"http://127.255.255.254/", LOOPBACK},
    {"http://[::1]:8080/", LOOPBACK},
    {"http://localhost/", LOOPBACK},
    {"http://LocalHost:1/", LOOPBACK},
    {"https://127.0.0.1/", LOOPBACK},
    {"https://localhost:8443/", LOOPBACK},
    {"https://[::1]/", LOOPBACK},
    {"", NO},
    {"tokenhub.store", NO},
    {"//tokenhub.store/", NO},
    {"https:tokenhub.store", NO},
    {"https:///path", NO},
    {"https:/127.0.0.1/://tokenhub.store/", NO},
    {"https:/tokenhub.store/://tokenhub.store/", NO},
    {"http:/tokenhub.store/://127.0.0.1/", NO},
    {"https://", NO},
    {"https://?a", NO},
    {"https://:443/", NO},
    {"http://tokenhub.store/", NO},
    {"http://8.8.8.8/", NO},
    {"http://127.0.0.1.example.com/", NO},
    {"http://localhost.example.com/", NO},
    {"http://localhost./", NO},
    {"http://a.localhost/", NO},
    {"https://a.localhost/", NO},
    {"https://localhost./", NO},
    {"ftp://tokenhub.store/", NO},
    {"file:///etc/passwd", NO},
    {"file://localhost/etc/passwd", NO},
    {"gopher://127.0.0.1:6379/_x", NO},
    {"dict://127.0.0.1/", NO},
    {"data:text/plain,x", NO},
    {"javascript:alert(1)", NO},
    {"https://user@tokenhub.store/", NO},
    {"https://user:password@tokenhub.store/", NO},
    {"https://tokenhub.store@127.0.0.1/", NO},
    {"http://127.0.0.1@tokenhub.store/", NO},
    {"http://127.0.0.1:80@tokenhub.store/", NO},
    {"https://a\\@127.0.0.1/", NO},
    {"http://127.0.0.1\\.example.com/", NO},
    {"https://tokenhub.store /", NO},
    {" https://tokenhub.store/", NO},
    {"https://tokenhub.store/a b", NO},
    {"https://tokenhub.store/\r\nX-A: b", NO},
    {"https://tokenhub.store/\tb", NO},
    {"https://b\xc3\xbc"
     "cher.example/",
     NO},
    {"https://tokenhub.store/\xff", NO},
    {"https://%31%32%37.0.0.1/", NO},
    {"http://%6cocalhost/", NO},
    {"http://127.0.0.1%00.example.com/", NO},
    {"http://127.1/", NO},
    {"http://127.0.1/", NO},
    {"http://0x7f.1/", NO},
    {"http://0x7f000001/", NO},
    {"http://2130706433/", NO},
    {"http://017700000001/", NO},
    {"http://0177.0.0.1/", NO},
    {"http://127.0.0.01/", NO},
    {"http://127.0.0.1./", NO},
    {"http://127.0.0.256/", NO},
    {"https://127.1/", NO},
    {"https://0x7f.1/", NO},
    {"https://2130706433/", NO},
    {"https://0177.0.0.1/", NO},
    {"https://134744072/", NO}, /* 8.8.8.8, but not written as such */
    {"https://0x08080808/", NO},
    {"http://0.0.0.0/", NO},
    {"http://0/", NO},
    {"http://[::]/", NO},
    {"http://[::ffff:127.0.0.1]/", NO},
    {"http://[0:0:0:0:0:0:0:1]/", NO},
    {"http://[::1%25lo]/", NO},
    {"http://[::1", NO},
    {"https://0.0.0.0/", NO},
    {"https://10.0.0.1/", NO},
    {"https://169.254.169.254/latest/meta-data/", NO},
    {"https://192.168.1.1/", NO},
    {"https://172.16.0.1/", NO},
    {"https://100.100.100.200/", NO},
    {"https://[fe80::1]/", NO},
    {"https://[fc00::1]/", NO},
    {"https://[::ffff:10.0.0.1]/", NO},
    {"https://[::ffff:a00:1]/", NO},
    {"https://[64:ff9b::a00:1]/", NO},
    {"https://[2002:a00:1::]/", NO},
    {"https://[::]/", NO},
    {"https://[::10.0.0.1]/", NO},
    {"https://tokenhub.store:99999/", NO},
    {"https://tokenhub.store:x/", NO},
    {"https://[::ffff:169.254.169.254]/", NO},
    {"https://[64:ff9b::169.254.169.254]/", NO},
    {"https://[64:ff9b:1::a00:1]/", NO},
    {"https://[2002:7f00:1::]/", NO},
    {"https://[2001:0:808:808::f5ff:fffe]/", NO},
    {"https://[fec0::1]/", NO},
    {"https://[fd00:ec2::254]/", NO},
    {"https://[ff02::1]/", NO},
    {"https://[2001:db8::1]/", NO},
    {"https://[100::1]/", NO},
    {"https://[::127.0.0.1]/", NO},
    {"https://0xa9fea9fe/", NO},
    {"https://2852039166/", NO},
    {"https://0251.0376.0251.0376/", NO},
    {"https://169.254.43518/", NO},
    {"https://10.1/", NO},
    {"https://012.0.0.1/", NO},
    {"https://167772161/", NO},
    {"https://0300.0250.0.1/", NO},
    {"https://198.18.0.1/", NO},
    {"https://224.0.0.1/", NO},
    {"https://255.255.255.255/", NO},
    {"https://127%2e0%2e0%2e1/", NO},
    {"https://127\xe3\x80\x82"
     "0.0.1/",
     NO},
    {"https://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/", NO},
    {"https://x.y.localhost./", NO},
    {"https:/tokenhub.store/", NO},
    {"https://tokenhub.store:0x1bb/", NO},
    {"ldap://127.0.0.1/", NO},
    {"tftp://127.0.0.1/x", NO},
    {"smb://127.0.0.1/share", NO},
    {"unix:/run/docker.sock", NO},
};

static void test_url__the_policy_holds_for_each_url(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(urls); i++) {
        int open = url_check(urls[i].url, false);
        int local = url_check(urls[i].url, true);
        if ((open == 0) != (urls[i].verdict == OK) || (local == 0) != (urls[i].verdict != NO))
            fail_msg("%s: %s, to a loopback service %s", urls[i].url, err_name(open),
                     err_name(local));
        assert_int_equal(url_is_loopback(urls[i].url), urls[i].verdict == LOOPBACK);
    }
}

static void test_url__a_length_has_a_limit(void **state)
{
    (void)state;
    char *url = malloc(URL_MAX + 2);
    memset(url, 'a', URL_MAX + 1);
    memcpy(url, "https://a.example/", 18);
    url[URL_MAX + 1] = '\0';
    assert_int_equal(url_check(url, false), -ENAMETOOLONG);
    url[URL_MAX] = '\0';
    assert_int_equal(url_check(url, false), 0);
    free(url);
}

static const struct {
    const char *address;
    bool is_forbidden;
} addresses[] = {
    {"1.1.1.1", false},
    {"8.8.8.8", false},
    {"9.255.255.255", false},
    {"11.0.0.0", false},
    {"100.63.255.255", false},
    {"100.128.0.0", false},
    {"126.255.255.255", false},
    {"128.0.0.0", false},
    {"169.253.255.255", false},
    {"169.255.0.0", false},
    {"172.15.255.255", false},
    {"172.32.0.0", false},
    {"191.255.255.255", false},
    {"192.0.1.0", false},
    {"192.0.3.0", false},
    {"192.167.255.255", false},
    {"192.169.0.0", false},
    {"198.17.255.255", false},
    {"198.20.0.0", false},
    {"198.51.99.255", false},
    {"203.0.112.255", false},
    {"223.255.255.255", false},
    {"0.0.0.0", true},
    {"0.1.2.3", true},
    {"10.0.0.0", true},
    {"10.255.255.255", true},
    {"100.64.0.0", true},
    {"100.127.255.255", true},
    {"127.0.0.1", true},
    {"127.255.255.255", true},
    {"169.254.169.254", true},
    {"172.16.0.0", true},
    {"172.31.255.255", true},
    {"192.0.0.1", true},
    {"192.0.2.1", true},
    {"192.88.99.1", true},
    {"192.168.0.0", true},
    {"192.168.255.255", true},
    {"198.18.0.0", true},
    {"198.19.255.255", true},
    {"198.51.100.1", true},
    {"203.0.113.255", true},
    {"224.0.0.1", true},
    {"239.255.255.255", true},
    {"240.0.0.1", true},
    {"255.255.255.255", true},
    {"2606:4700::1111", false},
    {"2a00:1450:4001::1", false},
    {"2001:200::1", false},
    {"2001:db7:ffff::", false},
    {"3ffe::1", false},
    {"3fff:1000::1", false},
    {"::", true},
    {"::1", true},
    {"::2", true},
    {"::8.8.8.8", true},
    {"::ffff:8.8.8.8", false},
    {"::ffff:127.0.0.1", true},
    {"::ffff:10.1.2.3", true},
    {"::ffff:169.254.169.254", true},
    {"::ffff:0:8.8.8.8", true},
    {"64:ff9b::8.8.8.8", false},
    {"64:ff9b::10.0.0.1", true},
    {"64:ff9b::127.0.0.1", true},
    {"64:ff9b:1::8.8.8.8", true},
    {"100::1", true},
    {"100:0:0:1::1", true},
    {"2002:808:808::1", false},
    {"2002:a00:1::1", true},
    {"2002:7f00:1::", true},
    {"2002:c0a8:101::1", true},
    {"2001:0:808:808::f7f7:f7f7", false}, /* Teredo, server and client 8.8.8.8 */
    {"2001:0:808:808::f5ff:fffe", true},  /* client 10.0.0.1 */
    {"2001:0:a00:1::f7f7:f7f7", true},    /* server 10.0.0.1 */
    {"2001:2::1", true},
    {"2001:10::1", true},
    {"2001:1ff::1", true},
    {"2001:db8::1", true},
    {"2001:db8:ffff::1", true},
    {"3fff::1", true},
    {"3fff:fff::1", true},
    {"4000::1", true},
    {"5f00::1", true},
    {"fc00::1", true},
    {"fdff::1", true},
    {"fe80::1", true},
    {"febf::1", true},
    {"fec0::1", true},
    {"ff02::1", true},
};

static void test_url__only_public_addresses_are_allowed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(addresses); i++) {
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
        const struct sockaddr *address = (const struct sockaddr *)&v6;
        if (inet_pton(AF_INET, addresses[i].address, &v4.sin_addr) == 1)
            address = (const struct sockaddr *)&v4;
        else
            assert_int_equal(inet_pton(AF_INET6, addresses[i].address, &v6.sin6_addr), 1);
        if (url_is_forbidden_address(address) != addresses[i].is_forbidden)
            fail_msg("%s", addresses[i].address);
    }
    struct sockaddr unix_address = {.sa_family = AF_UNIX};
    assert_true(url_is_forbidden_address(&unix_address));
}

static void test_url__a_shown_url_has_no_secret(void **state)
{
    (void)state;
    static const struct {
        const char *url, *shown;
    } rows[] = {
        {"https://a.com/x.mp4?X-Tos-Signature=s", "https://a.com/x.mp4"},
        {"https://a.com/x#fragment", "https://a.com/x"},
        {"https://user:pass@a.com:8/x", "https://a.com:8/x"},
        {"https://u@v:p@a.com/x@y", "https://a.com/x@y"},
        {"https://a.com?u=http://b@c/", "https://a.com"},
        {"user:pass@a.com/x", "a.com/x"},
        {"https://a.com/\r\nlevel=error", "https://a.com/??level=error"},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char shown[64];
        url_redact(rows[i].url, shown, sizeof(shown));
        assert_string_equal(shown, rows[i].shown);
    }
    char small[8];
    url_redact("https://a.com/", small, sizeof(small));
    assert_string_equal(small, "https:/");
}

static void test_url__a_location_is_resolved_within_the_policy(void **state)
{
    (void)state;
    static const char base[] = "https://a.com/b/c.mp4?sig=1";
    static const struct {
        const char *base, *location, *url; /* NULL: refused */
    } rows[] = {
        {base, "https://d.com/e?f=g", "https://d.com/e?f=g"},
        {base, "https://d.com/x/../e", "https://d.com/x/../e"},
        {base, "/e?f", "https://a.com/e?f"},
        {base, "e", "https://a.com/b/e"},
        {base, "../e", "https://a.com/e"},
        {base, "//d.com/e", "https://d.com/e"},
        {base, "?q", "https://a.com/b/c.mp4?q"},
        {base, "/e#f", "https://a.com/e"},
        {base, "http://a.com/", NULL},
        {base, "http://127.0.0.1/", NULL},
        {base, "file:///etc/passwd", NULL},
        {base, "gopher://a.com/", NULL},
        {base, "https://u:p@a.com/", NULL},
        {base, "//u@a.com/", NULL},
        {base, "", NULL},
        {base, "/a b", NULL},
        {base, "/\xc3\xa4", NULL},
        {"http://127.0.0.1:80/a", "/b", "http://127.0.0.1:80/b"},
        {"http://127.0.0.1/a", "https://a.com/", "https://a.com/"},
        {"junk", "/b", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char out[URL_MAX] = "untouched";
        int r = url_resolve(rows[i].base, rows[i].location, out, sizeof(out));
        if ((r == 0) != (rows[i].url != NULL))
            fail_msg("%s: %s", rows[i].location, err_name(r));
        assert_string_equal(out, rows[i].url ? rows[i].url : "untouched");
    }
    char small[10];
    assert_int_equal(url_resolve(base, "/e", small, sizeof(small)), -ENAMETOOLONG);
}

static void test_url__a_signed_url_says_when_it_ends(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        int64_t ms;
    } rows[] = {
        {"https://a/b?X-Tos-Date=20261123T080000Z&X-Tos-Expires=86400", 1795507200000},
        {"https://a/b?X-Tos-Expires=0&c&X-Tos-Date=20261123T080000Z#d", 1795420800000},
        {"https://a/b?x-tos-expires=1&x-tos-date=19700101T000000Z", 1000},
        {"https://a/b?X-Amz-Date=20240229T235959Z&X-Amz-Expires=1", 1709251200000},
        {"https://a/b?X-Tos-Date=20261123T080000Z&X-Tos-Expires=999999999", 2795420799000},
        {"https://a/b?X-Tos-Date=20261123T080000Z&X-Tos-Expires=9999999999", -1},
        {"https://a/b?X-Tos-Date=20261123T080000Z&X-Tos-Expires=-1", -1},
        {"https://a/b?X-Tos-Date=20261123T080000Z&X-Tos-Expires=", -1},
        {"https://a/b?X-Tos-Date=20261123T080000Z&X-Tos-Expires=1x", -1},
        {"https://a/b?X-Tos-Date=20261123T080000Z", -1},
        {"https://a/b?X-Tos-Date=20261123T080000Z&X-Amz-Expires=1", -1},
        {"https://a/b?X-Tos-Date=20230229T000000Z&X-Tos-Expires=1", -1},
        {"https://a/b?X-Tos-Date=20261323T000000Z&X-Tos-Expires=1", -1},
        {"https://a/b?X-Tos-Date=20261100T000000Z&X-Tos-Expires=1", -1},
        {"https://a/b?X-Tos-Date=20261123T240000Z&X-Tos-Expires=1", -1},
        {"https://a/b?X-Tos-Date=20261123T006000Z&X-Tos-Expires=1", -1},
        {"https://a/b?X-Tos-Date=2026-11-23T08:00&X-Tos-Expires=1", -1},
        {"https://a/b?X-Tos-Date=99991231T235959Z&X-Tos-Expires=1", 253402300800000},
        {"https://a/b?X-Tos-Date=19691231T235959Z&X-Tos-Expires=1", -1},
        {"https://a/b#?X-Tos-Date=20261123T080000Z&X-Tos-Expires=1", -1},
        {"https://a/b?c#&X-Tos-Date=20261123T080000Z&X-Tos-Expires=1", -1},
        {"https://a/X-Tos-Date=20261123T080000Z&X-Tos-Expires=1", -1},
        {"", -1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (url_expires_at_ms(rows[i].url) != rows[i].ms)
            fail_msg("%s: %lld", rows[i].url, (long long)url_expires_at_ms(rows[i].url));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url__the_policy_holds_for_each_url),
        cmocka_unit_test(test_url__a_length_has_a_limit),
        cmocka_unit_test(test_url__only_public_addresses_are_allowed),
        cmocka_unit_test(test_url__a_shown_url_has_no_secret),
        cmocka_unit_test(test_url__a_location_is_resolved_within_the_policy),
        cmocka_unit_test(test_url__a_signed_url_says_when_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
