/*
 * What: the tree layer on real jobs, with the fake service and the fake media.
 */
#ifndef TESTS_UNIT_TREE_FOREST_H
#define TESTS_UNIT_TREE_FOREST_H

#include "../job/job_harness.h"
#include "fake_media.h"

#include "seedancefs/base/json.h"
#include "tree/tree_private.h"

enum { OWNER = 1000, OTHER = 2000 };

static const struct tree_caller owner = {.uid = OWNER, .gid = OWNER};

struct forest {
    struct world w;
    struct media media;
    struct tree *tree;
};

static inline void forest_open(struct forest *f)
{
    struct tree_settings settings = {.frames_fd = -1,
                                     .jobs = f->w.jobs,
                                     .store = f->w.store,
                                     .media = &f->media,
                                     .timers = &f->w.timers,
                                     .clock = &f->w.clock.clock,
                                     .data_directory = f->w.directory,
                                     .directory_fd = f->w.directory_fd};
    assert_int_equal(tree_new(&settings, &f->tree), 0);
    f->tree->uid = OWNER; /* the user who runs the test */
    f->tree->gid = OWNER;
    f->w.jobs->settings.hooks = (struct job_hooks){.context = NULL};
    tree_job_hooks_fill(&f->tree, &f->w.jobs->settings.hooks);
}

static inline void forest_init(struct forest *f)
{
    *f = (struct forest){.tree = NULL};
    world_init(&f->w);
    /* URLs are compared with the machine's clock. */
    f->w.clock.wall_ms = clock_wall_ms(clock_system());
    forest_open(f);
}

static inline void forest_fini(struct forest *f)
{
    assert_int_equal(f->media.opened, f->media.closed);
    f->tree = tree_free(f->tree);
    world_fini(&f->w);
}

static inline uint64_t ino_of(struct forest *f, uint64_t parent, const char *name)
{
    struct tree_entry entry;
    assert_int_equal(tree_lookup(f->tree, parent, name, &entry), 0);
    return entry.st.st_ino;
}

static inline uint64_t jobs_ino(struct forest *f)
{
    return ino_of(f, TREE_ROOT_INO, "jobs");
}

static inline uint64_t job_ino(struct forest *f, const char *name)
{
    return ino_of(f, jobs_ino(f), name);
}

struct response {
    struct buf bytes;
    int result;
    int calls;
};

static inline void read_response(void *context, int result, const struct tree_bytes *bytes)
{
    struct response *response = context;
    response->result = result;
    response->calls++;
    assert_int_equal(bytes != NULL, result > 0);
    if (!bytes)
        return;
    assert_int_equal(bytes->len, result);
    if (bytes->fd < 0) {
        assert_int_equal(buf_add(&response->bytes, bytes->memory, bytes->len), 0);
        return;
    }
    assert_int_equal(buf_reserve(&response->bytes, bytes->len), 0);
    char *end = response->bytes.data + response->bytes.len;
    assert_int_equal(file_read_full(bytes->fd, end, bytes->len, bytes->offset), bytes->len);
    response->bytes.len += bytes->len;
    end[bytes->len] = '\0';
}

/* Reads to the end in pieces; the caller calls buf_fini(). */
static inline void handle_read(struct tree_handle *handle, struct buf *out)
{
    struct response response = {.calls = 0};
    struct tree_read_state *parked;
    buf_init(&response.bytes, 1 << 20);
    do {
        tree_read(handle, 7, (int64_t)response.bytes.len, read_response, &response, &parked);
        assert_null(parked);
        assert_true(response.result >= 0);
    } while (response.result > 0);
    *out = response.bytes;
}

static inline void node_read(struct forest *f, uint64_t ino, struct buf *out)
{
    struct tree_open_result opened;
    assert_int_equal(tree_open(f->tree, ino, O_RDONLY, &owner, &opened), 0);
    handle_read(opened.handle, out);
    tree_release(opened.handle);
}

static inline void assert_content(struct forest *f, uint64_t parent, const char *name,
                                  const char *expected)
{
    struct buf text;
    node_read(f, ino_of(f, parent, name), &text);
    assert_string_equal(buf_text(&text), expected);
    buf_fini(&text);
}

struct listed {
    char name[TEXT_NAME_MAX + 1];
    uint64_t ino;
    mode_t mode;
    int64_t size;
    int64_t next;
};

struct listing {
    struct listed rows[64];
    size_t count;
    size_t most;
};

static inline bool list_add(void *context, const char *name, const struct tree_entry *entry,
                            int64_t next)
{
    struct listing *list = context;
    if (list->count == list->most)
        return false;
    struct listed *row = &list->rows[list->count++];
    (void)snprintf(row->name, sizeof(row->name), "%s", name);
    row->ino = entry->st.st_ino;
    row->mode = entry->st.st_mode;
    row->size = entry->st.st_size;
    row->next = next;
    return true;
}

static inline void list(struct forest *f, uint64_t ino, int64_t offset, size_t most,
                        struct listing *out)
{
    *out = (struct listing){.most = most < 64 ? most : 64};
    assert_int_equal(tree_list(f->tree, ino, offset, list_add, out), 0);
}

static inline struct job *succeeded(struct forest *f, const char *name)
{
    char id[32];
    (void)snprintf(id, sizeof(id), "cgt-%s", name);
    struct job *job = job_queued(&f->w, name, id);
    char body[512];
    (void)snprintf(body, sizeof(body),
                   "{\"id\":\"%s\",\"status\":\"succeeded\",\"data\":[{\"video_url\":"
                   "\"https:\\/\\/media.example/v.mp4?sig=s3cret&a=\\\"b\",\"cover_image_url\":"
                   "\"https://media.example/c.jpg?sig=s3cret\"}],\"usage\":{\"video_duration\":5}}",
                   id);
    poll_response(call_wait(&f->w, job), body);
    struct job_media_size video = {10, "e"};
    struct job_media_size cover = {4, NULL};
    jobs_video_set(take_of(job), &video);
    jobs_cover_set(take_of(job), &cover);
    assert_state(job, JOB_SUCCEEDED);
    return job;
}

#endif
