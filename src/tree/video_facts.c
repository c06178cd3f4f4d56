/*
 * videos/NAME.json: what the video beside it was made from, so that who has copied both knows the
 * prompt, the model, the cost and the task also without the mount. schema/video.schema.json
 * describes it.
 */
#include "tree_private.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/json.h"
#include "seedancefs/base/text.h"

#include <stdio.h>

struct node video_facts_node(struct job_take *take)
{
    return (struct node){.ops = &video_facts_ops,
                         .kind = NODE_VIDEO_FACTS,
                         .id = take->id,
                         .job = take->job,
                         .take = take};
}

/* It quotes the prompt. */
static mode_t permissions(const struct node *node)
{
    return 0400 | job_readers_get(node->job);
}

/* The name of the job and the picked take change it, too. */
static int64_t changed_ms(const struct tree *tree UNUSED, const struct node *node)
{
    return node->job->updated_ms;
}

static int write_prompt(struct tree *tree, struct json_writer *w, const struct job_take *take)
{
    CLEANUP(buf_fini) struct buf prompt = {.limit = 64 * 1024 * 1024};
    int r = jobs_prompt_get(tree->settings.jobs, take->id, &prompt);
    if (r < 0 && r != -ENODATA)
        return r;
    json_write_member_string(w, "prompt", r == 0 ? buf_text(&prompt) : NULL);
    return 0;
}

static void write_cost(struct json_writer *w, const struct store_attempt *attempt)
{
    json_write_key(w, "cost");
    json_write_object_begin(w);
    json_write_member_string(w, "currency", "USD");
    write_usd(w, "estimated", attempt->estimated_usd_micros);
    write_usd(w, "actual", attempt->actual_usd_micros);
    json_write_object_end(w);
}

static void write_input(void *context, const struct job_take_input *input)
{
    struct json_writer *w = context;
    json_write_object_begin(w);
    json_write_member_string(w, "field", input->field);
    json_write_member_string(w, "path", input->path);
    json_write_member_string(w, "job", input->made ? input->made->job->name : NULL);
    write_number(w, "take", input->made ? input->made->number : -1);
    json_write_object_end(w);
}

static void write_length(struct json_writer *w, int64_t ms)
{
    char seconds[32];
    (void)snprintf(seconds, sizeof(seconds), "%lld.%03lld", (long long)(ms / 1000),
                   (long long)(ms % 1000));
    json_write_key(w, "duration_s");
    json_write_raw(w, ms < 0 ? "null" : seconds);
}

static int facts_write(struct tree *tree, struct json_writer *w, struct job_take *take)
{
    struct store_attempt *attempt;
    char stem[JOB_STEM_MAX + 1];
    char video[TEXT_NAME_MAX + 1];
    int r = job_take_attempt_get(take, &attempt);
    if (r < 0)
        return r;
    jobs_stem_get(tree->settings.jobs, take->job->id, take->job->name, stem);
    (void)snprintf(video, sizeof(video), "%s.mp4", stem);
    json_write_object_begin(w);
    json_write_member_int64(w, "schema", JOB_JSON_SCHEMA);
    json_write_member_string(w, "job", take->job->name);
    json_write_member_string(w, "video", video);
    json_write_member_int64(w, "take", take->number);
    r = write_prompt(tree, w, take);
    json_write_member_string(w, "model", attempt->model);
    json_write_member_string(w, "resolution", attempt->resolution);
    write_length(w, attempt->output_ms);
    json_write_member_int64(w, "bytes", take->video_bytes);
    json_write_member_string(w, "task_id", attempt->task_id);
    write_time(w, "submitted_at", attempt->submitted_ms);
    write_time(w, "finished_at", attempt->finished_ms);
    write_cost(w, attempt);
    json_write_key(w, "inputs");
    json_write_array_begin(w);
    if (r == 0)
        r = job_take_inputs_each(take, write_input, w);
    json_write_array_end(w);
    json_write_object_end(w);
    return r;
}

static int render(struct tree *tree, const struct node *node, struct buf *out)
{
    CLEANUP(buf_fini) struct buf text = {.limit = out->limit};
    struct json_writer w;
    json_writer_init(&w, &text, JSON_PRETTY);
    int r = facts_write(tree, &w, node->take);
    buf_add_char(&text, '\n');
    if (r == 0)
        r = text.error;
    return r < 0 ? r : text_add_shown(out, buf_text(&text), text.len);
}

const struct node_ops video_facts_ops = {.mode = S_IFREG | 0444,
                                         .parent = NODE_VIDEOS,
                                         .is_direct = true,
                                         .get = take_get,
                                         .permissions = permissions,
                                         .changed_ms = changed_ms,
                                         .render = render};
