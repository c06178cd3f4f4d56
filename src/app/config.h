/*
 * What: the file of options (--config): one option a line in the form of the long options, "budget
 * 5/day", "budget=5/day" or "hold"; "--" before a name, blank lines and lines that begin with "#"
 * may be there. It is read at the start and, by another process, at SIGHUP.
 * Errors: -EINVAL and a sentence that names the file and the line; -EIO and a sentence when it
 * cannot be read; -ENOMEM.
 */
#ifndef SEEDANCEFS_APP_CONFIG_H
#define SEEDANCEFS_APP_CONFIG_H

#include "file_reader.h"
#include "options.h"

#include "seedancefs/base/attributes.h"

/* Fills `options` from the command line and from the file that it names. What the command line says
 * goes first. Has said on standard error what is wrong. */
enum options_result config_options_parse(struct options *options, int argc, char **argv);

struct config_news {
    char why[OPTIONS_WHY_SIZE];     /* nothing has changed: what is wrong */
    char changed[OPTIONS_WHY_SIZE]; /* names of options */
    char restart[OPTIONS_WHY_SIZE]; /* those that change at the next start only */
};

/* Applies what the file says now to the running options. With a mistake in the file nothing
 * changes. */
int config_reload(const struct file_text *text, struct options *options,
                  struct config_news *out) NODISCARD;

#endif
