#include "config.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char blanks[] = " \t\r";

static char *trimmed(char *text)
{
    text += strspn(text, blanks);
    size_t len = strlen(text);
    while (len > 0 && strchr(blanks, text[len - 1]))
        text[--len] = '\0';
    return text;
}

/* "name value", "name=value" or "name". */
static int line_apply(char *line, struct options *options, char why[static OPTIONS_WHY_SIZE])
{
    char *name = trimmed(line);
    if (*name == '\0' || *name == '#')
        return 0;
    if (strncmp(name, "--", 2) == 0)
        name += 2;
    size_t len = strcspn(name, " \t=");
    char *value = name[len] ? name + len + 1 : NULL;
    name[len] = '\0';
    if (value) {
        value += strspn(value, blanks);
        if (*value == '=') /* "name = value" */
            value++;
        value = trimmed(value);
    }
    return options_line_set(options, name, value, why);
}

static int lines_apply(const char *path, const struct file_text *text, struct options *options,
                       char why[static OPTIONS_WHY_SIZE])
{
    char copy[sizeof(text->bytes) + 1];
    char wrong[OPTIONS_WHY_SIZE];
    memcpy(copy, text->bytes, text->len);
    copy[text->len] = '\0';
    char *rest = copy;
    char *line;
    if (strlen(copy) != text->len) {
        (void)snprintf(why, OPTIONS_WHY_SIZE, "%s: this is no text: it has a NUL byte.", path);
        return -EINVAL;
    }
    for (unsigned number = 1; (line = strsep(&rest, "\n")) != NULL; number++) {
        int r = line_apply(line, options, wrong);
        if (r == -EINVAL)
            (void)snprintf(why, OPTIONS_WHY_SIZE, "%s:%u: %.400s%s", path, number, wrong,
                           text_full_stop(wrong));
        if (r < 0)
            return r;
    }
    return 0;
}

/* An optional file that is not there says nothing. */
static int text_apply(const char *path, bool is_optional, const struct file_text *text,
                      struct options *options, char why[static OPTIONS_WHY_SIZE])
{
    why[0] = '\0';
    if (text->result == -ENOENT && is_optional)
        return 0;
    if (text->result == 0)
        return lines_apply(path, text, options, why);
    (void)snprintf(why, OPTIONS_WHY_SIZE, "%s: the options cannot be read: %s.", path,
                   err_sentence(text->result));
    return -EIO;
}

/* The command line says where the file is, and goes before it: so it is applied twice. */
static enum options_result file_apply(struct options *options, int argc, char **argv)
{
    CLEANUP_FREE char *path = TAKE_POINTER(options->config);
    bool is_optional = options->is_config_optional;
    struct file_text text;
    char why[OPTIONS_WHY_SIZE];
    options_fini(options);
    file_text_read(path, &text);
    int r = options_init(options);
    if (r == 0)
        r = text_apply(path, is_optional, &text, options, why);
    if (r == 0)
        return options_arguments_apply(options, argc, argv);
    if (r != -ENOMEM)
        (void)fprintf(stderr, "seedancefs: %s\n", why);
    return OPTIONS_WRONG;
}

enum options_result config_options_parse(struct options *options, int argc, char **argv)
{
    if (options_init(options) < 0)
        return OPTIONS_WRONG;
    if (options_mount_arguments_take(&argc, argv))
        return OPTIONS_DONE;
    enum options_result result = options_arguments_apply(options, argc, argv);
    if (result == OPTIONS_RUN && options->config)
        result = file_apply(options, argc, argv);
    if (result == OPTIONS_RUN && options->is_share_init)
        return OPTIONS_RUN; /* it mounts nothing */
    if (result == OPTIONS_RUN && options_complete(options, argc, argv) < 0)
        result = OPTIONS_WRONG;
    return result;
}

int config_reload(const struct file_text *text, struct options *options, struct config_news *out)
{
    CLEANUP(options_fini) struct options fresh = {0};
    *out = (struct config_news){.why = ""};
    int r = options_init(&fresh);
    if (r == 0)
        /* That it cannot be found now does not take back what it said before. */
        r = text_apply(options->config, options->is_config_optional && options->configured == 0,
                       text, &fresh, out->why);
    if (r == -ENOMEM)
        (void)snprintf(out->why, sizeof(out->why), "%s: there is not enough memory.",
                       options->config);
    if (r == 0)
        options_take(options, &fresh, out->changed, out->restart);
    return r;
}
