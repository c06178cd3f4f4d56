/*
 * Addresses of media: files that the service fetches itself (http, https), data in the request
 * (data:), and files beside prompt.json, which are put into the request here.
 */
#include "check.h"
#include "media_type.h"

#include "seedancefs/base/base64.h"
#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/table.h"
#include "seedancefs/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct media_rule media_rules[MEDIA_KINDS] = {
    [MEDIA_IMAGE] = {"image", "image_url", "image_urls", true},
    [MEDIA_VIDEO] = {"video", "video_url", "video_urls", false},
    [MEDIA_AUDIO] = {"audio", "audio_url", "audio_urls", true},
};

enum form { FORM_HTTP, FORM_DATA, FORM_OTHER_SCHEME, FORM_LOCAL };

/* RFC 3986, section 3.1: a letter, then letters, digits, '+', '-', '.'. */
static size_t scheme_len(const char *url)
{
    size_t len = 0;
    while ((url[len] >= 'a' && url[len] <= 'z') || (url[len] >= 'A' && url[len] <= 'Z') ||
           (len > 0 && url[len] && strchr("0123456789+-.", url[len])))
        len++;
    return len > 0 && url[len] == ':' ? len : 0;
}

static enum form form_of(const char *url)
{
    size_t len = scheme_len(url);
    if (len == 0)
        return FORM_LOCAL;
    if (len == 4 && strncasecmp(url, "data", len) == 0)
        return FORM_DATA;
    if ((len == 4 && strncasecmp(url, "http", len) == 0) ||
        (len == 5 && strncasecmp(url, "https", len) == 0))
        return FORM_HTTP;
    return FORM_OTHER_SCHEME;
}

/* The part between "//" and the path, without credentials and port. */
static size_t host_of(const char *authority, const char **host)
{
    size_t len = strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', len);
    if (at) {
        len -= (size_t)(at + 1 - authority);
        authority = at + 1;
    }
    *host = authority;
    const char *end = authority[0] == '[' ? memchr(authority, ']', len) : NULL;
    if (end)
        return (size_t)(end - authority) + 1;
    const char *colon = memchr(authority, ':', len);
    return colon ? (size_t)(colon - authority) : len;
}

/* The service fetches the file itself, so it cannot use an address of this machine or network. */
static bool is_private_host(const char *host, size_t len)
{
    static const char *const private_hosts[] = {"127.", "10.", "192.168.", "169.254.", "[::1]"};
    if (len == strlen("localhost") && strncasecmp(host, "localhost", len) == 0)
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(private_hosts); i++) {
        size_t prefix = strlen(private_hosts[i]);
        if (len >= prefix && strncmp(host, private_hosts[i], prefix) == 0)
            return true;
    }
    return false;
}

static void check_http(struct check *c, const struct json *node, const char *path, const char *url)
{
    for (const char *p = url; *p; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f) {
            problem_add(c, SEVERITY_ERROR, node, path, "url",
                        "the address has a blank or control character in it. Write a blank as "
                        "%%20.");
            return;
        }
    }
    const char *authority = strchr(url, ':') + 1;
    const char *host = authority;
    size_t len = strncmp(authority, "//", 2) == 0 ? host_of(authority + 2, &host) : 0;
    if (len == 0)
        problem_add(c, SEVERITY_ERROR, node, path, "url",
                    "the address has no host. Write it in full, as in "
                    "\"https://example.com/first.png\".");
    else if (is_private_host(host, len))
        problem_add(c, SEVERITY_WARNING, node, path, "url",
                    "the service fetches this address itself, and cannot reach hosts of your own "
                    "machine or network.");
}

static void check_size(struct check *c, enum reference_kind kind, const struct json *node,
                       const char *path, int64_t bytes)
{
    int64_t max_bytes = c->rules->media[kind].max_bytes;
    if (bytes > max_bytes)
        problem_add(c, SEVERITY_ERROR, node, path, "size",
                    "the %s has %lld bytes, but the service accepts at most %lld.",
                    media_rules[kind].noun, (long long)bytes, (long long)max_bytes);
}

/* True when the bytes are of this kind. */
static bool check_type(struct check *c, enum reference_kind kind, const struct json *node,
                       const char *path, const struct media_type *type)
{
    if (type && type->kind == kind)
        return true;
    problem_add(c, SEVERITY_ERROR, node, path, "media-type",
                "the content is not %s %s the service accepts (%s)%s%s.",
                kind == MEDIA_AUDIO ? "an" : "a", media_rules[kind].noun, media_type_list(kind),
                type ? "; it looks like " : "", type ? type->mime : "");
    return false;
}

static void check_data(struct check *c, enum reference_kind kind, const struct json *node,
                       const char *path, const char *url)
{
    const struct media_rule *rule = &media_rules[kind];
    if (!rule->is_inline) {
        problem_add(c, SEVERITY_ERROR, node, path, "url",
                    "the service does not accept videos as data:. Save the video beside "
                    "prompt.json and write its name, or write an https:// address.");
        return;
    }
    const char *mime = url + strlen("data:");
    const char *comma = strchr(mime, ',');
    static const char marker[] = ";base64";
    size_t noun_len = strlen(rule->noun);
    size_t mime_len = strcspn(mime, ";,");
    if (!comma || strncasecmp(mime, rule->noun, noun_len) != 0 || mime[noun_len] != '/' ||
        mime_len == noun_len + 1 || (size_t)(comma - mime) != mime_len + strlen(marker) ||
        strncasecmp(mime + mime_len, marker, strlen(marker)) != 0) {
        problem_add(c, SEVERITY_ERROR, node, path, "url",
                    "a data: address for %s must begin with \"data:%s/FORMAT;base64,\".",
                    rule->noun, rule->noun);
        return;
    }
    unsigned char head[MEDIA_MAGIC_BYTES] = {0};
    int64_t bytes = base64_decode(comma + 1, strlen(comma + 1), head, sizeof(head));
    if (bytes < 0) {
        problem_add(c, SEVERITY_ERROR, node, path, "url",
                    "the part behind the comma is not valid base64. It may be cut off, or have "
                    "line breaks in it.");
        return;
    }
    check_size(c, kind, node, path, bytes);
    (void)check_type(c, kind, node, path,
                     media_type_detect(head, min_size((size_t)bytes, sizeof(head))));
}

int local_file_add(struct check *c, const struct local_file *file)
{
    struct local_file *made = malloc(sizeof(*made));
    if (!made)
        return -ENOMEM;
    *made = *file;
    LL_APPEND(c->files, made);
    return 0;
}

/* Makes the data: URL of a file whose content was read. */
static int inline_file(struct check *c, struct local_file *file, const struct media_type *type,
                       const struct buf *content)
{
    CLEANUP(buf_fini) struct buf url = {.limit = PROMPT_BYTES_MAX};
    (void)buf_addf(&url, "data:%s;base64,", type->mime);
    base64_encode(&url, buf_text(content), content->len);
    if (url.error)
        return url.error;
    c->inlined_bytes += url.len;
    file->data_url = buf_take(&url);
    int r = local_file_add(c, file);
    if (r < 0)
        free(file->data_url);
    return r;
}

static void problem_unreadable(struct check *c, enum reference_kind kind, const struct json *node,
                               const char *path, const char *name, const char *why, int r)
{
    char text[SHOWN_SIZE];
    const char *visible = shown(name, text);
    const char *slash = strrchr(visible, '/');
    if (why)
        problem_add(c, SEVERITY_ERROR, node, path, "file", "%s", why);
    else if (r == -EFBIG)
        problem_add(c, SEVERITY_ERROR, node, path, "size",
                    "the file \"%s\" is larger than %lld bytes, the most the service accepts for "
                    "%s.",
                    shown(name, text), (long long)c->rules->media[kind].max_bytes,
                    media_rules[kind].noun);
    else if (r == -EXDEV)
        problem_add(c, SEVERITY_ERROR, node, path, "file",
                    "\"%s\" leads out of this mount. Copy the file beside prompt.json or into "
                    "assets/, and write its name or \"../../assets/NAME\".",
                    shown(name, text));
    else if (r == -ENOTDIR)
        problem_add(c, SEVERITY_ERROR, node, path, "file",
                    "there is no directory \"%.*s\", seen from that of this job. A file of another "
                    "job is \"../JOB/NAME\", one that jobs share \"../../assets/NAME\".",
                    slash ? (int)(slash - visible) : (int)strlen(visible), visible);
    else if (r == -ENOENT && strchr(name, '/'))
        problem_add(c, SEVERITY_ERROR, node, path, "file",
                    "there is no file \"%s\", seen from the directory of this job. Copy it there, "
                    "then write the prompt again or submit to ctl.",
                    shown(name, text));
    else if (r == -ENOENT)
        problem_add(
            c, SEVERITY_ERROR, node, path, "file",
            "there is no file \"%s\" beside prompt.json. Copy it there, then write the prompt "
            "again or submit to ctl; or write an https:// address.",
            shown(name, text));
    else if (r == -EBUSY)
        problem_add(
            c, SEVERITY_ERROR, node, path, "file",
            "the file \"%s\" is still open for writing. Once it is closed, write the prompt again "
            "or submit to ctl.",
            shown(name, text));
    else
        problem_add(c, SEVERITY_ERROR, node, path, "file", "the file \"%s\" cannot be read: %s.",
                    shown(name, text), err_sentence(r));
}

static void add_content(struct check *c, struct local_file *file, const char *path,
                        const struct buf *content)
{
    const struct media_type *type =
        media_type_detect((const unsigned char *)buf_text(content), content->len);
    size_t encoded = content->len / 3 * 4 + 64;
    if (!check_type(c, file->kind, file->node, path, type))
        return;
    if (encoded > PROMPT_BYTES_MAX - c->inlined_bytes)
        problem_add(c, SEVERITY_ERROR, file->node, path, "size",
                    "with this file the request exceeds 64 MB, the most the service accepts. "
                    "Use smaller files, or https:// addresses.");
    else
        c->error = inline_file(c, file, type, content);
}

/* The place of the address stays empty. */
static void add_later(struct check *c, struct local_file *file, const char *path,
                      const struct prompt_found *found)
{
    if ((enum reference_kind)found->media != file->kind) {
        problem_add(c, SEVERITY_ERROR, file->node, path, "media-type",
                    "\"%s\" is %s %s, but %s %s is needed here.", json_text_get(file->node),
                    found->media == PROMPT_IMAGE ? "an" : "a",
                    media_rules[(enum reference_kind)found->media].noun,
                    file->kind == MEDIA_VIDEO ? "a" : "an", media_rules[file->kind].noun);
        return;
    }
    file->number = found->number;
    if (file->kind == MEDIA_VIDEO) {
        c->found_videos++;
        c->found_lengths += found->length_ms >= 0;
        c->coming_lengths += found->length_ms < 0 && found->is_length_coming;
        c->found_ms += max_int64(found->length_ms, 0);
    }
    c->error = local_file_add(c, file);
}

static void read_local(struct check *c, enum reference_kind kind, const struct json *node,
                       const char *path, const char *name)
{
    const struct prompt_settings *settings = c->settings;
    size_t max_bytes = (size_t)c->rules->media[kind].max_bytes;
    CLEANUP(buf_fini) struct buf content = {.limit = max_bytes};
    struct prompt_found found = {.number = PROMPT_INLINE, .length_ms = -1};
    struct local_file file = {.node = node, .kind = kind, .number = PROMPT_INLINE};
    (void)snprintf(file.field, sizeof(file.field), "%s", path);
    int r = settings->read_media(settings->media_context, name, (enum prompt_media)kind, max_bytes,
                                 settings->is_content_unread ? NULL : &content, &found);
    if (r >= 0)
        r = content.error;
    if (r == -ENOMEM)
        c->error = r;
    else if (r < 0)
        problem_unreadable(c, kind, node, path, name, found.why, r);
    else if (found.number != PROMPT_INLINE)
        add_later(c, &file, path, &found);
    else if (settings->is_content_unread)
        c->has_unread_media = true;
    else
        add_content(c, &file, path, &content);
}

/* What a file in the mount could be called, seen from the directory of a job. */
static bool is_path(const char *path)
{
    char name[TEXT_NAME_MAX + 2];
    for (const char *p = path; *p;) {
        size_t len = strcspn(p, "/");
        (void)snprintf(name, sizeof(name), "%.*s", (int)min_size(len, TEXT_NAME_MAX + 1), p);
        if (len > 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
            text_name_check(name) < 0)
            return false;
        p += len + (p[len] == '/');
    }
    return path[strlen(path) - 1] != '/';
}

static void check_local(struct check *c, enum reference_kind kind, const struct json *node,
                        const char *path, const char *name)
{
    char text[SHOWN_SIZE];
    if (name[0] == '\0')
        problem_add(c, SEVERITY_ERROR, node, path, "url",
                    "is empty. Write an https:// address, or leave the field out.");
    else if (name[0] == '/')
        problem_add(c, SEVERITY_ERROR, node, path, "url",
                    "\"%s\" begins at the root of this machine, where the service and this mount "
                    "see nothing. Copy the file beside prompt.json or into assets/, and write its "
                    "name or \"../../assets/NAME\".",
                    shown(name, text));
    else if (!is_path(name))
        problem_add(c, SEVERITY_ERROR, node, path, "url",
                    "\"%s\" is neither an address nor the path of a file in this mount. Write "
                    "https://…, or copy the file beside prompt.json and write its name alone.",
                    shown(name, text));
    else if (c->settings->read_media)
        read_local(c, kind, node, path, name);
    else
        c->has_unread_media = true;
}

/* Of the service's own collection of media. */
static bool is_asset(const char *url)
{
    return strncasecmp(url, "asset://", strlen("asset://")) == 0 && url[strlen("asset://")];
}

void check_media(struct check *c, enum reference_kind kind, const struct json *node,
                 const char *path)
{
    if (c->error || !expect_type(c, node, path, JSON_STRING))
        return;
    if (c->rules->media[kind].max_count == 0)
        problem_add(c, SEVERITY_ERROR, node, path, "count", "%s takes no %s.", c->rules->name,
                    media_rules[kind].noun);
    const char *url = json_text_get(node);
    switch (form_of(url)) {
    case FORM_HTTP:
        check_http(c, node, path, url);
        break;
    case FORM_DATA:
        check_data(c, kind, node, path, url);
        break;
    case FORM_OTHER_SCHEME:
        if (is_asset(url)) {
            problem_add(c, SEVERITY_WARNING, node, path, "url",
                        "an asset:// address is passed on as it is; the service may not know it.");
            break;
        }
        problem_add(c, SEVERITY_ERROR, node, path, "url",
                    "the address must begin with https:// or http://.");
        break;
    case FORM_LOCAL:
        check_local(c, kind, node, path, url);
        break;
    }
}
