/*
 * What: a walk through the whole tree of jobs: every name is looked up, every file is read to its
 * end. What says that it is JSON is JSON; what fails, fails with an errno.
 */
#ifndef TESTS_FUZZ_WALK_H
#define TESTS_FUZZ_WALK_H

#include "../unit/job/job_harness.h"
#include "fuzz.h"

#include "../unit/tree/fake_media.h"
#include "seedancefs/base/json.h"
#include "tree/tree_private.h"

enum { WALK_DEPTH_MAX = 4, WALK_ENTRIES_MAX = 256, WALK_FILE_MAX = 1 << 22 };

struct walk_names {
    char names[WALK_ENTRIES_MAX][TEXT_NAME_MAX + 16];
    size_t count;
};

struct walk_bytes {
    struct buf text;
    int result;
};

static inline void walk_read_done(void *context, int result, const struct tree_bytes *bytes)
{
    struct walk_bytes *read = context;
    read->result = result;
    if (bytes && bytes->fd < 0)
        (void)buf_add(&read->text, bytes->memory, bytes->len);
    else if (result > 0)
        read->result = 0; /* the bytes of a file on the disk, which is not there */
}

static inline void walk_require_json(const char *name, const struct buf *text)
{
    size_t len = strlen(name);
    bool is_ours = strcmp(name, "status.json") == 0 || strcmp(name, "spend.json") == 0;
    struct json_document *document = NULL;
    if (!is_ours || len < 5)
        return;
    int r = json_parse(buf_text(text), text->len, NULL, &document, NULL);
    FUZZ_REQUIRE(r == 0, "%s is no JSON (%d): %s", name, r, buf_text(text));
    json_document_free(document);
}

static inline void walk_file(struct tree *tree, uint64_t ino, const char *name)
{
    static const struct tree_caller root = {.uid = 0, .gid = 0};
    struct tree_open_result opened;
    struct tree_read_state *parked = NULL;
    struct walk_bytes read = {.result = 1};
    int r = tree_open(tree, ino, O_RDONLY, &root, &opened);
    if (r < 0) {
        FUZZ_REQUIRE(err_errno(r) > 0 && err_errno(r) < 4096, "%s: %d", name, r);
        return;
    }
    buf_init(&read.text, WALK_FILE_MAX);
    while (read.result > 0 && !parked && read.text.error == 0)
        tree_read(opened.handle, 1 << 16, (int64_t)read.text.len, walk_read_done, &read, &parked);
    if (parked)
        tree_read_cancel(parked);
    else if (read.result == 0)
        walk_require_json(name, &read.text);
    buf_fini(&read.text);
    tree_release(opened.handle);
}

static inline bool walk_name(void *context, const char *name, const struct tree_entry *entry UNUSED,
                             int64_t next UNUSED)
{
    struct walk_names *names = context;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return true;
    FUZZ_REQUIRE(text_name_check(name) == 0, "a name that no job can have: %s", name);
    if (names->count < WALK_ENTRIES_MAX)
        (void)snprintf(names->names[names->count++], sizeof(names->names[0]), "%s", name);
    return true;
}

static inline void walk_directory(struct tree *tree, uint64_t ino, unsigned depth)
{
    struct walk_names *names = calloc(1, sizeof(*names));
    FUZZ_REQUIRE(names && depth < WALK_DEPTH_MAX, "too deep");
    int r = tree_list(tree, ino, 0, walk_name, names);
    FUZZ_REQUIRE(r == 0 || depth > 0, "the root cannot be listed: %d", r);
    for (size_t i = 0; i < names->count; i++) {
        struct tree_entry entry;
        r = tree_lookup(tree, ino, names->names[i], &entry);
        if (r == 0 && S_ISDIR(entry.st.st_mode))
            walk_directory(tree, entry.st.st_ino, depth + 1);
        else if (r == 0 && S_ISREG(entry.st.st_mode))
            walk_file(tree, entry.st.st_ino, names->names[i]);
        FUZZ_REQUIRE(r == 0 || err_errno(r) > 0, "%s: %d", names->names[i], r);
    }
    free(names);
}

static inline void walk_tree(struct world *w, struct media *media)
{
    struct tree *tree = NULL;
    struct tree_settings settings = {.frames_fd = -1,
                                     .jobs = w->jobs,
                                     .store = w->store,
                                     .media = media,
                                     .timers = &w->timers,
                                     .clock = &w->clock.clock,
                                     .directory_fd = w->directory_fd};
    FUZZ_REQUIRE(tree_new(&settings, &tree) == 0, "no memory");
    walk_directory(tree, TREE_ROOT_INO, 0);
    (void)tree_free(tree);
    FUZZ_REQUIRE(media->opened == media->closed, "a medium is left open");
}

#endif
