/*
 * The program: options, then the daemon, in the background unless told otherwise. The parent stays
 * until the mount replies, so that `seedancefs mnt && ls mnt` works. If the mount never replies,
 * the parent ends with the child's exit code.
 */
#include "config.h"
#include "daemon.h"
#include "options.h"
#include "sharing.h"

#include "seedancefs/base/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static enum exit_code parent_wait(pid_t child, int ready_fd)
{
    char byte;
    ssize_t n;
    do {
        n = read(ready_fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    if (n == 1)
        return EXIT_DONE;
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        return (enum exit_code)WEXITSTATUS(status);
    (void)fprintf(stderr, "seedancefs: the program ended before the mount was ready.\n");
    return EXIT_FAILED;
}

static enum exit_code run_in_background(struct options *options)
{
    int ready[2];
    if (pipe(ready) < 0) {
        (void)fprintf(stderr, "seedancefs: cannot start: %s.\n", strerror(errno));
        return EXIT_FAILED;
    }
    pid_t child = fork();
    if (child < 0) {
        (void)fprintf(stderr, "seedancefs: cannot start: %s.\n", strerror(errno));
        return EXIT_FAILED;
    }
    if (child > 0) {
        (void)close(ready[1]);
        return parent_wait(child, ready[0]);
    }
    (void)close(ready[0]);
    (void)setsid();
    return daemon_run(options, ready[1]);
}

/* Opens descriptors 0 to 2 if they are closed: a file of ours must not become standard error, for
 * example. */
static void descriptors_fill(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        (void)close(fd);
}

/* Switches to that user, who keeps one capability until the program has mounted: to mount. */
static enum exit_code user_become(const struct options *options)
{
    if (!options->user || (geteuid() != 0 && geteuid() == options->user_id))
        return EXIT_DONE;
    int r = privileges_user_set(options->user, options->user_id, options->group_id,
                                PRIVILEGE(CAP_SYS_ADMIN));
    if (r == 0)
        return EXIT_DONE;
    (void)fprintf(stderr, "seedancefs: --setuid %s: the program cannot switch to this user: %s.\n",
                  options->user, strerror(-r));
    return EXIT_CONFIGURATION;
}

int main(int argc, char **argv)
{
    struct options options;
    descriptors_fill();
    (void)prctl(PR_SET_NAME, "seedancefs"); /* even if mount(8) calls it by another name */
    enum options_result parsed = config_options_parse(&options, argc, argv);
    enum exit_code code = parsed == OPTIONS_DONE ? EXIT_DONE : EXIT_CONFIGURATION;
    bool is_init = parsed == OPTIONS_RUN && options.is_share_init;
    if (is_init)
        code = sharing_init(&options);
    else if (parsed == OPTIONS_RUN)
        code = user_become(&options);
    if (parsed == OPTIONS_RUN && !is_init && code == EXIT_DONE)
        code = options.is_foreground ? daemon_run(&options, -1) : run_in_background(&options);
    options_fini(&options);
    return (int)code;
}
