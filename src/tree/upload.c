/*
 * Puts files into the object store: videos of takes as media/UID.mp4, with what videos/NAME.json says
 * of them in media/UID.json, and videos of users as input/SHA256.
 *
 *     read from the first byte to the last ─▶ put the facts ─▶ put the file ─┬─▶ end
 *                                               (of a take)     │ the key is taken
 *                                                               └─▶ compare ─┘
 *
 * A take is read like by any other reader, so that its bytes are compared with their checksums. The sums
 * of what was read go with the PUT, and the store refuses other bytes. A key that is taken is normal:
 * an answer was lost, or the program has ended before it wrote down that the object is there. Of a take
 * the object is then read and compared, because it may be the only copy one day; the key of a user's
 * file says what is in it.
 *
 * Each upload under way holds a descriptor; the others wait in a list.
 */
#include "tree_private.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/file.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/table.h"
#include "seedancefs/objects/objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    UPLOADS_MAX = 2,          /* under way, of takes and of files each */
    SLICE_BYTES = 256 * 1024, /* digested in one pass of the loop: a millisecond */
    KEY_SIZE = 80,
};

struct upload {
    struct tree *tree;
    int64_t id; /* of the take, or of the user's file */
    bool is_take;
    bool is_look; /* only whether it is there */
    bool is_begun;
    struct media_item *item; /* of a take */
    struct media_read read;
    int fd; /* of a take: once all is read; -1: not open */
    int64_t size;
    int64_t offset; /* everything before it is digested */
    struct objects_digest *digest;
    struct objects_sums sums;
    char key[KEY_SIZE];
    struct buf facts;
    struct objects_call *call;
    struct timer timer;
    upload_done_fn *done;
    struct upload *next;
    struct upload *prev;
};

static void upload_free(struct upload *upload)
{
    struct tree *tree = upload->tree;
    timer_cancel(tree->settings.timers, &upload->timer);
    media_read_cancel(&upload->read);
    objects_cancel(upload->call);
    objects_digest_free(upload->digest);
    media_item_close(upload->item);
    cleanup_close(&upload->fd);
    buf_fini(&upload->facts);
    DL_DELETE(tree->uploads, upload);
    free(upload);
}

static void uploads_continue(struct tree *tree);

static void upload_end(struct upload *upload, int result, const char *text)
{
    struct tree *tree = upload->tree;
    upload_done_fn *done = upload->done;
    int64_t id = upload->id;
    CLEANUP_FREE char *copy = strdup(text); /* it may belong to the upload */
    upload_free(upload);
    done(tree, id, result, copy ? copy : "");
    uploads_continue(tree);
}

static void upload_fail(struct upload *upload, int result)
{
    upload_end(upload, result, err_sentence(result));
}

/* The video is that of the take still, and all of it is where it was read. */
static bool take_is_the_same(const struct upload *upload)
{
    const struct job_take *take = jobs_take_get(upload->tree->settings.jobs, upload->id);
    return take && take->video_bytes == upload->size && media_item_is_complete(upload->item) &&
           media_item_size(upload->item) == upload->size;
}

static void upload_succeed(struct upload *upload)
{
    CLEANUP(buf_fini) struct buf url = {.limit = 8192};
    bool is_other = upload->is_take && !upload->is_look && !take_is_the_same(upload);
    int r = is_other ? -ERR_MEDIA_CHANGED : 0;
    if (r == 0 && !upload->is_take)
        r = objects_url(upload->tree->settings.objects, upload->key, STORED_LIFE_LONG_MS, &url);
    if (r < 0)
        upload_fail(upload, r);
    else
        upload_end(upload, 0, buf_text(&url));
}

static void on_compared(void *context, int result, const char *why)
{
    struct upload *upload = context;
    upload->call = NULL;
    if (result < 0)
        upload_end(upload, result, why);
    else
        upload_succeed(upload);
}

static int compare_begin(struct upload *upload)
{
    const struct objects_compare compare = {.key = upload->key,
                                            .md5 = upload->is_look ? NULL : upload->sums.md5,
                                            .bytes = upload->size,
                                            .context = upload,
                                            .on_done = on_compared};
    return objects_compare(upload->tree->settings.objects, &compare, &upload->call);
}

static void on_put(void *context, int result, const char *why)
{
    struct upload *upload = context;
    upload->call = NULL;
    if (result == -EEXIST && upload->is_take)
        result = compare_begin(upload);
    else if (result == -EEXIST)
        result = 0;
    if (upload->call)
        return;
    if (result < 0)
        upload_end(upload, result, why);
    else
        upload_succeed(upload);
}

static ssize_t on_body_wanted(void *context, int64_t offset, void *out, size_t size)
{
    const struct upload *upload = context;
    ssize_t n = pread(upload->fd, out, size, offset);
    return n > 0 ? n : n < 0 ? -errno : -EIO;
}

static int put_begin(struct upload *upload)
{
    const struct objects_put put = {.key = upload->key,
                                    .content_type = upload->is_take ? "video/mp4" : NULL,
                                    .md5 = upload->sums.md5,
                                    .on_body_wanted = on_body_wanted,
                                    .bytes = upload->size,
                                    .context = upload,
                                    .on_done = on_put};
    return objects_put(upload->tree->settings.objects, &put, &upload->call);
}

/* The facts of an earlier attempt stay what they are. */
static void on_facts_put(void *context, int result, const char *why)
{
    struct upload *upload = context;
    upload->call = NULL;
    int r = result == -EEXIST || result == 0 ? put_begin(upload) : result;
    if (r < 0)
        upload_end(upload, r, result < 0 && result != -EEXIST ? why : err_sentence(r));
}

static int facts_begin(struct upload *upload)
{
    struct tree *tree = upload->tree;
    char key[KEY_SIZE];
    struct job_take *take = jobs_take_get(tree->settings.jobs, upload->id);
    if (!take)
        return -ECANCELED; /* its job was removed */
    const struct node node = video_facts_node(take);
    buf_init(&upload->facts, 64 * 1024 * 1024);
    int r = node.ops->render(tree, &node, &upload->facts);
    (void)snprintf(key, sizeof(key), "%.*s.json", (int)strcspn(upload->key, "."), upload->key);
    const struct objects_put put = {.key = key,
                                    .content_type = "application/json",
                                    .body = buf_text(&upload->facts),
                                    .bytes = (int64_t)upload->facts.len,
                                    .context = upload,
                                    .on_done = on_facts_put};
    return r < 0 ? r : objects_put(tree->settings.objects, &put, &upload->call);
}

/* Everything is read. */
static int upload_read(struct upload *upload)
{
    int r = objects_digest_end(TAKE_POINTER(upload->digest), &upload->sums);
    if (r == 0 && !upload->is_take) {
        (void)snprintf(upload->key, sizeof(upload->key), "input/%s", upload->sums.sha256);
        return put_begin(upload);
    }
    struct stored_key key;
    if (r == 0)
        r = stored_key_get(upload->tree, upload->id, &key);
    if (r == 0)
        (void)snprintf(upload->key, sizeof(upload->key), "%s", key.text);
    return r < 0 ? r : facts_begin(upload);
}

static void upload_step(void *context);

static int slice_digest(struct upload *upload, int fd, int64_t offset, size_t len)
{
    CLEANUP_FREE char *bytes = malloc(len);
    ssize_t n = bytes ? file_read_full(fd, bytes, len, offset) : -ENOMEM;
    if (n < 0)
        return (int)n;
    return (size_t)n < len ? -EIO : objects_digest_add(upload->digest, bytes, len);
}

/* The PUT reads the same file; it is opened anew, for reading alone. */
static int take_file_open(struct upload *upload, int fd)
{
    if (upload->offset < upload->size)
        return 0;
    if (!media_item_is_complete(upload->item))
        return -EIO; /* some of it was evicted meanwhile */
    upload->fd = file_open_again(fd);
    return upload->fd < 0 ? upload->fd : 0;
}

static void on_bytes(void *context, int result, const struct media_bytes *bytes)
{
    struct upload *upload = context;
    int r = result > 0 ? 0 : result < 0 ? result : -EIO;
    if (r == 0 && bytes->fd < 0)
        r = -ENOSPC; /* in memory, because the cache disk takes no more */
    if (r == 0)
        r = slice_digest(upload, bytes->fd, bytes->offset, bytes->len);
    if (r == 0) {
        upload->offset += result;
        r = take_file_open(upload, bytes->fd);
    }
    if (r < 0)
        upload_fail(upload, r);
    else
        timer_set(upload->tree->settings.timers, &upload->timer, 0, upload_step, upload);
}

/* Reads and digests the next part. */
static int slice_begin(struct upload *upload)
{
    size_t len = (size_t)min_int64(SLICE_BYTES, upload->size - upload->offset);
    if (upload->is_take) {
        upload->read = (struct media_read){
            .offset = upload->offset, .size = len, .fn = on_bytes, .context = upload};
        media_read_start(upload->item, &upload->read); /* on_bytes may free the upload */
        return 0;
    }
    int r = slice_digest(upload, upload->fd, upload->offset, len);
    upload->offset += (int64_t)len;
    if (r == 0)
        timer_set(upload->tree->settings.timers, &upload->timer, 0, upload_step, upload);
    return r;
}

static int upload_begin(struct upload *upload)
{
    struct tree *tree = upload->tree;
    struct stat st;
    upload->is_begun = true;
    int r = objects_digest_new(&upload->digest);
    if (r < 0)
        return r;
    if (!upload->is_take) {
        upload->size = fstat(upload->fd, &st) < 0 ? -errno : st.st_size;
    } else {
        struct job_take *take = jobs_take_get(tree->settings.jobs, upload->id);
        r = take ? output_open(tree, take, MEDIA_VIDEO, &upload->item) : -ECANCELED;
        upload->size = r < 0 ? r : media_item_size(upload->item);
    }
    if (upload->size > OBJECTS_BYTES_MAX)
        return -EFBIG;
    return upload->size < 0 ? (int)upload->size : 0;
}

/* Whether the take's video is there, though nobody has written that down. */
static int look_begin(struct upload *upload)
{
    struct stored_key key;
    const struct job_take *take = jobs_take_get(upload->tree->settings.jobs, upload->id);
    upload->is_begun = true;
    if (!take)
        return -ECANCELED;
    int r = stored_key_get(upload->tree, upload->id, &key);
    if (r < 0)
        return r;
    (void)snprintf(upload->key, sizeof(upload->key), "%s", key.text);
    upload->size = take->video_bytes;
    return compare_begin(upload);
}

static void upload_step(void *context)
{
    struct upload *upload = context;
    int r = upload->is_begun ? 0 : upload->is_look ? look_begin(upload) : upload_begin(upload);
    if (r == 0 && !upload->is_look)
        r = upload->offset < upload->size ? slice_begin(upload) : upload_read(upload);
    if (r < 0)
        upload_fail(upload, r);
}

static void uploads_continue(struct tree *tree)
{
    struct upload *upload;
    int active[2] = {0, 0}; /* of files, for which a request waits, and of takes */
    DL_FOREACH (tree->uploads, upload) {
        int *count = &active[upload->is_take];
        if (++*count <= UPLOADS_MAX && !upload->is_begun)
            timer_set(tree->settings.timers, &upload->timer, 0, upload_step, upload);
    }
}

static int upload_add(struct tree *tree, const struct upload *wish)
{
    struct upload *upload = malloc(sizeof(*upload));
    if (!upload)
        return -ENOMEM;
    *upload = *wish;
    upload->tree = tree;
    DL_APPEND(tree->uploads, upload);
    uploads_continue(tree);
    return 0;
}

int upload_take(struct tree *tree, const struct job_take *take, upload_done_fn *done)
{
    const struct upload wish = {.id = take->id, .is_take = true, .fd = -1, .done = done};
    return upload_add(tree, &wish);
}

int upload_look(struct tree *tree, const struct job_take *take, upload_done_fn *done)
{
    const struct upload wish = {
        .id = take->id, .is_take = true, .is_look = true, .fd = -1, .done = done};
    return upload_add(tree, &wish);
}

int upload_file(struct tree *tree, int64_t kept_id, int fd, upload_done_fn *done)
{
    const struct upload wish = {.id = kept_id, .fd = fd, .done = done};
    int r = upload_add(tree, &wish);
    if (r < 0)
        cleanup_close(&fd);
    return r;
}

bool upload_is_under_way(const struct tree *tree, int64_t take_id)
{
    const struct upload *upload;
    DL_FOREACH (tree->uploads, upload) {
        if (upload->is_take && upload->id == take_id)
            return true;
    }
    return false;
}

void upload_forget(struct tree *tree, int64_t take_id)
{
    struct upload *upload;
    struct upload *next;
    DL_FOREACH_SAFE (tree->uploads, upload, next) {
        if (upload->is_take && upload->id == take_id)
            upload_free(upload);
    }
    uploads_continue(tree);
}

void uploads_end(struct tree *tree)
{
    while (tree->uploads)
        upload_free(tree->uploads);
}
