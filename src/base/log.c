#include "seedancefs/base/log.h"
#include "seedancefs/base/clock.h"
#include "seedancefs/base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const log_words[] = {"error", "warn", "info", "debug"};

static enum log_level log_threshold = LOG_WARN;
static int log_fd = STDERR_FILENO;

void log_configure(enum log_level level, int fd)
{
    log_threshold = level;
    log_fd = fd;
}

bool log_is_enabled(enum log_level level)
{
    return level <= log_threshold && log_fd >= 0;
}

int log_level_parse(const char *word, enum log_level *out)
{
    for (size_t i = 0; i < ARRAY_COUNT(log_words); i++) {
        if (strcmp(word, log_words[i]) == 0) {
            *out = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    if (!log_is_enabled(level))
        return;
    int saved_errno = errno;
    char line[1024];
    char when[TEXT_TIME_SIZE];
    text_time_rfc3339(clock_wall_ms(clock_system()), when);
    const size_t most = sizeof(line) - 1;
    int n = snprintf(line, sizeof(line), "%s level=%s event=%s ", when, log_words[level], event);
    size_t len = n < 0 ? 0 : min_size((size_t)n, most);
    va_list arguments;
    va_start(arguments, format);
    n = vsnprintf(line + len, sizeof(line) - len, format, arguments);
    va_end(arguments);
    len = n < 0 ? len : min_size(len + (size_t)n, most);
    text_mask_url_secrets(line, len);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
    }
    line[len++] = '\n';
    /* A log that cannot be written has nowhere to say so. */
    ssize_t written = write(log_fd, line, len);
    (void)written;
    errno = saved_errno;
}
