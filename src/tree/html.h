/*
 * What: text from outside as part of a page. Everything that comes from outside (names, prompts,
 * errors) passes here.
 * Lifetime: adds to the caller's buffer, which remembers an error.
 */
#ifndef SEEDANCEFS_TREE_HTML_H
#define SEEDANCEFS_TREE_HTML_H

#include "seedancefs/base/buf.h"
#include "seedancefs/job/job.h"

/* Adds text as HTML, also for an attribute: markup in it becomes text, control characters and what
 * is secret in addresses are shown as in all generated files. */
void html_add(struct buf *out, const char *text, size_t len);
void html_add_text(struct buf *out, const char *text);

/* Adds a name as part of a path in a URL, in an attribute (RFC 3986: escapes all but the unreserved
 * characters). */
void url_add(struct buf *out, const char *name);
/* "jobs/NAME/FILE"; `file` is a text of the program. */
void url_add_file(struct buf *out, const struct job *job, const char *file);

#endif
