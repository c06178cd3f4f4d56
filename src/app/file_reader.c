#include "file_reader.h"

#include "seedancefs/base/child.h"
#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/privileges.h"
#include "seedancefs/base/timer.h"
#include "seedancefs/net/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE_MS = 1000 };

struct file_reader {
    struct loop *loop;
    struct loop_watch watch;
    struct timer timer; /* set during the first second of a read */
    struct child child;
    char *path;
    bool is_gone;
    bool is_reading;
    bool is_wanted_again; /* another SIGHUP came meanwhile */
    file_reader_fn *fn;
    void *context;
};

void file_text_read(const char *path, struct file_text *out)
{
    struct stat st;
    ssize_t n = 0;
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    out->len = 0;
    out->result = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
    out->mode = out->result == 0 ? st.st_mode : 0;
    while (out->result == 0 && out->len < sizeof(out->bytes)) {
        n = read(fd, out->bytes + out->len, sizeof(out->bytes) - out->len);
        if (n == 0)
            break;
        if (n > 0)
            out->len += (size_t)n;
        else if (errno != EINTR)
            out->result = -errno;
    }
    if (out->result == 0 && out->len == sizeof(out->bytes))
        out->result = -EFBIG;
}

static void child_work(void *context)
{
    static struct file_text text;
    char byte;
    while (recv(CHILD_SOCKET_FD, &byte, 1, 0) == 1) {
        file_text_read(context, &text);
        ssize_t n = send(CHILD_SOCKET_FD, &text, sizeof(text), MSG_NOSIGNAL);
        explicit_bzero(&text, sizeof(text));
        if (n < 0)
            return;
    }
}

static void reader_died(struct file_reader *reader)
{
    reader->is_gone = true;
    reader->is_reading = false;
    timer_cancel(loop_timers(reader->loop), &reader->timer);
    loop_watch_remove(reader->loop, &reader->watch);
}

static void on_impatience(void *context)
{
    struct file_reader *reader = context;
    reader->fn(reader->context, NULL);
}

static int reader_ask(struct file_reader *reader)
{
    if (send(reader->watch.fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return -errno;
    reader->is_reading = true;
    reader->is_wanted_again = false;
    timer_set(loop_timers(reader->loop), &reader->timer, PATIENCE_MS, on_impatience, reader);
    return 0;
}

static void text_take(struct file_reader *reader, const struct file_text *text)
{
    reader->is_reading = false;
    timer_cancel(loop_timers(reader->loop), &reader->timer);
    reader->fn(reader->context, text);
    if (reader->is_wanted_again && reader_ask(reader) < 0)
        reader_died(reader);
}

static void on_response(void *context, short revents UNUSED)
{
    struct file_reader *reader = context;
    struct file_text text;
    ssize_t n = recv(reader->watch.fd, &text, sizeof(text), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == (ssize_t)sizeof(text)) {
        text_take(reader, &text);
    } else {
        log_warn("file.reader", "note=\"the process that reads %s is gone\"", reader->path);
        reader_died(reader);
    }
    explicit_bzero(&text, sizeof(text));
}

int file_reader_new(struct loop *loop, const struct file_reader_settings *settings,
                    struct file_reader **out)
{
    struct file_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return -ENOMEM;
    *reader = (struct file_reader){.loop = loop,
                                   .fn = settings->fn,
                                   .context = settings->context,
                                   .path = strdup(settings->path)};
    /* At the start root can read any file, so at SIGHUP it can, too. */
    const struct child_settings child = {
        .name = settings->name, .kept_fd = -1, .capabilities = PRIVILEGE(CAP_DAC_READ_SEARCH)};
    int r =
        reader->path ? child_start_with(&child, child_work, reader->path, &reader->child) : -ENOMEM;
    if (r < 0) {
        free(reader->path);
        free(reader);
        return r;
    }
    reader->watch = (struct loop_watch){
        .fd = reader->child.socket_fd, .events = POLLIN, .fn = on_response, .context = reader};
    r = loop_watch_add(loop, &reader->watch);
    if (r < 0) {
        reader->is_gone = true;
        file_reader_free(reader);
        return r;
    }
    *out = reader;
    return 0;
}

int file_reader_start(struct file_reader *reader)
{
    if (reader->is_gone)
        return -EPIPE;
    if (!reader->is_reading)
        return reader_ask(reader);
    reader->is_wanted_again = true;
    return 0;
}

struct file_reader *file_reader_free(struct file_reader *reader)
{
    if (!reader)
        return NULL;
    if (!reader->is_gone)
        reader_died(reader);
    child_kill(&reader->child); /* it may wait for the file */
    free(reader->path);
    free(reader);
    return NULL;
}
