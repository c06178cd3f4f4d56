/*
 * The generated files of a job: one table, one function each. A rendering is a snapshot. It is made
 * when the file is opened, and when somebody asks for its size. One place, generated_render(),
 * makes text from outside fit to be shown.
 */
#include "tree_private.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/json.h"
#include "seedancefs/base/text.h"
#include "seedancefs/job/ctl.h"
#include "seedancefs/objects/objects.h"

#include <stdlib.h>
#include <string.h>

static bool has_attempt(const struct job *job, const struct job_detail *detail UNUSED)
{
    return job->attempt_id != 0;
}

bool generated_has_response(const struct job *job, const struct job_detail *detail)
{
    return job->attempt_id != 0 &&
           (job_attempt_get(detail)->http_status != 0 || job_attempt_get(detail)->task_id);
}

static bool has_url(const struct job *job, const struct job_detail *detail UNUSED)
{
    int64_t expires_ms = job->picked ? job->picked->url_expires_ms : -1;
    return expires_ms == 0 || expires_ms > clock_wall_ms(clock_system());
}

bool generated_has_problem(const struct job *job, const struct job_detail *detail)
{
    return job->has_problem || job_prompt_problem_get(detail);
}

static int render_status(struct tree *tree UNUSED, struct job *job,
                         struct job_detail *detail UNUSED, struct buf *out)
{
    return buf_addf(out, "%s\n", job_state_to_text(job->state));
}

static void write_error(struct json_writer *w, const struct job *job,
                        const struct job_detail *detail)
{
    const struct store_attempt *attempt = job_attempt_get(detail);
    struct job_cause cause;
    const char *code = job_cause_get(job, &cause);
    const char *message = job->has_problem ? attempt->error_message : NULL;
    json_write_key(w, "error");
    if (!code) {
        json_write_null(w);
        return;
    }
    if (!message)
        message = job->has_problem ? job_problem_get(job) : job_prompt_problem_get(detail);
    json_write_object_begin(w);
    json_write_member_string(w, "code", code);
    json_write_member_string(w, "message", message);
    json_write_member_string(w, "field", cause.field[0] ? cause.field : NULL);
    write_number(w, "line", cause.line ? (int64_t)cause.line : -1);
    write_number(w, "column", cause.line ? (int64_t)cause.column : -1);
    write_number(w, "http_status", attempt->http_status > 0 ? attempt->http_status : -1);
    json_write_member_string(w, "request_id", attempt->request_id);
    json_write_object_end(w);
}

/* When its video was in the object store, and where it is there. */
static void write_stored(const struct tree *tree, struct json_writer *w, struct job_take *take)
{
    struct store_attempt *attempt;
    struct stored_key key;
    CLEANUP(buf_fini) struct buf place = {.limit = 4096};
    bool is_known = take->is_stored && job_take_attempt_get(take, &attempt) == 0;
    bool is_placed = stored_is_there(tree, take) && stored_key_get(tree, take->id, &key) == 0 &&
                     buf_addf(&place, "%s%s", objects_name(tree->settings.objects), key.text) == 0;
    write_time(w, "stored_at", is_known ? attempt->stored_ms : 0);
    json_write_member_string(w, "stored_as", is_placed ? buf_text(&place) : NULL);
}

static void write_output(struct tree *tree, struct json_writer *w, struct job_take *take)
{
    json_write_key(w, "output");
    if (!take || take->video_bytes < 0) {
        json_write_null(w);
        return;
    }
    CLEANUP(output_close) struct media_item *item = NULL;
    int64_t cached_bytes = -1;
    bool is_archived = false;
    if (output_open(tree, take, MEDIA_VIDEO, &item) == 0) {
        cached_bytes = media_item_cached_bytes(item);
        is_archived = media_item_is_durable(item);
    }
    json_write_object_begin(w);
    json_write_member_int64(w, "bytes", take->video_bytes);
    write_number(w, "cached_bytes", cached_bytes);
    write_time(w, "url_expires_at", take->url_expires_ms);
    json_write_key(w, "archived");
    if (cached_bytes < 0) /* it cannot be read now, which says nothing about what is there */
        json_write_null(w);
    else
        json_write_bool(w, is_archived);
    write_stored(tree, w, take);
    json_write_object_end(w);
}

static void write_takes(struct json_writer *w, const struct job *job)
{
    const struct job_take *take;
    write_number(w, "take", job->picked ? job->picked->number : -1);
    json_write_key(w, "takes");
    json_write_array_begin(w);
    LL_FOREACH (job->takes, take) {
        json_write_object_begin(w);
        json_write_member_int64(w, "take", take->number);
        write_number(w, "bytes", take->video_bytes);
        write_time(w, "finished_at", take->finished_ms);
        json_write_key(w, "hidden");
        json_write_bool(w, (take->hidden & JOB_TAKE_VIDEO) != 0);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

/* The amount that may or may not have been charged. spend.c uses the same rule for all attempts. */
int64_t job_at_risk_usd_micros(enum job_state state, const struct store_attempt *attempt)
{
    bool is_ended_badly = attempt->task_id && attempt->finished_ms && state != JOB_SUCCEEDED;
    bool is_at_risk = attempt->actual_usd_micros < 0 && (state == JOB_UNKNOWN || is_ended_badly);
    return is_at_risk ? attempt->estimated_usd_micros : 0;
}

static void name_write(void *context, const struct job *job)
{
    json_write_string(context, job->name);
}

struct followers_write {
    struct json_writer *w;
    struct jobs *jobs;
    mode_t readers; /* of this job's words; 0: there is nobody else */
};

/* Not to those who may not read that job's prompt, in which this one's name stands. */
static void follower_write(void *context, const struct job *job)
{
    const struct followers_write *write = context;
    if (write->readers && (write->readers & ~job_readers_get(jobs_get(write->jobs, job->id))))
        return;
    json_write_string(write->w, job->name);
}

static void write_links(const struct tree *tree, struct json_writer *w, struct job *job)
{
    struct followers_write followers = {.w = w,
                                        .jobs = tree->settings.jobs,
                                        .readers =
                                            tree->settings.is_shared ? job_readers_get(job) : 0};
    json_write_key(w, "depends_on");
    json_write_array_begin(w);
    job_depends_on_each(job, name_write, w);
    json_write_array_end(w);
    json_write_key(w, "needed_by");
    json_write_array_begin(w);
    job_needed_by_each(job, follower_write, &followers);
    json_write_array_end(w);
    json_write_member_bool(w, "inputs_changed", job_inputs_are_changed(job));
}

static int render_status_json(struct tree *tree, struct job *job, struct job_detail *detail,
                              struct buf *out)
{
    const struct store_attempt *attempt = job_attempt_get(detail);
    bool is_tried = attempt->id != 0;
    struct json_writer w;
    json_writer_init(&w, out, JSON_PRETTY);
    json_write_object_begin(&w);
    json_write_member_int64(&w, "schema", JOB_JSON_SCHEMA);
    json_write_member_string(&w, "name", job->name);
    json_write_member_string(&w, "state", job_state_to_text(job->state));
    json_write_member_string(&w, "reason", job_reason_get(detail));
    int reason_code = job_reason_code_get(detail);
    json_write_member_string(&w, "reason_code", reason_code ? err_name(reason_code) : NULL);
    json_write_member_string(&w, "task_id", attempt->task_id);
    json_write_member_string(&w, "model", attempt->model);
    json_write_member_string(&w, "resolution", attempt->resolution);
    write_number(&w, "duration_s", is_tried ? attempt->duration_ms / 1000 : -1);
    write_number(&w, "attempt", is_tried ? attempt->number : -1);
    write_time(&w, "created_at", job->created_ms);
    write_time(&w, "submitted_at", attempt->submitted_ms);
    write_time(&w, "finished_at", attempt->finished_ms);
    write_time(&w, "updated_at", job->updated_ms);
    progress_write(&w, job);
    json_write_key(&w, "cost");
    json_write_object_begin(&w);
    json_write_member_string(&w, "currency", "USD");
    CLEANUP(store_attempt_fini) struct store_attempt estimate = {.estimated_usd_micros = -1};
    if (!is_tried)
        (void)!job_estimate_get(job, &estimate); /* then there is none */
    write_usd(&w, "estimated",
              is_tried ? attempt->estimated_usd_micros : estimate.estimated_usd_micros);
    write_usd(&w, "actual", is_tried ? attempt->actual_usd_micros : -1);
    write_usd(&w, "at_risk", is_tried ? job_at_risk_usd_micros(job->state, attempt) : -1);
    json_write_object_end(&w);
    write_error(&w, job, detail);
    write_output(tree, &w, job->picked);
    write_takes(&w, job);
    write_links(tree, &w, job);
    json_write_object_end(&w);
    return buf_add_char(out, '\n');
}

static int render_request(struct tree *tree, struct job *job, struct job_detail *detail UNUSED,
                          struct buf *out)
{
    return jobs_request_get(tree->settings.jobs, job, out);
}

static int render_response(struct tree *tree, struct job *job, struct job_detail *detail UNUSED,
                           struct buf *out)
{
    int r = jobs_response_get(tree->settings.jobs, job, out);
    if (r == 0 && out->len && out->data[out->len - 1] != '\n')
        r = buf_add_char(out, '\n');
    return r;
}

int64_t cost_get(const struct job *job, const struct store_attempt *attempt, const char **what)
{
    bool is_settled = attempt->actual_usd_micros >= 0;
    *what = is_settled                   ? "by the video's length"
            : job->state == JOB_REJECTED ? "not charged: rejected"
            : job->state == JOB_WAITING  ? "estimated; not yet sent"
            : job->state == JOB_HELD     ? "estimated; held: `echo submit > ctl` orders it"
            : job->attempt_id == 0       ? "estimated; not submitted"
            : job->state == JOB_UNKNOWN  ? "estimated; at risk"
            : job_state_class(job->state) == JOB_CLASS_EDITABLE
                ? "estimated; whether this is charged is not documented"
                : "estimated";
    if (job->state == JOB_REJECTED)
        return 0;
    return is_settled ? attempt->actual_usd_micros : attempt->estimated_usd_micros;
}

/* What waits behind the job. */
static int followers_add(struct job *job, struct buf *out)
{
    struct job_followers followers;
    char usd[TEXT_MONEY_SIZE];
    job_followers_get(job, &followers);
    if (followers.count == 0)
        return out->error;
    text_usd(followers.usd_micros, usd);
    return buf_addf(out, "%u %s: %s USD (estimated)\n", followers.count,
                    followers.count == 1 ? "job follows" : "jobs follow", usd);
}

static int render_cost(struct tree *tree UNUSED, struct job *job, struct job_detail *detail,
                       struct buf *out)
{
    const struct store_attempt *attempt = job_attempt_get(detail);
    CLEANUP(store_attempt_fini) struct store_attempt estimate = {0};
    char usd[TEXT_MONEY_SIZE];
    const char *what;
    if (job->attempt_id == 0 && job_estimate_get(job, &estimate) < 0) {
        buf_add_text(out, "0.00 USD (nothing has been submitted)\n");
        return followers_add(job, out);
    }
    if (job->attempt_id == 0)
        attempt = &estimate;
    bool is_settled = attempt->actual_usd_micros >= 0;
    text_usd(cost_get(job, attempt, &what), usd);
    int64_t ms = is_settled ? attempt->output_ms : attempt->duration_ms;
    bool is_most = !is_settled && store_attempt_is_length_open(attempt);
    if (is_most)
        ms -= STORE_LENGTH_OPEN_MS;
    buf_addf(out, "%s USD (%s; %s%lld.%03lld s of %s at %s", usd, what, is_most ? "at most " : "",
             (long long)(ms / 1000), (long long)(ms % 1000), attempt->model, attempt->resolution);
    if (is_most)
        buf_add_text(out, ", which chooses the length");
    if (attempt->input_video_ms > 0)
        buf_addf(out, " + %lld s of input video", (long long)(attempt->input_video_ms / 1000));
    buf_add_text(out, ")\n");
    return followers_add(job, out);
}

static int render_error(struct tree *tree UNUSED, struct job *job, struct job_detail *detail,
                        struct buf *out)
{
    const char *problem = job_problem_get(job);
    const char *refused = job_prompt_problem_get(detail);
    buf_add_text(out, refused ? refused : "");
    buf_add_text(out, problem ? problem : "");
    return out->error;
}

static int render_ctl(struct tree *tree UNUSED, struct job *job UNUSED, struct job_detail *detail,
                      struct buf *out)
{
    return job_ctl_render(detail, out);
}

static void render_log_line(void *context, int64_t time_ms, const char *text)
{
    char when[TEXT_TIME_SIZE];
    text_time_rfc3339(time_ms, when);
    struct buf *out = context;
    buf_addf(out, "%s ", when);
    for (const char *p = text; *p; p++)
        buf_add_char(out, *p == '\n' || *p == '\r' ? ' ' : *p);
    buf_add_char(out, '\n');
}

static int render_log(struct tree *tree, struct job *job, struct job_detail *detail UNUSED,
                      struct buf *out)
{
    int r = store_history_each(tree->settings.store, job->id, render_log_line, out);
    return r < 0 ? r : out->error;
}

static int render_url(struct tree *tree UNUSED, struct job *job, struct job_detail *detail UNUSED,
                      struct buf *out)
{
    struct store_attempt *attempt;
    if (!job->picked)
        return 0;
    int r = job_take_attempt_get(job->picked, &attempt);
    return r < 0 ? r : buf_addf(out, "%s\n", attempt->video_url ? attempt->video_url : "");
}

bool generated_is_wait_over(const struct job *job)
{
    return job->state != JOB_DRAFT && job_state_class(job->state) != JOB_CLASS_ACTIVE;
}

static int render_wait(struct tree *tree UNUSED, struct job *job, struct job_detail *detail UNUSED,
                       struct buf *out)
{
    return generated_is_wait_over(job) ? buf_addf(out, "%s\n", job_state_to_text(job->state)) : 0;
}

/* The order is part of the inode numbers: append new files at the end. */
const struct generated generated_table[GENERATED_COUNT] = {
    {"status", 0444, GENERATED_PERMANENT, NULL, render_status},
    {"status.json", 0444, GENERATED_PERMANENT | GENERATED_WORDS | GENERATED_TIME, NULL,
     render_status_json},
    {"request.json", 0444, GENERATED_WORDS, has_attempt, render_request},
    {"response.json", 0444, GENERATED_WORDS, generated_has_response, render_response},
    {"cost", 0444, GENERATED_PERMANENT, NULL, render_cost},
    {"error", 0444, GENERATED_WORDS, generated_has_problem, render_error},
    {"log", 0444, GENERATED_PERMANENT | GENERATED_WORDS, NULL, render_log},
    {"output.url", 0400, 0, has_url, render_url},
    {"ctl", 0600, GENERATED_PERMANENT, NULL, render_ctl},
    {"progress", 0444, GENERATED_PERMANENT | GENERATED_TIME, NULL, progress_render},
    {"wait", 0444, GENERATED_PERMANENT | GENERATED_UNLISTED, NULL, render_wait},
};

const struct generated *generated_find(const char *name)
{
    for (size_t i = 0; i < GENERATED_COUNT; i++) {
        if (strcmp(generated_table[i].name, name) == 0)
            return &generated_table[i];
    }
    return NULL;
}

bool generated_is_there(struct job *job, const struct generated *generated)
{
    struct job_detail *detail;
    if (job_hides(job, generated - generated_table))
        return false;
    return !generated->is_there ||
           (job_detail_get(job, &detail) == 0 && generated->is_there(job, detail));
}

int generated_render(struct tree *tree, const struct node *node, struct buf *out)
{
    const struct generated *generated = node->generated;
    struct job *job = node->job;
    struct job_detail *detail = NULL;
    /* `status` needs only the job itself, and scripts read it most. */
    if (generated->render == render_status)
        return render_status(tree, job, NULL, out);
    CLEANUP(buf_fini) struct buf text = {.limit = out->limit};
    int r = job_detail_get(job, &detail);
    if (r == 0)
        r = generated->render(tree, job, detail, &text);
    if (r < 0)
        return r;
    /* All text from outside passes here, whichever version of the program wrote it into the
     * store. */
    return (generated->render == render_url ? text_add_escaped
                                            : text_add_shown)(out, buf_text(&text), text.len);
}
