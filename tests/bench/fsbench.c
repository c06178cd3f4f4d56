/*
 * The parts of `make bench` that a shell is too slow for. Prints one number.
 *   fsbench stat FILE    stat(2) per second, one process, for about a second
 *   fsbench read FILE    open + read + close per second
 *   fsbench first FILE   microseconds from open to the first byte
 *   fsbench whole FILE   microseconds for reading all of it in order, 1 MiB at a time
 *   fsbench random FILE  microseconds for 200 reads of 4 KiB, at the same places each time
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

static double whole_us(const char *path)
{
    static char bytes[1 << 20];
    double start = now_s();
    int fd = open(path, O_RDONLY);
    ssize_t n;
    need(fd >= 0, path);
    while ((n = read(fd, bytes, sizeof(bytes))) > 0)
        continue;
    need(n == 0, path);
    (void)close(fd);
    return (now_s() - start) * 1e6;
}

static double random_us(const char *path)
{
    enum { READS = 200, SIZE = 4096 };
    char bytes[SIZE];
    struct stat st;
    unsigned long long state = 88172645463325252ULL; /* xorshift64, Marsaglia 2003 */
    double start = now_s();
    int fd = open(path, O_RDONLY);
    need(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > SIZE, path);
    for (int i = 0; i < READS; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        off_t at = (off_t)(state % (unsigned long long)(st.st_size - SIZE));
        need(pread(fd, bytes, SIZE, at) == SIZE, path);
    }
    (void)close(fd);
    return (now_s() - start) * 1e6;
}

struct measure {
    const char *name;
    double (*run)(const char *path);
};

static double stats_per_second(const char *path)
{
    return per_second(stat_once, path);
}

static double reads_per_second(const char *path)
{
    return per_second(read_once, path);
}

int main(int argc, char **argv)
{
    static const struct measure measures[] = {
        {"stat", stats_per_second}, {"read", reads_per_second}, {"first", first_byte_us},
        {"whole", whole_us},        {"random", random_us},
    };
    for (size_t i = 0; argc == 3 && i < sizeof(measures) / sizeof(measures[0]); i++) {
        if (strcmp(argv[1], measures[i].name) == 0) {
            (void)printf("%.0f\n", measures[i].run(argv[2]));
            return 0;
        }
    }
    (void)fprintf(stderr, "usage: fsbench stat|read|first|whole|random FILE\n");
    return 2;
}
