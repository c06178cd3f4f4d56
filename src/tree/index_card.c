/*
 * One card of index.html. It says each thing once: the picture or the ring shows the state, one bold
 * line why the job stands still, and `details` the whole text of `error` or `reason`. What holds up
 * many jobs is said in a banner above the cards.
 *
 * Nothing of a video is fetched before somebody wants it, and only those covers are fetched that are
 * in view. No signed URL is needed: media are linked by their names.
 */
#include "index_card.h"

#include "html.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/json.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/text.h"

#include <stdlib.h>
#include <string.h>

enum {
    PROMPT_BYTES_MAX = 8000,
    PROMPT_CLAMPED_BYTES = 120, /* about three lines: longer ones are folded */
    ERROR_BYTES_MAX = 4000,
    LINE_BYTES_MAX = 160,            /* of the service's message, as a line */
    REQUEST_BYTES_MAX = 1024 * 1024, /* of a request in which the prompt is looked for */
    LINKS_BYTES_MAX = 4000,
    TAKES_SHOWN_MAX = 12,
};

/* How a state looks: the class of its card, and the picture of a card without a video. */
static const struct {
    const char *look;
    const char *icon;
    const char *word; /* of a card that says nothing else about it */
} state_rows[JOB_STATE_COUNT] = {
    [JOB_DRAFT] = {"rest", "draft", "Not submitted"},
    [JOB_INVALID] = {"bad", "fail", "Not submitted"},
    [JOB_HELD] = {"doubt", "hold", "Held: nothing was sent"},
    [JOB_WAITING] = {"doubt", "wait", "Waits to be sent"},
    [JOB_SUBMITTING] = {"going", "wait", "Is being sent"},
    [JOB_UNKNOWN] = {"doubt", "unknown", "It may have been charged"},
    [JOB_REJECTED] = {"bad", "fail", "Refused by the service"},
    [JOB_QUEUED] = {"going", "wait", "In line at the service"},
    [JOB_RUNNING] = {"going", "wait", "Is being made"},
    [JOB_SUCCEEDED] = {"good", "wait", "Almost there"},
    [JOB_FAILED] = {"bad", "fail", "The service could not make it"},
    [JOB_CANCELLED] = {"rest", "fail", "Cancelled at the service"},
    [JOB_EXPIRED] = {"bad", "fail", "Expired at the service"},
    [JOB_LOST] = {"bad", "fail", "The service does not know it"},
};

/* A reason in a few words; of those that concern many jobs also what "16 jobs …" do. */
static const struct {
    int code;
    const char *short_text;
    const char *many;
} reason_rows[] = {
    {-ERR_BUDGET, "Waits for the budget", "wait for the budget"},
    {-ERR_KEY_MISSING, "Waits for an API key", "wait for an API key"},
    {-ERR_KEY_REFUSED, "The API key was refused", "wait: the service refused the API key"},
    {-ERR_ACCOUNT_REFUSED, "The account was refused", "wait: the service refused the account"},
    {-ERR_QUOTA, "A quota is used up", "wait: a quota of the account is used up"},
    {-ERR_THROTTLED, "The service asked to wait", "wait: the service asked to"},
    {-ERR_MAX_ACTIVE, "Waits for a free place", "wait for a free place"},
    {-ERR_HTTP_CONNECT, "The service cannot be reached", "wait: the service cannot be reached"},
    {-ERR_HTTP_RESOLVE, "The service cannot be reached", "wait: the service cannot be found"},
    {-ERR_HTTP_TLS, "The service cannot be trusted", "wait: the service's certificate is wrong"},
    {-ERR_STALE, "No news from the service", "have no news from the service"},
    {-ERR_HELD, "Held: nothing was sent", "are held: nothing of them was sent"},
    {-ERR_HELD_COPY, "Held: looks like a copy", "are held: they look like copies of jobs"},
    {-ERR_HELD_RESTORED, "Held: this is a copy", NULL}, /* the page says so at its top */
    {-ERR_WAITS_FOR_QUIET, "Is sent in a moment", NULL},
    {-ERR_WAITS_FOR_TURN, "Waits for its turn", NULL},
    {-ERR_WAITS_FOR_INPUT, "Its inputs are made ready", NULL},
    {-ERR_INPUT_MISSING, "Held: a file is not there", NULL},
    {-ERR_INPUT_CHANGED, "Held: an input is missing or another one", NULL},
    {-ERR_PRICE_RISEN, "Held: it costs more than accepted", NULL},
    {-ERR_NOT_SUBMITTED, "It was not submitted", NULL},
    {-ERR_PROMPT_REOPENED, "The prompt may be written anew", NULL},
    {-ERR_PROMPT_INVALID, "A mistake in the prompt", NULL},
    {-ERR_JSON_INCOMPLETE, "The prompt ends too early", NULL},
    {-ERR_OUTCOME_UNKNOWN, "It may have been charged", NULL},
    {-ERR_TASK_LOST, "The service does not know it", NULL},
    {-ERR_MEDIA_GONE, "Part of the video is gone", NULL},
    {-ERR_MEDIA_DAMAGED, "The video on disk is damaged", NULL},
    {-ERR_MEDIA_RESPONSE, "The video cannot be read now", NULL},
};
_Static_assert(ARRAY_COUNT(reason_rows) <= INDEX_REASONS, "each row has a place");

static size_t reason_row_find(int code)
{
    size_t i = 0;
    while (i < ARRAY_COUNT(reason_rows) && reason_rows[i].code != code)
        i++;
    return i;
}

void index_usd_add(struct buf *out, int64_t usd_micros)
{
    char usd[TEXT_MONEY_SIZE];
    text_usd(usd_micros, usd);
    buf_addf(out, "$%s", usd);
}

/* What a request says that the card shows. */
struct request {
    struct json_document *document;
    const char *prompt; /* NULL: none */
    const char *ratio;  /* NULL: not said */
    const char *name;   /* of the file that has the rest */
};

static void request_fini(struct request *request)
{
    json_document_free(request->document);
}

static void request_parse(const struct buf *text, struct request *out)
{
    int r = json_parse(buf_text(text), text->len, NULL, &out->document, NULL);
    const struct json *root = r == 0 ? json_document_root(out->document) : NULL;
    out->prompt = json_text_get(json_member_get(root, "prompt"));
    out->ratio = json_text_get(json_member_get(root, "aspect_ratio"));
}

/* The request that was sent; before that, the prompt file, of which `text` keeps the bytes. */
static void request_read(struct tree *tree, const struct job *job, const struct job_detail *detail,
                         struct buf *text, struct request *out)
{
    const struct job_file *file = job_file_find_prompt(detail);
    if (job->attempt_id) {
        out->name = "request.json";
        if (jobs_request_get(tree->settings.jobs, job, text) == 0)
            request_parse(text, out);
        return;
    }
    if (!file || job_file_read(file, text) < 0)
        return;
    out->name = file->name;
    if (job_name_is_prompt_text(file->name)) {
        const char *prompt = buf_text(text) + strspn(buf_text(text), " \t\r\n");
        out->prompt = *prompt && text_is_utf8(buf_text(text), text->len) ? prompt : NULL;
    } else {
        request_parse(text, out);
    }
}

/* "9:16" is tall, "16:9" wide; what the service chooses the page sees when the picture is there. */
static const char *request_shape(const struct request *request)
{
    const char *colon = request->ratio ? strchr(request->ratio, ':') : NULL;
    if (!colon)
        return "";
    int width = atoi(request->ratio);
    int height = atoi(colon + 1);
    return width < height ? "tall" : width > height ? "wide" : "square";
}

static void prompt_add(const struct job *job, const struct request *request, struct buf *out)
{
    if (!request->prompt)
        return;
    size_t len = text_cut(request->prompt, PROMPT_BYTES_MAX);
    bool is_long = len > PROMPT_CLAMPED_BYTES;
    buf_addf(out, "<p class=\"prompt%s\" dir=\"auto\">", is_long ? " clamped" : "");
    html_add(out, request->prompt, len);
    if (request->prompt[len]) {
        buf_add_text(out, "… <a href=\"");
        url_add_file(out, job, request->name);
        buf_add_text(out, "\">all of it</a>");
    }
    buf_add_text(out, "</p>\n");
    if (is_long)
        buf_add_text(out, "<button class=\"more\" type=\"button\" aria-expanded=\"false\">more"
                          "</button>\n");
}

/* Up to the first newline, or as much as fits on a line. */
static void line_add(struct buf *out, const char *text)
{
    size_t len = min_size(strcspn(text, "\n"), text_cut(text, LINE_BYTES_MAX));
    html_add(out, text, len);
    if (text[len] && text[len] != '\n')
        buf_add_text(out, "…");
}

/* The reason in a few words. Where the service says what is wrong, its words follow. */
static void short_add(const struct job *job, const struct job_detail *detail, int code,
                      const char *reason, struct buf *out)
{
    const struct store_attempt *attempt = job_attempt_get(detail);
    struct job_cause cause;
    size_t row = reason_row_find(code);
    bool is_ours = row < ARRAY_COUNT(reason_rows);
    buf_add_text(out, "<p class=\"short\"><b>");
    if (is_ours)
        buf_add_text(out, reason_rows[row].short_text);
    else if (code && reason)
        line_add(out, reason);
    else
        buf_add_text(out, state_rows[job->state].word);
    buf_add_text(out, "</b>");
    if (code == 0 && attempt->error_message) {
        buf_add_text(out, " ");
        line_add(out, attempt->error_message);
    } else if (job_cause_get(job, &cause) && cause.line) {
        buf_addf(out, " line %u, column %u%s", cause.line, cause.column,
                 cause.field[0] ? ": " : "");
        html_add_text(out, cause.field);
    }
    buf_add_text(out, "</p>\n");
}

/* `name`: of the job, where it is not said by the card around it. */
static void texts_add(const char *name, const char *const *texts, size_t count, struct buf *out)
{
    buf_add_text(out, "<details><summary>Details</summary><pre>");
    if (name) {
        html_add_text(out, name);
        buf_add_text(out, ": ");
    }
    for (size_t i = 0; i < count; i++) {
        if (texts[i])
            html_add(out, texts[i], text_cut(texts[i], ERROR_BYTES_MAX));
    }
    buf_add_text(out, "</pre></details>\n");
}

/* Why it stands still, and what is wrong. `out` is NULL when not everybody may know: it is counted. */
static void why_add(const struct job *job, struct job_detail *detail, struct index_reasons *reasons,
                    struct buf *out)
{
    const char *reason = job_reason_get(detail);
    const char *texts[] = {job_prompt_problem_get(detail), job_problem_get(job)};
    struct job_cause cause;
    bool is_wrong = job_cause_get(job, &cause) != NULL;
    int code = is_wrong ? cause.code : job_reason_code_get(detail);
    size_t row = reason_row_find(code);
    if (!is_wrong && !reason)
        return;
    if (row < ARRAY_COUNT(reason_rows)) {
        reasons->count[row]++;
        if (out && !reasons->job_id[row])
            reasons->job_id[row] = job->id;
    }
    if (!out)
        return;
    short_add(job, detail, code, reason, out);
    if (!is_wrong)
        texts_add(NULL, &reason, row < ARRAY_COUNT(reason_rows) ? 1 : 0, out);
    else
        texts_add(NULL, texts, ARRAY_COUNT(texts), out);
}

struct links_add {
    struct tree *tree;
    struct buf *out;
    mode_t readers;    /* see write_links() of render.c; 0: no difference is made */
    unsigned left_out; /* for want of room */
};

static void link_add(void *context, const struct job *job)
{
    struct links_add *add = context;
    struct jobs *jobs = add->tree->settings.jobs;
    if (add->readers && (add->readers & ~job_readers_get(jobs_get(jobs, job->id))))
        return;
    if (add->out->len > LINKS_BYTES_MAX) {
        add->left_out++;
        return;
    }
    buf_addf(add->out, " <a href=\"#job-%lld\">", (long long)job->id);
    html_add_text(add->out, job->name);
    buf_add_text(add->out, "</a>");
}

static void links_end(const struct links_add *add, const char *word, struct buf *out)
{
    if (add->out->len == 0)
        return;
    buf_addf(out, "<p class=\"chain\">%s%s", word, buf_text(add->out));
    if (add->left_out)
        buf_addf(out, " and %u more", add->left_out);
    buf_add_text(out, "</p>\n");
}

/* Where it comes from and where it goes; a click leads to the card of that job. */
static void chain_add(struct tree *tree, struct job *job, struct buf *out)
{
    CLEANUP(buf_fini) struct buf from = {.limit = out->limit};
    CLEANUP(buf_fini) struct buf to = {.limit = out->limit};
    struct links_add add = {.tree = tree, .out = &from};
    job_depends_on_each(job, link_add, &add);
    links_end(&add, "from", out);
    add = (struct links_add){.tree = tree, .out = &to};
    add.readers = tree->settings.is_shared ? job_readers_get(job) : 0;
    job_needed_by_each(job, link_add, &add);
    links_end(&add, "for", out);
}

/* The picked one is where a click on the picture leads. */
static void takes_add(const struct job *job, struct buf *out)
{
    const struct job_take *take;
    int count = 0;
    LL_COUNT(job->takes, take, count);
    if (count < 2)
        return;
    buf_addf(out, "<p class=\"takes\">take %lld of %d", (long long)job->picked->number, count);
    int shown = 0;
    LL_FOREACH (job->takes, take) {
        if (take == job->picked || take->video_bytes < 0 || (take->hidden & JOB_TAKE_VIDEO) ||
            ++shown > TAKES_SHOWN_MAX)
            continue;
        buf_add_text(out, " <a class=\"take\" href=\"");
        url_add_file(out, job, "takes/");
        buf_addf(out, "%lld.mp4\" aria-label=\"Play take %lld of ", (long long)take->number,
                 (long long)take->number);
        html_add_text(out, job->name);
        buf_addf(out, "\">%lld</a>", (long long)take->number);
    }
    buf_add_text(out, "</p>\n");
}

static void cost_add(const struct job *job, const struct store_attempt *attempt, struct buf *out)
{
    const char *what;
    int64_t usd_micros = cost_get(job, attempt, &what);
    bool is_risk = job_at_risk_usd_micros(job->state, attempt) > 0;
    bool is_known = attempt->actual_usd_micros >= 0 || job->state == JOB_REJECTED;
    buf_addf(out, "<span class=\"cost%s\" title=\"%s\"><b>%s", is_risk ? " risk" : "", what,
             is_known || is_risk ? "" : "≈ ");
    index_usd_add(out, usd_micros);
    buf_addf(out, "</b>%s</span> ", is_risk ? " at risk" : "");
}

static void facts_add(const struct job *job, const struct job_detail *detail, struct buf *out)
{
    const struct store_attempt *attempt = job_attempt_get(detail);
    char when[TEXT_TIME_SIZE];
    buf_add_text(out, "<p class=\"facts\">");
    if (attempt->id) {
        cost_add(job, attempt, out);
        buf_add_text(out, "<span title=\"");
        html_add_text(out, attempt->model ? attempt->model : "");
        buf_add_text(out, "\">");
        html_add_text(out, attempt->resolution ? attempt->resolution : "");
        int64_t ms = attempt->output_ms > 0 ? attempt->output_ms : attempt->duration_ms;
        bool is_most = attempt->output_ms <= 0 && store_attempt_is_length_open(attempt);
        buf_addf(out, " · %s%lld s</span> ", is_most ? "up to " : "",
                 (long long)((ms + 500) / 1000));
    }
    text_time_rfc3339(job->updated_ms, when);
    buf_addf(out, "<time datetime=\"%s\">%.10s %.5s UTC</time></p>\n", when, when, when + 11);
}

/* What is copied is what is shown: a prompt that is shown in part, or with signs in the place of
 * control characters, is not copied as something else. */
static bool is_shown_as_it_is(const char *text)
{
    size_t len = strlen(text);
    CLEANUP(buf_fini) struct buf shown = {.limit = REQUEST_BYTES_MAX};
    return len <= PROMPT_BYTES_MAX && text_add_shown(&shown, text, len) == 0 && shown.len == len &&
           memcmp(shown.data, text, len) == 0;
}

/* What can be done with it here. Where scripts do not run, the links work all the same. */
static void acts_add(const struct job *job, const struct request *request, bool has_video,
                     struct buf *out)
{
    buf_add_text(out, "<p class=\"acts\">");
    if (has_video) {
        buf_add_text(out, "<a href=\"videos/");
        url_add(out, job->name);
        buf_add_text(out, ".mp4\" download=\"");
        html_add_text(out, job->name);
        buf_add_text(out, ".mp4\" aria-label=\"Download the video of ");
        html_add_text(out, job->name);
        buf_add_text(out, "\">Download</a> ");
    }
    if (request->prompt && *request->prompt && is_shown_as_it_is(request->prompt)) {
        buf_add_text(out,
                     "<button class=\"copies\" type=\"button\" aria-label=\"Copy the prompt of ");
        html_add_text(out, job->name);
        buf_add_text(out, "\">Copy prompt</button> ");
    }
    buf_add_text(out, "<a href=\"");
    url_add_file(out, job, "");
    buf_add_text(out, "\" aria-label=\"Open the folder of ");
    html_add_text(out, job->name);
    buf_add_text(out, "\">Folder</a></p>\n");
}

/* The cover, if there is one, links to the video; the script opens a player. */
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
    buf_add_text(out, "<svg class=\"play\" aria-hidden=\"true\"><use href=\"#i-play\"/></svg>");
    int64_t output_ms = job_attempt_get(detail)->output_ms;
    if (output_ms > 0)
        buf_addf(out, "<span class=\"length\">%lld:%02lld</span>", (long long)(output_ms / 60000),
                 (long long)(output_ms / 1000 % 60));
    buf_add_text(out, "</a>\n");
}

/* How far it is: the page goes on by itself from the times of the beginning and of the end. */
static bool ring_add(const struct tree *tree, struct job *job, struct buf *out)
{
    struct job_progress progress;
    if (job_progress_get(job, &progress) < 0 || progress.eta_ms < 0 || progress.permille < 0)
        return false;
    int64_t now_ms = clock_wall_ms(tree->settings.clock);
    buf_addf(out,
             "<svg class=\"ring\" viewBox=\"0 0 44 44\" aria-hidden=\"true\" data-now=\"%lld\" "
             "data-done=\"%d\" data-left=\"%lld\">"
             "<circle cx=\"22\" cy=\"22\" r=\"19\"/><circle class=\"done\" cx=\"22\" cy=\"22\" "
             "r=\"19\" pathLength=\"1000\" stroke-dasharray=\"%d 1000\"/></svg>",
             (long long)now_ms, progress.permille, (long long)progress.eta_ms, progress.permille);
    int64_t s = (progress.eta_ms + 4999) / 5000 * 5;
    if (s >= 60)
        buf_addf(out, "<span class=\"left\">about %lld min left</span>",
                 (long long)((s + 59) / 60));
    else
        buf_addf(out, "<span class=\"left\">about %lld s left</span>", (long long)max_int64(s, 5));
    return true;
}

static void stage_add(const struct tree *tree, struct job *job, struct buf *out)
{
    bool is_known = job->state == JOB_RUNNING;
    buf_add_text(out, "<div class=\"media blank\">");
    if (!is_known || !ring_add(tree, job, out))
        buf_addf(out, "<svg class=\"icon\" aria-hidden=\"true\"><use href=\"#i-%s\"/></svg>",
                 state_rows[job->state].icon);
    buf_add_text(out, "</div>\n");
}

/* True when somebody may look at the page who may not read the job's prompt. */
static bool is_private(const struct tree *tree, struct job *job)
{
    return tree->settings.is_shared && job_readers_get(job) != 044;
}

static void begin_add(struct job *job, const struct job_detail *detail, const char *shape,
                      struct buf *out)
{
    const struct store_attempt *attempt = job_attempt_get(detail);
    const char *what;
    int64_t usd_micros = attempt->id ? cost_get(job, attempt, &what) : 0;
    buf_addf(out,
             "<article id=\"job-%lld\" class=\"job %s\" data-state=\"%s\" data-at=\"%lld\" "
             "data-usd=\"%lld\"%s%s%s>\n",
             (long long)job->id, state_rows[job->state].look, job_state_to_text(job->state),
             (long long)max_int64(job->attempt_id, job->id), (long long)max_int64(usd_micros, 0),
             *shape ? " data-shape=\"" : "", shape, *shape ? "\"" : "");
}

void index_card_add(struct tree *tree, struct job *job, struct index_reasons *reasons,
                    struct buf *out)
{
    struct job_detail *loaded;
    /* A job whose row is damaged is shown as far as it is known. */
    struct job_detail *detail = job_detail_get(job, &loaded) == 0 ? loaded : NULL;
    bool has_video = output_is_there(job, MEDIA_VIDEO);
    bool is_hidden = is_private(tree, job);
    CLEANUP(buf_fini) struct buf text = {.limit = REQUEST_BYTES_MAX};
    CLEANUP(request_fini) struct request request = {.name = NULL};
    if (!is_hidden)
        request_read(tree, job, detail, &text, &request);
    const char *shape = request_shape(&request);
    reasons->tall += strcmp(shape, "tall") == 0;
    reasons->wide += strcmp(shape, "tall") != 0;
    begin_add(job, detail, shape, out);
    if (has_video)
        video_add(job, detail, out);
    else
        stage_add(tree, job, out);
    buf_add_text(out, "<div class=\"text\">\n<div class=\"top\"><h3 dir=\"auto\"><a href=\"");
    url_add_file(out, job, "");
    buf_add_text(out, "\">");
    html_add_text(out, job->name);
    buf_addf(out, "</a></h3><span class=\"state\">%s</span></div>\n",
             job_state_to_text(job->state));
    if (is_hidden) {
        buf_add_text(out, "<p class=\"quiet\">Its prompt is not for everybody, and not shown "
                          "here.</p>\n");
        why_add(job, detail, reasons, NULL);
    } else {
        prompt_add(job, &request, out);
        why_add(job, detail, reasons, out);
        chain_add(tree, job, out);
        /* Asking who may read those jobs has loaded their details, perhaps in the place of this one's. */
        detail = job_detail_get(job, &loaded) == 0 ? loaded : NULL;
    }
    takes_add(job, out);
    facts_add(job, detail, out);
    acts_add(job, &request, has_video, out);
    buf_add_text(out, "</div>\n</article>\n");
}

static void banner_add(unsigned count, size_t row, struct job *job, struct buf *out)
{
    bool is_held = reason_rows[row].code == -ERR_HELD;
    struct job_detail *detail;
    const char *reason = job && job_detail_get(job, &detail) == 0 ? job_reason_get(detail) : NULL;
    buf_addf(out, "<div class=\"banner\"><p><b>%u jobs %s.</b></p>", count, reason_rows[row].many);
    if (is_held)
        /* Which of them to order is for the user to say: others are held because they are copies. */
        buf_add_text(out, "<p>The file <code>cost</code> of each has its price. To order one: "
                          "<code>echo submit &gt; jobs/NAME/ctl</code></p>");
    else if (reason && reason_rows[row].code != -ERR_HELD_COPY)
        texts_add(job->name, &reason, 1, out);
    buf_add_text(out, "</div>\n");
}

void index_banners_add(struct tree *tree, const struct index_reasons *reasons, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_COUNT(reason_rows); i++) {
        if (reason_rows[i].many && reasons->count[i] > 1)
            banner_add(reasons->count[i], i, jobs_get(tree->settings.jobs, reasons->job_id[i]),
                       out);
    }
}
