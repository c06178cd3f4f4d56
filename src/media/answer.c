/*
 * libcurl reports success for most malformed range answers, so that everything is compared here:
 * status, Content-Range with the request and the known size, Content-Length with the range, and the
 * ETag with that of the bytes we have already.
 *
 * When the version is another one (its ETag differs; or there is none and the total differs), the
 * verdict is CHANGED. The same ETag with another total, or an ETag that is suddenly missing, is a
 * server in disorder, which must not cost the bytes we have: that is only a failed request.
 */
#include "media/answer.h"

#include "media/content_range.h"
#include "seedancefs/base/err.h"
#include "seedancefs/media/media.h"

#include <string.h>
#include <strings.h>

static struct answer_finding finding(enum answer_verdict verdict, int result)
{
    return (struct answer_finding){.verdict = verdict, .result = result, .size = -1};
}

static struct answer_finding disorder(void)
{
    return finding(ANSWER_RETRY, -ERR_MEDIA_ANSWER);
}

const char *answer_etag(const struct http_answer *answer)
{
    return strncmp(answer->etag, "W/", 2) == 0 ? "" : answer->etag;
}

static bool is_type(const struct http_answer *answer, const char *prefix)
{
    return strncasecmp(answer->content_type, prefix, strlen(prefix)) == 0;
}

/* The file has that size, says the answer. Is it the file we know? */
static struct answer_finding judge_version(const struct answer_wish *wish,
                                           const struct http_answer *answer, int64_t size,
                                           enum answer_verdict verdict)
{
    const char *etag = answer_etag(answer);
    if (size > MEDIA_SIZE_MAX)
        return finding(ANSWER_FAILED, -ERR_MEDIA_ANSWER);
    if (wish->size >= 0) {
        bool is_known = wish->etag[0] != '\0';
        if (is_known && etag[0] == '\0')
            return disorder();
        if (is_known && strcmp(etag, wish->etag) != 0)
            return finding(ANSWER_CHANGED, -ERR_MEDIA_CHANGED);
        if (size != wish->size && (is_known || verdict == ANSWER_WHOLE))
            return disorder();
        if (size != wish->size)
            return finding(ANSWER_CHANGED, -ERR_MEDIA_CHANGED);
    }
    return (struct answer_finding){.verdict = verdict, .size = size};
}

static struct answer_finding judge_partial(const struct answer_wish *wish,
                                           const struct http_answer *answer)
{
    struct content_range range;
    if (is_type(answer, "multipart/") || !answer->has_content_range ||
        content_range_parse(answer->content_range, &range) < 0)
        return disorder();
    struct answer_finding found = judge_version(wish, answer, range.total, ANSWER_RANGE);
    if (found.verdict != ANSWER_RANGE)
        return found;
    int64_t last = wish->last;
    if (wish->size < 0 && range.total <= last)
        last = range.total - 1;
    if (range.first != wish->first || range.last != last)
        return disorder();
    if (answer->content_length >= 0 && answer->content_length != range.last - range.first + 1)
        return disorder();
    return found;
}

static struct answer_finding judge_whole(const struct answer_wish *wish,
                                         const struct http_answer *answer)
{
    /* A page that explains an error in the best of moods is not a video. */
    if (is_type(answer, "text/html") || is_type(answer, "text/xml") ||
        is_type(answer, "application/json") || is_type(answer, "application/xml") ||
        is_type(answer, "multipart/"))
        return disorder();
    if (answer->content_length <= 0 || answer->has_content_range)
        return disorder();
    return judge_version(wish, answer, answer->content_length, ANSWER_WHOLE);
}

struct answer_finding answer_judge(const struct answer_wish *wish, const struct http_answer *answer)
{
    switch (answer->status) {
    case 206:
        return judge_partial(wish, answer);
    case 200:
        return judge_whole(wish, answer);
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return finding(ANSWER_REDIRECT, -ERR_URL_REFUSED);
    case 401:
    case 402:
    case 403:
        return finding(ANSWER_REFUSED, -ERR_MEDIA_EXPIRED);
    case 404:
    case 410:
        return finding(ANSWER_REFUSED, -ERR_MEDIA_GONE);
    case 408:
    case 425:
    case 429:
        return finding(ANSWER_RETRY, -ERR_MEDIA_STATUS);
    case 416:
        return finding(ANSWER_FAILED, -ERR_MEDIA_ANSWER);
    default:
        if (answer->status >= 500)
            return finding(ANSWER_RETRY, -ERR_MEDIA_STATUS);
        if (answer->status >= 400)
            return finding(ANSWER_FAILED, -ERR_MEDIA_STATUS);
        return disorder();
    }
}
