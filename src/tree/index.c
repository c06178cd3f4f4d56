/*
 * index.html at the root: shows every job on one page, without server or network. The fixed part is
 * in index.html beside this file, as a page that can be read and edited. This file writes the
 * cards.
 *
 * Everything that comes from outside (names, prompts, errors) goes through html_add() or url_add().
 * Nothing else is added but texts of this file. No signed URL is needed: media are linked by their
 * names.
 *
 * Latest first: by the last request, or if there is none, by the time when the job was created. A
 * page shows at most INDEX_JOBS_MAX jobs, and says so if there are more: the page must be quick to
 * make, because the loop waits for it, and quick to look at.
 *
 * The page is kept until something changes, because one look asks for it several times (size,
 * attributes, bytes), and an open page asks again every few seconds. All users see the same page:
 * if others may look at the mount, it has no words of prompts that they may not read. The page's
 * revision is a key, different each time the program runs, and a count of changes. The script of
 * the page explains what the key is for.
 */
#include "tree_private.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/json.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    INDEX_JOBS_MAX = 1000,
    INDEX_BYTES_MAX = 32 * 1024 * 1024,
    PROMPT_BYTES_MAX = 2000,
    PROMPT_CLAMPED_BYTES = 120, /* about three lines: longer ones are folded */
    ERROR_BYTES_MAX = 4000,
    REQUEST_BYTES_MAX = 1024 * 1024, /* of a request in which the prompt is looked for */
};

/* As long as the service keeps tasks, and the user can adopt those of which the copy does not know
 * (docs/RUNNING.md). */
#define COPY_SHOWN_MS (INT64_C(7) * 86400 * 1000)

/* The assembler's .incbin, as in src/sim/clips.c: C has no #embed before C23. */
__asm__(".pushsection .rodata\n"
        ".global tree_index_page\ntree_index_page:\n"
        ".incbin \"src/tree/index.html\"\n"
        ".byte 0\n"
        ".popsection\n");
extern const char tree_index_page[];

/* How a state looks: the class of its card, and the text shown instead of a video. */
static const struct {
    const char *look;
    const char *stage;
} state_rows[JOB_STATE_COUNT] = {
    [JOB_DRAFT] = {"rest", "not submitted"},
    [JOB_INVALID] = {"bad", "not submitted"},
    [JOB_HELD] = {"doubt", "held: nothing was sent"},
    [JOB_WAITING] = {"going", "waiting to be sent"},
    [JOB_SUBMITTING] = {"going", "being sent"},
    [JOB_UNKNOWN] = {"doubt", "not known"},
    [JOB_REJECTED] = {"bad", "not accepted"},
    [JOB_QUEUED] = {"going", "in line"},
    [JOB_RUNNING] = {"going", "being made"},
    [JOB_SUCCEEDED] = {"good", "almost there"},
    [JOB_FAILED] = {"bad", "no video"},
    [JOB_CANCELLED] = {"rest", "no video"},
    [JOB_EXPIRED] = {"rest", "no video"},
    [JOB_LOST] = {"bad", "no video"},
};

struct index {
    struct tree *tree;
    struct job **jobs; /* the ones shown, latest first */
    size_t count;
    size_t all;          /* jobs in the mount */
    size_t held;         /* of them: held because the data directory is a copy */
    int64_t restored_ms; /* when it was noticed last that it is a copy; 0: never */
    int64_t until_ms;    /* wall time when the page changes by itself */
};

/* Adds text as HTML, also for an attribute: markup in it becomes text. */
static void html_add(struct buf *out, const char *text, size_t len)
{
    CLEANUP(buf_fini) struct buf shown = {.limit = out->limit};
    size_t from = 0;
    if (text_add_shown(&shown, text, len) < 0 && !out->error)
        out->error = shown.error;
    for (size_t i = 0; i < shown.len; i++) {
        char c = shown.data[i];
        const char *instead = c == '&'    ? "&amp;"
                              : c == '<'  ? "&lt;"
                              : c == '>'  ? "&gt;"
                              : c == '"'  ? "&quot;"
                              : c == '\'' ? "&#39;"
                                          : NULL;
        if (!instead)
            continue;
        buf_add(out, shown.data + from, i - from);
        buf_add_text(out, instead);
        from = i + 1;
    }
    buf_add(out, buf_text(&shown) + from, shown.len - from);
}

static void html_add_text(struct buf *out, const char *text)
{
    html_add(out, text, strlen(text));
}

/* Adds a name as part of a path in a URL, in an attribute (RFC 3986: escapes all but the unreserved
 * characters). */
static void url_add(struct buf *out, const char *name)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (const char *p = name; *p; p++) {
        if (strchr(plain, *p))
            buf_add_char(out, *p);
        else
            buf_addf(out, "%%%02X", (unsigned)(unsigned char)*p);
    }
}

static void url_add_file(struct buf *out, const struct job *job, const char *file)
{
    buf_add_text(out, "jobs/");
    url_add(out, job->name);
    buf_addf(out, "/%s", file);
}

static void prompt_show(struct buf *out, const struct job *job, const char *prompt,
                        const char *name)
{
    size_t len = text_cut(prompt, PROMPT_BYTES_MAX);
    bool is_long = len > PROMPT_CLAMPED_BYTES;
    buf_addf(out, "<p class=\"prompt%s\" dir=\"auto\">", is_long ? " clamped" : "");
    html_add(out, prompt, len);
    if (prompt[len]) {
        buf_add_text(out, "… <a href=\"");
        url_add_file(out, job, name);
        buf_add_text(out, "\">all of it</a>");
    }
    buf_add_text(out, "</p>\n");
    if (is_long)
        buf_add_text(out, "<button class=\"more\" type=\"button\" aria-expanded=\"false\">more"
                          "</button>\n");
}

static void prompt_show_json(struct buf *out, const struct job *job, const struct buf *request,
                             const char *name)
{
    struct json_document *document = NULL;
    int r = json_parse(buf_text(request), request->len, NULL, &document, NULL);
    const struct json *root = r == 0 ? json_document_root(document) : NULL;
    const char *prompt = json_text_get(json_member_get(root, "prompt"));
    if (prompt)
        prompt_show(out, job, prompt, name);
    json_document_free(document);
}

/* Adds the prompt of the request that was sent; before that, of the prompt file. */
static void prompt_add(struct tree *tree, const struct job *job, const struct job_detail *detail,
                       struct buf *out)
{
    const struct job_file *file = job_file_find(detail, JOB_PROMPT_NAME);
    const struct job_file *text = job_file_find(detail, JOB_PROMPT_TEXT_NAME);
    CLEANUP(buf_fini) struct buf request = {.limit = REQUEST_BYTES_MAX};
    if (job->attempt_id) {
        if (jobs_request_get(tree->settings.jobs, job, &request) == 0)
            prompt_show_json(out, job, &request, "request.json");
    } else if (file) {
        if (job_file_read(file, &request) == 0)
            prompt_show_json(out, job, &request, JOB_PROMPT_NAME);
    } else if (text && job_file_read(text, &request) == 0) {
        const char *prompt = buf_text(&request) + strspn(buf_text(&request), " \t\r\n");
        if (*prompt && text_is_utf8(buf_text(&request), request.len))
            prompt_show(out, job, prompt, JOB_PROMPT_TEXT_NAME);
    }
}

/* Adds the text of `error`. False when nothing is wrong. */
static bool error_add(const struct job *job, const struct job_detail *detail, const char *class,
                      struct buf *out)
{
    const char *texts[] = {job_prompt_problem_get(detail), job_problem_get(job)};
    if (!texts[0] && !texts[1])
        return false;
    buf_addf(out, "<pre class=\"%s\">", class);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        if (texts[i])
            html_add(out, texts[i], text_cut(texts[i], ERROR_BYTES_MAX));
    }
    buf_add_text(out, "</pre>\n");
    return true;
}

static void reason_add(const struct job *job, struct job_detail *detail, struct buf *out)
{
    const char *reason = job_reason_get(detail);
    if (!reason || job->has_problem)
        return;
    buf_add_text(out, "<p class=\"reason\">");
    html_add(out, reason, text_cut(reason, ERROR_BYTES_MAX));
    buf_add_text(out, "</p>\n");
}

static void takes_add(const struct job *job, struct buf *out)
{
    const struct job_take *take;
    int count = 0;
    LL_COUNT(job->takes, take, count);
    if (count > 1)
        buf_addf(out, " · take %lld of %d", (long long)job->picked->number, count);
}

static void link_add(void *context, const struct job *on)
{
    struct buf *out = context;
    buf_addf(out, " <a href=\"#job-%lld\">", (long long)on->id);
    html_add_text(out, on->name);
    buf_add_text(out, "</a>");
}

/* Where it comes from; a click leads to the card of that job. */
static void links_add(const struct job *job, struct buf *out)
{
    CLEANUP(buf_fini) struct buf names = {.limit = ERROR_BYTES_MAX};
    job_depends_on_each(job, link_add, &names);
    if (names.len == 0 || names.error)
        return;
    buf_addf(out, "<p class=\"from\">from%s</p>\n", buf_text(&names));
}

static void facts_add(const struct job *job, const struct job_detail *detail, struct buf *out)
{
    const struct store_attempt *attempt = job_attempt_get(detail);
    const char *how[] = {attempt->model, attempt->resolution};
    char when[TEXT_TIME_SIZE];
    char usd[TEXT_MONEY_SIZE];
    const char *what;
    buf_add_text(out, "<p class=\"facts\">");
    if (attempt->id) {
        text_usd(cost_get(job, attempt, &what), usd);
        /* Shows the first words; the tooltip has all of them. */
        buf_addf(out, "<span title=\"%s\"><b>%s USD</b> %.*s</span> ", what, usd,
                 (int)strcspn(what, ";:"), what);
    }
    text_time_rfc3339(job->updated_ms, when);
    buf_addf(out, "<time class=\"end\" datetime=\"%s\">%.10s %.5s UTC</time>", when, when,
             when + 11);
    if (attempt->id) {
        buf_add_text(out, " <span class=\"how\">");
        for (size_t i = 0; i < ARRAY_COUNT(how); i++) {
            html_add_text(out, how[i] ? how[i] : "");
            buf_add_text(out, how[i] && how[i][0] ? " · " : "");
        }
        buf_addf(out, "%lld s", (long long)(attempt->duration_ms / 1000));
        takes_add(job, out);
        buf_add_text(out, "</span>");
    }
    buf_add_text(out, "</p>\n");
}

/* The cover, if there is one, links to the video, and the script makes a player of it. Nothing of a
 * video is fetched before somebody wants it, and only those covers are fetched that are in view. */
static void video_add(const struct job *job, const struct job_detail *detail, struct buf *out)
{
    bool has_cover = output_is_there(job, MEDIA_COVER);
    buf_addf(out, "<a class=\"media%s\" href=\"", has_cover ? "" : " bare");
    url_add_file(out, job, "output.mp4");
    buf_add_text(out, "\" aria-label=\"Play ");
    html_add_text(out, job->name);
    buf_add_text(out, "\">");
    if (has_cover) {
        buf_add_text(out, "<img loading=\"lazy\" decoding=\"async\" alt=\"\" src=\"");
        url_add_file(out, job, "cover.jpg");
        buf_add_text(out, "\">");
    }
    buf_add_text(out, "<span class=\"play\"></span>");
    int64_t output_ms = job_attempt_get(detail)->output_ms;
    if (output_ms > 0)
        buf_addf(out, "<span class=\"length\">%lld:%02lld</span>", (long long)(output_ms / 60000),
                 (long long)(output_ms / 1000 % 60));
    buf_add_text(out, "</a>\n");
}

/* True when somebody may look at the page who may not read the job's prompt. */
static bool is_private(const struct tree *tree, struct job *job)
{
    return tree->settings.is_shared && job_readers_get(job) != 044;
}

/* Adds the prompt and all texts that may quote it. */
static void words_add(struct tree *tree, struct job *job, struct job_detail *detail,
                      struct buf *out)
{
    if (is_private(tree, job)) {
        buf_add_text(
            out, "<p class=\"reason\">Its prompt is not for everybody, and not shown here.</p>\n");
        return;
    }
    prompt_add(tree, job, detail, out);
    if (output_is_there(job, MEDIA_VIDEO))
        (void)error_add(job, detail, "error", out);
    reason_add(job, detail, out);
}

static void card_add(struct tree *tree, struct job *job, struct buf *out)
{
    struct job_detail *loaded;
    /* A job whose row is damaged is shown as far as it is known. */
    struct job_detail *detail = job_detail_get(job, &loaded) == 0 ? loaded : NULL;
    const char *word = job_state_to_text(job->state);
    buf_addf(out, "<article id=\"job-%lld\" class=\"job %s\" data-state=\"%s\">\n",
             (long long)job->id, state_rows[job->state].look, word);
    if (output_is_there(job, MEDIA_VIDEO))
        video_add(job, detail, out);
    else if (is_private(tree, job) || !error_add(job, detail, "error stage", out))
        buf_addf(out, "<div class=\"media blank\">%s</div>\n", state_rows[job->state].stage);
    buf_add_text(out, "<div class=\"text\">\n<div class=\"top\"><h2 dir=\"auto\"><a href=\"");
    url_add_file(out, job, "");
    buf_add_text(out, "\">");
    html_add_text(out, job->name);
    buf_addf(out, "</a></h2><span class=\"state\">%s</span></div>\n", word);
    words_add(tree, job, detail, out);
    if (!is_private(tree, job))
        links_add(job, out);
    facts_add(job, detail, out);
    buf_add_text(out, "</div>\n</article>\n");
}

static int64_t index_key(const struct job *job)
{
    return max_int64(job->attempt_id, job->id); /* both come from one sequence of numbers */
}

static int index_compare(const void *a, const void *b)
{
    int64_t left = index_key(*(struct job *const *)a);
    int64_t right = index_key(*(struct job *const *)b);
    return left < right ? 1 : left > right ? -1 : 0;
}

/* Collects the latest INDEX_JOBS_MAX of all jobs. It keeps at most twice as many: then it drops the
 * earlier half, and from then on skips jobs that are earlier than the rest. */
static int index_collect(struct index *index)
{
    struct jobs *jobs = index->tree->settings.jobs;
    int64_t earliest = 0;
    index->jobs = malloc(sizeof(struct job *) * 2 * INDEX_JOBS_MAX);
    if (!index->jobs)
        return -ENOMEM;
    for (struct job *job = jobs_next(jobs, 0); job; job = jobs_next(jobs, job->id)) {
        index->all++;
        index->held += job->state == JOB_HELD && job->hold == JOB_HOLD_RESTORED;
        if (index_key(job) < earliest)
            continue;
        if (index->count == (size_t)2 * INDEX_JOBS_MAX) {
            qsort(index->jobs, index->count, sizeof(struct job *), index_compare);
            index->count = INDEX_JOBS_MAX;
            earliest = index_key(index->jobs[INDEX_JOBS_MAX - 1]);
        }
        index->jobs[index->count++] = job;
    }
    qsort(index->jobs, index->count, sizeof(struct job *), index_compare);
    if (index->count > INDEX_JOBS_MAX)
        index->count = INDEX_JOBS_MAX;
    return 0;
}

static void revision_add(const struct index *index, struct buf *out)
{
    buf_addf(out, "%016llx-%llu", (unsigned long long)index->tree->index_key,
             (unsigned long long)index->tree->index_revision);
}

static void note_add(const struct index *index, struct buf *out)
{
    if (index->all > index->count)
        buf_addf(out, "The latest %zu of %zu jobs. The others are in jobs/ like these.",
                 index->count, index->all);
}

/* Not for ever: who moves the data directory to another disk makes a copy, too (S-RESTORE-3). */
static int copy_collect(struct index *index)
{
    const struct tree *tree = index->tree;
    int r = store_number_get(tree->settings.store, "restored_ms", &index->restored_ms);
    index->until_ms = INT64_MAX;
    if (r < 0 || index->restored_ms == 0 || index->held > 0)
        return r;
    int64_t until_ms = index->restored_ms + COPY_SHOWN_MS;
    if (clock_wall_ms(tree->settings.clock) < until_ms)
        index->until_ms = until_ms;
    else
        index->restored_ms = 0;
    return 0;
}

static void copy_add(const struct index *index, struct buf *out)
{
    char when[TEXT_TIME_SIZE];
    if (index->restored_ms == 0)
        return;
    text_time_rfc3339(index->restored_ms, when);
    buf_addf(out,
             "This data directory is a restored backup or a copy (noticed on %.10s at %.5s UTC): ",
             when, when + 11);
    if (index->held == 0)
        buf_add_text(out, "nothing that waited in it is held now");
    else if (index->held == 1)
        buf_add_text(out, "one job that waited in it is held until you order it");
    else
        buf_addf(out, "%zu jobs that waited in it are held until you order them", index->held);
    buf_add_text(out, ", and what was spent since the copy was made is not in the budget.");
}

static void empty_add(const struct index *index, struct buf *out)
{
    buf_add_text(out, index->all > 0 ? " hidden" : "");
}

static void jobs_add(const struct index *index, struct buf *out)
{
    for (size_t i = 0; i < index->count; i++)
        card_add(index->tree, index->jobs[i], out);
}

/* The words in double braces in index.html. */
static const struct {
    const char *name;
    void (*add)(const struct index *index, struct buf *out);
} places[] = {
    {"{{revision}}", revision_add}, {"{{copy}}", copy_add}, {"{{note}}", note_add},
    {"{{empty}}", empty_add},       {"{{jobs}}", jobs_add},
};

static void page_add(const struct index *index, struct buf *out)
{
    const char *from = tree_index_page;
    const char *brace;
    while ((brace = strstr(from, "{{")) != NULL) {
        size_t taken = 2;
        size_t i = 0;
        while (i < ARRAY_COUNT(places) &&
               strncmp(brace, places[i].name, strlen(places[i].name)) != 0)
            i++;
        if (i < ARRAY_COUNT(places))
            taken = strlen(places[i].name);
        buf_add(out, from, (size_t)(brace - from) + (i < ARRAY_COUNT(places) ? 0 : taken));
        if (i < ARRAY_COUNT(places))
            places[i].add(index, out);
        from = brace + taken;
    }
    buf_add_text(out, from);
}

void index_init(struct tree *tree)
{
    buf_init(&tree->index_page, INDEX_BYTES_MAX);
    /* Without random bytes the page works all the same, but other pages that frame it could ask for
     * its cards, too. */
    (void)!getrandom(&tree->index_key, sizeof(tree->index_key), GRND_NONBLOCK);
}

void index_fini(struct tree *tree)
{
    buf_fini(&tree->index_page);
}

void index_changed(struct tree *tree)
{
    tree->index_revision++;
    buf_fini(&tree->index_page);
    buf_init(&tree->index_page, INDEX_BYTES_MAX);
}

int index_render(struct tree *tree, const struct node *node UNUSED, struct buf *out)
{
    struct index index = {.tree = tree};
    int r = 0;
    if (tree->index_page.len > 0 && clock_wall_ms(tree->settings.clock) >= tree->index_until_ms)
        index_changed(tree);
    if (tree->index_page.len == 0) {
        r = index_collect(&index);
        if (r == 0)
            r = copy_collect(&index);
        if (r == 0) {
            tree->index_until_ms = index.until_ms;
            page_add(&index, &tree->index_page);
            r = tree->index_page.error;
        }
        free(index.jobs);
    }
    if (r == 0)
        r = buf_add(out, buf_text(&tree->index_page), tree->index_page.len);
    if (r < 0)
        index_changed(tree); /* a half page is dropped */
    return r;
}
