/*
 * The raw body that answers a poll: the task of another id is none, and its URLs are shown without
 * their secrets and end when they say. Line 1 of the input is what the job layer asked for, if the
 * input does not begin with a brace; else the id is the one below.
 */
#include "response.h"

#include "seedancefs/net/url.h"

static const char usual_id[] = "cgt-20261123080000-abcde";

static void require_redacted(const char *url)
{
    char shown[512];
    url_redact(url, shown, sizeof(shown));
    fuzz_require_line(shown, "a redacted URL");
    FUZZ_REQUIRE(strlen(shown) <= strcspn(url, "?#"), "the query is shown: %s", shown);
    if (url_check(url, false) == 0) {
        FUZZ_REQUIRE(!strpbrk(shown, "?#"), "a query: %s", shown);
        FUZZ_REQUIRE(strncmp(shown, url, strlen(shown)) == 0, "%s is not %s", shown, url);
    }
}

static void require_expiry(const char *url)
{
    int64_t expires_ms = api_url_expires_at_ms(url);
    FUZZ_REQUIRE(expires_ms >= -1 && expires_ms % 1000 <= 0, "expires at %lld",
                 (long long)expires_ms);
    /* Year 9999 and nine digits of seconds. */
    FUZZ_REQUIRE(expires_ms < INT64_C(255000000000000), "expires at %lld", (long long)expires_ms);
    FUZZ_REQUIRE(expires_ms < 0 || strcasestr(url, "expires="), "out of nothing: %lld",
                 (long long)expires_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct api_task task;
    const uint8_t *end = size && data[0] != '{' ? memchr(data, '\n', size) : NULL;
    size_t id_len = end ? (size_t)(end - data) : 0;
    char *wanted =
        end ? fuzz_text(data, id_len) : fuzz_text((const uint8_t *)usual_id, sizeof(usual_id) - 1);
    size_t skipped = end ? id_len + 1 : 0;
    size_t len = size - skipped;
    char *body = fuzz_bytes(data + skipped, len);
    if (response_decode(body, len, &task) == 0) {
        if (strcmp(task.id, wanted) == 0)
            require_id(wanted);
        const char *urls[] = {task.video_url, task.cover_image_url};
        for (size_t i = 0; i < ARRAY_COUNT(urls); i++) {
            if (urls[i]) {
                require_redacted(urls[i]);
                require_expiry(urls[i]);
            }
        }
    }
    response_error_check(body, len);
    api_task_fini(&task);
    free(body);
    free(wanted);
    return 0;
}
