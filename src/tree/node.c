/*
 * Nodes: attributes, rights, and what all kinds have in common. The differences are in the rows of
 * operations: root.c, job_nodes.c, views.c, models.c, defaults.c.
 *
 * The kernel may keep what changes only through the mount: names, and the attributes of finished
 * videos. The program never tells the kernel that something has changed, because it might wait for
 * a request to which it has to reply itself. So the kernel does not keep what changes by itself,
 * such as a status, or whether `error` is there. Where others change the tree as well, it keeps nothing
 * of what users make (is_changed_elsewhere).
 */
#include "tree_private.h"

#include <unistd.h>

/* Memory that is kept for the next rendering. */
enum { SCRATCH_BYTES_KEPT = 1024 * 1024 };

uint64_t node_ino(enum node_kind kind, int64_t id)
{
    return (uint64_t)id << 8 | (uint64_t)kind;
}

bool node_is_directory(const struct node *node)
{
    return S_ISDIR(node->ops->mode);
}

bool node_is_link(const struct node *node)
{
    return S_ISLNK(node->ops->mode);
}

static bool is_for_group_alone(const struct tree *tree)
{
    return tree->settings.group && !tree->settings.is_shared;
}

/* The bits of a group whose members may do what the owner may are those of the owner. */
static mode_t permissions(const struct tree *tree, const struct node *node)
{
    mode_t mode = node->ops->permissions ? node->ops->permissions(node) : node->ops->mode & 07777;
    if (tree->settings.group)
        mode |= (mode & 0700) >> 3;
    return is_for_group_alone(tree) ? mode & ~(mode_t)07 : mode;
}

bool node_is_owner(const struct tree *tree, const struct tree_caller *caller)
{
    return caller->uid == tree->uid || caller->is_member;
}

static void stat_fill(const struct tree *tree, struct stat *st, mode_t mode, int64_t size,
                      int64_t time_ms)
{
    st->st_mode = mode;
    st->st_nlink = S_ISDIR(mode) ? 2 : 1;
    st->st_uid = tree->uid;
    st->st_gid = tree->gid;
    st->st_size = size;
    st->st_blksize = 4096;
    st->st_blocks = (size + 511) / 512;
    st->st_mtim.tv_sec = time_ms / 1000;
    st->st_mtim.tv_nsec = time_ms % 1000 * 1000000;
    st->st_atim = st->st_ctim = st->st_mtim;
}

static int entry_fill(struct tree *tree, const struct node *node, int64_t size,
                      struct tree_entry *out)
{
    const struct node_ops *ops = node->ops;
    int64_t changed_ms = ops->changed_ms ? ops->changed_ms(tree, node)
                         : node->job     ? node->job->updated_ms
                                         : tree->born_ms;
    *out = (struct tree_entry){.entry_s = ops->entry_s, .attr_s = ops->attr_s};
    stat_fill(tree, &out->st, (ops->mode & S_IFMT) | permissions(tree, node), size, changed_ms);
    int r = ops->getattr ? ops->getattr(tree, node, out) : 0;
    if (ops->is_users && tree->settings.is_changed_elsewhere)
        out->entry_s = out->attr_s = 0;
    if (is_for_group_alone(tree)) /* each caller has to come by, not only the first one */
        out->entry_s = 0;
    out->st.st_ino = node_ino(node->kind, node->id);
    return r;
}

/* Finds the size by rendering. */
static int rendered_size(struct tree *tree, const struct node *node, int64_t *size)
{
    struct buf *scratch = &tree->scratch;
    buf_clear(scratch);
    int r = node_render(tree, node, scratch);
    *size = (int64_t)scratch->len;
    if (scratch->capacity > SCRATCH_BYTES_KEPT) { /* for example after a page of a thousand jobs */
        size_t limit = scratch->limit;
        buf_fini(scratch);
        buf_init(scratch, limit);
    }
    return r;
}

int node_entry(struct tree *tree, const struct node *node, struct tree_entry *out)
{
    int64_t size = 0;
    int r = node->ops->size     ? node->ops->size(tree, node, &size)
            : node->ops->render ? rendered_size(tree, node, &size)
                                : 0;
    if (r == 0 && node->ops->is_size_slow)
        tree->sizes[node->kind] = size;
    return r < 0 ? r : entry_fill(tree, node, size, out);
}

int node_entry_quick(struct tree *tree, const struct node *node, struct tree_entry *out)
{
    return node->ops->is_size_slow ? entry_fill(tree, node, tree->sizes[node->kind], out)
                                   : node_entry(tree, node, out);
}

void node_ghost_entry(const struct tree *tree, mode_t type, struct tree_entry *out)
{
    *out = (struct tree_entry){0};
    static const struct {
        mode_t type;
        mode_t bits;
    } types[] = {{S_IFLNK, 0777}, {S_IFREG, 0444}, {S_IFDIR, 0755}};
    size_t i = 0;
    while (types[i].type != type)
        i++;
    stat_fill(tree, &out->st, type | types[i].bits, 0, tree->born_ms);
    out->st.st_ino = node_ino(NODE_NONE, (int64_t)i + 1);
}

int node_find(struct tree *tree, const struct node *parent, const char *name, struct node *out)
{
    struct node_child child = {.next = 2};
    if (!node_is_directory(parent))
        return -ENOTDIR;
    if (parent->ops->lookup)
        return parent->ops->lookup(tree, parent, name, out);
    while (parent->ops->next(tree, parent, &child) > 0) {
        if (strcmp(child.name, name) == 0) {
            *out = child.node;
            return 0;
        }
    }
    return -ENOENT;
}

bool node_list_add(struct tree *tree, const struct node *node, const char *name, int64_t next,
                   tree_list_fn *fn, void *context)
{
    struct tree_entry entry;
    int r = node_entry(tree, node, &entry);
    if (r == -ENOENT)
        return true;
    /* If the name were left out, `rsync --delete` would conclude that there is no such file. */
    if (r < 0)
        entry = (struct tree_entry){.st.st_ino = node_ino(node->kind, node->id), .is_bare = true};
    return fn(context, name, &entry, next);
}

int node_render(struct tree *tree, const struct node *node, struct buf *out)
{
    return node->ops->render(tree, node, out);
}

int node_mode_bits(const struct tree *tree, mode_t mode, const struct tree_caller *caller)
{
    return (int)(node_is_owner(tree, caller) ? mode >> 6
                 : caller->gid == tree->gid  ? mode >> 3
                                             : mode) &
           7;
}

int node_access(struct tree *tree, const struct node *node, int mask,
                const struct tree_caller *caller)
{
    mode_t mode = permissions(tree, node);
    /* This holds for root, too: nobody can change an accepted request. */
    if (node->file && (mask & W_OK) && job_file_is_frozen(node->file))
        return -ERR_PROMPT_FROZEN;
    if (caller->uid == 0) {
        bool is_executable = node_is_directory(node) || (mode & 0111);
        /* A file that is never writable is not writable for root either: there is nothing to write
         * to. */
        bool is_writable = node->file || node_is_directory(node) || (mode & 0222);
        return ((mask & X_OK) && !is_executable) || ((mask & W_OK) && !is_writable) ? -EACCES : 0;
    }
    return (mask & ~node_mode_bits(tree, mode, caller) & 7) ? -EACCES : 0;
}
