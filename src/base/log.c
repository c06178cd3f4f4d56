#include "seedancefs/base/log.h"
#include "seedancefs/base/clock.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROTATION_RETRY_BYTES = 64 * 1024 };

static const char *const log_words[] = {"error", "warn", "info", "debug"};

static const char *const log_priorities[] = {"<3>", "<4>", "<6>", "<7>"};

static enum log_level log_threshold = LOG_WARN;
static int log_fd = STDERR_FILENO;

/* Lines that the descriptor did not take. The last of them may be written in part. */
static unsigned long dropped_lines;
static bool is_torn;
static bool has_priorities;

static struct {
    log_rotate_fn *fn; /* NULL: no rotation */
    const void *context;
    int64_t bytes_max;
    int64_t bytes;      /* of the file */
    int64_t bytes_next; /* size at which rotation is tried */
} rotation;

void log_configure(enum log_level level, int fd)
{
    log_threshold = level;
    log_fd = fd;
    dropped_lines = 0;
    is_torn = false;
    has_priorities = false;
    rotation.fn = NULL;
}

void log_priorities_add(void)
{
    has_priorities = true;
}

static void file_measure(void)
{
    struct stat st;
    rotation.bytes = fstat(log_fd, &st) < 0 ? 0 : st.st_size;
    rotation.bytes_next = rotation.bytes_max;
}

void log_rotation_set(int64_t bytes_max, log_rotate_fn *fn, const void *context)
{
    rotation.fn = fn;
    rotation.context = context;
    rotation.bytes_max = bytes_max;
    file_measure();
}

void log_file_replace(int fd)
{
    (void)close(log_fd);
    log_fd = fd;
    file_measure();
}

void log_level_set(enum log_level level)
{
    log_threshold = level;
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

static void rotate_before(size_t len)
{
    if (!rotation.fn || rotation.bytes + (int64_t)len <= rotation.bytes_next)
        return;
    int fd = rotation.fn(rotation.context, log_fd);
    if (fd < 0)
        rotation.bytes_next = rotation.bytes + ROTATION_RETRY_BYTES;
    else
        log_file_replace(fd);
}

static bool bytes_write(const char *bytes, size_t len)
{
    ssize_t n = write(log_fd, bytes, len);
    if (n > 0)
        rotation.bytes += n;
    if (n >= 0)
        is_torn = n > 0 && (size_t)n < len;
    return n == (ssize_t)len;
}

/* Renders "TIME level=LEVEL event=EVENT ..." with its newline. Returns the number of bytes. */
static size_t PRINTF_LIKE(5, 0)
    line_render(char *line, size_t size, enum log_level level, const char *event,
                const char *format, va_list arguments)
{
    char when[TEXT_TIME_SIZE];
    text_time_rfc3339(clock_wall_ms(clock_system()), when);
    const size_t most = size - 1;
    int n = snprintf(line, size, "%s%s level=%s event=%s ",
                     has_priorities ? log_priorities[level] : "", when, log_words[level], event);
    size_t len = n < 0 ? 0 : min_size((size_t)n, most);
    n = vsnprintf(line + len, size - len, format, arguments);
    len = n < 0 ? len : min_size(len + (size_t)n, most);
    text_mask_url_secrets(line, len);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
    }
    line[len++] = '\n';
    return len;
}

static bool PRINTF_LIKE(3, 0)
    line_write(enum log_level level, const char *event, const char *format, va_list arguments)
{
    char line[1024];
    size_t len = line_render(line, sizeof(line), level, event, format, arguments);
    rotate_before(len);
    return bytes_write(line, len);
}

static bool PRINTF_LIKE(3, 4)
    line_writef(enum log_level level, const char *event, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    bool is_written = line_write(level, event, format, arguments);
    va_end(arguments);
    return is_written;
}

/* Before the next line, writes that lines are missing here. */
static bool dropped_report(void)
{
    if (dropped_lines == 0)
        return true;
    if (is_torn && !bytes_write("\n", 1))
        return false;
    if (!line_writef(LOG_WARN, "log.dropped", "lines=%lu", dropped_lines))
        return false;
    dropped_lines = 0;
    return true;
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    if (!log_is_enabled(level))
        return;
    int saved_errno = errno;
    va_list arguments;
    va_start(arguments, format);
    if (!dropped_report() || !line_write(level, event, format, arguments))
        dropped_lines++;
    va_end(arguments);
    errno = saved_errno;
}
