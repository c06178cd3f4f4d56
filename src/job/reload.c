/*
 * Follows what somebody else has changed in the store.
 *
 * First everything is read, into jobs that stand in no table: each is what jobs_new() would make of
 * the same rows. What cannot be read is left out, and so is what would need a name that another job
 * then keeps. From there on only a job that is new can fail. Names go before others come, so that jobs
 * may swap them. Then each job becomes what was read, in place: others may point to it, to its takes
 * and to its open files. When all of them are what they should be, everybody is told.
 *
 * Nothing is concluded from an error: a job is gone when its row says so or is not there, and a
 * file when its row is not there.
 */
#include "job_private.h"

#include "seedancefs/base/log.h"

#include <stdlib.h>
#include <string.h>

struct item {
    int64_t id;
    struct job *job;   /* in memory, referenced; NULL: there is none yet */
    struct job *row;   /* as the store has it, in no table; NULL: it is not there any more */
    struct job_detail *detail; /* of the row; NULL: nobody looks at it */
    char *old_name;            /* NULL: it has the same one */
    int64_t prompt_id; /* of the file that was the prompt; 0: none, or not known */
    bool is_new;
    bool has_new_urls;
    bool is_gone;     /* and was there before */
    bool is_followed; /* it is what its row says */
    int result;
    UT_hash_handle by_name; /* of the row */
};

struct reload {
    struct jobs *jobs;
    struct item *items; /* in the order of their ids */
    size_t count;
    struct item *by_name; /* of the names that jobs are going to have */
};

#define ITEMS_FOREACH(reload, item)                                                                \
    for ((item) = (reload)->items; (item) < (reload)->items + (reload)->count; (item)++)

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
                        .name = TAKE_POINTER(row->name),
                        .jobs = jobs,
                        .state = state,
                        .created_ms = row->created_ms,
                        .updated_ms = row->updated_ms,
                        .attempt_id = row->attempt_id,
                        .hold = is_hold_known ? (enum job_hold)row->hold : JOB_HOLD_USER,
                        .is_assets = is_assets,
                        .has_problem = row->has_problem,
                        .had_response = row->has_response};
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

static void reload_fini(struct reload *reload)
{
    struct item *item;
    HASH_CLEAR(by_name, reload->by_name);
    ITEMS_FOREACH (reload, item) {
        job_detail_free(item->detail);
        if (item->row)
            job_free(item->row);
        free(item->old_name);
        (void)job_unref(item->job);
    }
    free(reload->items);
}

static int id_order(const void *a, const void *b)
{
    const struct item *first = a;
    const struct item *second = b;
    return first->id < second->id ? -1 : first->id > second->id;
}

static int reload_init(struct reload *reload, struct jobs *jobs, const int64_t *ids, size_t count)
{
    *reload = (struct reload){.jobs = jobs, .items = calloc(count, sizeof(struct item))};
    if (!reload->items)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        reload->items[i].id = ids[i];
    qsort(reload->items, count, sizeof(struct item), id_order);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || reload->items[i].id != reload->items[reload->count - 1].id)
            reload->items[reload->count++].id = reload->items[i].id;
    }
    return 0;
}

static struct item *item_find(const struct reload *reload, int64_t id)
{
    const struct item key = {.id = id};
    return bsearch(&key, reload->items, reload->count, sizeof(key), id_order);
}

/* A take never leaves a job that is there, and the first two invariants hold without its attempt. */
static bool row_is_sound(const struct job *job, const struct job *row)
{
    const struct job_take *take;
    LL_FOREACH (job ? job->takes : NULL, take) {
        if (!job_take_find(row, take->id))
            return false;
    }
    bool is_unstarted = row->state == JOB_DRAFT || row->state == JOB_INVALID;
    return is_unstarted == (row->attempt_id == 0);
}

/* The row of a job that is there. */
static int row_read(struct item *item, struct jobs *jobs, struct store_job *row)
{
    int r = job_from_row(jobs, row, &item->row);
    if (r == 0)
        r = store_job_takes(jobs->settings.store, item->id, job_take_read, item->row);
    if (r == 0 && !row_is_sound(item->job, item->row))
        r = -ERR_STORE_CORRUPT;
    if (r == 0 && item->job && item->job->detail)
        r = job_detail_read(item->row, &item->detail);
    return r;
}

static int item_read(struct item *item, struct jobs *jobs)
{
    struct store_job row = {0};
    struct job *job = jobs_get(jobs, item->id);
    if (job && !job->is_provisional)
        item->job = job_ref(job);
    const struct job_detail *detail = item->job ? item->job->detail : NULL;
    if (detail && (detail->call || detail->is_queued))
        return -EBUSY;
    const struct job_file *prompt = job_file_find_prompt(detail);
    item->prompt_id = prompt ? prompt->id : 0;
    int r = store_job_get(jobs->settings.store, item->id, &row);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (row.name)
        r = row_read(item, jobs, &row);
    store_job_fini(&row);
    return r;
}

/* An open file that went to another job needs that one's detail. */
static int file_place_make(struct reload *reload, const struct job_file *file)
{
    struct job_detail *detail;
    int64_t job_id;
    int r = store_file_job_get(reload->jobs->settings.store, file->id, &job_id);
    if (r < 0 || job_id == file->job->id)
        return r == -ENOENT ? 0 : r; /* its row is not there: it was removed */
    struct item *item = item_find(reload, job_id);
    if (item) {
        if (item->result == 0 && item->row && !item->detail)
            item->result = job_detail_read(item->row, &item->detail);
        return item->result;
    }
    struct job *other = jobs_get(reload->jobs, job_id);
    return other ? job_detail_get(other, &detail) : 0;
}

static int places_make(struct reload *reload, const struct item *item)
{
    const struct job_file *file;
    int r = 0;
    DL_FOREACH (job_files_get(item->job ? item->job->detail : NULL), file) {
        if (r == 0 && file->handles > 0 && !file->is_unlinked)
            r = file_place_make(reload, file);
    }
    return r;
}

/* The job keeps its name, so that the one which was to get that cannot have it, and so on. */
static void item_fail(struct reload *reload, struct item *item, int result)
{
    while (item && item->result == 0) {
        item->result = result;
        if (!item->job)
            return;
        const char *name = item->job->name;
        HASH_FIND(by_name, reload->by_name, name, strlen(name), item);
        result = -EAGAIN;
    }
}

static bool is_name_free(const struct reload *reload, const struct item *item)
{
    const struct job *holder = jobs_find_any(reload->jobs, item->row->name);
    if (!holder || holder == item->job || holder->is_provisional)
        return true;
    const struct item *other = item_find(reload, holder->id);
    return other && other->result == 0 &&
           (!other->row || strcmp(other->row->name, holder->name) != 0);
}

static void names_check(struct reload *reload)
{
    struct item *item;
    ITEMS_FOREACH (reload, item) {
        if (item->result < 0 || !item->row)
            continue;
        HASH_ADD_KEYPTR(by_name, reload->by_name, item->row->name, strlen(item->row->name), item);
        if (!TABLE_HAS(item, by_name))
            item->result = -ENOMEM;
    }
    ITEMS_FOREACH (reload, item) {
        if (item->result == 0 && item->row && !is_name_free(reload, item))
            item_fail(reload, item, -EAGAIN);
    }
}

/* Proof: the callers have the name, or the number, from the store. */
static void provisional_drop(struct job *job)
{
    if (job && job->is_provisional)
        job_give_way(job);
}

static void item_rename(struct item *item)
{
    struct job *job = item->job;
    if (strcmp(job->name, item->row->name) == 0)
        return;
    item->old_name = job->name;
    job->name = TAKE_POINTER(item->row->name);
    table_key_set(&job->by_name, job->name, strlen(job->name));
}

static void item_enter(struct item *item)
{
    item->result = job_enter(item->row);
    if (item->result < 0)
        return;
    item->job = job_ref(TAKE_POINTER(item->row));
    item->is_new = true;
}

/* Those that go, those that have another name, those that come. */
static void names_apply(struct reload *reload)
{
    struct item *item;
    ITEMS_FOREACH (reload, item) {
        if (item->result == 0 && item->job && !item->row)
            job_unlink(item->job);
        if (item->result == 0 && item->row) {
            provisional_drop(jobs_get(reload->jobs, item->id));
            provisional_drop(jobs_find_any(reload->jobs, item->row->name));
        }
    }
    HASH_CLEAR(by_name, reload->by_name); /* its keys are going to be taken */
    ITEMS_FOREACH (reload, item) {
        if (item->result == 0 && item->job && item->row)
            item_rename(item);
    }
    ITEMS_FOREACH (reload, item) {
        if (item->result == 0 && !item->job && item->row)
            item_enter(item);
    }
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
    file_tell(job, file->name, is_moved ? JOB_FILE_MADE : JOB_FILE_WRITTEN);
    file->is_unlinked = false;
    file->mode = row->mode;
    file->is_note = row->is_note;
    job_file_bytes_again(file);
    job_file_free(row);
}

static void item_follow(struct item *item)
{
    struct job *job = item->job;
    struct job *row = TAKE_POINTER(item->row);
    item->is_followed = true;
    struct job_detail *detail = TAKE_POINTER(item->detail);
    struct job_file *file;
    struct job_file *next;
    bool was_loaded = job->detail != NULL;
    if (row) { /* otherwise it is the job itself */
        columns_follow(job, row);
        item->has_new_urls = takes_follow(job, row);
    }
    if (detail) {
        struct job_file *files = TAKE_POINTER(detail->files);
        if (was_loaded)
            detail_follow(job->detail, detail);
        else
            job_detail_adopt(job, TAKE_POINTER(detail));
        DL_FOREACH_SAFE (files, file, next) {
            DL_DELETE(files, file);
            file_follow(job, file, was_loaded);
        }
    }
    job_detail_free(detail);
    if (row)
        job_free(row);
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

static void files_let_go(struct item *item, bool is_told)
{
    struct job_detail *detail = item->job->detail;
    struct job_file *file;
    struct job_file *next;
    DL_FOREACH_SAFE (detail ? detail->files : NULL, file, next) {
        int r = file->is_unlinked ? 0 : file_let_go(file, is_told);
        item->result = item->result < 0 ? item->result : r;
    }
    const struct job_file *prompt = job_file_find_prompt(detail);
    if (detail && (prompt ? prompt->id : 0) != item->prompt_id)
        job_text_clear(&detail->prompt_problem);
}

static void item_remove(struct item *item)
{
    struct job *job = item->job;
    const struct job_hooks *hooks = &job->jobs->settings.hooks;
    log_info("job.removed", "job=%s id=%lld state=%s", job->name, (long long)job->id,
             job_state_to_text(job->state));
    if (job == job->jobs->assets)
        job->jobs->assets = NULL;
    if (job->detail)
        job->detail->is_unsaved = false;
    job_leave(job);
    if (hooks->on_removed)
        hooks->on_removed(hooks->context, job);
}

static void learned_forget(struct job *job)
{
    CLEANUP(store_attempt_fini) struct store_attempt attempt = {0};
    if (job->jobs->poll_kinds && job->attempt_id &&
        store_attempt_get(job->jobs->settings.store, job->attempt_id, &attempt) == 0)
        jobs_poll_forget(job->jobs, &attempt);
}

/* What it waited for may be there: then nobody else takes the reason away. */
static void follower_look(void *context UNUSED, const struct job *job)
{
    struct job_detail *detail = job->detail;
    if (!detail || !detail->is_waiting_for_input)
        return;
    detail->is_waiting_for_input = false;
    job_text_clear(&detail->reason);
}

/* A reader, who has a reference to the job, may wait for them. */
static void urls_tell(struct job *job)
{
    const struct job_hooks *hooks = &job->jobs->settings.hooks;
    struct job_take *take;
    LL_FOREACH (job->takes, take) {
        if (hooks->on_url && take->url_expires_ms >= 0 && take->video_bytes >= 0)
            hooks->on_url(hooks->context, take, 0);
    }
}

static void item_tell(const struct item *item)
{
    struct job *job = item->job;
    const struct job_hooks *hooks = &job->jobs->settings.hooks;
    job_check(job);
    if (item->is_new && hooks->on_made && !job->is_assets)
        hooks->on_made(hooks->context, job);
    if (item->old_name && hooks->on_renamed)
        hooks->on_renamed(hooks->context, job, item->old_name);
    if (item->has_new_urls && job->references > 1) /* one is the reload's */
        urls_tell(job);
    jobs_changed(job);
    job_needed_by_each(job, follower_look, NULL);
    job_source_changed(job);
}

/* Nothing fails any more, but for what is tried again. */
static void reload_apply(struct reload *reload)
{
    struct item *item;
    names_apply(reload);
    ITEMS_FOREACH (reload, item) {
        item->is_gone = item->result == 0 && item->job && !item->row && !item->is_new;
        if (item->result == 0 && item->job && !item->is_gone)
            item_follow(item);
    }
    ITEMS_FOREACH (reload, item) {
        if (item->is_gone || item->is_followed)
            files_let_go(item, !item->is_gone);
    }
    ITEMS_FOREACH (reload, item) {
        if (item->is_gone)
            item_remove(item);
    }
    ITEMS_FOREACH (reload, item) {
        if (!item->is_followed)
            continue;
        learned_forget(item->job);
        int r = job_links_read(item->job);
        item->result = item->result < 0 ? item->result : r;
    }
    ITEMS_FOREACH (reload, item) {
        if (item->is_followed)
            item_tell(item);
    }
}

/* What was left out because of another one says less than why that one was. */
static int result_get(const struct reload *reload)
{
    const struct item *item;
    int result = 0;
    ITEMS_FOREACH (reload, item) {
        if (item->result < 0 && (result == 0 || result == -EAGAIN))
            result = item->result;
    }
    return result;
}

int jobs_reload(struct jobs *jobs, const int64_t *ids, size_t count)
{
    struct reload reload;
    struct item *item;
    if (count == 0)
        return 0;
    int r = reload_init(&reload, jobs, ids, count);
    if (r < 0)
        return r;
    ITEMS_FOREACH (&reload, item) {
        item->result = item_read(item, jobs);
    }
    ITEMS_FOREACH (&reload, item) {
        if (item->result == 0)
            item->result = places_make(&reload, item);
    }
    names_check(&reload);
    reload_apply(&reload);
    jobs->counts.changes++;
    r = result_get(&reload);
    if (r < 0)
        log_warn("jobs.unread", "error=%s", err_name(r));
    reload_fini(&reload);
    return r;
}
