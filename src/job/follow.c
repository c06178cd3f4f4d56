/*
 * Makes a job in memory what its rows are, in place, because others may point to it, to its takes and
 * to its open files. reload.c reads the rows and says when.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"

#include <stdlib.h>
#include <string.h>

int job_from_row(struct jobs *jobs, struct store_job *row, struct job **out)
{
    enum job_state state;
    if (job_state_parse(row->state, &state) < 0) {
        log_error("store.state", "job=%s word=%s", row->name, row->state);
        return -ERR_STORE_CORRUPT;
    }
    bool is_assets = strcmp(row->name, JOB_ASSETS_NAME) == 0;
    if (!is_assets && job_name_check(row->name) < 0) {
        log_error("store.name", "id=%lld name=\"%s\"", (long long)row->id, row->name);
        return -ERR_STORE_CORRUPT;
    }
    bool is_hold_known = row->hold >= JOB_HOLD_NONE && row->hold < JOB_HOLD_COUNT;
    struct job *job = malloc(sizeof(*job));
    if (!job)
        return -ENOMEM;
    *job = (struct job){.id = row->id,
                        .name = row->name,
                        .jobs = jobs,
                        .state = state,
                        .created_ms = row->created_ms,
                        .updated_ms = row->updated_ms,
                        .attempt_id = row->attempt_id,
                        .hold = is_hold_known ? (enum job_hold)row->hold : JOB_HOLD_USER,
                        .is_assets = is_assets,
                        .has_problem = row->has_problem,
                        .had_response = row->has_response};
    row->name = NULL;
    *out = job;
    return 0;
}

int job_enter(struct job *job)
{
    int r = job_link(job);
    if (r < 0)
        return r;
    job->jobs->assets = job->is_assets ? job : job->jobs->assets;
    job->jobs->following += job_is_following(job);
    return 0;
}

/* What the attempt was about to make is not made here. */
static void sizing_drop(struct job *job)
{
    if (!job->sizing)
        return;
    job_refreshes_cancel(job);
    free(TAKE_POINTER(job->sizing));
}

/* True when the media of a take may be had by another address. */
static bool takes_follow(struct job *job, struct job *row)
{
    bool has_new_urls = false;
    struct job_take *take;
    struct job_take *next;
    int64_t picked_id = row->picked ? row->picked->id : 0;
    LL_FOREACH_SAFE (row->takes, take, next) {
        struct job_take *there = job_take_find(job, take->id);
        if (!there && job->sizing && job->sizing->id == take->id) {
            there = TAKE_POINTER(job->sizing);
            job_takes_append(there);
        }
        LL_DELETE(row->takes, take);
        if (there) {
            has_new_urls = has_new_urls || there->url_expires_ms != take->url_expires_ms;
            job_take_follow(there, take);
            free(take);
        } else {
            take->job = job;
            job_takes_append(take);
        }
    }
    job->picked = job_take_find(job, picked_id);
    if (!job_is_following(job))
        sizing_drop(job);
    return has_new_urls;
}

/* What this host alone knew of another attempt. */
static void attempt_forget(struct job *job)
{
    struct job_detail *detail = job->detail;
    sizing_drop(job);
    if (!detail)
        return;
    detail->quiet_from_ms = detail->quiet_end_ms = detail->start_ms = 0;
    detail->last_seen_active_ms = -1;
    detail->failures = 0;
    detail->progress_permille = 0;
    detail->preparing = (struct preparation_key){0};
    detail->is_media_seen = detail->saw_404 = detail->is_response_kept = false;
    detail->is_poll_wanted = detail->has_logged_status_word = false;
    job_text_clear(&detail->prompt_problem);
}

/* The columns. The job's tables have its name already. */
static void columns_follow(struct job *job, const struct job *row)
{
    int was_following = job_is_following(job);
    bool is_other_state = job->state != row->state;
    if (is_other_state)
        log_info("job.followed", "job=%s id=%lld from=%s to=%s", job->name, (long long)job->id,
                 job_state_to_text(job->state), job_state_to_text(row->state));
    if (job->attempt_id != row->attempt_id)
        attempt_forget(job);
    job->state = row->state;
    job->hold = row->hold;
    job->created_ms = row->created_ms;
    job->updated_ms = row->updated_ms;
    job->attempt_id = row->attempt_id;
    job->has_problem = row->has_problem;
    job->had_response = row->had_response;
    job->is_resume_due = false;
    if (is_other_state) { /* as change_apply() does */
        job->hidden = 0;
        if (job_is_editable(job))
            job->hidden_prompt_id = 0;
    }
    job->jobs->following += (unsigned)(job_is_following(job) - was_following);
}

static void take_rows_drop(struct job_detail *detail)
{
    struct take_row *row;
    struct take_row *next;
    LL_FOREACH_SAFE (detail->take_rows, row, next) {
        store_attempt_fini(&row->attempt);
        free(row);
    }
    detail->take_rows = NULL; /* they are read again when somebody asks */
}

/* Everything but the files. */
static void detail_follow(struct job_detail *detail, struct job_detail *row)
{
    struct job *job = detail->job;
    take_rows_drop(detail);
    store_attempt_fini(&detail->attempt);
    detail->attempt = row->attempt;
    row->attempt = (struct store_attempt){0};
    free(detail->problem);
    detail->problem = TAKE_POINTER(row->problem);
    detail->cause = row->cause;
    job_text_clear(&detail->reason);
    detail->is_waiting_for_input = false;
    detail->is_unsaved = false;
    job_text_clear(&detail->unsaved_response);
    detail->unsaved_response_len = 0;
    if (!job->sizing && !job->is_provisional)
        timer_cancel(job->jobs->settings.timers, &detail->timer);
}

static void file_tell(const struct job *job, const char *name, enum job_file_change change)
{
    const struct job_hooks *hooks = &job->jobs->settings.hooks;
    if (hooks->on_file)
        hooks->on_file(hooks->context, job, name, change);
}

/* In whichever detail it is: only of a job that is not looked at it may be in none. */
static struct job_file *file_find(const struct job *job, int64_t id)
{
    const struct job_detail *detail;
    struct job_file *file = job_file_get(job->detail, id);
    DL_FOREACH (job->jobs->details, detail) {
        file = file ? file : job_file_get(detail, id);
        if (file)
            break;
    }
    return file;
}

static void file_follow(struct job *job, struct job_file *row, bool is_told)
{
    struct job_file *file = file_find(job, row->id);
    if (!file) {
        row->job = job;
        DL_INSERT_INORDER(job->detail->files, row, job_file_order);
        if (is_told)
            file_tell(job, row->name, JOB_FILE_MADE);
        return;
    }
    bool is_moved = file->job != job || strcmp(file->name, row->name) != 0;
    if (is_moved) {
        file_tell(file->job, file->name, JOB_FILE_GONE);
        job_file_move(file, job, TAKE_POINTER(row->name));
    }
    file->is_unlinked = false;
    file->mode = row->mode;
    file->is_note = row->is_note;
    bool has_other_bytes = job_file_bytes_again(file);
    if (is_moved || has_other_bytes)
        file_tell(job, file->name, is_moved ? JOB_FILE_MADE : JOB_FILE_WRITTEN);
    job_file_free(row);
}

bool job_follow(struct job *job, struct job *row)
{
    columns_follow(job, row);
    return takes_follow(job, row);
}

void job_detail_follow(struct job *job, struct job_detail *row)
{
    struct job_file *files = TAKE_POINTER(row->files);
    struct job_file *file;
    struct job_file *next;
    bool was_loaded = job->detail != NULL;
    if (was_loaded) {
        detail_follow(job->detail, row);
        job_detail_free(row);
    } else {
        job_detail_adopt(job, row);
    }
    DL_FOREACH_SAFE (files, file, next) {
        DL_DELETE(files, file);
        file_follow(job, file, was_loaded);
    }
}

/* A file that the job has in memory and not in the store, if that is certain. Its new job's detail, if
 * it is loaded, was looked at before. */
static int file_let_go(struct job_file *file, bool is_told)
{
    struct job *job = file->job;
    int64_t job_id;
    int r = store_file_job_get(job->jobs->settings.store, file->id, &job_id);
    struct job *other = r == 0 ? jobs_get(job->jobs, job_id) : NULL;
    if (other == job)
        return 0;
    if ((r < 0 && r != -ENOENT) || (other && !other->detail && file->handles > 0))
        return r < 0 ? r : -EAGAIN;
    if (is_told)
        file_tell(job, file->name, JOB_FILE_GONE);
    if (other && other->detail && !job_file_get(other->detail, file->id)) {
        char *name = strdup(file->name);
        if (!name)
            return -ENOMEM;
        job_file_move(file, other, name);
    } else if (other) {
        DL_DELETE(job->detail->files, file);
        job_file_free(file);
    } else {
        job_file_leave(file);
    }
    return 0;
}

void job_files_let_go(const struct job *job, int *result, bool is_told)
{
    struct job_file *file;
    struct job_file *next;
    DL_FOREACH_SAFE (job_files_get(job->detail), file, next) {
        int r = file->is_unlinked ? 0 : file_let_go(file, is_told);
        *result = *result < 0 ? *result : r;
    }
}
