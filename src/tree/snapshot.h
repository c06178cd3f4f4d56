/*
 * What: what a generated file held at one moment. All who have opened the same version of it share
 * one.
 * Lifetime: counted by reference: snapshot_take() .. snapshot_release().
 * Errors: those of rendering; -EMFILE where a guest has too much, see guest.h.
 */
#ifndef SEEDANCEFS_TREE_SNAPSHOT_H
#define SEEDANCEFS_TREE_SNAPSHOT_H

#include "handle.h"

struct snapshot {
    struct buf content; /* does not change */
    uint64_t ino;
    size_t refs;
    struct guest_holding *holdings;
    UT_hash_handle by_ino; /* of the latest version of its file */
};

/* The present content of the handle's node, for the handle's guest. */
int snapshot_take(struct tree_handle *handle, struct snapshot **out) NODISCARD;

/* With the guest that it was taken for. Does nothing for NULL. */
void snapshot_release(struct tree *tree, struct snapshot *snapshot, struct guest *guest);

#endif
