#include "key_reader.h"

#include "key.h"
#include "seedancefs/base/child.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/privileges.h"
#include "seedancefs/base/timer.h"
#include "seedancefs/net/loop.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 1000 };

struct key_reader {
    struct loop *loop;
    struct loop_watch watch;
    struct timer timer; /* set during the first second of a read */
    struct child child;
    char *path;
    bool is_gone;
    bool is_reading;
    bool is_wanted_again; /* another SIGHUP came meanwhile */
    key_reader_fn *fn;
    void *context;
};

static void child_work(void *context)
{
    static struct key_text text;
    char byte;
    while (recv(CHILD_SOCKET_FD, &byte, 1, 0) == 1) {
        key_text_read(context, &text);
        ssize_t n = send(CHILD_SOCKET_FD, &text, sizeof(text), MSG_NOSIGNAL);
        explicit_bzero(&text, sizeof(text));
        if (n < 0)
            return;
    }
}

static void reader_died(struct key_reader *reader)
{
    reader->is_gone = true;
    reader->is_reading = false;
    timer_cancel(loop_timers(reader->loop), &reader->timer);
    loop_watch_remove(reader->loop, &reader->watch);
}

static void on_impatience(void *context)
{
    struct key_reader *reader = context;
    log_warn("key.slow", "file=%s why=\"it is still being read; the old key is used meanwhile\"",
             reader->path);
    const struct secret none = {0};
    reader->fn(reader->context, &none);
}

static int reader_ask(struct key_reader *reader)
{
    if (send(reader->watch.fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return -errno;
    reader->is_reading = true;
    reader->is_wanted_again = false;
    timer_set(loop_timers(reader->loop), &reader->timer, PATIENCE_MS, on_impatience, reader);
    return 0;
}

static void text_take(struct key_reader *reader, const struct key_text *text)
{
    struct secret key = {0};
    reader->is_reading = false;
    timer_cancel(loop_timers(reader->loop), &reader->timer);
    int r = key_text_take(reader->path, text, &key);
    if (r < 0)
        log_warn("key.kept", "why=\"the new one cannot be used\"");
    reader->fn(reader->context, &key);
    secret_fini(&key);
    if (reader->is_wanted_again && reader_ask(reader) < 0)
        reader_died(reader);
}

static void on_response(void *context, short revents UNUSED)
{
    struct key_reader *reader = context;
    struct key_text text;
    ssize_t n = recv(reader->watch.fd, &text, sizeof(text), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == (ssize_t)sizeof(text)) {
        text_take(reader, &text);
    } else {
        log_warn("key.reader", "note=\"the process that reads the key file is gone\"");
        reader_died(reader);
    }
    explicit_bzero(&text, sizeof(text));
}

int key_reader_new(struct loop *loop, const char *path, key_reader_fn *fn, void *context,
                   struct key_reader **out)
{
    struct key_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return -ENOMEM;
    *reader = (struct key_reader){.loop = loop, .fn = fn, .context = context, .path = strdup(path)};
    /* At the start root can read any file, so at SIGHUP it can, too. */
    const struct child_settings settings = {
        .name = "seedancefs-key", .kept_fd = -1, .capabilities = PRIVILEGE(CAP_DAC_READ_SEARCH)};
    int r = reader->path ? child_start_with(&settings, child_work, reader->path, &reader->child)
                         : -ENOMEM;
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
        key_reader_free(reader);
        return r;
    }
    *out = reader;
    return 0;
}

int key_reader_start(struct key_reader *reader)
{
    if (reader->is_gone)
        return -EPIPE;
    if (!reader->is_reading)
        return reader_ask(reader);
    reader->is_wanted_again = true;
    return 0;
}

struct key_reader *key_reader_free(struct key_reader *reader)
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
