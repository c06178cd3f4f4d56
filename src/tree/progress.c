/*
 * `progress`: one line for people. It shows a bar, the per cent of the task and the time left. Once
 * the video is finished, it shows how much of it has been fetched.
 */
#include "tree_private.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/json.h"

#include <stdio.h>

enum { BAR_CELLS = 20 };

static void bar_add(struct buf *out, int permille)
{
    int full = permille * BAR_CELLS / 1000;
    buf_add_char(out, '[');
    for (int i = 0; i < BAR_CELLS; i++)
        buf_add_char(out, i < full ? '#' : '-');
    buf_addf(out, "] %3d %%  ", permille / 10);
}

/* Rounded, because it is an estimate, and so that the line does not change all the time. */
static void time_left_add(struct buf *out, int64_t eta_ms)
{
    int64_t s = (eta_ms + 999) / 1000;
    int64_t step = s < 60 ? 5 : s < 600 ? 10 : 60;
    s = (s + step - 1) / step * step;
    if (s == 0)
        buf_add_text(out, ", almost done");
    else if (s < 60)
        buf_addf(out, ", about %lld s left", (long long)s);
    else if (s % 60)
        buf_addf(out, ", about %lld min %lld s left", (long long)(s / 60), (long long)(s % 60));
    else
        buf_addf(out, ", about %lld min left", (long long)(s / 60));
}

static void fetched_add(struct tree *tree, struct job *job, struct buf *out)
{
    CLEANUP(output_close) struct media_item *item = NULL;
    struct job_take *take = job->picked;
    if (take->video_bytes <= 0 || output_open(tree, take, MEDIA_VIDEO, &item) < 0)
        return;
    int64_t cached_bytes = media_item_cached_bytes(item);
    bool is_complete = media_item_is_complete(item);
    if (is_complete)
        buf_add_text(out, ", video on disk");
    else if (stored_is_there(tree, take))
        buf_add_text(out, ", video in the object store");
    else if (cached_bytes >= 0)
        buf_addf(out, ", %lld %% of the video on disk",
                 (long long)(cached_bytes * 100 / take->video_bytes));
}

/* What a draft lacks, as far as it can be seen. */
static void draft_add(const struct job_detail *detail, struct buf *out)
{
    const struct job_file *prompt = job_file_find_prompt(detail);
    const char *guess = prompt ? NULL : job_prompt_guess(detail);
    struct stat st;
    if (guess)
        buf_addf(out, ": no prompt.json; did you mean %s?", guess);
    else if (!prompt)
        buf_add_text(out, ": no prompt.json yet");
    else if (job_file_stat(prompt, &st) == 0 && st.st_size == 0)
        buf_addf(out, ": %s is empty", prompt->name);
}

int progress_render(struct tree *tree, struct job *job, struct job_detail *detail, struct buf *out)
{
    struct job_progress progress;
    int r = job_progress_get(job, &progress);
    if (r < 0)
        return r;
    if (progress.permille >= 0)
        bar_add(out, progress.permille);
    buf_add_text(out, job_state_to_text(job->state));
    if (job->state == JOB_SUCCEEDED)
        fetched_add(tree, job, out);
    else if (progress.eta_ms >= 0)
        time_left_add(out, progress.eta_ms);
    else if (job->has_problem)
        buf_add_text(out, ": see error");
    else if (job->state == JOB_HELD)
        buf_add_text(out, ": nothing was sent, see cost");
    else if (job->state == JOB_DRAFT)
        draft_add(detail, out);
    return buf_add_char(out, '\n');
}

void progress_write(struct json_writer *w, struct job *job)
{
    struct job_progress progress;
    char fraction[32];
    if (job_progress_get(job, &progress) < 0)
        progress = (struct job_progress){.permille = -1, .eta_ms = -1};
    bool is_whole = progress.permille == 0 || progress.permille == 1000;
    /* Always three decimals, so that the length does not change while somebody reads. */
    (void)snprintf(fraction, sizeof(fraction), is_whole ? "%d" : "%d.%03d",
                   progress.permille / 1000, progress.permille % 1000);
    json_write_key(w, "progress");
    json_write_object_begin(w);
    json_write_key(w, "fraction");
    json_write_raw(w, progress.permille < 0 ? "null" : fraction);
    write_number(w, "eta_s", progress.eta_ms < 0 ? -1 : (progress.eta_ms + 999) / 1000);
    json_write_object_end(w);
}
