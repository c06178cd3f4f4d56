/*
 * Guests are users other than root, the one who runs the program, and the members of --group. They may read, but must not
 * use up what the others need. Each guest has a limit. All of them together have one, too, because
 * one user can have very many user ids (user_namespaces(7)).
 *
 * A handle by itself costs little. The content of generated files counts by its bytes: a guest who
 * holds a version of a file is charged for it once, however often it is open.
 */
#include "guest.h"

#include "seedancefs/base/table.h"

#include <stdlib.h>

struct guest {
    uid_t uid;
    struct guest_use use;
    UT_hash_handle by_uid;
};

struct guest_holding {
    struct guest *guest;
    size_t count; /* of handles */
    struct guest_holding *next;
    struct guest_holding *prev;
};

int guest_enter(struct tree *tree, const struct tree_caller *caller, struct guest **out)
{
    struct guest *guest = NULL;
    *out = NULL;
    if (caller->uid == 0 || node_is_owner(tree, caller))
        return 0;
    HASH_FIND(by_uid, tree->guests, &caller->uid, sizeof(uid_t), guest);
    if (tree->guests_use.handles >= GUESTS_HANDLES_MAX ||
        (guest && guest->use.handles >= GUEST_HANDLES_MAX))
        return -EMFILE;
    if (!guest) {
        guest = calloc(1, sizeof(*guest));
        if (!guest)
            return -ENOMEM;
        guest->uid = caller->uid;
        HASH_ADD(by_uid, tree->guests, uid, sizeof(uid_t), guest);
        if (!TABLE_HAS(guest, by_uid)) {
            free(guest);
            return -ENOMEM;
        }
    }
    guest->use.handles++;
    tree->guests_use.handles++;
    *out = guest;
    return 0;
}

void guest_leave(struct tree *tree, struct guest *guest)
{
    if (!guest)
        return;
    tree->guests_use.handles--;
    if (--guest->use.handles > 0)
        return;
    HASH_DELETE(by_uid, tree->guests, guest);
    free(guest);
}

static struct guest_holding *holding_find(struct guest_holding *holdings, const struct guest *guest)
{
    struct guest_holding *found;
    LL_SEARCH_SCALAR(holdings, found, guest, guest);
    return found;
}

/* A guest who holds nothing yet may have one file of any size. */
static bool is_beyond(const struct guest_use *use, size_t bytes, size_t most)
{
    return use->bytes > 0 && use->bytes + bytes > most;
}

int guest_hold(struct tree *tree, struct guest *guest, struct guest_holding **holdings,
               size_t bytes)
{
    if (!guest)
        return 0;
    struct guest_holding *holding = holding_find(*holdings, guest);
    if (!holding) {
        if (is_beyond(&guest->use, bytes, GUEST_BYTES_MAX) ||
            is_beyond(&tree->guests_use, bytes, GUESTS_BYTES_MAX))
            return -EMFILE;
        holding = calloc(1, sizeof(*holding));
        if (!holding)
            return -ENOMEM;
        holding->guest = guest;
        DL_APPEND(*holdings, holding);
        guest->use.bytes += bytes;
        tree->guests_use.bytes += bytes;
    }
    holding->count++;
    return 0;
}

void guest_let_go(struct tree *tree, struct guest *guest, struct guest_holding **holdings,
                  size_t bytes)
{
    struct guest_holding *holding = guest ? holding_find(*holdings, guest) : NULL;
    if (!holding || --holding->count > 0)
        return;
    guest->use.bytes -= bytes;
    tree->guests_use.bytes -= bytes;
    DL_DELETE(*holdings, holding);
    free(holding);
}
