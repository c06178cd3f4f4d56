/*
 * The bytes of users' files, which are no rows of the store: parts of a MiB, each a row ["bytes", id, data] of
 * an entry of its own. On a follower the parts of a larger file are collected beside it, so that nobody reads
 * half of it; a file of one part is written in one go.
 *
 * What is larger than BYTES_PARTS_MAX parts stays on its host. Elsewhere it has no bytes, and opening it fails.
 */
#include "share_private.h"

#include "seedancefs/base/base64.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/file.h"
#include "seedancefs/base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME_SIZE = 40, ENTRY_MAX = 2 * BYTES_PART + 4096 };

struct bytes_reader {
    int fd;
    int64_t file_id;
    int64_t size;
    struct timespec time;
    int64_t parts;
    int64_t part; /* the next one */
    char version[STORE_UID_SIZE];
    char bytes[BYTES_PART];
};

struct bytes_row {
    int64_t file_id;
    int64_t part;
    int64_t parts;
    int64_t size;
    int64_t time_s;
    int64_t time_ns;
    const char *version; /* of all parts that were read together */
    const char *base64;
};

int bytes_reader_new(int files_fd, int64_t file_id, struct bytes_reader **out)
{
    char name[NAME_SIZE];
    struct stat st;
    (void)snprintf(name, sizeof(name), "%lld", (long long)file_id);
    CLEANUP_CLOSE int fd = openat(files_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    struct bytes_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return -ENOMEM;
    int64_t parts = (st.st_size + BYTES_PART - 1) / BYTES_PART;
    reader->fd = take_fd(&fd);
    reader->file_id = file_id;
    reader->size = st.st_size;
    reader->time = st.st_mtim;
    reader->parts = st.st_size == 0 ? 1 : parts > BYTES_PARTS_MAX ? 0 : parts;
    tag_draw(reader->version);
    *out = reader;
    return 0;
}

struct bytes_reader *bytes_reader_free(struct bytes_reader *reader)
{
    if (!reader)
        return NULL;
    (void)close(reader->fd);
    free(reader);
    return NULL;
}

int bytes_part_write(struct bytes_reader *reader, const char *tag, struct buf *out)
{
    struct json_writer w;
    CLEANUP(buf_fini) struct buf base64 = {.limit = ENTRY_MAX};
    ssize_t n = 0;
    if (reader->parts > 0) {
        n = file_read_full(reader->fd, reader->bytes, BYTES_PART, reader->part * BYTES_PART);
        if (n < 0)
            return (int)n;
    }
    base64_encode(&base64, reader->bytes, (size_t)n);
    json_writer_init(&w, out, JSON_COMPACT);
    json_write_object_begin(&w);
    json_write_member_string(&w, "tag", tag);
    json_write_key(&w, "rows");
    json_write_array_begin(&w);
    json_write_array_begin(&w);
    json_write_string(&w, "bytes");
    json_write_int64(&w, reader->file_id * BYTES_ROWS_PER_FILE + reader->part);
    json_write_object_begin(&w);
    json_write_member_int64(&w, "file", reader->file_id);
    json_write_member_int64(&w, "part", reader->part);
    json_write_member_int64(&w, "parts", reader->parts);
    json_write_member_int64(&w, "size", reader->size);
    json_write_member_int64(&w, "time_s", reader->time.tv_sec);
    json_write_member_int64(&w, "time_ns", reader->time.tv_nsec);
    json_write_member_string(&w, "version", reader->version);
    json_write_key(&w, "bytes");
    json_write_text(&w, buf_text(&base64), base64.len);
    json_write_object_end(&w);
    json_write_array_end(&w);
    json_write_array_end(&w);
    json_write_object_end(&w);
    reader->part++;
    return base64.error ? base64.error : out->error;
}

bool bytes_reader_is_current(const struct bytes_reader *reader)
{
    struct stat st;
    return fstat(reader->fd, &st) == 0 && st.st_nlink > 0 && st.st_size == reader->size &&
           st.st_mtim.tv_sec == reader->time.tv_sec && st.st_mtim.tv_nsec == reader->time.tv_nsec;
}

bool bytes_reader_is_at_last(const struct bytes_reader *reader)
{
    return reader->part + 1 >= reader->parts;
}

static int row_read(const struct json *data, struct bytes_row *out)
{
    const struct {
        const char *name;
        int64_t *value;
        int64_t min;
        int64_t max;
    } numbers[] = {
        {"file", &out->file_id, 1, STORE_ID_MAX},
        {"part", &out->part, 0, BYTES_PARTS_MAX},
        {"parts", &out->parts, 0, BYTES_PARTS_MAX},
        {"size", &out->size, 0, STORE_BYTES_MAX},
        {"time_s", &out->time_s, -STORE_TIME_MAX_MS, STORE_TIME_MAX_MS},
        {"time_ns", &out->time_ns, 0, 999999999},
    };
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        if (!json_int64_get(json_member_get(data, numbers[i].name), numbers[i].value) ||
            *numbers[i].value < numbers[i].min || *numbers[i].value > numbers[i].max)
            return -ERR_STORE_CORRUPT;
    }
    out->base64 = json_text_get(json_member_get(data, "bytes"));
    out->version = json_text_get(json_member_get(data, "version"));
    bool has_texts = out->base64 && out->version && strlen(out->version) < STORE_UID_SIZE;
    return has_texts && (out->part < out->parts || out->part == 0) ? 0 : -ERR_STORE_CORRUPT;
}

static int part_put(int fd, const struct bytes_row *row)
{
    static char bytes[BYTES_PART];
    size_t base64_len = strlen(row->base64);
    int64_t len = base64_len ? base64_decode(row->base64, base64_len, bytes, sizeof(bytes)) : 0;
    if (len < 0 || len > BYTES_PART)
        return -ERR_STORE_CORRUPT;
    return file_write_full(fd, bytes, (size_t)len, row->part * BYTES_PART);
}

static int size_and_times_set(int fd, const struct bytes_row *row)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      {.tv_sec = row->time_s, .tv_nsec = row->time_ns}};
    return ftruncate(fd, row->size) < 0 || futimens(fd, times) < 0 ? -errno : 0;
}

/* Into the file that is there, whose descriptors others may have. Nobody reads in between: what is served
 * is served by this loop. */
static int whole_put(int files_fd, const char *name, const struct bytes_row *row)
{
    CLEANUP_CLOSE int fd = openat(files_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = part_put(fd, row);
    return r < 0 ? r : size_and_times_set(fd, row);
}

static int parts_move(int files_fd, const char *name, const char *parts_name, int from,
                      const struct bytes_row *row)
{
    CLEANUP_CLOSE int fd = openat(files_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    off_t at = 0;
    off_t to = 0;
    while (at < row->size) {
        ssize_t n = copy_file_range(from, &at, fd, &to, (size_t)(row->size - at), 0);
        if (n <= 0)
            return n < 0 ? -errno : -ESTALE; /* a part is missing */
    }
    int r = size_and_times_set(fd, row);
    /* Proof: made by this function's caller, and all of it is in the file now. */
    return r < 0 || unlinkat(files_fd, parts_name, 0) == 0 ? r : -errno;
}

/* Only parts of one version, one after the other, and all of them: else there would be holes. */
static int part_collect(int files_fd, struct collecting *collecting, const char *name,
                        const struct bytes_row *row)
{
    struct stat st;
    char parts_name[NAME_SIZE + sizeof(".part")];
    (void)snprintf(parts_name, sizeof(parts_name), "%s.part", name);
    bool is_next = collecting->file_id == row->file_id && collecting->part == row->part &&
                   strcmp(collecting->version, row->version) == 0;
    if (row->part > 0 && !is_next)
        return -ESTALE;
    int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (row->part == 0 ? O_TRUNC : 0);
    CLEANUP_CLOSE int fd = openat(files_fd, parts_name, flags, 0600);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size < row->part * BYTES_PART)
        return -ESTALE;
    int r = part_put(fd, row);
    if (r == 0 && row->part + 1 == row->parts)
        r = parts_move(files_fd, name, parts_name, fd, row);
    if (r < 0)
        return r;
    *collecting = (struct collecting){.file_id = row->file_id, .part = row->part + 1};
    (void)snprintf(collecting->version, sizeof(collecting->version), "%s", row->version);
    return 0;
}

static void too_large_name(int64_t file_id, char name[static NAME_SIZE])
{
    (void)snprintf(name, NAME_SIZE, "%lld.large", (long long)file_id);
}

int bytes_remove(int files_fd, int64_t file_id)
{
    char name[NAME_SIZE];
    static const char *const endings[] = {"", ".part", ".large"};
    for (size_t i = 0; i < ARRAY_COUNT(endings); i++) {
        (void)snprintf(name, sizeof(name), "%lld%s", (long long)file_id, endings[i]);
        /* Proof: the leader's entry says that the user has removed or replaced the file. */
        if (unlinkat(files_fd, name, 0) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

int bytes_make(int files_fd, int64_t file_id)
{
    char name[NAME_SIZE];
    too_large_name(file_id, name);
    if (faccessat(files_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    (void)snprintf(name, sizeof(name), "%lld", (long long)file_id);
    CLEANUP_CLOSE int fd =
        openat(files_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : 0;
}

/* It has no bytes here, so that nobody takes others, or none, for them. */
static int too_large_mark(int files_fd, int64_t file_id)
{
    char name[NAME_SIZE];
    int r = bytes_remove(files_fd, file_id);
    if (r < 0)
        return r;
    too_large_name(file_id, name);
    CLEANUP_CLOSE int fd =
        openat(files_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : 0;
}

static int too_large_unmark(int files_fd, int64_t file_id)
{
    char name[NAME_SIZE];
    too_large_name(file_id, name); /* made by the function above */
    return unlinkat(files_fd, name, 0) == 0 || errno == ENOENT ? 0 : -errno;
}

static int document_apply(int files_fd, struct collecting *collecting, const struct json *data,
                          int64_t *file_id)
{
    struct bytes_row row;
    char name[NAME_SIZE];
    *file_id = 0;
    int r = row_read(data, &row);
    if (r < 0)
        return r;
    (void)snprintf(name, sizeof(name), "%lld", (long long)row.file_id);
    if (row.parts == 0)
        r = too_large_mark(files_fd, row.file_id);
    else
        r = row.parts == 1 ? whole_put(files_fd, name, &row)
                           : part_collect(files_fd, collecting, name, &row);
    /* Also of a part that does not fit: it is known then which file is not whole. */
    if ((r == 0 || r == -ESTALE) && row.part + 1 >= row.parts)
        *file_id = row.file_id;
    return r == 0 && *file_id && row.parts > 0 ? too_large_unmark(files_fd, row.file_id) : r;
}

int bytes_apply(int files_fd, struct collecting *collecting, const char *data, size_t len,
                int64_t *file_id)
{
    static const struct json_limits limits = {
        .max_bytes = ENTRY_MAX, .max_depth = 4, .max_nodes = 64};
    struct json_document *document;
    struct json_error error;
    int r = json_parse(data, len, &limits, &document, &error);
    if (r < 0)
        return r == -ENOMEM ? r : -ERR_STORE_CORRUPT;
    r = document_apply(files_fd, collecting, json_document_root(document), file_id);
    (void)json_document_free(document);
    return r;
}
