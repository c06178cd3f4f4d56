/*
 * Where a video is in the object store: see upload.c.
 */
#include "tree_private.h"

#include "seedancefs/objects/objects.h"

#include <stdio.h>

enum { STORED_LIFE_MS = 3600 * 1000 }; /* of an address for our own requests: they begin at once */

int stored_key_get(const struct tree *tree, int64_t take_id, struct stored_key *out)
{
    char uid[STORE_UID_SIZE];
    int r = store_attempt_uid_get(tree->settings.store, take_id, uid);
    if (r == 0)
        (void)snprintf(out->text, sizeof(out->text), "media/%s.mp4", uid);
    return r;
}

bool stored_is_there(const struct tree *tree, const struct job_take *take)
{
    return tree->settings.objects && take->is_stored;
}

int stored_url_get(const struct tree *tree, const struct job_take *take, bool is_for_service,
                   struct buf *out)
{
    struct stored_key key;
    if (!take || !stored_is_there(tree, take))
        return -ENOENT;
    int r = stored_key_get(tree, take->id, &key);
    return r < 0 ? r
                 : objects_url(tree->settings.objects, key.text,
                               is_for_service ? STORED_LIFE_LONG_MS : STORED_LIFE_MS, out);
}
