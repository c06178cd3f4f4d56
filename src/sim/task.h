/*
 * task: the simulator's video generation tasks.
 *
 * What: a table of tasks by id and by number. The whole life of a task is fixed when it is created:
 * when it starts to run, when it ends and how. Its status depends only on the clock.
 * Lifetime: a task lives as long as the program and never changes except for its counters. So
 * everything but `polls` and `same_prompt` may be read without the lock. All functions here need
 * the simulator's lock, except those on a single task.
 * Errors: -errno; -ERANGE when the table is full.
 */
#ifndef SIM_TASK_H
#define SIM_TASK_H

#include "sim/options.h"
#include "sim/video.h"

/* The default function has fall-through cases, which clang warns about. */
#define HASH_FUNCTION HASH_OAT
#include <uthash.h>

enum { TASK_ID_SIZE = 32, TASKS_MAX = 100000 };

/* How many tasks have the same prompt: more than one may be a double submit. */
struct same_prompt {
    uint64_t hash;
    uint64_t count;
    UT_hash_handle hh;
};

struct task {
    char id[TASK_ID_SIZE];
    uint64_t number; /* 1 for the first one */
    char *model;
    char *prompt; /* its first 4 KiB */
    double duration_s;
    int64_t created_ms;
    int64_t run_at_ms;
    int64_t done_at_ms;
    bool fails;
    bool has_cover;
    struct video video;
    uint64_t prompt_hash;
    struct same_prompt *same_prompt;
    uint64_t polls;
    UT_hash_handle hh;
};

/* The content of a create request, see validate.h. */
struct create_request {
    char *model;
    char *prompt;
    double duration_s;
    double seconds;       /* of generation, from [[seconds=N]]; negative: from the options */
    uint64_t video_bytes; /* from [[video_bytes=N]]; 0: from the options */
    bool fails;           /* [[fail]] */
    bool no_cover;        /* [[nocover]] */
};

struct task_table {
    const struct options *options;
    struct task *by_id;
    struct same_prompt *by_prompt;
    struct task **by_number; /* entry 0 is task 1 */
    size_t count;
    int data_fd; /* -1: memory only */
};

/* Reads --data FILE if it exists. Drops a last line that a crash has cut. */
int task_table_init(struct task_table *table, const struct options *options) NODISCARD;
/* Writes the task to the file before it returns. */
int task_create(struct task_table *table, const struct create_request *request,
                struct task **task_out) NODISCARD;
struct task *task_find(struct task_table *table, const char *id); /* NULL: unknown */

/* "queued", "running", "succeeded", "failed" */
const char *task_status(const struct task *task, int64_t now_ms);

#endif
