#include "html.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/text.h"

#include <string.h>

void html_add(struct buf *out, const char *text, size_t len)
{
    CLEANUP(buf_fini) struct buf shown = {.limit = out->limit};
    size_t from = 0;
    if (text_add_shown(&shown, text, len) < 0 && !out->error)
        out->error = shown.error;
    for (size_t i = 0; i < shown.len; i++) {
        char c = shown.data[i];
        const char *instead = c == '&'    ? "&amp;"
                              : c == '<'  ? "&lt;"
                              : c == '>'  ? "&gt;"
                              : c == '"'  ? "&quot;"
                              : c == '\'' ? "&#39;"
                                          : NULL;
        if (!instead)
            continue;
        buf_add(out, shown.data + from, i - from);
        buf_add_text(out, instead);
        from = i + 1;
    }
    buf_add(out, buf_text(&shown) + from, shown.len - from);
}

void html_add_text(struct buf *out, const char *text)
{
    html_add(out, text, strlen(text));
}

void url_add(struct buf *out, const char *name)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (const char *p = name; *p; p++) {
        if (strchr(plain, *p))
            buf_add_char(out, *p);
        else
            buf_addf(out, "%%%02X", (unsigned)(unsigned char)*p);
    }
}

void url_add_file(struct buf *out, const struct job *job, const char *file)
{
    buf_add_text(out, "jobs/");
    url_add(out, job->name);
    buf_addf(out, "/%s", file);
}
