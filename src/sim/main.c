#include "sim/models.h"
#include "sim/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* On failure prints the reason and returns false. */
static bool load_scenario(struct sim *sim)
{
    const char *path = sim->options.scenario_file;
    char *problem = path != NULL ? sim_load_scenario(sim, path) : NULL;
    if (problem == NULL)
        return true;
    fprintf(stderr, "seedance-sim: %s: %s\n", path, problem);
    free(problem);
    return false;
}

static int write_video(const struct options *options)
{
    enum { BLOCK = 1 << 20 };
    struct video video;
    int fd = open(options->write_video, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int r = fd < 0 ? -errno : options_video(options, options->task_seed, 0, &video);
    unsigned char *block = mem_alloc(BLOCK);
    for (uint64_t at = 0; r == 0 && at < video.size;) {
        size_t n = video.size - at < BLOCK ? (size_t)(video.size - at) : BLOCK;
        video_read(&video, at, block, n);
        r = file_append(fd, block, n);
        at += n;
    }
    if (fd >= 0 && close(fd) != 0 && r == 0)
        r = -errno;
    free(block);
    if (r < 0)
        fprintf(stderr, "seedance-sim: %s: %s\n", options->write_video, strerror(-r));
    return r < 0 ? 1 : 0;
}

static void open_files(struct sim *sim)
{
    const struct options *options = &sim->options;
    sim->log_fd = -1;
    if (options->log_file != NULL) {
        sim->log_fd = open(options->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (sim->log_fd < 0)
            sim_die(options->log_file, errno);
    }
    int r = task_table_init(&sim->tasks, options);
    if (r < 0)
        sim_die(options->data_file, -r);
}

static void announce(const struct sim *sim)
{
    if (sim->options.port_file != NULL) {
        char *ports = mem_format("%u %u\n", sim->api_port, sim->media_port);
        int fd = open(sim->options.port_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        int r = fd < 0 ? -errno : file_append(fd, ports, strlen(ports)); /* in one write */
        if (fd >= 0)
            (void)close(fd);
        if (r < 0)
            sim_die(sim->options.port_file, -r);
        free(ports);
    }
    printf("listening on http://127.0.0.1:%u/api/v1\n", sim->api_port);
    (void)fflush(stdout);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max < 8192 ? limit.rlim_max : 8192;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* _exit() because connections may hang in their handlers, and nothing is buffered. */
static _Noreturn void serve(struct sim *sim, const sigset_t *signals)
{
    for (;;) {
        int number = sigwaitinfo(signals, NULL);
        if (number == SIGHUP)
            (void)load_scenario(sim);
        else if (number > 0)
            _exit(0);
    }
}

int main(int argc, char **argv)
{
    static struct sim sim;
    int r = options_parse(&sim.options, argc, argv);
    if (r >= 0)
        return r;
    if (sim.options.write_video != NULL)
        return write_video(&sim.options);
    if (models_load(sim.options.models) < 0)
        return 2;
    pid_t parent = getppid();
    if (sim.options.die_with_parent &&
        (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent))
        return 1;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* all threads inherit it; serve() receives them */
    (void)signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    pthread_mutex_init(&sim.lock, NULL);
    sim.scenario = scenario_new_empty();
    if (!load_scenario(&sim))
        return 2;
    open_files(&sim);
    server_start(&sim);
    announce(&sim);
    serve(&sim, &signals);
}
