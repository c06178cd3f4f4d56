/*
 * What: what the files of the job layer share: the collection, and the calls between them. A file
 * calls only files above it in this list; the one way up is `wake`.
 *   state_table.c  the words, classes and invariants of the states
 *   budget.c       what may be spent
 *   draft.c        a text that is being written
 *   poll_plan.c, poll_history.c    when to poll, and what was learned from the times of past tasks
 *   file_store.c   the user's files: find, stat, read, and where their bytes lie
 *   table.c        the collection: its tables, and the cache of details
 *   take.c         the videos that a job has made
 *   links.c        which jobs need what other jobs make
 *   problem.c      the texts that say how a job is doing
 *   quiet.c        a job's first request waits until its directory is quiet
 *   response.c     the raw response to a create, the text of a response, the delay after one
 *   preparation.c  what is being made ready for requests: addresses, frames, uploads
 *   event.c        the file `events`
 *   record.c       how a transition is written down
 *   state.c        the state machine: the only code that changes a state
 *   video.c        what was learned about the finished video
 *   refresh.c      asks the service for new URLs
 *   progress.c     how far a task is
 *   gate.c         what a waiting job waits for
 *   poll.c         queued, running -> the end: polls, and acts on the response
 *   request.c      the bytes that are sent, once all inputs are ready
 *   media_check.c  ffprobe looks at the user's media
 *   submit.c       waiting -> create
 *   defaults.c     defaults.json
 *   path.c         what a path in a prompt leads to
 *   input.c        the paths of a prompt -> the inputs of an attempt
 *   commit.c       prompt.json, prompt.txt -> attempt
 *   copy.c         whether a job is a copy of another one
 *   names.c        mkdir, rename, rmdir; the directory `assets`
 *   file.c         what the user does with files
 *   file_mode.c    who may read them
 *   follow.c       a job becomes what its rows are
 *   reload.c       follows what somebody else has changed in the store
 *   jobs.c         the life of the collection: created, resumed, stopped, freed
 *   ctl.c          the user's commands
 *   models.c       the service's models, for the layers above
 */
#ifndef SEEDANCEFS_JOB_PRIVATE_H
#define SEEDANCEFS_JOB_PRIVATE_H

#include "seedancefs/api/api.h"
#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/timer.h"
#include "seedancefs/base/tools.h"
#include "seedancefs/job/file.h"
#include "seedancefs/job/job.h"
#include "seedancefs/job/jobs.h"
#include "seedancefs/prompt/model.h"
#include "seedancefs/prompt/prompt.h"
#include "seedancefs/store/store.h"

enum {
    JOB_CREATES_MAX = 4, /* creates under way at once, each on a connection of its own */
    JOB_POLLS_MAX = 16,
    JOB_DETAILS_RESTING = 64,  /* details of inactive jobs that are kept */
    JOB_PROVISIONAL_MS = 5000, /* from the lookup to the create of one open(2) */
    JOB_SAVE_AGAIN_MS = 5000,  /* between attempts to write what the store refused */
    JOB_CTL_LINE_MAX = 512,
    JOB_RESPONSE_SIZE = API_MESSAGE_SIZE + 256,
    JOB_AGAIN_SIZE = 256,
    JOB_SENTENCE_MAX = 4096, /* of one that names jobs or files */
};

/* The row of a take that was made by another attempt than the job's present one. */
struct take_row {
    struct store_attempt attempt;
    struct take_row *next;
};

struct outgoing;

/* Something that requests wait for; see preparation.c. */
struct preparation_key {
    int64_t kind; /* an enum preparation_kind */
    int64_t id;   /* of the attempt, or of the kept file */
};

/* What is known of a job while somebody looks at it or it is active. */
struct job_detail {
    struct store_attempt attempt; /* id 0: none */
    char *problem;                /* text of `error`: use job_problem_get() */
    struct job_cause cause;       /* of the problem, for programs */
    char *ctl_problem;            /* why the last command failed, for `ctl`; NULL: it did not */
    char *prompt_problem;         /* why no second prompt was created, for `error`; NULL: none */
    char *reason;                 /* why the job waits or is stale, one sentence; NULL: none */
    int reason_code;              /* of base/err; holds while there is a reason */
    struct job_file *files;       /* the user's files, prompt.json among them */
    struct take_row *take_rows;   /* those that somebody has asked for */

    /* Under way: at most one call and one timer. */
    struct api_call *call;
    struct timer timer;
    /* Monotonic: the first request is not sent before, and not held up after; see quiet.c. 0: it
     * does not wait for that. */
    int64_t quiet_from_ms;
    int64_t quiet_end_ms;
    int64_t start_ms; /* monotonic: when the task began, as far as it is known */
    /* Monotonic: when the service last said that the task was active; -1: not since the start. */
    int64_t last_seen_active_ms;
    struct outgoing *outgoing; /* while its create is under way: what is sent, if not the body */
    bool is_waiting_for_input; /* the reason says for which */
    bool is_media_seen;        /* see job_media_check() */
    /* Its inputs are being made ready; look_again follows when this one is. id 0: they are not. */
    struct preparation_key preparing;
    unsigned failures;           /* in a row, of the present kind of call */
    unsigned key_generation;     /* jobs.key_generation when the create began */
    bool saw_404;                /* the service has said 404 once */
    bool is_queued;              /* stands in the submit or poll queue */
    bool is_poll_wanted;         /* the user has asked for a poll now */
    bool has_logged_status_word; /* an undocumented status word was logged */
    int progress_permille;       /* the last progress shown: it never goes back */
    bool is_unsaved;             /* the store has refused the last change */
    int stored_state;            /* if is_unsaved: the enum job_state that the store has */
    bool is_response_kept;       /* the raw response of the create is on disk, or in: */
    char *unsaved_response;      /* a raw response that the store has refused */
    size_t unsaved_response_len;
    char *reserved_response; /* memory for it while a create is under way; see job/response.c */

    struct job *job;
    struct job_detail *next; /* of the least recently used list */
    struct job_detail *prev;
    struct job_detail *queue_next; /* of a queue */
    struct job_detail *queue_prev;
};

/* Why nothing at all is submitted now. */
enum job_gate {
    JOB_GATE_OPEN,
    JOB_GATE_KEY_MISSING,
    JOB_GATE_KEY_REFUSED,
    JOB_GATE_ACCOUNT,
    JOB_GATE_QUOTA
};

struct jobs {
    struct jobs_settings settings;
    char *default_model;
    char *api_name;
    struct job_defaults *defaults;
    struct job **by_id; /* in the order of ids */
    size_t count;
    size_t room;
    size_t cursor; /* where the last listing stood */
    struct job *by_name;
    struct job *assets;         /* NULL: see jobs_assets() */
    struct job_detail *details; /* most recently used first */
    size_t details_count;
    struct job_detail *submit_queue;
    struct job_detail *poll_queue; /* in the order in which they became due */
    struct job_refresh *refreshes; /* takes for which new URLs are asked for */
    struct job_links *links;       /* of the jobs that need others, and of those; by id */
    unsigned links_visit;          /* the number of the last search through them */
    struct preparation *preparations;
    struct media_check *media_checks;
    struct timer media_timer;     /* runs them */
    struct poll_kind *poll_kinds; /* what was learned of each kind of task */
    struct timer poll_timer;      /* runs the poll queue */
    int64_t poll_next_ms;         /* monotonic: when the rate limit is at rest again */
    int64_t poll_paused_until_ms; /* monotonic; from Retry-After of a poll */
    unsigned creates;             /* under way, sent or not yet */
    unsigned following;           /* jobs in QUEUED and RUNNING */
    unsigned polls;
    enum job_gate gate;
    unsigned key_generation;    /* how often a new key was given */
    char *gate_message;         /* what the service said when it closed the gate */
    int64_t throttled_until_ms; /* monotonic; from Retry-After of a create */
    struct timer submit_timer;  /* runs the submit queue */
    struct timer save_timer;    /* see job_fact() */
    struct timer resume_timer;  /* see jobs_start() */
    struct jobs_counts counts;
    uint64_t random_state;
    /* Something has ended: the queues are looked at soon. The one call upwards, set by
     * jobs_new(). */
    void (*wake)(struct jobs *jobs);
    /* The same for one waiting job: what it needs has come, or will not come. */
    void (*look_again)(struct job *job);
    timer_fn *submit_due; /* the same, for the timer of a waiting job */
    bool is_started;
    bool is_stopping;
};

/* As store_attempt.duration_ms. */
static inline int64_t job_length_ms(const struct prompt *prompt)
{
    return prompt->longest_s * 1000 + (prompt->duration_s < 0 ? STORE_LENGTH_OPEN_MS : 0);
}

static inline int64_t jobs_wall_ms(const struct jobs *jobs)
{
    return clock_wall_ms(jobs->settings.clock);
}

static inline bool job_is_following(const struct job *job)
{
    return !job->is_removed && (job->state == JOB_QUEUED || job->state == JOB_RUNNING);
}

/* Destructors for CLEANUP(). */
static inline void prompt_drop(struct prompt **prompt)
{
    prompt_free(*prompt);
}

/* state_table.c */
bool job_state_has_hold(enum job_state state); /* job->hold means something in this state */
void job_check(const struct job *job);
/* The invariant of state.c that a stored job and its detail break, of those that the store can
 * break; 0: none. */
int job_broken_invariant(const struct job *job, const struct job_detail *detail) NODISCARD;

/* budget.c */
void job_budget_period_get(enum job_budget_period period, int64_t wall_ms, int64_t *start_ms,
                           int64_t *end_ms);
/* 0 when the job's attempt fits into the rest of the budget, else -ERR_BUDGET and the state. */
int job_budget_check(struct job *job, struct job_budget_state *state) NODISCARD;

/* poll_history.c: see there. */
struct poll_learned;
void job_poll_learned_get(struct job *job, struct poll_learned *out);
void job_poll_learn(struct job *job); /* its task has succeeded just now */
void jobs_poll_kinds_free(struct jobs *jobs);
/* The store may know more of tasks like this one: it is asked again. */
void jobs_poll_forget(struct jobs *jobs, const struct store_attempt *attempt);

/* file_store.c */
/* The name of a file's bytes in JOB_FILES_DIRECTORY. */
struct job_bytes_name {
    char text[24];
};
struct job_bytes_name job_bytes_name(int64_t id);
/* Takes an id for new bytes. One whose name is in use is left out: a crash has left bytes there, or
 * the database is older than the files, and they may be all that there is of a video. */
int job_bytes_id_take(const struct jobs *jobs, int64_t *out) NODISCARD;
bool job_name_is_prompt(const char *name);
int job_file_load(void *context, struct store_file *row) NODISCARD; /* into a job_detail */
void job_file_free(struct job_file *file);
/* Removes the bytes' name; an open handle keeps the bytes until it is closed. The user has removed
 * or replaced the file, and the store has removed its row. */
void job_file_detach(struct job_file *file);
void job_files_detach(struct job_detail *detail);
/* The same for a file whose bytes are not this call's to remove. */
void job_file_leave(struct job_file *file);
/* Somebody else may have put other bytes in their place: who reads them sees those from now on, and
 * the result is true. What is being written here stays. */
bool job_file_bytes_again(struct job_file *file);
/* Opens the bytes with these flags. Returns a descriptor, or -EIO when they are not found. */
int job_file_bytes_open(const struct job_file *file, int flags) NODISCARD;
/* Only when the user has removed or replaced the file, or when the caller created the bytes just
 * now. */
void job_file_bytes_unlink(const struct job_file *file);
/* True only with proof that the bytes do not exist: their directory is in its place, and says so.
 * Bytes that are merely out of sight are not gone. */
bool job_file_is_gone(const struct job_file *file);

/* Before the bytes change: if they are kept for an input as well, the file gets bytes of its own, a
 * copy unless all of it is going to be truncated. -ENOSPC and the like: nothing has changed. */
int job_file_unshare(struct job_file *file, bool is_truncating) NODISCARD;

/* Its bytes or their times are others now: other hosts get them. */
void job_file_touched(const struct job_file *file);

/* Saves the file's row as it is going to be; within a transaction, or in one of its own. */
int job_file_row_save(const struct job_file *file, int64_t job_id, const char *name) NODISCARD;
int job_file_row_save_now(const struct job_file *file) NODISCARD;

/* table.c */
void outgoing_fini(struct outgoing *outgoing);
void job_outgoing_drop(struct job_detail *detail);
/* All jobs, by id, provisional ones and assets among them. The loop must not unlink any. */
#define JOBS_FOREACH(jobs, job)                                                                    \
    for (size_t job##_at = 0; job##_at < (jobs)->count && ((job) = (jobs)->by_id[job##_at], true); \
         job##_at++)
void jobs_changed(struct job *job);
int job_new(struct jobs *jobs, int64_t id, char *name, /* taken on success */
            struct job **out) NODISCARD;
void job_free(struct job *job);
void job_detail_drop(struct job *job);
/* Reads the detail of a job that perhaps stands in no table: it is no job's yet, and
 * job_detail_adopt() makes it that of one that has none. */
int job_detail_read(struct job *job, struct job_detail **out) NODISCARD;
void job_detail_adopt(struct job *job, struct job_detail *detail);
void job_detail_free(struct job_detail *detail); /* of one that was not adopted; accepts NULL */
int job_link(struct job *job) NODISCARD;         /* puts it into both tables */
/* Removes the job from both tables, in which every job is from job_new() on. */
void job_unlink(struct job *job);
int job_name_check(const char *name) NODISCARD;                 /* 0: a job may have this name */
struct job *jobs_find_any(struct jobs *jobs, const char *name); /* also provisional jobs */
/* Appends a text of the attempt. */
int jobs_blob_get(struct jobs *jobs, int64_t attempt_id, enum store_blob which,
                  struct buf *out) NODISCARD;
void job_unqueue(struct job *job);
void job_call_cancel(struct job *job); /* of a create that was not sent, or of a poll */

/* take.c */
int job_take_new(struct job *job, int64_t attempt_id, struct job_take **out) NODISCARD;
int job_take_load(void *context, const struct store_take *row) NODISCARD; /* into jobs */
int job_take_read(void *context, const struct store_take *row) NODISCARD; /* into a job */
/* What the row says becomes true of the take. */
void job_take_follow(struct job_take *take, const struct job_take *row);
struct job_take *job_take_find(const struct job *job, int64_t attempt_id); /* NULL: none */
/* The take that the job's attempt has made; NULL: it has made none. */
struct job_take *job_take_of_attempt(const struct job *job);
int32_t job_take_number_next(const struct job *job);
void job_takes_append(struct job_take *take); /* from now on the job has it */
/* Keeps the job's present prompt, if it is not larger, with each of its takes that has none, and who
 * may read it; within a transaction. */
int job_takes_prompt_keep(struct job *job, off_t bytes_max) NODISCARD;
/* Gives the attempt away, of a take that was made by another one than the job's. */
int job_take_attempt_take(struct job_take *take, struct store_attempt *out) NODISCARD;

/* What an input is. The numbers are in the store. */
enum job_input_form {
    JOB_INPUT_INLINE,  /* a file, whose content is in the body */
    JOB_INPUT_LENGTHS, /* the lengths of all videos of the request */
    JOB_INPUT_VIDEO,   /* of the picked take of a job, as the next two */
    JOB_INPUT_FIRST_FRAME,
    JOB_INPUT_LAST_FRAME,
    JOB_INPUT_TAKE,    /* the video of one take, whichever is picked */
    JOB_INPUT_FILE,    /* a video of the user's, which is kept for this */
    JOB_INPUT_MISSING, /* a path that leads nowhere yet; in held jobs only */
    JOB_INPUT_FORMS
};

/* The inputs of an attempt, in the order of its body. A zeroed struct has none. */
struct job_inputs {
    struct store_input *rows;
    size_t count;
};
void job_inputs_fini(struct job_inputs *inputs);
int job_inputs_get(const struct job *job, int64_t attempt_id,
                   struct job_inputs *out) NODISCARD; /* out is zeroed by the caller */
/* The first one of this form; NULL: there is none. */
const struct store_input *job_inputs_find(const struct job_inputs *inputs,
                                          enum job_input_form form);

/* links.c: see there. */
struct job_link {
    struct job *job;          /* which needs */
    struct job_links *on;     /* this one */
    int64_t take_id;          /* the take that it takes; 0: the first one that there is */
    struct job_link *next;    /* of what the job needs */
    struct job_link *on_next; /* of what needs the other one */
    struct job_link *on_prev;
};
struct job_links {
    int64_t job_id; /* perhaps of a job that was removed */
    struct job_link *needs;
    struct job_link *needed_by;
    unsigned visit; /* of a search, as the next two */
    struct job_links *via;
    struct job_links *queued;
    UT_hash_handle by_id;
};
int jobs_links_load(struct jobs *jobs) NODISCARD;
void jobs_links_free(struct jobs *jobs);
/* Reads the links of the job's present attempt, after that has changed. If they cannot be read the
 * job says so (are_links_unread), and is not sent before they are. */
int job_links_read(struct job *job);
/* How what the job needs is doing; the worst counts. */
enum job_needs {
    JOB_NEEDS_MET,
    JOB_NEEDS_WAIT,    /* it has not been made yet */
    JOB_NEEDS_CHANGED, /* it is another one than when the job was accepted */
    JOB_NEEDS_ENDED,   /* the other job has ended without a video */
    JOB_NEEDS_REMOVED, /* the other job is gone */
    JOB_NEEDS_UNREAD   /* it is not known now */
};
enum job_needs job_needs_get(struct job *job);
/* The same, and adds a sentence that says so; none for JOB_NEEDS_MET. */
enum job_needs job_needs_to_text(struct job *job, struct buf *out);
/* Its state or its picked take has changed, or it was removed: tells the jobs that need it. */
void job_source_changed(struct job *job);
/* Whether `on` waits for `job` already, directly or through others: then adds "a → b → a". */
bool job_is_circle(struct job *job, struct job *on, struct buf *out);

/* problem.c */
int job_text_set(char **place,
                 const char *text) NODISCARD; /* replaces a text by a copy; NULL: none */
void job_text_clear(char **place);
/* The same, but "" counts as none, and without memory the text is missing. */
void job_text_keep(char **place, const char *text);
/* Sets the sentence, and the code of base/err that says the same to programs. */
void job_reason_set(struct job_detail *detail, int code, const char *format, ...) PRINTF_LIKE(3, 4);
/* The same for `error`. Code 0: the service's own word says it. */
void job_problem_set(struct job_detail *detail, int code, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Takes the text, also if it is NULL for want of memory: something is wrong all the same. */
void job_problem_take(struct job_detail *detail, const struct job_cause *cause, char *text);
void job_problem_clear(struct job_detail *detail);
/* What the take_problem of an attempt is for programs. One that begins like this tells of damage. */
#define JOB_DAMAGE_OPENING "The video on disk "
int job_take_problem_code(const struct store_attempt *attempt);
/* How to go on after an attempt that has ended without a video: a sentence. */
void job_again_to_text(const struct job_detail *detail, char out[static JOB_AGAIN_SIZE]);
/* Keeps the reason why a command failed, for readers of `ctl`. */
void job_ctl_fail(struct job *job, const char *command, const char *why);

/* quiet.c */
void job_quiet_begin(struct job *job); /* its request was accepted just now */
void job_quiet_touch(struct job *job); /* something was done in its directory */
void job_quiet_end(struct job *job);   /* the user orders the request: nothing is waited for */
/* How long to wait before asking again; 0: it may be sent. */
int64_t job_quiet_left_ms(struct job *job);

/* preparation.c: see there. */
enum preparation_kind { PREPARE_URL, PREPARE_FIRST_FRAME, PREPARE_LAST_FRAME, PREPARE_UPLOAD };
struct preparation {
    struct preparation_key key;
    struct tool_run *run;
    struct job *job; /* whose log tells of an upload; referenced while that is under way */
    bool is_done;
    int result;        /* of the last time, once it is done */
    unsigned failures; /* in a row */
    int64_t until_ms;  /* monotonic: once it is done, until when that holds */
    char *url;         /* of an upload */
    char *why;         /* of a failure: a sentence; NULL: the result says it */
    UT_hash_handle by_key;
};
/* There is an upload command or an object store: a video of the user's can get an address. */
bool job_can_upload(const struct jobs *jobs);
/* What is under way, or was done and still holds; NULL: neither. */
struct preparation *preparation_find(struct jobs *jobs, enum preparation_kind kind, int64_t id);
/* Begins it anew; NULL: no memory. */
struct preparation *preparation_begin(struct jobs *jobs, enum preparation_kind kind, int64_t id);
/* It has ended: those who wait for it look again. `holds_ms`: how long a success holds. */
void preparation_end(struct jobs *jobs, struct preparation *preparation, int result,
                     int64_t holds_ms);
/* The same by what it is; nothing happens when nobody has begun it. */
enum { PREPARED_MS = 60 * 1000 }; /* after that an address or a frame is looked at again */
void jobs_prepared(struct jobs *jobs, enum preparation_kind kind, int64_t id, int result);
/* The user says that the obstacle is gone: what has failed is begun anew when it is needed. */
void jobs_preparations_again(struct jobs *jobs);
void jobs_preparations_free(struct jobs *jobs);

/* response.c */
uint64_t jobs_random(struct jobs *jobs);
int64_t job_retry_delay_ms(struct jobs *jobs, unsigned failures, int64_t cap_ms);
/* What came instead of a usable response, as part of a sentence. */
void job_response_to_text(const struct api_response *response, char out[static JOB_RESPONSE_SIZE]);
/* Notes what the service said about its refusal. */
void job_response_note(struct store_attempt *attempt, const struct api_response *response);
/* Reserves memory for the response to a create, before the create is sent. */
int job_response_reserve(struct job_detail *detail) NODISCARD;
void job_response_unreserve(struct job_detail *detail);
/* Keeps the raw body of a 2xx: durable, or in memory until it is. */
void job_response_received(struct job *job, int http_status, const char *body, size_t len);
void job_response_show(struct job *job,
                       const struct api_response *response); /* for response.json */

/* record.c: see there. */
struct job_change {
    enum job_state to;
    enum store_durability durability;
    const char *note;            /* for the log, after the states; NULL: none */
    const struct prompt *prompt; /* of a new attempt; NULL: none */
    /* Of a new attempt, or those that are sent or ordered now; NULL: they do not change. */
    const struct job_inputs *inputs;
    int64_t copied_id;   /* the new attempt copies the request of this one; 0: none */
    bool is_adopted;     /* the new attempt has no request */
    bool is_prompt_kept; /* another prompt may be written from now on */
    bool is_told;        /* in `events`, though the state stays the same */
    bool is_regained;    /* the attempt was that of a removed job */
    bool is_new;         /* the job was created just now */
};
int job_change(struct job *job, const struct job_change *change) NODISCARD;
void job_fact(struct job *job, const struct job_change *change);
/* Saves the job's row as it is going to be; within a transaction. */
int job_row_save(struct job *job, const char *name, enum job_state state,
                 int64_t updated_ms) NODISCARD;
int change_save(struct job *job, const struct job_change *change, int64_t now_ms) NODISCARD;
int job_save_again(struct job *job) NODISCARD; /* writes what the store has refused, if anything */
void jobs_save_later(struct jobs *jobs);
void jobs_save_last(struct jobs *jobs); /* the same for all jobs: now or never */

/* event.c: see there. Within the transaction of the change. */
int job_event_removed(const struct job *job) NODISCARD;
int job_event_renamed(const struct job *job, const char *name) NODISCARD; /* before the rename */
int job_event_save_change(const struct job *job, const struct job_change *change,
                          int64_t now_ms) NODISCARD;

/* state.c: see there. */
int job_save_new(struct job *job) NODISCARD;
int job_to_draft(struct job *job) NODISCARD;
int job_to_invalid(struct job *job, const struct job_cause *cause, const char *problem) NODISCARD;
int job_to_accepted(struct job *job, const struct prompt *prompt, struct job_inputs *inputs,
                    enum job_hold hold) NODISCARD;
int job_to_ordered(struct job *job) NODISCARD;
/* `problem`: the text for `error`; NULL: none. */
int job_to_held(struct job *job, enum job_hold hold, const char *note,
                const char *problem) NODISCARD;
int job_to_submitting(struct job *job) NODISCARD;
void job_to_waiting(struct job *job, const char *note);
int job_to_queued(struct job *job, const struct api_task *task) NODISCARD; /* -ENOMEM */
void job_to_rejected(struct job *job, const struct api_response *response);
void job_to_unknown(struct job *job, const char *evidence);
void job_to_running(struct job *job);
void job_to_succeeded(struct job *job);
void job_to_ended(struct job *job, enum job_state state);
void job_persist(struct job *job,
                 const char *note); /* saves a change of the attempt, not of the state */

/* DRAFT … LOST except ACTIVE -> QUEUED: follows a task that exists. */
/* `known`: the attempt that had the task before, whose cost is copied; NULL: none here. */
int job_to_adopted(struct job *job, const char *task_id,
                   const struct store_attempt *known) NODISCARD;
/* UNKNOWN, REJECTED, FAILED, CANCELLED, EXPIRED, LOST -> WAITING: the same request as a new
 * attempt. -ENODATA when the attempt has no request (it was adopted). */
int job_to_retried(struct job *job) NODISCARD;
/* SUCCEEDED, REJECTED, FAILED, CANCELLED, EXPIRED, LOST -> WAITING: the request of the picked take
 * as a new attempt. -ENODATA: the take was adopted. */
int job_to_take(struct job *job) NODISCARD;
/* SUCCEEDED, REJECTED, FAILED, CANCELLED, EXPIRED, LOST -> DRAFT of a job with a take, whose prompt
 * the user is going to write anew. */
int job_to_edit(struct job *job) NODISCARD;
/* Any state except ACTIVE -> SUCCEEDED: a take of a removed job becomes one of this job. `attempt` is
 * taken on success. */
int job_to_regained(struct job *job, struct store_attempt *attempt) NODISCARD;
/* Any state except ACTIVE -> SUCCEEDED, with this take. */
int job_to_picked(struct job *job, struct job_take *take) NODISCARD;

/* refresh.c */
struct job_refresh;
void jobs_refresh_next(struct jobs *jobs); /* as many as there are places for */
void job_refreshes_cancel(struct job *job);
/* A request about a task has begun: the next one waits its turn. */
void jobs_poll_began(struct jobs *jobs);
int64_t jobs_poll_spacing_ms(const struct jobs *jobs);

/* video.c */
/* Puts the URLs of a finished task into the take and its attempt. */
int job_take_urls_set(struct job_take *take, struct store_attempt *attempt,
                      const struct api_task *task) NODISCARD;
void job_take_persist(struct job_take *take, const char *note);

/* gate.c */
/* The service asked to wait: nothing is sent before that, also after a restart. */
void jobs_throttle(struct jobs *jobs, int64_t delay_ms);
void jobs_throttle_resume(struct jobs *jobs);
void jobs_gate_close(struct jobs *jobs, enum job_gate gate, const char *message);
/* Returns 0 when the job may be sent; otherwise the job says what it waits for. -EAGAIN: every job
 * waits, and this one leaves the queue. -EBUSY: the job stays in the queue until there is a place
 * or money. If the wait ends by itself, *again_ms is set to when. */
int job_gate_pass(struct job *job, int64_t *again_ms) NODISCARD;

/* request.c: see there. */
struct outgoing {
    char *body; /* what is sent */
    size_t len;
    bool is_filled_in;        /* it is not the stored body */
    struct job_inputs inputs; /* with the takes that are used */
};
/* 0: `out` is ready, and what the request costs is known exactly. -EINPROGRESS: inputs are being
 * prepared, and look_again follows. -ERR_BUDGET: it costs noticeably more than what was accepted.
 * -ERR_PROMPT_INVALID: it cannot be sent, because an input is gone for good or too long. Any other error may pass. `why` says why; if it is empty, the
 * error does. */
int job_request_make(struct job *job, struct outgoing *out, struct buf *why) NODISCARD;

/* The cost by the lengths of the videos that are known now. -ERR_BUDGET: see above. */
/* models.c: the rules of the model of the job's attempt. */
const struct model *job_rules(const struct job *job);

/* What an attempt costs: at the model's present price, or, when --models does not have the model or
 * the resolution any more, at the price at which the request was accepted. Otherwise as
 * models_estimate_usd_micros(). */
int64_t job_attempt_cost(const struct jobs *jobs, const struct store_attempt *attempt,
                         int64_t output_ms, int64_t input_video_ms) NODISCARD;

int job_cost_update(struct job *job, const struct job_inputs *inputs, struct buf *why) NODISCARD;

/* media_check.c */
/* 0: the user's media were looked at, as far as that is possible. -EINPROGRESS: they are being looked
 * at from now on; a job that is refused becomes INVALID, a waiting one goes on. */
int job_media_check(struct job *job) NODISCARD;
void jobs_media_checks_free(struct jobs *jobs);

/* progress.c */
int64_t job_start_ms(const struct job *job); /* monotonic: when its task began, by the wall clock */

/* poll.c */
/* Follows a task that exists: polls in `delay_ms`, or when the plan says (< 0: the task was created
 * just now). */
void job_poll_follow(struct job *job, int64_t delay_ms);
void job_poll_schedule(struct job *job, int64_t delay_ms); /* after the delay it joins the queue */
void job_poll_ask(struct job *job);     /* before all others: somebody waits for the response */
void jobs_poll_soon(struct jobs *jobs); /* a call has ended: another one may have its place */

/* submit.c */
void jobs_submit_soon(struct jobs *jobs); /* something that jobs wait for has changed */
void job_submit_schedule(struct job *job, int64_t delay_ms);
/* WAITING -> HELD, of a job that has no call. If it cannot be written down, the job waits for the
 * next job_submit_schedule(). */
int job_hold(struct job *job, enum job_hold hold, const char *note, const char *problem) NODISCARD;
timer_fn job_submit_due;
/* Takes back a create that is still being connected; false: there is none. Proof that nothing of it
 * was sent: the state is `submitting` before the first byte (create_send()). The body is made anew
 * from the prompt. */
bool job_connect_cancel(struct job *job);
/* See look_again of struct jobs. */
void job_look_again(struct job *job);
/* The same for a copy; if it cannot be written down, it is tried again, and nothing is sent. */
void job_copy_hold(struct job *job);
/* SUBMITTING -> QUEUED or UNKNOWN, as the kept response says. Without memory to read it: later. */
void job_response_read(struct job *job);

/* defaults.c: see there and seedancefs/job/defaults.h. */
struct prompt_defaults;
struct prompt_report;
int jobs_defaults_begin(struct jobs *jobs) NODISCARD;
void jobs_defaults_end(struct jobs *jobs);
/* Lends the defaults in force. If they are not known: -ERR_PROMPT_INVALID and the text for
 * `error`. */
int jobs_defaults_get(const struct jobs *jobs, const struct prompt_defaults **out,
                      char **problem) NODISCARD;

/* commit.c */
/* Submits an acceptable prompt, or holds it, unless the user orders it by a command; writes into
 * `error` why another one is refused. A rename returns the result. */
int job_prompt_commit(struct job_file *file, bool is_order);
/* When a report is made: after a write (which does not look at local media), at a close, or where
 * the content must be complete; an order also needs all that it names. */
enum job_report { JOB_REPORT_EARLY, JOB_REPORT_CLOSE, JOB_REPORT_COMPLETE, JOB_REPORT_ORDER };
/* -ERR_PROMPT_INVALID, and the reason in the `error` of `shown`, when the content cannot become
 * right any more as a file called `name` in that job; an error of the disk; else 0. */
int job_prompt_report(struct job_file *file, const char *name, struct job *shown,
                      enum job_report when) NODISCARD;

/* copy.c: see there, and job_copy_seen(). */
void job_copy_check_again(struct job *job); /* a file of it was written */

/* path.c */
/* What a path leads to: JOB_INPUT_INLINE: the file; a video or frame: the job, which may have none
 * yet; JOB_INPUT_TAKE: the take. */
struct job_path {
    enum job_input_form form;
    struct job *job;
    struct job_file *file;
    struct job_take *take;
};
/* Follows a path from the directory of this job, within the mount. -ENOENT: there is no such file;
 * -ENOTDIR: no such directory; -EXDEV: outside of the mount; -EACCES: the program makes it, but it is
 * no input. */
int job_path_resolve(struct job *job, const char *path, struct job_path *out) NODISCARD;

/* input.c: reads the paths of a prompt while that is checked. */
struct input_reader {
    struct job *job;         /* whose prompt it is */
    struct job_inputs found; /* without what only the prompt knows */
    bool is_missing_allowed; /* what is not there may come yet, because the job is held */
    char why[JOB_SENTENCE_MAX];
};
prompt_read_media_fn job_input_read;
/* The inputs of an accepted prompt, in the order of its body. */
int job_inputs_make(struct input_reader *reader, const struct prompt *prompt,
                    struct job_inputs *out) NODISCARD;
/* Removes the files that were kept for inputs just now, because the prompt was not accepted. */
void job_inputs_unkeep(struct jobs *jobs, struct job_inputs *inputs);

/* file.c */
int job_file_order(const struct job_file *a, const struct job_file *b); /* of a job's files */
/* The store has moved the file; now everything that points to it follows. Takes the name. */
void job_file_move(struct job_file *file, struct job *job, char *name);

/* follow.c */
/* Makes a job of its row, in no table yet. -ERR_STORE_CORRUPT. */
int job_from_row(struct jobs *jobs, struct store_job *row, struct job **out) NODISCARD;
/* Puts it into the tables; on failure it is still the caller's. */
int job_enter(struct job *job) NODISCARD;
/* The job becomes what `row` is, a job of job_from_row() that has its takes, but for its name and its
 * detail. True when the media of a take may be had by another address. */
bool job_follow(struct job *job, struct job *row) NODISCARD;
/* The same for its detail, which is taken, and for the files that it has now: also those that were
 * another job's. */
void job_detail_follow(struct job *job, struct job_detail *row);
/* Then for the files that it does not have any more, as far as that is certain. After a failure
 * *result, if that was 0, is why. */
void job_files_let_go(const struct job *job, int *result, bool is_told);

/* names.c */
#define JOB_ASSETS_NAME ".assets"          /* of its row: no job can have this name */
int job_settle(struct job *job) NODISCARD; /* a provisional job becomes a real one */
/* It was removed from the store and from the tables: everything else lets go of it. */
void job_leave(struct job *job);
/* A provisional job whose name or number another one has. */
void job_give_way(struct job *job);

#endif
