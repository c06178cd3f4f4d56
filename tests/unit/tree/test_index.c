/* index.html: what it says of each job, in which order, and that whatever comes from outside is
 * text in it. */
#include "../job/job_harness.h"

#include "fake_media.h"
#include "tree/tree_private.h"

enum { SHOWN_MAX = 1000 }; /* docs/SEMANTICS.md */

struct gallery {
    struct world w;
    struct media media;
    struct tree *tree;
    struct buf page;
};

static void gallery_open(struct gallery *g)
{
    struct tree_settings settings = {.frames_fd = -1,
                                     .jobs = g->w.jobs,
                                     .store = g->w.store,
                                     .media = &g->media,
                                     .timers = &g->w.timers,
                                     .clock = &g->w.clock.clock,
                                     .data_directory = g->w.directory,
                                     .directory_fd = g->w.directory_fd};
    assert_int_equal(tree_new(&settings, &g->tree), 0);
    g->w.jobs->settings.hooks = (struct job_hooks){.context = NULL};
    tree_job_hooks_fill(&g->tree, &g->w.jobs->settings.hooks);
}

static void gallery_init(struct gallery *g)
{
    *g = (struct gallery){.tree = NULL};
    world_init(&g->w);
    buf_init(&g->page, 64 << 20);
    gallery_open(g);
}

static void gallery_fini(struct gallery *g)
{
    g->tree = tree_free(g->tree);
    buf_fini(&g->page);
    world_fini(&g->w);
}

static const char *page_of(struct gallery *g)
{
    struct tree_entry entry;
    buf_clear(&g->page);
    assert_int_equal(index_render(g->tree, NULL, &g->page), 0);
    assert_int_equal(tree_lookup(g->tree, TREE_ROOT_INO, "index.html", &entry), 0);
    assert_int_equal(entry.st.st_size, g->page.len);
    return buf_text(&g->page);
}

static void assert_has(const char *page, const char *part)
{
    if (!strstr(page, part))
        fail_msg("not in the page: %s", part);
}

static void assert_has_not(const char *page, const char *part)
{
    if (strstr(page, part))
        fail_msg("in the page: %s", part);
}

/* The card of a job: from its beginning to its end, in a place of its own. */
static const char *card_of(struct gallery *g, const char *name)
{
    static char card[16 * 1024];
    char begin[64];
    (void)snprintf(begin, sizeof(begin), "id=\"job-%lld\"",
                   (long long)jobs_find(g->w.jobs, name)->id);
    const char *from = strstr(page_of(g), begin);
    assert_non_null(from);
    const char *to = strstr(from, "</article>");
    assert_non_null(to);
    assert_true((size_t)(to - from) < sizeof(card));
    memcpy(card, from, (size_t)(to - from));
    card[to - from] = '\0';
    return card;
}

static struct job *succeeded(struct gallery *g, const char *name, const char *id)
{
    char body[512];
    struct job *job = job_queued(&g->w, name, id);
    (void)snprintf(
        body, sizeof(body),
        "{\"id\":\"%s\",\"status\":\"succeeded\",\"data\":[{\"video_url\":"
        "\"https://media.example/v.mp4?sig=s3cret\",\"cover_url\":"
        "\"https://media.example/c.jpg?sig=s3cret\"}],\"usage\":{\"video_duration\":65}}",
        id);
    poll_response(call_wait(&g->w, job), body);
    struct job_media_size size = {10, "e"};
    jobs_video_set(take_of(job), &size);
    jobs_cover_set(take_of(job), &size);
    assert_state(job, JOB_SUCCEEDED);
    return job;
}

static void test_index__names_are_text_in_html_and_in_urls(void **state UNUSED)
{
    static const struct {
        const char *name;
        const char *html;
        const char *url;
    } rows[] = {
        {"plain-Name_1.~", "plain-Name_1.~", "plain-Name_1.~"},
        {"a b", "a b", "a%20b"},
        {"<script>alert(1)<", "&lt;script&gt;alert(1)&lt;", "%3Cscript%3Ealert%281%29%3C"},
        {"\" onclick=\"x", "&quot; onclick=&quot;x", "%22%20onclick%3D%22x"},
        {"' onclick='x", "&#39; onclick=&#39;x", "%27%20onclick%3D%27x"},
        {"&amp;&#60;", "&amp;amp;&amp;#60;", "%26amp%3B%26%2360%3B"},
        {"100%25", "100%25", "100%2525"},
        {"a#b?c=d", "a#b?c=d", "a%23b%3Fc%3Dd"},
        {"javascript:alert(1)", "javascript:alert(1)", "javascript%3Aalert%281%29"},
        {"\\..\\x", "\\..\\x", "%5C..%5Cx"},
        {"{{jobs}}", "{{jobs}}", "%7B%7Bjobs%7D%7D"},
        {"--><!--", "--&gt;&lt;!--", "--%3E%3C%21--"},
        {"\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x90\x88", "\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x90\x88",
         "%C3%A9%E6%BC%A2%F0%9F%90%88"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct gallery g;
        char part[512];
        gallery_init(&g);
        succeeded(&g, rows[i].name, "cgt-1");
        const char *card = card_of(&g, rows[i].name);
        (void)snprintf(part, sizeof(part), "<a href=\"jobs/%s/\">%s</a></h3>", rows[i].url,
                       rows[i].html);
        assert_has(card, part);
        (void)snprintf(part, sizeof(part), "href=\"jobs/%s/output.mp4\" aria-label=\"Play %s\"",
                       rows[i].url, rows[i].html);
        assert_has(card, part);
        (void)snprintf(part, sizeof(part), "src=\"jobs/%s/cover.jpg\"", rows[i].url);
        assert_has(card, part);
        gallery_fini(&g);
    }
}

static void test_index__prompts_and_errors_are_text(void **state UNUSED)
{
    static const struct {
        const char *json;
        const char *html;
    } rows[] = {
        {"<b>A cat</b>", "&lt;b&gt;A cat&lt;/b&gt;"},
        {"</p></article><script>alert(1)</script>",
         "&lt;/p&gt;&lt;/article&gt;&lt;script&gt;alert(1)&lt;/script&gt;"},
        {"<img src=x onerror='alert(1)'>", "&lt;img src=x onerror=&#39;alert(1)&#39;&gt;"},
        {"A \\\"quoted\\\" cat & dog", "A &quot;quoted&quot; cat &amp; dog"},
        {"&lt;script&gt;", "&amp;lt;script&amp;gt;"},
        {"two\\nlines\\tand a tab", "two\nlines\tand a tab"},
        {"\\u0001\\u007f\\u001b[31m", "\\u0001\\u007f\\u001b[31m"},
        {"see https://a.b/c.png?X-Tos-Signature=1 there", "see https://a.b/c.png… there"},
        {"{{revision}} {{jobs}}", "{{revision}} {{jobs}}"},
        {"]]> <!-- %s %n", "]]&gt; &lt;!-- %s %n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct gallery g;
        char text[512];
        gallery_init(&g);
        struct job *job = job_make_named(&g.w, "cat");
        (void)snprintf(text, sizeof(text), "{\"prompt\": \"%s\"}", rows[i].json);
        assert_int_equal(user_write(job, JOB_PROMPT_NAME, text), 0);
        (void)snprintf(text, sizeof(text), "dir=\"auto\">%s</p>", rows[i].html);
        assert_has(card_of(&g, "cat"), text);
        job_problem_set(detail_of(job), -ERR_BUDGET, "%s", "<u>wrong</u> & \xff");
        index_changed(g.tree);
        assert_has(card_of(&g, "cat"), "&lt;u&gt;wrong&lt;/u&gt; &amp; \\xff</pre>");
        job_problem_clear(detail_of(job));
        gallery_fini(&g);
    }
}

static void test_index__each_state_says_what_is_to_be_known(void **state UNUSED)
{
    struct gallery g;
    gallery_init(&g);
    job_make_named(&g.w, "empty");
    assert_has(card_of(&g, "empty"), "data-state=\"draft\"");

    struct job *job = job_make_named(&g.w, "mistaken");
    (void)user_write(job, JOB_PROMPT_NAME, "{\"prompt\": \"A dog\", \"duraton\": 8}");
    assert_has(card_of(&g, "mistaken"), "A dog</p>");
    assert_has(card_of(&g, "mistaken"), "did you mean &quot;duration&quot;?");
    assert_has(card_of(&g, "mistaken"),
               "<b>A mistake in the prompt</b> line 1, column 21: duraton");
    assert_has_not(card_of(&g, "mistaken"), "$");

    job = job_make_named(&g.w, "text");
    (void)user_write(job, JOB_PROMPT_TEXT_NAME, " \n{\"prompt\": \"A <b>bird</b>\"}");
    assert_has(card_of(&g, "text"), "data-state=\"invalid\"");
    assert_has(card_of(&g, "text"),
               ">{&quot;prompt&quot;: &quot;A &lt;b&gt;bird&lt;/b&gt;&quot;}</p>");
    (void)user_write(job, JOB_PROMPT_TEXT_NAME, "A bird\xff");
    assert_has_not(card_of(&g, "text"), "bird");

    job = job_submitted(&g.w, "sent");
    assert_has(card_of(&g, "sent"), "data-state=\"waiting\"");
    assert_int_equal(call_send(call_of(&g.w, job)), 0);
    create_end(call_of(&g.w, job), API_AMBIGUOUS, 500, -1, "");
    assert_state(job, JOB_UNKNOWN);
    assert_has(card_of(&g, "sent"), "job doubt");
    assert_has(card_of(&g, "sent"), "echo &#39;adopt TASK_ID&#39; &gt; ctl");
    assert_has(card_of(&g, "sent"), "<b>$1.00</b> at risk");
    assert_has(card_of(&g, "sent"), "<b>It may have been charged</b>");
    assert_has(card_of(&g, "sent"), "title=\"estimated; at risk\"");

    succeeded(&g, "done", "cgt-1");
    const char *card = card_of(&g, "done");
    assert_has(card, "A cat surfing at sunset</p>");
    assert_has(card, "href=\"jobs/done/output.mp4\"");
    assert_has(card, "loading=\"lazy\"");
    assert_has(card, "<span class=\"length\">1:05</span>");
    assert_has(card, "title=\"doubao-seedance-2.0\">720p · 65 s");
    assert_has(card, "title=\"by the video's length\"><b>$13.00</b></span>");
    assert_has(card, "href=\"videos/done.mp4\" download=\"done.mp4\"");
    gallery_fini(&g);
}

/* What holds up many is said once; of the money what there is. */
static void test_index__banners_and_money(void **state UNUSED)
{
    struct gallery g;
    gallery_init(&g);
    assert_has(page_of(&g), "<dt>Spent</dt><dd>$0.00</dd>");
    assert_has_not(page_of(&g), "<dt>Held</dt>");
    assert_has(page_of(&g), "This costs about $1.00 (doubao-seedance-2.0, 720p, 5 s).");
    g.w.jobs->settings.is_hold_wanted = true;
    static const char prompt[] = "{\"prompt\": \"A cat surfing at sunset\"}";
    for (int i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "held-%d", i);
        if (i < 2)
            assert_has_not(page_of(&g), "jobs are held");
        assert_int_equal(user_write(job_make_named(&g.w, name), JOB_PROMPT_NAME, prompt), 0);
        if (i == 1)
            assert_has(page_of(&g), "<b>2 jobs are held: nothing of them was sent.</b>");
    }
    assert_has(page_of(&g), "<b>3 jobs are held: nothing of them was sent.</b>");
    /* One line that orders all jobs would order copies, too. */
    assert_has(page_of(&g), "<code>echo submit &gt; jobs/NAME/ctl</code>");
    assert_has_not(page_of(&g), "jobs/*");
    assert_has(page_of(&g), "<dt>Held</dt><dd>$3.00</dd>");
    assert_has(card_of(&g, "held-1"), "<b>Held: nothing was sent</b>");
    assert_has(card_of(&g, "held-1"), "<b>≈ $1.00</b>");
    assert_has_not(page_of(&g), "This costs about");
    gallery_fini(&g);
}

static void test_index__nothing_secret_and_no_other_host_is_in_it(void **state UNUSED)
{
    struct gallery g;
    gallery_init(&g);
    succeeded(&g, "done", "cgt-1");
    const char *page = page_of(&g);
    assert_has(page, "id=\"job-");
    assert_has_not(page, "s3cret");
    assert_has_not(page, "media.example");
    assert_has_not(page, "https:");
    assert_has_not(page, "<video");
    assert_has(page, "default-src 'none'");
    gallery_fini(&g);
}

static void test_index__what_was_removed_is_not_linked(void **state UNUSED)
{
    static const struct tree_caller root = {.uid = 0, .gid = 0};
    struct gallery g;
    struct tree_entry entry;
    gallery_init(&g);
    struct job *job = succeeded(&g, "done", "cgt-1");
    uint64_t directory = node_ino(NODE_JOB, job->id);
    assert_has(page_of(&g), "cover.jpg\"");
    assert_int_equal(tree_unlink(g.tree, directory, "cover.jpg", &root), 0);
    assert_has_not(page_of(&g), "cover.jpg\"");
    assert_has(page_of(&g), "output.mp4\"");
    assert_int_equal(tree_unlink(g.tree, directory, "output.mp4", &root), 0);
    assert_has_not(page_of(&g), "output.mp4\"");
    assert_int_equal(tree_unlink(g.tree, directory, JOB_PROMPT_NAME, &root), 0);
    assert_int_equal(tree_rmdir(g.tree, node_ino(NODE_JOBS, 0), "done", &root), 0);
    assert_has_not(page_of(&g), "id=\"job-");
    assert_int_equal(tree_mkdir(g.tree, node_ino(NODE_JOBS, 0), "next", &root, &entry), 0);
    assert_has(page_of(&g), ">next</a>");
    gallery_fini(&g);
}

/* In the order of the names that are given. */
static void assert_order(struct gallery *g, const char *const names[], size_t count)
{
    const char *place = page_of(g);
    for (size_t i = 0; i < count; i++) {
        char part[64];
        (void)snprintf(part, sizeof(part), "\">%s</a></h3>", names[i]);
        place = strstr(place, part);
        assert_non_null(place);
    }
}

static void test_index__the_latest_request_comes_first(void **state UNUSED)
{
    struct gallery g;
    gallery_init(&g);
    struct job *job = job_make_named(&g.w, "first");
    job_make_named(&g.w, "second");
    job_make_named(&g.w, "third");
    assert_order(&g, (const char *const[]){"third", "second", "first"}, 3);
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, PROMPT), 0);
    assert_order(&g, (const char *const[]){"first", "third", "second"}, 3);
    gallery_fini(&g);
}

static size_t cards_count(const char *page)
{
    size_t count = 0;
    for (const char *p = page; (p = strstr(p, "<article ")) != NULL; p++)
        count++;
    return count;
}

static void test_index__a_page_shows_a_thousand_and_says_how_many_there_are(void **state UNUSED)
{
    struct gallery g;
    struct job *job = NULL;
    char name[32];
    char part[64];
    gallery_init(&g);
    assert_has(page_of(&g), "id=\"empty\">");
    for (int i = 1; i <= 2 * SHOWN_MAX + 50; i++) {
        (void)snprintf(name, sizeof(name), "job%d", i);
        job = job_make_named(&g.w, name);
        if (i == 1) {
            assert_has(page_of(&g), "id=\"empty\" hidden>");
            assert_has(page_of(&g), "id=\"note\"></p>");
        }
    }
    const char *page = page_of(&g);
    assert_int_equal(cards_count(page), SHOWN_MAX);
    assert_has(page, "The latest 1000 of 2050 jobs.");
    const char *latest = strstr(page, ">job2050</a>");
    const char *earliest = strstr(page, ">job1051</a>");
    assert_true(latest && earliest && latest < earliest);
    assert_has_not(page, ">job1050</a>");
    /* An old job that is tried anew is among them again. */
    assert_int_equal(user_write(jobs_find(g.w.jobs, "job7"), JOB_PROMPT_NAME, PROMPT), 0);
    (void)snprintf(part, sizeof(part), "id=\"job-%lld\"",
                   (long long)jobs_find(g.w.jobs, "job7")->id);
    page = page_of(&g);
    assert_has(page, part);
    assert_int_equal(cards_count(page), SHOWN_MAX);
    assert_non_null(job);
    gallery_fini(&g);
}

static void restored_set(struct gallery *g, int64_t restored_ms)
{
    assert_int_equal(store_begin(g->w.store, STORE_LAZY), 0);
    assert_int_equal(
        store_end(g->w.store, store_number_set(g->w.store, "restored_ms", restored_ms)), 0);
    index_changed(g->tree);
}

/* S-RESTORE-3 in small. */
static void test_index__a_copy_is_said_for_a_week_and_while_a_job_is_held(void **state UNUSED)
{
    static const int64_t week_ms = INT64_C(7) * 86400 * 1000;
    struct gallery g;
    gallery_init(&g);
    assert_has(page_of(&g), "id=\"copy\"></p>");
    const int64_t noticed_ms = INT64_C(1795000000000); /* 2026-11-18T11:06:40Z */
    g.w.clock.wall_ms = noticed_ms + week_ms - 1;
    restored_set(&g, noticed_ms);
    assert_has(page_of(&g), "id=\"copy\">This data directory is a restored backup or a copy "
                            "(noticed on 2026-11-18 at 11:06 UTC): nothing that waited in it is "
                            "held now, and what was spent since the copy was made is not in the "
                            "budget.</p>");
    /* Nobody says that the page has changed: its time is over. */
    uint64_t revision = g.tree->index_revision;
    g.w.clock.wall_ms++;
    assert_has(page_of(&g), "id=\"copy\"></p>");
    assert_int_equal(g.tree->index_revision, revision + 1);
    (void)page_of(&g);
    assert_int_equal(g.tree->index_revision, revision + 1);
    /* Held for another reason says nothing. */
    struct job *jobs[2] = {job_make_named(&g.w, "a"), job_make_named(&g.w, "b")};
    for (int i = 0; i < 2; i++) {
        jobs[i]->state = JOB_HELD;
        jobs[i]->hold = JOB_HOLD_USER;
    }
    index_changed(g.tree);
    assert_has(page_of(&g), "id=\"copy\"></p>");
    jobs[0]->hold = JOB_HOLD_RESTORED;
    index_changed(g.tree);
    assert_has(page_of(&g), ": one job that waited in it is held until you order it, and what");
    jobs[1]->hold = JOB_HOLD_RESTORED;
    index_changed(g.tree);
    assert_has(page_of(&g), ": 2 jobs that waited in it are held until you order them, and what");
    for (int i = 0; i < 2; i++)
        jobs[i]->state = JOB_DRAFT;
    gallery_fini(&g);
}

static void test_index__long_texts_are_cut_between_characters(void **state UNUSED)
{
    struct gallery g;
    struct buf text;
    gallery_init(&g);
    buf_init(&text, 1 << 20);
    buf_add_text(&text, "{\"prompt\": \"x");
    for (int i = 0; i < 3000; i++)
        buf_add_text(&text, "漢");
    buf_add_text(&text, "\"}");
    struct job *job = job_make_named(&g.w, "a b");
    assert_int_equal(user_write(job, JOB_PROMPT_NAME, buf_text(&text)), 0);
    const char *card = card_of(&g, "a b");
    assert_true(text_is_utf8(card, strlen(card)));
    assert_has(card, "漢… <a href=\"jobs/a%20b/request.json\">all of it</a>");
    assert_has(card, "class=\"more\"");
    assert_true(strlen(card) < 9000 + 1500);
    buf_fini(&text);
    gallery_fini(&g);
}

static void test_index__the_page_is_made_again_when_something_has_changed_alone(void **state UNUSED)
{
    static const struct tree_caller root = {.uid = 0, .gid = 0};
    struct gallery g;
    gallery_init(&g);
    succeeded(&g, "done", "cgt-1");
    char *before = strdup(page_of(&g));
    assert_string_equal(before, page_of(&g));
    world_run(&g.w, HOUR_MS);
    assert_string_equal(before, page_of(&g));
    assert_int_equal(tree_rename(g.tree, node_ino(NODE_JOBS, 0), "done", node_ino(NODE_JOBS, 0),
                                 "renamed", 0, &root),
                     0);
    struct tree_entry entry;
    assert_has(page_of(&g), "jobs/renamed/output.mp4");
    assert_has_not(page_of(&g), "jobs/done/");
    assert_int_equal(tree_lookup(g.tree, TREE_ROOT_INO, "index.html", &entry), 0);
    assert_int_equal(entry.st.st_mtim.tv_sec, clock_wall_ms(&g.w.clock.clock) / 1000);
    free(before);
    gallery_fini(&g);
}

/* Another run of the program has another key: a page of the last one is not taken for up to
 * date. */
static void test_index__each_run_has_a_key_of_its_own(void **state UNUSED)
{
    struct gallery g;
    gallery_init(&g);
    char *before = strdup(page_of(&g));
    const char *revision = strstr(before, "data-revision=\"");
    assert_non_null(revision);
    g.tree = tree_free(g.tree);
    world_restart(&g.w);
    gallery_open(&g);
    const char *now = strstr(page_of(&g), "data-revision=\"");
    assert_non_null(now);
    assert_int_equal(strspn(now + 15, "0123456789abcdef"), 16);
    assert_memory_not_equal(now, revision, 15 + 16);
    free(before);
    gallery_fini(&g);
}

static void test_index__a_damaged_row_costs_its_own_card_alone(void **state UNUSED)
{
    struct gallery g;
    gallery_init(&g);
    succeeded(&g, "whole", "cgt-1");
    succeeded(&g, "torn", "cgt-2");
    assert_int_equal(sqlite3_exec(g.w.store->db,
                                  "UPDATE attempt SET task_id = 'a/b' WHERE task_id = 'cgt-2'",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    g.tree = tree_free(g.tree);
    world_restart(&g.w);
    gallery_open(&g);
    assert_has(card_of(&g, "torn"), ">torn</a>");
    assert_has(card_of(&g, "whole"), "A cat surfing at sunset</p>");
    gallery_fini(&g);
}

/* All see the same page, so it shows what all may read. */
static void test_index__a_page_for_others_has_no_words_of_a_private_prompt(void **state UNUSED)
{
    static const char *const words[] = {"A cat surfing", "wrong", "because"};
    struct gallery g;
    gallery_init(&g);
    struct job *job = succeeded(&g, "cat", "cgt-1");
    struct job_file *prompt = job_file_find(detail_of(job), JOB_PROMPT_NAME);
    for (int i = 0; i < 3; i++) {
        bool is_private = i == 2;
        g.tree->settings.is_shared = i > 0;
        assert_int_equal(job_file_mode_set(prompt, is_private ? 0640 : i ? 0644 : 0600), 0);
        job_problem_clear(detail_of(job));
        job_reason_set(detail_of(job), -ERR_WAITS_FOR_JOB, "because");
        index_changed(g.tree);
        const char *card = card_of(&g, "cat");
        assert_has(card, ">cat</a>");
        assert_has(card, "jobs/cat/output.mp4");
        (is_private ? assert_has_not : assert_has)(card, words[0]);
        (is_private ? assert_has_not : assert_has)(card, words[2]);
        job_problem_set(detail_of(job), -ERR_BUDGET, "wrong");
        index_changed(g.tree);
        (is_private ? assert_has_not : assert_has)(card_of(&g, "cat"), words[1]);
    }
    job = job_make_named(&g.w, "dog");
    assert_int_equal(user_write(job, JOB_PROMPT_TEXT_NAME, "{\"prompt\": \"secret\"}"), 0);
    assert_state(job, JOB_INVALID);
    index_changed(g.tree);
    assert_has(card_of(&g, "dog"), "prompt.txt: ");
    assert_int_equal(job_file_mode_set(job_file_find(detail_of(job), JOB_PROMPT_TEXT_NAME), 0600),
                     0);
    index_changed(g.tree);
    assert_has_not(card_of(&g, "dog"), "prompt.txt: ");
    assert_has_not(card_of(&g, "dog"), "secret");
    gallery_fini(&g);
}

static void all_may_read(struct job *job, bool may)
{
    struct job_file *prompt = job_file_find(detail_of(job), JOB_PROMPT_NAME);
    assert_int_equal(job_file_mode_set(prompt, may ? 0644 : 0600), 0);
}

/* Others see which jobs are private, and how many wait for what, and not a word of why. To know who
 * may read the jobs behind one, their details are loaded: more than are kept. */
static void test_index__a_shared_page_of_many_jobs_behind_one(void **state UNUSED)
{
    enum { FOLLOWERS = 400 };
    struct gallery g;
    gallery_init(&g);
    g.tree->settings.is_shared = true;
    all_may_read(job_write(&g.w, "cat", PROMPT), true);
    job_finish(&g.w, jobs_find(g.w.jobs, "cat"), "cgt-1");
    g.w.jobs->settings.is_hold_wanted = true;
    for (int i = 0; i < FOLLOWERS; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "behind-%03d", i);
        struct job *job = job_write(&g.w, name, FROM("../cat/output.mp4"));
        assert_state(job, JOB_HELD);
        all_may_read(job, i % 2 == 0);
    }
    index_changed(g.tree);
    const char *card = card_of(&g, "cat");
    assert_has(card, ">behind-002</a>");
    assert_has_not(card, ">behind-003</a>");
    assert_has(card, " more</p>");
    assert_has(card, "A cat surfing");
    assert_has(page_of(&g), "<b>400 jobs are held: nothing of them was sent.</b>");
    assert_has_not(card_of(&g, "behind-003"), "Held:");
    gallery_fini(&g);
}

/* Of several jobs that wait, the one whose reason all may read lends it to the banner. */
static void test_index__a_banner_has_the_words_of_a_job_that_all_may_read(void **state UNUSED)
{
    struct gallery g;
    gallery_init(&g);
    g.tree->settings.is_shared = true;
    for (int i = 0; i < 3; i++) {
        char words[32];
        struct job *job = job_submitted(&g.w, (const char *const[]){"a", "b", "c"}[i]);
        all_may_read(job, i == 1);
        (void)snprintf(words, sizeof(words), "words of %s", job->name);
        job_reason_set(detail_of(job), -ERR_BUDGET, "%s", words);
    }
    index_changed(g.tree);
    assert_has(page_of(&g), "<b>3 jobs wait for the budget.</b>");
    assert_has(page_of(&g), "<pre>b: words of b</pre>");
    assert_has_not(page_of(&g), "words of a");
    assert_has_not(page_of(&g), "words of c");
    all_may_read(jobs_find(g.w.jobs, "b"), false);
    index_changed(g.tree);
    assert_has(page_of(&g), "<b>3 jobs wait for the budget.</b>");
    assert_has_not(page_of(&g), "words of");
    gallery_fini(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index__names_are_text_in_html_and_in_urls),
        cmocka_unit_test(test_index__prompts_and_errors_are_text),
        cmocka_unit_test(test_index__each_state_says_what_is_to_be_known),
        cmocka_unit_test(test_index__banners_and_money),
        cmocka_unit_test(test_index__nothing_secret_and_no_other_host_is_in_it),
        cmocka_unit_test(test_index__what_was_removed_is_not_linked),
        cmocka_unit_test(test_index__the_latest_request_comes_first),
        cmocka_unit_test(test_index__a_page_shows_a_thousand_and_says_how_many_there_are),
        cmocka_unit_test(test_index__a_copy_is_said_for_a_week_and_while_a_job_is_held),
        cmocka_unit_test(test_index__long_texts_are_cut_between_characters),
        cmocka_unit_test(test_index__the_page_is_made_again_when_something_has_changed_alone),
        cmocka_unit_test(test_index__each_run_has_a_key_of_its_own),
        cmocka_unit_test(test_index__a_damaged_row_costs_its_own_card_alone),
        cmocka_unit_test(test_index__a_page_for_others_has_no_words_of_a_private_prompt),
        cmocka_unit_test(test_index__a_shared_page_of_many_jobs_behind_one),
        cmocka_unit_test(test_index__a_banner_has_the_words_of_a_job_that_all_may_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
