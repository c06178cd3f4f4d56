#include "tools_internal.h"

#include "seedancefs/base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE_MAX = 100 * 1000, LENGTH_MAX_S = 100 * 1000 };

static const char *text_of(const struct json *object, const char *key)
{
    const char *text = json_text_get(json_member_get(object, key));
    return text ? text : "";
}

/* "10.005000" becomes 10005; -1 for everything else. */
static int64_t millis_of(const struct json *object)
{
    char *end;
    const char *text = text_of(object, "duration");
    long seconds = strtol(text, &end, 10);
    if (end == text || seconds < 0 || seconds > LENGTH_MAX_S || text[0] == '-')
        return -1;
    int64_t ms = (int64_t)seconds * 1000;
    int64_t unit = 100;
    for (const char *p = end + 1; *end == '.' && unit > 0 && *p >= '0' && *p <= '9'; p++) {
        ms += (*p - '0') * unit;
        unit /= 10;
    }
    return ms;
}

/* "30000/1001" becomes 29970. */
static int rate_of(const struct json *stream)
{
    long long over = 0;
    long long under = 0;
    if (sscanf(text_of(stream, "avg_frame_rate"), "%9lld/%9lld", &over, &under) != 2 || over <= 0 ||
        under <= 0)
        return 0;
    long long rate = (over * 1000 + under / 2) / under;
    return rate > INT_MAX ? 0 : (int)rate;
}

static int side_of(const struct json *stream, const char *key)
{
    int64_t side = 0;
    return json_int64_get(json_member_get(stream, key), &side) && side > 0 && side <= SIDE_MAX
               ? (int)side
               : 0;
}

/* Of a stream or of a frame; 0: none. */
static int64_t rotation_of(const struct json *object)
{
    int64_t degrees = 0;
    JSON_FOR_EACH (data, json_member_get(object, "side_data_list")) {
        if (json_int64_get(json_member_get(data, "rotation"), &degrees))
            return degrees;
    }
    return strtol(text_of(json_member_get(object, "tags"), "rotate"), NULL, 10);
}

static const struct json *stream_find(const struct json *root, const char *kind)
{
    JSON_FOR_EACH (stream, json_member_get(root, "streams")) {
        int64_t is_attached = 0;
        const struct json *disposition = json_member_get(stream, "disposition");
        (void)json_int64_get(json_member_get(disposition, "attached_pic"), &is_attached);
        if (strcmp(text_of(stream, "codec_type"), kind) == 0 && !is_attached)
            return stream;
    }
    return NULL;
}

/* ffprobe says "png_pipe", and "mov,mp4,m4a,3gp,3g2,mj2" for a family. */
static void format_set(struct tool_probe *probe, const struct json *format)
{
    const char *name = text_of(format, "format_name");
    const char *pipe = strstr(name, "_pipe");
    size_t len = pipe ? (size_t)(pipe - name) : strcspn(name, ",");
    bool is_mp4 = strncmp(name, "mov,mp4", 7) == 0 &&
                  strcmp(text_of(json_member_get(format, "tags"), "major_brand"), "qt  ") != 0;
    if (is_mp4)
        (void)snprintf(probe->format, sizeof(probe->format), "mp4");
    else
        (void)snprintf(probe->format, sizeof(probe->format), "%.*s", (int)len, name);
}

static bool is_image(const struct json *format)
{
    const char *name = text_of(format, "format_name");
    return strstr(name, "_pipe") != NULL || strcmp(name, "gif") == 0;
}

static void sides_set(struct tool_probe *probe, const struct json *root, const struct json *stream)
{
    int64_t degrees = rotation_of(stream);
    if (degrees == 0)
        degrees = rotation_of(json_child_first(json_member_get(root, "frames")));
    bool is_turned = degrees % 180 != 0 && degrees % 90 == 0;
    probe->width = side_of(stream, is_turned ? "height" : "width");
    probe->height = side_of(stream, is_turned ? "width" : "height");
}

static int probe_fill(struct tool_probe *probe, const struct json *root)
{
    const struct json *format = json_member_get(root, "format");
    const struct json *pictures = stream_find(root, "video");
    const struct json *stream = pictures ? pictures : stream_find(root, "audio");
    if (!format || !stream)
        return -EIO;
    *probe = (struct tool_probe){.kind = TOOL_MEDIA_AUDIO, .length_ms = -1};
    format_set(probe, format);
    (void)snprintf(probe->codec, sizeof(probe->codec), "%s", text_of(stream, "codec_name"));
    if (pictures) {
        probe->kind = is_image(format) ? TOOL_MEDIA_IMAGE : TOOL_MEDIA_VIDEO;
        sides_set(probe, root, pictures);
    }
    if (probe->kind == TOOL_MEDIA_VIDEO)
        probe->frames_per_1000_s = rate_of(pictures);
    if (probe->kind != TOOL_MEDIA_IMAGE)
        probe->length_ms = millis_of(stream);
    if (probe->kind != TOOL_MEDIA_IMAGE && probe->length_ms < 0)
        probe->length_ms = millis_of(format);
    return pictures && (probe->width == 0 || probe->height == 0) ? -EIO : 0;
}

int tool_probe_parse(const char *text, size_t len, struct tool_probe *out)
{
    struct json_document *document = NULL;
    int r = json_parse(text, len, NULL, &document, NULL);
    if (r == 0)
        r = probe_fill(out, json_document_root(document));
    json_document_free(document);
    return r == 0 || r == -ENOMEM ? r : -EIO;
}
