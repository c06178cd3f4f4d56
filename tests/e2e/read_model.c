/*
 * Readers that know what they must get:  read_model SEED THREADS [VIDEO RIGHT]...
 *
 * Threads read random pieces of the videos of a mount in every way there is (pread, O_DIRECT, lseek
 * and read, readv, mmap) and compare each byte with local files. Somebody else makes their life
 * hard meanwhile: a read may fail with one of the errors of a bad day, but what it returns is
 * right, and no call takes longer than CALL_MAX_S. A line "N TEXT" on standard input says what is
 * being done, to be shown when something is wrong, and that they may go on to N right reads in all;
 * with that many they only tick over. The answer is their number. Ends with 0 at the end of
 * standard input, once there are as many, and with 1 at the first wrong byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    VIDEOS_MAX = 32,
    THREADS_MAX = 64,
    PIECE_MAX = 128 * 1024,
    PAGE = 4096,
    CALL_MAX_S = 100,
    LAST_MAX = 30
};

enum way { WAY_PREAD, WAY_DIRECT, WAY_LSEEK, WAY_READV, WAY_MMAP, WAY_COUNT };

static const char *const way_names[] = {"pread", "O_DIRECT pread", "lseek and read", "readv",
                                        "mmap"};

struct video {
    const char *path;
    const unsigned char *right;
    int64_t size;
};

struct reader {
    pthread_t thread;
    uint64_t random;
    struct {
        int fd;
        const unsigned char *map;
    } open[VIDEOS_MAX][2]; /* buffered, O_DIRECT */
    unsigned char *memory; /* aligned */
    sigjmp_buf on_bus;
    volatile sig_atomic_t is_in_map;
    _Atomic int64_t called_ms; /* when its call under way began; 0: none is */
};

static struct video videos[VIDEOS_MAX];
static int video_count;
static struct reader readers[THREADS_MAX];
static _Atomic int64_t reads_wanted, reads_right, reads_failed, bytes_right;
static _Atomic int64_t way_counts[WAY_COUNT];
static atomic_bool is_over; /* standard input has ended */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char last[LAST_MAX][512];
static int last_count;
static _Thread_local struct reader *self;

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static uint64_t draw(struct reader *reader, uint64_t below)
{
    uint64_t x = reader->random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (x ^ x >> 31) % below;
}

static void give_up(const char *what)
{
    (void)pthread_mutex_lock(&lock);
    fprintf(stderr, "%s\nwhat was done before:\n", what);
    for (int i = last_count > LAST_MAX ? last_count - LAST_MAX : 0; i < last_count; i++)
        fprintf(stderr, "  %s", last[i % LAST_MAX]);
    (void)fflush(NULL);
    _exit(1);
}

static void on_bus(int number)
{
    if (!self || !self->is_in_map) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
        return;
    }
    siglongjmp(self->on_bus, 1);
}

static void forget(struct reader *reader, int v)
{
    for (int d = 0; d < 2; d++) {
        if (reader->open[v][d].map)
            (void)munmap((void *)(uintptr_t)reader->open[v][d].map, (size_t)videos[v].size);
        if (reader->open[v][d].fd >= 0)
            (void)close(reader->open[v][d].fd);
        reader->open[v][d].map = NULL;
        reader->open[v][d].fd = -1;
    }
}

/* The errors of a bad day: of the network, of a daemon that was killed, of a video that changed. */
static bool is_excused(int error)
{
    static const int excused[] = {EIO, ESTALE, ENOTCONN, ECONNABORTED, ENOENT};
    for (size_t i = 0; i < sizeof(excused) / sizeof(excused[0]); i++)
        if (excused[i] == error)
            return true;
    return false;
}

static void compare(const struct video *video, enum way way, const unsigned char *bytes,
                    int64_t offset, int64_t len)
{
    char text[256];
    int64_t i = 0;
    if (memcmp(bytes, video->right + offset, (size_t)len) == 0) {
        atomic_fetch_add(&bytes_right, len);
        return;
    }
    while (bytes[i] == video->right[offset + i])
        i++;
    (void)snprintf(text, sizeof(text),
                   "wrong byte: %s of %s, %ld bytes at %ld: at %ld expected %02x, got %02x",
                   way_names[way], video->path, (long)len, (long)offset, (long)(offset + i),
                   video->right[offset + i], bytes[i]);
    give_up(text);
}

static int open_video(struct reader *reader, int v, bool is_direct)
{
    if (reader->open[v][is_direct].fd < 0)
        reader->open[v][is_direct].fd =
            open(videos[v].path, O_RDONLY | O_CLOEXEC | (is_direct ? O_DIRECT : 0));
    return reader->open[v][is_direct].fd;
}

/* Right, or -errno. */
static int read_map(struct reader *reader, int v, int64_t offset, int64_t len)
{
    if (!reader->open[v][0].map) {
        void *map =
            mmap(NULL, (size_t)videos[v].size, PROT_READ, MAP_SHARED, reader->open[v][0].fd, 0);
        if (map == MAP_FAILED)
            return -errno;
        reader->open[v][0].map = map;
    }
    if (sigsetjmp(reader->on_bus, 1)) {
        reader->is_in_map = 0;
        return -EIO;
    }
    reader->is_in_map = 1;
    memcpy(reader->memory, reader->open[v][0].map + offset, (size_t)len);
    reader->is_in_map = 0;
    return 0;
}

static ssize_t read_piece(struct reader *reader, enum way way, int fd, int64_t offset, int64_t len)
{
    switch (way) {
    case WAY_LSEEK:
        return lseek(fd, offset, SEEK_SET) < 0 ? -1 : read(fd, reader->memory, (size_t)len);
    case WAY_READV: {
        size_t third = (size_t)len / 3;
        struct iovec parts[] = {{reader->memory, third},
                                {reader->memory + third, third},
                                {reader->memory + 2 * third, (size_t)len - 2 * third}};
        return lseek(fd, offset, SEEK_SET) < 0 ? -1 : readv(fd, parts, 3);
    }
    case WAY_PREAD:
    case WAY_DIRECT:
    case WAY_MMAP:
    case WAY_COUNT:
        break;
    }
    return pread(fd, reader->memory, (size_t)len, offset);
}

static int read_once(struct reader *reader, int v, enum way way, int64_t offset, int64_t len)
{
    const struct video *video = &videos[v];
    int fd = open_video(reader, v, way == WAY_DIRECT);
    if (fd < 0)
        return -errno;
    if (offset + len > video->size)
        len = video->size - offset;
    int r = 0;
    if (way == WAY_MMAP) {
        r = read_map(reader, v, offset, len);
    } else {
        ssize_t n = read_piece(reader, way, fd, offset, len);
        r = n < 0 ? -errno : 0;
        /* The first part of a read may be there when the rest cannot be had. */
        if (n >= 0 && n < len) {
            char text[128];
            (void)snprintf(text, sizeof(text), "short: %ld of %ld bytes", (long)n, (long)len);
            if (n == 0)
                give_up(text);
            len = n;
        }
    }
    if (r == 0) {
        compare(video, way, reader->memory, offset, len);
        atomic_fetch_add(&way_counts[way], 1);
    }
    return r;
}

static void read_somewhere(struct reader *reader)
{
    int v = (int)draw(reader, (uint64_t)video_count);
    enum way way = (enum way)draw(reader, WAY_COUNT);
    int64_t size = videos[v].size;
    int64_t len = 1 + (int64_t)draw(reader, draw(reader, 8) ? 8192 : PIECE_MAX);
    int64_t offset = (int64_t)draw(reader, (uint64_t)size);
    if (draw(reader, 16) == 0) /* the tail is where players look first */
        offset = size - 1 - (int64_t)draw(reader, 20000);
    if (way == WAY_DIRECT)
        offset = offset / PAGE * PAGE;
    atomic_store(&reader->called_ms, now_ms());
    int r = read_once(reader, v, way, offset, len);
    if (r < 0 || draw(reader, 64) == 0)
        forget(reader, v);
    atomic_store(&reader->called_ms, 0);
    if (r == 0) {
        atomic_fetch_add(&reads_right, 1);
        return;
    }
    if (!is_excused(-r)) {
        char text[128];
        (void)snprintf(text, sizeof(text), "%s: %s", way_names[way], strerror(-r));
        give_up(text);
    }
    atomic_fetch_add(&reads_failed, 1);
    (void)usleep(20000);
}

static void *reader_main(void *argument)
{
    struct reader *reader = self = argument;
    while (!atomic_load(&is_over) || atomic_load(&reads_right) < atomic_load(&reads_wanted)) {
        read_somewhere(reader);
        if (atomic_load(&reads_right) >= atomic_load(&reads_wanted))
            (void)usleep(10000);
    }
    for (int v = 0; v < video_count; v++)
        forget(reader, v);
    return NULL;
}

static void *watch_main(void *argument)
{
    for (;;) {
        (void)usleep(500000);
        for (int i = 0; i < *(int *)argument; i++) {
            int64_t called_ms = atomic_load(&readers[i].called_ms);
            if (called_ms && now_ms() - called_ms > CALL_MAX_S * 1000)
                give_up("a read hangs");
        }
    }
    return NULL;
}

static void load(struct video *video, const char *path, const char *right)
{
    struct stat st;
    int fd = open(right, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        perror(right);
        exit(2);
    }
    video->path = path;
    video->size = st.st_size;
    video->right = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    (void)close(fd);
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc % 2 == 0 || (argc - 3) / 2 > VIDEOS_MAX)
        return 2;
    int threads = atoi(argv[2]);
    if (threads < 1 || threads > THREADS_MAX)
        return 2;
    for (int i = 3; i < argc; i += 2)
        load(&videos[video_count++], argv[i], argv[i + 1]);
    struct sigaction action = {.sa_handler = on_bus, .sa_flags = SA_NODEFER};
    (void)sigaction(SIGBUS, &action, NULL);
    for (int i = 0; i < threads; i++) {
        struct reader *reader = &readers[i];
        reader->random = strtoull(argv[1], NULL, 10) * 1000 + (uint64_t)i;
        reader->memory = aligned_alloc(PAGE, PIECE_MAX + PAGE);
        for (int v = 0; v < VIDEOS_MAX; v++)
            reader->open[v][0].fd = reader->open[v][1].fd = -1;
        if (!reader->memory || pthread_create(&reader->thread, NULL, reader_main, reader) != 0)
            return 2;
    }
    pthread_t watch;
    if (pthread_create(&watch, NULL, watch_main, &threads) != 0)
        return 2;
    char line[512];
    while (fgets(line, sizeof(line), stdin)) {
        (void)pthread_mutex_lock(&lock);
        if (strchr(line, ' ') && strchr(line, ' ')[1] != '\n')
            memcpy(last[last_count++ % LAST_MAX], line, sizeof(line));
        (void)pthread_mutex_unlock(&lock);
        atomic_store(&reads_wanted, atoll(line));
        printf("%ld\n", (long)atomic_load(&reads_right));
        (void)fflush(stdout);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < threads; i++)
        (void)pthread_join(readers[i].thread, NULL);
    fprintf(stderr, "%ld reads right (", (long)atomic_load(&reads_right));
    for (int way = 0; way < WAY_COUNT; way++)
        fprintf(stderr, "%s%ld %s", way ? ", " : "", (long)atomic_load(&way_counts[way]),
                way_names[way]);
    fprintf(stderr, "), %ld MiB, %ld failed as they may\n", (long)(atomic_load(&bytes_right) >> 20),
            (long)atomic_load(&reads_failed));
    return 0;
}
