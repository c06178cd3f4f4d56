/*
 * What: what the files of the tree layer share. A file calls only files below it in this list:
 *   tree.c        the contract: names, created, removed and renamed; opening
 *   hooks.c       between jobs and their media
 *   attributes.c  extended attributes
 *   root.c        the root directory; what each inode number stands for
 *   views.c       videos/, by-status/
 *   job_nodes.c   jobs/, and the directory of a job
 *   video_facts.c  videos/NAME.json
 *   take_nodes.c  takes/
 *   view_marks.c  when names of views came and went
 *   models.c      models/
 *   defaults.c    defaults.json, defaults.error
 *   handle.c      open files
 *   watch.c       wait, events, poll(2)
 *   snapshot.c    the content of a generated file when it was opened
 *   guest.c       how much other users may use
 *   archive.c     saving videos
 *   removed.c     videos of removed jobs
 *   upload.c      puts files into the object store
 *   frames.c      first and last pictures of videos
 *   change_events.c  what others are told of
 *   index.c, metrics.c, spend.c, texts.c  the files at the root
 *   render.c      the generated files of a job
 *   progress.c    how far a job is
 *   output.c      a job's video and cover
 *   stored.c      where a video is in the object store
 *   json_fields.c  members of status.json and spend.json
 *   node.c        attributes, rights, and what else all kinds of nodes have in common
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

#include "node.h"

#include <string.h>

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
    int64_t jobs_changed_ms;   /* when a name under jobs/ last changed */
    int64_t changed_ms;        /* when any job last changed */
    int64_t videos_changed_ms; /* when a name in this view last came or went */
    int64_t status_changed_ms[JOB_STATE_COUNT];
    int64_t sizes[NODE_JOB]; /* sizes that are slow to find, as of the last time */
    struct timer probe_timer;
    struct timer archive_timer;
    struct timer removed_timer;
    struct archive_walk {
        int64_t at_id;    /* the job where the present walk stands */
        int64_t first_id; /* the job at which the next walk begins; INT64_MAX: there is none */
        int64_t next_ms;  /* monotonic: when the next walk begins, as far as it is known */
        bool is_going;
        bool is_due_again; /* something has happened since the walk began */
    } archive_walk;
    struct frames {
        struct frame_making *makings;
        struct timer timer;
        int64_t at_id; /* the job where the walk stands */
    } frames;
    struct archive_file *archive_files;
    int archive_active; /* files that are being fetched */
    struct upload *uploads;
    int archive_uploads;      /* those of takes */
    unsigned upload_failures; /* in a row, of the object store as a whole */
    int64_t uploads_hold_ms;  /* monotonic: none is begun before */
    bool is_started;
    struct buf scratch;     /* for sizes of generated files */
    struct buf index_page;  /* empty: something has changed since the last page */
    int64_t index_until_ms; /* wall time when that page changes by itself */
    uint64_t index_key;
    uint64_t index_revision;
    struct tree_handle *handles;
    int64_t handles_count;
    struct snapshot *snapshots; /* the latest one of each open file */
    struct guest *guests;
    struct guest_use guests_use; /* of all guests together */
    int64_t metrics_opened_ms;
    int64_t status_counts[JOB_STATE_COUNT]; /* number of jobs, as the views show them */
    struct spend *spend;                    /* NULL: nobody has asked yet, see spend.c */
    tree_metrics_fn *add_metrics;           /* adds the metrics of the layer above */
    void *add_metrics_context;
    struct tree_read_state *watch_reads; /* parked: see watch.c */
    struct tree_handle *watches;         /* handles that have a waker */
    struct timer watch_timer;
    struct timer tick_timer;
    tree_waker_fn *waker_wake;
    tree_waker_fn *waker_drop;
};

/* render.c */
enum generated_flags {
    GENERATED_PERMANENT = 1, /* always there: its name may be remembered */
    GENERATED_WORDS = 2,     /* may quote the prompt: only for users who may read that */
    GENERATED_TIME = 4,      /* its content changes as time goes by */
    GENERATED_UNLISTED = 8,  /* found only by its name: see watch.c */
};
struct generated {
    const char *name;
    mode_t mode;
    unsigned flags;
    bool (*is_there)(const struct job *job, const struct job_detail *detail);
    int (*render)(struct tree *tree, struct job *job, struct job_detail *detail, struct buf *out);
};
/* The index of a file is a bit of job->hidden. So are these: */
enum {
    GENERATED_COUNT = 11,
    GENERATED_HIDDEN_FIRST_FRAME = 27,
    GENERATED_HIDDEN_LAST_FRAME,
    GENERATED_HIDDEN_TAKES = 29,
    GENERATED_HIDDEN_VIDEO,
    GENERATED_HIDDEN_COVER
};
extern const struct generated generated_table[GENERATED_COUNT];
/* NULL: there is none of this name. */
const struct generated *generated_find(const char *name);
bool generated_is_there(struct job *job, const struct generated *generated);
/* Whether `error` exists, and `response.json`. Only the first accepts no detail (NULL). */
bool generated_has_problem(const struct job *job, const struct job_detail *detail);
bool generated_has_response(const struct job *job, const struct job_detail *detail);
/* Nothing will happen to the job by itself any more: `wait` has its word. */
bool generated_is_wait_over(const struct job *job);
int generated_render(struct tree *tree, const struct node *node, struct buf *out);
/* What the attempt costs or may cost. *what says which of the two, in a few words. */
int64_t job_at_risk_usd_micros(enum job_state state, const struct store_attempt *attempt);
int64_t cost_get(const struct job *job, const struct store_attempt *attempt, const char **what);

/* The files at the root: operations of nodes. */
int spend_render(struct tree *tree, const struct node *node, struct buf *out);
int metrics_render(struct tree *tree, const struct node *node, struct buf *out);
int index_render(struct tree *tree, const struct node *node, struct buf *out);
/* The length of what spend_render() gives; renders only if something has changed since the last
 * time. */
int spend_size(struct tree *tree, const struct node *node, int64_t *size) NODISCARD;
void spend_forget(struct tree *tree);
/* Like jobs_budget_get(). Asks the store again only when its answer may have changed. */
int spend_budget_get(struct tree *tree, struct job_budget_state *out) NODISCARD;
/* The sums over all attempts, and the estimates of what is held and of what waits. */
enum {
    SPEND_SETTLED,
    SPEND_RESERVED,
    SPEND_AT_RISK,
    SPEND_HELD,
    SPEND_WAITING,
    SPEND_SUMS,
    SPEND_LISTED = 1000,
    SPEND_REMOVED_LISTED = 10000
};
int spend_sums_get(struct tree *tree, int64_t usd_micros[static SPEND_SUMS]) NODISCARD;

/* view_marks.c: what the views keep of each job. */
void views_begin(struct tree *tree);
void views_job_changed(struct tree *tree, struct job *job); /* its state, or if it has a video */
void views_job_gone(struct tree *tree, struct job *job);
void views_name_changed(struct tree *tree, const struct job *job);

/* defaults.c */
#define DEFAULTS_NAME "defaults.json"
/* Replaces it by the user's file. */
int defaults_rename(struct tree *tree, struct job_file *file, unsigned flags) NODISCARD;

/* json_fields.c: null for a value that is not known (negative; a time of 0). */
struct json_writer;
void write_time(struct json_writer *w, const char *key, int64_t wall_ms);
void write_usd(struct json_writer *w, const char *key, int64_t usd_micros);
void write_number(struct json_writer *w, const char *key, int64_t value);

/* index.c */
void index_init(struct tree *tree);
void index_fini(struct tree *tree);
void index_changed(struct tree *tree); /* something on the page may have changed */
int progress_render(struct tree *tree, struct job *job, struct job_detail *detail, struct buf *out);
void progress_write(struct json_writer *w, struct job *job); /* the member of status.json */

/* change_events.c: tells of changes that the kernel does not tell of. */
void change_events_begin(struct tree *tree); /* nobody is told of what exists at the start */
/* Anything about the job may have changed. */
void change_event_job_changed(struct tree *tree, struct job *job);
/* `which`: "first" or "last". */
void change_event_frame_made(const struct tree *tree, const struct job *job, const char *which);
void change_event_media_fetched(struct tree *tree,
                                struct job *job); /* more of its video is on disk, or less */
/* The user did this, and the kernel has told of it. These tell of what follows in other
 * directories. */
void change_event_file_unlinked(struct tree *tree, struct job *job);
void change_event_job_gone(struct tree *tree, struct job *job);
void change_event_job_renamed(struct tree *tree, struct job *job, const char *old_name);
/* Opening a path below it has made the directory, and the kernel tells nobody. */
void change_event_directory_implied(struct job *job);
/* mkdir(2) has made it, and the kernel tells of that. */
void change_event_directory_made(struct job *job);

/* Somebody else did this, and the kernel does not know. */
void change_event_directory_gone(const struct tree *tree, const char *name);
void change_event_directory_made_elsewhere(const struct tree *tree, const struct job *job);
void change_event_file(const struct tree *tree, const struct job *job, const char *name,
                       enum job_file_change change);

/* job_nodes.c: what follows elsewhere in the tree. */
void job_was_removed(struct tree *tree, struct job *job);
void job_was_renamed(struct tree *tree, struct job *job, const char *old_name);

/* watch.c */
/* The job has changed, or was removed: the pointer is only compared. NULL: the job no longer
 * exists. */
void watch_changed(struct tree *tree, const struct job *job);
void watches_end(struct tree *tree);

/* output.c */
static inline bool job_hides(const struct job *job, ptrdiff_t bit)
{
    return (job->hidden >> bit & 1) != 0;
}
/* For NODE_VIDEO and NODE_COVER. */
static inline enum media_kind output_kind(const struct node *node)
{
    return node->kind == NODE_VIDEO ? MEDIA_VIDEO : MEDIA_COVER;
}
/* Whose video output.mp4 is: the picked take, or while the size of its video is not known, the
 * latest one whose video can be read. NULL: there is no take. */
struct job_take *output_take(const struct job *job);
/* For output.mp4 and cover.jpg. */
bool output_is_there(const struct job *job, enum media_kind kind);
/* The directory of all takes: there is more than one. */
#define TAKES_NAME "takes"
bool takes_are_there(struct job *job);
bool takes_are_hidden(const struct job *job); /* all of them: the directory is not listed */
int output_open(struct tree *tree, struct job_take *take, enum media_kind kind,
                struct media_item **out) NODISCARD;
void output_close(struct media_item **item); /* for CLEANUP() */

/* removed.c */
void removed_begin(struct tree *tree);
void removed_end(struct tree *tree);
void removed_video(struct tree *tree, int64_t attempt_id); /* its job was removed just now */
bool removed_video_is_whole(struct tree *tree, int64_t attempt_id); /* true: not known */

/* upload.c: the object store. Only where there is one (settings.objects). */
/* The end of an upload. `text`: of a user's file the address; with result < 0 a sentence. */
typedef void upload_done_fn(struct tree *tree, int64_t id, int result, const char *text);
/* Puts the take's video, which is on disk, there. `done` is not called from within. */
int upload_take(struct tree *tree, const struct job_take *take, upload_done_fn *done) NODISCARD;
/* Looks whether the take's video is there, by its size. -ENOENT in `done`: it is not. */
int upload_look(struct tree *tree, const struct job_take *take, upload_done_fn *done) NODISCARD;
bool upload_is_under_way(const struct tree *tree, int64_t take_id);
void upload_forget(struct tree *tree, int64_t take_id); /* nobody wants it any more */
/* Puts a user's file there. Takes the descriptor, also when it fails. */
int upload_file(struct tree *tree, int64_t kept_id, int fd, upload_done_fn *done) NODISCARD;
void uploads_end(struct tree *tree); /* while the media still exist */

/* stored.c */
enum { STORED_LIFE_LONG_MS = 48 * 3600 * 1000 }; /* of an address for the service */
/* The video can be read from there. */
bool stored_is_there(const struct tree *tree, const struct job_take *take);
struct stored_key {
    char text[48];
};
/* "media/UID.mp4" */
int stored_key_get(const struct tree *tree, int64_t take_id, struct stored_key *out) NODISCARD;
/* Appends the address of the take's video there, good for an hour, or for the service two days.
 * -ENOENT: it is not there. `take` may be NULL. */
int stored_url_get(const struct tree *tree, const struct job_take *take, bool is_for_service,
                   struct buf *out) NODISCARD;

/* frames.c: the pictures of a take. -ENOENT: the picture is not there (yet). */
int frame_size_get(const struct tree *tree, int64_t take_id, enum job_frame frame,
                   int64_t *size) NODISCARD;
int frame_open(const struct tree *tree, int64_t take_id, enum job_frame frame) NODISCARD;
bool frames_can_be_made(const struct tree *tree); /* ffmpeg is installed */
/* 0: it is there. 1: it is being made, and fn is called later unless *out is cancelled. */
int frame_wait(struct tree *tree, struct job_take *take, enum job_frame frame,
               tree_open_wait_fn *fn, void *context, struct tree_open_wait **out) NODISCARD;
void frame_wait_cancel(struct tree_open_wait *wait);
/* The hooks on_frame and on_frame_read of the job layer. */
int frame_order(struct tree *tree, struct job_take *take, enum job_frame frame,
                const char **why) NODISCARD;
int frame_read(struct tree *tree, struct job_take *take, enum job_frame frame, size_t max_bytes,
               struct buf *out) NODISCARD;
void frames_begin(struct tree *tree);
void frames_end(struct tree *tree); /* while the media still exist */
void frames_job_changed(struct tree *tree, const struct job *job);
void frames_video_saved(struct tree *tree, struct job_take *take); /* the whole of it */
void frames_forget(struct tree *tree, int64_t take_id);            /* nobody wants them */
/* Proof for the unlinks: the caller has it for the take's video. */
void frames_remove(const struct tree *tree, int64_t take_id);

/* The directory of files that jobs share. */
#define ASSETS_NAME "assets"

/* video_facts.c: videos/NAME.json of the take */
struct node video_facts_node(struct job_take *take);

/* take_nodes.c */
/* The operations `get` of a node whose id is that of a take, and `changed_ms`. */
int take_get(struct tree *tree, struct node *node) NODISCARD;
struct node takes_node(struct job *job);
struct node media_node(struct job_take *take, enum media_kind kind);
struct node frame_node(struct job_take *take, enum job_frame frame);
/* The name of the picture is there: it is made, or can be. */
bool frame_is_found(struct tree *tree, struct job *job, enum job_frame frame);
static inline ptrdiff_t frame_hidden_bit(enum job_frame frame)
{
    return frame == JOB_FIRST_FRAME ? GENERATED_HIDDEN_FIRST_FRAME : GENERATED_HIDDEN_LAST_FRAME;
}
/* The user has removed a file that the program makes: it does not come back in this state. */
int job_hide(struct tree *tree, struct job *job, ptrdiff_t bit);

/* archive.c */
void archive_soon(struct tree *tree); /* looks for what has to be saved */
void archive_end(struct tree *tree);
void archive_policy_set(struct tree *tree, enum tree_archive archive);
/* 1: the file is complete and durable; 0: not yet; -errno: also if there is no such file. */
int output_is_saved(struct tree *tree, struct job_take *take, enum media_kind kind) NODISCARD;
void archive_job_changed(struct tree *tree, struct job *job);
void archive_take_again(struct tree *tree, struct job_take *take); /* it has to be examined again */
void archive_progress(struct tree *tree, int64_t attempt_id, enum media_kind kind,
                      int64_t cached_bytes);
void archive_fetch_failed(struct tree *tree, int64_t attempt_id, enum media_kind kind, int result);
void archive_forget(struct tree *tree, int64_t attempt_id);
/* False also when it is not known. */
bool archive_is_refetchable(struct tree *tree, int64_t attempt_id, enum media_kind kind);
/* And is not to be kept. */
bool archive_is_evictable(struct tree *tree, int64_t attempt_id, enum media_kind kind);
/* The commands; on failure *why is a sentence. */
int archive_fetch(struct tree *tree, struct job_take *take, const char **why) NODISCARD;
int archive_evict(struct tree *tree, struct job_take *take, const char **why) NODISCARD;
/* How many videos could not be saved at the last attempt, and are tried again. */
unsigned archive_failing_count(const struct tree *tree);
/* The same for putting them into the object store. */
unsigned archive_uploads_failing_count(const struct tree *tree);
/* 0: the video is saved, or the rest of it cannot be had. -EBUSY: it is being fetched. */
int archive_save(struct tree *tree, struct job_take *take, const char **why) NODISCARD;

#endif
