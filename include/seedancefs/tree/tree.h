/*
 * What: the filesystem without FUSE: names, attributes, handles, generated files. fuse/ turns
 * requests into these calls and their results into replies, one to one; tests call them directly.
 * Inode numbers are arithmetic: id << 8 | kind. The id is that of a job (its directory and
 * generated files), of an attempt (its media) or of a user's file. Ids are never used twice, so
 * that a number means the same after any restart, and no table of inodes is needed.
 * Lifetime: one per program. Handles live from tree_open() or tree_create() to tree_release().
 * Errors: negative codes of base/err; fuse/ turns them into an errno with err_errno().
 */
#ifndef SEEDANCEFS_TREE_TREE_H
#define SEEDANCEFS_TREE_TREE_H

#include "seedancefs/base/attributes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct tree;
struct tree_handle;
struct buf;
struct jobs;
struct media;
struct objects;
struct job;
struct tools;

enum { TREE_ROOT_INO = 1 };

/* When videos are saved: see src/tree/archive.c. */
enum tree_archive { TREE_ARCHIVE_EXPIRY, TREE_ARCHIVE_ALWAYS, TREE_ARCHIVE_NEVER };

/* What the program itself has changed at a path below the mount. */
enum tree_event {
    TREE_EVENT_CONTENT,   /* the content of a file */
    TREE_EVENT_FILE,      /* a file has appeared */
    TREE_EVENT_LINK,      /* a symbolic link has appeared */
    TREE_EVENT_DIRECTORY, /* a directory has appeared */
    TREE_EVENT_GONE,      /* a file or a symbolic link has disappeared */
    TREE_EVENT_DIRECTORY_GONE,
};

/* A tree that several hosts share, for `metrics`. */
struct tree_sharing {
    bool is_leading;
    int64_t silent_ms; /* since the database has last answered; 0: it is there */
    int64_t seq;       /* of the last entry of the log that is here, and there */
    uint64_t entries;  /* pushed or applied since the start */
};

struct tree_settings {
    struct jobs *jobs; /* lent, as are store, media, timers and clock */
    struct store *store;
    struct media *media;
    struct objects *objects; /* lent; NULL: there is no object store */
    bool is_store_public;    /* the service can read addresses in it */
    struct timers *timers;
    const struct clock *clock;
    struct tools *tools;        /* lent; NULL: no pictures are made of videos */
    int frames_fd;              /* where pictures of videos are kept; lent; -1: nowhere */
    int directory_fd;           /* of the data directory, for statvfs; lent */
    const char *data_directory; /* its path, for messages; lent */
    enum tree_archive archive;
    bool is_shared;     /* others than the owner may look at the mount: allow_other */
    const gid_t *group; /* its members may do what the owner may; lent; NULL: there is none */
    /* Jobs and users' files are changed by others, too, and not by requests to this mount: see
     * jobs_reload(). The kernel keeps neither their names nor their attributes. */
    bool is_changed_elsewhere;
    /* How the sharing is doing; NULL: nothing is shared. */
    struct tree_sharing (*sharing_get)(const void *context);
    const void *sharing_context;
    void *event_context;
    void (*on_tree_event)(void *context, enum tree_event kind, const char *path); /* NULL: nobody */
};

int tree_new(const struct tree_settings *settings, struct tree **out) NODISCARD;
struct tree *tree_free(struct tree *tree);

/* From now on videos are saved automatically. Call it once jobs and media may be used. */
void tree_start(struct tree *tree);

/* The user has changed options: when videos are saved, or those of the jobs. What is being fetched
 * goes on. */
void tree_options_changed(struct tree *tree, enum tree_archive archive);

/* Ends what the tree does by itself with jobs and media. Call it while they still exist. */
void tree_stop(struct tree *tree);

/* The hooks that job/ and media/ call. Both are created before the tree, so they get a slot that
 * will hold it: context is `struct tree **`. */
struct job_hooks;
struct media_hooks;
void tree_job_hooks_fill(struct tree **slot, struct job_hooks *hooks);
void tree_media_hooks_fill(struct tree **slot, struct media_hooks *hooks);

/* The user behind a request. Supplementary groups are not considered. */
struct tree_caller {
    uid_t uid;
    gid_t gid;
    bool is_member; /* of tree_settings.group */
};

struct tree_entry {
    struct stat st;
    double entry_s; /* how long the name may be remembered */
    double attr_s;  /* how long the attributes may */
    bool is_bare;   /* in a listing: only its inode number is known now */
};

int tree_lookup(struct tree *tree, uint64_t parent, const char *name,
                struct tree_entry *out) NODISCARD;

/* Whether the caller may make a job in `parent` by creating a file below the job's name: 0,
 * -EACCES, or -ENOENT when `parent` has no jobs. */
int tree_provisional_check(struct tree *tree, uint64_t parent,
                           const struct tree_caller *caller) NODISCARD;
/* Makes the job's directory because such a path is being looked up. */
int tree_lookup_provisional(struct tree *tree, uint64_t parent, const char *name,
                            struct tree_entry *out) NODISCARD;
/* The last name of a path below the root, and the directory that it is in; NULL: there is no such
 * directory. */
const char *tree_path_split(struct tree *tree, const char *path, uint64_t *parent);

/* Fills the entry of a removed name as if it still existed: for the lookup before the inotify
 * emitter removes it, see TREE_EVENT_GONE. -ENOENT when the name exists again. */
int tree_lookup_gone(struct tree *tree, uint64_t parent, const char *name,
                     struct tree_entry *out) NODISCARD;
int tree_getattr(struct tree *tree, uint64_t ino, struct tree_entry *out) NODISCARD;

/* Which attributes to set; the others are ignored. Times with UTIME_NOW, as utimensat(2) has
 * them. */
struct tree_change {
    bool has_mode, has_owner, has_size, has_times;
    mode_t mode;
    uid_t uid; /* (uid_t)-1: keep */
    gid_t gid;
    int64_t size;
    struct timespec times[2];
};
int tree_setattr(struct tree *tree, uint64_t ino, const struct tree_change *change,
                 const struct tree_caller *caller, struct tree_entry *out) NODISCARD;

/* Appends the target of a symbolic link; -EINVAL for anything else. */
int tree_readlink(struct tree *tree, uint64_t ino, struct buf *out) NODISCARD;

/* access(2): `mask` of R_OK, W_OK, X_OK. */
int tree_access(struct tree *tree, uint64_t ino, int mask,
                const struct tree_caller *caller) NODISCARD;

int tree_mkdir(struct tree *tree, uint64_t parent, const char *name,
               const struct tree_caller *caller, struct tree_entry *out) NODISCARD;
int tree_unlink(struct tree *tree, uint64_t parent, const char *name,
                const struct tree_caller *caller) NODISCARD;
int tree_rmdir(struct tree *tree, uint64_t parent, const char *name,
               const struct tree_caller *caller) NODISCARD;
/* `flags` of renameat2(2): RENAME_NOREPLACE or 0; others are -EINVAL. */
int tree_rename(struct tree *tree, uint64_t parent, const char *name, uint64_t new_parent,
                const char *new_name, unsigned flags, const struct tree_caller *caller) NODISCARD;

/* Calls `fn` for each entry from `offset` on until it returns false; `next` is the offset after
 * the entry. 0, or an error. "." and ".." are among them. */
typedef bool tree_list_fn(void *context, const char *name, const struct tree_entry *entry,
                          int64_t next);
int tree_list(struct tree *tree, uint64_t ino, int64_t offset, tree_list_fn *fn,
              void *context) NODISCARD;

struct tree_open_result {
    struct tree_handle *handle;
    bool is_direct;     /* not through the page cache: the length may change at any time */
    bool is_kept;       /* the page cache stays valid from one open to the next */
    bool is_flush_void; /* close(2) need not send FLUSH */
};
/* Comes before tree_open(), because a file may have to be made first. 0: open it now. 1: `fn` is called
 * later, with 0 (open it then) or an error, unless the wait is cancelled first. */
struct tree_open_wait;
typedef void tree_open_wait_fn(void *context, int result);
int tree_open_prepare(struct tree *tree, uint64_t ino, int flags, const struct tree_caller *caller,
                      tree_open_wait_fn *fn, void *context,
                      struct tree_open_wait **parked) NODISCARD;
void tree_open_wait_cancel(struct tree_open_wait *parked);

/* `flags` as for open(2), without O_CREAT and O_EXCL. */
int tree_open(struct tree *tree, uint64_t ino, int flags, const struct tree_caller *caller,
              struct tree_open_result *out) NODISCARD;
int tree_create(struct tree *tree, uint64_t parent, const char *name, mode_t mode, int flags,
                const struct tree_caller *caller, struct tree_entry *entry,
                struct tree_open_result *out) NODISCARD;

/* Where the bytes of an answered read are, valid until `fn` returns: a file to splice from, or
 * memory. */
struct tree_bytes {
    int fd; /* -1: memory */
    int64_t offset;
    const void *memory;
    size_t len;
};

/* A read that waits: for the network, or in a file made for waiting (`wait`, `events`). */
struct tree_read_state;
typedef void tree_read_fn(void *context, int result, const struct tree_bytes *bytes);

/* Calls `fn` exactly once, now or later, unless the read is cancelled first. `*parked` is what
 * tree_read_cancel() takes, and NULL from the moment that `fn` is called: the place stays valid
 * until then. */
void tree_read(struct tree_handle *handle, size_t size, int64_t offset, tree_read_fn *fn,
               void *context, struct tree_read_state **parked);

/* True for a file made for waiting: any signal ends the read. */
bool tree_read_is_interruptible(const struct tree_read_state *parked);

/* Whether the next read returns -EAGAIN when it would have to wait in a file made for waiting. */
void tree_read_nonblocking_set(struct tree_handle *handle, bool is_nonblocking);

/* Which of POLLIN, POLLPRI, POLLHUP… apply now. Takes ownership of `waker` (NULL: nobody waits): it
 * is woken once when that may have changed, and dropped then, by the next tree_poll() of the handle
 * or with the handle. */
short tree_poll(struct tree_handle *handle, void *waker);

/* What to do with wakers; to be set before the first tree_poll(). */
typedef void tree_waker_fn(void *waker);
void tree_waker_set(struct tree *tree, tree_waker_fn *wake, tree_waker_fn *drop);

/* Ends a parked read without calling its fn. */
void tree_read_cancel(struct tree_read_state *parked);

int tree_write(struct tree_handle *handle, const void *bytes, size_t size,
               int64_t offset) NODISCARD;
int tree_flush(struct tree_handle *handle) NODISCARD;
int tree_fsync(struct tree_handle *handle) NODISCARD;
/* A write, or the flush after it, was answered with -ENOMEM before it came here. */
void tree_write_dropped(struct tree_handle *handle, bool is_flush);
void tree_release(struct tree_handle *handle);

/* For the time after the unmount: ends every handle for which no release came (the kernel drops
 * pending ones when it unmounts). Nothing is submitted for them. */
void tree_abandon(struct tree *tree);
int tree_truncate(struct tree_handle *handle, int64_t size) NODISCARD;

/* Extended attributes: appends the value (-ENODATA: there is none; -EOPNOTSUPP: there cannot be),
 * or the names, each with its NUL. A caller who may not read the prompt does not get its attribute.
 * None can be set: for user.seedance.* setting succeeds and changes nothing, for others it is
 * -EOPNOTSUPP. */
int tree_xattr_get(struct tree *tree, uint64_t ino, const char *name,
                   const struct tree_caller *caller, struct buf *out) NODISCARD;
int tree_xattr_list(struct tree *tree, uint64_t ino, const struct tree_caller *caller,
                    struct buf *out) NODISCARD;
int tree_xattr_set(struct tree *tree, uint64_t ino, const char *name,
                   const struct tree_caller *caller) NODISCARD;

/* Lets the layer above add to the file `metrics`, whole families of the Prometheus text format;
 * NULL: nothing (any more). */
#define METRIC_PAD "20" /* columns of a value */
typedef void tree_metrics_fn(void *context, struct buf *out);
void tree_metrics_set(struct tree *tree, tree_metrics_fn *fn, void *context);

/* The last component of the path of a file that is written: of the user's file, or defaults.json. Lent
 * until the next request. */
const char *tree_handle_name(const struct tree_handle *handle);

int tree_statfs(struct tree *tree, struct statvfs *out) NODISCARD;

#endif
