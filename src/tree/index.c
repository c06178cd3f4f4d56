/*
 * index.html at the root: shows every job on one page, without server or network. The fixed part is
 * in index.html beside this file, as a page that can be read and edited. This file puts the rest in:
 * the money, what holds up many jobs, and the cards (index_card.c).
 *
 * Everything that comes from outside goes through html_add() or url_add() of html.c. Nothing else
 * is added but texts of the program.
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
#include "index_card.h"

#include "html.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { INDEX_JOBS_MAX = 1000, INDEX_BYTES_MAX = 32 * 1024 * 1024 };

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

struct index {
    struct tree *tree;
    struct job **jobs; /* the ones shown, latest first */
    size_t count;
    size_t all;          /* jobs in the mount */
    size_t held;         /* of them: held because the data directory is a copy */
    int64_t restored_ms; /* when it was noticed last that it is a copy; 0: never */
    int64_t until_ms;    /* wall time when the page changes by itself */
    struct index_reasons reasons;
    struct buf cards;
};

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

/* "in all", "today": of a budget. */
static const char *period_word(enum job_budget_period period)
{
    return period == JOB_BUDGET_DAY     ? "today"
           : period == JOB_BUDGET_MONTH ? "this month"
                                        : "in all";
}

static void sum_add(struct buf *out, const char *class, const char *word, int64_t usd_micros)
{
    buf_addf(out, "<div class=\"%s\"><dt>%s</dt><dd>", class, word);
    index_usd_add(out, usd_micros);
    buf_add_text(out, "</dd></div>\n");
}

static void budget_add(const struct index *index, struct buf *out)
{
    struct job_budget_state state;
    if (spend_budget_get(index->tree, &state) < 0 || state.budget.limit_usd_micros == 0)
        return;
    int64_t limit = state.budget.limit_usd_micros;
    int64_t left = max_int64(limit - state.used_usd_micros, 0);
    int permille = (int)min_int64(state.used_usd_micros / max_int64(limit / 1000, 1), 1000);
    buf_addf(out, "<div class=\"budget%s\"><dt>Budget %s</dt><dd>",
             permille >= 800 ? " scarce" : "", period_word(state.budget.period));
    index_usd_add(out, left);
    buf_add_text(out, " <small>left of ");
    index_usd_add(out, limit);
    buf_addf(out,
             "</small><svg class=\"gauge\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" "
             "aria-hidden=\"true\"><rect class=\"all\" width=\"1000\" height=\"10\"/><rect "
             "width=\"%d\" height=\"10\"/></svg></dd></div>\n",
             permille);
}

/* Only what there is. When it cannot be read now, nothing is said of it. */
static void money_add(const struct index *index, struct buf *out)
{
    static const struct {
        const char *class;
        const char *word;
        int sum;
    } rows[] = {{"", "Reserved", SPEND_RESERVED},
                {"risk", "At risk", SPEND_AT_RISK},
                {"", "Held", SPEND_HELD},
                {"", "Waiting", SPEND_WAITING}};
    int64_t sums[SPEND_SUMS];
    if (spend_sums_get(index->tree, sums) < 0)
        return;
    sum_add(out, "spent", "Spent", sums[SPEND_SETTLED]);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (sums[rows[i].sum] > 0)
            sum_add(out, rows[i].class, rows[i].word, sums[rows[i].sum]);
    }
    budget_add(index, out);
}

static void banners_add(const struct index *index, struct buf *out)
{
    index_banners_add(index->tree, &index->reasons, out);
}

/* What a prompt costs that says nothing else, with the defaults of this mount. */
static void price_add(const struct index *index, struct buf *out)
{
    CLEANUP(store_attempt_fini) struct store_attempt attempt = {0};
    if (index->all > 0 || jobs_estimate_get(index->tree->settings.jobs, &attempt) < 0)
        return;
    buf_add_text(out, "This costs about ");
    index_usd_add(out, attempt.estimated_usd_micros);
    buf_add_text(out, " (");
    html_add_text(out, attempt.model);
    buf_add_text(out, ", ");
    html_add_text(out, attempt.resolution);
    buf_addf(out, ", %s%lld s).", store_attempt_is_length_open(&attempt) ? "at most " : "",
             (long long)(attempt.duration_ms / 1000));
}

/* Most pictures are higher than wide: so are the places for them. */
static void shape_add(const struct index *index, struct buf *out)
{
    if (index->reasons.tall > index->reasons.wide)
        buf_add_text(out, " tall");
}

static void jobs_add(const struct index *index, struct buf *out)
{
    buf_add(out, buf_text(&index->cards), index->cards.len);
}

/* The words in double braces in index.html. */
static const struct {
    const char *name;
    void (*add)(const struct index *index, struct buf *out);
} places[] = {
    {"{{revision}}", revision_add}, {"{{copy}}", copy_add},   {"{{note}}", note_add},
    {"{{empty}}", empty_add},       {"{{jobs}}", jobs_add},   {"{{money}}", money_add},
    {"{{banners}}", banners_add},   {"{{price}}", price_add}, {"{{shape}}", shape_add},
};

/* The cards come first, because the rest says what they have in common. */
static int cards_make(struct index *index)
{
    for (size_t i = 0; i < index->count; i++)
        index_card_add(index->tree, index->jobs[i], &index->reasons, &index->cards);
    return index->cards.error;
}

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

/* The money on the page is that of the budget's period. */
static int64_t budget_until_ms(struct tree *tree)
{
    struct job_budget_state state;
    return spend_budget_get(tree, &state) == 0 ? state.until_ms : INT64_MAX;
}

int index_render(struct tree *tree, const struct node *node UNUSED, struct buf *out)
{
    struct index index = {.tree = tree, .cards.limit = INDEX_BYTES_MAX};
    int r = 0;
    if (tree->index_page.len > 0 && clock_wall_ms(tree->settings.clock) >= tree->index_until_ms)
        index_changed(tree);
    if (tree->index_page.len == 0) {
        r = index_collect(&index);
        if (r == 0)
            r = copy_collect(&index);
        if (r == 0)
            r = cards_make(&index);
        if (r == 0) {
            tree->index_until_ms = min_int64(index.until_ms, budget_until_ms(tree));
            page_add(&index, &tree->index_page);
            r = tree->index_page.error;
        }
        buf_fini(&index.cards);
        free(index.jobs);
    }
    if (r == 0)
        r = buf_add(out, buf_text(&tree->index_page), tree->index_page.len);
    if (r < 0)
        index_changed(tree); /* a half page is dropped */
    return r;
}
