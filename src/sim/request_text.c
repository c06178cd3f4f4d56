#include "sim/sim.h"
#include "sim/url.h"

#include <stdlib.h>
#include <string.h>

char *request_media_url(const struct request *q, const char *extension)
{
    char *path = mem_format("/media/%s.%s", q->task->id, extension);
    char *target = url_sign(path, q->sim->options.url_expires_s, q->url_nonce);
    char *url = mem_format("http://127.0.0.1:%u%s", q->sim->media_port, target);
    free(target);
    free(path);
    return url;
}

char *request_expand(const struct request *q, const char *text)
{
    struct buf out = SIM_BUF;
    char *url = q->task != NULL ? request_media_url(q, "mp4") : mem_strdup("http://");
    const char *path = strchr(url + strlen("http://"), '/');
    while (*text != '\0') {
        if (strncmp(text, "{{api_port}}", 12) == 0) {
            buf_addf(&out, "%u", q->sim->api_port);
            text += 12;
        } else if (strncmp(text, "{{media_port}}", 14) == 0) {
            buf_addf(&out, "%u", q->sim->media_port);
            text += 14;
        } else if (strncmp(text, "{{video_path}}", 14) == 0) {
            buf_add_text(&out, path != NULL ? path : "/");
            text += 14;
        } else {
            buf_add(&out, text++, 1);
        }
    }
    free(url);
    return text_take(&out);
}
