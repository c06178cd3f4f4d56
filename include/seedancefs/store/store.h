/*
 * What: the data directory's database: jobs, their attempts, their files, their history; the
 * sole includer of SQLite. WAL mode; each transaction says how durable it must be:
 *   STORE_LAZY     survives a crash of the program, not necessarily a power cut. For what a user
 *                  can see and do again: names, drafts (as on any filesystem before fsync).
 *   STORE_DURABLE  on disk when the call returns (synchronous=FULL). For money and task ids. It
 *                  makes every lazy commit before it durable as well, because all share one log.
 * Lifetime: store_open() .. store_close(); a lock allows one process per data directory. Rows are
 * copied in and out; the texts of a row that is read belong to the row (see the _fini functions).
 * A row that is read has texts without NUL, and numbers within the limits below; a damaged row that
 * has others is -ERR_STORE_CORRUPT.
 * Errors: -ENOSPC, -EIO, -EROFS, -ENOMEM, -ERR_STORE_CORRUPT, -ERR_STORE_VERSION,
 * -ERR_STORE_LOCKED, -ERR_STORE_MOVED, -ENOENT for a row that does not exist.
 */
#ifndef SEEDANCEFS_STORE_STORE_H
#define SEEDANCEFS_STORE_STORE_H

#include "seedancefs/base/attributes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

/* No number of a row is larger, so that sums and products of some of them fit into an int64. */
#define STORE_ID_MAX (INT64_C(1) << 54)            /* an inode number is id << 8 */
#define STORE_TIME_MAX_MS INT64_C(253402300799999) /* the year 9999 */
#define STORE_LENGTH_MAX_MS INT64_C(0x7fffffff)
#define STORE_USD_MICROS_MAX (INT64_C(1000000) * 1000000)
#define STORE_BYTES_MAX (INT64_C(1) << 40)

enum store_durability { STORE_LAZY, STORE_DURABLE };

/* A job as the list of jobs shows it. */
/* What is wrong with a job: the text of `error`, and the same for programs. */
struct store_problem {
    char *text;
    char *code;   /* a name that err_name() gives; NULL: an earlier version wrote the text alone, or
                    the service's own word says it */
    char *field;  /* of the prompt; NULL: none */
    int64_t line; /* from 1; 0: none */
    int64_t column;
};

struct store_job {
    int64_t id;
    char *name;                   /* NULL once the job was removed */
    char *state;                  /* a word of DESIGN's state table; the job layer knows them */
    struct store_problem problem; /* .text NULL: nothing is wrong */
    int64_t created_ms;
    int64_t updated_ms; /* last transition */
    int64_t attempt_id; /* 0: none */
    int64_t picked_id;  /* the attempt whose video is the job's; 0: none. Write only */
    int64_t hold;       /* why it is held, or will be; the job layer knows the numbers */
    bool has_problem;   /* Read only: store_job_each() does not bring the text itself */
    bool has_response;  /* to the create of the current attempt. Read only */
};

/* generation_ms of a task that was adopted: this program did not see its start. */
enum { STORE_GENERATION_UNSEEN = -2 };

/* duration_ms has this on top of the longest that the model may choose, when it chooses. No other
 * length has a fraction of a second, so it needs no column, and an older program understands it. */
enum { STORE_LENGTH_OPEN_MS = 1 };

/* One attempt to have a request fulfilled: at most one create is ever sent for it. */
struct store_attempt {
    int64_t id;
    int64_t job_id;
    int64_t number; /* 1, 2, … within the job */
    char *model;
    char *resolution;
    int64_t duration_ms; /* whole seconds, as requested; see store_attempt_is_length_open() */
    int64_t input_video_ms;
    int64_t estimated_usd_micros;
    int64_t actual_usd_micros; /* -1: not settled */
    int64_t intent_ms;         /* when the request was accepted from the user */
    int64_t submitted_ms;      /* when the first byte may have been sent; 0: never */
    int64_t finished_ms;       /* 0: not yet */
    char *task_id;             /* NULL: none */
    int64_t http_status;       /* of the create's response; 0: none */
    char *request_id;
    char *error_code;
    char *error_message;
    char *video_url; /* secret: never in logs */
    char *cover_url;
    int64_t url_expires_ms; /* 0: unknown */
    int64_t output_ms;      /* length of the video as charged; -1: unknown */
    int64_t video_bytes;    /* -1: unknown */
    char *video_etag;
    int64_t cover_bytes;
    char *cover_etag;
    int64_t generation_ms; /* of the task, from its start to its end; -1: not known */
    int64_t take; /* 1, 2, …: it made the job's first, second, … video; 0: it made none */
    int64_t take_hidden;  /* which names of the take the user has removed, as bits */
    char *take_problem;   /* what is wrong with its video; NULL: nothing */
    int64_t take_readers; /* who else may read its prompt: 044, 040, 004 or 0 */
    int64_t stored_ms; /* when its video was in an object store; 0: it is not known to be in one */
    char *stored_in;   /* in which one; NULL: in none */
};

/* The request leaves the length of the video to the model: duration_ms is the longest. */
static inline bool store_attempt_is_length_open(const struct store_attempt *attempt)
{
    return attempt->duration_ms % 1000 == STORE_LENGTH_OPEN_MS;
}

/* Something of the mount that the request of an attempt needs. */
struct store_input {
    int64_t attempt_id;
    int64_t number;      /* 0, 1, … in the order of the body */
    int64_t form;        /* what it is, and */
    int64_t media;       /* of which kind; the job layer knows the numbers */
    int64_t body_offset; /* of its string in the body, with its quotes */
    int64_t job_id;      /* of the job whose video or frame it is; 0: none */
    int64_t take_id;     /* the attempt that made that; 0: the first take that there will be */
    int64_t kept_id;     /* of a file that is kept for it, as for a user's file; 0: none */
    int64_t length_ms;   /* of a video or audio; -1: not known */
    int64_t is_seen;     /* 1: nothing more is going to be learned about it */
    char *field;         /* as users write it */
    char *path;
};

/* An attempt that has succeeded, as the list of all takes shows it. */
struct store_take {
    int64_t id; /* of the attempt */
    int64_t job_id;
    int64_t number;
    int64_t hidden;
    int64_t readers;
    int64_t finished_ms;
    int64_t video_bytes;    /* -1: not known */
    int64_t cover_bytes;    /* -1: not known */
    int64_t url_expires_ms; /* 0: not known; -1: no URL */
    bool is_picked;         /* its video is that of the job */
    const char *stored_in;  /* the object store that has its video; NULL: none. Lent */
};

/* A file that a user keeps in a job's directory; its bytes lie in files/ID of the data directory.
 * */
struct store_file {
    int64_t id;
    int64_t job_id;
    char *name;
    int64_t mode;    /* permission bits */
    int64_t is_note; /* 1: its name is that of a prompt, and it is none; the job layer says why */
};

void store_job_fini(struct store_job *row);
void store_attempt_fini(struct store_attempt *row);
void store_input_fini(struct store_input *row);
void store_file_fini(struct store_file *row);

/* Takes the lock of the directory, opens or makes the database, migrates it. `directory_fd` is lent
 * until store_close(); `directory` is the path to it, by which SQLite opens the database (copied,
 * links on the way are followed). -ERR_STORE_MOVED when the path leads to another directory. */
int store_open(int directory_fd, const char *directory, struct store **out) NODISCARD;
/* Of SQLite, as "3.40.1". */
const char *store_library_version(void);

struct store *store_close(struct store *store);

/* Whether the directory that is held open, and the database in it, are still where the next program
 * will look for them: 0; -ERR_STORE_MOVED when they are not; -errno when that cannot be found out.
 * What is written meanwhile goes into the open file: it is kept if the file was moved, and lost
 * when this program ends if the file was removed. */
int store_place_check(struct store *store) NODISCARD;

/* A number that was never returned before, not even before a restart: one sequence for jobs,
 * attempts and files. */
int store_id_take(struct store *store, int64_t *out) NODISCARD;

/* A number that belongs to no row, by its name; 0 where none was set. */
int store_number_get(struct store *store, const char *name, int64_t *out) NODISCARD;
int store_number_set(struct store *store, const char *name, int64_t value) NODISCARD;

/* Every change is made between begin and commit; a failed commit has rolled back. Not nested. */
int store_begin(struct store *store, enum store_durability durability) NODISCARD;
int store_commit(struct store *store) NODISCARD;
void store_rollback(struct store *store);

/* Commits when `r` is 0, else rolls back and returns `r`: the end of a series of changes. */
int store_end(struct store *store, int r) NODISCARD;

/* Runs `fn`, which removes something in a transaction of its own. When the disk is full (-ENOSPC)
 * it runs `fn` again, with the room that is reserved for removals. */
typedef int store_remove_fn(void *context);
int store_remove(struct store *store, store_remove_fn *fn, void *context) NODISCARD;

/* Makes everything committed so far durable; also shows early whether the disk can still be
 * written to. */
int store_sync(struct store *store) NODISCARD;

/* Inserts the row or replaces the one with this id. */
int store_job_save(struct store *store, const struct store_job *row) NODISCARD;
/* Removes the job from the list; its attempts and history stay, for the ledger. */
int store_job_remove(struct store *store, int64_t id, int64_t now_ms) NODISCARD;
typedef int store_job_fn(void *context, struct store_job *row); /* takes what it wants; < 0 ends */
int store_job_each(struct store *store, store_job_fn *fn, void *context) NODISCARD;
/* One of them, as store_job_each() brings it, for store_job_fini(); its name is NULL when the job was
 * removed. -ENOENT: there never was one with this id. */
int store_job_get(struct store *store, int64_t id, struct store_job *out) NODISCARD;
int store_job_problem_get(struct store *store, int64_t id, struct store_problem *out) NODISCARD;
void store_problem_fini(struct store_problem *problem);

/* `body` is the exact request, `display` its readable form. */
int store_attempt_insert(struct store *store, const struct store_attempt *row, const void *body,
                         size_t body_len, const void *display, size_t display_len) NODISCARD;
int store_attempt_update(struct store *store, const struct store_attempt *row) NODISCARD;
int store_attempt_get(struct store *store, int64_t id, struct store_attempt *out) NODISCARD;
int store_attempt_job_get(struct store *store, int64_t id, int64_t *job_id) NODISCARD;
/* The name of the attempt in the world: 128 random bits in hexadecimal digits, drawn when its row was
 * inserted, and never changed. */
enum { STORE_UID_SIZE = 33 };
int store_attempt_uid_get(struct store *store, int64_t id,
                          char out[static STORE_UID_SIZE]) NODISCARD;
int store_attempt_number_next(struct store *store, int64_t job_id, int64_t *out) NODISCARD;
/* In the order of jobs and numbers; not of removed jobs. */
typedef int store_take_fn(void *context, const struct store_take *row); /* < 0 ends */
int store_take_each(struct store *store, store_take_fn *fn, void *context) NODISCARD;
/* Those of one job, also of a removed one. */
int store_job_takes(struct store *store, int64_t job_id, store_take_fn *fn,
                    void *context) NODISCARD;
/* The takes of jobs that were removed after `after_ms`, and at `until_ms` at the latest (wall time),
 * in that order, until `fn` returns false. It must not change the store. */
typedef bool store_removed_fn(void *context, int64_t attempt_id, int64_t removed_ms);
int store_removed_each(struct store *store, int64_t after_ms, int64_t until_ms,
                       store_removed_fn *fn, void *context) NODISCARD;
/* Keeps the request as it was sent in place of the prompt, if that was not kept. */
int store_prompt_default(struct store *store, int64_t attempt_id) NODISCARD;
/* Keeps the text of the prompt from which the job's takes were made, with each that does not have
 * one yet; an adopted take gets none. NULL: the requests as they were sent, because there is no
 * text any more. */
int store_prompt_keep(struct store *store, int64_t job_id, const void *text, size_t len) NODISCARD;
/* The same for who else may read it. Comes first. */
int store_readers_keep(struct store *store, int64_t job_id, int64_t readers) NODISCARD;
/* Gives an attempt of a removed job to another one, with this number and take; for the first two,
 * store_attempt_update() does not change them. */
int store_attempt_move(struct store *store, const struct store_attempt *row) NODISCARD;
/* Gives the new attempt the request of an older one, but not its inputs. */
int store_attempt_copy(struct store *store, const struct store_attempt *row,
                       int64_t from_id) NODISCARD;
/* Inserts the row or replaces the one of this attempt and number. */
int store_input_save(struct store *store, const struct store_input *row) NODISCARD;
/* What was learned about one: its length, and that there is nothing more to learn. */
int store_input_seen(struct store *store, const struct store_input *row) NODISCARD;
/* Those of an attempt, in their order; the caller frees each row and the array. */
int store_inputs_get(struct store *store, int64_t attempt_id, struct store_input **out,
                     size_t *count) NODISCARD;
/* The jobs that are there and whose present attempts have inputs. */
typedef int store_input_fn(void *context, int64_t job_id); /* < 0 ends */
int store_input_each(struct store *store, store_input_fn *fn, void *context) NODISCARD;
/* The kept files of all attempts of a job. */
typedef void store_kept_fn(void *context, int64_t kept_id);
int store_kept_each(struct store *store, int64_t job_id, store_kept_fn *fn,
                    void *context) NODISCARD;
/* The bytes that are really sent, where the inputs have made them others than the body. */
int store_sent_save(struct store *store, int64_t attempt_id, const void *body,
                    size_t len) NODISCARD;
/* The service has made a task of them, or refused them, so that they prove nothing any more. */
int store_sent_forget(struct store *store, int64_t attempt_id) NODISCARD;
/* What attempts whose request may have been sent since `since_ms` (wall time) cost or may cost: the
 * actual cost where it is known, the estimate where it is not, nothing for a definite refusal. */
int store_spent_get(struct store *store, int64_t since_ms, int64_t *usd_micros) NODISCARD;
/* What the held jobs would cost, by their estimates, in millionths of a dollar. */
int store_held_get(struct store *store, int64_t *usd_micros) NODISCARD;
/* The same for the jobs that wait. */
int store_waiting_get(struct store *store, int64_t *usd_micros) NODISCARD;
/* Writes an entry into the ledger if the attempt's money differs from its last entry:
 * `reserved` when its request is going to be sent, `settled`, `at_risk`, or `released` when it is
 * known that no task was made. Entries are never changed. */
int store_ledger_add(struct store *store, int64_t attempt_id, int64_t now_ms) NODISCARD;

/* How long tasks of this kind took, the latest `most` of them, oldest first. */
typedef void store_generation_fn(void *context, int64_t generation_ms);
int store_generation_each(struct store *store, const struct store_attempt *like, int64_t most,
                          store_generation_fn *fn, void *context) NODISCARD;

/* The latest attempt with this task, of removed jobs too; owned by the caller. -ENOENT: there is
 * none. */
int store_task_find(struct store *store, const char *task_id, struct store_attempt *out) NODISCARD;

/* What the money of an attempt is: the rule is the view attempt_money (src/store/store.c). */
enum store_money {
    STORE_RELEASED, /* no cost: not sent, refused, or another attempt counts for its task */
    STORE_SETTLED,  /* the cost by the length of the finished video */
    STORE_RESERVED, /* the estimate of what is under way */
    STORE_AT_RISK,  /* the estimate of what may have been charged */
    STORE_MONEY_CLASSES
};

/* One attempt as the ledger shows it. Texts are lent. */
struct store_spending {
    const char *job_name;
    bool is_removed;
    const char *state; /* of the job, if this is its attempt now; else NULL */
    int64_t attempt_id;
    int64_t number;
    const char *task_id;
    const char *model;
    int64_t estimated_usd_micros;
    int64_t actual_usd_micros; /* -1: not settled */
    int64_t submitted_ms;      /* 0: never sent */
    int64_t finished_ms;       /* 0: not yet */
    enum store_money class;
    int64_t usd_micros; /* how much of that */
};
typedef void store_spending_fn(void *context, const struct store_spending *row);
/* In the order of their ids, from the first after `after_id` up to and including `last_id`. */
int store_spending_each(struct store *store, int64_t after_id, int64_t last_id,
                        store_spending_fn *fn, void *context) NODISCARD;
/* Attempts of removed jobs that have a task, up to `last_id` and at most `most`, the latest first;
 * without class and usd_micros. */
int store_spending_removed(struct store *store, int64_t last_id, int64_t most,
                           store_spending_fn *fn, void *context) NODISCARD;
/* The last attempt that is not among the latest `latest`; 0: there is none. */
int store_spending_before(struct store *store, int64_t latest, int64_t *attempt_id) NODISCARD;
/* The oldest attempt whose money has changed since this entry of the ledger; 0: none has. *entry_id
 * is the last entry then. */
int store_ledger_since(struct store *store, int64_t *entry_id, int64_t *attempt_id) NODISCARD;

/* The service's last response, unchanged. */
int store_attempt_response_set(struct store *store, int64_t id, const void *body,
                               size_t len) NODISCARD;

/* Owned copies (free()); *out is NULL and 0 is returned where nothing is stored. */
enum store_blob { STORE_BODY, STORE_DISPLAY, STORE_RESPONSE, STORE_PROMPT };
int store_attempt_blob_get(struct store *store, int64_t id, enum store_blob which, char **out,
                           size_t *len) NODISCARD;

int store_file_save(struct store *store, const struct store_file *row) NODISCARD;
/* Removes the name for good. Call it only when the user removed or replaced the file, or when its
 * directory, held open, shows that there are no bytes. Never because of an error. */
int store_file_remove(struct store *store, int64_t id) NODISCARD;
/* The smallest id of all; -ENOENT when there is none. */
int store_file_oldest_get(struct store *store, int64_t *id) NODISCARD;
int store_file_job_get(struct store *store, int64_t id, int64_t *job_id) NODISCARD;
typedef int store_file_fn(void *context, struct store_file *row);
int store_file_each(struct store *store, int64_t job_id, store_file_fn *fn,
                    void *context) NODISCARD;

/*
 * Several hosts. The leader's database is as without them, and keeps entries of what its transactions
 * change, until the log has them. A replica is made of those entries alone: whatever else is going to be
 * written there fails with -EROFS, a transaction as well as an id.
 */
enum store_role { STORE_ALONE, STORE_LEADER, STORE_REPLICA };
struct store_share {
    enum store_role role;
    int64_t seq; /* the last entry of the log that is pushed, or applied; 0: none */
    char cluster[STORE_UID_SIZE];     /* whose log it is; "": none yet */
    char incarnation[STORE_UID_SIZE]; /* of a run of this program that the log knows; "": none */
    char incarnation_next[STORE_UID_SIZE]; /* of a later one, which it may know; "": none */
    char tag[STORE_UID_SIZE];              /* of the entry `seq` */
};
enum store_role store_role_get(const struct store *store);
int store_share_get(struct store *store, struct store_share *out) NODISCARD;
/* -EEXIST: what has jobs of its own does not become a replica. */
int store_share_set(struct store *store, const struct store_share *share) NODISCARD;
/* The same for a leader whose log begins, or begins anew, after `share->seq`: also leaves entries of
 * everything that there is, in place of those that wait. */
int store_share_begin(struct store *store, const struct store_share *share) NODISCARD;
/* Whether this becomes a leader or a replica is not known yet: until it is, nothing is written, as in a
 * replica. */
void store_share_await(struct store *store);
/* 0, or -EROFS: this is a replica. For what is written beside the database. */
int store_write_check(const struct store *store) NODISCARD;

/* Called after each commit that leaves an entry. It must not change the store. */
typedef void store_entry_fn(void *context);
void store_outbox_watch(struct store *store, store_entry_fn *fn, void *context);
struct store_entry {
    int64_t number;
    int64_t file_id; /* the bytes of this file are others now; `text` is NULL. 0: */
    char *text;      /* JSON, owned by the caller */
    size_t len;
    char tag[STORE_UID_SIZE]; /* random, and stays: by it the entry is known again in the log */
};
/* The first entry after this number: 1, or 0 when there is none. The same for files that have other bytes
 * now. */
int store_outbox_next(struct store *store, int64_t after, struct store_entry *out) NODISCARD;
int store_outbox_file_next(struct store *store, int64_t after, struct store_entry *out) NODISCARD;
/* How far it has come: what is in the log for good leaves. */
struct store_progress {
    int64_t number;  /* entries up to this one; 0: none */
    int64_t file_id; /* 0: none; else: what was said of its bytes up to */
    int64_t file_number;
};
int store_outbox_done(struct store *store, const struct store_progress *progress,
                      const struct store_share *share) NODISCARD;
/* The number of what was last said of the bytes of a file. */
int store_outbox_file_last(struct store *store, int64_t file_id, int64_t *number) NODISCARD;
/* The bytes of this user's file are others now, or are about to be, of which the database knows nothing.
 * Within a transaction, or in one of its own; does nothing without other hosts. */
int store_file_touch(struct store *store, int64_t file_id) NODISCARD;

/* A row that an entry changes; told before and after the change, within the transaction. */
struct store_row {
    const char *kind; /* its table */
    int64_t id;
    int64_t job_id; /* that it belongs to now; 0: to none */
    bool is_before;
    bool is_gone; /* the entry says that there is no such row any more */
};
typedef int store_row_fn(void *context, const struct store_row *row); /* < 0 undoes everything */
/* Makes the rows what the entry says, all or none. `share`: where in the log that is; NULL: it stays as it
 * was. `fn` may be NULL. -ERR_STORE_CORRUPT: this is no copy (any more), or the entry cannot be read. */
int store_replica_apply(struct store *store, const char *text, size_t len,
                        const struct store_share *share, store_row_fn *fn, void *context) NODISCARD;
/* Throws the rows of the replica away: the log is another one than that of which they were made. */
int store_replica_clear(struct store *store, const struct store_share *share) NODISCARD;

int store_history_add(struct store *store, int64_t job_id, int64_t time_ms,
                      const char *text) NODISCARD;
typedef void store_history_fn(void *context, int64_t time_ms, const char *text);
int store_history_each(struct store *store, int64_t job_id, store_history_fn *fn,
                       void *context) NODISCARD;

/* The file `events`: lines, each ended by a newline, that are added and never changed. It is read
 * like a file: `fn` gets the line that has the byte at `offset`, and then the following ones in
 * order, until it returns false or the end is reached. The requested part of a line begins at its
 * byte `from`. */
int store_event_add(struct store *store, const char *line, size_t len) NODISCARD;
int store_events_size(struct store *store, int64_t *bytes) NODISCARD;
typedef bool store_events_fn(void *context, const char *line, size_t len, size_t from);
int store_events_each(struct store *store, int64_t offset, store_events_fn *fn,
                      void *context) NODISCARD;

/* A consistent copy of the database, in the data directory: begin, then step until it is not 0; 1:
 * it is complete, on disk, and has its name. After a failure there is none, and the one that was
 * there before is as it was. Each step copies some pages. -EALREADY: one is being made. */
#define STORE_BACKUP_NAME "jobs.backup.sqlite"
int store_backup_begin(struct store *store) NODISCARD;
int store_backup_step(struct store *store) NODISCARD;
/* Gives it up; without one it does nothing. Must be called before store_close(). */
void store_backup_end(struct store *store);

/* Once at each start: whether the directory is a copy, see witness.c; if so, `restored_ms` of the
 * numbers becomes `now_ms` (wall time). -ENOSPC: is_copy is right, but could not be noted. After
 * any other error it is not known. */
int store_witness_check(struct store *store, int64_t now_ms, bool *is_copy) NODISCARD;
/* Everything of a copy is held: until this was called, the check finds a copy again. */
int store_witness_heeded(struct store *store) NODISCARD;

#endif
