/*
 * What: one simulated world: the program's core (job layer, prompt, api, store) on a disk in
 * memory, with a service, users and time that all follow from one seed. The files:
 *
 *   disk*.c    SQLite's VFS: unsynced writes, power cuts, faults
 *   program.c  the program's life: start, end, crash; its hooks and callbacks
 *   network.c  the http layer: transfers, and their faults on the way
 *   service.c  the service: tasks, responses, moods
 *   users.c    what users do
 *   oracle.c   what must hold: states, durability, money
 *   world.c    the schedule of one seed
 *   test_simulation.c  seeds, processes, figures
 *
 * Lifetime: one world per process at a time, the global `world`: SQLite's VFS has no other context.
 */
#ifndef TESTS_SIMULATION_WORLD_H
#define TESTS_SIMULATION_WORLD_H

#include "seedancefs/api/api.h"
#include "seedancefs/base/clock.h"
#include "seedancefs/base/table.h"
#include "seedancefs/base/timer.h"
#include "seedancefs/job/jobs.h"
#include "seedancefs/store/store.h"

#include <stdbool.h>
#include <stdint.h>

#define MINUTE_MS (60 * INT64_C(1000))
#define HOUR_MS (60 * MINUTE_MS)
#define AGAIN_EVERY_MS (2 * 60 * 1000) /* between two acts of users who come back */

enum { NAMES_MAX = 5, HANDLES = 4, TASK_ID_BYTES = 24, DIRECTORY_BYTES = 128 };

/* How much of each fault this seed has. Each seed has its own mixture: some get only one kind of
 * trouble, others all kinds at once. In thousandths, unless stated otherwise. */
struct mixture {
    unsigned names;
    unsigned acts; /* of users */
    int64_t act_every_ms;
    unsigned crashes;
    unsigned power_cuts; /* of the crashes */
    unsigned disk_faults;
    unsigned connect_fails;
    unsigned lost_out;  /* requests that are lost */
    unsigned lost_back; /* responses that are lost */
    unsigned mangled;   /* responses with an unintelligible body */
    unsigned refused;   /* creates with a 4xx or 5xx */
    unsigned slow;
    unsigned strange_polls;
    unsigned moods;
    unsigned clock_jumps;
    unsigned restarts;
    unsigned media_fails;
    unsigned links; /* prompts that name other jobs */
};

struct program {
    struct timers timers;
    struct store *store;
    struct api *api;
    struct jobs *jobs; /* NULL: the program is not running */
    struct job_budget budget;
    unsigned active_max;
    int64_t poll_interval_ms;
    int64_t settle_ms;
    bool has_key;
    bool is_hold_wanted;
    bool is_ending;
};

struct world {
    uint64_t seed;
    uint64_t random;
    uint64_t trace; /* hash of every event */
    bool is_verbose;
    bool is_calm; /* no more faults */
    bool is_user_acting;
    bool is_commanding; /* writes into a ctl */
    bool is_again;      /* users make finished jobs again */
    bool is_resuming;   /* the program is resuming after a start */
    struct fake_clock clock;
    struct timers events; /* everything outside the program */
    struct mixture mixture;
    struct program program;
    char directory[DIRECTORY_BYTES]; /* a real directory, for the lock and the users' files */
    int directory_fd;
    int files_fd;
};

extern struct world world;

/* Figures over many seeds. They show that a run has reached everything. */
#define FIGURE_TABLE(X)                                                                            \
    X(SEEDS, "seeds")                                                                              \
    X(EVENTS, "events")                                                                            \
    X(KILLS, "kills")                                                                              \
    X(POWER_CUTS, "power cuts")                                                                    \
    X(DEATHS_INSIDE, "deaths inside an operation")                                                 \
    X(RESTARTS, "clean ends")                                                                      \
    X(STARTS_FAILED, "failed starts")                                                              \
    X(DISK_FAULTS, "disk faults")                                                                  \
    X(ACCEPTED, "attempts accepted")                                                               \
    X(SENT, "creates sent")                                                                        \
    X(ARRIVED, "creates arrived")                                                                  \
    X(TASKS, "tasks made")                                                                         \
    X(ANSWERS_LOST, "responses lost")                                                              \
    X(MANGLED, "responses mangled")                                                                \
    X(POLLS, "polls")                                                                              \
    X(RETRIED, "retries")                                                                          \
    X(TAKES, "takes")                                                                              \
    X(EDITS, "edits")                                                                              \
    X(PICKS, "picks")                                                                              \
    X(INPUTS, "inputs sent")                                                                       \
    X(INPUT_WAITS, "jobs that wait for another at the end")                                        \
    X(ADOPTED, "adoptions")                                                                        \
    X(BUDGET_WAITS, "waits for the budget")                                                        \
    X(INSPECTIONS, "durable images read")                                                          \
    X(ANSWERS_RECOVERED, "responses recovered after a crash")

enum figure {
#define X(name, text) FIGURE_##name,
    FIGURE_TABLE(X)
#undef X
        FIGURE_COUNT,
};
struct figures {
    uint64_t count[FIGURE_COUNT];
    uint64_t states[JOB_STATE_COUNT];
};
extern struct figures *figures;

static inline void figure_add(enum figure figure)
{
    figures->count[figure]++;
}

/* --- world.c --- */

/* Runs the seed to its end and returns the trace's hash. A broken promise ends the process. */
uint64_t world_run(uint64_t seed, const char *directory, bool is_verbose);

unsigned world_pick(unsigned below);
bool world_chance(unsigned thousandths);
static inline bool world_goes_wrong(unsigned thousandths)
{
    return !world.is_calm && world_chance(thousandths);
}

/* Adds one line to the run's story; the line is part of its hash. */
void world_say(const char *format, ...) PRINTF_LIKE(1, 2);
/* Reports a broken promise with the seed, and ends the process. */
void world_fail(const char *format, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));
/* Call this at the end of each event of `world.events`: it checks, and ends a program that
 * has to die. */
void world_event_end(void);
void world_timer_set(struct timer *timer, int64_t delay_ms, timer_fn *fn, void *context);

/* --- program.c --- */

void program_start(void); /* now, or later if the disk fails */
void program_start_at(int64_t delay_ms);
/* `is_clean`: the program frees what it has. Otherwise its last writes are lost. */
void program_end(bool is_clean);
void program_crash(bool is_power_cut);
/* SIGTERM: the program ends when the creates under way have their responses; the second
 * time, at once. */
void program_stop(void);
void program_stop_check(void);
void program_timers_run(void);
void program_settings_pick(void);
void program_key_changed(void);
void program_fini(void);
static inline bool program_is_up(void)
{
    return world.program.jobs != NULL;
}

/* --- network.c and service.c --- */

/* What must have become of the job once the create's response was seen. */
enum meaning { MEANS_UNSENT, MEANS_TASK, MEANS_REFUSED, MEANS_AGAIN, MEANS_NOT_KNOWN };

struct reply {
    int http_status;
    char retry_after[64];
    char body[640];
    enum meaning meaning; /* of a create */
};

struct attempt;
struct http *network_new(void);
void network_free(void);
unsigned network_transfers(bool is_create); /* under way */
/* Says that the next http_start() of a create is for this attempt. */
void network_attempt_set(struct attempt *attempt);

void service_reset(void);
bool service_is_reachable(void);
void service_create(struct attempt *attempt, const char *body, struct reply *out);
void service_ask(const char *task_id, struct reply *out);
void service_mood_change(void);
void service_heal(void);
/* A task that exists: any of ours, or a new one of somebody else. NULL: none. */
const char *service_task_any(bool is_ours);
/* Seconds of video that a task has produced; -1: none, or not yet. */
int64_t service_actual_s(const char *task_id);
/* The price of a request for so many seconds of output; -1: as many as the request names. */
int64_t service_price_usd_micros(const char *body, int64_t seconds);

/* --- users.c --- */

void users_act(void);
void users_forget(void); /* the program and all its open files are gone */
void users_leave(void);  /* users close their open files */
/* Removes the bytes of the users' files; with `is_power_cut` only some of them. */
void users_files_clean(bool is_power_cut);

/* --- oracle.c --- */

/* What the oracle knows about one attempt, independent of the program. */
/* A job whose video or frame an attempt needs, and the take that it had when the user ordered that;
 * 0: none yet. */
struct ordered {
    int64_t job_id;
    int64_t take_id;
};

enum { INPUTS_MAX = 4 };

struct attempt {
    int64_t id;
    int64_t job_id;
    char *body; /* of the request that was sent */
    int64_t sent_wall_ms;
    unsigned sends;
    unsigned possible; /* sends that may have made a task, as far as the program knows */
    unsigned arrived;
    unsigned tasks;
    char task_id[TASK_ID_BYTES]; /* "": no task was made */
    bool is_unknown;             /* the job was unknown once; nothing more may be sent */
    bool is_answered_well;       /* the service's response has the task id in the right place */
    bool is_response_kept;       /* such a response was once durable */
    struct ordered ordered[INPUTS_MAX];
    unsigned ordered_count;
    bool is_written_off; /* a user gave it the id of another task */
    UT_hash_handle by_id;
};

void oracle_reset(void);
struct attempt *oracle_attempt(int64_t id);
/* A user adopts a task for the job. */
void oracle_adopted(const struct job *job, const char *task_id);
/* A user has done what only those do who copy a job; or has ordered what is held. */
void oracle_copied(const struct job *job);
void oracle_ordered(const struct job *job);
void oracle_job_changed(const struct job *job);
void oracle_sent(struct job *job, struct attempt *attempt, const char *body, size_t len);
void oracle_received(struct job *job, struct attempt *attempt, const char *body, size_t len,
                     unsigned failures_before);
/* Called just before and just after the program learns what became of a create. */
void oracle_answering(struct attempt *attempt, enum meaning meaning);
void oracle_answered(int64_t job_id, struct attempt *attempt, enum meaning meaning);
void oracle_event_end(void);
/* How a program ended. This tells what the disk must hold: all that it knew (CLEAN), all that it
 * committed (KILL), or all that it synced (POWER_CUT). */
enum ending { ENDING_CLEAN, ENDING_KILL, ENDING_POWER_CUT };
void oracle_ended(enum ending ending, bool is_inside);
void oracle_loaded(void);  /* the new program has read the disk, but done nothing yet */
void oracle_resumed(void); /* the new program has resumed */
/* Some job needs more than is left of the budget. It and the jobs queued after it may wait. */
bool oracle_is_money_missing(void);
void oracle_end(void);

#endif
