#include "key.h"

#include "seedancefs/base/buf.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/file.h"
#include "seedancefs/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char key_variable[] = "TOKENHUB_API_KEY";

/* The key spends money for whoever reads it. Not refused: a mounted secret may not have other modes. */
static void key_mode_look(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0 || (st.st_mode & (S_IRGRP | S_IROTH)) == 0)
        return;
    (void)fprintf(stderr,
                  "seedancefs: warning: %s can be read by others, and with it the API key: "
                  "chmod 600 %s\n",
                  path, path);
    log_warn("key.readable", "file=%s mode=%04o", path, (unsigned)st.st_mode & 07777);
}

static int key_from_file(const char *path, struct secret *out)
{
    struct buf text;
    buf_init(&text, 8192);
    int r = file_read_all(path, &text);
    if (r == 0)
        r = secret_init(out, buf_text(&text), text.len);
    if (r == -EINVAL)
        (void)fprintf(stderr,
                      "seedancefs: %s: this is no API key: one line of visible characters is "
                      "expected, like th-....\n",
                      path);
    else if (r < 0)
        (void)fprintf(stderr, "seedancefs: %s: the API key cannot be read: %s.\n", path,
                      err_sentence(r));
    if (r == 0)
        key_mode_look(path);
    else
        log_warn("key.unreadable", "file=%s error=%s", path, err_name(r));
    if (text.data)
        explicit_bzero(text.data, text.len);
    buf_fini(&text);
    return r;
}

static int key_from_environment(struct secret *out)
{
    char *value = getenv(key_variable);
    if (!value)
        return -ENOENT;
    int r = secret_init(out, value, strlen(value));
    if (r < 0)
        (void)fprintf(stderr,
                      "seedancefs: $%s is not an API key: visible characters without "
                      "blanks are expected, like th-....\n",
                      key_variable);
    explicit_bzero(value, strlen(value));
    (void)unsetenv(key_variable);
    return r;
}

int key_read(const char *key_file, struct secret *out)
{
    if (key_file)
        return key_from_file(key_file, out);
    int r = key_from_environment(out);
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    if (r != -ENOENT || !credentials)
        return r;
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/tokenhub-api-key", credentials) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    return key_from_file(path, out);
}
