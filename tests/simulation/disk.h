/*
 * What: a disk in memory, as SQLite sees it: the default VFS of the simulation. A write is volatile
 * until its file is synced. A power cut keeps any subset of the unsynced writes, in sectors of 512
 * bytes. The world's random numbers choose the faults, so a seed repeats them.
 * Lifetime: one disk per process. disk_format() starts a new one.
 */
#ifndef TESTS_SIMULATION_DISK_H
#define TESTS_SIMULATION_DISK_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

enum { DISK_WRITE = 1, DISK_SYNC = 2, DISK_TRUNCATE = 4 };

/* Makes the disk SQLite's default. Call it once, before SQLite is used. */
void disk_register(void);

/* Formats the disk: empty, or with `is_used` one on which the program has already run once. The
 * first call with `is_used` needs disk_keep() before it. */
void disk_format(bool is_used);
/* Keeps the present content for disk_format(true). */
void disk_keep(void);
void disk_free(void);

/* The program dies: nothing that it does from now on reaches the disk. */
void disk_die(void);
void disk_die_after(unsigned operations);
bool disk_is_dead(void);
/* Prepares the disk for the next program: with all writes, or after a power cut with any
 * part of them. */
void disk_restart(bool is_power_cut);

/* Makes operations of these kinds fail with `error` (ENOSPC, EIO): `count` of them, after the next
 * `skip`. A failed sync writes some of its sectors; the others are never tried again. */
void disk_fault_set(unsigned kinds, int error, unsigned skip, unsigned count);
void disk_fault_clear(void);
/* A write to a file that is not SQLite's. Returns 0, or the error. */
int disk_user_write(void);
/* How many operations have failed so far. */
unsigned disk_failures(void);

/* True when a power cut now would lose nothing. */
bool disk_is_clean(void);
/* Opens the database as a power cut now would leave it, if no unsynced write were
 * kept. NULL: none. */
sqlite3 *disk_inspect_open(void);
void disk_inspect_close(sqlite3 *db);

/* A hash of all writes so far. */
uint64_t disk_trace(void);

#endif
