/*
 * Nodes: from inode numbers and names to what they stand for, and their attributes.
 *
 * The kernel may keep what cannot change behind its back: names (they change through the mount
 * alone) and the attributes of finished videos. It is never told that something changed, because
 * telling it from the loop could wait for a request that the loop has to answer; what may change
 * by itself (a status, the presence of `error`) is simply not kept.
 */
#include "tree_private.h"

#include "seedancefs/base/text.h"

#include <string.h>
#include <unistd.h>

#define KEEP_LONG_S 86400.0
#define KEEP_SHORT_S 1.0

static const char video_name[] = "output.mp4";
static const char cover_name[] = "cover.jpg";

/* Beside the generated files that there are. */
static const char *const reserved_names[] = {video_name, cover_name};

uint64_t node_ino(enum node_kind kind, int64_t id)
{
    return (uint64_t)id << 8 | (uint64_t)kind;
}

bool node_is_directory(const struct node *node)
{
    return node->kind == NODE_ROOT || node->kind == NODE_JOBS || node->kind == NODE_JOB ||
           node->kind == NODE_MODELS || (view_has_kind(node->kind) && !view_is_link(node));
}

bool node_name_is_reserved(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(reserved_names); i++) {
        if (strcmp(reserved_names[i], name) == 0)
            return true;
    }
    for (size_t i = 0; i < generated_count(); i++) {
        if (strcmp(generated_at(i)->name, name) == 0)
            return true;
    }
    return false;
}

const struct node_root_entry node_root_entries[NODE_ROOT_ENTRIES] = {
    {"README.txt", NODE_README, readme_render, true},
    {"jobs", NODE_JOBS, NULL, false},
    {"spend.json", NODE_SPEND, spend_render, false},
    {"metrics", NODE_METRICS, metrics_render, false},
    {"videos", NODE_VIDEOS, NULL, false},
    {"by-status", NODE_BY_STATUS, NULL, false},
    {"models", NODE_MODELS, NULL, false},
    {DEFAULTS_NAME, NODE_DEFAULTS, defaults_render, false},
    {"defaults.error", NODE_DEFAULTS_ERROR, defaults_error_render, false},
    {"index.html", NODE_INDEX, index_render, false},
    {"events", NODE_EVENTS, NULL, false},
};

const struct node_root_entry *node_root_file(const struct node *node)
{
    for (size_t i = 0; i < NODE_ROOT_ENTRIES; i++) {
        if (node_root_entries[i].kind == node->kind && node_root_entries[i].render)
            return &node_root_entries[i];
    }
    return NULL;
}

static bool is_hidden(const struct job *job, unsigned bit)
{
    return (job->hidden >> bit & 1) != 0;
}

static bool generated_is_there(struct job *job, size_t index)
{
    const struct generated *generated = generated_at(index);
    struct job_detail *detail = NULL;
    if (is_hidden(job, (unsigned)index))
        return false;
    if (!generated->is_there)
        return true;
    return job_detail_get(job, &detail) == 0 && generated->is_there(job, detail);
}

static bool media_is_there(const struct job *job, enum node_kind kind)
{
    if (job->state != JOB_SUCCEEDED)
        return false;
    if (kind == NODE_VIDEO)
        return job->video_bytes >= 0 && !is_hidden(job, GENERATED_HIDDEN_VIDEO);
    return job->cover_bytes >= 0 && !is_hidden(job, GENERATED_HIDDEN_COVER);
}

bool node_has_video(const struct job *job)
{
    return media_is_there(job, NODE_VIDEO);
}

bool node_has_cover(const struct job *job)
{
    return media_is_there(job, NODE_COVER);
}

bool node_is_unlinked(const struct job *job, const char *name)
{
    for (size_t i = 0; job->hidden && i < generated_count(); i++) {
        if (strcmp(generated_at(i)->name, name) == 0)
            return is_hidden(job, (unsigned)i);
    }
    return false;
}

static int node_get_in_job(struct tree *tree, struct node *node)
{
    if (node->kind == NODE_FILE)
        node->job = jobs_get_by_file(tree->settings.jobs, node->id);
    else if (node->kind == NODE_VIDEO || node->kind == NODE_COVER)
        node->job = jobs_get_by_attempt(tree->settings.jobs, node->id);
    else
        node->job = jobs_get(tree->settings.jobs, node->id);
    if (!node->job)
        return -ESTALE;
    struct job_detail *detail;
    if (node->kind == NODE_FILE) {
        int r = job_detail_get(node->job, &detail);
        if (r < 0)
            return r;
        node->file = job_file_get(detail, node->id);
        return node->file ? 0 : -ESTALE;
    }
    size_t index = (size_t)node->kind - NODE_GENERATED;
    if (node->kind >= NODE_GENERATED && index < generated_count())
        node->generated = generated_at(index);
    else if (node->kind != NODE_JOB && node->kind != NODE_VIDEO && node->kind != NODE_COVER)
        return -ESTALE;
    return 0;
}

static bool is_root_entry(const struct tree *tree, enum node_kind kind)
{
    for (size_t i = 0; i < NODE_ROOT_ENTRIES; i++) {
        if (node_root_entries[i].kind == kind)
            return defaults_is_there(tree, kind);
    }
    return false;
}

int node_get(struct tree *tree, uint64_t ino, struct node *out)
{
    *out = (struct node){.kind = (enum node_kind)(ino & 0xff), .id = (int64_t)(ino >> 8)};
    if (view_has_kind(out->kind))
        return view_get(tree, out);
    if (models_has_kind(out->kind))
        return models_get(out);
    if (out->id != 0)
        return node_get_in_job(tree, out);
    return out->kind == NODE_ROOT || is_root_entry(tree, out->kind) ? 0 : -ESTALE;
}

static void stat_fill(const struct tree *tree, struct stat *st, mode_t mode, int64_t size,
                      int64_t time_ms)
{
    st->st_mode = mode;
    st->st_nlink = S_ISDIR(mode) ? 2 : 1;
    st->st_uid = tree->uid;
    st->st_gid = tree->gid;
    st->st_size = size;
    st->st_blksize = 4096;
    st->st_blocks = (size + 511) / 512;
    st->st_mtim.tv_sec = time_ms / 1000;
    st->st_mtim.tv_nsec = time_ms % 1000 * 1000000;
    st->st_atim = st->st_ctim = st->st_mtim;
}

void node_ghost_entry(const struct tree *tree, bool is_link, struct tree_entry *out)
{
    *out = (struct tree_entry){0};
    stat_fill(tree, &out->st, is_link ? S_IFLNK | 0777 : S_IFREG | 0444, 0, tree->born_ms);
    out->st.st_ino = node_ino(NODE_NONE, is_link ? 1 : 2);
}

static int file_entry(struct tree *tree, const struct node *node, struct tree_entry *out)
{
    int r = job_file_stat(node->file, &out->st);
    if (r < 0)
        return r;
    out->st.st_mode = S_IFREG | node_mode(node);
    out->st.st_uid = tree->uid;
    out->st.st_gid = tree->gid;
    out->st.st_nlink = node->file->is_unlinked ? 0 : 1;
    out->st.st_rdev = 0;
    out->entry_s = KEEP_LONG_S;
    /* The mode of the prompt changes by itself when it is accepted. */
    out->attr_s = job_file_is_prompt(node->file) ? 0 : KEEP_SHORT_S;
    return 0;
}

int node_render(struct tree *tree, const struct node *node, struct buf *out)
{
    const struct node_root_entry *file = node_root_file(node);
    if (node->kind == NODE_MODEL)
        return models_render(node, out);
    return file ? file->render(tree, out) : generated_render(tree, node->job, node->generated, out);
}

static int generated_entry(struct tree *tree, const struct node *node, struct tree_entry *out)
{
    buf_clear(&tree->scratch);
    int r = generated_render(tree, node->job, node->generated, &tree->scratch);
    if (r < 0)
        return r;
    stat_fill(tree, &out->st, S_IFREG | node_mode(node), (int64_t)tree->scratch.len,
              node->job->updated_ms);
    out->entry_s = node->generated->is_permanent ? KEEP_LONG_S : 0;
    return 0;
}

static int root_file_size(struct tree *tree, const struct node *node, int64_t *size)
{
    if (node->kind == NODE_SPEND)
        return spend_size_get(tree, size);
    struct buf text; /* not tree->scratch: a page of a thousand jobs is not worth its place */
    buf_init(&text, tree->scratch.limit);
    int r = node_render(tree, node, &text);
    *size = (int64_t)text.len;
    buf_fini(&text);
    return r;
}

static int root_file_entry(struct tree *tree, const struct node *node, bool is_size_asked,
                           struct tree_entry *out)
{
    const struct node_root_entry *file = node_root_file(node);
    int64_t *size = &tree->sizes[node->kind];
    /* Names of jobs stand in these files, too. */
    int64_t changed_ms =
        tree->changed_ms > tree->jobs_changed_ms ? tree->changed_ms : tree->jobs_changed_ms;
    bool is_defaults = defaults_has_kind(node->kind);
    int r = is_size_asked ? root_file_size(tree, node, size) : 0;
    stat_fill(tree, &out->st, S_IFREG | (node->kind == NODE_DEFAULTS ? 0644 : 0444), *size,
              is_defaults                  ? defaults_changed_ms(tree)
              : node->kind == NODE_METRICS ? tree->metrics_opened_ms
              : file->is_constant          ? tree->born_ms
                                           : changed_ms);
    out->entry_s = is_defaults ? 0 : KEEP_LONG_S;
    out->attr_s = file->is_constant ? KEEP_LONG_S : 0;
    return r;
}

int node_entry(struct tree *tree, const struct node *node, struct tree_entry *out)
{
    *out = (struct tree_entry){0};
    int r = 0;
    if (node->kind == NODE_FILE) {
        r = file_entry(tree, node, out);
    } else if (node->generated) {
        r = generated_entry(tree, node, out);
    } else if (node->kind == NODE_VIDEO || node->kind == NODE_COVER) {
        int64_t size = node->kind == NODE_VIDEO ? node->job->video_bytes : node->job->cover_bytes;
        if (size < 0)
            return -ESTALE;
        stat_fill(tree, &out->st, S_IFREG | 0444, size, node->job->updated_ms);
        out->entry_s = KEEP_SHORT_S;
        out->attr_s = KEEP_LONG_S;
    } else if (node->kind == NODE_JOB) {
        stat_fill(tree, &out->st, S_IFDIR | 0755, 0, node->job->updated_ms);
        out->entry_s = node->job->is_provisional ? 0 : KEEP_LONG_S;
        /* The time of an active job changes by itself. */
        bool is_active = job_state_class(node->job->state) == JOB_CLASS_ACTIVE;
        out->attr_s = node->job->is_provisional || is_active ? 0 : KEEP_SHORT_S;
    } else if (view_is_link(node)) {
        buf_clear(&tree->scratch);
        r = view_readlink(node, &tree->scratch);
        stat_fill(tree, &out->st, S_IFLNK | 0777, (int64_t)tree->scratch.len,
                  node->job->updated_ms);
    } else if (view_has_kind(node->kind)) {
        stat_fill(tree, &out->st, S_IFDIR | 0755, 0, view_changed_ms(tree, node));
        out->entry_s = KEEP_LONG_S;
    } else if (node->kind == NODE_MODEL) {
        buf_clear(&tree->scratch);
        r = node_render(tree, node, &tree->scratch);
        stat_fill(tree, &out->st, S_IFREG | 0444, (int64_t)tree->scratch.len, tree->born_ms);
        out->entry_s = out->attr_s = KEEP_LONG_S;
    } else if (node->kind == NODE_EVENTS) {
        int64_t size = 0;
        r = jobs_events_size(tree->settings.jobs, &size);
        stat_fill(tree, &out->st, S_IFREG | 0444, size, tree->changed_ms);
        out->entry_s = KEEP_LONG_S;
    } else if (node_root_file(node)) {
        r = root_file_entry(tree, node, true, out);
    } else {
        stat_fill(tree, &out->st, S_IFDIR | 0755, 0,
                  node->kind == NODE_JOBS ? tree->jobs_changed_ms : root_changed_ms(tree));
        out->entry_s = KEEP_LONG_S;
    }
    out->st.st_ino = node_ino(node->kind, node->id);
    return r;
}

int node_entry_quick(struct tree *tree, const struct node *node, struct tree_entry *out)
{
    if (node->kind != NODE_INDEX && node->kind != NODE_SPEND)
        return node_entry(tree, node, out);
    *out = (struct tree_entry){0};
    int r = root_file_entry(tree, node, false, out);
    out->st.st_ino = node_ino(node->kind, node->id);
    return r;
}

static int find_in_root(const struct tree *tree, const char *name, struct node *out)
{
    for (size_t i = 0; i < ARRAY_COUNT(node_root_entries); i++) {
        if (strcmp(node_root_entries[i].name, name) == 0 &&
            defaults_is_there(tree, node_root_entries[i].kind)) {
            *out = (struct node){.kind = node_root_entries[i].kind};
            return 0;
        }
    }
    return -ENOENT;
}

static int find_in_job(struct job *job, const char *name, struct node *out)
{
    struct job_detail *detail;
    *out = (struct node){.job = job, .id = job->id};
    if (job->is_provisional)
        return -ENOENT; /* there is nothing in it but what is about to be created */
    for (size_t i = 0; i < generated_count(); i++) {
        if (strcmp(generated_at(i)->name, name) == 0) {
            out->kind = (enum node_kind)(NODE_GENERATED + i);
            out->generated = generated_at(i);
            return generated_is_there(job, i) ? 0 : -ENOENT;
        }
    }
    if (strcmp(name, video_name) == 0 || strcmp(name, cover_name) == 0) {
        out->kind = strcmp(name, video_name) == 0 ? NODE_VIDEO : NODE_COVER;
        out->id = job->attempt_id;
        return media_is_there(job, out->kind) ? 0 : -ENOENT;
    }
    int r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    out->kind = NODE_FILE;
    out->file = job_file_find(detail, name);
    if (!out->file || job_file_is_hidden(out->file))
        return -ENOENT;
    out->id = out->file->id;
    return 0;
}

int node_find(struct tree *tree, const struct node *parent, const char *name, struct node *out)
{
    if (parent->kind == NODE_ROOT)
        return find_in_root(tree, name, out);
    if (parent->kind == NODE_JOB)
        return find_in_job(parent->job, name, out);
    if (node_is_directory(parent) && view_has_kind(parent->kind))
        return view_find(tree, parent, name, out);
    if (parent->kind == NODE_MODELS)
        return models_find(name, out);
    if (parent->kind != NODE_JOBS)
        return -ENOTDIR;
    struct job *job = jobs_find(tree->settings.jobs, name);
    if (!job)
        return strlen(name) > TEXT_NAME_MAX ? -ENAMETOOLONG : -ENOENT;
    *out = (struct node){.kind = NODE_JOB, .id = job->id, .job = job};
    return 0;
}

mode_t node_mode(const struct node *node)
{
    if (node->kind == NODE_FILE)
        return job_file_mode_get(node->file);
    if (node->generated && node->generated->has_words)
        return 0400 | (node->generated->mode & job_readers_get(node->job));
    if (node->generated)
        return node->generated->mode;
    if (node->kind == NODE_DEFAULTS)
        return 0644;
    return node_is_directory(node) ? 0755 : view_is_link(node) ? 0777 : 0444;
}

int node_mode_bits(const struct tree *tree, mode_t mode, const struct tree_caller *caller)
{
    return (int)(caller->uid == tree->uid   ? mode >> 6
                 : caller->gid == tree->gid ? mode >> 3
                                            : mode) &
           7;
}

int node_access(struct tree *tree, const struct node *node, int mask,
                const struct tree_caller *caller)
{
    mode_t mode = node_mode(node);
    /* Root too: an accepted request cannot be changed by anybody. */
    if (node->kind == NODE_FILE && (mask & W_OK) && job_file_is_frozen(node->file))
        return -ERR_PROMPT_FROZEN;
    if (caller->uid == 0) {
        bool is_executable = node_is_directory(node) || (mode & 0111);
        /* What is never writable is not for root either: there is nothing to write to. */
        bool is_writable = node->kind == NODE_FILE || node_is_directory(node) || (mode & 0222);
        return ((mask & X_OK) && !is_executable) || ((mask & W_OK) && !is_writable) ? -EACCES : 0;
    }
    return (mask & ~node_mode_bits(tree, mode, caller) & 7) ? -EACCES : 0;
}
