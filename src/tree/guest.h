/*
 * What: limits how much of the program guests may use: users who neither run it nor are root.
 * Lifetime: a guest exists while it has a handle open: guest_enter() .. guest_leave(). NULL stands
 * for users without limits.
 * Errors: -EMFILE beyond a limit.
 */
#ifndef SEEDANCEFS_TREE_GUEST_H
#define SEEDANCEFS_TREE_GUEST_H

#include "tree_private.h"

struct guest_holding;

enum {
    GUEST_HANDLES_MAX = 1024,
    GUESTS_HANDLES_MAX = 4096, /* of all guests together */
    GUEST_BYTES_MAX = 32 * 1024 * 1024,
    GUESTS_BYTES_MAX = 128 * 1024 * 1024,
};

/* Counts one more handle. *out is NULL for a caller without limits. */
int guest_enter(struct tree *tree, const struct tree_caller *caller, struct guest **out) NODISCARD;
void guest_leave(struct tree *tree, struct guest *guest);

/* Counts one more handle on content of `bytes`. `holdings` lists all who hold that content. */
int guest_hold(struct tree *tree, struct guest *guest, struct guest_holding **holdings,
               size_t bytes) NODISCARD;
void guest_let_go(struct tree *tree, struct guest *guest, struct guest_holding **holdings,
                  size_t bytes);

#endif
