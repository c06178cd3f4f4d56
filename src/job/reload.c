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
    struct job *job; /* in memory, referenced; NULL: there is none yet */
    struct job *row; /* as the store has it, in no table; NULL: it is not there any more */
    struct job_detail *detail; /* of the row; NULL: nobody looks at it */
    char *old_name;            /* NULL: it has the same one */
    int64_t prompt_id;         /* of the file that was the prompt; 0: none, or not known */
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

static void reload_fini(struct reload *reload)
{
    struct item *item;
    HASH_CLEAR(by_name, reload->by_name);
    ITEMS_FOREACH(reload, item)
    {
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
    ITEMS_FOREACH(reload, item)
    {
        if (item->result < 0 || !item->row)
            continue;
        HASH_ADD_KEYPTR(by_name, reload->by_name, item->row->name, strlen(item->row->name), item);
        if (!TABLE_HAS(item, by_name))
            item->result = -ENOMEM;
    }
    ITEMS_FOREACH(reload, item)
    {
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
    ITEMS_FOREACH(reload, item)
    {
        if (item->result == 0 && item->job && !item->row)
            job_unlink(item->job);
        if (item->result == 0 && item->row) {
            provisional_drop(jobs_get(reload->jobs, item->id));
            provisional_drop(jobs_find_any(reload->jobs, item->row->name));
        }
    }
    HASH_CLEAR(by_name, reload->by_name); /* its keys are going to be taken */
    ITEMS_FOREACH(reload, item)
    {
        if (item->result == 0 && item->job && item->row)
            item_rename(item);
    }
    ITEMS_FOREACH(reload, item)
    {
        if (item->result == 0 && !item->job && item->row)
            item_enter(item);
    }
}

static void item_follow(struct item *item)
{
    item->is_followed = true;
    if (item->row) /* otherwise it is the job itself */
        item->has_new_urls = job_follow(item->job, item->row);
    if (item->detail)
        job_detail_follow(item->job, TAKE_POINTER(item->detail));
}

/* Open files of jobs that have been removed, if what has become of them could not be found out then. */
static void removed_look(struct reload *reload)
{
    struct job_detail *detail;
    struct job_detail *next;
    DL_FOREACH_SAFE (reload->jobs->details, detail, next) {
        CLEANUP(job_drop) struct job *held = job_ref(detail->job);
        struct item *item = held->is_removed ? item_find(reload, held->id) : NULL;
        if (item)
            job_files_let_go(held, &item->result, false);
    }
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

/* Why no second prompt was made holds as long as the first one is there. */
static void prompt_look(const struct item *item)
{
    struct job_detail *detail = item->job->detail;
    const struct job_file *prompt = job_file_find_prompt(detail);
    if (detail && (prompt ? prompt->id : 0) != item->prompt_id)
        job_text_clear(&detail->prompt_problem);
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
    ITEMS_FOREACH(reload, item)
    {
        item->is_gone = item->result == 0 && item->job && !item->row && !item->is_new;
        if (item->result == 0 && item->job && !item->is_gone)
            item_follow(item);
    }
    ITEMS_FOREACH(reload, item)
    {
        if (item->is_gone || item->is_followed)
            job_files_let_go(item->job, &item->result, !item->is_gone);
    }
    removed_look(reload);
    ITEMS_FOREACH(reload, item)
    {
        if (item->is_gone)
            item_remove(item);
    }
    ITEMS_FOREACH(reload, item)
    {
        if (!item->is_followed)
            continue;
        prompt_look(item);
        learned_forget(item->job);
        int r = job_links_read(item->job);
        item->result = item->result < 0 ? item->result : r;
    }
    ITEMS_FOREACH(reload, item)
    {
        if (item->is_followed)
            item_tell(item);
    }
}

/* What was left out because of another one says less than why that one was. */
static int result_get(const struct reload *reload)
{
    const struct item *item;
    int result = 0;
    ITEMS_FOREACH(reload, item)
    {
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
    ITEMS_FOREACH(&reload, item)
    {
        item->result = item_read(item, jobs);
    }
    ITEMS_FOREACH(&reload, item)
    {
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
