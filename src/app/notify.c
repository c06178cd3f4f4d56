#include "notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un notify_address = {.sun_family = AF_UNIX};
static socklen_t notify_address_bytes; /* 0: nobody listens */

void notify_init(void)
{
    const char *name = getenv("NOTIFY_SOCKET");
    size_t len = name ? strlen(name) : 0;
    /* A path, or "@" and a name of the abstract namespace, whose first byte is NUL (unix(7)). */
    if (len > 1 && len < sizeof(notify_address.sun_path) && (name[0] == '/' || name[0] == '@')) {
        memcpy(notify_address.sun_path, name, len);
        if (name[0] == '@')
            notify_address.sun_path[0] = '\0';
        notify_address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    }
    (void)unsetenv("NOTIFY_SOCKET");
}

void notify_send(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    if (notify_address_bytes == 0)
        return;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (len < 0)
        return;
    size_t bytes = (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, text, bytes, MSG_NOSIGNAL, (const struct sockaddr *)&notify_address,
                 notify_address_bytes);
    (void)close(fd);
}
