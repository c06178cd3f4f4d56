/*
 * What: what the files of the tree layer share.
 *   tree.c    names: lookup, listing, making, removing, renaming
 *   node.c    inode numbers, attributes, rights
 *   handle.c  open files
 *   render.c  generated files
 *   snapshot.c  what a generated file held when it was opened
 *   guest.c   what other users may take up
 *   output.c  between jobs and their media
 *   archive.c saving videos
 *   readme.c  README.txt
 *   spend.c   spend.json
 *   views.c   videos/, by-status/
 *   metrics.c  metrics
 *   models.c  models/
 *   attributes.c  extended attributes
 *   defaults.c  defaults.json, defaults.error
 *   index.c   index.html
 *   progress.c  how far a job is
 *   news.c    what others are told of
 *   watch.c   wait, events, poll(2)
 */
#ifndef SEEDANCEFS_TREE_PRIVATE_H
#define SEEDANCEFS_TREE_PRIVATE_H

#include "seedancefs/base/buf.h"
#include "seedancefs/base/clock.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/timer.h"
#include "seedancefs/job/file.h"
#include "seedancefs/job/jobs.h"
#include "seedancefs/media/media.h"
#include "seedancefs/store/store.h"
#include "seedancefs/tree/tree.h"

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

/* See guest.c. */
struct guest_use {
    size_t handles;
    size_t bytes; /* of generated files */
};

struct tree {
    struct tree_settings settings;
    uid_t uid;
    gid_t gid;
    int64_t born_ms;
    int64_t jobs_changed_ms;   /* when a name under jobs/ changed last */
    int64_t changed_ms;        /* when any job changed last */
    int64_t videos_changed_ms; /* when a name in this view came or went last */
    int64_t status_changed_ms[JOB_STATE_COUNT];
    int64_t sizes[NODE_JOB]; /* of the files at the root, when they were asked last */
    struct timer probe_timer;
    struct timer archive_timer;
    struct archive_walk {
        int64_t at_id;    /* the job that the walk under way has come to */
        int64_t first_id; /* the job that the next one begins with; INT64_MAX: there is none */
        int64_t next_ms;  /* monotonic: when the next one begins, as far as it is known */
        bool is_going;
        bool is_due_again; /* something has happened since it began */
    } archive_walk;
    struct archive_file *archive_files;
    int archive_active; /* files that are being fetched */
    bool is_started;
    struct buf scratch;    /* for sizes of generated files */
    struct buf index_page; /* empty: something has changed since it was made */
    uint64_t index_key;
    uint64_t index_revision;
    struct tree_handle *handles;
    int64_t handles_count;
    struct snapshot *snapshots; /* the latest of each file that is open */
    struct guest *guests;
    struct guest_use guests_use; /* of all together */
    int64_t metrics_opened_ms;
    int64_t status_counts[JOB_STATE_COUNT]; /* jobs, as the views show them */
    struct spend *spend;                    /* NULL: nobody has asked yet, see spend.c */
    tree_metrics_fn *add_metrics;           /* of the layer above */
    void *add_metrics_context;
    struct watch_read *watch_reads; /* parked: see watch.c */
    struct watch *watches;          /* with a waker */
    struct timer watch_timer;
    struct timer tick_timer;
    tree_waker_fn *waker_wake;
    tree_waker_fn *waker_drop;
};

/* A node found. Everything is lent. */
struct node {
    enum node_kind kind;
    int64_t id;
    struct job *job;                   /* NULL above the jobs */
    struct job_file *file;             /* of NODE_FILE */
    const struct generated *generated; /* of a generated file */
};

/* node.c */
enum { NODE_ROOT_ENTRIES = 11 };
struct node_root_entry {
    const char *name;
    enum node_kind kind;
    int (*render)(struct tree *tree, struct buf *out); /* NULL: a directory, or `events` */
    bool is_constant;
};
extern const struct node_root_entry node_root_entries[NODE_ROOT_ENTRIES];
/* The entry of a file at the root; NULL for any other node. */
const struct node_root_entry *node_root_file(const struct node *node);
uint64_t node_ino(enum node_kind kind, int64_t id);
int node_get(struct tree *tree, uint64_t ino, struct node *out) NODISCARD;
int node_entry(struct tree *tree, const struct node *node, struct tree_entry *out) NODISCARD;
/* For a response whose attributes the kernel does not keep: with the size that index.html and
 * spend.json had when it was asked last, because all jobs would have to be gone through to know
 * it. */
int node_entry_quick(struct tree *tree, const struct node *node, struct tree_entry *out) NODISCARD;
int node_find(struct tree *tree, const struct node *parent, const char *name,
              struct node *out) NODISCARD;
bool node_is_directory(const struct node *node);
/* The content of a file that is made when it is looked at. */
int node_render(struct tree *tree, const struct node *node, struct buf *out) NODISCARD;
bool node_has_video(const struct job *job); /* output.mp4 is there */
bool node_has_cover(const struct job *job);
/* Whether the user has removed this generated file; not of output.mp4 and cover.jpg, see above. */
bool node_is_unlinked(const struct job *job, const char *name);
/* Something that has just gone: an inode that nothing else has. */
void node_ghost_entry(const struct tree *tree, bool is_link, struct tree_entry *out);
int node_access(struct tree *tree, const struct node *node, int mask,
                const struct tree_caller *caller) NODISCARD;
/* The permission bits that stat shows and node_access() goes by. */
mode_t node_mode(const struct node *node);
/* What this caller may do by these bits, as those of access(2). */
int node_mode_bits(const struct tree *tree, mode_t mode, const struct tree_caller *caller);
/* Names that users cannot give their own files. */
bool node_name_is_reserved(const char *name);

/* render.c */
struct generated {
    const char *name;
    mode_t mode;
    bool is_permanent; /* always there: its name may be remembered */
    bool has_words;    /* of the prompt, or may have: for those who may read that */
    bool (*is_there)(const struct job *job, const struct job_detail *detail);
    int (*render)(struct tree *tree, struct job *job, struct job_detail *detail, struct buf *out);
};
enum { GENERATED_HIDDEN_VIDEO = 30, GENERATED_HIDDEN_COVER = 31 }; /* bits of job->hidden */
size_t generated_count(void);
const struct generated *generated_at(size_t index);
/* Whether `error` and `response.json` are there; of a job whose detail is not in memory (NULL) the
 * first alone. */
bool generated_has_problem(const struct job *job, const struct job_detail *detail);
bool generated_has_response(const struct job *job, const struct job_detail *detail);
bool generated_is_unlisted(const struct generated *generated); /* `wait` */
bool generated_has_time(
    const struct generated *generated); /* what it says changes as time goes by */
int generated_render(struct tree *tree, struct job *job, const struct generated *generated,
                     struct buf *out) NODISCARD;
/* What the attempt costs or may cost, and in a few words what kind of figure that is. */
int64_t cost_get(const struct job *job, const struct store_attempt *attempt, const char **what);
int readme_render(struct tree *tree, struct buf *out);
int spend_render(struct tree *tree, struct buf *out);
/* The length of what spend_render() would give, without that where nothing has changed since. */
int spend_size_get(struct tree *tree, int64_t *size) NODISCARD;
void spend_forget(struct tree *tree);
/* As jobs_budget_get(), but asked again only when it may be another. */
int spend_budget_get(struct tree *tree, struct job_budget_state *out) NODISCARD;
/* In all: settled, reserved, at risk. */
enum { SPEND_SUMS = 3, SPEND_LISTED = 1000, SPEND_REMOVED_LISTED = 10000 };
int spend_sums_get(struct tree *tree, int64_t usd_micros[static SPEND_SUMS]) NODISCARD;
int metrics_render(struct tree *tree, struct buf *out);

/* tree.c: gives one entry to the caller of a listing; false when it took its last one. */
bool tree_list_add(struct tree *tree, const struct node *node, const char *name, int64_t next,
                   tree_list_fn *fn, void *context);

/* views.c: see there. */
bool view_has_kind(enum node_kind kind);
bool view_is_link(const struct node *node);
int view_get(struct tree *tree, struct node *node) NODISCARD;
struct node view_parent(const struct node *node); /* of a directory */
int view_find(struct tree *tree, const struct node *view, const char *name,
              struct node *out) NODISCARD;
int view_readlink(const struct node *node, struct buf *out);
int64_t view_changed_ms(const struct tree *tree, const struct node *view);
bool view_list(struct tree *tree, const struct node *view, int64_t offset, tree_list_fn *fn,
               void *context);
void views_begin(struct tree *tree);
void views_job_changed(struct tree *tree, struct job *job); /* its state, or that it has a video */
void views_job_gone(struct tree *tree, struct job *job);
void views_name_changed(struct tree *tree, const struct job *job);

/* models.c */
bool models_has_kind(enum node_kind kind);
int models_get(const struct node *node) NODISCARD;
int models_find(const char *name, struct node *out) NODISCARD;
bool models_list(struct tree *tree, int64_t offset, tree_list_fn *fn, void *context);
int models_render(const struct node *node, struct buf *out);

/* defaults.c */
#define DEFAULTS_NAME "defaults.json"
int defaults_render(struct tree *tree, struct buf *out);
int defaults_error_render(struct tree *tree, struct buf *out);
bool defaults_has_kind(enum node_kind kind);
/* False for one of the two that is not there now; true for everything else at the root. */
bool defaults_is_there(const struct tree *tree, enum node_kind kind);
bool defaults_has_name(const struct node *directory, const char *name); /* it is defaults.json */
int64_t defaults_changed_ms(const struct tree *tree);
int64_t root_changed_ms(const struct tree *tree); /* when a name at the root came or went last */

/* index.c */
void index_init(struct tree *tree);
void index_fini(struct tree *tree);
void index_changed(struct tree *tree); /* something that it shows may have */
int index_render(struct tree *tree, struct buf *out);
struct json_writer;
int progress_render(struct tree *tree, struct job *job, struct job_detail *detail, struct buf *out);
void progress_write(struct json_writer *w, struct job *job); /* the member of status.json */

/* news.c. What is there at the start, of which nobody is told; anything of a job may have
 * changed. */
void change_events_begin(struct tree *tree);
void change_event_job_changed(struct tree *tree, struct job *job);
void change_event_media_fetched(struct tree *tree,
                                struct job *job); /* more of its video is on disk, or less */
/* By the user, which the kernel has told; what follows from it elsewhere is told. */
void change_event_file_unlinked(struct tree *tree, struct job *job);
void change_event_job_gone(struct tree *tree, struct job *job);
void change_event_job_renamed(struct tree *tree, struct job *job, const char *old_name);
/* A path that creates something below the directory has brought it about: the kernel tells
 * nobody. */
void change_event_directory_implied(struct job *job);
void change_event_directory_made(struct job *job); /* by mkdir(2), which it does tell of */

/* watch.c */
int wait_render(struct tree *tree, struct job *job, struct job_detail *detail, struct buf *out);
/* Something of the job has changed, or `job` was removed: only compared. NULL: none of it. */
void watch_changed(struct tree *tree, const struct job *job);
void watches_end(struct tree *tree);

/* output.c */
int output_open(struct tree *tree, struct job *job, enum media_kind kind,
                struct media_item **out) NODISCARD;

/* archive.c */
void archive_soon(struct tree *tree); /* looks for what has to be saved */
void archive_end(struct tree *tree);
void archive_job_changed(struct tree *tree, struct job *job);
void archive_job_again(struct tree *tree, struct job *job); /* has to be looked at once more */
void archive_progress(struct tree *tree, int64_t attempt_id, enum media_kind kind,
                      int64_t cached_bytes);
void archive_fetch_failed(struct tree *tree, int64_t attempt_id, enum media_kind kind, int result);
void archive_forget(struct tree *tree, int64_t attempt_id);
/* False also when it cannot be known. */
bool archive_is_refetchable(struct tree *tree, int64_t attempt_id);
bool archive_is_evictable(struct tree *tree, int64_t attempt_id); /* and is not to be kept */
/* The commands; on failure *why is a sentence. */
int archive_fetch(struct tree *tree, struct job *job, const char **why) NODISCARD;
int archive_evict(struct tree *tree, struct job *job, const char **why) NODISCARD;

#endif
