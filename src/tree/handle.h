/*
 * What: open files. Each kind of handle is one row of operations. handle.c has those that reply at
 * once, and the media; watch.c has those that may wait for a change. A row of struct node_ops says
 * which kind a node is opened with.
 * Lifetime: handle_open() .. handle_close(). A read that waits is a `struct tree_read_state`, until
 * read_reply() or tree_read_cancel().
 * Errors: an operation that a kind does not have is EBADF (write) or EINVAL (truncate).
 */
#ifndef SEEDANCEFS_TREE_HANDLE_H
#define SEEDANCEFS_TREE_HANDLE_H

#include "tree_private.h"

#include "seedancefs/base/table.h"

struct tree_handle {
    const struct handle_ops *ops;
    struct tree *tree;
    struct node node; /* holds a reference to its job */
    bool is_writer;
    struct guest *guest;     /* NULL: of a user without limits */
    struct media_item *item; /* of a video or cover */
    int picture_fd;          /* of a picture of a video */
    struct snapshot
        *snapshot;       /* of a generated file; of `wait` once its word is known; else NULL */
    int64_t end;         /* of the last read */
    bool is_nonblocking; /* the read under way must not wait */
    bool is_touched;     /* its content may have changed since its waker was set */
    void *waker;         /* NULL: nobody polls; else it is linked: */
    struct tree_handle *watch_next;
    struct tree_handle *watch_prev;
    struct tree_handle *next;
    struct tree_handle *prev;
};

struct tree_read_state {
    struct tree_handle *handle;
    size_t size;
    int64_t offset;
    tree_read_fn *fn;
    void *context;
    struct tree_read_state **place; /* of the caller: NULL from the moment when fn is called */
    struct media_read media;
    struct tree_read_state *next; /* of the reads that watch.c has parked */
    struct tree_read_state *prev;
};

struct handle_ops {
    bool is_kept;          /* the page cache stays valid from one open to the next */
    bool is_interruptible; /* any signal ends a read that waits */
    int (*open)(struct tree_handle *handle, int flags);
    /* Says where the bytes are that are there now. If `read` and `read_start` are both NULL, there
     * are none. */
    int (*read)(struct tree_handle *handle, size_t size, int64_t offset, struct tree_bytes *out);
    /* Instead, for a read that may wait: it ends in read_reply(), now or later, or is cancelled. */
    void (*read_start)(struct tree_read_state *read);
    void (*read_cancel)(struct tree_read_state *read);
    /* For read_start in watch.c: appends what can be read now. *is_end: nothing will ever
     * follow. */
    int (*fill)(const struct tree_read_state *read, struct buf *out, bool *is_end);
    short (*poll)(struct tree_handle *handle); /* NULL: always ready */
    int (*write)(struct tree_handle *handle, const void *bytes, size_t size, int64_t offset);
    int (*truncate)(struct tree_handle *handle, int64_t size);
    int (*flush)(struct tree_handle *handle);
    int (*sync)(struct tree_handle *handle);
    void (*write_dropped)(struct tree_handle *handle, bool is_flush);
    void (*close)(struct tree_handle *handle, bool is_abandoned);
};

extern const struct handle_ops frame_handles;
extern const struct handle_ops file_handles, media_handles, ctl_handles, defaults_handles;
extern const struct handle_ops snapshot_handles, metrics_handles;
extern const struct handle_ops generated_handles, wait_handles, events_handles; /* watch.c */

/* The caller's rights are checked already. */
int handle_open(struct tree *tree, const struct node *node, int flags,
                const struct tree_caller *caller, struct tree_open_result *out) NODISCARD;

/* Replies to a read that was started, and frees it. */
void read_reply(struct tree_read_state *read, int result, const struct tree_bytes *bytes);

/* The part of the text that a read asks for. */
struct tree_bytes text_part(const struct buf *text, size_t size, int64_t offset);

/* snapshot.c: the content of a rendered file at one moment. All handles that were opened on the
 * same version share one snapshot, which counts its references. -EMFILE when a guest holds too
 * much: see guest.h. */
struct snapshot {
    struct buf content; /* does not change */
    uint64_t ino;
    size_t refs;
    struct guest_holding *holdings;
    UT_hash_handle by_ino; /* of the latest version of its file */
};

/* The present content of the handle's node, charged to the handle's guest. */
int snapshot_take(struct tree_handle *handle, struct snapshot **out) NODISCARD;

/* With the guest that was charged for it. Does nothing for NULL. */
void snapshot_release(struct tree *tree, struct snapshot *snapshot, struct guest *guest);

/* handle_ops.open and .read of a rendered file. */
int snapshot_open(struct tree_handle *handle, int flags);
int snapshot_read(struct tree_handle *handle, size_t size, int64_t offset, struct tree_bytes *out);

/* watch.c: nobody polls the handle any more. */
void watch_end(struct tree_handle *handle);

#endif
