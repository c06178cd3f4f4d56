/*
 * A file is rendered each time it is opened, and compared with the latest version that somebody has
 * open. A version number would have to follow everything that a file shows; this way none is
 * needed. Older versions are known only to the handles that hold them.
 */
#include "handle.h"

#include "guest.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/number.h"

#include <stdlib.h>
#include <string.h>

enum { SNAPSHOT_BYTES_MAX = 128 * 1024 * 1024 };

static bool is_same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && memcmp(buf_text(a), buf_text(b), a->len) == 0;
}

/* Takes the content. The result becomes the latest version, instead of `before` (NULL: there is
 * none). */
static struct snapshot *snapshot_new(struct tree *tree, uint64_t ino, struct buf *content,
                                     struct snapshot *before)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (!snapshot)
        return NULL;
    *snapshot = (struct snapshot){.content = *content, .ino = ino};
    *content = (struct buf){0};
    if (before) {
        HASH_DELETE(by_ino, tree->snapshots, before);
        before->by_ino.tbl = NULL;
    }
    /* Without memory for the table the snapshot is not shared. */
    HASH_ADD(by_ino, tree->snapshots, ino, sizeof(snapshot->ino), snapshot);
    return snapshot;
}

static void snapshot_unref(struct tree *tree, struct snapshot *snapshot)
{
    if (--snapshot->refs > 0)
        return;
    if (TABLE_HAS(snapshot, by_ino))
        HASH_DELETE(by_ino, tree->snapshots, snapshot);
    buf_fini(&snapshot->content);
    free(snapshot);
}

int snapshot_take(struct tree_handle *handle, struct snapshot **out)
{
    struct tree *tree = handle->tree;
    uint64_t ino = node_ino(handle->node.kind, handle->node.id);
    struct snapshot *snapshot = NULL;
    CLEANUP(buf_fini) struct buf content = {.limit = SNAPSHOT_BYTES_MAX};
    int r = node_render(tree, &handle->node, &content);
    if (r < 0)
        return r;
    HASH_FIND(by_ino, tree->snapshots, &ino, sizeof(ino), snapshot);
    if (!snapshot || !is_same(&snapshot->content, &content))
        snapshot = snapshot_new(tree, ino, &content, snapshot);
    if (!snapshot)
        return -ENOMEM;
    snapshot->refs++;
    r = guest_hold(tree, handle->guest, &snapshot->holdings, snapshot->content.len);
    if (r < 0)
        snapshot_unref(tree, snapshot);
    else
        *out = snapshot;
    return r;
}

void snapshot_release(struct tree *tree, struct snapshot *snapshot, struct guest *guest)
{
    if (!snapshot)
        return;
    guest_let_go(tree, guest, &snapshot->holdings, snapshot->content.len);
    snapshot_unref(tree, snapshot);
}

int snapshot_open(struct tree_handle *handle, int flags UNUSED)
{
    return snapshot_take(handle, &handle->snapshot);
}

int snapshot_read(struct tree_handle *handle, size_t size, int64_t offset, struct tree_bytes *out)
{
    *out = text_part(&handle->snapshot->content, size, offset);
    return 0;
}

struct tree_bytes text_part(const struct buf *text, size_t size, int64_t offset)
{
    size_t start = offset < 0 ? text->len : min_size((size_t)offset, text->len);
    return (struct tree_bytes){
        .fd = -1, .memory = buf_text(text) + start, .len = min_size(text->len - start, size)};
}
