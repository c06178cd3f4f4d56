/*
 * Commands that are written into a job's ctl. A command succeeds or fails as a whole. If it fails,
 * the write returns the errno, and a read of ctl returns the sentence until the next command. The
 * sentence does not stand in `error`, because nothing is wrong with the job.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"
#include "seedancefs/base/nearest.h"
#include "seedancefs/base/text.h"
#include "seedancefs/job/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ctl_refuse(struct job *job, int r, const char *command, const char *why)
{
    job_ctl_fail(job, command, why);
    return r;
}

/* Refuses a command that the job's state does not allow. */
static int ctl_refuse_state(struct job *job, const char *command)
{
    char why[128];
    bool is_active = job_state_class(job->state) == JOB_CLASS_ACTIVE;
    (void)snprintf(why, sizeof(why), "not possible while the job is %s.%s",
                   job_state_to_text(job->state), is_active ? " It continues by itself." : "");
    return ctl_refuse(job, is_active ? -EBUSY : -EINVAL, command, why);
}

/* When the writer closes the prompt, its content replaces whatever the job has become meanwhile. */
static bool is_prompt_open(const struct job *job)
{
    const struct job_file *file = job_file_find_prompt(job->detail);
    return file && file->draft.writers;
}

static int ctl_refuse_writer(struct job *job, const char *command)
{
    return ctl_refuse(job, -EBUSY, command, "the prompt is open for writing.");
}

/* What a held job needs may have come, or not. */
static int ctl_order(struct job *job, struct job_file *file)
{
    CLEANUP(job_inputs_fini) struct job_inputs inputs = {0};
    CLEANUP(buf_fini) struct buf why = {.limit = JOB_SENTENCE_MAX};
    int r = job_inputs_get(job, job->attempt_id, &inputs);
    if (r < 0)
        return r;
    if (job_inputs_find(&inputs, JOB_INPUT_MISSING)) {
        r = file ? job_prompt_report(file, file->name, job, JOB_REPORT_ORDER) : -ENODATA;
        return r == 0 ? job_prompt_commit(file, true)
                      : ctl_refuse(job, r == -ERR_PROMPT_INVALID ? -EINVAL : r, "submit",
                                   "not all that the prompt names is there; see `error`.");
    }
    enum job_needs needs = job_needs_to_text(job, &why);
    if (needs == JOB_NEEDS_ENDED || needs == JOB_NEEDS_REMOVED)
        return ctl_refuse(job, -EINVAL, "submit", buf_text(&why));
    r = job_to_ordered(job);
    if (r == 0)
        job_submit_schedule(job, 0);
    return r;
}

static int ctl_refuse_without_prompt(struct job *job)
{
    const char *guess = job_prompt_guess(job->detail);
    if (!guess)
        return ctl_refuse(job, -EINVAL, "submit", "there is no prompt.json and no prompt.txt.");
    char why[TEXT_NAME_MAX + 64];
    (void)snprintf(why, sizeof(why), "there is no prompt.json; did you mean %s?", guess);
    return ctl_refuse(job, -EINVAL, "submit", why);
}

static int ctl_submit(struct job *job, const char *argument UNUSED)
{
    struct job_detail *detail = job->detail;
    struct jobs *jobs = job->jobs;
    if (job->state == JOB_WAITING) {
        if (detail->call)
            return ctl_refuse(job, -EBUSY, "submit", "it is being submitted at this moment.");
        /* By this command the user says that the obstacle is gone. */
        job_quiet_end(job);
        jobs_preparations_again(jobs);
        job->hold = JOB_HOLD_NONE;
        if (jobs->gate != JOB_GATE_OPEN)
            jobs_key_changed(jobs);
        else if (!detail->is_queued)
            job_submit_schedule(job, 0);
        return 0;
    }
    struct job_file *file = job_file_find_prompt(detail);
    if (job->state == JOB_HELD && file && file->draft.writers)
        return ctl_refuse_writer(job, "submit");
    if (job->state == JOB_HELD)
        return ctl_order(job, file);
    if (job->state != JOB_DRAFT && job->state != JOB_INVALID)
        return ctl_refuse_state(job, "submit");
    if (!file)
        return ctl_refuse_without_prompt(job);
    if (file->draft.writers)
        return ctl_refuse_writer(job, "submit");
    int r = job_prompt_commit(file, true);
    return r == -ENODATA ? ctl_refuse(job, -EINVAL, "submit", "the prompt is empty.") : r;
}

static int ctl_hold(struct job *job, const char *argument UNUSED)
{
    if (job->state == JOB_HELD)
        return 0;
    if (job->state != JOB_WAITING)
        return ctl_refuse_state(job, "hold");
    if (job->detail->call)
        return ctl_refuse(job, -EBUSY, "hold", "it is being submitted at this moment.");
    int r = job_hold(job, JOB_HOLD_USER, "held by the user", NULL);
    if (r < 0)
        job_submit_schedule(job, 0);
    return r;
}

/* A user who asks for the job's results sees all its files again, also those that were unlinked. */
static void job_show(struct job *job)
{
    job->hidden = 0;
    job->hidden_prompt_id = 0;
}

static void job_show_takes(struct job *job)
{
    struct job_take *take;
    job_show(job);
    LL_FOREACH (job->takes, take) {
        (void)!job_take_hidden_set(take, 0);
    }
}

/* A take must not be lost because another one is made: what --archive leaves for later is done
 * before. */
static int ctl_save_picked(struct job *job, const char *command)
{
    const struct job_hooks *hooks = &job->jobs->settings.hooks;
    const char *why = "the present video is being saved on disk first. Write it again in a moment.";
    int r = job->picked && hooks->on_save ? hooks->on_save(hooks->context, job->picked, &why) : 0;
    return r < 0 ? ctl_refuse(job, r, command, why) : 0;
}

/* For `take` and `edit`. */
static int ctl_check_take(struct job *job, const char *command)
{
    if (!job->picked)
        return ctl_refuse(job, job_state_class(job->state) == JOB_CLASS_ACTIVE ? -EBUSY : -EINVAL,
                          command, "the job has no video yet.");
    if (job->state != JOB_SUCCEEDED && job->state != JOB_REJECTED && job->state < JOB_FAILED)
        return ctl_refuse_state(job, command);
    return ctl_save_picked(job, command);
}

static int ctl_take(struct job *job, const char *argument UNUSED)
{
    int r = ctl_check_take(job, "take");
    if (r < 0)
        return r;
    r = job_to_take(job);
    if (r == -ENODATA)
        return ctl_refuse(job, -EINVAL, "take",
                          "there is no request to send again: the task was adopted. Write `edit`, "
                          "then a prompt.");
    if (r == 0)
        job_submit_schedule(job, 0);
    return r;
}

static int ctl_edit(struct job *job, const char *argument UNUSED)
{
    if (job->takes && job_is_editable(job))
        return 0; /* it may be written already */
    int r = ctl_check_take(job, "edit");
    if (r == 0)
        r = job_to_edit(job);
    if (r == 0)
        job_show(job);
    return r;
}

static int ctl_pick(struct job *job, const char *argument)
{
    char *end;
    long long number = strtoll(argument, &end, 10);
    struct job_take *take = *end ? NULL : job_take_get(job, number);
    if (!take)
        return ctl_refuse(job, -EINVAL, "pick",
                          job->takes ? "there is no take with this number; status.json lists them."
                                     : "the job has no video yet.");
    if (job_state_class(job->state) == JOB_CLASS_ACTIVE)
        return ctl_refuse_state(job, "pick");
    if (is_prompt_open(job))
        return ctl_refuse_writer(job, "pick");
    bool is_picked = job->state == JOB_SUCCEEDED && job->picked == take;
    int r = is_picked ? job_take_hidden_set(take, 0) : job_to_picked(job, take);
    if (r == 0)
        job_show(job);
    return r;
}

static int ctl_retry(struct job *job, const char *argument UNUSED)
{
    if (job->state == JOB_SUCCEEDED)
        return ctl_refuse(job, -EINVAL, "retry",
                          "the job has succeeded. `take` orders another video of the same prompt, "
                          "as a new, paid attempt.");
    if (job->state != JOB_UNKNOWN && job->state != JOB_REJECTED && job->state < JOB_FAILED)
        return ctl_refuse_state(job, "retry");
    if (is_prompt_open(job))
        return ctl_refuse_writer(job, "retry");
    int r = job_to_retried(job);
    if (r == -ENODATA)
        return ctl_refuse(job, -EINVAL, "retry",
                          "there is no request to send again: the task was adopted. Write a "
                          "prompt.");
    if (r == 0)
        job_submit_schedule(job, 0);
    return r;
}

/* Whether all of a removed job's video is on disk yet: then nobody needs to be asked. An unknown
 * attempt is known by its task, and stays. */
static bool is_regainable(const struct job *job, const struct store_attempt *known)
{
    const struct job_hooks *hooks = &job->jobs->settings.hooks;
    return job->state != JOB_UNKNOWN && known->take > 0 && known->video_bytes >= 0 &&
           (!hooks->is_video_whole || hooks->is_video_whole(hooks->context, known->id));
}

/* What a removed job still has to write must not come after the attempt belongs to another one. */
static int removed_settle(struct jobs *jobs, int64_t attempt_id)
{
    struct job_detail *detail;
    DL_FOREACH (jobs->details, detail) {
        if (detail->job->is_removed && detail->attempt.id == attempt_id)
            return job_save_again(detail->job);
    }
    return 0;
}

static int ctl_adopt(struct job *job, const char *task_id)
{
    struct jobs *jobs = job->jobs;
    if (job_state_class(job->state) == JOB_CLASS_ACTIVE)
        return ctl_refuse_state(job, "adopt");
    if (is_prompt_open(job))
        return ctl_refuse_writer(job, "adopt");
    if (api_task_id_check(task_id) < 0)
        return ctl_refuse(job, -EINVAL, "adopt",
                          "a task id is expected, as in: echo 'adopt TASK_ID' > ctl");
    CLEANUP(store_attempt_fini) struct store_attempt known = {0};
    int r = store_task_find(jobs->settings.store, task_id, &known);
    int64_t known_id = known.id;
    if (r == 0)
        r = removed_settle(jobs, known_id);
    if (r == 0) {
        store_attempt_fini(&known);
        r = store_attempt_get(jobs->settings.store, known_id, &known);
    }
    if (r < 0 && r != -ENOENT)
        return r;
    bool is_known = r == 0;
    const struct job *owner = is_known ? jobs_get(jobs, known.job_id) : NULL;
    if (owner && owner != job) {
        char why[JOB_CTL_LINE_MAX];
        (void)snprintf(why, sizeof(why), "this task belongs to the job %s already.", owner->name);
        return ctl_refuse(job, -EBUSY, "adopt", why);
    }
    const struct job_take *own = owner ? jobs_take_get(jobs, known.id) : NULL;
    if (own) {
        char why[JOB_CTL_LINE_MAX];
        (void)snprintf(why, sizeof(why), "this task has made take %lld of the job already.",
                       (long long)own->number);
        return ctl_refuse(job, -EINVAL, "adopt", why);
    }
    r = ctl_save_picked(job, "adopt");
    if (r < 0)
        return r;
    if (is_known && !owner && is_regainable(job, &known))
        return job_to_regained(job, &known);
    r = job_to_adopted(job, task_id, is_known ? &known : NULL);
    if (r == 0)
        job_poll_follow(job, 0);
    return r;
}

static int ctl_refresh(struct job *job, const char *argument UNUSED)
{
    if (job->state == JOB_SUCCEEDED) {
        job_show_takes(job);
        job->picked->video_changes = 0;
        jobs_url_refresh(job->picked);
        return 0;
    }
    if (job->state != JOB_QUEUED && job->state != JOB_RUNNING)
        return ctl_refuse_state(job, "refresh");
    job_show(job);
    if (!job->detail->call && !job->sizing) {
        timer_cancel(job->jobs->settings.timers, &job->detail->timer);
        job->detail->is_poll_wanted = true;
        job_poll_ask(job);
    }
    return 0;
}

typedef int ctl_media_fn(void *context, struct job_take *take, const char **why);

static int ctl_media(struct job *job, const char *command, ctl_media_fn *fn)
{
    const char *why = "this is not possible.";
    if (!job->picked)
        return ctl_refuse_state(job, command);
    if (!fn)
        return ctl_refuse(job, -EINVAL, command, why);
    int r = fn(job->jobs->settings.hooks.context, job->picked, &why);
    return r < 0 ? ctl_refuse(job, r, command, why) : 0;
}

/* The size need not be known: the first response tells it. */
static int ctl_fetch(struct job *job, const char *argument UNUSED)
{
    if (job->picked)
        job->picked->video_changes = 0;
    int r = ctl_media(job, "fetch", job->jobs->settings.hooks.on_fetch);
    if (r == 0)
        job_show_takes(job);
    return r;
}

static int ctl_evict(struct job *job, const char *argument UNUSED)
{
    if (job->picked && job->picked->video_bytes < 0)
        return ctl_refuse(job, -EBUSY, "evict", "the size of the video is not known yet.");
    return ctl_media(job, "evict", job->jobs->settings.hooks.on_evict);
}

struct ctl_command {
    const char *word;
    bool has_argument;
    int (*run)(struct job *job, const char *argument);
    const char *help;
};

static const struct ctl_command ctl_commands[] = {
    {"submit", false, ctl_submit,
     "order what the prompt asks for, also if it is held; a waiting job tries again now"},
    {"hold", false, ctl_hold, "do not send a waiting job before `submit` is written here"},
    {"retry", false, ctl_retry,
     "send the same request again as a new, paid attempt (unknown, rejected, failed, …)"},
    {"take", false, ctl_take,
     "order another video of the same request as a new, paid attempt; none is lost"},
    {"edit", false, ctl_edit,
     "let the prompt of a finished job be written anew: its next close is "
     "a new, paid attempt"},
    {"pick", true, ctl_pick, "pick NUMBER: make this take of takes/ the job's video"},
    {"adopt", true, ctl_adopt, "adopt TASK_ID: follow a task that exists at the service"},
    {"refresh", false, ctl_refresh, "ask the service now; for a finished video, ask for a new URL"},
    {"fetch", false, ctl_fetch, "save the whole video on disk now"},
    {"evict", false, ctl_evict, "delete from the disk what can be fetched again"},
};

int job_ctl_render(const struct job_detail *detail, struct buf *out)
{
    buf_add_text(out, "Write one of these commands into this file:\n");
    for (size_t i = 0; i < ARRAY_COUNT(ctl_commands); i++)
        buf_addf(out, "%-8s  %s\n", ctl_commands[i].word, ctl_commands[i].help);
    if (detail->ctl_problem)
        buf_addf(out, "\nThe last command failed: %s\n", detail->ctl_problem);
    return out->error;
}

static int ctl_refuse_word(struct job *job, const char *word)
{
    const char *words[ARRAY_COUNT(ctl_commands) + 1] = {NULL};
    char why[256];
    for (size_t i = 0; i < ARRAY_COUNT(ctl_commands); i++)
        words[i] = ctl_commands[i].word;
    const char *nearest = nearest_name(word, words);
    if (!nearest)
        return ctl_refuse(job, -EINVAL, word,
                          "unknown; the commands are submit, hold, retry, take, edit, pick NUMBER, "
                          "adopt TASK_ID, refresh, fetch, evict.");
    (void)snprintf(why, sizeof(why), "unknown; did you mean `%s`? `cat ctl` lists the commands.",
                   nearest);
    return ctl_refuse(job, -EINVAL, word, why);
}

int job_ctl_run(struct job *job, const char *bytes, size_t len)
{
    struct job_detail *detail;
    char line[JOB_CTL_LINE_MAX];
    int r = job_detail_get(job, &detail);
    if (r < 0)
        return r;
    if (job->is_removed)
        return -ENOENT;
    job_text_clear(&detail->ctl_problem);
    if (len >= sizeof(line) || memchr(bytes, '\0', len))
        return ctl_refuse(job, -EINVAL, "…", "a command is one short line of text.");
    memcpy(line, bytes, len);
    line[len] = '\0';
    char *rest = NULL;
    const char *word = strtok_r(line, " \t\r\n", &rest);
    const char *argument = strtok_r(NULL, " \t\r\n", &rest);
    if (!word) { /* a blank line commands nothing; the last refusal is forgotten */
        jobs_changed(job);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_COUNT(ctl_commands); i++) {
        const struct ctl_command *command = &ctl_commands[i];
        if (strcmp(command->word, word) != 0)
            continue;
        if (!argument != !command->has_argument || strtok_r(NULL, " \t\r\n", &rest))
            return ctl_refuse(job, -EINVAL, word,
                              command->has_argument ? "exactly one argument is expected."
                                                    : "no argument is expected.");
        r = command->run(job, argument);
        log_info("ctl", "job=%s command=%s result=%s", job->name, word, err_name(r));
        jobs_changed(job);
        return r;
    }
    return ctl_refuse_word(job, word);
}
