/*
 * The file `events`: a line of JSON for each transition. The line is written into the store in the
 * same transaction as the change, so there is never one without the other. If the store refused a
 * fact, its line is written when the fact is written at last.
 *
 * A reason may be what the service said, and may contain a signed URL. The URL is masked when the
 * line is read, so that lines of earlier versions are masked, too. The mask has as many bytes as
 * what it hides, because offsets must not change.
 */
#include "job_private.h"

#include "seedancefs/base/json.h"
#include "seedancefs/base/text.h"

#include <stdio.h>
#include <string.h>

enum { EVENT_BYTES_MAX = 64 * 1024 };

struct event {
    int64_t time_ms;
    const char *name; /* of the job; NULL: its present name */
    const char *state;
    const char *previous; /* NULL: none, as for reason */
    const char *reason;
};

static void attempt_write(struct json_writer *w, const struct job *job)
{
    bool has_attempt = job->attempt_id && job->detail;
    const struct store_attempt *attempt = has_attempt ? &job->detail->attempt : NULL;
    json_write_key(w, "attempt");
    if (attempt)
        json_write_int64(w, attempt->number);
    else
        json_write_null(w);
    json_write_member_string(w, "task_id", attempt ? attempt->task_id : NULL);
}

static int event_save(const struct job *job, const struct event *event)
{
    CLEANUP(buf_fini) struct buf line = {.limit = EVENT_BYTES_MAX};
    struct json_writer w;
    char when[TEXT_TIME_SIZE];
    text_time_rfc3339(event->time_ms, when);
    json_writer_init(&w, &line, JSON_COMPACT);
    json_write_object_begin(&w);
    json_write_member_int64(&w, "schema", JOB_JSON_SCHEMA);
    json_write_member_string(&w, "time", when);
    json_write_member_int64(&w, "id", job->id);
    json_write_member_string(&w, "job", event->name ? event->name : job->name);
    json_write_member_string(&w, "state", event->state);
    json_write_member_string(&w, "previous", event->previous);
    attempt_write(&w, job);
    json_write_member_string(&w, "reason", event->reason);
    json_write_object_end(&w);
    buf_add_char(&line, '\n');
    return line.error ? line.error
                      : store_event_add(job->jobs->settings.store, buf_text(&line), line.len);
}

int job_event_save_change(const struct job *job, const struct job_change *change, int64_t now_ms)
{
    const struct job_detail *detail = job->detail;
    enum job_state from =
        detail && detail->is_unsaved ? (enum job_state)detail->stored_state : job->state;
    if (change->to == from && !change->is_new && !change->is_told)
        return 0;
    bool is_bad = change->to == JOB_REJECTED || change->to >= JOB_FAILED;
    struct event event = {.time_ms = now_ms,
                          .state = job_state_to_text(change->to),
                          .previous = change->is_new ? NULL : job_state_to_text(from),
                          .reason = change->is_new ? NULL : change->note};
    /* The note of `queued` is the task's id, which has a member of its own. */
    if (change->to == JOB_QUEUED && event.reason && detail && detail->attempt.task_id &&
        strcmp(event.reason, detail->attempt.task_id) == 0)
        event.reason = NULL;
    if (!event.reason && is_bad && detail)
        event.reason = detail->attempt.error_message;
    return event_save(job, &event);
}

int job_event_removed(const struct job *job)
{
    struct event event = {.time_ms = jobs_wall_ms(job->jobs),
                          .state = "removed",
                          .previous = job_state_to_text(job->state)};
    return event_save(job, &event);
}

int job_event_renamed(const struct job *job, const char *name)
{
    char reason[TEXT_NAME_MAX + 32];
    (void)snprintf(reason, sizeof(reason), "renamed from %s", job->name);
    struct event event = {.time_ms = jobs_wall_ms(job->jobs),
                          .name = name,
                          .state = job_state_to_text(job->state),
                          .previous = job_state_to_text(job->state),
                          .reason = reason};
    return event_save(job, &event);
}

int jobs_events_size(struct jobs *jobs, int64_t *bytes)
{
    return store_events_size(jobs->settings.store, bytes);
}

struct events_read {
    struct buf *out;
    size_t size;
};

static bool events_add(void *context, const char *line, size_t len, size_t from)
{
    struct events_read *read = context;
    CLEANUP(buf_fini) struct buf masked = {.limit = len};
    size_t room = read->size - read->out->len;
    size_t left = len - from;
    if (text_has_url_secret(line, len)) {
        read->out->error = buf_add(&masked, line, len);
        text_mask_url_secrets(masked.data, masked.len);
        line = masked.data;
    }
    if (!read->out->error)
        (void)buf_add(read->out, line + from, min_size(left, room));
    return left < room && !read->out->error;
}

int jobs_events_read(struct jobs *jobs, int64_t offset, size_t size, struct buf *out)
{
    struct events_read read = {.out = out, .size = out->len + size};
    int r = store_events_each(jobs->settings.store, offset, events_add, &read);
    return r < 0 ? r : out->error;
}
