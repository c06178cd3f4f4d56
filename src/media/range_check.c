/*
 * libcurl reports success for most malformed range responses, so everything is checked here: the
 * status; Content-Range against the request and the known size; Content-Length against the range;
 * the ETag against that of the cached bytes.
 *
 * If the version differs (another ETag; or no ETag and another total), the verdict is CHANGED. The
 * same ETag with another total, or an ETag that is suddenly missing, is a fault of the server. It
 * must not cost the cached bytes, so only the request fails.
 */
#include "media/range_check.h"

#include "media/content_range.h"
#include "seedancefs/base/err.h"
#include "seedancefs/media/media.h"

#include <string.h>
#include <strings.h>

static struct range_check finding(enum range_verdict verdict, int result)
{
    return (struct range_check){.verdict = verdict, .result = result, .size = -1};
}

static struct range_check disorder(void)
{
    return finding(RANGE_RETRY, -ERR_MEDIA_RESPONSE);
}

const char *range_etag(const struct http_response *response)
{
    return strncmp(response->etag, "W/", 2) == 0 ? "" : response->etag;
}

static bool is_type(const struct http_response *response, const char *prefix)
{
    return strncasecmp(response->content_type, prefix, strlen(prefix)) == 0;
}

/* The response tells the size. Is this still the file we know? */
static struct range_check judge_version(const struct range_request *wish,
                                        const struct http_response *response, int64_t size,
                                        enum range_verdict verdict)
{
    const char *etag = range_etag(response);
    if (size > MEDIA_SIZE_MAX)
        return finding(RANGE_FAILED, -ERR_MEDIA_RESPONSE);
    if (wish->size >= 0) {
        bool is_known = wish->etag[0] != '\0';
        if (is_known && etag[0] == '\0')
            return disorder();
        if (is_known && strcmp(etag, wish->etag) != 0)
            return finding(RANGE_CHANGED, -ERR_MEDIA_CHANGED);
        if (size != wish->size && (is_known || verdict == RANGE_WHOLE))
            return disorder();
        if (size != wish->size)
            return finding(RANGE_CHANGED, -ERR_MEDIA_CHANGED);
    }
    return (struct range_check){.verdict = verdict, .size = size};
}

static struct range_check judge_partial(const struct range_request *wish,
                                        const struct http_response *response)
{
    struct content_range range;
    if (is_type(response, "multipart/") || !response->has_content_range ||
        content_range_parse(response->content_range, &range) < 0)
        return disorder();
    struct range_check found = judge_version(wish, response, range.total, RANGE_PART);
    if (found.verdict != RANGE_PART)
        return found;
    int64_t last = wish->last;
    if (wish->size < 0 && range.total <= last)
        last = range.total - 1;
    if (range.first != wish->first || range.last != last)
        return disorder();
    if (response->content_length >= 0 && response->content_length != range.last - range.first + 1)
        return disorder();
    return found;
}

static struct range_check judge_whole(const struct range_request *wish,
                                      const struct http_response *response)
{
    /* A page with an error message is not a video. */
    if (is_type(response, "text/html") || is_type(response, "text/xml") ||
        is_type(response, "application/json") || is_type(response, "application/xml") ||
        is_type(response, "multipart/"))
        return disorder();
    if (response->content_length <= 0 || response->has_content_range)
        return disorder();
    return judge_version(wish, response, response->content_length, RANGE_WHOLE);
}

struct range_check range_check_response(const struct range_request *wish,
                                        const struct http_response *response)
{
    switch (response->status) {
    case 206:
        return judge_partial(wish, response);
    case 200:
        return judge_whole(wish, response);
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return finding(RANGE_REDIRECT, -ERR_URL_REFUSED);
    case 401:
    case 402:
    case 403:
        return finding(RANGE_REFUSED, -ERR_MEDIA_EXPIRED);
    case 404:
    case 410:
        return finding(RANGE_REFUSED, -ERR_MEDIA_GONE);
    case 408:
    case 425:
    case 429:
        return finding(RANGE_RETRY, -ERR_MEDIA_STATUS);
    case 416:
        return finding(RANGE_FAILED, -ERR_MEDIA_RESPONSE);
    default:
        if (response->status >= 500)
            return finding(RANGE_RETRY, -ERR_MEDIA_STATUS);
        if (response->status >= 400)
            return finding(RANGE_FAILED, -ERR_MEDIA_STATUS);
        return disorder();
    }
}
