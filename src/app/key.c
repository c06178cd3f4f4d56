#include "key.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char key_variable[] = "TOKENHUB_API_KEY";

/* Whoever can read the key can spend money with it. Such a key is not refused, because a mounted
 * secret may not have other modes. */
bool file_text_is_exposed(const struct file_text *text)
{
    return (text->mode & (S_IRGRP | S_IROTH)) != 0;
}

int key_text_take(const char *path, const struct file_text *text, struct secret *out)
{
    int r = text->result;
    if (r == 0)
        r = secret_init(out, text->bytes, text->len);
    if (r < 0)
        log_warn("key.unreadable", "file=%s error=%s", path, err_name(r));
    else if (file_text_is_exposed(text))
        log_warn("key.readable", "file=%s mode=%04o", path, (unsigned)text->mode & 07777);
    return r;
}

static int key_from_file(const char *path, struct secret *out)
{
    struct file_text text;
    file_text_read(path, &text);
    int r = key_text_take(path, &text, out);
    if (r == -EINVAL)
        (void)fprintf(stderr,
                      "seedancefs: %s: this is no API key: one line of visible characters is "
                      "expected, like th-....\n",
                      path);
    else if (r < 0)
        (void)fprintf(stderr, "seedancefs: %s: the API key cannot be read: %s.\n", path,
                      err_sentence(r));
    else if (file_text_is_exposed(&text))
        (void)fprintf(stderr,
                      "seedancefs: warning: others can read the API key in %s. Forbid that with: "
                      "chmod 600 %s\n",
                      path, path);
    explicit_bzero(&text, sizeof(text));
    return r;
}

int secret_variable_take(const char *name, struct secret *out)
{
    char *value = getenv(name);
    int r = value ? secret_init(out, value, strlen(value)) : -ENOENT;
    while ((value = getenv(name)) != NULL) {
        explicit_bzero(value, strlen(value));
        (void)unsetenv(name);
    }
    return r;
}

static int key_from_environment(struct secret *out)
{
    int r = secret_variable_take(key_variable, out);
    if (r == -EINVAL)
        (void)fprintf(stderr,
                      "seedancefs: $%s is not an API key: visible characters without "
                      "blanks are expected, like th-....\n",
                      key_variable);
    return r;
}

static int key_find(const char *key_file, struct secret *out)
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

int key_read(const char *key_file, struct secret *out)
{
    CLEANUP(secret_fini) struct secret unused = {0};
    int r = key_find(key_file, out);
    (void)!secret_variable_take(key_variable, &unused); /* also when it was not needed */
    return r;
}
