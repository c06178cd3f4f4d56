/*
 * The parts of `make bench` that a shell is too slow for. Prints one number.
 *   fsbench stat FILE    stat(2) per second, one process, for about a second
 *   fsbench read FILE    open + read + close per second
 *   fsbench first FILE   microseconds from open to the first byte
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void need(int is_good, const char *what)
{
    if (is_good)
        return;
    perror(what);
    exit(1);
}

static void stat_once(const char *path)
{
    struct stat st;
    need(stat(path, &st) == 0 && st.st_size > 0, path);
}

static void read_once(const char *path)
{
    char bytes[4096];
    int fd = open(path, O_RDONLY);
    need(fd >= 0 && read(fd, bytes, sizeof(bytes)) > 0, path);
    (void)close(fd);
}

static double per_second(void (*once)(const char *), const char *path)
{
    double start = now_s();
    double end = start;
    unsigned long count = 0;
    while (end - start < 1.0) {
        for (int i = 0; i < 200; i++)
            once(path);
        count += 200;
        end = now_s();
    }
    return (double)count / (end - start);
}

static double first_byte_us(const char *path)
{
    char byte;
    double start = now_s();
    int fd = open(path, O_RDONLY);
    need(fd >= 0 && read(fd, &byte, 1) == 1, path);
    double end = now_s();
    (void)close(fd);
    return (end - start) * 1e6;
}

int main(int argc, char **argv)
{
    need(argc == 3, "usage: fsbench stat|read|first FILE");
    double value = strcmp(argv[1], "stat") == 0   ? per_second(stat_once, argv[2])
                   : strcmp(argv[1], "read") == 0 ? per_second(read_once, argv[2])
                                                  : first_byte_us(argv[2]);
    (void)printf("%.0f\n", value);
    return 0;
}
