/*
 * What: all jobs, and everything that may be done with one: make, rename, remove, submit, follow.
 * Lifetime: one per program. timers, clock, store and api are lent and outlive it. Hooks are called
 * from the loop and from within the functions below.
 * Errors: -errno and codes of base/err. When a function fails nothing has changed, unless it says
 * so.
 */
#ifndef SEEDANCEFS_JOB_JOBS_H
#define SEEDANCEFS_JOB_JOBS_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/buf.h"
#include "seedancefs/base/clock.h"
#include "seedancefs/base/text.h"
#include "seedancefs/job/job.h"

#include <stddef.h>
#include <stdint.h>

struct api;
struct models;
struct store;
struct tools;

/* The pictures of a video that are files. */
enum job_frame { JOB_FIRST_FRAME, JOB_LAST_FRAME };

/* What somebody else did to a user's file. */
enum job_file_change { JOB_FILE_MADE, JOB_FILE_WRITTEN, JOB_FILE_GONE };

/* Any hook may be NULL. */
struct job_hooks {
    void *context;
    /* Something that the tree shows of the job has changed. */
    void (*on_change)(void *context, struct job *job);
    /* The service has finished the video: find out its size, then call jobs_video_set() or
     * jobs_video_failed(). Called again after a restart. */
    void (*on_video)(void *context, struct job_take *take);
    /* The result of jobs_url_refresh(): 0 and new URLs in the attempt, or why there are none. */
    void (*on_url)(void *context, struct job_take *take, int result);
    /* Somebody else did it, and not by a request to this mount: see jobs_reload(). on_change follows
     * the first two. The job that was removed is not found any more. */
    void (*on_made)(void *context, struct job *job);
    void (*on_renamed)(void *context, struct job *job, const char *old_name);
    void (*on_removed)(void *context, struct job *job);
    /* The same for a user's file of a job whose detail is loaded; of others nobody knows which files
     * they had. That it was written is told of an open one, if its bytes were exchanged. */
    void (*on_file)(void *context, const struct job *job, const char *name,
                    enum job_file_change change);
    /* The job is being removed: the media of this attempt are not wanted any more. */
    void (*on_media_unwanted)(void *context, int64_t attempt_id);
    /* The commands `fetch` and `evict`. On failure *why is a sentence. */
    int (*on_fetch)(void *context, struct job_take *take, const char **why);
    int (*on_evict)(void *context, struct job_take *take, const char **why);
    /* 0: the video is saved on disk and stays there, or what is missing cannot be had any more.
     * -EBUSY: it is being fetched from now on, or *why says what is in the way. */
    int (*on_save)(void *context, struct job_take *take, const char **why);
    /* Appends the absolute path of the take's video, if all of it is on disk. */
    int (*on_video_path)(void *context, struct job_take *take, struct buf *out);
    /* The video of an attempt whose job was removed is on disk, and complete, or in the object store. */
    bool (*is_video_whole)(void *context, int64_t attempt_id);
    /* A picture of the take as a file. 0: it is there, and on_frame_read() reads it. -EBUSY: it is
     * being made from now on (the video is fetched first), and jobs_frame_done() follows. Otherwise
     * *why says why it cannot be had. */
    int (*on_frame)(void *context, struct job_take *take, enum job_frame frame, const char **why);
    /* Appends the PNG. */
    int (*on_frame_read)(void *context, struct job_take *take, enum job_frame frame,
                         size_t max_bytes, struct buf *out);
    bool (*has_frames)(void *context); /* ffmpeg is installed */
    /* There is an object store, which gives addresses to videos of users. */
    bool (*has_objects)(void *context);
    /* Begins to put the file, which is kept under this number, into the object store;
     * jobs_uploaded() tells how that ended, and is not called from within. Takes the descriptor, also
     * when it fails. */
    int (*on_upload)(void *context, int64_t kept_id, int fd);
    /* Appends the address of the take's video in the object store. -ENOENT: it is not there. */
    int (*on_stored_url)(void *context, struct job_take *take, struct buf *url);
};

/* What may be spent, in all or in each day or month of UTC. */
enum job_budget_period { JOB_BUDGET_TOTAL, JOB_BUDGET_DAY, JOB_BUDGET_MONTH };
struct job_budget {
    int64_t limit_usd_micros; /* 0: no limit */
    enum job_budget_period period;
};

/* The directory of the users' files, in the data directory. */
#define JOB_FILES_DIRECTORY "files"

struct jobs_settings {
    struct timers *timers;
    const struct clock *clock;
    struct store *store;
    struct api *api;
    struct tools *tools;         /* NULL: no program can be run */
    int directory_fd;            /* of the data directory, for defaults.json; lent */
    const char *data_directory;  /* its absolute path; lent */
    int files_fd;                /* of JOB_FILES_DIRECTORY in it; lent */
    const struct models *models; /* lent */
    const char *object_store;    /* its name, by which it is known again; lent; NULL: none */
    const char *default_model;   /* copied; NULL: the prompt layer's default */
    const char *api_name;     /* what messages call the service, its URL without secrets. Copied */
    bool is_unknown_allowed;  /* pass unknown request fields through */
    bool is_hold_wanted;      /* hold what is accepted and what waits at the start */
    bool is_restored;         /* the data directory is a copy: hold what waits at the start */
    int64_t poll_interval_ms; /* 0: adaptive */
    int64_t settle_ms; /* how long a job's directory is quiet before its first request is sent */
    struct job_budget budget;
    unsigned active_max; /* jobs submitted and not finished at one time; 0: no limit */
    int64_t file_bytes_max;
    uint64_t random_seed;
    struct job_hooks hooks;
};

int jobs_new(const struct jobs_settings *settings, struct jobs **out) NODISCARD;

/* Cancels calls and timers. A create that is under way stays `submitting` in the store, and is
 * `unknown` after the next start; see jobs_is_submitting(). */
struct jobs *jobs_free(struct jobs *jobs);

/* Resumes the work that was in progress when the program ended last. Call it once the hooks may be
 * called. */
void jobs_start(struct jobs *jobs);

/* True while a create is under way: a clean end waits for it, within its deadline. */
bool jobs_is_submitting(const struct jobs *jobs);

/* From now on nothing new is submitted or polled; what is under way ends by itself. */
void jobs_stop(struct jobs *jobs);

/* There is a new key: what the service refused because of the old one may continue. */
void jobs_key_changed(struct jobs *jobs);

/* The user has changed them: what waits because of them continues at once. What is under way goes
 * on. */
void jobs_limits_set(struct jobs *jobs, const struct job_budget *budget, unsigned active_max);

/* From now on what is accepted is held, or is not any more. What waits, and was not sent, is held
 * now; what is held stays so. */
void jobs_hold_set(struct jobs *jobs, bool is_hold_wanted);

/* NULL when there is no job of this name or id; provisional jobs are found only where it says so. */
struct job *jobs_find(struct jobs *jobs, const char *name);
struct job *jobs_find_provisional(struct jobs *jobs, const char *name);
struct job *jobs_get(struct jobs *jobs, int64_t id); /* provisional ones, too */

/* What the video of a job is called without its ending: as the job, unless its name is so long that
 * the whole would have more than TEXT_NAME_MAX bytes. Then it is the beginning of the name, a tilde
 * and the id of the job, which stays when the job is renamed. */
enum { JOB_STEM_MAX = TEXT_NAME_MAX - sizeof(".json") + 1 };
void jobs_stem_get(struct jobs *jobs, int64_t id, const char *name,
                   char out[static JOB_STEM_MAX + 1]);
struct job *jobs_find_by_stem(struct jobs *jobs, const char *stem);
/* NULL also when the store cannot be read: */
struct job_take *jobs_take_get(struct jobs *jobs, int64_t attempt_id);
/* After 0 the result is certain: *out is NULL when the job was removed, or when the attempt has
 * made no video. -ENOENT: there never was such an attempt, as far as this store knows. */
int jobs_take_find(struct jobs *jobs, int64_t attempt_id, struct job_take **out) NODISCARD;
struct job *jobs_get_by_file(struct jobs *jobs, int64_t file_id);
/* Somebody has written into the user's file, and has it open still. */
bool jobs_file_is_written(struct jobs *jobs, int64_t file_id);

/*
 * These rows of jobs, and what belongs to them (attempts, files, inputs, takes), were changed in the
 * store by somebody else: what is in memory becomes what is there. For a host that does not decide:
 * what this one has not been able to write is forgotten. If a file or a take went from one job to
 * another, both are listed. Objects that others may point to stay the same ones.
 * A job that could not be followed stays as it was, and the result is the first such error: to be
 * called again with the same ids, which is harmless. -EBUSY: something is being asked of the service
 * for a job.
 */
int jobs_reload(struct jobs *jobs, const int64_t *ids, size_t count) NODISCARD;

/* What happened since the program started. */
struct jobs_counts {
    uint64_t changes; /* what was written into the store of attempts and jobs */
    uint64_t
        transitions[JOB_STATE_COUNT]; /* to `submitting`: as many creates as may have been sent */
    uint64_t accepted;
    uint64_t polls;
    uint64_t polls_failed; /* the response did not say how the task is doing, or there was none */
    uint64_t videos_lost;  /* jobs_video_gone(), and the next one jobs_video_damaged() */
    uint64_t videos_damaged;
    unsigned creates_active; /* now, as the two below */
    unsigned polls_active;
    bool is_gate_closed;
};
const struct jobs_counts *jobs_counts_get(struct jobs *jobs);

/* What waits now. */
struct jobs_waits {
    /* When the oldest request of the jobs of each state was accepted, of the states in which the
     * program does something by itself; wall time, 0: there is none. */
    int64_t intent_ms[JOB_STATE_COUNT];
    unsigned for_budget; /* jobs whose requests the budget does not allow */
};
void jobs_waits_get(struct jobs *jobs, struct jobs_waits *out);

/* The job with the smallest id above `id`; NULL after the last one. Ids are never used again, so
 * that a directory can be listed while jobs are made and removed. */
struct job *jobs_next(struct jobs *jobs, int64_t id);
size_t jobs_count(const struct jobs *jobs);

/* The directory `assets`, of files that jobs share: a job that is never shown as one, and has no
 * prompt. NULL: nothing has been put into it yet. */
struct job *jobs_assets(const struct jobs *jobs);
/* The same, made when it is not there. */
int jobs_assets_make(struct jobs *jobs, struct job **out) NODISCARD;

/* mkdir. -EEXIST, -EINVAL, -EILSEQ, -ENAMETOOLONG, -EPERM for a leading dot. */
int jobs_create(struct jobs *jobs, const char *name, struct job **out) NODISCARD;

/* The same for a directory in which a caller is about to create a file: it is removed after some
 * seconds if nothing is created in it, and nobody else sees it until then. */
int jobs_create_provisional(struct jobs *jobs, const char *name, struct job **out) NODISCARD;

/* Somebody does with the job what only those do who copy one: they write, or make, a file that the
 * program makes. A job of which nothing was sent is held until the user orders it. */
void job_copy_seen(struct job *job);

/* rename(2) of a job; an existing target must be an empty draft. */
int jobs_rename(struct job *job, const char *name, bool is_replace_allowed) NODISCARD;

/* rmdir: the job leaves the tree; its attempts stay in the store for the ledger. A waiting job is
 * never sent; one that is being submitted is, and its response is still written down. */
int jobs_remove(struct job *job) NODISCARD;

/* Appends the request as sent, or the service's last response; nothing where there is none. */
int jobs_request_get(struct jobs *jobs, const struct job *job, struct buf *out) NODISCARD;
int jobs_response_get(struct jobs *jobs, const struct job *job, struct buf *out) NODISCARD;

/* Appends the prompt of the attempt, as it was sent. -ENODATA: there is none. */
int jobs_prompt_get(struct jobs *jobs, int64_t attempt_id, struct buf *out) NODISCARD;

/* The file `events`: a line of JSON for each transition of any job, as they came. It only grows.
 * Reading adds at most `size` bytes from `offset` on to `out`; none at the end. */
int jobs_events_size(struct jobs *jobs, int64_t *bytes) NODISCARD;
int jobs_events_read(struct jobs *jobs, int64_t offset, size_t size, struct buf *out) NODISCARD;

/* The budget as it stands now. `used` counts what is settled, reserved and at risk. */
struct job_budget_state {
    struct job_budget budget;
    int64_t used_usd_micros;
    int64_t until_ms; /* wall time at which the period ends; INT64_MAX: never */
};
int jobs_budget_get(struct jobs *jobs, struct job_budget_state *out) NODISCARD;
/* "", " per day", " per month". Static storage. */
const char *job_budget_period_to_text(enum job_budget_period period);

/* Asks the service for new URLs, once, however often it is called; the result comes by on_url. */
void jobs_url_refresh(struct job_take *take);

/* What on_video asked for. `size` of -1: there is no such file. */
struct job_media_size {
    int64_t size;
    const char *etag; /* NULL: none */
};
void jobs_video_set(struct job_take *take, const struct job_media_size *video);
void jobs_cover_set(struct job_take *take, const struct job_media_size *cover);
/* The size cannot be found out now. Also called when a known video has changed (-ERR_MEDIA_…). */
void jobs_video_failed(struct job_take *take, int result);
/* The video is neither on disk nor at the service any more: the job says so, and its URLs are
 * deleted. */
void jobs_video_gone(struct job_take *take, int result);
/* Bytes on the disk are proven wrong, and may not be available again: `error` says which, and where
 * they are. */
struct job_video_damage {
    const char *path; /* of the video's file in the data directory */
    bool is_kept;     /* the whole file cannot be used, and has this path now; else only: */
    int64_t offset;   /* of the first of them */
    int64_t bytes;
};
void jobs_video_damaged(struct job_take *take, const struct job_video_damage *damage);
/* The whole video is on disk: nothing is wrong with it any more. */
void jobs_video_saved(struct job_take *take);
/* The end of what on_upload has begun. `text` is the address, or with result < 0 a sentence. */
void jobs_uploaded(struct jobs *jobs, int64_t kept_id, int result, const char *text);
/* It could not be put into the object store: a line of `log` says why. */
void jobs_upload_failed(struct job_take *take, const char *why);
/* The whole video is in the object store, and that is certain. On disk when it returns 0; otherwise
 * nothing has changed. */
int jobs_video_stored(struct job_take *take) NODISCARD;
/* Whether the attempt's video is in the object store that there is now. */
bool jobs_attempt_is_stored(const struct jobs *jobs, const struct store_attempt *attempt);
/* Addresses in the object store that were made with other credentials are used no more. */
void jobs_uploads_forget(struct jobs *jobs);
/* The media host has shown another version too many times, and the program stops asking it. The
 * commands `refresh` and `fetch` reset take->video_changes; on_url and on_fetch follow. */
void jobs_video_unsteady(struct job_take *take);
/* The end of what on_frame has begun: 0, or why there is no picture. */
void jobs_frame_done(struct job_take *take, enum job_frame frame, int result);
/* A command that continued after its write has failed: `ctl` says so until the next command. */
void jobs_command_failed(struct job *job, const char *command, int result);

#endif
