#include "data_directory.h"

#include "seedancefs/base/file.h"
#include "seedancefs/job/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const char media_name[] = "media";

int data_directory_open(const char *path, struct data_directory *out)
{
    struct data_directory data = DATA_DIRECTORY_CLOSED;
    int r = file_make_directories(path, 0700);
    if (r < 0)
        return r;
    data.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (data.fd < 0 || faccessat(data.fd, ".", W_OK | X_OK, 0) < 0)
        r = -errno;
    if (r == 0)
        r = data.files_fd = file_open_directory(data.fd, JOB_FILES_DIRECTORY);
    if (r >= 0)
        r = data.media_fd = file_open_directory(data.fd, media_name);
    if (r < 0) {
        data_directory_close(&data);
        return r;
    }
    *out = data;
    return 0;
}

void data_directory_close(struct data_directory *data)
{
    const int fds[] = {data->media_fd, data->files_fd, data->fd};
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
        if (fds[i] >= 0)
            (void)close(fds[i]);
    }
    *data = DATA_DIRECTORY_CLOSED;
}
