/*
 * Runs seeds one after the other, in separate processes. A broken promise, a crash or a sanitizer
 * error costs one process, and its seed is printed.
 *
 *   SEED=n [VERBOSE=1]          runs only this seed and prints its story
 *   SEEDS=n [FIRST=n] [JOBS=n]  runs n seeds from FIRST on, in JOBS processes
 */
#include "disk.h"
#include "world.h"

#include "seedancefs/base/file.h"
#include "seedancefs/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOBS_MAX = 16, FAILURES_MAX = 10, SEEDS_OF_UNIT = 400 };

/* Shared with the processes. */
struct shared {
    uint64_t next;
    uint64_t end;
    uint64_t running[JOBS_MAX];
    struct figures figures[JOBS_MAX];
};

static struct shared *shared;
static char base[64];

static uint64_t environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static int remove_one(const char *path, const struct stat *st UNUSED, int kind UNUSED,
                      struct FTW *ftw UNUSED)
{
    return remove(path);
}

static int simulation_begin(void **state UNUSED)
{
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(base, sizeof(base), "%s/seedancefs-simulation-XXXXXX", parent);
    if (!mkdtemp(base))
        return -1;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED ? -1 : 0;
}

static int simulation_end(void **state UNUSED)
{
    (void)munmap(shared, sizeof(*shared));
    return nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Forks. A failure must end the child; cmocka would run the next test in it instead. */
static pid_t process_start(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGABRT};
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody would see its result */
    for (size_t i = 0; pid == 0 && i < ARRAY_COUNT(signals); i++)
        (void)signal(signals[i], SIG_DFL);
    return pid;
}

static void seeds_run(unsigned job)
{
    char directory[96];
    uint64_t seed;
    /* Each seed allocates and frees the disk's images: keep their memory. */
    (void)mallopt(M_MMAP_THRESHOLD, 64 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
    (void)snprintf(directory, sizeof(directory), "%s/%u", base, job);
    (void)mkdir(directory, 0700);
    log_configure(LOG_ERROR, -1);
    figures = &shared->figures[job];
    disk_register();
    while ((seed = __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED)) < shared->end) {
        shared->running[job] = seed;
        (void)world_run(seed, directory, false);
    }
    disk_free();
    (void)sqlite3_shutdown();
}

static pid_t job_start(unsigned job)
{
    pid_t pid = process_start();
    if (pid == 0) {
        seeds_run(job);
        exit(0);
    }
    return pid;
}

/* Returns how many seeds broke a promise. */
static unsigned seeds_run_in(unsigned jobs)
{
    pid_t pids[JOBS_MAX];
    unsigned failures = 0;
    unsigned running = 0;
    for (unsigned i = 0; i < jobs; i++) {
        pids[i] = job_start(i);
        running++;
    }
    while (running > 0) {
        int status;
        pid_t pid = wait(&status);
        unsigned i = 0;
        while (i < jobs && pids[i] != pid)
            i++;
        running--;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            continue;
        if (WIFSIGNALED(status))
            (void)fprintf(stderr, "SEED=%llu: signal %d\n", (unsigned long long)shared->running[i],
                          WTERMSIG(status));
        (void)fprintf(stderr, "  again with: SEED=%llu VERBOSE=1 %s\n",
                      (unsigned long long)shared->running[i], program_invocation_name);
        if (++failures < FAILURES_MAX) {
            pids[i] = job_start(i);
            running++;
        }
    }
    return failures;
}

static void figures_print(unsigned jobs)
{
    static const char *const texts[] = {
#define X(name, text) [FIGURE_##name] = (text),
        FIGURE_TABLE(X)
#undef X
    };
    uint64_t seeds = 0;
    for (unsigned i = 0; i < jobs; i++)
        seeds += shared->figures[i].count[FIGURE_SEEDS];
    for (size_t figure = 0; figure < FIGURE_COUNT; figure++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < jobs; i++)
            sum += shared->figures[i].count[figure];
        print_message("%s%llu %s", figure ? ", " : "", (unsigned long long)sum, texts[figure]);
        /* A run that does not reach every figure proves little. */
        if (seeds >= 2000 && sum == 0)
            fail_msg("never: %s", texts[figure]);
    }
    print_message(";");
    for (size_t state = 0; state < JOB_STATE_COUNT; state++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < jobs; i++)
            sum += shared->figures[i].states[state];
        print_message(" %s %llu", job_state_to_text((enum job_state)state),
                      (unsigned long long)sum);
        if (seeds >= 2000 && sum == 0)
            fail_msg("never: %s", job_state_to_text((enum job_state)state));
    }
    print_message("\n");
}

static void test_simulation__no_schedule_breaks_a_promise(void **state UNUSED)
{
    uint64_t first = environment("FIRST", 1);
    uint64_t seeds = environment("SEEDS", SEEDS_OF_UNIT);
    unsigned jobs = (unsigned)environment("JOBS", 1);
    if (jobs < 1 || jobs > JOBS_MAX)
        jobs = 1;
    memset(shared, 0, sizeof(*shared));
    shared->next = first;
    shared->end = first + seeds;
    unsigned failures = seeds_run_in(jobs);
    figures_print(jobs);
    assert_int_equal(failures, 0);
}

/* Compares the hash of each seed's story, run forwards and backwards: earlier seeds
 * must not matter. */
static void hashes_compare(const char *directory)
{
    enum { SEEDS = 12 };
    uint64_t hashes[SEEDS];
    for (unsigned i = 0; i < SEEDS; i++)
        hashes[i] = world_run(1000 + i, directory, false);
    for (unsigned i = SEEDS; i-- > 0;) {
        if (world_run(1000 + i, directory, false) != hashes[i])
            world_fail("seed %u is another story the second time", 1000 + i);
    }
}

/* Runs fn in a process of its own, which must end with 0. */
static void run_apart(void (*fn)(const char *directory))
{
    int status;
    char directory[96];
    (void)snprintf(directory, sizeof(directory), "%s/0", base);
    (void)mkdir(directory, 0700);
    pid_t pid = process_start();
    if (pid == 0) {
        log_configure(LOG_ERROR, -1);
        figures = &shared->figures[0];
        disk_register();
        fn(directory);
        disk_free();
        exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_simulation__the_same_seed_is_the_same_story(void **state UNUSED)
{
    run_apart(hashes_compare);
}

static int job_row_save(struct store *store, int64_t id, char *name, enum store_durability how)
{
    char state[] = "draft";
    const struct store_job row = {.id = id, .name = name, .state = state};
    int r = store_begin(store, how);
    return r < 0 ? r : store_end(store, store_job_save(store, &row));
}

static int64_t durable_jobs_count(void)
{
    static const char sql[] = "SELECT count(*) FROM job";
    sqlite3_stmt *statement = NULL;
    int64_t count = -1;
    sqlite3 *db = disk_inspect_open();
    if (db && sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        count = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    disk_inspect_close(db);
    return count;
}

/* A commit before the failed sync may be missing on the disk, and the log would end there. */
static void sync_fails(const char *directory)
{
    char first[] = "first";
    char second[] = "second";
    int directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct store *store;
        world = (struct world){.seed = seed, .random = seed};
        disk_format(false);
        if (store_open(directory_fd, directory, &store) < 0 ||
            job_row_save(store, 1, first, STORE_LAZY) < 0)
            world_fail("the store cannot be made");
        disk_fault_set(DISK_SYNC, EIO, 0, 1);
        if (store_sync(store) == 0)
            world_fail("a sync has failed, and nobody was told");
        if (seed % 2 == 0) { /* the next program does not know about it */
            disk_die();
            store_close(store);
            disk_restart(false);
            if (store_open(directory_fd, directory, &store) < 0)
                world_fail("the store cannot be opened");
        }
        if (job_row_save(store, 2, second, STORE_DURABLE) < 0 || durable_jobs_count() != 2)
            world_fail("what was durable would be lost in a power cut");
        store_close(store);
    }
    (void)close(directory_fd);
}

static void test_disk__a_failed_sync_leaves_no_hole_in_the_log(void **state UNUSED)
{
    run_apart(sync_fails);
}

static int one_seed(uint64_t seed)
{
    char directory[96];
    struct figures ours = {0};
    if (simulation_begin(NULL) < 0)
        return 1;
    (void)snprintf(directory, sizeof(directory), "%s/0", base);
    (void)mkdir(directory, 0700);
    bool is_verbose = environment("VERBOSE", 0) > 0;
    log_configure(LOG_DEBUG, environment("VERBOSE", 0) > 1 ? STDOUT_FILENO : -1);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    pid_t pid = fork();
    if (pid == 0) {
        figures = &ours;
        disk_register();
        uint64_t hash = world_run(seed, directory, is_verbose);
        printf("SEED=%llu: every promise was kept; %016llx\n", (unsigned long long)seed,
               (unsigned long long)hash);
        disk_free();
        exit(0);
    }
    int status = 1;
    (void)waitpid(pid, &status, 0);
    (void)simulation_end(NULL);
    return status == 0 ? 0 : 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk__a_failed_sync_leaves_no_hole_in_the_log),
        cmocka_unit_test(test_simulation__the_same_seed_is_the_same_story),
        cmocka_unit_test(test_simulation__no_schedule_breaks_a_promise),
    };
    if (getenv("SEED"))
        return one_seed(environment("SEED", 1));
    return cmocka_run_group_tests(tests, simulation_begin, simulation_end);
}
