/*
 * What: a job: one directory under jobs/, its state, and what the layers above may see of it.
 * An idle job takes some 250 bytes. It gets a `struct job_detail` while somebody looks at it or the
 * program works on it; the detail of idle jobs is freed again, the least recently used first.
 * Lifetime: made by jobs_new() from the store and by jobs_create(); lent everywhere else. A caller
 * that keeps a job over several calls holds a reference: job_ref() .. job_unref().
 * Errors: -errno and codes of base/err.
 */
#ifndef SEEDANCEFS_JOB_JOB_H
#define SEEDANCEFS_JOB_JOB_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/buf.h"
#include "seedancefs/base/table.h"

#include <stdbool.h>
#include <stdint.h>

/* `schema` in status.json, spend.json and the lines of `events`: it grows when a member changes its
 * meaning or goes, not when one is added. The files of schema/ describe it. */
enum { JOB_JSON_SCHEMA = 1 };

struct job_detail;
struct job_file;
struct jobs;
struct store_attempt;

/*
 * X(NAME, word, class): EDITABLE states let prompt.json be rewritten, which starts a new attempt;
 * in ACTIVE states the program does something by itself; FROZEN states wait for the user alone.
 */
#define JOB_STATE_TABLE(X)                                                                         \
    X(DRAFT, "draft", EDITABLE)                                                                    \
    X(INVALID, "invalid", EDITABLE)                                                                \
    X(HELD, "held", EDITABLE)                                                                      \
    X(WAITING, "waiting", ACTIVE)                                                                  \
    X(SUBMITTING, "submitting", ACTIVE)                                                            \
    X(UNKNOWN, "unknown", FROZEN)                                                                  \
    X(REJECTED, "rejected", EDITABLE)                                                              \
    X(QUEUED, "queued", ACTIVE)                                                                    \
    X(RUNNING, "running", ACTIVE)                                                                  \
    X(SUCCEEDED, "succeeded", FROZEN)                                                              \
    X(FAILED, "failed", EDITABLE)                                                                  \
    X(CANCELLED, "cancelled", EDITABLE)                                                            \
    X(EXPIRED, "expired", EDITABLE)                                                                \
    X(LOST, "lost", EDITABLE)

enum job_state {
#define X(name, word, class) JOB_##name,
    JOB_STATE_TABLE(X)
#undef X
        JOB_STATE_COUNT,
};

/* Why a job is held, or why the next close of its prompt holds it. The numbers are in the store. */
enum job_hold {
    JOB_HOLD_NONE,
    JOB_HOLD_USER,     /* the user wants it: --hold, "hold", the command */
    JOB_HOLD_COPY,     /* it looks like a copy of another job; see job_copy_seen() */
    JOB_HOLD_RESTORED, /* the data directory is a copy: the request may have been sent elsewhere */
    JOB_HOLD_INPUT,    /* what it needs of another job will not come, or has changed */
    JOB_HOLD_PRICE,    /* it costs more than what was accepted, now that all lengths are known */
    JOB_HOLD_COUNT,
};

enum job_class { JOB_CLASS_EDITABLE, JOB_CLASS_ACTIVE, JOB_CLASS_FROZEN };

/* The word that `status` shows. Static storage. */
const char *job_state_to_text(enum job_state state);
int job_state_parse(const char *word, enum job_state *out) NODISCARD;
enum job_class job_state_class(enum job_state state);

static inline bool job_state_is_editable(enum job_state state)
{
    return job_state_class(state) == JOB_CLASS_EDITABLE;
}

/* A take: an attempt of a job that has made a video. It lives as long as its job. */
struct job_take {
    int64_t id; /* of the attempt */
    int64_t finished_ms;
    int64_t video_bytes;    /* -1: there is no video that could be read (yet) */
    int64_t cover_bytes;    /* -1: there is no cover (yet) */
    int64_t url_expires_ms; /* of the media; 0: not known; -1: there is no URL (any more) */
    struct job *job;
    struct job_take *next; /* of a utlist, in the order of their numbers */
    int32_t number;   /* 1, 2, … within the job; 0: the size of its video is being asked for */
    uint32_t probe_s; /* monotonic: the layer above asks for the size no sooner */
    /* How many other versions of the video the layer above has seen after the first, since the user
     * or a start asked for it or one of them was complete. */
    unsigned char video_changes;
    unsigned char media_mark; /* what the layer above knows of the take's media; 0: nothing */
    unsigned char hidden;  /* which names of it the user has removed: see job_take_hidden_set() */
    unsigned char readers; /* who else may read its prompt: see job_readers_get() */
    bool is_frames_seen;   /* the layer above has looked for its pictures */
    bool is_kept;          /* it must stay on disk: the job goes on from it */
    bool is_stored;        /* its video is in the object store */
};

struct job {
    int64_t id;
    char *name;
    int64_t created_ms;
    int64_t updated_ms; /* last transition: st_mtime of the job and its generated files */
    int64_t attempt_id; /* 0: none */
    struct job_take *takes;
    struct job_take *picked; /* whose video is the job's; NULL: there is no take */
    /* What the attempt will have made once the size of its video is known; NULL: nothing yet. */
    struct job_take *sizing;
    /* The frozen prompt that was unlinked: see job_file_is_hidden(); 0: none. */
    int64_t hidden_prompt_id;
    uint32_t hidden;     /* generated files that were unlinked, one bit each */
    uint32_t event_mark; /* what the layer above has told of it; 0: nothing */
    unsigned references;
    enum job_state state;
    /* In DRAFT, INVALID and HELD; see there. In WAITING: it is to be held, and that could not be
     * stored yet. */
    enum job_hold hold;
    bool has_problem : 1;
    bool had_response : 1;   /* its attempt, when that was in memory last, or read with the job */
    bool is_provisional : 1; /* looked up by a path that is about to create something below it */
    bool is_removed : 1;
    bool is_assets : 1;        /* no job: see jobs_assets() */
    bool is_resume_due : 1;    /* the start could not load it */
    bool are_links_unread : 1; /* see job_links_read() */
    unsigned char view_mark;   /* in which views the layer above shows it; 0: not known */
    struct job_detail *detail; /* NULL while nobody asks: use job_detail_get() */
    struct jobs *jobs;
    UT_hash_handle by_name;
};

struct job *job_ref(struct job *job);
struct job *job_unref(struct job *job);
/* For CLEANUP(): drops the reference that a variable holds. */
static inline void job_drop(struct job **job)
{
    (void)job_unref(*job);
}

/* Lends the detail, loading it when needed: valid until the next call that may load another one,
 * unless the job is referenced or active. */
int job_detail_get(struct job *job, struct job_detail **out) NODISCARD;

/* Whether the prompt may be written now. With a take only after `edit`: a script that runs again
 * must not order a second video. */
bool job_is_editable(const struct job *job);

/* The take with this number; NULL: there is none. */
struct job_take *job_take_get(const struct job *job, int64_t number);
/* Lends the attempt that made the take, which may be another one than the job's: valid as long as
 * the job's detail is. */
int job_take_attempt_get(struct job_take *take, struct store_attempt **out) NODISCARD;
/* Hides names of the take, those of these bits, durably: `pick` shows them again. Nothing is
 * deleted. */
enum job_take_name { JOB_TAKE_VIDEO = 1, JOB_TAKE_PROMPT = 2 };
int job_take_hidden_set(struct job_take *take, unsigned hidden) NODISCARD;
/* Appends the prompt as the user wrote it. -ENODATA: the take was adopted. */
int job_take_prompt_get(struct job_take *take, struct buf *out) NODISCARD;
/* What the take was made from, in the order of its request. `path` is as the prompt names it; `made`
 * is the take of a job that made it, NULL for a file of the user, and for what was removed. */
struct job_take_input {
    const char *field;
    const char *path;
    const struct job_take *made;
};
typedef void job_take_input_fn(void *context, const struct job_take_input *input);
int job_take_inputs_each(const struct job_take *take, job_take_input_fn *fn,
                         void *context) NODISCARD;
/* Whether it has one. */
bool job_take_has_prompt(struct job_take *take);

/* What a detail tells, lent as long as it is. `detail` may be NULL: nothing is known. */
const struct store_attempt *job_attempt_get(const struct job_detail *detail); /* its id 0: none */
struct job_file *job_files_get(const struct job_detail *detail); /* the first of a utlist */
/* Why the job waits, is held or is stale, one sentence; NULL: none of them. Lent. */
const char *job_reason_get(struct job_detail *detail);
/* The code of base/err that says the same to programs: after job_reason_get(). 0: no reason. */
int job_reason_code_get(const struct job_detail *detail);
/* Why no second prompt was made, for `error`; NULL: none was wanted. */
const char *job_prompt_problem_get(const struct job_detail *detail);

/* The jobs whose videos or frames the present request needs, and of those whose
 * requests need this job. */
typedef void job_each_fn(void *context, const struct job *job);
void job_depends_on_each(const struct job *job, job_each_fn *fn, void *context);
void job_needed_by_each(const struct job *job, job_each_fn *fn, void *context);
/* An input of the picked take is another one now than when that was made. */
bool job_inputs_are_changed(struct job *job);
/* What waits for the job, and for what waits for it, and so on. */
struct job_followers {
    unsigned count;
    int64_t usd_micros; /* by their estimates */
};
void job_followers_get(struct job *job, struct job_followers *out);

/* How far the job's task is, judged by how long like tasks took. */
struct job_progress {
    int permille;   /* 1000: succeeded, and not before; -1: there is no telling */
    int64_t eta_ms; /* what it will take yet; -1: not known */
};
int job_progress_get(struct job *job, struct job_progress *out) NODISCARD;

/* What a DRAFT or INVALID job would ask for and cost as it is now, for store_attempt_fini(). An
 * error when its prompt is not a complete request, or too long to be looked at each time. */
int job_estimate_get(struct job *job, struct store_attempt *out) NODISCARD;

/* The same of a prompt that leaves everything else to the defaults of the mount. */
int jobs_estimate_get(struct jobs *jobs, struct store_attempt *out) NODISCARD;

/* The text of `error`, of a job whose detail is loaded; NULL: nothing is wrong. Lent. */
const char *job_problem_get(const struct job *job);

/* What is wrong, for programs. */
struct job_cause {
    int code;        /* of base/err */
    char field[96];  /* of the prompt, as users write it; "": none */
    unsigned line;   /* of the prompt, from 1; 0: there is no place to point at */
    unsigned column; /* from 1, in code points */
};
/* The name of the code, or the service's own word where the service says what is wrong; NULL:
 * nothing is wrong. Lent until the job changes. */
const char *job_cause_get(const struct job *job, struct job_cause *out);

/* "name state=… attempt=…", for log lines and debuggers. */
void job_to_text(const struct job *job, char *out, size_t size);

#endif
