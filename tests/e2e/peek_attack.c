/*
 * A caller that wants the program to wait for itself. It opens MOUNT/jobs/NAME/prompt.json for
 * creating, and while the kernel walks along that path, another thread puts a page of a file in
 * that very mount where the path stood. Whoever then looks at the path has to wait for that page,
 * which only the program can bring.
 *
 *   peek_attack MOUNT FILE SECONDS [ALIGNED]
 *
 * Tries again and again, each time with a page that the kernel does not have yet, and with another
 * delay. It says how often it tried, and how many calls took longer than a second. ALIGNED: the
 * first byte of FILE that is used.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, DETOURS = 400, DELAY_MAX = 2000 };

static char *page; /* where the path stands */
static int file;
static atomic_long offset = -1; /* of the page of the file that takes its place; -1: none yet */
static atomic_int delay;

static void *swap(void *context)
{
    (void)context;
    for (;;) {
        long at;
        while ((at = atomic_load(&offset)) < 0)
            continue;
        for (volatile int i = 0; i < atomic_load(&delay); i++)
            continue;
        if (mmap(page, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, file, at) == MAP_FAILED)
            exit(3);
        (void)madvise(page, PAGE, MADV_RANDOM);
        atomic_store(&offset, -1);
    }
}

static double now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Detours make the walk long enough for the other thread. */
static void path_write(const char *mount, int try)
{
    if (mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED)
        exit(3);
    int len = snprintf(page, PAGE, "%s/", mount);
    for (int i = 0; i < DETOURS && len < PAGE - 256; i++)
        len += snprintf(page + len, PAGE - (size_t)len, "jobs/../");
    (void)snprintf(page + len, PAGE - (size_t)len, "jobs/attack-%d-%d/prompt.json", getpid(), try);
}

int main(int argc, char **argv)
{
    struct stat st;
    pthread_t thread;
    int tries = 0;
    int slow = 0;
    file = argc < 4 ? -1 : open(argv[2], O_RDONLY);
    page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (file < 0 || fstat(file, &st) < 0 || page == MAP_FAILED ||
        pthread_create(&thread, NULL, swap, NULL) != 0) {
        (void)fprintf(stderr, "usage: peek_attack MOUNT FILE SECONDS [ALIGNED]\n");
        return 2;
    }
    long first = argc > 4 ? atol(argv[4]) / PAGE * PAGE : 0;
    long at = first;
    double end = now() + atof(argv[3]);
    for (; now() < end; tries++) {
        path_write(argv[1], tries);
        atomic_store(&delay, tries * 37 % DELAY_MAX);
        atomic_store(&offset, at);
        double begun = now();
        int fd = open(page, O_WRONLY | O_CREAT, 0644);
        slow += now() - begun > 1.0;
        if (fd >= 0)
            (void)close(fd);
        while (atomic_load(&offset) >= 0)
            continue;
        at += PAGE;
        if (at + PAGE > st.st_size) {
            at = first;
            (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
        }
    }
    (void)printf("%d %d\n", tries, slow);
    return 0;
}
