/*
 * What: the card of one job on index.html, and what the cards of a page have in common.
 * Lifetime: a zeroed `struct index_reasons` is empty.
 * Errors: the buffer remembers them.
 */
#ifndef SEEDANCEFS_TREE_INDEX_CARD_H
#define SEEDANCEFS_TREE_INDEX_CARD_H

#include "tree_private.h"

/* What holds up many jobs is said once, above them. */
enum { INDEX_REASONS = 32 };
struct index_reasons {
    unsigned count[INDEX_REASONS]; /* of cards, by the row of reason_rows */
    int64_t job_id[INDEX_REASONS]; /* of one of them whose text everybody may read; 0: none */
    unsigned tall;                 /* cards whose picture is higher than wide */
    unsigned wide;
};

/* Adds the card, and counts what it says. */
void index_card_add(struct tree *tree, struct job *job, struct index_reasons *reasons,
                    struct buf *out);
/* Adds a banner for each reason that several of the cards have. */
void index_banners_add(struct tree *tree, const struct index_reasons *reasons, struct buf *out);
/* "$1.00": in dollars, with cents. */
void index_usd_add(struct buf *out, int64_t usd_micros);

#endif
