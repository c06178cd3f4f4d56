/*
 * The URL policy: line 1 of the input is a URL, line 2 a Location to resolve against it. Where a
 * request goes is decided by libcurl, so what is accepted must be a URL of the same host to
 * libcurl, and to the plainest reading by eye; a host that any resolver takes for a number is one
 * that is public and written in the one plain way.
 */
#include "fuzz.h"

#include "seedancefs/base/err.h"
#include "seedancefs/net/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <strings.h>

/* What stands between "://" and the next of "/?#", without a port. */
static void host_by_eye(const char *url, char *out, size_t size)
{
    const char *start = strstr(url, "://");
    FUZZ_REQUIRE(start, "no authority in %s", url);
    start += 3;
    size_t len = strcspn(start, "/?#");
    FUZZ_REQUIRE(!memchr(start, '@', len), "user info in %s", url);
    size_t host = start[0] == '[' ? strcspn(start, "]") + 1 : strcspn(start, ":/?#");
    FUZZ_REQUIRE(host <= len && host < size, "no host in %s", url);
    memcpy(out, start, host);
    out[host] = '\0';
}

static void require_same_host(const char *url, const char *host)
{
    char *found = NULL;
    CURLU *parser = curl_url();
    FUZZ_REQUIRE(parser, "no memory");
    FUZZ_REQUIRE(curl_url_set(parser, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK,
                 "libcurl does not read %s", url);
    FUZZ_REQUIRE(curl_url_get(parser, CURLUPART_USER, &found, 0) == CURLUE_NO_USER, "a user");
    FUZZ_REQUIRE(curl_url_get(parser, CURLUPART_HOST, &found, 0) == CURLUE_OK, "no host");
    bool is_same = strcasecmp(found, host) == 0;
    struct in6_addr a, b;
    char v6[64];
    /* IPv6 is accepted in every spelling and comes back in one. */
    if (!is_same && host[0] == '[' && strlen(host) < sizeof(v6) && strlen(found) < sizeof(v6)) {
        (void)snprintf(v6, sizeof(v6), "%.*s", (int)strlen(host) - 2, host + 1);
        is_same = inet_pton(AF_INET6, v6, &a) == 1;
        (void)snprintf(v6, sizeof(v6), "%.*s", (int)strlen(found) - 2, found + 1);
        is_same = is_same && inet_pton(AF_INET6, v6, &b) == 1 && memcmp(&a, &b, sizeof(a)) == 0;
    }
    FUZZ_REQUIRE(is_same, "libcurl goes to \"%s\", %s says \"%s\"", found, url, host);
    curl_free(found);
    curl_url_cleanup(parser);
}

/* inet_aton() takes 0x7f.1, 0177.1 and 2130706433 for addresses, as old resolvers do. */
static void require_public(const char *host)
{
    struct in_addr v4;
    char plain[INET_ADDRSTRLEN];
    FUZZ_REQUIRE(strcasecmp(host, "localhost") != 0, "loopback accepted");
    if (inet_aton(host, &v4) == 0)
        return;
    FUZZ_REQUIRE(inet_ntop(AF_INET, &v4, plain, sizeof(plain)) && strcmp(plain, host) == 0,
                 "an odd number is a host: \"%s\"", host);
    uint32_t address = ntohl(v4.s_addr);
    bool is_private = address >> 24 == 0 || address >> 24 == 10 || address >> 24 == 127 ||
                      address >> 20 == 0xac1 || address >> 16 == 0xc0a8 ||
                      address >> 16 == 0xa9fe || address >> 28 >= 0xe;
    FUZZ_REQUIRE(!is_private, "a private address: \"%s\"", host);
}

static void check_url(const char *url)
{
    char host[512];
    int strict = url_check(url, false);
    int r = url_check(url, true);
    FUZZ_REQUIRE(r == 0 || r == -ERR_URL_REFUSED || r == -ENAMETOOLONG, "result %d", r);
    FUZZ_REQUIRE(strict != 0 || r == 0, "loopback allowed refuses more");
    FUZZ_REQUIRE(strict == r || (r == 0 && url_is_loopback(url)), "not loopback: %s", url);
    if (r != 0)
        return;
    FUZZ_REQUIRE(strlen(url) <= URL_MAX && !strpbrk(url, " \\") && !fuzz_has_control(url),
                 "a byte that is repaired: %s", url);
    FUZZ_REQUIRE(strncasecmp(url, "https://", 8) == 0 ||
                     (strict != 0 && strncasecmp(url, "http://", 7) == 0),
                 "the scheme of %s", url);
    host_by_eye(url, host, sizeof(host));
    require_same_host(url, host);
    if (strict == 0)
        require_public(host);
}

static void check_redacted(const char *url)
{
    static const size_t sizes[] = {0, 1, 9, 64, 4096};
    char *out = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        out = malloc(sizes[i] + 1);
        FUZZ_REQUIRE(out, "no memory");
        memset(out, 'x', sizes[i] + 1);
        url_redact(url, out, sizes[i]);
        FUZZ_REQUIRE(out[sizes[i]] == 'x', "written behind the end");
        if (sizes[i] > 0) {
            fuzz_require_line(out, "a redacted URL");
            FUZZ_REQUIRE(strlen(out) <= strcspn(url, "?#"), "the query is shown: %s", out);
        }
        free(out);
    }
    int64_t expires_ms = url_expires_at_ms(url);
    FUZZ_REQUIRE(expires_ms >= -1, "expires at %lld", (long long)expires_ms);
}

static void check_resolved(const char *base, const char *location)
{
    char out[URL_MAX + 1];
    char again[URL_MAX + 1];
    int r = url_resolve(base, location, out, sizeof(out));
    FUZZ_REQUIRE(r == 0 || r == -ERR_URL_REFUSED || r == -ENAMETOOLONG, "result %d", r);
    if (r != 0)
        return;
    FUZZ_REQUIRE(!strchr(out, '#'), "a fragment is left: %s", out);
    FUZZ_REQUIRE(strncasecmp(base, "https:", 6) != 0 || strncasecmp(out, "https:", 6) == 0,
                 "%s + %s went down to %s", base, location, out);
    r = url_resolve(base, out, again, sizeof(again));
    FUZZ_REQUIRE(r == 0 && strcmp(out, again) == 0, "%s is not the end of itself (%d)", out, r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    size_t len = end ? (size_t)(end - data) : size;
    char *url = fuzz_text(data, len);
    char *location = end ? fuzz_text(end + 1, size - len - 1) : fuzz_text(NULL, 0);
    check_url(url);
    check_redacted(url);
    check_resolved(url, location);
    free(url);
    free(location);
    return 0;
}
