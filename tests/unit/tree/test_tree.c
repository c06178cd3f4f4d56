/* The filesystem without FUSE: what each name is, who may do what with it, and what reading it
 * gives. */
#include "forest.h"

static void test_tree__each_name_is_what_it_is(void **state UNUSED)
{
    char long_name[TEXT_NAME_MAX + 2];
    memset(long_name, 'x', sizeof(long_name));
    long_name[sizeof(long_name) - 1] = '\0';
    struct forest f;
    forest_init(&f);
    job_make_named(&f.w, "draft");
    struct job *done = succeeded(&f, "done");
    assert_int_equal(user_write(done, "note", "text"), 0);
    const struct {
        const char *directory; /* "": the root, "jobs", or a job */
        const char *name;
        mode_t expected; /* 0: not there */
    } rows[] = {
        {"", "README.txt", S_IFREG | 0444},
        {"", "jobs", S_IFDIR | 0755},
        {"", "nothing", 0},
        {"", "Jobs", 0},
        {"jobs", "draft", S_IFDIR | 0755},
        {"jobs", "nothing", 0},
        {"", ".", S_IFDIR | 0755},
        {"draft", "..", S_IFDIR | 0755},
        {"draft", "status", S_IFREG | 0444},
        {"draft", "status.json", S_IFREG | 0444},
        {"draft", "cost", S_IFREG | 0444},
        {"draft", "log", S_IFREG | 0444},
        {"draft", "request.json", 0},
        {"draft", "response.json", 0},
        {"draft", "error", 0},
        {"draft", "output.url", 0},
        {"draft", "output.mp4", 0},
        {"draft", "cover.jpg", 0},
        {"draft", "prompt.json", 0},
        {"done", "prompt.json", S_IFREG | 0444},
        {"done", "request.json", S_IFREG | 0444},
        {"done", "response.json", S_IFREG | 0444},
        {"done", "error", 0},
        {"done", "output.url", S_IFREG | 0400},
        {"done", "output.mp4", S_IFREG | 0444},
        {"done", "cover.jpg", S_IFREG | 0444},
        {"done", "note", S_IFREG | 0644},
        {"done", "Note", 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct tree_entry entry;
        uint64_t parent = *rows[i].directory == '\0'               ? TREE_ROOT_INO
                          : strcmp(rows[i].directory, "jobs") == 0 ? jobs_ino(&f)
                                                                   : job_ino(&f, rows[i].directory);
        int r = tree_lookup(f.tree, parent, rows[i].name, &entry);
        assert_int_equal(r, rows[i].expected ? 0 : -ENOENT);
        if (r < 0)
            continue;
        assert_int_equal(entry.st.st_mode, rows[i].expected);
        assert_int_equal(entry.st.st_uid, OWNER);
        assert_int_equal(entry.st.st_gid, OWNER);
    }
    struct tree_entry entry;
    assert_int_equal(tree_lookup(f.tree, jobs_ino(&f), long_name, &entry), -ENAMETOOLONG);
    assert_int_equal(tree_lookup(f.tree, ino_of(&f, TREE_ROOT_INO, "README.txt"), "x", &entry),
                     -ENOTDIR);
    assert_int_equal(tree_lookup(f.tree, node_ino(NODE_JOB, 999), "x", &entry), -ESTALE);
    forest_fini(&f);
}

/* Each regular file in the directory: what stat says is what reading gives. */
static size_t sizes_verify(struct forest *f, const char *name)
{
    struct listing all;
    size_t files = 0;
    list(f, job_ino(f, name), 0, 64, &all);
    for (size_t i = 0; i < all.count; i++) {
        struct tree_entry entry;
        struct buf bytes;
        assert_int_equal(tree_getattr(f->tree, all.rows[i].ino, &entry), 0);
        assert_int_equal(entry.st.st_ino, all.rows[i].ino);
        assert_int_equal(entry.st.st_mode, all.rows[i].mode);
        if (S_ISDIR(entry.st.st_mode))
            continue;
        node_read(f, all.rows[i].ino, &bytes);
        assert_int_equal(bytes.len, entry.st.st_size);
        assert_int_equal(bytes.len, all.rows[i].size);
        assert_null(strstr(buf_text(&bytes), "(null)"));
        if (strcmp(all.rows[i].name, "output.url") != 0)
            assert_null(strstr(buf_text(&bytes), "s3cret"));
        if (strcmp(all.rows[i].name, "status.json") == 0) {
            struct json_document *document = NULL;
            assert_int_equal(json_parse(buf_text(&bytes), bytes.len, NULL, &document, NULL), 0);
            assert_string_equal(
                json_text_get(json_member_get(json_document_root(document), "name")), name);
            json_document_free(document);
        }
        buf_fini(&bytes);
        files++;
    }
    return files;
}

static void test_tree__sizes_are_right_in_every_state(void **state UNUSED)
{
    struct forest f;
    forest_init(&f);
    struct job *job = job_make_named(&f.w, "cat");
    uint64_t directory = job_ino(&f, "cat");
    assert_int_equal(sizes_verify(&f, "cat"), 6);
    assert_content(&f, directory, "status", "draft\n");
    assert_content(&f, directory, "cost", "0.00 USD (nothing has been submitted)\n");
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, "{"), 0);
    assert_int_equal(sizes_verify(&f, "cat"), 8); /* and the prompt, and error */
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    assert_int_equal(sizes_verify(&f, "cat"), 8); /* request.json for error */
    assert_content(&f, directory, "cost",
                   "1.00 USD (estimated; not yet sent; 5.000 s of doubao-seedance-2.0 at 720p)\n");
    assert_int_equal(call_send(call_wait(&f.w, job)), 0);
    assert_content(&f, directory, "status", "submitting\n");
    (void)sizes_verify(&f, "cat");
    create_end(call_of(&f.w, job), API_REJECTED, 400, -1, "no\nway");
    assert_content(&f, directory, "status", "rejected\n");
    (void)sizes_verify(&f, "cat");
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    create_accept(call_wait(&f.w, job), "cgt-1");
    (void)sizes_verify(&f, "cat");
    poll_status(call_wait(&f.w, job), "running");
    (void)sizes_verify(&f, "cat");
    poll_status(call_wait(&f.w, job), "failed");
    assert_content(&f, directory, "status", "failed\n");
    (void)sizes_verify(&f, "cat");
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    assert_int_equal(call_send(call_wait(&f.w, job)), 0);
    create_end(call_of(&f.w, job), API_AMBIGUOUS, 500, -1, "");
    assert_content(&f, directory, "status", "unknown\n");
    (void)sizes_verify(&f, "cat");
    job = succeeded(&f, "dog");
    assert_int_equal(sizes_verify(&f, "dog"), 12);
    assert_content(&f, job_ino(&f, "dog"), "cost",
                   "1.00 USD (by the video's length; 5.000 s of doubao-seedance-2.0 at 720p)\n");
    assert_content(&f, job_ino(&f, "dog"), "output.mp4", "0123456789");
    assert_content(&f, job_ino(&f, "dog"), "output.url",
                   "https://media.example/v.mp4?sig=s3cret&a=\"b\n");
    forest_fini(&f);
}

static void test_tree__an_response_is_shown_without_secrets_of_urls_and_commands_to_a_terminal(
    void **state UNUSED)
{
    static const char *const rows[][2] = {
        {"{\"id\":\"a\"}", "{\"id\":\"a\"}\n"},
        {"{\"u\":\"https://h/p?q=1\"}\n", "{\"u\":\"https://h/p…\"}\n"},
        {"{\"u\":\"https:\\/\\/h\\/p?q=\\/1\",\"v\":2}",
         "{\"u\":\"https:\\/\\/h\\/p…\",\"v\":2}\n"},
        {"{\"u\":\"http://h?a=\\\"b\\\\\",\"v\":\"?\"}", "{\"u\":\"http://h…\",\"v\":\"?\"}\n"},
        {"{\"u\":\"https://h/p\\u003Fq=1&\\u0026s\"}", "{\"u\":\"https://h/p…\"}\n"},
        {"{\"u\":\"\\u0068ttps\\u003a\\u002f/h?q\"}", "{\"u\":\"\\u0068ttps\\u003a\\u002f/h…\"}\n"},
        {"{\"m\":\"see https://h/p?q=1 and what?\"}", "{\"m\":\"see https://h/p… and what?\"}\n"},
        {"{\"m\":\"what? a:/b?c //d?e\"}", "{\"m\":\"what? a:/b?c //d?e\"}\n"},
        {"{\"https://h?k\":\"why?\"}", "{\"https://h…\":\"why?\"}\n"},
        {"<a href=\"HTTPS://h/p?q=1\">x?y</a>", "<a href=\"HTTPS://h/p…\">x?y</a>\n"},
        {"{\"u\":\"https://h?q\\", "{\"u\":\"https://h…\n"},
        {"<h1>\x1b]0;title\x07 \xc2\x9b"
         "2J \x9b"
         "2J \x7f</h1>\r\n",
         "<h1>\\u001b]0;title\\u0007 \\u009b2J \\x9b2J \\u007f</h1>\n"},
        {"{\"u\":\"https://h\\u00", "{\"u\":\"https://h\\u00\n"},
        {"", ""},
    };
    struct forest f;
    forest_init(&f);
    struct job *job = job_queued(&f.w, "cat", "cgt-1");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(
            store_attempt_response_set(f.w.store, job->attempt_id, rows[i][0], strlen(rows[i][0])),
            0);
        assert_content(&f, job_ino(&f, "cat"), "response.json", rows[i][1]);
    }
    forest_fini(&f);
}

static void test_tree__inode_numbers_are_arithmetic_and_stay(void **state UNUSED)
{
    struct forest f;
    struct listing before;
    struct listing after;
    forest_init(&f);
    succeeded(&f, "cat");
    uint64_t directory = job_ino(&f, "cat");
    assert_int_equal(directory, node_ino(NODE_JOB, jobs_find(f.w.jobs, "cat")->id));
    list(&f, directory, 0, 64, &before);
    f.tree = tree_free(f.tree);
    world_restart(&f.w);
    forest_open(&f);
    list(&f, directory, 0, 64, &after);
    assert_int_equal(before.count, after.count);
    for (size_t i = 0; i < before.count; i++) {
        struct node node;
        assert_int_equal(before.rows[i].ino, after.rows[i].ino);
        assert_string_equal(before.rows[i].name, after.rows[i].name);
        assert_int_equal(node_get(f.tree, before.rows[i].ino, &node), 0);
        assert_int_equal(node_ino(node.kind, node.id), before.rows[i].ino);
        for (size_t k = i + 1; k < before.count; k++)
            assert_int_not_equal(before.rows[i].ino, before.rows[k].ino);
    }
    const uint64_t wrong[] = {
        0,
        node_ino(NODE_VIDEO_FACTS, 77777),
        16,
        17,
        255,
        NODE_FILE,
        node_ino(NODE_ROOT, 1),
        node_ino(NODE_JOB, 77777),
        node_ino(NODE_FILE, 77777),
        node_ino(NODE_VIDEO, 77777),
        node_ino((enum node_kind)100, 1),
        node_ino((enum node_kind)(NODE_GENERATED + GENERATED_COUNT),
                 jobs_find(f.w.jobs, "cat")->id),
        UINT64_MAX,
        (uint64_t)1 << 63,
    };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct tree_entry entry;
        assert_int_equal(tree_getattr(f.tree, wrong[i], &entry), -ESTALE);
    }
    forest_fini(&f);
}

enum act {
    READ,
    WRITE,
    BOTH,
    MAKE,
    CREATE,
    UNLINK,
    RMDIR,
    TRUNCATE,
    CHMOD,
    CHOWN,
    GIVE,
    UTIMES,
    ACCESS_X
};

static int act_on(struct forest *f, enum act act, uint64_t parent, const char *name,
                  const struct tree_caller *caller)
{
    struct tree_entry entry;
    struct tree_open_result opened;
    struct tree_change change = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    uint64_t ino = parent == 0 ? TREE_ROOT_INO : ino_of(f, parent, name);
    static const int flags[] = {[READ] = O_RDONLY, [WRITE] = O_WRONLY, [BOTH] = O_RDWR};
    int r;
    switch (act) {
    case READ:
    case WRITE:
    case BOTH:
        r = tree_open(f->tree, ino, flags[act], caller, &opened);
        if (r == 0)
            tree_release(opened.handle);
        return r;
    case MAKE:
        r = tree_mkdir(f->tree, ino, "made", caller, &entry);
        if (r == 0)
            assert_int_equal(tree_rmdir(f->tree, ino, "made", caller), 0);
        return r;
    case CREATE:
        r = tree_create(f->tree, ino, "made", 0600, O_WRONLY, caller, &entry, &opened);
        if (r == 0) {
            tree_release(opened.handle);
            assert_int_equal(tree_unlink(f->tree, ino, "made", caller), 0);
        }
        return r;
    case UNLINK:
        return tree_unlink(f->tree, parent, name, caller);
    case RMDIR:
        return tree_rmdir(f->tree, parent, name, caller);
    case ACCESS_X:
        return tree_access(f->tree, ino, X_OK, caller);
    case TRUNCATE:
        change.has_size = true;
        break;
    case CHMOD:
        change.has_mode = true;
        change.mode = 0600;
        break;
    case CHOWN:
        change.has_owner = true;
        change.uid = OWNER;
        break;
    case GIVE:
        change.has_owner = true;
        change.uid = OTHER;
        break;
    case UTIMES:
        change.has_times = true;
        change.times[0].tv_nsec = change.times[1].tv_nsec = UTIME_NOW;
        break;
    }
    return tree_setattr(f->tree, ino, &change, caller, &entry);
}

static void test_tree__who_may_do_what(void **state UNUSED)
{
    static const struct {
        enum act act;
        const char *directory; /* NULL: the root itself; "": in the root; "jobs"; or a job */
        const char *name;
        int root, owner, other;
    } rows[] = {
        {MAKE, NULL, NULL, -EPERM, -EPERM, -EACCES},
        {CREATE, NULL, NULL, -EPERM, -EPERM, -EACCES},
        {READ, NULL, NULL, -EISDIR, -EISDIR, -EISDIR},
        {ACCESS_X, NULL, NULL, 0, 0, 0},
        {READ, "", "README.txt", 0, 0, 0},
        {WRITE, "", "README.txt", -EACCES, -EACCES, -EACCES},
        {UNLINK, "", "README.txt", -EPERM, -EPERM, -EACCES},
        {RMDIR, "", "README.txt", -ENOTDIR, -ENOTDIR, -EACCES},
        {TRUNCATE, "", "README.txt", -EACCES, -EACCES, -EPERM},
        {CREATE, "", "README.txt", -ENOTDIR, -ENOTDIR, -ENOTDIR},
        {MAKE, "", "jobs", 0, 0, -EACCES},
        {CREATE, "", "jobs", -EPERM, -EPERM, -EACCES},
        {UNLINK, "", "jobs", -EISDIR, -EISDIR, -EACCES},
        {RMDIR, "", "jobs", -EPERM, -EPERM, -EACCES},
        {TRUNCATE, "", "jobs", -EISDIR, -EISDIR, -EPERM},
        {MAKE, "jobs", "cat", -EPERM, -EPERM, -EACCES},
        {CREATE, "jobs", "cat", 0, 0, -EACCES},
        {UNLINK, "jobs", "cat", -EISDIR, -EISDIR, -EACCES},
        {RMDIR, "jobs", "cat", -ENOTEMPTY, -ENOTEMPTY, -EACCES},
        {CHMOD, "jobs", "cat", 0, 0, -EPERM},
        {READ, "cat", "status", 0, 0, 0},
        {WRITE, "cat", "status", -EACCES, -EACCES, -EACCES},
        {BOTH, "cat", "status", -EACCES, -EACCES, -EACCES},
        {TRUNCATE, "cat", "status", -EACCES, -EACCES, -EPERM},
        {CHMOD, "cat", "status", 0, 0, -EPERM},
        {UTIMES, "cat", "status", 0, 0, -EPERM},
        {CHOWN, "cat", "status", 0, 0, -EPERM},
        {GIVE, "cat", "status", -EPERM, -EPERM, -EPERM},
        {RMDIR, "cat", "status", -ENOTDIR, -ENOTDIR, -EACCES},
        {ACCESS_X, "cat", "status", -EACCES, -EACCES, -EACCES},
        {READ, "done", "output.url", 0, 0, -EACCES},
        {READ, "done", "output.mp4", 0, 0, 0},
        {WRITE, "done", "output.mp4", -EACCES, -EACCES, -EACCES},
        {TRUNCATE, "done", "output.mp4", -EACCES, -EACCES, -EPERM},
        {READ, "done", "prompt.json", 0, 0, 0},
        {WRITE, "done", "prompt.json", -ERR_PROMPT_FROZEN, -ERR_PROMPT_FROZEN, -ERR_PROMPT_FROZEN},
        {TRUNCATE, "done", "prompt.json", -ERR_PROMPT_FROZEN, -ERR_PROMPT_FROZEN, -EPERM},
        {CHMOD, "done", "prompt.json", 0, 0, -EPERM},
        {UTIMES, "done", "prompt.json", 0, 0, -EPERM},
        {WRITE, "cat", "note", 0, 0, -EACCES},
        {READ, "cat", "note", 0, 0, 0},
        {READ, "cat", "secret", 0, 0, -EACCES},
        {WRITE, "cat", "secret", 0, 0, -EACCES},
        {ACCESS_X, "cat", "note", -EACCES, -EACCES, -EACCES},
        {GIVE, "cat", "note", -EPERM, -EPERM, -EPERM},
        {CHOWN, "cat", "note", 0, 0, -EPERM},
        {TRUNCATE, "cat", "secret", 0, 0, -EPERM},
        {UNLINK, "done", "output.mp4", 0, 0, -EACCES},
        {UNLINK, "done", "status", 0, 0, -EACCES},
        {UNLINK, "cat", "note", 0, 0, -EACCES},
        {UNLINK, "done", "prompt.json", 0, 0, -EACCES},
    };
    static const struct tree_caller callers[] = {
        {.uid = 0}, {.uid = OWNER, .gid = OWNER}, {.uid = OTHER, .gid = OTHER}};
    for (size_t k = 0; k < ARRAY_COUNT(callers); k++) {
        struct forest f;
        forest_init(&f);
        succeeded(&f, "done");
        struct job *job = job_make_named(&f.w, "cat");
        assert_int_equal(user_write(job, "note", "x"), 0);
        assert_int_equal(user_write(job, "secret", "x"), 0);
        assert_int_equal(job_file_mode_set(job_file_find(detail_of(job), "secret"), 0600), 0);
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
            const char *in = rows[i].directory;
            uint64_t parent = !in                       ? 0
                              : *in == '\0'             ? TREE_ROOT_INO
                              : strcmp(in, "jobs") == 0 ? jobs_ino(&f)
                                                        : job_ino(&f, in);
            int expected = k == 0 ? rows[i].root : k == 1 ? rows[i].owner : rows[i].other;
            int r = act_on(&f, rows[i].act, parent, rows[i].name, &callers[k]);
            if (r != expected)
                fail_msg("caller %d, act %d on %s/%s: %s, not %s", (int)k, (int)rows[i].act,
                         in ? in : "", rows[i].name ? rows[i].name : "", err_name(r),
                         err_name(expected));
        }
        forest_fini(&f);
    }
}

static bool can_read(struct forest *f, uint64_t ino, const struct tree_caller *caller)
{
    struct tree_open_result opened;
    int r = tree_open(f->tree, ino, O_RDONLY, caller, &opened);
    if (r == 0)
        tree_release(opened.handle);
    else
        assert_int_equal(r, -EACCES);
    assert_int_equal(tree_access(f->tree, ino, R_OK, caller), r);
    return r == 0;
}

/* Mode and access of each file, and the attribute; `readers` are the bits of those who may read. */
static void assert_readers(struct forest *f, const char *name, mode_t readers)
{
    static const char *const of_prompt[] = {"status.json", "request.json", "response.json", "log"};
    static const char *const of_all[] = {"status", "cost", "progress", "output.mp4"};
    static const struct tree_caller callers[] = {
        {OTHER, OTHER, false}, {OTHER, OWNER, false}, {OWNER, OTHER, false}, {0, 0, false}};
    const bool may_read[] = {readers & 04, readers & 040, true, true};
    uint64_t job = job_ino(f, name);
    f->tree->gid = OWNER;
    for (size_t k = 0; k < ARRAY_COUNT(callers); k++) {
        struct tree_entry entry;
        for (size_t i = 0; i < ARRAY_COUNT(of_prompt); i++) {
            assert_int_equal(tree_lookup(f->tree, job, of_prompt[i], &entry), 0);
            assert_int_equal(entry.st.st_mode & 0777, 0400 | readers);
            assert_int_equal(can_read(f, entry.st.st_ino, &callers[k]), may_read[k]);
        }
        for (size_t i = 0; i < ARRAY_COUNT(of_all); i++)
            assert_true(can_read(f, ino_of(f, job, of_all[i]), &callers[k]));
        struct buf value;
        buf_init(&value, 4096);
        int r = tree_xattr_get(f->tree, job, "user.seedance.prompt", &callers[k], &value);
        assert_int_equal(r, may_read[k] ? 0 : -ENODATA);
        buf_clear(&value);
        assert_int_equal(tree_xattr_list(f->tree, job, &callers[k], &value), 0);
        assert_int_equal(memmem(value.data, value.len, "prompt", 6) != NULL, may_read[k]);
        buf_fini(&value);
    }
}

static void test_tree__what_tells_of_a_prompt_is_for_those_who_may_read_it(void **state UNUSED)
{
    static const mode_t modes[] = {0644, 0600, 0640, 0604, 0444, 0666};
    struct forest f;
    forest_init(&f);
    succeeded(&f, "cat");
    struct job_file *prompt = job_file_find(detail_of(jobs_find(f.w.jobs, "cat")), "prompt.json");
    for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
        assert_int_equal(job_file_mode_set(prompt, modes[i]), 0);
        assert_int_equal(job_file_mode_get(prompt), modes[i] & 0444);
        assert_readers(&f, "cat", modes[i] & 044);
    }
    /* Removing an accepted prompt hides it only: its mode holds. */
    assert_int_equal(job_file_mode_set(prompt, 0640), 0);
    assert_int_equal(tree_unlink(f.tree, job_ino(&f, "cat"), "prompt.json", &owner), 0);
    assert_readers(&f, "cat", 040);
    forest_fini(&f);
}

static void test_tree__signed_urls_of_a_prompt_are_shown_without_signature(void **state UNUSED)
{
    static const char prompt[] =
        "{\"prompt\": \"Like https://u:p@a.b/1.mp4?Signature=s3cret here\", "
        "\"video_url\": \"https://a.b/2.mp4?X-Tos-Signature=s3cret\"}";
    struct forest f;
    struct buf text;
    struct tree_entry entry;
    forest_init(&f);
    struct job *job = job_make_named(&f.w, "cat");
    assert_int_equal(user_write(job, "prompt.json", prompt), 0);
    uint64_t cat = job_ino(&f, "cat");
    node_read(&f, ino_of(&f, cat, "request.json"), &text);
    assert_non_null(strstr(buf_text(&text), "Like https://…@a.b/1.mp4… here"));
    assert_non_null(strstr(buf_text(&text), "https://a.b/2.mp4…"));
    assert_null(strstr(buf_text(&text), "s3cret"));
    buf_fini(&text);
    buf_init(&text, 4096);
    assert_int_equal(tree_xattr_get(f.tree, cat, "user.seedance.prompt", &owner, &text), 0);
    assert_string_equal(buf_text(&text), "Like https://…@a.b/1.mp4… here");
    buf_fini(&text);
    /* What is sent is whole, and what the user wrote is as it was; for the owner alone. */
    buf_init(&text, 4096);
    assert_int_equal(jobs_blob_get(f.w.jobs, job->attempt_id, STORE_BODY, &text), 0);
    assert_non_null(strstr(buf_text(&text), "https://a.b/2.mp4?X-Tos-Signature=s3cret"));
    buf_fini(&text);
    assert_content(&f, cat, "prompt.json", prompt);
    assert_int_equal(tree_lookup(f.tree, cat, "prompt.json", &entry), 0);
    assert_int_equal(entry.st.st_mode & 0777, 0400);
    const struct tree_caller other = {.uid = OTHER, .gid = OTHER};
    assert_false(can_read(&f, entry.st.st_ino, &other));
    assert_true(can_read(&f, ino_of(&f, cat, "request.json"), &other));
    forest_fini(&f);
}

static void test_tree__messages_of_the_service_show_no_secrets_and_no_commands(void **state UNUSED)
{
    static const char *const names[] = {"error", "log", "status.json", "ctl"};
    static const char message[] = "no \x1b[2J https://a.b/c?sig=s3cret \xc2\x9b"
                                  "1m";
    struct forest f;
    forest_init(&f);
    struct job *job = job_queued(&f.w, "cat", "cgt-1");
    struct job_detail *detail = detail_of(job);
    assert_int_equal(job_text_set(&detail->attempt.error_message, message), 0);
    job_reason_set(detail, -ERR_STALE, "%s", message);
    job_problem_set(detail, -ERR_STALE, "%s", message);
    job_persist(job, message);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct buf text;
        node_read(&f, ino_of(&f, job_ino(&f, "cat"), names[i]), &text);
        assert_null(strstr(buf_text(&text), "s3cret"));
        assert_null(strpbrk(buf_text(&text), "\x1b"));
        assert_null(strstr(buf_text(&text), "\xc2\x9b"));
        if (strcmp(names[i], "ctl") != 0)
            assert_non_null(strstr(buf_text(&text), "no \\u001b[2J https://a.b/c… \\u009b1m"));
        buf_fini(&text);
    }
    forest_fini(&f);
}

static void test_tree__reserved_names_are_not_for_users(void **state UNUSED)
{
    static const char *const names[] = {
        "status",     "status.json", "request.json", "response.json", "cost", "error",    "log",
        "output.url", "output.mp4",  "cover.jpg",    "wait",          "ctl",  "progress",
    };
    struct forest f;
    forest_init(&f);
    struct job *job = job_make_named(&f.w, "cat");
    assert_int_equal(user_write(job, "note", "x"), 0);
    uint64_t directory = job_ino(&f, "cat");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct tree_entry entry;
        struct tree_open_result opened;
        bool is_there = tree_lookup(f.tree, directory, names[i], &entry) == 0;
        int r = tree_create(f.tree, directory, names[i], 0600, O_WRONLY, &owner, &entry, &opened);
        bool is_ctl = strcmp(names[i], "ctl") == 0; /* the one that may be opened for writing */
        if (is_ctl) {
            assert_int_equal(r, 0);
            tree_release(opened.handle);
        } else {
            assert_int_equal(r, is_there ? -EACCES : -ERR_NAME_RESERVED);
        }
        r = tree_create(f.tree, directory, names[i], 0600, O_WRONLY | O_EXCL, &owner, &entry,
                        &opened);
        assert_int_equal(r, is_there ? -EEXIST : -ERR_NAME_RESERVED);
        r = tree_rename(f.tree, directory, "note", directory, names[i], 0, &owner);
        assert_int_equal(r, -ERR_NAME_RESERVED);
        assert_int_equal(err_errno(r), EPERM);
    }
    forest_fini(&f);
}

static void test_tree__renames_stay_in_their_kind(void **state UNUSED)
{
    struct forest f;
    forest_init(&f);
    struct job *job = job_make_named(&f.w, "cat");
    struct job *dog = job_make_named(&f.w, "dog");
    assert_int_equal(user_write(job, "note", "x"), 0);
    assert_int_equal(user_write(dog, "note", "y"), 0);
    const uint64_t cat = job_ino(&f, "cat");
    const uint64_t jobs = jobs_ino(&f);
    const struct {
        uint64_t from;
        const char *name;
        uint64_t to;
        const char *new_name;
        unsigned flags;
        int expected;
    } rows[] = {
        {cat, "nothing", cat, "x", 0, -ENOENT},
        {cat, "status", cat, "x", 0, -EPERM},
        {cat, "note", jobs, "x", 0, -EPERM},
        {cat, "note", TREE_ROOT_INO, "x", 0, -EPERM},
        {jobs, "cat", TREE_ROOT_INO, "cat", 0, -EPERM},
        {jobs, "cat", cat, "cat", 0, -EPERM},
        {TREE_ROOT_INO, "jobs", jobs, "jobs", 0, -EPERM},
        {TREE_ROOT_INO, "README.txt", cat, "x", 0, -EPERM},
        {jobs, "cat", jobs, "dog", 0, -ENOTEMPTY},
        {jobs, "cat", jobs, "dog", RENAME_NOREPLACE, -EEXIST},
        {jobs, "cat", jobs, ".cat", 0, -EPERM},
        {jobs, "cat", jobs, "dog", RENAME_EXCHANGE, -EINVAL},
        {jobs, "cat", jobs, "dog", RENAME_WHITEOUT, -EINVAL},
        {cat, "note", cat, "note", 0, 0},
        {cat, "note", job_ino(&f, "dog"), "note", RENAME_NOREPLACE, -EEXIST},
        {cat, "note", job_ino(&f, "dog"), "note", 0, 0},
        {jobs, "cat", jobs, "bird", 0, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(tree_rename(f.tree, rows[i].from, rows[i].name, rows[i].to,
                                     rows[i].new_name, rows[i].flags, &owner),
                         rows[i].expected);
    assert_content(&f, job_ino(&f, "dog"), "note", "x");
    assert_int_equal(job_ino(&f, "bird"), cat);
    static const struct tree_caller other = {.uid = OTHER, .gid = OTHER};
    assert_int_equal(tree_rename(f.tree, jobs, "bird", jobs, "x", 0, &other), -EACCES);
    forest_fini(&f);
}

static void test_tree__a_listing_resumes_at_any_offset(void **state UNUSED)
{
    struct forest f;
    struct listing all;
    struct listing rest;
    forest_init(&f);
    succeeded(&f, "done");
    struct job *job = jobs_find(f.w.jobs, "done");
    for (int i = 0; i < 5; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "note%d", i);
        assert_int_equal(user_write(job, name, "x"), 0);
        job_make_named(&f.w, name);
    }
    const uint64_t directories[] = {TREE_ROOT_INO, jobs_ino(&f), job_ino(&f, "done"),
                                    ino_of(&f, TREE_ROOT_INO, "videos")};
    /* At the root all but defaults.error and events. */
    static const size_t counts[] = {2 + 12, 8, 2 + 12 + 5, 4};
    for (size_t d = 0; d < ARRAY_COUNT(directories); d++) {
        list(&f, directories[d], 0, 64, &all);
        assert_int_equal(all.count, counts[d]);
        assert_string_equal(all.rows[0].name, ".");
        assert_string_equal(all.rows[1].name, "..");
        for (size_t i = 0; i < all.count; i++) {
            assert_true(all.rows[i].next > (i ? all.rows[i - 1].next : 0));
            list(&f, directories[d], all.rows[i].next, 64, &rest);
            assert_int_equal(rest.count, all.count - i - 1);
            for (size_t k = 0; k < rest.count; k++)
                assert_string_equal(rest.rows[k].name, all.rows[i + 1 + k].name);
            /* One at a time as well. */
            list(&f, directories[d], all.rows[i].next, 1, &rest);
            assert_int_equal(rest.count, i + 1 < all.count);
        }
    }
    assert_int_equal(tree_list(f.tree, ino_of(&f, TREE_ROOT_INO, "README.txt"), 0, list_add, &all),
                     -ENOTDIR);
    /* What goes away or comes while a reader stands somewhere costs it no other entry. */
    list(&f, directories[2], 0, 64, &all);
    int64_t offset = 0;
    char seen[512] = "";
    for (;;) {
        list(&f, directories[2], offset, 1, &rest);
        if (rest.count == 0)
            break;
        offset = rest.rows[0].next;
        strcat(seen, rest.rows[0].name);
        strcat(seen, " ");
        if (strcmp(rest.rows[0].name, "note1") == 0) {
            assert_int_equal(tree_unlink(f.tree, directories[2], "note1", &owner), 0);
            assert_int_equal(tree_unlink(f.tree, directories[2], "note2", &owner), 0);
            assert_int_equal(tree_unlink(f.tree, directories[2], "status", &owner), 0);
            assert_int_equal(user_write(job, "late", "x"), 0);
        }
    }
    assert_non_null(strstr(seen, "note0 note1 note3 note4 late "));
    list(&f, directories[2], 0, 64, &rest);
    assert_int_equal(rest.count, all.count - 2);
    forest_fini(&f);
}

static void test_tree__a_job_is_made_written_read_and_removed(void **state UNUSED)
{
    struct forest f;
    struct tree_entry entry;
    struct tree_open_result opened;
    struct listing all;
    forest_init(&f);
    uint64_t jobs = jobs_ino(&f);
    assert_int_equal(tree_mkdir(f.tree, jobs, "cat", &owner, &entry), 0);
    assert_int_equal(tree_mkdir(f.tree, jobs, "cat", &owner, &entry), -EEXIST);
    assert_int_equal(tree_mkdir(f.tree, jobs, "\xff", &owner, &entry), -EILSEQ);
    assert_int_equal(tree_mkdir(f.tree, jobs, "", &owner, &entry), -EINVAL);
    uint64_t cat = job_ino(&f, "cat");
    assert_int_equal(
        tree_create(f.tree, cat, "prompt.json", 0640, O_WRONLY | O_TRUNC, &owner, &entry, &opened),
        0);
    assert_int_equal(entry.st.st_mode, S_IFREG | 0640);
    assert_int_equal(entry.st.st_nlink, 1);
    assert_false(opened.is_flush_void);
    assert_int_equal(tree_write(opened.handle, PROMPT, strlen(PROMPT), 0), 0);
    assert_int_equal(tree_getattr(f.tree, entry.st.st_ino, &entry), 0);
    assert_int_equal(entry.st.st_size, strlen(PROMPT));
    assert_int_equal(tree_flush(opened.handle), 0);
    assert_int_equal(tree_fsync(opened.handle), 0);
    assert_content(&f, cat, "status", "draft\n");
    tree_release(opened.handle);
    assert_content(&f, cat, "status", "waiting\n");
    assert_content(&f, cat, "prompt.json", PROMPT);
    assert_int_equal(tree_getattr(f.tree, entry.st.st_ino, &entry), 0);
    assert_int_equal(entry.st.st_mode, S_IFREG | 0440);
    /* rm -r: every entry, then the directory; open files live on. */
    assert_int_equal(tree_open(f.tree, entry.st.st_ino, O_RDONLY, &owner, &opened), 0);
    list(&f, cat, 0, 64, &all);
    for (size_t i = 2; i < all.count; i++)
        assert_int_equal(tree_unlink(f.tree, cat, all.rows[i].name, &owner), 0);
    list(&f, cat, 0, 64, &all);
    assert_int_equal(all.count, 2);
    assert_int_equal(tree_unlink(f.tree, cat, "status", &owner), -ENOENT);
    assert_int_equal(tree_rmdir(f.tree, jobs, "cat", &owner), 0);
    assert_int_equal(tree_rmdir(f.tree, jobs, "cat", &owner), -ENOENT);
    assert_int_equal(tree_getattr(f.tree, cat, &entry), -ESTALE);
    struct buf bytes;
    handle_read(opened.handle, &bytes);
    assert_string_equal(buf_text(&bytes), PROMPT);
    buf_fini(&bytes);
    tree_release(opened.handle);
    world_run(&f.w, HOUR_MS);
    assert_int_equal(f.w.api.creates, 0);
    assert_int_equal(f.media.removed, 2);
    forest_fini(&f);
}

static void test_tree__what_was_unlinked_comes_back_with_the_next_state(void **state UNUSED)
{
    struct forest f;
    struct tree_entry entry;
    forest_init(&f);
    struct job *job = job_queued(&f.w, "cat", "cgt-1");
    uint64_t cat = job_ino(&f, "cat");
    assert_int_equal(tree_unlink(f.tree, cat, "status", &owner), 0);
    assert_int_equal(tree_lookup(f.tree, cat, "status", &entry), -ENOENT);
    poll_status(call_wait(&f.w, job), "queued"); /* nothing new */
    assert_int_equal(tree_lookup(f.tree, cat, "status", &entry), -ENOENT);
    poll_status(call_wait(&f.w, job), "failed");
    assert_content(&f, cat, "status", "failed\n");
    assert_int_equal(tree_unlink(f.tree, cat, "error", &owner), 0);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, "{"), 0);
    assert_int_equal(tree_lookup(f.tree, cat, "error", &entry), 0);
    forest_fini(&f);
}

/* inotify is told by times being set, with every transition: nothing may be gone through for
 * that. */
static void test_tree__setting_times_does_not_make_the_content(void **state UNUSED)
{
    static const char *const names[] = {"index.html", "spend.json"};
    const struct tree_change touch = {.has_times = true,
                                      .times = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}}};
    struct forest f;
    struct tree_entry before[ARRAY_COUNT(names)];
    struct tree_entry entry;
    forest_init(&f);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        assert_int_equal(tree_lookup(f.tree, TREE_ROOT_INO, names[i], &before[i]), 0);
    (void)job_queued(&f.w, "cat", "cgt-1");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        uint64_t ino = before[i].st.st_ino;
        assert_int_equal(tree_setattr(f.tree, ino, &touch, &owner, &entry), 0);
        assert_int_equal(entry.st.st_size, before[i].st.st_size);
        assert_int_equal(entry.st.st_ino, ino);
        assert_true(entry.attr_s == 0); /* who asks is told how long it is */
        assert_int_equal(tree_getattr(f.tree, ino, &entry), 0);
        assert_true(entry.st.st_size > before[i].st.st_size);
    }
    forest_fini(&f);
}

static void test_tree__a_path_may_make_its_directory_on_the_way(void **state UNUSED)
{
    struct forest f;
    struct tree_entry entry;
    struct tree_entry file;
    struct tree_open_result opened;
    forest_init(&f);
    uint64_t jobs = jobs_ino(&f);
    const struct tree_caller stranger = {.uid = owner.uid + 1, .gid = owner.gid + 1};
    assert_int_equal(tree_provisional_check(f.tree, jobs, &owner), 0);
    assert_int_equal(tree_provisional_check(f.tree, jobs, &stranger), -EACCES);
    assert_int_equal(tree_provisional_check(f.tree, TREE_ROOT_INO, &owner), -ENOENT);
    assert_int_equal(tree_lookup_provisional(f.tree, TREE_ROOT_INO, "cat", &entry), -ENOENT);
    assert_int_equal(tree_lookup_provisional(f.tree, jobs, ".git", &entry), -EPERM);
    assert_int_equal(tree_lookup_provisional(f.tree, jobs, "cat", &entry), 0);
    assert_true(S_ISDIR(entry.st.st_mode));
    assert_true(entry.entry_s == 0 && entry.attr_s == 0);
    assert_int_equal(tree_lookup(f.tree, jobs, "cat", &file), -ENOENT);
    assert_int_equal(
        tree_create(f.tree, entry.st.st_ino, "prompt.json", 0644, O_WRONLY, &owner, &file, &opened),
        0);
    tree_release(opened.handle);
    assert_int_equal(job_ino(&f, "cat"), entry.st.st_ino);
    assert_int_equal(tree_lookup_provisional(f.tree, jobs, "dog", &entry), 0);
    world_run(&f.w, JOB_PROVISIONAL_MS);
    assert_int_equal(
        tree_create(f.tree, entry.st.st_ino, "x", 0644, O_WRONLY, &owner, &file, &opened), -ESTALE);
    forest_fini(&f);
}

static void test_tree__a_handle_reads_the_moment_of_its_opening(void **state UNUSED)
{
    struct forest f;
    struct tree_open_result opened;
    struct tree_entry entry;
    struct buf bytes;
    forest_init(&f);
    struct job *job = job_queued(&f.w, "cat", "cgt-1");
    uint64_t status = ino_of(&f, job_ino(&f, "cat"), "status");
    assert_int_equal(tree_open(f.tree, status, O_RDONLY, &owner, &opened), 0);
    assert_true(opened.is_direct && opened.is_flush_void && !opened.is_kept);
    poll_status(call_wait(&f.w, job), "cancelled");
    handle_read(opened.handle, &bytes);
    assert_string_equal(buf_text(&bytes), "queued\n");
    buf_fini(&bytes);
    assert_int_equal(tree_write(opened.handle, "x", 1, 0), -EBADF);
    assert_int_equal(tree_truncate(opened.handle, 0), -EINVAL);
    tree_release(opened.handle);
    assert_int_equal(tree_getattr(f.tree, status, &entry), 0);
    assert_int_equal(entry.st.st_size, strlen("cancelled\n"));
    assert_true(entry.attr_s == 0);
    assert_int_equal(entry.st.st_mtim.tv_sec, job->updated_ms / 1000);
    struct response response = {.calls = 0};
    struct tree_read_state *parked;
    assert_int_equal(tree_open(f.tree, status, O_RDONLY, &owner, &opened), 0);
    static const int64_t outside[] = {10, 11, INT64_MAX, -1};
    for (size_t i = 0; i < ARRAY_COUNT(outside); i++) {
        tree_read(opened.handle, 100, outside[i], read_response, &response, &parked);
        assert_int_equal(response.result, 0);
    }
    tree_release(opened.handle);
    forest_fini(&f);
}

static void test_tree__a_read_of_media_waits_without_a_thread(void **state UNUSED)
{
    struct forest f;
    struct tree_open_result opened;
    struct tree_entry entry;
    struct tree_read_state *parked = NULL;
    struct response response = {.calls = 0};
    forest_init(&f);
    struct job *job = succeeded(&f, "cat");
    uint64_t video = ino_of(&f, job_ino(&f, "cat"), "output.mp4");
    assert_int_equal(video, node_ino(NODE_VIDEO, job->attempt_id));
    assert_int_equal(tree_getattr(f.tree, video, &entry), 0);
    assert_true(entry.attr_s > 0 && entry.entry_s == 0); /* another take may be picked */
    assert_int_equal(tree_open(f.tree, video, O_RDONLY, &owner, &opened), 0);
    assert_true(opened.is_kept && !opened.is_direct);
    assert_int_equal(f.media.record_id, job->attempt_id);
    assert_int_equal(f.media.record_kind, MEDIA_VIDEO);
    assert_int_equal(f.media.record_size, 10);
    assert_int_equal(f.media.record_expires_ms, -1);
    assert_non_null(strstr(f.media.record_url, "sig=s3cret"));
    buf_init(&response.bytes, 100);
    f.media.is_parking = true;
    tree_read(opened.handle, 4, 2, read_response, &response, &parked);
    assert_non_null(parked);
    assert_int_equal(response.calls, 0);
    media_response(f.media.parked, 10);
    assert_null(parked);
    assert_string_equal(buf_text(&response.bytes), "2345");
    tree_read(opened.handle, 4, 2, read_response, &response, &parked);
    tree_read_cancel(parked);
    assert_int_equal(f.media.cancelled, 1);
    assert_int_equal(response.calls, 1);
    /* A reader keeps its job: it may be removed meanwhile. */
    assert_int_equal(jobs_remove(job), 0);
    assert_int_equal(f.media.removed, 2);
    f.media.is_parking = false;
    tree_read(opened.handle, 100, 8, read_response, &response, &parked);
    assert_null(parked);
    assert_string_equal(buf_text(&response.bytes), "234589");
    tree_release(opened.handle);
    buf_fini(&response.bytes);
    assert_int_equal(tree_getattr(f.tree, video, &entry), -ESTALE);
    forest_fini(&f);
}

static void test_tree__a_finished_video_is_measured_and_its_url_renewed(void **state UNUSED)
{
    struct forest f;
    struct media_hooks hooks = {.context = NULL};
    forest_init(&f);
    tree_media_hooks_fill(&f.tree, &hooks);
    struct job *job = job_queued(&f.w, "cat", "cgt-1");
    poll_succeeded(call_wait(&f.w, job));
    assert_int_equal(f.media.probed, 1);
    assert_int_equal(f.media.record_size, -1);
    hooks.on_probe_failed(hooks.context, job->attempt_id, MEDIA_VIDEO, -ERR_MEDIA_STATUS);
    assert_state(job, JOB_SUCCEEDED);
    assert_true(job->has_problem);
    world_run(&f.w, 30 * 1000);
    assert_int_equal(f.media.probed, 2); /* again after a while */
    struct media_record record = {
        .id = job->attempt_id, .kind = MEDIA_VIDEO, .size = 4711, .etag = "e"};
    hooks.on_record(hooks.context, &record);
    assert_int_equal(take_of(job)->video_bytes, 4711);
    assert_false(job->has_problem);
    hooks.request_url(hooks.context, job->attempt_id, MEDIA_VIDEO);
    hooks.request_url(hooks.context, job->attempt_id, MEDIA_COVER);
    poll_succeeded(call_of(&f.w, job));
    assert_int_equal(f.media.urls_set, 1);
    assert_non_null(strstr(f.media.set_url, "sig=s3cret"));
    assert_int_equal(f.media.urls_failed, 1); /* there is no cover */
    hooks.request_url(hooks.context, 9999, MEDIA_VIDEO);
    assert_int_equal(f.media.failed_result, -ERR_MEDIA_GONE);
    /* Another file lies at the URL: the size is not known any more, and asked for. */
    record.size = -1;
    record.etag = NULL;
    hooks.on_record(hooks.context, &record);
    assert_int_equal(video_bytes_of(job), -1);
    assert_int_equal(f.media.probed, 3);
    struct tree_entry entry;
    assert_int_equal(tree_lookup(f.tree, job_ino(&f, "cat"), "output.mp4", &entry), -ENOENT);
    forest_fini(&f);
}

struct names {
    char text[1024];
    unsigned bare;
};

static bool name_add(void *context, const char *name, const struct tree_entry *entry,
                     int64_t next UNUSED)
{
    struct names *names = context;
    assert_true(entry->st.st_ino > 0);
    names->bare += entry->is_bare;
    strcat(names->text, name);
    strcat(names->text, " ");
    return true;
}

/* Or `rsync --delete` would take it for removed. */
static void test_tree__what_cannot_be_looked_at_is_listed(void **state UNUSED)
{
    struct forest f;
    struct names names = {.bare = 0};
    struct tree_entry entry;
    forest_init(&f);
    struct job *job = job_make_named(&f.w, "cat");
    assert_int_equal(user_write(job, "note", "x"), 0);
    uint64_t ino = job_ino(&f, "cat");
    f.w.jobs->settings.files_fd = -1;
    assert_int_equal(tree_list(f.tree, ino, 0, name_add, &names), 0);
    assert_non_null(strstr(names.text, " note "));
    assert_int_equal(names.bare, 1);
    assert_int_equal(tree_lookup(f.tree, ino, "note", &entry), -EBADF);
    f.w.jobs->settings.files_fd = f.w.files_fd;
    assert_int_equal(tree_lookup(f.tree, ino, "note", &entry), 0);
    forest_fini(&f);
}

static void test_tree__statfs_is_answered_from_the_data_directory(void **state UNUSED)
{
    struct forest f;
    struct statvfs out;
    forest_init(&f);
    assert_int_equal(tree_statfs(f.tree, &out), 0);
    assert_int_equal(out.f_namemax, TEXT_NAME_MAX);
    assert_true(out.f_bsize > 0);
    forest_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree__each_name_is_what_it_is),
        cmocka_unit_test(test_tree__what_cannot_be_looked_at_is_listed),
        cmocka_unit_test(test_tree__sizes_are_right_in_every_state),
        cmocka_unit_test(
            test_tree__an_response_is_shown_without_secrets_of_urls_and_commands_to_a_terminal),
        cmocka_unit_test(test_tree__inode_numbers_are_arithmetic_and_stay),
        cmocka_unit_test(test_tree__who_may_do_what),
        cmocka_unit_test(test_tree__what_tells_of_a_prompt_is_for_those_who_may_read_it),
        cmocka_unit_test(test_tree__signed_urls_of_a_prompt_are_shown_without_signature),
        cmocka_unit_test(test_tree__messages_of_the_service_show_no_secrets_and_no_commands),
        cmocka_unit_test(test_tree__reserved_names_are_not_for_users),
        cmocka_unit_test(test_tree__renames_stay_in_their_kind),
        cmocka_unit_test(test_tree__a_listing_resumes_at_any_offset),
        cmocka_unit_test(test_tree__a_job_is_made_written_read_and_removed),
        cmocka_unit_test(test_tree__what_was_unlinked_comes_back_with_the_next_state),
        cmocka_unit_test(test_tree__setting_times_does_not_make_the_content),
        cmocka_unit_test(test_tree__a_path_may_make_its_directory_on_the_way),
        cmocka_unit_test(test_tree__a_handle_reads_the_moment_of_its_opening),
        cmocka_unit_test(test_tree__a_read_of_media_waits_without_a_thread),
        cmocka_unit_test(test_tree__a_finished_video_is_measured_and_its_url_renewed),
        cmocka_unit_test(test_tree__statfs_is_answered_from_the_data_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
