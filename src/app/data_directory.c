#include "data_directory.h"

#include "seedancefs/base/file.h"
#include "seedancefs/job/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char media_name[] = "media";
static const char frames_name[] = "frames";

struct user_name {
    char text[64];
};

static struct user_name user_name(uid_t uid)
{
    struct user_name name;
    const struct passwd *user = getpwuid(uid);
    if (user)
        (void)snprintf(name.text, sizeof(name.text), "%s", user->pw_name);
    else
        (void)snprintf(name.text, sizeof(name.text), "%ld", (long)uid);
    return name;
}

static int refuse(struct data_directory_refusal *refusal, const char *format, ...)
    PRINTF_LIKE(2, 3);
static int refuse(struct data_directory_refusal *refusal, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(refusal->why, sizeof(refusal->why), format, arguments);
    va_end(arguments);
    return -EPERM;
}

/* `refusal->what` is the path of the checked file, `path` that of the data directory. */
static int owner_check(const char *path, const struct stat *st,
                       struct data_directory_refusal *refusal)
{
    const struct user_name owner = user_name(st->st_uid);
    const struct user_name user = user_name(geteuid());
    if (st->st_uid != geteuid())
        return refuse(refusal,
                      "it belongs to the user %s, and %s runs this. Run it as %s, give the "
                      "directory to %s with: chown -R %s %s, or choose another with --data-dir "
                      "DIR.",
                      owner.text, user.text, owner.text, user.text, user.text, path);
    if (S_ISDIR(st->st_mode) && (st->st_mode & (S_IWGRP | S_IWOTH)))
        return refuse(refusal,
                      "others can write into it, and could replace your files with theirs. Forbid "
                      "that with: chmod go-w %s",
                      refusal->what);
    return 0;
}

/* Checked after the directory itself, when nobody else can change its entries any more. */
static int entries_check(int fd, const char *path, struct data_directory_refusal *refusal)
{
    static const char *const names[] = {
        JOB_FILES_DIRECTORY, media_name, frames_name,        "jobs.sqlite",  "jobs.sqlite-wal",
        "jobs.sqlite-shm",   "lock",     DATA_DIRECTORY_LOG, "defaults.json"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_COUNT(names); i++) {
        struct stat st;
        (void)snprintf(refusal->what, sizeof(refusal->what), "%s/%s", path, names[i]);
        if (fstatat(fd, names[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
            r = errno == ENOENT ? 0 : -errno; /* it will be created */
        else if (S_ISLNK(st.st_mode))
            r = refuse(refusal, "it is a symbolic link, and nothing in the data directory may be "
                                "one. Replace it with what it points to.");
        else
            r = owner_check(path, &st, refusal);
    }
    return r;
}

static int directory_check(int fd, const char *path, struct data_directory_refusal *refusal)
{
    struct stat st;
    (void)snprintf(refusal->what, sizeof(refusal->what), "%s", path);
    if (fstat(fd, &st) < 0)
        return -errno;
    int r = owner_check(path, &st, refusal);
    if (r == 0)
        r = entries_check(fd, path, refusal);
    if (r == 0 && faccessat(fd, ".", W_OK | X_OK, 0) < 0)
        r = -errno;
    return r;
}

int data_directory_open(const char *path, struct data_directory *out,
                        struct data_directory_refusal *refusal)
{
    struct data_directory data = DATA_DIRECTORY_CLOSED;
    refusal->what[0] = refusal->why[0] = '\0';
    int r = file_make_directories(path, 0700);
    if (r < 0)
        return r;
    data.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = data.fd < 0 ? -errno : directory_check(data.fd, path, refusal);
    if (r == 0)
        r = data.files_fd = file_open_directory(data.fd, JOB_FILES_DIRECTORY);
    if (r >= 0)
        r = data.media_fd = file_open_directory(data.fd, media_name);
    if (r >= 0)
        r = data.frames_fd = file_open_directory(data.fd, frames_name);
    if (r < 0) {
        data_directory_close(&data);
        return r;
    }
    *out = data;
    return 0;
}

void data_directory_close(struct data_directory *data)
{
    const int fds[] = {data->frames_fd, data->media_fd, data->files_fd, data->fd};
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
        if (fds[i] >= 0)
            (void)close(fds[i]);
    }
    *data = DATA_DIRECTORY_CLOSED;
}
