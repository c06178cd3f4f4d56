/*
 * Whether this data directory is what the last run of the program left, or a copy: a restored
 * backup, or a directory that was copied. What waits in a copy may have been sent since the copy
 * was made. Two witnesses tell:
 *
 * - the inode and the time of birth of jobs.sqlite, which are written into it. A copied file has
 *   others;
 * - an empty file whose name has a random number that changes at each start. The database knows it;
 *   it also knows the next one before the file gets it, so that a crash in between looks like
 *   neither. An older database beside a newer file, or a file of another directory, tells.
 *
 * A snapshot of a whole volume or machine shows neither.
 */
#include "store_private.h"

#include "seedancefs/base/err.h"
#include "seedancefs/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WITNESS_NAME_SIZE = 32 };

static const char prefix[] = "witness.";
static const char unheld[] = "restored_unheld"; /* it was a copy, and not all of it is held yet */

struct place {
    int64_t inode;
    int64_t birth_ns; /* 0: this filesystem does not tell */
};

static void witness_name(int64_t number, char out[static WITNESS_NAME_SIZE])
{
    (void)snprintf(out, WITNESS_NAME_SIZE, "%s%016" PRIx64, prefix, (uint64_t)number);
}

static int place_get(const struct store *store, struct place *out)
{
    struct statx st;
    if (statx(store->directory_fd, "jobs.sqlite", AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME,
              &st) < 0)
        return -errno;
    bool has_birth = (st.stx_mask & STATX_BTIME) != 0;
    *out = (struct place){.inode = (int64_t)(st.stx_ino & INT64_MAX),
                          .birth_ns = has_birth ? st.stx_btime.tv_sec * INT64_C(1000000000) +
                                                      st.stx_btime.tv_nsec
                                                : 0};
    return 0;
}

/* 1 for a file that can only be a witness: it has the name of one and is empty. Else 0. */
static int is_witness(const struct store *store, const char *name)
{
    struct stat st;
    size_t len = strlen(prefix);
    if (strncmp(name, prefix, len) != 0 || strspn(name + len, "0123456789abcdef") != 16 ||
        name[len + 16] != '\0')
        return 0;
    if (fstatat(store->directory_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return S_ISREG(st.st_mode) && st.st_size == 0;
}

/* Calls `fn` for each witness file. */
static int witness_each(const struct store *store, int (*fn)(void *context, const char *name),
                        void *context)
{
    DIR *directory;
    int r = file_list(store->directory_fd, &directory);
    if (r < 0)
        return r;
    struct dirent *entry;
    while (r == 0 && (errno = 0, entry = readdir(directory))) {
        r = is_witness(store, entry->d_name);
        if (r > 0)
            r = fn(context, entry->d_name);
    }
    if (r == 0 && errno)
        r = -errno;
    (void)closedir(directory);
    return r;
}

struct count {
    char present[WITNESS_NAME_SIZE];
    char next[WITNESS_NAME_SIZE];
    unsigned known;
    unsigned strange;
};

static int count_one(void *context, const char *name)
{
    struct count *count = context;
    bool is_known = strcmp(name, count->present) == 0 || strcmp(name, count->next) == 0;
    *(is_known ? &count->known : &count->strange) += 1;
    return 0;
}

struct witness {
    int64_t present; /* 0: there never was one */
    int64_t next;    /* 0: none */
    struct place place;
};

static int witness_load(struct store *store, struct witness *out)
{
    *out = (struct witness){0};
    int r = store_number_get(store, "witness", &out->present);
    if (r == 0)
        r = store_number_get(store, "witness_next", &out->next);
    if (r == 0)
        r = store_number_get(store, "database_inode", &out->place.inode);
    return r < 0 ? r : store_number_get(store, "database_birth_ns", &out->place.birth_ns);
}

static int witness_save(struct store *store, const struct witness *witness, int64_t restored_ms)
{
    int r = store_begin(store, STORE_DURABLE);
    if (r < 0)
        return r;
    r = store_number_set(store, "witness", witness->present);
    if (r == 0)
        r = store_number_set(store, "witness_next", witness->next);
    if (r == 0)
        r = store_number_set(store, "database_inode", witness->place.inode);
    if (r == 0)
        r = store_number_set(store, "database_birth_ns", witness->place.birth_ns);
    if (r == 0 && restored_ms)
        r = store_number_set(store, "restored_ms", restored_ms);
    /* From now on the witnesses say nothing any more: this does, until all is held. */
    if (r == 0 && restored_ms)
        r = store_number_set(store, unheld, 1);
    return store_end(store, r);
}

/* Finds a witness that is not the present one. */
struct other {
    char present[WITNESS_NAME_SIZE];
    char name[WITNESS_NAME_SIZE];
};

static int other_find(void *context, const char *name)
{
    struct other *other = context;
    if (strcmp(name, other->present) == 0)
        return 0;
    (void)snprintf(other->name, sizeof(other->name), "%s", name);
    return 1;
}

/* Proof: is_witness() has seen that they are empty and have the name that only this file gives;
 * what they told is on disk (witness_save()). */
static int others_remove(const struct store *store, int64_t present)
{
    struct other other = {.name = ""};
    int r;
    witness_name(present, other.present);
    while ((r = witness_each(store, other_find, &other)) > 0) {
        if (unlinkat(store->directory_fd, other.name, 0) < 0)
            return -errno;
    }
    return r;
}

/* The file gets its next name in one step, so that a crash leaves the one or the other. */
static int file_renew(const struct store *store, const struct witness *witness)
{
    char from[WITNESS_NAME_SIZE];
    char to[WITNESS_NAME_SIZE];
    witness_name(witness->present, from);
    witness_name(witness->next, to);
    if (renameat(store->directory_fd, from, store->directory_fd, to) == 0)
        return 0;
    if (errno != ENOENT)
        return -errno;
    CLEANUP_CLOSE int fd =
        openat(store->directory_fd, to, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : 0;
}

static int witness_renew(struct store *store, struct witness *witness, int64_t restored_ms)
{
    int64_t number = 0;
    if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
        return -EIO;
    witness->next = (number & INT64_MAX) | 1;
    int r = witness_save(store, witness, restored_ms);
    if (r == 0)
        r = file_renew(store, witness);
    if (r == 0)
        r = others_remove(store, witness->next);
    if (r == 0 && fsync(store->directory_fd) < 0)
        r = -errno;
    if (r < 0)
        return r;
    witness->present = witness->next;
    witness->next = 0;
    return witness_save(store, witness, 0);
}

int store_witness_check(struct store *store, int64_t now_ms, bool *is_copy)
{
    struct witness witness;
    struct place place;
    struct count count = {.known = 0};
    int64_t is_unheld = 0;
    *is_copy = false;
    int r = witness_load(store, &witness);
    if (r == 0)
        r = store_number_get(store, unheld, &is_unheld);
    if (r == 0)
        r = place_get(store, &place);
    witness_name(witness.present, count.present);
    witness_name(witness.next ? witness.next : witness.present, count.next);
    if (r == 0)
        r = witness_each(store, count_one, &count);
    if (r < 0)
        return r;
    bool is_other_birth =
        witness.place.birth_ns && place.birth_ns && witness.place.birth_ns != place.birth_ns;
    bool is_moved = witness.place.inode != place.inode || is_other_birth;
    bool is_new = count.strange > 0 || (witness.present && (is_moved || count.known != 1));
    *is_copy = is_new || is_unheld;
    witness.place = place;
    return witness_renew(store, &witness, is_new ? now_ms : 0);
}

int store_witness_heeded(struct store *store)
{
    int r = store_begin(store, STORE_DURABLE);
    return r < 0 ? r : store_end(store, store_number_set(store, unheld, 0));
}
