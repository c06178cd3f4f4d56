/*
 * What the takes of a job have made. The video and the cover of the picked one are output.mp4 and
 * cover.jpg of the job, its pictures first_frame.png and last_frame.png (frames.c); each take has one inode, wherever its video is seen. takes/ appears with
 * the second take:
 *
 *   takes/N.mp4    the video of take N
 *   takes/N.json   the prompt from which it was made, as the user wrote it
 *
 * Which take a name stands for changes with `pick`, so the kernel may not keep these names.
 */
#include "handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct take_name {
    const char *ending;
    enum job_take_name name;
} take_names[] = {{".mp4", JOB_TAKE_VIDEO}, {".json", JOB_TAKE_PROMPT}};

int job_hide(struct tree *tree, struct job *job, ptrdiff_t bit)
{
    int r = store_write_check(tree->settings.store);
    if (r < 0)
        return r; /* where nothing can be removed, nothing looks as if it were */
    job->hidden |= UINT32_C(1) << bit;
    views_job_changed(tree, job);
    change_event_file_unlinked(tree, job);
    index_changed(tree);
    return 0;
}

static bool take_is_there(struct job_take *take, enum job_take_name name)
{
    if (take->hidden & name)
        return false;
    return name == JOB_TAKE_VIDEO ? take->video_bytes >= 0 : job_take_has_prompt(take);
}

struct node media_node(struct job_take *take, enum media_kind kind)
{
    return (struct node){.ops = kind == MEDIA_VIDEO ? &video_ops : &cover_ops,
                         .kind = kind == MEDIA_VIDEO ? NODE_VIDEO : NODE_COVER,
                         .id = take->id,
                         .job = take->job,
                         .take = take};
}

int take_get(struct tree *tree, struct node *node)
{
    struct job_take *take = jobs_take_get(tree->settings.jobs, node->id);
    if (!take || take->number == 0)
        return -ESTALE;
    node->take = take;
    node->job = take->job;
    return 0;
}

static int media_size(struct tree *tree UNUSED, const struct node *node, int64_t *size)
{
    *size = node->kind == NODE_VIDEO ? node->take->video_bytes : node->take->cover_bytes;
    return *size < 0 ? -ESTALE : 0;
}

static int64_t take_changed_ms(const struct tree *tree UNUSED, const struct node *node)
{
    return node->take->finished_ms;
}

/* A picked video has another name in videos/, and each that is listed in takes/ has one there. */
static int video_getattr(struct tree *tree UNUSED, const struct node *node, struct tree_entry *out)
{
    struct job *job = node->job;
    nlink_t names = output_take(job) == node->take && output_is_there(job, MEDIA_VIDEO) ? 2 : 0;
    if (takes_are_there(job) && take_is_there(node->take, JOB_TAKE_VIDEO))
        names++;
    out->st.st_nlink = names ? names : 1;
    return 0;
}

static int video_unlink(struct tree *tree, const struct node *node)
{
    return job_hide(tree, node->job, GENERATED_HIDDEN_VIDEO);
}

static int cover_unlink(struct tree *tree, const struct node *node)
{
    return job_hide(tree, node->job, GENERATED_HIDDEN_COVER);
}

/* The user has removed a name of a take, which stays all the same. `rm -r` of the job must get
 * on, so the picked one is no exception. */
static int take_unlink(const struct node *node, enum job_take_name name)
{
    return job_take_hidden_set(node->take, node->take->hidden | (unsigned)name);
}

static int take_video_unlink(struct tree *tree UNUSED, const struct node *node)
{
    return take_unlink(node, JOB_TAKE_VIDEO);
}

static int take_prompt_unlink(struct tree *tree UNUSED, const struct node *node)
{
    return take_unlink(node, JOB_TAKE_PROMPT);
}

#define TAKE_OPS                                                                                   \
    .parent = NODE_JOB, .is_made = true, .attr_s = KEEP_SHORT_S, .get = take_get,                  \
    .changed_ms = take_changed_ms
#define VIDEO_OPS                                                                                  \
    TAKE_OPS, .mode = S_IFREG | 0444, .reader = &media_handles, .size = media_size,                \
              .has_xattrs = true, .getattr = video_getattr

const struct node_ops video_ops = {VIDEO_OPS, .unlink = video_unlink};
const struct node_ops cover_ops = {TAKE_OPS, .mode = S_IFREG | 0444, .reader = &media_handles,
                                   .size = media_size, .unlink = cover_unlink};
static const struct node_ops take_video_ops = {VIDEO_OPS, .unlink = take_video_unlink};

bool frame_is_found(struct tree *tree, struct job *job, enum job_frame frame)
{
    int64_t size;
    const struct job_take *take = output_take(job);
    if (!take || take->number == 0 || take->video_bytes < 0 ||
        job_hides(job, frame_hidden_bit(frame)))
        return false;
    return frames_can_be_made(tree) || frame_size_get(tree, take->id, frame, &size) == 0;
}

struct node frame_node(struct job_take *take, enum job_frame frame)
{
    return (struct node){.ops = &frame_ops,
                         .kind = frame == JOB_FIRST_FRAME ? NODE_FIRST_FRAME : NODE_LAST_FRAME,
                         .id = take->id,
                         .job = take->job,
                         .take = take};
}

/* 0 before it is made, as for `wait`. */
static int frame_size(struct tree *tree, const struct node *node, int64_t *size)
{
    int r = frame_size_get(tree, node->id, node_frame(node), size);
    return r == -ENOENT ? 0 : r;
}

static int frame_getattr(struct tree *tree UNUSED, const struct node *node UNUSED,
                         struct tree_entry *out)
{
    if (out->st.st_size == 0)
        out->attr_s = 0;
    return 0;
}

static int frame_unlink(struct tree *tree, const struct node *node)
{
    return job_hide(tree, node->job, frame_hidden_bit(node_frame(node)));
}

const struct node_ops frame_ops = {
    TAKE_OPS,           .mode = S_IFREG | 0444,   .reader = &frame_handles,
    .size = frame_size, .getattr = frame_getattr, .unlink = frame_unlink};

static int take_prompt_render(struct tree *tree UNUSED, const struct node *node, struct buf *out)
{
    return job_take_prompt_get(node->take, out);
}

/* For the owner alone: it may have the secret of an address in it, and nothing of it is masked, so
 * that it can be used again. */
const struct node_ops take_prompt_ops = {TAKE_OPS, .mode = S_IFREG | 0400, .is_direct = true,
                                         .render = take_prompt_render,
                                         .unlink = take_prompt_unlink};

static struct node take_node(struct job_take *take, enum job_take_name name)
{
    bool is_video = name == JOB_TAKE_VIDEO;
    return (struct node){.ops = is_video ? &take_video_ops : &take_prompt_ops,
                         .kind = is_video ? NODE_VIDEO : NODE_TAKE_PROMPT,
                         .id = take->id,
                         .job = take->job,
                         .take = take};
}

struct node takes_node(struct job *job)
{
    return (struct node){.ops = &takes_ops, .kind = NODE_TAKES, .id = job->id, .job = job};
}

static int takes_get(struct tree *tree, struct node *node)
{
    node->job = jobs_get(tree->settings.jobs, node->id);
    return node->job && takes_are_there(node->job) ? 0 : -ESTALE;
}

static int takes_lookup(struct tree *tree UNUSED, const struct node *directory, const char *name,
                        struct node *out)
{
    char canonical[32];
    char *end;
    struct job_take *take = job_take_get(directory->job, strtoll(name, &end, 10));
    for (size_t i = 0; take && i < ARRAY_COUNT(take_names); i++) {
        (void)snprintf(canonical, sizeof(canonical), "%lld%s", (long long)take->number,
                       take_names[i].ending);
        if (strcmp(name, canonical) != 0 || !take_is_there(take, take_names[i].name))
            continue;
        *out = take_node(take, take_names[i].name);
        return 0;
    }
    return strlen(name) > TEXT_NAME_MAX ? -ENAMETOOLONG : -ENOENT;
}

/* Offsets are twice the number of the take: the video first, then the prompt. */
static int takes_next(struct tree *tree UNUSED, const struct node *directory,
                      struct node_child *child)
{
    struct job_take *take;
    LL_FOREACH (directory->job->takes, take) {
        for (size_t i = 0; i < ARRAY_COUNT(take_names); i++) {
            int64_t offset = take->number * 2 + (int64_t)i;
            if (offset < child->next || !take_is_there(take, take_names[i].name))
                continue;
            child->node = take_node(take, take_names[i].name);
            child->next = offset + 1;
            (void)snprintf(child->name, sizeof(child->name), "%lld%s", (long long)take->number,
                           take_names[i].ending);
            return 1;
        }
    }
    return 0;
}

static int takes_getattr(struct tree *tree UNUSED, const struct node *node UNUSED,
                         struct tree_entry *out)
{
    out->entry_s = 0;
    return 0;
}

/* What is in it is made by the program: who writes there copies a job. */
static int takes_create(struct tree *tree UNUSED, const struct node *directory,
                        const char *name UNUSED, mode_t mode UNUSED, int *flags UNUSED,
                        struct node *out UNUSED)
{
    job_copy_seen(directory->job);
    return -EPERM;
}

/* When everything in it was removed, it can be removed, too: for `rm -r` of the job. */
static int takes_rmdir(struct tree *tree, const struct node *node)
{
    struct node_child child = {.next = 2};
    int r = store_write_check(tree->settings.store);
    if (r < 0)
        return r;
    if (takes_next(tree, node, &child) > 0)
        return -ENOTEMPTY;
    node->job->hidden |= UINT32_C(1) << GENERATED_HIDDEN_TAKES;
    return 0;
}

const struct node_ops takes_ops = {
    DIRECTORY_OPS,          .parent = NODE_JOB,  .attr_s = KEEP_SHORT_S,   .get = takes_get,
    .lookup = takes_lookup, .next = takes_next,  .getattr = takes_getattr, .create = takes_create,
    .rmdir = takes_rmdir,   .gone_type = S_IFREG};
