/*
 * The schedule of one seed. Time is virtual: the next event is whatever is due first, a timer of
 * the program or an event of the world. In the first part anything may go wrong; in the second
 * nothing does, and every job must come to its end.
 */
#include "world.h"

#include "disk.h"
#include "job/job_private.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/file.h"
#include "seedancefs/base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WALL_START_MS INT64_C(1795420800000) /* 2026-11-23T08:00:00Z */

struct world world;
struct figures *figures;

static struct {
    struct timer act, crash, mood, fault, heal, jump;
    unsigned acts_left, crashes_left, faults_left;
} schedule;

unsigned world_pick(unsigned below)
{
    return (unsigned)(random_next(&world.random) % below);
}

bool world_chance(unsigned thousandths)
{
    return world_pick(1000) < thousandths;
}

void world_say(const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    size_t bytes = len < 0 ? 0 : (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1;
    world.trace = world.trace * 31 + text_hash(line, bytes) + (uint64_t)world.clock.monotonic_ms;
    if (world.is_verbose)
        printf("%11.3f  %s\n", (double)world.clock.monotonic_ms / 1000.0, line);
}

void world_fail(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    (void)fflush(stdout);
    (void)fprintf(stderr, "SEED=%llu: after %.3f s: %s\n", (unsigned long long)world.seed,
                  (double)world.clock.monotonic_ms / 1000.0, line);
    _Exit(1);
}

void world_timer_set(struct timer *timer, int64_t delay_ms, timer_fn *fn, void *context)
{
    timer_set(&world.events, timer, delay_ms, fn, context);
}

/* Called after each event that can change something: the program may have died in it. */
void world_event_end(void)
{
    figure_add(FIGURE_EVENTS);
    world.trace ^= disk_trace();
    if (disk_is_dead() && program_is_up()) {
        figure_add(FIGURE_DEATHS_INSIDE);
        program_crash(world_chance(world.mixture.power_cuts));
    } else if (program_is_up()) {
        oracle_event_end();
        program_stop_check();
    }
}

/* --- events --- */

static void act_due(void *context UNUSED)
{
    if (world.is_calm)
        return;
    users_act();
    if (--schedule.acts_left > 0)
        world_timer_set(&schedule.act,
                        (int64_t)world_pick(world.is_again ? AGAIN_EVERY_MS
                                                           : (unsigned)world.mixture.act_every_ms),
                        act_due, NULL);
    world_event_end();
}

static int64_t some_time_ms(void)
{
    return (int64_t)world_pick((unsigned)(world.mixture.act_every_ms * world.mixture.acts)) + 1;
}

/* Crashes between two events or, more often, at some write or sync during the next events. */
static void crash_due(void *context UNUSED)
{
    if (world.is_calm)
        return;
    if (program_is_up() && world_chance(300))
        program_crash(world_chance(world.mixture.power_cuts));
    else if (program_is_up())
        disk_die_after(1 + world_pick(24));
    if (--schedule.crashes_left > 0)
        world_timer_set(&schedule.crash, some_time_ms(), crash_due, NULL);
    world_event_end();
}

static void heal_due(void *context UNUSED)
{
    world_say("disk: well again");
    disk_fault_clear();
    world_event_end();
}

static void fault_due(void *context UNUSED)
{
    static const unsigned kinds[] = {DISK_WRITE, DISK_SYNC, DISK_TRUNCATE, DISK_WRITE | DISK_SYNC,
                                     DISK_WRITE | DISK_SYNC | DISK_TRUNCATE};
    static const unsigned counts[] = {1, 1, 3, 1000000};
    if (world.is_calm)
        return;
    unsigned kind = kinds[world_pick(ARRAY_COUNT(kinds))];
    int error = world_chance(500) ? ENOSPC : EIO;
    unsigned skip = world_pick(12);
    unsigned count = counts[world_pick(ARRAY_COUNT(counts))];
    disk_fault_set(kind, error, skip, count);
    world_say("disk: kinds %u fail with %d, %u after %u", kind, error, count, skip);
    if (world_chance(800))
        world_timer_set(&schedule.heal, (int64_t)world_pick(5 * 60 * 1000), heal_due, NULL);
    if (--schedule.faults_left > 0)
        world_timer_set(&schedule.fault, some_time_ms(), fault_due, NULL);
    world_event_end();
}

static void mood_due(void *context UNUSED)
{
    if (world.is_calm)
        return;
    service_mood_change();
    world_timer_set(&schedule.mood, some_time_ms() / 3, mood_due, NULL);
    world_event_end();
}

static void jump_due(void *context UNUSED)
{
    if (world.is_calm)
        return;
    unsigned kind = world_pick(4);
    if (kind == 0)
        fake_clock_advance(&world.clock, HOUR_MS); /* the machine slept */
    else
        world.clock.wall_ms += kind == 1 ? 24 * HOUR_MS : -24 * HOUR_MS;
    world_say("clock: %s", kind == 0 ? "an hour asleep" : kind == 1 ? "a day forth" : "a day back");
    world_timer_set(&schedule.jump, some_time_ms(), jump_due, NULL);
    world_event_end();
}

/* --- the run --- */

static unsigned pick_level(unsigned most)
{
    static const unsigned parts[] = {0, 0, 1, 4};
    return most * parts[world_pick(ARRAY_COUNT(parts))] / 4;
}

/* One by one: the compiler chooses the order in which an initialiser is evaluated. */
static void mixture_pick(struct mixture *m)
{
    m->names = 1 + world_pick(NAMES_MAX);
    m->acts = 8 + world_pick(30);
    m->act_every_ms = world_chance(300) ? 2000 : 40000;
    m->crashes = world_pick(4);
    m->power_cuts = world_chance(300) ? 0 : 700;
    m->disk_faults = pick_level(4);
    m->connect_fails = pick_level(300);
    m->lost_out = pick_level(300);
    m->lost_back = pick_level(400);
    m->mangled = pick_level(300);
    m->refused = pick_level(500);
    m->slow = pick_level(500);
    m->strange_polls = pick_level(400);
    m->moods = pick_level(1000);
    m->clock_jumps = pick_level(1000);
    m->restarts = pick_level(60);
    m->media_fails = pick_level(400);
    m->links = pick_level(800);
    if (m->links > 400) { /* time for some of them to be made */
        m->names = NAMES_MAX;
        m->acts += 30;
    }
}

static void schedule_begin(void)
{
    const struct mixture *m = &world.mixture;
    memset(&schedule, 0, sizeof(schedule));
    schedule.acts_left = m->acts;
    schedule.crashes_left = m->crashes;
    schedule.faults_left = m->disk_faults;
    world_timer_set(&schedule.act, 0, act_due, NULL);
    if (m->crashes)
        world_timer_set(&schedule.crash, some_time_ms(), crash_due, NULL);
    if (m->disk_faults)
        world_timer_set(&schedule.fault, some_time_ms(), fault_due, NULL);
    if (world_chance(m->moods))
        world_timer_set(&schedule.mood, some_time_ms(), mood_due, NULL);
    if (world_chance(m->clock_jumps))
        world_timer_set(&schedule.jump, some_time_ms(), jump_due, NULL);
}

/* Runs the next event; returns false when nothing is due until `end_ms` (monotonic). */
static bool world_step(int64_t end_ms)
{
    int64_t event_ms = timers_next_ms(&world.events);
    int64_t program_ms = program_is_up() ? timers_next_ms(&world.program.timers) : -1;
    bool is_program = program_ms >= 0 && (event_ms < 0 || program_ms <= event_ms);
    int64_t wait_ms = is_program ? program_ms : event_ms;
    if (wait_ms < 0 || world.clock.monotonic_ms + wait_ms > end_ms)
        return false;
    fake_clock_advance(&world.clock, wait_ms);
    if (is_program)
        program_timers_run();
    else
        timers_run(&world.events);
    return true;
}

/* Users come back when some of their jobs are finished. The service works; the program may die. */
static void world_again(void)
{
    world_say("users come back");
    world.is_again = true;
    disk_fault_clear();
    service_heal();
    schedule.acts_left = 12;
    schedule.crashes_left = world_pick(3);
    world_timer_set(&schedule.act, AGAIN_EVERY_MS, act_due, NULL);
    if (schedule.crashes_left && !timer_is_set(&schedule.crash))
        world_timer_set(&schedule.crash, (int64_t)world_pick(6 * AGAIN_EVERY_MS), crash_due, NULL);
    int64_t end_ms = world.clock.monotonic_ms + HOUR_MS;
    while (schedule.acts_left > 0 && world_step(end_ms))
        ;
}

/* With a daily budget, jobs that wait for money go on the next day. They count as active only while
 * the run is patient. */
static bool is_anything_active(bool is_patient)
{
    if (!program_is_up() || timer_is_set(&world.program.jobs->save_timer))
        return true;
    bool is_money_missing = !is_patient && oracle_is_money_missing();
    for (struct job *job = jobs_next(world.program.jobs, 0); job;
         job = jobs_next(world.program.jobs, job->id)) {
        if (job_state_class(job->state) == JOB_CLASS_ACTIVE &&
            !(is_money_missing && job->state == JOB_WAITING))
            return true;
    }
    return network_transfers(true) + network_transfers(false) > 0;
}

/* From here on the service, the network, the disk and the clock work, and there is a key. */
static void world_calm_down(void)
{
    world_say("calm");
    world.is_calm = true;
    disk_die_after(0);
    disk_fault_clear();
    service_heal();
    if (program_is_up() && world_chance(500))
        program_stop();
    if (program_is_up()) {
        users_leave();
        program_key_changed();
    }
    world_event_end();
}

static void world_fini(void)
{
    if (program_is_up())
        program_end(true);
    program_fini();
    struct timer *const timers[] = {&schedule.act,   &schedule.crash, &schedule.mood,
                                    &schedule.fault, &schedule.heal,  &schedule.jump};
    for (size_t i = 0; i < ARRAY_COUNT(timers); i++)
        timer_cancel(&world.events, timers[i]);
    network_free();
    if (world.events.count > 0)
        world_fail("%zu timers are left in the world", world.events.count);
    timers_fini(&world.events);
    service_reset();
    oracle_reset();
    users_files_clean(false);
    (void)close(world.files_fd);
    (void)close(world.directory_fd);
    if (sqlite3_memory_used() != 0)
        world_fail("SQLite holds %lld bytes", (long long)sqlite3_memory_used());
}

/* Makes the disk that the first start leaves. Most seeds begin with a copy of it. */
static void used_disk_make(void)
{
    static bool is_made;
    struct store *store;
    if (is_made)
        return;
    disk_format(false);
    int r = store_open(world.directory_fd, world.directory, &store);
    if (r < 0)
        world_fail("the store cannot be made in %s: %s", world.directory, err_name(r));
    store_close(store);
    disk_keep();
    is_made = true;
}

static void directory_open(const char *directory)
{
    (void)snprintf(world.directory, sizeof(world.directory), "%s", directory);
    world.directory_fd = file_open_directory(AT_FDCWD, directory);
    world.files_fd = file_open_directory(world.directory_fd, JOB_FILES_DIRECTORY);
    if (world.files_fd < 0)
        world_fail("the directory %s cannot be made: %s", directory, err_name(world.files_fd));
}

uint64_t world_run(uint64_t seed, const char *directory, bool is_verbose)
{
    world = (struct world){.seed = seed, .is_verbose = is_verbose};
    directory_open(directory);
    used_disk_make();
    world.random = seed;
    fake_clock_init(&world.clock, WALL_START_MS + (int64_t)world_pick(40 * 24 * 3600) * 1000);
    timers_init(&world.events, &world.clock.clock);
    mixture_pick(&world.mixture);
    disk_format(world_pick(16) > 0);
    service_reset();
    oracle_reset();
    users_forget();
    schedule_begin();
    program_settings_pick();
    program_start();
    world_event_end();
    int64_t chaos_ms = world.mixture.act_every_ms * world.mixture.acts * 3 / 4;
    while (world_step(world.clock.monotonic_ms + chaos_ms) && schedule.acts_left > 0)
        ;
    if (world_chance(300))
        world_again();
    world_calm_down();
    int64_t patience_ms = world.clock.monotonic_ms + (world_chance(100) ? 26 : 0) * HOUR_MS;
    int64_t end_ms = patience_ms + 8 * HOUR_MS;
    while (is_anything_active(world.clock.monotonic_ms < patience_ms) && world_step(end_ms))
        ;
    oracle_end();
    world_fini();
    figure_add(FIGURE_SEEDS);
    return world.trace;
}
