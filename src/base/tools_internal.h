/* What: what the files of base/tools share. tools.c is the program's side; tools_worker.c is the helper
 * process; tools_run.c is a process that becomes one program; tools_probe.c reads what ffprobe
 * prints. */
#ifndef SEEDANCEFS_BASE_TOOLS_INTERNAL_H
#define SEEDANCEFS_BASE_TOOLS_INTERNAL_H

#include "seedancefs/base/tools.h"

#include <limits.h>
#include <stddef.h>

enum {
    TOOLS_AT_ONCE = 2,
    TOOL_OUTPUT_MAX = 64 * 1024,
    TOOL_ERROR_MAX = 2000,
    TOOL_NAME_MAX = 255,
    TOOL_TEXTS_MAX = PATH_MAX + TOOL_NAME_MAX + 2,
};

/* What the helper knows from the start. */
struct tools_worker {
    const char *search_path;
    const char *upload_command; /* NULL: none */
    char **environment;         /* of the upload command */
};

/* A message to the helper, with the input and the output as descriptors; sent up to the end of the
 * texts, a path and a name with their NULs. */
struct tool_order {
    uint64_t id;
    int64_t deadline_ms; /* from now; 0: end the run of this id, no report is wanted */
    int32_t tool;
    int32_t has_output;
    char texts[TOOL_TEXTS_MAX];
};

/* A message from the helper: sent up to the end of the bytes, output before error. */
struct tool_report {
    uint64_t id;
    int32_t result; /* as in tool_result; -EFBIG: more was printed than is kept */
    int32_t exit_code;
    uint32_t output_bytes;
    uint32_t error_bytes;
    char bytes[TOOL_OUTPUT_MAX + TOOL_ERROR_MAX];
};

/* The whole work of the helper process; `context` is the struct tools_worker. */
void tools_worker_run(void *context);

/* Descriptors of a process that becomes a program. */
struct tool_run_fds {
    int input;
    int output;
    int error;
    int parent; /* not a descriptor: the process of the helper, at whose end the program ends */
};

/* What it exits with when the program is not installed, or the sandbox cannot be set up. No program
 * that is run here uses these. */
enum { TOOL_EXIT_MISSING = 251, TOOL_EXIT_SANDBOX = 252 };

/* Becomes the program. Called in a new process; never returns. */
_Noreturn void tool_run_exec(const struct tools_worker *worker, const struct tool_order *order,
                             struct tool_run_fds fds);

/* Writes the path of the program of this name into `out`. False: it is not installed. */
bool tool_program_find(const char *search_path, const char *name, char out[static PATH_MAX]);

/* -EIO: this is not what ffprobe says of a medium. */
int tool_probe_parse(const char *text, size_t len, struct tool_probe *out) NODISCARD;

#endif
