/*
 * What: nodes: what an inode number or a name stands for. Each kind of node is one row of
 * operations, as in procfs. tree.c finds the node and calls the operation; an operation that a kind
 * does not have is an errno there.
 * Lifetime: a node is a value. Everything in it is lent.
 * Errors: -ESTALE: nothing stands behind the number any more.
 */
#ifndef SEEDANCEFS_TREE_NODE_H
#define SEEDANCEFS_TREE_NODE_H

#include "seedancefs/base/buf.h"
#include "seedancefs/base/text.h"
#include "seedancefs/job/file.h"
#include "seedancefs/tree/tree.h"

/* The last byte of an inode number, which means the same after any restart. */
enum node_kind {
    NODE_NONE = 0,
    NODE_ROOT = 1, /* ids 0 */
    NODE_README = 2,
    NODE_JOBS = 3,
    NODE_SPEND = 4,
    NODE_INDEX = 5,
    NODE_EVENTS = 6,
    NODE_METRICS = 7,
    NODE_VIDEOS = 8,
    NODE_BY_STATUS = 9,
    NODE_MODELS = 10,
    NODE_DEFAULTS = 11,
    NODE_STATUS = 12, /* id: the state */
    NODE_MODEL = 13,  /* id: its place */
    NODE_DEFAULTS_ERROR = 14,
    NODE_JOB = 16, /* id of the job; the generated files follow, in the order of their table */
    NODE_GENERATED = 17,
    NODE_FILE = 128,  /* id of the user's file */
    NODE_VIDEO = 129, /* id of the attempt */
    NODE_COVER = 130,
    NODE_VIDEO_LINK = 131, /* id of the job */
    NODE_JOB_LINK = 132,
};

struct generated;
struct handle_ops;

struct node {
    const struct node_ops *ops;
    enum node_kind kind;
    int64_t id;
    struct job *job;                   /* NULL above the jobs */
    struct job_file *file;             /* of NODE_FILE */
    const struct generated *generated; /* of a generated file of a job */
};

/* A step through a directory. */
struct node_child {
    int64_t next;     /* the offset after it; 2 is that of the first child, after "." and ".." */
    bool is_unlisted; /* found by its name only: see watch.c */
    struct node node;
    char name[TEXT_NAME_MAX + 8];
};

/* A directory whose name does not change by itself; a file at the root. */
#define DIRECTORY_OPS .mode = S_IFDIR | 0755, .entry_s = KEEP_LONG_S
#define ROOT_FILE_OPS .mode = S_IFREG | 0444, .entry_s = KEEP_LONG_S, .is_direct = true

/* How long the kernel may keep a name or attributes. */
#define KEEP_LONG_S 86400.0
#define KEEP_SHORT_S 1.0

struct node_ops {
    mode_t mode;           /* with the type: S_IFREG | 0444 */
    enum node_kind parent; /* of id 0, or the job's directory; NODE_NONE: the root */
    double entry_s;        /* how long the name may be kept */
    double attr_s;         /* how long the attributes may be kept */
    bool is_direct;        /* never read through the page cache: the length may change */
    bool is_size_slow;     /* only a walk through all jobs tells the size */
    bool has_xattrs;
    mode_t gone_type; /* of a directory: the type of the names that go by themselves; 0: none do */

    /* How it is opened. NULL: to read a snapshot of what `render` gives, and to write as to
     * read. */
    const struct handle_ops *reader;
    const struct handle_ops *writer;

    /* Completes a node of which kind and id are known. NULL: there is one, with the id 0. */
    int (*get)(struct tree *tree, struct node *node);

    /* The permission bits; NULL: those of `mode`. */
    mode_t (*permissions)(const struct node *node);
    /* NULL: the length of what `render` gives, or 0. */
    int (*size)(struct tree *tree, const struct node *node, int64_t *size);
    /* The time of the last change; NULL: that of the job, or the start of the program. */
    int64_t (*changed_ms)(const struct tree *tree, const struct node *node);
    /* Corrects what the operations above have filled in. NULL: it is right. */
    int (*getattr)(struct tree *tree, const struct node *node, struct tree_entry *out);
    /* NULL: the size cannot be set, and the rest is ignored. */
    int (*setattr)(struct tree *tree, const struct node *node, const struct tree_change *change);

    /* Appends the content, or the target of a link. */
    int (*render)(struct tree *tree, const struct node *node, struct buf *out);
    int (*unlink)(struct tree *tree, const struct node *node);
    int (*rmdir)(struct tree *tree, const struct node *node);
    int (*rename)(struct tree *tree, const struct node *node, const struct node *directory,
                  const char *name, unsigned flags);

    /* Of a directory: the first child at or after child->next. 1, or 0: there is none. */
    int (*next)(struct tree *tree, const struct node *directory, struct node_child *child);
    /* The child of this name; NULL: all of them are gone through. */
    int (*lookup)(struct tree *tree, const struct node *directory, const char *name,
                  struct node *out);
    int (*mkdir)(struct tree *tree, const char *name, struct node *out);
    /* Of a name that is not there. *flags are those of open(2) with which it is opened then. */
    int (*create)(struct tree *tree, const struct node *directory, const char *name, mode_t mode,
                  int *flags, struct node *out);
};

uint64_t node_ino(enum node_kind kind, int64_t id);
bool node_is_directory(const struct node *node);
bool node_is_link(const struct node *node);

/* The attributes. */
int node_entry(struct tree *tree, const struct node *node, struct tree_entry *out) NODISCARD;
/* For a response whose attributes the kernel does not keep. A size that is slow to find out is the
 * one that was found out last. */
int node_entry_quick(struct tree *tree, const struct node *node, struct tree_entry *out) NODISCARD;
/* A name that is gone, as if it were there. Its inode number belongs to nothing else, so that the
 * kernel changes the link count of nothing else when the name is removed. */
void node_ghost_entry(const struct tree *tree, mode_t type, struct tree_entry *out);

/* -ENOENT, or -ENOTDIR where there can be no names. */
int node_find(struct tree *tree, const struct node *parent, const char *name,
              struct node *out) NODISCARD;
/* Passes one entry of a listing to the caller; false when it wants no more. */
bool node_list_add(struct tree *tree, const struct node *node, const char *name, int64_t next,
                   tree_list_fn *fn, void *context);

/* Appends what node_ops.render gives. */
int node_render(struct tree *tree, const struct node *node, struct buf *out) NODISCARD;

int node_access(struct tree *tree, const struct node *node, int mask,
                const struct tree_caller *caller) NODISCARD;
/* What this caller may do by these permission bits, as the bits of access(2). */
int node_mode_bits(const struct tree *tree, mode_t mode, const struct tree_caller *caller);

/* root.c: what an inode number stands for. */
int node_get(struct tree *tree, uint64_t ino, struct node *out) NODISCARD;

/* The kinds that other files refer to. */
extern const struct node_ops by_status_ops, status_ops, videos_ops, video_link_ops, job_link_ops;
extern const struct node_ops models_ops, model_ops;
extern const struct node_ops jobs_ops, job_ops, file_ops, video_ops, cover_ops, generated_ops;
extern const struct node_ops defaults_ops, defaults_error_ops;

#endif
