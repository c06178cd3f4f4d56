/*
 * The texts that tell the user how a job is doing: what is wrong (`error`), why it waits (`reason`
 * in `status`), why a command failed (`ctl`), why no second prompt could be created.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"
#include "seedancefs/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int job_text_set(char **place, const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        return -ENOMEM;
    free(*place);
    *place = copy;
    return 0;
}

void job_text_clear(char **place)
{
    free(*place);
    *place = NULL;
}

static void text_format(char **place, const char *format, va_list arguments) PRINTF_LIKE(2, 0);
static void text_format(char **place, const char *format, va_list arguments)
{
    CLEANUP(buf_fini) struct buf text = {.limit = 64 * 1024};
    int r = buf_addv(&text, format, arguments);
    free(*place);
    *place = r == 0 ? buf_take(&text) : NULL;
}

void job_text_keep(char **place, const char *text)
{
    if (job_text_set(place, *text ? text : NULL) < 0)
        log_error("memory.refused", "what=text");
}

void job_reason_set(struct job_detail *detail, int code, const char *format, ...)
{
    detail->reason_code = code;
    va_list arguments;
    va_start(arguments, format);
    text_format(&detail->reason, format, arguments);
    va_end(arguments);
}

void job_problem_take(struct job_detail *detail, const struct job_cause *cause, char *text)
{
    free(detail->problem);
    detail->problem = text;
    detail->cause = *cause;
    detail->job->has_problem = true;
}

void job_problem_set(struct job_detail *detail, int code, const char *format, ...)
{
    const struct job_cause cause = {.code = code};
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    text_format(&text, format, arguments);
    va_end(arguments);
    job_problem_take(detail, &cause, text);
}

void job_again_to_text(const struct job_detail *detail, char out[static JOB_AGAIN_SIZE])
{
    const struct job_take *picked = detail->job->picked;
    if (picked)
        (void)snprintf(out, JOB_AGAIN_SIZE,
                       "output.mp4 is still take %lld. In ctl, `pick %lld` makes the job succeeded "
                       "again, `retry` sends the request again, and `edit` lets %s be written "
                       "anew; the last two are new, paid attempts.",
                       (long long)picked->number, (long long)picked->number,
                       job_prompt_name(detail));
    else
        (void)snprintf(out, JOB_AGAIN_SIZE,
                       "To try again, change %s or write it once more: that is a new, paid "
                       "attempt.",
                       job_prompt_name(detail));
}

/* Shown instead of a text for which there was no memory. */
static const char *problem_without_text(enum job_state state)
{
    static const char *const texts[JOB_STATE_COUNT] = {
        [JOB_UNKNOWN] =
            "It is not known whether the service created a task: the program ran out of memory.\n"
            "Nothing is sent again by itself. Look at your account's task list or bill.\n"
            "To follow a task that you find there: echo 'adopt TASK_ID' > ctl\n"
            "To send the request again, which may be charged once more: echo retry > ctl\n",
        [JOB_DRAFT] = "The prompt could not be submitted: the program ran out of memory.\n"
                      "Nothing was sent and nothing was charged. Write it again.\n",
        [JOB_INVALID] = "The prompt is not acceptable; there was no memory to say why.\n"
                        "Nothing was sent. Write it again to have it checked.\n",
    };
    return texts[state] ? texts[state]
                        : "Something went wrong, and the program ran out of memory before it could "
                          "say what; `status` and `log` are right.\n";
}

const char *job_problem_get(const struct job *job)
{
    if (!job->has_problem || !job->detail)
        return NULL;
    return job->detail->problem ? job->detail->problem : problem_without_text(job->state);
}

void job_problem_clear(struct job_detail *detail)
{
    job_text_clear(&detail->problem);
    detail->cause = (struct job_cause){0};
    detail->job->has_problem = false;
}

/* Made when it is asked for, because what it says is in the store. */
static void hold_explain(struct job_detail *detail)
{
    char usd[TEXT_MONEY_SIZE];
    text_usd(detail->attempt.estimated_usd_micros, usd);
    const char *problem = job_problem_get(detail->job);
    CLEANUP(job_inputs_fini) struct job_inputs inputs = {0};
    const struct store_input *missing = NULL;
    if (job_inputs_get(detail->job, detail->attempt.id, &inputs) == 0)
        missing = job_inputs_find(&inputs, JOB_INPUT_MISSING);
    if (missing)
        job_reason_set(detail, -ERR_INPUT_MISSING,
                       "Held: \"%s\" was not there when the prompt was written. `echo submit > "
                       "ctl` looks again and orders it: about %s USD.",
                       missing->path, usd);
    else if ((detail->job->hold == JOB_HOLD_INPUT || detail->job->hold == JOB_HOLD_PRICE) &&
             problem)
        job_reason_set(detail,
                       detail->job->hold == JOB_HOLD_PRICE ? -ERR_PRICE_RISEN : -ERR_INPUT_CHANGED,
                       "%.*s `echo submit > ctl` orders it: %s USD.", (int)strcspn(problem, "\n"),
                       problem, usd);
    else if (detail->job->hold == JOB_HOLD_RESTORED)
        job_reason_set(detail, -ERR_HELD_RESTORED,
                       "The data directory is a copy; nothing was sent from it. `echo submit > "
                       "ctl` orders it: %s USD.",
                       usd);
    else if (detail->job->hold == JOB_HOLD_COPY)
        job_reason_set(detail, -ERR_HELD_COPY,
                       "This looks like a copy of a job; nothing was sent. `echo submit > ctl` "
                       "orders it: %s USD.",
                       usd);
    else
        job_reason_set(detail, -ERR_HELD,
                       "Held: nothing was sent. `echo submit > ctl` orders it: %s USD.", usd);
}

/* Made each time, because it tells how the other job is doing. */
static void wait_explain(struct job_detail *detail)
{
    CLEANUP(buf_fini) struct buf text = {.limit = JOB_SENTENCE_MAX};
    if (job_needs_to_text(detail->job, &text) == JOB_NEEDS_MET || text.error || text.len == 0)
        return;
    detail->is_waiting_for_input = true;
    job_reason_set(detail, -ERR_WAITS_FOR_JOB, "%s", buf_text(&text));
}

const char *job_reason_get(struct job_detail *detail)
{
    if (detail && detail->job->state == JOB_WAITING)
        wait_explain(detail);
    if (detail && !detail->reason && detail->job->state == JOB_HELD)
        hold_explain(detail);
    if (detail && !detail->reason && detail->job->state == JOB_DRAFT && detail->job->takes)
        job_reason_set(detail, -ERR_PROMPT_REOPENED,
                       "The prompt may be written anew. `echo 'pick %lld' > ctl` leaves it at the "
                       "video that is there.",
                       (long long)detail->job->picked->number);
    return detail ? detail->reason : NULL;
}

int job_take_problem_code(const struct store_attempt *attempt)
{
    bool is_damage =
        strncmp(attempt->take_problem, JOB_DAMAGE_OPENING, sizeof(JOB_DAMAGE_OPENING) - 1) == 0;
    return is_damage            ? -ERR_MEDIA_DAMAGED
           : attempt->video_url ? -ERR_MEDIA_RESPONSE
                                : -ERR_MEDIA_GONE;
}

int job_reason_code_get(const struct job_detail *detail)
{
    return detail && detail->reason ? detail->reason_code : 0;
}

/* What is known of a problem whose cause was not stored: an earlier version wrote it. */
static int code_of_state(enum job_state state)
{
    static const int codes[JOB_STATE_COUNT] = {
        [JOB_DRAFT] = -ERR_NOT_SUBMITTED,
        [JOB_INVALID] = -ERR_PROMPT_INVALID,
        [JOB_HELD] = -ERR_HELD,
        [JOB_UNKNOWN] = -ERR_OUTCOME_UNKNOWN,
        [JOB_REJECTED] = -ERR_TASK_REJECTED,
        [JOB_QUEUED] = -ERR_STALE,
        [JOB_RUNNING] = -ERR_STALE,
        [JOB_SUCCEEDED] = -ERR_MEDIA_RESPONSE,
        [JOB_FAILED] = -ERR_TASK_FAILED,
        [JOB_CANCELLED] = -ERR_TASK_CANCELLED,
        [JOB_EXPIRED] = -ERR_TASK_EXPIRED,
        [JOB_LOST] = -ERR_TASK_LOST,
        [JOB_WAITING] = -ERR_WAITS_FOR_TURN,
        [JOB_SUBMITTING] = -ERR_STALE,
    };
    return codes[state];
}

const char *job_cause_get(const struct job *job, struct job_cause *out)
{
    const struct job_detail *detail = job->detail;
    *out = (struct job_cause){0};
    if (!detail || (!job->has_problem && !detail->prompt_problem))
        return NULL;
    *out = detail->cause;
    if (!job->has_problem)
        out->code = -EEXIST;
    else if (out->code == 0 && detail->attempt.error_code && detail->attempt.error_code[0])
        return detail->attempt.error_code;
    else if (out->code == 0)
        out->code = code_of_state(job->state);
    return err_name(out->code);
}

const char *job_prompt_problem_get(const struct job_detail *detail)
{
    return detail ? detail->prompt_problem : NULL;
}

void job_ctl_fail(struct job *job, const char *command, const char *why)
{
    char text[JOB_SENTENCE_MAX + 256];
    (void)snprintf(text, sizeof(text), "%s: %s%s", command, why, text_full_stop(why));
    if (job_text_set(&job->detail->ctl_problem, text) < 0)
        job_text_clear(&job->detail->ctl_problem);
    jobs_changed(job); /* those who poll(2) it see another content */
}
