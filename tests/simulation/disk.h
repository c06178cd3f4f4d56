/*
 * What: a disk in memory, as SQLite sees it: the default VFS of the simulation. A write is volatile
 * until its file is synced; a power cut keeps any subset of what was not, in sectors of 512 bytes.
 * What can go wrong with it is chosen by the world's random numbers, so that a seed repeats it.
 * Lifetime: one disk per process. disk_format() begins a new one.
 */
#ifndef TESTS_SIMULATION_DISK_H
#define TESTS_SIMULATION_DISK_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

enum { DISK_WRITE = 1, DISK_SYNC = 2, DISK_TRUNCATE = 4 };

/* Makes the disk SQLite's default; once, before SQLite is used. */
void disk_register(void);

/* An empty disk; with `is_used`, one on which the program has started and ended before. The first
 * call with `is_used` needs disk_keep() before it. */
void disk_format(bool is_used);
/* What lies on it now is what disk_format(true) gives. */
void disk_keep(void);
void disk_free(void);

/* The program's death: nothing that it does from now on reaches the disk. */
void disk_die(void);
void disk_die_after(unsigned operations);
bool disk_is_dead(void);
/* What the next program finds: everything written, or after a power cut an arbitrary part of it. */
void disk_restart(bool is_power_cut);

/* Operations of these kinds fail with `error` (ENOSPC, EIO), `count` of them after the next `skip`.
 * A sync that fails leaves each sector that it was about written or not, and never tried again. */
void disk_fault_set(unsigned kinds, int error, unsigned skip, unsigned count);
void disk_fault_clear(void);
/* A write to a file that is not SQLite's: 0, or why it fails. */
int disk_user_write(void);
/* Operations that failed so far. */
unsigned disk_failures(void);

/* True when a power cut at this instant loses nothing. */
bool disk_is_clean(void);
/* The database as a power cut at this instant would leave it, if no unsynced write were kept. NULL:
 * there is none. */
sqlite3 *disk_inspect_open(void);
void disk_inspect_close(sqlite3 *db);

/* A number that depends on every write so far. */
uint64_t disk_trace(void);

#endif
