/*
 * Lookups. If the name does not exist and the caller may create a job of that name, the lookup is
 * parked until the inspector knows what the caller is about to do: see caller.c.
 */
#include "fuse_private.h"

#include "inspection.h"

#include "seedancefs/base/table.h"
#include "seedancefs/base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct lookup {
    struct inspection inspection;
    struct session *session;
    fuse_req_t req;
    fuse_ino_t parent;
    int64_t began_ms;
    char name[TEXT_NAME_MAX + 1];
    struct lookup *next;
    struct lookup *prev;
};

static void lookup_free(struct lookup *lookup)
{
    inspection_cancel(&lookup->inspection);
    DL_DELETE(lookup->session->lookups, lookup);
    free(lookup);
}

/* Meanwhile somebody else may have created the name, or the directory may have changed. */
static void lookup_end(void *context, bool is_creating)
{
    struct lookup *lookup = context;
    fuse_req_t req = lookup->req;
    struct tree_entry entry;
    int r = tree_lookup(tree_of(req), lookup->parent, lookup->name, &entry);
    if (r == -ENOENT && is_creating)
        r = tree_lookup_provisional(tree_of(req), lookup->parent, lookup->name, &entry);
    lookup_free(lookup);
    reply_entry(req, "lookup", r, &entry);
}

/* 0 when the lookup is parked. Otherwise why the reply comes at once: -ENOENT if the caller cannot
 * be inspected. */
static int lookup_park(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct session *session = session_of(req);
    size_t len = strlen(name);
    if (len > TEXT_NAME_MAX)
        return -ENOENT;
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    if (!lookup)
        return -ENOMEM;
    lookup->session = session;
    lookup->req = req;
    lookup->parent = parent;
    lookup->began_ms = session_now_ms(session);
    memcpy(lookup->name, name, len + 1);
    const struct inspection_question question = {.tid = fuse_req_ctx(req)->pid,
                                                 .name = lookup->name};
    if (inspection_start(&lookup->inspection, session->settings.inspector, &question, lookup_end,
                         lookup) < 0) {
        free(lookup);
        return -ENOENT;
    }
    DL_APPEND(session->lookups, lookup);
    return 0;
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct tree_entry entry;
    const struct session *session = session_of(req);
    if (is_emitter(req) && session->raising && parent == session->raising_parent &&
        strcmp(name, session->raising) == 0) {
        int r = session->is_raising_gone ? tree_lookup_gone(tree_of(req), parent, name, &entry)
                                         : -ENOENT;
        reply_entry(req, "lookup", r, &entry);
        return;
    }
    int r = directory_check(req, parent, X_OK);
    if (r == 0)
        r = tree_lookup(tree_of(req), parent, name, &entry);
    /* A caller who may not create anything is not inspected. */
    if (r == -ENOENT && tree_provisional_check(tree_of(req), parent, CALLER(req)) == 0) {
        r = lookup_park(req, parent, name);
        if (r == 0)
            return;
    }
    reply_entry(req, "lookup", r, &entry);
}

void lookups_state_log(const struct session *session)
{
    const struct lookup *lookup;
    DL_FOREACH (session->lookups, lookup) {
        parked_state_log(session, "lookup", lookup->parent, lookup->began_ms);
    }
}

void lookups_end(struct session *session)
{
    while (session->lookups) {
        fuse_req_t req = session->lookups->req;
        lookup_free(session->lookups);
        reply_error(req, "lookup", -ENOTCONN);
    }
}
