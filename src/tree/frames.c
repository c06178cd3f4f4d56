/*
 * The first and the last picture of a take as files, in the directory frames/ of the data directory: ID.first.png
 * and ID.last.png, where ID is the attempt. ffmpeg makes them (base/tools), from the whole video:
 * so the maker is at first a reader of the video like any other, from its first byte to its last, which fetches what
 * is missing and compares what is there with its checksums.
 *
 * A picture is made when somebody opens it, and after a video has come to the disk wholly: by a walk through the
 * jobs that makes one after the other. The walk also begins at the start, for what was not made then.
 * It looks at each take once.
 *
 * What waits for a picture: opens (any number for one making), and the job layer. A making that nobody waits
 * for any more ends, unless it is the walk's or the video is there already.
 *
 * The file gets its name when it is whole and on the disk. A picture is kept as long as its video, and goes with it
 * (removed.c).
 */
#include "tree_private.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/file.h"
#include "seedancefs/base/log.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/table.h"
#include "seedancefs/base/tools.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    READ_BYTES = 1024 * 1024,
    AT_ONCE = 4,      /* makings under way */
    AT_ONCE_MAX = 64, /* with those for which somebody waits */
    OPEN_DEADLINE_MS = 5 * 60 * 1000,
    WALK_FIRST_MS = 3000, /* after the start */
    WALK_PAUSE_MS = 50,
    WALK_PASSED = 2048, /* jobs that are passed over in one pass */
    WALK_EXAMINED = 16, /* and those that are examined closely */
};

static const char *const endings[] = {[JOB_FIRST_FRAME] = "first", [JOB_LAST_FRAME] = "last"};

/* An open that waits. */
struct tree_open_wait {
    struct frame_making *making;
    struct timer timer;
    tree_open_wait_fn *fn;
    void *context;
    struct tree_open_wait *next;
    struct tree_open_wait *prev;
};

struct frame_making {
    struct tree *tree;
    int64_t take_id;
    enum job_frame frame;
    struct media_item *item;
    struct media_read read;
    int64_t size;   /* of the video */
    int64_t offset; /* everything before it is on disk */
    int video_fd;   /* -1: not all of it yet */
    int picture_fd; /* -1: not begun */
    struct tool_run *run;
    struct timer timer; /* for the next step */
    bool is_background; /* the walk waits for it */
    bool is_wanted;     /* the job layer waits for it */
    struct tree_open_wait *waits;
    struct frame_making *next;
    struct frame_making *prev;
};

struct frame_name {
    char text[48];
};

static struct frame_name frame_name(int64_t take_id, enum job_frame frame, const char *behind)
{
    struct frame_name name;
    (void)snprintf(name.text, sizeof(name.text), "%lld.%s.png%s", (long long)take_id,
                   endings[frame], behind);
    return name;
}

int frame_size_get(const struct tree *tree, int64_t take_id, enum job_frame frame, int64_t *size)
{
    struct stat st;
    int fd = tree->settings.frames_fd;
    const struct frame_name name = frame_name(take_id, frame, "");
    *size = 0;
    if (fd < 0)
        return -ENOENT;
    if (fstatat(fd, name.text, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    *size = st.st_size;
    return 0;
}

int frame_open(const struct tree *tree, int64_t take_id, enum job_frame frame)
{
    const struct frame_name name = frame_name(take_id, frame, "");
    int fd = openat(tree->settings.frames_fd, name.text, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

bool frames_can_be_made(const struct tree *tree)
{
    return tree->settings.frames_fd >= 0 && tools_has(tree->settings.tools, TOOL_LAST_FRAME);
}

static struct frame_making *making_find(const struct tree *tree, int64_t take_id,
                                        enum job_frame frame)
{
    struct frame_making *making;
    DL_FOREACH (tree->frames.makings, making) {
        if (making->take_id == take_id && making->frame == frame)
            return making;
    }
    return NULL;
}

static void wait_free(struct tree_open_wait *wait)
{
    timer_cancel(wait->making->tree->settings.timers, &wait->timer);
    DL_DELETE(wait->making->waits, wait);
    free(wait);
}

/* Proof for the unlink: this making has created the file under a name that only makings use, one at a
 * time, and it has not become a picture. */
static void picture_drop(struct frame_making *making)
{
    const struct frame_name name = frame_name(making->take_id, making->frame, ".new");
    if (making->picture_fd >= 0)
        (void)unlinkat(making->tree->settings.frames_fd, name.text, 0);
}

static void making_free(struct frame_making *making)
{
    struct tree *tree = making->tree;
    timer_cancel(tree->settings.timers, &making->timer);
    media_read_cancel(&making->read);
    if (making->run)
        tool_cancel(making->run);
    media_item_close(making->item);
    cleanup_close(&making->video_fd);
    cleanup_close(&making->picture_fd);
    DL_DELETE(tree->frames.makings, making);
    free(making);
}

static void walk_soon(struct tree *tree, int64_t delay_ms);

/* Opens that wait for a slow video do not hold up the others. */
static bool making_has_place(const struct frame_making *making)
{
    const struct frame_making *other;
    size_t count = 0;
    DL_FOREACH (making->tree->frames.makings, other) {
        count += other->item && (making->waits || !other->waits);
    }
    return count < (making->waits ? AT_ONCE_MAX : AT_ONCE);
}

static void making_step(void *context);

/* Each holds descriptors, so that only some are under way; more if somebody waits for an open. */
static void makings_continue(struct tree *tree)
{
    struct frame_making *making;
    struct frame_making *next[] = {NULL, NULL};
    DL_FOREACH (tree->frames.makings, making) {
        if (!making->item && !next[making->waits != NULL])
            next[making->waits != NULL] = making;
    }
    for (size_t i = 0; i < ARRAY_COUNT(next); i++) {
        if (next[i] && !timer_is_set(&next[i]->timer))
            timer_set(tree->settings.timers, &next[i]->timer, 0, making_step, next[i]);
    }
}

/* Tells all who wait. Each may begin another making. */
static void making_end(struct frame_making *making, int result)
{
    struct tree *tree = making->tree;
    struct job_take *take = jobs_take_get(tree->settings.jobs, making->take_id);
    const enum job_frame frame = making->frame;
    bool is_wanted = making->is_wanted;
    if (result == 0 && take && take == take->job->picked)
        change_event_frame_made(tree, take->job, endings[frame]);
    struct tree_open_wait *waits = making->waits;
    making->waits = NULL;
    if (making->is_background)
        walk_soon(tree, WALK_PAUSE_MS);
    picture_drop(making);
    making_free(making);
    makings_continue(tree);
    while (waits) {
        struct tree_open_wait *wait = waits;
        tree_open_wait_fn *fn = wait->fn;
        void *context = wait->context;
        timer_cancel(tree->settings.timers, &wait->timer);
        DL_DELETE(waits, wait);
        free(wait);
        fn(context, result);
    }
    if (is_wanted && take)
        jobs_frame_done(take, frame, result);
}

/* Says why in the log, and in the job's `ctl` when somebody waits. */
static void making_fail(struct frame_making *making, int result, const char *why)
{
    struct job_take *take = jobs_take_get(making->tree->settings.jobs, making->take_id);
    char name[32];
    (void)snprintf(name, sizeof(name), "%s_frame.png", endings[making->frame]);
    log_warn("frame.failed", "job=%s file=%s error=%s why=\"%.*s\"", take ? take->job->name : "",
             name, err_name(result), (int)strcspn(why, "\n"), why);
    if (take && making->waits)
        jobs_command_failed(take->job, name, result);
    making_end(making, result);
}

/* Gives the picture its name, once it is on the disk. Proof for what the rename replaces: a picture
 * of the same take, which was not there when this one was begun. */
static int picture_keep(struct frame_making *making)
{
    static const char signature[] = "\x89PNG\r\n\x1a\n";
    char head[sizeof(signature) - 1];
    int directory_fd = making->tree->settings.frames_fd;
    const struct frame_name from = frame_name(making->take_id, making->frame, ".new");
    const struct frame_name to = frame_name(making->take_id, making->frame, "");
    ssize_t n = file_read_full(making->picture_fd, head, sizeof(head), 0);
    if (n < 0)
        return (int)n;
    if (n != (ssize_t)sizeof(head) || memcmp(head, signature, sizeof(head)) != 0)
        return -EIO;
    if (fsync(making->picture_fd) < 0 ||
        renameat(directory_fd, from.text, directory_fd, to.text) < 0)
        return -errno;
    cleanup_close(&making->picture_fd);
    making->picture_fd = -1;
    return fsync(directory_fd) < 0 ? -errno : 0;
}

static void on_picture(void *context, const struct tool_result *result)
{
    struct frame_making *making = context;
    making->run = NULL;
    int r = result->result == 0 ? picture_keep(making) : result->result;
    if (r == 0) {
        log_info("frame.made", "attempt=%lld frame=%s", (long long)making->take_id,
                 endings[making->frame]);
        making_end(making, 0);
        return;
    }
    bool is_tool = result->result != 0 && result->result != -ENOENT;
    making_fail(making, is_tool ? -EIO : r, result->error_text);
}

/* Everything is read: ffmpeg's turn. A file of an earlier making that did not end is overwritten:
 * only makings use such a name. */
static void picture_begin(struct frame_making *making)
{
    static const int flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
    struct tree *tree = making->tree;
    const struct frame_name name = frame_name(making->take_id, making->frame, ".new");
    making->picture_fd = openat(tree->settings.frames_fd, name.text, flags, 0600);
    int r = making->picture_fd < 0 ? -errno : 0;
    const struct tool_request request = {.tool = making->frame == JOB_FIRST_FRAME ? TOOL_FIRST_FRAME
                                                                                  : TOOL_LAST_FRAME,
                                         .input_fd = making->video_fd,
                                         .output_fd = making->picture_fd};
    if (r == 0)
        r = tools_start(tree->settings.tools, &request, on_picture, making, &making->run);
    if (r < 0)
        making_fail(making, r == -EPIPE ? -EIO : r, err_sentence(r));
}

/* The bytes of the video are in this file, all of them after the last read. It is opened anew, for
 * reading alone. */
static int video_take(struct frame_making *making, const struct media_bytes *bytes)
{
    if (bytes->fd < 0)
        return -ENOSPC; /* in memory, because the cache disk takes no more */
    making->size = media_item_size(making->item); /* the job may not know it yet */
    if (making->offset < making->size)
        return 0;
    /* Some of it is in memory, or was evicted meanwhile: this file has holes. */
    if (!media_item_is_complete(making->item))
        return -EIO;
    making->video_fd = file_open_again(bytes->fd);
    return making->video_fd < 0 ? making->video_fd : 0;
}

static void on_bytes(void *context, int result, const struct media_bytes *bytes)
{
    struct frame_making *making = context;
    int r = result > 0 ? 0 : result < 0 ? result : -EIO;
    if (r == 0) {
        making->offset += result;
        r = video_take(making, bytes);
    }
    if (r < 0)
        making_fail(making, r, err_sentence(r));
    else
        timer_set(making->tree->settings.timers, &making->timer, 0, making_step, making);
}

static int making_begin(struct frame_making *making)
{
    struct tree *tree = making->tree;
    struct job_take *take = jobs_take_get(tree->settings.jobs, making->take_id);
    if (!take)
        return -ECANCELED; /* its job was removed */
    return output_open(tree, take, MEDIA_VIDEO, &making->item);
}

static void making_step(void *context)
{
    struct frame_making *making = context;
    if (!making->item) {
        if (!making_has_place(making))
            return; /* the end of another one leads here again */
        int r = making_begin(making);
        if (r < 0) {
            making_fail(making, r, err_sentence(r));
            return;
        }
    }
    if (making->video_fd >= 0) {
        picture_begin(making);
        return;
    }
    making->read = (struct media_read){
        .offset = making->offset, .size = READ_BYTES, .fn = on_bytes, .context = making};
    media_read_start(making->item, &making->read);
}

/* Finds or begins the making. */
static int making_get(struct tree *tree, struct job_take *take, enum job_frame frame,
                      struct frame_making **out)
{
    *out = making_find(tree, take->id, frame);
    if (*out)
        return 0;
    if (!frames_can_be_made(tree))
        return -ENOENT;
    struct frame_making *making = calloc(1, sizeof(*making));
    if (!making)
        return -ENOMEM;
    *making = (struct frame_making){
        .tree = tree, .take_id = take->id, .frame = frame, .video_fd = -1, .picture_fd = -1};
    DL_APPEND(tree->frames.makings, making);
    timer_set(tree->settings.timers, &making->timer, 0, making_step, making);
    *out = making;
    return 0;
}

static void wait_is_late(void *context)
{
    struct tree_open_wait *wait = context;
    tree_open_wait_fn *fn = wait->fn;
    void *fn_context = wait->context;
    frame_wait_cancel(wait);
    fn(fn_context, -ETIMEDOUT);
}

int frame_wait(struct tree *tree, struct job_take *take, enum job_frame frame,
               tree_open_wait_fn *fn, void *context, struct tree_open_wait **out)
{
    int64_t size;
    struct frame_making *making;
    int r = frame_size_get(tree, take->id, frame, &size);
    if (r != -ENOENT)
        return r; /* it is there, or that is not known */
    r = making_get(tree, take, frame, &making);
    if (r < 0)
        return r;
    struct tree_open_wait *wait = calloc(1, sizeof(*wait));
    if (!wait)
        return -ENOMEM;
    *wait = (struct tree_open_wait){.making = making, .fn = fn, .context = context};
    DL_APPEND(making->waits, wait);
    if (!making->item) /* it goes before others now */
        timer_set(tree->settings.timers, &making->timer, 0, making_step, making);
    timer_set(tree->settings.timers, &wait->timer, OPEN_DEADLINE_MS, wait_is_late, wait);
    *out = wait;
    return 1;
}

void frame_wait_cancel(struct tree_open_wait *wait)
{
    struct frame_making *making = wait->making;
    wait_free(wait);
    if (!making->waits && !making->is_background && !making->is_wanted && !making->run)
        making_end(making, -ECANCELED);
}

int frame_order(struct tree *tree, struct job_take *take, enum job_frame frame, const char **why)
{
    int64_t size;
    struct frame_making *making;
    int r = frame_size_get(tree, take->id, frame, &size);
    if (r == -ENOENT && !frames_can_be_made(tree)) {
        *why =
            "pictures of a video are made by ffmpeg, which is not installed: install the package "
            "ffmpeg.";
        return -ENOENT;
    }
    if (r == -ENOENT)
        r = making_get(tree, take, frame, &making);
    else if (r == 0)
        return 0;
    if (r < 0) {
        *why = err_sentence(r);
        return r;
    }
    making->is_wanted = true;
    return -EBUSY;
}

int frame_read(struct tree *tree, struct job_take *take, enum job_frame frame, size_t max_bytes,
               struct buf *out)
{
    const struct frame_name name = frame_name(take->id, frame, "");
    CLEANUP(buf_fini) struct buf picture = {.limit = max_bytes};
    int r = file_read_all_at(tree->settings.frames_fd, name.text, &picture);
    return r < 0 ? r : buf_add(out, buf_text(&picture), picture.len);
}

/* 1: the whole video is on disk. */
static int video_is_whole(struct tree *tree, struct job_take *take)
{
    CLEANUP(output_close) struct media_item *item = NULL;
    int r = output_open(tree, take, MEDIA_VIDEO, &item);
    return r < 0 ? r : media_item_is_durable(item);
}

/* True: makings have begun. */
static bool take_begin(struct tree *tree, struct job_take *take)
{
    bool has_begun = false;
    int64_t sizes[ARRAY_COUNT(endings)];
    int found[ARRAY_COUNT(endings)];
    for (int frame = JOB_FIRST_FRAME; frame <= JOB_LAST_FRAME; frame++)
        found[frame] = frame_size_get(tree, take->id, (enum job_frame)frame, &sizes[frame]);
    if ((found[JOB_FIRST_FRAME] != -ENOENT && found[JOB_LAST_FRAME] != -ENOENT) ||
        video_is_whole(tree, take) <= 0)
        return false;
    for (int frame = JOB_FIRST_FRAME; frame <= JOB_LAST_FRAME; frame++) {
        struct frame_making *making;
        if (found[frame] != -ENOENT || making_get(tree, take, (enum job_frame)frame, &making) < 0)
            continue;
        making->is_background = true;
        has_begun = true;
    }
    return has_begun;
}

static bool is_walk_making(const struct tree *tree)
{
    const struct frame_making *making;
    DL_FOREACH (tree->frames.makings, making) {
        if (making->is_background)
            return true;
    }
    return false;
}

static void walk(void *context)
{
    struct tree *tree = context;
    struct frames *frames = &tree->frames;
    unsigned passed = 0;
    unsigned examined = 0;
    if (is_walk_making(tree) || !frames_can_be_made(tree))
        return;
    struct job *job;
    while ((job = jobs_next(tree->settings.jobs, frames->at_id))) {
        struct job_take *take = output_take(job);
        if (passed++ == WALK_PASSED || examined == WALK_EXAMINED) {
            walk_soon(tree, WALK_PAUSE_MS);
            return;
        }
        frames->at_id = job->id;
        if (!take || take->number == 0 || take->video_bytes < 0 || take->is_frames_seen)
            continue;
        take->is_frames_seen = true;
        examined++;
        if (take_begin(tree, take))
            return; /* their end goes on with the walk */
    }
}

static void walk_soon(struct tree *tree, int64_t delay_ms)
{
    if (tree->is_started)
        timer_set(tree->settings.timers, &tree->frames.timer, delay_ms, walk, tree);
}

void frames_begin(struct tree *tree)
{
    walk_soon(tree, WALK_FIRST_MS);
}

void frames_job_changed(struct tree *tree, const struct job *job)
{
    const struct job_take *take = output_take(job);
    if (!take || take->is_frames_seen || take->video_bytes < 0)
        return;
    tree->frames.at_id = min_int64(tree->frames.at_id, job->id - 1);
    if (!timer_is_set(&tree->frames.timer))
        walk_soon(tree, WALK_PAUSE_MS);
}

void frames_video_saved(struct tree *tree, struct job_take *take)
{
    take->is_frames_seen = false;
    frames_job_changed(tree, take->job);
}

void frames_forget(struct tree *tree, int64_t take_id)
{
    for (int frame = JOB_FIRST_FRAME; frame <= JOB_LAST_FRAME; frame++) {
        struct frame_making *making = making_find(tree, take_id, (enum job_frame)frame);
        if (making)
            making_end(making, -ESTALE);
    }
}

void frames_remove(const struct tree *tree, int64_t take_id)
{
    for (int frame = JOB_FIRST_FRAME; frame <= JOB_LAST_FRAME; frame++) {
        const struct frame_name name = frame_name(take_id, (enum job_frame)frame, "");
        if (tree->settings.frames_fd >= 0)
            (void)unlinkat(tree->settings.frames_fd, name.text, 0);
    }
}

void frames_end(struct tree *tree)
{
    timer_cancel(tree->settings.timers, &tree->frames.timer);
    tree->is_started = false;
    while (tree->frames.makings)
        making_end(tree->frames.makings, -ENOTCONN);
}
