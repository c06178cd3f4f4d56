/*
 * What: nodes: what an inode number or a name stands for. Each kind of node is one row of
 * operations, as in procfs. tree.c finds the node and calls the operation. If a kind does not have
 * the operation, tree.c returns an errno.
 * Lifetime: a node is a value. Everything in it is lent.
 * Errors: -ESTALE: nothing has this number any more.
 */
#ifndef SEEDANCEFS_TREE_NODE_H
#define SEEDANCEFS_TREE_NODE_H

#include "seedancefs/base/buf.h"
#include "seedancefs/base/text.h"
#include "seedancefs/job/file.h"
#include "seedancefs/job/jobs.h"
#include "seedancefs/tree/tree.h"

/* The last byte of an inode number. A kind keeps its number for ever, also over restarts. */
enum node_kind {
    NODE_NONE = 0,
    NODE_ROOT = 1, /* id: 0 */
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
    NODE_MODEL = 13,  /* id: of its name */
    NODE_DEFAULTS_ERROR = 14,
    NODE_AGENTS = 15,
    NODE_JOB = 16, /* id: the job; the generated files follow, in the order of their table */
    NODE_GENERATED = 17,
    NODE_FILE = 128,  /* id: the user's file */
    NODE_VIDEO = 129, /* id: the attempt */
    NODE_COVER = 130,
    NODE_JOB_LINK = 132,    /* id: the job */
    NODE_TAKES = 133,       /* id: the job */
    NODE_TAKE_PROMPT = 134, /* id: the attempt */
    NODE_ASSETS = 135,
    NODE_FIRST_FRAME = 136, /* id: the attempt */
    NODE_LAST_FRAME = 137,
    NODE_SCHEMAS = 138,
    NODE_SCHEMA = 139,      /* id: its index */
    NODE_VIDEO_FACTS = 140, /* id: the attempt */
};

struct generated;
struct handle_ops;

struct node {
    const struct node_ops *ops;
    enum node_kind kind;
    int64_t id;
    struct job *job;                   /* NULL above the jobs */
    struct job_take *take;             /* of what a take has made */
    struct job_file *file;             /* of NODE_FILE */
    const struct generated *generated; /* of a generated file of a job */
};

/* One step through a directory. */
struct node_child {
    int64_t next;     /* the offset after this child; the first child, after "." and "..", has 2 */
    bool is_unlisted; /* found only by its name: see watch.c */
    struct node node;
    char name[TEXT_NAME_MAX + 1];
};

/* For a directory whose name does not change by itself; for a file at the root. */
#define DIRECTORY_OPS .mode = S_IFDIR | 0755, .entry_s = KEEP_LONG_S
#define ROOT_FILE_OPS .mode = S_IFREG | 0444, .entry_s = KEEP_LONG_S, .is_direct = true

/* How long the kernel may keep a name or attributes. */
#define KEEP_LONG_S 86400.0
#define KEEP_SHORT_S 1.0

struct node_ops {
    mode_t mode;           /* with the type: S_IFREG | 0444 */
    enum node_kind parent; /* kind of the parent: id 0, or the job's; NODE_NONE: the root */
    double entry_s;        /* how long the name may be kept */
    double attr_s;         /* how long the attributes may be kept */
    bool is_direct;        /* never read through the page cache, because the length may change */
    bool is_size_slow;     /* only a walk through all jobs finds the size */
    bool has_xattrs;
    bool is_users;    /* users make it, name it and remove it */
    bool is_view;     /* a directory whose names come and go by themselves, and cannot be changed */
    bool is_made;     /* a file that the program makes: only who copies a job writes it */
    mode_t gone_type; /* of a directory: the type of the names that go by themselves; 0: none do */

    /* How a node is opened. NULL: a reader gets a snapshot of what `render` returns, a writer is
     * opened like a reader. */
    const struct handle_ops *reader;
    const struct handle_ops *writer;

    /* Completes a node whose kind and id are known. NULL: there is only one, with the id 0. */
    int (*get)(struct tree *tree, struct node *node);

    /* The permission bits; NULL: those of `mode`. */
    mode_t (*permissions)(const struct node *node);
    /* NULL: the length of what `render` gives, or 0. */
    int (*size)(struct tree *tree, const struct node *node, int64_t *size);
    /* The time of the last change; NULL: that of the job, or the start of the program. */
    int64_t (*changed_ms)(const struct tree *tree, const struct node *node);
    /* Corrects what the operations above have filled in. NULL: nothing to correct. */
    int (*getattr)(struct tree *tree, const struct node *node, struct tree_entry *out);
    /* NULL: the size cannot be set, and other changes are ignored. */
    int (*setattr)(struct tree *tree, const struct node *node, const struct tree_change *change);

    /* Appends the content, or the target of a link. */
    int (*render)(struct tree *tree, const struct node *node, struct buf *out);
    int (*unlink)(struct tree *tree, const struct node *node);
    int (*rmdir)(struct tree *tree, const struct node *node);
    int (*rename)(struct tree *tree, const struct node *node, const struct node *directory,
                  const char *name, unsigned flags);

    /* For a directory: finds the first child at or after child->next. 1, or 0: there is none. */
    int (*next)(struct tree *tree, const struct node *directory, struct node_child *child);
    /* Finds the child of this name; NULL: by a search through all children. */
    int (*lookup)(struct tree *tree, const struct node *directory, const char *name,
                  struct node *out);
    int (*mkdir)(struct tree *tree, const struct node *directory, const char *name,
                 struct node *out);
    /* Creates a name that does not exist. *flags are those of open(2); it is then opened with
     * them. */
    int (*create)(struct tree *tree, const struct node *directory, const char *name, mode_t mode,
                  int *flags, struct node *out);
};

uint64_t node_ino(enum node_kind kind, int64_t id);
bool node_is_directory(const struct node *node);
bool node_is_link(const struct node *node);
static inline bool node_is_frame(const struct node *node)
{
    return node->kind == NODE_FIRST_FRAME || node->kind == NODE_LAST_FRAME;
}
static inline enum job_frame node_frame(const struct node *node)
{
    return node->kind == NODE_FIRST_FRAME ? JOB_FIRST_FRAME : JOB_LAST_FRAME;
}

int node_entry(struct tree *tree, const struct node *node, struct tree_entry *out) NODISCARD;
/* For a reply whose attributes the kernel does not keep. If the size is slow to find, this uses the
 * last one found. */
int node_entry_quick(struct tree *tree, const struct node *node, struct tree_entry *out) NODISCARD;
/* An entry for a name that is gone, as if it existed. No other node has its inode number, so the
 * kernel changes the link count of nothing else when the name is removed. */
void node_ghost_entry(const struct tree *tree, mode_t type, struct tree_entry *out);

/* -ENOENT, or -ENOTDIR if the parent cannot contain names. */
int node_find(struct tree *tree, const struct node *parent, const char *name,
              struct node *out) NODISCARD;
/* Passes one entry of a listing to the caller; false when the caller wants no more. */
bool node_list_add(struct tree *tree, const struct node *node, const char *name, int64_t next,
                   tree_list_fn *fn, void *context);

/* Appends what node_ops.render gives. */
int node_render(struct tree *tree, const struct node *node, struct buf *out) NODISCARD;

int node_access(struct tree *tree, const struct node *node, int mask,
                const struct tree_caller *caller) NODISCARD;
/* The user who runs the program, or a member of the group that may do the same. */
bool node_is_owner(const struct tree *tree, const struct tree_caller *caller);
/* What these permission bits allow this caller, as the bits of access(2). */
int node_mode_bits(const struct tree *tree, mode_t mode, const struct tree_caller *caller);

/* root.c: finds the node of an inode number. */
int node_get(struct tree *tree, uint64_t ino, struct node *out) NODISCARD;

/* The kinds that other files refer to. */
extern const struct node_ops by_status_ops, status_ops, videos_ops, job_link_ops;
extern const struct node_ops models_ops, model_ops;
extern const struct node_ops text_ops, schemas_ops, schema_ops;
extern const struct node_ops jobs_ops, job_ops, file_ops, video_ops, cover_ops, generated_ops;
extern const struct node_ops frame_ops, video_facts_ops;
extern const struct node_ops takes_ops, take_prompt_ops, assets_ops;
extern const struct node_ops defaults_ops, defaults_error_ops;

#endif
