/*
 * Where the bytes of a user's file lie: files/ID of the data directory. The directory is held open,
 * and bytes are reached by their name in it, so that they are found wherever it was moved to. Where
 * they are not found, there is a file all the same, because the store says so: opening it fails
 * (EIO), and is tried again each time.
 */
#include "job_private.h"

#include "seedancefs/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct bytes_name {
    char text[24];
};

static struct bytes_name bytes_name(int64_t id)
{
    struct bytes_name name;
    (void)snprintf(name.text, sizeof(name.text), "%lld", (long long)id);
    return name;
}

static int files_fd(const struct job_file *file)
{
    return file->job->jobs->settings.files_fd;
}

static int bytes_error(int error)
{
    return error == ENOENT ? -EIO : -error;
}

int job_file_bytes_open(const struct job_file *file, int flags)
{
    int fd =
        openat(files_fd(file), bytes_name(file->id).text, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? bytes_error(errno) : fd;
}

/* Asked in two ways, so that one wrong response is not enough. */
static bool is_name_missing(int directory_fd, const char *name)
{
    struct stat st;
    return fstatat(directory_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT &&
           faccessat(directory_fd, name, F_OK, 0) < 0 && errno == ENOENT;
}

int job_file_bytes_stat(const struct job_file *file, struct stat *st)
{
    struct bytes_name name = bytes_name(file->id);
    int r = file->fd >= 0 ? fstat(file->fd, st)
                          : fstatat(files_fd(file), name.text, st, AT_SYMLINK_NOFOLLOW);
    if (r == 0)
        return 0;
    r = -errno;
    return r == -ENOENT && !is_name_missing(files_fd(file), name.text) ? -EIO : r;
}

int job_file_read(const struct job_file *file, struct buf *out)
{
    int r = file_read_all_at(files_fd(file), bytes_name(file->id).text, out);
    return r < 0 ? bytes_error(-r) : r;
}

int job_file_times_set(struct job_file *file, const struct timespec times[2])
{
    int r = file->fd >= 0
                ? futimens(file->fd, times)
                : utimensat(files_fd(file), bytes_name(file->id).text, times, AT_SYMLINK_NOFOLLOW);
    return r < 0 ? bytes_error(errno) : 0;
}

void job_file_bytes_unlink(const struct job_file *file)
{
    (void)unlinkat(files_fd(file), bytes_name(file->id).text, 0);
}

/* The directory that is held is `files` in the data directory, which is where the path leads, with
 * its database. */
static bool is_directory_in_place(const struct jobs_settings *settings)
{
    struct stat held;
    struct stat there;
    return fstat(settings->files_fd, &held) == 0 &&
           fstatat(settings->directory_fd, JOB_FILES_DIRECTORY, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           held.st_dev == there.st_dev && held.st_ino == there.st_ino &&
           store_place_check(settings->store) == 0;
}

/* It has the bytes of the oldest file, so that it is not one that was made anew at a start without
 * the old one. */
static bool is_directory_of_store(const struct jobs_settings *settings)
{
    struct stat st;
    int64_t oldest;
    return store_file_oldest_get(settings->store, &oldest) == 0 &&
           fstatat(settings->files_fd, bytes_name(oldest).text, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The place is looked at afterwards: a directory that is in its place now was the same one when it
 * was asked. */
bool job_file_is_gone(const struct job_file *file)
{
    const struct jobs_settings *settings = &file->job->jobs->settings;
    return file->fd < 0 && is_name_missing(settings->files_fd, bytes_name(file->id).text) &&
           is_directory_in_place(settings) && is_directory_of_store(settings);
}
