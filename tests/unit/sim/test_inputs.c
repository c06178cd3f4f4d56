/* sim: what it says to the inputs of a create, and what it logs of them. */
#include "../net/raw_server.h"

#include "sim/fetch.h"
#include "sim/media_file.h"
#include "sim/url.h"
#include "sim/validate.h"

#include "seedancefs/base/base64.h"
#include "seedancefs/base/checksum.h"
#include "seedancefs/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/stat.h>

#define HEAD "{\"model\":\"doubao-seedance-2.0\",\"prompt\":\"a\","

/* What came of the last request. */
static struct inputs inputs;
static struct response response;
static char *logged;

static void forget(void)
{
    inputs_fini(&inputs);
    response_fini(&response);
    response = (struct response){0};
    free(logged);
    logged = NULL;
}

/* Tasks are named by their length: "8s" has 8 seconds, and "8s-bare" has no cover. */
static double task_seconds(void *context UNUSED, const char *task_id, bool is_cover)
{
    char *end = NULL;
    double seconds = strtod(task_id, &end);
    return *end != 's' || (is_cover && strcmp(end, "s-bare") == 0) ? -1 : seconds;
}

/* A request with these fields. Returns NULL, or the message of the refusal. */
static const char *send_fields(bool is_strict, const char *fields)
{
    forget();
    const struct input_source source = {.is_strict = is_strict, .task_seconds = task_seconds};
    struct create_request request = {0};
    struct buf body = SIM_BUF;
    (void)buf_addf(&body, HEAD "%s}", fields);
    int r = create_request_parse(&body, &source, &request, &inputs, &response);
    buf_fini(&body);
    create_request_fini(&request);
    struct buf text = SIM_BUF;
    struct json_writer w;
    json_writer_init(&w, &text, JSON_COMPACT);
    json_write_object_begin(&w);
    inputs_log(&w, &inputs);
    json_write_object_end(&w);
    logged = text_take(&text);
    if (r == 0)
        return NULL;
    assert_int_equal(r, -EINVAL);
    assert_int_equal(response.status, 400);
    assert_non_null(strstr(response.body.data, "\"code\":\"InvalidParameter\""));
    return response.body.data;
}

/* wanted: a part of the message; NULL: the request is accepted. */
static void check_fields(bool is_strict, const char *fields, const char *wanted)
{
    const char *message = send_fields(is_strict, fields);
    if (wanted == NULL && message != NULL)
        fail_msg("%.300s: refused: %s", fields, message);
    if (wanted != NULL && (message == NULL || strstr(message, wanted) == NULL))
        fail_msg("%.300s: not \"%s\": %s", fields, wanted, message);
}

static void check_field(bool is_strict, const char *name, const char *url, const char *wanted)
{
    CLEANUP_FREE char *fields = mem_format("\"%s\":\"%s\"", name, url);
    check_fields(is_strict, fields, wanted);
}

/* A signed address of "ID.mp4" or "ID.jpg". */
static char *own(const char *file)
{
    CLEANUP_FREE char *path = mem_format("/media/%s", file);
    CLEANUP_FREE char *target = url_sign(path, 60, 1);
    return mem_format("http://127.0.0.1:1%s", target);
}

static void test_inputs__a_signed_url_is_good_by_whatever_host(void **state UNUSED)
{
    static const char *const bases[] = {"http://127.0.0.1:1", "https://localhost",
                                        "http://[::1]:8080", "https://sim.example:9"};
    CLEANUP_FREE char *target = url_sign("/media/5s.mp4", 60, 1);
    for (size_t i = 0; i < ARRAY_COUNT(bases); i++) {
        CLEANUP_FREE char *url = mem_format("%s%s", bases[i], target);
        check_field(false, "video_url", url, NULL);
        assert_string_equal(logged, "{\"inputs\":[{\"field\":\"video_url\",\"kind\":\"video\","
                                    "\"form\":\"own\",\"task\":\"5s\"}]}");
    }
}

static void test_inputs__a_forged_or_expired_url_cannot_be_downloaded(void **state UNUSED)
{
    static const char wanted[] = "The video at `video_urls[1]` could not be downloaded: 403";
    CLEANUP_FREE char *good = own("5s.mp4");
    CLEANUP_FREE char *other = own("6s.mp4");
    CLEANUP_FREE char *expired = url_sign("/media/5s.mp4", 0, 1);
    struct {
        char *url;
    } rows[] = {
        {mem_format("%.*s0", (int)strlen(good) - 1, good)},
        {mem_format("http://127.0.0.1:1/media/5s.mp4%s", strchr(other, '?'))},
        {mem_format("http://127.0.0.1:1%s", expired)},
        {mem_strdup("http://127.0.0.1:1/media/5s.mp4?X-Tos-Signature=0")},
        {mem_strdup("https://example.com/media/5s.mp4?a=b&X-Tos-Expires=86400")},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CLEANUP_FREE char *fields = mem_format("\"video_urls\":[\"%s\",\"%s\"]", good, rows[i].url);
        check_fields(false, fields, wanted);
        assert_non_null(strstr(response.body.data, "\"param\":\"video_urls\""));
        free(rows[i].url);
    }
}

static void test_inputs__a_file_that_no_task_has_is_404(void **state UNUSED)
{
    CLEANUP_FREE char *unknown = own("none.mp4");
    CLEANUP_FREE char *bare = own("5s-bare.jpg");
    check_field(false, "video_url", unknown, "could not be downloaded: 404");
    check_field(false, "image_url", bare, "could not be downloaded: 404");
}

static void test_inputs__a_video_is_no_image_and_a_cover_no_video(void **state UNUSED)
{
    CLEANUP_FREE char *video = own("5s.mp4");
    CLEANUP_FREE char *cover = own("5s.jpg");
    check_field(false, "image_url", cover, NULL);
    check_field(false, "image_url", video, "format");
    check_field(false, "video_url", cover, "format");
    CLEANUP_FREE char *audio =
        mem_format("\"image_url\":\"https://example.com/a.png\",\"audio_url\":\"%s\"", video);
    check_fields(false, audio, "The audio at `audio_url` has a format");
}

static void test_inputs__real_lengths_count(void **state UNUSED)
{
    static const struct {
        const char *tasks[3]; /* NULL: an address that nobody looks at */
        int count;
        const char *more;
        const char *wanted;
    } rows[] = {
        {{"5s", "5s", "5s"}, 3, "", NULL},
        {{"5.04s", "5.04s", "5.04s"}, 3, ",\"video_durations\":[5.04,5.04,5.04]", NULL},
        {{"5s", "5s", "6s"}, 3, "", "16.0 seconds in all"},
        {{"8s", "8s"}, 2, ",\"video_durations\":[7.5,7.5]", "16.0 seconds in all"},
        {{"8s", NULL}, 2, ",\"video_durations\":[8,7]", NULL},
        {{"8.4s", NULL}, 2, ",\"video_durations\":[8,7]", "15.4 seconds in all"},
        {{"1.5s"}, 1, "", "a length of 2 to 15"},
        {{"16s"}, 1, "", "a length of 2 to 15"},
        {{"5s"}, 1, ",\"video_durations\":[5.4]", NULL},
        {{"5s"}, 1, ",\"video_durations\":[5.6]", "has 5.0 seconds, but 5.6 are declared"},
        {{NULL, "9s"}, 2, ",\"video_durations\":[3,4]", "`video_urls[1]` has 9.0 seconds"},
        {{"5s", "6s"}, 2, ",\"input_video_duration\":11", NULL},
        {{"5s", "6s"}, 2, ",\"input_video_duration\":10", "11.0 seconds in all, but 10.0"},
        {{NULL, "6s"}, 2, ",\"input_video_duration\":10", NULL},
        {{NULL}, 1, ",\"input_video_duration\":8,\"video_durations\":[8]", NULL},
        {{NULL}, 1, ",\"input_video_duration\":16", "at most 15"},
        {{NULL, NULL}, 2, ",\"video_durations\":[8,8]", "at most 15"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct buf fields = SIM_BUF;
        for (int n = 0; n < rows[i].count; n++) {
            CLEANUP_FREE char *file = mem_format("%s.mp4", rows[i].tasks[n]);
            CLEANUP_FREE char *url =
                rows[i].tasks[n] != NULL ? own(file) : mem_strdup("https://example.com/v.mp4");
            (void)buf_addf(&fields, "%s\"%s\"", n == 0 ? "\"video_urls\":[" : ",", url);
        }
        (void)buf_addf(&fields, "]%s", rows[i].more);
        check_fields(false, buf_text(&fields), rows[i].wanted);
        buf_fini(&fields);
    }
}

static void test_inputs__declared_lengths_are_limited_without_a_video(void **state UNUSED)
{
    check_fields(false, "\"video_durations\":[8,8]", "at most 15");
    check_fields(false, "\"input_video_duration\":16", "at most 15");
    check_fields(false, "\"video_durations\":[8,7]", NULL);
}

static void test_inputs__data_is_base64_and_no_video(void **state UNUSED)
{
    static const struct {
        const char *name, *url, *wanted;
    } rows[] = {
        {"image_url", "data:image/png;base64,AAAA", NULL},
        {"image_url", "data:image/png;base64,AAA", "is not valid base64"},
        {"image_url", "data:image/png;base64,A AA", "is not valid base64"},
        {"image_url", "data:image/png;base64,", "is not valid base64"},
        {"image_url", "data:image/png,AAAA", "is not valid base64"},
        {"video_url", "data:video/mp4;base64,AAAA", "a public URL is expected"},
        {"video_urls", "data:video/mp4;base64,AAAA", "public URLs are expected"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        check_field(false, rows[i].name, rows[i].url, rows[i].wanted);
    check_fields(false,
                 "\"content\":[{\"type\":\"video_url\",\"role\":\"reference_video\","
                 "\"video_url\":{\"url\":\"data:video/mp4;base64,AAAA\"}}]",
                 "elements with type, URL and role are expected");
}

/* `count` zero bytes as data. */
static void check_size(const char *name, const char *type, size_t count, const char *wanted)
{
    CLEANUP_FREE char *zeros = mem_alloc(count);
    struct buf fields = SIM_BUF;
    (void)buf_addf(&fields,
                   "\"image_urls\":[\"https://example.com/a.png\"],\"%s\":\"data:%s;base64,", name,
                   type);
    base64_encode(&fields, zeros, count);
    (void)buf_add_char(&fields, '"');
    check_fields(false, buf_text(&fields), wanted);
    assert_int_equal(inputs.items[1].bytes, count);
    buf_fini(&fields);
}

static void test_inputs__data_has_a_limited_size(void **state UNUSED)
{
    check_size("image_url", "image/png", (30 << 20) - 1, NULL);
    check_size("image_url", "image/png", 30 << 20, "The image at `image_url` is too large");
    check_size("audio_url", "audio/wav", 15 << 20, NULL);
    check_size("audio_url", "audio/wav", (15 << 20) + 1, "The audio at `audio_url` is too large");
}

/* A PNG as far as its header goes. */
static size_t png_head(unsigned char out[static 24], uint32_t width, uint32_t height)
{
    static const unsigned char start[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    uint32_t sides[] = {htonl(width), htonl(height)};
    memcpy(out, start, 16);
    memcpy(out + 16, sides, 8);
    return 24;
}

/* As "image_url", or as "audio_url" beside an image. */
static void check_data(bool is_strict, const char *type, const void *bytes, size_t len,
                       const char *wanted)
{
    struct buf fields = SIM_BUF;
    bool is_audio = strncmp(type, "audio", 5) == 0;
    (void)buf_addf(&fields, "%s\"data:%s;base64,",
                   is_audio ? "\"image_url\":\"https://example.com/a.png\",\"audio_url\":"
                            : "\"image_url\":",
                   type);
    base64_encode(&fields, bytes, len);
    (void)buf_add_char(&fields, '"');
    check_fields(is_strict, buf_text(&fields), wanted);
    buf_fini(&fields);
}

/* PATH for the programs that the simulator calls: an ffprobe that prints this, ends with this code
 * and reads nothing; or none at all. */
static char tools[] = "/tmp/seedance-sim-test-XXXXXX";

static void set_ffprobe(const char *json, int code)
{
    CLEANUP_FREE char *path = mem_format("%s/ffprobe", tools);
    assert_true(unlink(path) == 0 || errno == ENOENT);
    assert_int_equal(setenv("PATH", tools, 1), 0);
    if (json == NULL)
        return;
    FILE *script = fopen(path, "w");
    assert_non_null(script);
    fprintf(script, "#!/bin/sh\necho '%s'\nexit %d\n", json, code);
    assert_int_equal(fclose(script), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

static int tools_new(void **state UNUSED)
{
    return mkdtemp(tools) != NULL ? 0 : -1;
}

static int tools_free(void **state UNUSED)
{
    forget();
    set_ffprobe(NULL, 0);
    return rmdir(tools);
}

static void test_inputs__strict_wants_the_bytes_to_be_of_the_declared_type(void **state UNUSED)
{
    unsigned char png[24];
    size_t len = png_head(png, 640, 480);
    set_ffprobe(NULL, 0);
    check_data(true, "image/png", png, len, NULL);
    check_data(true, "image/jpeg", png, len, "is not of the media type");
    check_data(false, "image/jpeg", png, len, NULL);
    check_data(true, "image/png", "nonsense", 8, "has a format that is not supported");
    check_data(false, "image/png", "nonsense", 8, NULL);
    check_data(true, "audio/wav", png, len, "has a format that is not supported");
    check_data(true, "image/jpg", sim_cover_data, sim_cover_size, NULL);
    check_data(true, "audio/x-wav", "RIFF....WAVEfmt ", 16, NULL);
    check_data(true, "audio/mpeg", "ID3\4", 4, NULL);
    check_data(true, "image/png", "RIFF....WAVEfmt ", 16, "has a format that is not supported");
}

static void test_inputs__strict_wants_sides_of_a_picture(void **state UNUSED)
{
    static const struct {
        uint32_t width, height;
        const char *wanted;
    } rows[] = {
        {1, 1, "sides of 300 to 6000"},
        {300, 300, NULL},
        {299, 300, "sides of 300 to 6000"},
        {6000, 6001, "sides of 300 to 6000"},
        {6000, 6000, NULL},
        {400, 1000, NULL},
        {399, 1000, "ratio"},
        {1000, 400, NULL},
        {1001, 400, "ratio"},
    };
    set_ffprobe(NULL, 0);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        unsigned char png[24];
        size_t len = png_head(png, rows[i].width, rows[i].height);
        check_data(true, "image/png", png, len, rows[i].wanted);
        check_data(false, "image/png", png, len, NULL);
    }
    static const unsigned char small_jpeg[] = {0xff, 0xd8, 0xff, 0xe0, 0, 4, 'x', 'x', 0xff,
                                               0xc0, 0,    11,   8,    0, 9, 1,   0,   1};
    check_data(true, "image/jpeg", small_jpeg, sizeof(small_jpeg), "sides of 300 to 6000");
}

static void test_inputs__strict_listens_to_ffprobe(void **state UNUSED)
{
    set_ffprobe("{\"streams\":[],\"format\":{\"duration\":\"1.5\"}}", 0);
    check_data(true, "audio/wav", "RIFF....WAVEfmt ", 16, "a length of 2 to 15 seconds");
    check_data(false, "audio/wav", "RIFF....WAVEfmt ", 16, NULL);
    set_ffprobe("{}", 1);
    check_data(true, "audio/wav", "RIFF....WAVEfmt ", 16, "cannot be decoded");
    set_ffprobe("{\"streams\":[],\"format\":{\"duration\":\"9\"}}", 0);
    check_data(true, "audio/wav", "RIFF....WAVEfmt ", 16, NULL);
    check_fields(true,
                 "\"image_url\":\"https://example.com/a.png\",\"audio_urls\":["
                 "\"data:audio/wav;base64,UklGRi4uLi5XQVZFZm10IA==\","
                 "\"data:audio/wav;base64,UklGRi4uLi5XQVZFZm10IA==\"]",
                 "The audios have 18.0 seconds in all");
}

static void test_inputs__modes_exclude_each_other_in_every_spelling(void **state UNUSED)
{
    static const char frame[] = "{\"type\":\"image_url\",\"role\":\"first_frame\","
                                "\"image_url\":{\"url\":\"https://example.com/a\"}}";
    static const char *const members[] = {
        "\"image_url\":\"https://example.com/a\"",    "\"image_url\":[\"https://example.com/a\"]",
        "\"image_urls\":[\"https://example.com/a\"]", "\"image_urls\":\"https://example.com/a\"",
        "\"video_url\":\"https://example.com/a\"",    "\"video_urls\":[\"https://example.com/a\"]",
        "\"audio_url\":\"https://example.com/a\"",    "\"audio_urls\":[\"https://example.com/a\"]",
    };
    static const char *const elements[][2] = {
        {"image_url", "reference_image"},
        {"video_url", "reference_video"},
        {"audio_url", "reference_audio"},
        {"image_url", NULL},
        {"video_url", NULL},
        {"audio_url", NULL},
    };
    CLEANUP_FREE char *alone = mem_format("\"content\":[%s]", frame);
    check_fields(false, alone, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
        CLEANUP_FREE char *fields = mem_format("\"content\":[%s],%s", frame, members[i]);
        check_fields(false, fields, "frames and references cannot be mixed");
        assert_int_equal(inputs.count, 2);
    }
    for (size_t i = 0; i < ARRAY_COUNT(elements); i++) {
        const char *role = elements[i][1];
        CLEANUP_FREE char *role_member =
            role != NULL ? mem_format("\"role\":\"%s\",", role) : mem_strdup("");
        CLEANUP_FREE char *fields = mem_format(
            "\"content\":[%s,{%s\"type\":\"%s\",\"%s\":{\"url\":\"https://example.com/a\"}}]",
            frame, role_member, elements[i][0], elements[i][0]);
        check_fields(false, fields, "frames and references cannot be mixed");
        assert_int_equal(inputs.count, 2);
    }
}

static void test_inputs__the_log_names_each_input_in_order(void **state UNUSED)
{
    unsigned char png[24];
    struct buf fields = SIM_BUF;
    char hash[17];
    size_t len = png_head(png, 640, 480);
    (void)snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)checksum_64(png, len));
    (void)buf_addf(&fields, "\"video_urls\":[\"https://example.com/v.mp4?secret=1\"],"
                            "\"content\":[{\"type\":\"text\",\"text\":\"x\"},{\"type\":"
                            "\"image_url\",\"role\":\"reference_image\",\"image_url\":{\"url\":"
                            "\"data:image/png;base64,");
    base64_encode(&fields, png, len);
    (void)buf_add_text(&fields, "\"}}],\"image_url\":\"https://example.com/a.png\"");
    CLEANUP_FREE char *wanted =
        mem_format("{\"inputs\":["
                   "{\"field\":\"video_urls[0]\",\"kind\":\"video\",\"form\":\"address\"},"
                   "{\"field\":\"content[1]\",\"kind\":\"image\",\"role\":\"reference_image\","
                   "\"form\":\"data\",\"bytes\":24,\"hash\":\"%s\",\"width\":640,\"height\":480},"
                   "{\"field\":\"image_url\",\"kind\":\"image\",\"form\":\"address\"}]}",
                   hash);
    check_fields(false, buf_text(&fields), NULL);
    assert_string_equal(logged, wanted);
    (void)buf_add_text(&fields, ",\"duration\":99"); /* refused, and still logged */
    check_fields(false, buf_text(&fields), "duration");
    assert_string_equal(logged, wanted);
    buf_fini(&fields);
}

static void test_fetch__only_names_of_this_machine_are_local(void **state UNUSED)
{
    static const struct {
        const char *url;
        bool expected;
    } rows[] = {
        {"http://127.0.0.1/a", true},
        {"https://127.0.0.1:8080/a", true},
        {"http://localhost", true},
        {"http://LOCALHOST:80?x", true},
        {"http://[::1]:9/a", true},
        {"http://user:pass@localhost/a", true},
        {"https://example.com/a", false},
        {"http://127.0.0.1@example.com/", false},
        {"http://127.0.0.1.example.com/", false},
        {"http://localhost:0/", false},
        {"http://localhost:65536/", false},
        {"http://localhost:8x/", false},
        {"http://10.0.0.1/", false},
        {"ftp://localhost/", false},
        {"http://example.com/@localhost", false},
        {"asset://localhost/", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (fetch_is_local(rows[i].url) != rows[i].expected)
            fail_msg("%s", rows[i].url);
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

static void test_fetch__a_file_comes_whole_or_not_at_all(void **state UNUSED)
{
    static const struct {
        struct raw_response response;
        size_t max_bytes;
        int expected;
    } rows[] = {
        {{.bytes = OK "hello"}, 5, 200},
        {{.bytes = "HTTP/1.0 200 OK\r\n\r\nhello"}, 5, 200},
        {{.bytes = OK "hello"}, 4, -EFBIG},
        {{.bytes = OK "hell"}, 5, -EPROTO},
        {{.bytes = "HTTP/1.1 403 Forbidden\r\n\r\nhello"}, 5, 403},
        {{.bytes = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"}, 5, 302},
        {{.bytes = "SSH-2.0\r\n\r\n"}, 5, -EPROTO},
        {{.bytes = "HTTP/1.1 200 OK\r\n"}, 5, -EPROTO},
        {{.bytes = "HTTP/1.1 200 OK\r\n", .then = RAW_HANG}, 5, -ETIMEDOUT},
        {{.bytes = OK "hello", .then = RAW_TRICKLE}, 5, -ETIMEDOUT},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct raw_server *server = mem_alloc(sizeof(*server));
        raw_server_start(server, &rows[i].response, 1);
        CLEANUP_FREE char *url = mem_format("https://127.0.0.1:%d/a?b=c#d", server->port);
        struct buf body = SIM_BUF;
        bool is_late = rows[i].expected == -ETIMEDOUT;
        int64_t until_us = clock_monotonic_us() + (is_late ? 150 : 10000) * INT64_C(1000);
        int r = fetch_file(url, rows[i].max_bytes, until_us, &body);
        if (r != rows[i].expected)
            fail_msg("row %zu: %d", i, r);
        assert_string_equal(buf_text(&body), r == 200 ? "hello" : "");
        raw_server_stop(server);
        if (!is_late)
            assert_memory_equal(server->last_request,
                                "GET /a?b=c HTTP/1.0\r\nHost: 127.0.0.1:", 37);
        buf_fini(&body);
        free(server);
    }
}

static void test_fetch__nobody_listens_and_blanks_are_not_sent(void **state UNUSED)
{
    struct buf body = SIM_BUF;
    int64_t until_us = clock_monotonic_us() + 5000000;
    assert_int_equal(fetch_file("http://127.0.0.1:1/", 5, until_us, &body), -ECONNREFUSED);
    assert_int_equal(fetch_file("http://127.0.0.1:1/a b", 5, until_us, &body), -EINVAL);
    assert_int_equal(fetch_file("http://127.0.0.1:1/a\r\nX: y", 5, until_us, &body), -EINVAL);
    assert_int_equal(fetch_file("http://example.com/", 5, until_us, &body), -EINVAL);
}

/* A server that has one file, as a video (or another field) of a request. */
static void check_served(const char *field, const void *bytes, size_t len, const char *wanted)
{
    struct buf served = SIM_BUF;
    (void)buf_addf(&served, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
    (void)buf_add(&served, bytes, len);
    struct raw_server *server = mem_alloc(sizeof(*server));
    raw_server_start(server, &(struct raw_response){.bytes = served.data, .len = served.len}, 1);
    CLEANUP_FREE char *url = mem_format("http://localhost:%d/secret?secret=1", server->port);
    check_field(false, field, url, wanted);
    assert_int_equal(atomic_load(&server->requests), 1);
    raw_server_stop(server);
    free(server);
    buf_fini(&served);
    assert_null(strstr(logged, "secret"));
    CLEANUP_FREE char *facts = mem_format("\"form\":\"fetched\",\"bytes\":%zu,\"hash\":\"%016llx\"",
                                          len, (unsigned long long)checksum_64(bytes, len));
    assert_non_null(strstr(logged, facts));
}

static void test_inputs__a_file_on_this_machine_is_fetched_and_looked_at(void **state UNUSED)
{
    struct clip clip;
    unsigned char png[24];
    assert_int_equal(clip_embedded(0, &clip), 0);
    set_ffprobe(NULL, 0);
    check_served("video_url", clip.data, clip.size, NULL);
    check_served("image_url", sim_cover_data, sim_cover_size, NULL);
    check_served("image_url", clip.data, clip.size, "has a format that is not supported");
    check_served("video_url", sim_cover_data, sim_cover_size, "has a format that is not supported");
    check_served("video_url", "nonsense", 8, "has a format that is not supported");
    check_served("image_url", png, png_head(png, 64, 64), "sides of 300 to 6000");
}

#define STREAM(codec, width, height, rate)                                                         \
    "{\"streams\":[{\"codec_type\":\"audio\",\"codec_name\":\"aac\"},{\"codec_type\":\"video\","   \
    "\"codec_name\":\"" codec "\",\"width\":" width ",\"height\":" height                          \
    ",\"avg_frame_rate\":\"" rate "\"}],\"format\":{\"duration\":\""

static void test_inputs__a_fetched_video_is_what_ffprobe_says(void **state UNUSED)
{
    static const struct {
        const char *json;
        int code;
        const char *wanted;
    } rows[] = {
        {STREAM("h264", "1280", "720", "24/1") "5.04\"}}", 0, NULL},
        {STREAM("hevc", "720", "1280", "60/1") "15.04\"}}", 0, NULL},
        {STREAM("vp9", "1280", "720", "24/1") "5\"}}", 0, "must be H.264 or H.265"},
        {STREAM("h264", "1280", "720", "12/1") "5\"}}", 0, "24 to 60 frames"},
        {STREAM("h264", "1280", "720", "61/1") "5\"}}", 0, "24 to 60 frames"},
        {STREAM("h264", "1280", "720", "0/0") "5\"}}", 0, "24 to 60 frames"},
        {STREAM("h264", "298", "720", "24/1") "5\"}}", 0, "sides of 300 to 6000"},
        {STREAM("h264", "1280", "500", "24/1") "5\"}}", 0, "ratio"},
        {STREAM("h264", "1280", "720", "24/1") "1.7\"}}", 0, "a length of 2 to 15"},
        {STREAM("h264", "1280", "720", "24/1") "15.3\"}}", 0, "a length of 2 to 15"},
        {"{\"streams\":[],\"format\":{}}", 0, "cannot be decoded"},
        {"", 0, "cannot be decoded"},
        {"{}", 1, "cannot be decoded"},
        {"", 127, NULL}, /* there is a program, but it does not run: as if there were none */
    };
    struct clip clip;
    assert_int_equal(clip_embedded(0, &clip), 0);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        set_ffprobe(rows[i].json, rows[i].code);
        check_served("video_url", clip.data, clip.size, rows[i].wanted);
    }
}

static void test_inputs__what_cannot_be_fetched_is_refused(void **state UNUSED)
{
    static const struct raw_response missing = {.bytes = "HTTP/1.1 404 Not Found\r\n\r\n"};
    struct raw_server *server = mem_alloc(sizeof(*server));
    raw_server_start(server, &missing, 1);
    CLEANUP_FREE char *url = mem_format("http://127.0.0.1:%d/a", server->port);
    check_field(false, "image_url", url, "The image at `image_url` could not be downloaded: 404");
    assert_string_equal(logged, "{\"inputs\":[{\"field\":\"image_url\",\"kind\":\"image\","
                                "\"form\":\"fetched\"}]}");
    raw_server_stop(server);
    free(server);
    check_field(false, "video_url", url, "could not be downloaded: Connection refused");
    check_field(false, "video_url", "https://example.com/a", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inputs__a_signed_url_is_good_by_whatever_host),
        cmocka_unit_test(test_inputs__a_forged_or_expired_url_cannot_be_downloaded),
        cmocka_unit_test(test_inputs__a_file_that_no_task_has_is_404),
        cmocka_unit_test(test_inputs__a_video_is_no_image_and_a_cover_no_video),
        cmocka_unit_test(test_inputs__real_lengths_count),
        cmocka_unit_test(test_inputs__declared_lengths_are_limited_without_a_video),
        cmocka_unit_test(test_inputs__data_is_base64_and_no_video),
        cmocka_unit_test(test_inputs__data_has_a_limited_size),
        cmocka_unit_test(test_inputs__strict_wants_the_bytes_to_be_of_the_declared_type),
        cmocka_unit_test(test_inputs__strict_wants_sides_of_a_picture),
        cmocka_unit_test(test_inputs__strict_listens_to_ffprobe),
        cmocka_unit_test(test_inputs__modes_exclude_each_other_in_every_spelling),
        cmocka_unit_test(test_inputs__the_log_names_each_input_in_order),
        cmocka_unit_test(test_fetch__only_names_of_this_machine_are_local),
        cmocka_unit_test(test_fetch__a_file_comes_whole_or_not_at_all),
        cmocka_unit_test(test_fetch__nobody_listens_and_blanks_are_not_sent),
        cmocka_unit_test(test_inputs__a_file_on_this_machine_is_fetched_and_looked_at),
        cmocka_unit_test(test_inputs__a_fetched_video_is_what_ffprobe_says),
        cmocka_unit_test(test_inputs__what_cannot_be_fetched_is_refused),
    };
    if (models_load(NULL) < 0)
        return 1;
    return cmocka_run_group_tests(tests, tools_new, tools_free);
}
