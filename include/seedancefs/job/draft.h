/*
 * What: a text that is being written, and judged as a whole when its last writer has closed it:
 * prompt.json, prompt.txt, defaults.json. The draft knows who writes, what has failed, and when a
 * verdict is due; its operations know where the bytes lie and what an acceptable text leads to.
 *
 * `is_sequential` is what makes an early report safe: only when the content was written from the
 * first byte on without a seek is a syntax error in it final. An editor that rewrites in place may
 * pass through any nonsense on its way.
 * Lifetime: embedded in its owner; zeroed but for `ops` and `owner` while nobody writes.
 * Errors: those of the operations; -EFBIG.
 */
#ifndef SEEDANCEFS_JOB_DRAFT_H
#define SEEDANCEFS_JOB_DRAFT_H

#include "seedancefs/base/attributes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct draft;

struct draft_ops {
    /* The text is about to change, and to have up to `size` bytes: sets is_dirty, or says why that
     * cannot be. */
    int (*begin)(struct draft *draft, int64_t size);
    int (*write)(struct draft *draft, const void *bytes, size_t len, int64_t offset);
    int (*resize)(struct draft *draft, int64_t size);
    /* -ERR_PROMPT_INVALID or -ERR_BUDGET, and shown to the user, when no further byte can make the
     * text right. When it is being closed, -ERR_JSON_INCOMPLETE if more bytes can. */
    int (*report)(struct draft *draft, bool is_closing);
    /* Finds out whether the disk takes what the commit will write. */
    int (*sync)(struct draft *draft);
    /* Nobody writes any more: draft_error(), or the text, decides. The result is truncate(2)'s. */
    int (*commit)(struct draft *draft);
};

struct draft {
    const struct draft_ops *ops;
    void *owner;
    unsigned writers;
    bool is_dirty;      /* changed since it was committed last */
    bool is_sequential; /* written from the first byte to the last without a seek, up to: */
    int64_t sequential_end;
    int write_result; /* why a write failed since the text was last empty; 0: none did */
    int flush_result; /* the error that the last close reported; 0: none */
};

/* A new text, or one opened to append, is going to be written from `end` on. */
void draft_begin(struct draft *draft, int64_t end);

/* Writes all or nothing. Bytes that make the text definitely not acceptable are written, too, and
 * the verdict is returned. */
int draft_write(struct draft *draft, const void *bytes, size_t len, int64_t offset) NODISCARD;
/* Without a writer this is a whole writing. */
int draft_truncate(struct draft *draft, int64_t size) NODISCARD;
/* What close(2) should report. Never commits: one open file sees several. -ERR_JSON_INCOMPLETE: it
 * should if this was the last one. */
int draft_flush(struct draft *draft) NODISCARD;
/* A write or a flush failed with -ENOMEM before it came here. */
void draft_write_dropped(struct draft *draft, bool is_flush);
/* A writer has closed it; the last one commits. */
void draft_close(struct draft *draft);
/* The same when nobody said that the writer is done: nothing is committed. */
void draft_abandon(struct draft *draft);

/* Why the text is not what its writer meant, or its writer was told that closing failed: it must
 * not be used. 0: it may be. */
int draft_error(const struct draft *draft);

#endif
